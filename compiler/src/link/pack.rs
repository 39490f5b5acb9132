//! Packs an executable: in goes what a linker wrote, out comes the same program without what only a dynamic linker
//! would read, and without gaps.
//!
//! What is loaded stays at its place, in the file and in memory, since code refers to it by distance. Everything else
//! (section headers, symbols, notes) moves into the gaps that linkers leave for the alignment of segments, and into
//! those that the dynamic section and its tables leave. A hello world shrinks by a fifth.

use std::ops::Range;

use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64, Sym64};
use object::pod::bytes_of;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{LittleEndian as LE, U16, U32, U64};

use crate::error::{Error, Result};

type Header = FileHeader64<LE>;
type Segment = ProgramHeader64<LE>;
type Section = SectionHeader64<LE>;

/// Number of places that have to be relocated when the program starts.
pub(super) fn relocation_count(executable: &[u8]) -> Result<u64> {
    let file = File::read(executable)?;
    let mut count = 0;
    for segment in file.segments {
        let Some(entries) = segment.dynamic(LE, executable).map_err(unreadable)? else { continue };
        for entry in entries {
            let entry_bytes = match entry.d_tag(LE) {
                elf::DT_RELASZ => 24,
                elf::DT_RELSZ => 16,
                elf::DT_PLTRELSZ | elf::DT_RELRSZ => 8,
                _ => continue,
            };
            count += entry.d_val(LE).div_ceil(entry_bytes);
        }
    }
    Ok(count)
}

/// Packs an executable that needs no relocation.
pub(super) fn pack(executable: &[u8]) -> Result<Vec<u8>> {
    let file = File::read(executable)?;
    let segments: Vec<Segment> = file.segments.iter().filter(|s| file.is_segment_kept(s)).copied().collect();
    let kept: Vec<usize> = (1..file.sections.len()).filter(|&i| is_section_kept(&file.sections[i])).collect();

    let mut out = Output { bytes: Vec::new(), used: Vec::new() };
    let headers_bytes = size_of::<Header>() + segments.len() * size_of::<Segment>();
    out.used.push(0..headers_bytes);
    for section in kept.iter().map(|&i| &file.sections[i]).filter(|s| is_loaded(s)) {
        let start = section.sh_offset.get(LE) as usize;
        out.put(start, section.data(LE, executable).map_err(unreadable)?);
    }
    // No name or symbol may end up where it can be executed.
    for segment in segments.iter().filter(|s| s.p_flags(LE).contains(elf::PF_X)) {
        let (start, len) = segment.file_range(LE);
        out.used.push(start as usize..(start + len) as usize);
    }
    if out.used.iter().any(|range| range.start != 0 && range.start < headers_bytes) {
        return Err(Error::link("the linker left no room for program headers"));
    }

    let mut names = Names::default();
    let symbols = file.symbols(&kept)?;
    let mut sections: Vec<Section> = [0].iter().chain(&kept).map(|&i| file.sections[i]).collect();
    for section in &mut sections {
        section.sh_name = U32::new(LE, names.add(file.section_name(section)?));
    }
    let names_index = new_index(&kept, file.names_index);
    let mut moved: Vec<(usize, &[u8])> = Vec::new();
    for (new, &old) in (1..).zip(&kept) {
        let section = &mut sections[new];
        if is_loaded(section) || section.sh_type(LE) == elf::SHT_NOBITS {
            continue;
        }
        let content = match &symbols {
            _ if old == file.names_index => &names.bytes,
            Some(symbols) if old == symbols.table_index => {
                section.sh_info = U32::new(LE, symbols.local_count);
                section.sh_link = U32::new(LE, new_index(&kept, symbols.names_index).into());
                &symbols.table
            }
            Some(symbols) if old == symbols.names_index => &symbols.names.bytes[..],
            _ => section.data(LE, executable).map_err(unreadable)?,
        };
        moved.push((new, content));
    }
    // The largest first: the small ones find room in what is left.
    let table_start = out.place(&vec![0; sections.len() * size_of::<Section>()], 8);
    moved.sort_by_key(|(_, content)| std::cmp::Reverse(content.len()));
    for (new, content) in moved {
        let section = &mut sections[new];
        let start = out.place(content, section.sh_addralign(LE).max(1) as usize);
        section.sh_offset = U64::new(LE, start as u64);
        section.sh_size = U64::new(LE, content.len() as u64);
    }
    let mut table = Vec::new();
    sections.iter().for_each(|section| table.extend(bytes_of(section)));
    out.put(table_start, &table);

    let mut header = *file.header;
    header.e_shoff = U64::new(LE, table_start as u64);
    header.e_shnum = U16::new(LE, sections.len() as u16);
    header.e_shstrndx = U16::new(LE, elf::SymbolSection(names_index));
    header.e_phoff = U64::new(LE, size_of::<Header>() as u64);
    header.e_phnum = U16::new(LE, segments.len() as u16);
    let mut headers = bytes_of(&header).to_vec();
    segments.iter().for_each(|segment| headers.extend(bytes_of(segment)));
    out.put(0, &headers);
    Ok(out.bytes)
}

/// What a linker wrote.
struct File<'data> {
    bytes: &'data [u8],
    header: &'data Header,
    segments: &'data [Segment],
    sections: &'data [Section],
    /// Index of the section that holds the names of sections.
    names_index: usize,
}

impl<'data> File<'data> {
    fn read(bytes: &'data [u8]) -> Result<Self> {
        let header = Header::parse(bytes).map_err(unreadable)?;
        let segments = header.program_headers(LE, bytes).map_err(unreadable)?;
        let sections = header.section_headers(LE, bytes).map_err(unreadable)?;
        let names_index = header.shstrndx(LE, bytes).map_err(unreadable)? as usize;
        Ok(Self { bytes, header, segments, sections, names_index })
    }

    fn section_name(&self, section: &Section) -> Result<&'data [u8]> {
        let names = self.header.section_strings(LE, self.bytes, self.sections).map_err(unreadable)?;
        section.name(LE, names).map_err(unreadable)
    }

    /// Segments that are loaded with something to load; and the stack's, which says that it is not executable.
    fn is_segment_kept(&self, segment: &Segment) -> bool {
        let range = segment.p_vaddr(LE)..segment.p_vaddr(LE) + segment.p_memsz(LE);
        let holds = |section: &Section| {
            let address = section.sh_addr(LE);
            is_section_kept(section) && section.sh_flags(LE).contains(elf::SHF_ALLOC) && range.contains(&address)
        };
        match segment.p_type(LE) {
            elf::PT_LOAD => segment.p_offset(LE) == 0 || self.sections.iter().any(holds),
            kind => kind == elf::PT_GNU_STACK,
        }
    }

    /// The symbol table without what the linker added, `None` where there is no table.
    fn symbols(&self, kept: &[usize]) -> Result<Option<Symbols>> {
        let Some(table_index) = kept.iter().copied().find(|&i| self.sections[i].sh_type(LE) == elf::SHT_SYMTAB) else {
            return Ok(None);
        };
        let table = &self.sections[table_index];
        let names_index = table.sh_link(LE) as usize;
        let strings = self.header.sections(LE, self.bytes).map_err(unreadable)?;
        let strings = strings.strings(LE, self.bytes, table.link(LE)).map_err(unreadable)?;
        let all: &[Sym64<LE>] = table.data_as_array(LE, self.bytes).map_err(unreadable)?;
        let mut symbols =
            Symbols { table_index, names_index, local_count: 0, table: Vec::new(), names: Names::default() };
        for (i, symbol) in all.iter().enumerate() {
            let section = new_index(kept, symbol.st_shndx(LE).0.into());
            let is_function = symbol.st_type() == elf::STT_FUNC;
            if i != 0 && !(is_function && section != 0) {
                continue;
            }
            let mut symbol = *symbol;
            let name = symbol.name(LE, strings).map_err(unreadable)?;
            symbol.st_name = U32::new(LE, symbols.names.add(name));
            symbol.st_shndx = U16::new(LE, elf::SymbolSection(section));
            symbols.local_count += u32::from(symbol.st_bind() == elf::STB_LOCAL);
            symbols.table.extend(bytes_of(&symbol));
        }
        Ok(Some(symbols))
    }
}

/// A symbol table.
struct Symbols {
    /// Index of its section.
    table_index: usize,
    /// Index of the section of its names.
    names_index: usize,
    /// Number of local symbols, which come first.
    local_count: u32,
    table: Vec<u8>,
    names: Names,
}

/// A section of names.
struct Names {
    bytes: Vec<u8>,
}

impl Default for Names {
    fn default() -> Self {
        Self { bytes: vec![0] }
    }
}

impl Names {
    /// Adds a name; its offset.
    fn add(&mut self, name: &[u8]) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let offset = self.bytes.len() as u32;
        self.bytes.extend(name);
        self.bytes.push(0);
        offset
    }
}

/// The packed file.
struct Output {
    bytes: Vec<u8>,
    /// What must not be written to any more.
    used: Vec<Range<usize>>,
}

impl Output {
    /// Puts `content` at `start`.
    fn put(&mut self, start: usize, content: &[u8]) {
        let end = start + content.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[start..end].copy_from_slice(content);
        self.used.push(start..end);
    }

    /// Puts `content` into the first gap that has room for it; where that is.
    fn place(&mut self, content: &[u8], align: usize) -> usize {
        self.used.sort_by_key(|range| range.start);
        let mut start = 0;
        for range in &self.used {
            if start + content.len() <= range.start {
                break;
            }
            start = start.max(range.end.next_multiple_of(align));
        }
        self.put(start, content);
        start
    }
}

/// Index of a section among those that are kept, 0 where it is not.
fn new_index(kept: &[usize], old: usize) -> u16 {
    kept.iter().position(|&kept| kept == old).map_or(0, |new| new as u16 + 1)
}

/// Whether the program, a debugger or `inspect` has a use for a section.
fn is_section_kept(section: &Section) -> bool {
    let kind = section.sh_type(LE);
    let is_loaded = section.sh_flags(LE).contains(elf::SHF_ALLOC);
    match kind {
        elf::SHT_NULL | elf::SHT_DYNAMIC | elf::SHT_DYNSYM | elf::SHT_HASH | elf::SHT_GNU_HASH => false,
        elf::SHT_STRTAB | elf::SHT_RELA | elf::SHT_REL | elf::SHT_RELR => !is_loaded,
        _ => section.sh_size(LE) != 0,
    }
}

/// Whether a section's content is loaded from the file.
fn is_loaded(section: &Section) -> bool {
    section.sh_flags(LE).contains(elf::SHF_ALLOC) && section.sh_type(LE) != elf::SHT_NOBITS
}

fn unreadable(error: object::read::Error) -> Error {
    Error::link(format!("the linker's output cannot be read: {error}"))
}
