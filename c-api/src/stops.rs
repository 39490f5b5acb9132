//! What keeps guests in bounds: limits, fuel, interruption, deadlines; and pools.

use core::mem::MaybeUninit;
use core::time::Duration;

use wasmelt_embed::{Deadlines, Error, InterruptHandle, Pool, PoolConfig, Result, StoreLimitsBuilder};

use super::error::{attempt, need};
use super::store::wasm_store_t;

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_store_limiter(
    store: Option<&wasm_store_t>,
    memory_bytes: i64,
    table_elements: i64,
    instances: i64,
    tables: i64,
    memories: i64,
    trap_on_grow_failure: bool,
) {
    attempt(|| {
        let limit = |limit: i64| usize::try_from(limit).ok();
        let count = |limit: i64| usize::try_from(limit).unwrap_or(usize::MAX);
        let mut limits = StoreLimitsBuilder::new().trap_on_grow_failure(trap_on_grow_failure);
        if let Some(bytes) = limit(memory_bytes) {
            limits = limits.memory_size(bytes);
        }
        if let Some(elements) = limit(table_elements) {
            limits = limits.table_elements(elements);
        }
        let limits = limits.instances(count(instances)).tables(count(tables)).memories(count(memories)).build();
        need(store, "the store")?.store.with(|mut context| context.data_mut().limits = limits);
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_store_set_fuel(store: Option<&wasm_store_t>, fuel: u64) -> bool {
    let set =
        |store: &wasm_store_t| store.store.with_either(|store| store.set_fuel(fuel), |caller| caller.set_fuel(fuel));
    attempt(|| need(store, "the store").and_then(set)).is_some()
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_store_get_fuel(store: Option<&wasm_store_t>, fuel: Option<&mut MaybeUninit<u64>>) -> bool {
    let get = || {
        let left = need(store, "the store")?.store.with_either(|store| store.get_fuel(), |caller| caller.get_fuel())?;
        need(fuel, "the place for the fuel")?.write(left);
        Ok(())
    };
    attempt(get).is_some()
}

/// What other threads interrupt the guests of a store with.
pub struct wasmelt_interrupt_handle_t(InterruptHandle);

fn running<T>() -> Result<T> {
    Err(Error::Usage("this is for a store whose guest is not running".to_owned()))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_interrupt_handle_new(
    store: Option<&wasm_store_t>,
) -> Option<Box<wasmelt_interrupt_handle_t>> {
    attempt(|| {
        let handle = need(store, "the store")?.store.with_either(|store| store.interrupt_handle(), |_| running())?;
        Ok(Box::new(wasmelt_interrupt_handle_t(handle)))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_interrupt_handle_interrupt(handle: Option<&wasmelt_interrupt_handle_t>) -> bool {
    attempt(|| Ok(need(handle, "the handle")?.0.interrupt())).unwrap_or(false)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_interrupt_handle_delete(handle: Option<Box<wasmelt_interrupt_handle_t>>) {
    drop(handle);
}

/// Stores with deadlines.
pub struct wasmelt_deadlines_t(Deadlines);

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_deadlines_new() -> Option<Box<wasmelt_deadlines_t>> {
    Some(Box::new(wasmelt_deadlines_t(Deadlines::new())))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_deadlines_delete(deadlines: Option<Box<wasmelt_deadlines_t>>) {
    drop(deadlines);
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_deadlines_tick(deadlines: Option<&wasmelt_deadlines_t>) -> usize {
    attempt(|| Ok(need(deadlines, "the deadlines")?.0.tick())).unwrap_or(0)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_store_set_deadline(
    store: Option<&wasm_store_t>,
    deadlines: Option<&wasmelt_deadlines_t>,
    nanoseconds: u64,
) -> bool {
    let set = || {
        let (deadlines, after) = (&need(deadlines, "the deadlines")?.0, Duration::from_nanos(nanoseconds));
        need(store, "the store")?
            .store
            .with_either(|store| store.set_deadline(deadlines, after), |caller| caller.set_deadline(deadlines, after))
    };
    attempt(set).is_some()
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_store_clear_deadline(store: Option<&wasm_store_t>) -> bool {
    let clear = |store: &wasm_store_t| {
        store.store.with_either(
            |store| {
                store.clear_deadline();
                Ok(())
            },
            |_| running(),
        )
    };
    attempt(|| need(store, "the store").and_then(clear)).is_some()
}

/// What a pool has room for.
#[repr(C)]
pub struct wasmelt_pool_config_t {
    pub(crate) memories: usize,
    pub(crate) memory_slot_bytes: u64,
    pub(crate) tables: usize,
    pub(crate) table_elements: u64,
    pub(crate) stacks: usize,
    pub(crate) stack_bytes: u64,
    pub(crate) keep_resident_bytes: usize,
}

/// Address space for stores that come and go.
pub struct wasmelt_pool_t(pub(crate) Pool);

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_pool_config_default(out: Option<&mut MaybeUninit<wasmelt_pool_config_t>>) {
    let PoolConfig {
        memories,
        memory_slot_bytes,
        tables,
        table_elements,
        stacks,
        stack_bytes,
        keep_resident_bytes,
        ..
    } = PoolConfig::default();
    if let Some(out) = out {
        out.write(wasmelt_pool_config_t {
            memories,
            memory_slot_bytes,
            tables,
            table_elements,
            stacks,
            stack_bytes,
            keep_resident_bytes,
        });
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_pool_new(config: Option<&wasmelt_pool_config_t>) -> Option<Box<wasmelt_pool_t>> {
    attempt(|| {
        let mut chosen = PoolConfig::default();
        if let Some(config) = config {
            chosen.memories = config.memories;
            chosen.memory_slot_bytes = config.memory_slot_bytes;
            chosen.tables = config.tables;
            chosen.table_elements = config.table_elements;
            chosen.stacks = config.stacks;
            chosen.stack_bytes = config.stack_bytes;
            chosen.keep_resident_bytes = config.keep_resident_bytes;
        }
        Ok(Box::new(wasmelt_pool_t(Pool::new(chosen)?)))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasmelt_pool_delete(pool: Option<Box<wasmelt_pool_t>>) {
    drop(pool);
}
