//! Addresses that a name has, one definition for all platforms, each of which looks names up in its own way.

use core::net::{IpAddr, Ipv4Addr};

#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use super::linux::names::{keep_open, look_up};
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use super::portable::names::look_up;

/// Why a name has no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// Nobody knows it.
    Unknown,
    /// Nobody answered in time.
    Temporary,
    /// There is nobody to ask.
    Permanent,
}

/// How many addresses of a name are of interest.
const MAX_ADDRESSES: usize = 32;

/// Addresses of a name, each once.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    addresses: [IpAddr; MAX_ADDRESSES],
    count: usize,
}

impl Found {
    /// No addresses.
    pub const NONE: Self = Self { addresses: [IpAddr::V4(Ipv4Addr::UNSPECIFIED); MAX_ADDRESSES], count: 0 };

    /// One address.
    pub fn one(ip: IpAddr) -> Self {
        let mut found = Self::NONE;
        found.add(ip);
        found
    }

    /// Adds an address, unless it is there or there are enough.
    pub fn add(&mut self, ip: IpAddr) {
        if self.as_slice().contains(&ip) {
            return;
        }
        if let Some(place) = self.addresses.get_mut(self.count) {
            *place = ip;
            self.count += 1;
        }
    }

    /// The addresses.
    pub fn as_slice(&self) -> &[IpAddr] {
        self.addresses.get(..self.count).unwrap_or_default()
    }
}
