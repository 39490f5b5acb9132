//! The objects behind a guest's handles of resources.

use std::any::Any;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::http::request;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use wasmelt_embed::component::{GuestCall, Linker, RawResource, Stream};
use wasmelt_embed::{Error, Result};

use super::outgoing::{Message, OutgoingBody, OutgoingRequest};
use super::outside::{Future, Options, Outside};
use super::values::Scheme;
use super::{Answer, TYPES};
use crate::body::{self, Permit, Trailers};

/// The number of the first kind of resource: none of WASI and none of a component has it.
const FIRST_KIND: u32 = 128;

/// Kinds of resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kind {
    Fields,
    IncomingRequest,
    IncomingBody,
    IncomingResponse,
    FutureTrailers,
    OutgoingRequest,
    OutgoingBody,
    OutgoingResponse,
    Outparam,
    Options,
    Future,
}

/// Names of the kinds in their interface, each with its kind.
const KINDS: [(&str, Kind); 11] = [
    ("fields", Kind::Fields),
    ("incoming-request", Kind::IncomingRequest),
    ("incoming-body", Kind::IncomingBody),
    ("incoming-response", Kind::IncomingResponse),
    ("future-trailers", Kind::FutureTrailers),
    ("outgoing-request", Kind::OutgoingRequest),
    ("outgoing-body", Kind::OutgoingBody),
    ("outgoing-response", Kind::OutgoingResponse),
    ("response-outparam", Kind::Outparam),
    ("request-options", Kind::Options),
    ("future-incoming-response", Kind::Future),
];

/// Tells which numbers the kinds have, so that one component can hand a request to another.
pub(super) fn define<T: Any>(linker: &mut Linker<T>) -> Result<()> {
    for (name, kind) in KINDS {
        linker.raw_resource(TYPES, name, FIRST_KIND + kind as u32)?;
    }
    Ok(())
}

/// What a handle stands for.
pub(super) enum Object {
    Fields {
        map: HeaderMap,
        is_immutable: bool,
    },
    IncomingRequest {
        head: Box<request::Parts>,
        body: Option<Incoming>,
    },
    IncomingResponse {
        status: u16,
        headers: HeaderMap,
        body: Option<Incoming>,
        /// How long the body may stop.
        between_bytes: Duration,
    },
    /// The socket until there is a stream, the stream from then on, and what comes afterwards.
    IncomingBody {
        socket: Option<OwnedFd>,
        stream: Option<Stream>,
        trailers: Trailers,
        _permit: Permit,
    },
    /// `None` when they were taken.
    FutureTrailers(Option<Trailers>),
    OutgoingRequest(Box<OutgoingRequest>),
    OutgoingResponse(Box<Message>),
    OutgoingBody(OutgoingBody),
    Outparam(oneshot::Sender<Answer>),
    Options(Options),
    Future(Future),
}

impl Object {
    /// Whether the guest has a descriptor of it.
    fn has_stream(&self) -> bool {
        match self {
            Self::IncomingBody { stream, .. } => stream.is_some(),
            Self::OutgoingBody(body) => body.stream.is_some(),
            Self::Future(_) => true,
            _ => false,
        }
    }
}

/// The most objects that a guest has at a time.
const MAX_OBJECTS: usize = 1024;

/// The most bytes of names, fields and other text that a guest gives to the server for one request.
const MAX_BYTES: usize = 16 << 20;

/// The most requests to other hosts that a request makes at a time. Each has three descriptors of the server.
const MAX_REQUESTS: usize = 16;

/// The most bodies that a request has at a time: its own, two of each request to another host, and a few. Each has two
/// descriptors of the server.
const MAX_BODIES: usize = 48;

/// The most names of other hosts that are looked up for a request at a time: fewer than the server looks up.
const MAX_LOOKUPS: usize = 2;

/// How many pairs of sockets and lookups a request may still have. Each request has its own limits: a response may be sent while the
/// instance answers the next request.
pub(super) struct Limits {
    pub(super) requests: Arc<Semaphore>,
    pub(super) bodies: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
}

impl Limits {
    fn new() -> Self {
        let limit = |count| Arc::new(Semaphore::new(count));
        Self { requests: limit(MAX_REQUESTS), bodies: limit(MAX_BODIES), lookups: limit(MAX_LOOKUPS) }
    }
}

/// All objects of an instance.
pub(crate) struct Session {
    objects: HashMap<u32, Object>,
    /// Of each child its parent.
    parents: HashMap<u32, u32>,
    /// The number of the last object: none comes again.
    last: u32,
    /// What is left of [`MAX_BYTES`].
    left: usize,
    limits: Limits,
    /// What passes bodies on, and the requests to other hosts: they end with the request that is answered.
    tasks: JoinSet<()>,
    runtime: Handle,
    /// How requests come in.
    pub(super) scheme: Scheme,
    pub(super) outside: Arc<Outside>,
}

impl Session {
    pub(crate) fn new(runtime: Handle, scheme: Scheme, outside: Arc<Outside>) -> Self {
        Self {
            objects: HashMap::new(),
            parents: HashMap::new(),
            last: 0,
            left: MAX_BYTES,
            limits: Limits::new(),
            tasks: JoinSet::new(),
            runtime,
            scheme,
            outside,
        }
    }

    fn insert(&mut self, object: Object) -> u32 {
        self.last += 1;
        self.objects.insert(self.last, object);
        self.last
    }

    /// The objects of a new request, and nothing else.
    pub(crate) fn begin(
        &mut self,
        head: request::Parts,
        body: Incoming,
        answer: oneshot::Sender<Answer>,
    ) -> [RawResource; 2] {
        self.end();
        self.left = MAX_BYTES;
        self.limits = Limits::new();
        let request = self.insert(Object::IncomingRequest { head: Box::new(head), body: Some(body) });
        let outparam = self.insert(Object::Outparam(answer));
        [resource(Kind::IncomingRequest, request), resource(Kind::Outparam, outparam)]
    }

    /// Gives up what the guest has kept; whether that is all. Streams of bodies, and what polls a request, are the guest's.
    pub(crate) fn end(&mut self) -> bool {
        let has_streams = self.objects.values().any(Object::has_stream);
        self.objects.clear();
        self.parents.clear();
        self.tasks.abort_all();
        !has_streams
    }

    /// The lookups of the request.
    pub(super) fn lookups(&self) -> Arc<Semaphore> {
        Arc::clone(&self.limits.lookups)
    }

    /// Begins what ends with the request.
    pub(super) fn spawn(&mut self, task: impl std::future::Future<Output = ()> + Send + 'static) {
        // What has ended is not kept.
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn_on(task, &self.runtime);
    }
}

fn resource(kind: Kind, id: u32) -> RawResource {
    RawResource::Own { ty: FIRST_KIND + kind as u32, representation: id }
}

fn id_of(kind: Kind) -> impl FnOnce(RawResource) -> Option<u32> {
    move |resource| match resource {
        RawResource::Own { ty, representation } if ty == FIRST_KIND + kind as u32 => Some(representation),
        _ => None,
    }
}

/// Runs `f` on the session of a guest.
pub(super) fn with<R>(call: GuestCall<'_>, f: impl FnOnce(&mut Session) -> R) -> R {
    match call.guest().data::<Session>() {
        Some(mut session) => f(&mut session),
        None => call.guest().fail(Error::msg("no request is being answered")),
    }
}

/// Takes bytes of what a guest may give to the server; a guest that gives more is stopped.
pub(super) fn spend(call: GuestCall<'_>, bytes: usize) {
    let is_there = with(call, |session| {
        let left = session.left.checked_sub(bytes);
        session.left = left.unwrap_or(0);
        left.is_some()
    });
    if !is_there {
        call.trap("the fields and names of a request take too much of the server's memory");
    }
}

/// Takes one of the pairs of sockets that the request may have; `None` where there are too many.
pub(super) fn permit(call: GuestCall<'_>, of: impl FnOnce(&Limits) -> &Arc<Semaphore>) -> Option<Permit> {
    let limit = with(call, |session| Arc::clone(of(&session.limits)));
    limit.try_acquire_owned().ok().map(Arc::new)
}

/// The pair of sockets of a body; a guest that has too many is stopped.
pub(super) fn body_sockets(call: GuestCall<'_>) -> (OwnedFd, StdStream, Permit) {
    let permit = permit(call, |limits| &limits.bodies);
    let permit = permit.unwrap_or_else(|| call.trap("a request has too many bodies"));
    let (guest, server) = body::pair().unwrap_or_else(|error| call.guest().fail(Error::host(error)));
    (guest, server, permit)
}

/// The number of a new object; a guest that has too many is stopped.
fn new_object(call: GuestCall<'_>, object: Object) -> u32 {
    let id = with(call, |session| (session.objects.len() < MAX_OBJECTS).then(|| session.insert(object)));
    id.unwrap_or_else(|| call.trap("a request has too many objects"))
}

/// A new handle.
pub(super) fn own(call: GuestCall<'_>, kind: Kind, object: Object) -> u32 {
    let id = new_object(call, object);
    call.own(resource(kind, id))
}

/// A new handle of what belongs to another object, which must outlive it.
pub(super) fn own_child(call: GuestCall<'_>, parent: u32, kind: Kind, object: Object) -> u32 {
    let id = new_object(call, object);
    with(call, |session| session.parents.insert(id, parent));
    call.own(resource(kind, id))
}

/// The number of the object of a handle.
pub(super) fn id(call: GuestCall<'_>, handle: u64, kind: Kind) -> u32 {
    call.resource(handle as u32, id_of(kind))
}

/// Runs `f` on the object of a handle; what has gone with an earlier request is a trap.
pub(super) fn object<R>(call: GuestCall<'_>, handle: u64, kind: Kind, f: impl FnOnce(&mut Object) -> Option<R>) -> R {
    let id = id(call, handle, kind);
    let found = with(call, |session| session.objects.get_mut(&id).and_then(f));
    found.unwrap_or_else(|| call.trap("a handle stands for what has gone with an earlier request"))
}

/// Takes an object away from the guest.
pub(super) fn take(call: GuestCall<'_>, handle: u64, kind: Kind) -> Object {
    let id = call.take_owned(handle as u32, id_of(kind));
    let has_children = with(call, |session| session.parents.values().any(|parent| *parent == id));
    if has_children {
        call.trap("resource has children");
    }
    let taken = with(call, |session| {
        session.parents.remove(&id);
        session.objects.remove(&id)
    });
    taken.unwrap_or_else(|| call.trap("a handle stands for what has gone with an earlier request"))
}

/// Traps where a stream, which belongs to what is dropped, has a handle.
pub(super) fn check_childless(call: GuestCall<'_>, stream: Option<Stream>) {
    if stream.is_some_and(|stream| call.guest().uses(stream)) {
        call.trap("resource has children");
    }
}

/// Defines what drops a handle of this kind.
pub(super) fn define_drop<T: Any>(linker: &mut Linker<T>, name: &str, kind: Kind) -> Result<()> {
    linker.func_flat(TYPES, &format!("[resource-drop]{name}"), move |call, v| {
        let object = take(call, v[0][0], kind);
        match &object {
            Object::IncomingBody { stream, .. } => check_childless(call, *stream),
            Object::OutgoingBody(body) => _ = body.end(call),
            _ => {}
        }
    })?;
    Ok(())
}
