//! wasmelt's runtime: what an executable holds besides the program itself.
//!
//! In comes a [`ProgramDescriptor`](wasmelt_abi::descriptor::ProgramDescriptor) that the compiler wrote; out comes a
//! running instance. Every function that generated code calls is a symbol in a section of its own, and nothing here
//! reaches everything through one table, so the linker keeps what a program uses and drops the rest.
//!
//! This crate has no interface of its own. What is public is for other parts of wasmelt, of the same version: the archives
//! that executables are linked with (`wasmelt-start`, `wasmelt-start-portable`), and `wasmelt-embed`, which is what host
//! programs use. Functions here believe what the compiler wrote, and may change with each version.
#![no_std]

#[cfg(any(test, not(target_os = "linux"), feature = "portable"))]
#[macro_use]
extern crate std;

pub mod backtrace;
pub mod builtins;
pub mod component;
mod ending;
pub mod exception;
pub mod executable;
pub mod failure;
pub mod float;
mod growing;
pub mod guest;
pub mod host;
pub mod inlined;
pub mod instance;
pub mod invoke;
pub mod memops;
pub mod memory;
pub mod parking;
pub mod positions;
pub mod process;
pub mod profile;
pub mod rel;
pub mod report;
pub mod snapshot;
pub mod sync;
pub mod sys;
pub mod table;
#[cfg(test)]
mod testing;
pub mod threads;
pub mod trap;
pub mod wasi;
