//! `wasi:io/streams` of a program that can have sockets. A stream of a connection is read and written here; the others are
//! handed on to [`crate::wasi::p2::streams`].

use crate::host::descriptors;
use crate::host::poll::Watch;
use crate::host::sockets::sending::Stop;
use crate::host::sockets::tcp::{Part, Tcp};
use crate::host::sockets::{self, with_tcp};
use crate::sys::errno::{Errno, Result};
use crate::wasi::p2::streams::{self, Failure, check_blocking_write, put_count, put_failure};
use crate::wasi::p2::transfer::{self, BUFFER_BYTES, buffered};

use super::tcp::subscribe;
use super::{Call, Resource};

/// The connection that a stream receives from; `None` for another stream.
fn input(call: Call, handle: u32) -> Option<u32> {
    call.resource(handle, |resource| match resource {
        Resource::TcpInput(fd) => Some(Some(fd)),
        Resource::Input { .. } => Some(None),
        _ => None,
    })
}

/// The connection that a stream sends to; `None` for another stream.
fn output(call: Call, handle: u32) -> Option<u32> {
    call.resource(handle, |resource| match resource {
        Resource::TcpOutput(fd) => Some(Some(fd)),
        Resource::Output { .. } => Some(None),
        _ => None,
    })
}

/// Why nothing is written, unless the guest is at fault.
fn failure(call: Call, stop: Stop) -> Failure {
    match stop {
        Stop::Closed => Failure::Closed,
        Stop::Failed(error) => Failure::Failed(error),
        Stop::Unpermitted => call.trap("write exceeded budget"),
    }
}

/// Writes a `result<_, stream-error>`.
fn put_done(call: Call, at: u32, result: Result<(), Failure>) {
    match result {
        Ok(()) => call.put_u8(at, 0),
        Err(failure) => put_failure(call, at, 4, &failure),
    }
}

/// Receives into the buffer; how many bytes.
fn receive(call: Call, fd: u32, len: u64, blocks: bool) -> Result<usize, Failure> {
    let Some(handle) = with_tcp(fd, |tcp| Ok(tcp.receiver()))? else { return Err(Failure::Closed) };
    if len == 0 {
        return Ok(0);
    }
    let end = || {
        with_tcp(fd, |tcp: &mut Tcp| {
            tcp.end_receiving();
            Ok(())
        })
    };
    loop {
        match transfer::receive(call, handle, len) {
            Ok(0) => {
                end()?;
                return Err(Failure::Closed);
            }
            Ok(received) => return Ok(received),
            Err(Errno::Again) if blocks => sockets::wait_for(handle, Watch::READABLE)?,
            Err(Errno::Again) => return Ok(0),
            Err(error) => {
                end()?;
                return Err(Failure::Failed(error));
            }
        }
    }
}

/// Sends what sockets have accepted while a guest waits for another stream.
fn send_while_waiting_for(call: Call, handle: u32) {
    let fd = call.resource(handle, |resource| match resource {
        Resource::Input { stream, .. } => Some(stream.fd),
        _ => None,
    });
    if let Ok(descriptor) = descriptors::get(fd)
        && descriptor.is_standard()
    {
        // What the system cannot wait for, the read itself says.
        let _ = sockets::send_until(
            1,
            |waiter| waiter.watch(descriptor.handle, Watch::READABLE),
            |waiter, _| waiter.found(0) != 0,
        );
    }
}

fn read(call: Call, fd: u32, len: u64, at: u32, blocks: bool) {
    call.result_at(at, 12, 4);
    match receive(call, fd, len, blocks) {
        Ok(len) => {
            call.put_bytes(at + 4, &[buffered(call, len)]);
            call.put_u8(at, 0);
        }
        Err(failure) => put_failure(call, at, 4, &failure),
    }
}

/// How many bytes can be written, once that is some.
fn wait_to_write(fd: u32) -> Result<u32, Stop> {
    loop {
        match check_write(fd)? {
            0 => wait_until_writable(fd).map_err(Stop::Failed)?,
            permit => return Ok(permit),
        }
    }
}

fn wait_until_writable(fd: u32) -> Result<()> {
    // The socket exists, and its state is let go of for the time of the wait.
    let handle = with_tcp(fd, |tcp| Ok(tcp.handle()))?;
    sockets::wait_for(handle, Watch::WRITABLE)
}

fn check_write(fd: u32) -> Result<u32, Stop> {
    with_tcp(fd, |tcp| Ok(tcp.check_write())).map_err(Stop::Failed)?
}

fn flush(fd: u32) -> Result<(), Stop> {
    with_tcp(fd, |tcp| Ok(tcp.flush())).map_err(Stop::Failed)?
}

/// # Safety
/// The bytes are readable.
unsafe fn write(fd: u32, start: *mut u8, len: usize) -> Result<(), Stop> {
    // SAFETY: by this function's contract.
    with_tcp(fd, |tcp| Ok(unsafe { tcp.write(start, len) })).map_err(Stop::Failed)?
}

/// Writes all of the bytes, and waits until the system has them. That the peer receives nothing more is not an error then.
///
/// # Safety
/// The bytes are readable, and no host function reads into the buffer meanwhile.
unsafe fn write_and_flush(fd: u32, start: *mut u8, len: usize) -> Result<(), Stop> {
    let mut done = 0;
    loop {
        let permit = wait_to_write(fd)?;
        let part = (len - done).min(permit as usize);
        // SAFETY: a part of the caller's bytes.
        unsafe { write(fd, start.wrapping_add(done), part) }?;
        done += part;
        if done == len {
            break;
        }
    }
    match wait_to_write(fd) {
        Err(Stop::Failed(error)) => Err(Stop::Failed(error)),
        _ => Ok(()),
    }
}

macro_rules! reads {
    ($($(#[$doc:meta])* $function:ident: $blocks:literal;)*) => {
        $(
            $(#[$doc])*
            pub(super) fn $function(call: Call, this: u32, len: u64, at: u32) {
                match input(call, this) {
                    Some(fd) => read(call, fd, len, at, $blocks),
                    None => {
                        if $blocks {
                            send_while_waiting_for(call, this);
                        }
                        streams::$function(call, this, len, at)
                    }
                }
            }
        )*
    };
}

reads! {
    /// Reads what is there.
    input_stream_read: false;
    /// Reads, and waits until there is something.
    input_stream_blocking_read: true;
}

macro_rules! skips {
    ($($(#[$doc:meta])* $function:ident: $blocks:literal;)*) => {
        $(
            $(#[$doc])*
            pub(super) fn $function(call: Call, this: u32, len: u64, at: u32) {
                match input(call, this) {
                    Some(fd) => {
                        call.result_at(at, 16, 8);
                        put_count(call, at, receive(call, fd, len, $blocks).map(|len| len as u64));
                    }
                    None => {
                        if $blocks {
                            send_while_waiting_for(call, this);
                        }
                        streams::$function(call, this, len, at)
                    }
                }
            }
        )*
    };
}

skips! {
    /// Skips what is there.
    input_stream_skip: false;
    /// Skips, and waits until there is something.
    input_stream_blocking_skip: true;
}

/// A `pollable` that is ready when something can be read.
pub(super) fn input_stream_subscribe(call: Call, this: u32) -> u32 {
    match input(call, this) {
        Some(fd) => subscribe(call, fd, Part::Input),
        None => streams::input_stream_subscribe(call, this),
    }
}

/// A `pollable` that is ready when something can be written.
pub(super) fn output_stream_subscribe(call: Call, this: u32) -> u32 {
    match output(call, this) {
        Some(fd) => subscribe(call, fd, Part::Output),
        None => streams::output_stream_subscribe(call, this),
    }
}

/// How many bytes can be written.
pub(super) fn output_stream_check_write(call: Call, this: u32, at: u32) {
    match output(call, this) {
        Some(fd) => {
            call.result_at(at, 16, 8);
            put_count(call, at, check_write(fd).map(u64::from).map_err(|stop| failure(call, stop)));
        }
        None => streams::output_stream_check_write(call, this, at),
    }
}

macro_rules! writes {
    ($($(#[$doc:meta])* $function:ident: $write:ident $is_limited:literal;)*) => {
        $(
            $(#[$doc])*
            pub(super) fn $function(call: Call, this: u32, list: u32, len: u32, at: u32) {
                let Some(fd) = output(call, this) else {
                    return streams::$function(call, this, list, len, at);
                };
                if $is_limited {
                    check_blocking_write(call, len.into());
                }
                call.result_at(at, 12, 4);
                call.list(list, len, 1, 1);
                let start = call.memory().bytes(list, len).unwrap_or(core::ptr::null_mut());
                // SAFETY: the bytes lie in guest memory, as was just checked.
                let written = unsafe { $write(fd, start, len as usize) };
                put_done(call, at, written.map_err(|stop| failure(call, stop)));
            }
        )*
    };
}

writes! {
    /// Writes a list of bytes.
    output_stream_write: write false;
    /// Writes a list of bytes, and waits until they are written.
    output_stream_blocking_write_and_flush: write_and_flush true;
}

macro_rules! flushes {
    ($($(#[$doc:meta])* $function:ident: |$fd:ident| $act:expr;)*) => {
        $(
            $(#[$doc])*
            pub(super) fn $function(call: Call, this: u32, at: u32) {
                let Some($fd) = output(call, this) else {
                    return streams::$function(call, this, at);
                };
                call.result_at(at, 12, 4);
                put_done(call, at, $act.map_err(|stop| failure(call, stop)));
            }
        )*
    };
}

flushes! {
    /// Sees to it that all is written, which is on its way.
    output_stream_flush: |fd| flush(fd);
    /// The same, and waits until it is.
    output_stream_blocking_flush: |fd| flush(fd).and_then(|()| wait_to_write(fd).map(|_| ()));
}

/// Writes zeroes.
pub(super) fn output_stream_write_zeroes(call: Call, this: u32, len: u64, at: u32) {
    let Some(fd) = output(call, this) else {
        return streams::output_stream_write_zeroes(call, this, len, at);
    };
    call.result_at(at, 12, 4);
    let written = check_write(fd).and_then(|permit| {
        if len > permit.into() {
            call.trap("write exceeded budget");
        }
        let len = len as usize;
        // SAFETY: the bytes are those of the buffer, which are only read.
        unsafe { write(fd, transfer::zeroed(call, len), len) }
    });
    put_done(call, at, written.map_err(|stop| failure(call, stop)));
}

/// Writes zeroes, and waits until they are written.
pub(super) fn output_stream_blocking_write_zeroes_and_flush(call: Call, this: u32, len: u64, at: u32) {
    let Some(fd) = output(call, this) else {
        return streams::output_stream_blocking_write_zeroes_and_flush(call, this, len, at);
    };
    check_blocking_write(call, len);
    call.result_at(at, 12, 4);
    let len = len as usize;
    // SAFETY: the bytes are those of the buffer, which are only read.
    let written = unsafe { write_and_flush(fd, transfer::zeroed(call, len), len) };
    put_done(call, at, written.map_err(|stop| failure(call, stop)));
}

/// Moves bytes where one of both streams is that of a connection.
fn splice(call: Call, this: u32, from: u32, len: u64, blocks: bool) -> Result<u64, Failure> {
    let (to, source) = (output(call, this), input(call, from));
    let permit = match to {
        Some(fd) if blocks => wait_to_write(fd).map_err(|stop| failure(call, stop))?,
        Some(fd) => check_write(fd).map_err(|stop| failure(call, stop))?,
        None => BUFFER_BYTES as u32,
    };
    let len = len.min(permit.into());
    if len == 0 {
        return Ok(0);
    }
    let len = match source {
        Some(fd) => receive(call, fd, len, blocks)?,
        None => {
            if blocks {
                send_while_waiting_for(call, from);
            }
            streams::fill(call, from, len, blocks)?
        }
    };
    let start = buffered(call, len).as_ptr().cast_mut();
    match to {
        // SAFETY: the bytes are those of the buffer, which are only read.
        Some(fd) if blocks => unsafe { write_and_flush(fd, start, len) }.map_err(|stop| failure(call, stop))?,
        // SAFETY: as above.
        Some(fd) => unsafe { write(fd, start, len) }.map_err(|stop| failure(call, stop))?,
        // SAFETY: as above.
        None => unsafe { streams::write_bytes(call, this, start, len) }?,
    }
    Ok(len as u64)
}

macro_rules! splices {
    ($($(#[$doc:meta])* $function:ident: $blocks:literal;)*) => {
        $(
            $(#[$doc])*
            pub(super) fn $function(call: Call, this: u32, from: u32, len: u64, at: u32) {
                if output(call, this).is_none() && input(call, from).is_none() {
                    return streams::$function(call, this, from, len, at);
                }
                call.result_at(at, 16, 8);
                put_count(call, at, splice(call, this, from, len, $blocks));
            }
        )*
    };
}

splices! {
    /// Moves bytes from a stream to another one.
    output_stream_splice: false;
    /// Moves bytes from a stream to another one, and waits until there are any.
    output_stream_blocking_splice: true;
}

/// Drops a stream of a connection.
fn drop_stream(call: Call, this: u32, fd: u32, part: Part) {
    if call.take(this).is_some() {
        call.check_childless(with_tcp(fd, |tcp| Ok(tcp.is_polled(part))));
        // What a guest was told to be written is sent.
        while part == Part::Output && with_tcp(fd, |tcp| Ok(tcp.send_waiting())) == Ok(false) {
            if wait_until_writable(fd).is_err() {
                break;
            }
        }
        // The socket exists as long as its streams.
        let _ = with_tcp(fd, |tcp| {
            tcp.remove_stream();
            Ok(())
        });
    }
}

/// Drops a handle.
pub(super) fn drop_input_stream(call: Call, this: u32) {
    match input(call, this) {
        Some(fd) => drop_stream(call, this, fd, Part::Input),
        None => call.drop_handle(this, |resource| matches!(resource, Resource::Input { .. })),
    }
}

/// Drops a handle. What was written is sent before.
pub(super) fn drop_output_stream(call: Call, this: u32) {
    match output(call, this) {
        Some(fd) => drop_stream(call, this, fd, Part::Output),
        None => call.drop_handle(this, |resource| matches!(resource, Resource::Output { .. })),
    }
}
