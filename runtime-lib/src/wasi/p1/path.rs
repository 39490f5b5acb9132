//! `path_*`: files by path, each below a directory that the guest has open.

#![allow(clippy::too_many_arguments, reason = "the parameters are those of the imports")]

use crate::host::descriptor::Descriptor;
use crate::host::files::{self, Opening, flag};
use crate::host::guest_memory::GuestMemory;
use crate::host::path::{PATH_MAX, Path};
use crate::host::sandbox::Root;
use crate::host::state::State;
use crate::host::tree::request::Request;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::Metadata;
use crate::sys::fs::OFlags;
use crate::wasi::caller::Caller;

use super::types::{
    FDFLAG_APPEND, FDFLAG_DSYNC, FDFLAG_NONBLOCK, FDFLAG_RSYNC, FDFLAG_SYNC, RIGHT_FD_READ, RIGHT_FD_WRITE,
    check_flags, follows, new_times, write_filestat,
};

/// A path as a guest passes it: address and length.
type GuestPath = (u32, u32);

/// The attributes of a path in a tree.
#[cold]
fn tree_metadata(state: impl State, directory: Descriptor, path: &Path) -> Result<Metadata> {
    let mut result = Metadata::UNKNOWN;
    state.ask_tree(Request::PathMetadata { directory, path, result: &mut result })?;
    Ok(result)
}

/// The directory that a path is relative to, for a function that changes something: not through a read-only grant. The
/// path goes into `path`.
fn writable(state: impl State, memory: &GuestMemory, fd: u32, from: GuestPath, path: &mut Path) -> Result<Root> {
    let directory = state.any_directory(fd)?;
    path.read_guest(memory, from.0, from.1)?;
    directory.check_writable()?;
    Ok(directory.root())
}

/// Creates a directory.
#[inline(always)]
pub fn path_create_directory(caller: impl Caller, fd: u32, path: u32, path_len: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let mut store = Path::new();
    writable(state, &memory, fd, (path, path_len), &mut store)
        .and_then(|root| files::create_directory(root, &mut store))
}

/// Writes the attributes of a file.
#[inline(always)]
pub fn path_filestat_get(
    caller: impl Caller,
    fd: u32,
    lookup_flags: u32,
    path: u32,
    path_len: u32,
    filestat_at: u32,
) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let metadata = metadata_of(state, &memory, fd, lookup_flags, (path, path_len));
    metadata.and_then(|metadata| write_filestat(&memory, filestat_at, &metadata))
}

/// The attributes of a file.
pub(in crate::wasi) fn metadata_of(
    state: impl State,
    memory: &GuestMemory,
    fd: u32,
    lookup_flags: u32,
    path: GuestPath,
) -> Result<Metadata> {
    let follow = follows(lookup_flags)?;
    let mut store = Path::new();
    let directory = state.any_directory(fd)?;
    store.read_guest(memory, path.0, path.1)?;
    match directory.is_of_tree() {
        true => tree_metadata(state, directory, &store),
        false => files::metadata(directory.root(), &mut store, follow),
    }
}

/// Sets the times of a file.
#[inline(always)]
pub fn path_filestat_set_times(
    caller: impl Caller,
    fd: u32,
    lookup_flags: u32,
    path: u32,
    path_len: u32,
    accessed: u64,
    modified: u64,
    flags: u32,
) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    follows(lookup_flags).and_then(|follow| {
        let (accessed, modified) = new_times(accessed, modified, flags)?;
        let mut store = Path::new();
        let root = writable(state, &memory, fd, (path, path_len), &mut store)?;
        files::set_times(root, &mut store, follow, accessed, modified)
    })
}

/// Makes a hard link. A symbolic link is never followed to what gets the new name.
#[inline(always)]
pub fn path_link(
    caller: impl Caller,
    fd: u32,
    lookup_flags: u32,
    path: u32,
    path_len: u32,
    new_fd: u32,
    new_path: u32,
    new_path_len: u32,
) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    follows(lookup_flags).and_then(|follow| {
        let mut store = Path::new();
        let root = writable(state, &memory, fd, (path, path_len), &mut store)?;
        let mut new_store = Path::new();
        let new_root = writable(state, &memory, new_fd, (new_path, new_path_len), &mut new_store)?;
        if follow {
            return Err(Errno::Inval);
        }
        files::hard_link(root, &mut store, new_root, &mut new_store)
    })
}

/// The flags of `open(2)` for those of `path_open`.
fn open_flags(follow: bool, oflags: u32, rights: u64, fdflags: u32) -> Result<OFlags> {
    check_flags(oflags, 0xf)?;
    check_flags(fdflags, 0x1f)?;
    let (read, write) = (rights & RIGHT_FD_READ != 0, rights & RIGHT_FD_WRITE != 0);
    Ok(Opening { follow, how: oflags, read, write }.flags()?
        | flag(fdflags & FDFLAG_APPEND != 0, OFlags::APPEND)
        | flag(fdflags & FDFLAG_NONBLOCK != 0, OFlags::NONBLOCK)
        | flag(fdflags & FDFLAG_DSYNC != 0, OFlags::DSYNC)
        | flag(fdflags & (FDFLAG_SYNC | FDFLAG_RSYNC) != 0, OFlags::SYNC))
}

/// Opens a file or directory and writes its descriptor.
#[inline(always)]
pub fn path_open(
    caller: impl Caller,
    fd: u32,
    lookup_flags: u32,
    path: u32,
    path_len: u32,
    oflags: u32,
    rights: u64,
    _rights_inheriting: u64,
    fdflags: u32,
    opened_at: u32,
) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    follows(lookup_flags).and_then(|follow| {
        // Checked first: a descriptor that the guest does not hear of would stay open.
        memory.bytes(opened_at, 4)?;
        let mut store = Path::new();
        store.read_guest(&memory, path, path_len)?;
        let directory = files::directory_to_open_in(state, fd)?;
        let flags = open_flags(follow, oflags, rights, fdflags)?;
        memory.write_u32(opened_at, files::open(state, directory, &store, flags)?)
    })
}

/// Reads the target of a symbolic link, as much of it as the buffer holds, and writes how much that was.
#[inline(always)]
pub fn path_readlink(
    caller: impl Caller,
    fd: u32,
    path: u32,
    path_len: u32,
    buffer: u32,
    buffer_len: u32,
    used_at: u32,
) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let mut store = Path::new();
    state.any_directory(fd).and_then(|directory| {
        store.read_guest(&memory, path, path_len)?;
        if directory.is_of_tree() {
            // No node is a link.
            return tree_metadata(state, directory, &store).and(Err(Errno::Inval));
        }
        let root = directory.root();
        let mut target = [0; PATH_MAX];
        let len = files::read_link(root, &mut store, &mut target)?.min(buffer_len as usize);
        let target = target.get(..len).unwrap_or_default();
        memory.write_bytes(buffer, target)?;
        memory.write_u32(used_at, len as u32)
    })
}

/// Removes an empty directory.
#[inline(always)]
pub fn path_remove_directory(caller: impl Caller, fd: u32, path: u32, path_len: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let mut store = Path::new();
    writable(state, &memory, fd, (path, path_len), &mut store)
        .and_then(|root| files::remove_directory(root, &mut store))
}

/// Renames a file or directory, also from one granted directory to another.
#[inline(always)]
pub fn path_rename(
    caller: impl Caller,
    fd: u32,
    path: u32,
    path_len: u32,
    new_fd: u32,
    new_path: u32,
    new_path_len: u32,
) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let mut store = Path::new();
    writable(state, &memory, fd, (path, path_len), &mut store).and_then(|root| {
        let mut new_store = Path::new();
        let new_root = writable(state, &memory, new_fd, (new_path, new_path_len), &mut new_store)?;
        files::rename(root, &mut store, new_root, &mut new_store)
    })
}

/// Makes a symbolic link.
#[inline(always)]
pub fn path_symlink(
    caller: impl Caller,
    target: u32,
    target_len: u32,
    fd: u32,
    path: u32,
    path_len: u32,
) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let mut store = Path::new();
    writable(state, &memory, fd, (path, path_len), &mut store).and_then(|root| {
        let mut target_store = Path::new();
        target_store.read_guest(&memory, target, target_len)?;
        files::symbolic_link(&target_store, root, &mut store)
    })
}

/// Removes a file or a symbolic link.
#[inline(always)]
pub fn path_unlink_file(caller: impl Caller, fd: u32, path: u32, path_len: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let mut store = Path::new();
    writable(state, &memory, fd, (path, path_len), &mut store).and_then(|root| files::unlink(root, &mut store))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_follows_rights_and_what_is_asked_for() {
        let mode = |oflags, rights| open_flags(true, oflags, rights, 0).unwrap() & OFlags::RWMODE;
        assert_eq!(mode(0, 0), OFlags::RDONLY);
        assert_eq!(mode(0, RIGHT_FD_READ), OFlags::RDONLY);
        assert_eq!(mode(0, RIGHT_FD_WRITE), OFlags::WRONLY);
        assert_eq!(mode(0, RIGHT_FD_READ | RIGHT_FD_WRITE), OFlags::RDWR);
        assert_eq!(mode(files::CREATE, 0), OFlags::RDWR);
        assert_eq!(mode(files::TRUNCATE, RIGHT_FD_READ), OFlags::RDWR);
        assert_eq!(mode(files::CREATE, RIGHT_FD_WRITE), OFlags::WRONLY);
        assert_eq!(open_flags(true, files::DIRECTORY | files::CREATE, 0, 0), Err(Errno::Inval));
        assert_eq!(open_flags(true, 0x10, 0, 0), Err(Errno::Inval));
        assert_eq!(open_flags(true, 0, 0, 0x20), Err(Errno::Inval));
        assert!(!open_flags(true, 0, 0, 0).unwrap().contains(OFlags::NOFOLLOW));
        assert!(open_flags(false, 0, 0, 0).unwrap().contains(OFlags::NOFOLLOW));
        assert!(!open_flags(true, files::EXCLUSIVE, 0, 0).unwrap().contains(OFlags::EXCL));
    }
}
