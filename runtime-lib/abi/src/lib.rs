//! The contract between wasmelt's compiler and its runtime.
//!
//! Everything that generated code and the runtime share is described here once: the layout of a
//! context ([`context`]) and where it lies ([`layout`]), what tells the runtime how to start a program ([`descriptor`]),
//! to make its instances ([`instance`]) and to read its code ([`code`]), the symbols that objects and archives share ([`symbols`]), the traps and how their places are
//! encoded ([`trap`], [`code_map`]), which lines of source files they belong to ([`positions`]) and which functions were inlined there ([`inlined`]), the runtime functions that generated code calls ([`builtin`]), the host functions
//! that a module ([`host`]) or a component ([`component`]) may import, what a library offers and wants ([`interface`]), what a program writes about its own
//! execution ([`profile`]), and
//! what grants of the network cover ([`network`]).
//!
//! All structures are `#[repr(C)]`, little-endian, for 64-bit targets; those that the compiler writes are declared by
//! `record!` ([`record`]). Their layout is checked by tests in this crate; a change to any of them raises [`ABI_VERSION`].
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod builtin;
pub mod canonical;
pub mod code;
pub mod code_map;
pub mod component;
pub mod context;
pub mod descriptor;
pub mod host;
pub mod inlined;
pub mod instance;
pub mod interface;
pub mod layout;
pub mod leb128;
pub mod network;
pub mod positions;
pub mod profile;
pub mod record;
pub mod rel;
pub mod snapshot;
pub mod symbols;
pub mod text;
pub mod trap;
pub mod tree;

/// Version of this contract. Objects refer to a symbol that carries it (see [`symbols::ABI_ANCHOR`]), so that an
/// archive of another version is a link error that names the version, never a crash.
pub const ABI_VERSION: u32 = 10;
