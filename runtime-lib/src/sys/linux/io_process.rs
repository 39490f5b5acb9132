//! Yielding the CPU to other threads.

use linux_raw_sys::general::__NR_sched_yield;

use super::io_syscall::call;

/// Lets other threads of the system run.
pub fn yield_now() {
    // SAFETY: no memory is involved. It never fails.
    let _ = unsafe { call(__NR_sched_yield, [0; 4]) };
}
