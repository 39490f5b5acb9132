//! `random_get`.

use crate::host::guest_memory::GuestMemory;
use crate::host::state::State;
use crate::sys::errno::Result;
use crate::wasi::caller::Caller;

/// Fills a buffer with random bytes, good enough for keys.
#[inline(always)]
pub fn random_get(caller: impl Caller, buffer: u32, buffer_len: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    fill(state, &memory, buffer, buffer_len)
}

/// Fills a buffer of the guest with random bytes.
pub(in crate::wasi) fn fill(state: impl State, memory: &GuestMemory, buffer: u32, buffer_len: u32) -> Result<()> {
    let start = memory.bytes(buffer, buffer_len)?;
    let (len, mut filled) = (buffer_len as usize, 0);
    // The kernel may give fewer bytes than asked for when the buffer is long.
    while filled < len {
        // SAFETY: the whole buffer lies in guest memory, which no Rust reference covers.
        filled += unsafe { state.random(start.wrapping_add(filled), len - filled) }?;
    }
    Ok(())
}
