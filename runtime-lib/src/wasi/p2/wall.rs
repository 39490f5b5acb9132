//! `wasi:clocks/wall-clock`.

use wasmelt_abi::component::Canon;

use crate::host::clocks::{self, Clock};
use crate::sys::errno::Result;

use super::call::Call;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// Writes a `datetime`.
fn put(call: Call, at: u32, time: Result<u64>) {
    call.result_at(at, 16, 8);
    // The system has these clocks.
    let ns = time.unwrap_or(0);
    call.put_u64(at, ns / SECOND);
    call.put_u32(at + 8, (ns % SECOND) as u32);
}

/// Writes the time since 1970.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:clocks/wall-clock.now")]
pub unsafe extern "C" fn now(canon: *const Canon, at: u32) {
    // SAFETY: by this function's contract.
    put(unsafe { Call::new(canon) }, at, clocks::now(Clock::Realtime));
}

/// Writes the resolution.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:clocks/wall-clock.resolution")]
pub unsafe extern "C" fn resolution(canon: *const Canon, at: u32) {
    // SAFETY: by this function's contract.
    put(unsafe { Call::new(canon) }, at, clocks::resolution(Clock::Realtime));
}
