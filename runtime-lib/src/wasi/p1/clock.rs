//! `clock_*`: what time it is.

use crate::host::clocks::{self, Clock};
use crate::sys::errno::{Errno, Result};

use super::{memory, status};

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
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(export_name = "wasi_snapshot_preview1.clock_res_get")]
pub unsafe extern "C" fn clock_res_get(vmctx: *mut u8, id: u32, resolution_at: u32) -> u32 {
    // SAFETY: the caller's promise.
    let memory = unsafe { memory(vmctx) };
    status(clock(id).and_then(clocks::resolution).and_then(|ns| memory.write_u64(resolution_at, ns)))
}

/// Writes what a clock shows in nanoseconds. No clock needs to know the precision that is enough.
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(export_name = "wasi_snapshot_preview1.clock_time_get")]
pub unsafe extern "C" fn clock_time_get(vmctx: *mut u8, id: u32, _precision: u64, time_at: u32) -> u32 {
    // SAFETY: the caller's promise.
    let memory = unsafe { memory(vmctx) };
    status(clock(id).and_then(clocks::now).and_then(|ns| memory.write_u64(time_at, ns)))
}
