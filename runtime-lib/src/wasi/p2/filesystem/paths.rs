//! Functions of `descriptor` that take paths, each below a directory that the guest has open.

#![allow(clippy::too_many_arguments, reason = "the parameters are those of the imports")]

use crate::host::files::{self, Opening, flag};
use crate::host::path::{PATH_MAX, Path};
use crate::host::sandbox::Root;
use crate::host::state::State as _;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::Metadata;
use crate::sys::fs::OFlags;
use crate::wasi::p1::path::metadata_of;

use super::super::call::{Call, Component};
use super::super::handles::Resource;
use super::{answer, check_string, new_time, number, put_hash, put_stat, read_path, status};

/// `symlink-follow` of `path-flags`.
const SYMLINK_FOLLOW: u32 = 1;

/// `descriptor-flags`.
const READ: u32 = 1;
const WRITE: u32 = 1 << 1;
const FILE_INTEGRITY_SYNC: u32 = 1 << 2;
const DATA_INTEGRITY_SYNC: u32 = 1 << 3;
const REQUESTED_WRITE_SYNC: u32 = 1 << 4;

/// The directory that a path is relative to, for a function that changes something: not through a read-only grant. The
/// path goes into `path`.
fn writable<C: Component>(call: Call<C>, fd: u32, from: (u32, u32), path: &mut Path) -> Result<Root> {
    let directory = call.state().any_directory(fd);
    read_path(call, path, from.0, from.1)?;
    let directory = directory?;
    directory.check_writable()?;
    Ok(directory.root())
}

/// The attributes of a path.
fn attributes<C: Component>(call: Call<C>, fd: u32, path_flags: u32, path: (u32, u32)) -> Result<Metadata> {
    check_string(call, path.0, path.1);
    match metadata_of(call.state(), &call.memory(), fd, path_flags & SYMLINK_FOLLOW, path) {
        Err(Errno::Ilseq) => call.trap("invalid utf-8 encoding of a string"),
        result => result,
    }
}

/// The flags of `open(2)` for those of `open-at`. Bits without a meaning do not count, as the canonical ABI wants.
fn open_flags(path_flags: u32, open_flags: u32, descriptor_flags: u32) -> Result<OFlags> {
    let asks = |bits: u32| descriptor_flags & bits != 0;
    let follow = path_flags & SYMLINK_FOLLOW != 0;
    let how = open_flags & (files::CREATE | files::DIRECTORY | files::EXCLUSIVE | files::TRUNCATE);
    Ok(Opening { follow, how, read: asks(READ), write: asks(WRITE) }.flags()?
        | flag(asks(DATA_INTEGRITY_SYNC), OFlags::DSYNC)
        | flag(asks(FILE_INTEGRITY_SYNC | REQUESTED_WRITE_SYNC), OFlags::SYNC))
}

/// Creates a directory.
pub fn descriptor_create_directory_at<C: Component>(call: Call<C>, this: u32, path: u32, len: u32, at: u32) {
    let fd = number(call, this);
    let mut store = Path::new();
    status(call, at, || {
        let root = writable(call, fd, (path, len), &mut store)?;
        files::create_directory(root, &mut store)
    });
}

/// Writes the attributes of a file.
pub fn descriptor_stat_at<C: Component>(call: Call<C>, this: u32, path_flags: u32, path: u32, len: u32, at: u32) {
    let fd = number(call, this);
    let found = || attributes(call, fd, path_flags, (path, len));
    answer(call, at, (104, 8, 8), found, |metadata| put_stat(call, at + 8, &metadata));
}

/// Writes a number that tells files apart.
pub fn descriptor_metadata_hash_at<C: Component>(
    call: Call<C>,
    this: u32,
    path_flags: u32,
    path: u32,
    len: u32,
    at: u32,
) {
    let fd = number(call, this);
    let found = || attributes(call, fd, path_flags, (path, len));
    answer(call, at, (24, 8, 8), found, |metadata| put_hash(call, at + 8, &metadata));
}

/// Sets the times of a file.
pub fn descriptor_set_times_at<C: Component>(
    call: Call<C>,
    this: u32,
    path_flags: u32,
    path: u32,
    len: u32,
    accessed: u32,
    accessed_seconds: u64,
    accessed_ns: u32,
    modified: u32,
    modified_seconds: u64,
    modified_ns: u32,
    at: u32,
) {
    let fd = number(call, this);
    let mut store = Path::new();
    status(call, at, || {
        let accessed = new_time(call, accessed, accessed_seconds, accessed_ns)?;
        let modified = new_time(call, modified, modified_seconds, modified_ns)?;
        let root = writable(call, fd, (path, len), &mut store)?;
        files::set_times(root, &mut store, path_flags & SYMLINK_FOLLOW != 0, accessed, modified)
    });
}

/// Makes a hard link. A symbolic link is never followed to what gets the new name.
pub fn descriptor_link_at<C: Component>(
    call: Call<C>,
    this: u32,
    path_flags: u32,
    path: u32,
    len: u32,
    new: u32,
    new_path: u32,
    new_len: u32,
    at: u32,
) {
    let (fd, new_fd) = (number(call, this), number(call, new));
    let (mut store, mut new_store) = (Path::new(), Path::new());
    status(call, at, || {
        let root = writable(call, fd, (path, len), &mut store)?;
        let new_root = writable(call, new_fd, (new_path, new_len), &mut new_store)?;
        if path_flags & SYMLINK_FOLLOW != 0 {
            return Err(Errno::Inval);
        }
        files::hard_link(root, &mut store, new_root, &mut new_store)
    });
}

/// Opens a file or directory and writes its handle.
pub fn descriptor_open_at<C: Component>(
    call: Call<C>,
    this: u32,
    path_flags: u32,
    path: u32,
    len: u32,
    how: u32,
    flags: u32,
    at: u32,
) {
    let fd = number(call, this);
    let mut store = Path::new();
    let open = || {
        read_path(call, &mut store, path, len)?;
        let directory = files::directory_to_open_in(call.state(), fd)?;
        files::open(call.state(), directory, &store, open_flags(path_flags, how, flags)?)
    };
    answer(call, at, (8, 4, 4), open, |fd| call.put_u32(at + 4, call.own(Resource::Descriptor(fd))));
}

/// Writes the target of a symbolic link.
pub fn descriptor_readlink_at<C: Component>(call: Call<C>, this: u32, path: u32, len: u32, at: u32) {
    let fd = number(call, this);
    let mut store = Path::new();
    let mut target = [0; PATH_MAX];
    let read = || {
        read_path(call, &mut store, path, len)?;
        let directory = call.state().any_directory(fd)?;
        if directory.is_of_tree() {
            // No node is a link.
            return attributes(call, fd, 0, (path, len)).and(Err(Errno::Inval));
        }
        let len = files::read_link(directory.root(), &mut store, &mut target)?;
        let target = target.get(..len).unwrap_or_default();
        core::str::from_utf8(target).map_err(|_| Errno::Ilseq)?;
        call.put_bytes(at + 4, &[target]);
        Ok(())
    };
    answer(call, at, (12, 4, 4), read, |()| {});
}

/// Removes an empty directory.
pub fn descriptor_remove_directory_at<C: Component>(call: Call<C>, this: u32, path: u32, len: u32, at: u32) {
    let fd = number(call, this);
    let mut store = Path::new();
    status(call, at, || {
        let root = writable(call, fd, (path, len), &mut store)?;
        files::remove_directory(root, &mut store)
    });
}

/// Renames a file or directory, also from one granted directory to another.
pub fn descriptor_rename_at<C: Component>(
    call: Call<C>,
    this: u32,
    path: u32,
    len: u32,
    new: u32,
    new_path: u32,
    new_len: u32,
    at: u32,
) {
    let (fd, new_fd) = (number(call, this), number(call, new));
    let (mut store, mut new_store) = (Path::new(), Path::new());
    status(call, at, || {
        let root = writable(call, fd, (path, len), &mut store)?;
        let new_root = writable(call, new_fd, (new_path, new_len), &mut new_store)?;
        files::rename(root, &mut store, new_root, &mut new_store)
    });
}

/// Makes a symbolic link.
pub fn descriptor_symlink_at<C: Component>(
    call: Call<C>,
    this: u32,
    target: u32,
    target_len: u32,
    path: u32,
    len: u32,
    at: u32,
) {
    let fd = number(call, this);
    let (mut store, mut target_store) = (Path::new(), Path::new());
    status(call, at, || {
        read_path(call, &mut target_store, target, target_len)?;
        let root = writable(call, fd, (path, len), &mut store)?;
        files::symbolic_link(&target_store, root, &mut store)
    });
}

/// Removes a file or a symbolic link.
pub fn descriptor_unlink_file_at<C: Component>(call: Call<C>, this: u32, path: u32, len: u32, at: u32) {
    let fd = number(call, this);
    let mut store = Path::new();
    status(call, at, || {
        let root = writable(call, fd, (path, len), &mut store)?;
        files::unlink(root, &mut store)
    });
}
