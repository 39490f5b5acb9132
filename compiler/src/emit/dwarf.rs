//! Debug information, DWARF 4: compilation units, their functions, and which line code belongs to. There are no
//! variables and no types, because the compiler does not know where a value lies in the course of a function.
//!
//! Addresses are distances from the section of code. References from one section to another are relocations, but for
//! Mach-O, where each object's sections stay as they are and nothing is relocated but addresses.

use gimli::write::{
    Address, AttributeValue, Dwarf, EndianVec, FileId, LineProgram, LineString, Range, RangeList, RelocateWriter,
    Relocation, RelocationTarget, Sections, Unit,
};
use gimli::{Encoding as DwarfEncoding, Format, LineEncoding, LittleEndian, constants};
use object::BinaryFormat;
use serde::{Deserialize, Serialize};

use super::reloc::{Encoding, Reference, Target};
use super::text::Layout;
use crate::error::{Error, Result};
use crate::image::{DebugInfo, DebugUnit, FunctionDebug, Image, ImageFunction};

/// A section of debug information.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct DebugSection {
    /// Its name.
    pub(super) name: DebugName,
    /// Content.
    #[serde(with = "super::code::bytes")]
    pub(super) bytes: Vec<u8>,
    /// What the linker fills in.
    pub(super) references: Vec<Reference>,
}

/// A section of debug information, as an index of [`NAMES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct DebugName(u8);

/// Names of the sections in ELF and COFF, and in Mach-O.
const NAMES: [(&str, &str); 6] = [
    (".debug_abbrev", "__debug_abbrev"),
    (".debug_info", "__debug_info"),
    (".debug_line", "__debug_line"),
    (".debug_ranges", "__debug_ranges"),
    (".debug_str", "__debug_str"),
    (".debug_line_str", "__debug_line_str"),
];

impl DebugName {
    /// The section with this name in ELF.
    fn of(name: &str) -> Result<Self> {
        let index = NAMES.iter().position(|(elf, _)| *elf == name);
        let index = index.ok_or_else(|| Error::internal(format!("the section {name} was not expected")))?;
        Ok(Self(index as u8))
    }

    /// Its name in a format.
    pub(super) fn in_format(self, format: BinaryFormat) -> &'static str {
        let (elf, macho) = NAMES.get(usize::from(self.0)).copied().unwrap_or_default();
        if format == BinaryFormat::MachO { macho } else { elf }
    }
}

/// See docs/RATIONALE.md, "Why DWARF 4?".
const ENCODING: DwarfEncoding = DwarfEncoding { address_size: 8, format: Format::Dwarf32, version: 4 };

/// Writes the sections; none without debug information.
pub(super) fn write(image: &Image<'_>, layout: &Layout, format: BinaryFormat) -> Result<Vec<DebugSection>> {
    let Some(debug) = &image.debug else { return Ok(Vec::new()) };
    let units = functions_of_units(image, debug)?;
    let mut dwarf = Dwarf::new();
    for (unit, functions) in debug.units.iter().zip(&units).filter(|(_, functions)| !functions.is_empty()) {
        dwarf.units.add(write_unit(image, layout, debug, unit, functions));
    }
    let failed = |e| Error::internal(format!("debug information cannot be written: {e}"));
    let mut sections = Sections::new(DwarfWriter::new());
    dwarf.write(&mut sections).map_err(failed)?;
    let mut written = Vec::new();
    sections.for_each_mut(|id, writer| {
        let (mut bytes, relocations) = std::mem::replace(writer, DwarfWriter::new()).into_parts();
        if bytes.is_empty() {
            return Ok(());
        }
        let mut references = Vec::with_capacity(relocations.len());
        for relocation in &relocations {
            match relocation.target {
                RelocationTarget::Section(_) if format == BinaryFormat::MachO => fill(&mut bytes, relocation)?,
                _ => references.push(reference(relocation, layout)?),
            }
        }
        written.push(DebugSection { name: DebugName::of(id.name())?, bytes, references });
        Ok::<_, Error>(())
    })?;
    Ok(written)
}

/// The functions of each unit, in order; what wasmelt made belongs to the last one.
fn functions_of_units(image: &Image<'_>, debug: &DebugInfo) -> Result<Vec<Vec<u32>>> {
    let mut units = vec![Vec::new(); debug.units.len()];
    for (index, function) in (0..).zip(&image.functions).filter(|(_, function)| !function.code.is_empty()) {
        let unit = match &function.debug {
            Some(debug) => units.get_mut(debug.unit as usize),
            None => units.last_mut(),
        };
        unit.ok_or_else(|| Error::internal(format!("{} has no unit", function.symbol)))?.push(index);
    }
    Ok(units)
}

/// The address of a function's first instruction.
fn address(function: u32) -> Address {
    Address::Symbol { symbol: function as usize, addend: 0 }
}

fn string(bytes: &[u8]) -> AttributeValue {
    AttributeValue::String(bytes.to_vec())
}

fn write_unit(image: &Image<'_>, layout: &Layout, debug: &DebugInfo, unit: &DebugUnit, functions: &[u32]) -> Unit {
    let (lines, files) = write_lines(image, unit, functions);
    let mut out = Unit::new(ENCODING, lines);
    let ranges = functions.iter().map(|&index| {
        let start = u64::from(layout.offsets[index as usize]);
        (start, start + image.functions[index as usize].code.len() as u64)
    });
    let ranges = match ranges.collect::<Vec<_>>().as_slice() {
        [(start, end)] => Err(end - start),
        // Relative to the unit's address, which is that of the first function of all.
        all => {
            let ranges = all.iter().map(|&(begin, end)| Range::OffsetPair { begin, end });
            Ok(out.ranges.add(RangeList(ranges.collect())))
        }
    };
    let root = out.root();
    let entry = out.get_mut(root);
    entry.set(constants::DW_AT_producer, string(debug.producer.as_bytes()));
    if let Some(language) = unit.language {
        entry.set(constants::DW_AT_language, AttributeValue::Language(gimli::DwLang(language)));
    }
    entry.set(constants::DW_AT_name, string(&unit.name));
    if !unit.directory.is_empty() {
        entry.set(constants::DW_AT_comp_dir, string(&unit.directory));
    }
    match ranges {
        Ok(ranges) => {
            entry.set(constants::DW_AT_low_pc, AttributeValue::Address(address(0)));
            entry.set(constants::DW_AT_ranges, AttributeValue::RangeListRef(ranges));
        }
        Err(len) => {
            entry.set(constants::DW_AT_low_pc, AttributeValue::Address(address(functions[0])));
            entry.set(constants::DW_AT_high_pc, AttributeValue::Udata(len));
        }
    }
    for &index in functions {
        write_function(&mut out, &image.functions[index as usize], index, &files);
    }
    out
}

fn write_function(unit: &mut Unit, function: &ImageFunction, index: u32, files: &[FileId]) {
    let root = unit.root();
    let entry = unit.add(root, constants::DW_TAG_subprogram);
    let entry = unit.get_mut(entry);
    // Symbols are names of the module, so is this one; debuggers read mangled ones where linkers have them.
    let symbol = function.symbol.replace('\0', "?");
    let own = function.debug.as_ref().map_or(&[][..], |debug| &debug.name);
    if is_mangled(&symbol) {
        entry.set(constants::DW_AT_linkage_name, string(symbol.as_bytes()));
        entry.set(constants::DW_AT_name, string(if own.is_empty() { symbol.as_bytes() } else { own }));
    } else {
        entry.set(constants::DW_AT_name, string(symbol.as_bytes()));
    }
    entry.set(constants::DW_AT_low_pc, AttributeValue::Address(address(index)));
    entry.set(constants::DW_AT_high_pc, AttributeValue::Udata(function.code.len() as u64));
    let declaration = function.debug.as_ref().and_then(|debug| debug.declaration);
    if let Some((file, line)) = declaration
        && let Some(&file) = files.get(file as usize)
    {
        entry.set(constants::DW_AT_decl_file, AttributeValue::FileIndex(Some(file)));
        entry.set(constants::DW_AT_decl_line, AttributeValue::Udata(line.into()));
    }
    if function.index.is_none() {
        entry.set(constants::DW_AT_artificial, AttributeValue::Flag(true));
    }
}

/// Whether a name is one that a compiler made of scopes and types, for C++ or Rust.
fn is_mangled(symbol: &str) -> bool {
    symbol.starts_with("_Z") || symbol.starts_with("_R")
}

/// The line program of a unit, and the numbers of its files.
fn write_lines(image: &Image<'_>, unit: &DebugUnit, functions: &[u32]) -> (LineProgram, Vec<FileId>) {
    let text = |bytes: &[u8]| LineString::String(bytes.to_vec());
    let (directory, name) = (text(&unit.directory), text(&unit.name));
    let mut program = LineProgram::new(ENCODING, LineEncoding::default(), directory, None, name, None);
    let mut files = Vec::with_capacity(unit.files.len());
    for file in &unit.files {
        let directory = match file.directory.as_ref() {
            [] => program.default_directory(),
            directory => program.add_directory(text(directory)),
        };
        files.push(program.add_file(text(&file.name), directory, None));
    }
    for &index in functions {
        let function = &image.functions[index as usize];
        if let Some(debug) = function.debug.as_ref().filter(|debug| !debug.lines.is_empty()) {
            write_sequence(&mut program, &files, index, debug, function.code.len() as u64);
        }
    }
    (program, files)
}

fn write_sequence(program: &mut LineProgram, files: &[FileId], index: u32, debug: &FunctionDebug, end: u64) {
    program.begin_sequence(Some(address(index)));
    for line in debug.lines.iter().filter(|line| u64::from(line.offset) < end) {
        let row = program.row();
        row.address_offset = line.offset.into();
        if let Some(&file) = files.get(line.file as usize) {
            row.file = file;
            row.line = line.line.into();
        } else {
            row.line = 0;
        }
        row.column = line.column.into();
        row.is_statement = line.is_statement;
        row.prologue_end = line.is_body;
        program.generate_row();
    }
    program.end_sequence(end);
}

/// A relocation that gimli asks for.
fn reference(relocation: &Relocation, layout: &Layout) -> Result<Reference> {
    let offset = relocation.offset as u64;
    match (relocation.target, relocation.size) {
        (RelocationTarget::Symbol(function), 8) => {
            let addend = i64::from(layout.offsets[function]) + relocation.addend;
            Ok(Reference { offset, encoding: Encoding::Absolute64, target: Target::Code, addend })
        }
        (RelocationTarget::Section(id), 4) => {
            let target = Target::Debug(DebugName::of(id.name())?);
            Ok(Reference { offset, encoding: Encoding::Section32, target, addend: relocation.addend })
        }
        _ => Err(unexpected(relocation)),
    }
}

/// Writes the offset that a relocation stands for.
fn fill(bytes: &mut [u8], relocation: &Relocation) -> Result<()> {
    let value = u32::try_from(relocation.addend).ok().filter(|_| relocation.size == 4);
    let place = bytes.get_mut(relocation.offset..).and_then(|rest| rest.first_chunk_mut::<4>());
    let (Some(value), Some(place)) = (value, place) else { return Err(unexpected(relocation)) };
    *place = value.to_le_bytes();
    Ok(())
}

fn unexpected(relocation: &Relocation) -> Error {
    Error::internal(format!("debug information has an unexpected relocation: {relocation:?}"))
}

/// gimli's writer, keeping the references that it meets.
#[derive(Clone, Debug)]
pub(super) struct DwarfWriter {
    bytes: EndianVec<LittleEndian>,
    relocations: Vec<Relocation>,
}

impl DwarfWriter {
    pub(super) fn new() -> Self {
        Self { bytes: EndianVec::new(LittleEndian), relocations: Vec::new() }
    }

    /// What was written, and the references in it.
    pub(super) fn into_parts(self) -> (Vec<u8>, Vec<Relocation>) {
        (self.bytes.into_vec(), self.relocations)
    }
}

impl RelocateWriter for DwarfWriter {
    type Writer = EndianVec<LittleEndian>;

    fn writer(&self) -> &Self::Writer {
        &self.bytes
    }

    fn writer_mut(&mut self) -> &mut Self::Writer {
        &mut self.bytes
    }

    fn relocate(&mut self, relocation: Relocation) {
        self.relocations.push(relocation);
    }
}
