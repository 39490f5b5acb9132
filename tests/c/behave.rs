//! Guests and a host in one process: handlers of signals, faults of the host, threads, processes, libraries. One program in C
//! does all of it, dynamic, static, and as a library that is closed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Failed;

use crate::{SYSTEM_LIBRARIES, folder, library, strict, support, tool};

/// What a scenario prints, and its exit code: 128 and the signal's number where a signal ends it.
type Scenario = (&'static str, &'static str, i32);

const FAULT: &str = "about to fault\n";
const SEGMENTATION_FAULT: i32 = 128 + 11;

const SCENARIOS: [Scenario; 13] = [
    ("before", "ok\n", 0),
    ("after", "ok\n", 0),
    ("twice", "about to fault\nreported\nreported\n", SEGMENTATION_FAULT),
    ("default on thread", FAULT, SEGMENTATION_FAULT),
    ("default in host function", FAULT, SEGMENTATION_FAULT),
    ("default sent", FAULT, SEGMENTATION_FAULT),
    ("sent", "ok\n", 0),
    ("masks", FAULT, SEGMENTATION_FAULT),
    ("jumps", "ok\n", 0),
    ("threads", "ok\n", 0),
    ("forks", "about to fault\nabout to fault\nabout to fault\nok\n", 0),
    ("loading", "ok\n", 0),
    ("blocked", "ok\n", 0),
];

/// What static programs do as well.
const IN_STATIC_PROGRAMS: [&str; 6] = ["before", "after", "default in host function", "masks", "threads", "forks"];

fn source(name: &str) -> PathBuf {
    folder("tests/c/programs").join(name)
}

/// Makes the libraries that the program loads, and the archive that is linked into it.
fn modules(scratch: &Path) -> Result<(), Failed> {
    let compile = |source: &Path, output: &str, emit: &str, name: &str| {
        support::compile(source, &scratch.join(output), ["--emit", emit, "--library-name", name])
    };
    let behave = folder("tests/c/modules/behave.wat");
    compile(&behave, "behave.so", "cdylib", "behave")?;
    compile(&behave, "libbehave.a", "staticlib", "behave")?;
    let explicit = ["--emit", "cdylib", "--library-name", "behave", "--bounds-checks", "explicit"];
    support::compile(&behave, &scratch.join("explicit.so"), explicit)?;
    compile(&folder("tests/c/modules/wasi.wat"), "wasi.so", "cdylib", "wasi")?;
    fs::copy(scratch.join("behave.so"), scratch.join("behave-copy.so"))?;
    let second = fs::read_to_string(&behave)?
        .replace("(local.get 0)))\n    (i32.load", "(i32.mul (local.get 0) (i32.const 1001))))\n    (i32.load");
    fs::write(scratch.join("second.wat"), second)?;
    compile(&scratch.join("second.wat"), "behave-2.so", "cdylib", "behave")?;
    Ok(fs::write(scratch.join("file.txt"), "in a file")?)
}

fn build(scratch: &Path, name: &str, options: &[&str]) -> Result<PathBuf, Failed> {
    let program = scratch.join(name);
    let mut command = strict("gcc", "-std=c99");
    command.args(options).arg("-o").arg(&program).arg(source("behave.c")).arg(library()?);
    // Static programs have the unwinder of the static library.
    let unwinder = |name| if name == "-lgcc_s" && options.contains(&"-static") { "-lgcc_eh" } else { name };
    tool(command.arg(scratch.join("libbehave.a")).args(SYSTEM_LIBRARIES.map(unwinder)))?;
    Ok(program)
}

fn run(program: &Path, modules: &Path, (name, expected, code): Scenario) -> Result<(), Failed> {
    let outcome = support::run(Command::new(program).arg(name).arg(modules), b"")?;
    let check = || outcome.expect_code(code)?.expect_stdout(expected).map(drop);
    check().map_err(|error| format!("{name}: {error:?}").into())
}

pub(crate) fn host_and_guests() -> Result<(), Failed> {
    let scratch = support::scratch();
    modules(scratch.path())?;
    let program = build(scratch.path(), "behave", &[])?;
    SCENARIOS.into_iter().try_for_each(|scenario| run(&program, scratch.path(), scenario))
}

pub(crate) fn host_and_guests_in_a_static_program() -> Result<(), Failed> {
    let scratch = support::scratch();
    modules(scratch.path())?;
    let program = build(scratch.path(), "behave", &["-static", "-DLINKED"])?;
    let scenarios = SCENARIOS.into_iter().filter(|(name, ..)| IN_STATIC_PROGRAMS.contains(name));
    scenarios.into_iter().try_for_each(|scenario| run(&program, scratch.path(), scenario))
}

pub(crate) fn a_library_with_the_runtime_can_be_closed() -> Result<(), Failed> {
    let scratch = support::scratch();
    modules(scratch.path())?;
    let options =
        ["-shared", "-fPIC", "-DPLUGIN", "-Wno-unused-function", "-fvisibility=hidden", "-Wl,--exclude-libs,ALL"];
    let plugin = build(scratch.path(), "plugin.so", &options)?;
    let program = scratch.path().join("closing");
    tool(strict("gcc", "-std=c99").arg("-o").arg(&program).arg(source("closing.c")).arg("-ldl"))?;
    let outcome = support::run(Command::new(program).arg(plugin).arg(scratch.path()), b"")?;
    outcome.expect_code(SEGMENTATION_FAULT)?.expect_stdout(FAULT).map(drop)
}
