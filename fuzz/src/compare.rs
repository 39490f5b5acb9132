//! One program on both sides: here, as an executable or as libraries, and in wasmtime. Both must agree in results, in the
//! trap, and in globals, memories and tables.

use wasmelt::module;
use wasmelt::options::Options;
use wasmelt_abi::trap::Trap;

use crate::executable::Executables;
use crate::host::is_nan;
use crate::library::Libraries;
use crate::observe::{After, Bits, Engine, Failure, Observation, Part, Plan, State};
use crate::random::Random;
use crate::reference::Wasmtime;
use crate::{Finding, Outcome};

/// How programs are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As executables, which import nothing.
    Executable,
    /// As libraries in this process, with imports.
    Library,
}

/// Runs a program on both sides. What the plan does follows from the seed.
pub(crate) fn judge(program: &[Part], options: &Options, way: Way, seed: u64) -> Result<Outcome, Finding> {
    let parsed = program.iter().map(|part| module::parse(&part.wasm, options.features)).collect::<Result<Vec<_>, _>>();
    let parsed = parsed.map_err(|e| Finding(format!("a valid module is refused: {e}")))?;
    let after = match way {
        Way::Executable => After::Restart,
        Way::Library => After::Continue,
    };
    let plan = Plan::new(&parsed.iter().collect::<Vec<_>>(), after, &mut Random::new(seed, 0));
    let Some(Both { ours, theirs }) = observe(program, &plan, options, way)? else { return Ok(Outcome::default()) };
    let mut outcome = Outcome { valid: true, ..Outcome::default() };
    if way == Way::Executable && [&ours, &theirs].into_iter().any(|seen| seen.traps().any(is_exhaustion)) {
        // What the other calls did cannot be told apart from what this one did.
        outcome.traps[Trap::StackExhausted as usize] = 1;
        return Ok(outcome);
    }
    let Some(why) = difference(&ours, &theirs, &plan) else {
        outcome.calls = theirs.calls.len() as u32;
        outcome.crossings = theirs.crossings;
        theirs.traps().for_each(|trap| outcome.traps[trap as usize] += 1);
        return Ok(outcome);
    };
    if !options.nan_canonicalization {
        // Where the difference is gone with canonical NaNs, the module has looked at the bits of others, which are not
        // determined.
        let options = Options { nan_canonicalization: true, ..options.clone() };
        if let Some(Both { ours, theirs }) = observe(program, &plan, &options, way)?
            && difference(&ours, &theirs, &plan).is_none()
        {
            outcome.incomparable = true;
            return Ok(outcome);
        }
    }
    Err(Finding(format!("{why}, {way:?} with {options:?}")))
}

/// What both sides did.
struct Both {
    ours: Observation,
    theirs: Observation,
}

/// `None` where the reference does not accept a module.
fn observe(program: &[Part], plan: &Plan, options: &Options, way: Way) -> Result<Option<Both>, Finding> {
    let reference = Wasmtime { nan_canonicalization: options.nan_canonicalization };
    let theirs = match reference.observe(program, plan) {
        Ok(observation) => named_alike(observation),
        Err(Failure::Refused(_)) => return Ok(None),
        Err(Failure::Broken(why)) => return Err(Finding(format!("the reference fails: {why}"))),
    };
    let ours = match way {
        Way::Executable => Executables(options.clone()).observe(program, plan),
        Way::Library => Libraries(options.clone()).observe(program, plan),
    };
    match ours {
        Ok(observation) => Ok(Some(Both { ours: named_alike(observation), theirs })),
        Err(Failure::Refused(why)) => Err(Finding(format!("a valid module does not compile: {why}, with {options:?}"))),
        Err(Failure::Broken(why)) => Err(Finding(format!("{why}, with {options:?}"))),
    }
}

fn is_exhaustion(trap: Trap) -> bool {
    trap == Trap::StackExhausted
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

/// The first difference, for people. Bits of a NaN are none, and nothing is from where a stack was exhausted: frames
/// have other sizes, so that it ends elsewhere.
fn difference(ours: &Observation, theirs: &Observation, plan: &Plan) -> Option<String> {
    if [ours, theirs].into_iter().any(|seen| seen.instantiation.is_some_and(is_exhaustion)) {
        return None;
    }
    let same_end = match (ours.instantiation, theirs.instantiation) {
        (Some(ours), Some(theirs)) => same_trap(ours, theirs),
        (ours, theirs) => ours == theirs,
    };
    if !same_end {
        return Some(format!("instantiation: {:?}, expected {:?}", ours.instantiation, theirs.instantiation));
    }
    let states = |number: usize| Some((ours.states.get(number)?, theirs.states.get(number)?));
    let state_differs = |number: usize| {
        let (ours, theirs) = states(number).filter(|(ours, theirs)| !same_state(ours, theirs, plan))?;
        Some(format!("state {number}: {ours:x?}, expected {theirs:x?}"))
    };
    if let Some(why) = state_differs(0) {
        // That of an executable is the one after all calls, which say more.
        let call = plan.calls.iter().enumerate().find_map(|(n, _)| call_differs(n, ours, theirs, plan));
        return Some(call.filter(|_| plan.after == After::Restart).unwrap_or(why));
    }
    for number in 0..ours.calls.len().max(theirs.calls.len()) {
        let both = [ours.calls.get(number), theirs.calls.get(number)];
        if both.into_iter().any(|call| call == Some(&Err(Trap::StackExhausted))) {
            return None;
        }
        if let Some(why) = call_differs(number, ours, theirs, plan).or_else(|| state_differs(number + 1)) {
            return Some(why);
        }
    }
    (ours.states.len() != theirs.states.len()).then(|| "numbers of states".to_owned())
}

fn call_differs(number: usize, ours: &Observation, theirs: &Observation, plan: &Plan) -> Option<String> {
    let (call, ours, theirs) = (plan.calls.get(number)?, ours.calls.get(number), theirs.calls.get(number));
    let same = match (ours, theirs) {
        (Some(Ok(ours)), Some(Ok(theirs))) => {
            ours.len() == theirs.len()
                && call.results.iter().zip(ours.iter().zip(theirs)).all(|(&ty, (&a, &b))| same_value(ty, a, b))
        }
        (Some(&Err(ours)), Some(&Err(theirs))) => same_trap(ours, theirs),
        _ => ours == theirs,
    };
    (!same)
        .then(|| format!("call {number} of `{}` {:x?}: {ours:x?}, expected {theirs:x?}", call.export.name, call.args))
}

/// Nothing says which trap it is where an atomic operator has reason for several.
fn same_trap(ours: Trap, theirs: Trap) -> bool {
    let is_of_atomics = |trap| matches!(trap, Trap::UnalignedAtomic | Trap::ExpectedSharedMemory);
    let is_of_access = |trap| is_of_atomics(trap) || trap == Trap::MemoryOutOfBounds;
    ours == theirs || [ours, theirs].into_iter().any(is_of_atomics) && [ours, theirs].into_iter().all(is_of_access)
}

fn same_value(ty: wasmparser::ValType, ours: Bits, theirs: Bits) -> bool {
    ours == theirs || is_nan(ty, ours) && is_nan(ty, theirs)
}

fn same_state(ours: &State, theirs: &State, plan: &Plan) -> bool {
    // What is left of imports after a trap may be fewer globals than those of the plan, so these are compared as bits.
    let types = plan.globals.iter().map(|&(_, ty)| Some(ty)).chain(std::iter::repeat(None));
    let globals = ours.globals.iter().zip(&theirs.globals).zip(types);
    let mut same = globals.map(|((&a, &b), ty)| a == b || ty.is_some_and(|ty| same_value(ty, a, b)));
    ours.globals.len() == theirs.globals.len()
        && same.all(|same| same)
        && ours.memory_hashes == theirs.memory_hashes
        && ours.table_lengths == theirs.table_lengths
        && ours.table_hashes == theirs.table_hashes
}
