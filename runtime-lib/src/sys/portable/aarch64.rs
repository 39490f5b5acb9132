//! aarch64 on any system: the switch to another stack and back.

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
            "mov sp, {stack_top}",
            "mov x29, xzr",
            "blr {function}",
            "udf #0",
            stack_top = in(reg) stack_top,
            function = in(reg) function,
            in("x0") argument,
            options(noreturn)
        )
    }
}

/// The frame pointer register of the caller.
#[inline(always)]
pub fn frame_pointer() -> usize {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, x29", out(reg) value, options(nomem, nostack, preserves_flags)) };
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
        "stp x29, x30, [sp, #-160]!",
        "stp x19, x20, [sp, #16]",
        "stp x21, x22, [sp, #32]",
        "stp x23, x24, [sp, #48]",
        "stp x25, x26, [sp, #64]",
        "stp x27, x28, [sp, #80]",
        "stp d8, d9, [sp, #96]",
        "stp d10, d11, [sp, #112]",
        "stp d12, d13, [sp, #128]",
        "stp d14, d15, [sp, #144]",
        "mov x9, sp",
        "str x9, [x3]",
        "mov sp, x0",
        "mov x29, xzr",
        "mov x0, x2",
        "blr x1",
        "udf #0",
    )
}

/// Goes back to where [`call_and_return`] was called.
///
/// # Safety
/// It stored `saved`, and its caller still waits.
#[cfg(unix)]
#[unsafe(naked)]
pub(super) unsafe extern "C" fn return_from_stack(saved: SavedStack) -> ! {
    naked_asm!(
        "mov sp, x0",
        "ldp x19, x20, [sp, #16]",
        "ldp x21, x22, [sp, #32]",
        "ldp x23, x24, [sp, #48]",
        "ldp x25, x26, [sp, #64]",
        "ldp x27, x28, [sp, #80]",
        "ldp d8, d9, [sp, #96]",
        "ldp d10, d11, [sp, #112]",
        "ldp d12, d13, [sp, #128]",
        "ldp d14, d15, [sp, #144]",
        "ldp x29, x30, [sp], #160",
        "ret",
    )
}
