//! What adapters between the components of a composed one call: strings go from one memory to another, handles from one
//! component instance to another, and calls begin and end. Adapters are core modules that the compiler has made; what they pass
//! on comes from components and is unchecked.
//! Source: component model, "Canonical ABI" (`store_string`, `lift_own`, `lower_own`, `lift_borrow`, `lower_borrow`).
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: a handle goes to another component only where the giver's table has it, with the type that both      ║
//! ║ sides' tables are of. Strings are copied by the runtime's functions, which check both ranges.                  ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use wasmelt_abi::canonical::{CanonicalTrap, Span};
use wasmelt_plan::Plan;
use wasmelt_runtime::component::handles::{Removed, Resource, Tables};
use wasmelt_runtime::component::strings::{Transcoder, transcode};

use super::context::State;
use super::guest::trap;
use super::handles::ResourceTypes;
use crate::{FuncType, Memory, Result, StoreContextMut, ValType};

/// The handles of one type that a component instance has.
#[derive(Clone, Copy, Debug)]
pub(super) struct HandleTable {
    component: u32,
    /// The number that its entries have for their type.
    ty: u32,
    is_definer: bool,
}

/// Tables of handles, by the numbers that adapters know them by.
pub(super) type HandleTables = [Option<HandleTable>];

/// The tables of a component.
pub(super) fn handle_tables(plan: &Plan, types: &ResourceTypes) -> Vec<Option<HandleTable>> {
    let table = |table: &wasmelt_plan::HandleTable| HandleTable {
        component: table.component,
        ty: types.entry_type(&table.resource),
        is_definer: table.is_definer,
    };
    plan.tables.iter().map(|planned| planned.as_ref().map(table)).collect()
}

/// Moves a handle from one table to another, or lends it (`lends`) for the time of the innermost call: the new handle, or what
/// the component that has defined the type knows the resource by.
pub(super) fn transfer(state: &State, tables: &HandleTables, lends: bool, values: &[[u64; 2]]) -> Result<u32> {
    let table = |word: u64| tables.get(word as u32 as usize).copied().flatten();
    let &[[handle, _], [from, _], [to, _], ..] = values else { return Err(trap(UNKNOWN_TABLES)) };
    let (Some(from), Some(to)) = (table(from), table(to)) else { return Err(trap(UNKNOWN_TABLES)) };
    if from.ty != to.ty {
        return Err(trap(UNKNOWN_TABLES));
    }
    let mut handles = state.handles.borrow_mut();
    if lends { lend(state, &mut handles, handle as u32, from, to) } else { give(&mut handles, handle as u32, from, to) }
}

/// What no adapter does.
const UNKNOWN_TABLES: &str = "a handle goes between unknown tables";

/// What a handle stands for, which must be of the table's type.
fn look_up(handles: &mut Tables, handle: u32, table: HandleTable) -> Result<Resource> {
    match handles.get(table.component, handle) {
        Some(resource) if resource.type_number() == table.ty => Ok(resource),
        Some(_) => Err(trap(format!("handle index {handle} used with the wrong type"))),
        None => Err(trap(format!("unknown handle index {handle}"))),
    }
}

fn give(handles: &mut Tables, handle: u32, from: HandleTable, to: HandleTable) -> Result<u32> {
    look_up(handles, handle, from)?;
    match handles.take(from.component, handle) {
        Ok(Removed::Owned(resource)) => handles.insert(to.component, resource).map_err(|_| too_many()),
        Ok(Removed::Lent(_)) => Err(trap("cannot lift own resource from a borrow")),
        Err(_) => Err(trap("cannot remove owned resource while borrowed")),
    }
}

fn lend(state: &State, handles: &mut Tables, handle: u32, from: HandleTable, to: HandleTable) -> Result<u32> {
    let resource = look_up(handles, handle, from)?;
    let mut calls = state.calls.borrow_mut();
    if handles.begin_loan(from.component, handle) {
        calls.borrow_from(from.component, handle)?;
    }
    if let (true, Resource::Own { representation, .. }) = (to.is_definer, resource) {
        return Ok(representation);
    }
    let call = calls.lend();
    handles.insert_lent_from(to.component, (from.component, handle), call).map_err(|_| too_many())
}

fn too_many() -> crate::Error {
    trap("cannot allocate another handle: too many handles")
}

/// The trap that an adapter raises by a number; `reasons` has numbers with those of [`CanonicalTrap`].
pub(super) fn reason(reasons: &[(u32, u32)], values: &[[u64; 2]]) -> crate::Error {
    let code = values.first().map_or(u32::MAX, |value| value[0] as u32);
    let number = reasons.iter().find(|(known, _)| *known == code).map(|(_, number)| *number as usize);
    trap(number.and_then(|number| CanonicalTrap::MESSAGES.lines().nth(number)).unwrap_or("an adapter has trapped"))
}

/// Copies a string between two memories of the store, with the parameters of a function of this type; in come its parameters,
/// out its results.
pub(super) fn copy_string<T>(
    store: &mut StoreContextMut<'_, T>,
    transcoder: Transcoder,
    ty: &FuncType,
    (from, to): (Memory, Memory),
    values: &mut [[u64; 2]],
) -> Result<()> {
    let mut args = [0; 5];
    for ((arg, value), ty) in args.iter_mut().zip(&*values).zip(ty.params()) {
        *arg = if *ty == ValType::I32 { u64::from(value[0] as u32) } else { value[0] };
    }
    let span = |memory: Memory| {
        let memory = store.inner().memory(memory)?;
        Ok::<_, crate::Error>(Span { base: memory.base(), len_bytes: memory.len() })
    };
    let (from, to) = (span(from)?, span(to)?);
    // SAFETY: both memories are the store's, which is borrowed: nothing else runs in the store, and a component's memories are
    // not shared.
    let (result, written) = unsafe { transcode(transcoder, from, to, args) }.map_err(trap)?;
    for (value, result) in values.iter_mut().zip([result, written]) {
        value[0] = result;
    }
    Ok(())
}
