//! `wasmelt run`: compiles a module into the cache, or finds it there, and becomes its executable; on Windows, where no
//! process can become another, it waits for it and ends as it ended.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::Args;
use target_lexicon::HOST;

use super::args::{CommonArgs, ReportArgs};
use super::input::Input;
use super::progress::{self, Times};
use super::wasmtime::{self, Codegen};
use super::{print_note, print_warning};
use crate::cache::{Cache, Key};
use crate::error::{Error, Result};
use crate::host::{self, Start};
use crate::options::{Cpu, Options, Policy};

/// Compile a module into a cache and execute it
///
/// Takes the options of `wasmtime run` that have a meaning here. Everything after the module belongs to the guest.
#[derive(Args, Debug)]
#[command(args_override_self = true, override_usage = "wasmelt run [OPTIONS] MODULE [ARGS]...")]
pub(super) struct RunArgs {
    /// Module as `.wasm` or `.wat` (`-` is standard input), and the guest's arguments
    #[arg(value_name = "MODULE", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    module_and_args: Vec<OsString>,

    /// Compile again, and keep nothing
    #[arg(long)]
    no_cache: bool,

    /// What a WASI guest gets, as in wasmtime: `inherit-env`
    #[arg(short = 'S', long = "wasi", value_name = "KEY[=VALUE],..")]
    wasi: Vec<String>,

    /// How code is generated, as in wasmtime: `cache`, `parallel-compilation`
    #[arg(short = 'C', long = "codegen", value_name = "KEY[=VALUE],..")]
    codegen: Vec<String>,

    #[command(flatten)]
    common: CommonArgs,
}

/// Does it; returns only on failure.
pub(super) fn execute(args: &RunArgs) -> Result<()> {
    let Some((module, guest_args)) = args.module_and_args.split_first() else {
        return Err(Error::usage("the module is missing"));
    };
    let report = &args.common.report;
    let mut options = args.common.to_options(HOST)?;
    let mut codegen = Codegen { no_cache: args.no_cache };
    for spec in &args.wasi {
        wasmtime::apply_wasi(&mut options, spec)?;
    }
    for spec in &args.codegen {
        wasmtime::apply_codegen(&mut options, &mut codegen, spec)?;
    }
    // It runs here and nowhere else.
    if options.cpu == Cpu::Default {
        options.cpu = Cpu::Native;
    }
    let start = start(Path::new(module), guest_args, &mut options);

    let mut times = Times::start();
    let mut input = Input::open(Path::new(module)).map_err(|e| match module.to_str() {
        // `wasmelt -q compile app.wasm` is `run` on a file of that name.
        Some("compile" | "inspect" | "run" | "targets" | "completions") => e.hint("options follow the command"),
        _ => e,
    })?;
    let bytes = input.read()?;
    times.stage("read");
    let key = Key::new(&bytes, &options);
    let cache = if codegen.no_cache { None } else { open_cache(report) };
    let found = cache.as_ref().and_then(|cache| cache.find(&key));
    times.stage("look up");
    if let Some(path) = found {
        if report.time {
            times.print();
        }
        if report.verbose {
            print_note(&format!("found in the cache: {}", path.display()));
        }
        let error = host::execute(&path, &start);
        // Somebody may have cleaned the cache meanwhile, or it cannot be executed there: compile it again.
        if report.verbose {
            print_note(&format!("cannot execute it: {error}"));
        }
    }

    let compilation = progress::compile(&bytes, &input.name, &options, &args.common)?;
    times.stages(&compilation.timings);
    let stored = cache.and_then(|cache| match cache.store(&key, &compilation.bytes) {
        Ok(path) => Some(path),
        Err(e) => {
            if report.verbose {
                print_warning(&Error::io("cannot store it in the cache", &e));
            }
            None
        }
    });
    times.stage("store");
    if report.time {
        times.print();
    }
    if let Some(path) = stored {
        if report.verbose {
            print_note(&format!("stored in the cache: {}", path.display()));
        }
        let error = host::execute(&path, &start);
        if report.verbose {
            print_note(&format!("cannot execute it: {error}"));
        }
    }
    let error = host::execute_bytes(&compilation.bytes, &start);
    Err(Error::io(format!("cannot execute what {} was compiled to", input.name), &error))
}

/// The cache, if there can be one. Without it the result is the same; that one is not safe to use is worth a word.
fn open_cache(report: &ReportArgs) -> Option<Cache> {
    match Cache::open() {
        Ok(Some(cache)) => return Some(cache),
        Ok(None) if report.verbose => print_note("there is no folder for the cache"),
        Ok(None) => {}
        Err(error) if !report.quiet => print_warning(&error),
        Err(_) => {}
    }
    None
}

/// Moves what may differ from call to call out of the options into the way the executable is started: the value of a
/// granted variable and the guest's name for itself. So a new value compiles nothing, and no secret of an environment is
/// ever written into the cache.
fn start<'a>(module: &Path, args: &'a [OsString], options: &mut Options) -> Start<'a> {
    let Policy { env: grants, arg0: name, .. } = &mut options.policy;
    let mut env = BTreeMap::new();
    for grant in grants.iter_mut() {
        match grant.value.take() {
            Some(value) => env.insert(grant.name.clone(), value),
            None => env.remove(&grant.name),
        };
    }
    let mut seen = std::collections::HashSet::new();
    grants.retain(|grant| seen.insert(grant.name.clone()));
    // As wasmtime does it: the file's name, without folders.
    let file_name = || module.file_name().unwrap_or(OsStr::new("")).to_owned();
    let arg0 = name.take().map_or_else(file_name, OsString::from);
    if !host::CAN_SET_ARG0 {
        *name = Some(arg0.to_string_lossy().into_owned());
    }
    Start { arg0, args, env }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::EnvGrant;

    fn grant(name: &str, value: Option<&str>) -> EnvGrant {
        EnvGrant { name: name.to_owned(), value: value.map(ToOwned::to_owned) }
    }

    #[test]
    fn values_of_variables_do_not_reach_the_key() {
        let mut options = Options::default();
        options.policy.env =
            vec![grant("A", Some("1")), grant("B", None), grant("A", Some("2")), grant("C", Some("x"))];
        options.policy.env.push(grant("C", None));
        options.policy.arg0 = Some("name".into());
        let start = start(Path::new("dir/app.wasm"), &[], &mut options);
        assert_eq!(options.policy.env, [grant("A", None), grant("B", None), grant("C", None)]);
        assert_eq!(start.env, BTreeMap::from([("A".to_owned(), "2".to_owned())]));
        assert_eq!(start.arg0, "name");
        assert_eq!(options.policy.arg0.is_some(), !host::CAN_SET_ARG0);
    }

    #[test]
    fn the_guest_sees_the_files_name() {
        let start = start(Path::new("dir/app.wasm"), &[], &mut Options::default());
        assert_eq!(start.arg0, "app.wasm");
    }
}
