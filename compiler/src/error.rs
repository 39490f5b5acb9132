//! The one error type of the library: what went wrong, where, and what the user can do about it.

use std::fmt;

/// What a caller does differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line asks for something impossible; exit code 2.
    Usage,
    /// The input is not a valid module, or uses what is switched off or not supported; exit code 1.
    Input,
    /// The operating system refused something; exit code 1.
    Io,
    /// The linker failed; exit code 1.
    Link,
    /// The compilation exceeded a limit of the command line; exit code 3.
    Limit,
    /// A bug in wasmelt; exit code 70.
    Internal,
}

/// A failure: a message in lower case without a full stop, the places it happened in, and hints that fix it.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    contexts: Vec<String>,
    hints: Vec<String>,
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with its message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), contexts: Vec::new(), hints: Vec::new() }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// The input is wrong.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Input, message)
    }

    /// The operating system refused: `doing` says what was tried ("cannot read app.wasm").
    pub fn io(doing: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("{doing}: {}", describe_io(error)))
    }

    /// The linker failed.
    pub fn link(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Link, message)
    }

    /// A bug in wasmelt.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Adds where it happened; the outermost place is added last and printed first.
    #[must_use]
    pub fn context(mut self, place: impl Into<String>) -> Self {
        self.contexts.push(place.into());
        self
    }

    /// Adds a line that says what would help.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What a caller does differently.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Lines that say what would help.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// Exit code of the command line tool.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            ErrorKind::Usage => 2,
            ErrorKind::Limit => 3,
            ErrorKind::Internal => 70,
            ErrorKind::Input | ErrorKind::Io | ErrorKind::Link => 1,
        }
    }
}

/// Adds a place to the error of a result.
pub trait ResultExt<T> {
    /// Adds where it happened, computed only on failure.
    fn context<S: Into<String>>(self, place: impl FnOnce() -> S) -> Result<T>;
}

impl<T> ResultExt<T> for Result<T> {
    fn context<S: Into<String>>(self, place: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|e| e.context(place()))
    }
}

/// The words of an I/O error without Rust's "(os error 2)" and without the full stop of Windows, in lower case.
fn describe_io(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text).trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in self.contexts.iter().rev() {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
