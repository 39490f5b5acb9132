//! Clocks, sleeping, and waiting for readiness.

use linux_raw_sys::general::{__NR_clock_getres, __NR_clock_gettime, __NR_clock_nanosleep, __NR_ppoll};

use crate::sys::errno::{Errno, Result};

use super::fs::Handle;
use super::io_syscall::call;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// A clock, by the kernel's number.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Time since 1970-01-01T00:00:00Z.
    Realtime = 0,
    /// Time since some moment in the past, which nothing sets.
    Monotonic = 1,
    /// CPU time of the process.
    ProcessCputime = 2,
    /// CPU time of the calling thread.
    ThreadCputime = 3,
}

/// `struct timespec` of 64-bit Linux.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

impl Timespec {
    pub(super) fn from_ns(ns: u64) -> Self {
        // The largest number of seconds is 2^64 / 10^9, far below 2^63.
        Self { seconds: (ns / SECOND) as i64, nanoseconds: (ns % SECOND) as i64 }
    }

    fn to_ns(self) -> Result<u64> {
        let seconds = u64::try_from(self.seconds).map_err(|_| Errno::Overflow)?;
        seconds.checked_mul(SECOND).and_then(|ns| ns.checked_add(self.nanoseconds as u64)).ok_or(Errno::Overflow)
    }
}

fn read_clock(number: u32, clock: Clock) -> Result<u64> {
    let mut time = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: both calls write one `timespec`.
    unsafe { call(number, [clock as usize, core::ptr::from_mut(&mut time) as usize, 0, 0]) }?;
    time.to_ns()
}

/// Current time in nanoseconds.
pub fn now(clock: Clock) -> Result<u64> {
    read_clock(__NR_clock_gettime, clock)
}

/// Resolution in nanoseconds.
pub fn resolution(clock: Clock) -> Result<u64> {
    read_clock(__NR_clock_getres, clock)
}

/// Sleeps until the monotonic clock shows `deadline` nanoseconds.
pub fn sleep_until(deadline: u64) -> Result<()> {
    const TIMER_ABSTIME: usize = 1;
    let time = Timespec::from_ns(deadline);
    let time_at = core::ptr::from_ref(&time) as usize;
    // SAFETY: the call reads one `timespec`. With an absolute time it can be made again after a signal.
    unsafe { call(__NR_clock_nanosleep, [Clock::Monotonic as usize, TIMER_ABSTIME, time_at, 0]) }.map(|_| ())
}

/// A handle to wait for: `struct pollfd`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    handle: Handle,
    events: u16,
    /// What the kernel found, [`Watch::READABLE`] and so on.
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

/// Waits until one of the handles is ready or the monotonic clock shows `deadline` nanoseconds; how many are ready.
pub fn wait(watches: &mut [Watch], deadline: Option<u64>) -> Result<usize> {
    let mut left = match deadline {
        Some(deadline) => Some(Timespec::from_ns(deadline.saturating_sub(now(Clock::Monotonic)?))),
        None => None,
    };
    let left_at = left.as_mut().map_or(0, |left| core::ptr::from_mut(left) as usize);
    // SAFETY: the kernel writes the watches, and into the time how much of it is left: so the call can be made again
    // as it is after a signal.
    unsafe { call(__NR_ppoll, [watches.as_mut_ptr() as usize, watches.len(), left_at, 0]) }
}

/// Looks which of the handles are ready now; how many are.
pub fn look(watches: &mut [Watch]) -> Result<usize> {
    let mut no_time = Timespec::from_ns(0);
    let no_time_at = core::ptr::from_mut(&mut no_time) as usize;
    // SAFETY: the kernel writes the watches, and the time that is left, which is none.
    unsafe { call(__NR_ppoll, [watches.as_mut_ptr() as usize, watches.len(), no_time_at, 0]) }
}
