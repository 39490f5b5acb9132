//! The note that says where an executable comes from and what it may do: written into objects, kept by the linker, and
//! read from both. Its content is JSON, which this file does not look at, compressed with zstd: for a small program it
//! would be a tenth of the executable otherwise.

use std::io::Read;

use object::{BinaryFormat, Object, ObjectSection};
use wasmelt_abi::symbols::{NOTE_OWNER, NOTE_SECTION, NOTE_SECTION_COFF, NOTE_SECTION_MACHO, NOTE_TYPE_PROVENANCE};

use crate::error::{Error, Result};

/// Alignment of a note's parts in bytes.
pub(super) const ALIGN: usize = 4;

/// Lengths of owner and descriptor, and the type.
const HEADER_BYTES: usize = 12;

/// Level of compression: a note is small.
const ZSTD_LEVEL: i32 = 19;

/// The most that is read of a note. A file of somebody else's may expand to any length.
const MAX_JSON_BYTES: u64 = 1 << 30;

/// The content of the note section, as the ELF specification describes it: a header of three words, the owner with a
/// final NUL, the descriptor; the latter two padded to four bytes.
pub(super) fn write(json: &str) -> Result<Vec<u8>> {
    let too_long = |_| Error::input("policy and provenance exceed 4 GiB");
    let json = zstd::bulk::compress(json.as_bytes(), ZSTD_LEVEL)
        .map_err(|e| Error::internal(format!("the note cannot be compressed: {e}")))?;
    let owner_len = NOTE_OWNER.len() + 1;
    let mut note = Vec::with_capacity(HEADER_BYTES + owner_len + json.len() + 2 * ALIGN);
    note.extend((owner_len as u32).to_le_bytes());
    note.extend(u32::try_from(json.len()).map_err(too_long)?.to_le_bytes());
    note.extend(NOTE_TYPE_PROVENANCE.to_le_bytes());
    note.extend(NOTE_OWNER.as_bytes());
    note.push(0);
    note.resize(note.len().next_multiple_of(ALIGN), 0);
    note.extend(json);
    note.resize(note.len().next_multiple_of(ALIGN), 0);
    Ok(note)
}

/// The note of an object or executable as JSON; `None` where `file` was not made by wasmelt.
pub fn read_note(file: &[u8]) -> Result<Option<String>> {
    let object = object::File::parse(file).map_err(|e| Error::input(format!("not an object or executable: {e}")))?;
    let name = match object.format() {
        BinaryFormat::MachO => NOTE_SECTION_MACHO,
        BinaryFormat::Coff | BinaryFormat::Pe => NOTE_SECTION_COFF,
        _ => NOTE_SECTION,
    };
    let Some(section) = object.section_by_name(name) else { return Ok(None) };
    let damaged = || Error::input(format!("the section {name} is damaged"));
    let mut rest = section.data().map_err(|_| damaged())?;
    if object.format() == BinaryFormat::Pe {
        // Filled up to the alignment of files.
        rest = rest.get(..usize::try_from(section.size()).map_err(|_| damaged())?).unwrap_or(rest);
    }
    while !rest.is_empty() {
        let note = Note::split(&mut rest).ok_or_else(damaged)?;
        if note.owner.strip_suffix(b"\0") == Some(NOTE_OWNER.as_bytes()) && note.kind == NOTE_TYPE_PROVENANCE {
            let mut json = String::new();
            let content = zstd::Decoder::new(note.descriptor).map_err(|_| damaged())?;
            content.take(MAX_JSON_BYTES).read_to_string(&mut json).map_err(|_| damaged())?;
            return Ok(Some(json));
        }
    }
    Ok(None)
}

/// One note.
struct Note<'a> {
    owner: &'a [u8],
    kind: u32,
    descriptor: &'a [u8],
}

impl<'a> Note<'a> {
    /// Takes a note from the front of `rest`; `None` where it is cut off.
    fn split(rest: &mut &'a [u8]) -> Option<Self> {
        let mut word = || {
            let (word, after) = rest.split_first_chunk()?;
            *rest = after;
            Some(u32::from_le_bytes(*word))
        };
        let (owner_len, descriptor_len, kind) = (word()?, word()?, word()?);
        let mut part = |len: u32| {
            let len = usize::try_from(len).ok()?;
            let part = rest.get(..len)?;
            // The last one's padding may be missing.
            *rest = rest.get(len.checked_next_multiple_of(ALIGN)?..).unwrap_or_default();
            Some(part)
        };
        Some(Self { owner: part(owner_len)?, descriptor: part(descriptor_len)?, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_found_behind_others_and_damage_is_noticed() {
        let mut section = vec![4, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, b'G', b'N', b'U', 0, 1, 2, 0, 0];
        section.extend(write("{\"a\":1}").unwrap());
        let mut rest = &section[..];
        assert_eq!(Note::split(&mut rest).unwrap().descriptor, [1, 2]);
        let note = Note::split(&mut rest).unwrap();
        assert_eq!((note.owner, note.kind), (&b"wasmelt\0"[..], 1));
        assert_eq!(zstd::decode_all(note.descriptor).unwrap(), b"{\"a\":1}");
        assert!(rest.is_empty());
        for len in 1..20 {
            assert!(Note::split(&mut &section[..len]).is_none() || len > 17, "{len}");
        }
        assert!(Note::split(&mut &[0xff; 40][..]).is_none());
    }

    #[test]
    fn what_is_not_an_object_is_an_error() {
        assert!(read_note(b"\0asm\x01\0\0\0").is_err());
        assert!(read_note(b"").is_err());
    }
}
