//! The table of positions for backtraces, see [`wasmelt_abi::positions`]: in go the source lines of modules and the
//! operators at which their code can stop, out come the parts of the table.

use std::collections::HashMap;
use std::ops::Range;

use wasmelt_abi::positions::{Row, Scope, encode_rows, encode_scope, encode_string};

use super::{SourceMap, row_at};
use crate::demangle;
use crate::image::Positions;

/// The parts of the table while it is made, of all modules of a program together.
#[derive(Debug, Default)]
pub struct Builder {
    positions: Positions,
    string_offsets: HashMap<String, u32>,
}

impl Builder {
    /// Adds functions of a module: their numbers, where their bodies lie, and the offsets of their operators, in rising
    /// order.
    pub fn add(&mut self, map: &SourceMap, functions: impl Iterator<Item = (u32, Range<usize>, Vec<u32>)>) {
        let mut table = Table::new(map, self);
        for (function, body, operators) in functions {
            let rows = table.rows(&body, &operators);
            if !rows.is_empty() {
                table.builder.positions.rows.push((function, rows));
            }
        }
    }

    /// The parts of the table.
    pub fn finish(self) -> Positions {
        self.positions
    }
}

/// What of a module is in the table.
struct Table<'a> {
    map: &'a SourceMap,
    builder: &'a mut Builder,
    file_offsets: HashMap<(u32, u32), u32>,
    name_offsets: HashMap<&'a [u8], u32>,
    scope_offsets: HashMap<u32, u32>,
}

impl<'a> Table<'a> {
    fn new(map: &'a SourceMap, builder: &'a mut Builder) -> Self {
        if builder.positions.scopes.is_empty() {
            // Offset 0 does not name a scope.
            builder.positions.scopes.push(0);
        }
        Self { map, builder, file_offsets: HashMap::new(), name_offsets: HashMap::new(), scope_offsets: HashMap::new() }
    }

    /// The rows of a function, encoded. The first one is for code before the first operator, which makes the frame.
    fn rows(&mut self, body: &Range<usize>, operators: &[u32]) -> Vec<u8> {
        let start = body.start as u32;
        let known = self.map.rows_of(body);
        if known.is_empty() {
            return Vec::new();
        }
        let declaration = self.map.declarations.get(&start).and_then(|d| Some((d.unit, d.place?)));
        let first = declaration.map(|(unit, (file, line))| {
            let file = self.file(unit, file);
            Row { operator: start, file, line, column: 0, scope: 0 }
        });
        let mut rows: Vec<Row> = first.into_iter().collect();
        for &operator in operators {
            let Some(found) = row_at(known, operator) else { continue };
            let file = if found.line == 0 { 0 } else { self.file(found.unit, found.file) };
            let scope = self.map.scope_at(operator).map_or(0, |scope| self.scope(scope));
            let row = Row { operator, file, line: found.line, column: found.column, scope };
            if rows.last().is_none_or(|last| Row { operator, ..*last } != row) {
                rows.push(row);
            }
        }
        let mut bytes = Vec::new();
        encode_rows(rows, |byte| bytes.push(byte));
        bytes
    }

    fn string(&mut self, string: String) -> u32 {
        let bytes = &mut self.builder.positions.strings;
        let next = bytes.len() as u32;
        *self.builder.string_offsets.entry(string).or_insert_with_key(|string| {
            encode_string(string.as_bytes(), |byte| bytes.push(byte));
            next
        })
    }

    /// The offset of a file's name: its path, relative to the folder that its unit was compiled in where it is below.
    fn file(&mut self, unit: u32, file: u32) -> u32 {
        if let Some(&known) = self.file_offsets.get(&(unit, file)) {
            return known;
        }
        let map = self.map;
        let path = map.units.get(unit as usize).and_then(|unit| {
            let file = unit.files.get(file as usize)?;
            let name = String::from_utf8_lossy(&file.name);
            let below = file.directory.strip_prefix(&unit.directory[..]).filter(|_| !unit.directory.is_empty());
            let directory = match below {
                Some([b'/', rest @ ..]) => rest,
                _ => &file.directory,
            };
            let is_absolute = name.starts_with('/');
            Some(match directory {
                [] => demangle::cut(&name),
                _ if is_absolute => demangle::cut(&name),
                directory => demangle::cut(&format!("{}/{name}", String::from_utf8_lossy(directory))),
            })
        });
        let offset = self.string(path.unwrap_or_default());
        self.file_offsets.insert((unit, file), offset);
        offset
    }

    fn name(&mut self, name: &'a [u8]) -> u32 {
        if let Some(&known) = self.name_offsets.get(name) {
            return known;
        }
        let shown = match name {
            [] => "<inlined function>".to_owned(),
            name => demangle::function_name(&String::from_utf8_lossy(name)),
        };
        let offset = self.string(shown);
        self.name_offsets.insert(name, offset);
        offset
    }

    /// The offset of a scope; those around it are written before it.
    fn scope(&mut self, scope: u32) -> u32 {
        let map = self.map;
        let mut chain = Vec::new();
        let mut next = Some(scope);
        while let Some(scope) = next.filter(|scope| !self.scope_offsets.contains_key(scope)) {
            chain.push(scope);
            next = map.scopes[scope as usize].parent;
        }
        let mut parent = next.map_or(0, |known| self.scope_offsets[&known]);
        for scope in chain.into_iter().rev() {
            let inlined = &map.scopes[scope as usize];
            let name = self.name(&inlined.name);
            let (file, line, column) = match inlined.call {
                Some((file, line, column)) => (self.file(inlined.unit, file), line, column),
                None => (0, 0, 0),
            };
            let bytes = &mut self.builder.positions.scopes;
            let offset = bytes.len() as u32;
            encode_scope(&Scope { parent, name, file, line, column }, |byte| bytes.push(byte));
            self.scope_offsets.insert(scope, offset);
            parent = offset;
        }
        parent
    }
}
