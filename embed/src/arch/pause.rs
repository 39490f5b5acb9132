//! What code of a library calls where the host may want it to stop or to wait. The call keeps all registers, as Cranelift's
//! convention `preserve_all` says.

use core::arch::naked_asm;

use super::call_host;
use crate::pause::cell;

/// The stack that [`pause`], [`cell`] and [`call_host`] use, and more; no more than a page, which Windows adds one at a time.
const PAUSE_STACK_BYTES: usize = 4096;

/// Repeats a line for all vector registers.
#[cfg(target_arch = "x86_64")]
macro_rules! for_each_vector {
    ($line:ident) => {
        concat!(
            $line!(0),
            $line!(1),
            $line!(2),
            $line!(3),
            $line!(4),
            $line!(5),
            $line!(6),
            $line!(7),
            $line!(8),
            $line!(9),
            $line!(10),
            $line!(11),
            $line!(12),
            $line!(13),
            $line!(14),
            $line!(15)
        )
    };
}

/// Repeats a line for all vector registers, in pairs.
#[cfg(target_arch = "aarch64")]
macro_rules! for_each_vector {
    ($line:ident) => {
        concat!(
            $line!(0, 1),
            $line!(2, 3),
            $line!(4, 5),
            $line!(6, 7),
            $line!(8, 9),
            $line!(10, 11),
            $line!(12, 13),
            $line!(14, 15),
            $line!(16, 17),
            $line!(18, 19),
            $line!(20, 21),
            $line!(22, 23),
            $line!(24, 25),
            $line!(26, 27),
            $line!(28, 29),
            $line!(30, 31)
        )
    };
}

#[cfg(target_arch = "x86_64")]
macro_rules! keep {
    ($n:literal) => {
        concat!("movaps [rsp + 32 + 16 * ", $n, "], xmm", $n, "\n")
    };
}

#[cfg(target_arch = "x86_64")]
macro_rules! restore {
    ($n:literal) => {
        concat!("movaps xmm", $n, ", [rsp + 32 + 16 * ", $n, "]\n")
    };
}

/// The register of the first parameter.
#[cfg(all(target_arch = "x86_64", not(windows)))]
macro_rules! first {
    () => {
        "rdi"
    };
}

/// As above.
#[cfg(all(target_arch = "x86_64", windows))]
macro_rules! first {
    () => {
        "rcx"
    };
}

/// [`LibraryHead::pause`](wasmelt_abi::context::LibraryHead::pause): calls the [`cell`] as a guest calls a function of the host.
/// Registers that a callee need not keep are kept in this frame, the others in that of [`call_host`].
///
/// # Safety
/// Called by generated code.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn pause() {
    naked_asm!(
        "cmp byte ptr [rsp - {room}], 0",
        "push rbp",
        "mov rbp, rsp",
        "push rax",
        "push rcx",
        "push rdx",
        "push rsi",
        "push rdi",
        "push r8",
        "push r9",
        "push r10",
        "push r11",
        // On Windows, 32 bytes belong to what is called.
        "sub rsp, 296",
        for_each_vector!(keep),
        "call {cell}",
        concat!("mov ", first!(), ", rax"),
        "call {call_host}",
        for_each_vector!(restore),
        "add rsp, 296",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rdi",
        "pop rsi",
        "pop rdx",
        "pop rcx",
        "pop rax",
        "pop rbp",
        "ret",
        room = const PAUSE_STACK_BYTES,
        cell = sym cell,
        call_host = sym call_host,
    )
}

/// Whether `pc` is where [`pause`] makes sure of its stack.
#[cfg(target_arch = "x86_64")]
pub(super) fn asks_for_stack(pc: usize) -> bool {
    pc == pause as *const () as usize
}

#[cfg(target_arch = "aarch64")]
macro_rules! keep {
    ($a:literal, $b:literal) => {
        concat!("stp q", $a, ", q", $b, ", [sp, #144 + 16 * ", $a, "]\n")
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! restore {
    ($a:literal, $b:literal) => {
        concat!("ldp q", $a, ", q", $b, ", [sp, #144 + 16 * ", $a, "]\n")
    };
}

/// As on x86-64. `x16` and `x17` belong to nobody between instructions, and `x18` belongs to the platform.
///
/// # Safety
/// Called by generated code.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn pause() {
    naked_asm!(
        "sub x16, sp, #{pages}, lsl #12",
        "ldrb wzr, [x16]",
        "sub sp, sp, #656",
        "stp x29, x30, [sp]",
        "mov x29, sp",
        "stp x0, x1, [sp, #16]",
        "stp x2, x3, [sp, #32]",
        "stp x4, x5, [sp, #48]",
        "stp x6, x7, [sp, #64]",
        "stp x8, x9, [sp, #80]",
        "stp x10, x11, [sp, #96]",
        "stp x12, x13, [sp, #112]",
        "stp x14, x15, [sp, #128]",
        for_each_vector!(keep),
        "bl {cell}",
        "bl {call_host}",
        for_each_vector!(restore),
        "ldp x0, x1, [sp, #16]",
        "ldp x2, x3, [sp, #32]",
        "ldp x4, x5, [sp, #48]",
        "ldp x6, x7, [sp, #64]",
        "ldp x8, x9, [sp, #80]",
        "ldp x10, x11, [sp, #96]",
        "ldp x12, x13, [sp, #112]",
        "ldp x14, x15, [sp, #128]",
        "ldp x29, x30, [sp]",
        "add sp, sp, #656",
        "ret",
        pages = const PAUSE_STACK_BYTES >> 12,
        cell = sym cell,
        call_host = sym call_host,
    )
}

/// Whether `pc` is where [`pause`] makes sure of its stack.
#[cfg(target_arch = "aarch64")]
pub(super) fn asks_for_stack(pc: usize) -> bool {
    pc == pause as *const () as usize + 4
}
