//! `sock_*`: sockets that the process was started with, as its standard streams, and connections accepted on them.

use crate::host::descriptor::Kind;
use crate::host::state::State;
use crate::host::streams::{Buffers, moved};
use crate::sys::errno::{Errno, Result};
use crate::sys::fs::Handle;
use crate::sys::io_stream;
use crate::wasi::caller::Caller;

use super::types::{FDFLAG_NONBLOCK, check_flags};

/// `recv_peek` of `riflags`.
const RECV_PEEK: u32 = 1;
/// `recv_waitall` of `riflags`.
const RECV_WAITALL: u32 = 1 << 1;
/// `recv_data_truncated` of `roflags`.
const RECV_DATA_TRUNCATED: u16 = 1;

/// What may be a socket; the kernel says whether it is one.
fn socket(state: impl State, fd: u32) -> Result<Handle> {
    let descriptor = state.get(fd)?;
    let never = descriptor.kind == Kind::Directory || descriptor.is_of_tree();
    if never { Err(Errno::Notsock) } else { state.handle_of_socket(descriptor).ok_or(Errno::Notsock) }
}

/// Accepts a connection and writes its descriptor.
#[inline(always)]
pub fn sock_accept(caller: impl Caller, fd: u32, flags: u32, accepted_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    socket(state, fd).and_then(|socket| {
        check_flags(flags, FDFLAG_NONBLOCK)?;
        memory.bytes(accepted_at, 4)?;
        let place = state.reserve()?;
        let connection = io_stream::accept(socket, flags & FDFLAG_NONBLOCK != 0)?;
        memory.write_u32(accepted_at, place.fill(connection, Kind::Socket, 0, 0))
    })
}

/// Receives a message; writes its length and whether it was cut.
#[inline(always)]
pub fn sock_recv(
    caller: impl Caller,
    fd: u32,
    list: u32,
    list_len: u32,
    flags: u32,
    received_at: u32,
    flags_at: u32,
) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    socket(state, fd).and_then(|socket| {
        check_flags(flags, RECV_PEEK | RECV_WAITALL)?;
        let mut buffers = Buffers::new();
        buffers.read_guest(&memory, list, list_len)?;
        let peek = if flags & RECV_PEEK != 0 { io_stream::RECEIVE_PEEK } else { 0 };
        let wait_all = if flags & RECV_WAITALL != 0 { io_stream::RECEIVE_WAIT_ALL } else { 0 };
        // SAFETY: the buffers lie in guest memory, which no Rust reference covers.
        let (len, cut) = unsafe { io_stream::receive(socket, buffers.as_slice(), peek | wait_all) }?;
        memory.write_u32(received_at, moved(len))?;
        memory.write(flags_at, if cut { RECV_DATA_TRUNCATED } else { 0 }.to_le_bytes())
    })
}

/// Sends a message and writes how much of it was sent.
#[inline(always)]
pub fn sock_send(caller: impl Caller, fd: u32, list: u32, list_len: u32, flags: u32, sent_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    socket(state, fd).and_then(|socket| {
        check_flags(flags, 0)?;
        let mut buffers = Buffers::new();
        buffers.read_guest(&memory, list, list_len)?;
        // SAFETY: the buffers lie in guest memory.
        let len = unsafe { io_stream::send(socket, buffers.as_slice()) }?;
        memory.write_u32(sent_at, moved(len))
    })
}

/// Ends receiving, sending, or both.
#[inline(always)]
pub fn sock_shutdown(caller: impl Caller, fd: u32, how: u32) -> Result<()> {
    let state = caller.state();
    socket(state, fd).and_then(|socket| match how {
        // Bits for receiving and sending; the kernel counts from 0.
        1..=3 => io_stream::shutdown(socket, how - 1),
        _ => Err(Errno::Inval),
    })
}
