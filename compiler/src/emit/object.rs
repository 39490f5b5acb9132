//! The object file: sections, symbols and relocations of ELF, Mach-O and COFF.

use std::borrow::Cow;
use std::collections::HashMap;

use object::write::{MachOBuildVersion, Object, SectionId, Symbol, SymbolId, SymbolSection};
use object::{BinaryFormat, Endianness, SectionFlags, SectionKind, SymbolFlags, SymbolKind, SymbolScope, elf, macho};
use wasmelt_abi::symbols;

use super::blob::Blob;
use super::code::{Code, FunctionSymbol};
use super::descriptor;
use super::dwarf::{DebugName, DebugSection};
use super::note;
use super::reloc::{Platform, Reference, Target};
use super::unwind::TableKind;
use crate::error::{Error, Result};

/// What a section is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Code.
    Text,
    /// The program descriptor. A linker for ELF sorts it in front of the other read-only data by its alignment.
    Program,
    /// The code maps. A linker for ELF sorts it behind the read-only data that is read when the program starts, by its
    /// alignment as well.
    Maps,
    /// The pages that are mapped into memory 0. The runtime moves them away, so nothing else may lie on them.
    Image,
    /// Unwind information.
    Unwind(TableKind),
    /// Policy and provenance.
    Note,
    /// Debug information.
    Debug(DebugName),
}

impl Role {
    /// Segment (Mach-O only), name and kind of its section.
    fn section(self, format: BinaryFormat) -> (&'static str, &'static str, SectionKind) {
        use SectionKind::{Data, Debug, Other, ReadOnlyData as Read, Text};
        match (format, self) {
            (BinaryFormat::MachO, Self::Debug(name)) => ("__DWARF", name.in_format(format), Debug),
            (_, Self::Debug(name)) => ("", name.in_format(format), Debug),
            (BinaryFormat::MachO, Self::Text) => ("__TEXT", "__text", Text),
            (BinaryFormat::MachO, Self::Program) => ("__TEXT", "__wasmelt", Read),
            (BinaryFormat::MachO, Self::Maps) => ("__TEXT", "__wasmelt_maps", Read),
            (BinaryFormat::MachO, Self::Image) => ("__DATA", "__wasmelt_image", Data),
            (BinaryFormat::MachO, Self::Note) => ("__TEXT", symbols::NOTE_SECTION_MACHO, Read),
            (BinaryFormat::MachO, Self::Unwind(_)) => ("__LD", "__compact_unwind", Debug),
            (BinaryFormat::Coff, Self::Text) => ("", ".text", Text),
            (BinaryFormat::Coff, Self::Program | Self::Maps) => ("", ".rdata", Read),
            (BinaryFormat::Coff, Self::Image) => ("", ".data", Data),
            (BinaryFormat::Coff, Self::Note) => ("", symbols::NOTE_SECTION_COFF, Read),
            (BinaryFormat::Coff, Self::Unwind(TableKind::Functions)) => ("", ".pdata", Read),
            (BinaryFormat::Coff, Self::Unwind(_)) => ("", ".xdata", Read),
            (_, Self::Text) => ("", ".text", Text),
            (_, Self::Program) => ("", ".rodata.wasmelt", Read),
            (_, Self::Maps) => ("", ".rodata.wasmelt.maps", Read),
            (_, Self::Image) => ("", ".wasmelt.image", Data),
            (_, Self::Note) => ("", symbols::NOTE_SECTION, Other),
            (_, Self::Unwind(_)) => ("", ".eh_frame", Read),
        }
    }
}

/// Symbol of the entry point of the freestanding runtime, and of the function that a C library calls.
const START: &str = "_start";
const MAIN: &str = "main";

/// The oldest macOS that programs run on: the first for arm64.
const MACOS_VERSION: macho::Version = macho::Version(11 << 16);

/// An object with nothing in it.
pub(super) fn empty(platform: Platform) -> Object<'static> {
    let mut object = Object::new(platform.format, platform.arch.object_name(), Endianness::Little);
    if platform.format == BinaryFormat::MachO {
        let mut version = MachOBuildVersion::default();
        version.platform = macho::PLATFORM_MACOS;
        version.minos = MACOS_VERSION;
        version.sdk = MACOS_VERSION;
        object.set_macho_build_version(version);
    }
    object
}

/// Adds a section to an object.
fn add_section<'a>(
    object: &mut Object<'a>,
    format: BinaryFormat,
    role: Role,
    data: impl Into<Cow<'a, [u8]>>,
    align: u64,
) -> SectionId {
    let (segment, name, kind) = role.section(format);
    let section = object.add_section(segment.as_bytes().to_vec(), name.as_bytes().to_vec(), kind);
    object.set_section_data(section, data, align);
    match (format, role) {
        // In the file only.
        (BinaryFormat::Elf, Role::Note) => {
            let flags = SectionFlags::Elf { sh_type: elf::SHT_NOTE, sh_flags: elf::SectionFlags(0) };
            object.section_mut(section).flags = flags;
        }
        // Nothing refers to it, and it is to stay.
        (BinaryFormat::MachO, Role::Note) => {
            let flags = macho::S_REGULAR | macho::S_ATTR_NO_DEAD_STRIP;
            object.section_mut(section).flags = SectionFlags::MachO { flags, reserved2: 0 };
        }
        _ => {}
    }
    section
}

/// Adds notes to an object that has none.
pub(super) fn add_notes(object: &mut Object<'_>, format: BinaryFormat, notes: Vec<u8>) {
    add_section(object, format, Role::Note, notes, note::ALIGN as u64);
}

/// Writes the object: the code, the section of the program descriptor, which has hooks and policy, and the notes.
pub(super) fn write(platform: Platform, code: &Code, program: Blob, notes: Vec<u8>) -> Result<Vec<u8>> {
    let (program, program_references) = program.finish()?;
    let mut object = empty(platform);
    let mut writer = Writer { platform, sections: HashMap::new(), named: HashMap::new(), object: &mut object };

    let text_section = writer.section(Role::Text, &code.text.bytes, u64::from(code.text_align));
    writer.define(Target::Text, text_section);
    let program_section = writer.section(Role::Program, program, descriptor::ALIGN);
    writer.define(Target::Program, program_section);
    if !code.maps.is_empty() {
        let section = writer.section(Role::Maps, &code.maps, 1);
        writer.define(Target::Maps, section);
    }
    if !code.pages.is_empty() {
        let section = writer.section(Role::Image, &code.pages, platform.page_bytes);
        writer.define(Target::Image, section);
    }

    writer.function_symbols(text_section, &code.functions);
    match &code.library {
        None => {
            writer.global(symbols::TEXT, SymbolKind::Text, text_section, code.text.bytes.len() as u64);
            writer.global(symbols::PROGRAM, SymbolKind::Data, program_section, size_of_program());
            let entry = if platform.format == BinaryFormat::Elf { START } else { MAIN };
            writer.referred(&Target::Runtime(entry.to_owned()), 0);
        }
        Some(name) => {
            let name = format!("{}{name}", symbols::LIBRARY_PREFIX);
            writer.global(&name, SymbolKind::Data, program_section, size_of_program());
        }
    }

    writer.references(text_section, &code.text.references)?;
    writer.references(program_section, &program_references)?;
    for table in &code.unwind {
        let section = writer.section(Role::Unwind(table.kind), &table.bytes, table.kind.align());
        if table.kind == TableKind::Frames {
            writer.define(Target::Frames, section);
        }
        writer.references(section, &table.references)?;
    }
    if !code.debug.is_empty() {
        // In Mach-O, what is added is an address: that of the first section is 0. Consumers of debug information read it
        // where it stands, and know no symbols.
        let symbol = writer.object.section_symbol(text_section);
        writer.named.insert((Target::Code, 0), symbol);
    }
    let mut debug_sections = Vec::new();
    for DebugSection { name, bytes, references } in &code.debug {
        let section = writer.section(Role::Debug(*name), bytes, 1);
        writer.define(Target::Debug(*name), section);
        debug_sections.push((section, references));
    }
    for (section, references) in debug_sections {
        writer.references(section, references)?;
    }
    if !notes.is_empty() {
        writer.section(Role::Note, notes, note::ALIGN as u64);
    }
    if platform.format == BinaryFormat::Elf {
        // Without it, linkers assume that the code wants an executable stack.
        writer.unallocated(".note.GNU-stack", elf::SHT_PROGBITS, Vec::new(), 1);
    }

    object.write().map_err(|e| Error::internal(format!("the object cannot be written: {e}")))
}

fn size_of_program() -> u64 {
    size_of::<wasmelt_abi::descriptor::ProgramDescriptor>() as u64
}

/// The object under construction.
struct Writer<'o, 'a> {
    platform: Platform,
    object: &'o mut Object<'a>,
    /// Sections that are referred to.
    sections: HashMap<Target, SectionId>,
    /// Symbols that references lead to: a target, and an offset from it.
    named: HashMap<(Target, i64), SymbolId>,
}

impl<'a> Writer<'_, 'a> {
    fn section(&mut self, role: Role, data: impl Into<Cow<'a, [u8]>>, align: u64) -> SectionId {
        add_section(self.object, self.platform.format, role, data, align)
    }

    /// A section that is in the file only.
    fn unallocated(&mut self, name: &str, sh_type: elf::SectionType, data: Vec<u8>, align: u64) {
        let section = self.object.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::Other);
        self.object.set_section_data(section, Cow::<'a, [u8]>::Owned(data), align);
        self.object.section_mut(section).flags = SectionFlags::Elf { sh_type, sh_flags: elf::SectionFlags(0) };
    }

    /// Lets references lead to a section.
    fn define(&mut self, target: Target, section: SectionId) {
        // Linkers for Mach-O only understand symbols.
        if self.platform.format != BinaryFormat::MachO {
            let symbol = self.object.section_symbol(section);
            self.named.insert((target.clone(), 0), symbol);
        }
        self.sections.insert(target, section);
    }

    fn function_symbols(&mut self, section: SectionId, functions: &[FunctionSymbol]) {
        for function in functions {
            // Names come from the module and may hold what ends a name in a symbol table.
            let name = function.name.replace('\0', "?").into_bytes();
            let (start, size) = (u64::from(function.start), u64::from(function.len_bytes));
            let scope = SymbolScope::Compilation;
            self.symbol(name, start, size, SymbolKind::Text, scope, SymbolSection::Section(section));
        }
    }

    /// A symbol at the start of a section that other objects can refer to.
    fn global(&mut self, name: &str, kind: SymbolKind, section: SectionId, size: u64) {
        let name = name.as_bytes().to_vec();
        self.symbol(name, 0, size, kind, SymbolScope::Dynamic, SymbolSection::Section(section));
    }

    /// The symbol for a place: of the runtime's archive, of a section, or a new one within a section.
    fn referred(&mut self, target: &Target, offset: i64) -> Option<SymbolId> {
        if let Some(&symbol) = self.named.get(&(target.clone(), offset)) {
            return Some(symbol);
        }
        let symbol = match target {
            Target::Runtime(name) => {
                // Elsewhere than in ELF, the kind decides about the underscore in front of the name.
                let kind = match self.platform.format {
                    BinaryFormat::Elf => SymbolKind::Unknown,
                    _ => SymbolKind::Text,
                };
                let name = name.as_bytes().to_vec();
                self.symbol(name, 0, 0, kind, SymbolScope::Unknown, SymbolSection::Undefined)
            }
            _ => {
                let section = *self.sections.get(target)?;
                let name = format!("wasmelt_place_{}", self.named.len()).into_bytes();
                let (value, place) = (u64::try_from(offset).ok()?, SymbolSection::Section(section));
                self.symbol(name, value, 0, SymbolKind::Data, SymbolScope::Compilation, place)
            }
        };
        self.named.insert((target.clone(), offset), symbol);
        Some(symbol)
    }

    fn symbol(
        &mut self,
        name: Vec<u8>,
        value: u64,
        size: u64,
        kind: SymbolKind,
        scope: SymbolScope,
        section: SymbolSection,
    ) -> SymbolId {
        let flags = SymbolFlags::None;
        self.object.add_symbol(Symbol { name, value, size, kind, scope, weak: false, section, flags })
    }

    fn references(&mut self, section: SectionId, references: &[Reference]) -> Result<()> {
        let format = self.platform.format;
        for reference in references {
            let (offset, addend) = match reference.encoding.wants_symbol(format) {
                true => (reference.addend, 0),
                false => (0, reference.addend),
            };
            let nothing = || Error::internal(format!("nothing to refer to: {reference:?}"));
            let symbol = self.referred(&reference.target, offset).ok_or_else(nothing)?;
            let mut relocation = reference.relocation(symbol, addend, format);
            let mut subtractor = None;
            if reference.encoding.is_difference(format) {
                let own = self.sections.iter().find(|(_, id)| **id == section).map(|(target, _)| target.clone());
                subtractor = Some(own.and_then(|own| self.referred(&own, 0)).ok_or_else(nothing)?);
                relocation.addend -= reference.offset.cast_signed();
            }
            let failed = |e| Error::internal(format!("relocation cannot be written: {e}"));
            self.object.add_relocation_with_subtractor(section, relocation, subtractor).map_err(failed)?;
        }
        Ok(())
    }
}
