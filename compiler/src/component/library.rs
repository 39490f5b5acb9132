//! A flattened component to a [`Plan`], by which host programs instantiate it. Core modules of a library are compiled one by
//! one, and connected by the names of their exports.

use std::collections::{BTreeMap, HashSet};

use wasmelt_abi::ABI_VERSION;
use wasmelt_plan::{self as plan, Argument, CoreExport, ExportedFunc, Lowering, Plan, PlannedInstance};

use super::{
    CoreFunc, CoreMemory, DefinedResource, Definition, FlatComponent, HandleTable, ImportName, Lifted, ResourceType,
    Work, trap,
};
use crate::error::{Error, Result};
use crate::module::{Entity, GlobalIndex, Module};

/// The plan of a component whose core modules are these, one for each instance.
pub fn plan(flat: &FlatComponent, modules: &[&Module<'_>]) -> Result<Plan> {
    let planner = Planner { flat, modules };
    let used = flat.used_modules();
    let instances = flat.instances.iter().map(|instance| {
        let arguments = instance.arguments.iter().map(|argument| match *argument {
            Definition::Export(instance, entity) => planner.export(instance, entity).map(Argument::Export),
            Definition::Trampoline(index) => Ok(Argument::Lowering(index as u32)),
        });
        let module = used.iter().position(|&used| used == instance.module).unwrap_or(0);
        Ok(PlannedInstance { module: module as u32, arguments: arguments.collect::<Result<_>>()? })
    });
    let lowerings = flat
        .trampolines
        .iter()
        .map(|trampoline| Ok(Lowering { component: trampoline.component, work: planner.work(&trampoline.work)? }));
    Ok(Plan {
        version: ABI_VERSION,
        module_count: used.len() as u32,
        instances: instances.collect::<Result<_>>()?,
        lowerings: lowerings.collect::<Result<_>>()?,
        exports: flat.lifted.iter().map(|lifted| planner.lifted(lifted)).collect::<Result<_>>()?,
        resources: flat.resources.iter().map(|resource| planner.resource(resource)).collect::<Result<_>>()?,
        imported_resources: imported_resources(flat),
        tables: flat.tables.iter().map(|table| table.as_ref().map(handles)).collect(),
        may_leave: planner.flags()?,
    })
}

/// The types of resources of the host that handles of the component can be of, each once.
fn imported_resources(flat: &FlatComponent) -> Vec<(String, String)> {
    let mut seen = HashSet::new();
    let imported = flat.tables.iter().flatten().filter_map(|table| match &table.resource {
        ResourceType::Imported(ImportName { interface, name }) => Some((interface.clone(), name.clone())),
        ResourceType::Own(_) => None,
    });
    imported.filter(|name| seen.insert(name.clone())).collect()
}

struct Planner<'a> {
    flat: &'a FlatComponent,
    modules: &'a [&'a Module<'a>],
}

impl Planner<'_> {
    /// The name under which an instance exports something.
    fn export(&self, instance: usize, entity: Entity) -> Result<CoreExport> {
        let name = self.modules[instance].exports.iter().find(|export| export.entity == entity);
        let name = name.ok_or_else(|| {
            let of = &self.flat.instances[instance].name;
            Error::input(format!(
                "the component uses something of `{of}` that `{of}` does not export, which libraries cannot"
            ))
            .hint("leave out `--emit`: an executable can")
        })?;
        Ok(CoreExport { instance: instance as u32, name: name.name.to_owned() })
    }

    fn func(&self, (instance, func): CoreFunc) -> Result<CoreExport> {
        self.export(instance, Entity::Func(func))
    }

    /// A memory, which must be one that the canonical ABI can use with 32 bits.
    fn memory(&self, (instance, memory): CoreMemory) -> Result<CoreExport> {
        if self.modules[instance].memories[memory].index_64 {
            return Err(unsupported_memory());
        }
        self.unshared((instance, memory))
    }

    /// A memory, which must be one that no other thread writes to.
    fn unshared(&self, (instance, memory): CoreMemory) -> Result<CoreExport> {
        if self.modules[instance].memories[memory].shared {
            return Err(unsupported_memory());
        }
        self.export(instance, Entity::Memory(memory))
    }

    fn work(&self, work: &Work) -> Result<plan::Work> {
        Ok(match work {
            Work::Import { name, memory, realloc, ty } => plan::Work::Import {
                interface: name.interface.clone(),
                name: name.name.clone(),
                memory: memory.map(|memory| self.memory(memory)).transpose()?,
                realloc: realloc.map(|func| self.func(func)).transpose()?,
                ty: ty.clone(),
            },
            Work::ResourceNew(ty) => plan::Work::ResourceNew(*ty),
            Work::ResourceRep(ty) => plan::Work::ResourceRep(*ty),
            Work::ResourceDrop { ty, .. } => plan::Work::ResourceDrop(*ty),
            Work::Transcode { function, from, to } => plan::Work::Transcode {
                function: (*function).to_owned(),
                from: self.unshared(*from)?,
                to: self.unshared(*to)?,
            },
            Work::TransferOwn => plan::Work::TransferOwn,
            Work::TransferBorrow => plan::Work::TransferBorrow,
            Work::EnterCall => plan::Work::EnterCall,
            Work::ExitCall => plan::Work::ExitCall,
            Work::Trap => {
                let reason = |code: u8| Some((code.into(), trap(code.into())? as u32));
                plan::Work::Trap { reasons: (0..=u8::MAX).filter_map(reason).collect() }
            }
        })
    }

    fn resource(&self, resource: &DefinedResource) -> Result<plan::DefinedResource> {
        let destructor = resource.destructor.map(|func| self.func(func)).transpose()?;
        Ok(plan::DefinedResource { component: resource.component, destructor })
    }

    /// The flags of component instances, in order.
    fn flags(&self) -> Result<Vec<(u32, CoreExport)>> {
        let flags: BTreeMap<_, _> = self.flat.may_leave.iter().collect();
        let flag = |(&component, &(instance, global)): (&u32, &(usize, GlobalIndex))| {
            Ok((component, self.export(instance, Entity::Global(global))?))
        };
        flags.into_iter().map(flag).collect()
    }

    fn lifted(&self, lifted: &Lifted) -> Result<ExportedFunc> {
        Ok(ExportedFunc {
            interface: lifted.interface.clone(),
            name: lifted.name.clone(),
            func: self.func(lifted.func)?,
            memory: lifted.memory.map(|memory| self.memory(memory)).transpose()?,
            realloc: lifted.realloc.map(|func| self.func(func)).transpose()?,
            post_return: lifted.post_return.map(|func| self.func(func)).transpose()?,
            component: lifted.component,
            ty: lifted.ty.clone(),
        })
    }
}

fn unsupported_memory() -> Error {
    Error::input(
        "the component passes values in a memory that is shared, or to the host in one that has 64-bit addresses, which \
         libraries do not support",
    )
    .hint("build it for `wasm32-wasip2`")
}

fn handles(table: &HandleTable) -> plan::HandleTable {
    let resource = match &table.resource {
        ResourceType::Own(number) => plan::ResourceType::Own(*number),
        ResourceType::Imported(name) => plan::ResourceType::Imported(name.interface.clone(), name.name.clone()),
    };
    plan::HandleTable { component: table.component, resource, is_definer: table.is_definer }
}
