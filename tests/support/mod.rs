//! What the test harnesses share: the program under test, scratch folders, processes with a time limit, and skips that
//! one switch turns into failures.
//!
//! Environment: `WASMELT_BIN` names another `wasmelt` to test, `WASMELT_REQUIRE_ALL=1` makes every skip a failure,
//! `WASMELT_TEST_RUNTIME=portable` runs every executable on the portable runtime.

// Each harness compiles this file for itself and uses its own part of it.
#![allow(dead_code, reason = "shared by several test programs")]
#![allow(unreachable_pub, reason = "a module of test programs, which export nothing")]

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use libtest_mimic::{Failed, Trial};

pub mod foreign;
pub mod kernel;
pub mod place;
pub mod portable;
pub mod skips;
pub mod verdict;

/// A test without parameters.
pub type Test = fn() -> Result<(), Failed>;

/// No single process of a test may take longer.
pub const TIME_LIMIT: Duration = Duration::from_secs(600);

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the compiler's folder lies in the repository")
}

/// The compiler under test.
pub fn wasmelt_path() -> PathBuf {
    env::var_os("WASMELT_BIN").map_or_else(|| env!("CARGO_BIN_EXE_wasmelt").into(), PathBuf::from)
}

/// A command that runs the compiler under test.
pub fn wasmelt() -> Command {
    Command::new(wasmelt_path())
}

/// Whether an environment variable is set to something other than nothing or `0`.
pub fn switch(name: &str) -> bool {
    env::var_os(name).is_some_and(|value| !value.is_empty() && value != "0")
}

/// A test that cannot run here: shown as ignored with its reason, or as failed where everything is required.
pub fn skipped(name: impl Into<String>, reason: impl Into<String>) -> Trial {
    let reason = reason.into();
    let trial = Trial::test(name, {
        let reason = reason.clone();
        move || Err(format!("not skipped because of WASMELT_REQUIRE_ALL, although {reason}").into())
    });
    if switch("WASMELT_REQUIRE_ALL") {
        trial
    } else {
        trial.with_kind(format!("{}{reason}", skips::KIND)).with_ignored_flag(true)
    }
}

/// A program of the system, if it is on PATH.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let name = format!("{name}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&env::var_os("PATH")?).map(|dir| dir.join(&name)).find(|path| path.is_file())
}

/// An empty folder that goes away with its owner.
pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("wasmelt-test-").tempdir().expect("cannot create a scratch folder")
}

/// What a process did.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// Exit code; 128 and the number of the signal where one ended the process, as shells say it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| 128 + signal(self.status).unwrap_or(0))
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Fails unless the process ended with this exit code.
    pub fn expect_code(self, expected: i32) -> Result<Self, Failed> {
        if self.code() == expected {
            return Ok(self);
        }
        Err(format!("exit code {}, expected {expected}{}", self.code(), self.shown()).into())
    }

    /// Fails unless standard output is just this.
    pub fn expect_stdout(self, expected: impl AsRef<[u8]>) -> Result<Self, Failed> {
        let expected = expected.as_ref();
        if self.stdout == expected {
            return Ok(self);
        }
        let expected = String::from_utf8_lossy(expected).into_owned();
        Err(format!("standard output differs, expected:\n{expected}{}", self.shown()).into())
    }

    /// Fails unless standard error contains this.
    pub fn expect_stderr(self, part: &str) -> Result<Self, Failed> {
        if self.stderr().contains(part) {
            return Ok(self);
        }
        Err(format!("`{part}` is not in standard error{}", self.shown()).into())
    }

    /// Both outputs, for a message; their ends where they are long.
    pub fn shown(&self) -> String {
        let tail = |text: String| {
            let skipped = text.chars().count().saturating_sub(4000);
            text.chars().skip(skipped).collect::<String>()
        };
        format!("\n--- standard output\n{}\n--- standard error\n{}", tail(self.stdout()), tail(self.stderr()))
    }
}

/// The signal that ended a process, on a system that has signals.
pub fn signal(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    return status.code().and(None);
}

/// Runs a command to its end with these bytes as its standard input.
pub fn run(command: &mut Command, stdin: &[u8]) -> Result<Outcome, Failed> {
    let mut outcome = run_once(command, stdin)?;
    for _ in 0..2 {
        if !foreign::did_not_start(command, &outcome) {
            break;
        }
        outcome = run_once(command, stdin)?;
    }
    Ok(outcome)
}

fn run_once(command: &mut Command, stdin: &[u8]) -> Result<Outcome, Failed> {
    let program = command.get_program().to_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot start {}: {e}", program.display()))?;
    let (mut to_child, stdin) = (child.stdin.take().expect("piped"), stdin.to_vec());
    // A process may end without reading its input.
    let writer = thread::spawn(move || drop(to_child.write_all(&stdin)));
    let stdout = read_in_background(child.stdout.take().expect("piped"));
    let stderr = read_in_background(child.stderr.take().expect("piped"));
    let start = Instant::now();
    let mut pause = Duration::from_micros(200);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > TIME_LIMIT {
            child.kill()?;
            child.wait()?;
            return Err(format!("{} took longer than {TIME_LIMIT:?}", program.display()).into());
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };
    let join = |reader: thread::JoinHandle<Vec<u8>>| reader.join().expect("a reader does not panic");
    drop(writer.join());
    Ok(Outcome { status, stdout: join(stdout), stderr: join(stderr) })
}

fn read_in_background(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read until a failure is what counts.
        drop(from.read_to_end(&mut bytes));
        bytes
    })
}

/// Compiles a module into an executable; a failure carries what wasmelt said.
pub fn compile<I, S>(wasm: &Path, executable: &Path, options: I) -> Result<(), Failed>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let outcome =
        run(wasmelt().arg("compile").arg(wasm).arg("-o").arg(executable).args(options).args(place::options()?), b"")?;
    if outcome.code() != 0 {
        return Err(format!("wasmelt compile: exit code {}{}", outcome.code(), outcome.shown()).into());
    }
    Ok(())
}

/// Copies a folder and what is in it, writable.
pub fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            // The bytes alone: a read-only original makes no read-only copy.
            fs::write(target, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

/// Splits a command line into words as a POSIX shell does: quotes and backslashes, nothing else is special.
pub fn shell_words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err(format!("unbalanced ' in `{line}`")),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('"' | '\\')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err(format!("unbalanced \" in `{line}`")),
                        },
                        Some(c) => word.push(c),
                        None => return Err(format!("unbalanced \" in `{line}`")),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next().ok_or("a backslash ends the line")?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}
