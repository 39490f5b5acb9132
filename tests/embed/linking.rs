//! Linkers: names that are defined once, aliases, whole modules, and imports that nobody defines.

use super::*;

const WAT: &str = r#"(module (import "a" "f" (func $f (param i32) (result i32)))
    (func (export "call") (param i32) (result i32) (call $f (local.get 0))))"#;

#[test]
fn names_are_defined_once_unless_shadowing_is_allowed() {
    let mut linker = Linker::<()>::new();
    linker.func_wrap("a", "f", |n: i32| n + 1).unwrap();
    let again = linker.func_wrap("a", "f", |n: i32| n + 2).err().unwrap().to_string();
    assert_eq!(again, "\"a\" \"f\" is defined already, see `allow_shadowing`");
    let ready = linker.instantiate_pre(&module("shadowed", WAT)).unwrap();
    linker.allow_shadowing(true).func_wrap("a", "f", |n: i32| n + 3).unwrap();
    let mut store = Store::new(());
    for (instance, expected) in
        [(ready.instantiate(&mut store).unwrap(), 11), (linker.instantiate(&mut store, ready.module()).unwrap(), 13)]
    {
        assert_eq!(call_i32(&mut store, instance, "call", &[10]), expected);
    }
}

#[test]
fn imports_are_checked_before_there_is_a_store() {
    let mut linker = Linker::<()>::new();
    let module = module("checked", WAT);
    let missing = linker.instantiate_pre(&module).err().unwrap().to_string();
    assert!(missing.starts_with("unknown import: import 0 \"a\" \"f\": expected (func (param i32)"), "{missing}");
    linker.func_wrap("a", "f", |n: i64| n).unwrap();
    let wrong = linker.instantiate_pre(&module).err().unwrap().to_string();
    let expected = "incompatible import type: import 0 \"a\" \"f\": expected (func (param i32) (result i32)), \
                    found (func (param i64) (result i64))";
    assert_eq!(wrong, expected);
    // What belongs to a store is checked when there is one.
    let mut owner = Store::new(());
    let f = host(&mut owner, |_, n| Ok(n));
    linker.allow_shadowing(true).define(&owner, "a", "f", f).unwrap();
    let ready = linker.instantiate_pre(&module).unwrap();
    assert!(matches!(ready.instantiate(&mut Store::new(())), Err(Error::Usage(_))));
    ready.instantiate(&mut owner).unwrap();
}

#[test]
fn modules_and_aliases_are_names() {
    const REACTOR: &str = r#"(module (global $n (mut i32) (i32.const 0))
        (func (export "_initialize") (global.set $n (i32.const 5)))
        (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (global.get $n))))"#;
    let mut store = Store::new(());
    let mut linker = Linker::new();
    linker.module(&mut store, "reactor", &module("reactor", REACTOR)).unwrap();
    linker.alias("reactor", "f", "a", "f").unwrap();
    linker.alias_module("reactor", "b").unwrap();
    assert!(linker.alias("reactor", "g", "a", "g").is_err() && linker.alias_module("none", "c").is_err());
    let user = linker.instantiate(&mut store, &module("user", WAT)).unwrap();
    assert_eq!(call_i32(&mut store, user, "call", &[10]), 15);
    let f = linker.get(&mut store, "b", "f").unwrap().and_then(Extern::into_func).unwrap();
    assert_eq!(call_func(&mut store, f, &[Val::I32(1)]).unwrap(), [Val::I32(6)]);
    let command = module("command", "(module (func (export \"_start\")))");
    assert!(matches!(linker.module(&mut store, "command", &command), Err(Error::Usage(_))));
}

#[test]
fn unknown_functions_can_be_errors_when_they_are_called() {
    let mut store = Store::new(());
    let mut linker = Linker::new();
    let module = module("unknown", WAT);
    linker.define_unknown_imports_as_traps(&module).unwrap();
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let error = call(&mut store, instance, "call", &[Val::I32(0)]).unwrap_err();
    assert_eq!(error.to_string(), "unknown import: \"a\" \"f\" was called");
    // Functions alone can be made up.
    let other = super::module("other", "(module (import \"a\" \"m\" (memory 1)))");
    linker.define_unknown_imports_as_traps(&other).unwrap();
    assert!(matches!(linker.instantiate(&mut store, &other), Err(Error::Unlinkable(_))));
}

#[cfg(target_os = "linux")]
#[test]
fn libraries_are_loaded_from_bytes_and_give_them_back() {
    let scratch = support::scratch();
    let (source, library) = (scratch.path().join("bytes.wat"), scratch.path().join("bytes.so"));
    std::fs::write(&source, r#"(module (func (export "f") (result i32) (i32.const 5)))"#).unwrap();
    support::compile(&source, &library, ["--emit", "cdylib"])
        .unwrap_or_else(|e| panic!("{}", e.message().unwrap_or("")));
    let bytes = std::fs::read(&library).unwrap();
    // Each is a library of its own, whatever numbers the files in memory get.
    for _ in 0..3 {
        let (one, two) = (load_bytes(&bytes, "bytes").unwrap(), load_bytes(&bytes, "bytes").unwrap());
        assert_eq!(one.serialize().unwrap(), bytes);
        for module in [one, two] {
            let mut store = Store::new(());
            let instance = Instance::new(&mut store, &module, &[]).unwrap();
            drop(module);
            assert_eq!(call_i32(&mut store, instance, "f", &[]), 5);
        }
    }
    assert!(matches!(load_bytes(&bytes, "other"), Err(Error::System(_))));
    assert!(matches!(load_bytes(&bytes[..100], "bytes"), Err(Error::System(_))));
    assert!(matches!(load(&library, "bytes").unwrap().serialize(), Err(Error::Usage(_))));
}
