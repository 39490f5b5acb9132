//! Functions: calls of guests, and callbacks that guests call.

use core::ffi::{c_char, c_void};
use std::sync::Arc;

use wasmelt_embed::{AsContextMut as _, Caller, Error, Func, FuncType, Instance, Result, Val};

use super::error::{attempt, caught, need, text};
use super::object::{Finalizer, Info, Item, wasm_ref_t};
use super::store::{State, StoreRef, wasm_store_t};
use super::trap;
use super::types::wasm_externtype_t;
use super::val::{lower_all, raise_all, wasm_val_t};
use super::vec::{ValVec, Vector};

type Trap = Option<Box<wasm_ref_t>>;

/// `wasm_func_callback_t`
pub(crate) type Plain = extern "C" fn(*const ValVec, *mut ValVec) -> Trap;
/// `wasm_func_callback_with_env_t`
pub(crate) type WithEnv = extern "C" fn(*mut c_void, *const ValVec, *mut ValVec) -> Trap;
/// `wasmelt_func_callback_t`
pub(crate) type WithCaller = extern "C" fn(*mut c_void, &wasmelt_caller_t, *const ValVec, *mut ValVec) -> Trap;

/// `wasmelt_unboxed_callback_t`
pub(crate) type Unboxed = extern "C" fn(*mut c_void, &wasmelt_caller_t, *mut [u64; 2], usize) -> Trap;

/// What a function of the host does without boxes.
pub(crate) struct UnboxedCallback {
    callback: Unboxed,
    env: Info,
}

impl UnboxedCallback {
    pub(crate) fn new(callback: Option<Unboxed>, env: Info) -> Result<Self> {
        Ok(Self { callback: need(callback, "the callback")?, env })
    }

    /// Runs the callback for a guest, or for the host itself.
    pub(crate) fn run(&self, mut caller: Caller<'_, State>, values: &mut [[u64; 2]]) -> Result<()> {
        let store = wasm_store_t { store: caller.data().store()? };
        let called = wasmelt_caller_t { instance: caller.instance(), store };
        let (values, count) = (values.as_mut_ptr(), values.len());
        let trap = called.store.store.lend(&mut caller, || (self.callback)(self.env.data(), &called, values, count));
        trap.map_or(Ok(()), |trap| Err(trap::to_error(*trap)))
    }
}

/// What a function of the host does.
pub(crate) enum Callback {
    Plain(Plain),
    WithEnv(WithEnv, Info),
    WithCaller(WithCaller, Info),
}

/// Who has called a callback.
pub struct wasmelt_caller_t {
    store: wasm_store_t,
    instance: Option<Instance>,
}

impl Callback {
    /// Runs the callback for a guest, or for the host itself.
    pub(crate) fn run(
        &self,
        mut caller: Caller<'_, State>,
        ty: &FuncType,
        args: &[Val],
        results: &mut [Val],
    ) -> Result<()> {
        let store = caller.data().store()?;
        let args: ValVec = raise_all(&store, &caller, args)?.into();
        let mut returned: ValVec = results.iter().map(|_| wasm_val_t::null()).collect();
        let instance = caller.instance();
        let trap = store.lend(&mut caller, || match self {
            Self::Plain(callback) => callback(&args, &mut returned),
            Self::WithEnv(callback, env) => callback(env.data(), &args, &mut returned),
            Self::WithCaller(callback, env) => {
                let caller = wasmelt_caller_t { store: wasm_store_t { store: store.clone() }, instance };
                callback(env.data(), &caller, &args, &mut returned)
            }
        });
        if let Some(trap) = trap {
            return Err(trap::to_error(*trap));
        }
        let lowered = lower_all(returned.as_slice(), &store, &mut caller.as_context_mut(), ty.results())?;
        results.clone_from_slice(&lowered);
        Ok(())
    }
}

impl From<Func> for Item {
    fn from(func: Func) -> Self {
        Self::Func(func)
    }
}

pub(crate) fn func(object: Option<&wasm_ref_t>) -> Result<(Func, &StoreRef)> {
    let object = need(object, "the function")?;
    match object.item {
        Item::Func(func) => Ok((func, object.store()?)),
        _ => Err(Error::Usage("the object is not a function".to_owned())),
    }
}

/// Makes a function of the host in a store.
fn create(store: Option<&wasm_store_t>, ty: Option<&wasm_externtype_t>, callback: Callback) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        let store = &need(store, "the store")?.store;
        let ty = need(ty, "the type")?.func()?.clone();
        let body = {
            let ty = ty.clone();
            move |caller: Caller<'_, State>, args: &[Val], results: &mut [Val]| callback.run(caller, &ty, args, results)
        };
        let func = store.with(|context| Func::new(context, ty, body))?;
        Ok(store.object(func))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_func_new(
    store: Option<&wasm_store_t>,
    ty: Option<&wasm_externtype_t>,
    callback: Option<Plain>,
) -> Option<Box<wasm_ref_t>> {
    create(store, ty, Callback::Plain(attempt(|| need(callback, "the callback"))?))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_func_new_with_env(
    store: Option<&wasm_store_t>,
    ty: Option<&wasm_externtype_t>,
    callback: Option<WithEnv>,
    env: *mut c_void,
    finalizer: Option<Finalizer>,
) -> Option<Box<wasm_ref_t>> {
    let env = Info::new(env, finalizer);
    create(store, ty, Callback::WithEnv(attempt(|| need(callback, "the callback"))?, env))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_func_new(
    store: Option<&wasm_store_t>,
    ty: Option<&wasm_externtype_t>,
    callback: Option<WithCaller>,
    env: *mut c_void,
    finalizer: Option<Finalizer>,
) -> Option<Box<wasm_ref_t>> {
    let env = Info::new(env, finalizer);
    create(store, ty, Callback::WithCaller(attempt(|| need(callback, "the callback"))?, env))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_func_new_unboxed(
    store: Option<&wasm_store_t>,
    ty: Option<&wasm_externtype_t>,
    callback: Option<Unboxed>,
    env: *mut c_void,
    finalizer: Option<Finalizer>,
) -> Option<Box<wasm_ref_t>> {
    let env = Info::new(env, finalizer);
    attempt(|| {
        let (store, ty) = (&need(store, "the store")?.store, need(ty, "the type")?.func()?.clone());
        let callback = UnboxedCallback::new(callback, env)?;
        let func =
            store.with(|context| Func::new_words(context, ty, move |caller, values| callback.run(caller, values)))?;
        Ok(store.object(func))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_caller_store(caller: Option<&wasmelt_caller_t>) -> Option<&wasm_store_t> {
    Some(&caller?.store)
}

/// # Safety
/// By the header, the name is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_caller_export(
    caller: Option<&wasmelt_caller_t>,
    name: *const c_char,
) -> Option<Box<wasm_ref_t>> {
    attempt(|| {
        let caller = need(caller, "the caller")?;
        // SAFETY: by this function's contract.
        let name = unsafe { text(name, "the name") }?;
        let unknown =
            || Error::Usage("the guest has called through a value: which instance calls is not known".to_owned());
        let instance = caller.instance.ok_or_else(unknown)?;
        let store = &caller.store.store;
        let export = store.with(|context| instance.get_export(context, name));
        Ok(store.object(export.ok_or_else(|| Error::Usage(format!("the caller exports no {name:?}")))?))
    })
}

/// The type of a function.
fn type_of(object: Option<&wasm_ref_t>) -> Result<FuncType> {
    let (func, store) = func(object)?;
    store.with(|context| func.ty(context))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_func_type(object: Option<&wasm_ref_t>) -> Option<Box<wasm_externtype_t>> {
    attempt(|| Ok(Box::new(wasmelt_embed::ExternType::Func(type_of(object)?).into())))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_func_param_arity(object: Option<&wasm_ref_t>) -> usize {
    attempt(|| Ok(type_of(object)?.params().len())).unwrap_or(0)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_func_result_arity(object: Option<&wasm_ref_t>) -> usize {
    attempt(|| Ok(type_of(object)?.results().len())).unwrap_or(0)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_func_call(
    object: Option<&wasm_ref_t>,
    args: Option<&ValVec>,
    results: Option<&mut ValVec>,
) -> Trap {
    let call = || {
        let (func, store) = func(object)?;
        let places = results.map_or(&mut [][..], Vector::as_places);
        let ty = type_of(object)?;
        if places.len() < ty.results().len() {
            let message =
                format!("there is room for {} results, and the function has {}", places.len(), ty.results().len());
            return Err(Error::Usage(message));
        }
        let raised = store.with(|mut context| {
            let args = lower_all(args.map_or(&[][..], Vector::as_slice), store, &mut context, ty.params())?;
            let mut values = vec![Val::I32(0); ty.results().len()];
            func.call(&mut context, &args, &mut values)?;
            raise_all(store, &context, &values)
        })?;
        for (place, value) in places.iter_mut().zip(raised) {
            place.write(value);
        }
        Ok(())
    };
    caught(call).err().map(|error| trap::of_error(func(object).ok().map(|(_, store)| store), error))
}

/// # Safety
/// By the header, there are so many values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_func_call(object: Option<&wasm_ref_t>, values: *mut [u64; 2], count: usize) -> Trap {
    let call = || {
        let (func, store) = func(object)?;
        let values = match values.is_null() {
            true => &mut [][..],
            // SAFETY: by this function's contract.
            false => unsafe { core::slice::from_raw_parts_mut(values, count) },
        };
        store.with(|context| func.call_words(context, values))
    };
    caught(call).err().map(|error| trap::of_error(func(object).ok().map(|(_, store)| store), error))
}

/// A function of the host for a linker: what it does, for stores of any number.
pub(crate) fn shared(callback: WithCaller, env: Info) -> Arc<Callback> {
    Arc::new(Callback::WithCaller(callback, env))
}
