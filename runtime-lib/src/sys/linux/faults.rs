//! Faults of the CPU, as Linux delivers them: signals on an alternate stack.
//!
//! In comes what the kernel passes to a signal handler; out comes a [`Fault`] without any signal number or register
//! name, for the runtime to judge.

// ---------------------------------------------------------------------------------------------------------------
// Security: this code runs in the middle of whatever faulted, guest or runtime. It allocates nothing, takes no lock
// and trusts no register: what it reads comes from structures that the kernel wrote on the alternate stack.
// ---------------------------------------------------------------------------------------------------------------

use core::ffi::c_int;
use core::mem::size_of;

use linux_raw_sys::general::{
    __NR_getpid, __NR_kill, __NR_rt_sigaction, __NR_rt_sigprocmask, __NR_sigaltstack, SA_ONSTACK, SA_RESETHAND,
    SA_RESTORER, SA_SIGINFO, SIG_BLOCK, SIG_UNBLOCK, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGXFSZ, siginfo_t,
    stack_t,
};

use crate::sys::fault::{Fault, FaultHandler, FaultKind};

use super::{SystemError, arch};

/// The signals that faults arrive as. A byte each, because an array would be copied to the stack first.
const SIGNALS: u32 = u32::from_le_bytes([SIGSEGV as u8, SIGBUS as u8, SIGILL as u8, SIGFPE as u8]);

/// [`SIGNALS`] as a set.
const FAULTS: u64 = set_of(SIGSEGV) | set_of(SIGBUS) | set_of(SIGILL) | set_of(SIGFPE);

/// The signals that must not end the program, so that the call which raises them returns an error for the guest: a pipe
/// that nobody reads any more, a file beyond the size that the process may write. They are blocked and not ignored,
/// because one call does that for both.
const REFUSED: u64 = set_of(SIGPIPE) | set_of(SIGXFSZ);

/// The set with this signal alone.
pub(super) const fn set_of(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// How many bytes the alternate stack has: the registers that the kernel saves (11 KiB with AMX) and a report.
pub const HANDLER_STACK_BYTES: usize = 64 << 10;

/// The kernel's `struct sigaction`.
#[repr(C)]
pub(super) struct SignalAction {
    pub(super) handler: usize,
    pub(super) flags: u64,
    pub(super) restorer: usize,
    pub(super) mask: u64,
}

/// Sends faults to `H`, on the [`HANDLER_STACK_BYTES`] below `stack_top`.
///
/// # Safety
/// From the first fault on, nothing uses the memory below `stack_top` that was in use when the fault occurred.
#[inline(always)]
pub unsafe fn install<H: FaultHandler>(stack_top: *mut u8) -> Result<(), SystemError> {
    // SAFETY: by this function's contract.
    unsafe { set_stack(stack_top) }?;
    set_handler::<H>()?;
    // Whoever started the process may have blocked the signals of faults; the kernel would then end it without a word.
    unblock(FAULTS);
    change_mask(SIG_BLOCK, REFUSED);
    Ok(())
}

/// Lets signals arrive that whoever started the process may have blocked: in this thread, and in those that it starts.
pub(super) fn unblock(signals: u64) {
    change_mask(SIG_UNBLOCK, signals);
}

fn change_mask(how: u32, signals: u64) {
    let arguments = [how as usize, &raw const signals as usize, 0, size_of::<u64>()];
    // SAFETY: the kernel reads the set. It cannot fail with such arguments.
    unsafe { arch::system_call(__NR_rt_sigprocmask, arguments) };
}

/// Gives the calling thread the [`HANDLER_STACK_BYTES`] below `stack_top` to handle its faults on.
///
/// # Safety
/// As for [`install`].
#[inline(always)]
pub unsafe fn set_stack(stack_top: *mut u8) -> Result<(), SystemError> {
    let stack = stack_t {
        ss_sp: stack_top.wrapping_sub(HANDLER_STACK_BYTES).cast(),
        ss_flags: 0,
        ss_size: HANDLER_STACK_BYTES as _,
    };
    let arguments = [&raw const stack as usize, 0, 0, 0];
    // SAFETY: the kernel reads `stack`, and uses the memory it names under this function's contract.
    SystemError::check(unsafe { arch::system_call(__NR_sigaltstack, arguments) }).map(|_| ())
}

/// Sends the faults of all threads to `H`.
#[inline(always)]
pub fn set_handler<H: FaultHandler>() -> Result<(), SystemError> {
    let action = SignalAction {
        handler: enter::<H> as *const () as usize,
        flags: u64::from(SA_ONSTACK | SA_SIGINFO | SA_RESTORER | if H::OF_THREADS { 0 } else { SA_RESETHAND }),
        restorer: arch::return_from_signal as *const () as usize,
        mask: 0,
    };
    let mut signals = SIGNALS;
    while signals != 0 {
        // SAFETY: `enter` is a handler of the form that `SA_SIGINFO` asks for.
        unsafe { set_action(signals & 0xff, &action) }?;
        signals >>= 8;
    }
    Ok(())
}

/// The signal handler.
///
/// # Safety
/// Only the kernel calls it, with the arguments of `SA_SIGINFO`.
unsafe extern "C" fn enter<H: FaultHandler>(signal: c_int, info: *const siginfo_t, context: *const arch::Context) {
    // SAFETY: the kernel passes a complete `siginfo_t`.
    let (code, address) = unsafe {
        let fields = &(*info).__bindgen_anon_1.__bindgen_anon_1;
        (fields.si_code, fields._sifields._sigfault._addr as usize)
    };
    if code <= 0 {
        // Another process sent it, so it means what it means to any process.
        if H::OF_THREADS {
            let default = SignalAction { handler: 0, flags: 0, restorer: 0, mask: 0 };
            // SAFETY: the default action runs no code of ours.
            let _ = unsafe { set_action(signal as u32, &default) };
        }
        return send_to_self(signal as u32);
    }
    let kind = match signal as u32 {
        SIGSEGV => FaultKind::Access,
        SIGBUS => FaultKind::Unavailable,
        SIGILL => FaultKind::Instruction,
        _ => FaultKind::Arithmetic,
    };
    // SAFETY: the kernel passes the registers at the fault.
    let (pc, frame_pointer, stack_pointer) = unsafe { (*context).registers() };
    H::handle(&Fault { kind, address, pc, frame_pointer, stack_pointer })
}

/// Lets the signal that is being handled, and has its default action again, end the process once the handler returns.
fn send_to_self(signal: u32) {
    // SAFETY: neither call touches memory. The signal is blocked until the handler returns.
    unsafe {
        let process = arch::system_call(__NR_getpid, [0; 4]);
        arch::system_call(__NR_kill, [process as usize, signal as usize, 0, 0]);
    }
}

/// # Safety
/// The action's handler is sound to call when the signal arrives.
pub(super) unsafe fn set_action(signal: u32, action: &SignalAction) -> Result<(), SystemError> {
    let arguments = [signal as usize, &raw const *action as usize, 0, size_of::<u64>()];
    // SAFETY: the kernel reads `action`, and calls the handler under this function's contract.
    SystemError::check(unsafe { arch::system_call(__NR_rt_sigaction, arguments) }).map(|_| ())
}
