//! `wasi:clocks/monotonic-clock`.

use wasmelt_abi::component::Canon;

use crate::host::clocks::{self, Clock};

use super::call::Call;
use super::handles::Resource;

/// What the clock shows, in nanoseconds.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:clocks/monotonic-clock.now")]
pub unsafe extern "C" fn now(canon: *const Canon) -> u64 {
    // SAFETY: by this function's contract.
    let _ = unsafe { Call::new(canon) };
    // The system has this clock.
    clocks::now(Clock::Monotonic).unwrap_or(0)
}

/// Its resolution, in nanoseconds.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:clocks/monotonic-clock.resolution")]
pub unsafe extern "C" fn resolution(canon: *const Canon) -> u64 {
    // SAFETY: by this function's contract.
    let _ = unsafe { Call::new(canon) };
    clocks::resolution(Clock::Monotonic).unwrap_or(1)
}

/// A `pollable` that is ready when the clock shows `when`.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:clocks/monotonic-clock.subscribe-instant")]
pub unsafe extern "C" fn subscribe_instant(canon: *const Canon, when: u64) -> u32 {
    // SAFETY: by this function's contract.
    unsafe { Call::new(canon) }.own(Resource::At(when))
}

/// A `pollable` that is ready when `duration` nanoseconds have passed.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:clocks/monotonic-clock.subscribe-duration")]
pub unsafe extern "C" fn subscribe_duration(canon: *const Canon, duration: u64) -> u32 {
    let now = clocks::now(Clock::Monotonic).unwrap_or(0);
    // SAFETY: by this function's contract.
    unsafe { Call::new(canon) }.own(Resource::At(now.saturating_add(duration)))
}
