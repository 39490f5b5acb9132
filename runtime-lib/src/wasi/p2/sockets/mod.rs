//! `wasi:sockets`, over [`crate::host::sockets`]: one file per interface, and what streams and `pollable`s do in a program
//! that can have sockets.

/// Functions whose parameters are those that are named, an address of eleven parts behind its family, and where the result
/// goes.
macro_rules! takes_address {
    ($($(#[$doc:meta])* $function:ident ($($before:ident)*): |$call:ident, $family:ident, $parts:ident, $at:ident| $act:expr;)*) => {
        $(
            $(#[$doc])*
            #[expect(clippy::too_many_arguments, reason = "the parts of an address are parameters")]
            pub(super) fn $function(
                $call: Call,
                $($before: u32,)*
                $family: u32,
                v0: u32,
                v1: u32,
                v2: u32,
                v3: u32,
                v4: u32,
                v5: u32,
                v6: u32,
                v7: u32,
                v8: u32,
                v9: u32,
                v10: u32,
                $at: u32,
            ) {
                let $parts = [v0, v1, v2, v3, v4, v5, v6, v7, v8, v9, v10];
                $act
            }
        )*
    };
}

/// Functions that take a socket, perhaps a value, and where their result goes. `with` finds the socket's state, on which
/// `act` works, and `put` writes what `act` returns.
macro_rules! with_result {
    ($with:ident: $($(#[$doc:meta])* $function:ident ($($value:ident: $ty:ty)?) $size:literal $align:literal $put:ident:
        |$state:ident| $act:expr;)*) => {
        $(
            $(#[$doc])*
            pub(super) fn $function(call: Call, this: u32, $($value: $ty,)? at: u32) {
                call.result_at(at, $size, $align);
                let fd = socket(call, this);
                $put(call, at, $with(fd, |$state| $act));
            }
        )*
    };
}

mod address;
mod exports;
mod names;
mod network;
mod polls;
mod streams;
mod tcp;
mod udp;

use crate::host::sockets::NOT_STARTED;
use crate::sys::errno::{Errno, Result};
use crate::sys::socket::Family;

use super::call::Call;
use super::handles::Resource;

/// The number of an error in `error-code` of `wasi:sockets/network`.
fn error_code(error: Errno) -> u8 {
    match error {
        Errno::Acces | Errno::Perm | Errno::Notcapable => 1,
        Errno::Notsup
        | Errno::Nosys
        | Errno::Noprotoopt
        | Errno::Protonosupport
        | Errno::Prototype
        | Errno::Afnosupport => 2,
        Errno::Inval => 3,
        Errno::Nomem | Errno::Nobufs => 4,
        Errno::Timedout => 5,
        Errno::Already => 6,
        NOT_STARTED => 7,
        Errno::Again | Errno::Intr => 8,
        Errno::Isconn | Errno::Notconn | Errno::Destaddrreq => 9,
        Errno::Mfile | Errno::Nfile => 10,
        Errno::Addrnotavail => 11,
        Errno::Addrinuse => 12,
        Errno::Hostunreach | Errno::Netdown | Errno::Netunreach => 13,
        Errno::Connrefused => 14,
        Errno::Connreset => 15,
        Errno::Connaborted => 16,
        Errno::Msgsize => 17,
        // `unknown`: what the list has no name for.
        _ => 0,
    }
}

/// Writes a `result` whose error is an `error-code`, both at `payload`; `put` writes what there is otherwise.
#[inline(never)]
fn put_code(call: Call, at: u32, payload: u32, code: Option<u8>) {
    call.put_u8(at, code.is_some().into());
    if let Some(code) = code {
        call.put_u8(at + payload, code);
    }
}

fn put<T>(call: Call, at: u32, payload: u32, result: Result<T>, put: impl FnOnce(T)) {
    put_code(call, at, payload, result.as_ref().err().map(|&error| error_code(error)));
    if let Ok(value) = result {
        put(value);
    }
}

/// Writes a `result<_, error-code>`.
fn put_done(call: Call, at: u32, result: Result<()>) {
    put(call, at, 1, result, |()| {});
}

/// Writes a `result<u8, error-code>`, or one of a truth.
fn put_u8(call: Call, at: u32, result: Result<u8>) {
    put(call, at, 1, result, |value| call.put_u8(at + 1, value));
}

/// Writes a `result<u64, error-code>`.
fn put_u64(call: Call, at: u32, result: Result<u64>) {
    put(call, at, 8, result, |value| call.put_u64(at + 8, value));
}

/// The family that a guest names.
fn family(call: Call, number: u32) -> Family {
    match number {
        0 => Family::V4,
        1 => Family::V6,
        _ => call.trap("invalid variant discriminant"),
    }
}

fn family_number(family: Family) -> u32 {
    if family == Family::V4 { 0 } else { 1 }
}

/// Checks the handle of the network, which grants nothing by itself.
fn check_network(call: Call, handle: u32) {
    call.resource(handle, |resource| (resource == Resource::Network).then_some(()));
}
