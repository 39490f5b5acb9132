//! Which addresses and names a grant of the network covers, as they are written: `HOST:PORT` and a pattern of names.
//!
//! In comes the text of an option, or of a word of `WASMELT_POLICY`; out comes an [`Endpoint`], which is asked about
//! addresses. The compiler and the runtime read and judge with the same code.

// ---------------------------------------------------------------------------------------------------------------
// Security: `covers` and `covers_name` are what the policy of sockets means. IPv4 and IPv6 are two families that no
// pattern but `*` has in common: an IPv6 address that stands for one of IPv4 is covered by no grant of IPv4, and no socket
// gets one.
// ---------------------------------------------------------------------------------------------------------------

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// An address of the range, and how many bits of it count; `None` for all addresses of both families.
    pub range: Option<(IpAddr, u8)>,
    /// The lowest port.
    pub first_port: u16,
    /// The highest port.
    pub last_port: u16,
}

/// Why a text is not a `HOST:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// The text does not end with a colon and a port.
    NoPort,
    /// The port is neither a number up to 65535, a range of them, nor `*`.
    Port,
    /// The host is not an address.
    Host,
    /// The host is a name.
    Name,
    /// The number of bits is more than the address has.
    Bits,
    /// The address has bits behind those that count.
    Beyond,
    /// The address is one of IPv6 that stands for one of IPv4.
    Mapped,
}

impl Endpoint {
    /// Reads `HOST:PORT`. HOST is `*`, an address, or a range of addresses, `10.0.0.0/8`; IPv6 is in brackets,
    /// `[fd00::]/8`. PORT is a number, `8000-8010`, or `*`.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let (host, ports) = text.rsplit_once(':').ok_or(EndpointError::NoPort)?;
        // What follows the last colon of an address in brackets is not a port.
        if ports.contains(']') {
            return Err(EndpointError::NoPort);
        }
        let range = if host == "*" { None } else { Some(parse_range(host)?) };
        let (first_port, last_port) = parse_ports(ports).ok_or(EndpointError::Port)?;
        Ok(Self { range, first_port, last_port })
    }

    /// Whether it covers this address and this port.
    pub fn covers(&self, address: &SocketAddr) -> bool {
        let has_port = (self.first_port..=self.last_port).contains(&address.port());
        has_port && self.range.is_none_or(|range| covers_ip(range, address.ip()))
    }
}

/// Whether the first bits of both addresses are the same, which are of one family.
fn covers_ip((range, bits): (IpAddr, u8), ip: IpAddr) -> bool {
    let bits = u32::from(bits);
    match (range, ip) {
        (IpAddr::V4(range), IpAddr::V4(ip)) => {
            (range.to_bits() ^ ip.to_bits()).checked_shr(32u32.saturating_sub(bits)).unwrap_or(0) == 0
        }
        (IpAddr::V6(range), IpAddr::V6(ip)) => {
            (range.to_bits() ^ ip.to_bits()).checked_shr(128u32.saturating_sub(bits)).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn parse_range(host: &str) -> Result<(IpAddr, u8), EndpointError> {
    let is_v6 = host.starts_with('[');
    let (address, bits) = if let Some(inner) = host.strip_prefix('[') {
        let (inner, behind) = inner.split_once(']').ok_or(EndpointError::Host)?;
        // Both `[fd00::]/8` and `[fd00::/8]`.
        match (inner.split_once('/'), behind.strip_prefix('/')) {
            (None, Some(bits)) => (inner, Some(bits)),
            (Some((address, bits)), None) if behind.is_empty() => (address, Some(bits)),
            (None, None) if behind.is_empty() => (inner, None),
            _ => return Err(EndpointError::Host),
        }
    } else {
        host.split_once('/').map_or((host, None), |(address, bits)| (address, Some(bits)))
    };
    let ip = if is_v6 {
        IpAddr::V6(address.parse::<Ipv6Addr>().map_err(|_| EndpointError::Host)?)
    } else {
        IpAddr::V4(address.parse::<Ipv4Addr>().map_err(|_| why_no_address(address))?)
    };
    let (all, behind) = match ip {
        IpAddr::V4(ip) => (32, u128::from(ip.to_bits())),
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => return Err(EndpointError::Mapped),
        IpAddr::V6(ip) => (128, ip.to_bits()),
    };
    let bits = bits.map_or(Some(all), number).filter(|&bits| bits <= all).ok_or(EndpointError::Bits)?;
    let mask = 1u128.checked_shl(u32::from(all - bits)).map_or(u128::MAX, |above| above - 1);
    if behind & mask != 0 {
        return Err(EndpointError::Beyond);
    }
    // At most 128.
    Ok((ip, bits as u8))
}

/// What a text is that is not an address of IPv4.
fn why_no_address(text: &str) -> EndpointError {
    if text.parse::<Ipv6Addr>().is_err() && text.bytes().any(|byte| byte.is_ascii_alphabetic()) && !text.contains(':') {
        EndpointError::Name
    } else {
        EndpointError::Host
    }
}

fn parse_ports(text: &str) -> Option<(u16, u16)> {
    if text == "*" {
        return Some((0, u16::MAX));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// A number of decimal digits alone.
fn number(text: &str) -> Option<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The longest name of the domain name system, in characters, without a dot at its end.
pub const MAX_NAME_BYTES: usize = 253;

/// Whether a text is a pattern of names: a name, `*.` and a name, or `*`.
pub fn is_name_pattern(pattern: &str) -> bool {
    pattern == "*" || is_name(pattern.strip_prefix("*.").unwrap_or(pattern).as_bytes())
}

/// Whether a text is a name of the domain name system in ASCII: labels of letters, digits, `-` and `_`, with at most one dot
/// behind the last one. An address is not a name: a last label of digits belongs to an address.
pub fn is_name(name: &[u8]) -> bool {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let is_label = |label: &[u8]| {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.iter().all(is_part)
    };
    let last_is_number =
        name.rsplit(|&byte| byte == b'.').next().is_some_and(|last| last.iter().all(u8::is_ascii_digit));
    name.len() <= MAX_NAME_BYTES && name.split(|&byte| byte == b'.').all(is_label) && !last_is_number
}

/// Whether a pattern covers a name: itself, in letters of either case; with `*.` in front all names below it; with `*`
/// all names. A dot at the end of a pattern or name means nothing.
pub fn covers_name(pattern: &[u8], name: &[u8]) -> bool {
    let (pattern, name) = (without_dot(pattern), without_dot(name));
    if pattern == b"*" {
        return true;
    }
    match pattern.strip_prefix(b"*") {
        Some(suffix) => name
            .len()
            .checked_sub(suffix.len())
            .filter(|&at| at > 0)
            .and_then(|at| name.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(suffix)),
        None => name.eq_ignore_ascii_case(pattern),
    }
}

fn without_dot(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(grant: &str, address: &str) -> bool {
        Endpoint::parse(grant).unwrap().covers(&address.parse().unwrap())
    }

    #[test]
    fn ranges_end_where_they_say() {
        for (grant, inside, outside) in [
            ("127.0.0.1:80", "127.0.0.1:80", "127.0.0.2:80"),
            ("127.0.0.1:80", "127.0.0.1:80", "127.0.0.1:81"),
            ("10.0.0.0/8:1-5", "10.255.255.255:5", "11.0.0.0:5"),
            ("10.0.0.0/8:1-5", "10.0.0.0:1", "9.255.255.255:1"),
            ("10.0.0.0/8:1-5", "10.1.2.3:3", "10.1.2.3:6"),
            ("192.168.0.128/25:*", "192.168.0.128:0", "192.168.0.127:0"),
            ("192.168.0.4/31:*", "192.168.0.5:65535", "192.168.0.6:65535"),
            ("0.0.0.0/0:7", "255.255.255.255:7", "[::1]:7"),
            ("0.0.0.0/1:7", "127.255.255.255:7", "128.0.0.0:7"),
            ("0.0.0.0:7", "0.0.0.0:7", "127.0.0.1:7"),
            ("[::]/0:7", "[2001:db8::1]:7", "127.0.0.1:7"),
            ("[::1]:7", "[::1]:7", "[::2]:7"),
            ("[fd00::]/8:*", "[fdff:ffff::1]:9", "[fe00::]:9"),
            ("[fd00::/8]:*", "[fd00::]:9", "[fcff:ffff::]:9"),
            ("[fe80::1]/128:*", "[fe80::1]:9", "[fe80::]:9"),
            ("[fe80::]/127:*", "[fe80::1]:9", "[fe80::2]:9"),
            ("*:53", "8.8.8.8:53", "8.8.8.8:54"),
            ("*:53", "[::1]:53", "[::1]:0"),
            ("*:0", "1.2.3.4:0", "1.2.3.4:1"),
        ] {
            assert!(covers(grant, inside), "{grant} does not cover {inside}");
            assert!(!covers(grant, outside), "{grant} covers {outside}");
        }
        // An address of IPv4 in the clothes of IPv6 is one of IPv6.
        assert!(!covers("127.0.0.1:80", "[::ffff:127.0.0.1]:80"));
        assert!(!covers("0.0.0.0/0:80", "[::ffff:127.0.0.1]:80"));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        use EndpointError::*;
        for (text, error) in [
            ("", NoPort),
            ("127.0.0.1", NoPort),
            ("[::1]", NoPort),
            ("*", NoPort),
            ("127.0.0.1:", Port),
            ("127.0.0.1:65536", Port),
            ("127.0.0.1:+1", Port),
            ("127.0.0.1:5-1", Port),
            ("127.0.0.1:1-", Port),
            ("127.0.0.1:http", Port),
            ("::1:80", Host),
            ("[::1:80", Host),
            ("[::1]x:80", Host),
            ("[::1/64]/64:80", Host),
            ("[fe80::1%eth0]:80", Host),
            ("127.0.0.01:80", Host),
            ("127.1:80", Host),
            ("1.2.3.4.5:80", Host),
            (":80", Host),
            ("example.org:443", Name),
            ("localhost:443", Name),
            ("10.0.0.0/33:1", Bits),
            ("10.0.0.0/:1", Bits),
            ("[::]/129:1", Bits),
            ("10.0.0.1/8:1", Beyond),
            ("[fd00::1]/8:1", Beyond),
            ("[::ffff:1.2.3.4]:1", Mapped),
        ] {
            assert_eq!(Endpoint::parse(text), Err(error), "{text}");
        }
        assert_eq!(
            Endpoint::parse("[::]/0:*"),
            Ok(Endpoint { range: Some((IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0)), first_port: 0, last_port: u16::MAX })
        );
    }

    #[test]
    fn names_have_patterns() {
        for (pattern, inside, outside) in [
            ("example.org", "example.org", "www.example.org"),
            ("example.org", "EXAMPLE.ORG.", "example.orgs"),
            ("*.example.org", "www.Example.org", "example.org"),
            ("*.example.org", "a.b.example.org.", "badexample.org"),
            ("*.example.org", "x.example.org", ".example.org"),
            ("*.example.org.", "www.example.org", "example.org"),
            ("*.example.org.", "www.example.org.", "badexample.org."),
            ("example.org.", "example.org", "www.example.org"),
            ("localhost", "LocalHost", "localhost.org"),
        ] {
            assert!(is_name_pattern(pattern), "{pattern}");
            assert!(covers_name(pattern.as_bytes(), inside.as_bytes()), "{pattern} does not cover {inside}");
            assert!(!covers_name(pattern.as_bytes(), outside.as_bytes()), "{pattern} covers {outside}");
        }
        assert!(covers_name(b"*", b"anything"));
        for pattern in
            ["", ".", "*.", "**", "*.*", "a..b", "a b", "127.0.0.1", "::1", "x*.org", "*x.org", "a.b.*", "\u{e4}.de"]
        {
            assert!(!is_name_pattern(pattern), "{pattern}");
        }
        assert!(!is_name(&[b'a'; 64]) && is_name(&[b'a'; 63]));
    }
}
