//! What can go wrong, as the host is told.

use core::any::Any;
use core::fmt;
use std::error::Error as StdError;
use std::sync::{Mutex, PoisonError};

use wasmelt_abi::text::escape;
use wasmelt_abi::trap::Trap;

use super::Exception;

/// What most functions of this interface return.
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// Why a call of this interface failed, and what functions of the host fail with.
///
/// `?` turns any error into one of these, a [`Trap`] into a trap of the guest that has called. For that, this type is not
/// an `Error` of the standard library itself; [`Self::into_boxed`] makes one of it.
#[derive(Debug)]
#[non_exhaustive]
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
    Host(Box<dyn StdError + Send + Sync>),
    /// A host function panicked.
    Panic(Panic),
}

/// What a host function has panicked with.
pub struct Panic(Mutex<Box<dyn Any + Send>>);

impl Panic {
    /// Returns the value, for [`std::panic::resume_unwind`].
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the text of the panic.
    pub fn message(&self) -> String {
        let payload = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let literal = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        literal
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a value without text".to_owned())
    }
}

impl From<Box<dyn Any + Send>> for Panic {
    fn from(payload: Box<dyn Any + Send>) -> Self {
        Self(Mutex::new(payload))
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Panic").field(&self.message()).finish()
    }
}

impl Error {
    /// Makes a trap, for a host function to return.
    pub fn trap(trap: Trap) -> Self {
        Self::Trap(GuestTrap { trap, backtrace: Vec::new(), is_cut: false })
    }

    /// Makes an error of the host's own. A host function that returns the error stops its guest.
    pub fn host(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Host(error.into())
    }

    /// Makes an error of the host's own from a text.
    pub fn msg(message: impl fmt::Display) -> Self {
        Self::host(message.to_string())
    }

    /// Returns the error of type `E` that this is: a [`Trap`] or [`GuestTrap`], or an error of the host's own, which may also
    /// be the source of another one.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match self {
            Self::Trap(trap) => raw_any(trap).downcast_ref().or_else(|| raw_any(&trap.trap).downcast_ref()),
            Self::Host(error) => {
                let mut error: Option<&(dyn StdError + 'static)> = Some(&**error);
                while let Some(this) = error {
                    if let Some(found) = this.downcast_ref() {
                        return Some(found);
                    }
                    error = this.source();
                }
                None
            }
            _ => None,
        }
    }

    /// Returns the error of type `E`, or the whole error where it is not one: what [`Self::downcast_ref`] finds, without
    /// sources.
    pub fn downcast<E: StdError + Send + Sync + 'static>(self) -> Result<E, Self> {
        let boxed = |any: Box<dyn Any>| any.downcast::<E>().ok().map(|error| *error);
        match self {
            Self::Host(error) => error.downcast().map(|error| *error).map_err(Self::Host),
            Self::Trap(trap) => {
                boxed(Box::new(trap.clone())).or_else(|| boxed(Box::new(trap.trap))).ok_or(Self::Trap(trap))
            }
            other => Err(other),
        }
    }

    /// Whether [`Self::downcast_ref`] finds an error of this type.
    pub fn is<E: StdError + 'static>(&self) -> bool {
        self.downcast_ref::<E>().is_some()
    }

    /// Returns the guest's functions that were running, innermost first, where the guest trapped.
    pub fn backtrace(&self) -> &[Frame] {
        match self {
            Self::Trap(trap) => &trap.backtrace,
            _ => &[],
        }
    }

    /// Returns this as an error of the standard library.
    pub fn into_boxed(self) -> Box<dyn StdError + Send + Sync> {
        match self {
            Self::Host(error) => error,
            Self::Trap(trap) => Box::new(trap),
            other => Box::new(Boxed(other)),
        }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage(message.into())
    }

    pub(super) fn system(message: impl Into<String>) -> Self {
        Self::System(message.into())
    }
}

fn raw_any<T: Any>(value: &T) -> &dyn Any {
    value
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trap(trap) => trap.fmt(f),
            Self::Exception(_) => f.write_str(Trap::UncaughtException.message()),
            Self::Unlinkable(message) | Self::System(message) | Self::Usage(message) => f.write_str(message),
            Self::Host(error) => error.fmt(f),
            Self::Panic(panic) => write!(f, "a function of the host panicked: {}", panic.message()),
        }
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let error: Box<dyn StdError + Send + Sync> = Box::new(error);
        let error = match error.downcast::<Boxed>() {
            Ok(error) => return error.0,
            Err(error) => error,
        };
        let error = match error.downcast::<GuestTrap>() {
            Ok(trap) => return Self::Trap(*trap),
            Err(error) => error,
        };
        match error.downcast::<Trap>() {
            Ok(trap) => Self::trap(*trap),
            Err(error) => Self::Host(error),
        }
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    fn from(error: Error) -> Self {
        error.into_boxed()
    }
}

impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Self {
        error.into_boxed()
    }
}

/// An error of this crate as one of the standard library.
#[derive(Debug)]
struct Boxed(Error);

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Boxed {}

impl StdError for GuestTrap {}

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
