//! Text from one encoding to another, in slices that are there: UTF-8, UTF-16 in little-endian order, Latin-1.

/// Why a string does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A range that is not in its memory.
    OutOfBounds,
    /// An address that units cannot have.
    Unaligned,
    /// Source and destination are not apart.
    Overlap,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// Units that are not UTF-16.
    InvalidUtf16,
    /// The destination is shorter than an adapter makes it.
    NoRoom,
}

impl Fault {
    /// What traps say, in the order of the faults, each with a newline behind it: a list holds no addresses.
    pub(super) const MESSAGES: &str = "string content out-of-bounds\n\
        unaligned pointer\n\
        strings of two components overlap\n\
        invalid utf8 encoding\n\
        invalid utf16 encoding\n\
        string does not fit into its room\n";
}

/// What came of a string.
pub(super) type Result<T> = core::result::Result<T, Fault>;

/// How many bytes at the start are ASCII, in whole words of 8 bytes.
pub(super) fn ascii_words(bytes: &[u8]) -> usize {
    let words = bytes.as_chunks::<8>().0;
    8 * words.iter().take_while(|word| u64::from_ne_bytes(**word) & 0x8080_8080_8080_8080 == 0).count()
}

pub(super) fn as_utf8(bytes: &[u8]) -> Result<&str> {
    core::str::from_utf8(bytes).map_err(|_| Fault::InvalidUtf8)
}

pub(super) fn characters(units: &[u16]) -> impl Iterator<Item = Result<char>> {
    char::decode_utf16(units.iter().map(|unit| u16::from_le(*unit))).map(|c| c.map_err(|_| Fault::InvalidUtf16))
}

/// Copies units to the start of the destination. Nothing in this file can panic: a panic would bring the address of its
/// place in the source, and executables have no addresses to relocate.
pub(super) fn copy<T: Copy>(from: &[T], to: &mut [T]) -> Result<()> {
    to.get_mut(..from.len()).ok_or(Fault::NoRoom)?.copy_from_slice(from);
    Ok(())
}

/// Copies UTF-8; it must be valid.
pub(super) fn copy_utf8(from: &[u8], to: &mut [u8]) -> Result<()> {
    copy(as_utf8(from)?.as_bytes(), to)
}

/// Copies UTF-16; it must be valid. Whether Latin-1 has all of its characters.
pub(super) fn copy_utf16(from: &[u16], to: &mut [u16]) -> Result<bool> {
    let mut all_latin1 = true;
    for c in characters(from) {
        all_latin1 &= u32::from(c?) <= 0xff;
    }
    copy(from, to)?;
    Ok(all_latin1)
}

/// Widens Latin-1.
pub(super) fn widen(from: &[u8], to: &mut [u16]) {
    for (unit, byte) in to.iter_mut().zip(from) {
        *unit = u16::from(*byte).to_le();
    }
}

/// UTF-8 to UTF-16; how many units.
pub(super) fn utf8_as_utf16(from: &[u8], to: &mut [u16]) -> Result<usize> {
    let text = as_utf8(from)?;
    let ascii = ascii_words(from);
    let (start, rest) = to.split_at_mut_checked(ascii).ok_or(Fault::NoRoom)?;
    widen(from, start);
    let mut units = text.get(ascii..).unwrap_or_default().encode_utf16();
    let mut len = ascii;
    for (slot, unit) in rest.iter_mut().zip(&mut units) {
        *slot = unit.to_le();
        len += 1;
    }
    if units.next().is_some() {
        return Err(Fault::NoRoom);
    }
    Ok(len)
}

/// UTF-8 to Latin-1, up to the first character that Latin-1 does not have, or that is not valid; how many bytes were read
/// and written.
pub(super) fn utf8_as_latin1(from: &[u8], to: &mut [u8]) -> (usize, usize) {
    let (mut read, mut written) = (0, 0);
    while let (Some(&first), Some(slot)) = (from.get(read), to.get_mut(written)) {
        *slot = match (first, from.get(read + 1)) {
            (0..0x80, _) => first,
            (0xc2 | 0xc3, Some(&second @ 0x80..0xc0)) => {
                read += 1;
                first << 6 | (second & 0x3f)
            }
            _ => break,
        };
        read += 1;
        written += 1;
    }
    (read, written)
}

/// UTF-16 to Latin-1, up to the first unit that Latin-1 does not have; how many.
pub(super) fn utf16_as_latin1(from: &[u16], to: &mut [u8]) -> usize {
    let mut len = 0;
    for (unit, slot) in from.iter().zip(to) {
        let Ok(byte) = u8::try_from(u16::from_le(*unit)) else { break };
        *slot = byte;
        len += 1;
    }
    len
}

/// Writes characters as UTF-8 as long as there is room, and on the first pass as long as they are ASCII; how many units
/// were read and how many bytes were written.
pub(super) fn as_utf8_bytes(
    from: impl Iterator<Item = Result<char>>,
    units_of: impl Fn(char) -> usize,
    to: &mut [u8],
    is_first_pass: bool,
) -> Result<(u64, u64)> {
    let (mut read, mut written) = (0, 0_usize);
    for c in from {
        let c = c?;
        let (mut bytes, len) = ([0; 4], c.len_utf8());
        let Some(slots) = to.get_mut(written..written.saturating_add(len)) else { break };
        if is_first_pass && !c.is_ascii() {
            break;
        }
        for (slot, byte) in slots.iter_mut().zip(c.encode_utf8(&mut bytes).bytes()) {
            *slot = byte;
        }
        read += units_of(c);
        written += len;
    }
    Ok((read as u64, written as u64))
}

/// Widens the bytes of Latin-1 at the start of the destination where they lie; the rest of it.
pub(super) fn widen_in_place(to: &mut [u16], len: u64) -> Result<&mut [u16]> {
    let len = usize::try_from(len).map_err(|_| Fault::NoRoom)?;
    let (start, rest) = to.split_at_mut_checked(len).ok_or(Fault::NoRoom)?;
    for index in (0..len).rev() {
        let byte = start
            .get(index / 2)
            .map(|pair| pair.to_ne_bytes())
            .map(|[first, second]| if index.is_multiple_of(2) { first } else { second });
        if let (Some(slot), Some(byte)) = (start.get_mut(index), byte) {
            *slot = u16::from(byte).to_le();
        }
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    /// Strings with characters of each length in each encoding, at each distance from each other.
    fn samples() -> Vec<String> {
        let parts = ["", "a", "plain text", "\u{7f}", "\u{80}", "\u{ff}", "\u{100}", "\u{7ff}", "\u{800}", "\u{d7ff}"];
        let others = ["\u{e000}", "\u{ffff}", "\u{10000}", "\u{10ffff}", "0123456789abcdef", "\0"];
        let parts: Vec<_> = parts.into_iter().chain(others).collect();
        let two = parts.iter().flat_map(|a| parts.iter().map(move |b| [*a, *b].concat()));
        two.flat_map(|two| parts.iter().map(move |c| [&two, *c].concat()).collect::<Vec<_>>()).collect()
    }

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    fn latin1(text: &str) -> Option<Vec<u8>> {
        text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
    }

    #[test]
    fn strings_come_out_as_the_standard_library_has_them() {
        for text in samples() {
            let (bytes, wide) = (text.as_bytes(), units(&text));
            let mut room = vec![0; bytes.len()];
            assert_eq!(utf8_as_utf16(bytes, &mut room), Ok(wide.len()));
            assert_eq!(room[..wide.len()], wide);

            let mut room = vec![0; 3 * wide.len()];
            let (read, written) = as_utf8_bytes(characters(&wide), char::len_utf16, &mut room, false).unwrap();
            assert_eq!((read as usize, &room[..written as usize]), (wide.len(), bytes));

            let mut room = vec![0; wide.len()];
            let narrow = latin1(&text);
            assert_eq!(copy_utf16(&wide, &mut room), Ok(narrow.is_some()));
            assert_eq!(room, wide);

            // As much of it as Latin-1 has, then all of it.
            let prefix: Vec<u8> = text.chars().map_while(|c| u8::try_from(u32::from(c)).ok()).collect();
            let mut room = vec![0; bytes.len()];
            let (read, written) = utf8_as_latin1(bytes, &mut room);
            assert_eq!(room[..written], prefix);
            assert_eq!(read == bytes.len(), narrow.is_some());
            let mut compact = vec![0u16; bytes.len()];
            for (index, byte) in prefix.iter().enumerate() {
                let mut pair = compact[index / 2].to_ne_bytes();
                pair[index % 2] = *byte;
                compact[index / 2] = u16::from_ne_bytes(pair);
            }
            let rest = widen_in_place(&mut compact, written as u64).unwrap();
            let len = written + utf8_as_utf16(&bytes[read..], rest).unwrap();
            assert_eq!(compact[..len], wide);

            let mut room = vec![0; wide.len()];
            assert_eq!(utf16_as_latin1(&wide, &mut room), prefix.len());
            assert_eq!(room[..prefix.len()], prefix);
        }
    }

    #[test]
    fn a_first_pass_stops_at_what_needs_more_room() {
        let wide = units("ab\u{e9}cd");
        let mut room = vec![0; wide.len()];
        assert_eq!(as_utf8_bytes(characters(&wide), char::len_utf16, &mut room, true), Ok((2, 2)));
        assert_eq!(
            as_utf8_bytes(characters(&wide), char::len_utf16, &mut room, false),
            Ok((4, 5)),
            "no room for the last"
        );
        assert_eq!(as_utf8_bytes(characters(&wide), char::len_utf16, &mut room[..3], false), Ok((2, 2)));
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let bad: [&[u8]; 7] =
            [b"\xff", b"a\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\x80", b"12345678\xe2\x82"];
        for bytes in bad {
            assert_eq!(utf8_as_utf16(bytes, &mut [0; 16]), Err(Fault::InvalidUtf8));
            assert_eq!(copy_utf8(bytes, &mut vec![0; bytes.len()]), Err(Fault::InvalidUtf8));
            let (read, _) = utf8_as_latin1(bytes, &mut [0; 16]);
            assert!(read < bytes.len(), "the rest is found to be invalid later");
        }
        for wide in [[0xd800, 0x61], [0x61, 0xd800], [0xdc00, 0xd800], [0xd800, 0xd800]] {
            assert_eq!(copy_utf16(&wide, &mut [0; 2]), Err(Fault::InvalidUtf16));
            assert_eq!(as_utf8_bytes(characters(&wide), char::len_utf16, &mut [0; 8], false), Err(Fault::InvalidUtf16));
        }
    }
}
