//! Faults of the CPU, as Windows delivers them: exceptions, on the stack of the thread that faulted. There may be little
//! left of that, so the handler goes on on a stack of its own at once.
//!
//! In comes what the system passes to a vectored handler; out comes a [`Fault`] without any code or register name, for
//! the runtime to judge.

// ---------------------------------------------------------------------------------------------------------------
// Security: this code runs in the middle of whatever faulted, guest or runtime. It allocates nothing, takes no lock
// and trusts no register: what it reads comes from structures that the system wrote.
// ---------------------------------------------------------------------------------------------------------------

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use windows_sys::Win32::Foundation::{
    EXCEPTION_ACCESS_VIOLATION, EXCEPTION_BREAKPOINT, EXCEPTION_DATATYPE_MISALIGNMENT, EXCEPTION_ILLEGAL_INSTRUCTION,
    EXCEPTION_IN_PAGE_ERROR, EXCEPTION_INT_DIVIDE_BY_ZERO, EXCEPTION_INT_OVERFLOW, EXCEPTION_PRIV_INSTRUCTION,
    EXCEPTION_STACK_OVERFLOW,
};
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, CONTEXT, EXCEPTION_CONTINUE_SEARCH, EXCEPTION_POINTERS,
};

use crate::sys::SystemError;
use crate::sys::fault::{Fault, FaultHandler, FaultKind};

/// How many bytes a stack for faults has: a report, and what the system's functions need.
pub const HANDLER_STACK_BYTES: usize = 64 << 10;

/// The upper end of the stack for faults of the guest's first thread.
static STACK_TOP: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

std::thread_local! {
    /// The same of the calling thread, if it is another one.
    static OWN_STACK_TOP: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
}

/// Sends faults to `H`, on the [`HANDLER_STACK_BYTES`] below `stack_top`.
///
/// # Safety
/// From the first fault on, nothing uses that memory.
pub unsafe fn install<H: FaultHandler>(stack_top: *mut u8) -> Result<(), SystemError> {
    STACK_TOP.store(stack_top, Ordering::Relaxed);
    set_handler::<H>()
}

/// Gives the calling thread the [`HANDLER_STACK_BYTES`] below `stack_top` to handle its faults on, and records the bounds
/// of the stack that the thread has.
///
/// # Safety
/// As for [`install`].
pub unsafe fn set_stack(stack_top: *mut u8) -> Result<(), SystemError> {
    OWN_STACK_TOP.set(stack_top);
    super::stack::prepare()
}

/// Sends the faults of all threads to `H`, in front of whom they were sent to before.
pub fn set_handler<H: FaultHandler>() -> Result<(), SystemError> {
    const FIRST: u32 = 1;
    // SAFETY: `enter` is a handler, and lives as long as the process.
    let added = unsafe { AddVectoredExceptionHandler(FIRST, Some(enter::<H>)) };
    if added.is_null() { Err(SystemError::last()) } else { Ok(()) }
}

/// The handler.
///
/// # Safety
/// Only the system calls it.
unsafe extern "system" fn enter<H: FaultHandler>(pointers: *mut EXCEPTION_POINTERS) -> i32 {
    // SAFETY: the system passes complete structures.
    let (record, context) = unsafe { (&*(*pointers).ExceptionRecord, &*(*pointers).ContextRecord) };
    let kind = match record.ExceptionCode {
        EXCEPTION_ACCESS_VIOLATION | EXCEPTION_DATATYPE_MISALIGNMENT => FaultKind::Access,
        EXCEPTION_IN_PAGE_ERROR => FaultKind::Unavailable,
        EXCEPTION_ILLEGAL_INSTRUCTION | EXCEPTION_PRIV_INSTRUCTION | EXCEPTION_BREAKPOINT => FaultKind::Instruction,
        EXCEPTION_INT_DIVIDE_BY_ZERO | EXCEPTION_INT_OVERFLOW => FaultKind::Arithmetic,
        EXCEPTION_STACK_OVERFLOW => FaultKind::Stack,
        // Such as what a debugger is told: not ours.
        _ => return EXCEPTION_CONTINUE_SEARCH,
    };
    let has_address = record.NumberParameters >= 2;
    let address = if has_address { record.ExceptionInformation[1] } else { 0 };
    let (pc, frame_pointer, stack_pointer) = registers(context);
    let fault = Fault { kind, address, pc, frame_pointer, stack_pointer };
    let own = OWN_STACK_TOP.get();
    // The one of the first thread goes to who comes first: no other thread without one runs guest code.
    let top = if own.is_null() { STACK_TOP.swap(ptr::null_mut(), Ordering::Relaxed) } else { own };
    if top.is_null() {
        H::handle(&fault)
    }
    let bottom = top.wrapping_sub(HANDLER_STACK_BYTES);
    // SAFETY: nobody else uses this stack, and the handler does not return.
    unsafe { handle_on_stack(top, bottom, &fault, handle::<H>) }
}

/// # Safety
/// `fault` can be read.
unsafe extern "C" fn handle<H: FaultHandler>(fault: *const Fault) -> ! {
    // SAFETY: by this function's contract.
    H::handle(unsafe { &*fault })
}

/// Calls the handler on another stack, and tells the system that it is the thread's: its functions look at the bounds.
///
/// Source: `NT_TIB` of `winnt.h`: stack base at offset 8, stack limit at offset 16.
///
/// # Safety
/// Nothing uses the memory between `bottom` and `top`, a multiple of 16; what the old stack holds is not needed again.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
unsafe extern "C" fn handle_on_stack(
    top: *mut u8,
    bottom: *mut u8,
    fault: *const Fault,
    handler: unsafe extern "C" fn(*const Fault) -> !,
) -> ! {
    core::arch::naked_asm!(
        "mov gs:[8], rcx",
        "mov gs:[16], rdx",
        "lea rsp, [rcx - 32]",
        "mov rcx, r8",
        "call r9",
        "ud2",
    )
}

/// Calls the handler on another stack, and tells the system that it is the thread's: its functions look at the bounds.
///
/// Source: `NT_TIB` of `winnt.h`: stack base at offset 8, stack limit at offset 16; `x18` leads to it.
///
/// # Safety
/// Nothing uses the memory between `bottom` and `top`, a multiple of 16; what the old stack holds is not needed again.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
unsafe extern "C" fn handle_on_stack(
    top: *mut u8,
    bottom: *mut u8,
    fault: *const Fault,
    handler: unsafe extern "C" fn(*const Fault) -> !,
) -> ! {
    core::arch::naked_asm!("str x0, [x18, #8]", "str x1, [x18, #16]", "mov sp, x0", "mov x0, x2", "blr x3", "udf #0",)
}

/// Program counter, frame pointer and stack pointer.
#[cfg(target_arch = "x86_64")]
pub(super) fn registers(context: &CONTEXT) -> (usize, usize, usize) {
    (context.Rip as usize, context.Rbp as usize, context.Rsp as usize)
}

/// Program counter, frame pointer and link register.
#[cfg(target_arch = "aarch64")]
pub(super) fn registers(context: &CONTEXT) -> (usize, usize, usize) {
    // SAFETY: every variant of the union is a list of registers.
    let registers = unsafe { &context.Anonymous.Anonymous };
    (context.Pc as usize, registers.Fp as usize, registers.Lr as usize)
}
