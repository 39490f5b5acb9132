//! Names as the system's library resolves them.

use std::net::ToSocketAddrs as _;

use crate::sys::names::{Found, Unresolved};

/// The addresses of a name.
pub fn look_up(name: &str) -> Result<Found, Unresolved> {
    // The library does not say in a way that all systems share why it has found nothing.
    let addresses = (name, 0).to_socket_addrs().map_err(|_| Unresolved::Unknown)?;
    let mut found = Found::NONE;
    addresses.for_each(|address| found.add(address.ip()));
    if found.as_slice().is_empty() { Err(Unresolved::Unknown) } else { Ok(found) }
}
