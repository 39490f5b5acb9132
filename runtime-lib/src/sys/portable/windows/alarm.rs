//! A moment at which the process is stopped, whatever it is doing: in comes a time span, out comes a call of the handler.

use core::time::Duration;

use windows_sys::Win32::Foundation::{DUPLICATE_SAME_ACCESS, DuplicateHandle, HANDLE};
use windows_sys::Win32::System::Diagnostics::Debug::{CONTEXT, GetThreadContext};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetCurrentThread, SuspendThread};

use crate::sys::SystemError;

use super::{faults, stack};

/// What is done when the time is over.
pub trait AlarmHandler {
    /// Called in another thread, while the one that set the alarm stands still: `pc` and `frame_pointer` say where.
    fn handle(pc: usize, frame_pointer: usize, stack_pointer: usize) -> !;
}

/// The registers that are asked for, those that say where the thread is: `CONTEXT_CONTROL | CONTEXT_INTEGER` of `winnt.h`.
const REGISTERS: u32 = if cfg!(target_arch = "x86_64") { 0x10_0003 } else { 0x40_0003 };

/// A handle of a thread, which any thread may use.
struct Thread(HANDLE);

// SAFETY: handles belong to the process.
unsafe impl Send for Thread {}

/// Calls `H` once so many nanoseconds have passed, while the calling thread stands still.
pub fn set<H: AlarmHandler>(nanoseconds: u64) -> Result<(), SystemError> {
    let mut thread = Thread(core::ptr::null_mut());
    // SAFETY: makes a handle of the calling thread that others can use.
    let made = unsafe {
        let process = GetCurrentProcess();
        DuplicateHandle(process, GetCurrentThread(), process, &raw mut thread.0, 0, 0, DUPLICATE_SAME_ACCESS)
    };
    if made == 0 {
        return Err(SystemError::last());
    }
    let limits = stack::limits();
    let wait = move || {
        let thread = thread;
        std::thread::sleep(Duration::from_nanos(nanoseconds));
        stack::adopt(limits);
        // SAFETY: all zeros is a set of registers, which the call fills; the process ends while the thread stands still.
        let context = unsafe {
            let mut context: CONTEXT = core::mem::zeroed();
            context.ContextFlags = REGISTERS;
            SuspendThread(thread.0);
            GetThreadContext(thread.0, &raw mut context);
            context
        };
        let (pc, frame_pointer, stack_pointer) = faults::registers(&context);
        H::handle(pc, frame_pointer, stack_pointer)
    };
    std::thread::Builder::new().spawn(wait).map(drop).map_err(|_| SystemError::last())
}
