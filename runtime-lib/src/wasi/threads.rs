//! wasi-threads: the function `thread-spawn` of the import module `wasi`.

use crate::instance::Instance;
use crate::sys::errno::Errno;
use crate::threads;

/// Starts a thread that calls the export `wasi_thread_start` of a new instance; its number, or the negative number of
/// an error.
///
/// # Safety
/// `vmctx` is a live context, whose code is the caller.
#[unsafe(export_name = "wasi.thread-spawn")]
pub unsafe extern "C" fn thread_spawn(vmctx: *mut u8, start_arg: u32) -> u32 {
    // SAFETY: by this function's contract.
    let instance = unsafe { Instance::from_vmctx(vmctx) };
    threads::spawn(instance, start_arg).unwrap_or((Errno::Again as u32).wrapping_neg())
}
