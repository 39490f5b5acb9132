//! `wasi:io/error`: why a stream failed.

use crate::sys::errno::Errno;

use super::call::{Call, Component};
use super::handles::Resource;

/// The error that a handle stands for.
pub(super) fn error<C: Component>(call: Call<C>, handle: u32) -> Errno {
    call.resource(handle, |resource| match resource {
        Resource::Error(error) => Some(error),
        _ => None,
    })
}

/// Writes a string that tells a person what happened: the number of the error in the list of WASI preview 1.
pub fn error_to_debug_string<C: Component>(call: Call<C>, this: u32, at: u32) {
    call.result_at(at, 8, 4);
    let number = error(call, this) as u8;
    call.put_bytes(at, &[b"errno ", &[b'0' + number / 10, b'0' + number % 10]]);
}

/// Drops a handle.
pub fn drop_error<C: Component>(call: Call<C>, this: u32) {
    call.drop_handle(this, |resource| matches!(resource, Resource::Error(_)));
}
