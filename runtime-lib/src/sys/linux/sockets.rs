//! Sockets of TCP and UDP that never block. Sources: socket(7), ip(7), ipv6(7), tcp(7), udp(7).

use core::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use linux_raw_sys::general::{
    __NR_accept4, __NR_bind, __NR_connect, __NR_getpeername, __NR_getsockname, __NR_getsockopt, __NR_listen,
    __NR_recvmsg, __NR_sendmsg, __NR_setsockopt, __NR_socket,
};

use crate::sys::errno::{Errno, Result};
use crate::sys::socket::{Family, Protocol, SocketOption};

use super::arch;
use super::fs::{Handle, OwnedHandle};
use super::io_error::from_raw;
use super::io_stream::Buffer;
use super::io_syscall::call;

const AF_UNSPEC: u16 = 0;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const SOCK_STREAM: usize = 1;
const SOCK_DGRAM: usize = 2;
const SOCK_NONBLOCK: usize = 0o4_000;
const SOCK_CLOEXEC: usize = 0o2_000_000;
const IPPROTO_IP: usize = 0;
const SOL_SOCKET: usize = 1;
const IPPROTO_TCP: usize = 6;
const IPPROTO_IPV6: usize = 41;
const SO_ERROR: usize = 4;
const IPV6_V6ONLY: usize = 26;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_TRUNC: u32 = 0x20;

/// `struct sockaddr_in` or `struct sockaddr_in6`.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct RawAddress {
    bytes: [u8; 28],
    len_bytes: u32,
}

impl RawAddress {
    const NONE: Self = Self { bytes: [0; 28], len_bytes: 28 };

    fn new(address: &SocketAddr) -> Self {
        let mut raw = Self::NONE;
        raw.bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(address) => {
                raw.bytes[..2].copy_from_slice(&AF_INET.to_ne_bytes());
                raw.bytes[4..8].copy_from_slice(&address.ip().octets());
                raw.len_bytes = 16;
            }
            SocketAddr::V6(address) => {
                raw.bytes[..2].copy_from_slice(&AF_INET6.to_ne_bytes());
                // The system's structure has it in the order of the network.
                raw.bytes[4..8].copy_from_slice(&address.flowinfo().to_be_bytes());
                raw.bytes[8..24].copy_from_slice(&address.ip().octets());
                raw.bytes[24..28].copy_from_slice(&address.scope_id().to_ne_bytes());
            }
        }
        raw
    }

    fn read(&self) -> Result<SocketAddr> {
        let [f0, f1, p0, p1, a, b, c, d, rest @ ..] = self.bytes;
        let port = u16::from_be_bytes([p0, p1]);
        match u16::from_ne_bytes([f0, f1]) {
            AF_INET => Ok(SocketAddr::V4(SocketAddrV4::new([a, b, c, d].into(), port))),
            AF_INET6 => {
                let [ip @ .., s0, s1, s2, s3] = rest;
                let (flow, scope) = (u32::from_be_bytes([a, b, c, d]), u32::from_ne_bytes([s0, s1, s2, s3]));
                Ok(SocketAddr::V6(SocketAddrV6::new(ip.into(), port, flow, scope)))
            }
            _ => Err(Errno::Afnosupport),
        }
    }

    fn at(&self) -> usize {
        self.bytes.as_ptr() as usize
    }
}

/// Makes a socket.
pub fn socket(family: Family, protocol: Protocol) -> Result<OwnedHandle> {
    let domain = usize::from(if family == Family::V4 { AF_INET } else { AF_INET6 });
    let kind = if protocol == Protocol::Tcp { SOCK_STREAM } else { SOCK_DGRAM };
    // SAFETY: no memory is involved.
    let raw = unsafe { call(__NR_socket, [domain, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0]) }?;
    let socket = OwnedHandle::from_kernel(raw)?;
    if family == Family::V6 {
        set(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1)?;
    }
    Ok(socket)
}

/// Gives a socket its own address.
pub fn bind(handle: Handle, address: &SocketAddr) -> Result<()> {
    let raw = RawAddress::new(address);
    // SAFETY: the kernel reads the address.
    unsafe { call(__NR_bind, [handle.raw(), raw.at(), raw.len_bytes as usize, 0]) }.map(|_| ())
}

/// Begins to connect, or gives a socket of datagrams its peer. `Inprogress` says that the socket becomes writable when the
/// connection stands or has failed, see [`error`].
pub fn connect(handle: Handle, address: &SocketAddr) -> Result<()> {
    let raw = RawAddress::new(address);
    // SAFETY: the kernel reads the address.
    unsafe { call(__NR_connect, [handle.raw(), raw.at(), raw.len_bytes as usize, 0]) }.map(|_| ())
}

/// Takes a socket's peer away again.
pub fn disconnect(handle: Handle) -> Result<()> {
    let mut raw = RawAddress::NONE;
    raw.bytes[..2].copy_from_slice(&AF_UNSPEC.to_ne_bytes());
    // SAFETY: the kernel reads the address.
    unsafe { call(__NR_connect, [handle.raw(), raw.at(), 16, 0]) }.map(|_| ())
}

/// Lets a socket wait for connections, `backlog` of them at once.
pub fn listen(handle: Handle, backlog: u32) -> Result<()> {
    // SAFETY: no memory is involved.
    unsafe { call(__NR_listen, [handle.raw(), backlog as usize, 0, 0]) }.map(|_| ())
}

/// Accepts a connection.
pub fn accept(handle: Handle) -> Result<OwnedHandle> {
    // SAFETY: no address is asked for.
    let raw = unsafe { call(__NR_accept4, [handle.raw(), 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC]) }?;
    OwnedHandle::from_kernel(raw)
}

fn address_by(number: u32, handle: Handle) -> Result<SocketAddr> {
    let mut raw = RawAddress::NONE;
    let (bytes, len) = (raw.bytes.as_mut_ptr() as usize, &raw mut raw.len_bytes as usize);
    // SAFETY: the kernel writes an address of at most `len_bytes` bytes, and its length.
    unsafe { call(number, [handle.raw(), bytes, len, 0]) }?;
    raw.read()
}

/// The socket's own address.
pub fn local_address(handle: Handle) -> Result<SocketAddr> {
    address_by(__NR_getsockname, handle)
}

/// The address of its peer.
pub fn peer_address(handle: Handle) -> Result<SocketAddr> {
    address_by(__NR_getpeername, handle)
}

/// The error that a socket has come to, which it forgets.
pub fn error(handle: Handle) -> Result<()> {
    match get(handle, SOL_SOCKET, SO_ERROR)? {
        0 => Ok(()),
        number => Err(from_raw(number as i32)),
    }
}

/// Level and number of an option.
fn numbers(option: SocketOption) -> (usize, usize) {
    match option {
        SocketOption::ReuseAddress => (SOL_SOCKET, 2),
        SocketOption::SendBuffer => (SOL_SOCKET, 7),
        SocketOption::ReceiveBuffer => (SOL_SOCKET, 8),
        SocketOption::KeepAlive => (SOL_SOCKET, 9),
        SocketOption::KeepAliveIdle => (IPPROTO_TCP, 4),
        SocketOption::KeepAliveInterval => (IPPROTO_TCP, 5),
        SocketOption::KeepAliveCount => (IPPROTO_TCP, 6),
        SocketOption::HopLimit(Family::V4) => (IPPROTO_IP, 2),
        SocketOption::HopLimit(Family::V6) => (IPPROTO_IPV6, 16),
    }
}

fn get(handle: Handle, level: usize, name: usize) -> Result<u32> {
    let (mut value, mut len) = (0u32, size_of::<u32>() as u32);
    let arguments = [handle.raw(), level, name, &raw mut value as usize, &raw mut len as usize, 0];
    // SAFETY: the kernel writes a number of 32 bits, and its length.
    match unsafe { arch::system_call_6(__NR_getsockopt, arguments) } {
        0.. => Ok(value),
        error => Err(from_raw(-error as i32)),
    }
}

fn set(handle: Handle, level: usize, name: usize, value: u32) -> Result<()> {
    let arguments = [handle.raw(), level, name, &raw const value as usize, size_of::<u32>(), 0];
    // SAFETY: the kernel reads a number of 32 bits.
    match unsafe { arch::system_call_6(__NR_setsockopt, arguments) } {
        0.. => Ok(()),
        error => Err(from_raw(-error as i32)),
    }
}

/// The value of an option. Linux counts twice the bytes that were asked for, for its own use of buffers: half of them
/// is what a caller knows.
pub fn option(handle: Handle, option: SocketOption) -> Result<u32> {
    let (level, name) = numbers(option);
    let value = get(handle, level, name)?;
    let is_buffer = matches!(option, SocketOption::ReceiveBuffer | SocketOption::SendBuffer);
    Ok(if is_buffer { value / 2 } else { value })
}

/// Sets an option.
pub fn set_option(handle: Handle, option: SocketOption, value: u32) -> Result<()> {
    let (level, name) = numbers(option);
    set(handle, level, name, value)
}

/// `struct msghdr` of 64-bit Linux, with one buffer.
#[repr(C)]
struct Message {
    name: usize,
    name_len: u32,
    buffers: *const Buffer,
    buffers_len: usize,
    control: usize,
    control_len: usize,
    flags: u32,
}

impl Message {
    fn new(buffer: &Buffer, name: usize, name_len: u32) -> Self {
        Self { name, name_len, buffers: buffer, buffers_len: 1, control: 0, control_len: 0, flags: 0 }
    }
}

/// Sends a datagram, to the peer where no address is given.
///
/// # Safety
/// The buffer is readable.
pub unsafe fn send_to(handle: Handle, buffer: &Buffer, to: Option<&SocketAddr>) -> Result<usize> {
    let raw = to.map(RawAddress::new);
    let (name, name_len) = raw.as_ref().map_or((0, 0), |raw| (raw.at(), raw.len_bytes));
    let message = Message::new(buffer, name, name_len);
    // SAFETY: the message describes a readable buffer and an address.
    unsafe { call(__NR_sendmsg, [handle.raw(), &raw const message as usize, MSG_NOSIGNAL, 0]) }
}

/// Receives a datagram: how many bytes, and from whom. One that is longer than the buffer is an error.
///
/// # Safety
/// The buffer is writable; nothing in Rust refers to what it holds.
pub unsafe fn receive_from(handle: Handle, buffer: &Buffer) -> Result<(usize, SocketAddr)> {
    let mut raw = RawAddress::NONE;
    let mut message = Message::new(buffer, raw.bytes.as_mut_ptr() as usize, raw.len_bytes);
    // SAFETY: the message describes a writable buffer and room for an address.
    let len = unsafe { call(__NR_recvmsg, [handle.raw(), &raw mut message as usize, 0, 0]) }?;
    if message.flags & MSG_TRUNC != 0 {
        return Err(Errno::Msgsize);
    }
    Ok((len, raw.read()?))
}
