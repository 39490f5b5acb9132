//! Requests of the guest to other hosts: `outgoing-handler`, `request-options`, `future-incoming-response`.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: a host is reached where the operator has named it, and nowhere else: names are compared before they ║
//! ║ are resolved. Nothing is allowed unless it was said.                                                          ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use std::any::Any;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::rustls::RootCertStore;
use wasmelt_embed::component::{GuestCall, Linker, RawResource, Readiness, Stream};
use wasmelt_embed::{Error, Result};

use super::TYPES;
use super::fields::spend_copy;
use super::host::{Allowed, Host};
use super::https::{self, Tls, Trust};
use super::outgoing::OutgoingRequest;
use super::reach;
use super::session::{Kind, Object, check_childless, define_drop, object, own, permit, take, with};
use super::values::{ERROR_RESULT, ErrorCode, Scheme, case, put_error};
use crate::body::{self, Outgoing, Permit};

/// What is waited for unless the guest says otherwise, at most: the request that is answered has a deadline of its own.
pub(super) const TIMEOUT: Duration = Duration::from_secs(600);

/// Names that are looked up at the same time, each by a thread.
pub(crate) const LOOKUPS: usize = 16;

/// The most bytes of what a connection keeps of a request, and of what is read of a response's head before one last read, which is
/// as long as this at most.
const BUFFER_BYTES: usize = 64 << 10;

/// Hosts that guests may send requests to.
#[derive(Debug)]
pub(crate) struct Outside {
    allowed: Vec<Allowed>,
    trust: Trust,
    lookups: Arc<Semaphore>,
}

impl Outside {
    /// Requests by https trust the authorities of `roots`, or else those of the system.
    pub(crate) fn new(allowed: Vec<Allowed>, roots: Option<RootCertStore>) -> Self {
        Self { allowed, trust: Trust::new(roots), lookups: Arc::new(Semaphore::new(LOOKUPS)) }
    }

    /// The addresses of a host. The C library cannot be told to give a name up, so there are no more lookups than [`LOOKUPS`],
    /// nor more of one request than `lookups` allows, those included that nobody waits for any more.
    async fn resolve(&self, host: &Host, port: u16, lookups: Arc<Semaphore>) -> io::Result<Vec<SocketAddr>> {
        let name = match host {
            Host::Address(address) => return Ok(vec![SocketAddr::new(*address, port)]),
            Host::Name(name) => name.clone(),
        };
        // In this order, a request that waits for its own lookups keeps nothing from others.
        let own = lookups.acquire_owned().await.map_err(io::Error::other)?;
        let permit = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        let lookup = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), port).to_socket_addrs();
            drop((permit, own));
            found
        });
        Ok(lookup.await??.collect())
    }

    fn allows(&self, host: &Host, port: u16) -> bool {
        self.allowed.iter().any(|allowed| allowed.allows(host, port))
    }
}

/// `request-options`, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options {
    connect: Option<u64>,
    first_byte: Option<u64>,
    between_bytes: Option<u64>,
}

type Arrived = std::result::Result<Response<Incoming>, ErrorCode>;

/// `future-incoming-response`.
pub(crate) struct Future {
    /// What can be read from when the response has arrived.
    stream: Stream,
    /// `None` when the response was taken.
    response: Option<oneshot::Receiver<Arrived>>,
    /// How long the body of the response may stop.
    between_bytes: Duration,
    _permit: Permit,
}

/// A request that is to be sent.
struct Prepared {
    host: Host,
    port: u16,
    /// The field `host` of the request.
    field: HeaderValue,
    /// For a request by https.
    tls: Option<Tls>,
    /// How many names may still be looked up for the request that is answered.
    lookups: Arc<Semaphore>,
    request: Box<OutgoingRequest>,
}

/// Checks a request before anything of it leaves the machine.
fn prepare(
    outside: &Outside,
    lookups: Arc<Semaphore>,
    request: Box<OutgoingRequest>,
) -> std::result::Result<Prepared, Refusal> {
    let is_secret = match request.scheme {
        Some(Scheme::Http) => false,
        Some(Scheme::Https) | None => true,
        Some(Scheme::Other(_)) => return Err(Refusal::Code(ErrorCode::Protocol)),
    };
    let authority = request.authority.as_ref().and_then(|authority| authority.parse::<Authority>().ok());
    let found = authority.as_ref().and_then(Host::of);
    let (host, named) = found.ok_or(Refusal::Code(ErrorCode::UriInvalid))?;
    let port = named.unwrap_or(if is_secret { 443 } else { 80 });
    if !outside.allows(&host, port) {
        return Err(Refusal::Code(ErrorCode::RequestDenied));
    }
    // What was compared is what the other host sees.
    let field = named.map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
    let field = HeaderValue::from_str(&field).map_err(|_| Refusal::Code(ErrorCode::UriInvalid))?;
    let tls = match is_secret {
        true => {
            let name = https::name(&host).ok_or(Refusal::Code(ErrorCode::UriInvalid))?;
            Some(Tls { config: outside.trust.config().ok_or(Refusal::NoTrust)?, name })
        }
        false => None,
    };
    Ok(Prepared { host, port, field, tls, lookups, request })
}

enum Refusal {
    Code(ErrorCode),
    NoTrust,
}

fn handle(call: GuestCall<'_>, v: &mut [[u64; 2]]) {
    let at = v[3][0] as u32;
    call.result_at(at, ERROR_RESULT.0, ERROR_RESULT.1);
    let options = match case(call, v[1][0], 2) {
        0 => Options::default(),
        _ => match take(call, v[2][0], Kind::Options) {
            Object::Options(options) => options,
            _ => return,
        },
    };
    let Object::OutgoingRequest(request) = take(call, v[0][0], Kind::OutgoingRequest) else { return };
    let (outside, lookups) = with(call, |session| (Arc::clone(&session.outside), session.lookups()));
    let allowed = prepare(&outside, lookups, request);
    let allowed = allowed.and_then(|prepared| {
        let permit = permit(call, |limits| &limits.requests).ok_or(Refusal::Code(ErrorCode::ConnectionLimitReached))?;
        Ok((prepared, permit))
    });
    match allowed {
        Ok((prepared, permit)) => {
            let (guest, signal) = body::pair().unwrap_or_else(|error| call.guest().fail(Error::host(error)));
            let stream = call.guest().open(guest).unwrap_or_else(|error| call.guest().fail(error));
            let (sender, response) = oneshot::channel();
            let task = answer(outside, prepared, options, sender, (signal, permit.clone()));
            with(call, |session| session.spawn(task));
            let between_bytes = time(options.between_bytes);
            let future = Object::Future(Future { stream, response: Some(response), between_bytes, _permit: permit });
            call.put_u32(at + 8, own(call, Kind::Future, future));
            call.put_u8(at, 0);
        }
        Err(refusal) => {
            call.put_u8(at, 1);
            match refusal {
                Refusal::Code(code) => put_error(call, at + 8, code),
                Refusal::NoTrust => {
                    const WORDS: &[u8] =
                        b"this server has no certificates of authorities that other hosts are trusted by";
                    call.put_u8(at + 8, ErrorCode::Internal.number());
                    call.put_u8(at + 16, 1);
                    call.put_bytes(at + 20, &[WORDS]);
                }
            }
        }
    }
}

/// Sends a request, and tells the guest that there is a response, or why the request failed. This lasts as long as the connection.
async fn answer(
    outside: Arc<Outside>,
    prepared: Prepared,
    options: Options,
    mut sender: oneshot::Sender<Arrived>,
    (signal, permit): (StdStream, Permit),
) {
    let mut connections = JoinSet::new();
    let arrived = tokio::select! {
        // The guest has given up, or has ended: nobody waits for the other host any more.
        () = sender.closed() => return,
        arrived = send(&outside, prepared, options, &mut connections) => arrived,
    };
    if arrived.is_err() {
        connections.abort_all();
    }
    let _ = sender.send(arrived);
    drop(signal);
    // The connection ends with the response's body.
    while connections.join_next().await.is_some() {}
    drop(permit);
}

/// The time of an option.
fn time(ns: Option<u64>) -> Duration {
    ns.map_or(TIMEOUT, Duration::from_nanos)
}

async fn send(
    outside: &Outside,
    prepared: Prepared,
    options: Options,
    connections: &mut JoinSet<hyper::Result<()>>,
) -> Arrived {
    let Prepared { host, port, field, tls, lookups, request } = prepared;
    let time_to_connect = time(options.connect);
    let addresses = outside.resolve(&host, port, lookups);
    let connection = timeout(time_to_connect, reach::connect(addresses, tls, time_to_connect)).await;
    let stream = connection.map_err(|_| ErrorCode::ConnectionTimeout)??;
    let handshake = http1::Builder::new().max_buf_size(BUFFER_BYTES).handshake(TokioIo::new(stream)).await;
    let (mut client, connection) = handshake.map_err(|_| ErrorCode::ConnectionTerminated)?;
    connections.spawn(connection);
    let OutgoingRequest { message, method, path, .. } = *request;
    let mut out = Request::new(Outgoing::new(message.body));
    *out.method_mut() = method;
    *out.uri_mut() = path.as_deref().unwrap_or("/").parse().map_err(|_| ErrorCode::UriInvalid)?;
    *out.headers_mut() = message.headers;
    out.headers_mut().insert(header::HOST, field);
    let response = timeout(time(options.first_byte), client.send_request(out)).await;
    let response = response.map_err(|_| ErrorCode::ResponseTimeout)?;
    response.map_err(|error| https::code_of(&error).unwrap_or(ErrorCode::ResponseIncomplete))
}

/// Writes the response, where it has arrived.
fn get(call: GuestCall<'_>, v: &mut [[u64; 2]]) {
    let at = v[1][0] as u32;
    call.result_at(at, 56, 8);
    let arrived = object(call, v[0][0], Kind::Future, |object| match object {
        Object::Future(Future { response, between_bytes, .. }) => Some(match response {
            None => Some(None),
            Some(receiver) => match receiver.try_recv() {
                Err(oneshot::error::TryRecvError::Empty) => None,
                arrived => {
                    *response = None;
                    let arrived = arrived.unwrap_or(Err(ErrorCode::ConnectionTerminated));
                    Some(Some(arrived.map(|response| (response, *between_bytes))))
                }
            },
        }),
        _ => None,
    });
    call.put_u8(at, arrived.is_some().into());
    let Some(arrived) = arrived else { return };
    call.put_u8(at + 8, arrived.is_none().into());
    match arrived {
        None => {}
        Some(Ok((response, between_bytes))) => {
            let (head, body) = response.into_parts();
            let (status, headers) = (head.status.as_u16(), head.headers);
            spend_copy(call, &headers);
            let response = Object::IncomingResponse { status, headers, body: Some(body), between_bytes };
            call.put_u8(at + 16, 0);
            call.put_u32(at + 24, own(call, Kind::IncomingResponse, response));
        }
        Some(Err(code)) => {
            call.put_u8(at + 16, 1);
            put_error(call, at + 24, code);
        }
    }
}

fn option<R>(call: GuestCall<'_>, handle: u64, f: impl FnOnce(&mut Options) -> R) -> R {
    object(call, handle, Kind::Options, |object| match object {
        Object::Options(options) => Some(f(options)),
        _ => None,
    })
}

fn define_options<T: Any>(linker: &mut Linker<T>) -> Result<()> {
    type Place = fn(&mut Options) -> &mut Option<u64>;
    const TIMES: [(&str, Place); 3] = [
        ("connect-timeout", |options| &mut options.connect),
        ("first-byte-timeout", |options| &mut options.first_byte),
        ("between-bytes-timeout", |options| &mut options.between_bytes),
    ];
    linker.func_flat(TYPES, "[constructor]request-options", |call, v| {
        v[0][0] = own(call, Kind::Options, Object::Options(Options::default())).into();
    })?;
    for (name, place) in TIMES {
        linker.func_flat(TYPES, &format!("[method]request-options.{name}"), move |call, v| {
            let at = v[1][0] as u32;
            call.result_at(at, 16, 8);
            let time = option(call, v[0][0], |options| *place(options));
            call.put_u8(at, time.is_some().into());
            call.put_u64(at + 8, time.unwrap_or(0));
        })?;
        linker.func_flat(TYPES, &format!("[method]request-options.set-{name}"), move |call, v| {
            let time = (case(call, v[1][0], 2) == 1).then_some(v[2][0]);
            option(call, v[0][0], |options| *place(options) = time);
            v[0][0] = 0;
        })?;
    }
    define_drop(linker, "request-options", Kind::Options)
}

pub(super) fn define<T: Any>(linker: &mut Linker<T>) -> Result<()> {
    define_options(linker)?;
    linker.func_flat("wasi:http/outgoing-handler", "handle", handle)?;
    linker.func_flat(TYPES, "[method]future-incoming-response.subscribe", |call, v| {
        let stream = object(call, v[0][0], Kind::Future, |object| match object {
            Object::Future(future) => Some(future.stream),
            _ => None,
        });
        v[0][0] = call.own(RawResource::Polls(stream, Readiness::Readable)).into();
    })?;
    linker.func_flat(TYPES, "[method]future-incoming-response.get", get)?;
    linker.func_flat(TYPES, "[resource-drop]future-incoming-response", |call, v| {
        if let Object::Future(future) = take(call, v[0][0], Kind::Future) {
            check_childless(call, Some(future.stream));
            call.guest().close(future.stream);
        }
    })?;
    linker.func_flat(TYPES, "http-error-code", |call, v| {
        let at = v[1][0] as u32;
        call.result_at(at, ERROR_RESULT.0, ERROR_RESULT.1);
        call.resource(v[0][0] as u32, |resource| matches!(resource, RawResource::Error(_)).then_some(()));
        // What fails at a stream of a body is the connection.
        call.put_u8(at, 1);
        put_error(call, at + 8, ErrorCode::ConnectionTerminated);
    })?;
    Ok(())
}
