//! Any operating system that the standard library runs on: files through cap-std, everything else through std and what
//! its platform adds. macOS and Windows use it; Linux can, with the feature `portable`, so that it is tested there.
//!
//! It offers what the module of Linux offers, under the same names. Files are here; what differs between the systems
//! is in folders of their own: `unix` and `windows` (memory, faults, readiness, moving bytes), and the CPU's part in `x86_64`
//! and `aarch64`.
//!
//! What differs from the back end of Linux, because no common interface has it:
//! - Data is copied into memory at the start, never mapped ([`pages::move_pages`]).
//! - A file that is named without being opened (`O_PATH`) is remembered by its directory and its name. Each use
//!   resolves them again, inside the sandbox.
//! - Cookies of directory entries are counted here, see `listing`.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod error;
pub mod fs;
mod handles;
pub mod io_clock;
pub mod io_process;
pub mod io_stream;
mod listing;
pub(super) mod names;
pub mod relocate;
pub mod sockets;
pub mod threads;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

#[cfg(unix)]
pub use arch::call_on_stack;
pub use arch::frame_pointer;
#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

#[cfg(windows)]
pub use system::stack;
pub use system::{alarm, exit, faults, io_memory, occupy_standard_streams, pages, write};

/// An error of the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemError(u32);

impl SystemError {
    /// The system's number for it.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The error that the last call of the system reported.
    fn last() -> Self {
        Self(std::io::Error::last_os_error().raw_os_error().unwrap_or_default().unsigned_abs())
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
