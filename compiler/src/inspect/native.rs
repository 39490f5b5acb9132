//! A report on an object, executable or library that wasmelt made: its note, its sections and its largest functions. The
//! policy in the note must be the one that the file carries.

use object::read::archive::ArchiveFile;
use object::{Object as _, ObjectKind, ObjectSection as _, ObjectSymbol as _, SymbolKind};
use serde::Serialize;

use super::{Function, Section, carried, largest};
use crate::emit::note::read_note;
use crate::error::{Error, Result};
use crate::report::Provenance;

/// What an object or executable is and holds.
#[derive(Debug, Serialize)]
pub struct NativeReport {
    /// Name of the file.
    pub file: String,
    /// `executable`, `object`, `shared library` or `static library`.
    pub output: &'static str,
    /// Format of the file: `elf`.
    pub format: String,
    /// Length of the file.
    pub bytes: u64,
    /// Policy and provenance.
    pub provenance: Provenance,
    /// Its sections in the order of the file.
    pub sections: Vec<Section>,
    /// Its largest functions, by symbol; none where it is stripped.
    pub largest_functions: Vec<Function>,
}

/// Whether bytes look like an object or executable of any format.
pub(super) fn is_native(bytes: &[u8]) -> bool {
    object::FileKind::parse(bytes).is_ok()
}

/// Looks into an object, executable or library.
pub(super) fn inspect(bytes: &[u8], name: &str) -> Result<NativeReport> {
    if matches!(object::FileKind::parse(bytes), Ok(object::FileKind::Archive)) {
        let object = member(bytes, name)?;
        let report = inspect_file(object, name)?;
        return Ok(NativeReport { output: "static library", bytes: bytes.len() as u64, ..report });
    }
    inspect_file(bytes, name)
}

/// The object that wasmelt put into an archive: the only one there, unless somebody has added others.
fn member<'a>(archive: &'a [u8], name: &str) -> Result<&'a [u8]> {
    let damaged = |e: object::Error| Error::input(format!("{name} cannot be read: {e}"));
    let file = ArchiveFile::parse(archive).map_err(damaged)?;
    for member in file.members() {
        let data = member.map_err(damaged)?.data(archive).map_err(damaged)?;
        // Others may be of any kind.
        if is_native(data) && matches!(read_note(data), Ok(Some(_))) {
            return Ok(data);
        }
    }
    Err(Error::input(format!("{name} was not made by wasmelt: none of its members has a note of it")))
}

fn inspect_file(bytes: &[u8], name: &str) -> Result<NativeReport> {
    let damaged = |e: object::Error| Error::input(format!("{name} cannot be read: {e}"));
    let file = object::File::parse(bytes).map_err(damaged)?;
    let note = read_note(bytes)
        .map_err(|e| e.context(name.to_owned()))?
        .ok_or_else(|| Error::input(format!("{name} was not made by wasmelt: it has no note of it")))?;
    let provenance = Provenance::from_json(&note).map_err(|e| e.context(name.to_owned()))?;
    carried::check(&file, &provenance).map_err(|e| e.context(name.to_owned()))?;
    let sections = file
        .sections()
        .filter(|section| section.size() > 0)
        .map(|section| Section { name: section.name().unwrap_or("?").to_owned(), bytes: section.size() });
    let functions = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0);
    let functions =
        functions.map(|symbol| Function { name: symbol.name().unwrap_or("?").to_owned(), bytes: symbol.size() });
    let is_elf_program = file.format() == object::BinaryFormat::Elf && file.entry() != 0;
    Ok(NativeReport {
        file: name.to_owned(),
        output: match file.kind() {
            ObjectKind::Relocatable => "object",
            // A server has the code of a library, and an entry point.
            _ if provenance.library.is_some() && !is_elf_program => "shared library",
            _ => "executable",
        },
        format: format!("{:?}", file.format()).to_ascii_lowercase(),
        bytes: bytes.len() as u64,
        provenance,
        sections: sections.collect(),
        largest_functions: largest(functions.collect()),
    })
}
