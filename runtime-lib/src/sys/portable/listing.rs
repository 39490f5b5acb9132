//! The entries of a directory in the form of `struct linux_dirent64`, with cookies that stay good.
//!
//! Systems differ in what a position in a directory is worth once files come and go, and cap-std has none. So an entry
//! gets a number when its name is first seen, and keeps it as long as the directory is open; a position is the number
//! of the entry before it. Starting from the front reads the directory again: names that are gone are dropped, new ones
//! get the next numbers. What appears behind a reader's position is found by it, as far as it appeared before the last
//! start from the front.

use std::collections::HashMap;
use std::vec::Vec;

use cap_std::fs::Dir;

use crate::sys::errno::Result;

use super::error::from_io;

/// An entry as it was read.
#[derive(Debug)]
pub(super) struct Entry {
    number: u64,
    pub(super) inode: u64,
    /// Type, as in `d_type`.
    pub(super) d_type: u8,
    pub(super) name: Vec<u8>,
}

/// The entries of an open directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Sorted by number; `None` before the first use.
    entries: Option<Vec<Entry>>,
    /// The highest number that was given.
    last: u64,
    /// Number of the entry that was passed on last.
    position: u64,
}

impl Listing {
    /// Continues behind the entry with this number.
    pub(super) fn seek(&mut self, dir: &Dir, position: u64) -> Result<()> {
        if position == 0 || self.entries.is_none() {
            self.refresh(dir)?;
        }
        self.position = position;
        Ok(())
    }

    /// Reads the directory, and numbers what is new.
    fn refresh(&mut self, dir: &Dir) -> Result<()> {
        let known: HashMap<Vec<u8>, u64> =
            self.entries.take().into_iter().flatten().map(|entry| (entry.name, entry.number)).collect();
        let mut entries = Vec::new();
        for entry in dir.entries().map_err(from_io)? {
            let entry = super::system::entry(&entry.map_err(from_io)?);
            let Some((inode, d_type, name)) = entry else { continue };
            let number = known.get(&name).copied().unwrap_or_else(|| {
                self.last += 1;
                self.last
            });
            entries.push(Entry { number, inode, d_type, name });
        }
        entries.sort_by_key(|entry| entry.number);
        self.entries = Some(entries);
        Ok(())
    }

    /// Fills the buffer with entries from the position on; how many bytes there are, none behind the last entry.
    pub(super) fn read(&mut self, dir: &Dir, buffer: &mut [u8]) -> Result<usize> {
        if self.entries.is_none() {
            self.refresh(dir)?;
        }
        let entries = self.entries.as_deref().unwrap_or_default();
        let first = entries.partition_point(|entry| entry.number <= self.position);
        let mut used = 0;
        for entry in entries.get(first..).unwrap_or_default() {
            let len = HEADER_BYTES + entry.name.len() + 1;
            let Some(place) = buffer.get_mut(used..).and_then(|rest| rest.get_mut(..len)) else { break };
            write(entry, place);
            used += len;
            self.position = entry.number;
        }
        Ok(used)
    }
}

/// Number, position, length and type.
const HEADER_BYTES: usize = 19;

/// Writes an entry into a place of its length.
fn write(entry: &Entry, place: &mut [u8]) {
    // Names of files have at most 255 bytes on the systems that there are.
    let len = place.len() as u16;
    let (inode, number, len) = (entry.inode.to_ne_bytes(), entry.number.to_ne_bytes(), len.to_ne_bytes());
    let parts: [&[u8]; 6] = [&inode, &number, &len, &[entry.d_type], &entry.name, &[0]];
    let bytes = parts.into_iter().flatten();
    for (place, &byte) in place.iter_mut().zip(bytes) {
        *place = byte;
    }
}
