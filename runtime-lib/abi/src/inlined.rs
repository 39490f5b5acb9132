//! Inlined functions: which calls of functions wasmelt replaced by their bodies, for frames of backtraces that have no
//! frame on the stack. Only programs whose code can stop in such a body have this table.
//!
//! The table is a byte string that is only read after a trap. All numbers are unsigned LEB128. It holds three parts, of
//! which the first two have their length in bytes before them:
//!
//! * functions: for each its index in its module, the length of its name in bytes, and the name as in
//!   [`crate::code_map`];
//! * scopes: for each body the scope around it, its function, and the offset in the module of the call;
//! * sites, as in the code map and in rising order: `(distance << 1) | (changes scope)`, with the distance from the site
//!   before or from [`crate::symbols::TEXT`]; the distance in the module of its operator from that of the site before,
//!   or from 0, as zigzag; and its scope where it changes. Sites that lie in no inlined body are left out.
//!
//! Functions and scopes are referred to by their offset in their part. Offset 0 of the scopes is the function that the
//! code belongs to, so this part starts with an unused byte. A scope lies behind the one around it. What lies in that
//! function is in the code map: its sites in inlined bodies have the outermost call there.

use crate::code_map::Found;
use crate::leb128::{self, number};

/// A site in an inlined body, to be encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// See [`crate::code_map::Site::offset`].
    pub offset: u32,
    /// Offset in the module of the operator that it comes from.
    pub operator: u32,
    /// Offset of the innermost scope in the scopes.
    pub scope: u32,
}

/// Appends a function to the functions: its index and its name.
pub fn encode_function(index: u32, name: &str, mut push: impl FnMut(u8)) {
    leb128::write(index.into(), &mut push);
    encode_part(name.as_bytes(), push);
}

/// Appends a scope to the scopes: the offset of the one around it, that of its function, and where the call is.
pub fn encode_scope(parent: u32, function: u32, call: u32, mut push: impl FnMut(u8)) {
    for field in [parent, function, call] {
        leb128::write(field.into(), &mut push);
    }
}

/// Encodes the table of its parts. Sites must be in rising order.
pub fn encode(functions: &[u8], scopes: &[u8], sites: impl IntoIterator<Item = Site>, mut push: impl FnMut(u8)) {
    encode_part(functions, &mut push);
    encode_part(scopes, &mut push);
    let mut last = Site { offset: 0, operator: 0, scope: 0 };
    for site in sites {
        debug_assert!(site.offset >= last.offset);
        let changes = site.scope != last.scope;
        leb128::write(u64::from(site.offset - last.offset) << 1 | u64::from(changes), &mut push);
        leb128::write(leb128::zigzag(i64::from(site.operator) - i64::from(last.operator)), &mut push);
        if changes {
            leb128::write(site.scope.into(), &mut push);
        }
        last = site;
    }
}

fn encode_part(part: &[u8], mut push: impl FnMut(u8)) {
    leb128::write(part.len() as u64, &mut push);
    part.iter().copied().for_each(push);
}

/// The inlined functions that an instruction lies in, the innermost first.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a> {
    functions: &'a [u8],
    scopes: &'a [u8],
    operator: u32,
    scope: u32,
}

/// The inlined functions that the site at `offset` lies in; none where the table knows no such site.
pub fn find(mut table: &[u8], offset: u32) -> Frames<'_> {
    // As in the code map, damage leads to wrong answers only.
    let mut frames = Frames { functions: part(&mut table), scopes: part(&mut table), operator: 0, scope: 0 };
    let mut at = 0u32;
    while !table.is_empty() {
        let head = leb128::read(&mut table).unwrap_or(0);
        at = at.wrapping_add((head >> 1) as u32);
        frames.operator = frames.operator.wrapping_add(leb128::unzigzag(leb128::read(&mut table).unwrap_or(0)) as u32);
        if head & 1 != 0 {
            frames.scope = number(&mut table);
        }
        if at >= offset {
            break;
        }
    }
    if at != offset {
        frames.scope = 0;
    }
    frames
}

impl<'a> Iterator for Frames<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let mut scope = self.scopes.get(self.scope as usize..).filter(|_| self.scope != 0)?;
        let (parent, function, call) = (number(&mut scope), number(&mut scope), number(&mut scope));
        let mut function = self.functions.get(function as usize..).unwrap_or_default();
        let (index, name) = (number(&mut function), part(&mut function));
        let found = Found { start: 0, index, operator: self.operator, trap: 0, name };
        // A scope lies behind the one around it, so that walks end.
        (self.operator, self.scope) = (call, if parent < self.scope { parent } else { 0 });
        Some(found)
    }
}

/// Takes a part from the front, or all that there is.
fn part<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let len = (number(bytes) as usize).min(bytes.len());
    let (part, rest) = bytes.split_at(len);
    *bytes = rest;
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// A function `a` and, in it, `b`, and `b` alone.
    fn table() -> Vec<u8> {
        let (mut functions, mut scopes, mut table) = (Vec::new(), std::vec![0], Vec::new());
        encode_function(7, "a", |b| functions.push(b));
        encode_function(300, "", |b| functions.push(b));
        encode_scope(0, 0, 500, |b| scopes.push(b));
        encode_scope(1, 3, 90, |b| scopes.push(b));
        encode_scope(0, 3, 510, |b| scopes.push(b));
        let site = |offset, operator, scope| Site { offset, operator, scope };
        let sites = [site(20, 80, 1), site(25, 200, 5), site(29, 199, 5), site(1000, 210, 8)];
        encode(&functions, &scopes, sites, |b| table.push(b));
        table
    }

    fn shown(offset: u32) -> Vec<(u32, u32)> {
        find(&table(), offset).map(|found| (found.index, found.operator)).collect()
    }

    #[test]
    fn frames_are_those_of_the_calls_that_were_replaced() {
        assert_eq!(shown(20), [(7, 80)]);
        assert_eq!(shown(25), [(300, 200), (7, 90)]);
        assert_eq!(shown(29), [(300, 199), (7, 90)]);
        assert_eq!(shown(1000), [(300, 210)]);
        assert_eq!(find(&table(), 20).next().map(|found| found.name), Some(&b"a"[..]));
        for offset in [0, 19, 21, 999, 1001, u32::MAX] {
            assert_eq!(shown(offset), []);
        }
        assert_eq!(find(&[], 0).count(), 0);
    }

    #[test]
    fn damage_ends_a_walk_and_reads_nothing_else() {
        let table = table();
        for at in 0..table.len() {
            for byte in 0..=255 {
                let mut table = table.clone();
                table[at] = byte;
                for len in 0..=table.len() {
                    for offset in [0, 20, 25, 1000, u32::MAX] {
                        assert!(find(&table[..len], offset).count() <= table.len());
                    }
                }
            }
        }
    }
}
