//! Input and output of a linker: files in a temporary folder that lives as long as the linker runs.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::error::{Error, Result};

/// Input and output of the linker in a temporary folder.
pub(super) struct Files {
    dir: TempDir,
}

impl Files {
    /// Writes the input files.
    pub(super) fn new(object: &[u8], archive: &[u8]) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("wasmelt-").tempdir();
        let files = Self { dir: dir.map_err(|e| Error::io("cannot create a temporary folder for the linker", &e))? };
        for (path, bytes) in [(files.object(), object), (files.archive(), archive)] {
            fs::write(&path, bytes).map_err(|e| Error::io(format!("cannot write {}", path.display()), &e))?;
        }
        Ok(files)
    }

    pub(super) fn object(&self) -> PathBuf {
        self.dir.path().join("program.o")
    }

    pub(super) fn archive(&self) -> PathBuf {
        self.dir.path().join("libwasmelt_start.a")
    }

    pub(super) fn output(&self) -> PathBuf {
        self.dir.path().join("program")
    }

    /// What the linker wrote.
    pub(super) fn read_output(&self) -> Result<Vec<u8>> {
        let missing = |e| Error::link(Error::io("the linker wrote no output", &e).to_string());
        fs::read(self.output()).map_err(missing)
    }
}
