//! Reading and writing through handles, straight from and to guest memory; sockets; random bytes.

use core::mem::MaybeUninit;
use std::io::IsTerminal as _;
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::PoisonError;

use crate::sys::errno::{Errno, Result};

use super::error::from_io;
use super::fs::{Handle, OwnedHandle};
use super::handles::Object;

pub use super::system::{
    RECEIVE_PEEK, RECEIVE_WAIT_ALL, read, read_at, receive, send, write_at, write_buffers as write,
};

/// A stretch of memory to read or write, as systems take it in lists: `struct iovec`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// First byte.
    pub base: *mut u8,
    /// Length in bytes.
    pub len_bytes: usize,
}

/// Fills `len_bytes` bytes with random ones, at most; how many were filled.
///
/// # Safety
/// The bytes are writable; nothing in Rust refers to them.
pub unsafe fn random(to: *mut u8, len_bytes: usize) -> Result<usize> {
    if len_bytes == 0 {
        return Ok(0);
    }
    // SAFETY: by this function's contract.
    let bytes = unsafe { core::slice::from_raw_parts_mut(to.cast::<MaybeUninit<u8>>(), len_bytes) };
    getrandom::fill_uninit(bytes).map(|filled| filled.len()).map_err(|error| {
        // Without a number of the system there is no source of random bytes.
        error.raw_os_error().map_or(Errno::Nosys, |number| from_io(std::io::Error::from_raw_os_error(number)))
    })
}

/// Reads directory entries in the form of `struct linux_dirent64` from the directory's current position.
pub fn directory_entries(handle: Handle, buffer: &mut [u8]) -> Result<usize> {
    match &*handle.object()? {
        Object::Directory(dir, listing) => listing.lock().unwrap_or_else(PoisonError::into_inner).read(dir, buffer),
        _ => Err(Errno::Notdir),
    }
}

/// Whether a handle is a terminal.
pub fn is_terminal(handle: Handle) -> bool {
    handle.object().is_ok_and(|object| match &*object {
        Object::Standard(0) => std::io::stdin().is_terminal(),
        Object::Standard(1) => std::io::stdout().is_terminal(),
        Object::Standard(_) => std::io::stderr().is_terminal(),
        Object::File(file) => file.is_terminal(),
        _ => false,
    })
}

/// An address of TCP.
#[derive(Clone, Copy, Debug)]
pub struct SocketAddress(SocketAddr);

impl SocketAddress {
    /// Of IPv4.
    pub fn v4(address: [u8; 4], port: u16) -> Self {
        Self(SocketAddr::from((address, port)))
    }

    /// Of IPv6.
    pub fn v6(address: [u8; 16], port: u16) -> Self {
        Self(SocketAddr::from((address, port)))
    }
}

/// Listens on an address.
pub fn listen(address: &SocketAddress) -> Result<OwnedHandle> {
    OwnedHandle::new(Object::Listener(TcpListener::bind(address.0).map_err(from_io)?))
}

/// Accepts a connection.
pub fn accept(handle: Handle, nonblocking: bool) -> Result<OwnedHandle> {
    let Object::Listener(listener) = &*handle.object()? else { return Err(Errno::Notsock) };
    let (connection, _) = listener.accept().map_err(from_io)?;
    connection.set_nonblocking(nonblocking).map_err(from_io)?;
    OwnedHandle::new(Object::Connection(connection))
}

/// Shuts down receiving (0), sending (1) or both (2).
pub fn shutdown(handle: Handle, how: u32) -> Result<()> {
    let object = handle.object()?;
    let how = match how {
        0 => Shutdown::Read,
        1 => Shutdown::Write,
        _ => Shutdown::Both,
    };
    match &*object {
        Object::Connection(connection) => connection.shutdown(how).map_err(from_io),
        Object::Socket(socket) => socket.shutdown(how).map_err(from_io),
        _ => Err(Errno::Notsock),
    }
}
