//! WASI 0.2: the functions that components import, each with the core signature that the canonical ABI gives it.
//!
//! In come who calls ([`call`]: a component of an executable or of a host program) and the core function's parameters; out come results in registers or, where they are more than one, in guest memory. Each function resolves
//! handles ([`crate::component::handles`]), calls [`crate::host`] and writes what it returns; layouts are those of the canonical ABI for the
//! WIT files of WASI 0.2. One file per family of functions.
//!
//! Where the specification leaves a choice, the behaviour is that of wasmtime's implementation. A pointer or a handle that
//! is none is a trap, with wasmtime's words.

pub mod call;
pub mod cli;
mod code;
pub mod error;
mod exports;
pub mod filesystem;
pub mod monotonic;
pub mod poll;
pub mod random;
pub mod sockets;
pub mod streams;
pub mod transfer;
pub mod wall;

use crate::component::handles;
