//! Components as libraries: values of all types there and back, imports that the host meets, handles of two guests in two
//! threads, and what a component must not do.

use std::fs;
use std::thread;

use wasmelt_embed::component::{Component, ComponentCtx, ComponentTrap, Instance, Linker, Val};
use wasmelt_embed::wasi::{DirPerms, FilePerms, MemoryOutputPipe, WasiCtx, WasiCtxBuilder};
use wasmelt_embed::{Error, Result, Store};

use crate::support;

/// Compiles a component in the text format to a library, and loads it.
pub(crate) fn component(wat: &str) -> Component {
    let scratch = support::scratch();
    let (source, library) = (scratch.path().join("guest.wat"), scratch.path().join("guest.so"));
    fs::write(&source, wat).unwrap();
    let compiled = support::compile(&source, &library, ["--emit", "cdylib"]);
    compiled.unwrap_or_else(|error| panic!("{}", error.message().unwrap_or("")));
    // SAFETY: wasmelt has just made it.
    unsafe { Component::load(&library, "guest") }.unwrap()
}

pub(crate) fn linker() -> Linker<ComponentCtx> {
    let mut linker = Linker::new(|context: &mut ComponentCtx| context);
    linker.define_wasi().unwrap();
    linker
}

fn instance(component: &Component) -> (Store<ComponentCtx>, Instance<ComponentCtx>) {
    let mut store = Store::new(ComponentCtx::new(WasiCtx::default()));
    let instance = linker().instantiate(&mut store, component).unwrap();
    (store, instance)
}

fn call(component: &Component, name: &str, args: &[Val]) -> Result<Option<Val>> {
    let (mut store, instance) = instance(component);
    instance.get_func(&mut store, "", name)?.call(&mut store, args)
}

pub(crate) fn trap_of(result: Result<Option<Val>>) -> String {
    let error = result.unwrap_err();
    error.downcast_ref::<ComponentTrap>().unwrap_or_else(|| panic!("{error}")).to_string()
}

/// A core module whose memory and allocator the functions of these tests use: what is allocated comes behind the last.
const CORE: &str = r#"
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get 3))))
    (func (export "freed") (param i32) (i32.store (i32.const 0) (i32.const 1)))
"#;

/// A component that gives back what it gets, for a type: `store` puts the flat parameters of a core function of this type
/// into memory at 1024.
fn echo(define: &str, ty: &str, params: &str, store: &str) -> Component {
    component(&format!(
        r#"(component {define}
             (core module $m {CORE}
               (func (export "echo") (param {params}) (result i32) {store} (i32.const 1024)))
             (core instance $m (instantiate $m))
             (func (export "echo") (param "value" {ty}) (result {ty})
               (canon lift (core func $m "echo") (memory $m "memory") (realloc (func $m "realloc"))
                 (post-return (func $m "freed")))))"#
    ))
}

fn check_echo(component: &Component, values: &[Val]) {
    for value in values {
        assert_eq!(call(component, "echo", std::slice::from_ref(value)).unwrap().as_ref(), Some(value));
    }
}

const PAIR: &str = "(i32.store (i32.const 1024) (local.get 0)) (i32.store (i32.const 1028) (local.get 1))";

#[test]
fn names_of_fields_count_among_the_bytes_of_values() {
    // Three million records of eight bytes: they fit the guest's memory, and would take gigabytes of the host's.
    let fields: String = (0..8).map(|i| format!(r#"(field "a-field-with-a-long-name-{i}" u8)"#)).collect();
    let many = component(&format!(
        r#"(component
             (type $record' (record {fields})) (export $record "record" (type $record'))
             (core module $m
               (memory (export "memory") 400)
               (func (export "many") (result i32) (i32.store (i32.const 4) (i32.const 3000000))
                 (i32.store (i32.const 0) (i32.const 8)) (i32.const 0)))
             (core instance $m (instantiate $m))
             (func (export "many") (result (list $record)) (canon lift (core func $m "many") (memory $m "memory"))))"#
    ));
    assert_eq!(trap_of(call(&many, "many", &[])), "the values of a call are too large");
}

#[test]
fn strings_and_lists_come_back() {
    let strings = echo("", "string", "i32 i32", PAIR);
    check_echo(&strings, &["".into(), "hällo \u{1f600}".into(), Val::String("x".repeat(50_000))]);
    let bytes = echo("", "(list u8)", "i32 i32", PAIR);
    check_echo(&bytes, &[Val::List(Vec::new()), Val::List((0..=255).map(Val::U8).collect())]);
    let nested = echo("", "(list (list (tuple u8 s64)))", "i32 i32", PAIR);
    let tuple = |a, b| Val::Tuple(vec![Val::U8(a), Val::S64(b)]);
    check_echo(&nested, &[Val::List(vec![Val::List(vec![tuple(1, -2), tuple(255, i64::MIN)]), Val::List(vec![])])]);
    let error = call(&bytes, "echo", &["text".into()]).unwrap_err().to_string();
    assert!(error.contains("for the parameter `value`"), "{error}");
}

#[test]
fn records_and_variants_come_back() {
    let record = echo(
        r#"(type $r' (record (field "a" bool) (field "b" char) (field "c" float64) (field "d" s16)))
           (export $r "r" (type $r'))"#,
        "$r",
        "i32 i32 f64 i32",
        "(i32.store8 (i32.const 1024) (local.get 0)) (i32.store (i32.const 1028) (local.get 1))
         (f64.store (i32.const 1032) (local.get 2)) (i32.store16 (i32.const 1040) (local.get 3))",
    );
    let fields = [("a", Val::Bool(true)), ("b", Val::Char('\u{10ffff}')), ("c", Val::F64(-0.5)), ("d", Val::S16(-3))];
    check_echo(&record, &[Val::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())]);

    let option = echo(
        "",
        "(option u64)",
        "i32 i64",
        "(i32.store8 (i32.const 1024) (local.get 0)) (i64.store (i32.const 1032) (local.get 1))",
    );
    check_echo(&option, &[Val::Option(None), Val::Option(Some(Box::new(Val::U64(u64::MAX))))]);

    let result = echo(
        "",
        "(result float32 (error s8))",
        "i32 i32",
        "(i32.store8 (i32.const 1024) (local.get 0)) (i32.store (i32.const 1028) (local.get 1))",
    );
    check_echo(
        &result,
        &[Val::Result(Ok(Some(Box::new(Val::F32(1.5))))), Val::Result(Err(Some(Box::new(Val::S8(-128)))))],
    );
    let variant = echo(
        r#"(type $v' (variant (case "none") (case "big" s64) (case "text" string))) (export $v "v" (type $v'))"#,
        "$v",
        "i32 i64 i32",
        "(i32.store8 (i32.const 1024) (local.get 0))
         (if (i32.eq (local.get 0) (i32.const 1))
           (then (i64.store (i32.const 1032) (local.get 1)))
           (else (i32.store (i32.const 1032) (i32.wrap_i64 (local.get 1))) (i32.store (i32.const 1036) (local.get 2))))",
    );
    let case = |name: &str, value: Option<Val>| Val::Variant(name.to_owned(), value.map(Box::new));
    check_echo(&variant, &[case("none", None), case("big", Some(Val::S64(-9))), case("text", Some("t".into()))]);
}

#[test]
fn what_is_no_value_is_a_trap() {
    let guest = component(&format!(
        r#"(component
             (type $e' (enum "a" "b")) (export $e "e" (type $e'))
             (core module $m {CORE}
               (data (i32.const 64) "\ff\ff\ff\7f\ff\ff\ff\7f\00\00\00\00\01\00\00\00")
               (data (i32.const 128) "\80\00\00\00\01\00\00\00\ff")
               (func (export "char") (result i32) (i32.const 0xd800))
               (func (export "enum") (result i32) (i32.const 2))
               (func (export "far") (result i32) (i32.const 64))
               (func (export "odd") (result i32) (i32.const 65))
               (func (export "beyond") (result i32) (i32.const 65536))
               (func (export "bad-text") (result i32)
                 (i32.store (i32.const 128) (i32.const 136))  (i32.const 128))
               (func (export "unreachable") (result i32) unreachable))
             (core instance $m (instantiate $m))
             (func (export "char") (result char) (canon lift (core func $m "char")))
             (func (export "enum") (result $e) (canon lift (core func $m "enum")))
             (func (export "far") (result string) (canon lift (core func $m "far") (memory $m "memory")))
             (func (export "far-list") (result (list u64)) (canon lift (core func $m "far") (memory $m "memory")))
             (func (export "odd") (result string) (canon lift (core func $m "odd") (memory $m "memory")))
             (func (export "beyond") (result string) (canon lift (core func $m "beyond") (memory $m "memory")))
             (func (export "bad-text") (result string) (canon lift (core func $m "bad-text") (memory $m "memory")))
             (func (export "unreachable") (result u32) (canon lift (core func $m "unreachable"))))"#
    ));
    let cases = [
        ("char", "invalid `char` bit pattern"),
        ("enum", "unexpected discriminant"),
        ("far", "string pointer/length out of bounds of memory"),
        ("far-list", "list pointer is not aligned"),
        ("odd", "pointer not aligned"),
        ("beyond", "pointer out of bounds of memory"),
        ("bad-text", "invalid utf-8 encoding of a string"),
    ];
    for (name, words) in cases {
        assert_eq!(trap_of(call(&guest, name, &[])), words, "{name}");
    }
    // An instance that has trapped is not entered again.
    let (mut store, instance) = instance(&guest);
    let function = instance.get_func(&mut store, "", "unreachable").unwrap();
    assert!(matches!(function.call(&mut store, &[]), Err(Error::Trap(_))));
    assert_eq!(trap_of(function.call(&mut store, &[])), "cannot enter component instance");
}

#[test]
fn what_a_function_returns_is_read_before_it_is_freed() {
    let strings = component(&format!(
        r#"(component
             (core module $m {CORE}
               (data (i32.const 64) "\50\00\00\00\04\00\00\00") (data (i32.const 80) "text")
               (func (export "text") (param i32) (result i32) (i32.const 64))
               (func (export "free") (param i32) (i32.store (i32.const 80) (i32.const 0))))
             (core instance $m (instantiate $m))
             (func (export "text") (param "n" u32) (result string)
               (canon lift (core func $m "text") (memory $m "memory") (post-return (func $m "free")))))"#
    ));
    let (mut store, instance) = instance(&strings);
    let function = instance.get_func(&mut store, "", "text").unwrap();
    let read = |memory: &[u8], at: Option<u64>| {
        let word = |at: usize| u32::from_le_bytes(memory[at..at + 4].try_into().unwrap()) as usize;
        let at = at.unwrap() as usize;
        Ok(memory[word(at)..][..word(at + 4)].to_vec())
    };
    for args in [&[][..], &[1, 2]] {
        assert!(matches!(function.call_flat(&mut store, args, read), Err(Error::Usage(_))));
    }
    assert_eq!(function.call_flat(&mut store, &[1], read).unwrap(), b"text");
    // The component has freed it.
    assert_eq!(function.call_flat(&mut store, &[1], read).unwrap(), [0; 4]);
}

#[test]
fn a_function_of_another_store_changes_nothing_in_this_one() {
    let guest = component(
        r#"(component
             (core module $m (func (export "one") (result i32) (i32.const 1)))
             (core instance $m (instantiate $m))
             (func (export "one") (result u32) (canon lift (core func $m "one"))))"#,
    );
    let (mut store, one) = instance(&guest);
    let (mut other, of_other) = instance(&guest);
    let one = one.get_func(&mut store, "", "one").unwrap();
    let of_other = of_other.get_func(&mut other, "", "one").unwrap();
    assert!(matches!(one.call(&mut other, &[]), Err(Error::Usage(_))));
    assert!(matches!(one.call_flat(&mut other, &[], |_, _| Ok(())), Err(Error::Usage(_))));
    assert_eq!(of_other.call(&mut other, &[]).unwrap(), Some(Val::U32(1)));
}

/// A component that calls the host's `twice`, with a string.
fn caller_of_host() -> Component {
    component(&format!(
        r#"(component
             (import "test:host/strings@1.0.0" (instance $host (export "twice" (func (param "s" string) (result string)))))
             (core module $libc {CORE})
             (core instance $libc (instantiate $libc))
             (core func $twice (canon lower (func $host "twice") (memory $libc "memory") (realloc (func $libc "realloc"))))
             (core module $m
               (import "host" "twice" (func $twice (param i32 i32 i32)))
               (func (export "run") (param i32 i32) (result i32)
                 (call $twice (local.get 0) (local.get 1) (i32.const 1024)) (i32.const 1024)))
             (core instance $m (instantiate $m (with "host" (instance (export "twice" (func $twice))))))
             (func (export "run") (param "s" string) (result string)
               (canon lift (core func $m "run") (memory $libc "memory") (realloc (func $libc "realloc")))))"#
    ))
}

#[test]
fn the_host_meets_imports() {
    let guest = caller_of_host();
    let mut linker = linker();
    let error = linker.instantiate_pre(&guest).err().unwrap().to_string();
    assert!(error.contains("imports `twice` of `test:host/strings@1.0.0`"), "{error}");
    linker
        .func_new("test:host/strings", "twice", |_, args| match args {
            [Val::String(text)] if text == "fail" => Err(Error::msg("the host says no")),
            [Val::String(text)] => Ok(Some(Val::String(text.repeat(2)))),
            other => panic!("{other:?}"),
        })
        .unwrap();
    let run = |text: &str| {
        let mut store = Store::new(ComponentCtx::new(WasiCtx::default()));
        let instance = linker.instantiate(&mut store, &guest)?;
        instance.get_func(&mut store, "", "run")?.call(&mut store, &[text.into()])
    };
    assert_eq!(run("ab").unwrap(), Some("abab".into()));
    assert_eq!(run("fail").unwrap_err().to_string(), "the host says no");
}

/// A component that asks WASI for output and writes what it is given, drops a handle that it names, and calls WASI while it
/// allocates.
const WRITER: &str = r#"(component
    (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
    (alias export $error "error" (type $error-type))
    (import "wasi:io/streams@0.2.0" (instance $streams
      (export "output-stream" (type $out (sub resource)))
      (alias outer 1 $error-type (type $e))
      (type $failure' (variant (case "last-operation-failed" (own $e)) (case "closed")))
      (export "stream-error" (type $failure (eq $failure')))
      (export "[method]output-stream.blocking-write-and-flush"
        (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $failure)))))))
    (alias export $streams "output-stream" (type $out))
    (import "wasi:cli/stdout@0.2.0" (instance $stdout
      (alias outer 1 $out (type $o)) (export "output-stream" (type $s (eq $o)))
      (export "get-stdout" (func (result (own $s))))))
    (import "wasi:cli/environment@0.2.0" (instance $env
      (export "get-arguments" (func (result (list string))))))
    (core module $libc
      (import "late" "arguments" (func $arguments (param i32)))
      (memory (export "memory") 1)
      (global $greedy (export "greedy") (mut i32) (i32.const 0))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32)
        (if (global.get $greedy) (then (call $arguments (i32.const 2048)))) (i32.const 4096)))
    (core module $shim (table (export "t") 1 funcref) (type $f (func (param i32)))
      (func (export "arguments") (param i32) (call_indirect (type $f) (local.get 0) (i32.const 0))))
    (core instance $shim (instantiate $shim))
    (core instance $libc (instantiate $libc (with "late" (instance $shim))))
    (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
      (memory $libc "memory") (realloc (func $libc "realloc"))))
    (core func $stdout (canon lower (func $stdout "get-stdout")))
    (core func $drop (canon resource.drop $out))
    (core func $arguments (canon lower (func $env "get-arguments")
      (memory $libc "memory") (realloc (func $libc "realloc"))))
    (core module $fill (import "" "t" (table 1 funcref)) (import "" "f" (func $f (param i32)))
      (elem (i32.const 0) func $f) (func (export "start")))
    (core instance (instantiate $fill
      (with "" (instance (export "t" (table $shim "t")) (export "f" (func $arguments))))))
    (core module $m
      (import "host" "write" (func $write (param i32 i32 i32 i32)))
      (import "host" "stdout" (func $stdout (result i32)))
      (import "host" "drop" (func $drop (param i32)))
      (import "host" "arguments" (func $arguments (param i32)))
      (import "libc" "greedy" (global $greedy (mut i32)))
      (func (export "write") (param i32 i32) (result i32) (local $out i32)
        (call $write (local.tee $out (call $stdout)) (local.get 0) (local.get 1) (i32.const 1024))
        (local.get $out))
      (func (export "drop") (param i32) (call $drop (local.get 0)))
      (func (export "far") (call $write (call $stdout) (i32.const 65535) (i32.const 2) (i32.const 1024)))
      (func (export "leave") (global.set $greedy (i32.const 1)) (call $arguments (i32.const 1024))))
    (core instance $m (instantiate $m (with "libc" (instance $libc)) (with "host" (instance
      (export "write" (func $write)) (export "stdout" (func $stdout)) (export "drop" (func $drop))
      (export "arguments" (func $arguments))))))
    (func (export "write") (param "s" string) (result u32)
      (canon lift (core func $m "write") (memory $libc "memory") (realloc (func $libc "realloc"))))
    (func (export "drop") (param "handle" u32) (canon lift (core func $m "drop")))
    (func (export "far") (canon lift (core func $m "far")))
    (func (export "leave") (canon lift (core func $m "leave"))))"#;

#[test]
fn wasi_judges_handles_and_addresses() {
    let guest = component(WRITER);
    let output = MemoryOutputPipe::new(100);
    let context = WasiCtxBuilder::new().args(&["program", "argument"]).stdout(output.clone()).build();
    let mut store = Store::new(ComponentCtx::new(context));
    let writer = linker().instantiate(&mut store, &guest).unwrap();
    let write = writer.get_func(&mut store, "", "write").unwrap();
    let drop = writer.get_func(&mut store, "", "drop").unwrap();
    assert_eq!(write.call(&mut store, &["one ".into()]).unwrap(), Some(Val::U32(1)));
    assert_eq!(write.call(&mut store, &["two".into()]).unwrap(), Some(Val::U32(2)));
    assert_eq!(output.contents(), b"one two"[..]);
    assert_eq!(drop.call(&mut store, &[Val::U32(1)]).unwrap(), None);
    assert_eq!(trap_of(drop.call(&mut store, &[Val::U32(1)])), "unknown handle index 1");
    assert_eq!(trap_of(drop.call(&mut store, &[Val::U32(2)])), "cannot enter component instance");
    assert_eq!(trap_of(call(&guest, "far", &[])), "list pointer/length out of bounds of memory");
    assert_eq!(trap_of(call(&guest, "leave", &[])), "cannot leave component instance");
    let error = linker().instantiate(&mut store, &guest).err().unwrap().to_string();
    assert!(error.contains("a store has one instance of a component"), "{error}");
}

#[test]
fn guests_of_two_threads_have_nothing_in_common() {
    let guest = component(WRITER);
    let pre = linker().instantiate_pre(&guest).unwrap();
    let folder = support::scratch();
    let run = |name: &'static str| {
        let (pre, folder) = (pre.clone(), folder.path());
        move || {
            for _ in 0..50 {
                let output = MemoryOutputPipe::new(100);
                let mut builder = WasiCtxBuilder::new();
                builder.stdout(output.clone()).preopened_dir(folder, name, DirPerms::READ, FilePerms::READ).unwrap();
                let mut store = Store::new(ComponentCtx::new(builder.build()));
                let instance = pre.instantiate(&mut store).unwrap();
                let write = instance.get_func(&mut store, "", "write").unwrap();
                // Each begins with the first handle, whatever the other one has.
                for handle in 1..20 {
                    assert_eq!(write.call(&mut store, &[name.into()]).unwrap(), Some(Val::U32(handle)));
                }
                assert_eq!(output.contents(), name.repeat(19).as_bytes());
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(run("a"));
        scope.spawn(run("b"));
    });
}
