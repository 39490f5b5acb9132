//! `--trace wasi`: each call of WASI is printed with arguments and error, and a grant that was missing is named. Nothing of
//! it is in executables that were not compiled for it.
//!
//! The guest is `guests/trace.wat`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::support;
use crate::support::foreign::System;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("trace::without_grants", without_grants),
        Trial::test("trace::with_a_directory", with_a_directory),
        Trial::test("trace::read_only_and_hardened", read_only_and_hardened),
        Trial::test("trace::end_without_exit", end_without_exit),
        Trial::test("trace::run", traced_by_run),
        Trial::test("trace::leaves_nothing_behind", leaves_nothing_behind),
    ];
    trials.extend([System::LinuxAarch64, System::Windows].map(|system| system.trial("trace", elsewhere)));
    trials
}

const NO_DIRECTORY: &str =
    "wasi: hint: the guest looked for a directory, and none is granted: --dir HOST::GUEST grants one\n";

const ESCAPED: &str = r#""a\x0a\x1b[2J\xe2\x80\xae""#;

fn guest() -> PathBuf {
    support::repository().join("tests/run/guests/trace.wat")
}

/// The trace of the guest, compiled with these options.
fn trace(options: &[&str]) -> Result<String, Failed> {
    let folder = support::scratch();
    let path = folder.path().join("guest");
    support::compile(&guest(), &path, ["--trace", "wasi"].iter().chain(options))?;
    let outcome = support::run(Command::new(&path).env_clear(), b"")?.expect_code(7)?.expect_stdout("hello\n")?;
    Ok(outcome.stderr())
}

fn is(found: &str, expected: &str) -> Result<(), Failed> {
    if found == expected { Ok(()) } else { Err(format!("the trace is:\n{found}").into()) }
}

fn without_grants() -> Result<(), Failed> {
    let flags = "oflags=0x0, rights=0x26, inheriting=0x0, fdflags=0x0, opened=0x98";
    let expected = format!(
        r#"wasi: environ_sizes_get(count=0, bytes=0) = 0
wasi: clock_res_get(clock=99, resolution=0x88) = EINVAL
wasi: fd_prestat_get(fd=3, prestat=0x90) = EBADF
{NO_DIRECTORY}wasi: fd_prestat_dir_name(fd=3, path=0xa0) = EBADF
wasi: path_open(fd=3, lookup=0x1, path="file", {flags}) = EBADF
wasi: fd_seek(fd=99, offset=-1, whence=2, position=0xc0) = EBADF
wasi: path_open(fd=3, lookup=0x0, path={ESCAPED}, {flags}) = EBADF
wasi: path_create_directory(fd=3, path="../up") = EBADF
wasi: path_create_directory(fd=3, path="file") = EBADF
wasi: path_create_directory(fd=3, path=0xffff) = EBADF
wasi: fd_write(fd=1, iovs=0x50, iovs_len=1, nwritten=6) = 0
wasi: proc_exit(code=7)
{NO_DIRECTORY}"#
    );
    is(&trace(&[])?, &expected)
}

/// What the guest finds where `/data` is a directory with a file; the two lines that say what changing it came to.
fn expected_of_directory(environment: &str, changes: &str, hint: &str) -> String {
    let flags = "oflags=0x0, rights=0x26, inheriting=0x0, fdflags=0x0, opened";
    format!(
        r#"wasi: environ_sizes_get({environment}) = 0
wasi: clock_res_get(clock=99, resolution=0x88) = EINVAL
wasi: fd_prestat_get(fd=3, prestat=0x90) = 0
wasi: fd_prestat_dir_name(fd=3, path="/data") = 0
wasi: path_open(fd=3, lookup=0x1, path="file", {flags}=4) = 0
wasi: fd_seek(fd=4, offset=-1, whence=2, position=7) = 0
wasi: path_open(fd=3, lookup=0x0, path={ESCAPED}, {flags}=0x98) = ENOENT
{changes}wasi: path_create_directory(fd=3, path=0xffff) = EFAULT
wasi: fd_write(fd=1, iovs=0x50, iovs_len=1, nwritten=6) = 0
wasi: proc_exit(code=7)
{hint}"#
    )
}

fn data() -> Result<(tempfile::TempDir, String), Failed> {
    let folder = support::scratch();
    fs::write(folder.path().join("file"), "content\n")?;
    let path = folder.path().display().to_string();
    Ok((folder, path))
}

fn with_a_directory() -> Result<(), Failed> {
    let (_folder, path) = data()?;
    let hint = "wasi: hint: a path leads out of the granted directories: --dir HOST::GUEST grants another one\n";
    let changes = format!(
        "wasi: path_create_directory(fd=3, path=\"../up\") = EPERM\n{hint}\
         wasi: path_create_directory(fd=3, path=\"file\") = EEXIST\n"
    );
    let found = trace(&["--dir", &format!("{path}::/data")])?;
    is(&found, &expected_of_directory("count=0, bytes=0", &changes, hint))
}

fn read_only_and_hardened() -> Result<(), Failed> {
    let (_folder, path) = data()?;
    let hint = "wasi: hint: a directory or file is granted read-only: without `:ro` it can be changed\n";
    let changes = format!(
        "wasi: path_create_directory(fd=3, path=\"../up\") = EPERM\n{hint}\
         wasi: path_create_directory(fd=3, path=\"file\") = EPERM\n"
    );
    let found = trace(&["--dir", &format!("{path}::/data:ro"), "--env", "A=b", "--harden"])?;
    is(&found, &expected_of_directory("count=1, bytes=4", &changes, hint))
}

/// A program that returns from `_start` has the hints at its end as well.
fn end_without_exit() -> Result<(), Failed> {
    let folder = support::scratch();
    let (source, path) = (folder.path().join("guest.wat"), folder.path().join("guest"));
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_prestat_get" (func $f (param i32 i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "_start") (drop (call $f (i32.const 3) (i32.const 0)))))"#;
    fs::write(&source, text)?;
    support::compile(&source, &path, ["--trace", "wasi"])?;
    let outcome = support::run(&mut Command::new(&path), b"")?.expect_code(0)?;
    is(&outcome.stderr(), &format!("wasi: fd_prestat_get(fd=3, prestat=0x0) = EBADF\n{NO_DIRECTORY}{NO_DIRECTORY}"))
}

fn traced_by_run() -> Result<(), Failed> {
    let folder = support::scratch();
    let mut command = support::wasmelt();
    command.args(["run", "--trace", "wasi"]).arg(guest()).env("WASMELT_CACHE_DIR", folder.path());
    support::run(&mut command, b"")?.expect_code(7)?.expect_stderr("wasi: proc_exit(code=7)")?;
    let mut command = support::wasmelt();
    command.args(["compile", "--trace", "wasi", "--emit", "cdylib", "-o", "-"]).arg(guest());
    support::run(&mut command, b"")?.expect_code(2)?.expect_stderr("error: ")?;
    Ok(())
}

fn leaves_nothing_behind() -> Result<(), Failed> {
    let folder = support::scratch();
    let path = folder.path().join("guest");
    support::compile(&guest(), &path, [""; 0])?;
    let outcome = support::run(&mut Command::new(&path), b"")?.expect_code(7)?;
    is(&outcome.stderr(), "")?;
    let bytes = fs::read(&path)?;
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    if holds("wasmelt_trace") || holds("wasi: ") || holds("NOTCAPABLE") {
        return Err("the executable holds code of the trace".into());
    }
    Ok(())
}

fn elsewhere(system: System) -> Result<(), Failed> {
    let folder = support::scratch();
    let path = folder.path().join(system.file_name("guest"));
    let mut options: Vec<PathBuf> = system.options()?;
    options.extend(["--trace".into(), "wasi".into()]);
    support::compile(&guest(), &path, options)?;
    support::run(&mut system.command(&path)?, b"")?
        .expect_code(7)?
        .expect_stderr("wasi: fd_prestat_get(fd=3, prestat=0x90) = EBADF")?
        .expect_stderr("wasi: fd_write(fd=1, iovs=0x50, iovs_len=1, nwritten=6) = 0")?;
    Ok(())
}
