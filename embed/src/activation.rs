//! Calls into guest code and out of it. A call returns to the host, traps, throws or is stopped.

// ---------------------------------------------------------------------------------------------------------------
// Security: an activation is what a trap returns to. The thread's and the store's lists of them must always name the
// one whose guest code is being executed, whatever way the inner ones ended.
// ---------------------------------------------------------------------------------------------------------------

use core::any::Any;
use core::cell::Cell;
use core::mem::offset_of;
use core::panic::AssertUnwindSafe;
use core::ptr;

use wasmelt_abi::context::HostFunc;
use wasmelt_abi::trap::Trap;

use super::arch::{self, Resume};
use super::backtrace::Captured;
use super::func::HostFuncData;
use super::stack::Stack;
use super::store::{Inner, Store};
use super::{Error, Exception, exceptions, faults};

/// What must be left of the host's stack for a call into guest code, so that the guest's calls of host functions that
/// call guests again run out of stack as any recursion of the guest does.
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
}

/// Why a call ended early.
pub(super) enum Raised {
    Trap(Trap),
    Exception(Exception),
    Error(Error),
    Panic(Box<dyn Any + Send>),
}

std::thread_local! {
    /// The activation whose guest code this thread executes; null while it executes the host's. Constant and without a destructor, so that reading it in
    /// a signal handler is reading a word.
    static CURRENT: Cell<*mut Activation> = const { Cell::new(ptr::null_mut()) };
}

/// The activation whose guest code this thread executes; null when there is none.
pub(super) fn current() -> *mut Activation {
    CURRENT.with(Cell::get)
}

/// Calls `code` on the guest's stack.
///
/// # Safety
/// `code` is generated code of an instance of this store, which takes these arguments. No reference to the store's
/// contents is used while it runs.
pub(super) unsafe fn call(store: *mut Inner, code: *const u8, args: [usize; 3]) -> Result<(), Error> {
    let room = faults::prepare_thread()?;
    // SAFETY: the caller has the store.
    let (outer, stack) = unsafe { ((*store).activation, (*store).stack()) };
    // SAFETY: an activation that the store names is on the host's stack above.
    let top = unsafe { outer.as_ref() }.map_or(stack.end, |outer| outer.guest_stack & !15);
    if top.saturating_sub(stack.start) < GUEST_STACK_BYTES || room < HOST_STACK_BYTES {
        return Err(Error::trap(Trap::StackExhausted));
    }
    let mut activation = Activation {
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
        outer_of_thread: current(),
        outer,
        raised: None,
        captured: Captured::default(),
    };
    let this = &raw mut activation;
    // SAFETY: the activation is on this stack until `enter` is back, however the call ends; below `top` nothing of the
    // guest's stack is used.
    let ended_early = unsafe {
        (*store).activation = this;
        CURRENT.with(|current| current.set(this));
        let ended_early = arch::enter(this, top, code, &args);
        CURRENT.with(|current| current.set((*this).outer_of_thread));
        (*store).activation = outer;
        ended_early != 0
    };
    if !ended_early {
        return Ok(());
    }
    match activation.raised.take() {
        Some(Raised::Trap(trap)) => {
            // SAFETY: the store is the caller's.
            let store = unsafe { &*store };
            if trap == Trap::StackExhausted {
                store.guest_stack().map_or(Ok(()), Stack::restore_guard)?;
            }
            Err(Error::Trap(activation.captured.describe(store, trap)))
        }
        Some(Raised::Exception(exception)) => Err(Error::Exception(exception)),
        Some(Raised::Error(error)) => Err(error),
        Some(Raised::Panic(payload)) => std::panic::resume_unwind(payload),
        None => Err(Error::system("a guest's call ended without a reason")),
    }
}

/// Fails where functions of the host that call each other, below a guest, have used up the host's stack: the guest may
/// be what makes them do so.
pub(super) fn check_nesting(store: &Inner) -> Result<(), Error> {
    let enough = store.activation.is_null() || faults::prepare_thread()? >= HOST_STACK_BYTES;
    if enough { Ok(()) } else { Err(Error::trap(Trap::StackExhausted)) }
}

impl Activation {
    /// Ends the activation: where to go on for that.
    ///
    /// # Safety
    /// `this` is an activation whose guest code or host function is being executed.
    pub(super) unsafe fn end(this: *mut Self, raised: Raised) -> *const Resume {
        // SAFETY: by this function's contract.
        unsafe {
            (*this).raised = Some(raised);
            let (code, stack_pointer) = ((*this).recover, (*this).host_stack);
            (*this).resume = Resume { code, stack_pointer, frame_pointer: 0, value: this as usize };
        }
        this.wrapping_byte_add(offset_of!(Activation, resume)).cast()
    }
}

/// What [`arch::call_host`] does on the host's stack: calls the host function; null, or where to go on instead of
/// returning to the guest.
///
/// # Safety
/// Called by [`arch::call_host`], for the store's current activation.
pub(super) unsafe extern "C" fn host_function(host_func: *mut HostFunc, values: *mut [u64; 2]) -> *const Resume {
    let host_func: *mut HostFuncData = host_func.cast();
    // While the host function runs, faults of this thread do not belong to the guest.
    let activation = CURRENT.with(|current| current.replace(ptr::null_mut()));
    // SAFETY: generated code passes a host function of its store, which lives as long as that, and room for the
    // arguments and results of its type. Nobody uses the store while guest code runs: this is the only reference.
    let (inner, result) = unsafe {
        let inner = (*activation).store;
        let call = || HostFuncData::call(host_func, &mut *Store::from_inner(inner), values);
        (inner, std::panic::catch_unwind(AssertUnwindSafe(call)))
    };
    CURRENT.with(|current| current.set(activation));
    // SAFETY: the store is there, and so is its activation.
    unsafe {
        match result {
            Ok(Ok(())) => ptr::null(),
            Ok(Err(Error::Exception(exception))) => {
                exceptions::continue_at_handler(inner, exception, (*activation).guest_frame)
            }
            Ok(Err(Error::Trap(trap))) if trap.backtrace.is_empty() => {
                (*activation).captured = Captured::of_frames(&*inner, activation, (*activation).guest_frame);
                Activation::end(activation, Raised::Trap(trap.trap))
            }
            Ok(Err(error)) => Activation::end(activation, Raised::Error(error)),
            Err(payload) => Activation::end(activation, Raised::Panic(payload)),
        }
    }
}
