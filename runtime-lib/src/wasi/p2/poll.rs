//! `wasi:io/poll`: waiting for the first of several things.

use crate::host::poll::{Waiter, Watch};
use crate::host::state::State;
use crate::sys::errno::Result;
use crate::sys::fs::Handle;

use super::call::{Call, Component};
use super::handles::{Readiness, Resource};

/// What `pollable`s there are.
pub(super) trait Pollables {
    /// What a `pollable` waits for: a moment or a stream. `None` for another resource.
    fn select(resource: Resource) -> Option<Resource>;
}

/// Moments and streams of descriptors.
pub(super) struct Streams;

impl Pollables for Streams {
    fn select(resource: Resource) -> Option<Resource> {
        match resource {
            Resource::At(_) | Resource::Polls(..) => Some(resource),
            _ => None,
        }
    }
}

/// What a `pollable` waits for.
pub(super) fn pollable<P: Pollables, C: Component>(call: Call<C>, handle: u32) -> Resource {
    call.resource(handle, P::select)
}

/// The handle and the events that are waited for; `None` where that is a moment, or has happened.
fn watched(state: impl State, pollable: Resource) -> Option<(Handle, u16)> {
    let (fd, events) = match pollable {
        Resource::Polls(stream, Readiness::Readable) => (stream.fd, Watch::READABLE),
        Resource::Polls(stream, Readiness::Writable) => (stream.fd, Watch::WRITABLE),
        _ => return None,
    };
    // What is closed does not block.
    let descriptor = state.get(fd).ok()?;
    Some((state.handle_to_watch(descriptor)?, events))
}

/// Adds what is waited for.
pub(super) fn watch<S: State>(state: S, waiter: &mut Waiter<S>, pollable: Resource) -> Result<()> {
    match (watched(state, pollable), pollable) {
        (Some((handle, events)), _) => return waiter.watch(handle, events),
        (None, Resource::At(moment)) => waiter.wake_at(moment),
        (None, _) => waiter.wake_at(0),
    }
    Ok(())
}

/// Whether something has happened, after a wait that ended at `now`. `watches` counts the watches seen so far.
pub(super) fn has_happened<S: State>(
    state: S,
    waiter: &mut Waiter<S>,
    pollable: Resource,
    now: u64,
    watches: &mut usize,
) -> bool {
    match pollable {
        Resource::At(moment) => moment <= now,
        _ if watched(state, pollable).is_some() => {
            *watches += 1;
            waiter.found(*watches - 1) != 0
        }
        _ => true,
    }
}

/// Waits for one thing, or looks whether it has happened.
fn wait<C: Component>(call: Call<C>, pollable: Resource, blocks: bool) -> bool {
    let waited = Waiter::new(call.state(), 1).and_then(|mut waiter| {
        watch(call.state(), &mut waiter, pollable)?;
        if !blocks {
            waiter.wake_at(0);
        }
        let now = waiter.wait()?;
        Ok(has_happened(call.state(), &mut waiter, pollable, now, &mut 0))
    });
    waited.unwrap_or_else(|_| call.trap("the system cannot wait"))
}

/// Whether it has happened.
pub fn pollable_ready<C: Component>(call: Call<C>, this: u32) -> u32 {
    ready::<Streams, C>(call, this)
}

/// Whether it has happened.
pub(super) fn ready<P: Pollables, C: Component>(call: Call<C>, this: u32) -> u32 {
    wait(call, pollable::<P, C>(call, this), false).into()
}

/// Returns when it has happened.
pub fn pollable_block<C: Component>(call: Call<C>, this: u32) {
    block::<Streams, C>(call, this);
}

/// Returns when it has happened.
pub(super) fn block<P: Pollables, C: Component>(call: Call<C>, this: u32) {
    let pollable = pollable::<P, C>(call, this);
    while !wait(call, pollable, true) {}
}

/// Waits until at least one of a list has happened, and writes the list of those that have, by their places.
pub fn poll<C: Component>(call: Call<C>, list: u32, count: u32, at: u32) {
    poll_list::<Streams, C>(call, list, count, at);
}

/// The same for any `pollable`s.
pub(super) fn poll_list<P: Pollables, C: Component>(call: Call<C>, list: u32, count: u32, at: u32) {
    call.result_at(at, 8, 4);
    call.list(list, count, 4, 4);
    if count == 0 {
        call.trap("empty poll list");
    }
    // The list lies in the memory, so this does not overflow.
    let nth = |index: u32| {
        let handle = call.memory().read_u32(list + 4 * index);
        pollable::<P, C>(call, handle.unwrap_or(0))
    };
    if find(call, count, nth, at).is_err() {
        call.trap("the system cannot wait");
    }
}

fn find<C: Component>(call: Call<C>, count: u32, nth: impl Fn(u32) -> Resource, at: u32) -> Result<()> {
    let mut waiter = Waiter::new(call.state(), count)?;
    for index in 0..count {
        watch(call.state(), &mut waiter, nth(index))?;
    }
    let (mut now, mut happened) = (0, 0);
    while happened == 0 {
        now = waiter.wait()?;
        let mut watches = 0;
        for index in 0..count {
            happened += u32::from(has_happened(call.state(), &mut waiter, nth(index), now, &mut watches));
        }
    }
    let start = call.allocate(4 * happened as usize, 4);
    let (mut written, mut watches) = (0, 0);
    for index in 0..count {
        // The guest may have changed the list while it allocated.
        if has_happened(call.state(), &mut waiter, nth(index), now, &mut watches) && written < happened {
            call.put_u32(start + 4 * written, index);
            written += 1;
        }
    }
    call.put_u32(at, start);
    call.put_u32(at + 4, written);
    Ok(())
}

/// Drops a handle.
pub fn drop_pollable<C: Component>(call: Call<C>, this: u32) {
    pollable::<Streams, C>(call, this);
    call.drop_handle(this, |_| true);
}
