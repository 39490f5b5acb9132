//! The static archive that turns a wasmelt object into an executable: the entry point, the memory functions that
//! compiled code expects, and what happens when the runtime itself panics.
//!
//! In comes an object that defines the symbols of [`wasmelt_abi::symbols`]; out comes, through a linker, a process.
//! There is no libc: nothing but this crate and the kernel.
#![no_std]

use wasmelt_abi::descriptor::ProgramDescriptor;
use wasmelt_abi::symbols;
use wasmelt_runtime::executable;
use wasmelt_runtime::failure::Failure;

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod memory_functions;
#[cfg(target_arch = "x86_64")]
mod x86_64;

unsafe extern "C" {
    /// The program, defined by the object: [`symbols::PROGRAM`].
    #[link_name = "wasmelt_program"]
    static PROGRAM: ProgramDescriptor;
}

const _: () = assert!(equal(symbols::PROGRAM, "wasmelt_program"));

/// Objects refer to this symbol, so that one of another version does not link: [`symbols::ABI_ANCHOR`].
#[unsafe(export_name = "wasmelt_abi_10")]
static ABI_ANCHOR: u8 = 0;

const _: () = assert!(equal(symbols::ABI_ANCHOR, "wasmelt_abi_10"));

const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

/// Where the entry point's few instructions lead to.
///
/// # Safety
/// `initial_stack` is the stack pointer with which the kernel entered the process.
unsafe extern "C" fn start(initial_stack: *const usize) -> ! {
    // SAFETY: the object defines the program, which nothing ever writes to.
    unsafe { executable::run(&PROGRAM, initial_stack) }
}

/// The runtime is written not to panic. What was checked is not printed: that would bring the formatting code of the
/// standard library, larger than the rest of the runtime, and addresses to relocate into every program.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    Failure::Check.end([0; 2])
}
