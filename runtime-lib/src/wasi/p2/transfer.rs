//! Moving bytes between descriptors and streams. What is read lies in a buffer of the host until the guest has allocated
//! exactly as much: lists have the length that was read, not the one that was asked for.

use core::cell::UnsafeCell;

use crate::host::descriptor::{Descriptor, Kind};
use crate::host::poll::{Waiter, Watch};
use crate::host::state::State;
use crate::host::tree::request::Request;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::Whence;
use crate::sys::fs::{self, Handle};
use crate::sys::io_stream::{self, Buffer};

use super::call::{Call, Component};

/// The most bytes that one call reads.
pub const BUFFER_BYTES: usize = 1 << 16;

/// Where bytes lie between the system and the guest of an executable.
struct Shared(UnsafeCell<[u8; BUFFER_BYTES]>);

// SAFETY: programs that were components have one thread, and no host function runs within another one.
unsafe impl Sync for Shared {}

static BUFFER: Shared = Shared(UnsafeCell::new([0; BUFFER_BYTES]));

/// The buffer of an executable.
pub(super) fn buffer_of_process() -> *mut [u8; BUFFER_BYTES] {
    BUFFER.0.get()
}

/// The first `len` bytes of the buffer: what was read last.
pub(super) fn buffered<'a, C: Component>(call: Call<C>, len: usize) -> &'a [u8] {
    // SAFETY: the buffer is the call's, see `Component::buffer`. Nothing writes to it before the calling host function is
    // done with what it read.
    unsafe { &*call.guest().buffer() }.get(..len).unwrap_or_default()
}

/// The buffer for the system, with room for at most `len` bytes.
fn room<C: Component>(call: Call<C>, len: u64) -> Buffer {
    let len_bytes = usize::try_from(len).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
    Buffer { base: call.guest().buffer().cast(), len_bytes }
}

/// So many bytes of the buffer, all zero.
pub(super) fn zeroed(call: Call, len: usize) -> *mut u8 {
    let start = call.guest().buffer().cast::<u8>();
    // SAFETY: no more than the buffer, which nothing refers to.
    unsafe { start.write_bytes(0, len.min(BUFFER_BYTES)) };
    start
}

/// Receives from a connection; how many bytes are in the buffer then, 0 at the end.
pub(super) fn receive(call: Call, handle: Handle, len: u64) -> Result<usize> {
    // SAFETY: the buffer is the host's, and nothing refers to what it holds, see `buffered`.
    unsafe { io_stream::read(handle, &[room(call, len)]) }
}

/// Reads at a position; how many bytes are in the buffer then, 0 at the end.
pub(super) fn read_at<C: Component>(call: Call<C>, descriptor: Descriptor, len: u64, offset: u64) -> Result<usize> {
    let buffers = [room(call, len)];
    match descriptor.kind {
        Kind::TreeFile => {
            let request = Request::Read { file: descriptor, buffers: &buffers, offset: Some(offset) };
            call.state().ask_tree(request).map(|len| len as usize)
        }
        // SAFETY: the buffer is the host's, and nothing refers to what it holds, see `buffered`.
        Kind::File => match unsafe { io_stream::read_at(descriptor.handle, &buffers, offset) } {
            // What has no positions: a pipe with a name, a device.
            Err(Errno::Spipe) => read(call, descriptor, len, true).map(Option::unwrap_or_default),
            result => result,
        },
        Kind::Directory | Kind::TreeDirectory => Err(Errno::Isdir),
        _ => Err(Errno::Badf),
    }
}

/// Reads what comes next; how many bytes are in the buffer then, 0 at the end, or `None` where nothing is there yet.
pub(super) fn read<C: Component>(
    call: Call<C>,
    descriptor: Descriptor,
    len: u64,
    blocks: bool,
) -> Result<Option<usize>> {
    let state = call.state();
    loop {
        if !blocks && !is_ready(state, descriptor, Watch::READABLE)? {
            return Ok(None);
        }
        // SAFETY: as in `read_at`.
        match unsafe { state.read(state.stream(descriptor.kind, descriptor.handle), &[room(call, len)]) } {
            Err(Errno::Again) if blocks => wait_for(state, descriptor, Watch::READABLE)?,
            Err(Errno::Again) => return Ok(None),
            result => return result.map(Some),
        }
    }
}

/// Writes all of the bytes, at a position or at the end.
///
/// # Safety
/// The bytes are readable.
pub(super) unsafe fn write(
    state: impl State,
    fd: u32,
    position: Option<u64>,
    start: *mut u8,
    len: usize,
) -> Result<()> {
    let descriptor = state.get(fd)?;
    let mut done = 0;
    while done < len {
        let buffers = [Buffer { base: start.wrapping_add(done), len_bytes: len - done }];
        let position = position.map(|position| position.saturating_add(done as u64));
        // SAFETY: a part of the caller's bytes.
        match unsafe { write_some(state, descriptor, position, &buffers) } {
            Err(Errno::Again) => wait_for(state, descriptor, Watch::WRITABLE)?,
            Ok(0) => return Err(Errno::Io),
            result => done += result?,
        }
    }
    Ok(())
}

/// # Safety
/// The buffers are readable.
unsafe fn write_some(
    state: impl State,
    descriptor: Descriptor,
    position: Option<u64>,
    buffers: &[Buffer],
) -> Result<usize> {
    let (kind, handle) = (descriptor.kind, descriptor.handle);
    // SAFETY: by this function's contract.
    let write = || unsafe { state.write(state.stream(kind, handle), buffers) };
    match (kind, position) {
        (Kind::Output | Kind::Socket, _) => write(),
        // SAFETY: by this function's contract.
        (Kind::File, Some(offset)) => match unsafe { io_stream::write_at(handle, buffers, offset) } {
            // What has no positions is written to as it comes.
            Err(Errno::Spipe) => write(),
            result => result,
        },
        (Kind::File, None) => {
            match fs::seek(handle, 0, Whence::End) {
                Ok(_) | Err(Errno::Spipe) => {}
                Err(error) => return Err(error),
            }
            write()
        }
        _ => Err(Errno::Badf),
    }
}

/// Whether something is ready now.
fn is_ready(state: impl State, descriptor: Descriptor, events: u16) -> Result<bool> {
    let Some(handle) = state.handle_to_watch(descriptor) else { return Ok(true) };
    let mut waiter = Waiter::new(state, 1)?;
    waiter.watch(handle, events)?;
    waiter.wake_at(0);
    waiter.wait()?;
    Ok(waiter.found(0) != 0)
}

fn wait_for(state: impl State, descriptor: Descriptor, events: u16) -> Result<()> {
    // What is always ready and yet is not would be asked forever.
    let handle = state.handle_to_watch(descriptor).ok_or(Errno::Io)?;
    let mut waiter = Waiter::new(state, 1)?;
    waiter.watch(handle, events)?;
    waiter.wait().map(|_| ())
}
