//! `random_get`.

use crate::host::clocks;
use crate::host::guest_memory::GuestMemory;
use crate::host::restrict;
use crate::sys::errno::Result;
use crate::sys::io_stream;

use super::{memory, status};

/// Fills a buffer with random bytes, good enough for keys.
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(export_name = "wasi_snapshot_preview1.random_get")]
pub unsafe extern "C" fn random_get(vmctx: *mut u8, buffer: u32, buffer_len: u32) -> u32 {
    // SAFETY: the caller's promise.
    let memory = unsafe { memory(vmctx) };
    status(fill(&memory, buffer, buffer_len))
}

/// Fills a buffer of the guest with random bytes.
pub(in crate::wasi) fn fill(memory: &GuestMemory, buffer: u32, buffer_len: u32) -> Result<()> {
    let start = memory.bytes(buffer, buffer_len)?;
    let (len, mut filled) = (buffer_len as usize, 0);
    if clocks::simulated() {
        // SAFETY: the whole buffer lies in guest memory, which no Rust reference covers.
        unsafe { restrict::repeatable_bytes(start, len) };
        return Ok(());
    }
    // The kernel may give fewer bytes than asked for when the buffer is long.
    while filled < len {
        // SAFETY: the whole buffer lies in guest memory, which no Rust reference covers.
        filled += unsafe { io_stream::random(start.wrapping_add(filled), len - filled) }?;
    }
    Ok(())
}
