//! Calls into guest code that wait for asynchronous functions of the host.

// ---------------------------------------------------------------------------------------------------------------
// Security: while a guest waits, its frames stay on the stack of its store, and nobody goes on with them but the call
// that they belong to. The future of the host that it waits for is polled and dropped by that call alone, which has the
// store.
// ---------------------------------------------------------------------------------------------------------------

use core::mem;
use core::panic::AssertUnwindSafe;
use core::pin::Pin;
use core::ptr;
use core::task::{Context, Poll};
use std::panic::{catch_unwind, resume_unwind};
use std::thread::Result as Caught;

use super::Error;
use super::activation::{Activation, OfThread, THREAD, execute, go_on_after, prepare, why_ended};
use super::arch::{self, Resume};
use super::store::Inner;

/// A function of the host that has begun. When it is done, its results are where the arguments were.
pub(super) type HostFuture = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A call of the host into guest code that can be left while functions of the host wait, and gone on with, from whatever
/// thread. In between, the guest's frames stay on the guest's stack, and those of the host are gone.
///
/// Dropping it before its end gives up the guest's frames, as a trap does.
pub(super) struct WaitingCall {
    /// From a box.
    activation: *mut Activation,
    store: *mut Inner,
    next: Next,
    has_begun: bool,
    /// The stack on which [`arch::go_on`] is called, which leaves it at once.
    scratch: Box<Scratch>,
}

#[repr(C, align(16))]
struct Scratch([u8; 256]);

/// What a [`WaitingCall`] has to do.
enum Next {
    Enter { code: *const u8, args: [usize; 3] },
    Wait(HostFuture),
    Nothing,
}

// SAFETY: a call is used by those alone who have its store, one at a time.
unsafe impl Send for WaitingCall {}

impl WaitingCall {
    /// A call that has not begun.
    ///
    /// # Safety
    /// As [`activation::call`](super::activation::call), until the call has ended or is dropped: whoever has it has the
    /// store. When it is forgotten instead, the store is used without it.
    pub(super) unsafe fn new(store: *mut Inner, code: *const u8, args: [usize; 3]) -> Result<Self, Error> {
        // SAFETY: by this function's contract.
        let activation = Box::into_raw(Box::new(unsafe { Activation::new(store, true) }?));
        let scratch = Box::new(Scratch([0; 256]));
        Ok(Self { activation, store, next: Next::Enter { code, args }, has_begun: false, scratch })
    }

    /// Goes on with the call.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        THREAD.with(|thread| {
            if let Err(error) = prepare(thread) {
                self.end();
                return Poll::Ready(Err(error));
            }
            self.poll_prepared(thread, context)
        })
    }

    fn poll_prepared(&mut self, thread: &OfThread, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // SAFETY: by the contract of `new`.
        unsafe {
            if (*self.activation).outer.is_null() {
                (*self.store).stop.begin_slice();
            }
        }
        loop {
            let has_left = match self.next {
                Next::Enter { code, args } => {
                    (self.next, self.has_begun) = (Next::Nothing, true);
                    // SAFETY: by the contract of `new`. The activation stays where it is.
                    unsafe {
                        if (*self.activation).outer.is_null() {
                            (*self.store).stop.begin();
                        }
                        execute(thread, self.activation, (*self.activation).guest_stack, code, &args)
                    }
                }
                Next::Wait(_) => match self.poll_host(context) {
                    Poll::Pending => return Poll::Pending,
                    // SAFETY: the guest waits for just this.
                    Poll::Ready(result) => unsafe { self.go_on(thread, result) },
                },
                Next::Nothing => return Poll::Ready(Err(Error::usage("a call that has ended is polled"))),
            };
            // SAFETY: the activation is this call's, and nobody else uses the store at this moment.
            let (activation, store) = unsafe { (&mut *self.activation, &*self.store) };
            if has_left && let Some(future) = activation.pending.take() {
                self.next = Next::Wait(future);
                continue;
            }
            let result = if has_left { Err(why_ended(store, activation)) } else { Ok(()) };
            self.end();
            return Poll::Ready(result);
        }
    }

    /// Goes on with the function of the host. What it calls is called below the guest's frames.
    fn poll_host(&mut self, context: &mut Context<'_>) -> Poll<Caught<Result<(), Error>>> {
        let Next::Wait(future) = &mut self.next else { return Poll::Pending };
        // SAFETY: by the contract of `new`.
        unsafe { (*self.store).activation = self.activation };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        let done = match polled {
            Ok(Poll::Pending) => None,
            Ok(Poll::Ready(result)) => Some(Ok(result)),
            Err(payload) => Some(Err(payload)),
        };
        // SAFETY: as above.
        unsafe { (*self.store).activation = (*self.activation).outer };
        match done {
            None => Poll::Pending,
            // A destructor that panics is a function of the host that panics.
            Some(result) => Poll::Ready(self.drop_host_future().and(result)),
        }
    }

    /// Drops the function of the host, where there is one; its destructors are functions of the host as well. They may
    /// panic: the store must not name this call any longer then, which the panic may end.
    fn drop_host_future(&mut self) -> Caught<()> {
        let Next::Wait(future) = mem::replace(&mut self.next, Next::Nothing) else { return Ok(()) };
        // SAFETY: by the contract of `new`.
        let before = unsafe { mem::replace(&mut (*self.store).activation, self.activation) };
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(future)));
        // SAFETY: as above.
        unsafe { (*self.store).activation = before };
        dropped
    }

    /// Goes on in the guest after the function of the host has ended with this result; whether the guest has left the call.
    ///
    /// # Safety
    /// The guest has called the function, and the call has not been gone on with since.
    unsafe fn go_on(&mut self, thread: &OfThread, result: Caught<Result<(), Error>>) -> bool {
        let this = self.activation;
        // SAFETY: by this function's contract; the guest's frames are as they were when it called.
        unsafe {
            (*self.store).activation = this;
            let resume = go_on_after(this, result);
            (*self.store).activation = (*this).outer;
            if (*this).raised.is_some() {
                return true;
            }
            let top = (&raw mut *self.scratch).wrapping_add(1).expose_provenance();
            execute(thread, this, top, arch::go_on as *const u8, &[this as usize, resume as usize, 0])
        }
    }

    /// Nothing more happens in this call. A panic of a destructor of the host is handed on.
    fn end(&mut self) {
        let dropped = self.drop_host_future();
        // SAFETY: by the contract of `new`.
        unsafe {
            if mem::take(&mut self.has_begun) && (*self.activation).outer.is_null() {
                (*self.store).stop.end();
            }
        }
        if let Err(payload) = dropped {
            // While another panic unwinds, this one would end the process.
            if !std::thread::panicking() {
                resume_unwind(payload);
            }
        }
    }
}

/// Frees the record of a call, however the rest of its end goes.
struct Freed(*mut Activation);

impl Drop for Freed {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and nothing refers to it any more: the guest's frames are never gone on with.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

impl Drop for WaitingCall {
    fn drop(&mut self) {
        let _freed = Freed(self.activation);
        self.end();
    }
}

/// Begins a function of the host for the guest that this thread executes: where to go on, which is in the host, where the
/// function is waited for. Only a call that can wait has such functions.
///
/// # Safety
/// As [`activation::in_host`](super::activation::in_host).
pub(super) unsafe fn begin_in_host(begin: impl FnOnce(*mut Inner) -> HostFuture) -> *const Resume {
    THREAD.with(|thread| {
        let activation = thread.current.replace(ptr::null_mut());
        // SAFETY: an activation of this thread is there.
        let (store, can_wait) = unsafe { ((*activation).store, (*activation).can_wait) };
        let begun = match can_wait {
            true => catch_unwind(AssertUnwindSafe(|| Ok(begin(store)))),
            false => Ok(Err(Error::usage(CANNOT_WAIT))),
        };
        thread.current.set(activation);
        // SAFETY: the guest waits for what has just begun or failed.
        unsafe {
            match begun {
                Ok(Ok(future)) => {
                    (*activation).pending = Some(future);
                    Activation::leave(activation)
                }
                Ok(Err(error)) => go_on_after(activation, Ok(Err(error))),
                Err(payload) => go_on_after(activation, Err(payload)),
            }
        }
    })
}

/// What is said of a function that cannot be waited for.
pub(super) const CANNOT_WAIT: &str = "an asynchronous function of the host was called by a guest whose own caller does \
    not wait: call the guest with `call_async`, also from functions of the host";
