//! Registers of x86-64 for exceptions: going on at a handler, where references may be, and how a function without a
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
    // SAFETY: by this function's contract; the payload of an exception is taken from `rax` (and `rdx`).
    unsafe {
        asm!(
            "mov rsp, rcx",
            "mov rbp, rsi",
            "mov r15, rdi",
            "jmp r8",
            in("rcx") stack_pointer,
            in("rsi") frame_pointer,
            in("rdi") vmctx,
            in("r8") landing_pad,
            in("rax") exception,
            in("rdx") 0,
            options(noreturn)
        )
    }
}

/// The registers that a callee keeps for its caller, as they are now.
#[inline(always)]
pub fn callee_saved() -> [usize; 8] {
    let mut saved = [0; 8];
    // SAFETY: stores registers into the array.
    unsafe {
        asm!(
            "mov [{to}], rbx",
            "mov [{to} + 8], rbp",
            "mov [{to} + 16], r12",
            "mov [{to} + 24], r13",
            "mov [{to} + 32], r14",
            "mov [{to} + 40], r15",
            // On Windows these two as well.
            "mov [{to} + 48], rdi",
            "mov [{to} + 56], rsi",
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
    unsafe { asm!("mov {}, rsp", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// The return address of a function that has not made a frame yet, from what [`crate::sys::fault::Fault`] has about
/// it: where it lies.
#[inline(always)]
pub fn frameless_return_address(caller: usize, read: impl FnOnce(usize) -> Option<usize>) -> Option<usize> {
    read(caller)
}
