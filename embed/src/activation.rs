//! Calls into guest code and out of it. A call returns to the host, traps, throws or is stopped.

// ---------------------------------------------------------------------------------------------------------------
// Security: an activation is what a trap returns to. The thread's and the store's lists of them must always name the
// one whose guest code is being executed, whatever way the inner ones ended.
// ---------------------------------------------------------------------------------------------------------------

use core::cell::Cell;
use core::mem::{ManuallyDrop, offset_of};
use core::ops::Range;
use core::panic::AssertUnwindSafe;
use core::ptr;
use std::thread::Result as Caught;

use wasmelt_abi::trap::Trap;

use super::arch::{self, Resume};
use super::backtrace::Captured;
use super::stack::Stack;
use super::store::Inner;
use super::waiting::HostFuture;
use super::{Error, Exception, exceptions, faults};

/// What must be left of the host's stack for a call into guest code, so that the guest's calls of host functions that
/// call guests again run out of stack as any recursion of the guest does. Half of the stack, where that is less.
const HOST_STACK_BYTES: usize = 256 << 10;

/// What must be left of the guest's stack for a call into guest code.
const GUEST_STACK_BYTES: usize = arch::RUNTIME_STACK_BYTES;

/// A call of the host into guest code.
#[repr(C)]
pub(super) struct Activation {
    /// The host's stack pointer, with the registers to restore above it.
    pub(super) host_stack: usize,
    /// Where to go on when the call ends early.
    pub(super) recover: usize,
    /// The guest's stack pointer while a host function runs.
    pub(super) guest_stack: usize,
    /// The guest's frame pointer while a host function runs.
    pub(super) guest_frame: usize,
    /// Where to go on, for the assembly to read.
    pub(super) resume: Resume,
    /// What the system is told about the stack while guest code is being executed.
    #[cfg(windows)]
    pub(super) guest_bounds: super::stack::Bounds,
    /// What it knew before.
    #[cfg(windows)]
    pub(super) host_bounds: super::stack::Bounds,
    pub(super) store: *mut Inner,
    /// The activation of this thread, of whatever store, in which this call was made.
    outer_of_thread: *mut Activation,
    /// The activation of this store in which this call was made.
    pub(super) outer: *mut Activation,
    /// Why the call ended early.
    pub(super) raised: Option<Raised>,
    /// Where the guest was then.
    pub(super) captured: Captured,
    /// Whether the host can leave the call while a function of its own waits, and go on with it later.
    pub(super) can_wait: bool,
    /// The function of the host that the guest has called and that is to be waited for.
    pub(super) pending: Option<HostFuture>,
}

/// Why a call ended early.
pub(super) enum Raised {
    Trap(Trap),
    Exception(Exception),
    Error(Error),
}

/// What a thread knows. Constant and without a destructor, so that reading it in a signal handler is reading words.
pub(super) struct OfThread {
    /// The activation whose guest code this thread executes; null while it executes the host's.
    pub(super) current: Cell<*mut Activation>,
    /// The first address and the length of the part of the thread's stack on which it can call guests. Nothing before the
    /// thread is prepared.
    callable: [Cell<usize>; 2],
}

std::thread_local! {
    pub(super) static THREAD: OfThread =
        const { OfThread { current: Cell::new(ptr::null_mut()), callable: [const { Cell::new(0) }; 2] } };
}

/// The activation whose guest code this thread executes; null when there is none.
pub(super) fn current() -> *mut Activation {
    THREAD.with(|thread| thread.current.get())
}

/// The store whose guest code this thread executes. The address comes from the current call: an address that was kept
/// from an earlier call must not be written to.
///
/// # Safety
/// Guest code has called.
pub(super) unsafe fn current_store() -> *mut Inner {
    // SAFETY: guest code runs in an activation of this thread.
    unsafe { (*current()).store }
}

/// Makes this thread ready for calls of guests, where it has enough of its own stack for one.
#[inline]
pub(super) fn prepare(thread: &OfThread) -> Result<(), Error> {
    let here = ptr::from_ref(&thread).addr();
    let [first, len] = thread.callable.each_ref().map(Cell::get);
    if here.wrapping_sub(first) < len { Ok(()) } else { prepare_slowly(thread, here) }
}

#[cold]
fn prepare_slowly(thread: &OfThread, here: usize) -> Result<(), Error> {
    let (stack, stays_ready) = faults::prepare()?;
    if stays_ready {
        set_callable(thread, &stack);
    }
    // On a stack that is not the thread's own, such as a coroutine's, nobody knows.
    let enough = !stack.contains(&here) || here - stack.start >= reserved(&stack);
    if enough { Ok(()) } else { Err(Error::trap(Trap::StackExhausted)) }
}

/// How much of a thread's stack is left to functions of the host.
fn reserved(stack: &Range<usize>) -> usize {
    HOST_STACK_BYTES.min(stack.len() / 2)
}

fn set_callable(thread: &OfThread, stack: &Range<usize>) {
    let first = stack.start.saturating_add(reserved(stack));
    thread.callable[0].set(first);
    thread.callable[1].set(stack.end.saturating_sub(first));
}

/// The thread is not ready for calls of guests any more. Windows tells the bounds of the stack without anything to take back.
#[cfg(unix)]
pub(super) fn forget_thread() {
    THREAD.with(|thread| set_callable(thread, &(0..0)));
}

/// Calls `code` on the guest's stack.
///
/// # Safety
/// `code` is generated code of an instance of this store, which takes these arguments. No reference to the store's
/// contents is used while it runs.
pub(super) unsafe fn call(store: *mut Inner, code: *const u8, args: [usize; 3]) -> Result<(), Error> {
    THREAD.with(|thread| {
        prepare(thread)?;
        // SAFETY: by this function's contract.
        unsafe { call_prepared(thread, store, code, args) }
    })
}

/// # Safety
/// As [`call`].
#[inline]
unsafe fn call_prepared(thread: &OfThread, store: *mut Inner, code: *const u8, args: [usize; 3]) -> Result<(), Error> {
    // SAFETY: by this function's contract.
    let mut activation = ManuallyDrop::new(unsafe { Activation::new(store, false) }?);
    let this: *mut Activation = &raw mut *activation;
    // SAFETY: the activation is on this stack until `execute` is back, however the call ends; below its `guest_stack`
    // nothing of the guest's stack is used.
    let ended_early = unsafe {
        let is_outermost = (*this).outer.is_null();
        if is_outermost {
            (*store).stop.begin();
        }
        let ended_early = execute(thread, this, (*this).guest_stack, code, &args);
        if is_outermost {
            (*store).stop.end();
        }
        ended_early
    };
    if !ended_early {
        // A call that has returned by itself has nothing to be dropped.
        return Ok(());
    }
    // SAFETY: the store is the caller's.
    Err(why_ended(unsafe { &*store }, &mut ManuallyDrop::into_inner(activation)))
}

/// Executes code on a stack in an activation, until it returns or leaves; whether it has left.
///
/// # Safety
/// Nothing at `stack_top` and below is used. The code takes these arguments. The activation is one of the thread's from
/// here on, in the one that its store names.
#[inline]
pub(super) unsafe fn execute(
    thread: &OfThread,
    this: *mut Activation,
    stack_top: usize,
    code: *const u8,
    args: &[usize; 3],
) -> bool {
    // SAFETY: by this function's contract.
    unsafe {
        let store = (*this).store;
        (*this).outer_of_thread = thread.current.replace(this);
        (*store).activation = this;
        let has_left = arch::enter(this, stack_top, code, args);
        thread.current.set((*this).outer_of_thread);
        (*store).activation = (*this).outer;
        has_left != 0
    }
}

/// Why a call ended early, as the host is told.
#[cold]
pub(super) fn why_ended(store: &Inner, activation: &mut Activation) -> Error {
    match activation.raised.take() {
        Some(Raised::Trap(trap)) => {
            if trap == Trap::StackExhausted
                && let Err(error) = store.guest_stack().map_or(Ok(()), Stack::restore_guard)
            {
                return error;
            }
            if trap == Trap::OutOfFuel {
                // Where a function of the host says so, some may be left.
                store.stop.set_fuel(0);
            }
            Error::Trap(activation.captured.describe(store, trap))
        }
        Some(Raised::Exception(exception)) => Error::Exception(exception),
        Some(Raised::Error(error)) => error,
        None => Error::system("a guest's call ended without a reason"),
    }
}

/// Fails where functions of the host that call each other, below a guest, have used up the host's stack: the guest may
/// be what makes them do so.
pub(super) fn check_nesting(store: &Inner) -> Result<(), Error> {
    if store.activation.is_null() { Ok(()) } else { THREAD.with(prepare) }
}

impl Activation {
    /// A call that is about to be made in this store.
    ///
    /// # Safety
    /// The caller has the store.
    #[inline]
    pub(super) unsafe fn new(store: *mut Inner, can_wait: bool) -> Result<Self, Error> {
        // SAFETY: by this function's contract.
        let (outer, stack) = unsafe { ((*store).activation, (*store).stack()) };
        // SAFETY: an activation that the store names is there as long as its call, in which this one is made.
        let top = unsafe { outer.as_ref() }.map_or(stack.end, |outer| outer.guest_stack & !15);
        if top.saturating_sub(stack.start) < GUEST_STACK_BYTES {
            return Err(Error::trap(Trap::StackExhausted));
        }
        Ok(Self {
            host_stack: 0,
            recover: 0,
            guest_stack: top,
            guest_frame: 0,
            resume: Resume::default(),
            #[cfg(windows)]
            // SAFETY: the caller has the store.
            guest_bounds: unsafe { (*store).guest_stack() }.map(Stack::bounds).unwrap_or_default(),
            #[cfg(windows)]
            host_bounds: super::stack::Bounds::default(),
            store,
            outer_of_thread: ptr::null_mut(),
            outer,
            raised: None,
            captured: Captured::default(),
            can_wait,
            pending: None,
        })
    }

    /// Ends the activation: where to go on for that.
    ///
    /// # Safety
    /// `this` is an activation whose guest code or host function is being executed.
    pub(super) unsafe fn end(this: *mut Self, raised: Raised) -> *const Resume {
        // SAFETY: by this function's contract.
        unsafe {
            (*this).raised = Some(raised);
            Self::leave(this)
        }
    }

    /// Leaves the activation, to whom executes it: where to go on for that.
    ///
    /// # Safety
    /// As [`Self::end`].
    pub(super) unsafe fn leave(this: *mut Self) -> *const Resume {
        // SAFETY: by this function's contract.
        unsafe {
            let (code, stack_pointer) = ((*this).recover, (*this).host_stack);
            (*this).resume = Resume { code, stack_pointer, frame_pointer: 0, value: this as usize };
        }
        this.wrapping_byte_add(offset_of!(Activation, resume)).cast()
    }
}

/// Calls a function of the host for the guest that this thread executes, with the address of the store's contents: null, or
/// where to go on instead of returning to the guest.
///
/// # Safety
/// Called for [`arch::call_host`], on the host's stack.
#[inline]
pub(super) unsafe fn in_host(function: impl FnOnce(*mut Inner) -> Result<(), Error>) -> *const Resume {
    THREAD.with(|thread| {
        // While the function of the host runs, faults of this thread do not belong to the guest.
        let activation = thread.current.replace(ptr::null_mut());
        // SAFETY: an activation of this thread is on its stack.
        let store = unsafe { (*activation).store };
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| function(store)));
        thread.current.set(activation);
        match result {
            Ok(Ok(())) => ptr::null(),
            // SAFETY: the guest waits for what has just failed.
            failed => unsafe { go_on_after(activation, failed) },
        }
    })
}

/// [`LibraryHead::raise`](wasmelt_abi::context::LibraryHead::raise): where to go on after a trap that code raises.
///
/// # Safety
/// Called for generated code, on the guest's stack; `frame` is a frame pointer whose frame returns to that code.
pub(super) unsafe extern "C" fn raise(trap: u32, frame: usize) -> *const Resume {
    let activation = current();
    // SAFETY: guest code runs in an activation of this thread, and its store is there. Nothing was raised before.
    unsafe {
        (*activation).captured = Captured::of_frames(&*(*activation).store, activation, frame);
        let trap = u8::try_from(trap).ok().and_then(Trap::from_u8);
        Activation::end(activation, Raised::Trap(trap.unwrap_or(Trap::Unreachable)))
    }
}

/// Where to go on after a function of the host has failed.
///
/// # Safety
/// The guest of this activation has called the function.
#[cold]
pub(super) unsafe fn go_on_after(activation: *mut Activation, result: Caught<Result<(), Error>>) -> *const Resume {
    // SAFETY: the activation is there, and so is its store.
    unsafe {
        let store = (*activation).store;
        match result {
            Ok(Ok(())) => ptr::null(),
            Ok(Err(Error::Exception(exception))) => {
                exceptions::continue_at_handler(store, exception, (*activation).guest_frame)
            }
            Ok(Err(Error::Trap(trap))) if trap.backtrace.is_empty() => {
                (*activation).captured = Captured::of_frames(&*store, activation, (*activation).guest_frame);
                Activation::end(activation, Raised::Trap(trap.trap))
            }
            Ok(Err(error)) => Activation::end(activation, Raised::Error(error)),
            Err(payload) => Activation::end(activation, Raised::Error(Error::Panic(payload.into()))),
        }
    }
}
