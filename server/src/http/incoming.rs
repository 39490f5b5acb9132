//! What comes in: requests, responses to requests of the guest, their bodies and trailers.

use std::any::Any;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap};
use hyper::http::request;
use tokio::sync::oneshot;
use wasmelt_embed::Result;
use wasmelt_embed::component::{GuestCall, Linker, RawResource, Readiness};

use super::TYPES;
use super::fields::{spend_copy, visible};
use super::outside::TIMEOUT;
use super::session::{
    Kind, Object, body_sockets, check_childless, define_drop, id, object, own, own_child, take, with,
};
use super::values::{ErrorCode, put_error, put_handle, put_method, put_optional_scheme, put_optional_string};
use crate::body;

fn head<R>(call: GuestCall<'_>, handle: u64, f: impl FnOnce(&request::Parts) -> R) -> R {
    object(call, handle, Kind::IncomingRequest, |object| match object {
        Object::IncomingRequest { head, .. } => Some(f(head)),
        _ => None,
    })
}

/// The host that the client has named.
fn authority(head: &request::Parts) -> Option<String> {
    let of_header = || head.headers.get(header::HOST)?.to_str().ok();
    head.uri.authority().map(|authority| authority.as_str()).or_else(of_header).map(str::to_owned)
}

/// Headers as a child of a message, which nobody changes.
pub(super) fn own_headers(call: GuestCall<'_>, message: u32, map: HeaderMap) -> u32 {
    spend_copy(call, &map);
    own_child(call, message, Kind::Fields, Object::Fields { map, is_immutable: true })
}

/// The body of a message, which can be taken once.
fn consume(call: GuestCall<'_>, handle: u64, at: u64, kind: Kind) {
    call.result_at(at as u32, 8, 4);
    let body: Option<(Incoming, Duration)> = object(call, handle, kind, |object| match object {
        Object::IncomingRequest { body, .. } => Some(body.take().map(|body| (body, TIMEOUT))),
        Object::IncomingResponse { body, between_bytes, .. } => Some(body.take().map(|body| (body, *between_bytes))),
        _ => None,
    });
    put_handle(call, at, body.map(|(body, idle)| pass_on(call, body, idle)));
}

/// A handle of a body that comes in.
fn pass_on(call: GuestCall<'_>, body: Incoming, idle: Duration) -> u32 {
    let (guest, server, permit) = body_sockets(call);
    let (sender, trailers) = oneshot::channel();
    if body.is_end_stream() {
        // Nothing comes: the guest sees the end when the server's side goes.
        let _ = sender.send(Ok(None));
    } else {
        let task = body::pass_on(body, idle, (server, permit.clone()), sender);
        with(call, |session| session.spawn(task));
    }
    own(call, Kind::IncomingBody, Object::IncomingBody { socket: Some(guest), stream: None, trailers, _permit: permit })
}

/// The stream of a body, which there is once.
fn stream(call: GuestCall<'_>, v: &mut [[u64; 2]]) {
    call.result_at(v[1][0] as u32, 8, 4);
    let socket = object(call, v[0][0], Kind::IncomingBody, |object| match object {
        Object::IncomingBody { socket, .. } => Some(socket.take()),
        _ => None,
    });
    let handle = socket.map(|socket| {
        let opened = call.guest().open(socket).unwrap_or_else(|error| call.guest().fail(error));
        object(call, v[0][0], Kind::IncomingBody, |object| match object {
            Object::IncomingBody { stream, .. } => {
                *stream = Some(opened);
                Some(())
            }
            _ => None,
        });
        call.own(RawResource::Input { stream: opened, position: 0 })
    });
    put_handle(call, v[1][0], handle);
}

/// Ends a body: what comes afterwards are trailers.
fn finish(call: GuestCall<'_>, v: &mut [[u64; 2]]) {
    let Object::IncomingBody { stream, trailers, .. } = take(call, v[0][0], Kind::IncomingBody) else { return };
    check_childless(call, stream);
    v[0][0] = own(call, Kind::FutureTrailers, Object::FutureTrailers(Some(trailers))).into();
}

/// Writes the trailers, which are there when the body was read.
fn get_trailers(call: GuestCall<'_>, v: &mut [[u64; 2]]) {
    let at = v[1][0] as u32;
    call.result_at(at, 56, 8);
    let trailers = object(call, v[0][0], Kind::FutureTrailers, |object| match object {
        Object::FutureTrailers(trailers) => Some(trailers.take()),
        _ => None,
    });
    call.put_u8(at, 1);
    let Some(mut trailers) = trailers else {
        // They were taken.
        return call.put_u8(at + 8, 1);
    };
    call.put_u8(at + 8, 0);
    // A guest that does not read the body gives up what comes behind it.
    match trailers.try_recv() {
        Ok(Ok(found)) => {
            call.put_u8(at + 16, 0);
            call.put_u8(at + 24, found.is_some().into());
            if let Some(map) = found {
                let map = Object::Fields { map: visible(&map), is_immutable: false };
                call.put_u32(at + 28, own(call, Kind::Fields, map));
            }
        }
        _ => {
            call.put_u8(at + 16, 1);
            put_error(call, at + 24, ErrorCode::ConnectionTerminated);
        }
    }
}

fn define_requests<T: Any>(linker: &mut Linker<T>) -> Result<()> {
    linker.func_flat(TYPES, "[method]incoming-request.method", |call, v| {
        let method = head(call, v[0][0], |head| head.method.clone());
        put_method(call, v[1][0], &method);
    })?;
    linker.func_flat(TYPES, "[method]incoming-request.path-with-query", |call, v| {
        let path = head(call, v[0][0], |head| head.uri.path_and_query().map(|path| path.as_str().to_owned()));
        put_optional_string(call, v[1][0], path.as_deref());
    })?;
    linker.func_flat(TYPES, "[method]incoming-request.scheme", |call, v| {
        id(call, v[0][0], Kind::IncomingRequest);
        let scheme = with(call, |session| session.scheme.clone());
        put_optional_scheme(call, v[1][0], Some(&scheme));
    })?;
    linker.func_flat(TYPES, "[method]incoming-request.authority", |call, v| {
        let authority = head(call, v[0][0], authority);
        put_optional_string(call, v[1][0], authority.as_deref());
    })?;
    linker.func_flat(TYPES, "[method]incoming-request.headers", |call, v| {
        let map = head(call, v[0][0], |head| visible(&head.headers));
        v[0][0] = own_headers(call, id(call, v[0][0], Kind::IncomingRequest), map).into();
    })?;
    linker.func_flat(TYPES, "[method]incoming-request.consume", |call, v| {
        consume(call, v[0][0], v[1][0], Kind::IncomingRequest);
    })?;
    define_drop(linker, "incoming-request", Kind::IncomingRequest)
}

fn define_responses<T: Any>(linker: &mut Linker<T>) -> Result<()> {
    linker.func_flat(TYPES, "[method]incoming-response.status", |call, v| {
        v[0][0] = object(call, v[0][0], Kind::IncomingResponse, |object| match object {
            Object::IncomingResponse { status, .. } => Some((*status).into()),
            _ => None,
        });
    })?;
    linker.func_flat(TYPES, "[method]incoming-response.headers", |call, v| {
        let map = object(call, v[0][0], Kind::IncomingResponse, |object| match object {
            Object::IncomingResponse { headers, .. } => Some(visible(headers)),
            _ => None,
        });
        v[0][0] = own_headers(call, id(call, v[0][0], Kind::IncomingResponse), map).into();
    })?;
    linker.func_flat(TYPES, "[method]incoming-response.consume", |call, v| {
        consume(call, v[0][0], v[1][0], Kind::IncomingResponse);
    })?;
    define_drop(linker, "incoming-response", Kind::IncomingResponse)
}

pub(super) fn define<T: Any>(linker: &mut Linker<T>) -> Result<()> {
    define_requests(linker)?;
    define_responses(linker)?;
    linker.func_flat(TYPES, "[method]incoming-body.stream", stream)?;
    linker.func_flat(TYPES, "[static]incoming-body.finish", finish)?;
    define_drop(linker, "incoming-body", Kind::IncomingBody)?;
    linker.func_flat(TYPES, "[method]future-trailers.subscribe", |call, v| {
        id(call, v[0][0], Kind::FutureTrailers);
        // They are there, or the guest has given them up.
        let always = RawResource::Polls(call.stream(u32::MAX), Readiness::Always);
        v[0][0] = call.own(always).into();
    })?;
    linker.func_flat(TYPES, "[method]future-trailers.get", get_trailers)?;
    define_drop(linker, "future-trailers", Kind::FutureTrailers)
}
