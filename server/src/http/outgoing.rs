//! What goes out: responses, requests of the guest, and their bodies.

use std::any::Any;
use std::os::fd::OwnedFd;

use hyper::Method;
use hyper::header::{self, HeaderMap};
use hyper::http::uri::{Authority, PathAndQuery};
use tokio::sync::oneshot;
use wasmelt_embed::Result;
use wasmelt_embed::component::{GuestCall, Linker, RawResource, Stream};

use super::TYPES;
use super::fields::take_fields;
use super::incoming::own_headers;
use super::session::{Kind, Object, body_sockets, check_childless, define_drop, id, object, own, take};
use super::values::{
    ERROR_RESULT, ErrorCode, Scheme, case, method, optional_scheme, optional_string, put_error, put_handle, put_method,
    put_optional_scheme, put_optional_string,
};
use crate::body::{Permit, Written};

/// What responses and requests have in common.
pub(crate) struct Message {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// The guest has asked for the body.
    has_body: bool,
    pub(super) body: Option<Written>,
}

/// A request of the guest.
pub(crate) struct OutgoingRequest {
    pub(super) message: Message,
    pub(super) method: Method,
    pub(super) scheme: Option<Scheme>,
    pub(super) authority: Option<String>,
    pub(super) path: Option<String>,
}

/// A body that the guest writes.
pub(crate) struct OutgoingBody {
    /// Until there is a stream.
    socket: Option<OwnedFd>,
    /// From then on.
    pub(super) stream: Option<Stream>,
    finish: oneshot::Sender<Option<HeaderMap>>,
    /// What the guest has declared.
    length: Option<u64>,
    _permit: Permit,
}

impl OutgoingBody {
    /// How much the guest has written, which must have dropped the stream.
    pub(super) fn end(&self, call: GuestCall<'_>) -> u64 {
        check_childless(call, self.stream);
        self.stream.map_or(0, |stream| call.guest().take_sent(stream))
    }
}

impl Message {
    fn new(headers: HeaderMap) -> Self {
        Self { status: 200, headers, has_body: false, body: None }
    }

    /// The length that the guest declares.
    fn length(&self) -> Option<u64> {
        self.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }
}

fn message<R>(call: GuestCall<'_>, handle: u64, kind: Kind, f: impl FnOnce(&mut Message) -> R) -> R {
    object(call, handle, kind, |object| match object {
        Object::OutgoingResponse(message) => Some(f(message)),
        Object::OutgoingRequest(request) => Some(f(&mut request.message)),
        _ => None,
    })
}

fn request<R>(call: GuestCall<'_>, handle: u64, f: impl FnOnce(&mut OutgoingRequest) -> R) -> R {
    object(call, handle, Kind::OutgoingRequest, |object| match object {
        Object::OutgoingRequest(request) => Some(f(request)),
        _ => None,
    })
}

/// The body of a message, which there is once.
fn begin_body(call: GuestCall<'_>, v: &mut [[u64; 2]], kind: Kind) {
    call.result_at(v[1][0] as u32, 8, 4);
    let length = message(call, v[0][0], kind, |message| {
        let had_body = std::mem::replace(&mut message.has_body, true);
        (!had_body).then(|| message.length())
    });
    let handle = length.map(|length| {
        let (guest, server, permit) = body_sockets(call);
        let (sender, finish) = oneshot::channel();
        let written = Written { socket: server, finish, length, permit: permit.clone() };
        message(call, v[0][0], kind, |message| message.body = Some(written));
        let body = OutgoingBody { socket: Some(guest), stream: None, finish: sender, length, _permit: permit };
        own(call, Kind::OutgoingBody, Object::OutgoingBody(body))
    });
    put_handle(call, v[1][0], handle);
}

fn body<R>(call: GuestCall<'_>, handle: u64, f: impl FnOnce(&mut OutgoingBody) -> R) -> R {
    object(call, handle, Kind::OutgoingBody, |object| match object {
        Object::OutgoingBody(body) => Some(f(body)),
        _ => None,
    })
}

/// The stream of a body, which there is once.
fn write(call: GuestCall<'_>, v: &mut [[u64; 2]]) {
    call.result_at(v[1][0] as u32, 8, 4);
    let socket = body(call, v[0][0], |body| body.socket.take());
    let handle = socket.map(|socket| {
        let stream = call.guest().open_counted(socket).unwrap_or_else(|error| call.guest().fail(error));
        body(call, v[0][0], |body| body.stream = Some(stream));
        call.own(RawResource::Output { stream, position: None })
    });
    put_handle(call, v[1][0], handle);
}

/// Ends a body, which must be as long as was declared.
fn finish(call: GuestCall<'_>, v: &mut [[u64; 2]]) {
    let at = v[3][0] as u32;
    call.result_at(at, ERROR_RESULT.0, ERROR_RESULT.1);
    let trailers = (case(call, v[1][0], 2) == 1).then(|| take_fields(call, v[2][0]));
    let Object::OutgoingBody(body) = take(call, v[0][0], Kind::OutgoingBody) else { return };
    let sent = body.end(call);
    if body.length.is_some_and(|length| length != sent) {
        // Without a message that it is finished, the body is one that has broken off.
        call.put_u8(at, 1);
        return put_error(call, at + 8, ErrorCode::BodySize);
    }
    // The client may be gone.
    let _ = body.finish.send(trailers);
    call.put_u8(at, 0);
}

fn define_responses<T: Any>(linker: &mut Linker<T>) -> Result<()> {
    linker.func_flat(TYPES, "[constructor]outgoing-response", |call, v| {
        let message = Message::new(take_fields(call, v[0][0]));
        v[0][0] = own(call, Kind::OutgoingResponse, Object::OutgoingResponse(Box::new(message))).into();
    })?;
    linker.func_flat(TYPES, "[method]outgoing-response.status-code", |call, v| {
        v[0][0] = message(call, v[0][0], Kind::OutgoingResponse, |message| message.status).into();
    })?;
    linker.func_flat(TYPES, "[method]outgoing-response.set-status-code", |call, v| {
        let status = v[1][0] as u16;
        let is_valid = (200..=999).contains(&status);
        message(call, v[0][0], Kind::OutgoingResponse, |message| {
            if is_valid {
                message.status = status;
            }
        });
        v[0][0] = (!is_valid).into();
    })?;
    linker.func_flat(TYPES, "[method]outgoing-response.headers", |call, v| {
        let map = message(call, v[0][0], Kind::OutgoingResponse, |message| message.headers.clone());
        v[0][0] = own_headers(call, id(call, v[0][0], Kind::OutgoingResponse), map).into();
    })?;
    linker.func_flat(TYPES, "[method]outgoing-response.body", |call, v| begin_body(call, v, Kind::OutgoingResponse))?;
    define_drop(linker, "outgoing-response", Kind::OutgoingResponse)
}

fn define_requests<T: Any>(linker: &mut Linker<T>) -> Result<()> {
    linker.func_flat(TYPES, "[constructor]outgoing-request", |call, v| {
        let message = Message::new(take_fields(call, v[0][0]));
        let request = OutgoingRequest { message, method: Method::GET, scheme: None, authority: None, path: None };
        v[0][0] = own(call, Kind::OutgoingRequest, Object::OutgoingRequest(Box::new(request))).into();
    })?;
    linker.func_flat(TYPES, "[method]outgoing-request.body", |call, v| begin_body(call, v, Kind::OutgoingRequest))?;
    linker.func_flat(TYPES, "[method]outgoing-request.headers", |call, v| {
        let map = message(call, v[0][0], Kind::OutgoingRequest, |message| message.headers.clone());
        v[0][0] = own_headers(call, id(call, v[0][0], Kind::OutgoingRequest), map).into();
    })?;
    linker.func_flat(TYPES, "[method]outgoing-request.method", |call, v| {
        let method = request(call, v[0][0], |request| request.method.clone());
        put_method(call, v[1][0], &method);
    })?;
    linker.func_flat(TYPES, "[method]outgoing-request.set-method", |call, v| {
        let method = method(call, &v[1..]);
        v[0][0] = set(call, v[0][0], method.is_some(), |request| request.method = method.unwrap_or_default());
    })?;
    linker.func_flat(TYPES, "[method]outgoing-request.path-with-query", |call, v| {
        let path = request(call, v[0][0], |request| request.path.clone());
        put_optional_string(call, v[1][0], path.as_deref());
    })?;
    linker.func_flat(TYPES, "[method]outgoing-request.set-path-with-query", |call, v| {
        let path = optional_string(call, &v[1..]);
        let is_valid = path.as_ref().is_none_or(|path| path.parse::<PathAndQuery>().is_ok());
        v[0][0] = set(call, v[0][0], is_valid, |request| request.path = path);
    })?;
    linker.func_flat(TYPES, "[method]outgoing-request.scheme", |call, v| {
        let scheme = request(call, v[0][0], |request| request.scheme.clone());
        put_optional_scheme(call, v[1][0], scheme.as_ref());
    })?;
    linker.func_flat(TYPES, "[method]outgoing-request.set-scheme", |call, v| {
        let scheme = optional_scheme(call, &v[1..]);
        v[0][0] = set(call, v[0][0], true, |request| request.scheme = scheme);
    })?;
    linker.func_flat(TYPES, "[method]outgoing-request.authority", |call, v| {
        let authority = request(call, v[0][0], |request| request.authority.clone());
        put_optional_string(call, v[1][0], authority.as_deref());
    })?;
    linker.func_flat(TYPES, "[method]outgoing-request.set-authority", |call, v| {
        let authority = optional_string(call, &v[1..]);
        let is_valid = authority.as_ref().is_none_or(|authority| authority.parse::<Authority>().is_ok());
        v[0][0] = set(call, v[0][0], is_valid, |request| request.authority = authority);
    })?;
    define_drop(linker, "outgoing-request", Kind::OutgoingRequest)
}

/// Changes a request where the value is valid; 1 where it is not.
fn set(call: GuestCall<'_>, handle: u64, is_valid: bool, change: impl FnOnce(&mut OutgoingRequest)) -> u64 {
    request(call, handle, |request| {
        if is_valid {
            change(request);
        }
    });
    (!is_valid).into()
}

pub(super) fn define<T: Any>(linker: &mut Linker<T>) -> Result<()> {
    define_responses(linker)?;
    define_requests(linker)?;
    linker.func_flat(TYPES, "[method]outgoing-body.write", write)?;
    linker.func_flat(TYPES, "[static]outgoing-body.finish", finish)?;
    define_drop(linker, "outgoing-body", Kind::OutgoingBody)
}
