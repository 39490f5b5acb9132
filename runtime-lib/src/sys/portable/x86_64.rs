//! x86-64 on any system with the System V calling convention: the switch to another stack and back.

use core::arch::asm;
#[cfg(unix)]
use core::arch::naked_asm;

/// Calls `function` on another stack, as the outermost frame of it.
///
/// # Safety
/// `stack_top` is the upper end of a stack that nothing uses, a multiple of 16, and `function` is sound to call.
#[cfg(unix)]
pub unsafe fn call_on_stack(stack_top: *mut u8, function: unsafe extern "C" fn(*mut u8) -> !, argument: *mut u8) -> ! {
    // SAFETY: by this function's contract. The zero frame pointer ends backtraces.
    unsafe {
        asm!(
            "mov rsp, {stack_top}",
            "xor ebp, ebp",
            "call {function}",
            "ud2",
            stack_top = in(reg) stack_top,
            function = in(reg) function,
            in("rdi") argument,
            options(noreturn)
        )
    }
}

/// The frame pointer register of the caller.
#[inline(always)]
pub fn frame_pointer() -> usize {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// A stack that waits for a return: its stack pointer, with the registers that a call preserves on top.
#[cfg(unix)]
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(super) struct SavedStack(usize);

#[cfg(unix)]
impl SavedStack {
    /// No stack waits.
    pub(super) const NONE: Self = Self(0);
}

/// Calls `function` on another stack, as [`call_on_stack`] does; returns when [`return_from_stack`] is called with what
/// was stored at `saved`.
///
/// # Safety
/// As for [`call_on_stack`]; `saved` can be written to.
#[cfg(unix)]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn call_and_return(
    stack_top: *mut u8,
    function: unsafe extern "C" fn(*mut u8) -> !,
    argument: *mut u8,
    saved: *mut SavedStack,
) {
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rcx], rsp",
        "mov rsp, rdi",
        "xor ebp, ebp",
        "mov rdi, rdx",
        "call rsi",
        "ud2",
    )
}

/// Goes back to where [`call_and_return`] was called.
///
/// # Safety
/// It stored `saved`, and its caller still waits.
#[cfg(unix)]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn return_from_stack(saved: SavedStack) -> ! {
    naked_asm!("mov rsp, rdi", "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx", "pop rbp", "ret",)
}
