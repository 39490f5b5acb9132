//! The system call instruction, for the few calls that rustix either does not offer or only offers in a form that
//! guest memory cannot have (Rust slices) or that a freestanding process cannot link (`strlen`).

use crate::host::error::{Errno, Result};

use super::io_error::from_raw;

/// Makes a system call; a negative result is an error. A call that a signal interrupted is made again.
///
/// # Safety
/// The arguments are what the call of this number asks for.
#[inline]
pub(crate) unsafe fn call(number: u32, arguments: [usize; 6]) -> Result<usize> {
    loop {
        // SAFETY: the caller's promise.
        let result = unsafe { raw(number as usize, arguments) };
        if result >= 0 {
            return Ok(result as usize);
        }
        match from_raw(-(result as i32)) {
            Errno::Intr => {}
            error => return Err(error),
        }
    }
}

/// Makes a system call once, with what the kernel returned.
///
/// # Safety
/// As for [`call`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn raw(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result;
    // SAFETY: the x86-64 calling convention of the kernel, which clobbers rcx and r11.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack, preserves_flags),
        );
    }
    result
}

/// Makes a system call once, with what the kernel returned.
///
/// # Safety
/// As for [`call`].
#[cfg(target_arch = "aarch64")]
#[inline(always)]
unsafe fn raw(number: usize, [a, b, c, d, e, f]: [usize; 6]) -> isize {
    let result;
    // SAFETY: the aarch64 calling convention of the kernel.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a as isize => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack, preserves_flags),
        );
    }
    result
}
