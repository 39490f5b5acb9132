//! Sockets of components: what each is at this moment, by the number of its descriptor.
//!
//! In come numbers of descriptors, which handles stand for; out come the states that [`tcp`] and [`udp`] work on. A socket
//! has a number in the table of descriptors, so that limits of open files count it, and an entry here. What it may be used
//! for, [`policy`] decides.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: an address reaches the operating system in `tcp` and `udp` alone, behind a call of `policy`, and an ║
//! ║ address that stands for another one, as those of IPv4 in IPv6 do, never reaches it.                           ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

pub mod names;
pub mod policy;
pub mod sending;
pub mod tcp;
pub mod udp;

use core::cell::UnsafeCell;
use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::growing::Growing;
use crate::sys::errno::{Errno, Result};
use crate::sys::fs::{Handle, OwnedHandle};
use crate::sys::socket::{Family, SocketOption};
use crate::sys::{io_clock, sockets};

use super::descriptor::Kind;
use super::poll::{Waiter, Watch};
use super::state::{Process, State as _};

use self::tcp::Tcp;
use self::udp::Udp;

/// The error of an operation that nobody has started.
pub const NOT_STARTED: Errno = Errno::Nomsg;

/// What a descriptor is.
#[derive(Clone, Copy, Debug)]
pub enum Socket {
    /// No socket of a component.
    None,
    /// One of TCP.
    Tcp(Tcp),
    /// One of UDP.
    Udp(Udp),
}

/// Sockets that need no mapping of their own.
const FIRST_LEN: usize = 8;

/// How many sockets a call looks at for one that has something to send.
const LOOKED_AT: usize = 16;

/// The most sockets that have an entry, which is more than any process may have open.
const MAX_LEN: usize = 1 << 20;

struct Global(UnsafeCell<Growing<Socket, FIRST_LEN>>);

// SAFETY: programs that were components have one thread, and each function below keeps its borrow to itself.
unsafe impl Sync for Global {}

static SOCKETS: Global = Global(UnsafeCell::new(Growing::new(Socket::None)));

fn with<T>(fd: u32, f: impl FnOnce(&mut Socket) -> Result<T>) -> Result<T> {
    // SAFETY: see `Global`; no function that is passed here borrows the table again.
    let sockets = unsafe { &mut *SOCKETS.0.get() };
    f(sockets.slot(fd as usize).ok_or(Errno::Badf)?)
}

/// Runs `f` on the state of a socket of TCP.
pub fn with_tcp<T>(fd: u32, f: impl FnOnce(&mut Tcp) -> Result<T>) -> Result<T> {
    with(fd, |socket| match socket {
        Socket::Tcp(tcp) => f(tcp),
        _ => Err(Errno::Notsock),
    })
}

/// Runs `f` on the state of a socket of UDP.
pub fn with_udp<T>(fd: u32, f: impl FnOnce(&mut Udp) -> Result<T>) -> Result<T> {
    with(fd, |socket| match socket {
        Socket::Udp(udp) => f(udp),
        _ => Err(Errno::Notsock),
    })
}

/// Makes a socket with a number: `open` opens it, once there is room for it. The number, or why there is none.
fn add(open: impl FnOnce() -> Result<OwnedHandle>, state: impl FnOnce(Handle) -> Socket) -> Result<u32> {
    let place = Process.reserve()?;
    let owned = open()?;
    let handle = owned.get();
    let fd = place.fill(owned, Kind::Socket, 0, 0);
    // SAFETY: see `Global`.
    let sockets = unsafe { &mut *SOCKETS.0.get() };
    while fd as usize >= sockets.len() {
        if let Err(error) = sockets.grow(Socket::None, MAX_LEN.saturating_sub(sockets.len())) {
            // It was just opened.
            let _ = Process.close(fd);
            return Err(error);
        }
    }
    with(fd, |socket| {
        *socket = state(handle);
        Ok(fd)
    })
}

/// Closes a socket, whose handle is gone.
pub fn close(fd: u32) {
    let removed = with(fd, |socket| Ok(core::mem::replace(socket, Socket::None)));
    match removed {
        Ok(Socket::Tcp(mut tcp)) => tcp.sending.forget(),
        Ok(Socket::Udp(_)) => udp::forget(fd),
        _ => {}
    }
    // A number that is not open is closed already.
    let _ = Process.close(fd);
}

/// Whether something can be written without waiting, or an error is there.
fn is_writable(handle: Handle) -> Result<bool> {
    io_clock::look(&mut [Watch::new(handle, Watch::WRITABLE)]).map(|found| found != 0)
}

/// Waits until a handle is ready.
pub fn wait_for(handle: Handle, events: u16) -> Result<()> {
    send_until(1, |waiter| waiter.watch(handle, events), |waiter, _| waiter.found(0) != 0)?;
    let mut waiter = Waiter::new(Process, 1)?;
    waiter.watch(handle, events)?;
    waiter.wait().map(|_| ())
}

/// Sends what sockets have accepted and not sent yet, until that is done or what a guest waits for has happened: nobody
/// else would send while the guest waits. `add` adds what the guest waits for, at most `count` watches, and `has_happened`
/// looks at them.
pub fn send_until(
    count: u32,
    mut add: impl FnMut(&mut Waiter<Process>) -> Result<()>,
    mut has_happened: impl FnMut(&mut Waiter<Process>, u64) -> bool,
) -> Result<()> {
    loop {
        let waiting = sending::waiting();
        if waiting == 0 {
            return Ok(());
        }
        let mut waiter = Waiter::new(Process, count.saturating_add(waiting))?;
        add(&mut waiter)?;
        each_waiting(|tcp| waiter.watch(tcp.handle(), Watch::WRITABLE))?;
        let now = waiter.wait()?;
        each_waiting(|tcp| {
            tcp.send_waiting();
            Ok(())
        })?;
        if has_happened(&mut waiter, now) {
            return Ok(());
        }
    }
}

/// Sends what one socket has accepted and not sent yet, as far as that is possible at once. Each call looks at the next
/// [`LOOKED_AT`] sockets in turn, so that it costs no more however many sockets there are and however many peers are slow.
/// Every function of sockets, their streams and `pollable`s begins with this, because a guest may never wait.
pub fn send_in_turn() {
    /// The socket whose turn it is.
    static TURN: AtomicUsize = AtomicUsize::new(0);
    if sending::waiting() == 0 {
        return;
    }
    // SAFETY: see `Global`.
    let sockets = unsafe { &mut *SOCKETS.0.get() };
    let mut turn = TURN.load(Ordering::Relaxed);
    for _ in 0..LOOKED_AT {
        // The list never shrinks, and has a first element.
        let index = turn;
        turn = if turn + 1 < sockets.len() { turn + 1 } else { 0 };
        if let Some(Socket::Tcp(tcp)) = sockets.slot(index)
            && tcp.sending.is_waiting()
        {
            tcp.send_waiting();
            break;
        }
    }
    TURN.store(turn, Ordering::Relaxed);
}

/// Calls `f` with each socket that has something to send.
fn each_waiting(mut f: impl FnMut(&mut Tcp) -> Result<()>) -> Result<()> {
    // SAFETY: see `Global`.
    let sockets = unsafe { &mut *SOCKETS.0.get() };
    for index in 0..sockets.len() {
        if let Some(Socket::Tcp(tcp)) = sockets.slot(index)
            && tcp.sending.is_waiting()
        {
            f(tcp)?;
        }
    }
    Ok(())
}

/// Fails where an address is not one that sockets of a family have. An address of IPv6 that stands for one of IPv4 is refused.
fn check_family(address: &SocketAddr, family: Family) -> Result<()> {
    let is_own = match (family, address.ip()) {
        (Family::V4, IpAddr::V4(_)) => true,
        (Family::V6, IpAddr::V6(ip)) => !stands_for_v4(ip),
        _ => false,
    };
    if is_own { Ok(()) } else { Err(Errno::Inval) }
}

/// Whether an address of IPv6 is an address of IPv4 written in another way: `::ffff:a.b.c.d`, or `::a.b.c.d` of old.
fn stands_for_v4(ip: Ipv6Addr) -> bool {
    let is_compatible = ip.to_bits() >> 32 == 0 && !ip.is_unspecified() && !ip.is_loopback();
    is_compatible || ip.to_ipv4_mapped().is_some()
}

/// Fails where an address is that of several hosts.
fn check_unicast(address: &SocketAddr) -> Result<()> {
    let is_of_many = match address.ip() {
        IpAddr::V4(ip) => ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_multicast(),
    };
    if is_of_many { Err(Errno::Inval) } else { Ok(()) }
}

/// Fails where a peer cannot have an address: all addresses of this host together, or no port.
fn check_remote(address: &SocketAddr) -> Result<()> {
    if address.ip().is_unspecified() || address.port() == 0 { Err(Errno::Inval) } else { Ok(()) }
}

/// How many routers a packet may pass.
fn hop_limit(handle: Handle, family: Family) -> Result<u8> {
    let hops = sockets::option(handle, SocketOption::HopLimit(family))?;
    u8::try_from(hops).map_err(|_| Errno::Notsup)
}

fn set_hop_limit(handle: Handle, family: Family, hops: u8) -> Result<()> {
    if hops == 0 {
        return Err(Errno::Inval);
    }
    sockets::set_option(handle, SocketOption::HopLimit(family), hops.into())
}

/// Sets the size of a buffer, which is a wish: systems have limits of their own.
fn set_buffer_size(handle: Handle, buffer: SocketOption, bytes: u64) -> Result<()> {
    const MOST: u64 = i32::MAX as u64;
    if bytes == 0 {
        return Err(Errno::Inval);
    }
    // At most `MOST`.
    match sockets::set_option(handle, buffer, bytes.min(MOST) as u32) {
        Err(Errno::Nobufs) => Ok(()),
        result => result,
    }
}
