//! The modes `exec` and `library`: generated modules that end, run as executables or loaded as libraries, and in
//! wasmtime. An input is a few bytes that decide the options, then what `wasm-smith` reads.

use arbitrary::Unstructured;
use wasm_smith::{Config, Module};
use wasmelt::module;
use wasmelt::options::Options;

use crate::bytes::{OPTION_BYTES, split};
use crate::compare::{Way, judge};
use crate::configuration::{self, all_features, default_options};
use crate::instrument::hash_shared_memories;
use crate::observe::{FUEL, Part};
use crate::prepare::prepare;
use crate::{Finding, Outcome, alive, smith};

/// What decides the options, and the module; `None` where the input is too short for one.
pub fn part(data: &[u8], way: Way) -> Option<([u8; OPTION_BYTES], Part)> {
    let (bytes, rest) = split(data);
    let mut unstructured = Unstructured::new(rest);
    let config = config(&mut unstructured, way).ok()?;
    Some((bytes, alive::part("", generate(config, &mut unstructured)?, bytes[2]).ok()?))
}

/// A module that ends and that can be observed.
pub(crate) fn generate(config: Config, unstructured: &mut Unstructured<'_>) -> Option<Vec<u8>> {
    let mut module = Module::new(config, unstructured).ok()?;
    let fuel = module.ensure_termination(FUEL).ok()?;
    let wasm = prepare(&module.to_bytes(), fuel).ok()?;
    // A module that is not valid is a finding later.
    let Ok(parsed) = module::parse(&wasm, all_features()) else { return Some(wasm) };
    let shares = parsed.memories.values().any(|memory| memory.shared);
    if shares { hash_shared_memories(&wasm, &parsed).ok() } else { Some(wasm) }
}

/// Memories and tables stay small and have a maximum: how much an engine gives beyond is its own matter.
pub(crate) fn config(u: &mut Unstructured<'_>, way: Way) -> arbitrary::Result<Config> {
    let mut config = smith::proposals(u)?;
    let memory_bytes = match way {
        Way::Executable => 1 << 20,
        // They are read after each call.
        Way::Library => 1 << 18,
    };
    config.max_imports = if way == Way::Library { 12 } else { 0 };
    config.max_funcs = 12;
    config.max_instructions = 150;
    config.max_memories = u.int_in_range(0..=3)?;
    config.max_tables = u.int_in_range(0..=3)?;
    config.max_memory32_bytes = memory_bytes;
    config.max_memory64_bytes = memory_bytes.into();
    config.memory_max_size_required = true;
    config.max_table_elements = 1000;
    config.table_max_size_required = true;
    // A trap soon ends most functions that may have one.
    config.disallow_traps = u.ratio(3, 4)?;
    Ok(config)
}

/// Judges an input.
pub fn check(data: &[u8], way: Way) -> Result<Outcome, Finding> {
    let Some((bytes, part)) = part(data, way) else { return Ok(Outcome::default()) };
    judge(&[part], &options(bytes), way, seed(data))
}

/// Options by the first bytes of an input.
pub(crate) fn options([code, processor, ..]: [u8; OPTION_BYTES]) -> Options {
    let mut options = Options { features: all_features(), cpu: configuration::cpu(processor), ..default_options() };
    configuration::code(&mut options, code);
    options.relaxed_simd_deterministic = true;
    options
}

/// What the choices of a plan follow from.
pub(crate) fn seed(data: &[u8]) -> u64 {
    data.iter().fold(0u64, |seed, &byte| seed.rotate_left(8) ^ u64::from(byte))
}
