//! Linux: raw system calls, no libc. What rustix lacks goes through a few lines of assembly in `x86_64`.

use core::ffi::c_int;

use linux_raw_sys::general::{__NR_exit_group, STDERR_FILENO, STDOUT_FILENO};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

pub mod faults;
pub mod pages;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "x86_64")]
use x86_64 as arch;
pub use arch::{call_on_stack, frame_pointer};

/// An error number of the operating system.
pub type SystemError = Errno;

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Ends the process, all threads of it.
pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: the call touches no memory and does not return.
        unsafe { arch::system_call(__NR_exit_group, [code as usize, 0, 0, 0]) };
    }
}

/// Writes all of `bytes`; gives up at the first error.
pub fn write(stream: Stream, mut bytes: &[u8]) -> Result<(), SystemError> {
    let number: c_int = match stream {
        Stream::Output => STDOUT_FILENO,
        Stream::Error => STDERR_FILENO,
    } as c_int;
    // SAFETY: a closed descriptor is an error of `write`, and nothing in the runtime reuses these numbers.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    while !bytes.is_empty() {
        match rustix::io::write(descriptor, bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
