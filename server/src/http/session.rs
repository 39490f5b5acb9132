//! The objects behind a guest's handles of resources.

use std::any::Any;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::http::request;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use wasmelt_embed::component::{GuestCall, Linker, Resource};
use wasmelt_embed::{Error, Result};

use super::outgoing::{Message, OutgoingBody, OutgoingRequest};
use super::outside::{Future, Options, Outside};
use super::{Answer, TYPES};
use crate::body::Trailers;

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
    /// The socket until there is a stream, the number of its descriptor from then on, and what comes afterwards.
    IncomingBody {
        socket: Option<OwnedFd>,
        fd: Option<u32>,
        trailers: Trailers,
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

/// The most objects that a guest has at a time.
const MAX_OBJECTS: usize = 1024;

/// The most bytes of names, fields and other text that a guest gives to the server for one request.
const MAX_BYTES: usize = 16 << 20;

/// All objects of an instance.
pub(crate) struct Session {
    objects: HashMap<u32, Object>,
    /// Of each child its parent.
    parents: HashMap<u32, u32>,
    /// The number of the last object: none comes again.
    last: u32,
    /// What is left of [`MAX_BYTES`].
    left: usize,
    pub(super) runtime: Handle,
    pub(super) outside: Arc<Outside>,
}

impl Session {
    pub(crate) fn new(runtime: Handle, outside: Arc<Outside>) -> Self {
        Self { objects: HashMap::new(), parents: HashMap::new(), last: 0, left: MAX_BYTES, runtime, outside }
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
    ) -> [Resource; 2] {
        self.objects.clear();
        self.parents.clear();
        self.left = MAX_BYTES;
        let request = self.insert(Object::IncomingRequest { head: Box::new(head), body: Some(body) });
        let outparam = self.insert(Object::Outparam(answer));
        [resource(Kind::IncomingRequest, request), resource(Kind::Outparam, outparam)]
    }

    /// Gives up what the guest has kept.
    pub(crate) fn end(&mut self) {
        self.objects.clear();
        self.parents.clear();
    }
}

fn resource(kind: Kind, id: u32) -> Resource {
    Resource::Own { ty: FIRST_KIND + kind as u32, representation: id }
}

fn id_of(kind: Kind) -> impl FnOnce(Resource) -> Option<u32> {
    move |resource| match resource {
        Resource::Own { ty, representation } if ty == FIRST_KIND + kind as u32 => Some(representation),
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

/// Defines what drops a handle of this kind.
pub(super) fn define_drop<T: Any>(linker: &mut Linker<T>, name: &str, kind: Kind) -> Result<()> {
    linker.func_flat(TYPES, &format!("[resource-drop]{name}"), move |call, v| {
        let object = take(call, v[0][0], kind);
        let stream = match &object {
            Object::IncomingBody { fd, .. } => *fd,
            Object::OutgoingBody(body) => body.fd,
            _ => None,
        };
        if stream.is_some_and(|fd| call.guest().uses(fd)) {
            call.trap("resource has children");
        }
    })?;
    Ok(())
}
