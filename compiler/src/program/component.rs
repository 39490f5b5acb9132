//! A flattened component to a [`Program`]: its core modules become instances, and each function of WASI that it calls
//! a [`Lowering`].

use cranelift_entity::{EntityRef as _, PrimaryMap, entity_impl};
use wasmelt_abi::component;
use wasmelt_abi::host::HostFunction;
use wasmparser::ValType;

use super::{Entry, Instance, InstanceIndex, Linked, Linker, Program};
use crate::component::{FlatComponent, ImportName, Trampoline};
use crate::error::{Error, Result};
use crate::module::{FuncIndex, FuncType, MemoryIndex};
use crate::options::{Options, Shape, UnknownImports};

/// A function of the host as a component calls it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoweringIndex(u32);
entity_impl!(LoweringIndex, "lowering");

/// A function of the runtime, and what the component says about the memory and the handles that it works on.
#[derive(Clone, Debug)]
pub struct Lowering {
    /// The function.
    pub host: &'static HostFunction,
    /// The component instance that calls.
    pub component: u32,
    /// The instance whose memory 0 strings, lists and results lie in.
    pub memory: Option<InstanceIndex>,
    /// What allocates in it.
    pub realloc: Option<(InstanceIndex, FuncIndex)>,
}

/// What a trampoline of a component is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Provided {
    /// A function of the runtime.
    Lowered(LoweringIndex, &'static HostFunction),
    /// Nothing provides it: it traps.
    Missing,
}

impl<'data> Program<'data> {
    /// A program of a component's core modules, one for each instance.
    pub fn component(flat: &FlatComponent, modules: Vec<Linked<'data>>, options: &Options) -> Result<Self> {
        let mut count = 0;
        let provided = flat.trampolines.iter().map(|trampoline| provide(trampoline, &mut count, options));
        let provided: Vec<_> = provided.collect::<Result<_>>()?;
        let is_linked = modules.len() > 1;
        let mut linker = Linker::default();
        let mut instances = Vec::with_capacity(modules.len());
        for (Linked { name, module }, flat) in modules.into_iter().zip(&flat.instances) {
            let numbers = linker.types.number(&module);
            let links = linker.link_given(&module, &numbers, &mut instances, &flat.arguments, &provided);
            let links = links.map_err(|e| e.context(format!("core module `{name}`")))?;
            instances.push(Instance::new(name, module, Shape::Single, numbers, links, is_linked));
        }
        let lowerings = flat.trampolines.iter().zip(&provided).filter_map(|(trampoline, provided)| match provided {
            Provided::Lowered(_, host) => Some(Lowering::new(trampoline, host, &instances)),
            Provided::Missing => None,
        });
        let lowerings: PrimaryMap<_, _> = lowerings.collect::<Result<_>>()?;
        let (instance, run) = flat.run;
        let entry = Entry { has_status: true, ..Entry::calling(InstanceIndex::new(instance), vec![run]) };
        Self::plan(instances, entry, lowerings, options)
    }
}

impl Lowering {
    fn new(trampoline: &Trampoline, host: &'static HostFunction, instances: &[Instance<'_>]) -> Result<Self> {
        let memory = trampoline.memory.map(|memory| memory_owner(trampoline, memory, instances)).transpose()?;
        let realloc = trampoline.realloc.map(|(instance, func)| (InstanceIndex::new(instance), func));
        let realloc_type = FuncType { params: [ValType::I32; 4].into(), results: [ValType::I32].into() };
        if let Some((instance, func)) = realloc
            && *instances[instance.index()].module.func_type(func) != realloc_type
        {
            return Err(Error::input(format!(
                "`realloc` for a call of {} is not of type {realloc_type}",
                trampoline.import
            )));
        }
        Ok(Self { host, component: trampoline.component, memory, realloc })
    }
}

/// The instance whose memory 0 a function works on.
fn memory_owner(
    trampoline: &Trampoline,
    (instance, memory): (usize, MemoryIndex),
    instances: &[Instance<'_>],
) -> Result<InstanceIndex> {
    let (owner, memory) = instances[instance].owners.memories[memory];
    let plan = &instances[owner.index()].module.memories[memory];
    if memory.as_u32() == 0 && !plan.index_64 && !plan.shared {
        return Ok(owner);
    }
    Err(Error::input(format!(
        "a call of {} works on a memory that is not the first one of its module, or that is shared or has 64-bit \
         addresses, which is not supported",
        trampoline.import
    ))
    .hint("build the program for `wasm32-wasip2`: its modules have one memory"))
}

/// The function of the runtime that a trampoline calls.
fn provide(trampoline: &Trampoline, count: &mut usize, options: &Options) -> Result<Provided> {
    let ImportName { interface, name } = &trampoline.import;
    match component::find(interface, name) {
        Some(host) => {
            *count += 1;
            Ok(Provided::Lowered(LoweringIndex::new(*count - 1), host))
        }
        None if options.unknown_imports == UnknownImports::Trap => Ok(Provided::Missing),
        None => Err(unknown_import(&trampoline.import)),
    }
}

fn unknown_import(import: &ImportName) -> Error {
    let error = Error::input(format!("unknown import: the component imports {import}, which nothing provides"));
    let (interface, version) = import.interface.split_once('@').unwrap_or((&import.interface, ""));
    let error = match component::interfaces().find(|known| *known == interface) {
        Some(_) if component::is_supported(version) => {
            error.hint(format!("the runtime has `{interface}`, but no function `{}` in it", import.name))
        }
        Some(_) => error.hint(format!("the runtime has `{interface}` in the versions 0.2")),
        None if interface.starts_with("wasi:") => {
            error.hint("the runtime has wasi:cli, clocks, filesystem, io, random and sockets")
        }
        None => error.hint(
            "a component that exports the interface provides it: `wac plug` or `wasm-tools compose` composes them",
        ),
    };
    error.hint("`--unknown-imports trap` compiles the component all the same; a call of the import then traps")
}
