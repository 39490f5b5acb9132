//! Faults of the CPU, as Unix systems deliver them: signals on an alternate stack.
//!
//! In comes what the kernel passes to a signal handler; out comes a [`Fault`] without any signal number or register
//! name, for the runtime to judge.

// ---------------------------------------------------------------------------------------------------------------
// Security: this code runs in the middle of whatever faulted, guest or runtime. It allocates nothing, takes no lock
// and trusts no register: what it reads comes from structures that the kernel wrote on the alternate stack.
// ---------------------------------------------------------------------------------------------------------------

use core::ffi::{c_int, c_void};

use crate::sys::SystemError;
use crate::sys::fault::{Fault, FaultHandler, FaultKind};

/// The signals that faults arrive as.
const SIGNALS: [c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

/// What `SIGBUS` says. Apple's systems send it for pages that are not allowed as well.
const BUS: FaultKind = if cfg!(target_vendor = "apple") { FaultKind::Access } else { FaultKind::Unavailable };

/// How many bytes the alternate stack has: the registers that the kernel saves (11 KiB with AMX) and a report.
pub const HANDLER_STACK_BYTES: usize = 64 << 10;

/// Sends faults to `H`, on the [`HANDLER_STACK_BYTES`] below `stack_top`.
///
/// # Safety
/// From the first fault on, nothing uses the memory below `stack_top` that was in use when the fault occurred.
pub unsafe fn install<H: FaultHandler>(stack_top: *mut u8) -> Result<(), SystemError> {
    // SAFETY: by this function's contract.
    unsafe { set_stack(stack_top) }?;
    set_handler::<H>()?;
    // Whoever started the process may have blocked them; the system would then end it without a word.
    unblock(&SIGNALS);
    Ok(())
}

/// Lets signals arrive that whoever started the process may have blocked: in this thread, and in those that it starts.
pub(super) fn unblock(signals: &[c_int]) {
    // SAFETY: all zeros is a set, which the first call empties and the others read. The last cannot fail.
    unsafe {
        let mut set: libc::sigset_t = core::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for &signal in signals {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, core::ptr::null_mut());
    }
}

/// Gives the calling thread the [`HANDLER_STACK_BYTES`] below `stack_top` to handle its faults on.
///
/// # Safety
/// As for [`install`].
pub unsafe fn set_stack(stack_top: *mut u8) -> Result<(), SystemError> {
    let stack = libc::stack_t {
        ss_sp: stack_top.wrapping_sub(HANDLER_STACK_BYTES).cast(),
        ss_flags: 0,
        ss_size: HANDLER_STACK_BYTES,
    };
    // SAFETY: the kernel reads `stack`, and uses the memory it names under this function's contract.
    check(unsafe { libc::sigaltstack(&raw const stack, core::ptr::null_mut()) })
}

/// Sends the faults of all threads to `H`.
pub fn set_handler<H: FaultHandler>() -> Result<(), SystemError> {
    for signal in SIGNALS {
        // SAFETY: all zeros is an action without flags and with an empty mask.
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        action.sa_sigaction = enter::<H> as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_SIGINFO;
        // SAFETY: `enter` is a handler of the form that `SA_SIGINFO` asks for.
        check(unsafe { libc::sigaction(signal, &raw const action, core::ptr::null_mut()) })?;
    }
    // The call that would raise one of these returns an error for the guest: a pipe that nobody reads any more, a file
    // beyond the size that the process may write.
    for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
        // SAFETY: no code runs when the signal arrives.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    Ok(())
}

fn check(result: c_int) -> Result<(), SystemError> {
    if result == 0 { Ok(()) } else { Err(SystemError::last()) }
}

/// The signal handler.
///
/// # Safety
/// Only the kernel calls it, with the arguments of `SA_SIGINFO`.
unsafe extern "C" fn enter<H: FaultHandler>(signal: c_int, info: *const libc::siginfo_t, context: *const c_void) {
    // SAFETY: the kernel passes a complete `siginfo_t`.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    if is_sent(code) {
        // Another process sent it, so it means what it means to any process.
        return die_by(signal);
    }
    let kind = match signal {
        libc::SIGSEGV => FaultKind::Access,
        libc::SIGBUS => BUS,
        libc::SIGILL => FaultKind::Instruction,
        _ => FaultKind::Arithmetic,
    };
    // SAFETY: the kernel passes the registers at the fault.
    let (pc, frame_pointer, stack_pointer) = unsafe { registers(context) };
    H::handle(&Fault { kind, address, pc, frame_pointer, stack_pointer })
}

/// Whether a signal with this code was sent by a process and is not a fault.
fn is_sent(code: c_int) -> bool {
    if cfg!(target_vendor = "apple") {
        // `SI_USER` and the numbers behind it; those of faults are small.
        code == 0 || code >= 0x10001
    } else {
        code <= 0
    }
}

/// Program counter, frame pointer and stack pointer.
///
/// # Safety
/// It is the third argument of a signal handler.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) unsafe fn registers(context: *const c_void) -> (usize, usize, usize) {
    // SAFETY: by this function's contract.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let [pc, frame, stack] = [libc::REG_RIP, libc::REG_RBP, libc::REG_RSP].map(|r| registers[r as usize] as usize);
    (pc, frame, stack)
}

/// Program counter, frame pointer and stack pointer.
///
/// # Safety
/// It is the third argument of a signal handler.
#[cfg(all(target_vendor = "apple", target_arch = "x86_64"))]
pub(super) unsafe fn registers(context: *const c_void) -> (usize, usize, usize) {
    // SAFETY: by this function's contract.
    let registers = unsafe { &(*(*context.cast::<libc::ucontext_t>()).uc_mcontext).__ss };
    (registers.__rip as usize, registers.__rbp as usize, registers.__rsp as usize)
}

/// Program counter, frame pointer and link register.
///
/// # Safety
/// It is the third argument of a signal handler.
#[cfg(all(target_vendor = "apple", target_arch = "aarch64"))]
pub(super) unsafe fn registers(context: *const c_void) -> (usize, usize, usize) {
    // SAFETY: by this function's contract.
    let registers = unsafe { &(*(*context.cast::<libc::ucontext_t>()).uc_mcontext).__ss };
    (registers.__pc as usize, registers.__fp as usize, registers.__lr as usize)
}

/// Program counter, frame pointer and link register.
///
/// # Safety
/// It is the third argument of a signal handler.
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
pub(super) unsafe fn registers(context: *const c_void) -> (usize, usize, usize) {
    // SAFETY: by this function's contract.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext };
    let [frame_pointer, link] = [registers.regs[29], registers.regs[30]];
    (registers.pc as usize, frame_pointer as usize, link as usize)
}

/// Lets the signal that is being handled end the process as if there were no handler, once the handler returns.
fn die_by(signal: c_int) {
    // SAFETY: the default action runs no code of ours. The signal is blocked until the handler returns.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::kill(libc::getpid(), signal);
    }
}
