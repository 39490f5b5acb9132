//! LEB128 numbers, the encoding of what is read after a trap.

/// Appends `value` through `push`, seven bits at a time.
pub fn write(mut value: u64, mut push: impl FnMut(u8)) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return push(byte);
        }
        push(byte | 0x80);
    }
}

/// Reads a number from the front of `bytes` and moves past it; `None` at the end or where it exceeds 64 bits.
pub fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Takes a number from the front of `bytes` that was written from 32 bits. Where it is cut off or longer, the result is
/// some other number, and at the end it is 0: code that is in every executable can be short that way.
#[inline(never)]
pub fn number(bytes: &mut &[u8]) -> u32 {
    let (mut value, mut shift) = (0, 0u32);
    while let Some((&byte, rest)) = bytes.split_first() {
        *bytes = rest;
        value |= u32::from(byte & 0x7f).wrapping_shl(shift);
        shift = shift.wrapping_add(7);
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// A signed number as an unsigned one that is small where its magnitude is: 0, -1, 1, -2 become 0, 1, 2, 3.
pub fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// The number that [`zigzag`] made this one of.
pub fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zigzag_keeps_numbers_and_makes_them_small() {
        assert_eq!([0, -1, 1, -2].map(zigzag), [0, 1, 2, 3]);
        for value in [0, 1, -1, 1 << 40, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX)] {
            let mut bytes = std::vec::Vec::new();
            write(value, |b| bytes.push(b));
            let mut rest = &bytes[..];
            assert_eq!(number(&mut &bytes[..]), value as u32);
            assert_eq!(read(&mut rest), Some(value));
            assert!(rest.is_empty());
        }
        assert_eq!(read(&mut &[0x80u8][..]), None);
    }
}
