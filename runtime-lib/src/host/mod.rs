//! What a WASI needs from the host, free of any WASI version: guest memory, the descriptor table, paths and their
//! sandbox, streams, clocks, polling, and what the policy grants.
//!
//! In come unchecked numbers and addresses of the guest; out come results, or an [`Errno`](crate::sys::errno::Errno). A
//! front such as `wasi::p1` reads arguments, calls functions of this module and encodes what they return. Each
//! function here is reached by name, never through a table of everything, so that the linker keeps what a program
//! imports and drops the rest.

pub mod clocks;
pub mod descriptor;
pub mod descriptors;
pub mod directory;
pub mod entry;
pub mod files;
pub mod guest_memory;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub mod harden;
pub mod listeners;
pub mod narrowing;
pub mod path;
pub mod policy;
pub mod poll;
pub mod preopens;
pub mod refusal;
pub mod restrict;
pub mod sandbox;
pub mod sockets;
pub mod state;
pub mod streams;
pub mod tree;
pub mod words;
