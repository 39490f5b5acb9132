//! Embedding: a host program loads libraries that wasmelt made, connects their instances with each other and with
//! functions of its own, and calls them.
//!
//! A [`Module`] is loaded code. A [`Store`] holds everything that instances of modules share: tables, memories,
//! globals, tags, functions. Small handles ([`Func`], [`Table`], ...) refer to what a store holds. Every use of a
//! handle names the store, and a handle of another store is an [`Error::Usage`]. Everything in a store lives until the
//! store is dropped.
//!
//! Guests run on a stack of their own, one per store. A trap ends the call that the host made, with
//! [`Error::Trap`], and leaves store and host intact.
//!
//! # Reactors
//! Instantiation runs what the specification says, the start function. A reactor of WASI exports `_initialize`, and
//! expects its host to call that function once, before all other exports.
//!
//! # What it does to the process
//! The first call of a guest installs handlers for `SIGSEGV`, `SIGBUS`, `SIGILL` and `SIGFPE`. A fault that is not a
//! guest's trap goes on to the handlers that were installed before. Handlers that are installed later must pass faults
//! on in the same way. Each thread that calls guests gets a signal stack of 64 KiB, unless it has one of that size. On
//! Windows, the first call installs a vectored exception handler in front of the existing ones, and a thread that
//! executes guest code has the guest's stack in its thread environment block. Loaded libraries stay as long as a
//! [`Module`] or [`Store`] refers to them.
//!
//! ```no_run
//! # fn main() -> Result<(), wasmelt_embed::Error> {
//! use wasmelt_embed::{FuncType, Func, Linker, Module, Store, Val, ValType};
//!
//! let mut store = Store::new();
//! // SAFETY: wasmelt made the file.
//! let module = unsafe { Module::load("./plugin.so".as_ref(), "plugin") }?;
//! let print = Func::new(&mut store, FuncType::new([ValType::I32], []), |_store, args| {
//!     println!("{args:?}");
//!     Ok(vec![])
//! })?;
//! let mut linker = Linker::new();
//! linker.define("host", "print", print);
//! let instance = linker.instantiate(&mut store, &module)?;
//! let add = instance.func(&store, "add").expect("the module exports it");
//! let sum = add.call(&mut store, &[Val::I32(1), Val::I32(2)])?;
//! assert_eq!(sum, [Val::I32(3)]);
//! # Ok(())
//! # }
//! ```

mod activation;
mod arch;
mod backtrace;
mod builtins;
mod error;
mod exceptions;
mod faults;
mod func;
mod func_type;
mod global;
mod instance;
mod instantiate;
mod linker;
mod memory;
mod module;
mod registry;
mod reservation;
mod shared_bytes;
mod stack;
mod store;
mod table;
mod tag;
mod types;
mod value;

#[cfg(test)]
mod interface_tests;
// Their library is assembly; tests/embed-host does the same on every system.
#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod testing;
#[cfg(all(test, target_os = "linux", target_arch = "x86_64"))]
mod tests;

pub use error::{Error, Frame, GuestTrap, Position};
pub use exceptions::Exception;
pub use func::Func;
pub use func_type::FuncType;
pub use global::Global;
pub use instance::Instance;
pub use linker::{Extern, Linker};
pub use memory::{Memory, SharedMemory};
pub use module::{ExportType, ImportType, Library, Module};
pub use store::{Store, StoreConfig};
pub use table::Table;
pub use tag::Tag;
pub use types::{ExternType, GlobalType, HeapType, MemoryType, RefType, TableType, ValType};
pub use value::{ExternRef, Val};
pub use wasmelt_abi::descriptor::ProgramDescriptor;
pub use wasmelt_abi::trap::Trap;
