//! Configurations, engines and stores.

use core::cell::{Cell, UnsafeCell};
use core::ptr;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use wasmelt_embed::wasi::{WasiCtx, WasiCtxBuilder};
use wasmelt_embed::{
    AsContextMut as _, Caller, Error, ExternRef, Result, Store, StoreConfig, StoreContextMut, StoreLimits,
    StoreLimitsBuilder,
};

use super::error::{attempt, need};
use super::object::{Info, Item, Key, wasm_ref_t};
use super::stops::wasmelt_pool_t;

/// How code is to be compiled.
#[derive(Clone, Default)]
pub struct wasm_config_t {
    /// It counts what it executes.
    pub(crate) fuel: bool,
    /// Other threads can stop it.
    pub(crate) interruptible: bool,
}

/// What stores have in common.
pub struct wasm_engine_t(Arc<wasm_config_t>);

/// A store, as C has it.
pub struct wasm_store_t {
    pub(crate) store: StoreRef,
}

/// The data in a store.
pub(crate) struct State {
    /// The store itself.
    cell: Weak<StoreCell>,
    pub(crate) limits: StoreLimits,
    wasi: Option<WasiCtx>,
    /// What guests know by a number, as `externref`: number `n` is at `n - 1`.
    externs: Vec<Item>,
    /// These numbers.
    numbers: HashMap<Key, u64>,
    /// Information of the host about what lives as long as the store.
    infos: HashMap<Key, Info>,
}

impl State {
    fn new(cell: Weak<StoreCell>) -> Self {
        // What C has done with an instance it cannot tell, so the number of them has no limit unless it sets one.
        let limits = StoreLimitsBuilder::new().instances(usize::MAX).tables(usize::MAX).memories(usize::MAX).build();
        let (externs, numbers, infos) = (Vec::new(), HashMap::new(), HashMap::new());
        Self { cell, limits, wasi: None, externs, numbers, infos }
    }

    /// The store, which is there as long as somebody uses it.
    pub(crate) fn store(&self) -> Result<StoreRef> {
        Ok(StoreRef(self.cell.upgrade().ok_or_else(|| Error::msg("the store is being deleted"))?))
    }

    /// The context of its guests; one that grants nothing, unless C has set one.
    pub(crate) fn wasi(&mut self) -> &mut WasiCtx {
        self.wasi.get_or_insert_with(|| WasiCtxBuilder::new().build())
    }

    pub(crate) fn set_wasi(&mut self, context: WasiCtx) {
        self.wasi = Some(context);
    }

    /// The reference that guests have of something.
    pub(crate) fn extern_ref(&mut self, item: &Item) -> Option<ExternRef> {
        let number = *self.numbers.entry(item.key()).or_insert_with(|| {
            self.externs.push(item.clone());
            self.externs.len() as u64
        });
        ExternRef::new(number)
    }

    /// What a guest has a reference of.
    pub(crate) fn referent(&self, reference: ExternRef) -> Option<&Item> {
        self.externs.get(usize::try_from(reference.0.get() - 1).ok()?)
    }

    /// Information about something that lives as long as the store.
    pub(crate) fn info(&mut self, key: Key) -> &mut Info {
        self.infos.entry(key).or_default()
    }

    /// Takes out what belongs to the contents of the store, for finalizers to be called when nobody uses the store.
    fn take_contents(&mut self) -> impl Sized + use<> {
        self.numbers.clear();
        (core::mem::take(&mut self.externs), core::mem::take(&mut self.infos))
    }
}

/// A store, where all that refers to it finds it.
pub(crate) struct StoreCell {
    store: UnsafeCell<Store<State>>,
    /// The caller of the callback that runs, by which the store is reached meanwhile; null when none runs.
    caller: Cell<*mut Caller<'static, State>>,
    /// How code for it is compiled.
    #[cfg_attr(not(feature = "compiler"), expect(dead_code, reason = "the compiler reads it"))]
    compilation: Arc<wasm_config_t>,
}

// SAFETY: by the header, one thread at a time uses a store and what belongs to it.
unsafe impl Send for StoreCell {}
// SAFETY: as above.
unsafe impl Sync for StoreCell {}

/// Refers to a store, which lives as long as any of these.
#[derive(Clone)]
pub(crate) struct StoreRef(Arc<StoreCell>);

/// How a store is reached.
enum Reached<'a> {
    Idle(&'a mut Store<State>),
    Running(&'a mut Caller<'static, State>),
}

impl StoreRef {
    fn new(compilation: Arc<wasm_config_t>, config: StoreConfig) -> Self {
        Self(Arc::new_cyclic(|cell| {
            let mut store = Store::with_config(State::new(Weak::clone(cell)), config);
            store.limiter(|state| &mut state.limits);
            StoreCell { store: UnsafeCell::new(store), caller: Cell::new(ptr::null_mut()), compilation }
        }))
    }

    /// Uses the store. `action` calls no function of C but by way of a guest, or of a function of the host.
    pub(crate) fn with<R>(&self, action: impl FnOnce(StoreContextMut<'_, State>) -> R) -> R {
        match self.reach() {
            Reached::Idle(store) => action(store.as_context_mut()),
            Reached::Running(caller) => action(caller.as_context_mut()),
        }
    }

    /// Uses the store: as such, or as the caller of the callback that runs. `action` as in [`Self::with`].
    pub(crate) fn with_either<R, F, G>(&self, idle: F, running: G) -> R
    where
        F: FnOnce(&mut Store<State>) -> R,
        G: FnOnce(&mut Caller<'_, State>) -> R,
    {
        match self.reach() {
            Reached::Idle(store) => idle(store),
            Reached::Running(caller) => running(caller),
        }
    }

    /// The store, for one use: what is borrowed here is gone before another is.
    fn reach(&self) -> Reached<'_> {
        // SAFETY: by the header, this is the thread that uses the store. Whoever has borrowed it further up waits: for a guest,
        // whose callback has left its caller here, to be used in place of what is borrowed.
        match unsafe { self.0.caller.get().as_mut() } {
            Some(caller) => Reached::Running(caller),
            // SAFETY: as above; no callback runs, so nobody has borrowed the store.
            None => Reached::Idle(unsafe { &mut *self.0.store.get() }),
        }
    }

    /// Runs a callback, which uses the store by this caller.
    pub(crate) fn lend<R>(&self, caller: &mut Caller<'_, State>, callback: impl FnOnce() -> R) -> R {
        /// Puts back what was there, however the callback ends.
        struct Outer<'a>(&'a StoreCell, *mut Caller<'static, State>);

        impl Drop for Outer<'_> {
            fn drop(&mut self) {
                self.0.caller.set(self.1);
            }
        }

        // The caller is used only until the callback is back, and this function borrows it as long.
        let outer = self.0.caller.replace(ptr::from_mut(caller).cast());
        let _outer = Outer(&self.0, outer);
        callback()
    }

    /// How code for the store is compiled.
    #[cfg(feature = "compiler")]
    pub(crate) fn compilation(&self) -> &wasm_config_t {
        &self.0.compilation
    }

    /// Whether both are the same store.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A reference to something in this store.
    pub(crate) fn object(&self, item: impl Into<Item>) -> Box<wasm_ref_t> {
        Box::new(wasm_ref_t { item: item.into(), store: Some(self.clone()) })
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_config_new() -> Option<Box<wasm_config_t>> {
    Some(Box::default())
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_config_delete(config: Option<Box<wasm_config_t>>) {
    drop(config);
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_config_set_fuel(config: Option<&mut wasm_config_t>, enable: bool) {
    if let Some(config) = config {
        config.fuel = enable;
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_config_set_interruptible(config: Option<&mut wasm_config_t>, enable: bool) {
    if let Some(config) = config {
        config.interruptible = enable;
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_engine_new() -> Option<Box<wasm_engine_t>> {
    Some(Box::new(wasm_engine_t(Arc::default())))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_engine_new_with_config(config: Option<Box<wasm_config_t>>) -> Option<Box<wasm_engine_t>> {
    Some(Box::new(wasm_engine_t(Arc::new(*config.unwrap_or_default()))))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_engine_delete(engine: Option<Box<wasm_engine_t>>) {
    drop(engine);
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_store_new(engine: Option<&wasm_engine_t>) -> Option<Box<wasm_store_t>> {
    wasmelt_store_new(engine, None, 0)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_store_new(
    engine: Option<&wasm_engine_t>,
    pool: Option<&wasmelt_pool_t>,
    stack_bytes: u64,
) -> Option<Box<wasm_store_t>> {
    attempt(|| {
        let mut config = StoreConfig::default();
        config.stack_bytes = (stack_bytes != 0).then_some(stack_bytes);
        config.pool = pool.map(|pool| pool.0.clone());
        let engine = need(engine, "the engine")?;
        Ok(Box::new(wasm_store_t { store: StoreRef::new(Arc::clone(&engine.0), config) }))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_store_delete(store: Option<Box<wasm_store_t>>) {
    drop(store);
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_store_reset(store: Option<&wasm_store_t>) -> bool {
    let reset = |store: &wasm_store_t| {
        let reset = |store: &mut Store<State>| {
            store.reset();
            Ok(store.data_mut().take_contents())
        };
        store
            .store
            .with_either(reset, |_| Err(Error::Usage("a store whose guest is running cannot be reset".to_owned())))
    };
    // Here finalizers are called.
    attempt(|| need(store, "the store").and_then(reset)).is_some()
}
