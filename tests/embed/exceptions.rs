//! Exceptions across instances and through the host.

use wasmelt_embed::{Exception, Tag};

use super::*;

const THROWER: &str = r#"(module
    (tag $e (export "e") (param i32 i64)) (tag $other (export "other"))
    (func (export "throw") (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (throw $other)))
        (throw $e (local.get 0) (i64.const 1000))))"#;

const CATCHER: &str = r#"(module
    (import "thrower" "throw" (func $throw (param i32) (result i32)))
    (import "thrower" "e" (tag $e (param i32 i64)))
    (tag $own (param i32 i64))
    (func $middle (param i32) (result i32) (i32.add (i32.const 1) (call $throw (local.get 0))))
    (func (export "catch") (param i32) (result i32) (local $kept i32)
        (local.set $kept (i32.mul (local.get 0) (i32.const 3)))
        (block $own_caught (result i32 i64)
            (block $caught (result i32 i64)
                (try_table (catch $own $own_caught) (catch $e $caught) (return (call $middle (local.get 0))))
                (unreachable))
            (i32.wrap_i64) (i32.add) (return (i32.add (local.get $kept))))
        (unreachable))
    (func (export "all") (param i32) (result exnref)
        (block $caught (result exnref)
            (try_table (catch_all_ref $caught) (drop (call $middle (local.get 0))))
            (unreachable)))
    (func (export "rethrow") (param exnref) (throw_ref (local.get 0))))"#;

#[test]
fn handlers_are_found_in_other_instances() {
    let mut store = Store::new(());
    let thrower = instance(&mut store, "thrower", THROWER);
    let mut linker = Linker::new();
    linker.instance(&store, "thrower", thrower).unwrap();
    let catcher = linker.instantiate(&mut store, &module("catcher", CATCHER)).unwrap();
    for n in 1..1000 {
        assert_eq!(call_i32(&mut store, catcher, "catch", &[n]), 4 * n + 1000);
    }
    // Another tag passes all handlers.
    let Err(Error::Exception(exception)) = call(&mut store, catcher, "catch", &[Val::I32(0)]) else { panic!() };
    let Some(Extern::Tag(other)) = thrower.get_export(&store, "other") else { panic!() };
    assert_eq!(exception.tag(&store).unwrap(), other);
    assert_eq!(exception.values(&store).unwrap(), []);
}

#[test]
fn the_host_holds_reads_and_throws_exceptions() {
    let mut store = Store::new(());
    let thrower = instance(&mut store, "thrower", THROWER);
    let mut linker = Linker::new();
    linker.instance(&store, "thrower", thrower).unwrap();
    let catcher = linker.instantiate(&mut store, &module("catcher", CATCHER)).unwrap();
    let Some(Extern::Tag(e)) = thrower.get_export(&store, "e") else { panic!() };
    let mut held = Vec::new();
    for n in 1..200 {
        let results = call(&mut store, catcher, "all", &[Val::I32(n)]).unwrap();
        let [Val::ExnRef(Some(exception))] = &results[..] else { panic!("{results:?}") };
        held.push(exception.clone());
    }
    // Much garbage: what is held stays.
    for n in 0..100_000 {
        call(&mut store, catcher, "all", &[Val::I32(n % 5)]).unwrap();
    }
    for (i, exception) in held.iter().enumerate() {
        assert_eq!(exception.tag(&store).unwrap(), e);
        assert_eq!(exception.values(&store).unwrap(), [Val::I32(i as i32 + 1), Val::I64(1000)]);
    }
    let thrown = call(&mut store, catcher, "rethrow", &[Val::ExnRef(Some(held[7].clone()))]);
    assert!(matches!(thrown, Err(Error::Exception(exception)) if exception == held[7]));
    assert_eq!(trap(call(&mut store, catcher, "rethrow", &[Val::ExnRef(None)])), Trap::NullReference);
    let mut other = Store::new(());
    assert!(held[0].values(&other).is_err());
    assert!(Exception::new(&mut other, e, &[Val::I32(1), Val::I64(1)]).is_err());
    assert!(Exception::new(&mut store, e, &[Val::I32(1)]).is_err());
}

#[test]
fn exceptions_cross_host_functions() {
    let mut store = Store::new(());
    let thrower = instance(&mut store, "thrower", THROWER);
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
    let catcher = linker.instantiate(&mut store, &module("catcher", CATCHER)).unwrap();
    for n in 1..1000 {
        assert_eq!(call_i32(&mut store, catcher, "catch", &[n]), 4 * n + 1000);
    }
    assert!(matches!(call(&mut store, catcher, "catch", &[Val::I32(0)]), Err(Error::Exception(_))));
}

#[test]
fn tags_are_different_even_when_their_types_are_equal() {
    let mut store = Store::new(());
    let ty = FuncType::new([ValType::I32, ValType::I64], []);
    let (one, two) = (Tag::new(&mut store, ty.clone()).unwrap(), Tag::new(&mut store, ty.clone()).unwrap());
    let throw = host(&mut store, move |caller, n| {
        let tag = if n == 1 { one } else { two };
        Err(Error::Exception(Exception::new(caller, tag, &[Val::I32(n), Val::I64(0)])?))
    });
    let mut linker = Linker::new();
    linker.define(&store, "thrower", "throw", throw).unwrap().define(&store, "thrower", "e", one).unwrap();
    let catcher = linker.instantiate(&mut store, &module("catcher", CATCHER)).unwrap();
    assert_eq!(call_i32(&mut store, catcher, "catch", &[1]), 4);
    let Err(Error::Exception(exception)) = call(&mut store, catcher, "catch", &[Val::I32(2)]) else { panic!() };
    assert_eq!(exception.tag(&store).unwrap(), two);
    assert_eq!(two.ty(&store).unwrap(), ty);
    let wrong = Tag::new(&mut store, FuncType::new([ValType::I32], [])).unwrap();
    linker.allow_shadowing(true);
    linker.define(&store, "thrower", "e", wrong).unwrap();
    assert!(matches!(linker.instantiate(&mut store, &module("catcher", CATCHER)), Err(Error::Unlinkable(_))));
}

#[test]
fn exceptions_have_a_limit() {
    const WAT: &str = r#"(module (table $t 0 exnref) (tag $e (param i64 i64 i64))
        (func (export "keep") (result i32) (loop $again
            (drop (table.grow $t
                (block $caught (result exnref)
                    (try_table (catch_all_ref $caught) (throw $e (i64.const 1) (i64.const 2) (i64.const 3)))
                    (unreachable))
                (i32.const 1)))
            (br $again)) (i32.const 0)))"#;
    let mut config = wasmelt_embed::StoreConfig::default();
    config.max_exception_bytes = 1 << 20;
    let mut store = Store::with_config((), config);
    let instance = instance(&mut store, "keeps", WAT);
    let error = call(&mut store, instance, "keep", &[]).unwrap_err();
    assert!(matches!(error, Error::System(_)), "{error}");
}

/// The cases of executables: what is alive stays, wherever it is.
#[test]
fn what_is_alive_stays() {
    for (name, text) in [
        ("exceptions_alive", include_str!("../run/cases/exceptions-alive.wat")),
        ("exceptions_alive_legacy", include_str!("../run/cases/exceptions-alive-legacy.wat")),
    ] {
        let mut store = Store::new(());
        let instance = instance(&mut store, name, text);
        call(&mut store, instance, "_start", &[]).unwrap();
    }
}
