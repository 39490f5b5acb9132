//! Clocks: which clocks exist, what time they show, and their resolution. With `--deterministic` the clocks are not
//! those of the host: they start at a fixed moment, and each reading advances them.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::sys::errno::Result;
use crate::sys::io_clock;

pub use crate::sys::io_clock::Clock;

/// What the real-time clock shows first: the start of the year 2000, in nanoseconds since 1970.
const START_REALTIME: u64 = 946_684_800_000_000_000;

/// By how many nanoseconds a reading moves the clocks, so that loops that wait for time to pass end.
const STEP: u64 = 1_000;

/// Whether clocks are simulated, and the nanoseconds that have passed for the guest.
static SIMULATED: AtomicBool = AtomicBool::new(false);
static PASSED: AtomicU64 = AtomicU64::new(0);

/// From now on clocks show the same in each run.
pub fn simulate() {
    SIMULATED.store(true, Ordering::Relaxed);
}

/// Whether clocks show the same in each run.
#[inline]
pub fn simulated() -> bool {
    SIMULATED.load(Ordering::Relaxed)
}

/// Current time in nanoseconds.
pub fn now(clock: Clock) -> Result<u64> {
    if !simulated() {
        return io_clock::now(clock);
    }
    let passed = PASSED.fetch_add(STEP, Ordering::Relaxed);
    Ok(if clock as u32 == Clock::Realtime as u32 { START_REALTIME.saturating_add(passed) } else { passed })
}

/// Resolution in nanoseconds.
pub fn resolution(clock: Clock) -> Result<u64> {
    if simulated() { Ok(STEP) } else { io_clock::resolution(clock) }
}

/// Moves simulated clocks to the moment at which the monotonic one shows `deadline`: nobody waits for them.
pub fn pass_until(deadline: u64) {
    PASSED.fetch_max(deadline, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_of_the_host_move_on() {
        let first = now(Clock::Monotonic).unwrap();
        assert!(now(Clock::Monotonic).unwrap() >= first);
        assert!(now(Clock::Realtime).unwrap() > START_REALTIME);
        assert!(resolution(Clock::Monotonic).unwrap() > 0);
    }
}
