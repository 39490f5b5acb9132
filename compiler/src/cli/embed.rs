//! `--embed DIR::GUEST`: reads the files that become part of the executable.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::options::{EmbeddedFile, EmbeddedTree};

/// What the option says: a folder of the host, and the guest's name for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Embed {
    pub(super) host: String,
    pub(super) guest: String,
}

/// What 32-bit distances in the executable can reach, with room for code and data of the program.
const MAX_BYTES: u64 = 1 << 30;

/// Reads a folder and all below it, in the order of names. Links are followed as long as they stay inside.
pub(super) fn read(embed: &Embed, tree: usize, files: &mut Vec<EmbeddedFile>) -> Result<EmbeddedTree> {
    let root = fs::canonicalize(&embed.host).map_err(|e| Error::input(format!("cannot embed {}: {e}", embed.host)))?;
    let first = files.len();
    let mut reader = Reader { root: &root, tree, files, bytes: 0, depth: 0 };
    reader.folder(&root, "")?;
    let bytes = reader.bytes;
    let mut hasher = blake3::Hasher::new();
    for file in &files[first..] {
        for part in [file.path.as_bytes(), &file.bytes] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    let count = files[first..].iter().filter(|file| !file.path.ends_with('/')).count();
    let blake3 = hasher.finalize().to_hex().to_string();
    Ok(EmbeddedTree { guest: embed.guest.clone(), files: count as u64, bytes, blake3 })
}

struct Reader<'a> {
    root: &'a Path,
    tree: usize,
    files: &'a mut Vec<EmbeddedFile>,
    bytes: u64,
    depth: u32,
}

impl Reader<'_> {
    /// Reads a folder; `prefix` is its path below the root, with a slash behind it.
    fn folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        /// Deeper only by a link to a folder above itself.
        const MAX_DEPTH: u32 = 128;
        let failed = |e: std::io::Error| Error::input(format!("cannot embed {}: {e}", folder.display()));
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::input(format!("cannot embed {}: folders are nested too deeply", folder.display()))
                .hint("does a symbolic link lead back up?"));
        }
        let mut entries: Vec<PathBuf> = fs::read_dir(folder)
            .map_err(failed)?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<std::io::Result<_>>()
            .map_err(failed)?;
        entries.sort();
        if entries.is_empty() && !prefix.is_empty() {
            self.files.push(EmbeddedFile { tree: self.tree, path: prefix.to_owned(), bytes: Vec::new() });
        }
        for path in entries {
            self.entry(&path, prefix)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn entry(&mut self, path: &Path, prefix: &str) -> Result<()> {
        let failed = |why: &dyn std::fmt::Display| Error::input(format!("cannot embed {}: {why}", path.display()));
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| failed(&"its name is not UTF-8"))?;
        let real = fs::canonicalize(path).map_err(|e| failed(&e))?;
        if !real.starts_with(self.root) {
            return Err(failed(&format_args!("it is a link that leads out of {}", self.root.display())));
        }
        let metadata = fs::metadata(&real).map_err(|e| failed(&e))?;
        if metadata.is_dir() {
            return self.folder(&real, &format!("{prefix}{name}/"));
        }
        if !metadata.is_file() {
            return Err(failed(&"it is neither a file nor a folder"));
        }
        let mut bytes = Vec::new();
        let left = MAX_BYTES - self.bytes;
        let mut file = File::open(&real).map_err(|e| failed(&e))?.take(left + 1);
        file.read_to_end(&mut bytes).map_err(|e| failed(&e))?;
        if bytes.len() as u64 > left {
            return Err(failed(&"embedded files may have 1 GiB together"));
        }
        self.bytes += bytes.len() as u64;
        self.files.push(EmbeddedFile { tree: self.tree, path: format!("{prefix}{name}"), bytes });
        Ok(())
    }
}
