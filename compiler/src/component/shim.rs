//! Calls through the tables of `wit-component`, resolved. A module that needs its own memory for what it imports cannot
//! get these imports before it exists. So `wit-component` gives it functions of a *shim* module, each of which calls
//! through a table, and a *fix-up* module fills that table afterwards. Who fills it with what is known here, so whoever
//! uses a function of the shim gets what the table will hold, and a call of WASI costs what it costs in a module. Functions
//! of other components exist later, behind adapters: they are still called through the table.

use wasmparser::{Operator, Parser, Payload, WasmFeatures};

use super::{CoreFunc, Definition, FlatComponent, Lifted, Work};
use crate::error::Result;
use crate::module::{self, ConstValue, ElementMode, Entity, FuncIndex, Module, TableIndex};

/// Gives all who use functions of shims what these call, and leaves out shims and fix-ups that are superfluous then.
pub(super) fn resolve(flat: &mut FlatComponent, features: WasmFeatures) -> Result<()> {
    let mut place = 0;
    while place < flat.instances.len() {
        let is_removed = Resolved::find(flat, place, features)?.is_some_and(|resolved| resolved.apply(flat));
        place += usize::from(!is_removed);
    }
    Ok(())
}

/// A shim and what its functions call.
struct Resolved {
    shim: usize,
    fixup: usize,
    /// By function of the shim.
    callees: Vec<Definition>,
}

impl Resolved {
    fn find(flat: &FlatComponent, shim: usize, features: WasmFeatures) -> Result<Option<Self>> {
        let bytes = |instance: usize| &flat.modules[flat.instances[instance].module];
        if !may_be_shim(bytes(shim)) {
            return Ok(None);
        }
        let Some(slots) = slots(&module::parse(bytes(shim), features)?) else { return Ok(None) };
        let table = Definition::Export(shim, Entity::Table(TableIndex::from_u32(0)));
        let users = flat.instances.iter().enumerate().filter(|(_, user)| user.arguments.contains(&table));
        let users: Vec<usize> = users.map(|(index, _)| index).collect();
        let &[fixup] = &users[..] else { return Ok(None) };
        // A function of the shim that is called before the table is filled traps.
        if (shim + 1..fixup).any(|between| has_start(bytes(between))) || is_used(flat, fixup) {
            return Ok(None);
        }
        let fixup_module = module::parse(bytes(fixup), features)?;
        let Some(elements) = elements(&fixup_module, &flat.instances[fixup].arguments) else { return Ok(None) };
        let callees: Option<Vec<_>> = slots.iter().map(|&slot| elements.get(slot).copied()).collect();
        Ok(callees.map(|callees| Self { shim, fixup, callees }).filter(|resolved| resolved.frees_host(flat)))
    }

    /// What a function of the shim calls; the function itself where it is not one of the shim.
    fn callee(&self, definition: Definition) -> Option<Definition> {
        match definition {
            Definition::Export(instance, Entity::Func(func)) if instance == self.shim => {
                self.callees.get(func.as_u32() as usize).copied()
            }
            _ => Some(definition),
        }
    }

    /// Whether the host calls functions of the shim only where a core module has what they call, and nothing else of it.
    fn frees_host(&self, flat: &FlatComponent) -> bool {
        let is_core = |func: CoreFunc| {
            let callee = self.callee(Definition::Export(func.0, Entity::Func(func.1)));
            matches!(callee, Some(Definition::Export(..)))
        };
        let (funcs, memories) = used_by_host(flat);
        !is_run_of(flat, self.shim) && funcs.into_iter().all(is_core) && memories.into_iter().all(|of| of != self.shim)
    }

    /// Gives users what they call, and says whether nobody needs the shim any more, which is left out then. What belongs
    /// to a later instance, such as an adapter to another component, is reached through the table as before.
    fn apply(self, flat: &mut FlatComponent) -> bool {
        let mut is_needed = false;
        for (user, instance) in flat.instances.iter_mut().enumerate() {
            for argument in &mut instance.arguments {
                match self.callee(*argument) {
                    Some(Definition::Export(of, _)) if of >= user && Some(*argument) != self.callee(*argument) => {
                        is_needed = true;
                    }
                    callee => *argument = callee.unwrap_or(*argument),
                }
            }
        }
        let of_trampolines = flat.trampolines.iter_mut().filter_map(|trampoline| func_of_host(&mut trampoline.work));
        let destructors = flat.resources.iter_mut().filter_map(|resource| resource.destructor.as_mut());
        for func in of_trampolines.chain(flat.lifted.iter_mut().flat_map(funcs_of_lifted)).chain(destructors) {
            if let Some(Definition::Export(instance, Entity::Func(callee))) =
                self.callee(Definition::Export(func.0, Entity::Func(func.1)))
            {
                *func = (instance, callee);
            }
        }
        if !is_needed {
            remove(flat, self.fixup);
            remove(flat, self.shim);
        }
        !is_needed
    }
}

/// The function of a core module that a trampoline calls.
fn func_of_host(work: &mut Work) -> Option<&mut CoreFunc> {
    match work {
        Work::Import { realloc: Some(func), .. } | Work::ResourceDrop { destructor: Some(func), .. } => Some(func),
        _ => None,
    }
}

/// The functions of core modules behind one that is exported.
fn funcs_of_lifted(lifted: &mut Lifted) -> impl Iterator<Item = &mut CoreFunc> {
    [Some(&mut lifted.func), lifted.realloc.as_mut(), lifted.post_return.as_mut()].into_iter().flatten()
}

/// The functions that trampolines and the host call, and the instances whose memories they work on.
fn used_by_host(flat: &FlatComponent) -> (Vec<CoreFunc>, Vec<usize>) {
    let (mut funcs, mut memories) = (Vec::new(), Vec::new());
    for trampoline in &flat.trampolines {
        match &trampoline.work {
            Work::Import { memory, realloc, .. } => {
                funcs.extend(*realloc);
                memories.extend(memory.map(|(instance, _)| instance));
            }
            Work::ResourceDrop { destructor, .. } => funcs.extend(*destructor),
            Work::Transcode { from, to, .. } => memories.extend([from.0, to.0]),
            _ => {}
        }
    }
    funcs.extend(flat.resources.iter().filter_map(|resource| resource.destructor));
    for lifted in &flat.lifted {
        funcs.extend([Some(lifted.func), lifted.realloc, lifted.post_return].into_iter().flatten());
        memories.extend(lifted.memory.map(|(instance, _)| instance));
    }
    (funcs, memories)
}

/// Removes an instance that nothing uses.
fn remove(flat: &mut FlatComponent, removed: usize) {
    flat.instances.remove(removed);
    let renumber = |instance: &mut usize| *instance -= usize::from(*instance > removed);
    for argument in flat.instances.iter_mut().flat_map(|instance| &mut instance.arguments) {
        if let Definition::Export(instance, _) = argument {
            renumber(instance);
        }
    }
    for work in flat.trampolines.iter_mut().map(|trampoline| &mut trampoline.work) {
        match work {
            Work::Import { memory, realloc, .. } => {
                memory.iter_mut().for_each(|(instance, _)| renumber(instance));
                realloc.iter_mut().for_each(|(instance, _)| renumber(instance));
            }
            Work::ResourceDrop { destructor, .. } => destructor.iter_mut().for_each(|(instance, _)| renumber(instance)),
            Work::Transcode { from, to, .. } => [from, to].into_iter().for_each(|(instance, _)| renumber(instance)),
            _ => {}
        }
    }
    let destructors = flat.resources.iter_mut().filter_map(|resource| resource.destructor.as_mut());
    destructors.for_each(|(instance, _)| renumber(instance));
    flat.may_leave.values_mut().for_each(|(instance, _)| renumber(instance));
    for lifted in &mut flat.lifted {
        lifted.memory.iter_mut().for_each(|(instance, _)| renumber(instance));
        funcs_of_lifted(lifted).for_each(|(instance, _)| renumber(instance));
    }
    flat.run.iter_mut().for_each(|(instance, _)| renumber(instance));
}

/// Whether anything refers to an instance.
fn is_used(flat: &FlatComponent, index: usize) -> bool {
    let is_of_it = |definition: &Definition| matches!(definition, Definition::Export(of, _) if *of == index);
    is_used_by_host(flat, index) || flat.instances.iter().flat_map(|instance| &instance.arguments).any(is_of_it)
}

/// Whether the host uses something of an instance itself.
fn is_used_by_host(flat: &FlatComponent, index: usize) -> bool {
    let (funcs, memories) = used_by_host(flat);
    is_run_of(flat, index) || funcs.iter().any(|(of, _)| *of == index) || memories.contains(&index)
}

fn is_run_of(flat: &FlatComponent, index: usize) -> bool {
    flat.run.is_some_and(|(instance, _)| instance == index)
}

/// Whether a module imports nothing and has no memory: most of a component is not looked at closer.
fn may_be_shim(bytes: &[u8]) -> bool {
    !has(bytes, |payload| matches!(payload, Payload::ImportSection(_) | Payload::MemorySection(_)))
}

fn has_start(bytes: &[u8]) -> bool {
    has(bytes, |payload| matches!(payload, Payload::StartSection { .. }))
}

fn has(bytes: &[u8], is: impl Fn(&Payload<'_>) -> bool) -> bool {
    Parser::new(0).parse_all(bytes).any(|payload| payload.is_ok_and(|payload| is(&payload)))
}

/// For a shim, the place in the table that each of its functions calls with its own parameters.
fn slots(module: &Module<'_>) -> Option<Vec<usize>> {
    let is_bare = module.imports.is_empty()
        && module.memories.is_empty()
        && module.globals.is_empty()
        && module.elements.is_empty()
        && module.start.is_none()
        && module.tables.len() == 1
        && !module.bodies.is_empty();
    let slot = |(func, body): (_, &module::Body<'_>)| {
        let params = module.func_type(module.func_index(func)).params.len() as u32;
        let mut operators = body.body.get_operators_reader().ok()?.into_iter();
        for param in 0..params {
            match operators.next()?.ok()? {
                Operator::LocalGet { local_index } if local_index == param => {}
                _ => return None,
            }
        }
        let Operator::I32Const { value } = operators.next()?.ok()? else { return None };
        let Operator::CallIndirect { type_index, table_index: 0 } = operators.next()?.ok()? else { return None };
        let is_own_type = module.funcs[module.func_index(func)].ty.as_u32() == type_index;
        let ends = matches!(operators.next()?.ok()?, Operator::End);
        (is_own_type && ends).then(|| usize::try_from(value).ok()).flatten()
    };
    if !is_bare {
        return None;
    }
    module.bodies.iter().map(slot).collect()
}

/// For a fix-up, what it fills the table with that it imports, from 0 on. It does nothing else.
fn elements(module: &Module<'_>, arguments: &[Definition]) -> Option<Vec<Definition>> {
    let is_bare = module.bodies.is_empty()
        && module.start.is_none()
        && module.memories.is_empty()
        && module.data.is_empty()
        && module.tables.len() == 1;
    let mut segments = module.elements.values();
    let (Some(segment), None) = (segments.next(), segments.next()) else { return None };
    let ElementMode::Active(_, offset) = &segment.mode else { return None };
    if !is_bare || offset.evaluate(|_| None) != Some(ConstValue::I32(0)) {
        return None;
    }
    let import_of = |func: FuncIndex| module.imports.iter().position(|import| import.entity == Entity::Func(func));
    let element = |expr: &module::ConstExpr| {
        let func = expr.funcs().next()?;
        arguments.get(import_of(func)?).copied()
    };
    segment.elements.iter().map(element).collect()
}
