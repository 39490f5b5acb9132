//! WASI 0.2: the functions that components import, each with the core signature that the canonical ABI gives it.
//!
//! In come what generated code says about the call ([`Canon`](wasmelt_abi::component::Canon)) and the core function's
//! parameters; out come results in registers or, where they are more than one, in guest memory. Each function resolves
//! handles ([`crate::component::handles`]), calls [`crate::host`] and writes what it returns; layouts are those of the canonical ABI for the
//! WIT files of WASI 0.2. One file per family of functions.
//!
//! Where the specification leaves a choice, the behaviour is that of wasmtime's implementation. A pointer or a handle that
//! is none is a trap, with wasmtime's words.

mod call;
pub mod cli;
mod code;
pub mod error;
pub mod filesystem;
pub mod monotonic;
pub mod poll;
pub mod random;
pub mod sockets;
pub mod streams;
mod transfer;
pub mod wall;

use crate::component::handles;
