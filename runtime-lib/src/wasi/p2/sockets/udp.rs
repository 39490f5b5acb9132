//! `wasi:sockets/udp` and `udp-create-socket`: [`crate::host::sockets::udp`] with handles, and datagrams in guest memory.

use core::cell::UnsafeCell;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::host::sockets::udp::{self, MAX_BYTES, MAX_DATAGRAMS, Part};
use crate::host::sockets::{self, with_udp};
use crate::sys::errno::{Errno, Result};
use crate::sys::io_stream::Buffer;
use crate::sys::socket::SocketOption;

use super::address::SOCKET_ADDRESS_BYTES;
use super::tcp::put_address;
use super::{Call, Resource, address, check_network, family, family_number, put, put_done, put_u8, put_u64};

/// The socket that a handle stands for.
fn socket(call: Call, handle: u32) -> u32 {
    call.resource(handle, |resource| match resource {
        Resource::Udp(fd) => Some(fd),
        _ => None,
    })
}

/// The socket that a handle stands for a stream of.
fn stream(call: Call, handle: u32, part: Part) -> u32 {
    call.resource(handle, |resource| match resource {
        Resource::Datagrams(fd, found) if found == part => Some(fd),
        _ => None,
    })
}

/// Makes a socket.
pub(super) fn create_udp_socket(call: Call, address_family: u32, at: u32) {
    call.result_at(at, 8, 4);
    let created = udp::create(family(call, address_family));
    put(call, at, 4, created, |fd| call.put_u32(at + 4, call.own(Resource::Udp(fd))));
}

takes_address! {
    /// Begins to bind.
    udp_socket_start_bind (this network): |call, family, parts, at| {
        call.result_at(at, 2, 1);
        let fd = socket(call, this);
        check_network(call, network);
        let address = address::lift(call, family, parts);
        put_done(call, at, with_udp(fd, |udp| udp.start_bind(&address)));
    };
    /// Makes the streams of datagrams, to and from one peer or any.
    udp_socket_stream (this has_peer): |call, family, parts, at| {
        call.result_at(at, 12, 4);
        let fd = socket(call, this);
        let peer = match has_peer {
            0 => None,
            1 => Some(address::lift(call, family, parts)),
            _ => call.trap("invalid variant discriminant"),
        };
        streams(call, fd, peer, at);
    };
}

/// Makes the streams of a socket that has none, and writes their handles.
fn streams(call: Call, fd: u32, peer: Option<SocketAddr>, at: u32) {
    if with_udp(fd, |udp| Ok(udp.has_streams())) != Ok(false) {
        call.trap("UDP streams not dropped yet");
    }
    put(call, at, 4, with_udp(fd, |udp| udp.stream(fd, peer.as_ref())), |()| {
        call.put_u32(at + 4, call.own(Resource::Datagrams(fd, Part::Incoming)));
        call.put_u32(at + 8, call.own(Resource::Datagrams(fd, Part::Outgoing)));
    });
}

with_result! {
    with_udp:
    /// Ends binding.
    udp_socket_finish_bind () 2 1 put_done: |udp| udp.finish_bind();
    /// The socket's own address.
    udp_socket_local_address () 36 4 put_address: |udp| udp.local_address();
    /// The address of its peer.
    udp_socket_remote_address () 36 4 put_address: |udp| udp.remote_address();
    /// How many routers its packets may pass.
    udp_socket_unicast_hop_limit () 2 1 put_u8: |udp| udp.hop_limit();
    /// Sets that.
    udp_socket_set_unicast_hop_limit (value: u32) 2 1 put_done:
        |udp| udp.set_hop_limit(value as u8);
    /// How many bytes may wait to be received.
    udp_socket_receive_buffer_size () 16 8 put_u64:
        |udp| udp.buffer_size(SocketOption::ReceiveBuffer).map(u64::from);
    /// Sets that.
    udp_socket_set_receive_buffer_size (value: u64) 2 1 put_done:
        |udp| udp.set_buffer_size(SocketOption::ReceiveBuffer, value);
    /// How many bytes may wait to be sent.
    udp_socket_send_buffer_size () 16 8 put_u64:
        |udp| udp.buffer_size(SocketOption::SendBuffer).map(u64::from);
    /// Sets that.
    udp_socket_set_send_buffer_size (value: u64) 2 1 put_done:
        |udp| udp.set_buffer_size(SocketOption::SendBuffer, value);
}

/// Which addresses it has.
pub(super) fn udp_socket_address_family(call: Call, this: u32) -> u32 {
    let fd = socket(call, this);
    with_udp(fd, |udp| Ok(family_number(udp.family()))).unwrap_or(0)
}

/// A `pollable` of a part of a socket.
fn subscribe(call: Call, fd: u32, part: Part) -> u32 {
    let handle = call.own(Resource::PollsUdp(fd, part));
    // The socket exists: a handle stands for it.
    let _ = with_udp(fd, |udp| {
        udp.add_poll(part);
        Ok(())
    });
    handle
}

/// A `pollable` that is always ready: nothing of the socket itself takes time.
pub(super) fn udp_socket_subscribe(call: Call, this: u32) -> u32 {
    subscribe(call, socket(call, this), Part::Socket)
}

/// A `pollable` that is ready when a datagram has come.
pub(super) fn incoming_datagram_stream_subscribe(call: Call, this: u32) -> u32 {
    subscribe(call, stream(call, this, Part::Incoming), Part::Incoming)
}

/// A `pollable` that is ready when a datagram can be sent.
pub(super) fn outgoing_datagram_stream_subscribe(call: Call, this: u32) -> u32 {
    subscribe(call, stream(call, this, Part::Outgoing), Part::Outgoing)
}

/// How many bytes of datagrams one call receives before it asks for no more.
const ENOUGH_BYTES: usize = 1 << 16;

/// Room for that, and for the last datagram.
const BUFFER_BYTES: usize = ENOUGH_BYTES + MAX_BYTES + 1;

/// Where datagrams lie between the system and the guest.
struct Shared(UnsafeCell<[u8; BUFFER_BYTES]>);

// SAFETY: programs that were components have one thread, and no host function runs within another one.
unsafe impl Sync for Shared {}

static BUFFER: Shared = Shared(UnsafeCell::new([0; BUFFER_BYTES]));

/// Datagrams in the buffer, one behind the other: how long each is, and from whom.
struct Received {
    datagrams: [(usize, SocketAddr); MAX_DATAGRAMS],
    count: usize,
}

/// Receives what is there.
fn receive(fd: u32, most: u64) -> Result<Received> {
    const NONE: (usize, SocketAddr) = (0, SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));
    let mut received = Received { datagrams: [NONE; MAX_DATAGRAMS], count: 0 };
    let most = usize::try_from(most).unwrap_or(MAX_DATAGRAMS);
    let mut end = 0;
    for place in received.datagrams.iter_mut().take(most) {
        if end >= ENOUGH_BYTES {
            break;
        }
        let base = BUFFER.0.get().cast::<u8>().wrapping_add(end);
        let buffer = Buffer { base, len_bytes: BUFFER_BYTES - end };
        // SAFETY: the rest of the buffer, which nothing refers to.
        match with_udp(fd, |udp| unsafe { udp.receive(fd, &buffer) }) {
            Ok(datagram) => *place = datagram,
            Err(Errno::Again) => break,
            Err(error) if received.count == 0 => return Err(error),
            Err(_) => break,
        }
        end += place.0;
        received.count += 1;
    }
    Ok(received)
}

/// Receives datagrams, as many as are there and wanted.
pub(super) fn incoming_datagram_stream_receive(call: Call, this: u32, most: u64, at: u32) {
    /// `incoming-datagram`: a list, and an address.
    const SIZE_BYTES: u32 = 8 + SOCKET_ADDRESS_BYTES;
    call.result_at(at, 12, 4);
    let received = receive(stream(call, this, Part::Incoming), most);
    put(call, at, 4, received, |received| {
        // At most 16 of 40 bytes.
        let count = received.count as u32;
        let list = call.allocate((count * SIZE_BYTES) as usize, 4);
        let mut start = 0;
        for (to, (len, from)) in (list..).step_by(SIZE_BYTES as usize).zip(&received.datagrams[..received.count]) {
            // SAFETY: nothing writes to the buffer while this function runs.
            let bytes = unsafe { &*BUFFER.0.get() }.get(start..start + len).unwrap_or_default();
            call.put_bytes(to, &[bytes]);
            address::put(call, to + 8, from);
            start += len;
        }
        call.put_u32(at + 4, list);
        call.put_u32(at + 8, count);
    });
}

/// How many datagrams may be sent at this moment.
pub(super) fn outgoing_datagram_stream_check_send(call: Call, this: u32, at: u32) {
    call.result_at(at, 16, 8);
    let fd = stream(call, this, Part::Outgoing);
    put_u64(call, at, with_udp(fd, |udp| udp.check_send().map(u64::from)));
}

/// `outgoing-datagram`: a list, and an address or none.
const OUTGOING_BYTES: u32 = 12 + SOCKET_ADDRESS_BYTES;

/// A datagram of a guest: where its bytes lie, and its address.
fn outgoing(call: Call, at: u32) -> (Buffer, Option<SocketAddr>) {
    let memory = call.memory();
    let word = |at| memory.read_u32(at).unwrap_or(u32::MAX);
    let (start, len) = (word(at), word(at + 4));
    call.list(start, len, 1, 1);
    let to = match memory.read::<1>(at + 8) {
        Ok([0]) => None,
        Ok([1]) => Some(address::read(call, at + 12)),
        _ => call.trap("invalid variant discriminant"),
    };
    match memory.bytes(start, len) {
        Ok(base) => (Buffer { base, len_bytes: len as usize }, to),
        Err(_) => call.trap("list pointer/length out of bounds of memory"),
    }
}

/// Sends datagrams; how many were sent.
pub(super) fn outgoing_datagram_stream_send(call: Call, this: u32, list: u32, count: u32, at: u32) {
    call.result_at(at, 16, 8);
    let fd = stream(call, this, Part::Outgoing);
    call.list(list, count, OUTGOING_BYTES, 4);
    // The list lies in the memory, so this does not overflow.
    let nth = |index: u32| outgoing(call, list + OUTGOING_BYTES * index);
    for index in 0..count {
        // A list of nonsense is refused before any of it is sent.
        nth(index);
    }
    if count > 0 && with_udp(fd, |udp| Ok(udp.use_permit(count))) != Ok(true) {
        call.trap("unpermitted: argument exceeds permitted size");
    }
    let mut sent = Ok(0);
    for index in 0..count {
        let (bytes, to) = nth(index);
        // SAFETY: the bytes lie in guest memory.
        match with_udp(fd, |udp| unsafe { udp.send(fd, &bytes, to.as_ref()) }) {
            Ok(()) => sent = Ok(u64::from(index) + 1),
            Err(Errno::Again) => break,
            Err(error) => {
                // What was sent is said, and the error with the next call.
                sent = if index == 0 { Err(error) } else { sent };
                break;
            }
        }
    }
    put_u64(call, at, sent);
}

/// Drops a handle. A socket goes after its streams and `pollable`s.
pub(super) fn drop_udp_socket(call: Call, this: u32) {
    let fd = socket(call, this);
    if call.take(this).is_some() {
        call.check_childless(with_udp(fd, |udp| Ok(udp.has_children(Part::Socket))));
        sockets::close(fd);
    }
}

fn drop_stream(call: Call, this: u32, part: Part) {
    let fd = stream(call, this, part);
    if call.take(this).is_some() {
        call.check_childless(with_udp(fd, |udp| Ok(udp.has_children(part))));
        // The socket exists as long as its streams.
        let _ = with_udp(fd, |udp| {
            udp.remove_stream(part);
            Ok(())
        });
    }
}

/// Drops a handle.
pub(super) fn drop_incoming_datagram_stream(call: Call, this: u32) {
    drop_stream(call, this, Part::Incoming);
}

/// Drops a handle.
pub(super) fn drop_outgoing_datagram_stream(call: Call, this: u32) {
    drop_stream(call, this, Part::Outgoing);
}
