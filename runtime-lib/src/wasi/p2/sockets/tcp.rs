//! `wasi:sockets/tcp` and `tcp-create-socket`: [`crate::host::sockets::tcp`] with handles and results in guest memory.

use core::net::SocketAddr;

use crate::host::sockets::tcp::{self, Part, Tcp};
use crate::host::sockets::{self, with_tcp};
use crate::sys::errno::Result;
use crate::sys::socket::SocketOption;

use super::{Call, Resource, address, check_network, family, family_number, put, put_done, put_u8, put_u64};

/// The socket that a handle stands for.
fn socket(call: Call, handle: u32) -> u32 {
    call.resource(handle, |resource| match resource {
        Resource::Tcp(fd) => Some(fd),
        _ => None,
    })
}

/// Makes a socket.
pub(super) fn create_tcp_socket(call: Call, address_family: u32, at: u32) {
    call.result_at(at, 8, 4);
    let created = tcp::create(family(call, address_family));
    put(call, at, 4, created, |fd| call.put_u32(at + 4, call.own(Resource::Tcp(fd))));
}

takes_address! {
    /// Begins to bind.
    tcp_socket_start_bind (this network): |call, family, parts, at|
        start(call, [this, network, at], (family, parts), Tcp::start_bind);
    /// Begins to connect.
    tcp_socket_start_connect (this network): |call, family, parts, at|
        start(call, [this, network, at], (family, parts), Tcp::start_connect);
}

/// Begins something with an address; whether that worked goes to `at`.
fn start(
    call: Call,
    [this, network, at]: [u32; 3],
    (family, parts): (u32, [u32; 11]),
    act: fn(&mut Tcp, &SocketAddr) -> Result<()>,
) {
    call.result_at(at, 2, 1);
    let fd = socket(call, this);
    check_network(call, network);
    let address = address::lift(call, family, parts);
    put_done(call, at, with_tcp(fd, |tcp| act(tcp, &address)));
}

with_result! {
    with_tcp:
    /// Ends binding.
    tcp_socket_finish_bind () 2 1 put_done: |tcp| tcp.finish_bind();
    /// Begins to listen.
    tcp_socket_start_listen () 2 1 put_done: |tcp| tcp.start_listen();
    /// Ends that.
    tcp_socket_finish_listen () 2 1 put_done: |tcp| tcp.finish_listen();
    /// The socket's own address.
    tcp_socket_local_address () 36 4 put_address: |tcp| tcp.local_address();
    /// The address of its peer.
    tcp_socket_remote_address () 36 4 put_address: |tcp| tcp.remote_address();
    /// Says how many connections may wait to be accepted.
    tcp_socket_set_listen_backlog_size (value: u64) 2 1 put_done:
        |tcp| tcp.set_backlog(value);
    /// Whether silent peers are asked for a sign of life.
    tcp_socket_keep_alive_enabled () 2 1 put_u8:
        |tcp| tcp.option(SocketOption::KeepAlive).map(|on| (on != 0).into());
    /// Sets that.
    tcp_socket_set_keep_alive_enabled (value: u32) 2 1 put_done:
        |tcp| tcp.set_keep_alive(value != 0);
    /// After how much time of silence, in nanoseconds.
    tcp_socket_keep_alive_idle_time () 16 8 put_u64:
        |tcp| time(tcp, SocketOption::KeepAliveIdle);
    /// Sets that.
    tcp_socket_set_keep_alive_idle_time (value: u64) 2 1 put_done:
        |tcp| tcp.set_keep_alive_time(SocketOption::KeepAliveIdle, value);
    /// How much time lies between two questions, in nanoseconds.
    tcp_socket_keep_alive_interval () 16 8 put_u64:
        |tcp| time(tcp, SocketOption::KeepAliveInterval);
    /// Sets that.
    tcp_socket_set_keep_alive_interval (value: u64) 2 1 put_done:
        |tcp| tcp.set_keep_alive_time(SocketOption::KeepAliveInterval, value);
    /// How many questions go without an answer.
    tcp_socket_keep_alive_count () 8 4 put_u32:
        |tcp| tcp.option(SocketOption::KeepAliveCount);
    /// Sets that.
    tcp_socket_set_keep_alive_count (value: u32) 2 1 put_done:
        |tcp| tcp.set_keep_alive_count(value);
    /// How many routers its packets may pass.
    tcp_socket_hop_limit () 2 1 put_u8: |tcp| tcp.hop_limit();
    /// Sets that.
    tcp_socket_set_hop_limit (value: u32) 2 1 put_done: |tcp| tcp.set_hop_limit(value as u8);
    /// How many bytes may wait to be received.
    tcp_socket_receive_buffer_size () 16 8 put_u64:
        |tcp| tcp.option(SocketOption::ReceiveBuffer).map(u64::from);
    /// Sets that.
    tcp_socket_set_receive_buffer_size (value: u64) 2 1 put_done:
        |tcp| tcp.set_buffer_size(SocketOption::ReceiveBuffer, value);
    /// How many bytes may wait to be sent.
    tcp_socket_send_buffer_size () 16 8 put_u64:
        |tcp| tcp.option(SocketOption::SendBuffer).map(u64::from);
    /// Sets that.
    tcp_socket_set_send_buffer_size (value: u64) 2 1 put_done:
        |tcp| tcp.set_buffer_size(SocketOption::SendBuffer, value);
}

/// A time of keeping alive in nanoseconds.
fn time(tcp: &Tcp, option: SocketOption) -> Result<u64> {
    tcp.option(option).map(|seconds| u64::from(seconds) * 1_000_000_000)
}

/// Writes a `result<u32, error-code>`.
fn put_u32(call: Call, at: u32, result: Result<u32>) {
    put(call, at, 4, result, |value| call.put_u32(at + 4, value));
}

/// Writes a `result<ip-socket-address, error-code>`.
pub(super) fn put_address(call: Call, at: u32, result: Result<SocketAddr>) {
    put(call, at, 4, result, |address| address::put(call, at + 4, &address));
}

/// Ends connecting; the streams of the connection.
pub(super) fn tcp_socket_finish_connect(call: Call, this: u32, at: u32) {
    call.result_at(at, 12, 4);
    let fd = socket(call, this);
    put(call, at, 4, with_tcp(fd, Tcp::finish_connect), |()| {
        call.put_u32(at + 4, call.own(Resource::TcpInput(fd)));
        call.put_u32(at + 8, call.own(Resource::TcpOutput(fd)));
    });
}

/// Accepts a connection: a socket and its streams.
pub(super) fn tcp_socket_accept(call: Call, this: u32, at: u32) {
    call.result_at(at, 16, 4);
    let fd = socket(call, this);
    put(call, at, 4, tcp::accept(fd), |accepted| {
        call.put_u32(at + 4, call.own(Resource::Tcp(accepted)));
        call.put_u32(at + 8, call.own(Resource::TcpInput(accepted)));
        call.put_u32(at + 12, call.own(Resource::TcpOutput(accepted)));
    });
}

/// Whether it waits for connections.
pub(super) fn tcp_socket_is_listening(call: Call, this: u32) -> u32 {
    let fd = socket(call, this);
    with_tcp(fd, |tcp| Ok(tcp.is_listening().into())).unwrap_or(0)
}

/// Which addresses it has.
pub(super) fn tcp_socket_address_family(call: Call, this: u32) -> u32 {
    let fd = socket(call, this);
    with_tcp(fd, |tcp| Ok(family_number(tcp.family()))).unwrap_or(0)
}

/// A `pollable` that is ready when what was started can be finished, or a connection accepted.
pub(super) fn tcp_socket_subscribe(call: Call, this: u32) -> u32 {
    subscribe(call, socket(call, this), Part::Socket)
}

/// A `pollable` of a part of a socket.
pub(super) fn subscribe(call: Call, fd: u32, part: Part) -> u32 {
    let handle = call.own(Resource::PollsTcp(fd, part));
    // The socket exists: a handle stands for it.
    let _ = with_tcp(fd, |tcp| {
        tcp.add_poll(part);
        Ok(())
    });
    handle
}

/// Ends a connection in one or both directions.
pub(super) fn tcp_socket_shutdown(call: Call, this: u32, how: u32, at: u32) {
    call.result_at(at, 2, 1);
    let fd = socket(call, this);
    let (receiving, sending) = match how {
        0 => (true, false),
        1 => (false, true),
        2 => (true, true),
        _ => call.trap("invalid variant discriminant"),
    };
    put_done(call, at, with_tcp(fd, |tcp| tcp.shutdown(receiving, sending)));
}

/// Drops a handle. A socket goes after its streams and `pollable`s.
pub(super) fn drop_tcp_socket(call: Call, this: u32) {
    let fd = socket(call, this);
    if call.take(this).is_some() {
        call.check_childless(with_tcp(fd, |tcp| Ok(tcp.has_children())));
        sockets::close(fd);
    }
}
