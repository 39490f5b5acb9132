//! Unsigned LEB128 numbers, the encoding of the code maps.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX >> 1] {
            let mut bytes = std::vec::Vec::new();
            write(value, |b| bytes.push(b));
            let mut rest = &bytes[..];
            assert_eq!(read(&mut rest), Some(value));
            assert!(rest.is_empty());
        }
        assert_eq!(read(&mut &[0x80u8][..]), None);
    }
}
