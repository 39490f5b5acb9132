//! x86-64 on Linux: system calls that rustix lacks, the registers of a signal's context, the switch to another stack.

use core::arch::{asm, naked_asm};

use linux_raw_sys::general::{__NR_arch_prctl, __NR_clone, __NR_exit, __NR_munmap, __NR_rt_sigreturn};

use super::SystemError;

/// Enters the kernel; a negative result is an error number.
///
/// # Safety
/// That of the system call.
pub(super) unsafe fn system_call(number: u32, arguments: [usize; 4]) -> isize {
    let result;
    // SAFETY: the kernel changes `rax`, `rcx`, `r11` and what the arguments point to.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as usize => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            lateout("rcx") _,
            lateout("r11") _,
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
    // SAFETY: the kernel changes `rax`, `rcx`, `r11` and what the arguments point to.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as usize => result,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            in("r9") arguments[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack, preserves_flags)
        );
    }
    result
}

/// Where a signal handler returns to: on this architecture the kernel does not provide such code.
///
/// # Safety
/// Only returned to from a signal handler.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn return_from_signal() {
    naked_asm!("mov eax, {}", "syscall", const __NR_rt_sigreturn)
}

/// The front of the kernel's `struct ucontext`, up to the last register that is needed here.
#[repr(C)]
pub(super) struct Context {
    flags_link_and_stack: [u64; 5],
    r8_to_r15: [u64; 8],
    rdi: u64,
    rsi: u64,
    rbp: u64,
    rbx: u64,
    rdx: u64,
    rax: u64,
    rcx: u64,
    rsp: u64,
    rip: u64,
}

impl Context {
    /// The program counter, the frame pointer and the stack pointer.
    pub(super) fn registers(&self) -> (usize, usize, usize) {
        (self.rip as usize, self.rbp as usize, self.rsp as usize)
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
    // SAFETY: by this function's contract. The new thread has all registers of this one but `rax` and the stack
    // pointer, and never comes out of this block.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r8",
            "call r9",
            "ud2",
            "2:",
            inlateout("rax") __NR_clone as usize => result,
            in("rdi") flags as usize,
            in("rsi") stack_top,
            in("rdx") 0,
            in("r10") 0,
            in("r8") thread,
            in("r9") function,
            lateout("rcx") _,
            lateout("r11") _,
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
            "syscall",
            "xor edi, edi",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            exit = const __NR_exit,
            in("rax") __NR_munmap as usize,
            in("rdi") start,
            in("rsi") len_bytes,
            options(noreturn)
        )
    }
}

/// Sets the thread pointer of the calling thread.
///
/// # Safety
/// As for [`super::threads::set_thread_pointer`].
pub(super) unsafe fn set_thread_pointer(thread: *mut u8) -> Result<(), SystemError> {
    const ARCH_SET_FS: usize = 0x1002;
    // SAFETY: nothing but `thread_pointer` uses the register.
    let result = unsafe { system_call(__NR_arch_prctl, [ARCH_SET_FS, thread as usize, 0, 0]) };
    SystemError::check(result).map(|_| ())
}

/// The thread pointer that was set for the calling thread: the address that lies where it points to.
#[inline(always)]
pub fn thread_pointer() -> *mut u8 {
    let value;
    // SAFETY: a thread pointer points to its own address.
    unsafe { asm!("mov {}, fs:[0]", out(reg) value, options(nostack, preserves_flags, readonly)) };
    value
}

/// The frame pointer register of the caller.
#[inline(always)]
pub fn frame_pointer() -> usize {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}
