//! The C interface: the functions that `include/wasm.h` and `include/wasmelt.h` declare, over `wasmelt-embed`.
//!
//! The headers are the documentation. What they promise holds for all functions here, and each `// SAFETY:` that says "by
//! the header" refers to it: a pointer is null or points to what its type says, which was not deleted; a store and all
//! that belongs to it are used by one thread at a time; callbacks do not throw.
//!
//! - Functions take pointers as `Option<&T>` and, what they own, as `Option<Box<T>>`: both are null pointers or valid ones.
//! - [`error::attempt`] is around everything that can fail: it records the error, and holds back panics.
//! - All references (`wasm_func_t`, `wasm_extern_t`, ...) are one type, [`object::wasm_ref_t`], so that C can see a
//!   reference as one of another type without making another object. Types of externals are one type in the same way.
//! - A store is reached by [`store::StoreRef::with`], also while a guest runs: then by way of the callback's `Caller`.

#![allow(non_camel_case_types, reason = "types have the names that C knows them by")]
#![allow(unreachable_pub, reason = "C reaches functions by their symbols")]
#![allow(missing_docs, reason = "the headers document each function")]

mod error;
mod exception;
mod externs;
mod func;
mod instance;
pub mod layout;
mod linker;
mod module;
mod object;
mod stops;
mod store;
mod trap;
mod types;
mod val;
mod vec;
mod wasi;
