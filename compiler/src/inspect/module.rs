//! A report on a module: its interface, the proposals it needs, its memories, and where its bytes go.

use std::collections::HashMap;

use serde::Serialize;
use wasmparser::{
    ConstExpr, DataKind, KnownCustom, MemoryType, Name, Operator, Parser, Payload, TypeRef, Validator, WasmFeatures,
};

use super::{Function, Section, largest};
use crate::error::{Error, Result};
use crate::features::{self, FEATURES};
use crate::options::FeatureNames;
use crate::report::{Export, Import, Interface, features_used};
use crate::{identify, text};

/// What a module is and holds.
#[derive(Debug, Serialize)]
pub struct ModuleReport {
    /// Name of the file.
    pub file: String,
    /// Length of the module in the binary format.
    pub bytes: u64,
    /// BLAKE3 hash of the module in the binary format, in hexadecimal digits.
    pub blake3: String,
    /// Proposals without which it is not valid.
    pub features_used: FeatureNames,
    /// Those of them that wasmelt does not support.
    pub features_unsupported: Vec<&'static str>,
    /// What it imports.
    pub imports: Vec<Import>,
    /// What it exports.
    pub exports: Vec<Export>,
    /// Its linear memories, imported ones first.
    pub memories: Vec<Memory>,
    /// Number of functions that it imports.
    pub functions_imported: u64,
    /// Number of functions that it defines.
    pub functions_defined: u64,
    /// Whether it has a start function.
    pub start_function: bool,
    /// Its sections in the order of the file.
    pub sections: Vec<Section>,
    /// Its largest functions by the length of their bodies.
    pub largest_functions: Vec<Function>,
}

/// A linear memory of a module.
#[derive(Debug, Serialize)]
pub struct Memory {
    /// Whether it is imported.
    pub imported: bool,
    /// Bits of an address.
    pub index_bits: u32,
    /// Whether threads may share it.
    pub shared: bool,
    /// Length at the start.
    pub initial_bytes: u64,
    /// Limit of its length, if the module sets one.
    pub maximum_bytes: Option<u64>,
    /// Bytes of active data segments.
    pub data_bytes: u64,
    /// First byte above all active data segments whose place is a constant.
    pub data_end: u64,
    /// How accesses are checked unless `--bounds-checks explicit` is given.
    pub bounds_checks: &'static str,
}

/// A module from its text format.
pub(super) fn from_text(bytes: &[u8], name: &str) -> Result<Vec<u8>> {
    if !identify::is_text_format(bytes, name) {
        let unknown = || {
            Error::input("neither a module nor an object or executable that wasmelt made")
                .hint("a module starts with `\\0asm`, or is text that starts with `(module`")
        };
        return Err(identify::not_a_module(bytes, name).unwrap_or_else(unknown).context(name.to_owned()));
    }
    text::assemble(bytes, name)
}

/// Looks into a module in the binary format.
pub(super) fn inspect(wasm: &[u8], name: &str) -> Result<ModuleReport> {
    let in_file = |e: wasmparser::Error| features::describe_error(&e, WasmFeatures::all()).context(name.to_owned());
    validate(wasm, WasmFeatures::all()).map_err(in_file)?;
    let used = features_used(wasm).map_err(in_file)?;
    let interface = Interface::read(wasm).map_err(in_file)?;
    let contents = Contents::read(wasm).map_err(in_file)?;
    Ok(ModuleReport {
        file: name.to_owned(),
        bytes: wasm.len() as u64,
        blake3: blake3::hash(wasm).to_hex().to_string(),
        features_unsupported: FEATURES
            .iter()
            .filter(|f| !f.supported && used.contains(f.name))
            .map(|f| f.name)
            .collect(),
        features_used: used,
        imports: interface.imports,
        exports: interface.exports,
        memories: contents.memories,
        functions_imported: contents.functions_imported,
        functions_defined: contents.bodies.len() as u64,
        start_function: contents.start_function,
        sections: contents.sections,
        largest_functions: largest(contents.bodies),
    })
}

fn validate(wasm: &[u8], features: WasmFeatures) -> wasmparser::Result<()> {
    Validator::new_with_features(features).validate_all(wasm).map(drop)
}

/// What a pass over the sections finds.
#[derive(Default)]
struct Contents {
    memories: Vec<Memory>,
    functions_imported: u64,
    bodies: Vec<Function>,
    start_function: bool,
    sections: Vec<Section>,
}

impl Contents {
    fn read(wasm: &[u8]) -> wasmparser::Result<Self> {
        let mut this = Self::default();
        let mut names = HashMap::new();
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            if let Some((id, range)) = payload.as_section() {
                let name = match &payload {
                    Payload::CustomSection(custom) => format!("custom `{}`", custom.name()),
                    _ => section_name(id).to_owned(),
                };
                this.sections.push(Section { name, bytes: range.len() as u64 });
            }
            match payload {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => this.functions_imported += 1,
                            TypeRef::Memory(memory) => this.memories.push(Memory::new(&memory, true)),
                            _ => {}
                        }
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section {
                        this.memories.push(Memory::new(&memory?, false));
                    }
                }
                Payload::StartSection { .. } => this.start_function = true,
                Payload::CodeSectionEntry(body) => {
                    let index = this.functions_imported + this.bodies.len() as u64;
                    let bytes = body.range().len() as u64;
                    this.bodies.push(Function { name: format!("function {index}"), bytes });
                }
                Payload::DataSection(section) => {
                    for segment in section {
                        let segment = segment?;
                        if let DataKind::Active { memory_index, offset_expr } = segment.kind
                            && let Some(memory) = this.memories.get_mut(memory_index as usize)
                        {
                            let len = segment.data.len() as u64;
                            memory.data_bytes += len;
                            let end = constant(&offset_expr).map_or(0, |offset| offset.saturating_add(len));
                            memory.data_end = memory.data_end.max(end);
                        }
                    }
                }
                Payload::CustomSection(custom) => {
                    // A damaged name section makes no module invalid.
                    if let KnownCustom::Name(section) = custom.as_known() {
                        for subsection in section.into_iter().map_while(|subsection| subsection.ok()) {
                            if let Name::Function(map) = subsection {
                                names.extend(
                                    map.into_iter().map_while(|n| n.ok()).map(|n| (u64::from(n.index), n.name)),
                                );
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        for (index, body) in (this.functions_imported..).zip(&mut this.bodies) {
            if let Some(&name) = names.get(&index) {
                body.name = name.to_owned();
            }
        }
        Ok(this)
    }
}

impl Memory {
    fn new(ty: &MemoryType, imported: bool) -> Self {
        let page_size_log2 = ty.page_size_log2.unwrap_or(16);
        let bytes = |pages: u64| u64::try_from(u128::from(pages) << page_size_log2.min(63)).unwrap_or(u64::MAX);
        Self {
            imported,
            index_bits: if ty.memory64 { 64 } else { 32 },
            shared: ty.shared,
            initial_bytes: bytes(ty.initial),
            maximum_bytes: ty.maximum.map(bytes),
            data_bytes: 0,
            data_end: 0,
            bounds_checks: if ty.memory64 || ty.page_size_log2.is_some() { "explicit" } else { "guard" },
        }
    }
}

/// The value of an offset that is one constant.
fn constant(expr: &ConstExpr<'_>) -> Option<u64> {
    match expr.get_operators_reader().read().ok()? {
        Operator::I32Const { value } => Some(u64::from(value.cast_unsigned())),
        Operator::I64Const { value } => Some(value.cast_unsigned()),
        _ => None,
    }
}

/// Names of sections by their number (binary/modules.html#sections).
fn section_name(id: u8) -> &'static str {
    const NAMES: [&str; 14] = [
        "custom",
        "type",
        "import",
        "function",
        "table",
        "memory",
        "global",
        "export",
        "start",
        "element",
        "code",
        "data",
        "data count",
        "tag",
    ];
    NAMES.get(usize::from(id)).copied().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> ModuleReport {
        inspect(&wat::parse_str(text).unwrap(), "test.wat").unwrap()
    }

    #[test]
    fn features_are_named_with_those_that_are_not_supported() {
        let report = report("(module (type (func)) (type (cont 0)) (func (result i32) i32.const 1 i32.extend8_s))");
        assert_eq!(report.features_used, FeatureNames::from(["sign-extension", "stack-switching"]));
        assert_eq!(report.features_unsupported, ["stack-switching"]);
    }

    #[test]
    fn memories_and_functions_are_measured() {
        let report = report(
            r#"(module (import "env" "f" (func)) (memory 2 4) (data (i32.const 16) "abcd") (data "passive")
                (func $small) (func $large (drop (i32.const 1))))"#,
        );
        let [memory] = &report.memories[..] else { panic!("one memory") };
        assert_eq!((memory.initial_bytes, memory.maximum_bytes), (2 << 16, Some(4 << 16)));
        assert_eq!((memory.data_bytes, memory.data_end), (4, 20));
        assert_eq!((report.functions_imported, report.functions_defined), (1, 2));
        assert_eq!(report.largest_functions[0].name, "large");
        assert!(report.sections.iter().any(|section| section.name == "custom `name`"));
    }

    #[test]
    fn what_is_no_module_is_said_to_be_none() {
        assert!(from_text(b"hello", "x").unwrap_err().to_string().contains("other text"));
        assert!(from_text(b"\0\0", "x").unwrap_err().to_string().contains("neither"));
        assert!(from_text(b"\xff(", "x").is_err());
        assert!(from_text(b"(module", "x").is_err());
        assert!(inspect(b"\0asm\x01\0\0\0\xff", "x").is_err());
    }
}
