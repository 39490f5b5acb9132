//! `descriptor` of `wasi:filesystem/types`, other than functions of paths and entries: what is open.

use wasmelt_abi::component::Canon;

use crate::host::descriptor::{Descriptor, Kind};
use crate::host::state::{Process, State as _};
use crate::host::{descriptors, files};
use crate::sys::errno::{Errno, Result};
use crate::sys::file::Metadata;
use crate::sys::fs::{self, OFlags};
use crate::wasi::p1::fd::metadata_of;

use super::super::call::Call;
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
fn stream(call: Call, this: u32, at: u32, resource: impl FnOnce(Stream) -> Resource) {
    let fd = number(call, this);
    let put = |()| call.put_u32(at + 4, call.own(resource(Stream::new(fd))));
    answer(call, at, (8, 4, 4), || check_file(fd), put);
}

/// What is open, where it is a file or directory of the system.
fn of_system(fd: u32) -> Result<Descriptor> {
    let descriptor = descriptors::get(fd)?;
    match descriptor.kind {
        Kind::File | Kind::Directory => Ok(descriptor),
        // Nothing of a tree changes.
        _ => Err(Errno::Perm),
    }
}

fn flags(fd: u32) -> Result<u8> {
    let descriptor = descriptors::get(fd)?;
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
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.read-via-stream")]
pub unsafe extern "C" fn descriptor_read_via_stream(canon: *const Canon, this: u32, position: u64, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    stream(call, this, at, |stream| Resource::Input { stream, position });
}

/// Writes a stream that writes from an offset on.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.write-via-stream")]
pub unsafe extern "C" fn descriptor_write_via_stream(canon: *const Canon, this: u32, offset: u64, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    stream(call, this, at, |stream| Resource::Output { stream, position: Some(offset) });
}

/// Writes a stream that writes at the end.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.append-via-stream")]
pub unsafe extern "C" fn descriptor_append_via_stream(canon: *const Canon, this: u32, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    stream(call, this, at, |stream| Resource::Output { stream, position: None });
}

/// Says how a part of a file will be used.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.advise")]
pub unsafe extern "C" fn descriptor_advise(
    canon: *const Canon,
    this: u32,
    offset: u64,
    len: u64,
    advice: u32,
    at: u32,
) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    let fd = number(call, this);
    let Some(advice) = files::advice(advice) else { call.trap("unexpected discriminant of `advice`") };
    status(call, at, || {
        check_file(fd)?;
        let file = descriptors::get(fd)?;
        // Nothing of a tree is read from a device.
        if file.is_of_tree() { Ok(()) } else { fs::advise(file.handle, offset, len, advice) }
    });
}

/// Writes a file's content to its device.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.sync-data")]
pub unsafe extern "C" fn descriptor_sync_data(canon: *const Canon, this: u32, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    let fd = number(call, this);
    status(call, at, || match descriptors::get(fd)? {
        // Entries of directories are written by their file system.
        descriptor if descriptor.kind != Kind::File => Ok(()),
        descriptor => fs::sync_data(descriptor.handle),
    });
}

/// Writes what the descriptor allows.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.get-flags")]
pub unsafe extern "C" fn descriptor_get_flags(canon: *const Canon, this: u32, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    let fd = number(call, this);
    answer(call, at, (2, 1, 1), || flags(fd), |flags| call.put_u8(at + 1, flags));
}

/// Writes the type of what is open.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.get-type")]
pub unsafe extern "C" fn descriptor_get_type(canon: *const Canon, this: u32, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    let fd = number(call, this);
    let put = |metadata: Metadata| call.put_u8(at + 1, descriptor_type(metadata.file_type));
    answer(call, at, (2, 1, 1), || metadata_of(Process, fd), put);
}

/// Sets the length of a file.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.set-size")]
pub unsafe extern "C" fn descriptor_set_size(canon: *const Canon, this: u32, size: u64, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    let fd = number(call, this);
    status(call, at, || {
        let file = Process.file(fd)?;
        file.check_writable()?;
        fs::set_size(file.handle, size)
    });
}

/// Sets the times of what is open.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.set-times")]
pub unsafe extern "C" fn descriptor_set_times(
    canon: *const Canon,
    this: u32,
    accessed: u32,
    accessed_seconds: u64,
    accessed_ns: u32,
    modified: u32,
    modified_seconds: u64,
    modified_ns: u32,
    at: u32,
) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    let fd = number(call, this);
    status(call, at, || {
        let accessed = new_time(call, accessed, accessed_seconds, accessed_ns)?;
        let modified = new_time(call, modified, modified_seconds, modified_ns)?;
        let descriptor = of_system(fd)?;
        descriptor.check_writable()?;
        files::set_open_times(descriptor.handle, descriptor.kind == Kind::Directory, accessed, modified)
    });
}

/// Reads at an offset, and says whether the file ends there.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.read")]
pub unsafe extern "C" fn descriptor_read(canon: *const Canon, this: u32, len: u64, offset: u64, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    let fd = number(call, this);
    let read = || {
        check_file(fd)?;
        if len == 0 { Ok(0) } else { transfer::read_at(descriptors::get(fd)?, len, offset) }
    };
    answer(call, at, (16, 4, 4), read, |read| {
        call.put_bytes(at + 4, &[buffered(read)]);
        call.put_u8(at + 12, (read == 0 && len != 0).into());
    });
}

/// Writes a list of bytes at an offset, and how many were written.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.write")]
pub unsafe extern "C" fn descriptor_write(canon: *const Canon, this: u32, list: u32, len: u32, offset: u64, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    let fd = number(call, this);
    call.list(list, len, 1, 1);
    let write = || {
        check_file(fd)?;
        let start = call.memory().bytes(list, len)?;
        // SAFETY: the bytes lie in guest memory.
        unsafe { transfer::write(fd, Some(offset), start, len as usize) }
    };
    answer(call, at, (16, 8, 8), write, |()| call.put_u64(at + 8, len.into()));
}

/// Writes a file's content and attributes to its device.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.sync")]
pub unsafe extern "C" fn descriptor_sync(canon: *const Canon, this: u32, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    let fd = number(call, this);
    status(call, at, || match descriptors::get(fd)? {
        // As for `sync-data`.
        descriptor if descriptor.kind != Kind::File => Ok(()),
        descriptor => fs::sync(descriptor.handle),
    });
}

/// Writes the attributes of what is open.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.stat")]
pub unsafe extern "C" fn descriptor_stat(canon: *const Canon, this: u32, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    let fd = number(call, this);
    answer(call, at, (104, 8, 8), || metadata_of(Process, fd), |metadata| put_stat(call, at + 8, &metadata));
}

/// Whether two descriptors are of the same file.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.is-same-object")]
pub unsafe extern "C" fn descriptor_is_same_object(canon: *const Canon, this: u32, other: u32) -> u32 {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    let (this, other) = (number(call, this), number(call, other));
    let is_same = match (metadata_of(Process, this), metadata_of(Process, other)) {
        (Ok(a), Ok(b)) => (a.device, a.inode) == (b.device, b.inode),
        _ => false,
    };
    is_same.into()
}

/// Writes a number that tells files apart.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[method]descriptor.metadata-hash")]
pub unsafe extern "C" fn descriptor_metadata_hash(canon: *const Canon, this: u32, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    let fd = number(call, this);
    answer(call, at, (24, 8, 8), || metadata_of(Process, fd), |metadata| put_hash(call, at + 8, &metadata));
}

/// Writes the `error-code` behind an error of a stream.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.filesystem-error-code")]
pub unsafe extern "C" fn filesystem_error_code(canon: *const Canon, failed: u32, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    call.result_at(at, 2, 1);
    let code = error_code(error(call, failed));
    call.put(at, [1, code]);
}

/// Drops a handle.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:filesystem/types.[resource-drop]descriptor")]
pub unsafe extern "C" fn drop_descriptor(canon: *const Canon, this: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    call.drop_handle(this, |resource| matches!(resource, Resource::Descriptor(_)));
}
