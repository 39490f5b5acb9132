//! Positions in source files: which file, line and column an operator of the module comes from, and which functions
//! were inlined there.
//!
//! The table is a byte string that is only read after a trap. All numbers are unsigned LEB128. It holds three parts,
//! of which the first two have their length in bytes before them:
//!
//! * strings: names of files and of inlined functions, each with its length in bytes before it; for people, see
//!   [`crate::text`];
//! * scopes: for each instance of an inlined function the scope around it, its name, and file, line and column of the
//!   call that was replaced;
//! * functions: for each function of the program's modules of which anything is known, in rising order of the offset of its
//!   code, the distance of that offset from that of the function before, and the length of its rows in bytes; then the rows.
//!
//! Strings and scopes are referred to by their offset in their part. Offset 0 of the scopes is the function itself, so
//! this part starts with an unused byte. A scope lies behind the one around it.
//!
//! A row says what holds from an operator on: `(distance << 2) | (changes scope) << 1 | (changes file)`, where the
//! distance is that from the row before, or from the start of the module; the line as zigzag of the distance from the line before, or
//! from 0; the column; and the offsets of file and scope where they change. Both are 0 before the first row. Line 0 is
//! no line, column 0 no column.

use crate::leb128;

/// A position in a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position<'a> {
    /// The inlined function that it is in; `None` for the function that the code belongs to.
    pub function: Option<&'a [u8]>,
    /// Name of the file.
    pub file: &'a [u8],
    /// Line, from 1 on; 0 where it is not known.
    pub line: u32,
    /// Column, from 1 on; 0 where it is not known.
    pub column: u32,
}

/// Where an operator comes from: its own position, then for each inlined function around it the position of the call.
/// The last position is one in the function that the code belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Positions<'a> {
    strings: &'a [u8],
    scopes: &'a [u8],
    next: Option<Row>,
}

/// What holds from an operator on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Offset of the operator in the module.
    pub operator: u32,
    /// Offset of the file's name in the strings.
    pub file: u32,
    /// Line, or 0.
    pub line: u32,
    /// Column, or 0.
    pub column: u32,
    /// Offset of the innermost scope in the scopes; 0 for the function itself.
    pub scope: u32,
}

/// An instance of an inlined function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// Offset of the scope around it; 0 for the function itself.
    pub parent: u32,
    /// Offset of its name in the strings.
    pub name: u32,
    /// Offset of the name of the file with the call.
    pub file: u32,
    /// Line of the call, or 0.
    pub line: u32,
    /// Column of the call, or 0.
    pub column: u32,
}

/// Appends a string to the strings.
pub fn encode_string(string: &[u8], mut push: impl FnMut(u8)) {
    leb128::write(string.len() as u64, &mut push);
    string.iter().copied().for_each(push);
}

/// Appends a scope to the scopes.
pub fn encode_scope(scope: &Scope, mut push: impl FnMut(u8)) {
    for field in [scope.parent, scope.name, scope.file, scope.line, scope.column] {
        leb128::write(field.into(), &mut push);
    }
}

/// Encodes the rows of a function, which must be sorted by their operators.
pub fn encode_rows(rows: impl IntoIterator<Item = Row>, mut push: impl FnMut(u8)) {
    let mut last = Row::default();
    for row in rows {
        debug_assert!(row.operator >= last.operator);
        let (file, scope) = (row.file != last.file, row.scope != last.scope);
        let distance = u64::from(row.operator - last.operator);
        leb128::write(distance << 2 | u64::from(scope) << 1 | u64::from(file), &mut push);
        leb128::write(leb128::zigzag(i64::from(row.line) - i64::from(last.line)), &mut push);
        leb128::write(row.column.into(), &mut push);
        if file {
            leb128::write(row.file.into(), &mut push);
        }
        if scope {
            leb128::write(row.scope.into(), &mut push);
        }
        last = row;
    }
}

/// Encodes the table of its parts; functions are the offsets of their code, in rising order, and their encoded rows.
pub fn encode<'a>(
    strings: &[u8],
    scopes: &[u8],
    functions: impl IntoIterator<Item = (u32, &'a [u8])>,
    mut push: impl FnMut(u8),
) {
    for part in [strings, scopes] {
        encode_string(part, &mut push);
    }
    let mut last = 0;
    for (start, rows) in functions {
        debug_assert!(start >= last);
        leb128::write(u64::from(start - last), &mut push);
        encode_string(rows, &mut push);
        last = start;
    }
}

/// The positions of an operator, by its offset in the module, in the function whose code starts at `start`; `None` where
/// nothing is known.
pub fn find(mut table: &[u8], start: u32, operator: u32) -> Option<Positions<'_>> {
    let strings = string(&mut table)?;
    let scopes = string(&mut table)?;
    let mut at = 0u64;
    while !table.is_empty() {
        at = at.saturating_add(leb128::read(&mut table)?);
        let rows = string(&mut table)?;
        if at == u64::from(start) {
            return Some(Positions { strings, scopes, next: Some(row_at(rows, operator)?) });
        }
    }
    None
}

/// The last row at or before an operator.
fn row_at(mut rows: &[u8], operator: u32) -> Option<Row> {
    let (mut row, mut found) = (Row::default(), None);
    while !rows.is_empty() {
        let head = leb128::read(&mut rows)?;
        row.operator = row.operator.wrapping_add((head >> 2) as u32);
        if row.operator > operator {
            break;
        }
        row.line = row.line.wrapping_add(leb128::unzigzag(leb128::read(&mut rows)?) as u32);
        row.column = leb128::read(&mut rows)? as u32;
        if head & 1 != 0 {
            row.file = leb128::read(&mut rows)? as u32;
        }
        if head & 2 != 0 {
            row.scope = leb128::read(&mut rows)? as u32;
        }
        found = Some(row);
    }
    found
}

/// Takes a string from the front.
fn string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = leb128::read(bytes)?;
    let (string, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    Some(string)
}

impl<'a> Positions<'a> {
    fn string(&self, offset: u32) -> &'a [u8] {
        let mut rest = self.strings.get(offset as usize..).unwrap_or_default();
        string(&mut rest).unwrap_or_default()
    }

    fn scope(&self, offset: u32) -> Option<Scope> {
        let mut rest = self.scopes.get(offset as usize..).filter(|_| offset != 0)?;
        let mut fields = [0; 5];
        for field in &mut fields {
            *field = leb128::read(&mut rest)? as u32;
        }
        let [parent, name, file, line, column] = fields;
        // Each lies behind the one around it: so a walk through a damaged table ends.
        (parent < offset).then_some(Scope { parent, name, file, line, column })
    }
}

impl<'a> Iterator for Positions<'a> {
    type Item = Position<'a>;

    fn next(&mut self) -> Option<Position<'a>> {
        let row = self.next.take()?;
        let scope = self.scope(row.scope);
        self.next =
            scope.map(|Scope { parent, file, line, column, .. }| Row { file, line, column, scope: parent, ..row });
        Some(Position {
            function: scope.map(|scope| self.string(scope.name)),
            file: self.string(row.file),
            line: row.line,
            column: row.column,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn table() -> Vec<u8> {
        let (mut strings, mut scopes, mut table) = (Vec::new(), std::vec![0], Vec::new());
        let [a, b, inner, outer] = ["a.rs", "b.rs", "inner", "outer"].map(|string| {
            let at = strings.len() as u32;
            encode_string(string.as_bytes(), |byte| strings.push(byte));
            at
        });
        let mut scope = |scope| {
            let at = scopes.len() as u32;
            encode_scope(&scope, |byte| scopes.push(byte));
            at
        };
        let outer = scope(Scope { parent: 0, name: outer, file: a, line: 7, column: 0 });
        let inner = scope(Scope { parent: outer, name: inner, file: b, line: 300, column: 4 });
        let rows = [
            Row { operator: 1000, file: a, line: 5, column: 2, scope: 0 },
            Row { operator: 1003, file: b, line: 400, column: 9, scope: inner },
            Row { operator: 1200, file: b, line: 299, column: 0, scope: outer },
            Row { operator: 1300, file: a, line: 6, column: 1, scope: 0 },
        ];
        let mut encoded = Vec::new();
        encode_rows(rows, |byte| encoded.push(byte));
        encode(&strings, &scopes, [(16, &encoded[..]), (64, &[])], |byte| table.push(byte));
        table
    }

    #[test]
    fn positions_are_found_with_the_calls_that_were_inlined() {
        let table = table();
        let of = |start, operator| -> Vec<_> {
            let positions = find(&table, start, operator).into_iter().flatten();
            positions.map(|p| (p.function.map(|f| str::from_utf8(f).unwrap()), p.file[0], p.line, p.column)).collect()
        };
        let at = |operator| of(16, operator);
        assert_eq!(at(999), []);
        assert_eq!(at(1002), [(None, b'a', 5, 2)]);
        assert_eq!(at(1199), [(Some("inner"), b'b', 400, 9), (Some("outer"), b'b', 300, 4), (None, b'a', 7, 0)]);
        assert_eq!(at(1250), [(Some("outer"), b'b', 299, 0), (None, b'a', 7, 0)]);
        assert_eq!(at(1999), [(None, b'a', 6, 1)]);
        assert_eq!([of(64, 1002), of(17, 1002), of(0, 1002), of(u32::MAX, 1002)], [[]; 4], "no rows");
    }

    #[test]
    fn damage_ends_a_walk_and_reads_nothing_else() {
        let table = table();
        for len in 0..table.len() {
            find(&table[..len], 16, 1100).into_iter().flatten().count();
        }
        for at in 0..table.len() {
            for byte in 0..=255 {
                let mut table = table.clone();
                table[at] = byte;
                for operator in [1000, 1100, 1250, u32::MAX] {
                    assert!(find(&table, 16, operator).into_iter().flatten().count() <= table.len());
                }
            }
        }
    }
}
