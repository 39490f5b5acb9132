//! The object file: sections, symbols and relocations of an ELF object.

use std::borrow::Cow;
use std::collections::HashMap;

use object::write::{Object, SectionId, Symbol, SymbolId, SymbolSection};
use object::{BinaryFormat, Endianness, SectionFlags, SectionKind, SymbolFlags, SymbolKind, SymbolScope, elf};
use wasmelt_abi::symbols;

use super::descriptor::{self, Program};
use super::initial::Initial;
use super::note;
use super::reloc::{Arch, Reference, Target};
use super::text::{Layout, Text};
use super::unwind::Unwind;
use crate::emit::image::Image;
use crate::error::{Error, Result};

/// Everything that the object holds.
pub(super) struct Sections<'a> {
    pub(super) image: &'a Image<'a>,
    pub(super) layout: Layout,
    pub(super) text: Text,
    pub(super) program: Program,
    pub(super) initial: Initial,
    pub(super) unwind: Unwind,
}

/// Section of the program descriptor. A linker sorts it in front of the other read-only data by its alignment.
const PROGRAM_SECTION: &str = ".rodata.wasmelt";

/// Section of the code maps. A linker sorts it behind the read-only data that is read when the program starts, by its
/// alignment as well.
const MAPS_SECTION: &str = ".rodata.wasmelt.maps";

/// Section of the pages that are mapped into memory 0. The runtime moves them away, so nothing else may lie on them.
const IMAGE_SECTION: &str = ".wasmelt.image";

/// Symbol of the entry point, which the runtime archive defines.
const START: &str = "_start";

/// Writes the object.
pub(super) fn write(arch: Arch, sections: Sections<'_>) -> Result<Vec<u8>> {
    let Sections { image, layout, text, program, initial, unwind } = sections;
    let mut object = Object::new(BinaryFormat::Elf, arch.object_name(), Endianness::Little);
    let mut writer = Writer { symbols: Symbols::default(), object: &mut object };

    let text_section = writer.section(".text", SectionKind::Text, text.bytes, u64::from(layout.align));
    let program_section = writer.section(PROGRAM_SECTION, SectionKind::ReadOnlyData, program.bytes, descriptor::ALIGN);
    if !program.maps.is_empty() {
        let section = writer.section(MAPS_SECTION, SectionKind::ReadOnlyData, program.maps, 1);
        writer.symbols.maps = Some(writer.object.section_symbol(section));
    }
    if !initial.pages.is_empty() {
        let section = writer.section(IMAGE_SECTION, SectionKind::Data, initial.pages, initial.page_bytes);
        writer.symbols.image = Some(writer.object.section_symbol(section));
    }
    writer.symbols.text = Some(writer.object.section_symbol(text_section));
    writer.symbols.program = Some(writer.object.section_symbol(program_section));

    writer.function_symbols(text_section, image, &layout);
    match &image.interface {
        None => {
            writer.global(symbols::TEXT, SymbolKind::Text, text_section, u64::from(layout.len_bytes));
            writer.global(symbols::PROGRAM, SymbolKind::Data, program_section, size_of_program());
            writer.runtime(START);
        }
        Some(interface) => {
            let name = format!("{}{}", symbols::LIBRARY_PREFIX, interface.name);
            writer.global(&name, SymbolKind::Data, program_section, size_of_program());
        }
    }

    writer.references(text_section, &text.references)?;
    writer.references(program_section, &program.references)?;
    if !unwind.bytes.is_empty() {
        let section = writer.section(".eh_frame", SectionKind::ReadOnlyData, unwind.bytes, 8);
        writer.references(section, &unwind.references)?;
    }
    writer.unallocated(symbols::NOTE_SECTION, elf::SHT_NOTE, note::write(&image.note)?, note::ALIGN as u64);
    // Without it, linkers assume that the code wants an executable stack.
    writer.unallocated(".note.GNU-stack", elf::SHT_PROGBITS, Vec::new(), 1);

    object.write().map_err(|e| Error::internal(format!("the object cannot be written: {e}")))
}

fn size_of_program() -> u64 {
    size_of::<wasmelt_abi::descriptor::ProgramDescriptor>() as u64
}

/// The object under construction.
struct Writer<'o, 'a> {
    object: &'o mut Object<'a>,
    symbols: Symbols,
}

/// What references lead to.
#[derive(Default)]
struct Symbols {
    text: Option<SymbolId>,
    program: Option<SymbolId>,
    maps: Option<SymbolId>,
    image: Option<SymbolId>,
    runtime: HashMap<String, SymbolId>,
}

impl<'a> Writer<'_, 'a> {
    fn section(&mut self, name: &str, kind: SectionKind, data: Vec<u8>, align: u64) -> SectionId {
        let section = self.object.add_section(Vec::new(), name.as_bytes().to_vec(), kind);
        self.object.set_section_data(section, Cow::<'a, [u8]>::Owned(data), align);
        section
    }

    /// A section that is in the file only.
    fn unallocated(&mut self, name: &str, sh_type: elf::SectionType, data: Vec<u8>, align: u64) {
        let section = self.section(name, SectionKind::Other, data, align);
        self.object.section_mut(section).flags = SectionFlags::Elf { sh_type, sh_flags: elf::SectionFlags(0) };
    }

    fn function_symbols(&mut self, section: SectionId, image: &Image<'_>, layout: &Layout) {
        for (function, &start) in image.functions.iter().zip(&layout.offsets) {
            // Names come from the module and may hold what ends a name in a symbol table.
            let name = function.symbol.replace('\0', "?").into_bytes();
            let size = function.code.len() as u64;
            let scope = SymbolScope::Compilation;
            self.symbol(name, u64::from(start), size, SymbolKind::Text, scope, SymbolSection::Section(section));
        }
    }

    /// A symbol at the start of a section that other objects can refer to.
    fn global(&mut self, name: &str, kind: SymbolKind, section: SectionId, size: u64) {
        let name = name.as_bytes().to_vec();
        self.symbol(name, 0, size, kind, SymbolScope::Dynamic, SymbolSection::Section(section));
    }

    /// A symbol that the runtime archive defines.
    fn runtime(&mut self, name: &str) -> SymbolId {
        if let Some(&symbol) = self.symbols.runtime.get(name) {
            return symbol;
        }
        let bytes = name.as_bytes().to_vec();
        let symbol = self.symbol(bytes, 0, 0, SymbolKind::Unknown, SymbolScope::Unknown, SymbolSection::Undefined);
        self.symbols.runtime.insert(name.to_owned(), symbol);
        symbol
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
        for reference in references {
            let symbol = match &reference.target {
                Target::Text => self.symbols.text,
                Target::Program => self.symbols.program,
                Target::Maps => self.symbols.maps,
                Target::Image => self.symbols.image,
                Target::Runtime(name) => Some(self.runtime(name)),
            };
            let symbol = symbol.ok_or_else(|| Error::internal(format!("nothing to refer to: {reference:?}")))?;
            let failed = |e| Error::internal(format!("relocation cannot be written: {e}"));
            self.object.add_relocation(section, reference.relocation(symbol)).map_err(failed)?;
        }
        Ok(())
    }
}
