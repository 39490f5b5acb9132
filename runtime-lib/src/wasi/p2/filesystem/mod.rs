//! `wasi:filesystem`: files and directories, over the same sandbox as those of preview 1.

pub mod descriptor;
pub mod directory;
pub mod paths;
pub mod preopens;

use crate::host::path::Path;
use crate::host::state::State;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::{FileType, Metadata, NewTime};

use super::call::{Call, Component};
use super::code::error_code;
use super::handles::Resource;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// The number of the descriptor that a handle stands for.
fn number<C: Component>(call: Call<C>, handle: u32) -> u32 {
    call.resource(handle, |resource| match resource {
        Resource::Descriptor(fd) => Some(fd),
        _ => None,
    })
}

/// Answers with a `result<_, error-code>`.
fn status<C: Component>(call: Call<C>, at: u32, f: impl FnOnce() -> Result<()>) {
    answer(call, at, (2, 1, 1), f, |()| {});
}

/// Answers with a `result<..., error-code>` of this length and alignment, whose payload is at this offset: `f` does what
/// is asked for, `put` writes what came out.
fn answer<C: Component, T>(
    call: Call<C>,
    at: u32,
    (len_bytes, align, payload): (u32, u32, u32),
    f: impl FnOnce() -> Result<T>,
    put: impl FnOnce(T),
) {
    call.result_at(at, len_bytes, align);
    match f() {
        Ok(value) => {
            put(value);
            call.put_u8(at, 0);
        }
        Err(error) => {
            call.put_u8(at, 1);
            call.put_u8(at + payload, error_code(error));
        }
    }
}

/// Copies a path of the guest into `path`. Strings of components are UTF-8, which is checked here.
fn read_path<C: Component>(call: Call<C>, path: &mut Path, at: u32, len: u32) -> Result<()> {
    check_string(call, at, len);
    match path.read_guest(&call.memory(), at, len) {
        Err(Errno::Ilseq) => call.trap("invalid utf-8 encoding of a string"),
        result => result,
    }
}

fn check_string<C: Component>(call: Call<C>, at: u32, len: u32) {
    if call.memory().bytes(at, len).is_err() {
        call.trap("string pointer/length out of bounds of memory");
    }
}

/// The number of a type in `descriptor-type`.
fn descriptor_type(file_type: FileType) -> u8 {
    match file_type {
        FileType::Unknown => 0,
        FileType::BlockDevice => 1,
        FileType::CharacterDevice => 2,
        FileType::Directory => 3,
        FileType::SymbolicLink => 5,
        FileType::RegularFile => 6,
        FileType::Socket => 7,
    }
}

/// Writes a `descriptor-stat`.
fn put_stat<C: Component>(call: Call<C>, at: u32, metadata: &Metadata) {
    call.put_u8(at, descriptor_type(metadata.file_type));
    call.put_u64(at + 8, metadata.links);
    call.put_u64(at + 16, metadata.size_bytes);
    for (place, ns) in [(24, metadata.accessed_ns), (48, metadata.modified_ns), (72, metadata.changed_ns)] {
        call.put_u8(at + place, 1);
        call.put_u64(at + place + 8, ns / SECOND);
        call.put_u32(at + place + 16, (ns % SECOND) as u32);
    }
}

/// Writes a `metadata-hash-value`: equal for the same file alone.
fn put_hash<C: Component>(call: Call<C>, at: u32, metadata: &Metadata) {
    call.put_u64(at, metadata.inode ^ metadata.device.rotate_left(32));
    call.put_u64(at + 8, metadata.device);
}

/// A `new-timestamp`.
fn new_time<C: Component>(call: Call<C>, kind: u32, seconds: u64, nanoseconds: u32) -> Result<NewTime> {
    match kind {
        0 => Ok(NewTime::Keep),
        1 => Ok(NewTime::Now),
        2 => {
            let ns = seconds.checked_mul(SECOND).and_then(|ns| ns.checked_add(nanoseconds.into()));
            ns.map(NewTime::At).ok_or(Errno::Overflow)
        }
        _ => call.trap("unexpected discriminant of `new-timestamp`"),
    }
}

/// Fails where a descriptor is no file.
fn check_file(state: impl State, fd: u32) -> Result<()> {
    use crate::host::descriptor::Kind;
    match state.get(fd)?.kind {
        Kind::File | Kind::TreeFile => Ok(()),
        _ => Err(Errno::Badf),
    }
}
