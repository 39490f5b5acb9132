//! The harness itself: both engines see what a module does, a difference is noticed, and inputs follow from seeds.

use wasmelt::module;
use wasmelt_abi::trap::Trap;

use crate::configuration::{all_features, default_options};
use crate::corpus::Corpus;
use crate::executable::Executables;
use crate::library::Libraries;
use crate::observe::{After, Engine, Observation, Plan, State, hash};
use crate::random::Random;
use crate::reference::Wasmtime;
use crate::{Mode, Options};

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
    let buffer = wast::parser::ParseBuffer::new(text).unwrap();
    let wasm = wast::parser::parse::<wast::Wat<'_>>(&buffer).unwrap().encode().unwrap();
    let plan = Plan::new(&module::parse(&wasm, all_features()).unwrap(), after, &mut Random::new(0, 0));
    engine.observe(&wasm, &plan).unwrap()
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

#[test]
fn inputs_follow_from_seed_and_index() {
    let corpus = Corpus(vec![b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0".to_vec()]);
    for mode in Mode::ALL {
        assert_eq!(mode.generate(7, 3, &corpus), mode.generate(7, 3, &corpus));
        assert_ne!(mode.generate(7, 3, &corpus), mode.generate(7, 4, &corpus));
        assert_ne!(mode.generate(7, 3, &corpus), mode.generate(8, 3, &corpus));
    }
}
