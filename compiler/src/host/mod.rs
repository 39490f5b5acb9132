//! The system that the compiler runs on: files, processes and the user's folders. This is the only part of the compiler
//! that depends on it; each system has the same functions, in `unix` or `windows`, and Linux and the others differ in what
//! can be done without a file's name.
//!
//! Nothing here depends on the target: the same command line makes the same bytes on every host.

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod nameless;
#[cfg(not(target_os = "linux"))]
#[path = "named.rs"]
mod nameless;
#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use nameless::{create_nameless, execute_bytes, output_of_bytes, put_in_place};
pub(crate) use system::*;

/// What the processes that this one started and waited for took together, and this one itself.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(windows, allow(dead_code, reason = "the system keeps no such account"))]
pub(crate) struct Usage {
    /// Seconds of all processors, of programs and of the system for them.
    pub(crate) cpu_seconds: f64,
    /// Largest resident memory of one of them, in bytes.
    pub(crate) peak_bytes: u64,
    /// The same of this process.
    pub(crate) own_peak_bytes: u64,
    /// Page faults, with and without reading from a disk.
    pub(crate) page_faults: u64,
}

/// How a program is started.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// The program's name for itself, where [`CAN_SET_ARG0`] says that one can be chosen.
    #[cfg_attr(windows, allow(dead_code, reason = "it cannot be chosen there"))]
    pub(crate) arg0: OsString,
    /// Its arguments.
    pub(crate) args: &'a [OsString],
    /// Variables to set before it starts.
    pub(crate) env: BTreeMap<String, String>,
}

/// The folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Programs that run beside this one, see [`output_of`].
struct Beside {
    programs: Vec<Child>,
    /// No other one is started.
    is_over: bool,
}

static BESIDE: Mutex<Beside> = Mutex::new(Beside { programs: Vec::new(), is_over: false });

fn beside() -> MutexGuard<'static, Beside> {
    // The programs are the same whoever panicked.
    BESIDE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a command to its end: how it ended, and what it wrote to standard output. Its standard input is empty. Until then
/// [`end_programs`] ends it, and [`resident_bytes`] counts its memory.
fn output_of(mut command: Command) -> io::Result<(ExitStatus, Vec<u8>)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let stopped = || io::Error::other("it was stopped");
    let (id, stdout) = {
        // With the lock, so that a program is either ended with the others or not started.
        let mut beside = beside();
        if beside.is_over {
            return Err(stopped());
        }
        let mut child = command.spawn()?;
        let started = (child.id(), child.stdout.take());
        beside.programs.push(child);
        started
    };
    let mut output = Vec::new();
    let read = stdout.map_or(Ok(0), |mut stdout| stdout.read_to_end(&mut output));
    // Nobody writes any more: the program has ended, or is about to.
    let child = {
        let programs = &mut beside().programs;
        programs.iter().position(|child| child.id() == id).map(|index| programs.swap_remove(index))
    };
    let status = child.ok_or_else(stopped)?.wait()?;
    read.map(|_| (status, output))
}

/// Ends the programs that run beside this one, and lets no other one start: the process is about to end.
pub(crate) fn end_programs() {
    let mut beside = beside();
    beside.is_over = true;
    for mut child in beside.programs.drain(..) {
        // It fails where the program has ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// How much memory this process has, and the programs that run beside it, in bytes; `None` where the system does not tell in
/// this way, which Linux does.
pub(crate) fn resident_bytes() -> Option<u64> {
    let of_programs = |beside: &Beside| -> u64 {
        beside.programs.iter().filter_map(|child| resident_bytes_of(&child.id().to_string())).sum()
    };
    Some(resident_bytes_of("self")? + of_programs(&beside()))
}

fn resident_bytes_of(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
