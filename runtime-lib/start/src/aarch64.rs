//! The entry point on aarch64.

use core::arch::naked_asm;

/// Where the kernel enters the process: `sp` points to the number of arguments. The zero frame pointer and link
/// register end backtraces.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "mov x29, xzr",
        "mov x30, xzr",
        "mov x0, sp",
        "b {start}",
        start = sym crate::start,
    )
}
