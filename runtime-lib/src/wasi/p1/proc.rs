//! `proc_raise` and `sched_yield`. What `proc_exit` ends is different in executables and in host programs.

use crate::sys;
use crate::sys::errno::{Errno, Result};
use crate::wasi::caller::Caller;

/// Would raise a signal. Preview 1 has no handlers, and every use of a signal on oneself is a trap or an exit.
#[inline(always)]
pub fn proc_raise(_caller: impl Caller, _signal: u32) -> Result<()> {
    Err(Errno::Notsup)
}

/// Lets others run.
#[inline(always)]
pub fn sched_yield(_caller: impl Caller) -> Result<()> {
    sys::io_process::yield_now();
    Ok(())
}
