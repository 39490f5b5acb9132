//! The mode `exec`: generated modules that end, run as executables and in wasmtime. Both must agree in results, in the
//! trap, and in globals, memories and tables. An input is a few bytes that decide the options, then what `wasm-smith`
//! reads.

use arbitrary::Unstructured;
use wasm_smith::{Config, Module};
use wasmelt::module;
use wasmelt::options::Options;
use wasmelt_abi::trap::Trap;

use crate::bytes::{OPTION_BYTES, split};
use crate::configuration::{self, all_features, default_options};
use crate::executable::Executables;
use crate::observe::{Engine as _, Failure, Observation, Plan};
use crate::random::Random;
use crate::reference::Wasmtime;
use crate::{Finding, Outcome, smith};

/// Loops and calls of all functions together, after which a module traps.
const FUEL: u32 = 1000;

/// What decides the options, and the module; `None` where the input is too short for one.
pub fn module(data: &[u8]) -> Option<([u8; OPTION_BYTES], Vec<u8>)> {
    let (bytes, rest) = split(data);
    let mut unstructured = Unstructured::new(rest);
    let mut module = Module::new(config(&mut unstructured).ok()?, &mut unstructured).ok()?;
    module.ensure_termination(FUEL).ok()?;
    Some((bytes, module.to_bytes()))
}

/// Memories and tables stay small and have a maximum: how much an engine gives beyond is its own matter.
fn config(u: &mut Unstructured<'_>) -> arbitrary::Result<Config> {
    let mut config = smith::proposals(u)?;
    config.max_funcs = 12;
    config.max_instructions = 150;
    config.max_memories = u.int_in_range(0..=3)?;
    config.max_tables = u.int_in_range(0..=3)?;
    config.max_memory32_bytes = 1 << 20;
    config.max_memory64_bytes = 1 << 20;
    config.memory_max_size_required = true;
    config.max_table_elements = 1000;
    config.table_max_size_required = true;
    config.disallow_traps = u.ratio(1, 2)?;
    config.canonicalize_nans = true;
    Ok(config)
}

/// Judges an input.
pub fn check(data: &[u8]) -> Result<Outcome, Finding> {
    let Some(([code, processor, ..], wasm)) = module(data) else { return Ok(Outcome::default()) };
    let mut options = Options { features: all_features(), cpu: configuration::cpu(processor), ..default_options() };
    configuration::code(&mut options, code);
    // This also chooses the deterministic results of relaxed operators.
    options.nan_canonicalization = true;
    let parsed = module::parse(&wasm, options.features);
    let parsed = parsed.map_err(|e| Finding(format!("a valid module is refused: {e}")))?;
    let seed = data.iter().fold(0u64, |seed, &byte| seed.rotate_left(8) ^ u64::from(byte));
    let plan = Plan::new(&parsed, &mut Random::new(seed, 0));
    let theirs = match Wasmtime.observe(&wasm, &plan) {
        Ok(observation) => observation,
        Err(Failure::Refused(_)) => return Ok(Outcome::default()),
        Err(Failure::Broken(why)) => return Err(Finding(format!("the reference fails: {why}"))),
    };
    let ours = match Executables(options.clone()).observe(&wasm, &plan) {
        Ok(observation) => observation,
        Err(Failure::Refused(why)) => {
            return Err(Finding(format!("a valid module does not compile: {why}, with {options:?}")));
        }
        Err(Failure::Broken(why)) => return Err(Finding(format!("{why}, with {options:?}"))),
    };
    let mut outcome = Outcome { valid: true, ..Outcome::default() };
    let exhausted = |trap| trap == Trap::StackExhausted;
    if ours.traps().any(exhausted) || theirs.traps().any(exhausted) {
        // Frames have other sizes, so the stack ends elsewhere.
        outcome.traps[Trap::StackExhausted as usize] = 1;
        return Ok(outcome);
    }
    let (ours, theirs) = (named_alike(ours), named_alike(theirs));
    if ours != theirs {
        return Err(Finding(format!("{}, with {options:?}", difference(&ours, &theirs, &plan))));
    }
    outcome.calls = theirs.calls.len() as u32;
    theirs.traps().for_each(|trap| outcome.traps[trap as usize] += 1);
    Ok(outcome)
}

/// wasmtime has one trap for an index outside a table, whatever is done with it.
fn named_alike(mut observation: Observation) -> Observation {
    let alike = |trap: &mut Trap| {
        if *trap == Trap::UndefinedElement {
            *trap = Trap::TableOutOfBounds;
        }
    };
    observation.instantiation.as_mut().map(alike);
    observation.calls.iter_mut().filter_map(|call| call.as_mut().err()).for_each(alike);
    observation
}

/// The first difference, for people.
fn difference(ours: &Observation, theirs: &Observation, plan: &Plan) -> String {
    if ours.instantiation != theirs.instantiation {
        return format!("instantiation: {:?}, expected {:?}", ours.instantiation, theirs.instantiation);
    }
    for (number, call) in plan.calls.iter().enumerate() {
        let (ours, theirs) = (ours.calls.get(number), theirs.calls.get(number));
        if ours != theirs {
            return format!("call {number} of `{}` {:x?}: {ours:x?}, expected {theirs:x?}", call.name, call.args);
        }
    }
    format!(
        "after the calls: globals {:x?}, memories {:x?}, tables {:?}, expected {:x?}, {:x?}, {:?}",
        ours.globals,
        ours.memory_hashes,
        ours.table_lengths,
        theirs.globals,
        theirs.memory_hashes,
        theirs.table_lengths
    )
}
