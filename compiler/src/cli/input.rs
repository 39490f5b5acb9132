//! The input of a command: a file or standard input.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::path::Path;

use crate::error::{Error, Result};

/// An input that is open and not read yet.
#[derive(Debug)]
pub(super) struct Input {
    file: File,
    /// Name for messages: the path as it was given, or `<stdin>`.
    pub(super) name: String,
    /// What the file is, where the system says it.
    pub(super) metadata: Option<Metadata>,
}

impl Input {
    /// Opens a file, or standard input for `-`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (name, file) = if path == Path::new("-") {
            ("<stdin>".to_owned(), io::stdin().as_fd().try_clone_to_owned().map(File::from))
        } else {
            (path.display().to_string(), File::open(path))
        };
        let file = file.map_err(|e| Error::io(format!("cannot read {name}"), &e))?;
        let metadata = file.metadata().ok();
        Ok(Self { file, name, metadata })
    }

    /// Reads everything.
    pub(super) fn read(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes).map_err(|e| Error::io(format!("cannot read {}", self.name), &e))?;
        if bytes.is_empty() {
            return Err(Error::input(format!("{} is empty", self.name)));
        }
        Ok(bytes)
    }
}
