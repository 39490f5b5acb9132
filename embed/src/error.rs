//! What can go wrong, as the host is told.

use core::fmt;

use wasmelt_abi::text::escape;
use wasmelt_abi::trap::Trap;

use super::Exception;

/// Why a call of this interface failed.
#[derive(Debug)]
pub enum Error {
    /// The guest trapped.
    Trap(GuestTrap),
    /// The guest threw an exception that it did not catch. A host function that returns it throws it again.
    Exception(Exception),
    /// An import is missing or has the wrong type: the text names the import, the expected type and the found one.
    Unlinkable(String),
    /// The operating system refused something, or a file is not what it should be.
    System(String),
    /// The caller passed a value, an index or a handle that this call does not accept.
    Usage(String),
    /// A host function failed with this error of its own.
    Host(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Makes a trap, for a host function to return.
    pub fn trap(trap: Trap) -> Self {
        Self::Trap(GuestTrap { trap, backtrace: Vec::new(), is_cut: false })
    }

    /// Makes an error of the host's own. A host function that returns the error stops its guest.
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

/// A trap, and the functions of guests that were running when it happened.
#[derive(Clone, Debug)]
pub struct GuestTrap {
    /// Why the guest was stopped.
    pub trap: Trap,
    /// The functions that were running, innermost first, up to a limit.
    pub backtrace: Vec<Frame>,
    /// Whether more functions were running than the backtrace holds.
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
///
/// Names and files come from whoever made the module. What the compiler wrote into the library can be shown as it is:
/// names are demangled, and what could control a terminal or forge a line is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The module's name under which it was loaded.
    pub module: String,
    /// The function's index in the module.
    pub function_index: u32,
    /// Its name from the name section, demangled; empty without one.
    pub function_name: String,
    /// Offset in the module of the operator that is being executed, of the function's body where that is not known; 0 for
    /// what stands for a missing import.
    pub module_offset: u32,
    /// Where in source files it is: first the operator's own position, then, where functions were inlined, those of
    /// their calls. The last is in the function itself. Empty where the library was compiled without `-g`, or nothing is
    /// known.
    pub positions: Vec<Position>,
}

/// A position in a source file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Position {
    /// Name of the function that it is in: the frame's, or one that was inlined into it.
    pub function: String,
    /// The file.
    pub file: String,
    /// The line, from 1 on; 0 where it is not known.
    pub line: u32,
    /// The column, from 1 on; 0 where it is not known.
    pub column: u32,
}

/// What the lines of a frame start with, but for the first one.
const INDENT: &str = "\n       ";

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, position) in self.positions.iter().enumerate() {
            f.write_str(if number == 0 { "" } else { INDENT })?;
            self.name(f, &position.function)?;
            position.fmt(f)?;
        }
        if self.positions.is_empty() {
            self.name(f, &self.function_name)?;
            if self.module_offset != 0 {
                write!(f, " at offset {:#x}", self.module_offset)?;
            }
        }
        Ok(())
    }
}

impl Frame {
    fn name(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        match name {
            "" => write!(f, "<wasm function {}>", self.function_index),
            name => write!(f, "{}", escape(name)),
        }
    }
}

/// ` at file:line:column`, as far as they are known.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return Ok(());
        }
        write!(f, " at {}:{}", escape(&self.file), self.line)?;
        if self.column == 0 { Ok(()) } else { write!(f, ":{}", self.column) }
    }
}
