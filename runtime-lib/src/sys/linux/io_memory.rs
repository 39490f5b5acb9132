//! Anonymous memory for host functions, which have no other allocator.

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::sys::errno::Result;

use super::io_error::from_rustix;

/// Maps zeroed, readable and writable memory, aligned to a page.
pub fn map(len_bytes: usize) -> Result<*mut u8> {
    // SAFETY: a new mapping at a place that the kernel chooses.
    let start = unsafe {
        mmap_anonymous(core::ptr::null_mut(), len_bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
    };
    start.map(|start| start.cast()).map_err(from_rustix)
}

/// Gives a mapping back.
///
/// # Safety
/// It came from [`map`] with this length, and nothing refers to it any more.
pub unsafe fn unmap(start: *mut u8, len_bytes: usize) {
    // SAFETY: the caller's promise. It cannot fail for a whole mapping.
    let _ = unsafe { munmap(start.cast(), len_bytes) };
}
