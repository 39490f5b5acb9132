//! Static libraries: an object goes in, an archive with it comes out, in the format that the target's linkers read. It
//! holds nothing of the runtime, which is part of the host program.

use std::io::Cursor;

use ar_archive_writer::{ArchiveKind, DEFAULT_OBJECT_READER, NewArchiveMember, write_archive_to_stream};
use target_lexicon::{BinaryFormat, Environment, Triple};

use crate::error::{Error, Result};

/// Puts the object of the library `name` into an archive. It depends on nothing else: no time, no user, no path.
pub fn static_library(objects: &[&[u8]], names: &[&str], target: &Triple) -> Result<Vec<u8>> {
    let member = |(&object, name)| NewArchiveMember::new(object, &DEFAULT_OBJECT_READER, format!("{name}.o"));
    let members: Vec<_> = objects.iter().zip(names).map(member).collect();
    let mut archive = Cursor::new(Vec::new());
    write_archive_to_stream(&mut archive, &members, kind(target), false, None)
        .map_err(|e| Error::internal(format!("the static library cannot be written: {e}")))?;
    Ok(archive.into_inner())
}

/// The variant of the format: symbol tables differ.
fn kind(target: &Triple) -> ArchiveKind {
    match target.binary_format {
        BinaryFormat::Macho => ArchiveKind::Darwin,
        BinaryFormat::Coff if target.environment == Environment::Msvc => ArchiveKind::Coff,
        _ => ArchiveKind::Gnu,
    }
}

#[cfg(test)]
mod tests {
    use object::read::archive::ArchiveFile;
    use object::write::{Object, Symbol, SymbolSection};
    use object::{Architecture, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

    use super::*;

    /// An object that defines `plugin`, for a target.
    fn object(target: &Triple) -> Vec<u8> {
        let format = match target.binary_format {
            BinaryFormat::Macho => object::BinaryFormat::MachO,
            BinaryFormat::Coff => object::BinaryFormat::Coff,
            _ => object::BinaryFormat::Elf,
        };
        let mut object = Object::new(format, Architecture::X86_64, Endianness::Little);
        let section = object.add_section(b"__TEXT".to_vec(), b"__const".to_vec(), SectionKind::ReadOnlyData);
        object.add_symbol(Symbol {
            name: b"plugin".to_vec(),
            value: 0,
            size: 8,
            kind: SymbolKind::Data,
            scope: SymbolScope::Dynamic,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
        object.set_section_data(section, vec![7; 8], 8);
        object.write().unwrap()
    }

    #[test]
    fn linkers_find_symbols_in_the_archive_of_each_format() {
        use object::read::archive::ArchiveKind as Found;
        for (triple, kind, symbol) in [
            ("x86_64-unknown-linux-gnu", Found::Gnu, "plugin"),
            ("x86_64-pc-windows-gnu", Found::Gnu, "plugin"),
            ("x86_64-pc-windows-msvc", Found::Coff, "plugin"),
            ("x86_64-apple-darwin", Found::Bsd, "_plugin"),
        ] {
            let target: Triple = triple.parse().unwrap();
            let object = object(&target);
            let bytes = static_library(&[&object], &["name"], &target).unwrap();
            assert_eq!(bytes, static_library(&[&object], &["name"], &target).unwrap(), "{triple}");
            let archive = ArchiveFile::parse(&*bytes).unwrap();
            assert_eq!(archive.kind(), kind, "{triple}");
            let symbols: Vec<_> = archive.symbols().unwrap().unwrap().map(|symbol| symbol.unwrap()).collect();
            assert_eq!(symbols.len(), 1, "{triple}");
            assert_eq!(symbols[0].name(), symbol.as_bytes(), "{triple}");
            let member = archive.member(symbols[0].offset()).unwrap();
            assert_eq!(
                (member.name(), member.data(&*bytes).unwrap().get(..object.len())),
                (&b"name.o"[..], Some(&*object)),
                "{triple}"
            );
        }
    }
}
