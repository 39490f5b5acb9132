//! What happens where code of a guest asks whether it may go on: it goes on, its call ends with a trap, or, where the call can
//! wait, the executor gets its thread back first.

// ---------------------------------------------------------------------------------------------------------------
// Security: what is used up is used up, whoever calls: a guest that goes on has something left, or was not to stop. A guest
// that gives the executor back waits as for a function of the host, and nothing in its store changes meanwhile.
// ---------------------------------------------------------------------------------------------------------------

use core::pin::Pin;
use core::task::{Context, Poll};

use wasmelt_abi::trap::Trap;

use super::Error;
use super::activation::{Activation, Raised, current};
use super::arch::Resume;
use super::backtrace::Captured;
use super::host_func::HostCell;
use super::interrupt::Stop;

/// What a guest that asks is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    GoOn,
    /// To go on when the executor has had its turn.
    Yield,
    Stop,
}

/// What [`arch::pause`](super::arch::pause) calls as a function of the host.
///
/// # Safety
/// Called on the guest's stack for a guest that this thread executes.
pub(super) unsafe extern "C" fn cell() -> *mut HostCell {
    // SAFETY: the activation of this thread and its store are there.
    unsafe { &raw mut (*(*current()).store).pause }
}

/// Null, or where to go on instead of returning to the guest.
///
/// # Safety
/// Called by [`arch::call_host`](super::arch::call_host) for a guest that this thread executes.
pub(super) unsafe extern "C" fn from_guest(_cell: *mut HostCell, _values: *mut [u64; 2]) -> *const Resume {
    let activation = current();
    // SAFETY: the activation of this thread and its store are there; the guest waits.
    unsafe {
        let stop: &Stop = &(*(*activation).store).stop;
        let trap = stop.trap();
        let answer = if trap == Trap::OutOfFuel { stop.refuel() } else { stop.answer() };
        match answer {
            Answer::Yield if (*activation).can_wait => {
                (*activation).pending = Some(Box::pin(Yield { has_yielded: false }));
                Activation::leave(activation)
            }
            Answer::GoOn | Answer::Yield => core::ptr::null(),
            Answer::Stop => {
                let frame = (*activation).guest_frame;
                (*activation).captured = Captured::of_frames(&*(*activation).store, activation, frame);
                Activation::end(activation, Raised::Trap(trap))
            }
        }
    }
}

/// Is pending once, and wakes who has polled it.
struct Yield {
    has_yielded: bool,
}

impl Future for Yield {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if core::mem::replace(&mut self.has_yielded, true) {
            return Poll::Ready(Ok(()));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
