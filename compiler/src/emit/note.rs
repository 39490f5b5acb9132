//! Notes. The first says where an executable comes from and what it may do, as JSON, which this file does not
//! interpret. The second, written on request, holds what the executable can be linked from again. Notes are written
//! into objects, the linker keeps them, and they are read from objects and executables. Both are compressed with zstd:
//! uncompressed, the JSON would be a tenth of a small executable.

use std::io::Read;

use object::{BinaryFormat, Object, ObjectSection};
use wasmelt_abi::symbols::{
    NOTE_OWNER, NOTE_SECTION, NOTE_SECTION_COFF, NOTE_SECTION_MACHO, NOTE_TYPE_CARRIED, NOTE_TYPE_PROVENANCE,
};

use crate::error::{Error, Result};

/// Alignment of a note's parts in bytes.
pub(super) const ALIGN: usize = 4;

/// Lengths of owner and descriptor, and the type.
const HEADER_BYTES: usize = 12;

/// Level of compression of the JSON, which is small, and of code, which is not.
const JSON_LEVEL: i32 = 19;
const CARRIED_LEVEL: i32 = 3;

/// The most that the JSON may take. A file of somebody else's may expand to any length.
pub const MAX_JSON_BYTES: usize = 16 << 20;

/// The most that carried code may take: so many bytes for each byte of the file, which holds the same code once more.
const MAX_CARRIED_RATIO: usize = 16;

/// Logarithm of the window of zstd that is accepted, so of the memory that decompression takes: that of level 19.
const MAX_WINDOW_LOG: u32 = 23;

/// The note of policy and provenance, as the ELF specification describes notes: a header of three words, the owner with a
/// final NUL, the descriptor; the latter two padded to four bytes.
pub(super) fn write(json: &str) -> Result<Vec<u8>> {
    if json.len() > MAX_JSON_BYTES {
        return Err(Error::input(format!("policy and provenance take more than {} MiB", MAX_JSON_BYTES >> 20))
            .hint("names of imports and exports are part of it"));
    }
    write_note(NOTE_TYPE_PROVENANCE, json.as_bytes(), JSON_LEVEL)
}

/// The note that carries what an executable can be linked from again.
pub(super) fn write_carried(bytes: &[u8]) -> Result<Vec<u8>> {
    write_note(NOTE_TYPE_CARRIED, bytes, CARRIED_LEVEL)
}

fn write_note(kind: u32, content: &[u8], level: i32) -> Result<Vec<u8>> {
    let too_long = |_| Error::input("the content of a note exceeds 4 GiB");
    let content = zstd::bulk::compress(content, level)
        .map_err(|e| Error::internal(format!("the note cannot be compressed: {e}")))?;
    let owner_len = NOTE_OWNER.len() + 1;
    let mut note = Vec::with_capacity(HEADER_BYTES + owner_len + content.len() + 2 * ALIGN);
    note.extend((owner_len as u32).to_le_bytes());
    note.extend(u32::try_from(content.len()).map_err(too_long)?.to_le_bytes());
    note.extend(kind.to_le_bytes());
    note.extend(NOTE_OWNER.as_bytes());
    note.push(0);
    note.resize(note.len().next_multiple_of(ALIGN), 0);
    note.extend(content);
    note.resize(note.len().next_multiple_of(ALIGN), 0);
    Ok(note)
}

/// The note of an object or executable as JSON; `None` where `file` was not made by wasmelt.
pub fn read_note(file: &[u8]) -> Result<Option<String>> {
    let Some(json) = read(file, NOTE_TYPE_PROVENANCE, MAX_JSON_BYTES)? else { return Ok(None) };
    String::from_utf8(json).map(Some).map_err(|_| Error::input("the note of wasmelt is damaged: it is not UTF-8"))
}

/// What an executable carries to be linked again from; `None` where it carries nothing.
pub fn read_carried(file: &[u8]) -> Result<Option<Vec<u8>>> {
    read(file, NOTE_TYPE_CARRIED, file.len().saturating_mul(MAX_CARRIED_RATIO))
}

/// The content of the note of a kind, which may take `max_bytes`.
fn read(file: &[u8], kind: u32, max_bytes: usize) -> Result<Option<Vec<u8>>> {
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
        if note.owner.strip_suffix(b"\0") == Some(NOTE_OWNER.as_bytes()) && note.kind == kind {
            return expand(note.descriptor, max_bytes).map(Some).ok_or_else(|| {
                Error::input(format!("the section {name} is damaged, or its content exceeds {max_bytes} bytes"))
            });
        }
    }
    Ok(None)
}

/// Decompresses, as long as neither the result nor the memory for it exceeds a limit.
fn expand(content: &[u8], max_bytes: usize) -> Option<Vec<u8>> {
    let mut decoder = zstd::Decoder::new(content).ok()?;
    decoder.window_log_max(MAX_WINDOW_LOG).ok()?;
    let mut bytes = Vec::new();
    decoder.take(max_bytes as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= max_bytes).then_some(bytes)
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
    fn content_expands_within_limits() {
        let zeros = vec![0; 32 << 20];
        let small = zstd::bulk::compress(&zeros, 19).unwrap();
        assert!(small.len() < 1 << 13);
        assert_eq!(expand(&small, zeros.len()).unwrap().len(), zeros.len());
        assert!(expand(&small, zeros.len() - 1).is_none());
        // A frame may ask for a window, so for memory, of gigabytes.
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(MAX_WINDOW_LOG + 1).unwrap();
        std::io::Write::write_all(&mut encoder, &zeros).unwrap();
        assert!(expand(&encoder.finish().unwrap(), zeros.len()).is_none());
        assert!(expand(b"not compressed", 100).is_none());
    }

    #[test]
    fn what_is_not_an_object_is_an_error() {
        assert!(read_note(b"\0asm\x01\0\0\0").is_err());
        assert!(read_note(b"").is_err());
    }
}
