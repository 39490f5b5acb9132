//! Input and output of a linker: files in a temporary folder that lives as long as the linker runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use target_lexicon::{BinaryFormat, Triple};
use tempfile::TempDir;

use super::Inputs;
use crate::error::{Error, Result};

/// The folders that exist, for a process that ends while a linker runs.
static FOLDERS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Removes the files of all linkers that run. The process is to end then.
pub(super) fn remove_all() {
    let folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    for folder in &*folders {
        // A linker that writes at the same time finds no folder for its next file.
        let _ = fs::remove_dir_all(folder).or_else(|_| fs::remove_dir_all(folder));
    }
}

/// Input and output of the linker in a temporary folder.
pub(super) struct Files {
    dir: TempDir,
    inputs: Vec<PathBuf>,
    output: PathBuf,
}

impl Files {
    /// Writes the input files. The output is named as the target's system names such files: mingw-w64's gcc adds `.exe` to a
    /// name that has no extension.
    pub(super) fn new(inputs: Inputs<'_>, target: &Triple) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("wasmelt-").tempdir();
        let dir = dir.map_err(|e| Error::io("cannot create a temporary folder for the linker", &e))?;
        FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.path().to_owned());
        let name = match (target.binary_format, inputs.archive) {
            (BinaryFormat::Coff, Some(_)) => "program.exe",
            (BinaryFormat::Coff, None) => "program.dll",
            _ => "program",
        };
        let output = dir.path().join(name);
        let mut files = Self { dir, inputs: Vec::new(), output };
        let objects = inputs.objects.iter().enumerate().map(|(i, &bytes)| (format!("object{i}.o"), bytes));
        for (name, bytes) in objects.chain(inputs.archive.map(|bytes| ("libwasmelt_start.a".to_owned(), bytes))) {
            let path = files.dir.path().join(name);
            fs::write(&path, bytes).map_err(|e| Error::io(format!("cannot write {}", path.display()), &e))?;
            files.inputs.push(path);
        }
        Ok(files)
    }

    /// Paths of the objects, then of the archive.
    pub(super) fn inputs(&self) -> std::slice::Iter<'_, PathBuf> {
        self.inputs.iter()
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Where the linker writes.
    pub(super) fn output(&self) -> &Path {
        &self.output
    }

    /// What the linker wrote.
    pub(super) fn read_output(&self) -> Result<Vec<u8>> {
        let missing = |e| Error::link(Error::io("the linker wrote no output", &e).to_string());
        fs::read(self.output()).map_err(missing)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).remove(self.dir.path());
    }
}
