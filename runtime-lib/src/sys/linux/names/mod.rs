//! Names without a C library: `/etc/hosts`, then the name servers of `/etc/resolv.conf`. Source: hosts(5), resolv.conf(5).

// ---------------------------------------------------------------------------------------------------------------
// Security: what files and servers say is untrusted. Each line, message and wait has a bound, and what comes out is a list
// of addresses, which the policy of sockets judges when one is used.
// ---------------------------------------------------------------------------------------------------------------

mod ask;
mod files;
mod message;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::sys::names::{Found, Unresolved};

pub use files::keep_open;

/// The addresses of a name in ASCII, without a dot at its end.
pub fn look_up(name: &str) -> Result<Found, Unresolved> {
    let name = name.as_bytes();
    let mut found = Found::NONE;
    files::hosts(name, &mut found);
    if !found.as_slice().is_empty() {
        return Ok(found);
    }
    if is_localhost(name) {
        // RFC 6761, section 6.3: no server is ever asked.
        found.add(IpAddr::V4(Ipv4Addr::LOCALHOST));
        found.add(IpAddr::V6(Ipv6Addr::LOCALHOST));
        return Ok(found);
    }
    ask::servers(name, &files::Configuration::read())
}

/// Whether a name is `localhost` or lies below it.
fn is_localhost(name: &[u8]) -> bool {
    const LOCALHOST: &[u8] = b"localhost";
    let Some(at) = name.len().checked_sub(LOCALHOST.len()) else { return false };
    let (before, end) = name.split_at(at);
    end.eq_ignore_ascii_case(LOCALHOST) && (before.is_empty() || before.ends_with(b"."))
}
