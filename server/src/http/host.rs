//! Hosts: how a guest or an operator names one, and which hosts an operator allows.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use hyper::http::uri::Authority;

/// A host. Two ways to write the same address or the same name are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Address(IpAddr),
    /// In small letters, without the dot that may end a name.
    Name(String),
}

impl Host {
    /// The host and the port of an authority that has neither a user nor anything else.
    pub(super) fn of(authority: &Authority) -> Option<(Self, Option<u16>)> {
        let host = authority.host();
        let port = match authority.as_str().strip_prefix(host)? {
            "" => None,
            port => Some(number(port.strip_prefix(':')?)?),
        };
        Some((Self::parse(host)?, port))
    }

    /// An address of IPv6 stands in brackets.
    fn parse(text: &str) -> Option<Self> {
        if let Some(address) = text.strip_prefix('[') {
            let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse() {
            return Some(Self::Address(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        (!name.is_empty()).then(|| Self::Name(name.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => address.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// The number of a port: digits, and no sign.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// What an operator allows.
#[derive(Clone, Debug)]
pub(crate) enum Allowed {
    All,
    /// A host, at one port or all.
    Host(Host, Option<u16>),
}

impl Allowed {
    pub(super) fn allows(&self, host: &Host, port: u16) -> bool {
        match self {
            Self::All => true,
            Self::Host(allowed, only) => allowed == host && only.is_none_or(|only| only == port),
        }
    }
}

impl FromStr for Allowed {
    type Err = &'static str;

    /// Reads NAME, NAME:PORT or `*`. An address of IPv6 stands in brackets.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str =
            "a name or an address is wanted, or one with a port, or `*` alone: no scheme, no user, no path";
        if text == "*" {
            return Ok(Self::All);
        }
        let authority: Authority = text.parse().map_err(|_| WANTED)?;
        if authority.host().contains('*') {
            return Err(WANTED);
        }
        let (host, port) = Host::of(&authority).ok_or(WANTED)?;
        Ok(Self::Host(host, port))
    }
}
