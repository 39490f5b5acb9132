//! A moment at which the process is stopped, whatever it is doing: in comes a time span, out comes a call of the handler.

use core::ffi::c_int;

use linux_raw_sys::general::{__NR_setitimer, ITIMER_REAL, SA_ONSTACK, SA_RESTORER, SA_SIGINFO, SIGALRM, siginfo_t};

use super::faults::{self, SignalAction, set_action};
use super::{SystemError, arch};

/// What is done when the time is over.
pub trait AlarmHandler {
    /// Called on a stack for faults, in the middle of anything: `pc` and `frame_pointer` say of what.
    fn handle(pc: usize, frame_pointer: usize, stack_pointer: usize) -> !;
}

/// `struct itimerval`.
#[repr(C)]
struct Timer {
    interval: [i64; 2],
    value: [i64; 2],
}

/// Calls `H` once so many nanoseconds have passed, on whichever thread: each has a stack for faults.
pub fn set<H: AlarmHandler>(nanoseconds: u64) -> Result<(), SystemError> {
    let action = SignalAction {
        handler: enter::<H> as *const () as usize,
        flags: u64::from(SA_ONSTACK | SA_SIGINFO | SA_RESTORER),
        restorer: arch::return_from_signal as *const () as usize,
        mask: 0,
    };
    // SAFETY: `enter` is a handler of the form that `SA_SIGINFO` asks for.
    unsafe { set_action(SIGALRM, &action) }?;
    // Whoever started the process may have blocked it.
    faults::unblock(faults::set_of(SIGALRM));
    // Rounded up: no time at all would mean no timer.
    let microseconds = nanoseconds.div_ceil(1000).max(1);
    let value = [(microseconds / 1_000_000) as i64, (microseconds % 1_000_000) as i64];
    let timer = Timer { interval: [0; 2], value };
    let arguments = [ITIMER_REAL as usize, &raw const timer as usize, 0, 0];
    // SAFETY: the kernel reads `timer`.
    SystemError::check(unsafe { arch::system_call(__NR_setitimer, arguments) }).map(|_| ())
}

/// The signal handler. Who sends this signal from outside ends the program in the same way.
///
/// # Safety
/// Only the kernel calls it, with the arguments of `SA_SIGINFO`.
unsafe extern "C" fn enter<H: AlarmHandler>(_: c_int, _: *const siginfo_t, context: *const arch::Context) {
    // SAFETY: the kernel passes the registers of what was interrupted.
    let (pc, frame_pointer, stack_pointer) = unsafe { (*context).registers() };
    H::handle(pc, frame_pointer, stack_pointer)
}
