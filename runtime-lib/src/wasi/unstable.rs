//! The snapshot before preview 1, `wasi_unstable`: the functions that differ from those of preview 1. All others are the
//! same functions, see [`wasmelt_abi::host::find`].
//!
//! A `filestat` counts links in 32 bits, `whence` has another order, and the subscription of a clock has an identifier,
//! which no function uses. Source: `wasi_unstable.witx` of the WASI repository.

use crate::host::guest_memory::GuestMemory;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::{Metadata, Whence};

use super::caller::Caller;
use super::p1::poll::SubscriptionLayout;
use super::p1::{fd, path, poll};

const SUBSCRIPTION: SubscriptionLayout = SubscriptionLayout { len_bytes: 56, clock: 24 };

/// Writes a `filestat` of 56 bytes.
fn write_filestat(memory: &GuestMemory, at: u32, metadata: &Metadata) -> Result<()> {
    let links = u64::from(u32::try_from(metadata.links).unwrap_or(u32::MAX));
    let fields = [
        metadata.device,
        metadata.inode,
        metadata.file_type as u64 | links << 32,
        metadata.size_bytes,
        metadata.accessed_ns,
        metadata.modified_ns,
        metadata.changed_ns,
    ];
    let mut bytes = [0; 56];
    for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
        place.copy_from_slice(&field.to_le_bytes());
    }
    memory.write(at, bytes)
}

/// Writes the attributes of what is open.
#[inline(always)]
pub fn fd_filestat_get(caller: impl Caller, fd: u32, filestat_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    fd::metadata_of(state, fd).and_then(|metadata| write_filestat(&memory, filestat_at, &metadata))
}

/// Moves the position and writes the new one.
#[inline(always)]
pub fn fd_seek(caller: impl Caller, fd: u32, offset: u64, whence: u32, position_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let whence = match whence {
        0 => Whence::Current,
        1 => Whence::End,
        2 => Whence::Start,
        _ => return Err(Errno::Inval),
    };
    fd::seek(state, fd, offset.cast_signed(), whence).and_then(|position| memory.write_u64(position_at, position))
}

/// Writes the attributes of a file.
#[inline(always)]
pub fn path_filestat_get(
    caller: impl Caller,
    fd: u32,
    lookup_flags: u32,
    path: u32,
    path_len: u32,
    filestat_at: u32,
) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let metadata = path::metadata_of(state, &memory, fd, lookup_flags, (path, path_len));
    metadata.and_then(|metadata| write_filestat(&memory, filestat_at, &metadata))
}

/// Waits until at least one of some subscriptions has happened; writes an event for each that has, and how many.
#[inline(always)]
pub fn poll_oneoff(caller: impl Caller, subscriptions: u32, events: u32, count: u32, written_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let written = poll::poll(state, &memory, subscriptions, events, count, SUBSCRIPTION);
    written.and_then(|written| memory.write_u32(written_at, written))
}
