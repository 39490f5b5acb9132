//! Faults of the CPU, as Windows delivers them: exceptions, on the stack of the thread that faulted.
//!
//! In comes what the system passes to a vectored handler; out comes a [`Fault`] without any code or register name, for
//! the runtime to judge.

// ---------------------------------------------------------------------------------------------------------------
// Security: this code runs in the middle of whatever faulted, guest or runtime. It allocates nothing, takes no lock
// and trusts no register: what it reads comes from structures that the system wrote.
// ---------------------------------------------------------------------------------------------------------------

use windows_sys::Win32::Foundation::{
    EXCEPTION_ACCESS_VIOLATION, EXCEPTION_BREAKPOINT, EXCEPTION_DATATYPE_MISALIGNMENT, EXCEPTION_ILLEGAL_INSTRUCTION,
    EXCEPTION_IN_PAGE_ERROR, EXCEPTION_INT_DIVIDE_BY_ZERO, EXCEPTION_INT_OVERFLOW, EXCEPTION_PRIV_INSTRUCTION,
    EXCEPTION_STACK_OVERFLOW,
};
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, CONTEXT, EXCEPTION_CONTINUE_SEARCH, EXCEPTION_POINTERS,
};

use crate::sys::SystemError;

/// What the CPU objected to.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An access to memory that is not there or not allowed.
    Access,
    /// An access to a page that is allowed, whose bytes cannot be had: a file that shrank, a broken device.
    Unavailable,
    /// An instruction that does not exist.
    Instruction,
    /// Integer division.
    Arithmetic,
    /// The thread's stack is used up.
    Stack,
}

/// A fault of the CPU.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// The address that was accessed, for [`FaultKind::Access`] and [`FaultKind::Unavailable`].
    pub address: usize,
    /// The instruction.
    pub pc: usize,
    /// The frame pointer register.
    pub frame_pointer: usize,
    /// What leads to the caller of a function that has no frame yet: the stack pointer register, where the return
    /// address lies, or on aarch64 the link register, which holds it.
    pub stack_pointer: usize,
}

/// What is done about faults.
pub trait FaultHandler {
    /// Called on the stack that was in use, in the middle of whatever faulted.
    fn handle(fault: &Fault) -> !;
}

/// How many bytes a stack for faults has: none is needed.
pub const HANDLER_STACK_BYTES: usize = 4096;

/// Sends faults to `H`. No stack is needed for it.
///
/// # Safety
/// None of the caller's promises is needed here.
pub unsafe fn install<H: FaultHandler>(_stack_top: *mut u8) -> Result<(), SystemError> {
    set_handler::<H>()
}

/// Gives the calling thread a stack to handle its faults on, which Windows does not need.
///
/// # Safety
/// None of the caller's promises is needed here.
pub unsafe fn set_stack(_stack_top: *mut u8) -> Result<(), SystemError> {
    Ok(())
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
    H::handle(&Fault { kind, address, pc, frame_pointer, stack_pointer })
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
