//! Calls in both directions, values of every type, imports and exports.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use wasmelt_embed::{ExternRef, GlobalType, HeapType, RefType, TableType};

use super::*;

const ALL_TYPES: &str = r#"(module
    (type $all (func (param i32 i64 f32 f64 v128 funcref externref)
        (result externref funcref v128 f64 f32 i64 i32 i32 i64 f64)))
    (import "host" "turn" (func $turn (type $all)))
    (func $own (export "turn") (type $all)
        local.get 6 local.get 5 local.get 4 local.get 3 local.get 2 local.get 1 local.get 0
        (i32.add (local.get 0) (i32.const 1)) (i64.const 9) (f64.const 2.5))
    (func (export "through") (type $all)
        local.get 0 local.get 1 local.get 2 local.get 3 local.get 4 local.get 5 local.get 6 call $turn)
    (func (export "nothing")))"#;

#[test]
fn a_reactor_is_initialised_by_its_host() {
    let mut store = Store::new(());
    let reactor = instance(
        &mut store,
        "reactor",
        r#"(module
            (global $ready (mut i32) (i32.const 0))
            (func (export "_initialize") (global.set $ready (i32.const 1)))
            (func (export "ready") (result i32) (global.get $ready)))"#,
    );
    assert_eq!(call_i32(&mut store, reactor, "ready", &[]), 0);
    call(&mut store, reactor, "_initialize", &[]).unwrap();
    assert_eq!(call_i32(&mut store, reactor, "ready", &[]), 1);
}

#[test]
fn values_of_every_type_go_both_ways() {
    let mut store = Store::new(());
    let module = module("alltypes", ALL_TYPES);
    let ty = match module.exports().find(|export| export.name == "turn").unwrap().ty {
        wasmelt_embed::ExternType::Func(ty) => ty,
        other => panic!("{other}"),
    };
    let turn = Func::new(&mut store, ty, |_, args, results| {
        results[..7].clone_from_slice(&args.iter().rev().cloned().collect::<Vec<_>>());
        results[7..].clone_from_slice(&[Val::I32(-5), Val::I64(9), Val::F64(2.5f64.to_bits())]);
        Ok(())
    })
    .unwrap();
    let instance = Instance::new(&mut store, &module, &[turn.into()]).unwrap();
    let nothing = instance.get_func(&store, "nothing").unwrap();
    let args = [
        Val::I32(-6),
        Val::I64(i64::MIN),
        Val::F32(0x7fa0_0001),
        Val::F64(0xfff4_0000_0000_0001),
        Val::V128(*b"0123456789abcdef"),
        Val::FuncRef(Some(nothing)),
        Val::ExternRef(ExternRef::new(77)),
    ];
    for name in ["turn", "through"] {
        let results = call(&mut store, instance, name, &args).unwrap();
        assert_eq!(results.len(), 10);
        assert!(args.iter().rev().eq(&results[..7]), "{name}: {results:?}");
        assert_eq!(results[7..], [Val::I32(-5), Val::I64(9), Val::F64(2.5f64.to_bits())]);
        let Val::FuncRef(Some(returned)) = results[1] else { panic!() };
        assert_eq!(call_func(&mut store, returned, &[]).unwrap(), []);
    }
    let nulls = [&args[..5], &[Val::FuncRef(None), Val::ExternRef(None)]].concat();
    let results = call(&mut store, instance, "through", &nulls).unwrap();
    assert_eq!(results[..2], [Val::ExternRef(None), Val::FuncRef(None)]);
}

#[test]
fn arguments_are_checked() {
    let mut store = Store::new(());
    let wat = "(module (type $t (func (result i32))) (func (export \"f\") (param i32 (ref $t))) (func (export \"g\") (type $t) i32.const 1))";
    let instance = instance(&mut store, "checked", wat);
    let (f, g) = (instance.get_func(&store, "f").unwrap(), instance.get_func(&store, "g").unwrap());
    let mut usage = |args: &[Val]| matches!(call_func(&mut store, f, args), Err(Error::Usage(_)));
    assert!(usage(&[]) && usage(&[Val::I32(1)]) && usage(&[Val::I64(1), Val::FuncRef(Some(g))]));
    assert!(usage(&[Val::I32(1), Val::FuncRef(None)]), "null where none is allowed");
    assert!(usage(&[Val::I32(1), Val::FuncRef(Some(f))]), "a function of another type");
    assert!(usage(&[Val::I32(1), Val::ExternRef(Some(ExternRef(NonZeroU64::MIN)))]));
    assert_eq!(call_func(&mut store, f, &[Val::I32(1), Val::FuncRef(Some(g))]).unwrap(), []);
}

#[test]
fn host_and_guest_call_each_other_in_turn() {
    const WAT: &str = r#"(module
        (import "host" "f" (func $f (param i32) (result i32)))
        (func (export "down") (param i32) (result i32)
            (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
                (else (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1))))))))"#;
    let mut store = Store::new(());
    let f = host(&mut store, |caller, n| {
        let down = caller.get_export("down").unwrap().into_func().unwrap();
        Ok(down.typed::<i32, i32>(&caller)?.call(caller, n)? + 1)
    });
    let instance = Instance::new(&mut store, &module("nested", WAT), &[f.into()]).unwrap();
    assert_eq!(call_i32(&mut store, instance, "down", &[50]), 100);
    assert_eq!(trap(call(&mut store, instance, "down", &[Val::I32(i32::MAX)])), Trap::StackExhausted);
    assert_eq!(call_i32(&mut store, instance, "down", &[50]), 100);
}

#[test]
fn a_hundred_instances_have_a_state_each() {
    const WAT: &str = r#"(module
        (memory (export "memory") 1) (global $g (mut i32) (i32.const 0)) (data (i32.const 4) "abcd")
        (func (export "next") (result i32)
            (global.set $g (i32.add (global.get $g) (i32.const 1)))
            (i32.store (i32.const 0) (global.get $g))
            (i32.add (global.get $g) (i32.load8_u (i32.const 4)))))"#;
    let module = module("counter", WAT);
    let mut store = Store::new(());
    let instances: Vec<_> = (0..100).map(|_| Instance::new(&mut store, &module, &[]).unwrap()).collect();
    for (number, &instance) in instances.iter().enumerate() {
        for _ in 0..number {
            call_i32(&mut store, instance, "next", &[]);
        }
    }
    for (number, &instance) in instances.iter().enumerate() {
        assert_eq!(call_i32(&mut store, instance, "next", &[]), number as i32 + 1 + i32::from(b'a'));
    }
}

#[test]
fn threads_have_a_store_each() {
    const WAT: &str = r#"(module (func (export "fib") (param i32) (result i32)
        (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
            (else (unreachable)))) (func (export "deep") (call 1)))"#;
    let module = module("threads", WAT);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let module = &module;
            scope.spawn(move || {
                let mut store = Store::new(());
                let instance = Instance::new(&mut store, module, &[]).unwrap();
                for _ in 0..50 {
                    assert_eq!(call_i32(&mut store, instance, "fib", &[number & 1]), number & 1);
                    assert_eq!(trap(call(&mut store, instance, "fib", &[Val::I32(2)])), Trap::Unreachable);
                    assert_eq!(trap(call(&mut store, instance, "deep", &[])), Trap::StackExhausted);
                }
            });
        }
    });
}

#[test]
fn imports_are_found_by_name_and_checked() {
    const WAT: &str = r#"(module
        (import "a" "f" (func (param i32) (result i32)))
        (import "a" "t" (table 2 10 funcref))
        (import "b" "g" (global i64)))"#;
    let module = module("imports", WAT);
    let mut store = Store::new(());
    let mut linker = Linker::new();
    linker.allow_shadowing(true);
    let f = host(&mut store, |_, n| Ok(n));
    linker.define(&store, "a", "f", f).unwrap();
    let error = linker.instantiate(&mut store, &module).unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown import: import 1 \"a\" \"t\": expected (table 2 10 funcref), found nothing of this name"
    );
    let table =
        wasmelt_embed::Table::new(&mut store, TableType::new(RefType::FUNCREF, 2, Some(11)), &Val::FuncRef(None));
    linker.define(&store, "a", "t", table.unwrap()).unwrap().define(&store, "b", "g", f).unwrap();
    let error = linker.instantiate(&mut store, &module).unwrap_err();
    assert!(matches!(error, Error::Unlinkable(_)));
    assert_eq!(
        error.to_string(),
        "incompatible import type: import 1 \"a\" \"t\": expected (table 2 10 funcref), found (table 2 11 funcref)"
    );
    let table =
        wasmelt_embed::Table::new(&mut store, TableType::new(RefType::FUNCREF, 3, Some(10)), &Val::FuncRef(None));
    linker.define(&store, "a", "t", table.unwrap()).unwrap();
    let error = linker.instantiate(&mut store, &module).unwrap_err().to_string();
    assert!(error.contains("import 2 \"b\" \"g\": expected (global i64), found (func (param i32)"), "{error}");
    let global = |store: &mut Store<()>, mutable| {
        let ty = GlobalType { content: ValType::I64, mutable };
        wasmelt_embed::Global::new(store, ty, Val::I64(1)).unwrap()
    };
    let mutable = global(&mut store, true);
    linker.define(&store, "b", "g", mutable).unwrap();
    assert!(linker.instantiate(&mut store, &module).is_err());
    let immutable = global(&mut store, false);
    linker.define(&store, "b", "g", immutable).unwrap();
    linker.instantiate(&mut store, &module).unwrap();
}

#[test]
fn handles_of_another_store_are_refused() {
    const WAT: &str = r#"(module (memory (export "m") 1) (table (export "t") 1 funcref)
        (global (export "g") (mut i32) (i32.const 1)) (tag (export "e")) (func (export "f")))"#;
    let (mut one, mut other) = (Store::new(()), Store::new(()));
    let instance = instance(&mut one, "handles", WAT);
    assert!(instance.get_export(&other, "m").is_none() && instance.exports(&other).next().is_none());
    assert_eq!(instance.exports(&one).count(), 5);
    let wat = "(module (import \"\" \"f\" (func)))";
    let importer = module("importer", wat);
    for (_, item) in instance.exports(&one).map(|(name, item)| (name.to_owned(), item)).collect::<Vec<_>>() {
        assert!(matches!(item.ty(&other), Err(Error::Usage(_))));
        assert!(item.ty(&one).is_ok());
        assert!(Instance::new(&mut other, &importer, std::slice::from_ref(&item)).is_err());
        let refused = match item {
            Extern::Func(func) => call_func(&mut other, func, &[]).is_err(),
            Extern::Table(table) => table.set(&mut other, 0, &Val::FuncRef(None)).is_err(),
            Extern::Memory(memory) => memory.write(&mut other, 0, b"x").is_err(),
            Extern::Global(global) => global.set(&mut other, Val::I32(1)).is_err(),
            _ => true,
        };
        assert!(refused);
    }
    let func = instance.get_func(&one, "f").unwrap();
    let takes = Func::wrap(&mut other, |_: Option<Func>| {}).unwrap();
    assert!(matches!(call_func(&mut other, takes, &[Val::FuncRef(Some(func))]), Err(Error::Usage(_))));
}

#[test]
fn panics_are_errors_of_the_call() {
    const WAT: &str = r#"(module (import "host" "f" (func $f (param i32) (result i32)))
        (func (export "call") (param i32) (result i32) (call $f (local.get 0))))"#;
    struct Counts(Arc<AtomicI32>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped = Arc::new(AtomicI32::new(0));
    let mut store = Store::new(());
    let f = host(&mut store, {
        let dropped = Arc::clone(&dropped);
        move |_, n| {
            let _counts = Counts(Arc::clone(&dropped));
            if n == 7 { std::panic::panic_any("seven") } else { Err(Error::host("not seven")) }
        }
    });
    let instance = Instance::new(&mut store, &module("panics", WAT), &[f.into()]).unwrap();
    for _ in 0..100 {
        match call(&mut store, instance, "call", &[Val::I32(7)]) {
            Err(Error::Panic(panic)) => assert_eq!(panic.message(), "seven"),
            other => panic!("{other:?}"),
        }
    }
    let error = call(&mut store, instance, "call", &[Val::I32(8)]).unwrap_err();
    assert!(matches!(error, Error::Host(_)) && error.to_string() == "not seven");
    assert_eq!(dropped.load(Ordering::Relaxed), 101);
}

#[test]
fn a_start_function_that_traps_leaves_what_it_did() {
    const WAT: &str = r#"(module
        (import "host" "memory" (memory 1)) (import "host" "table" (table 4 funcref))
        (func $f (result i32) (i32.const 42)) (elem (i32.const 0) $f)
        (data (i32.const 0) "kept") (data (i32.const 65536) "x"))"#;
    let mut store = Store::new(());
    let owner = instance(
        &mut store,
        "owner",
        r#"(module (memory (export "memory") 1) (table (export "table") 4 funcref)
            (type $t (func (result i32)))
            (func (export "call") (param i32) (result i32) (call_indirect (type $t) (local.get 0))))"#,
    );
    let mut linker = Linker::new();
    linker.instance(&store, "host", owner).unwrap();
    assert_eq!(trap(linker.instantiate(&mut store, &module("fails", WAT))), Trap::MemoryOutOfBounds);
    let Some(Extern::Memory(memory)) = owner.get_export(&store, "memory") else { panic!() };
    let mut bytes = [0; 4];
    memory.read(&store, 0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"kept");
    assert_eq!(call_i32(&mut store, owner, "call", &[0]), 42);
}

#[test]
fn files_that_are_no_libraries_are_errors() {
    let missing = load("/nonexistent/library.so".as_ref(), "x").unwrap_err();
    assert!(matches!(missing, Error::System(_)), "{missing}");
    let scratch = support::scratch();
    let path = scratch.path().join("bad.so");
    std::fs::write(&path, b"not a library").unwrap();
    assert!(matches!(load(&path, "x"), Err(Error::System(_))));
}

#[test]
fn types_can_name_function_types() {
    const WAT: &str = r#"(module (type $t (func (param i32) (result i32)))
        (import "host" "f" (func $f (param (ref null $t)) (result (ref null $t))))
        (func (export "through") (param (ref null $t)) (result (ref null $t)) (call $f (local.get 0)))
        (func (export "twice") (type $t) (i32.mul (local.get 0) (i32.const 2))))"#;
    let module = module("typed", WAT);
    let inner = FuncType::new([ValType::I32], [ValType::I32]);
    let reference = ValType::Ref(RefType { nullable: true, heap: HeapType::Concrete(inner) });
    let mut store = Store::new(());
    let ty = FuncType::new([reference.clone()], [reference]);
    let f = Func::new(&mut store, ty, |_, args, results| {
        results.clone_from_slice(args);
        Ok(())
    });
    let f = f.unwrap();
    let instance = Instance::new(&mut store, &module, &[f.into()]).unwrap();
    let twice = Val::FuncRef(instance.get_func(&store, "twice"));
    let results = call(&mut store, instance, "through", &[twice]).unwrap();
    let [Val::FuncRef(Some(twice))] = results[..] else { panic!("{results:?}") };
    assert_eq!(call_func(&mut store, twice, &[Val::I32(21)]).unwrap(), [Val::I32(42)]);
}

#[test]
fn tail_calls_cross_instances() {
    const EVEN: &str = r#"(module (type $t (func (param i64 i64 i64 i64 i64 i64 i64 i64) (result i64 i64)))
        (table (export "table") 2 funcref)
        (func (export "even") (type $t)
            (if (result i64 i64) (i64.eqz (local.get 0)) (then (local.get 1) (local.get 7))
                (else (return_call_indirect (type $t) (i64.sub (local.get 0) (i64.const 1))
                    (i64.add (local.get 1) (i64.const 2)) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
                    (local.get 6) (i64.add (local.get 7) (i64.const 1)) (i32.const 0)))))
        (elem (i32.const 1) 0))"#;
    const ODD: &str = r#"(module (type $t (func (param i64 i64 i64 i64 i64 i64 i64 i64) (result i64 i64)))
        (import "e" "even" (func $even (type $t))) (import "e" "table" (table 2 funcref))
        (func $odd (export "odd") (type $t)
            (return_call $even (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
                (local.get 6) (local.get 7)))
        (elem (i32.const 0) $odd))"#;
    let mut store = Store::new(());
    let even = instance(&mut store, "even", EVEN);
    let mut linker = Linker::new();
    linker.instance(&store, "e", even).unwrap();
    let odd = linker.instantiate(&mut store, &module("odd", ODD)).unwrap();
    let args = [1_000_000, 0, 0, 0, 0, 0, 0, 5].map(Val::I64);
    for (instance, name) in [(even, "even"), (odd, "odd")] {
        assert_eq!(call(&mut store, instance, name, &args).unwrap(), [Val::I64(2_000_000), Val::I64(1_000_005)]);
    }
}

#[test]
fn stores_give_back_what_they_took() {
    let module = module("brief", "(module (memory (export \"m\") 1) (table (export \"t\") 1 funcref))");
    // All together they would need more address space than there is.
    for _ in 0..25_000 {
        let mut store = Store::new(());
        Instance::new(&mut store, &module, &[]).unwrap();
    }
}

/// Where the CPU has no instruction for it, the host's runtime rounds.
#[test]
fn floats_are_rounded_without_an_instruction_for_it() {
    const WAT: &str = r#"(module
        (func (export "f64") (param f64) (result f64 f64 f64 f64)
            (f64.ceil (local.get 0)) (f64.floor (local.get 0)) (f64.trunc (local.get 0)) (f64.nearest (local.get 0)))
        (func (export "f32") (param f32) (result f32 f32 f32 f32)
            (f32.ceil (local.get 0)) (f32.floor (local.get 0)) (f32.trunc (local.get 0)) (f32.nearest (local.get 0)))
        (func (export "f32x4") (param v128) (result v128) (f32x4.nearest (local.get 0)))
        (func (export "f64x2") (param v128) (result v128) (f64x2.ceil (local.get 0)))
        (func (export "unsigned") (param v128) (result v128) (i32x4.trunc_sat_f64x2_u_zero (local.get 0))))"#;
    let module = module_with("rounding", WAT, &["--cpu", "x86-64-v1", "--nan-canonicalization"]);
    let mut store = Store::new(());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    for (value, rounded) in [(-0.5, [-0.0, -1.0, -0.0, -0.0]), (2.5, [3.0, 2.0, 2.0, 2.0]), (1e300, [1e300; 4])] {
        let results = call(&mut store, instance, "f64", &[Val::F64(f64::to_bits(value))]).unwrap();
        assert_eq!(results, rounded.map(|result| Val::F64(f64::to_bits(result))));
    }
    let results = call(&mut store, instance, "f32", &[Val::F32(f32::to_bits(-1.5))]).unwrap();
    assert_eq!(results, [-1.0, -2.0, -1.0, -2.0].map(|result| Val::F32(f32::to_bits(result))));
    let results = call(&mut store, instance, "f32", &[Val::F32(0xffa0_0001)]).unwrap();
    assert_eq!(results, [0; 4].map(|_| Val::F32(0x7fc0_0000)), "the canonical NaN");
    let vector = |lanes: [f32; 4]| Val::V128(lanes.map(f32::to_le_bytes).concat().try_into().unwrap());
    let results = call(&mut store, instance, "f32x4", &[vector([0.5, 1.5, -2.5, 3.0])]).unwrap();
    assert_eq!(results, [vector([0.0, 2.0, -2.0, 3.0])]);
    let vector = |lanes: [f64; 2]| Val::V128(lanes.map(f64::to_le_bytes).concat().try_into().unwrap());
    let results = call(&mut store, instance, "f64x2", &[vector([0.5, -7.25])]).unwrap();
    assert_eq!(results, [vector([1.0, -7.0])]);
    let results = call(&mut store, instance, "unsigned", &[vector([4294967295.9, -7.25])]).unwrap();
    assert_eq!(results, [Val::V128((u32::MAX as u128).to_le_bytes())]);
}

#[test]
fn words_are_passed_without_types_and_checked_against_the_type() {
    let mut store = Store::new(());
    let wat = r#"(module
        (func (export "mix") (param i32 i64 f64) (result f64)
            (f64.add (f64.convert_i64_s (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1))) (local.get 2)))
        (func (export "twice") (param v128) (result v128 i32)
            (i64x2.add (local.get 0) (local.get 0)) (i32.const -1))
        (func (export "keep") (param externref) (result i32) (i32.const 0)))"#;
    let instance = instance(&mut store, "words", wat);
    let func = |store: &Store<()>, name| instance.get_func(store, name).unwrap();
    // What is above the lowest 32 bits of an `i32` does not matter.
    let mut values = [[0xdead_ffff_ffff, 7], [3, 7], [0.5f64.to_bits(), 7]];
    func(&store, "mix").call_words(&mut store, &mut values).unwrap();
    assert_eq!(f64::from_bits(values[0][0]), 2.5);
    let mut values = [[1, 2], [0, 0]];
    func(&store, "twice").call_words(&mut store, &mut values).unwrap();
    assert_eq!((values[0], values[1][0] as u32), ([2, 4], u32::MAX));
    let add = host(&mut store, |_, x| Ok(x + 1));
    let mut values = [[0xdead_0000_0004, 0]];
    add.call_words(&mut store, &mut values).unwrap();
    assert_eq!(values[0][0] as u32, 5);
    for (name, mut values) in [("mix", vec![[0; 2]; 2]), ("twice", vec![[0; 2]; 1]), ("keep", vec![[0; 2]; 4])] {
        let result = func(&store, name).call_words(&mut store, &mut values);
        assert!(matches!(result, Err(Error::Usage(_))), "{name}");
    }
}

#[test]
fn functions_of_the_host_take_words() {
    let wat = r#"(module
        (import "host" "mix" (func $mix (param i32 v128) (result v128 i64 i32)))
        (import "host" "fail" (func $fail))
        (func (export "mix") (param i32 v128) (result v128 i64 i32) (call $mix (local.get 0) (local.get 1)))
        (func (export "fail") (call $fail)))"#;
    let mut linker = Linker::<u32>::new();
    let mix = FuncType::new([ValType::I32, ValType::V128], [ValType::V128, ValType::I64, ValType::I32]);
    let body = |mut caller: Caller<'_, u32>, values: &mut [[u64; 2]]| {
        *caller.data_mut() += 1;
        let &mut [[number, _], vector, _] = values else { panic!("{} values", values.len()) };
        values[0] = [vector[1], vector[0]];
        values[1][0] = 7;
        values[2][0] = number;
        Ok(())
    };
    linker.func_new_words("host", "mix", mix.clone(), body).unwrap();
    let fail = |_: Caller<'_, u32>, values: &mut [[u64; 2]]| {
        assert!(values.is_empty());
        Err(Error::msg("as asked"))
    };
    linker.func_new_words("host", "fail", FuncType::new([], []), fail).unwrap();
    let references = FuncType::new([ValType::EXTERNREF], []);
    assert!(matches!(linker.func_new_words("host", "no", references, fail), Err(Error::Usage(_))));
    let mut store = Store::new(0);
    let instance = linker.instantiate(&mut store, &module("host_words", wat)).unwrap();
    let vector = (1u128 | 2 << 64).to_le_bytes();
    let swapped = vec![Val::V128((2u128 | 1 << 64).to_le_bytes()), Val::I64(7), Val::I32(-5)];
    assert_eq!(call(&mut store, instance, "mix", &[Val::I32(-5), Val::V128(vector)]).unwrap(), swapped);
    let own = Func::new_words(&mut store, mix, body).unwrap();
    assert_eq!(call_func(&mut store, own, &[Val::I32(-5), Val::V128(vector)]).unwrap(), swapped);
    assert_eq!(*store.data(), 2);
    assert_eq!(call(&mut store, instance, "fail", &[]).unwrap_err().to_string(), "as asked");
}
