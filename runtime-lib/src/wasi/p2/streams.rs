//! `wasi:io/streams`: streams of bytes from and to descriptors. Each call of a stream reads or writes at once; nothing is
//! buffered behind a guest's back, so a flush has nothing to do.

use crate::host::descriptor::Kind;
use crate::host::state::State;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::FileType;
use crate::sys::fs;

use super::call::{Call, Component};
use super::handles::{Readiness, Resource, Stream};
use super::transfer::{self, BUFFER_BYTES, buffered};

/// How many bytes a guest may write at once.
const WRITE_BYTES: u64 = 1 << 20;

/// How many bytes WIT allows for `blocking-write-and-flush` and `blocking-write-zeroes-and-flush`.
const BLOCKING_WRITE_BYTES: u64 = 4096;

/// Why a stream gives or takes nothing.
pub(super) enum Failure {
    /// It is at its end, or nobody reads it.
    Closed,
    /// It has failed.
    Failed(Errno),
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        if error == Errno::Pipe { Self::Closed } else { Self::Failed(error) }
    }
}

/// Writes the error of a `result` whose payload is at `payload`.
#[inline(never)]
pub(super) fn put_failure<C: Component>(call: Call<C>, at: u32, payload: u32, failure: &Failure) {
    call.put_u8(at, 1);
    match *failure {
        Failure::Closed => call.put_u8(at + payload, 1),
        Failure::Failed(error) => {
            call.put_u8(at + payload, 0);
            call.put_u32(at + payload + 4, call.own(Resource::Error(error)));
        }
    }
}

/// Writes a `result<_, stream-error>`.
fn put_done<C: Component>(call: Call<C>, at: u32, result: Result<()>) {
    match result {
        Ok(()) => call.put_u8(at, 0),
        Err(error) => put_failure(call, at, 4, &error.into()),
    }
}

/// Writes a `result<u64, stream-error>`.
pub(super) fn put_count<C: Component>(call: Call<C>, at: u32, result: Result<u64, Failure>) {
    match result {
        Ok(count) => {
            call.put_u8(at, 0);
            call.put_u64(at + 8, count);
        }
        Err(failure) => put_failure(call, at, 8, &failure),
    }
}

fn input<C: Component>(call: Call<C>, handle: u32) -> (Stream, u64) {
    call.resource(handle, |resource| match resource {
        Resource::Input { stream, position } => Some((stream, position)),
        _ => None,
    })
}

fn output<C: Component>(call: Call<C>, handle: u32) -> (Stream, Option<u64>) {
    call.resource(handle, |resource| match resource {
        Resource::Output { stream, position } => Some((stream, position)),
        _ => None,
    })
}

/// Reads from a stream into the buffer; how many bytes.
#[inline(never)]
pub(super) fn fill<C: Component>(call: Call<C>, handle: u32, len: u64, blocks: bool) -> Result<usize, Failure> {
    let (stream, position) = input(call, handle);
    if len == 0 {
        return Ok(0);
    }
    let descriptor = call.state().get(stream.fd)?;
    let read = if descriptor.is_standard() || descriptor.kind == Kind::Socket {
        transfer::read(call, descriptor, len, blocks)?
    } else {
        Some(transfer::read_at(call, descriptor, len, position)?)
    };
    match read {
        None => Ok(0),
        Some(0) => Err(Failure::Closed),
        Some(read) => {
            call.update(handle, Resource::Input { stream, position: position.saturating_add(read as u64) });
            Ok(read)
        }
    }
}

fn read<C: Component>(call: Call<C>, this: u32, len: u64, at: u32, blocks: bool) {
    call.result_at(at, 12, 4);
    match fill(call, this, len, blocks) {
        Ok(len) => {
            call.put_bytes(at + 4, &[buffered(call, len)]);
            call.put_u8(at, 0);
        }
        Err(failure) => put_failure(call, at, 4, &failure),
    }
}

/// Reads what is there.
#[inline(always)]
pub fn input_stream_read<C: Component>(call: Call<C>, this: u32, len: u64, at: u32) {
    read(call, this, len, at, false);
}

/// Reads, and waits until there is something.
#[inline(always)]
pub fn input_stream_blocking_read<C: Component>(call: Call<C>, this: u32, len: u64, at: u32) {
    read(call, this, len, at, true);
}

fn skip<C: Component>(call: Call<C>, this: u32, len: u64, at: u32, blocks: bool) {
    call.result_at(at, 16, 8);
    put_count(call, at, fill(call, this, len, blocks).map(|len| len as u64));
}

/// Skips what is there.
#[inline(always)]
pub fn input_stream_skip<C: Component>(call: Call<C>, this: u32, len: u64, at: u32) {
    skip(call, this, len, at, false);
}

/// Skips, and waits until there is something.
#[inline(always)]
pub fn input_stream_blocking_skip<C: Component>(call: Call<C>, this: u32, len: u64, at: u32) {
    skip(call, this, len, at, true);
}

/// Whether a descriptor is always ready: a regular file is.
fn is_always_ready(state: impl State, fd: u32) -> bool {
    state.get(fd).is_ok_and(|descriptor| match descriptor.kind {
        Kind::TreeFile => true,
        Kind::File => fs::metadata(descriptor.handle).is_ok_and(|m| m.file_type == FileType::RegularFile),
        _ => false,
    })
}

fn subscribe<C: Component>(call: Call<C>, stream: Stream, readiness: Readiness) -> u32 {
    call.own(Resource::Polls(
        stream,
        if is_always_ready(call.state(), stream.fd) { Readiness::Always } else { readiness },
    ))
}

/// A `pollable` that is ready when something can be read.
#[inline(always)]
pub fn input_stream_subscribe<C: Component>(call: Call<C>, this: u32) -> u32 {
    let (stream, _) = input(call, this);
    subscribe(call, stream, Readiness::Readable)
}

/// Writes how many bytes can be written at once.
#[inline(always)]
pub fn output_stream_check_write<C: Component>(call: Call<C>, this: u32, at: u32) {
    call.result_at(at, 16, 8);
    output(call, this);
    put_count(call, at, Ok(WRITE_BYTES));
}

/// Writes bytes to a stream.
///
/// # Safety
/// The bytes are readable.
#[inline(never)]
pub(super) unsafe fn write_bytes<C: Component>(call: Call<C>, handle: u32, start: *mut u8, len: usize) -> Result<()> {
    let (stream, position) = output(call, handle);
    // SAFETY: by this function's contract.
    unsafe { transfer::write(call.state(), stream.fd, position, start, len) }?;
    if let Some(position) = position {
        call.update(handle, Resource::Output { stream, position: Some(position.saturating_add(len as u64)) });
    }
    Ok(())
}

fn write<C: Component>(call: Call<C>, this: u32, list: u32, len: u32, at: u32) {
    call.result_at(at, 12, 4);
    call.list(list, len, 1, 1);
    let written = call.memory().bytes(list, len).and_then(|start| {
        // SAFETY: the bytes lie in guest memory.
        unsafe { write_bytes(call, this, start, len as usize) }
    });
    put_done(call, at, written);
}

/// Writes a list of bytes.
#[inline(always)]
pub fn output_stream_write<C: Component>(call: Call<C>, this: u32, list: u32, len: u32, at: u32) {
    write(call, this, list, len, at);
}

/// Writes a list of bytes, and waits until they are written.
#[inline(always)]
pub fn output_stream_blocking_write_and_flush<C: Component>(call: Call<C>, this: u32, list: u32, len: u32, at: u32) {
    check_blocking_write(call, len.into());
    write(call, this, list, len, at);
}

pub(super) fn check_blocking_write<C: Component>(call: Call<C>, len: u64) {
    if len > BLOCKING_WRITE_BYTES {
        call.trap("buffer too large for a blocking write and flush: at most 4096 bytes");
    }
}

fn flush<C: Component>(call: Call<C>, this: u32, at: u32) {
    call.result_at(at, 12, 4);
    output(call, this);
    put_done(call, at, Ok(()));
}

/// Sees to it that all is written, which it is.
#[inline(always)]
pub fn output_stream_flush<C: Component>(call: Call<C>, this: u32, at: u32) {
    flush(call, this, at);
}

/// The same.
#[inline(always)]
pub fn output_stream_blocking_flush<C: Component>(call: Call<C>, this: u32, at: u32) {
    flush(call, this, at);
}

/// A `pollable` that is ready when something can be written.
#[inline(always)]
pub fn output_stream_subscribe<C: Component>(call: Call<C>, this: u32) -> u32 {
    let (stream, _) = output(call, this);
    subscribe(call, stream, Readiness::Writable)
}

fn write_zeroes<C: Component>(call: Call<C>, this: u32, len: u64, at: u32) {
    static ZEROES: [u8; 1024] = [0; 1024];
    call.result_at(at, 12, 4);
    let mut left = len;
    let mut written = Ok(());
    while left > 0 && written.is_ok() {
        let len = left.min(ZEROES.len() as u64);
        // SAFETY: the bytes are those of the array, which are only read.
        written = unsafe { write_bytes(call, this, ZEROES.as_ptr().cast_mut(), len as usize) };
        left -= len;
    }
    put_done(call, at, written);
}

/// Writes zeroes.
#[inline(always)]
pub fn output_stream_write_zeroes<C: Component>(call: Call<C>, this: u32, len: u64, at: u32) {
    output(call, this);
    if len > WRITE_BYTES {
        call.trap("write exceeded budget");
    }
    write_zeroes(call, this, len, at);
}

/// Writes zeroes, and waits until they are written.
#[inline(always)]
pub fn output_stream_blocking_write_zeroes_and_flush<C: Component>(call: Call<C>, this: u32, len: u64, at: u32) {
    output(call, this);
    check_blocking_write(call, len);
    write_zeroes(call, this, len, at);
}

fn splice<C: Component>(call: Call<C>, this: u32, from: u32, len: u64, at: u32, blocks: bool) {
    call.result_at(at, 16, 8);
    output(call, this);
    let moved = fill(call, from, len.min(BUFFER_BYTES as u64), blocks).and_then(|len| {
        // SAFETY: the bytes are those of the buffer, which are only read.
        unsafe { write_bytes(call, this, buffered(call, len).as_ptr().cast_mut(), len) }?;
        Ok(len as u64)
    });
    put_count(call, at, moved);
}

/// Moves bytes from a stream to another one.
#[inline(always)]
pub fn output_stream_splice<C: Component>(call: Call<C>, this: u32, from: u32, len: u64, at: u32) {
    splice(call, this, from, len, at, false);
}

/// Moves bytes from a stream to another one, and waits until there are any.
#[inline(always)]
pub fn output_stream_blocking_splice<C: Component>(call: Call<C>, this: u32, from: u32, len: u64, at: u32) {
    splice(call, this, from, len, at, true);
}

/// Drops a handle.
pub fn drop_input_stream<C: Component>(call: Call<C>, this: u32) {
    call.drop_handle(this, |resource| matches!(resource, Resource::Input { .. }));
}

/// Drops a handle.
pub fn drop_output_stream<C: Component>(call: Call<C>, this: u32) {
    call.drop_handle(this, |resource| matches!(resource, Resource::Output { .. }));
}
