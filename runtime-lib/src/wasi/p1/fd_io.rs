//! `fd_read`, `fd_write`, `fd_pread`, `fd_pwrite`: moving bytes.

use crate::host::descriptor::{Descriptor, Kind};
use crate::host::guest_memory::GuestMemory;
use crate::host::state::State;
use crate::host::streams::{Buffers, moved};
use crate::host::tree::request::Request;
use crate::sys::errno::{Errno, Result};
use crate::sys::fs::Handle;
use crate::sys::io_stream::{self, Buffer};
use crate::wasi::caller::Caller;

/// Moves bytes between a handle and the buffers of a list, and writes how many.
#[inline]
fn transfer<T>(
    memory: &GuestMemory,
    file: Result<T>,
    list: (u32, u32),
    moved_at: u32,
    f: impl FnOnce(T, &[Buffer]) -> Result<usize>,
) -> Result<()> {
    let mut buffers = Buffers::new();
    buffers.read_guest(memory, list.0, list.1)?;
    let len = f(file?, buffers.as_slice())?;
    memory.write_u32(moved_at, moved(len))
}

/// The embedded file that a number stands for, if it does.
fn embedded(state: impl State, fd: u32) -> Option<Descriptor> {
    state.get(fd).ok().filter(|descriptor| descriptor.kind == Kind::TreeFile)
}

/// Reads from an embedded file.
#[cold]
fn read_embedded(
    state: impl State,
    memory: &GuestMemory,
    file: Descriptor,
    list: (u32, u32),
    read_at: u32,
    offset: Option<u64>,
) -> Result<()> {
    let mut buffers = Buffers::new();
    buffers.read_guest(memory, list.0, list.1)?;
    let len = state.ask_tree(Request::Read { file, buffers: buffers.as_slice(), offset })?;
    memory.write_u32(read_at, moved(len as usize))
}

/// What `fd_read` may read from.
fn readable<S: State>(state: S, fd: u32) -> Result<S::Stream> {
    let descriptor = state.get(fd)?;
    match descriptor.kind {
        Kind::Stdin | Kind::File | Kind::Socket => Ok(state.stream(descriptor.kind, descriptor.handle)),
        _ => Err(Errno::Badf),
    }
}

/// What `fd_write` may write to.
fn writable<S: State>(state: S, fd: u32) -> Result<S::Stream> {
    let descriptor = state.get(fd)?;
    match descriptor.kind {
        Kind::Output | Kind::File | Kind::Socket => Ok(state.stream(descriptor.kind, descriptor.handle)),
        _ => Err(Errno::Badf),
    }
}

/// What has positions; `stream` is the standard stream that reports to have none.
fn positioned(state: impl State, fd: u32, stream: Kind) -> Result<Handle> {
    let descriptor = state.get(fd)?;
    match descriptor.kind {
        Kind::File => Ok(descriptor.handle),
        kind if kind == stream => Err(Errno::Spipe),
        _ => Err(Errno::Badf),
    }
}

/// Reads from the current position.
#[inline(always)]
pub fn fd_read(caller: impl Caller, fd: u32, list: u32, list_len: u32, read_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    if let Some(file) = embedded(state, fd) {
        return read_embedded(state, &memory, file, (list, list_len), read_at, None);
    }
    transfer(&memory, readable(state, fd), (list, list_len), read_at, |file, buffers| {
        // SAFETY: the buffers lie in guest memory, which no Rust reference covers.
        unsafe { state.read(file, buffers) }
    })
}

/// Writes at the current position. Where a pipe's reader is gone, the process ends by `SIGPIPE` as any other would.
#[inline(always)]
pub fn fd_write(caller: impl Caller, fd: u32, list: u32, list_len: u32, written_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    transfer(&memory, writable(state, fd), (list, list_len), written_at, |file, buffers| {
        // SAFETY: the buffers lie in guest memory.
        unsafe { state.write(file, buffers) }
    })
}

/// Reads from a given position and leaves the current one.
#[inline(always)]
pub fn fd_pread(caller: impl Caller, fd: u32, list: u32, list_len: u32, offset: u64, read_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    if let Some(file) = embedded(state, fd) {
        return read_embedded(state, &memory, file, (list, list_len), read_at, Some(offset));
    }
    transfer(&memory, positioned(state, fd, Kind::Stdin), (list, list_len), read_at, |file, buffers| {
        // SAFETY: the buffers lie in guest memory, which no Rust reference covers.
        unsafe { io_stream::read_at(file, buffers, offset) }
    })
}

/// Writes at a given position and leaves the current one. A file that is open for appending is appended to.
#[inline(always)]
pub fn fd_pwrite(caller: impl Caller, fd: u32, list: u32, list_len: u32, offset: u64, written_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    transfer(&memory, positioned(state, fd, Kind::Output), (list, list_len), written_at, |file, buffers| {
        // SAFETY: the buffers lie in guest memory.
        unsafe { io_stream::write_at(file, buffers, offset) }
    })
}
