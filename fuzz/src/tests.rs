//! The harness itself: both engines see what a module does, a difference is noticed, and inputs follow from seeds.

use wasmelt::module;
use wasmelt_abi::trap::Trap;

use crate::compare::{Way, judge};
use crate::configuration::{all_features, default_options};
use crate::corpus::Corpus;
use crate::executable::Executables;
use crate::library::Libraries;
use crate::observe::{After, Engine, Observation, Part, Plan, State, hash};
use crate::random::Random;
use crate::reference::Wasmtime;
use crate::{Mode, Options, alive, pairs};

/// Calls that return, that trap in between, and that see what the earlier ones left.
const MODULE: &str = r#"(module
    (memory (export "memory") 1 1)
    (table (export "table") 3 3 funcref)
    (global $g (export "global") (mut v128) (v128.const i64x2 5 6))
    (func (export "store") (result i64 f32)
        (i32.store8 (i32.const 9) (i32.const 7))
        (i64.const -2) (f32.const 1.5))
    (func (export "trap") (i32.store8 (i32.const 9) (i32.const 8)) unreachable)
    (func (export "load") (result i32) (i32.load8_u (i32.const 9)))
    (func (export "divide") (result i32) (i32.div_u (i32.const 1) (i32.const 0)))
    (func (export "set") (global.set $g (v128.const i64x2 1 2))))"#;

const WASMTIME: Wasmtime = Wasmtime { nan_canonicalization: true };

fn observe(engine: &dyn Engine, text: &str) -> Observation {
    observe_after(engine, text, After::Restart)
}

fn observe_after(engine: &dyn Engine, text: &str, after: After) -> Observation {
    observe_program(engine, &[("", text)], after)
}

fn observe_program(engine: &dyn Engine, texts: &[(&str, &str)], after: After) -> Observation {
    let part = |&(name, text): &(&str, &str)| {
        let buffer = wast::parser::ParseBuffer::new(text).unwrap();
        let wasm = wast::parser::parse::<wast::Wat<'_>>(&buffer).unwrap().encode().unwrap();
        Part { name: name.to_owned(), wasm, reference: None }
    };
    let program: Vec<_> = texts.iter().map(part).collect();
    let modules: Vec<_> = program.iter().map(|part| module::parse(&part.wasm, all_features()).unwrap()).collect();
    let plan = Plan::new(&modules.iter().collect::<Vec<_>>(), after, &mut Random::new(0, 0));
    engine.observe(&program, &plan).unwrap()
}

#[test]
fn both_engines_see_what_happens() {
    let mut memory = vec![0; 1 << 16];
    memory[9] = 7;
    let expected = Observation {
        instantiation: None,
        calls: vec![
            Ok(vec![(-2i64) as u64 as u128, 1.5f32.to_bits().into()]),
            Err(Trap::Unreachable),
            Ok(vec![7]),
            Err(Trap::IntegerDivideByZero),
            Ok(vec![]),
        ],
        states: vec![State {
            globals: vec![2 << 64 | 1],
            memory_hashes: vec![hash(&memory)],
            table_lengths: vec![3],
            table_hashes: vec![],
        }],
        crossings: 0,
    };
    assert_eq!(observe(&WASMTIME, MODULE), expected);
    assert_eq!(observe(&Executables(default_options()), MODULE), expected);
    // One byte of memory, one call, one bit of a result.
    assert_ne!(observe(&WASMTIME, &MODULE.replace("const 7", "const 6")), expected);
    assert_ne!(observe(&WASMTIME, &MODULE.replace("i64x2 1 2", "i64x2 1 3")), expected);
}

/// The same where the instance goes on, with a table of the host's and its function.
#[test]
fn libraries_go_on_after_traps() {
    let imports = r#"(module
        (import "host" "func" (func $host (param i32 externref) (result i64 f64 externref)))
        (import "host" "table" (table $refs 4 9 externref))
        (import "host" "global" (global $imported (mut f32)))
        (import "host" "shared" (memory $shared 1 1 shared))
        (import "host" "tag" (tag $tag (param i32)))
        (export "table 2" (table $refs)) (export "global 2" (global $imported)) (export "shared" (memory $shared))
        (func (export "throw") i32.const 5 throw $tag)
        (func (export "call host") (param i32) (result i64 f64 externref)
            (i32.atomic.store $shared (i32.const 8) (local.get 0))
            (call $host (local.get 0) (table.get $refs (i32.const 1))))
        (func (export "wasmelt fuzz hash 0") (result i64) (i64.load $shared (i32.const 8)))"#;
    let text = MODULE.replacen("(module", imports, 1);
    let options = Options { features: all_features(), ..default_options() };
    let ours = observe_after(&Libraries(options), &text, After::Continue);
    let mut theirs = observe_after(&WASMTIME, &text, After::Continue);
    assert_eq!(ours.calls, theirs.calls);
    assert_eq!((ours.states.len(), ours.calls[0].clone()), (8, Err(Trap::UncaughtException)));
    assert_eq!(ours.calls[4], Ok(vec![8]), "what the call that trapped has stored");
    // The hash of a shared memory is the module's own, which is another one here.
    let shared = theirs.states.iter_mut().map(|state| std::mem::take(&mut state.memory_hashes[0])).collect::<Vec<_>>();
    assert_ne!(shared[1], shared[2]);
    for (ours, theirs) in ours.states.iter().zip(&theirs.states) {
        assert_eq!((&ours.globals, &ours.table_lengths), (&theirs.globals, &theirs.table_lengths));
        assert_eq!((&ours.memory_hashes[1..], &ours.table_hashes), (&theirs.memory_hashes[1..], &theirs.table_hashes));
    }
}

#[test]
fn traps_of_instantiation_are_seen() {
    let text = r#"(module (memory 1 1) (func $f unreachable) (start $f) (func (export "f")))"#;
    let options = Options { features: all_features(), ..default_options() };
    for engine in [&WASMTIME as &dyn Engine, &Executables(options)] {
        assert_eq!(observe(engine, text).instantiation, Some(Trap::Unreachable));
    }
}

/// A module that others use: functions that return and trap, and state.
const OWNER: &str = r#"(module
    (global (export "wasmelt fuzz fuel") (mut i32) (i32.const 9))
    (global $count (export "count") (mut i64) (i64.const 5))
    (memory (export "memory") 1 1)
    (table (export "table") 2 2 funcref)
    (tag $tag (export "tag") (param i32))
    (func $spend (global.set 0 (i32.sub (global.get 0) (i32.const 1))))
    (func (export "add") (param i64) (result i64)
        (call $spend)
        (i32.store8 (i32.const 3) (i32.wrap_i64 (global.get $count)))
        (global.set $count (i64.add (global.get $count) (i64.const 1)))
        (global.get $count))
    (func (export "fail") (param i32) (call $spend) (throw $tag (i32.const 40)))
    (func (export "divide") (result i32) (call $spend) (i32.div_u (i32.const 1) (i32.const 0)))
    (func (export "back") (result i32) (call_indirect (result i32) (i32.const 0))))"#;

/// A module that uses the other one.
const USER: &str = r#"(module
    (import "a" "add" (func $add (param i64) (result i64)))
    (import "a" "fail" (func $fail (param i32)))
    (import "a" "divide" (func $divide (result i32)))
    (import "a" "count" (global $count (mut i64)))
    (import "a" "memory" (memory 1 1))
    (import "a" "table" (table 1 2 funcref))
    (import "a" "tag" (tag $tag (param i32)))
    (global (export "wasmelt fuzz fuel") (mut i32) (i32.const 9))
    (elem (i32.const 0) $load)
    (export "passed on" (func $add))
    (func $load (export "load") (result i32)
        (global.set 1 (i32.const 1))
        (i32.load8_u (i32.const 3)))
    (func (export "catch") (result i32)
        (block $h (result i32) (try_table (catch $tag $h) (call $fail (i32.const 1))) (i32.const 0)))
    (func (export "twice") (result i64)
        (global.set $count (i64.const 70))
        (drop (call $add (i64.const 1)))
        (return_call $add (i64.const 2)))
    (func (export "trap") (result i32) (call $divide)))"#;

#[test]
fn linked_modules_are_observed_alike() {
    let options = Options { features: all_features(), ..default_options() };
    let program = [("a", OWNER), ("b", USER)];
    let theirs = observe_program(&WASMTIME, &program, After::Restart);
    let mut ours = observe_program(&Executables(options.clone()), &program, After::Restart);
    // `catch`, `twice`, `trap` and, from the other side, `back`: not `passed on`, which is the other module's own.
    assert_eq!((theirs.calls.len(), theirs.crossings), (9, 4));
    ours.crossings = theirs.crossings;
    assert_eq!(ours, theirs);
    let traps = [Trap::UncaughtException, Trap::IntegerDivideByZero, Trap::IntegerDivideByZero];
    for trap in traps {
        assert!(theirs.traps().any(|seen| seen == trap), "{trap:?}");
    }
    assert!(theirs.calls.contains(&Ok(vec![40])) && theirs.calls.contains(&Ok(vec![72])), "{theirs:?}");

    let theirs = observe_program(&WASMTIME, &program, After::Continue);
    let mut ours = observe_program(&Libraries(options.clone()), &program, After::Continue);
    ours.crossings = theirs.crossings;
    assert_eq!(ours, theirs);
    assert_eq!(theirs.states.len(), 10);

    // Both engines see what a part has left that traps when it is instantiated.
    let trap =
        USER.replace("(elem (i32.const 0) $load)", "(data (i32.const 5) \"x\") (start $s) (func $s unreachable)");
    let program = [("a", OWNER), ("b", &*trap)];
    let theirs = observe_program(&WASMTIME, &program, After::Continue);
    assert_eq!((theirs.instantiation, theirs.states.len()), (Some(Trap::Unreachable), 1));
    assert_eq!(observe_program(&Libraries(options.clone()), &program, After::Continue), theirs);
    let ours = observe_program(&Executables(options), &program, After::Restart);
    assert_eq!(ours.instantiation, Some(Trap::Unreachable));
}

/// What keeps thousands of exceptions alive sees the same on both sides, in both encodings.
#[test]
fn exceptions_that_are_kept_are_what_they_were() {
    let options = Options { features: all_features(), ..default_options() };
    for byte in (0..=240).step_by(12) {
        let part = alive::part("", b"\0asm\x01\0\0\0".to_vec(), byte).unwrap();
        assert_eq!(part.reference.is_some(), byte % 24 == 12, "the legacy encoding, which the reference does not know");
        for way in [Way::Executable, Way::Library] {
            let outcome = judge(std::slice::from_ref(&part), &options, way, 0).unwrap();
            assert_eq!((outcome.valid, outcome.calls, outcome.traps.iter().sum::<u32>()), (true, 1, 0), "{byte}");
        }
    }
}

/// A pair uses what the mode is for: imports of all kinds, in both directions.
#[test]
fn generated_pairs_use_each_other() {
    let mut kinds = std::collections::BTreeSet::new();
    let (mut programs, mut twice) = (0, 0);
    for index in 0..60 {
        let data = Mode::Pairs.generate(3, index, &Corpus::default());
        let Some((_, program)) = pairs::program(&data) else { continue };
        programs += 1;
        twice += u32::from(program.len() == 4);
        assert!(program.len() == 4 || program.len() == 3);
        let importer = &program[program.len() - 2];
        let parsed = module::parse(&importer.wasm, all_features()).unwrap();
        for import in &parsed.imports {
            assert!(program.iter().any(|part| part.name == import.module), "`{}`", import.module);
            kinds.insert(format!("{:?}", import.entity).split('(').next().unwrap_or_default().to_owned());
        }
    }
    assert!(programs > 30 && twice > 3, "{programs} programs, {twice} with two instances of a module");
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["Func", "Global", "Memory", "Table", "Tag"]);
}

#[test]
fn inputs_follow_from_seed_and_index() {
    let corpus = Corpus(vec![b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0".to_vec()]);
    for mode in Mode::ALL {
        assert_eq!(mode.generate(7, 3, &corpus), mode.generate(7, 3, &corpus));
        assert_ne!(mode.generate(7, 3, &corpus), mode.generate(7, 4, &corpus));
        assert_ne!(mode.generate(7, 3, &corpus), mode.generate(8, 3, &corpus));
    }
}
