//! Input and output of a linker: files in a temporary folder that lives as long as the linker runs.

use std::fs;
use std::path::{Path, PathBuf};

use target_lexicon::{BinaryFormat, Triple};
use tempfile::TempDir;

use super::Inputs;
use crate::error::{Error, Result};

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
        let mut paths = Vec::new();
        let objects = inputs.objects.iter().enumerate().map(|(i, &bytes)| (format!("object{i}.o"), bytes));
        for (name, bytes) in objects.chain(inputs.archive.map(|bytes| ("libwasmelt_start.a".to_owned(), bytes))) {
            let path = dir.path().join(name);
            fs::write(&path, bytes).map_err(|e| Error::io(format!("cannot write {}", path.display()), &e))?;
            paths.push(path);
        }
        let name = match (target.binary_format, inputs.archive) {
            (BinaryFormat::Coff, Some(_)) => "program.exe",
            (BinaryFormat::Coff, None) => "program.dll",
            _ => "program",
        };
        let output = dir.path().join(name);
        Ok(Self { dir, inputs: paths, output })
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
