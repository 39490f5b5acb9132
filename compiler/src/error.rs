//! The one error type of the library: what went wrong, where, and what the user can do about it.
//!
//! Messages quote what others chose: names in a module or of a file, the output of a linker. So all text is made plain when
//! it comes in, see [`crate::plain`]: a message, a place and a hint are each one line, and what needs several lines is a
//! detail, whose lines are indented.

use std::fmt;

use crate::plain::Plain;

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
    details: Vec<String>,
    hints: Vec<String>,
}

/// Result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with its message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = plain(&message.into());
        Self { kind, message, contexts: Vec::new(), details: Vec::new(), hints: Vec::new() }
    }

    /// An error whose first line is the message and whose other lines are details.
    pub fn with_details(kind: ErrorKind, text: &str) -> Self {
        let (message, details) = text.trim_end().split_once('\n').unwrap_or((text.trim_end(), ""));
        Self::new(kind, message).detail(details)
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
        self.contexts.push(plain(&place.into()));
        self
    }

    /// Adds lines that belong to the message, such as the part of a text that it is about.
    #[must_use]
    pub fn detail(mut self, lines: &str) -> Self {
        self.details.extend(lines.trim_end().lines().map(|line| plain(&line.replace('\t', " "))));
        self
    }

    /// Adds a line that says what would help.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(plain(&hint.into()));
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

fn plain(text: &str) -> String {
    Plain(text).to_string()
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
        f.write_str(&self.message)?;
        self.details.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_makes_no_lines_of_its_own() {
        let error = Error::input("import `x\nerror: y` of \u{202e}").context("a\nb.wasm").hint("c\nhint: d");
        assert_eq!(error.to_string(), "a\\nb.wasm: import `x\\nerror: y` of \\u{202e}");
        assert_eq!(error.hints(), ["c\\nhint: d"]);
        let error = Error::with_details(ErrorKind::Link, "first\nerror: second\n\x1b[2Jthird\n");
        assert_eq!(error.to_string(), "first\n  error: second\n  \\u{1b}[2Jthird");
    }
}
