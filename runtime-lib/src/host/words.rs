//! Numbers with units as users write them, without an allocator: `16M`, `500ms`.

/// What lies before and behind the first `separator`.
pub fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&b| b == separator)?;
    let (before, behind) = text.split_at_checked(at)?;
    Some((before, behind.get(1..)?))
}

/// A decimal number.
pub fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |sum, &b| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum.checked_mul(10)?.checked_add(digit.into())
    })
}

/// A number and its unit: the digits at the start, and the rest.
fn with_unit(text: &[u8]) -> Option<(u64, &[u8])> {
    let len = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, unit) = text.split_at_checked(len)?;
    Some((number(digits)?, unit))
}

/// A size in bytes: `65536`, `64K`, `16M`, `2G`, `1T`, with powers of 1024.
pub fn size(text: &[u8]) -> Option<u64> {
    let (number, unit) = with_unit(text)?;
    let shift = match unit {
        b"" | b"B" => 0,
        b"K" | b"KiB" => 10,
        b"M" | b"MiB" => 20,
        b"G" | b"GiB" => 30,
        b"T" | b"TiB" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

/// A time span in nanoseconds: `500ms`, `5s`, `2m`, `1h`.
pub fn duration(text: &[u8]) -> Option<u64> {
    let (number, unit) = with_unit(text)?;
    let nanoseconds = match unit {
        b"us" => 1_000,
        b"ms" => 1_000_000,
        b"s" => 1_000_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        _ => return None,
    };
    number.checked_mul(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units_and_bounds() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        for text in [&b""[..], b"18446744073709551616", b"-1", b"+1", b" 1", b"1 ", b"0x1", b"1.5"] {
            assert_eq!(number(text), None);
        }
        assert_eq!(size(b"64"), Some(64));
        assert_eq!(size(b"16M"), Some(16 << 20));
        assert_eq!(size(b"2GiB"), Some(2 << 30));
        for text in [&b""[..], b"M", b"1X", b"16777216T", b"1MM", b"-1M"] {
            assert_eq!(size(text), None);
        }
        assert_eq!(duration(b"500ms"), Some(500_000_000));
        assert_eq!(duration(b"2h"), Some(7_200_000_000_000));
        for text in [&b""[..], b"5", b"s", b"99999999999h", b"1.5s"] {
            assert_eq!(duration(text), None);
        }
    }

    #[test]
    fn words_are_split_at_the_first_separator() {
        assert_eq!(split_once(b"a=b=c", b'='), Some((&b"a"[..], &b"b=c"[..])));
        assert_eq!(split_once(b"=", b'='), Some((&b""[..], &b""[..])));
        assert_eq!(split_once(b"a", b'='), None);
    }
}
