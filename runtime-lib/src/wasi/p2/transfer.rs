//! Moving bytes between descriptors and streams. What is read lies in a buffer of the host until the guest has allocated
//! exactly as much: lists have the length that was read, not the one that was asked for.

use core::cell::UnsafeCell;

use crate::host::descriptor::{Descriptor, Kind};
use crate::host::descriptors;
use crate::host::poll::{Waiter, Watch};
use crate::host::state::Process;
use crate::host::tree::request::{self, Request};
use crate::sys::errno::{Errno, Result};
use crate::sys::file::Whence;
use crate::sys::fs::{self, Handle};
use crate::sys::io_stream::{self, Buffer};

/// The most bytes that one call reads.
pub(super) const BUFFER_BYTES: usize = 1 << 16;

/// Where bytes lie between the system and the guest.
struct Shared(UnsafeCell<[u8; BUFFER_BYTES]>);

// SAFETY: programs that were components have one thread, and no host function runs within another one.
unsafe impl Sync for Shared {}

static BUFFER: Shared = Shared(UnsafeCell::new([0; BUFFER_BYTES]));

/// The first `len` bytes of the buffer: what was read last.
pub(super) fn buffered(len: usize) -> &'static [u8] {
    // SAFETY: nothing writes to the buffer before the calling host function is done with what it read.
    unsafe { &*BUFFER.0.get() }.get(..len).unwrap_or_default()
}

/// The buffer for the system, with room for at most `len` bytes.
fn room(len: u64) -> Buffer {
    let len_bytes = usize::try_from(len).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
    Buffer { base: BUFFER.0.get().cast(), len_bytes }
}

/// Reads at a position; how many bytes are in the buffer then, 0 at the end.
pub(super) fn read_at(descriptor: Descriptor, len: u64, offset: u64) -> Result<usize> {
    let buffers = [room(len)];
    match descriptor.kind {
        Kind::TreeFile => {
            let request = Request::Read { file: descriptor, buffers: &buffers, offset: Some(offset) };
            request::call(request).map(|len| len as usize)
        }
        // SAFETY: the buffer is the host's, and nothing refers to what it holds, see `buffered`.
        Kind::File => match unsafe { io_stream::read_at(descriptor.handle, &buffers, offset) } {
            // What has no positions: a pipe with a name, a device.
            Err(Errno::Spipe) => read(descriptor, len, true).map(Option::unwrap_or_default),
            result => result,
        },
        Kind::Directory | Kind::TreeDirectory => Err(Errno::Isdir),
        _ => Err(Errno::Badf),
    }
}

/// Reads what comes next; how many bytes are in the buffer then, 0 at the end, or `None` where nothing is there yet.
pub(super) fn read(descriptor: Descriptor, len: u64, blocks: bool) -> Result<Option<usize>> {
    let handle = descriptor.handle;
    loop {
        if !blocks && !is_ready(handle, Watch::READABLE)? {
            return Ok(None);
        }
        // SAFETY: as in `read_at`.
        match unsafe { io_stream::read(handle, &[room(len)]) } {
            Err(Errno::Again) if blocks => wait_for(handle, Watch::READABLE)?,
            Err(Errno::Again) => return Ok(None),
            result => return result.map(Some),
        }
    }
}

/// Writes all of the bytes, at a position or at the end.
///
/// # Safety
/// The bytes are readable.
pub(super) unsafe fn write(fd: u32, position: Option<u64>, start: *mut u8, len: usize) -> Result<()> {
    let descriptor = descriptors::get(fd)?;
    let mut done = 0;
    while done < len {
        let buffers = [Buffer { base: start.wrapping_add(done), len_bytes: len - done }];
        // SAFETY: a part of the caller's bytes.
        match unsafe { write_some(descriptor, position.map(|position| position.saturating_add(done as u64)), &buffers) }
        {
            Err(Errno::Again) => wait_for(descriptor.handle, Watch::WRITABLE)?,
            Ok(0) => return Err(Errno::Io),
            result => done += result?,
        }
    }
    Ok(())
}

/// # Safety
/// The buffers are readable.
unsafe fn write_some(descriptor: Descriptor, position: Option<u64>, buffers: &[Buffer]) -> Result<usize> {
    let handle = descriptor.handle;
    match (descriptor.kind, position) {
        // SAFETY: by this function's contract, as below.
        (Kind::Output, _) => unsafe { io_stream::write(handle, buffers) },
        // SAFETY: see above.
        (Kind::File, Some(offset)) => match unsafe { io_stream::write_at(handle, buffers, offset) } {
            // SAFETY: see above. What has no positions is written to as it comes.
            Err(Errno::Spipe) => unsafe { io_stream::write(handle, buffers) },
            result => result,
        },
        (Kind::File, None) => {
            match fs::seek(handle, 0, Whence::End) {
                Ok(_) | Err(Errno::Spipe) => {}
                Err(error) => return Err(error),
            }
            // SAFETY: see above.
            unsafe { io_stream::write(handle, buffers) }
        }
        _ => Err(Errno::Badf),
    }
}

/// Whether a handle is ready now.
fn is_ready(handle: Handle, events: u16) -> Result<bool> {
    let mut waiter = Waiter::new(Process, 1)?;
    waiter.watch(handle, events)?;
    waiter.wake_at(0);
    waiter.wait()?;
    Ok(waiter.found(0) != 0)
}

fn wait_for(handle: Handle, events: u16) -> Result<()> {
    let mut waiter = Waiter::new(Process, 1)?;
    waiter.watch(handle, events)?;
    waiter.wait().map(|_| ())
}
