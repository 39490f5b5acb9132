//! Globals, tables and memories, and what all externals have.

use core::mem::MaybeUninit;
use core::ptr;

use wasmelt_embed::{Error, ExternType, Global, Memory, RefType, Result, Table, ValType};

use super::error::{attempt, need, record};
use super::object::{Item, wasm_ref_t};
use super::store::{StoreRef, wasm_store_t};
use super::types::wasm_externtype_t;
use super::val::{lower_reference, wasm_val_t};

fn type_of(object: Option<&wasm_ref_t>) -> Result<ExternType> {
    let object = need(object, "the object")?;
    let external = object.external()?;
    object.store()?.with(|context| external.ty(context))
}

fn boxed_type(object: Option<&wasm_ref_t>) -> Option<Box<wasm_externtype_t>> {
    attempt(|| Ok(Box::new(type_of(object)?.into())))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_extern_kind(object: Option<&wasm_ref_t>) -> u8 {
    attempt(|| Ok(wasm_externtype_t::from(type_of(object)?).kind())).unwrap_or(0)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_extern_type(object: Option<&wasm_ref_t>) -> Option<Box<wasm_externtype_t>> {
    boxed_type(object)
}

fn wrong(what: &str) -> Error {
    Error::Usage(format!("the object is not a {what}"))
}

fn global(object: Option<&wasm_ref_t>) -> Result<(Global, &StoreRef)> {
    let object = need(object, "the global")?;
    match object.item {
        Item::Global(global) => Ok((global, object.store()?)),
        _ => Err(wrong("global")),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_global_new(
    store: Option<&wasm_store_t>,
    ty: Option<&wasm_externtype_t>,
    value: Option<&wasm_val_t>,
) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        let store = &need(store, "the store")?.store;
        let wasm_externtype_t::Global { ty, .. } = need(ty, "the type")? else { return Err(wrong("type of globals")) };
        let value = need(value, "the value")?;
        let global = store.with(|mut context| {
            let value = value.lower(store, &mut context, &ty.content)?;
            Global::new(context, ty.clone(), value)
        })?;
        Ok(store.object(Item::Global(global)))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_global_type(object: Option<&wasm_ref_t>) -> Option<Box<wasm_externtype_t>> {
    boxed_type(object)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_global_get(object: Option<&wasm_ref_t>, out: Option<&mut MaybeUninit<wasm_val_t>>) {
    let get = || {
        let (global, store) = global(object)?;
        store.with(|context| wasm_val_t::raise(store, context.data(), &global.get(&context)?))
    };
    if let Some(out) = out {
        out.write(attempt(get).unwrap_or_default());
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_global_set(object: Option<&wasm_ref_t>, value: Option<&wasm_val_t>) {
    attempt(|| {
        let (global, store) = global(object)?;
        let value = need(value, "the value")?;
        store.with(|mut context| {
            let ty = global.ty(&context)?.content;
            let value = value.lower(store, &mut context, &ty)?;
            global.set(context, value)
        })
    });
}

fn table(object: Option<&wasm_ref_t>) -> Result<(Table, &StoreRef)> {
    let object = need(object, "the table")?;
    match object.item {
        Item::Table(table) => Ok((table, object.store()?)),
        _ => Err(wrong("table")),
    }
}

fn element(ty: &RefType) -> ValType {
    ValType::Ref(ty.clone())
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_table_new(
    store: Option<&wasm_store_t>,
    ty: Option<&wasm_externtype_t>,
    init: Option<&wasm_ref_t>,
) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        let store = &need(store, "the store")?.store;
        let wasm_externtype_t::Table { ty, .. } = need(ty, "the type")? else { return Err(wrong("type of tables")) };
        let table = store.with(|mut context| {
            let init = lower_reference(init, store, &mut context, &element(&ty.element))?;
            Table::new(context, ty.clone(), &init)
        })?;
        Ok(store.object(Item::Table(table)))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_table_type(object: Option<&wasm_ref_t>) -> Option<Box<wasm_externtype_t>> {
    boxed_type(object)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_table_get(object: Option<&wasm_ref_t>, index: u32) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        let (table, store) = table(object)?;
        let value =
            store.with(|context| wasm_val_t::raise(store, context.data(), &table.get(&context, index.into())?))?;
        Ok(value.into_reference())
    })?
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_table_set(object: Option<&wasm_ref_t>, index: u32, value: Option<&wasm_ref_t>) -> bool {
    let set = || {
        let (table, store) = table(object)?;
        store.with(|mut context| {
            let ty = element(&table.ty(&context)?.element);
            let value = lower_reference(value, store, &mut context, &ty)?;
            table.set(context, index.into(), &value)
        })
    };
    attempt(set).is_some()
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_table_size(object: Option<&wasm_ref_t>) -> u32 {
    let size = || {
        let (table, store) = table(object)?;
        store.with(|context| table.size(context))
    };
    attempt(size).map_or(0, |size| u32::try_from(size).unwrap_or(u32::MAX))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_table_grow(object: Option<&wasm_ref_t>, delta: u32, init: Option<&wasm_ref_t>) -> bool {
    let grow = || {
        let (table, store) = table(object)?;
        store.with(|mut context| {
            let ty = element(&table.ty(&context)?.element);
            let init = lower_reference(init, store, &mut context, &ty)?;
            table.grow(context, delta.into(), &init)
        })
    };
    attempt(grow).is_some()
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_memory_new(
    store: Option<&wasm_store_t>,
    ty: Option<&wasm_externtype_t>,
) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        let store = &need(store, "the store")?.store;
        let wasm_externtype_t::Memory { ty, .. } = need(ty, "the type")? else { return Err(wrong("type of memories")) };
        Ok(store.object(Item::Memory(store.with(|context| Memory::new(context, ty.clone()))?)))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_memory_type(object: Option<&wasm_ref_t>) -> Option<Box<wasm_externtype_t>> {
    boxed_type(object)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_memory_data(object: Option<&wasm_ref_t>) -> *mut u8 {
    let data = || {
        let object = need(object, "the memory")?;
        match object.item {
            Item::Memory(memory) => object.store()?.with(|mut context| {
                // A handle from before a reset is an error here, and a panic below.
                memory.data_size(&context)?;
                Ok(memory.data_mut(&mut context).as_mut_ptr())
            }),
            Item::Shared(_) => {
                Err(Error::Usage("the bytes of a shared memory are read and written by copying".to_owned()))
            }
            _ => Err(wrong("memory")),
        }
    };
    attempt(data).unwrap_or(ptr::null_mut())
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_memory_data_size(object: Option<&wasm_ref_t>) -> usize {
    let size = || {
        let object = need(object, "the memory")?;
        match &object.item {
            Item::Memory(memory) => object.store()?.with(|context| memory.data_size(context)),
            Item::Shared(shared) => Ok(shared.memory.data_size()),
            _ => Err(wrong("memory")),
        }
    };
    attempt(size).unwrap_or(0)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_memory_size(object: Option<&wasm_ref_t>) -> u32 {
    let size = || {
        let object = need(object, "the memory")?;
        match &object.item {
            Item::Memory(memory) => object.store()?.with(|context| memory.size(context)),
            Item::Shared(shared) => Ok(shared.memory.size()),
            _ => Err(wrong("memory")),
        }
    };
    attempt(size).map_or(0, |pages| u32::try_from(pages).unwrap_or(u32::MAX))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_memory_grow(object: Option<&wasm_ref_t>, delta: u32) -> bool {
    let grow = || {
        let object = need(object, "the memory")?;
        match &object.item {
            Item::Memory(memory) => object.store()?.with(|context| memory.grow(context, delta.into())),
            Item::Shared(shared) => shared.memory.grow(delta.into()),
            _ => Err(wrong("memory")),
        }
    };
    attempt(grow).is_some()
}

/// # Safety
/// By the header, there is room for so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_memory_read(
    object: Option<&wasm_ref_t>,
    offset: usize,
    bytes: *mut u8,
    size: usize,
) -> bool {
    if bytes.is_null() && size > 0 {
        record("the place for the bytes is a null pointer");
        return false;
    }
    let read = || {
        // SAFETY: by this function's contract; nobody has written to some of them, perhaps, and any bits are a byte.
        let bytes = if size == 0 { &mut [][..] } else { unsafe { core::slice::from_raw_parts_mut(bytes, size) } };
        let object = need(object, "the memory")?;
        match &object.item {
            Item::Memory(memory) => object.store()?.with(|context| memory.read(context, offset, bytes)),
            Item::Shared(shared) => shared.memory.read(offset, bytes),
            _ => Err(wrong("memory")),
        }
    };
    attempt(read).is_some()
}

/// # Safety
/// By the header, there are so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_memory_write(
    object: Option<&wasm_ref_t>,
    offset: usize,
    bytes: *const u8,
    size: usize,
) -> bool {
    if bytes.is_null() && size > 0 {
        record("the place of the bytes is a null pointer");
        return false;
    }
    let write = || {
        // SAFETY: by this function's contract.
        let bytes = if size == 0 { &[][..] } else { unsafe { core::slice::from_raw_parts(bytes, size) } };
        let object = need(object, "the memory")?;
        match &object.item {
            Item::Memory(memory) => object.store()?.with(|context| memory.write(context, offset, bytes)),
            Item::Shared(shared) => shared.memory.write(offset, bytes),
            _ => Err(wrong("memory")),
        }
    };
    attempt(write).is_some()
}
