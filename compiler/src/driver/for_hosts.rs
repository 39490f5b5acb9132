//! Texts for hosts of a library, beside the library: headers and bindings.

use super::read;
use crate::error::{Error, Result};
use crate::options::{Emit, Options};
use crate::{bindings, component, header, module, preinit};

/// A text for hosts of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForHosts {
    /// A C header.
    Header,
    /// Rust bindings.
    Bindings,
}

/// Describes a library to its hosts: `input` and `source_name` as in [`compile`](super::compile), which makes the library with
/// the same options.
pub fn for_hosts(text: ForHosts, input: &[u8], source_name: &str, options: &Options) -> Result<String> {
    let describe = || {
        let wasm = read(input, source_name)?;
        let is_component = component::is_component(&wasm);
        if is_component && text == ForHosts::Header {
            return Err(Error::usage("a component's functions have types that a C header does not declare")
                .hint("leave out `--header`: `--bindings` declares them for a host in Rust"));
        }
        let library = options.library.as_deref().ok_or_else(|| {
            let what = if text == ForHosts::Header { "a header is" } else { "bindings are" };
            Error::usage(format!("{what} for a library"))
                .hint("`--emit staticlib` makes a static library, `--emit cdylib` a shared one")
        })?;
        let is_linked = options.emit != Emit::Cdylib;
        if is_component {
            return bindings::rust_of_component(&wasm, library, is_linked);
        }
        let mut module = module::parse(&wasm, options.features)?;
        if let Some(preinit) = &options.preinit {
            preinit::replace_exports(preinit, &mut module)?;
        }
        match text {
            ForHosts::Header => header::c(&module, library, is_linked),
            ForHosts::Bindings => Ok(bindings::rust(&module, library, is_linked)),
        }
    };
    describe().map_err(|e| e.context(source_name))
}
