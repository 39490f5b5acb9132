//! The mode `smith`: generated modules, each valid, must compile in every configuration, to the same bytes whatever the
//! number of threads. An input is a few bytes that decide what is tested, then what `wasm-smith` reads.

use arbitrary::Unstructured;
use wasm_smith::{Config, Module};
use wasmelt::module;
use wasmelt::options::{BoundsChecks, Options, UnknownImports};
use wasmelt::program::MAX_MEMORY64_BYTES;

use crate::bytes::{OPTION_BYTES, split};
use crate::configuration::{OPT_LEVELS, all_features, cpu, default_options};
use crate::instrument::{DRIVER, instrument};
use crate::observe::{After, Plan};
use crate::random::Random;
use crate::{Finding, Outcome, compile};

/// Pages of a 64-bit memory, of any size.
const MAX_MEMORY64_PAGES: u128 = (1 << 37) - 1;

/// What decides the test, and the module; `None` where the input is too short for one.
pub fn module(data: &[u8]) -> Option<([u8; OPTION_BYTES], Vec<u8>)> {
    let (bytes, rest) = split(data);
    let mut unstructured = Unstructured::new(rest);
    let module = Module::new(config(&mut unstructured).ok()?, &mut unstructured).ok()?;
    Some((bytes, module.to_bytes()))
}

fn config(u: &mut Unstructured<'_>) -> arbitrary::Result<Config> {
    let mut config = proposals(u)?;
    config.max_funcs = 24;
    config.max_instructions = 300;
    config.max_memories = u.int_in_range(0..=6)?;
    config.max_tables = u.int_in_range(0..=6)?;
    // Stated limits of wasmelt, docs/LIMITS.md; the generator knows none. That of pages holds for those of one byte too.
    config.max_memory64_bytes = u128::from(MAX_MEMORY64_BYTES).min(MAX_MEMORY64_PAGES);
    Ok(config)
}

/// Any of the proposals that wasmelt translates and `wasm-smith` generates. References to functions of a known type
/// come with garbage collection only, which wasmelt has not; exceptions of the legacy kind do not come at all.
pub(crate) fn proposals(u: &mut Unstructured<'_>) -> arbitrary::Result<Config> {
    Ok(Config {
        min_funcs: 1,
        min_types: 1,
        max_imports: 0,
        export_everything: true,
        allow_start_export: u.ratio(1, 4)?,
        allow_floats: u.ratio(7, 8)?,
        bulk_memory_enabled: u.ratio(7, 8)?,
        reference_types_enabled: u.ratio(7, 8)?,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        multi_value_enabled: u.ratio(7, 8)?,
        simd_enabled: u.arbitrary()?,
        relaxed_simd_enabled: u.arbitrary()?,
        tail_call_enabled: u.arbitrary()?,
        exceptions_enabled: u.arbitrary()?,
        memory64_enabled: u.arbitrary()?,
        custom_page_sizes_enabled: u.ratio(1, 4)?,
        wide_arithmetic_enabled: u.arbitrary()?,
        extended_const_enabled: true,
        gc_enabled: false,
        threads_enabled: u.ratio(1, 3)?,
        shared_everything_threads_enabled: false,
        ..Config::default()
    })
}

/// Judges an input.
pub fn check(data: &[u8]) -> Result<Outcome, Finding> {
    let Some(([code, choice, processor, ..], wasm)) = module(data) else { return Ok(Outcome::default()) };
    let base = Options {
        features: all_features(),
        cpu: cpu(processor),
        unknown_imports: UnknownImports::Trap,
        invoke: Some(DRIVER.to_owned()),
        ..default_options()
    };
    let parsed = module::parse(&wasm, base.features).map_err(|e| Finding(format!("a valid module is refused: {e}")))?;
    // The driver reaches what is exported, else all of it would be dropped.
    let plan = Plan::new(&[&parsed], After::Restart, &mut Random::new(code.into(), choice.into()));
    let wasm = instrument(&wasm, &parsed, &plan).map_err(Finding)?;
    let plans = [BoundsChecks::Guard, BoundsChecks::Explicit];
    // All combinations for some, one of each level for the others: that finds more in the same time.
    let all = choice % 8 == 0;
    let mut first = None;
    for opt_level in OPT_LEVELS {
        for (number, bounds_checks) in (0u8..).zip(plans) {
            for nan_canonicalization in [false, true] {
                let combination = number * 2 + u8::from(nan_canonicalization);
                if !all && code % 4 != combination {
                    continue;
                }
                let options = Options { opt_level, bounds_checks, nan_canonicalization, ..base.clone() };
                let compiled = compile(&wasm, &options)
                    .map_err(|e| Finding(format!("a valid module does not compile: {e}, with {options:?}")))?;
                first.get_or_insert((options, compiled.bytes));
            }
        }
    }
    if choice % 8 == 1
        && let Some((options, bytes)) = first
    {
        let options = Options { threads: 2, ..options };
        let compiled = compile(&wasm, &options).map_err(|e| Finding(format!("with two threads: {e}")))?;
        if compiled.bytes != bytes {
            return Err(Finding(format!("two threads make other bytes, with {options:?}")));
        }
    }
    Ok(Outcome { valid: true, ..Outcome::default() })
}
