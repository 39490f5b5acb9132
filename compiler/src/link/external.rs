//! Linking with another program: the system's C compiler driver, or one that takes the arguments of `ld`.

use std::path::Path;
use std::process::{Command, Stdio};

use target_lexicon::HOST;

use super::driver::lld_flavor;
use super::files::Files;
use super::{LinkOptions, ld_arguments, strip_argument};
use crate::error::{Error, Result};

/// Links with the C compiler driver that the environment (`CC`) or the system names for the target.
pub(super) fn link_with_cc(files: &Files, options: &LinkOptions<'_>) -> Result<Vec<u8>> {
    let tool = c_compiler(options).map_err(|e| e.hint(HINT))?;
    let mut command = tool.to_command();
    command.args(["-nostdlib", "-nostartfiles", if files.archive().is_some() { "-static-pie" } else { "-shared" }]);
    // What the driver decides by itself, or what follows from -static-pie.
    let driver_decides = ["-static", "-pie", "--no-dynamic-linker", "-shared"];
    for argument in ld_arguments(files, options).into_iter().filter(|a| !driver_decides.contains(a)) {
        command.arg("-Xlinker").arg(argument);
    }
    run(command, files)
}

fn c_compiler(options: &LinkOptions<'_>) -> Result<cc::Tool> {
    cc::Build::new()
        .cargo_metadata(false)
        .cargo_warnings(false)
        .target(&options.target.to_string())
        .host(&HOST.to_string())
        .opt_level(0)
        .no_default_flags(true)
        .try_get_compiler()
        .map_err(|e| Error::link(format!("no C compiler for {}: {e}", options.target)))
}

/// Libraries of the system that Rust's standard library stands on, as `rustc --print native-static-libs` names them.
const SYSTEM_LIBRARIES: [&str; 7] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc"];

/// The same, where they become part of the program.
const STATIC_LIBRARIES: [&str; 7] = ["-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc", "-lgcc_eh"];

/// Links a program of the portable runtime: the C compiler driver knows the C library and its start-up code.
pub(super) fn link_with_c_library(files: &Files, options: &LinkOptions<'_>) -> Result<Vec<u8>> {
    link_with_system(files, options, "-pie", &SYSTEM_LIBRARIES)
}

/// As [`link_with_c_library`], with the C library in the program: it needs no other file.
pub(super) fn link_statically(files: &Files, options: &LinkOptions<'_>) -> Result<Vec<u8>> {
    link_with_system(files, options, "-static-pie", &STATIC_LIBRARIES)
}

fn link_with_system(files: &Files, options: &LinkOptions<'_>, kind: &str, libraries: &[&str]) -> Result<Vec<u8>> {
    let three_ways = |error: Error| {
        error
            .hint("install a C compiler: it knows how programs are linked with the C library")
            .hint("name one in the environment variable `CC`")
            .hint("leave out `--runtime portable`: the freestanding runtime needs no other program")
    };
    let tool = c_compiler(options).map_err(three_ways)?;
    let mut command = tool.to_command();
    // As for the freestanding runtime: what nothing reaches is dropped, and same input gives same bytes. The libraries
    // are named behind the files that need them.
    command.arg(kind).args(["-Wl,--gc-sections,--build-id=none,--hash-style=gnu,-z,noexecstack,-z,relro,-z,now"]);
    command.args(strip_argument(options).map(|argument| format!("-Wl,{argument}")));
    command.args(files.inputs()).args(libraries);
    run_on(command, files, three_ways)
}

/// Links with `program`, which takes the arguments of `ld`.
pub(super) fn link_with_ld(program: &Path, files: &Files, options: &LinkOptions<'_>) -> Result<Vec<u8>> {
    let mut command = Command::new(program);
    // An `lld` that can do everything wants to know what it is to be.
    if program.file_stem().is_some_and(|name| name == "rust-lld" || name == "lld") {
        command.args(["-flavor", lld_flavor(options.target)]);
    }
    command.args(ld_arguments(files, options));
    run(command, files)
}

const HINT: &str = "the embedded linker, which is the default, needs no other program";

/// Runs the linker on the files and returns what it wrote.
fn run(mut command: Command, files: &Files) -> Result<Vec<u8>> {
    command.args(files.inputs());
    run_on(command, files, |error| error.hint(HINT))
}

/// Runs the linker, whose input files are named, and returns what it wrote; `if_missing` adds to the error where there
/// is no such program.
pub(super) fn run_on(mut command: Command, files: &Files, if_missing: impl FnOnce(Error) -> Error) -> Result<Vec<u8>> {
    command.arg("-o").arg(files.output()).stdin(Stdio::null());
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|e| Error::link(Error::io(format!("cannot run the linker {program}"), &e).to_string()))
        .map_err(if_missing)?;
    if !output.status.success() {
        let error = Error::link(format!("the linker failed ({}): {command:?}", output.status));
        let texts = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        return Err(texts.iter().fold(error, |error, text| error.detail(text)));
    }
    files.read_output().map_err(|e| e.context(format!("linker {program}")))
}
