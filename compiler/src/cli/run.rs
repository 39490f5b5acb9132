//! `wasmelt run`: compiles a module into the cache, or finds the executable there, and replaces this process by the
//! executable. On Windows, where that is impossible, `run` waits for the executable and ends with its exit code.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use target_lexicon::{HOST, Triple};

use super::args::{CommonArgs, ReportArgs};
use super::input::Input;
use super::progress::{self, Times};
use super::wasmtime::Asked;
use super::{print_note, print_warning, targets};
use crate::cache::{Cache, Key};
use crate::driver::Compilation;
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
    #[arg(value_name = "MODULE", required = true, trailing_var_arg = true)]
    module_and_args: Vec<OsString>,

    /// Compile again, and keep nothing
    #[arg(long)]
    no_cache: bool,

    /// The target, as in wasmtime: this machine
    #[arg(long, value_name = "TRIPLE", hide = true)]
    target: Option<String>,

    #[command(flatten)]
    pub(super) common: CommonArgs,
}

impl RunArgs {
    /// The module as it was named, where its name is UTF-8.
    #[cfg(test)]
    pub(super) fn module(&self) -> Option<&str> {
        self.module_and_args.first()?.to_str()
    }

    /// The target, which must be this machine.
    pub(super) fn target(&self) -> Result<Triple> {
        let Some(text) = &self.target else { return Ok(HOST) };
        let target = targets::parse(text)?;
        match (target.architecture, target.operating_system) == (HOST.architecture, HOST.operating_system) {
            true => Ok(target),
            false => Err(Error::usage(format!("`--target {text}`: this machine cannot run programs for it"))
                .hint("`wasmelt compile --target` makes programs for other machines")),
        }
    }
}

/// Does it; returns only on failure.
pub(super) fn execute(args: &RunArgs) -> Result<()> {
    let Some((module, guest_args)) = args.module_and_args.split_first() else {
        return Err(Error::usage("the module is missing"));
    };
    let report = &args.common.report;
    let Asked { mut options, no_cache, .. } = args.common.ask(args.target()?)?;
    // It runs here and nowhere else.
    if options.cpu == Cpu::Default {
        options.cpu = Cpu::Native;
    }
    let start = start(Path::new(module), guest_args, &mut options);

    let mut times = Times::start();
    let mut input = Input::open(Path::new(module)).map_err(|e| match module.to_str() {
        // `wasmelt -q compile app.wasm` is `run` on a file of that name.
        Some("compile" | "inspect" | "run" | "targets" | "completions") => e.hint("options follow the command"),
        Some(text) if options.debug_info && (text.parse::<u16>().is_ok() || text.parse::<SocketAddr>().is_ok()) => e
            .hint("`-g` writes debug information; `-g PORT` of wasmtime is not supported: gdb and lldb debug the executable"),
        _ => e,
    })?;
    let bytes = input.read()?;
    times.stage("read");
    let key = Key::new(&bytes, Path::new(module), &options);
    let cache = if no_cache || args.no_cache { None } else { open_cache(report) };
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

    let compilation = compilation(&bytes, (Path::new(module), &input.name), &options, cache.as_ref(), &args.common)?;
    times.stages(&compilation.timings);
    let stored = cache.and_then(|cache| note_failure(cache.store(&key, &compilation.bytes), report));
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

/// The program, linked from what the cache has of it, or compiled; what it is linked from is stored.
fn compilation(
    bytes: &[u8],
    (module, name): (&Path, &str),
    options: &Options,
    cache: Option<&Cache>,
    common: &CommonArgs,
) -> Result<Compilation> {
    let report = &common.report;
    let Some(cache) = cache else { return progress::compile(bytes, name, options, common) };
    let key = Key::of_code(bytes, module, options);
    if let Some(unlinked) = cache.find_code(&key) {
        if report.verbose {
            print_note("the code is in the cache: only what is granted has changed");
        }
        return progress::link(&unlinked, name, options, report);
    }
    let mut options = options.clone();
    let functions = cache.reuse(module, &mut options);
    let compilation = progress::compile_to_link_again(bytes, name, &options, common)?;
    if let Some(functions) = functions {
        note_failure(cache.store_functions(&functions, &options), report);
    }
    if let Some(unlinked) = &compilation.unlinked {
        note_failure(cache.store_code(&key, unlinked), report);
    }
    Ok(compilation)
}

/// What was stored. A program that cannot be stored still runs.
pub(super) fn note_failure<T>(stored: io::Result<T>, report: &ReportArgs) -> Option<T> {
    stored
        .inspect_err(|e| {
            if report.verbose {
                print_warning(&Error::io("cannot store it in the cache", e));
            }
        })
        .ok()
}

/// The cache, if there can be one. Without it the result is the same; that one is not safe to use is worth a word.
pub(super) fn open_cache(report: &ReportArgs) -> Option<Cache> {
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
