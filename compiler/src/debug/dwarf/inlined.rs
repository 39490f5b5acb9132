//! Functions that a compiler inlined: their names, the calls that they stand for, and which code came from them.

use std::cmp::Reverse;
use std::rc::Rc;
use std::sync::Arc;

use gimli::{Attribute, AttributeValue, DebugInfoOffset, LineProgramHeader, UnitOffset, constants};

use super::super::Scope;
use super::{Failure, MAX_STEPS, Reader, Slice, Unit};

/// Code that came from an inlined function.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScopeRange {
    /// Offset of its first operator in the file.
    start: u32,
    end: u32,
    /// How many inlined functions are around it.
    depth: u32,
    /// Index in the source map's scopes.
    scope: u32,
}

/// The inlined functions around the debugging entry that is read: their depth among the entries, and their index.
#[derive(Debug, Default)]
pub(super) struct Around(Vec<(isize, u32)>);

impl Around {
    /// Leaves those that an entry at this depth is not in.
    pub(super) fn leave(&mut self, depth: isize) {
        while self.0.pop_if(|(around, _)| *around >= depth).is_some() {}
    }
}

impl<'data> Reader<'_, 'data> {
    /// Reads an inlined function, whose entry is at this depth.
    pub(super) fn inlined(
        &mut self,
        unit: &mut Unit<'data>,
        header: &LineProgramHeader<Slice<'data>>,
        attributes: &[Attribute<Slice<'data>>],
        around: &mut Around,
        depth: isize,
    ) -> Result<(), Failure> {
        let ranges = self.ranges(unit, attributes)?;
        let find = |name| attributes.iter().find(|a| a.name() == name).map(Attribute::value);
        let number =
            |name| find(name).and_then(|value| value.udata_value()).and_then(|value| u32::try_from(value).ok());
        let line = number(constants::DW_AT_call_line).filter(|&line| line != 0);
        let column = number(constants::DW_AT_call_column).unwrap_or(0);
        let call = match (find(constants::DW_AT_call_file), line) {
            (Some(AttributeValue::FileIndex(file)), Some(line)) if !ranges.is_empty() => {
                self.file(unit, header, file)?.map(|file| (file, line, column))
            }
            _ => None,
        };
        let name = if ranges.is_empty() { Arc::default() } else { self.inlined_name(unit, attributes)? };
        let parent = around.0.last().map(|&(_, scope)| scope);
        let scope = self.map.scopes.len() as u32;
        self.map.scopes.push(Scope { parent, unit: unit.index, name, call });
        let scopes_around = around.0.len() as u32;
        around.0.push((depth, scope));
        self.ranges.extend(ranges.iter().map(|&(start, end)| ScopeRange { start, end, depth: scopes_around, scope }));
        Ok(())
    }

    /// The code of a debugging entry, as far as it lies in functions that are compiled.
    fn ranges(
        &mut self,
        unit: &Unit<'data>,
        attributes: &[Attribute<Slice<'data>>],
    ) -> Result<Vec<(u32, u32)>, Failure> {
        let find = |name| attributes.iter().find(|a| a.name() == name).map(Attribute::value);
        let mut found = Vec::new();
        let mut add = |reader: &Self, begin: u64, end: u64| {
            let [begin, end] = [begin, end].map(|address| address.saturating_add(reader.code_offset));
            let after = reader.bodies.partition_point(|body| body.start as u64 <= begin);
            let body = after.checked_sub(1).map(|i| &reader.bodies[i]);
            if let Some(body) = body.filter(|body| begin < end && begin < body.end as u64) {
                found.push((begin as u32, end.min(body.end as u64) as u32));
            }
        };
        if let Some(low) = find(constants::DW_AT_low_pc).and_then(|value| self.address(unit, &value)) {
            let high = match find(constants::DW_AT_high_pc) {
                Some(AttributeValue::Udata(len)) => low.saturating_add(len),
                Some(value) => self.address(unit, &value).unwrap_or(low),
                None => low,
            };
            add(self, low, high);
            return Ok(found);
        }
        let encoding = unit.header.encoding();
        let offset = match find(constants::DW_AT_ranges) {
            Some(AttributeValue::RangeListsRef(raw)) => gimli::RangeListsOffset(raw.0),
            Some(AttributeValue::DebugRngListsIndex(index)) => {
                self.dwarf.ranges.get_offset(encoding, unit.rnglists_base, index)?
            }
            _ => return Ok(found),
        };
        let mut ranges =
            self.dwarf.ranges.ranges(offset, encoding, unit.low_pc, &self.dwarf.debug_addr, unit.addr_base)?;
        while let Some(range) = ranges.next()? {
            self.work(1)?;
            add(self, range.begin, range.end);
        }
        Ok(found)
    }

    /// The symbol of an inlined function, or else its name: those of the function that the entry is an instance of.
    fn inlined_name(
        &mut self,
        unit: &Unit<'data>,
        attributes: &[Attribute<Slice<'data>>],
    ) -> Result<Arc<[u8]>, Failure> {
        let mut name: &[u8] = &[];
        let mut attributes = attributes.to_vec();
        let mut foreign: Option<Rc<Unit<'data>>> = None;
        for _ in 0..=MAX_STEPS {
            let unit = foreign.as_deref().unwrap_or(unit);
            let find = |name| attributes.iter().find(|a| a.name() == name).map(Attribute::value);
            let string = |name| find(name).and_then(|value| self.string(unit, value)).filter(|name| !name.is_empty());
            let symbol = string(constants::DW_AT_linkage_name).or_else(|| string(constants::DW_AT_MIPS_linkage_name));
            if let Some(symbol) = symbol {
                name = symbol;
                break;
            }
            if let (true, Some(own)) = (name.is_empty(), string(constants::DW_AT_name)) {
                name = own;
            }
            let origin = find(constants::DW_AT_abstract_origin).or_else(|| find(constants::DW_AT_specification));
            let entry = match origin {
                Some(AttributeValue::UnitRef(offset)) => self.entry(unit, Some(offset))?,
                Some(AttributeValue::DebugInfoRef(offset)) => {
                    let Some((other, offset)) = self.foreign(offset)? else { break };
                    let entry = self.entry(&other, Some(offset))?;
                    foreign = Some(other);
                    entry
                }
                _ => break,
            };
            match entry {
                Some((constants::DW_TAG_subprogram, next)) => attributes = next,
                _ => break,
            }
        }
        self.name(name)
    }

    /// The unit that has the entry at an offset of the section, and the offset in it.
    fn foreign(&mut self, offset: DebugInfoOffset) -> Result<Option<(Rc<Unit<'data>>, UnitOffset)>, Failure> {
        let after = self.headers.partition_point(|header| header.offset().0 <= offset.0);
        let Some(index) = after.checked_sub(1) else { return Ok(None) };
        let header = self.headers[index];
        let Some(in_unit) = offset.to_unit_offset(&header) else { return Ok(None) };
        if let Some(known) = self.opened.get(&index) {
            return Ok(Some((known.clone(), in_unit)));
        }
        let Some((unit, _)) = self.open(header)? else { return Ok(None) };
        let unit = Rc::new(unit);
        self.opened.insert(index, unit.clone());
        Ok(Some((unit, in_unit)))
    }
}

/// From which offsets on code belongs to which inlined function, in order. What claims code that another one has does
/// not get it, unless it is within that one.
pub(super) fn starts(mut ranges: Vec<ScopeRange>) -> Vec<(u32, Option<u32>)> {
    ranges.sort_by_key(|range| (range.start, range.depth, Reverse(range.end)));
    let mut starts = Starts { found: Vec::new(), open: Vec::new() };
    for range in ranges {
        starts.close(range.start);
        let end = starts.open.last().map_or(range.end, |&(end, _)| range.end.min(end));
        if range.start < end {
            starts.open.push((end, range.scope));
            starts.push(range.start);
        }
    }
    starts.close(u32::MAX);
    starts.found
}

struct Starts {
    found: Vec<(u32, Option<u32>)>,
    /// Ends of ranges and their scopes, each within the one before.
    open: Vec<(u32, u32)>,
}

impl Starts {
    /// Ends what ends at or before an offset.
    fn close(&mut self, until: u32) {
        while let Some((end, _)) = self.open.pop_if(|(end, _)| *end <= until) {
            self.push(end);
        }
    }

    /// From an offset on, the innermost of what is open holds.
    fn push(&mut self, offset: u32) {
        let scope = self.open.last().map(|&(_, scope)| scope);
        match self.found.last_mut() {
            Some(last) if last.0 == offset => last.1 = scope,
            _ => self.found.push((offset, scope)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_become_starts_also_where_they_overlap() {
        let range = |start, end, depth, scope| ScopeRange { start, end, depth, scope };
        let found = starts(vec![
            range(10, 50, 0, 0),
            range(10, 20, 1, 1),
            range(20, 30, 1, 2),
            range(60, 70, 0, 3),
            // Behind the end of what is around it, and overlapping.
            range(65, 90, 1, 4),
        ]);
        let expected =
            [(10, Some(1)), (20, Some(2)), (30, Some(0)), (50, None), (60, Some(3)), (65, Some(4)), (70, None)];
        assert_eq!(found, expected);
        assert_eq!(starts(Vec::new()), []);
    }
}
