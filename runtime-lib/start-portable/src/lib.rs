//! The static archive of the portable runtime: `main`, which a C library's start-up code calls, and what happens when
//! the runtime itself panics.
//!
//! In comes an object that defines the symbols of [`wasmelt_abi::symbols`]; out comes, through the system's C compiler
//! driver, a process. `wasmelt-start` is the same without a C library, for Linux.

use core::ffi::{c_char, c_int};

use wasmelt_abi::descriptor::ProgramDescriptor;
use wasmelt_abi::symbols;
use wasmelt_runtime::executable;
use wasmelt_runtime::failure::Failure;

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

/// Runs the program. Rust's own start-up code does not run: it would handle faults its way.
///
/// # Safety
/// Only the C library calls it, once.
#[unsafe(no_mangle)]
unsafe extern "C" fn main(_: c_int, arguments: *const *const c_char, environment: *const *const c_char) -> c_int {
    // The runtime is written not to panic; where a library that it stands on does, that is a bug of the runtime.
    std::panic::set_hook(Box::new(|_| Failure::Check.end([0; 2])));
    // SAFETY: the object defines the program, which nothing ever writes to; the arrays are those of the process.
    unsafe { executable::run_from_main(&PROGRAM, arguments, environment) }
}
