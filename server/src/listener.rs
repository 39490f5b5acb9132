//! Where connections come from.

use std::io;
use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};

use crate::stream::Stream;
use crate::tls::Tls;

/// A socket that accepts connections.
pub(crate) struct Listener {
    socket: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl Listener {
    pub(crate) fn new(socket: TcpListener, tls: Option<Arc<Tls>>) -> Self {
        Self { socket, tls }
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts a connection.
    pub(crate) async fn accept(&self) -> io::Result<(Accepted, SocketAddr)> {
        let (stream, peer) = self.socket.accept().await?;
        let _ = stream.set_nodelay(true);
        Ok((Accepted { socket: stream.into_std()?, tls: self.tls.clone() }, peer))
    }
}

/// A connection that nobody sees to yet.
pub(crate) struct Accepted {
    socket: StdStream,
    tls: Option<Arc<Tls>>,
}

impl Accepted {
    /// The stream of the connection, which whoever reads from it makes a handshake for. Within the runtime that sees to the
    /// connection.
    pub(crate) fn stream(self) -> io::Result<Stream> {
        let stream = TcpStream::from_std(self.socket)?;
        Ok(match self.tls {
            None => Stream::Plain(stream),
            Some(tls) => Stream::Handshake(Box::new(tls.accept(stream))),
        })
    }
}
