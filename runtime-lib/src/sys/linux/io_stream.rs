//! Reading and writing through handles, straight from and to guest memory; sockets; readiness.

use linux_raw_sys::general::{
    __NR_accept4, __NR_bind, __NR_getdents64, __NR_getrandom, __NR_ioctl, __NR_listen, __NR_preadv, __NR_pwritev,
    __NR_readv, __NR_recvmsg, __NR_sendmsg, __NR_setsockopt, __NR_shutdown, __NR_socket, __NR_writev,
};

use crate::sys::errno::Result;

use super::fs::{Handle, OwnedHandle};
use super::io_syscall::call;

/// A stretch of memory for the kernel to read or write: `struct iovec`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// First byte.
    pub base: *mut u8,
    /// Length in bytes.
    pub len_bytes: usize,
}

/// Reads into buffers from the current position.
///
/// # Safety
/// The buffers are writable; nothing in Rust refers to what they hold.
pub unsafe fn read(handle: Handle, buffers: &[Buffer]) -> Result<usize> {
    // SAFETY: `readv` writes no more than the buffers hold.
    unsafe { call(__NR_readv, [handle.raw(), buffers.as_ptr() as usize, buffers.len(), 0]) }
}

/// Writes buffers at the current position.
///
/// # Safety
/// The buffers are readable.
pub unsafe fn write(handle: Handle, buffers: &[Buffer]) -> Result<usize> {
    // SAFETY: `writev` reads no more than the buffers hold.
    unsafe { call(__NR_writev, [handle.raw(), buffers.as_ptr() as usize, buffers.len(), 0]) }
}

/// Reads into buffers from a position.
///
/// # Safety
/// As for [`read`].
pub unsafe fn read_at(handle: Handle, buffers: &[Buffer], offset: u64) -> Result<usize> {
    // SAFETY: `preadv` writes no more than the buffers hold. 64-bit kernels take the whole offset in one argument.
    unsafe { call(__NR_preadv, [handle.raw(), buffers.as_ptr() as usize, buffers.len(), offset as usize]) }
}

/// Writes buffers at a position.
///
/// # Safety
/// As for [`write()`].
pub unsafe fn write_at(handle: Handle, buffers: &[Buffer], offset: u64) -> Result<usize> {
    // SAFETY: `pwritev` reads no more than the buffers hold.
    unsafe { call(__NR_pwritev, [handle.raw(), buffers.as_ptr() as usize, buffers.len(), offset as usize]) }
}

/// Fills `len_bytes` bytes with random ones, at most; how many were filled.
///
/// # Safety
/// The bytes are writable; nothing in Rust refers to them.
pub unsafe fn random(to: *mut u8, len_bytes: usize) -> Result<usize> {
    // SAFETY: the caller's promise.
    unsafe { call(__NR_getrandom, [to as usize, len_bytes, 0, 0]) }
}

/// Reads directory entries in the form of `struct linux_dirent64` from the directory's current position.
pub fn directory_entries(handle: Handle, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the kernel writes no more than the buffer holds.
    unsafe { call(__NR_getdents64, [handle.raw(), buffer.as_mut_ptr() as usize, buffer.len(), 0]) }
}

/// Whether a handle is a terminal.
pub fn is_terminal(handle: Handle) -> bool {
    const TCGETS: usize = 0x5401;
    // Larger than any architecture's `struct termios`, and aligned for it.
    let mut settings = [0u64; 16];
    // SAFETY: TCGETS writes one `struct termios`.
    unsafe { call(__NR_ioctl, [handle.raw(), TCGETS, settings.as_mut_ptr() as usize, 0]) }.is_ok()
}

/// `struct msghdr` of 64-bit Linux.
#[repr(C)]
struct MessageHeader {
    name: *const u8,
    name_len: u32,
    buffers: *const Buffer,
    buffers_len: usize,
    control: *const u8,
    control_len: usize,
    flags: u32,
}

impl MessageHeader {
    fn new(buffers: &[Buffer]) -> Self {
        let none = core::ptr::null();
        Self {
            name: none,
            name_len: 0,
            buffers: buffers.as_ptr(),
            buffers_len: buffers.len(),
            control: none,
            control_len: 0,
            flags: 0,
        }
    }
}

/// Receive without removing what is received.
pub const RECEIVE_PEEK: u32 = 2;
/// Receive as much as was asked for.
pub const RECEIVE_WAIT_ALL: u32 = 0x100;
const MSG_TRUNC: u32 = 0x20;
const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;

/// Receives from a socket: number of bytes, and whether a message was cut off.
///
/// # Safety
/// As for [`read`].
pub unsafe fn receive(handle: Handle, buffers: &[Buffer], flags: u32) -> Result<(usize, bool)> {
    let mut header = MessageHeader::new(buffers);
    let header_at = core::ptr::from_mut(&mut header) as usize;
    // SAFETY: the header describes writable buffers and room for nothing else.
    let len = unsafe { call(__NR_recvmsg, [handle.raw(), header_at, flags as usize | MSG_CMSG_CLOEXEC, 0]) }?;
    Ok((len, header.flags & MSG_TRUNC != 0))
}

/// Sends to a socket. A peer that is gone is an error, never a signal.
///
/// # Safety
/// As for [`write()`].
pub unsafe fn send(handle: Handle, buffers: &[Buffer]) -> Result<usize> {
    let header = MessageHeader::new(buffers);
    // SAFETY: the header describes readable buffers.
    unsafe { call(__NR_sendmsg, [handle.raw(), core::ptr::from_ref(&header) as usize, MSG_NOSIGNAL, 0]) }
}

/// An address of TCP: `struct sockaddr_in` or `struct sockaddr_in6`.
#[derive(Clone, Copy, Debug)]
pub struct SocketAddress {
    bytes: [u8; 28],
    len_bytes: usize,
}

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

impl SocketAddress {
    /// Of IPv4.
    pub fn v4(address: [u8; 4], port: u16) -> Self {
        let mut bytes = [0; 28];
        bytes[..2].copy_from_slice(&AF_INET.to_ne_bytes());
        bytes[2..4].copy_from_slice(&port.to_be_bytes());
        bytes[4..8].copy_from_slice(&address);
        Self { bytes, len_bytes: 16 }
    }

    /// Of IPv6.
    pub fn v6(address: [u8; 16], port: u16) -> Self {
        let mut bytes = [0; 28];
        bytes[..2].copy_from_slice(&AF_INET6.to_ne_bytes());
        bytes[2..4].copy_from_slice(&port.to_be_bytes());
        bytes[8..24].copy_from_slice(&address);
        Self { bytes, len_bytes: 28 }
    }

    fn family(&self) -> usize {
        usize::from(u16::from_ne_bytes([self.bytes[0], self.bytes[1]]))
    }
}

/// Listens on an address.
pub fn listen(address: &SocketAddress) -> Result<OwnedHandle> {
    const SOCK_STREAM: usize = 1;
    const SOCK_CLOEXEC: usize = 0o2_000_000;
    const SOL_SOCKET: usize = 1;
    const SO_REUSEADDR: usize = 2;
    const BACKLOG: usize = 128;
    // SAFETY: no memory is involved.
    let raw = unsafe { call(__NR_socket, [address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0, 0]) }?;
    let socket = OwnedHandle::from_kernel(raw)?;
    let on = 1u32;
    let option = [socket.get().raw(), SOL_SOCKET, SO_REUSEADDR, &raw const on as usize, size_of::<u32>(), 0];
    // SAFETY: the kernel reads the option, then the address. Without the option a restart would have to wait.
    unsafe {
        super::arch::system_call_6(__NR_setsockopt, option);
        call(__NR_bind, [socket.get().raw(), address.bytes.as_ptr() as usize, address.len_bytes, 0])?;
        call(__NR_listen, [socket.get().raw(), BACKLOG, 0, 0])?;
    }
    Ok(socket)
}

/// Accepts a connection.
pub fn accept(handle: Handle, nonblocking: bool) -> Result<OwnedHandle> {
    const SOCK_CLOEXEC: usize = 0o2_000_000;
    const SOCK_NONBLOCK: usize = 0o4_000;
    let flags = SOCK_CLOEXEC | if nonblocking { SOCK_NONBLOCK } else { 0 };
    // SAFETY: no address is asked for.
    let raw = unsafe { call(__NR_accept4, [handle.raw(), 0, 0, flags]) }?;
    OwnedHandle::from_kernel(raw)
}

/// Shuts down receiving (0), sending (1) or both (2).
pub fn shutdown(handle: Handle, how: u32) -> Result<()> {
    // SAFETY: no memory is involved.
    unsafe { call(__NR_shutdown, [handle.raw(), how as usize, 0, 0]) }.map(|_| ())
}
