//! `descriptor` of `wasi:filesystem/types`, other than functions of paths and entries: what is open.

#![allow(clippy::too_many_arguments, reason = "the parameters are those of the imports")]

use crate::host::descriptor::{Descriptor, Kind};
use crate::host::files;
use crate::host::state::State;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::Metadata;
use crate::sys::fs::{self, OFlags};
use crate::wasi::p1::fd::metadata_of;

use super::super::call::{Call, Component};
use super::super::code::error_code;
use super::super::error::error;
use super::super::handles::{Resource, Stream};
use super::super::transfer::{self, buffered};
use super::{answer, check_file, descriptor_type, new_time, number, put_hash, put_stat, status};

/// `descriptor-flags`.
const READ: u8 = 1;
const WRITE: u8 = 1 << 1;
const FILE_INTEGRITY_SYNC: u8 = 1 << 2;
const DATA_INTEGRITY_SYNC: u8 = 1 << 3;
const MUTATE_DIRECTORY: u8 = 1 << 5;

/// Writes the handle of a stream of a file.
fn stream<C: Component>(call: Call<C>, this: u32, at: u32, resource: impl FnOnce(Stream) -> Resource) {
    let fd = number(call, this);
    let put = |()| call.put_u32(at + 4, call.own(resource(call.stream(fd))));
    answer(call, at, (8, 4, 4), || check_file(call.state(), fd), put);
}

/// What is open, where it is a file or directory of the system.
fn of_system(state: impl State, fd: u32) -> Result<Descriptor> {
    let descriptor = state.get(fd)?;
    match descriptor.kind {
        Kind::File | Kind::Directory => Ok(descriptor),
        // Nothing of a tree changes.
        _ => Err(Errno::Perm),
    }
}

fn flags(state: impl State, fd: u32) -> Result<u8> {
    let descriptor = state.get(fd)?;
    match descriptor.kind {
        Kind::Directory => Ok(READ | if descriptor.check_writable().is_ok() { MUTATE_DIRECTORY } else { 0 }),
        Kind::TreeDirectory | Kind::TreeFile => Ok(READ),
        _ => {
            let flags = fs::flags(descriptor.handle)?;
            let access = match flags & OFlags::RWMODE {
                OFlags::WRONLY => WRITE,
                OFlags::RDWR => READ | WRITE,
                _ => READ,
            };
            let sync = if flags.contains(OFlags::SYNC) { FILE_INTEGRITY_SYNC | DATA_INTEGRITY_SYNC } else { 0 };
            let data_sync = if flags.contains(OFlags::DSYNC) { DATA_INTEGRITY_SYNC } else { 0 };
            Ok(access | sync | data_sync)
        }
    }
}

/// Writes a stream that reads from an offset on.
pub fn descriptor_read_via_stream<C: Component>(call: Call<C>, this: u32, position: u64, at: u32) {
    stream(call, this, at, |stream| Resource::Input { stream, position });
}

/// Writes a stream that writes from an offset on.
pub fn descriptor_write_via_stream<C: Component>(call: Call<C>, this: u32, offset: u64, at: u32) {
    stream(call, this, at, |stream| Resource::Output { stream, position: Some(offset) });
}

/// Writes a stream that writes at the end.
pub fn descriptor_append_via_stream<C: Component>(call: Call<C>, this: u32, at: u32) {
    stream(call, this, at, |stream| Resource::Output { stream, position: None });
}

/// Says how a part of a file will be used.
pub fn descriptor_advise<C: Component>(call: Call<C>, this: u32, offset: u64, len: u64, advice: u32, at: u32) {
    let fd = number(call, this);
    let Some(advice) = files::advice(advice) else { call.trap("unexpected discriminant of `advice`") };
    status(call, at, || {
        check_file(call.state(), fd)?;
        let file = call.state().get(fd)?;
        // Nothing of a tree is read from a device.
        if file.is_of_tree() { Ok(()) } else { fs::advise(file.handle, offset, len, advice) }
    });
}

/// Writes a file's content to its device.
pub fn descriptor_sync_data<C: Component>(call: Call<C>, this: u32, at: u32) {
    let fd = number(call, this);
    status(call, at, || match call.state().get(fd)? {
        // Entries of directories are written by their file system.
        descriptor if descriptor.kind != Kind::File => Ok(()),
        descriptor => fs::sync_data(descriptor.handle),
    });
}

/// Writes what the descriptor allows.
pub fn descriptor_get_flags<C: Component>(call: Call<C>, this: u32, at: u32) {
    let fd = number(call, this);
    answer(call, at, (2, 1, 1), || flags(call.state(), fd), |flags| call.put_u8(at + 1, flags));
}

/// Writes the type of what is open.
pub fn descriptor_get_type<C: Component>(call: Call<C>, this: u32, at: u32) {
    let fd = number(call, this);
    let put = |metadata: Metadata| call.put_u8(at + 1, descriptor_type(metadata.file_type));
    answer(call, at, (2, 1, 1), || metadata_of(call.state(), fd), put);
}

/// Sets the length of a file.
pub fn descriptor_set_size<C: Component>(call: Call<C>, this: u32, size: u64, at: u32) {
    let fd = number(call, this);
    status(call, at, || {
        let file = call.state().file(fd)?;
        file.check_writable()?;
        fs::set_size(file.handle, size)
    });
}

/// Sets the times of what is open.
pub fn descriptor_set_times<C: Component>(
    call: Call<C>,
    this: u32,
    accessed: u32,
    accessed_seconds: u64,
    accessed_ns: u32,
    modified: u32,
    modified_seconds: u64,
    modified_ns: u32,
    at: u32,
) {
    let fd = number(call, this);
    status(call, at, || {
        let accessed = new_time(call, accessed, accessed_seconds, accessed_ns)?;
        let modified = new_time(call, modified, modified_seconds, modified_ns)?;
        let descriptor = of_system(call.state(), fd)?;
        descriptor.check_writable()?;
        files::set_open_times(descriptor.handle, descriptor.kind == Kind::Directory, accessed, modified)
    });
}

/// Reads at an offset, and says whether the file ends there.
pub fn descriptor_read<C: Component>(call: Call<C>, this: u32, len: u64, offset: u64, at: u32) {
    let fd = number(call, this);
    let read = || {
        check_file(call.state(), fd)?;
        if len == 0 { Ok(0) } else { transfer::read_at(call, call.state().get(fd)?, len, offset) }
    };
    answer(call, at, (16, 4, 4), read, |read| {
        call.put_bytes(at + 4, &[buffered(call, read)]);
        call.put_u8(at + 12, (read == 0 && len != 0).into());
    });
}

/// Writes a list of bytes at an offset, and how many were written.
pub fn descriptor_write<C: Component>(call: Call<C>, this: u32, list: u32, len: u32, offset: u64, at: u32) {
    let fd = number(call, this);
    call.list(list, len, 1, 1);
    let write = || {
        check_file(call.state(), fd)?;
        let start = call.memory().bytes(list, len)?;
        // SAFETY: the bytes lie in guest memory.
        unsafe { transfer::write(call.state(), fd, Some(offset), start, len as usize) }
    };
    answer(call, at, (16, 8, 8), write, |()| call.put_u64(at + 8, len.into()));
}

/// Writes a file's content and attributes to its device.
pub fn descriptor_sync<C: Component>(call: Call<C>, this: u32, at: u32) {
    let fd = number(call, this);
    status(call, at, || match call.state().get(fd)? {
        // As for `sync-data`.
        descriptor if descriptor.kind != Kind::File => Ok(()),
        descriptor => fs::sync(descriptor.handle),
    });
}

/// Writes the attributes of what is open.
pub fn descriptor_stat<C: Component>(call: Call<C>, this: u32, at: u32) {
    let fd = number(call, this);
    answer(call, at, (104, 8, 8), || metadata_of(call.state(), fd), |metadata| put_stat(call, at + 8, &metadata));
}

/// Whether two descriptors are of the same file.
pub fn descriptor_is_same_object<C: Component>(call: Call<C>, this: u32, other: u32) -> u32 {
    let (this, other) = (number(call, this), number(call, other));
    let is_same = match (metadata_of(call.state(), this), metadata_of(call.state(), other)) {
        (Ok(a), Ok(b)) => (a.device, a.inode) == (b.device, b.inode),
        _ => false,
    };
    is_same.into()
}

/// Writes a number that tells files apart.
pub fn descriptor_metadata_hash<C: Component>(call: Call<C>, this: u32, at: u32) {
    let fd = number(call, this);
    answer(call, at, (24, 8, 8), || metadata_of(call.state(), fd), |metadata| put_hash(call, at + 8, &metadata));
}

/// Writes the `error-code` behind an error of a stream.
pub fn filesystem_error_code<C: Component>(call: Call<C>, failed: u32, at: u32) {
    call.result_at(at, 2, 1);
    let code = error_code(error(call, failed));
    call.put(at, [1, code]);
}

/// Drops a handle.
pub fn drop_descriptor<C: Component>(call: Call<C>, this: u32) {
    call.drop_handle(this, |resource| matches!(resource, Resource::Descriptor(_)));
}
