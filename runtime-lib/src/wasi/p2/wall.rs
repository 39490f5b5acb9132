//! `wasi:clocks/wall-clock`.

use crate::host::clocks::Clock;
use crate::host::state::State as _;
use crate::sys::errno::Result;

use super::call::{Call, Component};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// Writes a `datetime`.
fn put<C: Component>(call: Call<C>, at: u32, time: Result<u64>) {
    call.result_at(at, 16, 8);
    // The system has these clocks.
    let ns = time.unwrap_or(0);
    call.put_u64(at, ns / SECOND);
    call.put_u32(at + 8, (ns % SECOND) as u32);
}

/// Writes the time since 1970.
pub fn now<C: Component>(call: Call<C>, at: u32) {
    put(call, at, call.state().now(Clock::Realtime));
}

/// Writes the resolution.
pub fn resolution<C: Component>(call: Call<C>, at: u32) {
    put(call, at, call.state().resolution(Clock::Realtime));
}
