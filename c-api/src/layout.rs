//! How structures lie in memory, and numbers that C knows by names: for a test that compares the headers with them.

use core::mem::{offset_of, size_of};

use wasmelt_embed::Trap;

use super::stops::wasmelt_pool_config_t;
use super::types::wasm_limits_t;
use super::val::wasm_val_t;
use super::vec::{ByteVec, Refs, ValVec};

/// Expressions of C, and their values here.
pub fn facts() -> Vec<(String, usize)> {
    let mut facts = super::val::facts();
    facts.extend([
        ("sizeof(wasm_val_t)", size_of::<wasm_val_t>()),
        ("sizeof(wasm_byte_vec_t)", size_of::<ByteVec>()),
        ("sizeof(wasm_val_vec_t)", size_of::<ValVec>()),
        ("sizeof(wasm_extern_vec_t)", size_of::<Refs>()),
        ("offsetof(wasm_extern_vec_t, data)", size_of::<usize>()),
        ("sizeof(wasm_limits_t)", size_of::<wasm_limits_t>()),
        ("sizeof(wasmelt_value_t)", size_of::<[u64; 2]>()),
        ("sizeof(wasmelt_pool_config_t)", size_of::<wasmelt_pool_config_t>()),
        ("offsetof(wasmelt_pool_config_t, table_elements)", offset_of!(wasmelt_pool_config_t, table_elements)),
        ("offsetof(wasmelt_pool_config_t, stack_bytes)", offset_of!(wasmelt_pool_config_t, stack_bytes)),
        (
            "offsetof(wasmelt_pool_config_t, keep_resident_bytes)",
            offset_of!(wasmelt_pool_config_t, keep_resident_bytes),
        ),
    ]);
    let mut facts: Vec<_> = facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    facts.extend(Trap::ALL.iter().map(|&trap| (constant_of(trap), trap as usize)));
    facts
}

/// The name in C: `WASMELT_TRAP_OUT_OF_FUEL` for `OutOfFuel`.
fn constant_of(trap: Trap) -> String {
    let mut name = "WASMELT_TRAP".to_owned();
    for c in format!("{trap:?}").chars() {
        if c.is_uppercase() {
            name.push('_');
        }
        name.extend(c.to_uppercase());
    }
    name
}
