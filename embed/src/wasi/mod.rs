//! WASI preview 1 for guests of a host program: a [`WasiCtx`] for each store or instance, and a way to define the
//! functions of `wasi_snapshot_preview1` and `wasi_unstable` in a [`Linker`](crate::Linker).
//!
//! Names and meanings are those of the crate `wasmtime-wasi` where both have the same thing. A context starts with
//! nothing: no arguments, no environment, no directories and files, streams that are empty. The host adds what the guest may have.
//!
//! ```no_run
//! # fn main() -> wasmelt_embed::Result<()> {
//! use wasmelt_embed::wasi::{DirPerms, FilePerms, I32Exit, MemoryOutputPipe, WasiCtx, WasiCtxBuilder, p1};
//! use wasmelt_embed::{Linker, Module, Store};
//!
//! // SAFETY: wasmelt made the file.
//! let module = unsafe { Module::load("./tool.so".as_ref(), "tool") }?;
//! let mut linker = Linker::new();
//! p1::add_to_linker_sync(&mut linker, |context: &mut WasiCtx| context)?;
//!
//! let output = MemoryOutputPipe::new(1 << 20);
//! let mut builder = WasiCtxBuilder::new();
//! builder.args(&["tool", "--verbose"]).env("LANG", "C").stdout(output.clone()).inherit_stderr();
//! builder.preopened_dir("./data", "/data", DirPerms::READ, FilePerms::READ)?;
//! let mut store = Store::new(builder.build());
//! let instance = linker.instantiate(&mut store, &module)?;
//! let code = match instance.get_typed_func::<(), ()>(&store, "_start")?.call(&mut store, ()) {
//!     Ok(()) => 0,
//!     Err(error) => error.downcast::<I32Exit>()?.0,
//! };
//! println!("exit code {code}, {} bytes of output", output.contents().len());
//! # Ok(())
//! # }
//! ```
//!
//! # What is different from executables
//! * `proc_exit` ends the call of the guest with an error that is an [`I32Exit`]; it never ends the process.
//! * The context is the whole state. Two guests of one process share nothing but what the host gave to both.
//! * Guests cannot start threads: a guest that calls `wasi` `thread-spawn` gets an error that says so.
//! * Guests cannot read clocks of CPU time, which would say what other guests do.
//!
//! # Stores that are used again
//! [`Store::reset`](crate::Store::reset) leaves the host's data alone, and so a context that lies there, with all that the
//! guest has open. The next guest gets a new one: `*store.data_mut() = builder.build()`.
//!
//! # Calls that block
//! A function of WASI runs on the host's thread and returns when it is done. `fd_read` of a pipe, a terminal, a connection or a
//! reader of the host's, `fd_write` to one whose other side does not read, `sock_accept`, `path_open` of a named pipe, and
//! `poll_oneoff`, with which guests sleep, block as long as the guest likes: **such calls are the host's to time out**. No
//! interruption of guest code ends them. A host that must not wait gives streams that do not block (in memory, or a reader
//! and a writer that give up), a [`HostMonotonicClock`] that does not sleep, grants no directory with pipes or devices, and
//! no listener.

// ---------------------------------------------------------------------------------------------------------------
// Security: a guest reaches what the builder put into its context, by the code that executables have: the table, the path
// sandbox and the checks of addresses are `wasmelt_runtime`'s. What is here gives that code a state, and must not find
// anything of the process by itself, but for the streams that were inherited.
// ---------------------------------------------------------------------------------------------------------------

mod builder;
mod clocks;
mod context;
mod exit;
mod files;
pub mod p1;
mod perms;
#[cfg(unix)]
mod sigpipe;
mod streams;

pub use builder::WasiCtxBuilder;
pub use clocks::{HostMonotonicClock, HostWallClock};
pub(crate) use context::Call as WasiCall;
#[cfg(target_os = "linux")]
pub(crate) use context::Sent;
pub use context::WasiCtx;
pub use exit::I32Exit;
pub use perms::{DirPerms, FilePerms};
pub use streams::{MemoryInputPipe, MemoryOutputPipe};
