//! Traps of every kind: the host gets them as errors, again and again, and goes on.

use super::*;

const WAT: &str = r#"(module
    (type $i (func (result i32))) (type $v (func))
    (memory 1 2)
    (table $t 4 funcref) (elem (i32.const 1) $nothing)
    (func $nothing)
    (func (export "unreachable") (unreachable))
    (func (export "load") (drop (i32.load (i32.const 65533))))
    (func (export "load far") (drop (i32.load offset=0xffffffff (i32.const -1))))
    (func (export "fill") (memory.fill (i32.const 0) (i32.const 0) (i32.const 65537)))
    (func (export "table get") (drop (table.get $t (i32.const 4))))
    (func (export "table fill") (table.fill $t (i32.const 3) (ref.null func) (i32.const 2)))
    (func (export "undefined") (drop (call_indirect (type $i) (i32.const 9))))
    (func (export "uninitialized") (call_indirect (type $v) (i32.const 0)))
    (func (export "mismatch") (drop (call_indirect (type $i) (i32.const 1))))
    (func (export "divide") (drop (i32.div_u (i32.const 1) (i32.const 0))))
    (func (export "overflow") (drop (i32.div_s (i32.const 0x80000000) (i32.const -1))))
    (func (export "float") (drop (i32.trunc_f32_s (f32.const 1e30))))
    (func (export "nan") (drop (i32.trunc_f32_s (f32.const nan))))
    (func $deep (export "deep") (call $deep))
    (func $wide (export "wide") (param i64 i64 i64 i64) (result i64 i64 i64 i64)
        (call $wide (local.get 3) (local.get 2) (local.get 1) (local.get 0)))
    (func (export "deep wide") (call $wide (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)) drop drop drop drop)
    (func (export "null") (call_ref $v (ref.null $v)))
    (func (export "size") (result i32) (memory.size)))"#;

const TRAPS: [(&str, Trap); 17] = [
    ("unreachable", Trap::Unreachable),
    ("load", Trap::MemoryOutOfBounds),
    ("load far", Trap::MemoryOutOfBounds),
    ("fill", Trap::MemoryOutOfBounds),
    ("table get", Trap::TableOutOfBounds),
    ("table fill", Trap::TableOutOfBounds),
    ("undefined", Trap::UndefinedElement),
    ("uninitialized", Trap::UninitializedElement),
    ("mismatch", Trap::IndirectCallTypeMismatch),
    ("divide", Trap::IntegerDivideByZero),
    ("overflow", Trap::IntegerOverflow),
    ("float", Trap::IntegerOverflow),
    ("nan", Trap::InvalidConversionToInteger),
    ("deep", Trap::StackExhausted),
    ("deep wide", Trap::StackExhausted),
    ("null", Trap::NullReference),
    ("unreachable", Trap::Unreachable),
];

fn every_trap(options: &[&str]) {
    let mut store = Store::new(());
    let instance = Instance::new(&mut store, &module_with("traps", WAT, options), &[]).unwrap();
    for round in 0..1000 {
        for (name, expected) in TRAPS {
            // Using up the stack takes longer than the rest.
            if expected != Trap::StackExhausted || round % 20 == 0 {
                assert_eq!(trap(call(&mut store, instance, name, &[])), expected, "{name}");
            }
        }
    }
    assert_eq!(call_i32(&mut store, instance, "size", &[]), 1);
}

#[test]
fn every_trap_is_an_error_a_thousand_times() {
    every_trap(&[]);
}

#[test]
fn so_with_explicit_bounds_checks() {
    every_trap(&["--bounds-checks", "explicit"]);
}

#[test]
fn so_without_optimisation() {
    every_trap(&["-O0"]);
}

/// Where no signal tells the end of the stack, frames are as small as code expects.
#[test]
fn a_large_frame_is_refused_with_explicit_bounds_checks() {
    let types = "v128 ".repeat(1000);
    let wat = format!(
        r#"(module (func $f (export "f") (param {types}) (result {types})
            {} (call $f)))"#,
        (0..1000).map(|index| format!("(local.get {index})")).collect::<String>(),
    );
    let scratch = support::scratch();
    let source = scratch.path().join("large.wat");
    fs::write(&source, wat).unwrap();
    let mut command = support::wasmelt();
    command.args(["compile", "--emit", "cdylib", "--bounds-checks", "explicit", "-o"]);
    command.arg(scratch.path().join("large.so")).arg(&source);
    let outcome = support::run(&mut command, b"").unwrap();
    let message = outcome.stderr();
    assert!(outcome.code() == 1 && message.contains("of which `--bounds-checks explicit` allows 24576"), "{message}");
}

#[test]
fn backtraces_name_functions_of_all_modules() {
    for options in [&[][..], &["--bounds-checks", "explicit"]] {
        backtraces(options);
    }
}

fn backtraces(options: &[&str]) {
    const INNER: &str =
        r#"(module (func $divide (export "f") (param i32) (result i32) (i32.div_u (i32.const 1) (local.get 0))))"#;
    let mut store = Store::new(());
    let inner = Instance::new(&mut store, &module_with("inner", INNER, options), &[]).unwrap();
    let f = inner.get_func(&store, "f").unwrap();
    let through_host = host(&mut store, move |caller, n| f.typed::<i32, i32>(&caller)?.call(caller, n));
    const OUTER: &str = r#"(module (import "" "f" (func $f (param i32) (result i32)))
        (func $middle (param i32) (result i32) (i32.add (i32.const 1) (call $f (local.get 0))))
        (func (export "g") (param i32) (result i32) (i32.add (i32.const 1) (call $middle (local.get 0)))))"#;
    let outer = module_with("outer", OUTER, options);
    for imported in [f, through_host] {
        let instance = Instance::new(&mut store, &outer, &[imported.into()]).unwrap();
        assert_eq!(call_i32(&mut store, instance, "g", &[1]), 3);
        let Err(Error::Trap(trap)) = call(&mut store, instance, "g", &[Val::I32(0)]) else { panic!() };
        let names = trap.backtrace.iter().map(|frame| (frame.module.as_str(), frame.function_name.as_str()));
        assert_eq!(names.collect::<Vec<_>>(), [("inner", "divide"), ("outer", "middle"), ("outer", "")]);
        let [divide, middle, last] = [0, 1, 2].map(|number| trap.backtrace[number].module_offset);
        let expected = format!(
            "wasm trap: integer divide by zero\n    0: divide at offset {divide:#x}\n    1: middle at offset {middle:#x}\n    \
             2: <wasm function 2> at offset {last:#x}"
        );
        assert_eq!(trap.to_string(), expected);
        assert!(trap.backtrace.iter().all(|frame| frame.positions.is_empty()));
    }
}

#[test]
fn backtraces_have_positions_with_debug_information() {
    let scratch = support::scratch();
    let path = scratch.path().join("inlined.so");
    let guest = support::repository().join("tests/run/guests/inlined.wasm");
    support::compile(&guest, &path, ["--emit", "cdylib", "-g"]).unwrap();
    let module = load(&path, "inlined").unwrap();
    let mut store = Store::new(());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let Err(Error::Trap(trap)) = call(&mut store, instance, "_start", &[]) else { panic!() };
    let expected = "wasm trap: out of bounds memory access\n    \
                    0: app::Table::at(long) const at inlined.cpp:11:16\n       \
                    app::sum(app::Table const&, long) at inlined.cpp:17:18\n       \
                    app::twice(app::Table const&, long) at inlined.cpp:21:12\n    \
                    1: _start at inlined.cpp:30:17";
    assert_eq!(trap.to_string(), expected);
    let frame = &trap.backtrace[0];
    assert_eq!(frame.function_name, "app::twice(app::Table const&, long)");
    let [_, _, last] = &frame.positions[..] else { panic!("{trap:?}") };
    assert_eq!((last.function.as_str(), last.file.as_str()), (frame.function_name.as_str(), "inlined.cpp"));
    assert_eq!((last.line, last.column), (21, 12));
    // The offset is that of an `i32.load`.
    let wasm = std::fs::read(guest).unwrap();
    assert_eq!(wasm[frame.module_offset as usize], 0x28);
}

#[test]
fn a_trap_inside_nested_calls_ends_the_innermost() {
    let mut store = Store::new(());
    let inner = instance(&mut store, "innermost", r#"(module (func (export "f") (unreachable)))"#);
    let f = inner.get_func(&store, "f").unwrap();
    let catches = host(&mut store, move |mut caller, n| {
        assert_eq!(trap(call_func(&mut caller, f, &[])), Trap::Unreachable);
        if n == 0 { Err(Error::trap(Trap::IntegerOverflow)) } else { Ok(n + 1) }
    });
    const OUTER: &str = r#"(module (import "" "f" (func $f (param i32) (result i32)))
        (func (export "g") (param i32 i64) (result i32)
            (i32.add (call $f (local.get 0)) (i32.wrap_i64 (local.get 1)))))"#;
    let outer = Instance::new(&mut store, &module("outermost", OUTER), &[catches.into()]).unwrap();
    for _ in 0..1000 {
        assert_eq!(call(&mut store, outer, "g", &[Val::I32(4), Val::I64(100)]).unwrap(), [Val::I32(105)]);
        assert_eq!(trap(call(&mut store, outer, "g", &[Val::I32(0), Val::I64(1)])), Trap::IntegerOverflow);
    }
}

#[test]
fn the_stack_can_end_anywhere() {
    const WAT: &str = r#"(module (import "host" "f" (func $f (param i32) (result i32)))
        (memory 1 1000) (table $t 1 1000 funcref) (tag $e)
        (func $grow (export "memory") (param i32) (result i32)
            (drop (memory.grow (i32.const 0))) (i32.add (i32.const 1) (call $grow (local.get 0))))
        (func $table (export "table") (param i32) (result i32)
            (drop (table.grow $t (ref.null func) (i32.const 0))) (i32.add (i32.const 1) (call $table (local.get 0))))
        (func $throw (export "throw") (param i32) (result i32)
            (block $caught (try_table (catch $e $caught) (throw $e)))
            (i32.add (i32.const 1) (call $throw (local.get 0))))
        (func $host (export "host") (param i32) (result i32)
            (drop (call $f (i32.const 1))) (i32.add (i32.const 1) (call $host (local.get 0))))
        (func (export "one") (result i32) (drop (memory.grow (i32.const 1))) (memory.size)))"#;
    let mut config = wasmelt_embed::StoreConfig::default();
    config.stack_bytes = Some(256 << 10);
    let mut store = Store::with_config((), config);
    let f = host(&mut store, |_, n| Ok(n));
    let instance = Instance::new(&mut store, &module("anywhere", WAT), &[f.into()]).unwrap();
    for pages in 2..22 {
        for name in ["memory", "table", "throw", "host"] {
            assert_eq!(trap(call(&mut store, instance, name, &[Val::I32(0)])), Trap::StackExhausted, "{name}");
        }
        assert_eq!(call_i32(&mut store, instance, "one", &[]), pages);
    }
}

/// The variable that says that this process is the one that the test has started.
const ROLE: &str = "WASMELT_TEST_FIRST_FAULTS";

#[test]
fn the_first_library_with_faults_is_loaded_while_a_guest_runs() {
    if std::env::var_os(ROLE).is_none() {
        // No other test has loaded a library in that process.
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "traps::the_first_library_with_faults_is_loaded_while_a_guest_runs"]).env(ROLE, "1");
        let outcome = child.output().unwrap();
        assert!(outcome.status.success(), "{:?}: {}", outcome.status, String::from_utf8_lossy(&outcome.stdout));
        return;
    }
    const CALLER: &str = r#"(module
        (import "host" "load" (func $load))
        (table (export "table") 1 funcref)
        (func (export "run") (call $load) (call_indirect (i32.const 0))))"#;
    const FAULTS: &str = r#"(module (func (export "run") (unreachable)))"#;
    let mut store = Store::new(());
    let caller = module_with("caller", CALLER, &["--bounds-checks", "explicit"]);
    let load = Func::wrap(&mut store, |mut caller: Caller<'_, ()>| -> Result<()> {
        let loaded = Instance::new(&mut caller, &module("faults", FAULTS), &[])?;
        let run = loaded.get_func(&caller, "run");
        let Some(Extern::Table(table)) = caller.get_export("table") else { return Err(Error::msg("no table")) };
        table.set(&mut caller, 0, &Val::FuncRef(run))
    });
    let caller = Instance::new(&mut store, &caller, &[load.unwrap().into()]).unwrap();
    assert_eq!(trap(call(&mut store, caller, "run", &[])), Trap::Unreachable);
}
