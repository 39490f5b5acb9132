//! Components: the bytes of one to a [`FlatComponent`], plain data in which nothing is nested any more. What nests, is
//! aliased or adapted in a component is resolved by `wasmtime-environ`; this folder alone sees that crate.
//!
//! What comes out is a list of core modules to instantiate in order, each with what its imports are: an export of an
//! earlier instance, or a [`Trampoline`]. The rest of the compiler makes a [`Program`](crate::program::Program) of it.

#[cfg(feature = "component")]
mod compose;
#[cfg(feature = "component")]
mod extent;
#[cfg(feature = "component")]
mod flags;
#[cfg(feature = "component")]
mod flatten;
mod library;
#[cfg(feature = "component")]
mod refusal;
#[cfg(feature = "component")]
mod shim;
#[cfg(feature = "component")]
mod types;

use std::collections::{HashMap, HashSet};
#[cfg(feature = "component")]
use std::panic::{AssertUnwindSafe, catch_unwind};

use wasmelt_abi::canonical::CanonicalTrap;
use wasmelt_plan as plan;
#[cfg(feature = "component")]
use wasmparser::Validator;
use wasmparser::WasmFeatures;

use crate::error::{Error, Result};
use crate::module::{Entity, FuncIndex, GlobalIndex, MemoryIndex};
use crate::options::Plug;

pub use library::plan as plan_of;

/// A component without nesting: what there is to instantiate, and what runs then.
#[derive(Debug)]
pub struct FlatComponent {
    /// Core modules in the binary format: those of the component, and adapters between its parts.
    pub modules: Vec<Vec<u8>>,
    /// Instances of these modules, in order of instantiation.
    pub instances: Vec<FlatInstance>,
    /// Functions that modules import and no module defines.
    pub trampolines: Vec<Trampoline>,
    /// The function behind `run` of the exported `wasi:cli/run`: no parameters, one `i32`, which is 0 for success. None in
    /// [`World::Library`].
    pub run: Option<CoreFunc>,
    /// The functions that it exports, with their types; empty in [`World::Command`].
    pub lifted: Vec<Lifted>,
    /// The types of resources that it has defined, by number; empty in [`World::Command`].
    pub resources: Vec<DefinedResource>,
    /// Tables of handles, by the numbers that adapters know them by; `None` where no handle can be in one.
    pub tables: Vec<Option<HandleTable>>,
    /// By component instance, the global that is 0 while the instance may call nobody outside; for those where it matters.
    pub may_leave: HashMap<u32, (usize, GlobalIndex)>,
    /// What the component imports, as it names it.
    pub imports: Vec<ImportName>,
    /// What the component exports, by name.
    pub exports: Vec<String>,
}

/// What becomes of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// A command: something calls its `wasi:cli/run`.
    Command,
    /// A library: a host program calls what it exports.
    Library,
}

/// A function that a component exports.
#[derive(Clone, Debug)]
pub struct Lifted {
    /// The interface with its version; empty for a function outside interfaces.
    pub interface: String,
    /// Its name in the interface.
    pub name: String,
    /// The core function.
    pub func: CoreFunc,
    /// The memory that strings and lists lie in.
    pub memory: Option<CoreMemory>,
    /// What allocates in it.
    pub realloc: Option<CoreFunc>,
    /// What is called when results were read.
    pub post_return: Option<CoreFunc>,
    /// The component instance.
    pub component: u32,
    /// Its type.
    pub ty: plan::FuncType,
}

impl FlatComponent {
    /// The modules that have instances, each once, in the order of its first instance.
    pub fn used_modules(&self) -> Vec<usize> {
        let mut seen = HashSet::new();
        self.instances.iter().map(|instance| instance.module).filter(|&module| seen.insert(module)).collect()
    }
}

/// An instance of a core module.
#[derive(Debug)]
pub struct FlatInstance {
    /// For messages and backtraces.
    pub name: String,
    /// Index into [`FlatComponent::modules`].
    pub module: usize,
    /// What each import of the module is, in the module's order.
    pub arguments: Vec<Definition>,
    /// The module is an adapter, which uses what adapters may use.
    pub is_adapter: bool,
}

/// What an import of a core module is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Definition {
    /// Something that an earlier instance has, by the indices of its module.
    Export(usize, Entity),
    /// A function, by index into [`FlatComponent::trampolines`].
    Trampoline(usize),
}

/// A function of an instance: index into [`FlatComponent::instances`], and the function in its module.
pub type CoreFunc = (usize, FuncIndex);

/// A memory of an instance.
pub type CoreMemory = (usize, MemoryIndex);

/// The handles of one type that a component instance has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandleTable {
    /// The component instance.
    pub component: u32,
    /// The type of what they stand for.
    pub resource: ResourceType,
    /// Whether the instance has defined the type itself.
    pub is_definer: bool,
}

/// A type of resources that a component of the program has defined.
#[derive(Clone, Copy, Debug)]
pub struct DefinedResource {
    /// The component instance.
    pub component: u32,
    /// What is called with what the component knows a resource by, when the resource is dropped.
    pub destructor: Option<CoreFunc>,
}

/// A type of resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceType {
    /// One that the component imports.
    Imported(ImportName),
    /// One that a component of the program has defined, by number.
    Own(u32),
}

/// A function that no module defines.
#[derive(Debug)]
pub struct Trampoline {
    /// The component instance that calls; of no meaning for what adapters call.
    pub component: u32,
    /// What it does.
    pub work: Work,
}

/// What a function does that no module defines.
#[derive(Clone, Debug)]
pub enum Work {
    /// It calls what the component imports.
    Import {
        /// Its name.
        name: ImportName,
        /// The memory that strings, lists and results lie in.
        memory: Option<CoreMemory>,
        /// What allocates in it.
        realloc: Option<CoreFunc>,
        /// Its type, in [`World::Library`]; `None` for what drops a resource.
        ty: Option<plan::FuncType>,
    },
    /// It copies a string from one memory to another, as the function of the runtime with this name does it.
    Transcode {
        /// The name in [`wasmelt_abi::canonical`].
        function: &'static str,
        /// The memory that is read.
        from: CoreMemory,
        /// The memory that is written to.
        to: CoreMemory,
    },
    /// `resource.new`, for a type that a component of the program has defined, as for those below.
    ResourceNew(u32),
    /// `resource.rep`.
    ResourceRep(u32),
    /// `resource.drop`.
    ResourceDrop {
        /// The type.
        ty: u32,
        /// What is called with what a component knows the resource by.
        destructor: Option<CoreFunc>,
    },
    /// It makes what a handle owns another component's, by numbers of [`FlatComponent::tables`].
    TransferOwn,
    /// It lends it.
    TransferBorrow,
    /// It begins a call that lends.
    EnterCall,
    /// It ends such a call.
    ExitCall,
    /// It traps, see [`trap`].
    Trap,
}

/// The name of something that a component imports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImportName {
    /// The interface with its version, `wasi:cli/stdout@0.2.6`; `$root` for a function outside interfaces.
    pub interface: String,
    /// Its name in the interface: `get-stdout`, or `[resource-drop]output-stream`.
    pub name: String,
}

impl std::fmt::Display for ImportName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` of `{}`", self.name, self.interface)
    }
}

/// What adapters use, whatever the component's own modules may use.
pub const ADAPTERS: WasmFeatures =
    WasmFeatures::WASM2.union(WasmFeatures::MULTI_MEMORY).union(WasmFeatures::MEMORY64).union(WasmFeatures::EXCEPTIONS);

/// Whether bytes are those of a component, of whatever version.
pub fn is_component(bytes: &[u8]) -> bool {
    const LAYER: [u8; 2] = [1, 0];
    bytes.starts_with(b"\0asm") && bytes.get(6..8) == Some(&LAYER)
}

/// Flattens a component; `features` are those that its core modules may use.
#[cfg(feature = "component")]
pub fn flatten(bytes: &[u8], world: World, features: WasmFeatures) -> Result<FlatComponent> {
    extent::check(bytes)?;
    let mut flat = flatten::flatten(bytes, world)?;
    check_unused(&flat, features)?;
    shim::resolve(&mut flat, features)?;
    Ok(flat)
}

/// A component that was composed.
#[derive(Debug)]
pub struct Composition {
    /// In the binary format.
    pub bytes: Vec<u8>,
    /// What it imports that no plug exports, WASI aside.
    pub unmet: Vec<String>,
}

/// Composes a component with those that export what it imports; `name` is the component's for messages.
#[cfg(feature = "component")]
pub fn compose(bytes: &[u8], name: &str, plugs: &[Plug]) -> Result<Composition> {
    // A bug in the library that composes is an error like any other.
    catch_unwind(AssertUnwindSafe(|| compose::compose(bytes, name, plugs)))
        .unwrap_or_else(|_| Err(Error::internal(format!("{name} cannot be composed: the library for it failed"))))
}

/// Refuses components: this compiler was built without them.
#[cfg(not(feature = "component"))]
pub fn compose(_bytes: &[u8], name: &str, _plugs: &[Plug]) -> Result<Composition> {
    Err(Error::input(format!("{name} cannot be composed: this wasmelt was built without support for components"))
        .hint("build wasmelt with the feature `component`, which is on by default"))
}

/// The functions and types of a component, with their names: its world as WIT has it.
#[cfg(feature = "component")]
pub fn interface(bytes: &[u8]) -> Result<(wit_parser::Resolve, wit_parser::WorldId)> {
    extent::check(bytes)?;
    // A bug in the library is an error like any other.
    let decoded = catch_unwind(AssertUnwindSafe(|| wit_parser::decoding::decode(bytes)));
    match decoded.unwrap_or_else(|_| Err(anyhow::anyhow!("the library for it failed"))) {
        Ok(wit_parser::decoding::DecodedWasm::Component(resolve, world)) => Ok((resolve, world)),
        Ok(wit_parser::decoding::DecodedWasm::WitPackage(..)) => {
            Err(Error::input("the file is a package of WIT and has no code"))
        }
        Err(e) => Err(Error::input(format!("the types of the component cannot be read: {e:#}"))),
    }
}

/// Validates the core modules that nothing instantiates. Parsing validates all others.
#[cfg(feature = "component")]
fn check_unused(flat: &FlatComponent, features: WasmFeatures) -> Result<()> {
    let used: HashSet<usize> = flat.instances.iter().map(|instance| instance.module).collect();
    for module in (0..flat.modules.len()).filter(|module| !used.contains(module)) {
        Validator::new_with_features(features)
            .validate_all(&flat.modules[module])
            .map_err(|e| Error::input(format!("the component is not valid: in its core module {module}: {e}")))?;
    }
    Ok(())
}

#[cfg(feature = "component")]
fn unsupported(what: &str) -> Error {
    Error::input(format!("the component needs {what}, which is not supported yet"))
        .hint("what toolchains make for `wasm32-wasip2` needs nothing of the kind")
}

/// The trap that an adapter raises by this number.
#[cfg(feature = "component")]
pub fn trap(code: u64) -> Option<CanonicalTrap> {
    flatten::trap(code)
}

/// None: this compiler was built without components.
#[cfg(not(feature = "component"))]
pub fn trap(_code: u64) -> Option<CanonicalTrap> {
    None
}

/// Refuses components: this compiler was built without them.
#[cfg(not(feature = "component"))]
pub fn flatten(_bytes: &[u8], _world: World, _features: WasmFeatures) -> Result<FlatComponent> {
    Err(Error::input("the file is a component, and this wasmelt was built without support for components")
        .hint("build wasmelt with the feature `component`, which is on by default"))
}

#[cfg(all(test, feature = "component"))]
mod tests {
    use super::*;
    use crate::features::default_features;

    /// What `wit-component` makes of a module that needs its memory for what it imports. `between` is in the module.
    fn with_shim(between: &str) -> FlatComponent {
        let text = format!(
            r#"(component
            (import "wasi:cli/environment@0.2.0" (instance $host (export "get-arguments" (func (result (list string))))))
            (core module $shim
              (type $t (func (param i32)))
              (table (export "$imports") 1 1 funcref)
              (func (export "0") (type $t) (call_indirect (type $t) (local.get 0) (i32.const 0))))
            (core module $main
              (import "host" "f" (func (param i32)))
              (memory (export "memory") 1)
              (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0))
              (func $run (export "run") (result i32) (i32.const 0))
              {between})
            (core module $fixup
              (import "" "$imports" (table 1 1 funcref))
              (import "" "0" (func $f (param i32)))
              (elem (i32.const 0) func $f))
            (core instance $shim (instantiate $shim))
            (core instance $main (instantiate $main (with "host" (instance (export "f" (func $shim "0"))))))
            (core func $f
              (canon lower (func $host "get-arguments") (memory $main "memory") (realloc (func $main "realloc"))))
            (core instance (instantiate $fixup
              (with "" (instance (export "$imports" (table $shim "$imports")) (export "0" (func $f))))))
            (func $run (result (result)) (canon lift (core func $main "run")))
            (instance $command (export "run" (func $run)))
            (export "wasi:cli/run@0.2.0" (instance $command)))"#
        );
        flatten(&wat::parse_str(text).unwrap(), World::Command, default_features()).unwrap()
    }

    #[test]
    fn calls_through_a_shim_are_direct() {
        let flat = with_shim("");
        let [main] = &flat.instances[..] else { panic!("{:?}", flat.instances) };
        assert_eq!(main.arguments, [Definition::Trampoline(0)]);
        let [trampoline] = &flat.trampolines[..] else { panic!("{:?}", flat.trampolines) };
        let Work::Import { name, memory, realloc, .. } = &trampoline.work else { panic!("{trampoline:?}") };
        assert_eq!(name.to_string(), "`get-arguments` of `wasi:cli/environment@0.2.0`");
        assert_eq!(*memory, Some((0, MemoryIndex::from_u32(0))));
        assert_eq!(*realloc, Some((0, FuncIndex::from_u32(1))));
        assert_eq!(flat.run, Some((0, FuncIndex::from_u32(2))));
        assert_eq!(flat.exports, ["wasi:cli/run@0.2.0"]);
    }

    /// The function behind the shim belongs to an adapter, which comes after the module that calls it.
    #[test]
    fn functions_of_other_components_are_called_through_the_shim() {
        let text = r#"(component
            (component $other
              (core module $m (func (export "f") (param i32 i32)) (memory (export "memory") 1)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0)))
              (core instance $m (instantiate $m))
              (func (export "f") (param "s" string)
                (canon lift (core func $m "f") (memory $m "memory") (realloc (func $m "realloc")))))
            (component $command
              (import "f" (func $f (param "s" string)))
              (core module $shim
                (type $t (func (param i32 i32)))
                (table (export "$imports") 1 1 funcref)
                (func (export "0") (type $t) (call_indirect (type $t) (local.get 0) (local.get 1) (i32.const 0))))
              (core module $main
                (import "f" "f" (func $f (param i32 i32)))
                (memory (export "memory") 1)
                (func (export "run") (result i32) (call $f (i32.const 0) (i32.const 1)) (i32.const 0)))
              (core module $fixup
                (import "" "$imports" (table 1 1 funcref))
                (import "" "0" (func $f (param i32 i32)))
                (elem (i32.const 0) func $f))
              (core instance $shim (instantiate $shim))
              (core instance $main (instantiate $main (with "f" (instance (export "f" (func $shim "0"))))))
              (core func $f (canon lower (func $f) (memory $main "memory")))
              (core instance (instantiate $fixup
                (with "" (instance (export "$imports" (table $shim "$imports")) (export "0" (func $f))))))
              (func $run (result (result)) (canon lift (core func $main "run")))
              (instance $command (export "run" (func $run)))
              (export "wasi:cli/run@0.2.0" (instance $command)))
            (instance $other (instantiate $other))
            (instance $command (instantiate $command (with "f" (func $other "f"))))
            (export "wasi:cli/run@0.2.0" (instance $command "wasi:cli/run@0.2.0")))"#;
        let flat = flatten(&wat::parse_str(text).unwrap(), World::Command, default_features()).unwrap();
        for (index, instance) in flat.instances.iter().enumerate() {
            let is_earlier = |of: &Definition| !matches!(of, Definition::Export(of, _) if *of >= index);
            assert!(instance.arguments.iter().all(is_earlier), "{instance:?}");
        }
    }

    #[test]
    fn modules_without_instances_are_validated() {
        let with = |unused: &str| {
            let text = format!(
                "(component
                   (core module $main (func (export \"run\") (result i32) (i32.const 0)))
                   (core module {unused})
                   (core instance $main (instantiate $main))
                   (func $run (result (result)) (canon lift (core func $main \"run\")))
                   (instance $command (export \"run\" (func $run)))
                   (export \"wasi:cli/run@0.2.0\" (instance $command)))"
            );
            flatten(&wat::parse_str(text).unwrap(), World::Command, default_features())
                .map(drop)
                .map_err(|e| e.to_string())
        };
        assert_eq!(with("(func)"), Ok(()));
        let error = with("(func (result i32))").unwrap_err();
        assert!(error.contains("the component is not valid: in its core module 1: type mismatch"), "{error}");
    }

    #[test]
    fn a_start_function_finds_the_table_empty() {
        assert_eq!(with_shim("(func $start) (start $start)").instances.len(), 3);
    }
}
