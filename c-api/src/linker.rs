//! Linkers: names from which modules take their imports.

use core::ffi::{c_char, c_void};
use core::mem::MaybeUninit;
use std::sync::Arc;

use wasmelt_embed::wasi::p1;
use wasmelt_embed::{Caller, Linker, Result, Val};

use super::error::{attempt, need, text};
use super::func::{Callback, Unboxed, UnboxedCallback, WithCaller, shared};
use super::instance::{instance_in, or_trap};
use super::module::module;
use super::object::{Finalizer, Info, Item, wasm_ref_t};
use super::store::{State, wasm_store_t};
use super::types::wasm_externtype_t;

/// Names from which modules take their imports.
pub struct wasmelt_linker_t(Linker<State>);

type LinkerMut<'a> = Option<&'a mut wasmelt_linker_t>;

/// Does something with a linker; whether that worked.
fn change(linker: LinkerMut<'_>, action: impl FnOnce(&mut Linker<State>) -> Result<()>) -> bool {
    attempt(|| action(&mut need(linker, "the linker")?.0)).is_some()
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_linker_new(engine: Option<&super::store::wasm_engine_t>) -> Option<Box<wasmelt_linker_t>> {
    attempt(|| {
        need(engine, "the engine")?;
        Ok(Box::new(wasmelt_linker_t(Linker::new())))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_linker_delete(linker: Option<Box<wasmelt_linker_t>>) {
    drop(linker);
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_linker_allow_shadowing(linker: LinkerMut<'_>, allow: bool) {
    change(linker, |linker| {
        linker.allow_shadowing(allow);
        Ok(())
    });
}

/// What a definition is called.
///
/// # Safety
/// As [`text`], for both.
unsafe fn names<'a>(module: *const c_char, name: *const c_char) -> Result<(&'a str, &'a str)> {
    // SAFETY: by this function's contract.
    unsafe { Ok((text(module, "the name of the module")?, text(name, "the name")?)) }
}

/// # Safety
/// By the header, the names are C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_linker_define(
    linker: LinkerMut<'_>,
    module: *const c_char,
    name: *const c_char,
    item: Option<&wasm_ref_t>,
) -> bool {
    change(linker, |linker| {
        // SAFETY: by this function's contract.
        let (module, name) = unsafe { names(module, name) }?;
        let object = need(item, "the object")?;
        let item = object.external()?;
        object.store()?.with(|context| linker.define(context, module, name, item).map(drop))
    })
}

/// # Safety
/// By the header, the names are C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_linker_define_func(
    linker: LinkerMut<'_>,
    module: *const c_char,
    name: *const c_char,
    ty: Option<&wasm_externtype_t>,
    callback: Option<WithCaller>,
    env: *mut c_void,
    finalizer: Option<Finalizer>,
) -> bool {
    let env = Info::new(env, finalizer);
    change(linker, |linker| {
        // SAFETY: by this function's contract.
        let (module, name) = unsafe { names(module, name) }?;
        let ty = need(ty, "the type")?.func()?.clone();
        let callback: Arc<Callback> = shared(need(callback, "the callback")?, env);
        let body = {
            let ty = ty.clone();
            move |caller: Caller<'_, State>, args: &[Val], results: &mut [Val]| callback.run(caller, &ty, args, results)
        };
        linker.func_new(module, name, ty, body).map(drop)
    })
}

/// # Safety
/// By the header, the names are C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_linker_define_func_unboxed(
    linker: LinkerMut<'_>,
    module: *const c_char,
    name: *const c_char,
    ty: Option<&wasm_externtype_t>,
    callback: Option<Unboxed>,
    env: *mut c_void,
    finalizer: Option<Finalizer>,
) -> bool {
    let env = Info::new(env, finalizer);
    change(linker, |linker| {
        // SAFETY: by this function's contract.
        let (module, name) = unsafe { names(module, name) }?;
        let (ty, callback) = (need(ty, "the type")?.func()?.clone(), UnboxedCallback::new(callback, env)?);
        linker.func_new_words(module, name, ty, move |caller, values| callback.run(caller, values)).map(drop)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_linker_define_wasi(linker: LinkerMut<'_>) -> bool {
    change(linker, |linker| p1::add_to_linker_sync(linker, State::wasi))
}

/// # Safety
/// By the header, the name is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_linker_define_instance(
    linker: LinkerMut<'_>,
    store: Option<&wasm_store_t>,
    name: *const c_char,
    instance: Option<&wasm_ref_t>,
) -> bool {
    change(linker, |linker| {
        // SAFETY: by this function's contract.
        let name = unsafe { text(name, "the name of the module") }?;
        let store = &need(store, "the store")?.store;
        let instance = instance_in(store, instance)?;
        store.with(|context| linker.instance(context, name, instance).map(drop))
    })
}

/// # Safety
/// By the header, the name is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_linker_define_module(
    linker: LinkerMut<'_>,
    store: Option<&wasm_store_t>,
    name: *const c_char,
    object: Option<&wasm_ref_t>,
    trap: Option<&mut MaybeUninit<Option<Box<wasm_ref_t>>>>,
) -> bool {
    let define = || {
        // SAFETY: by this function's contract.
        let name = unsafe { text(name, "the name of the module") }?;
        let (linker, module) = (&mut need(linker, "the linker")?.0, module(object)?);
        need(store, "the store")?.store.with(|context| linker.module(context, name, module).map(drop))
    };
    or_trap(store, trap, define).is_some()
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_linker_define_unknown_imports_as_traps(
    linker: LinkerMut<'_>,
    object: Option<&wasm_ref_t>,
) -> bool {
    change(linker, |linker| linker.define_unknown_imports_as_traps(module(object)?))
}

/// # Safety
/// By the header, the names are C strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_linker_get(
    linker: Option<&wasmelt_linker_t>,
    store: Option<&wasm_store_t>,
    module: *const c_char,
    name: *const c_char,
) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        // SAFETY: by this function's contract.
        let (module, name) = unsafe { names(module, name) }?;
        let (linker, store) = (&need(linker, "the linker")?.0, &need(store, "the store")?.store);
        let item = store.with(|context| linker.get(context, module, name))?;
        let missing = || wasmelt_embed::Error::Usage(format!("{module:?} {name:?} is not defined"));
        Ok(store.object(item.ok_or_else(missing)?))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_linker_instantiate(
    linker: Option<&wasmelt_linker_t>,
    store: Option<&wasm_store_t>,
    object: Option<&wasm_ref_t>,
    trap: Option<&mut MaybeUninit<Option<Box<wasm_ref_t>>>>,
) -> Option<Box<wasm_ref_t>> {
    or_trap(store, trap, || {
        let (linker, store) = (&need(linker, "the linker")?.0, &need(store, "the store")?.store);
        let module = module(object)?;
        Ok(store.object(Item::Instance(store.with(|context| linker.instantiate(context, module))?)))
    })
}
