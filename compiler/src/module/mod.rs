//! A module as plain data: what its sections say, with index newtypes, no code generation.

mod const_expr;
mod effects;
mod facts;
mod hints;
mod limits;
#[cfg(test)]
mod limits_tests;
mod parse;

use std::ops::Range;

use cranelift_entity::{PrimaryMap, entity_impl};
use wasmparser::{FunctionBody, RefType, ValType};

pub use const_expr::{ConstExpr, ConstOp, ConstValue};
pub use effects::{Effect, for_each_branch};
pub use facts::{BodyFacts, LoopFacts};
pub use hints::BranchHints;
pub use limits::{LIMITS, Limit, MAX_MEMORY64_BYTES};
pub(crate) use limits::{MEMORY64_PAGES, TABLE_ELEMENTS};
pub use parse::parse;

use crate::plain::Plain;

macro_rules! index_types {
    ($($(#[$doc:meta])* $name:ident, $prefix:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub struct $name(u32);
            entity_impl!($name, $prefix);
        )*
    };
}

index_types! {
    /// Index into the function index space: imported functions first.
    FuncIndex, "func";
    /// Index among the functions that the module defines.
    DefinedFuncIndex, "defined";
    /// Index into the type section.
    TypeIndex, "type";
    /// Index into the table index space.
    TableIndex, "table";
    /// Index into the memory index space.
    MemoryIndex, "memory";
    /// Index into the global index space.
    GlobalIndex, "global";
    /// Index into the tag index space.
    TagIndex, "tag";
    /// Index into the data segments.
    DataIndex, "data";
    /// Index into the element segments.
    ElemIndex, "elem";
}

/// A function type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct FuncType {
    /// Parameter types.
    pub params: Box<[ValType]>,
    /// Result types.
    pub results: Box<[ValType]>,
}

impl std::fmt::Display for FuncType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |types: &[ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        write!(f, "({}) -> ({})", list(&self.params), list(&self.results))
    }
}

/// An import.
#[derive(Clone, Debug)]
pub struct Import<'data> {
    /// Module name.
    pub module: &'data str,
    /// Field name.
    pub name: &'data str,
    /// What is imported, and its place in the index space.
    pub entity: Entity,
    /// Offset of the import in the module.
    pub offset: usize,
}

/// Something that can be imported or exported, by its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "variants are the specification's external kinds")]
pub enum Entity {
    Func(FuncIndex),
    Table(TableIndex),
    Memory(MemoryIndex),
    Global(GlobalIndex),
    Tag(TagIndex),
}

/// An export.
#[derive(Clone, Debug)]
pub struct Export<'data> {
    /// Its name.
    pub name: &'data str,
    /// What is exported.
    pub entity: Entity,
}

/// A function of the index space.
#[derive(Clone, Copy, Debug)]
pub struct Func {
    /// Its type.
    pub ty: TypeIndex,
}

/// A table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Type of its elements.
    pub element: RefType,
    /// Length at instantiation, in elements.
    pub minimum: u64,
    /// Upper limit of its length.
    pub maximum: Option<u64>,
    /// Whether indices are 64 bits wide.
    pub index_64: bool,
    /// What the elements are before any segment is applied; null without it.
    pub init: Option<ConstExpr>,
}

/// A linear memory.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Length at instantiation, in pages.
    pub minimum_pages: u64,
    /// Upper limit of its length, in pages.
    pub maximum_pages: Option<u64>,
    /// Logarithm of the page size.
    pub page_size_log2: u32,
    /// Whether addresses are 64 bits wide.
    pub index_64: bool,
    /// Whether threads may share it.
    pub shared: bool,
}

/// A global.
#[derive(Clone, Debug)]
pub struct Global {
    /// Type of its value.
    pub ty: ValType,
    /// Whether `global.set` may change it.
    pub mutable: bool,
    /// Its initial value; `None` for an imported one.
    pub init: Option<ConstExpr>,
}

/// A data segment.
#[derive(Clone, Debug)]
pub struct DataSegment<'data> {
    /// Where an active segment goes; `None` for a passive one.
    pub active: Option<(MemoryIndex, ConstExpr)>,
    /// Its bytes.
    pub bytes: &'data [u8],
}

/// How an element segment is used.
#[derive(Clone, Debug)]
pub enum ElementMode {
    /// Written into a table at instantiation.
    Active(TableIndex, ConstExpr),
    /// For `table.init`.
    Passive,
    /// Only declares that its functions may be referred to.
    Declared,
}

/// An element segment.
#[derive(Clone, Debug)]
pub struct ElementSegment {
    /// How it is used.
    pub mode: ElementMode,
    /// Its elements.
    pub elements: Vec<ConstExpr>,
}

/// The body of a function, its validated operators and what they refer to.
#[derive(Debug)]
pub struct Body<'data> {
    /// Locals and operators.
    pub body: FunctionBody<'data>,
    /// Range in the file, for messages.
    pub range: Range<usize>,
    /// What it refers to.
    pub facts: BodyFacts,
    /// Which way its branches are likely to go.
    pub hints: BranchHints,
}

/// A validated module.
#[derive(Debug, Default)]
pub struct Module<'data> {
    /// Name from the name section.
    pub name: Option<&'data str>,
    /// Function types; other composite types have empty entries.
    pub types: PrimaryMap<TypeIndex, FuncType>,
    /// Number of each type: equal types have equal numbers, whatever their place in the type section.
    pub canonical_types: PrimaryMap<TypeIndex, u32>,
    /// Imports in order.
    pub imports: Vec<Import<'data>>,
    /// Functions, imported ones first.
    pub funcs: PrimaryMap<FuncIndex, Func>,
    /// Number of imported functions.
    pub imported_funcs: usize,
    /// Tables, imported ones first.
    pub tables: PrimaryMap<TableIndex, Table>,
    /// Number of imported tables.
    pub imported_tables: usize,
    /// Memories, imported ones first.
    pub memories: PrimaryMap<MemoryIndex, Memory>,
    /// Number of imported memories.
    pub imported_memories: usize,
    /// Globals, imported ones first.
    pub globals: PrimaryMap<GlobalIndex, Global>,
    /// Number of imported globals.
    pub imported_globals: usize,
    /// Tags of exceptions by their types, imported ones first.
    pub tags: PrimaryMap<TagIndex, TypeIndex>,
    /// Exports in order.
    pub exports: Vec<Export<'data>>,
    /// The start function.
    pub start: Option<FuncIndex>,
    /// Element segments.
    pub elements: PrimaryMap<ElemIndex, ElementSegment>,
    /// Data segments.
    pub data: PrimaryMap<DataIndex, DataSegment<'data>>,
    /// Bodies of defined functions.
    pub bodies: PrimaryMap<DefinedFuncIndex, Body<'data>>,
    /// Function names from the name section.
    pub func_names: std::collections::HashMap<FuncIndex, &'data str>,
    /// Debug information, as it is.
    pub debug: DebugSections<'data>,
}

/// The sections of debug information, unread.
#[derive(Debug, Default)]
pub struct DebugSections<'data> {
    /// Names and contents of the custom sections that DWARF uses, in order.
    pub sections: Vec<(&'data str, &'data [u8])>,
    /// Where the code section's contents start in the file: addresses in DWARF are distances from there.
    pub code_offset: usize,
}

impl<'data> Module<'data> {
    /// Position among the defined functions; `None` for an imported one.
    pub fn defined_func(&self, func: FuncIndex) -> Option<DefinedFuncIndex> {
        (func.as_u32() as usize).checked_sub(self.imported_funcs).map(|i| DefinedFuncIndex::from_u32(i as u32))
    }

    /// Index of a defined function in the function index space.
    pub fn func_index(&self, func: DefinedFuncIndex) -> FuncIndex {
        FuncIndex::from_u32(self.imported_funcs as u32 + func.as_u32())
    }

    /// Type of a function.
    pub fn func_type(&self, func: FuncIndex) -> &FuncType {
        &self.types[self.funcs[func].ty]
    }

    /// The import behind an imported function.
    pub fn func_import(&self, func: FuncIndex) -> Option<&Import<'data>> {
        self.imports.iter().find(|i| i.entity == Entity::Func(func))
    }

    /// What an export of this name is.
    pub fn export(&self, name: &str) -> Option<Entity> {
        self.exports.iter().find(|e| e.name == name).map(|e| e.entity)
    }

    /// Functions that a table is filled with at instantiation.
    pub fn table_funcs(&self, table: TableIndex) -> impl Iterator<Item = FuncIndex> + '_ {
        let segments = self
            .elements
            .values()
            .filter(move |segment| matches!(segment.mode, ElementMode::Active(t, _) if t == table));
        let fill = self.tables[table].init.iter().flat_map(ConstExpr::funcs);
        fill.chain(segments.flat_map(|segment| segment.elements.iter().flat_map(ConstExpr::funcs)))
    }

    /// Forgets which way branches are likely to go.
    pub fn ignore_branch_hints(&mut self) {
        self.bodies.values_mut().for_each(|body| body.hints = BranchHints::default());
    }

    /// A function as messages name it: index and name.
    pub fn describe_func(&self, func: FuncIndex) -> String {
        match self.func_names.get(&func) {
            Some(name) => format!("function {} `{}`", func.as_u32(), Plain(name)),
            None => format!("function {}", func.as_u32()),
        }
    }
}
