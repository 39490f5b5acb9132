//! Pages of memory: reserve address space, make part of it usable, copy pages of the executable into it.

use core::ptr;

use crate::sys::SystemError;

/// The page size that lengths and addresses are rounded to: the largest that the architecture's systems use.
#[cfg(target_arch = "x86_64")]
pub const PAGE_BYTES: usize = 4096;
/// The page size that lengths and addresses are rounded to: the one that Apple's kernels use, or the largest of Linux.
#[cfg(target_arch = "aarch64")]
pub const PAGE_BYTES: usize = if cfg!(target_vendor = "apple") { 16384 } else { 65536 };

/// Rounds up to whole pages; `None` on overflow.
pub const fn round_up(bytes: usize) -> Option<usize> {
    match bytes.checked_add(PAGE_BYTES - 1) {
        Some(sum) => Some(sum & !(PAGE_BYTES - 1)),
        None => None,
    }
}

/// Reserves address space that nothing can access.
pub fn reserve(len_bytes: usize) -> Result<*mut u8, SystemError> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
    // SAFETY: a new mapping at an address of the system's choice.
    let start = unsafe { libc::mmap(ptr::null_mut(), len_bytes, libc::PROT_NONE, flags, -1, 0) };
    if start == libc::MAP_FAILED { Err(SystemError::last()) } else { Ok(start.cast()) }
}

/// As [`reserve`]: this system chooses the place.
#[inline]
pub fn reserve_above(_place: usize, len_bytes: usize) -> Result<*mut u8, SystemError> {
    reserve(len_bytes)
}

/// Makes reserved pages readable and writable; they are zero where they were not usable before.
///
/// # Safety
/// The pages lie in a reservation of the caller's.
pub unsafe fn commit(start: *mut u8, len_bytes: usize) -> Result<(), SystemError> {
    if len_bytes == 0 {
        return Ok(());
    }
    // SAFETY: by this function's contract nothing else lives in these pages.
    let result = unsafe { libc::mprotect(start.cast(), len_bytes, libc::PROT_READ | libc::PROT_WRITE) };
    if result == 0 { Ok(()) } else { Err(SystemError::last()) }
}

/// Gives a reservation back.
///
/// # Safety
/// Nothing refers to it any more.
pub unsafe fn release(start: *mut u8, len_bytes: usize) {
    // SAFETY: by this function's contract. It cannot fail for a whole mapping.
    let _ = unsafe { libc::munmap(start.cast(), len_bytes) };
}

/// Asks for large pages; the system may have none.
pub fn prefer_large_pages(start: *mut u8, len_bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: the advice changes no contents. An error only says that there are no large pages.
    let _ = unsafe { libc::madvise(start.cast(), len_bytes, libc::MADV_HUGEPAGE) };
    #[cfg(not(target_os = "linux"))]
    let _ = (start, len_bytes);
}

/// Copies pages to `dest`, which is usable: only Linux can move them. Those at `source` are not used again.
///
/// # Safety
/// The pages at `source` are readable, and those at `dest` lie in a reservation of the caller's.
pub unsafe fn move_pages(source: *mut u8, dest: *mut u8, len_bytes: usize) -> Result<(), SystemError> {
    // SAFETY: by this function's contract; a reservation holds no part of the executable.
    unsafe { ptr::copy_nonoverlapping(source, dest, len_bytes) };
    Ok(())
}
