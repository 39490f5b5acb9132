//! Anonymous memory for host functions.

use crate::sys::errno::{Errno, Result};

use super::pages;

/// Maps zeroed, readable and writable memory, aligned to a page.
pub fn map(len_bytes: usize) -> Result<*mut u8> {
    let start = pages::reserve(len_bytes).map_err(|_| Errno::Nomem)?;
    // SAFETY: the pages are the new reservation.
    if unsafe { pages::commit(start, len_bytes) }.is_err() {
        // SAFETY: nothing refers to it.
        unsafe { pages::release(start, len_bytes) };
        return Err(Errno::Nomem);
    }
    Ok(start)
}

/// Gives a mapping back.
///
/// # Safety
/// It came from [`map`] with this length, and nothing refers to it any more.
pub unsafe fn unmap(start: *mut u8, len_bytes: usize) {
    // SAFETY: by this function's contract.
    unsafe { pages::release(start, len_bytes) };
}
