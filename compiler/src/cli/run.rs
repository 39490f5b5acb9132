//! `wasmelt run`: compiles a module into the cache, or finds it there, and becomes its executable.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use clap::Args;
use rustix::fs::MemfdFlags;
use target_lexicon::HOST;

use super::args::{CommonArgs, ReportArgs};
use super::input::Input;
use super::progress::{self, Times};
use super::wasmtime::{self, Codegen};
use super::{print_note, print_warning};
use crate::cache::{Cache, Key};
use crate::error::{Error, Result};
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
    let guest = Guest::new(Path::new(module), guest_args, &mut options);

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
        let error = guest.execute(&path);
        // Somebody may have cleaned the cache meanwhile, or it cannot be executed there: compile it again.
        if report.verbose {
            print_note(&format!("cannot execute it: {error}"));
        }
    }

    let compilation = progress::compile(&bytes, &input.name, &options, report)?;
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
        let error = guest.execute(&path);
        if report.verbose {
            print_note(&format!("cannot execute it: {error}"));
        }
    }
    let error = guest.execute_bytes(&compilation.bytes);
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

/// How the executable is started.
struct Guest<'a> {
    arg0: OsString,
    args: &'a [OsString],
    /// Variables to set before it starts.
    env: BTreeMap<String, String>,
}

impl<'a> Guest<'a> {
    /// Moves what may differ from call to call out of the options into the way the executable is started: the value of
    /// a granted variable and the guest's name for itself. So a new value compiles nothing, and no secret of an
    /// environment is ever written into the cache.
    fn new(module: &Path, args: &'a [OsString], options: &mut Options) -> Self {
        let Policy { env: grants, arg0, .. } = &mut options.policy;
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
        let arg0 = arg0.take().map_or_else(file_name, OsString::from);
        Self { arg0, args, env }
    }

    /// Becomes this executable; returns only on failure.
    fn execute(&self, path: &Path) -> io::Error {
        Command::new(path).arg0(&self.arg0).args(self.args).envs(&self.env).exec()
    }

    /// Becomes an executable that is in no folder; returns only on failure.
    fn execute_bytes(&self, bytes: &[u8]) -> io::Error {
        match memory_file(bytes) {
            Ok(file) => self.execute(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd()))),
            Err(error) => error,
        }
    }
}

/// A file in memory that can be executed.
fn memory_file(bytes: &[u8]) -> io::Result<File> {
    let create = |flags| rustix::fs::memfd_create(c"wasmelt", flags);
    // Linux before 6.3 does not know `EXEC`; from then on it may be configured to need it.
    let fd = create(MemfdFlags::CLOEXEC | MemfdFlags::EXEC).or_else(|_| create(MemfdFlags::CLOEXEC))?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    Ok(file)
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
        let guest = Guest::new(Path::new("dir/app.wasm"), &[], &mut options);
        assert_eq!(options.policy.env, [grant("A", None), grant("B", None), grant("C", None)]);
        assert_eq!(guest.env, BTreeMap::from([("A".to_owned(), "2".to_owned())]));
        assert_eq!((guest.arg0.to_str(), options.policy.arg0), (Some("name"), None));
    }

    #[test]
    fn the_guest_sees_the_files_name() {
        let guest = Guest::new(Path::new("dir/app.wasm"), &[], &mut Options::default());
        assert_eq!(guest.arg0, "app.wasm");
    }
}
