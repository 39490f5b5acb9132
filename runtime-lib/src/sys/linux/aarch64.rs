//! aarch64 on Linux: system calls that rustix lacks, the registers of a signal's context, the switch to another stack.

use core::arch::{asm, naked_asm};

use linux_raw_sys::general::{__NR_clone, __NR_exit, __NR_munmap, __NR_rt_sigreturn};

use super::SystemError;

/// Enters the kernel; a negative result is an error number.
///
/// # Safety
/// That of the system call.
pub(super) unsafe fn system_call(number: u32, arguments: [usize; 4]) -> isize {
    let result;
    // SAFETY: the kernel changes `x0` and what the arguments point to.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number as usize,
            inlateout("x0") arguments[0] => result,
            in("x1") arguments[1],
            in("x2") arguments[2],
            in("x3") arguments[3],
            options(nostack, preserves_flags)
        );
    }
    result
}

/// Enters the kernel with up to six arguments.
///
/// # Safety
/// That of the system call.
pub(super) unsafe fn system_call_6(number: u32, arguments: [usize; 6]) -> isize {
    let result;
    // SAFETY: the kernel changes `x0` and what the arguments point to.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number as usize,
            inlateout("x0") arguments[0] => result,
            in("x1") arguments[1],
            in("x2") arguments[2],
            in("x3") arguments[3],
            in("x4") arguments[4],
            in("x5") arguments[5],
            options(nostack, preserves_flags)
        );
    }
    result
}

/// Where a signal handler returns to.
///
/// # Safety
/// Only returned to from a signal handler.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn return_from_signal() {
    naked_asm!("mov x8, {}", "svc 0", const __NR_rt_sigreturn)
}

/// The front of the kernel's `struct ucontext`, up to the last register that is needed here.
#[repr(C)]
pub(super) struct Context {
    flags_link_and_stack: [u64; 5],
    signal_mask: [u64; 16],
    padding: u64,
    fault_address: u64,
    x0_to_x28: [u64; 29],
    frame_pointer: u64,
    link: u64,
    stack_pointer: u64,
    pc: u64,
}

const _: () = assert!(core::mem::offset_of!(Context, fault_address) == 176);

impl Context {
    /// The program counter, the frame pointer and the link register, see [`super::super::fault::Fault`].
    pub(super) fn registers(&self) -> (usize, usize, usize) {
        (self.pc as usize, self.frame_pointer as usize, self.link as usize)
    }
}

/// Calls `function` on another stack, as the outermost frame of it.
///
/// # Safety
/// `stack_top` is the upper end of a stack that nothing uses, a multiple of 16, and `function` is sound to call.
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

/// Makes a thread that calls `function` with `thread`, as the outermost frame of its stack; the system call's result.
///
/// # Safety
/// That of the system call; `stack_top` and `function` as for [`call_on_stack`].
pub(super) unsafe fn clone(
    flags: u32,
    stack_top: *mut u8,
    thread: *mut u8,
    function: unsafe extern "C" fn(*mut u8) -> !,
) -> isize {
    let result;
    // SAFETY: by this function's contract. The new thread has all registers of this one but `x0` and the stack
    // pointer, and never comes out of this block. The thread pointer is the fourth argument.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x3",
            "blr x5",
            "udf #0",
            "2:",
            in("x8") __NR_clone as usize,
            inlateout("x0") flags as usize => result,
            in("x1") stack_top,
            in("x2") 0,
            in("x3") thread,
            in("x4") 0,
            in("x5") function,
            options(nostack)
        );
    }
    result
}

/// Unmaps memory and ends the thread, without the stack.
///
/// # Safety
/// Nothing but this thread uses the mapping, and no signal can arrive.
pub(super) unsafe fn unmap_and_exit(start: *mut u8, len_bytes: usize) -> ! {
    // SAFETY: by this function's contract; from the first instruction on nothing touches memory.
    unsafe {
        asm!(
            "svc 0",
            "mov x0, xzr",
            "mov x8, {exit}",
            "svc 0",
            "udf #0",
            exit = const __NR_exit,
            in("x8") __NR_munmap as usize,
            in("x0") start,
            in("x1") len_bytes,
            options(noreturn)
        )
    }
}

/// Sets the thread pointer of the calling thread.
///
/// # Safety
/// As for [`super::threads::set_thread_pointer`].
pub(super) unsafe fn set_thread_pointer(thread: *mut u8) -> Result<(), SystemError> {
    // SAFETY: nothing but `thread_pointer` uses the register.
    unsafe { asm!("msr tpidr_el0, {}", in(reg) thread, options(nostack, preserves_flags)) };
    Ok(())
}

/// The thread pointer that was set for the calling thread.
#[inline(always)]
pub fn thread_pointer() -> *mut u8 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mrs {}, tpidr_el0", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// The frame pointer register of the caller.
#[inline(always)]
pub fn frame_pointer() -> usize {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, x29", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}
