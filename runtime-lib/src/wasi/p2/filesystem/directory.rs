//! Entries of directories: `read-directory` and `directory-entry-stream` of `wasi:filesystem/types`.

use core::str;

use crate::host::directory::Entries;
use crate::host::state::State as _;
use crate::sys::errno::Errno;

use super::super::call::{Call, Component};
use super::super::handles::Resource;
use super::{answer, descriptor_type, number};

/// The cookie behind `.` and `..`, which WASI 0.2 does not list.
const FIRST_COOKIE: u64 = 2;

/// Writes a stream of a directory's entries.
pub fn descriptor_read_directory<C: Component>(call: Call<C>, this: u32, at: u32) {
    let fd = number(call, this);
    let entries = || call.state().any_directory(fd).map(|_| Resource::Entries { fd, cookie: FIRST_COOKIE });
    answer(call, at, (8, 4, 4), entries, |entries| call.put_u32(at + 4, call.own(entries)));
}

/// Writes the next entry, or that there is none.
pub fn directory_entry_stream_read_directory_entry<C: Component>(call: Call<C>, this: u32, at: u32) {
    let (fd, cookie) = call.resource(this, |resource| match resource {
        Resource::Entries { fd, cookie } => Some((fd, cookie)),
        _ => None,
    });
    let next = || {
        let mut found = false;
        Entries::for_each(call.state(), fd, cookie, |entry| {
            call.update(this, Resource::Entries { fd, cookie: entry.next_cookie });
            if str::from_utf8(entry.name).is_err() {
                return Err(Errno::Ilseq);
            }
            found = true;
            call.put_u8(at + 8, descriptor_type(entry.file_type));
            call.put_bytes(at + 12, &[entry.name]);
            Ok(false)
        })?;
        Ok(found)
    };
    answer(call, at, (20, 4, 4), next, |found| call.put_u8(at + 4, found.into()));
}

/// Drops a handle.
pub fn drop_directory_entry_stream<C: Component>(call: Call<C>, this: u32) {
    call.drop_handle(this, |resource| matches!(resource, Resource::Entries { .. }));
}
