//! A moment at which the process is stopped, whatever it is doing: in comes a time span, out comes a call of the handler.

use core::ffi::{c_int, c_void};

use crate::sys::SystemError;

use super::faults::{registers, unblock};

/// What is done when the time is over.
pub trait AlarmHandler {
    /// Called on a stack for faults, in the middle of anything: `pc` and `frame_pointer` say of what.
    fn handle(pc: usize, frame_pointer: usize, stack_pointer: usize) -> !;
}

/// Calls `H` once so many nanoseconds have passed, on whichever thread: each has a stack for faults.
pub fn set<H: AlarmHandler>(nanoseconds: u64) -> Result<(), SystemError> {
    // SAFETY: all zeros is an action without flags and with an empty mask.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = enter::<H> as *const () as usize;
    action.sa_flags = libc::SA_ONSTACK | libc::SA_SIGINFO;
    // SAFETY: `enter` is a handler of the form that `SA_SIGINFO` asks for.
    if unsafe { libc::sigaction(libc::SIGALRM, &raw const action, core::ptr::null_mut()) } != 0 {
        return Err(SystemError::last());
    }
    // Whoever started the process may have blocked it.
    unblock(&[libc::SIGALRM]);
    // Rounded up: no time at all would mean no timer.
    let microseconds = nanoseconds.div_ceil(1000).max(1);
    let value = libc::timeval { tv_sec: (microseconds / 1_000_000) as _, tv_usec: (microseconds % 1_000_000) as _ };
    let timer = libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: value };
    // SAFETY: the call reads `timer`.
    match unsafe { setitimer(ITIMER_REAL, &raw const timer, core::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(SystemError::last()),
    }
}

/// The timer of the clock on the wall.
const ITIMER_REAL: c_int = 0;

unsafe extern "C" {
    /// Of POSIX; the crate `libc` has it for some systems only.
    fn setitimer(which: c_int, new: *const libc::itimerval, old: *mut libc::itimerval) -> c_int;
}

/// The signal handler. Who sends this signal from outside ends the program in the same way.
///
/// # Safety
/// Only the kernel calls it, with the arguments of `SA_SIGINFO`.
unsafe extern "C" fn enter<H: AlarmHandler>(_: c_int, _: *const libc::siginfo_t, context: *const c_void) {
    // SAFETY: the kernel passes the registers of what was interrupted.
    let (pc, frame_pointer, stack_pointer) = unsafe { registers(context) };
    H::handle(pc, frame_pointer, stack_pointer)
}
