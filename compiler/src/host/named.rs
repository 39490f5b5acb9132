//! macOS and Windows have no files without names. The functions are those of Linux: they report that, or use a named
//! file.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitStatus;

use tempfile::TempPath;

use super::{Start, command, exit_code, output_of, restrict_to_executing, wait_for};

/// Always fails: this system has no files without names.
pub(crate) fn create_nameless(_target: &Path, _mode: u32) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Always fails: this system has no files without names.
pub(crate) fn put_in_place(_file: &File, _target: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Runs a program from a temporary file, waits for it, and ends this process as it ended; returns only on failure.
pub(crate) fn execute_bytes(bytes: &[u8], start: &Start<'_>) -> io::Error {
    // The file goes away with its path, so before this process ends.
    match run_bytes(bytes, start) {
        Ok(code) => std::process::exit(code),
        Err(error) => error,
    }
}

/// Runs a program from a temporary file, waits for it, and returns how it ended and what it wrote to standard output. Its
/// standard input is empty.
pub(crate) fn output_of_bytes(bytes: &[u8], start: &Start<'_>) -> io::Result<(ExitStatus, Vec<u8>)> {
    let path = temporary_program(bytes)?;
    output_of(command(&path, start))
}

fn run_bytes(bytes: &[u8], start: &Start<'_>) -> io::Result<i32> {
    let path = temporary_program(bytes)?;
    let status = wait_for(&mut command(&path, start))?;
    Ok(exit_code(status))
}

/// A file that can be executed, and goes away with its path.
fn temporary_program(bytes: &[u8]) -> io::Result<TempPath> {
    let mut file = tempfile::Builder::new().prefix("wasmelt-").suffix(std::env::consts::EXE_SUFFIX).tempfile()?;
    file.write_all(bytes)?;
    restrict_to_executing(file.as_file())?;
    // A file that is open for writing cannot be executed.
    Ok(file.into_temp_path())
}
