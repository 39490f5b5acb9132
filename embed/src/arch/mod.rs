//! The CPU's part of embedding: the switches between the host's stack and a guest's.
//!
//! Guest code runs on the stack of its store. [`enter`] goes there and notes where it came from in the
//! [`Activation`](super::activation::Activation); [`call_host`] goes back to the host's stack for a host function and
//! returns; a [`Resume`] gives up frames, of the guest alone, and goes on elsewhere: at the handler of an exception, or
//! behind [`enter`].

// ---------------------------------------------------------------------------------------------------------------
// Security: this is the border between two stacks. Whatever ends a guest's frames early, a trap, an exception, an
// error or a panic of a host function, does it here, between frames of generated code: no frame of Rust is ever
// skipped, and the host gets back all registers that a callee must keep.
// ---------------------------------------------------------------------------------------------------------------

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod features;
mod pause;
#[cfg(all(target_arch = "x86_64", not(windows)))]
mod x86_64;
#[cfg(all(target_arch = "x86_64", windows))]
#[path = "x86_64_windows.rs"]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(super) use aarch64::*;
pub(super) use features::missing_features;
pub(super) use pause::pause;
#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::*;

/// Stack that functions of the runtime may use after they were called by a guest; asked for at their first
/// instructions, where running out of it is the guest's trap. Less than the guard of a stack.
pub(super) const RUNTIME_STACK_BYTES: usize = 64 << 10;

/// Where to go on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resume {
    pub(super) code: usize,
    pub(super) stack_pointer: usize,
    pub(super) frame_pointer: usize,
    /// What the code finds in the register of results: the exception, or the activation that ends.
    pub(super) value: usize,
}
