//! Reading the entries of a directory.
//!
//! In come a directory and a cookie that an earlier entry carried, or 0; out come the entries from there on.
//!
//! `.` and `..` come first and are made here: a guest must not learn what lies above a root, so `..` carries the number of
//! the directory itself. The cookies of the other entries are the kernel's positions plus two. So cookies stay valid
//! while files come and go, and reading on takes the same time at every position.

use core::cell::Cell;
use core::ffi::CStr;

use crate::sys::errno::{Errno, Result};
use crate::sys::file::{FileType, Metadata, Whence};
use crate::sys::fs::{self, Handle, OFlags};
use crate::sys::io_stream;

use super::descriptor::Descriptor;
use super::entry::Entry;
use super::state::State;
use super::tree::request::Request;

/// How many cookies are made here: those behind `.` and `..`.
const OWN_COOKIES: u64 = 2;

/// Bytes of entries that the kernel is asked for at once.
const BUFFER_BYTES: usize = 4096;

/// The entries of a directory from some place on.
#[derive(Debug)]
pub struct Entries {
    handle: Handle,
    /// Entries that were made here so far.
    own: u64,
    at_end: bool,
    buffer: [u8; BUFFER_BYTES],
    start: usize,
    end: usize,
}

impl Entries {
    /// No entries yet. The buffer is filled in place, because it is too long to be moved around.
    fn unread(handle: Handle, cookie: u64) -> Self {
        let own = cookie.min(OWN_COOKIES);
        Self { handle, own, at_end: false, buffer: [0; BUFFER_BYTES], start: 0, end: 0 }
    }

    /// Calls `f` with each entry of an open directory from `cookie` on, until it returns false.
    pub fn for_each(
        state: impl State,
        fd: u32,
        cookie: u64,
        mut f: impl FnMut(&Entry<'_>) -> Result<bool>,
    ) -> Result<()> {
        let directory = state.any_directory(fd)?;
        if directory.is_of_tree() {
            return Self::for_each_of_tree(state, directory, cookie, f);
        }
        let mut entries = Self::unread(readable(state, fd)?, cookie);
        state.reading_directory(|| {
            entries.seek(cookie)?;
            while let Some(entry) = entries.next()? {
                if !f(&entry)? {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The same for a directory of a tree, whose entries are numbered.
    #[cold]
    fn for_each_of_tree(
        state: impl State,
        directory: Descriptor,
        cookie: u64,
        mut f: impl FnMut(&Entry<'_>) -> Result<bool>,
    ) -> Result<()> {
        let mut own = Metadata::UNKNOWN;
        state.ask_tree(Request::Metadata { descriptor: directory, result: &mut own })?;
        for number in cookie..u64::MAX {
            let name: &[u8] = if number == 0 { b"." } else { b".." };
            let entry = Cell::new(Entry { next_cookie: 0, inode: own.inode, file_type: FileType::Directory, name });
            if let Some(index) = number.checked_sub(OWN_COOKIES)
                && state.ask_tree(Request::Entry { directory, index, result: &entry })? == 0
            {
                break;
            }
            let entry = Entry { next_cookie: number + 1, ..entry.get() };
            if !f(&entry)? {
                break;
            }
        }
        Ok(())
    }

    /// Continues at `cookie`.
    fn seek(&mut self, cookie: u64) -> Result<()> {
        let position = i64::try_from(cookie.saturating_sub(OWN_COOKIES)).map_err(|_| Errno::Inval);
        match position.and_then(|position| fs::seek(self.handle, position, Whence::Start)) {
            // No entry ever carried this cookie: nothing follows it.
            Err(Errno::Inval) => self.at_end = true,
            result => {
                result?;
            }
        }
        Ok(())
    }

    /// The next entry; `None` behind the last one.
    fn next(&mut self) -> Result<Option<Entry<'_>>> {
        if self.at_end {
            return Ok(None);
        }
        if self.own < OWN_COOKIES {
            self.own += 1;
            let inode = fs::metadata(self.handle)?.inode;
            let name: &[u8] = if self.own == 1 { b"." } else { b".." };
            return Ok(Some(Entry { next_cookie: self.own, inode, file_type: FileType::Directory, name }));
        }
        let at = loop {
            if self.start >= self.end {
                self.end = io_stream::directory_entries(self.handle, &mut self.buffer)?;
                self.start = 0;
                if self.end == 0 {
                    self.at_end = true;
                    return Ok(None);
                }
            }
            let at = self.start;
            let record = Record::parse(&self.buffer, at, self.end).ok_or(Errno::Io)?;
            self.start += record.len_bytes;
            if !matches!(record.name.to_bytes(), b"." | b"..") {
                break at;
            }
        };
        let record = Record::parse(&self.buffer, at, self.end).ok_or(Errno::Io)?;
        Ok(Some(self.entry(&record)))
    }

    fn entry<'a>(&self, record: &Record<'a>) -> Entry<'a> {
        let file_type = FileType::from_entry(record.d_type).unwrap_or_else(|| {
            fs::metadata_at(self.handle, record.name).map_or(FileType::Unknown, |metadata| metadata.file_type)
        });
        Entry {
            next_cookie: record.position.wrapping_add(OWN_COOKIES),
            inode: record.inode,
            file_type,
            name: record.name.to_bytes(),
        }
    }
}

/// A directory's handle for reading its entries. One that is a mere location is opened again, once.
fn readable(state: impl State, fd: u32) -> Result<Handle> {
    let directory = state.directory(fd)?;
    if directory.flags & Descriptor::LOCATION == 0 {
        return Ok(directory.handle);
    }
    let opened = fs::open_one(directory.handle, c".", OFlags::RDONLY.union(OFlags::DIRECTORY))?;
    state.replace_location(fd, directory, opened)
}

/// An entry as the kernel writes it: `struct linux_dirent64`.
struct Record<'a> {
    inode: u64,
    position: u64,
    len_bytes: usize,
    d_type: u8,
    name: &'a CStr,
}

impl<'a> Record<'a> {
    fn parse(buffer: &'a [u8], at: usize, end: usize) -> Option<Self> {
        let bytes = buffer.get(at..end)?;
        let (&inode, rest) = bytes.split_first_chunk()?;
        let (&position, rest) = rest.split_first_chunk()?;
        let (&len, rest) = rest.split_first_chunk()?;
        let (&d_type, rest) = rest.split_first()?;
        Some(Self {
            inode: u64::from_ne_bytes(inode),
            position: u64::from_ne_bytes(position),
            len_bytes: usize::from(u16::from_ne_bytes(len)),
            d_type,
            name: CStr::from_bytes_until_nul(rest).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::path::Path;
    use std::collections::BTreeSet;
    use std::string::String;
    use std::vec::Vec;

    fn names_from(handle: Handle, cookie: u64) -> Vec<(u64, String)> {
        let mut entries = Entries::unread(handle, cookie);
        entries.seek(cookie).unwrap();
        let mut found = Vec::new();
        while let Some(entry) = entries.next().unwrap() {
            found.push((entry.next_cookie, String::from_utf8(entry.name.to_vec()).unwrap()));
        }
        found
    }

    #[test]
    fn every_cookie_continues_behind_its_entry() {
        let dir = crate::host::sandbox::test_directory("entries");
        let expected: BTreeSet<String> = (0..300).map(|i| format!("{i}-{}", "n".repeat(i % 90))).collect();
        for name in &expected {
            std::fs::write(dir.join(name), "").unwrap();
        }
        let path = Path::from_bytes(dir.to_str().unwrap().as_bytes()).unwrap();
        let location = fs::open_granted(path.as_c_str()).unwrap();
        let opened = fs::open_one(location.get(), c".", OFlags::DIRECTORY).unwrap();

        let all = names_from(opened.get(), 0);
        assert_eq!(all[0], (1, ".".into()));
        assert_eq!(all[1], (2, "..".into()));
        assert_eq!(all[2..].iter().map(|(_, name)| name.clone()).collect::<BTreeSet<_>>(), expected);
        assert_eq!(all.len(), 302);
        for (index, (cookie, _)) in all.iter().enumerate() {
            assert_eq!(names_from(opened.get(), *cookie), all[index + 1..]);
        }
        assert_eq!(names_from(opened.get(), u64::MAX), []);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
