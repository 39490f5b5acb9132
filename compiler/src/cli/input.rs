//! The input of a command: a file or standard input.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::error::{Error, Result};
use crate::host;

/// An input that is open and not read yet.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) file: File,
    /// Name for messages: the path as it was given, or `<stdin>`.
    pub(super) name: String,
}

impl Input {
    /// Opens a file, or standard input for `-`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (name, file) = if path == Path::new("-") {
            ("<stdin>".to_owned(), host::stdin())
        } else {
            (path.display().to_string(), File::open(path))
        };
        let file = file.map_err(|e| Error::io(format!("cannot read {name}"), &e))?;
        Ok(Self { file, name })
    }

    /// Reads everything.
    pub(super) fn read(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes).map_err(|e| Error::io(format!("cannot read {}", self.name), &e))?;
        // As text, nothing is a module.
        if bytes.is_empty() && !self.name.ends_with(".wat") {
            return Err(Error::input(format!("{} is empty", self.name)));
        }
        Ok(bytes)
    }
}
