//! Reads the DWARF that compilers leave in custom sections of a module: lines, where functions are declared, and what was
//! inlined.
//!
//! Addresses in it are distances from the start of the code section's contents. Source: "DWARF for WebAssembly",
//! <https://yurydelendik.github.io/webassembly-dwarf/>.

mod inlined;

use std::collections::{HashMap, HashSet, hash_map};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use gimli::{
    Abbreviations, Attribute, AttributeValue, DebugAddrBase, DebugRngListsBase, DebugStrOffsetsBase, Dwarf,
    EndianSlice, LineProgramHeader, LittleEndian, Section as _, UnitHeader, UnitOffset, UnitType, constants,
};

use self::inlined::{Around, ScopeRange};
use super::{Declaration, NO_UNIT, Row, SourceMap, header};
use crate::image::{DebugFile, DebugUnit};
use crate::module::Module;

type Slice<'data> = EndianSlice<'data, LittleEndian>;

/// Tag and attributes of a debugging entry.
type Entry<'data> = (gimli::DwTag, Vec<Attribute<Slice<'data>>>);

/// A unit, and the attributes of its own entry.
type OpenUnit<'data> = (Unit<'data>, Vec<Attribute<Slice<'data>>>);

/// Number of a file in the line program, and line.
type Place = (u64, u32);

/// Longer names are left out.
const MAX_NAME_BYTES: usize = 4096;

/// How often a debugging entry leads to another one that knows its declaration: an inlined function's outer instance to
/// the abstract one, and from there to the class that declares it.
const MAX_STEPS: usize = 3;

/// Why a unit is left out.
#[derive(Debug)]
enum Failure {
    /// It cannot be read.
    Damaged,
    /// Reading on would take more time or memory than the module's length explains.
    TooMuch,
}

impl From<gimli::Error> for Failure {
    fn from(_: gimli::Error) -> Self {
        Self::Damaged
    }
}

/// Lines and declarations of the functions whose bodies lie at `bodies`.
pub(super) fn read(module: &Module<'_>, bodies: &[Range<usize>]) -> SourceMap {
    let section = |id: gimli::SectionId| {
        let found = module.debug.sections.iter().find(|(name, _)| *name == id.name());
        Ok::<_, gimli::Error>(EndianSlice::new(found.map_or(&[][..], |(_, bytes)| bytes), LittleEndian))
    };
    let Ok(dwarf) = Dwarf::load(section) else { return SourceMap::default() };
    let mut bodies: Vec<Range<usize>> = bodies.to_vec();
    bodies.sort_unstable_by_key(|body| body.start);
    let len: u64 = module.debug.sections.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let mut reader = Reader {
        dwarf,
        code_offset: module.debug.code_offset as u64,
        bodies: &bodies,
        work: (len * 32).saturating_add(1 << 20),
        name_bytes: (len * 4).saturating_add(1 << 20),
        headers: Vec::new(),
        opened: HashMap::new(),
        abbreviations: HashMap::new(),
        line_programs: HashSet::new(),
        names: HashMap::new(),
        rows: Vec::new(),
        sequences: Vec::new(),
        ranges: Vec::new(),
        map: SourceMap::default(),
    };
    reader.units();
    reader.finish()
}

struct Reader<'a, 'data> {
    dwarf: Dwarf<Slice<'data>>,
    code_offset: u64,
    /// In order.
    bodies: &'a [Range<usize>],
    /// How many bytes and attributes may still be read.
    work: u64,
    /// How many bytes of names may still be kept.
    name_bytes: u64,
    /// Those of all units, in order.
    headers: Vec<UnitHeader<Slice<'data>>>,
    /// Units that others refer to, by the index of their header.
    opened: HashMap<usize, Rc<Unit<'data>>>,
    abbreviations: HashMap<usize, Arc<Abbreviations>>,
    /// Those that have been read: each belongs to the first unit that names it.
    line_programs: HashSet<usize>,
    names: HashMap<&'data [u8], Arc<[u8]>>,
    /// Rows of all sequences.
    rows: Vec<Row>,
    /// Where a sequence starts and ends in the file, and its rows.
    sequences: Vec<(u32, u32, Range<usize>)>,
    /// Code that came from inlined functions.
    ranges: Vec<ScopeRange>,
    map: SourceMap,
}

/// A unit while it is read.
struct Unit<'data> {
    header: UnitHeader<Slice<'data>>,
    abbreviations: Arc<Abbreviations>,
    str_offsets_base: DebugStrOffsetsBase,
    addr_base: DebugAddrBase,
    rnglists_base: DebugRngListsBase,
    /// What addresses in its lists of ranges are relative to.
    low_pc: u64,
    name: &'data [u8],
    directory: &'data [u8],
    /// Its index in [`SourceMap::units`].
    index: u32,
    out: DebugUnit,
    /// Files by their number in the line program; `None` for those that have no name.
    files: HashMap<u64, Option<u32>>,
    /// Keys of its entries in [`SourceMap`]'s declarations.
    declared: Vec<u32>,
}

impl<'data> Reader<'_, 'data> {
    fn units(&mut self) {
        let mut headers = self.dwarf.units();
        loop {
            match headers.next() {
                Ok(Some(header)) => self.headers.push(header),
                Ok(None) => break,
                // Where the next one starts is not known.
                Err(_) => {
                    self.map.is_damaged = true;
                    break;
                }
            }
        }
        for index in 0..self.headers.len() {
            let result = self.unit(self.headers[index]);
            self.map.is_damaged |= result.is_err();
            if let Err(Failure::TooMuch) = result {
                return;
            }
        }
    }

    /// Takes from a budget.
    fn work(&mut self, amount: u64) -> Result<(), Failure> {
        self.work = self.work.checked_sub(amount).ok_or(Failure::TooMuch)?;
        Ok(())
    }

    /// A unit, and the attributes of its own entry; `None` for one of another kind, or without an entry.
    fn open(&mut self, header: UnitHeader<Slice<'data>>) -> Result<Option<OpenUnit<'data>>, Failure> {
        if !matches!(header.type_(), UnitType::Compilation | UnitType::Partial | UnitType::Skeleton(_)) {
            return Ok(None);
        }
        let (encoding, main) = (header.encoding(), gimli::DwarfFileType::Main);
        let mut unit = Unit {
            str_offsets_base: DebugStrOffsetsBase::default_for_encoding_and_file(encoding, main),
            header,
            abbreviations: self.abbreviations(&header)?,
            addr_base: DebugAddrBase(0),
            rnglists_base: DebugRngListsBase::default_for_encoding_and_file(encoding, main),
            low_pc: 0,
            name: &[],
            directory: &[],
            index: self.map.units.len() as u32,
            out: DebugUnit::default(),
            files: HashMap::new(),
            declared: Vec::new(),
        };
        let Some((_, attributes)) = self.entry(&unit, None)? else { return Ok(None) };
        let find = |name| attributes.iter().find(|a| a.name() == name).map(Attribute::value);
        if let Some(AttributeValue::DebugStrOffsetsBase(base)) = find(constants::DW_AT_str_offsets_base) {
            unit.str_offsets_base = base;
        }
        if let Some(AttributeValue::DebugAddrBase(base)) = find(constants::DW_AT_addr_base) {
            unit.addr_base = base;
        }
        if let Some(AttributeValue::DebugRngListsBase(base)) = find(constants::DW_AT_rnglists_base) {
            unit.rnglists_base = base;
        }
        unit.low_pc = find(constants::DW_AT_low_pc).and_then(|value| self.address(&unit, &value)).unwrap_or(0);
        let string = |name| find(name).and_then(|value| self.string(&unit, value)).unwrap_or_default();
        (unit.name, unit.directory) = (string(constants::DW_AT_name), string(constants::DW_AT_comp_dir));
        if let Some(AttributeValue::Language(language)) = find(constants::DW_AT_language) {
            unit.out.language = Some(language.0);
        }
        Ok(Some((unit, attributes)))
    }

    fn unit(&mut self, header: UnitHeader<Slice<'data>>) -> Result<(), Failure> {
        let Some((mut unit, attributes)) = self.open(header)? else { return Ok(()) };
        let line_program = attributes.iter().find(|a| a.name() == constants::DW_AT_stmt_list).map(Attribute::value);
        let Some(AttributeValue::DebugLineRef(line_program)) = line_program else { return Ok(()) };
        if !self.line_programs.insert(line_program.0) {
            return Ok(());
        }
        let (first_row, first_sequence) = (self.rows.len(), self.sequences.len());
        let (first_scope, first_range) = (self.map.scopes.len(), self.ranges.len());
        let result = self.lines(&mut unit, line_program);
        let is_used = self.sequences.len() > first_sequence || !unit.declared.is_empty();
        match result {
            Ok(()) if is_used => {
                unit.out.name = self.name(unit.name)?.to_vec();
                unit.out.directory = self.name(unit.directory)?.to_vec();
                self.map.units.push(unit.out);
                Ok(())
            }
            result => {
                self.rows.truncate(first_row);
                self.sequences.truncate(first_sequence);
                self.map.scopes.truncate(first_scope);
                self.ranges.truncate(first_range);
                // Its own alone: looking at all of them would take a hostile module's units times its functions.
                for start in &unit.declared {
                    self.map.declarations.remove(start);
                }
                result
            }
        }
    }

    fn abbreviations(&mut self, header: &UnitHeader<Slice<'data>>) -> Result<Arc<Abbreviations>, Failure> {
        let offset = header.debug_abbrev_offset();
        if let Some(known) = self.abbreviations.get(&offset.0) {
            return Ok(known.clone());
        }
        let section = *self.dwarf.debug_abbrev.reader();
        if offset.0 > section.len() {
            return Err(Failure::Damaged);
        }
        self.work(header::abbreviations_len(section.range_from(offset.0..)))?;
        let abbreviations = Arc::new(self.dwarf.debug_abbrev.abbreviations(offset)?);
        self.abbreviations.insert(offset.0, abbreviations.clone());
        Ok(abbreviations)
    }

    /// The debugging entry at an offset, or the unit's own.
    fn entry(&mut self, unit: &Unit<'data>, offset: Option<UnitOffset>) -> Result<Option<Entry<'data>>, Failure> {
        let mut entries = unit.header.entries_raw(&unit.abbreviations, offset)?;
        let Some(abbreviation) = entries.read_abbreviation()? else { return Ok(None) };
        self.work(1 + abbreviation.attributes().len() as u64)?;
        let mut attributes = Vec::new();
        entries.read_attributes(abbreviation.attributes(), &mut attributes)?;
        Ok(Some((abbreviation.tag(), attributes)))
    }

    fn address(&self, unit: &Unit<'data>, value: &AttributeValue<Slice<'data>>) -> Option<u64> {
        match *value {
            AttributeValue::Addr(address) => Some(address),
            AttributeValue::DebugAddrIndex(index) => {
                self.dwarf.debug_addr.get_address(unit.header.address_size(), unit.addr_base, index).ok()
            }
            _ => None,
        }
    }

    fn string(&self, unit: &Unit<'data>, value: AttributeValue<Slice<'data>>) -> Option<&'data [u8]> {
        let string = match value {
            AttributeValue::String(string) => string,
            AttributeValue::DebugStrRef(offset) => self.dwarf.string(offset).ok()?,
            AttributeValue::DebugLineStrRef(offset) => self.dwarf.line_string(offset).ok()?,
            AttributeValue::DebugStrOffsetsIndex(index) => {
                let format = unit.header.format();
                let offset = self.dwarf.debug_str_offsets.get_str_offset(format, unit.str_offsets_base, index).ok()?;
                self.dwarf.string(offset).ok()?
            }
            _ => return None,
        };
        Some(string.slice()).filter(|name| name.len() <= MAX_NAME_BYTES && !name.contains(&0))
    }

    /// Keeps a name.
    fn name(&mut self, name: &'data [u8]) -> Result<Arc<[u8]>, Failure> {
        self.name_bytes = self.name_bytes.checked_sub(name.len() as u64).ok_or(Failure::TooMuch)?;
        Ok(self.names.entry(name).or_insert_with(|| name.into()).clone())
    }

    /// Reads a line program, and the declarations that name its files.
    fn lines(&mut self, unit: &mut Unit<'data>, offset: gimli::DebugLineOffset) -> Result<(), Failure> {
        let section = *self.dwarf.debug_line.reader();
        if offset.0 > section.len() {
            return Err(Failure::Damaged);
        }
        let section = section.range_from(offset.0..);
        self.work(header::line_program_len(section)?)?;
        header::check_line_program(section)?;
        let directory = EndianSlice::new(unit.directory, LittleEndian);
        let program = self.dwarf.debug_line.program(offset, unit.header.address_size(), Some(directory), None)?;
        let mut rows = program.rows();
        let mut sequence: Vec<(u64, gimli::LineRow)> = Vec::new();
        while let Some((header, row)) = rows.next_row()? {
            let address = row.address().saturating_add(self.code_offset);
            if !row.end_sequence() {
                sequence.push((address, *row));
                continue;
            }
            if self.is_wanted(&sequence, address) {
                self.keep(unit, header, &sequence, address as u32)?;
            }
            sequence.clear();
        }
        self.declarations(unit, rows.header())
    }

    /// Whether a sequence starts within a function that is compiled, and goes forward. Linkers give those of functions
    /// that they drop an address that does not exist.
    fn is_wanted(&self, sequence: &[(u64, gimli::LineRow)], end: u64) -> bool {
        let Some(&(start, _)) = sequence.first() else { return false };
        let after = self.bodies.partition_point(|body| body.start as u64 <= start);
        let body = after.checked_sub(1).map(|i| &self.bodies[i]);
        let last = sequence.last().map_or(start, |&(last, _)| last);
        body.is_some_and(|body| start < body.end as u64)
            && sequence.is_sorted_by_key(|&(address, _)| address)
            && last <= end
            && start < end
            && end < u64::from(u32::MAX)
    }

    fn keep(
        &mut self,
        unit: &mut Unit<'data>,
        header: &LineProgramHeader<Slice<'data>>,
        sequence: &[(u64, gimli::LineRow)],
        end: u32,
    ) -> Result<(), Failure> {
        let first = self.rows.len();
        for (i, (address, row)) in sequence.iter().enumerate() {
            // Of several at one place, the last one counts.
            if sequence.get(i + 1).is_some_and(|(next, _)| next == address) {
                continue;
            }
            let line = row.line().and_then(|line| u32::try_from(line.get()).ok()).unwrap_or(0);
            let file = if line == 0 { None } else { self.file(unit, header, row.file_index())? };
            let column = match row.column() {
                gimli::ColumnType::LeftEdge => 0,
                gimli::ColumnType::Column(column) => u32::try_from(column.get()).unwrap_or(0),
            };
            self.rows.push(Row {
                offset: *address as u32,
                unit: unit.index,
                file: file.unwrap_or(0),
                line: file.map_or(0, |_| line),
                column,
                is_statement: row.is_stmt(),
                is_body: row.prologue_end(),
            });
        }
        if let Some(&Row { offset: start, .. }) = self.rows.get(first) {
            self.sequences.push((start, end, first..self.rows.len()));
        }
        Ok(())
    }

    /// The index of a file in [`DebugUnit::files`].
    fn file(
        &mut self,
        unit: &mut Unit<'data>,
        header: &LineProgramHeader<Slice<'data>>,
        number: u64,
    ) -> Result<Option<u32>, Failure> {
        if let Some(&known) = unit.files.get(&number) {
            return Ok(known);
        }
        let entry = header.file(number);
        let name = entry.and_then(|entry| self.string(unit, entry.path_name())).filter(|name| !name.is_empty());
        let index = match (entry, name) {
            (Some(entry), Some(name)) => {
                let directory = entry.directory(header).and_then(|value| self.string(unit, value)).unwrap_or_default();
                let directory = if directory == unit.directory { &[] } else { directory };
                let file = DebugFile { directory: self.name(directory)?, name: self.name(name)? };
                unit.out.files.push(file);
                Some(unit.out.files.len() as u32 - 1)
            }
            _ => None,
        };
        unit.files.insert(number, index);
        Ok(index)
    }

    /// Where the unit's functions are declared, and what was inlined into them.
    fn declarations(
        &mut self,
        unit: &mut Unit<'data>,
        header: &LineProgramHeader<Slice<'data>>,
    ) -> Result<(), Failure> {
        let abbreviations = unit.abbreviations.clone();
        let unit_header = unit.header;
        let mut entries = unit_header.entries_raw(&abbreviations, None)?;
        let mut attributes = Vec::new();
        let mut around = Around::default();
        while !entries.is_empty() {
            self.work(1)?;
            let depth = entries.next_depth();
            let Some(abbreviation) = entries.read_abbreviation()? else { continue };
            self.work(abbreviation.attributes().len() as u64)?;
            around.leave(depth);
            match abbreviation.tag() {
                constants::DW_TAG_subprogram => entries.read_attributes(abbreviation.attributes(), &mut attributes)?,
                constants::DW_TAG_inlined_subroutine => {
                    entries.read_attributes(abbreviation.attributes(), &mut attributes)?;
                    self.inlined(unit, header, &attributes, &mut around, depth)?;
                    continue;
                }
                _ => {
                    entries.skip_attributes(abbreviation.attributes())?;
                    continue;
                }
            }
            let low_pc = attributes.iter().find(|a| a.name() == constants::DW_AT_low_pc).map(Attribute::value);
            let Some(address) = low_pc.and_then(|value| self.address(unit, &value)) else { continue };
            let start = address.saturating_add(self.code_offset);
            if self.bodies.binary_search_by_key(&start, |body| body.start as u64).is_err() {
                continue;
            }
            let (name, place) = self.declaration(unit, std::mem::take(&mut attributes))?;
            let place = match place {
                Some((file, line)) => self.file(unit, header, file)?.map(|file| (file, line)),
                None => None,
            };
            let name = self.name(name)?;
            if let hash_map::Entry::Vacant(free) = self.map.declarations.entry(start as u32) {
                free.insert(Declaration { unit: unit.index, place, name });
                unit.declared.push(start as u32);
            }
        }
        Ok(())
    }

    /// The name, and the number of the file and the line, that a debugging entry or what it leads to has.
    fn declaration(
        &mut self,
        unit: &Unit<'data>,
        mut attributes: Vec<Attribute<Slice<'data>>>,
    ) -> Result<(&'data [u8], Option<Place>), Failure> {
        let (mut name, mut place): (&[u8], _) = (&[], None);
        for _ in 0..MAX_STEPS {
            let find = |name| attributes.iter().find(|a| a.name() == name);
            if name.is_empty() {
                let found = find(constants::DW_AT_name).and_then(|a| self.string(unit, a.value()));
                name = found.unwrap_or_default();
            }
            let line = find(constants::DW_AT_decl_line).and_then(Attribute::udata_value);
            let line = line.and_then(|line| u32::try_from(line).ok()).filter(|&line| line != 0);
            if let (Some(AttributeValue::FileIndex(file)), Some(line)) =
                (find(constants::DW_AT_decl_file).map(Attribute::value), line)
            {
                place = place.or(Some((file, line)));
            }
            let origin = find(constants::DW_AT_abstract_origin).or_else(|| find(constants::DW_AT_specification));
            let Some(AttributeValue::UnitRef(offset)) = origin.map(Attribute::value) else { break };
            match self.entry(unit, Some(offset))? {
                Some((constants::DW_TAG_subprogram, next)) => attributes = next,
                _ => break,
            }
        }
        Ok((name, place))
    }

    /// Puts the sequences in order. Where two claim the same code, the first one has it.
    fn finish(mut self) -> SourceMap {
        self.sequences.sort_by_key(|&(start, ..)| start);
        let mut rows = Vec::with_capacity(self.rows.len() + self.sequences.len());
        let mut covered = 0;
        for (start, end, range) in self.sequences {
            if start < covered {
                continue;
            }
            // The end of the sequence before gives way to what starts there.
            if start == covered && !rows.is_empty() {
                rows.pop();
            }
            rows.extend_from_slice(&self.rows[range]);
            let (file, line, column) = (0, 0, 0);
            rows.push(Row { offset: end, unit: NO_UNIT, file, line, column, is_statement: false, is_body: false });
            covered = end;
        }
        self.map.rows = rows;
        self.map.scope_starts = inlined::starts(self.ranges);
        self.map
    }
}
