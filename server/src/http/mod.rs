//! `wasi:http` 0.2: what a guest calls about requests and responses, over the flattened functions of the canonical ABI.
//!
//! Resources are numbers of objects in a [`Session`], which a guest reaches by its handles alone. Layouts are those that the
//! canonical ABI gives the types of `wasi:http/types@0.2`. One file for each kind of resource.

mod fields;
mod host;
mod https;
mod incoming;
mod outgoing;
mod outparam;
mod outside;
mod reach;
mod session;
mod values;

use std::any::Any;

use wasmelt_embed::Result;
use wasmelt_embed::component::Linker;

pub(crate) use host::Allowed;
pub(crate) use outparam::Answer;
pub(crate) use outside::{LOOKUPS, Outside};
pub(crate) use session::Session;
pub(crate) use values::Scheme;

/// The interface of all functions but one.
const TYPES: &str = "wasi:http/types";

/// Defines all functions of `wasi:http`.
pub(crate) fn define<T: Any>(linker: &mut Linker<T>) -> Result<()> {
    session::define(linker)?;
    fields::define(linker)?;
    incoming::define(linker)?;
    outgoing::define(linker)?;
    outparam::define(linker)?;
    outside::define(linker)
}
