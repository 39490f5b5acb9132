//! What the functions of the host work on: the exchanges that a plugin sees, and what it has asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmelt_embed::StoreLimits;
use wasmelt_embed::wasi::WasiCtx;

use crate::abi::{self, Fields, Status, buffer, map};
use crate::message::Message;

/// The way of a message through a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Request,
    Response,
}

impl Way {
    /// What the guest exports for header fields and for bodies.
    pub(crate) fn callbacks(self) -> [&'static str; 2] {
        match self {
            Self::Request => ["proxy_on_request_headers", "proxy_on_request_body"],
            Self::Response => ["proxy_on_response_headers", "proxy_on_response_body"],
        }
    }
}

/// An exchange of a request and a response, as a filter sees it.
#[derive(Default)]
pub(crate) struct Exchange {
    /// The request and the response, each with the part of its body that the filter holds back.
    messages: [Message; 2],
    pub(crate) is_paused: [bool; 2],
    /// What the filter answers itself.
    pub(crate) answer: Option<Message>,
    /// Whether the filter wants the exchange to end without an answer.
    pub(crate) is_closed: bool,
    /// Whether the proxy has ended it, and the filter still works on it.
    pub(crate) is_ending: bool,
    /// Whether the filter has said that it is done with it.
    pub(crate) is_done: bool,
}

impl Exchange {
    pub(crate) fn message(&mut self, way: Way) -> &mut Message {
        &mut self.messages[way as usize]
    }

    /// The body of a message, which the proxy forgets with the end of the exchange.
    fn body(&mut self, way: Way) -> Result<&mut Vec<u8>, Status> {
        if self.is_ending { Err(Status::NotFound) } else { Ok(&mut self.message(way).body) }
    }

    /// The proxy has ended the exchange: what is left are the fields, as long as the filter works on it.
    pub(crate) fn end(&mut self) {
        self.is_ending = true;
        self.answer = None;
        self.messages.iter_mut().for_each(|message| message.body = Vec::new());
    }
}

/// A call of the plugin's to a server.
pub(crate) struct Call {
    pub(crate) token: u32,
    pub(crate) context: u32,
    pub(crate) server: String,
    pub(crate) request: Message,
    pub(crate) timeout: Duration,
    /// One of [`MAX_CALLS`], until the plugin was told of the response.
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// What all instances of a plugin share: each value with a number that changes with it.
pub(crate) type Shared = Arc<Mutex<HashMap<Vec<u8>, (Vec<u8>, u32)>>>;

/// What a plugin is given.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) configuration: Vec<u8>,
    /// Servers that it may call, by the names that it calls them.
    pub(crate) clusters: Arc<HashMap<String, String>>,
    pub(crate) shared: Shared,
    /// How many of [`MAX_CALLS`] are left.
    pub(crate) calls: Arc<Semaphore>,
    pub(crate) max_body_bytes: usize,
}

/// The host's data in the store of a plugin.
pub(crate) struct State {
    pub(crate) wasi: WasiCtx,
    pub(crate) limits: StoreLimits,
    pub(crate) settings: Settings,
    pub(crate) exchanges: HashMap<u32, Exchange>,
    /// The context that functions of the host are about.
    pub(crate) effective: u32,
    /// The response to a call, while the plugin is told of it.
    pub(crate) response: Option<Message>,
    pub(crate) calls: Vec<Call>,
    pub(crate) last_token: u32,
    /// How often the plugin wants to be woken.
    pub(crate) tick: Option<Duration>,
}

/// Calls that all instances of a plugin may have begun at once.
pub(crate) const MAX_CALLS: usize = 100;

/// The longest time that a call may take.
const LONGEST_CALL: Duration = Duration::from_secs(30);

impl State {
    pub(crate) fn new(wasi: WasiCtx, limits: StoreLimits, settings: Settings) -> Self {
        Self {
            wasi,
            limits,
            settings,
            exchanges: HashMap::new(),
            effective: abi::ROOT,
            response: None,
            calls: Vec::new(),
            last_token: 0,
            tick: None,
        }
    }

    /// The exchange that functions of the host are about.
    pub(crate) fn exchange(&mut self) -> Result<&mut Exchange, Status> {
        self.exchanges.get_mut(&self.effective).ok_or(Status::BadArgument)
    }

    /// The fields that a number of the ABI names. The proxy passes on no trailers, so the lists of trailers are empty.
    pub(crate) fn fields(&mut self, number: u32) -> Result<&mut Fields, Status> {
        Ok(match number {
            map::REQUEST_HEADERS => &mut self.exchange()?.message(Way::Request).fields,
            map::RESPONSE_HEADERS => &mut self.exchange()?.message(Way::Response).fields,
            map::CALL_HEADERS => &mut self.response.as_mut().ok_or(Status::BadArgument)?.fields,
            map::REQUEST_TRAILERS | map::RESPONSE_TRAILERS | map::CALL_TRAILERS => return Err(Status::NotFound),
            _ => return Err(Status::BadArgument),
        })
    }

    /// The bytes that a number of the ABI names.
    pub(crate) fn buffer(&mut self, number: u32) -> Result<&mut Vec<u8>, Status> {
        Ok(match number {
            buffer::REQUEST_BODY => self.exchange()?.body(Way::Request)?,
            buffer::RESPONSE_BODY => self.exchange()?.body(Way::Response)?,
            buffer::CALL_BODY => &mut self.response.as_mut().ok_or(Status::NotFound)?.body,
            buffer::PLUGIN_CONFIGURATION => &mut self.settings.configuration,
            buffer::VM_CONFIGURATION => return Err(Status::NotFound),
            _ => return Err(Status::BadArgument),
        })
    }

    /// A property by its path, whose parts are separated by bytes of 0.
    pub(crate) fn property(&mut self, path: &[u8]) -> Result<Vec<u8>, Status> {
        let request = match path {
            b"plugin_name" | b"plugin_root_id" => return Ok(self.settings.name.clone().into_bytes()),
            b"request\0path" => &b":path"[..],
            b"request\0method" => b":method",
            b"request\0host" => b":authority",
            b"request\0scheme" => b":scheme",
            _ => return Err(Status::NotFound),
        };
        let fields = &self.exchange()?.message(Way::Request).fields;
        fields.get(request).map(<[u8]>::to_vec).ok_or(Status::NotFound)
    }

    /// Begins a call; its number.
    pub(crate) fn call(&mut self, cluster: &[u8], request: Message, timeout: Duration) -> Result<u32, Status> {
        let server = std::str::from_utf8(cluster).ok().and_then(|name| self.settings.clusters.get(name));
        let server = server.ok_or(Status::BadArgument)?.clone();
        if [&b":method"[..], b":path", b":authority"].iter().any(|name| request.fields.get(name).is_none()) {
            return Err(Status::BadArgument);
        }
        if request.body.len() > self.settings.max_body_bytes {
            return Err(Status::InternalFailure);
        }
        let permit = Arc::clone(&self.settings.calls).try_acquire_owned().map_err(|_| Status::InternalFailure)?;
        self.last_token = self.last_token.wrapping_add(1);
        let (token, context) = (self.last_token, self.effective);
        let timeout = timeout.min(LONGEST_CALL);
        self.calls.push(Call { token, context, server, request, timeout, _permit: permit });
        Ok(token)
    }
}
