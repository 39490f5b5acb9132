//! Host programs on every system: the one in tests/embed-host is built for each, with its modules linked into it, and
//! run where something here runs it. Where the C library loads libraries it also does everything with those.
//!
//! On aarch64 it is a static program of musl, which Rust links by itself; for macOS and Windows, Zig links it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};
use wasmelt::options::Options;

use crate::support::foreign::{self, System};
use crate::support::{self, portable, skipped};

/// What the program does, in this order.
const SCENARIOS: [&str; 21] = [
    "values of all types",
    "many parameters and results",
    "vectors",
    "calls of the host and back",
    "traps",
    "backtraces",
    "stack exhaustion",
    "stack exhaustion inside a host function",
    "exceptions across instances",
    "exceptions of host functions",
    "panics of host functions",
    "errors of host functions",
    "registers for floats",
    "memory, tables and segments",
    "many instances",
    "threads with a store each",
    "shared memory",
    "WASI with a context each",
    "functions of the host that are waited for",
    "such functions that fail",
    "guests that give the executor back",
];

/// What it does that with.
const MODULES: [&str; 10] =
    ["calls", "catcher", "floats", "shared", "slices", "state", "thrower", "traps", "values", "wasi"];

/// Where a host program runs: here, or on another system.
#[derive(Clone, Copy)]
struct Place(Option<System>);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![Trial::test("hosts::here", || everything(Place(None)))];
    for system in System::ALL {
        let (place, name) = (Place(Some(system)), format!("hosts::{}", system.name()));
        let is_run = matches!(system, System::LinuxAarch64 | System::Windows);
        let missing = place.cannot_be_linked().or_else(|| if is_run { system.has_no_runner() } else { None });
        trials.push(match missing {
            Some(why) => skipped(name, why),
            None if is_run => Trial::test(name, move || everything(place)),
            None => Trial::test(format!("{name}::links"), move || program(place).map(|_| ())),
        });
    }
    trials
}

impl Place {
    fn name(self) -> &'static str {
        self.0.map_or("here", System::name)
    }

    /// The value of `--target` of the compiler.
    fn triple(self) -> String {
        self.0.map_or_else(|| Options::default().target.to_string(), |system| system.triple().to_owned())
    }

    /// The target of Rust.
    fn rust_target(self) -> String {
        match self.0 {
            None => self.triple(),
            Some(System::LinuxAarch64) => "aarch64-unknown-linux-musl".to_owned(),
            Some(System::Windows) => "x86_64-pc-windows-gnullvm".to_owned(),
            Some(system) => system.triple().to_owned(),
        }
    }

    /// Zig's name of the target, where Zig links.
    fn zig_target(self) -> Option<&'static str> {
        Some(match self.0? {
            System::LinuxAarch64 => return None,
            System::Windows => "x86_64-windows-gnu",
            System::WindowsAarch64 => "aarch64-windows-gnu",
            System::Mac => "x86_64-macos",
            System::MacAarch64 => "aarch64-macos",
        })
    }

    fn cannot_be_linked(self) -> Option<String> {
        let target = self.rust_target();
        if !foreign::has_std(&target) {
            return Some(format!("Rust's standard library for {target} is not installed"));
        }
        let needs_zig = self.zig_target().is_some() && foreign::zig().is_none();
        needs_zig.then(|| "there is no Zig (the Python package `ziglang`)".to_owned())
    }

    /// Compiles a module.
    fn compile(self, module: &str, emit: &str, output: &Path) -> Result<(), Failed> {
        let source = support::repository().join(format!("tests/embed-host/modules/{module}.wat"));
        let mut command = support::wasmelt();
        command.args(["compile", "--emit", emit, "--library-name", module, "--target", &self.triple()]);
        if module == "slices" {
            command.args(["--fuel", "--interruptible"]);
        }
        command.arg("-o");
        support::run(command.arg(output).arg(source), b"")?.expect_code(0).map(|_| ())
    }

    fn command(self, program: &Path) -> Result<Command, Failed> {
        match self.0 {
            None => Ok(Command::new(program)),
            Some(system) => system.command(program),
        }
    }
}

/// Builds the host program; its path.
fn program(place: Place) -> Result<PathBuf, Failed> {
    // The same folder each time, so that cargo finds what it has made before.
    let objects = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hosts").join(place.name());
    fs::create_dir_all(&objects)?;
    for module in MODULES {
        place.compile(module, "obj", &objects.join(format!("{module}.o")))?;
    }
    let target = place.rust_target();
    let mut environment: Vec<(String, OsString)> = vec![("WASMELT_HOST_OBJECTS".to_owned(), objects.into())];
    let linker = match (place.0, place.zig_target()) {
        (Some(_), Some(zig_target)) => {
            environment.push(("ZIG".to_owned(), foreign::zig().ok_or("there is no Zig")?.join(" ").into()));
            environment.push(("ZIG_TARGET".to_owned(), zig_target.into()));
            Some(support::repository().join("tests/embed-host/zig-cc"))
        }
        (Some(_), None) => Some("rust-lld".into()),
        (None, _) => None,
    };
    if let Some(linker) = linker {
        let name = target.to_uppercase().replace('-', "_");
        environment.push((format!("CARGO_TARGET_{name}_LINKER"), linker.into()));
    }
    let build =
        ["build", "--locked", "--package", "wasmelt-embed-host", "--profile", "embed-host", "--target", &target];
    portable::cargo_with(&build, &environment)?;
    let file = place.0.map_or_else(|| "wasmelt-embed-host".to_owned(), |system| system.file_name("wasmelt-embed-host"));
    Ok(portable::folder().join(target).join("embed-host").join(file))
}

/// Builds and runs it in all ways.
fn everything(place: Place) -> Result<(), Failed> {
    let program = program(place)?;
    scenarios(place, &program, None)?;
    // Static programs load nothing.
    if place.0 != Some(System::LinuxAarch64) {
        let libraries = support::scratch();
        for module in MODULES {
            place.compile(module, "cdylib", &libraries.path().join(format!("{module}.library")))?;
        }
        scenarios(place, &program, Some(libraries.path()))?;
    }
    // Faults of the host end it as they would without guests. Wine 8 looks for a handler of the first kind for ever, in
    // any program of Rust.
    // On musl, Rust does not know the main thread's stack, and says nothing about its end.
    let (access, stack) = match place.0 {
        None => (Some(139), 134),
        Some(System::LinuxAarch64) => (Some(139), 139),
        Some(_) => (None, 1),
    };
    access.map_or(Ok(()), |code| fault(place, &program, "access", code))?;
    fault(place, &program, "stack", stack)
}

fn scenarios(place: Place, program: &Path, libraries: Option<&Path>) -> Result<(), Failed> {
    let mut command = match place.0 {
        // A host that waits for signals has all of them blocked in its other threads.
        None => {
            let mut env = Command::new("/usr/bin/env");
            env.arg("--block-signal=SEGV,BUS,ILL,FPE").arg(program);
            env
        }
        Some(_) => place.command(program)?,
    };
    command.arg("scenarios");
    if let Some(folder) = libraries {
        let is_windows = place.0 == Some(System::Windows);
        let folder = folder.to_str().ok_or("the scratch folder is not UTF-8")?;
        command.arg(if is_windows { format!("Z:{folder}").replace('/', "\\") } else { folder.to_owned() });
    }
    let expected: String = SCENARIOS.iter().map(|name| format!("ok {name}\n")).collect();
    support::run(&mut command, b"")?.expect_code(0)?.expect_stdout(expected).map(|_| ())
}

fn fault(place: Place, program: &Path, kind: &str, code: i32) -> Result<(), Failed> {
    let mut command = place.command(program)?;
    support::run(command.arg(kind), b"")?.expect_code(code)?.expect_stdout("about to fault\n").map(|_| ())
}
