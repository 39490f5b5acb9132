//! What can go wrong, as the host is told.

use core::fmt;
use std::prelude::rust_2024::*;

use wasmelt_abi::trap::Trap;

use super::Exception;

/// Why a call into this interface did not do what was asked.
#[derive(Debug)]
pub enum Error {
    /// The guest trapped.
    Trap(GuestTrap),
    /// The guest threw an exception that it did not catch. A host function that returns it throws it again.
    Exception(Exception),
    /// Imports do not fit: which one, what was expected and what was found.
    Unlinkable(String),
    /// The system or a file could not provide what is needed.
    System(String),
    /// A value, an index or a handle that this call does not accept.
    Usage(String),
    /// What a host function failed with.
    Host(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A trap that a host function raises.
    pub fn trap(trap: Trap) -> Self {
        Self::Trap(GuestTrap { trap, backtrace: Vec::new(), is_cut: false })
    }

    /// An error of the host's own, for a host function to stop its guest with.
    pub fn host(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Host(error.into())
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(super) fn system(message: impl Into<String>) -> Self {
        Self::System(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trap(trap) => trap.fmt(f),
            Self::Exception(_) => f.write_str(Trap::UncaughtException.message()),
            Self::Unlinkable(message) | Self::System(message) | Self::Usage(message) => f.write_str(message),
            Self::Host(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Host(error) => error.source(),
            _ => None,
        }
    }
}

/// A trap, and the guest's functions that were being executed.
#[derive(Clone, Debug)]
pub struct GuestTrap {
    /// Why the guest was stopped.
    pub trap: Trap,
    /// The innermost functions, the innermost first.
    pub backtrace: Vec<Frame>,
    /// Whether there were more than are shown.
    pub is_cut: bool,
}

impl fmt::Display for GuestTrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wasm trap: {}", self.trap.message())?;
        for (number, frame) in self.backtrace.iter().enumerate() {
            write!(f, "\n{number:5}: {frame}")?;
        }
        if self.is_cut { f.write_str("\n       ... (more frames)") } else { Ok(()) }
    }
}

/// A guest's function in a backtrace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The module's name under which it was loaded.
    pub module: String,
    /// The function's index in the module.
    pub function_index: u32,
    /// Its name from the name section; empty without one. Written by whoever made the module.
    pub function_name: String,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.function_name.is_empty() {
            return write!(f, "<wasm function {}>", self.function_index);
        }
        // Untrusted text: it must neither control a terminal nor reorder what is around it.
        for &byte in self.function_name.as_bytes() {
            match byte {
                b' '..=b'~' => write!(f, "{}", byte as char)?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}
