//! Pages of memory: reserve address space, make part of it usable, move pages of the executable into it.

use core::ptr;

use linux_raw_sys::general::{
    __NR_mmap, __NR_mprotect, __NR_mremap, __NR_munmap, MAP_ANONYMOUS, MAP_PRIVATE, MAP_STACK, MREMAP_FIXED,
    MREMAP_MAYMOVE, PROT_NONE, PROT_READ, PROT_WRITE,
};
use rustix::mm;

use super::{SystemError, arch};

/// The page size that lengths and addresses are rounded to: the largest that the architecture's kernels use.
#[cfg(target_arch = "x86_64")]
pub const PAGE_BYTES: usize = 4096;
/// The page size that lengths and addresses are rounded to: the largest that the architecture's kernels use.
#[cfg(target_arch = "aarch64")]
pub const PAGE_BYTES: usize = 65536;

/// Rounds up to whole pages; `None` on overflow.
pub const fn round_up(bytes: usize) -> Option<usize> {
    match bytes.checked_add(PAGE_BYTES - 1) {
        Some(sum) => Some(sum & !(PAGE_BYTES - 1)),
        None => None,
    }
}

/// Reserves address space that nothing can access.
///
/// Not `MAP_NORESERVE`: an inaccessible private mapping is not accounted for anyway, but pages that [`commit`] makes
/// usable then are, so that `memory.grow` can fail where the system could never provide them.
///
/// `MAP_STACK` keeps large pages out where the system uses them unasked: with them the first touch of the call stack
/// would clear 2 MiB. A memory can ask for them, see [`prefer_large_pages`].
pub fn reserve(len_bytes: usize) -> Result<*mut u8, SystemError> {
    reserve_at(0, len_bytes)
}

/// As [`reserve`], where it is possible a little above `place` in the executable: the same page of the kernel's tables
/// describes both then, as long as they lie in one gigabyte, and need not be made and cleared twice. Where the kernel
/// chooses the place, that is at a constant distance below the executable as well.
#[inline(always)]
pub fn reserve_above(place: usize, len_bytes: usize) -> Result<*mut u8, SystemError> {
    // Most executables end before.
    const DISTANCE_BYTES: usize = 64 << 20;
    const ALIGN: usize = 2 << 20;
    reserve_at((place & !(ALIGN - 1)).wrapping_add(DISTANCE_BYTES), len_bytes)
}

/// Reserves address space at an address if it is free there, anywhere else otherwise.
#[inline(always)]
fn reserve_at(hint: usize, len_bytes: usize) -> Result<*mut u8, SystemError> {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK;
    let arguments = [hint, len_bytes, PROT_NONE as usize, flags as usize, usize::MAX, 0];
    // SAFETY: a new mapping, which replaces none.
    let start = SystemError::check(unsafe { arch::system_call_6(__NR_mmap, arguments) })?;
    Ok(ptr::with_exposed_provenance_mut(start))
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
    let result =
        unsafe { arch::system_call(__NR_mprotect, [start as usize, len_bytes, (PROT_READ | PROT_WRITE) as usize, 0]) };
    SystemError::check(result).map(|_| ())
}

/// Gives a reservation back.
///
/// # Safety
/// Nothing refers to it any more.
pub unsafe fn release(start: *mut u8, len_bytes: usize) {
    // SAFETY: by this function's contract. It cannot fail for a whole mapping.
    unsafe { arch::system_call(__NR_munmap, [start as usize, len_bytes, 0, 0]) };
}

/// Asks for large pages; the system may have none.
pub fn prefer_large_pages(start: *mut u8, len_bytes: usize) {
    // SAFETY: the advice changes no contents. An error only says that there are no large pages.
    let _ = unsafe { mm::madvise(start.cast(), len_bytes, mm::Advice::LinuxHugepage) };
}

/// Moves pages to `dest` and replaces what was mapped there. Pages of a file stay copy-on-write and are not read.
///
/// # Safety
/// Nothing refers to the source pages afterwards, and `dest` lies in a reservation of the caller's.
pub unsafe fn move_pages(source: *mut u8, dest: *mut u8, len_bytes: usize) -> Result<(), SystemError> {
    let flags = (MREMAP_MAYMOVE | MREMAP_FIXED) as usize;
    let arguments = [source as usize, len_bytes, len_bytes, flags, dest as usize, 0];
    // SAFETY: by this function's contract.
    SystemError::check(unsafe { arch::system_call_6(__NR_mremap, arguments) }).map(|_| ())
}
