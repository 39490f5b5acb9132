//! `fd_read`, `fd_write`, `fd_pread`, `fd_pwrite`: moving bytes.

use crate::host::descriptor::{Descriptor, Kind};
use crate::host::descriptors;
use crate::host::guest_memory::GuestMemory;
use crate::host::streams::{Buffers, moved};
use crate::host::tree::request::{self, Request};
use crate::sys::errno::{Errno, Result};
use crate::sys::fs::Handle;
use crate::sys::io_stream::{self, Buffer};

use super::{memory, status};

/// Moves bytes between a handle and the buffers of a list, and writes how many.
#[inline]
fn transfer(
    memory: &GuestMemory,
    handle: Result<Handle>,
    list: (u32, u32),
    moved_at: u32,
    f: impl FnOnce(Handle, &[Buffer]) -> Result<usize>,
) -> Result<()> {
    let mut buffers = Buffers::new();
    buffers.read_guest(memory, list.0, list.1)?;
    let len = f(handle?, buffers.as_slice())?;
    memory.write_u32(moved_at, moved(len))
}

/// The embedded file that a number stands for, if it does.
fn embedded(fd: u32) -> Option<Descriptor> {
    descriptors::get(fd).ok().filter(|descriptor| descriptor.kind == Kind::TreeFile)
}

/// Reads from an embedded file.
#[cold]
fn read_embedded(
    memory: &GuestMemory,
    file: Descriptor,
    list: (u32, u32),
    read_at: u32,
    offset: Option<u64>,
) -> Result<()> {
    let mut buffers = Buffers::new();
    buffers.read_guest(memory, list.0, list.1)?;
    let len = request::call(Request::Read { file, buffers: buffers.as_slice(), offset })?;
    memory.write_u32(read_at, moved(len as usize))
}

/// What `fd_read` may read from.
fn readable(fd: u32) -> Result<Handle> {
    let descriptor = descriptors::get(fd)?;
    match descriptor.kind {
        Kind::Stdin | Kind::File | Kind::Socket => Ok(descriptor.handle),
        _ => Err(Errno::Badf),
    }
}

/// What `fd_write` may write to.
fn writable(fd: u32) -> Result<Handle> {
    let descriptor = descriptors::get(fd)?;
    match descriptor.kind {
        Kind::Output | Kind::File | Kind::Socket => Ok(descriptor.handle),
        _ => Err(Errno::Badf),
    }
}

/// What has positions; `stream` is the standard stream that reports to have none.
fn positioned(fd: u32, stream: Kind) -> Result<Handle> {
    let descriptor = descriptors::get(fd)?;
    match descriptor.kind {
        Kind::File => Ok(descriptor.handle),
        kind if kind == stream => Err(Errno::Spipe),
        _ => Err(Errno::Badf),
    }
}

/// Reads from the current position.
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(export_name = "wasi_snapshot_preview1.fd_read")]
pub unsafe extern "C" fn fd_read(vmctx: *mut u8, fd: u32, list: u32, list_len: u32, read_at: u32) -> u32 {
    // SAFETY: the caller's promise.
    let memory = unsafe { memory(vmctx) };
    if let Some(file) = embedded(fd) {
        return status(read_embedded(&memory, file, (list, list_len), read_at, None));
    }
    status(transfer(&memory, readable(fd), (list, list_len), read_at, |handle, buffers| {
        // SAFETY: the buffers lie in guest memory, which no Rust reference covers.
        unsafe { io_stream::read(handle, buffers) }
    }))
}

/// Writes at the current position. Where a pipe's reader is gone, the process ends by `SIGPIPE` as any other would.
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(export_name = "wasi_snapshot_preview1.fd_write")]
pub unsafe extern "C" fn fd_write(vmctx: *mut u8, fd: u32, list: u32, list_len: u32, written_at: u32) -> u32 {
    // SAFETY: the caller's promise.
    let memory = unsafe { memory(vmctx) };
    status(transfer(&memory, writable(fd), (list, list_len), written_at, |handle, buffers| {
        // SAFETY: the buffers lie in guest memory.
        unsafe { io_stream::write(handle, buffers) }
    }))
}

/// Reads from a given position and leaves the current one.
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(export_name = "wasi_snapshot_preview1.fd_pread")]
pub unsafe extern "C" fn fd_pread(vmctx: *mut u8, fd: u32, list: u32, list_len: u32, offset: u64, read_at: u32) -> u32 {
    // SAFETY: the caller's promise.
    let memory = unsafe { memory(vmctx) };
    if let Some(file) = embedded(fd) {
        return status(read_embedded(&memory, file, (list, list_len), read_at, Some(offset)));
    }
    status(transfer(&memory, positioned(fd, Kind::Stdin), (list, list_len), read_at, |handle, buffers| {
        // SAFETY: the buffers lie in guest memory, which no Rust reference covers.
        unsafe { io_stream::read_at(handle, buffers, offset) }
    }))
}

/// Writes at a given position and leaves the current one. A file that is open for appending is appended to.
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(export_name = "wasi_snapshot_preview1.fd_pwrite")]
pub unsafe extern "C" fn fd_pwrite(
    vmctx: *mut u8,
    fd: u32,
    list: u32,
    list_len: u32,
    offset: u64,
    written_at: u32,
) -> u32 {
    // SAFETY: the caller's promise.
    let memory = unsafe { memory(vmctx) };
    status(transfer(&memory, positioned(fd, Kind::Output), (list, list_len), written_at, |handle, buffers| {
        // SAFETY: the buffers lie in guest memory.
        unsafe { io_stream::write_at(handle, buffers, offset) }
    }))
}
