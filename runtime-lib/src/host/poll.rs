//! Waiting for the first of several things: a file that is ready, or a moment.
//!
//! In come handles and moments, one by one; after [`Waiter::wait`] each can be asked for its state. The list of
//! handles lies on the stack, or in a mapping of its own when it is long.

use core::mem::MaybeUninit;

use crate::sys::errno::{Errno, Result};
use crate::sys::fs::Handle;
use crate::sys::io_memory;

pub use crate::sys::io_clock::Watch;

use super::clocks::Clock;
use super::state::State;

/// Handles that fit on the stack.
const ON_STACK: usize = 32;

/// More handles than any process may have open.
const MAX_WATCHES: usize = 1 << 20;

/// A list of things to wait for.
#[derive(Debug)]
pub struct Waiter<S: State> {
    state: S,
    on_stack: [MaybeUninit<Watch>; ON_STACK],
    /// A mapping for `capacity` watches where they do not fit on the stack.
    mapping: Option<*mut MaybeUninit<Watch>>,
    capacity: usize,
    len: usize,
    /// When the wait began, by the monotonic clock: relative moments count from here.
    start: u64,
    /// What the real-time clock showed when it was first asked for: all absolute moments use the same difference.
    realtime: Option<u64>,
    deadline: Option<u64>,
}

impl<S: State> Waiter<S> {
    /// An empty list with room for `capacity` handles.
    pub fn new(state: S, capacity: u32) -> Result<Self> {
        let capacity = capacity as usize;
        if capacity > MAX_WATCHES {
            return Err(Errno::Inval);
        }
        let mapping =
            if capacity > ON_STACK { Some(io_memory::map(capacity * size_of::<Watch>())?.cast()) } else { None };
        let start = state.now(Clock::Monotonic)?;
        Ok(Self {
            state,
            on_stack: [const { MaybeUninit::uninit() }; ON_STACK],
            mapping,
            capacity,
            len: 0,
            start,
            realtime: None,
            deadline: None,
        })
    }

    fn places(&mut self) -> *mut MaybeUninit<Watch> {
        self.mapping.unwrap_or(self.on_stack.as_mut_ptr())
    }

    /// The watches so far.
    fn watches(&mut self) -> &mut [Watch] {
        let places = self.places();
        // SAFETY: the first `len` places were written by `watch`.
        unsafe { core::slice::from_raw_parts_mut(places.cast(), self.len) }
    }

    /// Adds a handle and the events to wait for.
    pub fn watch(&mut self, handle: Handle, events: u16) -> Result<()> {
        if self.len == self.capacity {
            return Err(Errno::Inval);
        }
        let place = self.places().wrapping_add(self.len);
        // SAFETY: `len < capacity`, for which there is room.
        unsafe { (*place).write(Watch::new(handle, events)) };
        self.len += 1;
        Ok(())
    }

    /// The moment by the monotonic clock at which a clock will show `time`, or at which `time` will have passed since
    /// the wait began.
    pub fn moment(&mut self, clock: Clock, time: u64, absolute: bool) -> Result<u64> {
        match clock {
            _ if !absolute && matches!(clock, Clock::Monotonic | Clock::Realtime) => {
                Ok(self.start.saturating_add(time))
            }
            Clock::Monotonic => Ok(time),
            Clock::Realtime => {
                let realtime = match self.realtime {
                    Some(realtime) => realtime,
                    None => *self.realtime.insert(self.state.now(Clock::Realtime)?),
                };
                Ok(self.start.saturating_add(time.saturating_sub(realtime)))
            }
            Clock::ProcessCputime | Clock::ThreadCputime => Err(Errno::Inval),
        }
    }

    /// Adds a moment at which the wait ends.
    pub fn wake_at(&mut self, moment: u64) {
        self.deadline = Some(self.deadline.map_or(moment, |earlier| earlier.min(moment)));
    }

    /// Waits for the first of what was added; the time by the monotonic clock afterwards.
    pub fn wait(&mut self) -> Result<u64> {
        let (state, deadline) = (self.state, self.deadline);
        state.wait(self.watches(), deadline)?;
        state.now(Clock::Monotonic)
    }

    /// What was found about the handle that was added as number `index`.
    pub fn found(&mut self, index: usize) -> u16 {
        self.watches().get(index).map_or(0, |watch| watch.found)
    }
}

impl<S: State> Drop for Waiter<S> {
    fn drop(&mut self) {
        if let Some(mapping) = self.mapping {
            // SAFETY: the mapping was made for `capacity` watches; no borrow of it outlives `self`.
            unsafe { io_memory::unmap(mapping.cast(), self.capacity * size_of::<Watch>()) };
        }
    }
}
