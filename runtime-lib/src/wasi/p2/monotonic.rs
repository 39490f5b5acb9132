//! `wasi:clocks/monotonic-clock`.

use crate::host::clocks::Clock;
use crate::host::state::State as _;

use super::call::{Call, Component};
use super::handles::Resource;

/// What the clock shows, in nanoseconds.
pub fn now<C: Component>(call: Call<C>) -> u64 {
    // The system has this clock.
    call.state().now(Clock::Monotonic).unwrap_or(0)
}

/// Its resolution, in nanoseconds.
pub fn resolution<C: Component>(call: Call<C>) -> u64 {
    call.state().resolution(Clock::Monotonic).unwrap_or(1)
}

/// A `pollable` that is ready when the clock shows `when`.
pub fn subscribe_instant<C: Component>(call: Call<C>, when: u64) -> u32 {
    call.own(Resource::At(when))
}

/// A `pollable` that is ready when `duration` nanoseconds have passed.
pub fn subscribe_duration<C: Component>(call: Call<C>, duration: u64) -> u32 {
    let now = call.state().now(Clock::Monotonic).unwrap_or(0);
    call.own(Resource::At(now.saturating_add(duration)))
}
