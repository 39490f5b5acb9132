//! Grants of the network: addresses that sockets of a component may be used with, and names that it may resolve.
//!
//! In comes the text of an option; out comes a grant, which keeps its text for reports. What a grant covers is decided by
//! [`wasmelt_abi::network`], for the compiler and the runtime alike.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wasmelt_abi::descriptor::SocketGrant;
use wasmelt_abi::network::{self, Endpoint, EndpointError};

/// What sockets may be used for, and which names may be resolved: nothing that is not named here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Addresses to connect to by TCP.
    pub tcp_connect: Vec<AddressGrant>,
    /// Addresses to bind to and listen on by TCP.
    pub tcp_listen: Vec<AddressGrant>,
    /// Addresses to bind to by UDP, and to exchange datagrams with.
    pub udp: Vec<AddressGrant>,
    /// Names to resolve.
    pub resolve: Vec<NameGrant>,
}

impl Network {
    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.addresses().next().is_none() && self.resolve.is_empty()
    }

    /// All addresses, each with its purpose as the runtime numbers it.
    pub fn addresses(&self) -> impl Iterator<Item = (u16, &AddressGrant)> {
        let lists = [
            (SocketGrant::TCP_CONNECT, &self.tcp_connect),
            (SocketGrant::TCP_LISTEN, &self.tcp_listen),
            (SocketGrant::UDP, &self.udp),
        ];
        lists.into_iter().flat_map(|(purpose, grants)| grants.iter().map(move |grant| (purpose, grant)))
    }

    /// Adds the grants of another list.
    pub fn extend(&mut self, other: &Self) {
        self.tcp_connect.extend_from_slice(&other.tcp_connect);
        self.tcp_listen.extend_from_slice(&other.tcp_listen);
        self.udp.extend_from_slice(&other.udp);
        self.resolve.extend_from_slice(&other.resolve);
    }
}

/// Addresses and ports: `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressGrant(Endpoint);

impl AddressGrant {
    /// All addresses and ports.
    pub fn all() -> Self {
        Self(Endpoint { range: None, first_port: 0, last_port: u16::MAX })
    }

    /// The addresses.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0
    }
}

impl From<Endpoint> for AddressGrant {
    fn from(endpoint: Endpoint) -> Self {
        Self(endpoint)
    }
}

impl FromStr for AddressGrant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Endpoint::parse(text).map(Self).map_err(|why| format!("{} in `{text}`", describe(why)))
    }
}

/// What is wrong with a `HOST:PORT`, and what would be right.
fn describe(why: EndpointError) -> &'static str {
    match why {
        EndpointError::NoPort => "expected `HOST:PORT` such as `10.0.0.0/8:443`, `[::1]:8080` or `*:53`, found no port",
        EndpointError::Port => {
            "the port is a number up to 65535, a range such as `8000-8010`, or `*`: none of them stands"
        }
        EndpointError::Host => {
            "the host is an address, a range such as `10.0.0.0/8` or `[fd00::]/8`, or `*`: none of them stands"
        }
        EndpointError::Name => {
            "a name is not accepted as a host, because whoever answers for the name would decide what the program reaches: \
             grant addresses, and `--resolve NAME` to look the name up; there is a name"
        }
        EndpointError::Bits => "an address of IPv4 has 32 bits and one of IPv6 128: the number behind `/` is larger",
        EndpointError::Beyond => "the address has bits set behind the first ones that count",
        EndpointError::Mapped => {
            "no socket has an address of IPv4 written as one of IPv6: grant the address of IPv4 itself; there is one"
        }
    }
}

impl fmt::Display for AddressGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.range {
            None => f.write_str("*")?,
            Some((ip, bits)) => {
                if ip.is_ipv6() {
                    write!(f, "[{ip}]")?;
                } else {
                    write!(f, "{ip}")?;
                }
                if u32::from(bits) != if ip.is_ipv6() { 128 } else { 32 } {
                    write!(f, "/{bits}")?;
                }
            }
        }
        match (self.0.first_port, self.0.last_port) {
            (0, u16::MAX) => f.write_str(":*"),
            (first, last) if first == last => write!(f, ":{first}"),
            (first, last) => write!(f, ":{first}-{last}"),
        }
    }
}

/// Names: one, `*.` and one for all below it, or `*`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NameGrant(String);

impl NameGrant {
    /// All names.
    pub fn all() -> Self {
        Self("*".to_owned())
    }

    /// The pattern.
    pub fn pattern(&self) -> &str {
        &self.0
    }
}

impl FromStr for NameGrant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if network::is_name_pattern(text) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(format!(
            "expected a name such as `example.org`, `*.example.org` for all names below one, or `*`, found `{text}`{}",
            if text.is_ascii() { "" } else { "; letters of other alphabets are written in their ASCII form, `xn--`" }
        ))
    }
}

impl fmt::Display for NameGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! as_text {
    ($($ty:ty),*) => {
        $(impl TryFrom<String> for $ty {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$ty> for String {
            fn from(grant: $ty) -> Self {
                grant.to_string()
            }
        })*
    };
}

as_text!(AddressGrant, NameGrant);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_written_as_they_are_read() {
        for (text, written) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("10.0.0.0/8:1-5", "10.0.0.0/8:1-5"),
            ("1.2.3.4/32:0-65535", "1.2.3.4:*"),
            ("[fd00::/8]:443", "[fd00::]/8:443"),
            ("[0:0::1]:7-7", "[::1]:7"),
            ("[::]/0:*", "[::]/0:*"),
            ("*:53", "*:53"),
        ] {
            let grant: AddressGrant = text.parse().unwrap();
            assert_eq!(grant.to_string(), written);
            assert_eq!(written.parse(), Ok(grant));
        }
        assert_eq!("*.Example.ORG".parse::<NameGrant>().unwrap().to_string(), "*.example.org");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, part) in [
            ("example.org:443", "a name is not accepted as a host"),
            ("127.0.0.1", "found no port"),
            ("10.0.0.1/8:1", "bits set behind"),
            ("[::ffff:1.2.3.4]:1", "grant the address of IPv4 itself"),
        ] {
            let why = text.parse::<AddressGrant>().unwrap_err();
            assert!(why.contains(part) && why.contains(text), "{why}");
        }
        assert!("m\u{fc}ller.de".parse::<NameGrant>().unwrap_err().contains("xn--"));
    }
}
