//! Handles: small numbers for what is open. The table here owns it; whoever uses it holds a share, so that closing a
//! handle in another thread never pulls a file away, and never gives its number to another one meanwhile.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use cap_std::fs::Dir;

use crate::sys::errno::{Errno, Result};

use super::listing::Listing;

/// An open file, directory, pipe or terminal. Copies do not own it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(u32);

/// What a handle stands for.
#[derive(Debug)]
pub(super) enum Object {
    /// Standard input, output or error, by its number.
    Standard(u32),
    /// A directory, and what is known of its entries.
    Directory(Arc<Dir>, Mutex<Listing>),
    /// A file that is named and not opened: a path below a directory, and whether a link at its end is followed.
    Location(Arc<Dir>, PathBuf, bool),
    /// A file, whatever its type.
    File(File),
    /// A socket that waits for connections.
    Listener(TcpListener),
    /// A connection.
    Connection(TcpStream),
    /// A socket of a component.
    Socket(socket2::Socket),
    /// Neither readable nor writable.
    Nothing,
}

impl Object {
    pub(super) fn directory(dir: Dir) -> Self {
        Self::Directory(Arc::new(dir), Mutex::new(Listing::default()))
    }
}

/// Handles below this are standard streams.
const FIRST: u32 = 3;

struct Table {
    objects: Vec<Option<Arc<Object>>>,
    free: Vec<u32>,
}

static TABLE: Mutex<Table> = Mutex::new(Table { objects: Vec::new(), free: Vec::new() });

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    /// Standard input.
    pub const STDIN: Handle = Handle(0);
    /// Standard output.
    pub const STDOUT: Handle = Handle(1);
    /// Standard error.
    pub const STDERR: Handle = Handle(2);

    /// The number of the handle.
    pub fn number(self) -> u32 {
        self.0
    }

    /// The handle with this number.
    pub fn from_number(number: u32) -> Self {
        Self(number)
    }

    fn index(self) -> Option<usize> {
        self.0.checked_sub(FIRST).map(|index| index as usize)
    }

    /// A share of what the handle stands for.
    pub(super) fn object(self) -> Result<Arc<Object>> {
        match self.index() {
            None => Ok(Arc::new(Object::Standard(self.0))),
            Some(index) => table().objects.get(index).cloned().flatten().ok_or(Errno::Badf),
        }
    }

    /// The directory that the handle stands for.
    pub(super) fn dir(self) -> Result<Arc<Dir>> {
        match &*self.object()? {
            Object::Directory(dir, _) => Ok(Arc::clone(dir)),
            _ => Err(Errno::Notdir),
        }
    }

    /// Puts something else in the place of what the handle stands for.
    fn put(self, object: Arc<Object>) -> Result<()> {
        let index = self.index().ok_or(Errno::Badf)?;
        let replaced = match table().objects.get_mut(index) {
            Some(place @ Some(_)) => place.replace(object),
            _ => return Err(Errno::Badf),
        };
        // Closed here, after the lock was given back.
        drop(replaced);
        Ok(())
    }

    /// Closes what the handle stands for, and makes it stand for something that can neither be read nor written nor
    /// be a directory. It is still to be closed.
    pub fn replace_by_nothing(self) -> Result<()> {
        self.put(Arc::new(Object::Nothing))
    }

    /// Closes what the handle stands for, and makes it stand for the same as `other`.
    pub fn replace_by(self, other: Handle) -> Result<()> {
        let object = other.object()?;
        if self.index().is_none() {
            return super::system::replace_standard_stream(self.0, &object);
        }
        self.put(object)
    }

    /// Closes the handle. Standard streams stay open: they belong to other processes as well.
    pub fn close(self) {
        let Some(index) = self.index() else { return };
        let mut table = table();
        let closed = table.objects.get_mut(index).and_then(Option::take);
        if closed.is_some() {
            table.free.push(self.0);
        }
        drop(table);
        drop(closed);
    }
}

/// A handle that is closed when it is dropped.
#[derive(Debug)]
pub struct OwnedHandle(Handle);

impl OwnedHandle {
    /// A handle for something new.
    pub(super) fn new(object: Object) -> Result<Self> {
        let object = Some(Arc::new(object));
        let mut table = table();
        if let Some(number) = table.free.pop() {
            let handle = Handle(number);
            if let Some(place) = handle.index().and_then(|index| table.objects.get_mut(index)) {
                *place = object;
            }
            return Ok(Self(handle));
        }
        let number = u32::try_from(table.objects.len()).ok().and_then(|len| len.checked_add(FIRST));
        table.objects.push(object);
        number.map(|number| Self(Handle(number))).ok_or(Errno::Mfile)
    }

    /// The handle, still owned by this value.
    pub fn get(&self) -> Handle {
        self.0
    }

    /// The handle, no longer owned.
    pub fn release(self) -> Handle {
        let handle = self.0;
        core::mem::forget(self);
        handle
    }
}

impl Drop for OwnedHandle {
    fn drop(&mut self) {
        self.0.close();
    }
}
