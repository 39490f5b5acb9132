//! Tags, and exceptions: those of guests that come out of calls, and those that callbacks throw.

use core::mem::MaybeUninit;

use wasmelt_embed::{Error, Exception, Result, Tag};

use super::error::{attempt, need};
use super::object::{Item, wasm_ref_t};
use super::store::{StoreRef, wasm_store_t};
use super::trap;
use super::types::wasm_externtype_t;
use super::val::{lower_all, raise_all, wasm_val_t};
use super::vec::{ValVec, Vector};

fn tag(object: Option<&wasm_ref_t>) -> Result<Tag> {
    match need(object, "the tag")?.item {
        Item::Tag(tag) => Ok(tag),
        _ => Err(Error::Usage("the object is not a tag".to_owned())),
    }
}

/// The exception that a trap stands for, and where it is.
fn thrown(object: Option<&wasm_ref_t>) -> Result<(&Exception, &StoreRef)> {
    let object = need(object, "the trap")?;
    let exception = trap::exception(object)?;
    Ok((exception.ok_or_else(|| Error::Usage("the trap does not stand for an exception".to_owned()))?, object.store()?))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_tag_new(
    store: Option<&wasm_store_t>,
    ty: Option<&wasm_externtype_t>,
) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        let (store, ty) = (&need(store, "the store")?.store, need(ty, "the type")?.func()?.clone());
        let tag = store.with(|context| Tag::new(context, ty))?;
        Ok(store.object(Item::Tag(tag)))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_trap_new_exception(
    store: Option<&wasm_store_t>,
    object: Option<&wasm_ref_t>,
    values: Option<&ValVec>,
) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        let (store, tag) = (&need(store, "the store")?.store, tag(object)?);
        let exception = store.with(|mut context| {
            let ty = tag.ty(&context)?;
            let values = lower_all(values.map_or(&[][..], Vector::as_slice), store, &mut context, ty.params())?;
            Exception::new(context, tag, &values)
        })?;
        Ok(trap::of_exception(store, exception))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_trap_exception_tag(object: Option<&wasm_ref_t>) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        let (exception, store) = thrown(object)?;
        let tag = store.with(|context| exception.tag(context))?;
        Ok(store.object(Item::Tag(tag)))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_trap_exception_values(
    object: Option<&wasm_ref_t>,
    out: Option<&mut MaybeUninit<ValVec>>,
) -> bool {
    let values = attempt(|| {
        let out = need(out, "the place of the values")?;
        let (exception, store) = thrown(object)?;
        let values: Vec<wasm_val_t> = store.with(|context| raise_all(store, &context, &exception.values(&context)?))?;
        out.write(values.into());
        Ok(())
    });
    values.is_some()
}
