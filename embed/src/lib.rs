//! Embedding: a host program loads libraries that wasmelt made, connects their instances with each other and with
//! functions of its own, and calls them.
//!
//! A [`Module`] is loaded code. A [`Store`] holds everything that instances of modules share: tables, memories,
//! globals, tags, functions; and data of the host's own. Small handles ([`Func`], [`Table`], ...) refer to what a store
//! holds. Every use of a handle names the store, and a handle of another store is an [`Error::Usage`]. Everything in a
//! store lives until the store is dropped. The [`guide`] says what a host of strangers should know; who knows the
//! `wasmtime` crate finds the differences at [`from_wasmtime`].
//!
//! Guests run on a stack of their own, one per store. A trap ends the call that the host made, with
//! [`Error::Trap`], and leaves store and host intact.
//!
//! # Reactors
//! Instantiation runs what the specification says, the start function. A reactor of WASI exports `_initialize`, and
//! expects its host to call that function once, before all other exports. [`Linker::module`] does so.
//!
//! # What it does to the process
//! Nothing, while all modules were compiled with `--bounds-checks explicit`. Otherwise
//! the first call of a guest installs handlers for `SIGSEGV`, `SIGBUS`, `SIGILL` and `SIGFPE`. A fault that is not a
//! guest's trap goes on to the handlers that were installed before. Handlers that are installed later must pass faults
//! on in the same way. Each thread that calls guests gets a signal stack of 64 KiB, unless it has one of that size. On
//! Windows, the first call installs a vectored exception handler in front of the existing ones, and a thread that
//! executes guest code has the guest's stack in its thread environment block. Loaded libraries stay as long as a
//! [`Module`] or [`Store`] refers to them.
//!
//! ```no_run
//! # fn main() -> wasmelt_embed::Result<()> {
//! use wasmelt_embed::{Linker, Module, Store};
//!
//! // SAFETY: wasmelt made the file.
//! let module = unsafe { Module::load("./plugin.so".as_ref(), "plugin") }?;
//! let mut linker = Linker::new();
//! linker.func_wrap("host", "print", |number: i32| println!("{number}"))?;
//! let mut store = Store::new(());
//! let instance = linker.instantiate(&mut store, &module)?;
//! let add = instance.get_typed_func::<(i32, i32), i32>(&store, "add")?;
//! assert_eq!(add.call(&mut store, (1, 2))?, 3);
//! # Ok(())
//! # }
//! ```

mod activation;
mod arch;
mod async_func;
mod backtrace;
mod builtins;
pub mod component;
mod context;
mod error;
mod exceptions;
mod externs;
mod faults;
mod few;
mod fuel;
mod func;
mod func_type;
mod global;
mod host_func;
mod instance;
mod instantiate;
mod interrupt;
mod limits;
mod linker;
mod memory;
mod memory_file;
mod module;
mod pause;
mod pool;
mod registry;
mod reservation;
mod shared_bytes;
mod stack;
mod store;
mod table;
mod tag;
mod typed_func;
mod types;
mod value;
mod waiting;
pub mod wasi;
mod wasm_ty;

#[doc = include_str!("../guide.md")]
pub mod guide {}

#[doc = include_str!("../from-wasmtime.md")]
pub mod from_wasmtime {}

#[cfg(test)]
mod interface_tests;
// Their library is assembly; tests/embed-host does the same on every system.
#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod testing;
#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests;

pub use async_func::BoxFuture;
pub use context::{AsContext, AsContextMut, Caller, StoreContext, StoreContextMut};
pub use error::{Error, Frame, GuestTrap, Panic, Position, Result};
pub use exceptions::Exception;
pub use externs::Extern;
pub use func::Func;
pub use func_type::FuncType;
pub use global::Global;
pub use instance::Instance;
pub use interrupt::{Deadlines, InterruptHandle};
pub use limits::{ResourceLimiter, StoreLimits, StoreLimitsBuilder};
pub use linker::{InstancePre, Linker};
pub use memory::{Memory, SharedMemory};
pub use module::{ExportType, ImportType, Library, Module};
pub use pool::{Pool, PoolConfig};
pub use store::{Store, StoreConfig};
pub use table::Table;
pub use tag::Tag;
pub use typed_func::{IntoFunc, TypedFunc};
pub use types::{ExternType, GlobalType, HeapType, MemoryType, RefType, TableType, ValType};
pub use value::{ExternRef, Val};
pub use wasm_ty::{WasmParams, WasmResults, WasmRet, WasmTy};
pub use wasmelt_abi::descriptor::ProgramDescriptor;
pub use wasmelt_abi::trap::Trap;
