//! Pages of memory: reserve address space, make part of it usable, move pages of the executable into it.

use core::ptr;

use rustix::mm::{self, MapFlags, MprotectFlags, MremapFlags, ProtFlags};

use super::SystemError;

/// The page size that lengths and addresses are rounded to: the largest that the architecture's kernels use.
#[cfg(target_arch = "x86_64")]
pub const PAGE_BYTES: usize = 4096;

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
    let flags = MapFlags::PRIVATE | MapFlags::STACK;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let start = unsafe { mm::mmap_anonymous(ptr::null_mut(), len_bytes, ProtFlags::empty(), flags) }?;
    Ok(start.cast())
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
    unsafe { mm::mprotect(start.cast(), len_bytes, MprotectFlags::READ | MprotectFlags::WRITE) }?;
    Ok(())
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
    // SAFETY: by this function's contract.
    unsafe { mm::mremap_fixed(source.cast(), len_bytes, len_bytes, MremapFlags::MAYMOVE, dest.cast()) }?;
    Ok(())
}
