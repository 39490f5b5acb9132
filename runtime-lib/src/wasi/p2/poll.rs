//! `wasi:io/poll`: waiting for the first of several things.

use wasmelt_abi::component::Canon;

use crate::host::descriptors;
use crate::host::poll::{Waiter, Watch};
use crate::host::state::Process;
use crate::sys::errno::Result;

use super::call::Call;
use super::handles::{Readiness, Resource};

/// What a `pollable` waits for.
fn pollable(call: Call, handle: u32) -> Resource {
    call.resource(handle, |resource| match resource {
        Resource::At(_) | Resource::Polls(..) => Some(resource),
        _ => None,
    })
}

/// Adds what is waited for; whether it is a watch.
fn watch(waiter: &mut Waiter<Process>, pollable: Resource) -> Result<bool> {
    let (fd, events) = match pollable {
        Resource::At(moment) => {
            waiter.wake_at(moment);
            return Ok(false);
        }
        Resource::Polls(stream, Readiness::Readable) => (stream.fd, Watch::READABLE),
        Resource::Polls(stream, Readiness::Writable) => (stream.fd, Watch::WRITABLE),
        _ => {
            waiter.wake_at(0);
            return Ok(false);
        }
    };
    match descriptors::get(fd) {
        Ok(descriptor) => waiter.watch(descriptor.handle, events).map(|()| true),
        // What is closed does not block.
        Err(_) => {
            waiter.wake_at(0);
            Ok(false)
        }
    }
}

/// Whether something has happened, after a wait that ended at `now`. `watches` counts the watches seen so far.
fn has_happened(waiter: &mut Waiter<Process>, pollable: Resource, now: u64, watches: &mut usize) -> bool {
    match pollable {
        Resource::At(moment) => moment <= now,
        Resource::Polls(stream, Readiness::Readable | Readiness::Writable) if descriptors::get(stream.fd).is_ok() => {
            *watches += 1;
            waiter.found(*watches - 1) != 0
        }
        _ => true,
    }
}

/// Waits for one thing, or looks whether it has happened.
fn wait(call: Call, pollable: Resource, blocks: bool) -> bool {
    let waited = Waiter::new(Process, 1).and_then(|mut waiter| {
        watch(&mut waiter, pollable)?;
        if !blocks {
            waiter.wake_at(0);
        }
        let now = waiter.wait()?;
        Ok(has_happened(&mut waiter, pollable, now, &mut 0))
    });
    waited.unwrap_or_else(|_| call.trap("the system cannot wait"))
}

/// Whether it has happened.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:io/poll.[method]pollable.ready")]
pub unsafe extern "C" fn pollable_ready(canon: *const Canon, this: u32) -> u32 {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    wait(call, pollable(call, this), false).into()
}

/// Returns when it has happened.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:io/poll.[method]pollable.block")]
pub unsafe extern "C" fn pollable_block(canon: *const Canon, this: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    let pollable = pollable(call, this);
    while !wait(call, pollable, true) {}
}

/// Waits until at least one of a list has happened, and writes the list of those that have, by their places.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:io/poll.poll")]
pub unsafe extern "C" fn poll(canon: *const Canon, list: u32, count: u32, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    call.result_at(at, 8, 4);
    call.list(list, count, 4, 4);
    if count == 0 {
        call.trap("empty poll list");
    }
    // The list lies in the memory, so this does not overflow.
    let nth = |index: u32| {
        let handle = call.memory().read_u32(list + 4 * index);
        pollable(call, handle.unwrap_or(0))
    };
    if find(call, count, nth, at).is_err() {
        call.trap("the system cannot wait");
    }
}

fn find(call: Call, count: u32, nth: impl Fn(u32) -> Resource, at: u32) -> Result<()> {
    let mut waiter = Waiter::new(Process, count)?;
    for index in 0..count {
        watch(&mut waiter, nth(index))?;
    }
    let (mut now, mut happened) = (0, 0);
    while happened == 0 {
        now = waiter.wait()?;
        let mut watches = 0;
        for index in 0..count {
            happened += u32::from(has_happened(&mut waiter, nth(index), now, &mut watches));
        }
    }
    let start = call.allocate(4 * happened as usize, 4);
    let (mut written, mut watches) = (0, 0);
    for index in 0..count {
        // The guest may have changed the list while it allocated.
        if has_happened(&mut waiter, nth(index), now, &mut watches) && written < happened {
            call.put_u32(start + 4 * written, index);
            written += 1;
        }
    }
    call.put_u32(at, start);
    call.put_u32(at + 4, written);
    Ok(())
}

/// Drops a handle.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:io/poll.[resource-drop]pollable")]
pub unsafe extern "C" fn drop_pollable(canon: *const Canon, this: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    pollable(call, this);
    call.drop_handle(this, |_| true);
}
