//! Handles of components: the numbers by which a guest knows resources of the host.
//!
//! In comes an unchecked number of the guest; out comes what it stands for, or `None`. Handles belong to a component
//! instance: those of one mean nothing to another.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: a resource of the host is reached through this table alone. A guest gets a handle for what the     ║
//! ║ policy grants and for what it opens through that; no other entry ever exists.                                ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use core::cell::UnsafeCell;
use core::ptr;

use crate::host::descriptors;
use crate::host::state::{Process, State as _};
use crate::sys::errno::{Errno, Result};
use crate::sys::io_memory;

/// What a handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Nothing.
    Free,
    /// `pollable`: it is ready at once.
    Ready,
    /// `pollable`: ready when the monotonic clock shows this.
    At(u64),
    /// `pollable`: ready when this descriptor can be read.
    Readable(u32),
    /// `pollable`: ready when this descriptor can be written to.
    Writable(u32),
    /// `input-stream` of a descriptor, from a position where it has any.
    Input {
        /// Number of the descriptor.
        fd: u32,
        /// Where the next byte is; of no meaning for streams.
        position: u64,
    },
    /// `output-stream` of a descriptor.
    Output {
        /// Number of the descriptor.
        fd: u32,
        /// Where the next byte goes; `None` at the end of the file.
        position: Option<u64>,
    },
    /// `error` of a stream.
    Error(Errno),
    /// `descriptor` of a file or directory, by its number.
    Descriptor(u32),
    /// `directory-entry-stream`.
    Entries {
        /// Number of the descriptor.
        fd: u32,
        /// Which entry is next.
        cookie: u64,
    },
    /// `terminal-input`.
    TerminalInput,
    /// `terminal-output`.
    TerminalOutput,
    /// `network`, on which nothing is granted.
    Network,
}

impl Resource {
    /// The descriptor that must stay open as long as this exists.
    fn descriptor(self) -> Option<u32> {
        match self {
            Self::Input { fd, .. } | Self::Output { fd, .. } | Self::Descriptor(fd) | Self::Entries { fd, .. } => {
                Some(fd)
            }
            _ => None,
        }
    }
}

/// An entry of the table.
#[derive(Clone, Copy, Debug)]
struct Entry {
    resource: Resource,
    /// The component instance whose handle it is.
    component: u32,
}

const FREE: Entry = Entry { resource: Resource::Free, component: 0 };

/// Handles that need no mapping of their own; number 0 is none.
const FIRST_LEN: usize = 32;

/// The most handles that a program may have.
const MAX_LEN: usize = 1 << 20;

/// All handles of the program.
struct Table {
    first: [Entry; FIRST_LEN],
    /// Entries from `FIRST_LEN` on, in a mapping that grows.
    more: *mut Entry,
    more_len: usize,
}

struct Global(UnsafeCell<Table>);

// SAFETY: programs that were components have one thread, and each function below keeps its borrow to itself.
unsafe impl Sync for Global {}

static TABLE: Global = Global(UnsafeCell::new(Table { first: [FREE; FIRST_LEN], more: ptr::null_mut(), more_len: 0 }));

impl Table {
    fn slot(&mut self, handle: u32) -> Option<&mut Entry> {
        let index = handle as usize;
        match index.checked_sub(FIRST_LEN) {
            None => self.first.get_mut(index),
            // SAFETY: `more` holds `more_len` initialised entries.
            Some(index) if index < self.more_len => Some(unsafe { &mut *self.more.add(index) }),
            Some(_) => None,
        }
    }

    fn insert(&mut self, entry: Entry) -> Result<u32> {
        // 0 is no handle.
        let mut handle = 1;
        loop {
            match self.slot(handle) {
                Some(slot) if slot.resource == Resource::Free => {
                    *slot = entry;
                    return Ok(handle);
                }
                Some(_) => handle += 1,
                None => self.grow()?,
            }
        }
    }

    fn grow(&mut self) -> Result<()> {
        const SIZE: usize = size_of::<Entry>();
        let new_len = if self.more_len == 0 { 4096 / SIZE } else { self.more_len * 2 };
        if new_len > MAX_LEN {
            return Err(Errno::Mfile);
        }
        let new = io_memory::map(new_len * SIZE)?.cast::<Entry>();
        for index in 0..new_len {
            let old = self.slot((FIRST_LEN + index) as u32).map_or(FREE, |entry| *entry);
            // SAFETY: the mapping has room for `new_len` entries.
            unsafe { new.add(index).write(old) };
        }
        if self.more_len != 0 {
            // SAFETY: the old mapping is given up here.
            unsafe { io_memory::unmap(self.more.cast(), self.more_len * SIZE) };
        }
        (self.more, self.more_len) = (new, new_len);
        Ok(())
    }

    /// Whether a descriptor belongs to any handle.
    fn uses(&mut self, fd: u32) -> bool {
        let len = FIRST_LEN + self.more_len;
        (0..len as u32).any(|handle| self.slot(handle).is_some_and(|entry| entry.resource.descriptor() == Some(fd)))
    }
}

fn with<T>(f: impl FnOnce(&mut Table) -> T) -> T {
    // SAFETY: see `Global`; `f` calls nothing that would borrow the table again.
    f(unsafe { &mut *TABLE.0.get() })
}

/// A new handle of a component instance: the lowest number that is free.
#[inline(never)]
pub fn insert(component: u32, resource: Resource) -> Result<u32> {
    with(|table| table.insert(Entry { resource, component }))
}

/// What a handle of a component instance stands for.
#[inline(never)]
pub fn get(component: u32, handle: u32) -> Option<Resource> {
    let entry = with(|table| table.slot(handle).copied())?;
    (entry.component == component && entry.resource != Resource::Free).then_some(entry.resource)
}

/// Changes what a handle stands for.
pub fn set(handle: u32, resource: Resource) {
    with(|table| {
        if let Some(entry) = table.slot(handle) {
            entry.resource = resource;
        }
    });
}

/// Frees a handle. A descriptor that no other handle uses is closed, unless it was granted: a grant can be asked for again.
#[inline(never)]
pub fn remove(handle: u32) {
    let fd = with(|table| {
        let entry = table.slot(handle)?;
        let fd = core::mem::replace(entry, FREE).resource.descriptor()?;
        (!table.uses(fd)).then_some(fd)
    });
    if let Some(fd) = fd
        && descriptors::get(fd).is_ok_and(|descriptor| !descriptor.is_grant() && !descriptor.is_standard())
    {
        // It was just found.
        let _ = Process.close(fd);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_the_lowest_free_ones_and_belong_to_one_component() {
        let mut table = Table { first: [FREE; FIRST_LEN], more: ptr::null_mut(), more_len: 0 };
        let entry = |fd| Entry { resource: Resource::Input { fd, position: 0 }, component: 0 };
        for expected in 1..1000 {
            assert_eq!(table.insert(entry(expected)), Ok(expected));
        }
        *table.slot(500).unwrap() = FREE;
        *table.slot(7).unwrap() = FREE;
        assert!(!table.uses(500) && table.uses(999));
        assert_eq!(
            (table.insert(entry(1)), table.insert(entry(1)), table.insert(entry(1))),
            (Ok(7), Ok(500), Ok(1000))
        );

        let handle = insert(3, Resource::Network).unwrap();
        assert_eq!(get(3, handle), Some(Resource::Network));
        assert_eq!((get(2, handle), get(3, 0), get(3, u32::MAX)), (None, None, None));
        remove(handle);
        assert_eq!(get(3, handle), None);
    }
}
