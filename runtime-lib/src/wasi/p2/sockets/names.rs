//! `wasi:sockets/ip-name-lookup`: [`crate::host::sockets::names`] with handles. A name is resolved while the guest waits, so that
//! its addresses are there at once.

use crate::host::sockets::names::{self, Failure, Unresolved};

use super::{Call, Resource, address, check_network, put_code};

/// The answers that a handle stands for.
fn answers(call: Call, handle: u32) -> u32 {
    call.resource(handle, |resource| match resource {
        Resource::Addresses(number) => Some(number),
        _ => None,
    })
}

/// The number of a failure in `error-code`.
fn code(failure: Failure) -> u8 {
    match failure {
        Failure::Denied => 1,
        Failure::NoName => 3,
        Failure::TooMany => 4,
        Failure::Unresolved(Unresolved::Unknown) => 18,
        Failure::Unresolved(Unresolved::Temporary) => 19,
        Failure::Unresolved(Unresolved::Permanent) => 20,
    }
}

/// Resolves a name.
pub(super) fn resolve_addresses(call: Call, network: u32, name: u32, len: u32, at: u32) {
    call.result_at(at, 8, 4);
    check_network(call, network);
    call.list(name, len, 1, 1);
    // No name is longer than the buffer, and a longer text is not a name.
    let mut buffer = [0; MAX_TEXT_BYTES];
    let resolved = match buffer.get_mut(..len as usize) {
        Some(text) => {
            // The list lies in the memory.
            let _ = call.memory().read_bytes(name, text);
            match core::str::from_utf8(text) {
                Ok(text) => names::resolve(text),
                Err(_) => call.trap("invalid utf-8 encoding"),
            }
        }
        None => Err(Failure::NoName),
    };
    put_code(call, at, 4, resolved.err().map(code));
    if let Ok(number) = resolved {
        call.put_u32(at + 4, call.own(Resource::Addresses(number)));
    }
}

/// Longer than any name.
const MAX_TEXT_BYTES: usize = 1024;

/// Writes the next address, or that there is none.
pub(super) fn resolve_address_stream_resolve_next_address(call: Call, this: u32, at: u32) {
    call.result_at(at, 22, 2);
    let next = names::next(answers(call, this));
    call.put_u8(at, 0);
    call.put_u8(at + 2, next.is_some().into());
    if let Some(ip) = next {
        address::put_ip(call, at + 4, ip);
    }
}

/// A `pollable` that is ready.
pub(super) fn resolve_address_stream_subscribe(call: Call, this: u32) -> u32 {
    let number = answers(call, this);
    let handle = call.own(Resource::PollsAddresses(number));
    names::add_poll(number);
    handle
}

/// Drops a handle, after its `pollable`s.
pub(super) fn drop_resolve_address_stream(call: Call, this: u32) {
    let number = answers(call, this);
    if call.take(this).is_some() {
        call.check_childless(Ok(names::is_polled(number)));
        names::forget(number);
    }
}
