//! Opens the granted directories before the program starts.
//!
//! In comes the policy; out come descriptors from 3 on, in the order of the grants. A directory that cannot be opened
//! ends the process: a program that finds less than it was granted would fail later and less clearly.

use wasmelt_abi::descriptor::DirGrant;
use wasmelt_abi::trap::START_FAILED_EXIT_CODE;

use crate::report::Report;
use crate::sys::errno::{Errno, Result};
use crate::sys::{Stream, fs};

use super::descriptors::{self, Descriptor, Kind};
#[cfg(all(target_os = "linux", not(feature = "portable")))]
use super::path::PATH_MAX;
use super::path::Path;
use super::policy::{self, slice};
use super::restrict;

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
        if restrict::names(b"no-dir", guest) {
            continue;
        }
        let read_only = grant.flags & DirGrant::READ_ONLY != 0 || restrict::names(b"read-only", guest);
        if let Err(error) = open(grant, number, read_only) {
            fail("directory", slice(&grant.host), error);
        }
    }
}

fn open(grant: &'static DirGrant, number: u32, read_only: bool) -> Result<()> {
    let mut path = Path::new();
    path.set(slice(&grant.host))?;
    let place = descriptors::reserve()?;
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
        fail("folder of the executable", b"/proc/self/exe", error);
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

/// Says what could not be opened, and ends the process.
#[cold]
pub(super) fn fail(what: &str, host: &[u8], error: Errno) -> ! {
    let mut report = Report::new(Stream::Error);
    report.failure().text("cannot open granted ").text(what).text(" '").bytes(host).text("': ").bytes(describe(error));
    report.exit(START_FAILED_EXIT_CODE)
}

/// The words for an error of opening a directory.
fn describe(error: Errno) -> &'static [u8] {
    // One string, because a table of strings would need relocations in a position-independent executable.
    const WORDS: &[u8] = b"\x2cno such file or directory\0\x02permission denied\0\x36not a directory\0\
        \x20too many levels of symbolic links\0\x25file name too long\0\x21too many open files\0\
        \x29too many open files in system\0\x3foperation not permitted\0";
    for entry in WORDS.split(|&b| b == 0) {
        if let Some((&number, words)) = entry.split_first()
            && number == error as u8
        {
            return words;
        }
    }
    b"the operating system refused"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_words() {
        let of = |error| std::str::from_utf8(describe(error)).unwrap();
        assert_eq!(of(Errno::Noent), "no such file or directory");
        assert_eq!(of(Errno::Acces), "permission denied");
        assert_eq!(of(Errno::Notdir), "not a directory");
        assert_eq!(of(Errno::Loop), "too many levels of symbolic links");
        assert_eq!(of(Errno::Nametoolong), "file name too long");
        assert_eq!(of(Errno::Mfile), "too many open files");
        assert_eq!(of(Errno::Nfile), "too many open files in system");
        assert_eq!(of(Errno::Perm), "operation not permitted");
        assert_eq!(of(Errno::Io), "the operating system refused");
    }
}
