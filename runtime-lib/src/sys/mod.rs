//! Everything that depends on the operating system or the CPU: the one module to edit for a new platform.
//!
//! A platform offers pages of memory ([`pages`]), faults ([`faults`]), a second stack ([`call_on_stack`]), output and
//! exit; a CPU says which features it has ([`cpu`]). The rest of the runtime names no system call and no register.

pub mod cpu;

#[cfg(not(feature = "portable"))]
mod linux;
#[cfg(not(feature = "portable"))]
pub use linux::*;

#[cfg(feature = "portable")]
mod portable;
#[cfg(feature = "portable")]
pub use portable::*;

#[cfg(all(not(target_os = "linux"), not(feature = "portable")))]
compile_error!("the freestanding runtime is for Linux: build with the feature `portable` for other systems");
