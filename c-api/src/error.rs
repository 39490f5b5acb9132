//! Errors: each thread has the text of its last one.

use core::ffi::{CStr, c_char};
use core::fmt::Display;
use std::cell::RefCell;
use std::ffi::CString;
use std::panic::{AssertUnwindSafe, catch_unwind};

use wasmelt_embed::{Error, Result};

std::thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Records an error of this thread.
pub(crate) fn record(error: impl Display) {
    let text = CString::new(error.to_string().replace('\0', "\u{fffd}")).unwrap_or_default();
    // A thread that ends has no last error any more.
    let _ = LAST.try_with(|last| *last.borrow_mut() = text);
}

/// Does something for C: the result, or `None` and the error is recorded. Panics are errors as well.
pub(crate) fn attempt<T>(action: impl FnOnce() -> Result<T>) -> Option<T> {
    caught(action).map_err(record).ok()
}

/// Does something, and turns a panic into an error.
pub(crate) fn caught<T>(action: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a panic leaves behind is what an error at that point would: objects of this crate are changed in single steps.
    catch_unwind(AssertUnwindSafe(action)).unwrap_or_else(|payload| Err(Error::Panic(payload.into())))
}

/// What a pointer points to; an error where it is null.
pub(crate) fn need<T>(pointer: Option<T>, what: &str) -> Result<T> {
    pointer.ok_or_else(|| Error::Usage(format!("{what} is a null pointer")))
}

/// The text of a C string.
///
/// # Safety
/// The pointer is null, or points to a string that ends with a NUL, for as long as the result is used.
pub(crate) unsafe fn text<'a>(pointer: *const c_char, what: &str) -> Result<&'a str> {
    if pointer.is_null() {
        return need(None, what);
    }
    // SAFETY: by this function's contract.
    let bytes = unsafe { CStr::from_ptr(pointer) };
    bytes.to_str().map_err(|_| Error::Usage(format!("{what} is not UTF-8")))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_last_error() -> *const c_char {
    // The text stays where it is until the next error of this thread.
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_has_compiler() -> bool {
    cfg!(feature = "compiler")
}
