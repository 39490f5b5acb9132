//! Sockets of TCP and UDP that never block, through the crate socket2.
//!
//! Windows does not say what times of keeping alive are: asking for them is not supported there.

use core::mem::MaybeUninit;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;

use socket2::{Domain, SockAddr, SockAddrStorage, Socket, TcpKeepalive, Type};

use crate::sys::errno::{Errno, Result};
use crate::sys::socket::{Family, Protocol, SocketOption};

use super::error::from_io;
use super::fs::{Handle, OwnedHandle};
use super::handles::Object;
use super::io_stream::Buffer;

/// Runs `f` on the socket that a handle stands for.
fn with<T>(handle: Handle, f: impl FnOnce(&Socket) -> io::Result<T>) -> Result<T> {
    match &*handle.object()? {
        Object::Socket(socket) => f(socket).map_err(from_io),
        _ => Err(Errno::Notsock),
    }
}

/// Makes a socket.
pub fn socket(family: Family, protocol: Protocol) -> Result<OwnedHandle> {
    let domain = if family == Family::V4 { Domain::IPV4 } else { Domain::IPV6 };
    let kind = if protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
    let socket = Socket::new(domain, kind, None).map_err(from_io)?;
    socket.set_nonblocking(true).map_err(from_io)?;
    if family == Family::V6 {
        socket.set_only_v6(true).map_err(from_io)?;
    }
    OwnedHandle::new(Object::Socket(socket))
}

/// Gives a socket its own address.
pub fn bind(handle: Handle, address: &SocketAddr) -> Result<()> {
    with(handle, |socket| socket.bind(&(*address).into()))
}

/// Begins to connect, or gives a socket of datagrams its peer. `Inprogress` says that the socket becomes writable when the
/// connection stands or has failed, see [`error`].
pub fn connect(handle: Handle, address: &SocketAddr) -> Result<()> {
    match with(handle, |socket| socket.connect(&(*address).into())) {
        // What Windows says of a connection that is begun.
        Err(Errno::Again) => Err(Errno::Inprogress),
        result => result,
    }
}

/// Takes a socket's peer away again: a zeroed address has no family.
pub fn disconnect(handle: Handle) -> Result<()> {
    let storage = SockAddrStorage::zeroed();
    let len = storage.size_of();
    // SAFETY: all zeros is an address without a family.
    let nowhere = unsafe { SockAddr::new(storage, len) };
    match with(handle, |socket| socket.connect(&nowhere)) {
        // What macOS says although it has done so.
        #[cfg(target_vendor = "apple")]
        Err(Errno::Inval | Errno::Afnosupport) => Ok(()),
        result => result,
    }
}

/// Lets a socket wait for connections, `backlog` of them at once.
pub fn listen(handle: Handle, backlog: u32) -> Result<()> {
    with(handle, |socket| socket.listen(backlog.try_into().unwrap_or(i32::MAX)))
}

/// Accepts a connection.
pub fn accept(handle: Handle) -> Result<OwnedHandle> {
    let (socket, _) = with(handle, Socket::accept)?;
    socket.set_nonblocking(true).map_err(from_io)?;
    OwnedHandle::new(Object::Socket(socket))
}

fn to_std(address: &SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// The socket's own address.
pub fn local_address(handle: Handle) -> Result<SocketAddr> {
    with(handle, |socket| to_std(&socket.local_addr()?))
}

/// The address of its peer.
pub fn peer_address(handle: Handle) -> Result<SocketAddr> {
    with(handle, |socket| to_std(&socket.peer_addr()?))
}

/// The error that a socket has come to, which it forgets.
pub fn error(handle: Handle) -> Result<()> {
    with(handle, |socket| socket.take_error()?.map_or(Ok(()), Err))
}

/// A number of 32 bits, which all of these are.
fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Bytes of a buffer. Linux counts twice the bytes that were asked for, for its own use of buffers: half of them is what a
/// caller knows.
fn known_bytes(bytes: usize) -> u32 {
    narrow(if cfg!(target_os = "linux") { bytes / 2 } else { bytes })
}

#[cfg(not(windows))]
fn keep_alive(socket: &Socket, option: SocketOption) -> io::Result<u32> {
    match option {
        SocketOption::KeepAliveIdle => socket.tcp_keepalive_time().map(|time| narrow(time.as_secs() as usize)),
        SocketOption::KeepAliveInterval => socket.tcp_keepalive_interval().map(|time| narrow(time.as_secs() as usize)),
        _ => socket.tcp_keepalive_retries(),
    }
}

#[cfg(windows)]
fn keep_alive(_socket: &Socket, _option: SocketOption) -> io::Result<u32> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The value of an option.
pub fn option(handle: Handle, option: SocketOption) -> Result<u32> {
    with(handle, |socket| match option {
        SocketOption::ReuseAddress => socket.reuse_address().map(u32::from),
        SocketOption::KeepAlive => socket.keepalive().map(u32::from),
        SocketOption::HopLimit(Family::V4) => socket.ttl_v4(),
        SocketOption::HopLimit(Family::V6) => socket.unicast_hops_v6(),
        SocketOption::ReceiveBuffer => socket.recv_buffer_size().map(known_bytes),
        SocketOption::SendBuffer => socket.send_buffer_size().map(known_bytes),
        SocketOption::KeepAliveIdle | SocketOption::KeepAliveInterval | SocketOption::KeepAliveCount => {
            keep_alive(socket, option)
        }
    })
}

/// Sets an option. What times of keeping alive are is set without switching it on.
pub fn set_option(handle: Handle, option: SocketOption, value: u32) -> Result<()> {
    let seconds = Duration::from_secs(value.into());
    with(handle, |socket| {
        let set = |parameters: TcpKeepalive| {
            let was_on = socket.keepalive()?;
            socket.set_tcp_keepalive(&parameters)?;
            socket.set_keepalive(was_on)
        };
        match option {
            // On Windows it means something else, and what it means elsewhere is how Windows is.
            SocketOption::ReuseAddress if cfg!(windows) => Ok(()),
            SocketOption::ReuseAddress => socket.set_reuse_address(value != 0),
            SocketOption::KeepAlive => socket.set_keepalive(value != 0),
            SocketOption::KeepAliveIdle => set(TcpKeepalive::new().with_time(seconds)),
            SocketOption::KeepAliveInterval => set(TcpKeepalive::new().with_interval(seconds)),
            SocketOption::KeepAliveCount => set(TcpKeepalive::new().with_retries(value)),
            SocketOption::HopLimit(Family::V4) => socket.set_ttl_v4(value),
            SocketOption::HopLimit(Family::V6) => socket.set_unicast_hops_v6(value),
            SocketOption::ReceiveBuffer => socket.set_recv_buffer_size(value as usize),
            SocketOption::SendBuffer => socket.set_send_buffer_size(value as usize),
        }
    })
}

/// Sends a datagram, to the peer where no address is given.
///
/// # Safety
/// The buffer is readable.
pub unsafe fn send_to(handle: Handle, buffer: &Buffer, to: Option<&SocketAddr>) -> Result<usize> {
    // SAFETY: by this function's contract.
    let bytes = unsafe { core::slice::from_raw_parts(buffer.base, buffer.len_bytes) };
    with(handle, |socket| match to {
        Some(to) => socket.send_to(bytes, &(*to).into()),
        None => socket.send(bytes),
    })
}

/// Receives a datagram: how many bytes, and from whom. One that is longer than the buffer is cut or an error.
///
/// # Safety
/// The buffer is writable; nothing in Rust refers to what it holds.
pub unsafe fn receive_from(handle: Handle, buffer: &Buffer) -> Result<(usize, SocketAddr)> {
    // SAFETY: by this function's contract.
    let room = unsafe { core::slice::from_raw_parts_mut(buffer.base.cast::<MaybeUninit<u8>>(), buffer.len_bytes) };
    with(handle, |socket| {
        let (len, from) = socket.recv_from(room)?;
        Ok((len, to_std(&from)?))
    })
}
