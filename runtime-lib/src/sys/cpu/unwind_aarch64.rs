//! Registers of aarch64 for exceptions: going on at a handler, where references may be, and how a function without a
//! frame is left.

use core::arch::asm;

/// Goes on at an exception's landing pad, in the frame that the stack and frame pointer describe.
///
/// # Safety
/// `landing_pad` is the handler of a call that is being executed in the frame with this stack and frame pointer, and
/// everything below that frame is given up. The call's convention keeps no register (`tail`); the pinned register is
/// `vmctx` in all code of the instance.
pub unsafe fn resume(
    landing_pad: usize,
    stack_pointer: usize,
    frame_pointer: usize,
    vmctx: *mut u8,
    exception: usize,
) -> ! {
    // SAFETY: by this function's contract; the payload of an exception is taken from `x0` (and `x1`).
    unsafe {
        asm!(
            "mov sp, x2",
            "mov x29, x3",
            "mov x21, x4",
            "br x5",
            in("x0") exception,
            in("x1") 0,
            in("x2") stack_pointer,
            in("x3") frame_pointer,
            in("x4") vmctx,
            in("x5") landing_pad,
            options(noreturn)
        )
    }
}

/// The registers that a callee keeps for its caller, as they are now. Those for floats hold no references.
#[inline(always)]
pub fn callee_saved() -> [usize; 12] {
    let mut saved = [0; 12];
    // SAFETY: stores registers into the array.
    unsafe {
        asm!(
            "stp x19, x20, [{to}]",
            "stp x21, x22, [{to}, 16]",
            "stp x23, x24, [{to}, 32]",
            "stp x25, x26, [{to}, 48]",
            "stp x27, x28, [{to}, 64]",
            "str x29, [{to}, 80]",
            to = in(reg) saved.as_mut_ptr(),
            options(nostack, preserves_flags)
        );
    }
    saved
}

/// The stack pointer of the caller, which is not a leaf: all that its frame and those of its callers hold lies above.
#[inline(always)]
pub fn stack_pointer() -> usize {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, sp", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// The return address of a function that has not made a frame yet, from what [`crate::sys::fault::Fault`] has about
/// it: the address itself.
#[inline(always)]
pub fn frameless_return_address(caller: usize, _read: impl FnOnce(usize) -> Option<usize>) -> Option<usize> {
    Some(caller)
}
