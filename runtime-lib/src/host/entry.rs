//! An entry of a directory, of the operating system's or of a tree.

use crate::sys::file::FileType;

/// An entry of a directory.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Continues behind this entry.
    pub next_cookie: u64,
    /// Number of the file on its device.
    pub inode: u64,
    /// Type of the file.
    pub file_type: FileType,
    /// Name of the file, as the file system has it.
    pub name: &'a [u8],
}
