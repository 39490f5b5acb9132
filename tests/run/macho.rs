//! What a Mach-O executable says to the system that loads it: for which version it is, where it begins, what it needs, how
//! it unwinds, and on arm64 a signature that fits its bytes, because the kernel starts no other there.

use libtest_mimic::Failed;
use object::read::macho::{LoadCommandVariant, MachHeader, MachOFile64};
use object::{LittleEndian, Object, macho};
use sha2::{Digest, Sha256};

use crate::support::foreign::System;

/// The only library that programs need.
const SYSTEM_LIBRARY: &[u8] = b"/usr/lib/libSystem.B.dylib";

/// The oldest system that programs run on: 11.0, as the nibbles of a version.
const OLDEST: u32 = 11 << 16;

/// Checks all of it.
pub(crate) fn check(bytes: &[u8], system: System) -> Result<(), Failed> {
    let endian = LittleEndian;
    let file = MachOFile64::<LittleEndian>::parse(bytes)?;
    let header = file.macho_header();
    if header.filetype(endian) != macho::MH_EXECUTE || !header.flags(endian).contains(macho::MH_PIE) {
        return Err("it is no position-independent executable".into());
    }
    if file.section_by_name("__unwind_info").is_none() {
        return Err("it has no unwind information".into());
    }
    let (mut begins, mut oldest, mut loader, mut signed) = (false, None, false, None);
    let mut commands = file.macho_load_commands()?;
    while let Some(command) = commands.next()? {
        match command.variant()? {
            LoadCommandVariant::BuildVersion(version, _) => oldest = Some(version.minos.get(endian)),
            LoadCommandVariant::EntryPoint(entry) => begins = entry.entryoff.get(endian) > 0,
            LoadCommandVariant::LoadDylinker(linker) => {
                loader = command.string(endian, linker.name)? == b"/usr/lib/dyld";
            }
            LoadCommandVariant::Dylib(library) => {
                let name = command.string(endian, library.dylib.name)?;
                if name != SYSTEM_LIBRARY {
                    return Err(format!("it needs {}", String::from_utf8_lossy(name)).into());
                }
            }
            LoadCommandVariant::LinkeditData(data) if command.cmd() == macho::LC_CODE_SIGNATURE => {
                let start = data.dataoff.get(endian) as usize;
                signed = Some((start, data.datasize.get(endian) as usize));
            }
            _ => {}
        }
    }
    if !begins || !loader || oldest != Some(macho::Version(OLDEST)) {
        return Err(format!("entry point {begins}, loader {loader}, oldest system {oldest:x?}").into());
    }
    match signed {
        Some((start, len)) => signature_fits(bytes, start, len),
        None if system == System::Mac => Ok(()),
        None => Err("it is not signed".into()),
    }
}

/// Checks an ad-hoc signature: a code directory whose hashes are those of the file's pages.
///
/// Source: `osfmk/kern/cs_blobs.h` of XNU; all numbers are big-endian.
fn signature_fits(file: &[u8], start: usize, len: usize) -> Result<(), Failed> {
    const EMBEDDED_SIGNATURE: u32 = 0xfade_0cc0;
    const CODE_DIRECTORY: u32 = 0xfade_0c02;
    const AD_HOC: u32 = 2;
    const SHA256: u8 = 2;
    let cut = || Failed::from("the signature is cut off");
    let blob = file.get(start..start + len).ok_or_else(cut)?;
    let word = |blob: &[u8], at: usize| {
        blob.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes).ok_or_else(cut)
    };
    if word(blob, 0)? != EMBEDDED_SIGNATURE {
        return Err("the signature begins with another number".into());
    }
    // The index: type and offset of each blob. The code directory has type 0.
    let count = word(blob, 8)? as usize;
    let mut index = (0..count).map(|i| Ok::<_, Failed>((word(blob, 12 + 8 * i)?, word(blob, 16 + 8 * i)? as usize)));
    let at = index.find_map(|entry| entry.ok().filter(|(kind, _)| *kind == 0)).ok_or("there is no code directory")?.1;
    let directory = blob.get(at..).ok_or_else(cut)?;
    let [magic, flags, hashes, slots, limit] =
        [0, 12, 16, 28, 32].map(|offset| word(directory, offset).unwrap_or(u32::MAX));
    let [hash_len, hash_kind, _, page_log2] = *directory.get(36..40).ok_or_else(cut)? else { return Err(cut()) };
    if (magic, flags & AD_HOC, limit as usize, hash_kind, hash_len) != (CODE_DIRECTORY, AD_HOC, start, SHA256, 32) {
        return Err(format!("code directory {magic:x}, flags {flags:x}, {limit} bytes, hashes {hash_kind}").into());
    }
    let pages = file[..start].chunks(1 << page_log2);
    if pages.len() != slots as usize {
        return Err(format!("{slots} hashes for {} pages", pages.len()).into());
    }
    for (i, page) in pages.enumerate() {
        let hash = directory.get(hashes as usize + 32 * i..hashes as usize + 32 * (i + 1)).ok_or_else(cut)?;
        if Sha256::digest(page)[..] != *hash {
            return Err(format!("the hash of page {i} is another").into());
        }
    }
    Ok(())
}
