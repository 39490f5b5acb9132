//! Connections: how many there are, whose turn it is in each, and the end of those that wait for their clients too long.
//!
//! A guest has a deadline, so a connection may wait for a guest. A connection that waits for its client has a time as well: for
//! the first request, for the next one, and until the client takes some more of a response. All this holds for HTTP/1 and 2,
//! whatever a client sends to keep the connection alive. Where the client of HTTP/2 takes some responses and not others, those
//! alone are given up.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::body::Outgoing;

/// The time that a client has for the head of a request, and for the first one of a connection.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// The time that a connection has to end when its client has let it wait: to say so, where the protocol has words for that.
const LAST_TIME: Duration = Duration::from_secs(1);

/// The most bytes of a request's head, and of what a connection of HTTP/1 keeps of a response.
const BUFFER_BYTES: usize = 64 << 10;

/// The most requests of a connection of HTTP/2 at the same time.
const STREAMS: u32 = 64;

/// The connections of a listener.
pub(crate) struct Connections {
    limit: Arc<Semaphore>,
    ending: watch::Sender<bool>,
    /// How long a client may let a connection wait.
    client_time: Duration,
}

/// What a connection has as long as it is there.
pub(crate) struct Admitted {
    _permit: OwnedSemaphorePermit,
    ending: watch::Receiver<bool>,
    turns: Arc<Turns>,
}

impl Connections {
    pub(crate) fn new(limit: usize, client_time: Duration) -> Self {
        let limit = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        Self { limit, ending: watch::Sender::new(false), client_time }
    }

    /// Waits until there may be one more connection, and then for that: the client's time begins when it is there.
    pub(crate) async fn admit<T>(&self, accept: impl Future<Output = io::Result<T>>) -> io::Result<(T, Admitted)> {
        let permit = Arc::clone(&self.limit).acquire_owned().await.map_err(io::Error::other)?;
        let ending = self.ending.subscribe();
        let accepted = accept.await?;
        Ok((accepted, Admitted { _permit: permit, ending, turns: Turns::new(self.client_time) }))
    }

    /// Lets connections answer the requests that they have, and waits for their ends.
    pub(crate) async fn end(self) {
        self.ending.send_replace(true);
        self.ending.closed().await;
    }
}

impl Admitted {
    /// The turns of requests, which the service has to begin.
    pub(crate) fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// Answers the requests of a client until the connection ends.
    pub(crate) async fn serve<I, S>(mut self, io: I, service: S)
    where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
        S: Service<Request<Incoming>, Response = Response<InTurn>>,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(BUFFER_BYTES);
        builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
        let is_over = tokio::select! {
            // What a client has sent is read before the client's time is looked at, however late that is.
            biased;
            _ = connection.as_mut() => return,
            () = self.turns.over() => true,
            _ = self.ending.wait_for(|ending| *ending) => false,
        };
        connection.as_mut().graceful_shutdown();
        if !is_over {
            tokio::select! {
                biased;
                _ = connection.as_mut() => return,
                () = self.turns.over() => {}
            }
        }
        let _ = timeout(LAST_TIME, connection).await;
    }
}

/// Whose turn it is in the requests of a connection: the guest's or the client's.
#[derive(Debug)]
pub(crate) struct Turns {
    client_time: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// While the connection has no request: when the client's time for the next request is over.
    next_request: Instant,
    /// Requests by number.
    requests: HashMap<u64, Begun>,
    /// The number of the last request.
    last: u64,
}

/// A request of a connection.
#[derive(Debug, Default)]
struct Begun {
    /// Where it is the client's turn: until when the client may take nothing.
    until: Option<Instant>,
    /// What the client takes, once there is a response.
    body: Shared,
}

impl Turns {
    fn new(client_time: Duration) -> Arc<Self> {
        let next_request = Instant::now() + client_time.min(HEAD_TIME);
        Arc::new(Self { client_time, state: Mutex::new(State { next_request, requests: HashMap::new(), last: 0 }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request, with the guest's turn.
    pub(crate) fn begin(self: &Arc<Self>) -> Turn {
        let mut state = self.state();
        state.last += 1;
        let request = state.last;
        state.requests.insert(request, Begun::default());
        Turn { turns: Arc::clone(self), request }
    }

    /// Waits until the client has let the connection wait for too long. Turns that begin meanwhile are over later than those
    /// before, so nothing wakes this up.
    async fn over(&self) {
        while let Some(until) = self.look() {
            sleep_until(until).await;
        }
    }

    /// Gives up the responses that the client has not taken in time, while there are other requests. Returns when to look again;
    /// `None` where nothing of the connection moves any more.
    fn look(&self) -> Option<Instant> {
        let now = Instant::now();
        let (stalled, next) = {
            let state = self.state();
            if state.requests.is_empty() {
                return Some(state.next_request).filter(|until| *until > now);
            }
            let is_over = |begun: &&Begun| begun.until.is_some_and(|until| until <= now);
            let stalled: Vec<_> = state.requests.iter().filter(|(_, begun)| is_over(begun)).collect();
            if stalled.len() == state.requests.len() {
                return None;
            }
            let stalled: Vec<_> = stalled.into_iter().map(|(request, begun)| (*request, begun.body.clone())).collect();
            (stalled, state.requests.values().filter_map(|begun| begun.until).filter(|until| *until > now).min())
        };
        for (request, body) in stalled {
            self.give_up(request, &body, now);
        }
        Some(next.unwrap_or(now + self.client_time))
    }

    /// Drops the body of a response, unless the client has taken some of it meanwhile.
    fn give_up(&self, request: u64, body: &Shared, now: Instant) {
        let mut body = body.lock().unwrap_or_else(PoisonError::into_inner);
        let is_stalled =
            self.state().requests.get(&request).and_then(|begun| begun.until).is_some_and(|until| until <= now);
        if is_stalled {
            *body = None;
        }
    }
}

/// The turn in one request.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    request: u64,
}

impl Turn {
    fn set(&self, is_clients: bool) {
        let until = is_clients.then(|| Instant::now() + self.turns.client_time);
        if let Some(begun) = self.turns.state().requests.get_mut(&self.request) {
            begun.until = until;
        }
    }

    /// Begins the client's turn: to take the head, and then the body.
    fn answer(&self, body: &Shared) {
        if let Some(begun) = self.turns.state().requests.get_mut(&self.request) {
            begun.body = Arc::clone(body);
        }
        self.set(true);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.requests.remove(&self.request);
        state.next_request = Instant::now() + self.turns.client_time;
    }
}

/// The body of a response; `None` when it was given up. Who has this lock may take that of the turns, and not the other way
/// round.
type Shared = Arc<Mutex<Option<Outgoing>>>;

/// A body of a response, of which the client takes frames and the guest makes them.
#[derive(Debug)]
pub(crate) struct InTurn {
    body: Shared,
    turn: Turn,
}

impl InTurn {
    /// It is the client's turn from now on: it takes the head.
    pub(crate) fn new(body: Outgoing, turn: Turn) -> Self {
        let body = Arc::new(Mutex::new(Some(body)));
        turn.answer(&body);
        Self { body, turn }
    }

    fn body(&self) -> MutexGuard<'_, Option<Outgoing>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body for InTurn {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let mut body = self.body();
        let Some(body) = &mut *body else {
            return Poll::Ready(Some(Err(io::Error::other("the client has let the response wait for too long"))));
        };
        self.turn.set(false);
        let frame = ready!(Pin::new(body).poll_frame(cx));
        self.turn.set(true);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body().as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body().as_ref().map(Body::size_hint).unwrap_or_default()
    }
}
