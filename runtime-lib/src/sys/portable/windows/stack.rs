//! Stacks of Windows: which part of the address space the calling thread's is, and how to get from the runtime's frames
//! to those of the guest.
//!
//! Windows delivers a fault on the stack of the thread that faulted, and it grows stacks page by page: both only work on
//! a stack that it made. So the guest runs on the stack of a thread, and the room that an instance has for a stack is
//! left alone.

use core::cell::Cell;
use core::ffi::c_void;
use core::ops::Range;
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::Diagnostics::Debug::{
    CONTEXT, RtlCaptureContext, RtlLookupFunctionEntry, RtlVirtualUnwind, UNW_FLAG_NHANDLER,
};
use windows_sys::Win32::System::Threading::{
    CreateThread, GetCurrentThreadStackLimits, INFINITE, STACK_SIZE_PARAM_IS_A_RESERVATION, SetThreadStackGuarantee,
    WaitForSingleObject,
};

use crate::sys::SystemError;

/// What is left of a stack for the handler once it has overflowed.
const GUARANTEED_BYTES: u32 = 64 << 10;

/// What the runtime and the system need of a thread's stack besides the guest.
const OWN_BYTES: usize = 256 << 10;

/// Call stack that a program asks for, in bytes.
static WANTED_BYTES: AtomicUsize = AtomicUsize::new(0);

std::thread_local! {
    /// The bounds of the guest's stack, for whom runs guest code or speaks for it.
    static BOUNDS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Size of the stack of each thread that runs guest code.
pub(crate) fn thread_stack_bytes() -> usize {
    WANTED_BYTES.load(Ordering::Relaxed).saturating_add(OWN_BYTES)
}

/// Addresses of the stack of the guest that the calling thread runs.
pub fn limits() -> Range<usize> {
    let (start, end) = BOUNDS.get();
    start..end
}

/// Speaks for the guest of another thread.
pub(super) fn adopt(limits: Range<usize>) {
    BOUNDS.set((limits.start, limits.end));
}

/// Records the bounds of the calling thread's stack, and keeps a part of the stack for faults. Each thread that runs guest
/// code calls this first.
pub(crate) fn prepare() -> Result<(), SystemError> {
    let mut guaranteed = GUARANTEED_BYTES;
    // SAFETY: the call reads and writes one number.
    if unsafe { SetThreadStackGuarantee(&raw mut guaranteed) } == 0 {
        return Err(SystemError::last());
    }
    let (mut low, mut high) = (0, 0);
    // SAFETY: the call writes two numbers.
    unsafe { GetCurrentThreadStackLimits(&raw mut low, &raw mut high) };
    BOUNDS.set((low, high));
    Ok(())
}

/// What the guest's thread is told.
struct Start {
    function: unsafe extern "C" fn(*mut u8) -> !,
    argument: *mut u8,
}

/// Calls `function` on a thread with a call stack of `stack_bytes`.
///
/// # Safety
/// `function` is sound to call with `argument` in another thread.
pub unsafe fn call_on_thread(
    stack_bytes: u64,
    function: unsafe extern "C" fn(*mut u8) -> !,
    argument: *mut u8,
) -> Result<core::convert::Infallible, SystemError> {
    WANTED_BYTES.store(usize::try_from(stack_bytes).unwrap_or(usize::MAX), Ordering::Relaxed);
    let start = Start { function, argument };
    // SAFETY: `enter` is a function for threads. `start` lives as long as the process: this thread waits for ever.
    let thread = unsafe {
        CreateThread(
            ptr::null(),
            thread_stack_bytes(),
            Some(enter),
            (&raw const start).cast(),
            STACK_SIZE_PARAM_IS_A_RESERVATION,
            ptr::null_mut(),
        )
    };
    if thread.is_null() {
        return Err(SystemError::last());
    }
    loop {
        // SAFETY: the handle is that of the thread.
        unsafe { WaitForSingleObject(thread as HANDLE, INFINITE) };
    }
}

/// # Safety
/// `argument` is a [`Start`].
unsafe extern "system" fn enter(argument: *mut c_void) -> u32 {
    // SAFETY: by this function's contract.
    let start = unsafe { &*argument.cast::<Start>() };
    // SAFETY: by the contract of `call_on_thread`.
    unsafe { (start.function)(start.argument) }
}

/// The innermost frame of code in `text` that called the runtime: where it goes on, and its frame pointer. Frames of
/// the runtime keep none, but the system knows how to leave them.
pub fn innermost_frame(text: &Range<usize>) -> Option<(usize, usize)> {
    /// More frames than the runtime ever has.
    const MAX_FRAMES: usize = 100;
    // SAFETY: all zeros is a set of registers, which the call fills.
    let mut context = unsafe {
        let mut context: CONTEXT = core::mem::zeroed();
        RtlCaptureContext(&raw mut context);
        context
    };
    for _ in 0..MAX_FRAMES {
        let (pc, frame_pointer, _) = super::faults::registers(&context);
        if text.contains(&pc) {
            return Some((pc, frame_pointer));
        }
        let mut base = 0;
        // SAFETY: the call only reads the tables of the executable and of the system's libraries.
        let function = unsafe { RtlLookupFunctionEntry(pc as _, &raw mut base, ptr::null_mut()) };
        if function.is_null() {
            leave_leaf(&mut context)?;
            continue;
        }
        let (mut data, mut frame) = (ptr::null_mut(), Default::default());
        // SAFETY: the registers are those of a frame of this thread, and the tables describe it.
        unsafe {
            RtlVirtualUnwind(
                UNW_FLAG_NHANDLER,
                base,
                pc as _,
                function,
                &raw mut context,
                &raw mut data,
                &raw mut frame,
                ptr::null_mut(),
            )
        };
    }
    None
}

/// Leaves a function that has no entry in the tables: it has no frame.
#[cfg(target_arch = "x86_64")]
fn leave_leaf(context: &mut CONTEXT) -> Option<()> {
    // SAFETY: the stack pointer is that of a frame of this thread, whose return address it points to.
    context.Rip = unsafe { (context.Rsp as *const u64).read() };
    context.Rsp += 8;
    (context.Rip != 0).then_some(())
}

/// Leaves a function that has no entry in the tables: it has no frame.
#[cfg(target_arch = "aarch64")]
fn leave_leaf(context: &mut CONTEXT) -> Option<()> {
    // SAFETY: every variant of the union is a list of registers.
    let link = unsafe { context.Anonymous.Anonymous.Lr };
    let moved = link != context.Pc;
    context.Pc = link;
    (moved && link != 0).then_some(())
}
