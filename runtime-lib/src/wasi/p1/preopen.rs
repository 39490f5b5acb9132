//! `fd_prestat_*`: which directories were granted.

use crate::host::descriptors;
use crate::host::policy;
use crate::host::tree;
use crate::rel::slice;
use crate::sys::errno::{Errno, Result};

use super::{memory, status};

/// The guest's name of the granted directory that `fd` is; `not_granted` where it is something else.
///
/// # Safety
/// `vmctx` is a live context.
unsafe fn guest_name(vmctx: *mut u8, fd: u32, not_granted: Errno) -> Result<&'static [u8]> {
    let descriptor = descriptors::get(fd)?;
    // SAFETY: the caller's promise.
    let policy = unsafe { policy::of(vmctx) };
    if descriptor.is_of_tree() {
        return tree::guest_name(policy, &descriptor).ok_or(not_granted);
    }
    let grants = policy::directories(policy);
    let grant = (descriptor.grant as usize).checked_sub(1).and_then(|index| grants.get(index)).ok_or(not_granted)?;
    Ok(slice(&grant.guest))
}

/// Writes the length of the name of a granted directory.
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(export_name = "wasi_snapshot_preview1.fd_prestat_get")]
pub unsafe extern "C" fn fd_prestat_get(vmctx: *mut u8, fd: u32, prestat_at: u32) -> u32 {
    // SAFETY: the caller's promise.
    let (memory, name) = unsafe { (memory(vmctx), guest_name(vmctx, fd, Errno::Badf)) };
    // The tag 0 means a directory.
    status(name.and_then(|name| memory.write_u64(prestat_at, (name.len() as u64) << 32)))
}

/// Writes the name of a granted directory.
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(export_name = "wasi_snapshot_preview1.fd_prestat_dir_name")]
pub unsafe extern "C" fn fd_prestat_dir_name(vmctx: *mut u8, fd: u32, name_at: u32, name_len: u32) -> u32 {
    // SAFETY: the caller's promise.
    let (memory, name) = unsafe { (memory(vmctx), guest_name(vmctx, fd, Errno::Notdir)) };
    status(name.and_then(|name| {
        if name.len() > name_len as usize {
            return Err(Errno::Nametoolong);
        }
        memory.write_bytes(name_at, name)
    }))
}
