//! A component that was loaded from a library, or is linked into the program.

use core::ptr;
use core::slice;
use std::path::Path;
use std::sync::Arc;

use wasmelt_abi::ABI_VERSION;
use wasmelt_abi::symbols::COMPONENT_PREFIX;
use wasmelt_plan::{Plan, Work};

use crate::module::Library;
use crate::{Error, Module, Result};

/// A component: loaded code, and how it is instantiated. Clones refer to the same component.
#[derive(Clone)]
pub struct Component(pub(super) Arc<Loaded>);

pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) plan: Plan,
    pub(super) modules: Vec<Module>,
}

/// The name of a function that a component imports or exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionName<'a> {
    /// The interface with its version; empty for an exported function outside interfaces, `$root` for an imported one.
    pub interface: &'a str,
    /// The name in the interface.
    pub name: &'a str,
}

impl Component {
    /// Loads a file and returns the component with this name, which is the name that was given when the file was made.
    ///
    /// # Errors
    /// [`Error::System`] when the file cannot be loaded, or has no such component.
    ///
    /// # Safety
    /// As for [`Library::open`].
    pub unsafe fn load(path: &Path, name: &str) -> Result<Self> {
        // SAFETY: by this function's contract.
        Self::of_library(&unsafe { Library::open(path) }?, name)
    }

    /// Loads the bytes of a file, see [`Library::from_bytes`].
    ///
    /// # Errors
    /// As for [`Self::load`].
    ///
    /// # Safety
    /// As for [`Library::open`].
    pub unsafe fn from_bytes(bytes: &[u8], name: &str) -> Result<Self> {
        // SAFETY: by this function's contract.
        Self::of_library(&unsafe { Library::from_bytes(bytes) }?, name)
    }

    /// Returns the component with this name in a library.
    ///
    /// # Errors
    /// [`Error::System`] when the library has no such component.
    pub fn of_library(library: &Library, name: &str) -> Result<Self> {
        let symbol = format!("{COMPONENT_PREFIX}{name}");
        let plan =
            library.symbol(&symbol).ok_or_else(|| Error::system(format!("no component {name} in the library")))?;
        // SAFETY: wasmelt made the library, and the symbol is a plan of it, which stays as long as the library.
        let plan = unsafe { read_plan(plan, name) }?;
        let modules = (0..plan.module_count).map(|module| library.module(&format!("{name}.{module}")));
        let modules = modules.collect::<Result<_>>()?;
        Ok(Self(Arc::new(Loaded { name: name.to_owned(), plan, modules })))
    }

    /// Returns the component that is linked into the program; `plan` and `modules` are the symbols that
    /// [`linked_component!`](crate::linked_component) names.
    ///
    /// # Errors
    /// [`Error::System`] when another version of wasmelt has made it.
    ///
    /// # Safety
    /// wasmelt made both and everything that they refer to, and all of that stays as long as the process.
    pub unsafe fn from_linked(plan: *const u8, modules: *const i32, name: &str) -> Result<Self> {
        // SAFETY: by this function's contract.
        let plan = unsafe { read_plan(plan, name) }?;
        let module = |index: u32| {
            // SAFETY: by this function's contract; the table has an entry for each module, which is the distance of its
            // descriptor.
            unsafe {
                let distance = modules.add(index as usize).read_unaligned();
                let descriptor = modules.byte_offset(distance as isize);
                Module::from_descriptor(descriptor.cast(), &format!("{name}.{index}"))
            }
        };
        let modules = (0..plan.module_count).map(module).collect::<Result<_>>()?;
        Ok(Self(Arc::new(Loaded { name: name.to_owned(), plan, modules })))
    }

    /// Returns the name under which the component was loaded.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns what the component imports, each once for each place that imports it.
    pub fn imports(&self) -> impl Iterator<Item = FunctionName<'_>> {
        self.0.plan.lowerings.iter().filter_map(|lowering| match &lowering.work {
            Work::Import { interface, name, .. } => Some(FunctionName { interface, name }),
            _ => None,
        })
    }

    /// Returns the functions that the component exports.
    pub fn exports(&self) -> impl Iterator<Item = FunctionName<'_>> {
        let exports = self.0.plan.exports.iter();
        exports.map(|export| FunctionName { interface: &export.interface, name: &export.name })
    }
}

impl core::fmt::Debug for Component {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Component").field(&self.0.name).finish()
    }
}

/// Whether a name of an interface, with its version, is what was asked for: the same name, or the name without version.
pub(super) fn is_interface(interface: &str, asked: &str) -> bool {
    interface == asked || interface.split_once('@').is_some_and(|(interface, _)| interface == asked)
}

/// # Safety
/// `plan` is the symbol of a plan.
unsafe fn read_plan(plan: *const u8, name: &str) -> Result<Plan> {
    // SAFETY: by this function's contract: the length comes first.
    let bytes = unsafe {
        let len_bytes = u64::from_le_bytes(ptr::read_unaligned(plan.cast::<[u8; 8]>()));
        slice::from_raw_parts(plan.add(8), len_bytes as usize)
    };
    let other = || Error::system(format!("component {name} was made by another version of wasmelt: compile it again"));
    let plan: Plan = postcard::from_bytes(bytes).map_err(|_| other())?;
    if plan.version == ABI_VERSION { Ok(plan) } else { Err(other()) }
}

/// The component of this name that is linked into the program: what `wasmelt compile --emit staticlib` made. Use it in an
/// `unsafe` block, under the contract of [`Component::from_linked`](crate::component::Component::from_linked), whose result it
/// has: what is linked under this name is what wasmelt made.
#[macro_export]
macro_rules! linked_component {
    ($name:literal) => {{
        unsafe extern "C" {
            #[link_name = ::core::concat!("wasmelt_component_", $name)]
            static PLAN: u8;
            #[link_name = ::core::concat!("wasmelt_component_modules_", $name)]
            static MODULES: i32;
        }
        $crate::component::Component::from_linked(&raw const PLAN, &raw const MODULES, $name)
    }};
}
