//! WASI preview 1: the functions of the import module `wasi_snapshot_preview1`.
//!
//! In come the guest that calls, a [`Caller`](super::caller::Caller), and the import's parameters as they are; out comes
//! nothing, or an error. Each function reads guest memory through [`GuestMemory`](crate::host::guest_memory::GuestMemory),
//! calls [`crate::host`] and encodes what it returns; layouts and numbers are those of `wasi_snapshot_preview1.witx`. One
//! file per family of functions, all of which are inlined into what has the symbol, so that executables have each once.
//! Executables reach them through `wasi/exports.rs`, host programs through `embed/src/wasi/`.
//!
//! Where the specification leaves a choice, the behaviour is that of wasmtime's implementation of preview 1, so that
//! a program finds the same errors in both. A pointer outside the memory is `EFAULT`.

use crate::sys::errno::Result;

pub mod args;
pub mod clock;
pub mod fd;
pub mod fd_io;
pub mod path;
pub mod poll;
pub mod preopen;
pub mod proc;
pub mod random;
pub mod readdir;
pub mod sock;
mod types;

/// The result of an import: 0, or the number of the error.
#[inline]
pub fn status(result: Result<()>) -> u32 {
    match result {
        Ok(()) => 0,
        Err(error) => error as u32,
    }
}
