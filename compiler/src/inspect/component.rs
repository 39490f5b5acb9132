//! A report on a component that is a command: its interface, and the core modules in it.

use serde::Serialize;

use super::Function;
use crate::component;
use crate::error::Result;
use crate::features;
use crate::report::{Export, Import, Interface};

/// What a component is and holds.
#[derive(Debug, Serialize)]
pub struct ComponentReport {
    /// Name of the file.
    pub file: String,
    /// Length of the component in the binary format.
    pub bytes: u64,
    /// BLAKE3 hash of the component in the binary format, in hexadecimal digits.
    pub blake3: String,
    /// What it imports, each with its interface and version.
    pub imports: Vec<Import>,
    /// What it exports.
    pub exports: Vec<Export>,
    /// The core modules that become its code, in order of instantiation, with their lengths: those of the component, and
    /// adapters between its parts.
    pub core_modules: Vec<Function>,
}

/// Looks into a component in the binary format.
pub(super) fn inspect(wasm: &[u8], name: &str) -> Result<ComponentReport> {
    let flat = component::flatten(wasm, component::World::Command, features::default_features())
        .map_err(|e| e.context(name.to_owned()))?;
    let Interface { imports, exports } = Interface::of_component(&flat);
    let core_module = |instance: &component::FlatInstance| Function {
        name: instance.name.clone(),
        bytes: flat.modules[instance.module].len() as u64,
    };
    Ok(ComponentReport {
        file: name.to_owned(),
        bytes: wasm.len() as u64,
        blake3: blake3::hash(wasm).to_hex().to_string(),
        imports,
        exports,
        core_modules: flat.instances.iter().map(core_module).collect(),
    })
}
