//! The descriptor table: guest numbers to handles of the operating system.
//!
//! In comes a number that nobody has checked; out comes what it stands for, or [`Errno::Badf`]. A guest can only name
//! what is in the table, and only granted directories and what was opened through them get in.

use core::cell::UnsafeCell;
use core::ptr;

use crate::sys::fs::{Handle, OwnedHandle};
use crate::sys::io_memory as memory;

use super::error::{Errno, Result};
use super::sandbox::Root;

/// What a descriptor stands for.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: the number is not in use.
    Free,
    /// Standard input.
    Stdin,
    /// Standard output or standard error.
    Output,
    /// A directory.
    Directory,
    /// A file, whatever its type.
    File,
    /// A connection that was accepted.
    Socket,
}

/// An entry of the table.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// The open file.
    pub handle: Handle,
    /// For a granted directory its index among the grants plus 1, otherwise 0.
    pub grant: u32,
    /// What it is.
    pub kind: Kind,
    /// [`Descriptor::READ_ONLY`], [`Descriptor::LOCATION`].
    pub flags: u8,
}

impl Descriptor {
    /// It was opened through a read-only grant: nothing may be changed through it.
    pub const READ_ONLY: u8 = 1;
    /// A directory that was opened as a mere location (`O_PATH`): its entries cannot be read through this handle.
    pub const LOCATION: u8 = 2;

    const FREE: Self = Self { handle: Handle::STDIN, grant: 0, kind: Kind::Free, flags: 0 };

    const fn standard(handle: Handle, kind: Kind) -> Self {
        Self { handle, grant: 0, kind, flags: 0 }
    }

    /// Fails where nothing may be changed through this descriptor.
    #[inline]
    pub fn check_writable(&self) -> Result<()> {
        if self.flags & Self::READ_ONLY != 0 { Err(Errno::Perm) } else { Ok(()) }
    }

    /// The directory that paths are relative to.
    #[inline]
    pub fn root(&self) -> Root {
        Root::new(self.handle)
    }

    /// Whether it is one of the three standard streams.
    #[inline]
    pub fn is_standard(&self) -> bool {
        matches!(self.kind, Kind::Stdin | Kind::Output)
    }
}

/// Descriptors that need no mapping of their own.
const FIRST_LEN: usize = 8;
/// The most descriptors that a guest may have; the operating system's limit is mostly lower.
const MAX_LEN: usize = 1 << 20;

/// A table of descriptors. It starts with the three standard streams, which its first use fills in: so the table of
/// the process is all zeros in an executable, and takes no room in the file.
#[derive(Debug)]
pub struct Table {
    is_open: bool,
    first: [Descriptor; FIRST_LEN],
    /// Descriptors from `FIRST_LEN` on, in a mapping that grows.
    more: *mut Descriptor,
    more_len: usize,
}

impl Table {
    /// A table that has not been used yet.
    #[allow(clippy::new_without_default, reason = "there is one table, made at compile time")]
    pub const fn new() -> Self {
        Self { is_open: false, first: [Descriptor::FREE; FIRST_LEN], more: ptr::null_mut(), more_len: 0 }
    }

    /// Fills in the standard streams.
    #[cold]
    #[inline(never)]
    fn open(&mut self) {
        self.is_open = true;
        self.first[0] = Descriptor::standard(Handle::STDIN, Kind::Stdin);
        self.first[1] = Descriptor::standard(Handle::STDOUT, Kind::Output);
        self.first[2] = Descriptor::standard(Handle::STDERR, Kind::Output);
    }

    /// The place of a number, in use or not; `None` beyond the table.
    #[inline]
    fn slot(&mut self, fd: u32) -> Option<&mut Descriptor> {
        if !self.is_open {
            self.open();
        }
        let fd = fd as usize;
        if fd < FIRST_LEN {
            return self.first.get_mut(fd);
        }
        let index = fd - FIRST_LEN;
        // SAFETY: `more` holds `more_len` initialised descriptors.
        (index < self.more_len).then(|| unsafe { &mut *self.more.add(index) })
    }

    /// What a number stands for.
    #[inline]
    pub fn get(&mut self, fd: u32) -> Result<Descriptor> {
        match self.slot(fd) {
            Some(descriptor) if descriptor.kind != Kind::Free => Ok(*descriptor),
            _ => Err(Errno::Badf),
        }
    }

    /// Puts a descriptor at a number that is in use or was reserved.
    pub fn set(&mut self, fd: u32, descriptor: Descriptor) -> Result<()> {
        *self.slot(fd).ok_or(Errno::Badf)? = descriptor;
        Ok(())
    }

    /// Takes a descriptor out.
    pub fn take(&mut self, fd: u32) -> Result<Descriptor> {
        match self.slot(fd) {
            Some(slot) if slot.kind != Kind::Free => Ok(core::mem::replace(slot, Descriptor::FREE)),
            _ => Err(Errno::Badf),
        }
    }

    /// The lowest free number, for which there is room from now on.
    pub fn reserve(&mut self) -> Result<u32> {
        let mut fd = 0;
        while let Some(slot) = self.slot(fd) {
            if slot.kind == Kind::Free {
                return Ok(fd);
            }
            fd += 1;
        }
        self.grow()?;
        Ok(fd)
    }

    /// Makes room for more descriptors.
    fn grow(&mut self) -> Result<()> {
        const SIZE: usize = size_of::<Descriptor>();
        let new_len = if self.more_len == 0 { 4096 / SIZE } else { self.more_len * 2 };
        if new_len > MAX_LEN {
            return Err(Errno::Mfile);
        }
        let new = memory::map(new_len * SIZE)?.cast::<Descriptor>();
        for index in 0..new_len {
            let descriptor = if index < self.more_len {
                // SAFETY: `more` holds `more_len` initialised descriptors.
                unsafe { self.more.add(index).read() }
            } else {
                Descriptor::FREE
            };
            // SAFETY: the mapping has room for `new_len` descriptors.
            unsafe { new.add(index).write(descriptor) };
        }
        if self.more_len != 0 {
            // SAFETY: the old mapping is given up here.
            unsafe { memory::unmap(self.more.cast(), self.more_len * SIZE) };
        }
        (self.more, self.more_len) = (new, new_len);
        Ok(())
    }
}

/// The table of the process.
struct Global(UnsafeCell<Table>);

// SAFETY: a program has one thread, which runs the guest and its host functions; each function below keeps its borrow
// of the table to itself and calls nothing that would borrow it again.
unsafe impl Sync for Global {}

static TABLE: Global = Global(UnsafeCell::new(Table::new()));

/// Runs `f` on the table of the process. `f` must not call functions of this module.
#[inline]
fn with<T>(f: impl FnOnce(&mut Table) -> T) -> T {
    // SAFETY: see `Global`.
    f(unsafe { &mut *TABLE.0.get() })
}

/// What a number stands for.
#[inline]
pub fn get(fd: u32) -> Result<Descriptor> {
    with(|table| table.get(fd))
}

/// What a number stands for, which must be a file.
#[inline]
pub fn file(fd: u32) -> Result<Descriptor> {
    match get(fd)? {
        file if file.kind == Kind::File => Ok(file),
        _ => Err(Errno::Badf),
    }
}

/// What a number stands for, which must be a directory.
#[inline]
pub fn directory(fd: u32) -> Result<Descriptor> {
    match get(fd)? {
        directory if directory.kind == Kind::Directory => Ok(directory),
        _ => Err(Errno::Badf),
    }
}

/// A number that is free and stays so until [`set`]; to be asked for before something is opened, so that no file is
/// created which then has no place.
pub fn reserve() -> Result<u32> {
    with(Table::reserve)
}

/// Puts a newly opened handle at the number that was reserved for it.
pub fn set(fd: u32, handle: OwnedHandle, kind: Kind, flags: u8, grant: u32) -> Result<()> {
    let descriptor = Descriptor { handle: handle.get(), grant, kind, flags };
    with(|table| table.set(fd, descriptor))?;
    // From here on the table owns it.
    let _ = handle.release();
    Ok(())
}

/// Replaces a directory's handle by one that can read entries.
pub(super) fn replace_location(fd: u32, handle: OwnedHandle) -> Result<()> {
    let old = get(fd)?;
    set(fd, handle, old.kind, old.flags & !Descriptor::LOCATION, old.grant)?;
    old.handle.close();
    Ok(())
}

/// Closes a number. The process's own standard streams stay open: a message about a trap must not end up in a file
/// that later got the number of standard error.
pub fn close(fd: u32) -> Result<()> {
    let descriptor = with(|table| table.take(fd))?;
    if !descriptor.is_standard() {
        descriptor.handle.close();
    }
    Ok(())
}

/// Makes `to`, which is closed, stand for what `from` stood for.
pub fn renumber(from: u32, to: u32) -> Result<()> {
    get(from)?;
    get(to)?;
    if from == to {
        return Ok(());
    }
    close(to)?;
    with(|table| table.take(from).and_then(|descriptor| table.set(to, descriptor)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_lowest_free_ones() {
        let mut table = Table::new();
        assert_eq!(table.get(0).unwrap().kind, Kind::Stdin);
        assert_eq!(table.get(2).unwrap().kind, Kind::Output);
        assert!(table.get(3).is_err() && table.get(u32::MAX).is_err());
        for expected in 3..1000 {
            let fd = table.reserve().unwrap();
            assert_eq!(fd, expected);
            table.set(fd, Descriptor { kind: Kind::File, grant: fd, ..Descriptor::FREE }).unwrap();
        }
        for fd in 3..1000 {
            assert_eq!(table.get(fd).unwrap().grant, fd);
        }
        assert_eq!(table.take(500).unwrap().grant, 500);
        assert_eq!(table.take(7).unwrap().grant, 7);
        assert!(table.take(7).is_err());
        assert_eq!(table.reserve(), Ok(7));
        assert!(table.set(1 << 20, Descriptor::FREE).is_err());
    }
}
