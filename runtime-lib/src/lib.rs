//! wasmelt's runtime: what an executable holds besides the program itself.
//!
//! In comes a [`ProgramDescriptor`](wasmelt_abi::descriptor::ProgramDescriptor) that the compiler wrote; out comes a
//! running instance. Every function that generated code calls is a symbol in a section of its own, and nothing here
//! reaches everything through one table, so the linker keeps what a program uses and drops the rest.
#![no_std]

#[cfg(test)]
#[macro_use]
extern crate std;

pub mod process;
