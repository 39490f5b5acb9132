//! Instances.

use core::ffi::c_char;
use core::mem::MaybeUninit;

use wasmelt_embed::{Error, Instance, Result};

use super::error::{attempt, caught, need, text};
use super::module::module;
use super::object::{Item, wasm_ref_t};
use super::store::{StoreRef, wasm_store_t};
use super::trap;
use super::vec::{Refs, Vector};

fn instance(object: Option<&wasm_ref_t>) -> Result<(Instance, &StoreRef)> {
    let object = need(object, "the instance")?;
    match object.item {
        Item::Instance(instance) => Ok((instance, object.store()?)),
        _ => Err(Error::Usage("the object is not an instance".to_owned())),
    }
}

pub(crate) fn instance_in(store: &StoreRef, object: Option<&wasm_ref_t>) -> Result<Instance> {
    let (instance, other) = instance(object)?;
    if store.is(other) { Ok(instance) } else { Err(Error::Usage("the instance is of another store".to_owned())) }
}

type TrapOut<'a> = Option<&'a mut MaybeUninit<Option<Box<wasm_ref_t>>>>;

/// Does something in a store that may end in a trap, which goes to `trap`.
pub(crate) fn or_trap<T>(
    store: Option<&wasm_store_t>,
    trap: TrapOut<'_>,
    action: impl FnOnce() -> Result<T>,
) -> Option<T> {
    let (result, error) = match caught(action) {
        Ok(result) => (Some(result), None),
        Err(error) => (None, Some(trap::of_error(store.map(|store| &store.store), error))),
    };
    if let Some(trap) = trap {
        trap.write(error);
    }
    result
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_instance_new(
    store: Option<&wasm_store_t>,
    object: Option<&wasm_ref_t>,
    imports: Option<&Refs>,
    trap: TrapOut<'_>,
) -> Option<Box<wasm_ref_t>> {
    or_trap(store, trap, || {
        let store = &need(store, "the store")?.store;
        let module = module(object)?;
        let import = |object: &Option<Box<wasm_ref_t>>| need(object.as_deref(), "an import")?.external();
        let imports = imports.map_or(&[][..], Vector::as_slice).iter().map(import).collect::<Result<Vec<_>>>()?;
        let instance = store.with(|context| Instance::new(context, module, &imports))?;
        Ok(store.object(Item::Instance(instance)))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_instance_exports(object: Option<&wasm_ref_t>, out: Option<&mut MaybeUninit<Refs>>) {
    let exports = || {
        let (instance, store) = instance(object)?;
        let items: Vec<Item> =
            store.with(|context| instance.exports(&context).map(|(_, item)| Item::from(item)).collect());
        Ok(items.into_iter().map(|item| Some(store.object(item))).collect())
    };
    if let Some(out) = out {
        out.write(attempt(exports).unwrap_or(Vector::EMPTY));
    }
}

/// # Safety
/// By the header, the name is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_instance_export(
    object: Option<&wasm_ref_t>,
    name: *const c_char,
) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        let (instance, store) = instance(object)?;
        // SAFETY: by this function's contract.
        let name = unsafe { text(name, "the name") }?;
        let export = store.with(|context| instance.get_export(context, name));
        Ok(store.object(export.ok_or_else(|| Error::Usage(format!("the instance exports no {name:?}")))?))
    })
}
