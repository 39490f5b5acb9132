//! A flattened component to a [`Program`]: its core modules become instances, and each function that they import and no
//! module defines a [`Lowering`].

use std::collections::HashMap;

use cranelift_entity::{EntityRef as _, PrimaryMap, entity_impl};
use wasmelt_abi::canonical::{self, FIRST_OWN_RESOURCE, NO_RESOURCE};
use wasmelt_abi::component;
use wasmelt_abi::host::HostFunction;
use wasmparser::ValType;

use super::{Callee, Entry, Instance, InstanceIndex, Linked, Linker, Program};
use crate::component::{CoreFunc, CoreMemory, FlatComponent, HandleTable, ImportName, ResourceType, Trampoline, Work};
use crate::error::{Error, Result};
use crate::module::{FuncIndex, FuncType, GlobalIndex, MemoryIndex};
use crate::options::{Options, Shape, UnknownImports};

/// A function of the runtime as a component calls it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LoweringIndex(u32);
entity_impl!(LoweringIndex, "lowering");

/// What components need besides their core modules; empty in programs of modules.
#[derive(Debug, Default)]
pub struct Components {
    /// The functions of the runtime that they call.
    pub lowerings: PrimaryMap<LoweringIndex, Lowering>,
    /// Tables of handles, by the numbers that adapters know them by.
    pub tables: Vec<Option<Handles>>,
    /// By component instance, the global that is 0 while the instance may call nobody outside.
    pub may_leave: HashMap<u32, (InstanceIndex, GlobalIndex)>,
    /// The component instance of each `realloc` that the runtime calls.
    pub reallocs: HashMap<(InstanceIndex, FuncIndex), u32>,
}

/// The handles of one type that a component instance has.
#[derive(Clone, Copy, Debug)]
pub struct Handles {
    /// The component instance.
    pub component: u32,
    /// The number of the type, see [`wasmelt_abi::canonical`].
    pub ty: u32,
    /// Whether the instance has defined the type itself.
    pub is_definer: bool,
}

/// A function of the runtime, and how code calls it.
#[derive(Clone, Debug)]
pub struct Lowering {
    /// The component instance that calls.
    pub component: u32,
    /// The function; of those that move handles, one of two.
    pub host: &'static HostFunction,
    /// How it is called.
    pub call: LoweredCall,
}

/// How code calls a function of the runtime.
#[derive(Clone, Copy, Debug)]
pub enum LoweredCall {
    /// As a function of WASI.
    Import {
        /// The instance whose memory 0 strings, lists and results lie in.
        memory: Option<InstanceIndex>,
        /// What allocates in it.
        realloc: Option<(InstanceIndex, FuncIndex)>,
    },
    /// With two memories, by their owners.
    Transcode {
        /// The memory that is read.
        from: (InstanceIndex, MemoryIndex),
        /// The memory that is written to.
        to: (InstanceIndex, MemoryIndex),
    },
    /// With the component instance and the type before its parameters.
    Resource {
        /// The number of the type.
        ty: u32,
        /// The call is one that the canonical ABI forbids while the instance must not be left.
        leaves: bool,
    },
    /// The same; it destroys what a handle owned.
    Drop {
        /// The number of the type.
        ty: u32,
        /// The function that destroys.
        destructor: Option<(InstanceIndex, FuncIndex)>,
    },
    /// With a handle and the numbers of two tables of handles, which are constants.
    Transfer {
        /// The handle is lent: its type's own component gets the representation.
        lends: bool,
    },
    /// With its parameters alone.
    Plain,
    /// With the number of a trap, which is a constant.
    Trap,
}

/// What a trampoline of a component is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Provided {
    /// A function of the runtime; the import must have its type where components see it.
    Lowered(LoweringIndex, Option<&'static HostFunction>),
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
        let components = Components::new(flat, &provided, &mut instances)?;
        let (instance, run) = flat.run.ok_or_else(|| Error::internal("a command without `run`"))?;
        let entry = Entry { has_status: true, ..Entry::calling(InstanceIndex::new(instance), vec![run]) };
        Self::plan(instances, entry, components, options)
    }
}

impl Components {
    fn new(flat: &FlatComponent, provided: &[Provided], instances: &mut [Instance<'_>]) -> Result<Self> {
        let lowered = flat.trampolines.iter().zip(provided);
        let lowered = lowered.filter(|(_, provided)| matches!(provided, Provided::Lowered(..)));
        let lowerings = lowered.map(|(trampoline, _)| Lowering::new(trampoline, instances));
        let mut lowerings: PrimaryMap<LoweringIndex, Lowering> = lowerings.collect::<Result<_>>()?;
        if lowerings.values().any(|lowering| component::makes_sockets(lowering.host)) {
            for lowering in lowerings.values_mut() {
                lowering.host = component::beside_sockets(lowering.host);
            }
        }
        let reallocs = lowerings.values().filter_map(|lowering| match lowering.call {
            LoweredCall::Import { realloc: Some(realloc), .. } => Some((realloc, lowering.component)),
            _ => None,
        });
        let may_leave = flat.may_leave.iter().map(|(&component, &(instance, global))| {
            // What calls the runtime reads it, even where no adapter does.
            instances[instance].visible.globals.insert(global);
            (component, (InstanceIndex::new(instance), global))
        });
        Ok(Self {
            tables: flat.tables.iter().map(|table| table.as_ref().map(Handles::new)).collect(),
            may_leave: may_leave.collect(),
            reallocs: reallocs.collect(),
            lowerings,
        })
    }
}

impl Handles {
    fn new(table: &HandleTable) -> Self {
        Self { component: table.component, ty: type_number(&table.resource), is_definer: table.is_definer }
    }
}

/// The number by which the runtime knows a type of resources.
fn type_number(resource: &ResourceType) -> u32 {
    match resource {
        ResourceType::Own(number) => FIRST_OWN_RESOURCE + number,
        ResourceType::Imported(ImportName { interface, name }) => {
            canonical::host_resource(interface, name).unwrap_or(NO_RESOURCE)
        }
    }
}

impl Lowering {
    fn new(trampoline: &Trampoline, instances: &[Instance<'_>]) -> Result<Self> {
        let own = |ty: u32| FIRST_OWN_RESOURCE + ty;
        let (name, call) = match &trampoline.work {
            Work::Import { name, memory, realloc, .. } => {
                return Self::import(trampoline.component, name, *memory, *realloc, instances);
            }
            Work::Transcode { function, from, to } => {
                let owner = |(instance, memory): CoreMemory| instances[instance].owners.memories[memory];
                (*function, LoweredCall::Transcode { from: owner(*from), to: owner(*to) })
            }
            Work::ResourceNew(ty) => ("resource_new", LoweredCall::Resource { ty: own(*ty), leaves: true }),
            Work::ResourceRep(ty) => ("resource_rep", LoweredCall::Resource { ty: own(*ty), leaves: false }),
            Work::ResourceDrop { ty, destructor } => {
                let destructor = destructor.map(|func| checked_destructor(func, instances)).transpose()?;
                ("resource_drop", LoweredCall::Drop { ty: own(*ty), destructor })
            }
            Work::TransferOwn => ("transfer_own", LoweredCall::Transfer { lends: false }),
            Work::TransferBorrow => ("transfer_borrow", LoweredCall::Transfer { lends: true }),
            // An adapter says which component calls which. Calls without tasks need none of it.
            Work::EnterCall => ("enter_call", LoweredCall::Plain),
            Work::ExitCall => ("exit_call", LoweredCall::Plain),
            Work::Trap => ("trap", LoweredCall::Trap),
        };
        let host = canonical::find(name).ok_or_else(|| Error::internal(format!("no function `{name}`")))?;
        Ok(Self { component: trampoline.component, host, call })
    }

    /// The function of a core module that is called when this is called.
    pub(super) fn calls(&self) -> Option<(InstanceIndex, FuncIndex)> {
        match self.call {
            LoweredCall::Import { realloc: called, .. } | LoweredCall::Drop { destructor: called, .. } => called,
            _ => None,
        }
    }

    /// The functions of the runtime that code may call for it.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &'static HostFunction> {
        let lend = match self.call {
            LoweredCall::Transfer { lends: true } => canonical::find("lend"),
            _ => None,
        };
        [self.host].into_iter().chain(lend)
    }

    fn import(
        component: u32,
        name: &ImportName,
        memory: Option<CoreMemory>,
        realloc: Option<CoreFunc>,
        instances: &[Instance<'_>],
    ) -> Result<Self> {
        let host = component::find(&name.interface, &name.name);
        let host = host.ok_or_else(|| Error::internal("an import was found and is lost"))?;
        let memory = memory.map(|memory| memory_owner(name, memory, instances)).transpose()?;
        let realloc = realloc.map(|(instance, func)| (InstanceIndex::new(instance), func));
        let realloc_type = FuncType { params: [ValType::I32; 4].into(), results: [ValType::I32].into() };
        if let Some((instance, func)) = realloc
            && *instances[instance.index()].module.func_type(func) != realloc_type
        {
            return Err(Error::input(format!("`realloc` for a call of {name} is not of type {realloc_type}")));
        }
        Ok(Self { component, host, call: LoweredCall::Import { memory, realloc } })
    }
}

/// A destructor, which must be a function of the component.
fn checked_destructor((instance, func): CoreFunc, instances: &[Instance<'_>]) -> Result<(InstanceIndex, FuncIndex)> {
    let owner = &instances[instance];
    let ty = FuncType { params: [ValType::I32].into(), results: Box::default() };
    if *owner.module.func_type(func) != ty {
        return Err(Error::internal(format!("a destructor is not of type {ty}")));
    }
    match owner.callees[func] {
        Callee::Defined(_) | Callee::Foreign(..) => Ok((InstanceIndex::new(instance), func)),
        _ => Err(Error::input("a resource is destroyed by a function of the host, which is not supported")
            .hint("a function of a core module can call it")),
    }
}

/// The instance whose memory 0 a function works on.
fn memory_owner(
    import: &ImportName,
    (instance, memory): CoreMemory,
    instances: &[Instance<'_>],
) -> Result<InstanceIndex> {
    let (owner, memory) = instances[instance].owners.memories[memory];
    let plan = &instances[owner.index()].module.memories[memory];
    if memory.as_u32() == 0 && !plan.index_64 && !plan.shared {
        return Ok(owner);
    }
    Err(Error::input(format!(
        "a call of {import} works on a memory that is not the first one of its module, or that is shared or has 64-bit \
         addresses, which is not supported"
    ))
    .hint("build the program for `wasm32-wasip2`: its modules have one memory"))
}

/// The function of the runtime that a trampoline calls.
fn provide(trampoline: &Trampoline, count: &mut usize, options: &Options) -> Result<Provided> {
    let host = match &trampoline.work {
        Work::Import { name, .. } => match component::find(&name.interface, &name.name) {
            None if options.unknown_imports == UnknownImports::Trap => return Ok(Provided::Missing),
            None => return Err(unknown_import(name)),
            host => host,
        },
        _ => None,
    };
    *count += 1;
    Ok(Provided::Lowered(LoweringIndex::new(*count - 1), host))
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
        None => error.hint("a component that exports the interface provides it: `--plug PATH` composes them"),
    };
    error.hint("`--unknown-imports trap` compiles the component all the same; a call of the import then traps")
}
