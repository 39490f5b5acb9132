//! What an executable or object says about itself: policy and provenance, written into a note as JSON by the compiler
//! and read back by `inspect`.
//!
//! Everything in it follows from the input and the flags: no time, no path of the machine, so that equal inputs give
//! equal bytes.

mod interface;
mod proposals;

use cranelift_codegen::isa::TargetIsa;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::codegen;
use crate::component::FlatComponent;
use crate::emit::note::MAX_JSON_BYTES as MAX_NOTE_BYTES;
use crate::error::{Error, Result};
use crate::module::Module;
use crate::options::{BoundsChecks, Cpu, FeatureNames, OptLevel, Options, Policy, Runtime, UnknownImports};

pub use interface::Interface;
pub use proposals::features_used;

/// The note of an executable or object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of wasmelt.
    pub wasmelt_version: String,
    /// Version of Cranelift, which generated the code.
    pub cranelift_version: String,
    /// [`wasmelt_abi::ABI_VERSION`].
    pub abi_version: u32,
    /// The module or component that it was made from.
    pub source: Source,
    /// It was made from a component.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub component: bool,
    /// Which runtime it was linked with; absent where it is the freestanding one.
    #[serde(default, skip_serializing_if = "Runtime::is_default")]
    pub runtime: Runtime,
    /// Name of the library; absent in programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub library: Option<String>,
    /// Target triple.
    pub target: String,
    /// What `--cpu` said.
    pub cpu: String,
    /// CPU features beyond the architecture's first version that the code needs.
    #[serde(default)]
    pub cpu_features: Vec<String>,
    /// Level of optimisation.
    pub opt_level: OptLevel,
    /// Debug information was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub debug_info: bool,
    /// How memory accesses are checked.
    pub bounds_checks: BoundsChecks,
    /// Indices are masked against speculation past bounds checks.
    #[serde(default)]
    pub spectre_mitigations: bool,
    /// NaN results are canonical.
    #[serde(default)]
    pub nan_canonicalization: bool,
    /// Results of relaxed SIMD operators are the same on every CPU.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub relaxed_simd_deterministic: bool,
    /// Calls of WASI are printed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trace_wasi: bool,
    /// What imports do that nothing provides.
    pub unknown_imports: UnknownImports,
    /// Export that is called instead of `_start`.
    pub invoke: Option<String>,
    /// The module was initialised when it was compiled: the export that did it, or nothing for the usual one.
    #[serde(default)]
    pub preinit: Option<String>,
    /// Call stack of the guest.
    pub stack_bytes: u64,
    /// Proposals that the module uses.
    #[serde(default)]
    pub features_used: Vec<String>,
    /// What the module imports.
    #[serde(default)]
    pub imports: Vec<Import>,
    /// What the module exports.
    #[serde(default)]
    pub exports: Vec<Export>,
    /// Its linear memories.
    #[serde(default)]
    pub memories: Vec<Memory>,
    /// Imports and exports are left out: with them, the note would be longer than what is read of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interface_left_out: bool,
    /// The modules of a program of several, in order of instantiation; absent where there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<LinkedModule>,
    /// What the guest may do.
    #[serde(default)]
    pub policy: Policy,
}

/// A module of a program of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedModule {
    /// The name that others import it by.
    pub name: String,
    /// The module.
    pub source: Source,
    /// What it imports, and who provides that.
    #[serde(default)]
    pub imports: Vec<LinkedImport>,
    /// What it exports.
    #[serde(default)]
    pub exports: Vec<Export>,
}

/// An import of a module of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkedImport {
    /// What is imported.
    #[serde(flatten)]
    pub import: Import,
    /// The module that provides it; absent where the runtime does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

impl LinkedModule {
    /// Describes a module in the binary format that is instantiated after `earlier`.
    pub fn build(name: &str, source_name: &str, wasm: &[u8], earlier: &[Self]) -> Result<Self> {
        let interface =
            Interface::read(wasm).map_err(|e| Error::internal(format!("a valid module cannot be read again: {e}")))?;
        let provides = |module: &Self, import: &Import| {
            module.name == import.module && module.exports.iter().any(|export| export.name == import.name)
        };
        let linked = |import: Import| {
            let provider = earlier.iter().find(|module| provides(module, &import)).map(|module| module.name.clone());
            LinkedImport { import, provider }
        };
        Ok(Self {
            name: name.to_owned(),
            source: Source::of(wasm, source_name),
            imports: interface.imports.into_iter().map(linked).collect(),
            exports: interface.exports,
        })
    }
}

impl Source {
    fn of(wasm: &[u8], source_name: &str) -> Self {
        Self {
            name: file_name(source_name).to_owned(),
            blake3: blake3::hash(wasm).to_hex().to_string(),
            bytes: wasm.len() as u64,
        }
    }
}

/// The module that something was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its file name, without folders.
    pub name: String,
    /// BLAKE3 hash of the module in the binary format, in hexadecimal digits.
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

/// One linear memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Length at the start.
    pub initial_bytes: u64,
    /// Limit of its length: the module's and that of `--max-memory`, whichever is less.
    pub maximum_bytes: Option<u64>,
}

impl Provenance {
    /// Describes a compilation: `wasm` is the module in the binary format, which `module` was parsed from,
    /// `source_name` says where it came from.
    pub fn build(
        wasm: &[u8],
        source_name: &str,
        module: &Module<'_>,
        options: &Options,
        isa: &dyn TargetIsa,
    ) -> Result<Self> {
        let interface = Interface::read(wasm).map_err(unreadable)?;
        Self::of_program(wasm, source_name, interface, &[(wasm, module)], options, isa)
    }

    /// The same of a component: `modules` are its core modules, each in the binary format and as it was parsed.
    pub fn of_component(
        wasm: &[u8],
        source_name: &str,
        flat: &FlatComponent,
        modules: &[(&[u8], &Module<'_>)],
        options: &Options,
        isa: &dyn TargetIsa,
    ) -> Result<Self> {
        let whole = Self::of_program(wasm, source_name, Interface::of_component(flat), modules, options, isa)?;
        Ok(Self { component: true, ..whole })
    }

    fn of_program(
        wasm: &[u8],
        source_name: &str,
        interface: Interface,
        modules: &[(&[u8], &Module<'_>)],
        options: &Options,
        isa: &dyn TargetIsa,
    ) -> Result<Self> {
        let mut features = FeatureNames::new();
        for (wasm, _) in modules {
            features.extend(features_used(wasm).map_err(unreadable)?);
        }
        let cpu_features = codegen::cpu_features(isa)?;
        let needed = codegen::known_cpu_features(isa.triple())?.iter().filter(|(bit, _)| cpu_features & bit != 0);
        // A memory that a module imports belongs to another one.
        let own = |module: &'_ Module<'_>| {
            let skipped = if modules.len() > 1 { module.imported_memories } else { 0 };
            module.memories.values().skip(skipped).copied().collect::<Vec<_>>()
        };
        let memories = modules.iter().flat_map(|(_, module)| own(module)).map(|memory| {
            let bytes = |pages: u64| pages.saturating_mul(1 << memory.page_size_log2);
            let limits = [memory.maximum_pages.map(bytes), options.max_memory_bytes];
            Memory { initial_bytes: bytes(memory.minimum_pages), maximum_bytes: limits.into_iter().flatten().min() }
        });
        Ok(Self {
            wasmelt_version: env!("CARGO_PKG_VERSION").to_owned(),
            cranelift_version: cranelift_codegen::VERSION.to_owned(),
            abi_version: wasmelt_abi::ABI_VERSION,
            source: Source::of(wasm, source_name),
            component: false,
            target: options.target.to_string(),
            cpu: match &options.cpu {
                Cpu::Default => "default".to_owned(),
                Cpu::Native => "native".to_owned(),
                Cpu::Baseline => "baseline".to_owned(),
                Cpu::Named(name) => name.clone(),
            },
            cpu_features: needed.map(|(_, name)| (*name).to_owned()).collect(),
            opt_level: options.opt_level,
            debug_info: options.debug_info,
            bounds_checks: options.bounds_checks,
            spectre_mitigations: options.spectre_mitigations,
            nan_canonicalization: options.nan_canonicalization,
            runtime: options.runtime,
            library: options.library.clone(),
            relaxed_simd_deterministic: options.relaxed_simd_deterministic || options.nan_canonicalization,
            trace_wasi: options.trace_wasi,
            unknown_imports: options.unknown_imports,
            invoke: options.invoke.clone(),
            preinit: options.preinit.as_ref().map(|preinit| preinit.export.clone().unwrap_or_default()),
            stack_bytes: options.stack_bytes,
            features_used: features.into_iter().map(str::to_owned).collect(),
            imports: interface.imports,
            exports: interface.exports,
            memories: memories.collect(),
            interface_left_out: false,
            modules: Vec::new(),
            policy: options.policy.of_code(),
        })
    }

    /// The text of the note. What is empty, absent or false is left out.
    pub fn to_json(&self) -> String {
        // Only a map with keys that are not strings, or a failing `Serialize`, could fail: there is neither.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        leave_out_empty(&mut value);
        value.to_string()
    }

    /// The text for a note. Its length stays within what a reader of notes accepts.
    pub fn to_note(&self) -> String {
        let text = self.to_json();
        if text.len() <= MAX_NOTE_BYTES {
            return text;
        }
        let short = Self { imports: Vec::new(), exports: Vec::new(), interface_left_out: true, ..self.clone() };
        short.to_json()
    }

    /// Reads the text of a note. Fields that a later version added are ignored.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| {
            Error::input(format!("the note of wasmelt cannot be read: {e}"))
                .hint("it was written by another version of wasmelt")
        })
    }
}

fn unreadable(error: wasmparser::Error) -> Error {
    Error::internal(format!("a valid module cannot be read again: {error}"))
}

/// Removes from objects what reads as nothing: `null`, `false`, and lists and objects without elements.
fn leave_out_empty(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(leave_out_empty);
            fields.retain(|_, field| match field {
                Value::Null | Value::Bool(false) => false,
                Value::Array(elements) => !elements.is_empty(),
                Value::Object(fields) => !fields.is_empty(),
                _ => true,
            });
        }
        Value::Array(elements) => elements.iter_mut().for_each(leave_out_empty),
        _ => {}
    }
}

/// The last component of a path, with either separator.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = r#"(module (memory 1 4) (func (export "_start") (drop (i32.extend8_s (i32.const 1)))))"#;

    fn build(name: &str, options: &Options) -> Provenance {
        let wasm = wat::parse_str(MODULE).unwrap();
        let module = crate::module::parse(&wasm, options.features).unwrap();
        Provenance::build(&wasm, name, &module, options, &*codegen::Isas::new(options).unwrap().full).unwrap()
    }

    #[test]
    fn notes_hold_no_folder_and_are_read_back() {
        let options = Options { max_memory_bytes: Some(3 << 16), ..Options::default() };
        let provenance = build("/home/someone/app.wasm", &options);
        assert_eq!(provenance, build("app.wasm", &options));
        assert_eq!(provenance.source.name, "app.wasm");
        assert_eq!(provenance.features_used, ["sign-extension"]);
        assert_eq!(provenance.memories, [Memory { initial_bytes: 1 << 16, maximum_bytes: Some(3 << 16) }]);
        assert_eq!(Provenance::from_json(&provenance.to_json()).unwrap(), provenance);
    }

    #[test]
    fn later_fields_are_ignored_and_damage_is_not() {
        let json = build("app.wasm", &Options::default()).to_json();
        let later = json.replacen('{', r#"{"of_a_later_version":1,"#, 1);
        assert!(Provenance::from_json(&later).is_ok());
        assert!(Provenance::from_json(&json[1..]).is_err());
    }
}
