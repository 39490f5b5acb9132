//! `wasi:io/error`: why a stream failed.

use wasmelt_abi::component::Canon;

use crate::sys::errno::Errno;

use super::call::Call;
use super::handles::Resource;

/// The error that a handle stands for.
pub(super) fn error(call: Call, handle: u32) -> Errno {
    call.resource(handle, |resource| match resource {
        Resource::Error(error) => Some(error),
        _ => None,
    })
}

/// Writes a string that tells a person what happened: the number of the error in the list of WASI preview 1.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:io/error.[method]error.to-debug-string")]
pub unsafe extern "C" fn error_to_debug_string(canon: *const Canon, this: u32, at: u32) {
    // SAFETY: by this function's contract.
    let call = unsafe { Call::new(canon) };
    call.result_at(at, 8, 4);
    let number = error(call, this) as u8;
    call.put_bytes(at, &[b"errno ", &[b'0' + number / 10, b'0' + number % 10]]);
}

/// Drops a handle.
///
/// # Safety
/// As for [`Call::new`].
#[unsafe(export_name = "wasi:io/error.[resource-drop]error")]
pub unsafe extern "C" fn drop_error(canon: *const Canon, this: u32) {
    // SAFETY: by this function's contract.
    unsafe { Call::new(canon) }.drop_handle(this, |resource| matches!(resource, Resource::Error(_)));
}
