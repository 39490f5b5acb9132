//! `ip-socket-address` and `ip-address` of WASI 0.2: as parameters of a call, and in guest memory.

use core::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use super::Call;

/// What is written or read here.
pub(super) const SOCKET_ADDRESS_BYTES: u32 = 32;

/// An address in parameters of a call: its family, and what the family has.
pub(super) fn lift(call: Call, family: u32, values: [u32; 11]) -> SocketAddr {
    let [port, b, c, d, e, ..] = values;
    match family {
        // Values are as wide as their types, whatever is above that.
        0 => SocketAddr::V4(SocketAddrV4::new([b, c, d, e].map(|byte| byte as u8).into(), port as u16)),
        1 => {
            let [_, flow_info, segments @ .., scope] = values;
            let ip = segments.map(|segment| segment as u16);
            SocketAddr::V6(SocketAddrV6::new(ip.into(), port as u16, flow_info, scope))
        }
        _ => call.trap("invalid variant discriminant"),
    }
}

/// Writes an address; there is room for it.
pub(super) fn put(call: Call, at: u32, address: &SocketAddr) {
    call.put(at + 4, address.port().to_le_bytes());
    match address {
        SocketAddr::V4(address) => {
            call.put_u8(at, 0);
            call.put(at + 6, address.ip().octets());
        }
        SocketAddr::V6(address) => {
            call.put_u8(at, 1);
            call.put_u32(at + 8, address.flowinfo());
            put_segments(call, at + 12, address.ip().segments());
            call.put_u32(at + 28, address.scope_id());
        }
    }
}

fn put_segments(call: Call, at: u32, segments: [u16; 8]) {
    for (to, segment) in (at..).step_by(2).zip(segments) {
        call.put(to, segment.to_le_bytes());
    }
}

/// Writes an `ip-address`; there is room for it.
pub(super) fn put_ip(call: Call, at: u32, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            call.put_u8(at, 0);
            call.put(at + 2, ip.octets());
        }
        IpAddr::V6(ip) => {
            call.put_u8(at, 1);
            put_segments(call, at + 2, ip.segments());
        }
    }
}

/// Reads an address, which was checked to lie in the memory.
pub(super) fn read(call: Call, at: u32) -> SocketAddr {
    let Ok([family, _, _, _, p0, p1, a, b, rest @ ..]) = call.memory().read::<{ SOCKET_ADDRESS_BYTES as usize }>(at)
    else {
        call.trap("pointer out of bounds of memory")
    };
    let port = u16::from_le_bytes([p0, p1]);
    match family {
        0 => {
            let [c, d, ..] = rest;
            SocketAddr::V4(SocketAddrV4::new([a, b, c, d].into(), port))
        }
        1 => {
            let [f0, f1, f2, f3, segments @ .., s0, s1, s2, s3] = rest;
            let mut ip = [0u16; 8];
            for (to, pair) in ip.iter_mut().zip(segments.as_chunks::<2>().0) {
                *to = u16::from_le_bytes(*pair);
            }
            let (flow_info, scope) = (u32::from_le_bytes([f0, f1, f2, f3]), u32::from_le_bytes([s0, s1, s2, s3]));
            SocketAddr::V6(SocketAddrV6::new(ip.into(), port, flow_info, scope))
        }
        _ => call.trap("invalid variant discriminant"),
    }
}
