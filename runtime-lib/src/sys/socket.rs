//! Kinds and options of sockets, one definition for all platforms. Addresses are those of `core::net`.

use core::net::SocketAddr;

/// Which addresses a socket has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Those of IPv4.
    V4,
    /// Those of IPv6, and no other.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: &SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// What a socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A stream of bytes.
    Tcp,
    /// Datagrams.
    Udp,
}

/// An option of a socket, whose value is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketOption {
    /// An address of connections that have just ended can be bound to: 0 or 1.
    ReuseAddress,
    /// A peer that is silent is asked for a sign of life: 0 or 1.
    KeepAlive,
    /// After how many seconds.
    KeepAliveIdle,
    /// How many seconds lie between two questions.
    KeepAliveInterval,
    /// How many of them go without an answer before the connection ends.
    KeepAliveCount,
    /// How many routers a packet may pass, of a socket of this family.
    HopLimit(Family),
    /// Bytes that may wait to be received.
    ReceiveBuffer,
    /// Bytes that may wait to be sent.
    SendBuffer,
}
