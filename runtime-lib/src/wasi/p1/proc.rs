//! `proc_*` and `sched_yield`: the process as a whole.

use crate::sys;
use crate::sys::errno::Errno;

/// Ends the process. As for any process, its parent sees the low 8 bits of the code.
///
/// # Safety
/// None of the arguments matters.
#[unsafe(export_name = "wasi_snapshot_preview1.proc_exit")]
pub unsafe extern "C" fn proc_exit(_vmctx: *mut u8, code: u32) {
    sys::exit(code as i32)
}

/// Would raise a signal. Preview 1 has no handlers, and every use of a signal on oneself is a trap or an exit.
///
/// # Safety
/// None of the arguments matters.
#[unsafe(export_name = "wasi_snapshot_preview1.proc_raise")]
pub unsafe extern "C" fn proc_raise(_vmctx: *mut u8, _signal: u32) -> u32 {
    Errno::Notsup as u32
}

/// Lets others run.
///
/// # Safety
/// None of the arguments matters.
#[unsafe(export_name = "wasi_snapshot_preview1.sched_yield")]
pub unsafe extern "C" fn sched_yield(_vmctx: *mut u8) -> u32 {
    sys::io_process::yield_now();
    0
}
