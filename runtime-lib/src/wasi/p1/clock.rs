//! `clock_*`: what time it is.

use crate::host::clocks::Clock;
use crate::host::state::State as _;
use crate::sys::errno::{Errno, Result};
use crate::wasi::caller::Caller;

/// The clock with this `clockid`.
pub(super) fn clock(id: u32) -> Result<Clock> {
    match id {
        0 => Ok(Clock::Realtime),
        1 => Ok(Clock::Monotonic),
        2 => Ok(Clock::ProcessCputime),
        3 => Ok(Clock::ThreadCputime),
        _ => Err(Errno::Inval),
    }
}

/// Writes the resolution of a clock in nanoseconds.
#[inline(always)]
pub fn clock_res_get(caller: impl Caller, id: u32, resolution_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    clock(id).and_then(|clock| state.resolution(clock)).and_then(|ns| memory.write_u64(resolution_at, ns))
}

/// Writes what a clock shows in nanoseconds. No clock needs to know the precision that is enough.
#[inline(always)]
pub fn clock_time_get(caller: impl Caller, id: u32, _precision: u64, time_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    clock(id).and_then(|clock| state.now(clock)).and_then(|ns| memory.write_u64(time_at, ns))
}
