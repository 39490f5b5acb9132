//! The entry point on x86-64.

use core::arch::naked_asm;

/// Where the kernel enters the process: `rsp` points to the number of arguments. The zero frame pointer ends
/// backtraces, as the ABI wants it; the call leaves the stack aligned as functions expect it.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn _start() -> ! {
    naked_asm!(
        "xor ebp, ebp",
        "mov rdi, rsp",
        "and rsp, -16",
        "call {start}",
        start = sym crate::start,
    )
}
