//! What a host can do, one function each. All of it is done again and again where something could be left behind.

use std::hint::black_box;
use std::panic::panic_any;
use std::sync::Mutex;
use std::thread;

use wasmelt_embed::wasi::{DirPerms, FilePerms, I32Exit, MemoryOutputPipe, WasiCtx, WasiCtxBuilder, p1};
use wasmelt_embed::{
    Error, Exception, Extern, ExternRef, ExternType, Func, Instance, Linker, MemoryType, SharedMemory, Store,
    StoreConfig, Trap, Val,
};

use crate::modules::Modules;
use crate::waiting::{waiting, waiting_fails, yielding};
use crate::{call, call_func, call_i32, host, trap};

type Scenario = fn(&Modules);

pub(crate) const ALL: [(&str, Scenario); 21] = [
    ("values of all types", values),
    ("many parameters and results", many),
    ("vectors", vectors),
    ("calls of the host and back", nested),
    ("traps", traps),
    ("backtraces", backtraces),
    ("stack exhaustion", exhaustion),
    ("stack exhaustion inside a host function", exhaustion_inside),
    ("exceptions across instances", exceptions),
    ("exceptions of host functions", host_exceptions),
    ("panics of host functions", panics),
    ("errors of host functions", errors),
    ("registers for floats", floats),
    ("memory, tables and segments", state),
    ("many instances", instances),
    ("threads with a store each", threads),
    ("shared memory", shared),
    ("WASI with a context each", wasi),
    ("functions of the host that are waited for", waiting),
    ("such functions that fail", waiting_fails),
    ("guests that give the executor back", yielding),
];

fn func_type(modules: &Modules, name: &str) -> wasmelt_embed::FuncType {
    let module = modules.get("values");
    match module.exports().find(|export| export.name == name).map(|export| export.ty) {
        Some(ExternType::Func(ty)) => ty,
        other => panic!("{name}: {other:?}"),
    }
}

fn values_instance(modules: &Modules, store: &mut Store<()>) -> Instance {
    let turn = Func::new(&mut *store, func_type(modules, "turn"), |_, args, results| {
        results.iter_mut().zip(args.iter().rev()).for_each(|(result, arg)| *result = arg.clone());
        results[7..].clone_from_slice(&[Val::I32(-5), Val::I64(9), Val::F64(2.5f64.to_bits())]);
        Ok(())
    })
    .unwrap();
    let many = Func::new(&mut *store, func_type(modules, "many"), |_, args, results| {
        results.iter_mut().zip(args.iter().rev()).for_each(|(result, arg)| *result = arg.clone());
        Ok(())
    })
    .unwrap();
    Instance::new(store, &modules.get("values"), &[turn.into(), many.into()]).unwrap()
}

fn values(modules: &Modules) {
    let mut store = Store::new(());
    let instance = values_instance(modules, &mut store);
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
    for _ in 0..100 {
        for name in ["turn", "through"] {
            let results = call(&mut store, instance, name, &args).unwrap();
            assert!(args.iter().rev().eq(&results[..7]), "{name}: {results:?}");
            assert_eq!(results[7..], [Val::I32(-5), Val::I64(9), Val::F64(2.5f64.to_bits())]);
            let Val::FuncRef(Some(returned)) = results[1] else { panic!("{results:?}") };
            assert_eq!(call_func(&mut store, returned, &[]).unwrap(), []);
        }
    }
}

fn many(modules: &Modules) {
    let mut store = Store::new(());
    let instance = values_instance(modules, &mut store);
    let one = |i: u32| match i % 4 {
        0 => Val::I32(i as i32 - 9),
        1 => Val::I64(i64::from(i) << 40),
        2 => Val::F32((i as f32 * 1.5).to_bits()),
        _ => Val::F64((f64::from(i) * -2.5).to_bits()),
    };
    let args: Vec<_> = (0..20).map(one).collect();
    let results = call(&mut store, instance, "many", &args).unwrap();
    assert!(args.iter().rev().eq(&results), "{results:?}");
}

fn vectors(modules: &Modules) {
    let mut store = Store::new(());
    let instance = values_instance(modules, &mut store);
    let vector = |lanes: [i32; 4]| {
        let mut bytes = [0; 16];
        lanes.iter().zip(bytes.chunks_mut(4)).for_each(|(lane, chunk)| chunk.copy_from_slice(&lane.to_le_bytes()));
        Val::V128(bytes)
    };
    let args = [vector([1, 2, 3, -4]), vector([10, 20, -30, 40])];
    let results = call(&mut store, instance, "lanes", &args).unwrap();
    assert_eq!(results, [vector([12, 41, -94, -157])]);
}

/// An instance of `calls` whose host function calls the instance's export of this name in turn.
fn calling_back(modules: &Modules, store: &mut Store<()>, name: &'static str) -> Instance {
    let f = host(store, move |caller, n| {
        let back = caller.get_export(name).and_then(Extern::into_func).expect("the module exports it");
        Ok(back.typed::<i32, i32>(&caller)?.call(caller, n)? + 1)
    });
    Instance::new(store, &modules.get("calls"), &[f.into()]).unwrap()
}

fn nested(modules: &Modules) {
    let mut store = Store::new(());
    let instance = calling_back(modules, &mut store, "down");
    for _ in 0..20 {
        assert_eq!(call_i32(&mut store, instance, "down", &[50]), 100);
    }
    // Two stores in turn on one thread.
    let (mut outer, inner) = (Store::new(()), Mutex::new((store, instance)));
    let f = host(&mut outer, move |_, n| {
        let (store, instance) = &mut *inner.lock().unwrap();
        if n == 7 {
            Err(Error::trap(trap(call(store, *instance, "deep", &[Val::I32(0)]))))
        } else {
            Ok(call_i32(store, *instance, "down", &[n]))
        }
    });
    let instance = Instance::new(&mut outer, &modules.get("calls"), &[f.into()]).unwrap();
    for _ in 0..20 {
        assert_eq!(call_i32(&mut outer, instance, "once", &[10]), 21);
        assert_eq!(trap(call(&mut outer, instance, "once", &[Val::I32(7)])), Trap::StackExhausted);
    }
}

const TRAPS: [(&str, Trap); 13] = [
    ("unreachable", Trap::Unreachable),
    ("load", Trap::MemoryOutOfBounds),
    ("load far", Trap::MemoryOutOfBounds),
    ("store", Trap::MemoryOutOfBounds),
    ("fill", Trap::MemoryOutOfBounds),
    ("table get", Trap::TableOutOfBounds),
    ("undefined", Trap::UndefinedElement),
    ("uninitialized", Trap::UninitializedElement),
    ("mismatch", Trap::IndirectCallTypeMismatch),
    ("divide", Trap::IntegerDivideByZero),
    ("remainder", Trap::IntegerDivideByZero),
    ("float", Trap::IntegerOverflow),
    ("nan", Trap::InvalidConversionToInteger),
];

fn traps_instance(modules: &Modules, store: &mut Store<()>) -> Instance {
    let f = host(store, |_, n| Ok(n));
    Instance::new(store, &modules.get("traps"), &[f.into()]).unwrap()
}

fn traps(modules: &Modules) {
    let mut store = Store::new(());
    let instance = traps_instance(modules, &mut store);
    for _ in 0..200 {
        for (name, expected) in TRAPS {
            assert_eq!(trap(call(&mut store, instance, name, &[])), expected, "{name}");
        }
        assert_eq!(trap(call(&mut store, instance, "overflow", &[Val::I32(-1)])), Trap::IntegerOverflow);
        assert_eq!(trap(call(&mut store, instance, "overflow", &[Val::I32(0)])), Trap::IntegerDivideByZero);
        assert_eq!(call(&mut store, instance, "overflow", &[Val::I32(2)]).unwrap(), []);
        assert_eq!(trap(call(&mut store, instance, "null", &[])), Trap::NullReference);
        assert_eq!(call_i32(&mut store, instance, "size", &[]), 1);
    }
    assert_eq!(call_i32(&mut store, instance, "grow", &[2]), 1);
    assert_eq!(call(&mut store, instance, "load", &[]).unwrap(), []);
}

fn backtraces(modules: &Modules) {
    let mut store = Store::new(());
    let instance = traps_instance(modules, &mut store);
    let Err(Error::Trap(trap)) = call(&mut store, instance, "unreachable", &[]) else { panic!("no trap") };
    let text = trap.to_string();
    let lines: Vec<&str> = text.lines().map(|line| line.split(" at offset 0x").next().unwrap_or_default()).collect();
    assert_eq!(lines, ["wasm trap: unreachable", "    0: inner", "    1: middle", "    2: outer"], "{text}");
    assert!(trap.backtrace.iter().all(|frame| frame.module == "traps"));

    // Through a host function, which has no frame of a guest.
    let inner = instance.get_func(&store, "unreachable").unwrap();
    let f = host(&mut store, move |caller, _| call_func(caller, inner, &[]).map(|_| 0));
    let outer = Instance::new(&mut store, &modules.get("calls"), &[f.into()]).unwrap();
    let Err(Error::Trap(trap)) = call(&mut store, outer, "down", &[Val::I32(1)]) else { panic!("no trap") };
    let names: Vec<_> =
        trap.backtrace.iter().map(|frame| (frame.module.as_str(), frame.function_name.as_str())).collect();
    let expected = [("traps", "inner"), ("traps", "middle"), ("traps", "outer"), ("calls", "down")];
    assert_eq!(names, expected);

    // The innermost frames of many.
    let Err(Error::Trap(trap)) = call(&mut store, instance, "deep", &[]) else { panic!("no trap") };
    assert!(trap.is_cut && trap.backtrace.len() == 64);
    assert!(trap.backtrace.iter().all(|frame| frame.function_name == "deep"), "{trap}");
}

/// A store whose stack is used up soon.
fn small_store() -> Store<()> {
    let mut config = StoreConfig::default();
    config.stack_bytes = Some(256 << 10);
    Store::with_config((), config)
}

fn exhaustion(modules: &Modules) {
    let mut store = small_store();
    let instance = traps_instance(modules, &mut store);
    for round in 0..30 {
        for name in ["deep", "deep wide", "deep memory.grow", "deep table.grow", "deep throw", "deep host"] {
            assert_eq!(trap(call(&mut store, instance, name, &[])), Trap::StackExhausted, "{name}, round {round}");
            assert_eq!(call_i32(&mut store, instance, "size", &[]), 1);
        }
    }
    assert_eq!(trap(call(&mut store, instance, "unreachable", &[])), Trap::Unreachable);
}

fn exhaustion_inside(modules: &Modules) {
    // Of the guest's stack, in a call that a host function makes.
    let mut store = Store::new(());
    let instance = calling_back(modules, &mut store, "deep");
    for _ in 0..20 {
        assert_eq!(trap(call(&mut store, instance, "once", &[Val::I32(1)])), Trap::StackExhausted);
    }
    // Of either stack, by calls that go back and forth.
    let mut store = Store::new(());
    let instance = calling_back(modules, &mut store, "down");
    for _ in 0..3 {
        assert_eq!(trap(call(&mut store, instance, "down", &[Val::I32(i32::MAX)])), Trap::StackExhausted);
        assert_eq!(call_i32(&mut store, instance, "down", &[50]), 100);
    }
    // A host function goes on after the trap.
    let mut store = Store::new(());
    let traps = traps_instance(modules, &mut store);
    let deep = traps.get_func(&store, "deep").unwrap();
    let f = host(&mut store, move |caller, n| {
        assert_eq!(trap(call_func(caller, deep, &[])), Trap::StackExhausted);
        Ok(n + 1)
    });
    let instance = Instance::new(&mut store, &modules.get("calls"), &[f.into()]).unwrap();
    for n in 0..20 {
        assert_eq!(call_i32(&mut store, instance, "once", &[n]), n + 2);
    }
}

fn exceptions(modules: &Modules) {
    let mut store = Store::new(());
    let thrower = Instance::new(&mut store, &modules.get("thrower"), &[]).unwrap();
    let mut linker = Linker::new();
    linker.instance(&store, "thrower", thrower).unwrap();
    let catcher = linker.instantiate(&mut store, &modules.get("catcher")).unwrap();
    for n in 1..1000 {
        assert_eq!(call_i32(&mut store, catcher, "catch", &[n]), 4 * n + 1000);
    }
    // Another tag passes all handlers.
    let Err(Error::Exception(exception)) = call(&mut store, catcher, "catch", &[Val::I32(0)]) else { panic!() };
    let Some(Extern::Tag(other)) = thrower.get_export(&store, "other") else { panic!() };
    assert_eq!(exception.tag(&store).unwrap(), other);
    // What is held stays, also when there is much garbage.
    let mut held = Vec::new();
    for n in 1..50 {
        let results = call(&mut store, catcher, "all", &[Val::I32(n)]).unwrap();
        let [Val::ExnRef(Some(exception))] = &results[..] else { panic!("{results:?}") };
        held.push(exception.clone());
    }
    for n in 0..50_000 {
        call(&mut store, catcher, "all", &[Val::I32(n % 5)]).unwrap();
    }
    for (i, exception) in held.iter().enumerate() {
        assert_eq!(exception.values(&store).unwrap(), [Val::I32(i as i32 + 1), Val::I64(1000)]);
    }
    let thrown = call(&mut store, catcher, "rethrow", &[Val::ExnRef(Some(held[7].clone()))]);
    assert!(matches!(thrown, Err(Error::Exception(exception)) if exception == held[7]));
}

fn host_exceptions(modules: &Modules) {
    let mut store = Store::new(());
    let thrower = Instance::new(&mut store, &modules.get("thrower"), &[]).unwrap();
    let Some(Extern::Tag(e)) = thrower.get_export(&store, "e") else { panic!() };
    let throw = thrower.get_func(&store, "throw").unwrap();
    // Even numbers come from a guest below the host function, odd ones from the host function itself.
    let through = host(&mut store, move |mut caller, n| {
        if n % 2 == 1 {
            return Err(Error::Exception(Exception::new(caller, e, &[Val::I32(n), Val::I64(1000)])?));
        }
        call_func(&mut caller, throw, &[Val::I32(n)])?;
        panic!("it throws")
    });
    let mut linker = Linker::new();
    linker.define(&store, "thrower", "throw", through).unwrap().define(&store, "thrower", "e", e).unwrap();
    let catcher = linker.instantiate(&mut store, &modules.get("catcher")).unwrap();
    for n in 1..1000 {
        assert_eq!(call_i32(&mut store, catcher, "catch", &[n]), 4 * n + 1000);
    }
    assert!(matches!(call(&mut store, catcher, "catch", &[Val::I32(0)]), Err(Error::Exception(_))));
}

fn panics(modules: &Modules) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut store = Store::new(());
    let f = host(&mut store, |_, n| if n == 7 { panic_any("seven") } else { Ok(n) });
    let instance = Instance::new(&mut store, &modules.get("calls"), &[f.into()]).unwrap();
    for _ in 0..100 {
        match call(&mut store, instance, "once", &[Val::I32(7)]) {
            Err(Error::Panic(panic)) => assert_eq!(panic.message(), "seven"),
            other => panic!("{other:?}"),
        }
        assert_eq!(call_i32(&mut store, instance, "once", &[1]), 2);
    }
    std::panic::set_hook(hook);
}

fn errors(modules: &Modules) {
    let mut store = Store::new(());
    let f =
        host(
            &mut store,
            |_, n| if n == 1 { Err(Error::host("of my own")) } else { Err(Error::trap(Trap::IntegerOverflow)) },
        );
    let instance = Instance::new(&mut store, &modules.get("calls"), &[f.into()]).unwrap();
    for _ in 0..100 {
        assert_eq!(call(&mut store, instance, "once", &[Val::I32(1)]).unwrap_err().to_string(), "of my own");
        assert_eq!(trap(call(&mut store, instance, "down", &[Val::I32(9)])), Trap::IntegerOverflow);
    }
    let missing = Instance::new(&mut store, &modules.get("calls"), &[]).unwrap_err().to_string();
    assert!(missing.starts_with("unknown import: import 0 \"host\" \"f\": expected (func"), "{missing}");
}

/// Floats that are needed again after a call are in registers which callees keep.
fn floats(modules: &Modules) {
    let mut store = Store::new(());
    let f = host(&mut store, |_, n| if n == 3 { Err(Error::host("three")) } else { Ok(n) });
    let instance = Instance::new(&mut store, &modules.get("floats"), &[f.into()]).unwrap();
    let [returns, traps, calls] = ["returns", "traps", "calls"].map(|name| instance.get_func(&store, name).unwrap());
    let mut end = |func: Func, n: i32| {
        let all: [f64; 10] = std::array::from_fn(|i| f64::from(black_box(i as i32)) + 0.5);
        let [a, b, c, d, e, f, g, h, i, j] = all.map(black_box);
        let (k, l) = (black_box(11.5f64) * a, black_box(12.5f64) * b);
        let result = call_func(&mut store, func, &[Val::I32(n)]);
        let sums = [a + b, c + d, e + f, g + h, i + j, k - l, a - j, b - i, c - h, d - g, e * f];
        assert_eq!(sums, [2.0, 6.0, 10.0, 14.0, 18.0, -13.0, -9.0, -7.0, -5.0, -3.0, 24.75]);
        result
    };
    for n in 1..100 {
        assert!(end(returns, n).is_ok());
        assert_eq!(trap(end(traps, n)), Trap::Unreachable);
        assert_eq!(end(calls, n).is_err(), n == 3);
    }
}

fn state(modules: &Modules) {
    let mut store = Store::new(());
    let instance = Instance::new(&mut store, &modules.get("state"), &[]).unwrap();
    let Some(Extern::Memory(memory)) = instance.get_export(&store, "memory") else { panic!() };
    let Some(Extern::Global(global)) = instance.get_export(&store, "global") else { panic!() };
    assert_eq!(trap(call(&mut store, instance, "last", &[Val::I32(2 << 16)])), Trap::MemoryOutOfBounds);
    for (pages, expected) in [(1, 1), (2, 2), (1, -1)] {
        assert_eq!(call_i32(&mut store, instance, "grow", &[pages]), expected);
    }
    assert_eq!(memory.size(&store).unwrap(), 4);
    memory.write(&mut store, (4 << 16) - 1, b"!").unwrap();
    assert_eq!(call_i32(&mut store, instance, "last", &[4 << 16]), i32::from(b'!'));
    assert_eq!(trap(call(&mut store, instance, "last", &[Val::I32((4 << 16) + 1)])), Trap::MemoryOutOfBounds);

    call(&mut store, instance, "init", &[]).unwrap();
    let mut bytes = [0; 8];
    memory.read(&store, 200, &mut bytes).unwrap();
    assert_eq!(&bytes, b"assive!!");
    call(&mut store, instance, "drop", &[]).unwrap();
    assert_eq!(trap(call(&mut store, instance, "init", &[])), Trap::MemoryOutOfBounds);

    assert_eq!(call_i32(&mut store, instance, "table grow", &[3]), 2);
    assert_eq!(call_i32(&mut store, instance, "table grow", &[9]), -1);
    assert_eq!(call_i32(&mut store, instance, "apply", &[4]), 1 + i32::from(b'a'));
    global.set(&mut store, Val::I32(10)).unwrap();
    assert_eq!(call_i32(&mut store, instance, "apply", &[0]), 11 + i32::from(b'a'));
    assert_eq!(trap(call(&mut store, instance, "apply", &[Val::I32(1)])), Trap::UninitializedElement);
}

fn instances(modules: &Modules) {
    let module = modules.get("state");
    let mut store = Store::new(());
    let instances: Vec<_> = (0..20).map(|_| Instance::new(&mut store, &module, &[]).unwrap()).collect();
    for (number, &instance) in instances.iter().enumerate() {
        for _ in 0..number {
            call_i32(&mut store, instance, "next", &[]);
        }
    }
    for (number, &instance) in instances.iter().enumerate() {
        assert_eq!(call_i32(&mut store, instance, "next", &[]), number as i32 + 1 + i32::from(b'a'));
    }
    // Stores come and go, and take all that was theirs with them.
    for _ in 0..20 {
        let mut store = Store::new(());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        assert_eq!(call_i32(&mut store, instance, "next", &[]), 1 + i32::from(b'a'));
    }
}

fn threads(modules: &Modules) {
    let module = modules.get("traps");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut store = small_store();
                let f = host(&mut store, |_, n| Ok(n));
                let instance = Instance::new(&mut store, &module, &[f.into()]).unwrap();
                for _ in 0..20 {
                    assert_eq!(trap(call(&mut store, instance, "unreachable", &[])), Trap::Unreachable);
                    assert_eq!(trap(call(&mut store, instance, "load", &[])), Trap::MemoryOutOfBounds);
                    assert_eq!(trap(call(&mut store, instance, "deep host", &[])), Trap::StackExhausted);
                    assert_eq!(call_i32(&mut store, instance, "size", &[]), 1);
                }
            });
        }
    });
    // A store goes from thread to thread.
    let mut store = Store::new(());
    let mut instance = traps_instance(modules, &mut store);
    for _ in 0..5 {
        (store, instance) = thread::spawn(move || {
            assert_eq!(trap(call(&mut store, instance, "deep", &[])), Trap::StackExhausted);
            (store, instance)
        })
        .join()
        .unwrap();
    }
    assert_eq!(trap(call(&mut store, instance, "load far", &[])), Trap::MemoryOutOfBounds);
}

fn shared(modules: &Modules) {
    let (module, memory) = (modules.get("shared"), SharedMemory::new(MemoryType::shared(1, 4)).unwrap());
    let instance = || {
        let mut store = Store::new(());
        let instance = Instance::new(&mut store, &module, &[memory.clone().into()]).unwrap();
        (store, instance)
    };
    thread::scope(|scope| {
        let counting: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let (mut store, instance) = instance();
                    call_i32(&mut store, instance, "count", &[10_000])
                })
            })
            .collect();
        let highest = counting.into_iter().map(|thread| thread.join().unwrap()).max();
        assert_eq!(highest, Some(40_000));
        let waiting = scope.spawn(|| {
            let (mut store, instance) = instance();
            call_i32(&mut store, instance, "wait", &[])
        });
        let (mut store, instance) = instance();
        call_i32(&mut store, instance, "wake", &[42]);
        assert_eq!(waiting.join().unwrap(), 42);
        // Beyond the end it is a trap, until somebody makes it longer.
        let place = [Val::I32(1 << 16)];
        assert_eq!(trap(call(&mut store, instance, "poke", &place)), Trap::MemoryOutOfBounds);
        assert_eq!(memory.grow(1).unwrap(), 1);
        assert_eq!(call(&mut store, instance, "poke", &place).unwrap(), []);
    });
}

/// Four guests at once, each with a directory of its own.
fn wasi(modules: &Modules) {
    const PERM: i32 = 63;
    const FAULT: i32 = 21;
    let module = modules.get("wasi");
    let mut linker = Linker::new();
    p1::add_to_linker_sync(&mut linker, |context: &mut WasiCtx| context).unwrap();
    let folder = std::env::temp_dir().join(format!("wasmelt-host-{}", std::process::id()));
    thread::scope(|scope| {
        for number in 0..4 {
            let (folder, module, linker) = (folder.join(number.to_string()), &module, &linker);
            scope.spawn(move || {
                std::fs::create_dir_all(&folder).unwrap();
                let output = MemoryOutputPipe::new(1 << 20);
                let mut builder = WasiCtxBuilder::new();
                builder.arg(format!("me-{number}")).stdout(output.clone());
                builder.preopened_dir(&folder, "/d", DirPerms::all(), FilePerms::all()).unwrap();
                let mut store = Store::new(builder.build());
                let instance = linker.instantiate(&mut store, module).unwrap();
                for _ in 0..10 {
                    for (name, expected) in [
                        ("say", 0),
                        ("keep", 0),
                        ("up", PERM),
                        ("root", PERM),
                        ("beyond", FAULT),
                        ("random", 0),
                        ("sleep", 0),
                    ] {
                        let step = instance.get_typed_func::<(), i32>(&store, name).unwrap();
                        assert_eq!(step.call(&mut store, ()).unwrap(), expected, "{name}");
                    }
                }
                let exit = instance.get_typed_func::<i32, ()>(&store, "exit").unwrap();
                let error = exit.call(&mut store, number).unwrap_err();
                assert_eq!(error.downcast_ref(), Some(&I32Exit(number)));
                assert_eq!(output.contents(), format!("me-{number}\0").as_bytes()[..5].repeat(10));
                drop(store);
                std::fs::remove_dir_all(&folder).unwrap();
            });
        }
    });
    std::fs::remove_dir_all(&folder).unwrap();
}
