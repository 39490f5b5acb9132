//! What a file is and holds: a module or component, or an object or executable that wasmelt made. In: its bytes; out: a [`Report`],
//! as JSON or as text.

mod carried;
mod component;
mod module;
mod native;
mod text;

use std::borrow::Cow;

use serde::Serialize;

use crate::component::is_component;
use crate::error::Result;

pub use component::ComponentReport;
pub use module::ModuleReport;
pub use native::NativeReport;
pub use text::{policy_text, report_text};

/// Number of functions that reports name.
const LARGEST_FUNCTIONS: usize = 10;

/// What was found in a file.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Report {
    /// A module, in either format.
    Module(Box<ModuleReport>),
    /// A component, in either format.
    Component(Box<ComponentReport>),
    /// An object or executable.
    Native(Box<NativeReport>),
}

/// A part of a file.
#[derive(Debug, Serialize)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Its length; for one without bytes in the file, in memory.
    pub bytes: u64,
}

/// A function and how long its code is.
#[derive(Debug, Serialize)]
pub struct Function {
    /// Name or symbol; `function N` without one.
    pub name: String,
    /// Length of its code.
    pub bytes: u64,
}

/// Looks into a file. `name` is for the report and for messages.
pub fn inspect(bytes: &[u8], name: &str) -> Result<Report> {
    if native::is_native(bytes) {
        return native::inspect(bytes, name).map(Box::new).map(Report::Native);
    }
    let wasm = match bytes.starts_with(b"\0asm") {
        true => Cow::Borrowed(bytes),
        false => Cow::Owned(module::from_text(bytes, name)?),
    };
    if is_component(&wasm) {
        return component::inspect(&wasm, name).map(Box::new).map(Report::Component);
    }
    module::inspect(&wasm, name).map(Box::new).map(Report::Module)
}

/// Keeps the largest functions, largest first; equal ones in the order of the file.
fn largest(mut functions: Vec<Function>) -> Vec<Function> {
    functions.sort_by_key(|function| std::cmp::Reverse(function.bytes));
    functions.truncate(LARGEST_FUNCTIONS);
    functions
}
