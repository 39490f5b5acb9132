//! `wasi:io/poll` of a program that can have sockets: [`crate::wasi::p2::poll`], where a `pollable` may be that of a socket. What
//! it waits for depends on what the socket is doing at the moment of the wait.

use crate::host::sockets::tcp::{self, Ready};
use crate::host::sockets::{self, names, udp, with_tcp, with_udp};
use crate::wasi::p2::handles::{Readiness, Stream};
use crate::wasi::p2::poll::{self, Pollables, Streams};

use super::{Call, Resource};

/// Streams, moments and sockets.
struct StreamsAndSockets;

impl Pollables for StreamsAndSockets {
    fn select(resource: Resource) -> Option<Resource> {
        let (fd, ready) = match resource {
            Resource::PollsTcp(fd, part) => (fd, with_tcp(fd, |tcp| Ok(tcp.ready(part)))),
            Resource::PollsUdp(fd, part) => (fd, with_udp(fd, |udp| Ok(udp.ready(part)))),
            // Names are resolved at once.
            Resource::PollsAddresses(_) => (0, Ok(Ready::Always)),
            other => return Streams::select(other),
        };
        let readiness = match ready {
            Ok(Ready::Readable) => Readiness::Readable,
            Ok(Ready::Writable) => Readiness::Writable,
            _ => Readiness::Always,
        };
        Some(Resource::Polls(Stream::of_socket(fd), readiness))
    }
}

/// Sends what sockets have accepted, until something has happened that a guest waits for.
fn send_until_any(call: Call, count: u32, nth: impl Fn(u32) -> Resource + Copy) {
    let sent = sockets::send_until(
        count,
        |waiter| (0..count).try_for_each(|index| poll::watch(call.state(), waiter, nth(index))),
        |waiter, now| {
            let mut watches = 0;
            (0..count).any(|index| poll::has_happened(call.state(), waiter, nth(index), now, &mut watches))
        },
    );
    if sent.is_err() {
        call.trap("the system cannot wait");
    }
}

/// Whether it has happened.
pub(super) fn pollable_ready(call: Call, this: u32) -> u32 {
    poll::ready::<StreamsAndSockets, _>(call, this)
}

/// Returns when it has happened.
pub(super) fn pollable_block(call: Call, this: u32) {
    let pollable = poll::pollable::<StreamsAndSockets, _>(call, this);
    send_until_any(call, 1, |_| pollable);
    poll::block::<StreamsAndSockets, _>(call, this);
}

/// Waits until at least one of a list has happened, and writes the list of those that have, by their places.
pub(super) fn poll(call: Call, list: u32, count: u32, at: u32) {
    call.list(list, count, 4, 4);
    // The list lies in the memory, so this does not overflow.
    let handle = |index: u32| call.memory().read_u32(list + 4 * index).unwrap_or(0);
    send_until_any(call, count, |index| poll::pollable::<StreamsAndSockets, _>(call, handle(index)));
    poll::poll_list::<StreamsAndSockets, _>(call, list, count, at);
}

/// Drops a handle. What was waited for may go afterwards.
pub(super) fn drop_pollable(call: Call, this: u32) {
    call.resource(this, StreamsAndSockets::select);
    let removed = call.take(this);
    // A socket exists as long as what waits for it.
    let _ = match removed {
        Some(Resource::PollsTcp(fd, part)) => with_tcp(fd, |tcp: &mut tcp::Tcp| {
            tcp.remove_poll(part);
            Ok(())
        }),
        Some(Resource::PollsUdp(fd, part)) => with_udp(fd, |udp: &mut udp::Udp| {
            udp.remove_poll(part);
            Ok(())
        }),
        Some(Resource::PollsAddresses(number)) => {
            names::remove_poll(number);
            Ok(())
        }
        _ => Ok(()),
    };
}
