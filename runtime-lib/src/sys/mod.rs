//! Everything that depends on the operating system or the CPU: the one module to edit for a new platform.
//!
//! This module stands on nothing else of the runtime: errors ([`errno`]), faults
//! ([`fault`]) and attributes of files ([`mod@file`]) are its own, one definition for all platforms.
//!
//! A platform offers pages of memory ([`pages`]), faults ([`faults`]), a second stack ([`call_on_stack`]), output and
//! exit; a CPU says which features it has ([`cpu`]). The rest of the runtime names no system call and no register.

pub mod cpu;
pub mod errno;
pub mod fault;
pub mod file;
pub mod names;
pub mod socket;

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod linux;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
pub use linux::*;

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
mod portable;
#[cfg(any(not(target_os = "linux"), feature = "portable"))]
pub use portable::*;
