//! Linux: raw system calls, no libc. What rustix lacks goes through a few lines of assembly in `x86_64` and
//! `aarch64`.

use linux_raw_sys::errno::EINTR;
use linux_raw_sys::general::{__NR_exit_group, __NR_write, STDERR_FILENO, STDOUT_FILENO};
use rustix::io::Errno;

#[cfg(target_arch = "aarch64")]
mod aarch64;
pub mod alarm;
pub mod faults;
pub mod fs;
pub mod io_clock;
mod io_error;
pub mod io_memory;
pub mod io_process;
pub mod io_stream;
mod io_syscall;
pub(super) mod names;
pub mod pages;
pub mod relocate;
pub mod sockets;
pub mod threads;
pub mod walls;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
pub use arch::{call_on_stack, frame_pointer};
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

/// An error of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemError(u32);

impl SystemError {
    /// An argument is longer than it may be.
    pub const TOO_LONG: Self = Self(linux_raw_sys::errno::E2BIG);

    /// The system's number for it.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The error in a system call's result, if it is one.
    fn check(result: isize) -> Result<usize, Self> {
        usize::try_from(result).map_err(|_| Self(result.unsigned_abs() as u32))
    }
}

impl From<Errno> for SystemError {
    fn from(error: Errno) -> Self {
        Self(error.raw_os_error() as u32)
    }
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// Ends the process, all threads of it.
#[inline(never)]
pub fn exit(code: i32) -> ! {
    loop {
        // SAFETY: the call touches no memory and does not return.
        unsafe { arch::system_call(__NR_exit_group, [code as usize, 0, 0, 0]) };
    }
}

/// Writes all of `bytes`; gives up at the first error.
pub fn write(stream: Stream, mut bytes: &[u8]) -> Result<(), SystemError> {
    let descriptor = match stream {
        Stream::Output => STDOUT_FILENO,
        Stream::Error => STDERR_FILENO,
    };
    while !bytes.is_empty() {
        let arguments = [descriptor as usize, bytes.as_ptr() as usize, bytes.len(), 0];
        // SAFETY: the kernel reads `bytes`.
        match SystemError::check(unsafe { arch::system_call(__NR_write, arguments) }) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(SystemError(EINTR)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
