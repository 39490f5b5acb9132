//! System calls that rustix either does not offer or only offers in a form that guest memory cannot have (Rust slices)
//! or that a freestanding process cannot link (`strlen`).

use crate::sys::errno::{Errno, Result};

use super::arch;
use super::io_error::from_raw;

/// Makes a system call; a negative result is an error. A call that a signal interrupted is made again.
///
/// # Safety
/// The arguments are what the call of this number asks for.
#[inline]
pub(super) unsafe fn call(number: u32, arguments: [usize; 4]) -> Result<usize> {
    loop {
        // SAFETY: by this function's contract.
        let result = unsafe { arch::system_call(number, arguments) };
        if result >= 0 {
            return Ok(result as usize);
        }
        // Error numbers are below 4096.
        match from_raw(-result as i32) {
            Errno::Intr => {}
            error => return Err(error),
        }
    }
}
