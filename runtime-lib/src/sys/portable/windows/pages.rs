//! Pages of memory: reserve address space, make part of it usable, copy pages of the executable into it.

use core::ptr;

use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_NOACCESS, PAGE_READWRITE, VirtualAlloc, VirtualFree,
};

use crate::sys::SystemError;

/// The page size that lengths and addresses are rounded to.
pub const PAGE_BYTES: usize = 4096;

/// Rounds up to whole pages; `None` on overflow.
pub const fn round_up(bytes: usize) -> Option<usize> {
    match bytes.checked_add(PAGE_BYTES - 1) {
        Some(sum) => Some(sum & !(PAGE_BYTES - 1)),
        None => None,
    }
}

/// Reserves address space that nothing can access.
pub fn reserve(len_bytes: usize) -> Result<*mut u8, SystemError> {
    // SAFETY: a new reservation at an address of the system's choice.
    let start = unsafe { VirtualAlloc(ptr::null(), len_bytes, MEM_RESERVE, PAGE_NOACCESS) };
    if start.is_null() { Err(SystemError::last()) } else { Ok(start.cast()) }
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
    let result = unsafe { VirtualAlloc(start.cast(), len_bytes, MEM_COMMIT, PAGE_READWRITE) };
    if result.is_null() { Err(SystemError::last()) } else { Ok(()) }
}

/// Gives a reservation back, all of it.
///
/// # Safety
/// It begins at `start`, and nothing refers to it any more.
pub unsafe fn release(start: *mut u8, _len_bytes: usize) {
    // SAFETY: by this function's contract. It cannot fail for a whole reservation.
    let _ = unsafe { VirtualFree(start.cast(), 0, MEM_RELEASE) };
}

/// Asks for large pages, which need a privilege here: nothing happens.
pub fn prefer_large_pages(_start: *mut u8, _len_bytes: usize) {}

/// Copies pages to `dest`, which is usable: only Linux can move them. Those at `source` are not used again.
///
/// # Safety
/// The pages at `source` are readable, and those at `dest` lie in a reservation of the caller's.
pub unsafe fn move_pages(source: *mut u8, dest: *mut u8, len_bytes: usize) -> Result<(), SystemError> {
    // SAFETY: by this function's contract; a reservation holds no part of the executable.
    unsafe { ptr::copy_nonoverlapping(source, dest, len_bytes) };
    Ok(())
}
