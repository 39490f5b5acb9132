//! Streams of connections, plain or by TLS. Where a client has come for TLS, its stream begins with the handshake.
//!
//! The handshake is made by whoever reads from a stream for the first time: no connection waits for that of another one, and
//! the time for the first request is the time for the handshake as well.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{Accept, TlsStream};

/// The stream of a connection. What TLS has is behind a pointer, so that it takes no memory of plain connections.
pub(crate) enum Stream {
    Plain(TcpStream),
    /// Until somebody reads.
    Handshake(Box<Accept<TcpStream>>),
    Secret(Box<TlsStream<TcpStream>>),
    /// The handshake has failed.
    Failed,
}

/// What bytes go through.
trait Transport: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Transport for T {}

impl Stream {
    /// Makes the handshake where it is to be made.
    fn poll_transport(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Transport>>> {
        if let Self::Handshake(handshake) = self {
            let made = ready!(Pin::new(&mut **handshake).poll(cx));
            *self = Self::Failed;
            *self = Self::Secret(Box::new(made?.into()));
        }
        Poll::Ready(self.transport().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }

    /// `None` before the handshake.
    fn transport(&mut self) -> Option<Pin<&mut dyn Transport>> {
        match self {
            Self::Plain(stream) => Some(Pin::new(stream)),
            Self::Secret(stream) => Some(Pin::new(&mut **stream)),
            Self::Handshake(_) | Self::Failed => None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_transport(cx))?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_transport(cx))?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_transport(cx))?.poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport().map_or(Poll::Ready(Ok(())), |stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport().map_or(Poll::Ready(Ok(())), |stream| stream.poll_shutdown(cx))
    }
}
