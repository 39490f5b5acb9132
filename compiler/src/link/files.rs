//! Input and output of a linker: files in a temporary folder that lives as long as the linker runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use target_lexicon::{BinaryFormat, Triple};
use tempfile::TempDir;

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
    objects: Vec<PathBuf>,
    /// The runtime of an executable; what is linked without it becomes a shared library.
    archive: Option<PathBuf>,
    output: PathBuf,
}

/// Reads an input file of a linker.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::io(format!("cannot read {}", path.display()), &e))
}

impl Files {
    /// Writes the input files. The output is named as the target's system names such files: mingw-w64's gcc adds `.exe` to a
    /// name that has no extension.
    pub(super) fn new(objects: &[Vec<u8>], archive: Option<&[u8]>, target: &Triple) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("wasmelt-").tempdir();
        let dir = dir.map_err(|e| Error::io("cannot create a temporary folder for the linker", &e))?;
        FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).insert(dir.path().to_owned());
        let name = match (target.binary_format, archive) {
            (BinaryFormat::Coff, Some(_)) => "program.exe",
            (BinaryFormat::Coff, None) => "program.dll",
            _ => "program",
        };
        let output = dir.path().join(name);
        let mut files = Self { dir, objects: Vec::new(), archive: None, output };
        for (i, bytes) in objects.iter().enumerate() {
            files.objects.push(files.add(&format!("object{i}.o"), bytes)?);
        }
        files.archive = archive.map(|bytes| files.add("libwasmelt_start.a", bytes)).transpose()?;
        Ok(files)
    }

    /// Writes a further file; its path.
    pub(super) fn add(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).map_err(|e| Error::io(format!("cannot write {}", path.display()), &e))?;
        Ok(path)
    }

    /// Paths of the objects.
    pub(super) fn objects(&self) -> &[PathBuf] {
        &self.objects
    }

    /// The path of the archive.
    pub(super) fn archive(&self) -> Option<&Path> {
        self.archive.as_deref()
    }

    /// Paths of the objects, then of the archive.
    pub(super) fn inputs(&self) -> impl Iterator<Item = &PathBuf> {
        self.objects.iter().chain(&self.archive)
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
