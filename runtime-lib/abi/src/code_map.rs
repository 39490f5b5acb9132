//! What is where in generated code: the trap table and the function table, for the runtime's signal handler.
//!
//! Both are byte strings that are only read after a trap, so they are as small as they can be and are read from the
//! front. Offsets count bytes from [`crate::symbols::TEXT`].
//!
//! Accesses to linear memory are not in the trap table: a fault of generated code whose address lies in the
//! reservation of a memory is an out-of-bounds access by itself. That leaves the table an order of magnitude smaller.

use crate::leb128;
use crate::trap::Trap;

/// The trap table: for each trapping instruction, in rising order, the distance from the one before as unsigned
/// LEB128, then the [`Trap`] as one byte.
pub mod traps {
    use super::*;

    /// Encodes `(offset, trap)` pairs, which must be sorted by offset.
    pub fn encode(entries: impl IntoIterator<Item = (u32, Trap)>, mut push: impl FnMut(u8)) {
        let mut last = 0;
        for (offset, trap) in entries {
            debug_assert!(offset >= last);
            leb128::write(u64::from(offset - last), &mut push);
            push(trap as u8);
            last = offset;
        }
    }

    /// The trap of the instruction at exactly `offset`.
    pub fn find(mut table: &[u8], offset: u32) -> Option<Trap> {
        let mut at = 0u64;
        while !table.is_empty() {
            at += leb128::read(&mut table)?;
            let (&code, rest) = table.split_first()?;
            table = rest;
            if at == u64::from(offset) {
                return Trap::from_u8(code);
            }
            if at > u64::from(offset) {
                return None;
            }
        }
        None
    }
}

/// The function table: for each function, in rising order of offset, the distance of its start from the previous
/// function's as unsigned LEB128, its function index as unsigned LEB128, the length of its name as unsigned LEB128,
/// and the name in UTF-8; no name has the length 0.
pub mod functions {
    use super::*;

    /// A function that was found.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Function<'a> {
        /// Offset of its first instruction.
        pub start: u32,
        /// Its index in the module's function index space.
        pub index: u32,
        /// Its name from the name section, empty without one.
        pub name: &'a [u8],
    }

    /// Encodes functions, which must be sorted by their start.
    pub fn encode<'a>(entries: impl IntoIterator<Item = Function<'a>>, mut push: impl FnMut(u8)) {
        let mut last = 0;
        for f in entries {
            debug_assert!(f.start >= last);
            leb128::write(u64::from(f.start - last), &mut push);
            leb128::write(u64::from(f.index), &mut push);
            leb128::write(f.name.len() as u64, &mut push);
            f.name.iter().copied().for_each(&mut push);
            last = f.start;
        }
    }

    /// The last function that starts at or before `offset`.
    pub fn find(mut table: &[u8], offset: u32) -> Option<Function<'_>> {
        let (mut found, mut start) = (None, 0u64);
        while !table.is_empty() {
            // One place that reads, because this is in every executable.
            let mut fields = [0; 3];
            for field in &mut fields {
                *field = leb128::read(&mut table)?;
            }
            let [distance, index, len] = fields;
            start += distance;
            let (name, rest) = table.split_at_checked(len as usize)?;
            table = rest;
            if start > u64::from(offset) {
                break;
            }
            found = Some(Function { start: start as u32, index: index as u32, name });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn traps_are_found_where_they_were_put() {
        let entries = [(3, Trap::Unreachable), (900, Trap::IntegerOverflow), (70_000, Trap::TableOutOfBounds)];
        let mut table = Vec::new();
        traps::encode(entries, |b| table.push(b));
        for (offset, trap) in entries {
            assert_eq!(traps::find(&table, offset), Some(trap));
        }
        for offset in [0, 4, 899, 70_001] {
            assert_eq!(traps::find(&table, offset), None);
        }
        assert_eq!(traps::find(&table[..table.len() - 1], 70_000), None);
    }

    #[test]
    fn functions_are_found_by_any_offset_in_them() {
        use functions::Function;
        let entries = [Function { start: 0, index: 7, name: b"main" }, Function { start: 640, index: 8, name: b"" }];
        let mut table = Vec::new();
        functions::encode(entries, |b| table.push(b));
        assert_eq!(functions::find(&table, 0), Some(entries[0]));
        assert_eq!(functions::find(&table, 639), Some(entries[0]));
        assert_eq!(functions::find(&table, 640), Some(entries[1]));
        assert_eq!(functions::find(&[], 1), None);
    }
}
