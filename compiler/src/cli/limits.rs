//! Limits of a compilation: how long it may take and how much memory it may need, for modules of strangers.
//!
//! The compilation runs in a thread of its own. When it exceeds a limit, the command ends with an error as any other
//! error ends it, and the process with it: outputs are written by the command, so none is half-written.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::values;
use crate::error::{Error, ErrorKind, Result};
use crate::{host, link};

/// How often memory is looked at.
const TICK: Duration = Duration::from_millis(10);

/// What a compilation may take.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Limits of the compilation")]
pub(super) struct LimitArgs {
    /// Give up when the compilation takes longer: `30s`, `2m`
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    compile_timeout: Option<Duration>,

    /// Give up when the compilation needs more memory: `512M`, `2G` (on Linux)
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    compile_memory: Option<u64>,
}

impl LimitArgs {
    /// Whether there is any limit.
    pub(super) fn any(&self) -> bool {
        self.compile_timeout.is_some() || self.compile_memory.is_some()
    }

    /// Does the work within the limits. After an error of a limit the process must end: the work still goes on.
    pub(super) fn enforce<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        if self.compile_memory.is_some() && host::resident_bytes().is_none() {
            return Err(Error::usage(
                "`--compile-memory` does not work on this system: it does not tell how much is used",
            )
            .hint("limit the process by other means, for example as a job or in a container"));
        }
        let start = Instant::now();
        let (sender, receiver) = mpsc::channel();
        let thread = thread::Builder::new().spawn(move || sender.send(work()));
        let thread = thread.map_err(|e| Error::io("cannot start a thread", &e))?;
        loop {
            match receiver.recv_timeout(TICK) {
                Ok(result) => return result,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => match thread.join() {
                    Err(panic) => std::panic::resume_unwind(panic),
                    Ok(_) => return Err(Error::internal("a compilation ended without a result")),
                },
            }
            if let Some(error) = self.exceeded(start) {
                host::end_programs();
                link::remove_temporary_files();
                return Err(error);
            }
        }
    }

    /// The limit that is exceeded.
    fn exceeded(&self, start: Instant) -> Option<Error> {
        const HINT: &str = "raise the limit, or try `-O0`, which compiles faster and in less memory";
        let error = |message: String| Some(Error::new(ErrorKind::Limit, message).hint(HINT));
        if let Some(limit) = self.compile_timeout.filter(|&limit| start.elapsed() > limit) {
            return error(format!("the compilation takes longer than `--compile-timeout` allows, {limit:?}"));
        }
        if let Some(limit) = self.compile_memory.filter(|&limit| host::resident_bytes().is_some_and(|n| n > limit)) {
            return error(format!("the compilation needs more memory than `--compile-memory` allows, {limit} bytes"));
        }
        None
    }
}
