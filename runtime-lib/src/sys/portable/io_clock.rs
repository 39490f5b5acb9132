//! Clocks, sleeping, and waiting for readiness.

use core::time::Duration;

use crate::sys::errno::Result;

use super::fs::Handle;

pub use super::system::{now, resolution, wait};

/// A clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Time since 1970-01-01T00:00:00Z.
    Realtime,
    /// Time since some moment in the past, which nothing sets.
    Monotonic,
    /// CPU time of the process.
    ProcessCputime,
    /// CPU time of the calling thread.
    ThreadCputime,
}

/// Sleeps until the monotonic clock shows `deadline` nanoseconds.
pub fn sleep_until(deadline: u64) -> Result<()> {
    loop {
        match deadline.checked_sub(now(Clock::Monotonic)?) {
            None | Some(0) => return Ok(()),
            Some(left) => std::thread::sleep(Duration::from_nanos(left)),
        }
    }
}

/// Looks which of the handles are ready now; how many are.
pub fn look(watches: &mut [Watch]) -> Result<usize> {
    wait(watches, Some(0))
}

/// A handle to wait for.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    pub(super) handle: Handle,
    pub(super) events: u16,
    /// What was found, [`Watch::READABLE`] and so on.
    pub found: u16,
}

impl Watch {
    /// There is something to read, or the end.
    pub const READABLE: u16 = 1;
    /// Writing would not block.
    pub const WRITABLE: u16 = 4;
    /// An error is waiting.
    pub const ERROR: u16 = 8;
    /// The other side is gone.
    pub const HANGUP: u16 = 0x10;
    /// The handle is not open.
    pub const INVALID: u16 = 0x20;

    /// A handle and the events to wait for.
    pub const fn new(handle: Handle, events: u16) -> Self {
        Self { handle, events, found: 0 }
    }
}
