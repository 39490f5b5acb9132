//! Bodies: pairs of sockets, of which the guest has one side as a stream.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::HeaderMap;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::timeout;

/// The most bytes of a frame.
const FRAME_BYTES: usize = 64 << 10;

/// How a body that a guest writes has ended: with trailers, where there are any. Without a message, the guest has given up.
pub(crate) type Finish = oneshot::Receiver<Option<HeaderMap>>;

/// What a request may have few of at a time: pairs of sockets. Both sides have it, as long as they are there.
pub(crate) type Permit = Arc<OwnedSemaphorePermit>;

/// A pair of sockets that do not block: the guest's side and the server's.
pub(crate) fn pair() -> io::Result<(OwnedFd, StdStream)> {
    let (guest, server) = StdStream::pair()?;
    guest.set_nonblocking(true)?;
    server.set_nonblocking(true)?;
    Ok((guest.into(), server))
}

/// A body that a guest writes, which the server has not begun to read.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) socket: StdStream,
    pub(crate) finish: Finish,
    /// What the guest has declared.
    pub(crate) length: Option<u64>,
    pub(crate) permit: Permit,
}

/// A body that is sent.
#[derive(Debug)]
pub(crate) struct Outgoing {
    content: Content,
    /// What the server counts the response by until the body is sent or given up.
    _accepted: Option<OwnedSemaphorePermit>,
}

/// A body that a guest writes, or one that is there already.
#[derive(Debug)]
enum Content {
    Whole(Option<Bytes>),
    Written { socket: Source, finish: Option<Finish>, left: Option<u64>, _permit: Permit },
}

/// What a guest writes to. Mostly all that it has written is there when the first frame is wanted, so nobody watches the socket
/// before there is something to wait for.
#[derive(Debug)]
enum Source {
    /// `None` as long as it takes to become the other.
    Unwatched(Option<StdStream>),
    Watched(UnixStream),
}

impl Source {
    /// Reads a frame; empty at the end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        let mut bytes = Vec::with_capacity(FRAME_BYTES);
        loop {
            let read = match self {
                Self::Unwatched(socket) => match socket.as_ref().map(|socket| read(socket, &mut bytes)) {
                    Some(Err(rustix::io::Errno::WOULDBLOCK)) | None => {
                        let socket = socket.take().ok_or(io::ErrorKind::NotConnected)?;
                        *self = Self::Watched(UnixStream::from_std(socket)?);
                        continue;
                    }
                    Some(read) => read.map_err(io::Error::from),
                },
                Self::Watched(socket) => {
                    ready!(socket.poll_read_ready(cx))?;
                    socket.try_read_buf(&mut bytes)
                }
            };
            match read {
                // There was nothing after all.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return Poll::Ready(read.map(|_| bytes)),
            }
        }
    }
}

fn read(socket: &StdStream, bytes: &mut Vec<u8>) -> rustix::io::Result<usize> {
    rustix::io::read(socket, rustix::buffer::spare_capacity(bytes))
}

impl Outgoing {
    pub(crate) fn whole(text: impl Into<Bytes>) -> Self {
        Self { content: Content::Whole(Some(text.into())), _accepted: None }
    }

    pub(crate) fn new(body: Option<Written>) -> Self {
        let content = match body {
            None => Content::Whole(None),
            Some(Written { socket, finish, length, permit }) => {
                let socket = Source::Unwatched(Some(socket));
                Content::Written { socket, finish: Some(finish), left: length, _permit: permit }
            }
        };
        Self { content, _accepted: None }
    }

    /// Keeps what counts the response.
    pub(crate) fn accepted(self, accepted: OwnedSemaphorePermit) -> Self {
        Self { _accepted: Some(accepted), ..self }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let (socket, finish, left) = match &mut self.content {
            Content::Whole(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Content::Written { socket, finish, left, .. } => (socket, finish, left),
        };
        let Some(finished) = finish else { return Poll::Ready(None) };
        let bytes = ready!(socket.poll_read(cx))?;
        let len = bytes.len();
        if len != 0 {
            if let Some(left) = left {
                // More than was declared: the connection ends, and the client sees a broken response.
                *left =
                    left.checked_sub(len as u64).ok_or_else(|| io::Error::other("the body is longer than declared"))?;
            }
            return Poll::Ready(Some(Ok(Frame::data(bytes.into()))));
        }
        let ended = ready!(Pin::new(finished).poll(cx));
        *finish = None;
        Poll::Ready(match ended {
            Ok(Some(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(None) => None,
            Err(_) => Some(Err(io::Error::other("the guest has not finished the body"))),
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Written { finish, .. } => finish.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Content::Written { left: Some(left), .. } => SizeHint::with_exact(*left),
            Content::Written { .. } => SizeHint::default(),
        }
    }
}

/// What comes after a body that a guest reads: trailers, or that it broke off.
pub(crate) type Trailers = oneshot::Receiver<Result<Option<HeaderMap>, ()>>;

/// Passes a body on to a guest, as long as the guest has its side. A body that stops for `idle` breaks off. `sender` gets what
/// comes after the body.
pub(crate) async fn pass_on(
    body: Incoming,
    idle: Duration,
    (server, permit): (StdStream, Permit),
    sender: oneshot::Sender<Result<Option<HeaderMap>, ()>>,
) {
    let Ok(mut server) = UnixStream::from_std(server) else { return };
    let written = write_all(body, idle, &mut server).await.map_err(drop);
    // Who waits for trailers may be gone. The guest sees the end when the socket goes, and then the trailers are there.
    let _ = sender.send(written);
    drop((server, permit));
}

async fn write_all(
    mut body: Incoming,
    idle: Duration,
    socket: &mut UnixStream,
) -> Result<Option<HeaderMap>, Box<dyn std::error::Error + Send + Sync>> {
    let mut trailers = None;
    loop {
        let frame = tokio::select! {
            frame = timeout(idle, body.frame()) => frame?,
            () = hung_up(socket) => return Err("the guest has gone".into()),
        };
        let Some(frame) = frame else { return Ok(trailers) };
        match frame?.into_data() {
            // This fails when the guest goes.
            Ok(bytes) => socket.write_all(&bytes).await?,
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
}

/// Waits until the other side of a socket is closed, on which nobody writes.
async fn hung_up(socket: &UnixStream) {
    while socket.readable().await.is_ok() {
        match socket.try_read(&mut [0]) {
            // There was nothing after all.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}
