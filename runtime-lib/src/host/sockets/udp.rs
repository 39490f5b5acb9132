//! Sockets of UDP, and their streams of datagrams.
//!
//! Datagrams come from peers that are granted and go to them. A socket that was bound to a granted address serves besides:
//! it hears everybody, and may answer whom it has heard.

// ---------------------------------------------------------------------------------------------------------------
// Security: each datagram is judged by the address that it goes to or comes from, also where the socket has a peer: a
// peer is set behind the same judgement. Who is answered without a grant has written to a granted address before: those
// who have written last are remembered, each for the socket that has heard of them.
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

/// How many datagrams of peers that are not heard one call passes over.
const MAX_PASSED_OVER: usize = 256;

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
    super::add(|| sockets::socket(family, Protocol::Udp), |handle| Socket::Udp(Udp::new(handle, family)))
}

impl Udp {
    fn new(handle: Handle, family: Family) -> Self {
        Self {
            handle,
            family,
            is_bound: false,
            is_binding: false,
            serves: false,
            peer: None,
            permit: 0,
            streams: [false; 2],
            polls: [0; 3],
        }
    }

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
        let is_granted = policy::allows(Purpose::Udp, peer) || self.serves && heard().has(fd, peer);
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

    /// Receives the next datagram from somebody who may be heard: how many bytes, and from whom. `Again` where there is none
    /// among the next [`MAX_PASSED_OVER`]: others who send without end do not keep the guest.
    ///
    /// # Safety
    /// The buffer is writable; nothing in Rust refers to what it holds.
    pub unsafe fn receive(&mut self, fd: u32, buffer: &Buffer) -> Result<(usize, SocketAddr)> {
        for _ in 0..MAX_PASSED_OVER {
            // SAFETY: by this function's contract.
            let (len, from) = unsafe { sockets::receive_from(self.handle, buffer) }?;
            if self.peer.is_some_and(|peer| peer != from) {
                continue;
            }
            if policy::allows(Purpose::Udp, &from) {
                return Ok((len, from));
            }
            if self.serves {
                heard().hear(fd, &from);
                return Ok((len, from));
            }
        }
        Err(Errno::Again)
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

/// A peer that has written to a socket.
#[derive(Clone, Copy)]
struct Peer {
    /// The number of the socket; [`NOBODY`] where nobody is remembered.
    socket: u32,
    address: SocketAddr,
    /// When it has written last: the count of datagrams at that moment.
    moment: u64,
}

/// No socket has this number.
const NOBODY: u32 = 0;

const NO_PEER: Peer =
    Peer { socket: NOBODY, address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), moment: 0 };

/// Whom the sockets have heard.
struct Heard {
    peers: [Peer; HEARD],
    /// How many datagrams were heard.
    count: u64,
}

impl Heard {
    const NONE: Self = Self { peers: [NO_PEER; HEARD], count: 0 };

    /// Remembers a peer, in place of the one that has been silent for the longest time.
    fn hear(&mut self, socket: u32, address: &SocketAddr) {
        self.count += 1;
        let known = self.peers.iter().position(|peer| peer.is(socket, address));
        let place = match known {
            Some(index) => self.peers.get_mut(index),
            None => self.peers.iter_mut().min_by_key(|peer| peer.moment),
        };
        if let Some(place) = place {
            *place = Peer { socket, address: *address, moment: self.count };
        }
    }

    fn has(&self, socket: u32, address: &SocketAddr) -> bool {
        self.peers.iter().any(|peer| peer.is(socket, address))
    }

    fn forget(&mut self, socket: u32) {
        self.peers.iter_mut().filter(|peer| peer.socket == socket).for_each(|peer| *peer = NO_PEER);
    }
}

impl Peer {
    fn is(&self, socket: u32, address: &SocketAddr) -> bool {
        self.socket == socket && self.address == *address
    }
}

struct Global(UnsafeCell<Heard>);

// SAFETY: programs that were components have one thread, and each use of `heard` ends before the next one.
unsafe impl Sync for Global {}

static HEARD_PEERS: Global = Global(UnsafeCell::new(Heard::NONE));

fn heard() -> &'static mut Heard {
    // SAFETY: see `Global`.
    unsafe { &mut *HEARD_PEERS.0.get() }
}

/// Forgets whom a socket has heard.
pub(super) fn forget(fd: u32) {
    heard().forget(fd);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::poll::Watch;
    use crate::sys::io_clock::{self, Clock};
    use std::net::UdpSocket;

    /// Nothing is granted here, so all datagrams are of peers that are not heard.
    #[test]
    fn strangers_do_not_keep_a_guest() {
        let socket = sockets::socket(Family::V4, Protocol::Udp).unwrap();
        // All of the datagrams have room in the buffer of the system.
        sockets::set_option(socket.get(), SocketOption::ReceiveBuffer, 1 << 20).unwrap();
        sockets::bind(socket.get(), &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..=MAX_PASSED_OVER {
            stranger.send_to(b"hello", sockets::local_address(socket.get()).unwrap()).unwrap();
        }
        let mut bytes = [0; 10];
        let buffer = Buffer { base: bytes.as_mut_ptr(), len_bytes: bytes.len() };
        // SAFETY: the array is writable.
        assert_eq!(unsafe { Udp::new(socket.get(), Family::V4).receive(1, &buffer) }, Err(Errno::Again));
        // At least one of them is left, or still on its way.
        let end = io_clock::now(Clock::Monotonic).unwrap() + 5_000_000_000;
        assert_eq!(io_clock::wait(&mut [Watch::new(socket.get(), Watch::READABLE)], Some(end)), Ok(1));
    }

    fn peer(number: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], number))
    }

    #[test]
    fn those_who_have_written_last_are_remembered() {
        let mut heard = Heard::NONE;
        for number in 0..HEARD as u16 {
            heard.hear(5, &peer(number));
        }
        // The one that was heard first writes again, before others are heard.
        heard.hear(5, &peer(0));
        for number in 1000..1100 {
            heard.hear(5, &peer(number));
        }
        let forgotten = (0..HEARD as u16).filter(|&number| !heard.has(5, &peer(number)));
        assert!(forgotten.eq(1..101));
        assert!((1000..1100).all(|number| heard.has(5, &peer(number)) && !heard.has(6, &peer(number))));
    }

    #[test]
    fn sockets_share_the_room_for_those_who_are_remembered() {
        let mut heard = Heard::NONE;
        heard.hear(5, &peer(0));
        for number in 0..HEARD as u16 {
            heard.hear(6, &peer(number));
        }
        assert!(heard.has(6, &peer(0)) && !heard.has(5, &peer(0)));
        heard.hear(5, &peer(0));
        heard.forget(6);
        assert!(heard.has(5, &peer(0)) && !heard.has(6, &peer(200)));
    }
}
