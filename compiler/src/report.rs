//! What an executable or object says about itself: policy and provenance, written into a note as JSON by the compiler
//! and read back by `inspect`.
//!
//! Everything in it follows from the input and the flags: no time, no path of the machine, so that equal inputs give
//! equal bytes.

use serde::{Deserialize, Serialize};
use wasmelt_abi::descriptor::CpuFeatures;
use wasmparser::{
    CompositeInnerType, ExternalKind, FuncType, GlobalType, MemoryType, Parser, Payload, SubType, TableType, TypeRef,
};

use crate::error::{Error, Result};
use crate::options::{BoundsChecks, Cpu, FeatureNames, OptLevel, Options, Policy, UnknownImports};

/// The note of an executable or object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of wasmelt.
    pub wasmelt_version: String,
    /// Version of Cranelift, which generated the code.
    pub cranelift_version: String,
    /// [`wasmelt_abi::ABI_VERSION`].
    pub abi_version: u32,
    /// The module that it was made from.
    pub source: Source,
    /// Target triple.
    pub target: String,
    /// What `--cpu` said.
    pub cpu: String,
    /// CPU features beyond the architecture's first version that the code needs.
    pub cpu_features: Vec<String>,
    /// Level of optimisation.
    pub opt_level: OptLevel,
    /// How memory accesses are checked.
    pub bounds_checks: BoundsChecks,
    /// Indices are masked against speculation past bounds checks.
    pub spectre_mitigations: bool,
    /// NaN results are canonical.
    pub nan_canonicalization: bool,
    /// What imports do that nothing provides.
    pub unknown_imports: UnknownImports,
    /// Export that is called instead of `_start`.
    pub invoke: Option<String>,
    /// Call stack of the guest.
    pub stack_bytes: u64,
    /// Proposals that the module uses.
    pub features_used: Vec<String>,
    /// What the module imports.
    pub imports: Vec<Import>,
    /// What the module exports.
    pub exports: Vec<Export>,
    /// How its memories are laid out.
    pub memories: Vec<MemoryLayout>,
    /// What the guest may do.
    pub policy: Policy,
}

/// The module that something was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its file name, without folders.
    pub name: String,
    /// BLAKE3 hash of the file as it was read, in hexadecimal digits.
    pub blake3: String,
    /// Its length.
    pub bytes: u64,
}

/// One import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Module name.
    pub module: String,
    /// Field name.
    pub name: String,
    /// Kind and type: `func (i32 i32) -> (i32)`.
    #[serde(rename = "type")]
    pub ty: String,
}

/// One export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// Kind and type: `memory 2..16`.
    #[serde(rename = "type")]
    pub ty: String,
}

/// How a memory is laid out in the process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryLayout {
    /// Length at the start.
    pub initial_bytes: u64,
    /// Limit of its length.
    pub maximum_bytes: u64,
    /// Address space for it.
    pub reserve_bytes: u64,
    /// Inaccessible address space behind that.
    pub guard_bytes: u64,
}

impl Provenance {
    /// Describes a compilation. `input` is the file as it was read, `source_name` where it came from; `cpu_features`
    /// are bits of [`CpuFeatures`].
    pub fn build(
        input: &[u8],
        source_name: &str,
        options: &Options,
        cpu_features: u32,
        features_used: &FeatureNames,
        interface: Interface,
        memories: Vec<MemoryLayout>,
    ) -> Self {
        let needed = CpuFeatures::X86_64.iter().filter(|(bit, _)| cpu_features & bit != 0);
        Self {
            wasmelt_version: env!("CARGO_PKG_VERSION").to_owned(),
            cranelift_version: cranelift_codegen::VERSION.to_owned(),
            abi_version: wasmelt_abi::ABI_VERSION,
            source: Source {
                name: file_name(source_name).to_owned(),
                blake3: blake3::hash(input).to_hex().to_string(),
                bytes: input.len() as u64,
            },
            target: options.target.to_string(),
            cpu: match &options.cpu {
                Cpu::Default => "default".to_owned(),
                Cpu::Native => "native".to_owned(),
                Cpu::Named(name) => name.clone(),
            },
            cpu_features: needed.map(|(_, name)| (*name).to_owned()).collect(),
            opt_level: options.opt_level,
            bounds_checks: options.bounds_checks,
            spectre_mitigations: options.spectre_mitigations,
            nan_canonicalization: options.nan_canonicalization,
            unknown_imports: options.unknown_imports,
            invoke: options.invoke.clone(),
            stack_bytes: options.stack_bytes,
            features_used: features_used.iter().map(|&name| name.to_owned()).collect(),
            imports: interface.imports,
            exports: interface.exports,
            memories,
            policy: options.policy.clone(),
        }
    }

    /// The text of the note.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::internal(format!("cannot write the note: {e}")))
    }

    /// Reads the text of a note. Fields that a later version added are ignored.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| {
            Error::input(format!("the note of wasmelt cannot be read: {e}"))
                .hint("it was written by another version of wasmelt")
        })
    }
}

/// The last component of a path, with either separator.
fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// What a module shares with the outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// What it imports.
    pub imports: Vec<Import>,
    /// What it exports.
    pub exports: Vec<Export>,
}

impl Interface {
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
    use crate::cli::host_defaults;

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
            [
                ("wasi_snapshot_preview1", "fd_write", "func (i32 i32 i32 i32) -> (i32)"),
                ("env", "base", "global i32")
            ]
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

    #[test]
    fn notes_hold_no_folder_and_are_read_back() {
        let build = |name: &str| {
            let features = FeatureNames::from(["simd"]);
            Provenance::build(b"x", name, &host_defaults(), 0b11, &features, Interface::default(), Vec::new())
        };
        let provenance = build("/home/someone/app.wasm");
        assert_eq!(provenance, build("app.wasm"));
        assert_eq!(provenance.source.name, "app.wasm");
        assert_eq!(provenance.cpu_features, ["sse3", "ssse3"]);
        let json = provenance.to_json().unwrap();
        assert_eq!(Provenance::from_json(&json).unwrap(), provenance);
        assert!(Provenance::from_json("{").is_err());
    }
}
