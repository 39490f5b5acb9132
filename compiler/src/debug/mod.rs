//! Source lines: in goes a module with the debug information that it has, out comes which line each of its operators
//! belongs to, and with that which line each instruction belongs to.
//!
//! [`dwarf`] reads what compilers left in the module. Functions without any such lines get those of the module's text
//! ([`text`]). Everything here comes from the module, so it may be damaged or made to do harm: what cannot be read is left
//! out, work and memory are bounded by the module's length, and a compilation never fails because of it.

mod dwarf;
mod header;
pub mod positions;
#[cfg(test)]
mod tests;
mod text;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::image::{DebugUnit, FunctionDebug, Line};
use crate::module::Module;

/// Which source line each operator of a module belongs to.
#[derive(Debug, Default)]
pub struct SourceMap {
    /// The units that functions name.
    pub units: Vec<DebugUnit>,
    /// Part of the module's debug information could not be read.
    pub is_damaged: bool,
    /// In order of their offsets.
    rows: Vec<Row>,
    /// Declarations by the offset where a function's body starts.
    declarations: HashMap<u32, Declaration>,
    /// The unit of functions that no other one has.
    own_unit: u32,
    /// Functions that were inlined; each behind the one around it.
    scopes: Vec<Scope>,
    /// In order of their offsets: from which on code belongs to which inlined function, by index in `scopes`.
    scope_starts: Vec<(u32, Option<u32>)>,
}

/// An instance of a function that was inlined into another one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Scope {
    /// The inlined function around it.
    parent: Option<u32>,
    /// The unit that it is in.
    unit: u32,
    /// Its symbol or else its name; empty where it is not known.
    name: Arc<[u8]>,
    /// File, line and column of the call; the column is 0 where only the line is known.
    call: Option<(u32, u32, u32)>,
}

/// From here on, operators belong to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    /// Offset in the file.
    offset: u32,
    /// Index into [`SourceMap::units`], or [`NO_UNIT`].
    unit: u32,
    /// Index into [`DebugUnit::files`].
    file: u32,
    /// 0 where operators belong to no line.
    line: u32,
    column: u32,
    is_statement: bool,
    /// The function's own frame is made, in linear memory.
    is_body: bool,
}

/// Where a function is declared.
#[derive(Clone, Debug, Default)]
struct Declaration {
    unit: u32,
    /// File and line.
    place: Option<(u32, u32)>,
    name: Arc<[u8]>,
}

/// The unit of what belongs to none: what lies behind a sequence of lines.
const NO_UNIT: u32 = u32::MAX;

impl SourceMap {
    /// Reads the debug information of `module`, whose bytes are `wasm`. `bodies` are where the bodies of the functions
    /// lie that are compiled, `source_name` is the module's file name, without folders.
    pub fn read(module: &Module<'_>, wasm: &[u8], source_name: &str, bodies: &[Range<usize>]) -> Self {
        let mut map = dwarf::read(module, bodies);
        map.own_unit = map.units.len() as u32;
        map.units.push(text::unit(source_name));
        if bodies.iter().any(|body| map.rows_of(body).is_empty()) {
            let code_end = bodies.iter().map(|body| body.end).max().unwrap_or(0);
            let lines = text::lines(wasm, module.debug.code_offset..code_end);
            map.add_text(&lines, bodies);
        }
        map
    }

    /// Gives lines of the text, which are `(offset, line)`, to functions that have none.
    fn add_text(&mut self, lines: &[(u32, u32)], bodies: &[Range<usize>]) {
        let mut added = Vec::new();
        let without: Vec<_> = bodies.iter().filter(|body| self.rows_of(body).is_empty()).collect();
        for body in without {
            let (start, end) = (body.start as u32, body.end as u32);
            let from = lines.partition_point(|&(offset, _)| offset < start);
            for &(offset, line) in lines[from..].iter().take_while(|&&(offset, _)| offset < end) {
                if offset == start {
                    let own = Declaration { unit: self.own_unit, place: Some((0, line)), name: Arc::default() };
                    self.declarations.insert(start, own);
                } else {
                    let unit = self.own_unit;
                    added.push(Row { offset, unit, file: 0, line, column: 0, is_statement: true, is_body: false });
                }
            }
        }
        self.rows.extend(added);
        self.rows.sort_by_key(|row| row.offset);
    }

    /// The rows within a function's body.
    fn rows_of(&self, body: &Range<usize>) -> &[Row] {
        let at = |offset: usize| self.rows.partition_point(|row| (row.offset as usize) < offset);
        let (start, end) = (at(body.start), at(body.end));
        let rows = &self.rows[start..end.max(start)];
        // Before the first one there may be the end of what belongs to another function.
        let first = rows.iter().position(|row| row.unit != NO_UNIT).unwrap_or(rows.len());
        &rows[first..]
    }

    /// The innermost inlined function that an operator belongs to.
    fn scope_at(&self, offset: u32) -> Option<u32> {
        let after = self.scope_starts.partition_point(|&(start, _)| start <= offset);
        self.scope_starts[after.checked_sub(1)?].1
    }

    /// What debuggers are told about the function whose body lies at `body`. `places` says which operators code comes
    /// from: where it starts, and the operator's offset in the file, in order of the code. Code that belongs to no
    /// operator, such as moves between registers, belongs to the line of what stands before it.
    pub fn function(&self, body: Range<usize>, places: impl Iterator<Item = (u32, Option<u32>)>) -> FunctionDebug {
        let rows = self.rows_of(&body);
        let declaration = self.declarations.get(&(body.start as u32));
        let unit = rows.first().map(|row| row.unit).or(declaration.map(|d| d.unit)).unwrap_or(self.own_unit);
        let declaration = declaration.filter(|d| d.unit == unit).cloned().unwrap_or_default();
        let (declaration, name) = (declaration.place, declaration.name);
        let mut lines: Vec<Line> = Vec::new();
        if let Some(first) = rows.iter().find(|row| row.line != 0) {
            let (file, line) = declaration.unwrap_or((first.file, first.line));
            let column = if (file, line) == (first.file, first.line) { first.column } else { 0 };
            lines.push(Line { offset: 0, file, line, column, is_statement: true, is_body: false });
            // Where the compiler says it, else at the first operator.
            let body_start = rows.iter().find(|row| row.is_body).map_or(0, |row| row.offset);
            let mut is_body = true;
            for (offset, place) in places.filter_map(|(offset, place)| Some((offset, place?))) {
                // What stands before all lines belongs to the function's own.
                let Some(row) = row_at(rows, place) else { continue };
                let (file, line, column, is_statement) = match row.unit == unit {
                    true => (row.file, row.line, row.column, row.is_statement),
                    false => (0, 0, 0, false),
                };
                let starts_body = is_body && line != 0 && place >= body_start;
                let is_statement = is_statement && line != 0;
                push(&mut lines, Line { offset, file, line, column, is_statement, is_body: starts_body });
                is_body &= !starts_body;
            }
        }
        FunctionDebug { unit, name, declaration, lines }
    }
}

/// The last row at or before an operator.
fn row_at(rows: &[Row], offset: u32) -> Option<&Row> {
    rows.partition_point(|row| row.offset <= offset).checked_sub(1).map(|last| &rows[last])
}

/// Adds a line unless it says what the last one says.
fn push(lines: &mut Vec<Line>, line: Line) {
    if let Some(last) = lines.last_mut() {
        let is_same = (last.file, last.line, last.column) == (line.file, line.line, line.column);
        if (is_same || last.line == 0 && line.line == 0) && !line.is_body {
            return;
        }
        if last.offset == line.offset {
            *last = line;
            return;
        }
    }
    lines.push(line);
}
