//! The door of the directories that exist only for the guest: host functions ask here, and never call the code behind it.
//!
//! In comes a [`Request`]; out comes the answer of the tree. A program without trees holds the code of this file alone.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::host::descriptor::Descriptor;
use crate::host::entry::Entry;
use crate::host::path::Path;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::{Metadata, Whence};
use crate::sys::fs::OFlags;
use crate::sys::io_stream::Buffer;

/// What a function of WASI wants of a tree.
#[derive(Debug)]
#[allow(missing_docs, reason = "what the fields are is said by the variants and by the types")]
pub enum Request<'a> {
    /// Open a path below a directory; the result is the new number.
    Open { directory: Descriptor, path: &'a Path, flags: OFlags },
    /// The attributes of a path below a directory.
    PathMetadata { directory: Descriptor, path: &'a Path, result: &'a mut Metadata },
    /// The attributes of what is open.
    Metadata { descriptor: Descriptor, result: &'a mut Metadata },
    /// Read at an offset, or at the position, which moves; the result is how many bytes.
    Read { file: Descriptor, buffers: &'a [Buffer], offset: Option<u64> },
    /// Move the position; the result is the new one.
    Seek { file: Descriptor, offset: i64, whence: Whence },
    /// The entry of a directory with this number, from 0 on, as name, inode and type; the result is 0 behind the last.
    Entry { directory: Descriptor, index: u64, result: &'a Cell<Entry<'a>> },
    /// The file is closed.
    Close { file: Descriptor },
}

/// What answers a request: it writes the result before it returns.
pub(super) type Handler = unsafe extern "C" fn(request: *mut Request<'_>, result: *mut Result<u64>);

/// What answers requests; null in a program without trees.
static HANDLER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Asks a tree for something. Descriptors of trees only exist where there is somebody to ask.
pub fn call(mut request: Request<'_>) -> Result<u64> {
    let handler = HANDLER.load(Ordering::Relaxed);
    if handler.is_null() {
        return Err(Errno::Badf);
    }
    let mut result = Err(Errno::Badf);
    // SAFETY: only `answer_with` writes it, with a function of this type, which answers before it returns.
    unsafe { core::mem::transmute::<*mut (), Handler>(handler)(&raw mut request, &raw mut result) };
    result
}

/// Lets `handler` answer requests from now on.
pub(super) fn answer_with(handler: Handler) {
    // A compiler that sees the only value ever stored calls it directly, and all programs would have the code.
    HANDLER.store(core::hint::black_box(handler as *mut ()), Ordering::Relaxed);
}
