//! wasmelt turns WebAssembly modules into native executables, objects and libraries.
//!
//! [`driver`] is the pipeline: it reads as the list of stages. Each stage is a module of this crate and uses only the
//! data of earlier ones: `component` (a component to its core modules), `module` (bytes to plain data), `program` (what is known before code is generated),
//! `translate` (function bodies to CLIF), `optimize` (CLIF to CLIF), `codegen` (CLIF to machine code), `emit` (everything to an object file) and
//! `link` (an object to an executable).
#![forbid(unsafe_code)]

use cranelift_codegen::ir::{Type, types};
use wasmelt_abi::descriptor::ValueType;
use wasmparser::{HeapType, ValType};

mod bindings;
pub mod cache;
pub mod cli;
pub mod codegen;
pub mod component;
pub mod debug;
mod demangle;
pub mod driver;
pub mod emit;
pub mod error;
pub mod features;
mod harden;
mod header;
mod host;
mod identify;
pub mod image;
pub mod inspect;
pub mod link;
pub mod module;
pub mod network;
pub mod oci;
pub mod optimize;
pub mod options;
pub mod output;
mod parallel;
pub mod plain;
mod preinit;
pub mod profile;
pub mod program;
pub mod progress;
pub mod report;
pub mod reuse;
mod text;
pub mod translate;
pub mod trees;
pub mod unlinked;
mod workbench;

/// A value type as descriptors write it; typed references count as their top type.
fn value_type(ty: ValType) -> error::Result<ValueType> {
    Ok(match ty {
        ValType::I32 => ValueType::I32,
        ValType::I64 => ValueType::I64,
        ValType::F32 => ValueType::F32,
        ValType::F64 => ValueType::F64,
        ValType::V128 => ValueType::V128,
        ValType::Ref(r) if r.is_func_ref() => ValueType::FuncRef,
        ValType::Ref(r) if r.heap_type() == HeapType::EXTERN => ValueType::ExternRef,
        ValType::Ref(_) => return Err(error::Error::input(format!("the type {ty} cannot cross the module's border"))),
    })
}

/// How a value of a descriptor's type is held in CLIF.
fn clif_value_type(ty: ValueType) -> Type {
    match ty {
        ValueType::I32 => types::I32,
        ValueType::I64 | ValueType::FuncRef | ValueType::ExternRef => types::I64,
        ValueType::F32 => types::F32,
        ValueType::F64 => types::F64,
        ValueType::V128 => types::I8X16,
    }
}
