//! Kernels other than the one that runs here, as far as a filter of system calls can imitate them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A program that runs its arguments as on a kernel without `openat2`, built by the system's C compiler.
pub fn without_openat2() -> Result<&'static Path, String> {
    static PROGRAM: OnceLock<Result<(tempfile::TempDir, PathBuf), String>> = OnceLock::new();
    let built = PROGRAM.get_or_init(|| {
        let cc = super::find_program("cc").ok_or("there is no cc")?;
        let folder = super::scratch();
        let program = folder.path().join("without_openat2");
        let source = super::repository().join("tests/run/guests/without_openat2.c");
        let outcome = super::run(Command::new(cc).arg(source).arg("-o").arg(&program), b"");
        let outcome = outcome.map_err(|failed| failed.message().unwrap_or("cc failed").to_owned())?;
        if !outcome.status.success() {
            return Err(format!("cc failed: {}", outcome.stderr()));
        }
        let tried = super::run(Command::new(&program).arg("/bin/true"), b"");
        if !tried.is_ok_and(|outcome| outcome.status.success()) {
            return Err("seccomp filters are not allowed here".to_owned());
        }
        Ok((folder, program))
    });
    built.as_ref().map(|(_, program)| program.as_path()).map_err(Clone::clone)
}
