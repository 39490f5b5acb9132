//! The functions of WASI 0.2 that the runtime has, compared with the WIT files in `wit/`: none is missing, none is more,
//! and each has the core signature that the canonical ABI gives it.

use std::collections::BTreeMap;

use libtest_mimic::{Failed, Trial};
use wasmelt_abi::component;
use wasmelt_abi::descriptor::ValueType;
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Interface, Resolve, TypeDefKind};

use crate::support;

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("interfaces::signatures_are_those_of_wit", signatures_are_those_of_wit)]
}

/// Parameters and results of functions by interface and name.
type Signatures = BTreeMap<String, (Vec<ValueType>, Vec<ValueType>)>;

fn signatures_are_those_of_wit() -> Result<(), Failed> {
    let mut resolve = Resolve::default();
    resolve.push_dir(support::repository().join("tests/wasi/wit"))?;
    let mut expected = Signatures::new();
    for (_, interface) in &resolve.interfaces {
        add(&resolve, interface, &mut expected);
    }
    // What a command exports.
    expected.remove("wasi:cli/run.run");
    let found: Signatures = component::functions()
        .map(|f| (format!("{}.{}", f.module, f.name), (f.params.to_vec(), f.results.to_vec())))
        .collect();
    if found.len() < 130 || found.len() != component::functions().count() {
        return Err(format!("{} functions, or one twice", found.len()).into());
    }
    let differs = |name: &&String| found.get(*name) != expected.get(*name);
    match found.keys().chain(expected.keys()).find(differs) {
        Some(name) => {
            Err(format!("{name}: the runtime has {:?}, WIT says {:?}", found.get(name), expected.get(name)).into())
        }
        None => Ok(()),
    }
}

fn add(resolve: &Resolve, interface: &Interface, signatures: &mut Signatures) {
    let package = &resolve.packages[interface.package.expect("an interface belongs to a package")].name;
    let name = interface.name.as_deref().unwrap_or_default();
    let prefix = format!("{}:{}/{name}", package.namespace, package.name);
    let types = |types: &[WasmType]| types.iter().map(|&ty| value_type(ty)).collect();
    for (name, function) in &interface.functions {
        let signature = resolve.wasm_signature(AbiVariant::GuestImport, function);
        signatures.insert(format!("{prefix}.{name}"), (types(&signature.params), types(&signature.results)));
    }
    for (name, &ty) in &interface.types {
        if matches!(resolve.types[ty].kind, TypeDefKind::Resource) {
            signatures.insert(format!("{prefix}.[resource-drop]{name}"), (vec![ValueType::I32], Vec::new()));
        }
    }
}

fn value_type(ty: WasmType) -> ValueType {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => ValueType::I32,
        WasmType::I64 | WasmType::PointerOrI64 => ValueType::I64,
        WasmType::F32 => ValueType::F32,
        WasmType::F64 => ValueType::F64,
    }
}
