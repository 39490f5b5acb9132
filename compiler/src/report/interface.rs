//! What a module shares with the outside, in words: the types of imports and exports as the text format writes them.

use wasmparser::{
    CompositeInnerType, ExternalKind, FuncType, GlobalType, MemoryType, Parser, Payload, SubType, TableType, TypeRef,
};

use super::{Export, Import};
use crate::component::{FlatComponent, ImportName};

/// What a module shares with the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// What it imports.
    pub imports: Vec<Import>,
    /// What it exports.
    pub exports: Vec<Export>,
}

impl Interface {
    /// What a component shares with the outside. The types of components are not written out.
    pub fn of_component(flat: &FlatComponent) -> Self {
        let import = |import: &ImportName| Import {
            module: import.interface.clone(),
            name: import.name.clone(),
            ty: "func".to_owned(),
        };
        let export = |name: &String| Export { name: name.clone(), ty: "instance".to_owned() };
        Self { imports: flat.imports.iter().map(import).collect(), exports: flat.exports.iter().map(export).collect() }
    }

    /// Reads the interface of a valid module in the binary format; bodies are skipped.
    pub fn read(wasm: &[u8]) -> wasmparser::Result<Self> {
        let mut interface = Self::default();
        let mut spaces = Spaces::default();
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        spaces.types.extend(group?.into_types());
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        let ty = spaces.push(import.ty);
                        interface.imports.push(Import {
                            module: import.module.to_owned(),
                            name: import.name.to_owned(),
                            ty,
                        });
                    }
                }
                Payload::FunctionSection(section) => {
                    for type_index in section {
                        spaces.push(TypeRef::Func(type_index?));
                    }
                }
                Payload::TableSection(section) => {
                    for table in section {
                        spaces.push(TypeRef::Table(table?.ty));
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        spaces.push(TypeRef::Memory(memory?));
                    }
                }
                Payload::TagSection(section) => {
                    for tag in section {
                        spaces.push(TypeRef::Tag(tag?));
                    }
                }
                Payload::GlobalSection(section) => {
                    for global in section {
                        spaces.push(TypeRef::Global(global?.ty));
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        interface.exports.push(Export {
                            name: export.name.to_owned(),
                            ty: spaces.describe(export.kind, export.index),
                        });
                    }
                }
                _ => {}
            }
        }
        Ok(interface)
    }
}

/// The index spaces of a module, as descriptions.
#[derive(Default)]
struct Spaces {
    types: Vec<SubType>,
    funcs: Vec<u32>,
    tables: Vec<TableType>,
    memories: Vec<MemoryType>,
    globals: Vec<GlobalType>,
    tags: Vec<u32>,
}

impl Spaces {
    /// Adds an entity to its index space and describes it.
    fn push(&mut self, ty: TypeRef) -> String {
        let (kind, index) = match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => (ExternalKind::Func, push(&mut self.funcs, ty)),
            TypeRef::Table(ty) => (ExternalKind::Table, push(&mut self.tables, ty)),
            TypeRef::Memory(ty) => (ExternalKind::Memory, push(&mut self.memories, ty)),
            TypeRef::Global(ty) => (ExternalKind::Global, push(&mut self.globals, ty)),
            TypeRef::Tag(ty) => (ExternalKind::Tag, push(&mut self.tags, ty.func_type_idx)),
        };
        self.describe(kind, index)
    }

    fn describe(&self, kind: ExternalKind, index: u32) -> String {
        let at = index as usize;
        match kind {
            ExternalKind::Func | ExternalKind::FuncExact => {
                format!("func {}", self.func_type(self.funcs.get(at)))
            }
            ExternalKind::Tag => format!("tag {}", self.func_type(self.tags.get(at))),
            ExternalKind::Table => self.tables.get(at).map_or_else(String::new, |table| {
                format!("table {} {}", limits(table.initial, table.maximum), table.element_type)
            }),
            ExternalKind::Memory => self.memories.get(at).map_or_else(String::new, describe_memory),
            ExternalKind::Global => self.globals.get(at).map_or_else(String::new, |global| {
                format!("global {}{}", if global.mutable { "mut " } else { "" }, global.content_type)
            }),
        }
    }

    fn func_type(&self, type_index: Option<&u32>) -> String {
        match type_index.and_then(|&i| self.types.get(i as usize)).map(|ty| &ty.composite_type.inner) {
            Some(CompositeInnerType::Func(ty)) => describe_func_type(ty),
            _ => String::new(),
        }
    }
}

fn push<T>(space: &mut Vec<T>, ty: T) -> u32 {
    space.push(ty);
    space.len() as u32 - 1
}

fn limits(minimum: u64, maximum: Option<u64>) -> String {
    maximum.map_or_else(|| format!("{minimum}.."), |maximum| format!("{minimum}..{maximum}"))
}

fn describe_func_type(ty: &FuncType) -> String {
    let list = |types: &[wasmparser::ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    format!("({}) -> ({})", list(ty.params()), list(ty.results()))
}

/// A memory type in words: `memory 2..16`, `memory i64 1.. shared`; limits are pages.
fn describe_memory(memory: &MemoryType) -> String {
    format!(
        "memory {}{}{}{}",
        if memory.memory64 { "i64 " } else { "" },
        limits(memory.initial, memory.maximum),
        memory.page_size_log2.map_or_else(String::new, |log2| format!(" pagesize {}", 1u64 << log2.min(63))),
        if memory.shared { " shared" } else { "" },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
        (import "env" "base" (global i32))
        (table 1 10 funcref)
        (memory (export "memory") 2 16)
        (global (export "counter") (mut i64) (i64.const 0))
        (func (export "_start"))
        (func (export "add") (param i32 i32) (result i32 i64) unreachable))"#;

    #[test]
    fn interfaces_are_described_in_the_words_of_the_text_format() {
        let interface = Interface::read(&wat::parse_str(MODULE).unwrap()).unwrap();
        let imports: Vec<_> = interface.imports.iter().map(|i| (&*i.module, &*i.name, &*i.ty)).collect();
        assert_eq!(
            imports,
            [("wasi_snapshot_preview1", "fd_write", "func (i32 i32 i32 i32) -> (i32)"), ("env", "base", "global i32")]
        );
        let exports: Vec<_> = interface.exports.iter().map(|e| (&*e.name, &*e.ty)).collect();
        assert_eq!(
            exports,
            [
                ("memory", "memory 2..16"),
                ("counter", "global mut i64"),
                ("_start", "func () -> ()"),
                ("add", "func (i32 i32) -> (i32 i64)")
            ]
        );
    }
}
