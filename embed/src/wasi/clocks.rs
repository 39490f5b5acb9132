//! Clocks of the host's choosing.

use std::thread;
use std::time::Duration;

use wasmelt_runtime::host::clocks::Clock;
use wasmelt_runtime::host::poll::Watch;
use wasmelt_runtime::host::state::wait_for_system;
use wasmelt_runtime::sys::errno::{Errno, Result};
use wasmelt_runtime::sys::io_clock;

/// A clock that shows the time of day.
pub trait HostWallClock: Send {
    /// Returns the smallest step of the clock.
    fn resolution(&self) -> Duration;

    /// Returns the time since 1970-01-01T00:00:00Z.
    fn now(&self) -> Duration;
}

/// A clock that never goes back. Guests measure by it how long something takes, and sleep by it.
pub trait HostMonotonicClock: Send {
    /// Returns the smallest step of the clock, in nanoseconds.
    fn resolution(&self) -> u64;

    /// Returns the time since some moment, in nanoseconds.
    fn now(&self) -> u64;

    /// Waits until the clock shows `deadline` nanoseconds. The guest sleeps meanwhile, and is asleep again at once where the
    /// clock shows less when this returns. A clock that does not follow real time moves on by itself here.
    fn sleep_until(&self, deadline: u64) {
        thread::sleep(Duration::from_nanos(deadline.saturating_sub(self.now())));
    }
}

/// The clocks of a context; those of the system unless the host has chosen.
#[derive(Default)]
pub(super) struct Clocks {
    pub(super) wall: Option<Box<dyn HostWallClock>>,
    pub(super) monotonic: Option<Box<dyn HostMonotonicClock>>,
}

fn nanoseconds(time: Duration) -> Result<u64> {
    u64::try_from(time.as_nanos()).map_err(|_| Errno::Overflow)
}

impl Clocks {
    pub(super) fn now(&self, clock: Clock) -> Result<u64> {
        match (clock, &self.wall, &self.monotonic) {
            (Clock::Realtime, Some(wall), _) => nanoseconds(wall.now()),
            (Clock::Monotonic, _, Some(monotonic)) => Ok(monotonic.now()),
            (Clock::Realtime | Clock::Monotonic, ..) => io_clock::now(clock),
            // They would say what other guests of the process do.
            (Clock::ProcessCputime | Clock::ThreadCputime, ..) => Err(Errno::Badf),
        }
    }

    pub(super) fn resolution(&self, clock: Clock) -> Result<u64> {
        match (clock, &self.wall, &self.monotonic) {
            (Clock::Realtime, Some(wall), _) => nanoseconds(wall.resolution()),
            (Clock::Monotonic, _, Some(monotonic)) => Ok(monotonic.resolution()),
            (Clock::Realtime | Clock::Monotonic, ..) => io_clock::resolution(clock),
            (Clock::ProcessCputime | Clock::ThreadCputime, ..) => Err(Errno::Badf),
        }
    }

    pub(super) fn wait(&self, watches: &mut [Watch], deadline: Option<u64>) -> Result<()> {
        let (Some(clock), Some(deadline)) = (&self.monotonic, deadline) else {
            return wait_for_system(watches, deadline);
        };
        if !watches.is_empty() {
            let left = deadline.saturating_sub(clock.now());
            let until = io_clock::now(Clock::Monotonic)?.saturating_add(left);
            if io_clock::wait(watches, Some(until))? != 0 {
                return Ok(());
            }
        }
        clock.sleep_until(deadline);
        Ok(())
    }
}
