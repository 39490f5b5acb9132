//! Faults as Windows delivers them: exceptions. Windows asks the handlers in turn, on the stack that faulted.

use core::ops::Range;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::{
    EXCEPTION_ACCESS_VIOLATION, EXCEPTION_BREAKPOINT, EXCEPTION_DATATYPE_MISALIGNMENT, EXCEPTION_ILLEGAL_INSTRUCTION,
    EXCEPTION_INT_DIVIDE_BY_ZERO, EXCEPTION_INT_OVERFLOW, EXCEPTION_PRIV_INSTRUCTION, EXCEPTION_STACK_OVERFLOW,
};
use windows_sys::Win32::System::Diagnostics::Debug::{
    AddVectoredExceptionHandler, CONTEXT, EXCEPTION_CONTINUE_EXECUTION, EXCEPTION_CONTINUE_SEARCH, EXCEPTION_POINTERS,
};
use windows_sys::Win32::System::Threading::GetCurrentThreadStackLimits;

use super::Answer;
use crate::Error;
use wasmelt_runtime::sys::fault::{Fault, FaultKind};

/// Makes this thread and process ready for guest code. Addresses of the thread's own stack.
pub(crate) fn prepare_thread() -> Result<Range<usize>, Error> {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    INSTALLED.get_or_init(install).clone().map_err(Error::System)?;
    Ok(stack_of_thread())
}

/// Addresses of this thread's stack.
pub(crate) fn stack_of_thread() -> Range<usize> {
    let (mut low, mut high) = (0, 0);
    // SAFETY: the call writes two numbers.
    unsafe { GetCurrentThreadStackLimits(&raw mut low, &raw mut high) };
    low..high
}

fn install() -> Result<(), String> {
    const FIRST: u32 = 1;
    // SAFETY: `handle` is a handler, and lives as long as the process.
    let added = unsafe { AddVectoredExceptionHandler(FIRST, Some(handle)) };
    if added.is_null() { Err(format!("cannot handle exceptions: {}", std::io::Error::last_os_error())) } else { Ok(()) }
}

/// The handler.
unsafe extern "system" fn handle(pointers: *mut EXCEPTION_POINTERS) -> i32 {
    // SAFETY: the system passes complete structures.
    let (record, context) = unsafe { (&*(*pointers).ExceptionRecord, &mut *(*pointers).ContextRecord) };
    let kind = match record.ExceptionCode {
        EXCEPTION_ACCESS_VIOLATION | EXCEPTION_DATATYPE_MISALIGNMENT => FaultKind::Access,
        EXCEPTION_ILLEGAL_INSTRUCTION | EXCEPTION_PRIV_INSTRUCTION | EXCEPTION_BREAKPOINT => FaultKind::Instruction,
        EXCEPTION_INT_DIVIDE_BY_ZERO | EXCEPTION_INT_OVERFLOW => FaultKind::Arithmetic,
        EXCEPTION_STACK_OVERFLOW => FaultKind::Stack,
        // Such as what a debugger is told: not ours.
        _ => return EXCEPTION_CONTINUE_SEARCH,
    };
    let has_address = record.NumberParameters >= 2;
    let address = if has_address { record.ExceptionInformation[1] } else { 0 };
    let [pc, frame_pointer, stack_pointer] = registers(context);
    // SAFETY: this is the middle of what faulted.
    match unsafe { super::answer(&Fault { kind, address, pc, frame_pointer, stack_pointer }) } {
        Answer::PassOn => EXCEPTION_CONTINUE_SEARCH,
        Answer::Retry => EXCEPTION_CONTINUE_EXECUTION,
        Answer::End(activation) => {
            // SAFETY: the activation is there until its recovery has begun.
            go_on(context, unsafe { (*activation).recover }, activation as usize);
            EXCEPTION_CONTINUE_EXECUTION
        }
    }
}

/// Program counter, frame pointer and stack pointer.
#[cfg(target_arch = "x86_64")]
fn registers(context: &CONTEXT) -> [usize; 3] {
    [context.Rip, context.Rbp, context.Rsp].map(|register| register as usize)
}

/// Makes the thread go on at `code`, with `value` in the register of results.
#[cfg(target_arch = "x86_64")]
fn go_on(context: &mut CONTEXT, code: usize, value: usize) {
    context.Rip = code as u64;
    context.Rax = value as u64;
}

/// Program counter, frame pointer and link register.
#[cfg(target_arch = "aarch64")]
fn registers(context: &CONTEXT) -> [usize; 3] {
    // SAFETY: every variant of the union is a list of registers.
    let registers = unsafe { &context.Anonymous.Anonymous };
    [context.Pc, registers.Fp, registers.Lr].map(|register| register as usize)
}

/// Makes the thread go on at `code`, with `value` in the register of results.
#[cfg(target_arch = "aarch64")]
fn go_on(context: &mut CONTEXT, code: usize, value: usize) {
    context.Pc = code as u64;
    context.Anonymous.Anonymous.X0 = value as u64;
}
