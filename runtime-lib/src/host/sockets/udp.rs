//! Sockets of UDP, and their streams of datagrams.
//!
//! Datagrams come from peers that are granted and go to them. A socket that was bound to a granted address serves besides:
//! it hears everybody, and may answer whom it has heard.

// ---------------------------------------------------------------------------------------------------------------
// Security: each datagram is judged by the address that it goes to or comes from, also where the socket has a peer: a
// peer is set behind the same judgement. Who is answered without a grant has written to a granted address before, and the
// last of them are remembered, by socket.
// ---------------------------------------------------------------------------------------------------------------

use core::cell::UnsafeCell;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::sys::errno::{Errno, Result};
use crate::sys::fs::Handle;
use crate::sys::io_stream::Buffer;
use crate::sys::socket::{Family, Protocol, SocketOption};
use crate::sys::sockets;

use super::policy::{self, Purpose};
use super::tcp::Ready;
use super::{NOT_STARTED, Socket};

/// How many datagrams are received or sent by one call.
pub const MAX_DATAGRAMS: usize = 16;

/// The longest datagram.
pub const MAX_BYTES: usize = u16::MAX as usize;

/// What a `pollable` of a socket waits for, and what a guest has handles of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The socket itself.
    Socket,
    /// Its stream of datagrams that are received.
    Incoming,
    /// Its stream of datagrams that are sent.
    Outgoing,
}

/// A socket of UDP.
#[derive(Clone, Copy, Debug)]
pub struct Udp {
    handle: Handle,
    family: Family,
    is_bound: bool,
    is_binding: bool,
    /// It was bound to a granted address.
    serves: bool,
    peer: Option<SocketAddr>,
    /// How many datagrams may be sent.
    permit: u32,
    /// Whether there are handles of its streams.
    streams: [bool; 2],
    /// How many `pollable`s there are of each [`Part`].
    polls: [u32; 3],
}

/// Makes a socket; its number. Access is denied where no address is granted.
pub fn create(family: Family) -> Result<u32> {
    if !policy::allows_any(Purpose::Udp) {
        return Err(Errno::Acces);
    }
    super::add(
        || sockets::socket(family, Protocol::Udp),
        |handle| {
            Socket::Udp(Udp {
                handle,
                family,
                is_bound: false,
                is_binding: false,
                serves: false,
                peer: None,
                permit: 0,
                streams: [false; 2],
                polls: [0; 3],
            })
        },
    )
}

impl Udp {
    /// Which addresses it has.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Whether a guest has a stream of it.
    pub fn has_streams(&self) -> bool {
        self.streams != [false; 2]
    }

    /// Begins to bind to an address. Nobody can be waiting at port 0: with any grant it is as good
    /// as sending without binding.
    pub fn start_bind(&mut self, address: &SocketAddr) -> Result<()> {
        if self.is_binding {
            return Err(Errno::Already);
        }
        if self.has_streams() || self.is_bound {
            return Err(Errno::Isconn);
        }
        super::check_family(address, self.family)?;
        let serves = policy::allows(Purpose::Udp, address);
        if !serves && address.port() != 0 {
            return Err(Errno::Acces);
        }
        sockets::bind(self.handle, address).map_err(of_address)?;
        (self.is_bound, self.is_binding, self.serves) = (true, true, serves);
        Ok(())
    }

    /// Ends binding.
    pub fn finish_bind(&mut self) -> Result<()> {
        if !self.is_binding {
            return Err(NOT_STARTED);
        }
        self.is_binding = false;
        Ok(())
    }

    /// Makes the streams, of datagrams to and from one peer or any.
    pub fn stream(&mut self, fd: u32, peer: Option<&SocketAddr>) -> Result<()> {
        if !self.is_bound {
            return Err(Errno::Notconn);
        }
        match peer {
            Some(peer) => self.connect(fd, peer)?,
            None if self.peer.is_some() => {
                sockets::disconnect(self.handle)?;
                self.peer = None;
            }
            None => {}
        }
        (self.streams, self.permit) = ([true; 2], 0);
        Ok(())
    }

    fn connect(&mut self, fd: u32, peer: &SocketAddr) -> Result<()> {
        super::check_family(peer, self.family)?;
        super::check_remote(peer)?;
        self.check_peer(fd, peer)?;
        let mut connected = sockets::connect(self.handle, peer);
        if connected == Err(Errno::Inval) {
            // Linux does not change the route of a socket that has a peer.
            let _ = sockets::disconnect(self.handle);
            connected = sockets::connect(self.handle, peer);
        }
        self.peer = sockets::peer_address(self.handle).ok();
        connected.map_err(of_address)
    }

    /// Fails where no datagram may go to an address.
    fn check_peer(&self, fd: u32, peer: &SocketAddr) -> Result<()> {
        let is_granted = policy::allows(Purpose::Udp, peer) || self.serves && has_heard(fd, peer);
        if is_granted { Ok(()) } else { Err(Errno::Acces) }
    }

    /// Its own address.
    pub fn local_address(&self) -> Result<SocketAddr> {
        if !self.is_bound {
            return Err(Errno::Notconn);
        }
        sockets::local_address(self.handle)
    }

    /// The address of its peer.
    pub fn remote_address(&self) -> Result<SocketAddr> {
        self.peer.ok_or(Errno::Notconn)
    }

    /// How many routers its packets may pass.
    pub fn hop_limit(&self) -> Result<u8> {
        super::hop_limit(self.handle, self.family)
    }

    /// Sets that.
    pub fn set_hop_limit(&self, hops: u8) -> Result<()> {
        super::set_hop_limit(self.handle, self.family, hops)
    }

    /// The size of a buffer in bytes.
    pub fn buffer_size(&self, buffer: SocketOption) -> Result<u32> {
        sockets::option(self.handle, buffer)
    }

    /// Sets that.
    pub fn set_buffer_size(&self, buffer: SocketOption, bytes: u64) -> Result<()> {
        super::set_buffer_size(self.handle, buffer, bytes)
    }

    /// Receives the next datagram from somebody who may be heard: how many bytes, and from whom.
    ///
    /// # Safety
    /// The buffer is writable; nothing in Rust refers to what it holds.
    pub unsafe fn receive(&mut self, fd: u32, buffer: &Buffer) -> Result<(usize, SocketAddr)> {
        loop {
            // SAFETY: by this function's contract.
            let (len, from) = unsafe { sockets::receive_from(self.handle, buffer) }?;
            if self.peer.is_some_and(|peer| peer != from) {
                continue;
            }
            if policy::allows(Purpose::Udp, &from) {
                return Ok((len, from));
            }
            if self.serves {
                hear(fd, &from);
                return Ok((len, from));
            }
        }
    }

    /// How many datagrams may be sent at this moment.
    pub fn check_send(&mut self) -> Result<u32> {
        self.permit = if super::is_writable(self.handle)? { MAX_DATAGRAMS as u32 } else { 0 };
        Ok(self.permit)
    }

    /// Uses the permit for so many datagrams, if there is one.
    pub fn use_permit(&mut self, count: u32) -> bool {
        let is_permitted = count <= self.permit;
        self.permit = 0;
        is_permitted
    }

    /// Sends a datagram.
    ///
    /// # Safety
    /// The buffer is readable.
    pub unsafe fn send(&self, fd: u32, buffer: &Buffer, to: Option<&SocketAddr>) -> Result<()> {
        if buffer.len_bytes > MAX_BYTES {
            return Err(Errno::Msgsize);
        }
        if let Some(to) = to {
            super::check_remote(to)?;
            super::check_family(to, self.family)?;
            if self.peer.is_some_and(|peer| peer != *to) {
                return Err(Errno::Inval);
            }
        }
        let to = to.copied().or(self.peer).ok_or(Errno::Inval)?;
        self.check_peer(fd, &to)?;
        let other = if self.peer.is_some() { None } else { Some(&to) };
        // SAFETY: by this function's contract.
        unsafe { sockets::send_to(self.handle, buffer, other) }.map(|_| ())
    }

    /// When a part of it is ready.
    pub fn ready(&self, part: Part) -> Ready {
        match part {
            Part::Socket => Ready::Always,
            Part::Incoming => Ready::Readable,
            Part::Outgoing => Ready::Writable,
        }
    }

    /// A guest has one more `pollable` of a part of it.
    pub fn add_poll(&mut self, part: Part) {
        if let Some(count) = self.polls.get_mut(part as usize) {
            *count += 1;
        }
    }

    /// A `pollable` is gone.
    pub fn remove_poll(&mut self, part: Part) {
        if let Some(count) = self.polls.get_mut(part as usize) {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether a guest has anything of a part of it besides the part itself.
    pub fn has_children(&self, part: Part) -> bool {
        let is_polled = self.polls.get(part as usize).is_some_and(|&count| count > 0);
        is_polled || part == Part::Socket && self.has_streams()
    }

    /// A stream of it is gone.
    pub fn remove_stream(&mut self, part: Part) {
        let [incoming, outgoing] = &mut self.streams;
        match part {
            Part::Incoming => *incoming = false,
            Part::Outgoing => *outgoing = false,
            Part::Socket => {}
        }
    }
}

/// The error of an address: one of another family was checked before, and is an invalid argument.
fn of_address(error: Errno) -> Errno {
    if error == Errno::Afnosupport { Errno::Inval } else { error }
}

/// How many peers are remembered, of all sockets together.
const HEARD: usize = 256;

/// The numbers of sockets, and whom each has heard.
struct Heard {
    peers: [(u32, SocketAddr); HEARD],
    next: usize,
}

/// No socket has this number.
const NOBODY: u32 = 0;

struct Global(UnsafeCell<Heard>);

// SAFETY: programs that were components have one thread, and each function below keeps its borrow to itself.
unsafe impl Sync for Global {}

static HEARD_PEERS: Global = Global(UnsafeCell::new(Heard {
    peers: [(NOBODY, SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0)); HEARD],
    next: 0,
}));

fn heard() -> &'static mut Heard {
    // SAFETY: see `Global`.
    unsafe { &mut *HEARD_PEERS.0.get() }
}

/// Remembers a peer.
fn hear(fd: u32, peer: &SocketAddr) {
    if has_heard(fd, peer) {
        return;
    }
    let heard = heard();
    if let Some(place) = heard.peers.get_mut(heard.next) {
        *place = (fd, *peer);
    }
    heard.next = (heard.next + 1) % HEARD;
}

fn has_heard(fd: u32, peer: &SocketAddr) -> bool {
    heard().peers.contains(&(fd, *peer))
}

/// Forgets whom a socket has heard.
pub(super) fn forget(fd: u32) {
    for known in heard().peers.iter_mut().filter(|(socket, _)| *socket == fd) {
        known.0 = NOBODY;
    }
}
