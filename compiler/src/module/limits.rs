//! Implementation limits: the one table of them, and the errors of modules that exceed one.
//!
//! They are the limits that the [JavaScript API](https://webassembly.github.io/spec/js-api/#limits) prescribes, so that
//! a module that runs here runs in other engines as well, and some that wasmparser adds. Counts of sections come in
//! before anything in them is read, so that a module beyond a limit costs neither time nor memory.

use wasmparser::{ElementItems, Payload, TypeRef};

use super::Module;
use crate::error::{Error, Result};

/// How much of something a module may have.
#[derive(Debug)]
pub struct Limit {
    /// What is counted, in the plural.
    pub name: &'static str,
    /// How many there may be.
    pub maximum: u64,
    /// What the JavaScript API prescribes; `None` where it has no such limit.
    pub js_api: Option<u64>,
    /// What counts.
    pub counted: &'static str,
}

macro_rules! limits {
    ($($limit:ident: $name:literal, $maximum:expr, $js_api:expr, $counted:literal;)*) => {
        $(pub(crate) const $limit: Limit = Limit { name: $name, maximum: $maximum, js_api: $js_api, counted: $counted };)*

        /// All limits, in the order of docs/LIMITS.md.
        pub const LIMITS: &[Limit] = &[$($limit),*];
    };
}

limits! {
    MODULE_BYTES: "bytes of a module", 1 << 30, Some(1 << 30), "the whole file";
    TYPES: "types", 1_000_000, Some(1_000_000), "in the type section";
    IMPORTS: "imports", 1_000_000, Some(1_000_000), "in the import section";
    FUNCTIONS: "functions", 1_000_000, Some(1_000_000), "imported and defined";
    TABLES: "tables", 100, Some(100_000), "imported and defined";
    MEMORIES: "memories", 100, Some(100), "imported and defined";
    GLOBALS: "globals", 1_000_000, Some(1_000_000), "imported and defined";
    TAGS: "tags", 1_000_000, Some(1_000_000), "imported and defined";
    EXPORTS: "exports", 1_000_000, Some(1_000_000), "in the export section";
    ELEMENT_SEGMENTS: "element segments", 100_000, None, "in the element section";
    DATA_SEGMENTS: "data segments", 100_000, Some(100_000), "in the data section";
    TABLE_ELEMENTS: "elements of a table", 10_000_000, Some(10_000_000), "its minimum; growing beyond fails";
    SEGMENT_ELEMENTS: "elements of an element segment", 10_000_000, Some(10_000_000), "in each segment";
    MEMORY64_PAGES: "pages of a 64-bit memory", MAX_MEMORY64_BYTES >> 16, Some((1 << 37) - 1), "its minimum in a program, of 64 KiB each; growing beyond fails";
    PARAMS: "parameters", 1_000, Some(1_000), "of each function type, also those of blocks and tags";
    RESULTS: "results", 1_000, Some(1_000), "of each function type, also those of blocks";
    BODY_BYTES: "bytes of a function body", 7_654_321, Some(7_654_321), "local declarations and operators";
    LOCALS: "locals", 50_000, Some(50_000), "of each function, with its parameters";
    CATCHES: "catch clauses", 10_000, None, "of each `try_table`";
    NAME_BYTES: "bytes of a name", 100_000, None, "of each import, export and section";
}

/// Limit of a 64-bit memory's length: memories never move, so all that one may ever use is reserved from the start.
pub const MAX_MEMORY64_BYTES: u64 = 1 << 38;

impl Limit {
    /// Fails where there are more; `offset` is where that shows.
    fn check(&self, found: u64, offset: usize) -> Result<()> {
        if found > self.maximum { Err(self.error(Some(found), offset)) } else { Ok(()) }
    }

    fn error(&self, found: Option<u64>, offset: usize) -> Error {
        self.error_in(found, format_args!("at offset 0x{offset:x}"))
    }

    /// There are more; `place` is where.
    pub(crate) fn error_in(&self, found: Option<u64>, place: impl std::fmt::Display) -> Error {
        let found = found.map_or_else(String::new, |found| format!("{found}, "));
        let Self { name, maximum, .. } = self;
        Error::input(format!("too many {name}: {found}more than the implementation limit of {maximum} ({place})"))
    }
}

/// Checks the size of the file.
pub(super) fn check_module_bytes(bytes: &[u8]) -> Result<()> {
    MODULE_BYTES.check(bytes.len() as u64, 0)
}

/// Checks the number of entries of a section that comes next; `module` has the sections before it.
pub(super) fn check_section(module: &Module<'_>, payload: &Payload<'_>) -> Result<()> {
    let check = |limit: &Limit, before: usize, count: u32, range: std::ops::Range<usize>| {
        limit.check(before as u64 + u64::from(count), range.start)
    };
    match payload {
        Payload::TypeSection(s) => check(&TYPES, 0, s.count(), s.range()),
        Payload::ImportSection(s) => {
            check(&IMPORTS, 0, s.count(), s.range())?;
            check_imports(s)
        }
        Payload::FunctionSection(s) => check(&FUNCTIONS, module.funcs.len(), s.count(), s.range()),
        Payload::TableSection(s) => check(&TABLES, module.tables.len(), s.count(), s.range()),
        Payload::MemorySection(s) => check(&MEMORIES, module.memories.len(), s.count(), s.range()),
        Payload::GlobalSection(s) => check(&GLOBALS, module.globals.len(), s.count(), s.range()),
        Payload::TagSection(s) => check(&TAGS, module.tags.len(), s.count(), s.range()),
        Payload::ExportSection(s) => check(&EXPORTS, 0, s.count(), s.range()),
        Payload::ElementSection(s) => check(&ELEMENT_SEGMENTS, 0, s.count(), s.range()),
        Payload::DataSection(s) => check(&DATA_SEGMENTS, 0, s.count(), s.range()),
        Payload::DataCountSection { count, range } => check(&DATA_SEGMENTS, 0, *count, range.clone()),
        Payload::CodeSectionEntry(body) => BODY_BYTES.check(body.range().len() as u64, body.range().start),
        _ => Ok(()),
    }
}

/// Imports fill the index spaces before definitions do.
fn check_imports(imports: &wasmparser::ImportSectionReader<'_>) -> Result<()> {
    let mut counts = [(&TABLES, 0), (&MEMORIES, 0), (&FUNCTIONS, 0), (&GLOBALS, 0), (&TAGS, 0)];
    // An import that cannot be read is reported where it is validated.
    for (offset, import) in imports.clone().into_imports_with_offsets().map_while(std::result::Result::ok) {
        let kind = match import.ty {
            TypeRef::Table(_) => 0,
            TypeRef::Memory(_) => 1,
            TypeRef::Func(_) | TypeRef::FuncExact(_) => 2,
            TypeRef::Global(_) => 3,
            TypeRef::Tag(_) => 4,
        };
        let (limit, count) = &mut counts[kind];
        *count += 1;
        limit.check(*count, offset)?;
    }
    Ok(())
}

/// Checks a table's length at instantiation.
pub(super) fn check_table(ty: &wasmparser::TableType, offset: usize) -> Result<()> {
    TABLE_ELEMENTS.check(ty.initial, offset)
}

/// Checks the declarations of a function's locals, without making any.
pub(super) fn check_locals(params: usize, body: &wasmparser::FunctionBody<'_>) -> Result<()> {
    let mut count = params as u64;
    let offset = body.range().start;
    let Ok(groups) = body.get_locals_reader() else { return Ok(()) };
    for (group, _) in groups.into_iter().map_while(std::result::Result::ok) {
        count = count.saturating_add(u64::from(group));
    }
    LOCALS.check(count, offset)
}

/// The limit behind an error of wasmparser, for limits that it finds while it decodes.
pub(super) fn describe(bytes: &[u8], payload: Option<&Payload<'_>>, error: &wasmparser::Error) -> Option<Error> {
    const WORDS: &[(&str, &Limit)] = &[
        ("function params size is out of bounds", &PARAMS),
        ("function returns size is out of bounds", &RESULTS),
        ("catches size is out of bounds", &CATCHES),
        ("string size out of bounds", &NAME_BYTES),
        ("number of elements is out of bounds", &SEGMENT_ELEMENTS),
    ];
    let &(words, limit) = WORDS.iter().find(|(words, _)| error.message() == *words)?;
    let found = match payload {
        Some(Payload::ElementSection(elements)) => largest_segment(elements),
        // The offset is that of the number.
        _ if words.ends_with("is out of bounds") => read_size(bytes.get(error.offset()..)?),
        _ => None,
    };
    Some(limit.error(found.filter(|&found| found > limit.maximum), error.offset()))
}

fn largest_segment(elements: &wasmparser::ElementSectionReader<'_>) -> Option<u64> {
    let counts = elements.clone().into_iter().map_while(std::result::Result::ok).map(|element| match element.items {
        ElementItems::Functions(items) => items.count(),
        ElementItems::Expressions(_, items) => items.count(),
    });
    counts.max().map(u64::from)
}

/// An unsigned number in LEB128 form, as sizes are.
fn read_size(bytes: &[u8]) -> Option<u64> {
    wasmparser::BinaryReader::new(bytes, 0).read_var_u32().ok().map(u64::from)
}
