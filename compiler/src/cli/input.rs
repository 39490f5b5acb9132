//! The input of a command: a file or standard input.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

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
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(folder(path, &name));
        }
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

/// The error for a folder, with the modules that may be meant.
fn folder(path: &Path, name: &str) -> Error {
    const MOST: usize = 5;
    let error = Error::input(format!("{name} is a folder, not a module"));
    let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_module =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension == "wasm" || extension == "wat");
    let mut modules: Vec<_> = entries.filter(is_module).collect();
    modules.sort();
    let list: Vec<_> = modules.iter().take(MOST).map(|path| format!("`{}`", path.display())).collect();
    match modules.len() {
        0 if path.join("Cargo.toml").exists() => error.hint(
            "`cargo build --release --target wasm32-wasip1` in the folder makes `target/wasm32-wasip1/release/NAME.wasm`",
        ),
        0 => error.hint("name the `.wasm` file"),
        n if n > MOST => error.hint(format!("the folder holds {} and {} more", list.join(", "), n - MOST)),
        _ => error.hint(format!("the folder holds {}", list.join(", "))),
    }
}
