//! Opens the granted directories before the program starts.
//!
//! In comes the policy; out come descriptors from 3 on, in the order of the grants. A directory that cannot be opened
//! ends the process: a program that finds less than it was granted would fail later and less clearly.

use wasmelt_abi::descriptor::DirGrant;

#[cfg(all(target_os = "linux", not(feature = "portable")))]
use crate::sys::errno::Errno;
use crate::sys::errno::Result;
use crate::sys::fs;

use super::descriptor::{Descriptor, Kind};
#[cfg(all(target_os = "linux", not(feature = "portable")))]
use super::path::PATH_MAX;
use super::path::Path;
use super::policy;
use super::state::{Process, State as _};
use super::{narrowing, refusal};
use crate::rel::slice;

/// Opens the granted directories, see [`wasmelt_abi::symbols::HOOK_PREOPENS`].
///
/// # Safety
/// `vmctx` is a live context.
#[unsafe(export_name = "wasmelt_hook_preopens")]
pub unsafe extern "C" fn open_granted_directories(vmctx: *mut u8) {
    // SAFETY: the caller's promise.
    let policy = unsafe { policy::of(vmctx) };
    let mut number = 0;
    for grant in policy::directories(policy) {
        number += 1;
        let guest = slice(&grant.guest);
        if narrowing::names(b"no-dir", guest) {
            continue;
        }
        let read_only = grant.flags & DirGrant::READ_ONLY != 0 || narrowing::names(b"read-only", guest);
        if let Err(error) = open(grant, number, read_only) {
            refusal::fail("directory", slice(&grant.host), error);
        }
    }
}

fn open(grant: &'static DirGrant, number: u32, read_only: bool) -> Result<()> {
    let mut path = Path::new();
    path.set(slice(&grant.host))?;
    let place = Process.reserve()?;
    let read_only = if read_only { Descriptor::READ_ONLY } else { 0 };
    let handle = fs::open_granted(path.as_c_str())?;
    place.fill(handle, Kind::Directory, Descriptor::LOCATION | read_only, number);
    Ok(())
}

/// Makes relative host paths start at the folder of the executable, see
/// [`wasmelt_abi::symbols::HOOK_DIR_FROM_EXE`].
///
/// # Safety
/// None of the arguments matters; nothing was opened by a path of the host yet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_dir_from_exe(_vmctx: *mut u8) {
    if let Err(error) = start_at_executable() {
        refusal::fail("folder of the executable", b"/proc/self/exe", error);
    }
}

#[cfg(any(not(target_os = "linux"), feature = "portable"))]
use fs::start_granted_at_executable as start_at_executable;

#[cfg(all(target_os = "linux", not(feature = "portable")))]
fn start_at_executable() -> Result<()> {
    let mut target = [0; PATH_MAX];
    let len = fs::read_link(fs::WORKING_DIRECTORY, c"/proc/self/exe", &mut target)?;
    let executable = target.get(..len).filter(|path| path.len() < PATH_MAX).ok_or(Errno::Nametoolong)?;
    let folder_len = executable.iter().rposition(|&b| b == b'/').ok_or(Errno::Noent)?;
    let mut folder = Path::new();
    folder.set(executable.get(..folder_len.max(1)).ok_or(Errno::Noent)?)?;
    fs::start_granted_at(fs::open_granted(folder.as_c_str())?);
    Ok(())
}
