//! `fd_prestat_*`: which directories were granted.

use crate::host::state::State as _;
use crate::sys::errno::{Errno, Result};
use crate::wasi::caller::Caller;

/// Writes the length of the name of a granted directory.
#[inline(always)]
pub fn fd_prestat_get(caller: impl Caller, fd: u32, prestat_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let descriptor = state.get(fd)?;
    let len = caller.with_guest_name(&descriptor, <[u8]>::len).ok_or(Errno::Badf)?;
    // The tag 0 means a directory.
    memory.write_u64(prestat_at, (len as u64) << 32)
}

/// Writes the name of a granted directory.
#[inline(always)]
pub fn fd_prestat_dir_name(caller: impl Caller, fd: u32, name_at: u32, name_len: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let descriptor = state.get(fd)?;
    let write = |name: &[u8]| {
        if name.len() > name_len as usize {
            return Err(Errno::Nametoolong);
        }
        memory.write_bytes(name_at, name)
    };
    caller.with_guest_name(&descriptor, write).unwrap_or(Err(Errno::Notdir))
}
