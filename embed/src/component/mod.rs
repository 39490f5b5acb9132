//! Components in host programs: a [`Component`] is loaded from a library that `wasmelt compile --emit cdylib` made of a
//! component, a [`Linker`] has what it imports, and [`Instance::get_func`] finds what it exports.
//!
//! ```no_run
//! # fn main() -> wasmelt_embed::Result<()> {
//! use wasmelt_embed::Store;
//! use wasmelt_embed::component::{Component, ComponentCtx, Linker, Val};
//! use wasmelt_embed::wasi::WasiCtxBuilder;
//!
//! // SAFETY: wasmelt made the file.
//! let component = unsafe { Component::load("./greeter.so".as_ref(), "greeter") }?;
//! let mut linker = Linker::new(|context: &mut ComponentCtx| context);
//! linker.define_wasi()?;
//!
//! let mut store = Store::new(ComponentCtx::new(WasiCtxBuilder::new().inherit_stderr().build()));
//! let instance = linker.instantiate(&mut store, &component)?;
//! let greet = instance.get_func(&mut store, "", "greet")?;
//! println!("{:?}", greet.call(&mut store, &[Val::String("world".into())])?);
//! # Ok(())
//! # }
//! ```
//!
//! `wasmelt compile --bindings` writes types of Rust for those of WIT, methods for the exports, and a trait for the imports: so a
//! host needs neither [`Val`] nor names in strings.
//!
//! # What holds
//! * A store has one instance of a component, and its [`ComponentCtx`] all that the instance has: handles, descriptors,
//!   streams, what WASI grants. Instances of different stores share nothing but what the host gave to both.
//! * WASI 0.2 is that of executables, function by function. No sockets are granted: a guest that asks for one is told
//!   that access is denied.
//! * A wrong handle, a pointer outside of the memory and a length that the memory does not have are a [`ComponentTrap`], which
//!   ends the call. An instance that has trapped is not entered again.
//! * Functions that block (`pollable.block`, `poll`, `blocking-read` and the like) block the thread that called the guest, as
//!   those of preview 1 do, see [`crate::wasi`].
//! * Values are numbers, booleans, characters, strings, lists, records, tuples, variants, options, results, enumerations,
//!   flags and resources. Functions with resources of WASI among their parameters or results are called with [`Func::call_flat`].
//! * A resource that a component returns is the host's ([`ResourceAny`]) until the host gives it away or drops it, which calls the
//!   component's destructor. Resources of the host ([`Resource`]) are what [`Linker::resource`] says. What is lent for a call
//!   stays with its owner: during the call it cannot be dropped or given away, and a component that keeps it has trapped.
//! * Host programs must unwind: one that is compiled with `panic = "abort"` is refused.

// ---------------------------------------------------------------------------------------------------------------
// Security: the runtime's functions of WASI 0.2 judge handles, addresses and what `realloc` returns, for executables and for
// hosts alike. What is here gives them the state of one store (`context.rs`) and the guest that calls (`guest.rs`), and takes
// that state out of the store while a function runs, so that nothing can call another one meanwhile.
// ---------------------------------------------------------------------------------------------------------------

mod adapter;
mod calls;
mod check;
mod context;
mod func;
mod guest;
mod handles;
mod instance;
mod layout;
mod linker;
mod loaded;
mod resource_table;
mod resources;
mod typed;
mod values;
mod wasi;

pub use context::ComponentCtx;
pub use func::Func;
pub use guest::{ComponentTrap, Guest, GuestCall};
pub use instance::Instance;
pub use linker::{InstancePre, Linker};
pub use loaded::{Component, FunctionName};
pub use resource_table::{ResourceTable, ResourceTableError};
pub use resources::{Resource, ResourceAny};
pub use typed::Value;
pub use values::Val;
pub use wasmelt_plan::{FuncType, ResourceType, Type};
pub use wasmelt_runtime::component::handles::{Readiness, Resource as RawResource, Stream};
