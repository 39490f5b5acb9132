//! Runs an executable that one of the tests has just written: thousands of them, each for less than a millisecond.

use std::io::{ErrorKind, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::foreign::System;

/// No assertion of the suite takes longer.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// What a process did.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Exit code; 128 and the number of the signal where one ended it.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs an executable to its end, one of another system by what runs it here. What it writes has to fit a pipe's buffer.
pub(crate) fn run(system: Option<System>, executable: &Path, args: &[String]) -> Result<Ended, String> {
    let mut child = spawn(system, executable, args)?;
    let start = Instant::now();
    let mut pause = Duration::from_micros(250);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            break status;
        }
        if start.elapsed() > TIME_LIMIT {
            // It ends now, or has ended by itself.
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("no end after {TIME_LIMIT:?}"));
        }
        thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(10));
    };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    child.stdout.take().map_or(Ok(0), |mut s| s.read_to_end(&mut stdout)).map_err(|e| e.to_string())?;
    child.stderr.take().map_or(Ok(0), |mut s| s.read_to_end(&mut stderr)).map_err(|e| e.to_string())?;
    Ok(Ended {
        code: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

fn spawn(system: Option<System>, executable: &Path, args: &[String]) -> Result<Child, String> {
    loop {
        let mut command = match system {
            None => Command::new(executable),
            Some(system) => system.command(executable).map_err(|e| e.message().unwrap_or("cannot run").to_owned())?,
        };
        if system.is_none() {
            command.env_clear();
        }
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        match command.spawn() {
            Ok(child) => return Ok(child),
            // Another thread started a process while this one wrote the file: until that process has replaced itself,
            // it holds the file open for writing.
            Err(e) if e.kind() == ErrorKind::ExecutableFileBusy => thread::sleep(Duration::from_micros(100)),
            Err(e) => return Err(format!("cannot start {}: {e}", executable.display())),
        }
    }
}
