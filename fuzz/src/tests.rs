//! The harness itself: both engines see what a module does, a difference is noticed, and inputs follow from seeds.

use wasmelt::module;
use wasmelt_abi::trap::Trap;

use crate::configuration::{all_features, default_options};
use crate::corpus::Corpus;
use crate::executable::Executables;
use crate::observe::{Engine, Observation, Plan, hash};
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

fn observe(engine: &dyn Engine, text: &str) -> Observation {
    let buffer = wast::parser::ParseBuffer::new(text).unwrap();
    let wasm = wast::parser::parse::<wast::Wat<'_>>(&buffer).unwrap().encode().unwrap();
    let plan = Plan::new(&module::parse(&wasm, all_features()).unwrap(), &mut Random::new(0, 0));
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
        globals: vec![2 << 64 | 1],
        memory_hashes: vec![hash(&memory)],
        table_lengths: vec![3],
    };
    assert_eq!(observe(&Wasmtime, MODULE), expected);
    assert_eq!(observe(&Executables(default_options()), MODULE), expected);
    // One byte of memory, one call, one bit of a result.
    assert_ne!(observe(&Wasmtime, &MODULE.replace("const 7", "const 6")), expected);
    assert_ne!(observe(&Wasmtime, &MODULE.replace("i64x2 1 2", "i64x2 1 3")), expected);
}

#[test]
fn traps_of_instantiation_are_seen() {
    let text = r#"(module (memory 1 1) (func $f unreachable) (start $f) (func (export "f")))"#;
    let options = Options { features: all_features(), ..default_options() };
    for engine in [&Wasmtime as &dyn Engine, &Executables(options)] {
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
