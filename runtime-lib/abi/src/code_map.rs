//! What is where in generated code: a table for backtraces and for the runtime's signal handler.
//!
//! The table is a byte string that is only read after a trap, so it is as small as it can be and is read from the
//! front. Offsets of code count bytes from [`crate::symbols::TEXT`], offsets in the module from the module's start.
//!
//! The table is a sequence of functions in rising order of offset. All numbers are unsigned LEB128:
//!
//! * the distance of the function's start from that of the one before;
//! * the distance of its body in the module from that of the one before, modulo 2^32;
//! * the length of what follows in bytes;
//! * its function index and 1, modulo 2^32: 0 for code that wasmelt made, [`NO_FUNCTION`];
//! * the length of its name in bytes, and the name in UTF-8; no name has the length 0. Names are written for people:
//!   demangled, cut to a moderate length and without characters that control a terminal (see [`crate::text`]);
//! * its sites.
//!
//! A site is an instruction that can trap or a call, which stands at its last byte, the one before its return address.
//! Sites are in rising order:
//!
//! * the distance from the site before, or from the function's start;
//! * `(zigzag(distance) << 1) | has_trap`, with the distance in the module of its operator from that of the site before,
//!   or from the function's body;
//! * where it has one, the number of its [`Trap`].
//!
//! Accesses to linear memory have no trap: a fault of generated code whose address lies in the reservation of a memory
//! is an out-of-bounds access by itself.

use crate::leb128::{self, number};
use crate::trap::Trap;

/// Stands for an index where code belongs to no function of a module, and where the table knows no code.
pub const NO_FUNCTION: u32 = u32::MAX;

/// What the table says about an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Offset of the first instruction of its function.
    pub start: u32,
    /// Index of its function in the module's function index space, or [`NO_FUNCTION`].
    pub index: u32,
    /// Offset in the module of the operator that it comes from; of the function's body where it is not a site.
    pub operator: u32,
    /// Why it traps where it always does: the number of the [`Trap`], or 0.
    pub trap: u32,
    /// The function's name for people, empty without one.
    pub name: &'a [u8],
}

/// A function, to be encoded.
#[derive(Clone, Copy, Debug)]
pub struct Function<'a> {
    /// Offset of its first instruction.
    pub start: u32,
    /// Its index in the module's function index space, or [`NO_FUNCTION`].
    pub index: u32,
    /// Offset of its body in the module.
    pub body: u32,
    /// Its name for people, empty without one.
    pub name: &'a str,
    /// Its sites, sorted by their offset.
    pub sites: &'a [Site],
}

/// An instruction that can trap, or a call, to be encoded.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// Offset of the instruction, for a call of its last byte.
    pub offset: u32,
    /// Offset in the module of the operator that it comes from.
    pub operator: u32,
    /// Why it traps, unless that depends on an address.
    pub trap: Option<Trap>,
}

/// Encodes functions, which must be sorted by their start.
pub fn encode<'a>(functions: impl IntoIterator<Item = Function<'a>>, mut push: impl FnMut(u8)) {
    let (mut last, mut last_body) = (0, 0u32);
    for f in functions {
        debug_assert!(f.start >= last);
        let mut len = 0u64;
        encode_rest(&f, |_| len += 1);
        for field in [u64::from(f.start - last), f.body.wrapping_sub(last_body).into(), len] {
            leb128::write(field, &mut push);
        }
        encode_rest(&f, &mut push);
        (last, last_body) = (f.start, f.body);
    }
}

/// Index, name and sites of a function.
fn encode_rest(f: &Function<'_>, mut push: impl FnMut(u8)) {
    leb128::write(f.index.wrapping_add(1).into(), &mut push);
    leb128::write(f.name.len() as u64, &mut push);
    f.name.bytes().for_each(&mut push);
    let (mut at, mut operator) = (f.start, f.body);
    for site in f.sites {
        debug_assert!(site.offset >= at);
        let distance = leb128::zigzag(i64::from(site.operator) - i64::from(operator));
        leb128::write(u64::from(site.offset - at), &mut push);
        leb128::write(distance << 1 | u64::from(site.trap.is_some()), &mut push);
        if let Some(trap) = site.trap {
            push(trap as u8);
        }
        (at, operator) = (site.offset, site.operator);
    }
}

/// What is known about the instruction at `offset`; with [`NO_FUNCTION`] and no trap where no function starts at or
/// before it.
#[inline(never)]
pub fn find(mut table: &[u8], offset: u32) -> Found<'_> {
    // Damage leads to wrong answers, never to a read outside the table or to an endless loop: each number takes a byte.
    let mut found = Found { start: 0, index: 0, operator: 0, trap: 0, name: &[] };
    let mut rest: &[u8] = &[];
    while !table.is_empty() {
        let start = found.start.wrapping_add(number(&mut table));
        if start > offset {
            break;
        }
        found.start = start;
        found.operator = found.operator.wrapping_add(number(&mut table));
        rest = take(&mut table);
    }
    found.index = number(&mut rest).wrapping_sub(1);
    found.name = take(&mut rest);
    let (mut at, mut operator) = (found.start, found.operator);
    while !rest.is_empty() && at <= offset {
        at = at.wrapping_add(number(&mut rest));
        let value = number(&mut rest);
        operator = operator.wrapping_add(leb128::unzigzag((value >> 1).into()) as u32);
        let trap = if value & 1 == 0 { 0 } else { number(&mut rest) };
        if at == offset {
            (found.operator, found.trap) = (operator, trap);
        }
    }
    found
}

/// Takes as many bytes from the front as the number says that stands before them, or all that there are.
#[inline(never)]
fn take<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let len = (number(bytes) as usize).min(bytes.len());
    let (taken, rest) = bytes.split_at(len);
    *bytes = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn table(functions: &[Function<'_>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(functions.iter().copied(), |b| bytes.push(b));
        bytes
    }

    #[test]
    fn functions_are_found_by_any_offset_in_them() {
        // The second body lies before the first one.
        let functions = [
            Function { start: 16, index: 7, body: 90, sites: &[], name: "main" },
            Function { start: 640, index: 8, body: 50, sites: &[], name: "" },
        ];
        let table = table(&functions);
        let main = Found { start: 16, index: 7, operator: 90, trap: 0, name: b"main" };
        let nothing = Found { start: 0, index: NO_FUNCTION, operator: 0, trap: 0, name: b"" };
        assert_eq!([0, 15].map(|offset| find(&table, offset)), [nothing; 2]);
        assert_eq!([16, 639].map(|offset| find(&table, offset)), [main; 2]);
        let second = Found { start: 640, index: 8, operator: 50, trap: 0, name: b"" };
        assert_eq!([640, 9999].map(|offset| find(&table, offset)), [second; 2]);
        assert_eq!(find(&[], 1), nothing);
    }

    #[test]
    fn sites_are_found_where_they_were_put() {
        let site = |offset, operator, trap| Site { offset, operator, trap };
        let sites = [
            site(600, 105, None),
            site(603, 102, Some(Trap::Unreachable)),
            site(900, 70_000, Some(Trap::IntegerOverflow)),
            site(70_000, 100, None),
        ];
        let table = table(&[Function { start: 600, index: 0, body: 100, sites: &sites, name: "" }]);
        let at = |offset| {
            let found = find(&table, offset);
            (found.operator, found.trap)
        };
        for site in sites {
            assert_eq!(at(site.offset), (site.operator, site.trap.map_or(0, |trap| trap as u32)));
        }
        for offset in [601, 899, 70_001] {
            assert_eq!(at(offset), (100, 0));
        }
    }

    #[test]
    fn damage_is_not_followed() {
        let sites = [Site { offset: 20, operator: 30, trap: Some(Trap::Unreachable) }];
        let table = table(&[Function { start: 2, index: 0, body: 10, sites: &sites, name: "name" }]);
        for at in 0..table.len() {
            for byte in 0..=255 {
                let mut table = table.clone();
                table[at] = byte;
                for len in 0..=table.len() {
                    let _ = [0, 20, u32::MAX].map(|offset| find(&table[..len], offset));
                }
            }
        }
    }
}
