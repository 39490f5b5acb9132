//! One run of a contender: wall and CPU time, peak memory, page faults, and what it printed.
//!
//! The system keeps one account of all children that a process has waited for. So another `wasmelt` process starts each
//! run: that process has one child, and its account is the account of the run.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::complaint;
use crate::error::{Error, Result};
use crate::host;

/// First argument of the process in between, where output is read, and where it is thrown away.
pub(crate) const MEASURE: [&str; 2] = ["--measure-output", "--measure-run"];

/// What a run took.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sample {
    /// Seconds from the start of the process to its end.
    pub(super) wall: f64,
    /// Seconds of all processors, in the program and in the system for the program.
    pub(super) cpu: f64,
    /// Largest resident memory, in bytes.
    pub(super) peak_bytes: u64,
    /// The same of the process in between. A process begins as a copy of the one that starts it, so less cannot be seen.
    pub(super) floor_bytes: u64,
    /// Page faults, with and without reading from a disk.
    pub(super) page_faults: u64,
    /// None where a signal ended the process.
    pub(super) exit_code: Option<i32>,
    /// What was printed, where that was read.
    pub(super) output: Option<Output>,
}

/// What a run printed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Output {
    /// BLAKE3 of standard output.
    pub(super) hash: String,
    /// What standard error says about a failure.
    pub(super) complaint: String,
}

/// Runs a command once, and reads what it prints where that is asked for.
pub(super) fn measure(command: &Command, input: Option<&Path>, read: bool) -> Result<Sample> {
    let this = std::env::current_exe().map_err(|e| Error::io("cannot find this program", &e))?;
    let mut between = Command::new(this);
    between.arg(MEASURE[usize::from(!read)]).arg(input.unwrap_or(Path::new(host::NOTHING)));
    between.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => between.env(name, value),
            None => between.env_remove(name),
        };
    }
    let output = between.stdin(Stdio::null()).output().map_err(|e| Error::io("cannot measure a run", &e))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Error::input(why.strip_prefix("error: ").unwrap_or(&why).to_owned())
    })
}

/// The process in between: which of [`MEASURE`], the file for standard input, the program and its arguments come in; a
/// [`Sample`] is printed.
pub(crate) fn measure_one(args: &[OsString]) -> Result<()> {
    let [which, input, program, args @ ..] = args else { return Err(Error::usage("nothing to measure")) };
    let read = which == MEASURE[0];
    let input = File::open(input).map_err(|e| Error::io(format!("cannot read {}", input.display()), &e))?;
    let usage = || host::usage().map_err(|e| Error::io("the system does not tell what processes took", &e));
    let sink = || if read { Stdio::piped() } else { Stdio::null() };
    let mut command = Command::new(program);
    command.args(args).stdin(input).stdout(sink()).stderr(sink());
    let before = usage()?;
    let start = Instant::now();
    let mut child = command.spawn().map_err(|e| Error::io(format!("cannot start {}", program.display()), &e))?;
    let output = if read { Some(output(&mut child)?) } else { None };
    let status = child.wait().map_err(|e| Error::io("cannot wait for the program", &e))?;
    let wall = start.elapsed().as_secs_f64();
    let after = usage()?;
    let sample = Sample {
        wall,
        cpu: after.cpu_seconds - before.cpu_seconds,
        peak_bytes: after.peak_bytes,
        floor_bytes: after.own_peak_bytes,
        page_faults: after.page_faults - before.page_faults,
        exit_code: status.code(),
        output,
    };
    let text = serde_json::to_string(&sample).map_err(|e| Error::internal(e.to_string()))?;
    super::super::print_text(&text)
}

/// Reads what a process prints.
fn output(child: &mut Child) -> Result<Output> {
    let complaints = child.stderr.take().map(|stderr| std::thread::spawn(move || complaint(stderr)));
    let hash = child.stdout.take().map_or_else(|| Ok(blake3::hash(&[])), hash);
    let hash = hash.map_err(|e| Error::io("cannot read what the program prints", &e))?.to_hex().to_string();
    Ok(Output { hash, complaint: complaints.and_then(|thread| thread.join().ok()).unwrap_or_default() })
}

/// The hash of all that can be read.
fn hash(mut from: impl std::io::Read) -> std::io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(hasher.finalize()),
            len => _ = hasher.update(&buffer[..len]),
        }
    }
}

/// What is said about a failure. Everything is read, so that nobody waits for a reader.
fn complaint(mut from: impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    // What was read until a failure is what counts.
    let _ = from.read_to_end(&mut bytes);
    complaint::of(&String::from_utf8_lossy(&bytes))
}
