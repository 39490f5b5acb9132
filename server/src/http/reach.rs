//! Connections with other hosts: how long names and addresses are waited for.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::https::{self, Tls};
use super::values::ErrorCode;
use crate::stream::Stream;

/// How long a name is looked up, with the time that a lookup waits for its thread.
const LOOKUP_TIME: Duration = Duration::from_secs(8);

/// The shortest and the longest time that an address has to accept a connection while there are others.
const ADDRESS_TIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Connects with a host, by TLS where the request wants that. `addresses` looks the host's name up; `time` is what there is for
/// all this.
pub(super) async fn connect(
    addresses: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    tls: Option<Tls>,
    time: Duration,
) -> Result<Stream, ErrorCode> {
    let found = timeout(LOOKUP_TIME, addresses).await;
    let addresses = found.map_err(|_| ErrorCode::DnsTimeout)?.map_err(|error| code(&error))?;
    let stream = reach(&addresses, time).await?;
    match tls {
        Some(tls) => https::handshake(tls, stream).await,
        None => Ok(Stream::Plain(stream)),
    }
}

/// Connects with the first of the addresses that accepts a connection. An address that says nothing has a share of the time, so
/// that the others have theirs.
async fn reach(addresses: &[SocketAddr], time: Duration) -> Result<TcpStream, ErrorCode> {
    let share = time / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let share = share.clamp(ADDRESS_TIME.0, ADDRESS_TIME.1);
    let mut failure = ErrorCode::DestinationNotFound;
    for (index, address) in addresses.iter().enumerate() {
        // The last one has what is left.
        let share = if index + 1 == addresses.len() { time } else { share };
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = code(&error),
            Err(_) => failure = ErrorCode::ConnectionTimeout,
        }
    }
    Err(failure)
}

/// What a guest learns of a host that cannot be reached.
fn code(error: &io::Error) -> ErrorCode {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ErrorCode::ConnectionRefused,
        _ => ErrorCode::DestinationNotFound,
    }
}
