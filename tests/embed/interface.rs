//! The typed interface, and what can be done wrong with it: the wrong store, the wrong types, memory that grows while the
//! host looks at it, functions that call each other, handles that outlive their store.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use wasmelt_embed::{ExternRef, Memory, TypedFunc};

use super::*;

const WAT: &str = r#"(module
    (import "host" "f" (func $f (param i32) (result i32)))
    (memory (export "memory") 1 4) (table (export "table") 1 funcref)
    (func (export "call") (param i32) (result i32) (call $f (local.get 0)))
    (func (export "set") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "apply") (param i32) (result i32)
        (call_indirect (param i32) (result i32) (local.get 0) (i32.const 0))))"#;

fn exported(caller: &Caller<'_, ()>, name: &str) -> Memory {
    caller.get_export(name).and_then(Extern::into_memory).expect("the module exports it")
}

#[test]
fn each_instance_is_the_caller_of_its_own_calls() {
    let module = module("callers", WAT);
    let mut store = Store::new(());
    let f = host(&mut store, |caller, at| Ok(exported(&caller, "memory").data(&caller)[at as usize].into()));
    let instances = [1, 2, 3].map(|number| {
        let instance = Instance::new(&mut store, &module, &[f.into()]).unwrap();
        instance.get_memory(&store, "memory").unwrap().data_mut(&mut store)[5] = number;
        instance
    });
    for (instance, number) in instances.into_iter().zip(1..) {
        assert_eq!(call_i32(&mut store, instance, "call", &[5]), number);
    }
    // Not an import of the caller, but an element of its table: nobody knows who calls. Nor does a call of the host have one.
    let who = host(&mut store, |caller, _| Ok(caller.instance().is_some().into()));
    let direct = Instance::new(&mut store, &module, &[who.into()]).unwrap();
    assert_eq!(call_i32(&mut store, direct, "call", &[0]), 1);
    direct.get_table(&store, "table").unwrap().set(&mut store, 0, &Val::FuncRef(Some(who))).unwrap();
    assert_eq!(call_i32(&mut store, direct, "apply", &[0]), 0);
    assert_eq!(who.typed::<i32, i32>(&store).unwrap().call(&mut store, 0).unwrap(), 0);
}

#[test]
fn a_memory_that_grows_inside_a_call_of_the_host_is_seen_in_whole() {
    let mut store = Store::new(());
    let f = host(&mut store, |mut caller, pages| {
        let memory = exported(&caller, "memory");
        let before = memory.data(&caller).as_ptr();
        let grow = caller.instance().unwrap().get_typed_func::<i32, i32>(&caller, "grow")?;
        let set = caller.instance().unwrap().get_typed_func::<(i32, i32), ()>(&caller, "set")?;
        assert_eq!(grow.call(&mut caller, pages)?, 1);
        memory.grow(&mut caller, 1)?;
        let last = memory.data_size(&caller)? - 1;
        set.call(&mut caller, (last as i32, 7))?;
        let bytes = memory.data_mut(&mut caller);
        assert_eq!((bytes.as_ptr(), bytes.len()), (before, (2 + pages as usize) << 16));
        bytes[last] += 1;
        Ok(memory.data(&caller)[last].into())
    });
    let instance = Instance::new(&mut store, &module("grows", WAT), &[f.into()]).unwrap();
    assert_eq!(call_i32(&mut store, instance, "call", &[2]), 8);
    let memory = instance.get_memory(&store, "memory").unwrap();
    assert_eq!(memory.size(&store).unwrap(), 4);
    assert!(memory.data(&store)[..4 << 16].ends_with(&[8]));
}

#[test]
fn handles_do_not_outlive_their_store() {
    let module = module("outlives", WAT);
    let mut store = Store::new(());
    let f = host(&mut store, |_, n| Ok(n));
    let instance = Instance::new(&mut store, &module, &[f.into()]).unwrap();
    let call: TypedFunc<i32, i32> = instance.get_typed_func(&store, "call").unwrap();
    let memory = instance.get_memory(&store, "memory").unwrap();
    drop(store);
    let mut other = Store::new(());
    let g = host(&mut other, |_, n| Ok(n + 1));
    Instance::new(&mut other, &module, &[g.into()]).unwrap();
    let is_usage = |error: Error| matches!(error, Error::Usage(_));
    assert!(is_usage(call.call(&mut other, 1).unwrap_err()));
    assert!(is_usage(call.func().typed::<i32, i32>(&other).unwrap_err()));
    assert!(is_usage(memory.write(&mut other, 0, b"x").unwrap_err()));
    assert!(is_usage(instance.get_typed_func::<i32, i32>(&other, "call").unwrap_err()));
    let mut linker = Linker::new();
    assert!(linker.define(&other, "host", "f", f).is_err_and(is_usage));
    assert!(linker.instance(&other, "host", instance).is_err_and(is_usage));
    let panics = |look: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(look)).is_err();
    assert!(panics(&mut || _ = memory.data(&other)));
    assert!(panics(&mut || _ = memory.data_mut(&mut other)));
    assert!(panics(&mut || _ = memory.data_and_store_mut(&mut other)));
}

#[test]
fn types_are_checked_when_a_function_is_typed() {
    const WAT: &str = r#"(module
        (func (export "numbers") (param i32 i64 f32 f64) (result f64 f32 i64 i32)
            (local.get 3) (local.get 2) (local.get 1) (local.get 0))
        (func (export "nullable") (param externref) (result externref) (local.get 0))
        (func (export "not null") (param (ref extern)) (result (ref extern)) (local.get 0))
        (func (export "vector") (param v128) (result v128) (i8x16.add (local.get 0) (local.get 0))))"#;
    let mut store = Store::new(());
    let instance = instance(&mut store, "typed", WAT);
    type Numbers = (i32, u64, f32, f64);
    let numbers = instance.get_typed_func::<Numbers, (f64, f32, i64, u32)>(&store, "numbers").unwrap();
    assert_eq!(numbers.call(&mut store, (-1, 2, 3.5, -4.5)).unwrap(), (-4.5, 3.5, 2, u32::MAX));
    let wrong = instance.get_typed_func::<Numbers, (f64, f32, i64)>(&store, "numbers").unwrap_err().to_string();
    assert!(wrong.contains("(func (param i32 i64 f32 f64) (result f64 f32 i64 i32)) is not one of type"), "{wrong}");
    assert!(instance.get_typed_func::<(f32, u64, f32, f64), (f64, f32, i64, i32)>(&store, "numbers").is_err());
    assert!(instance.get_typed_func::<(), ()>(&store, "no such").is_err());
    let vector = instance.get_typed_func::<[u8; 16], [u8; 16]>(&store, "vector").unwrap();
    assert_eq!(vector.call(&mut store, *b"0123456789abcdef").unwrap(), b"0123456789abcdef".map(|byte| 2 * byte));

    // A parameter may be given less than it takes, a result may be taken for more than it is: never the other way round.
    let (one, null) = (ExternRef::new(1).unwrap(), None::<ExternRef>);
    let nullable = instance.get_typed_func::<Option<ExternRef>, Option<ExternRef>>(&store, "nullable").unwrap();
    assert_eq!(nullable.call(&mut store, null).unwrap(), null);
    instance.get_typed_func::<ExternRef, Option<ExternRef>>(&store, "nullable").unwrap();
    assert!(instance.get_typed_func::<ExternRef, ExternRef>(&store, "nullable").is_err());
    let not_null = instance.get_typed_func::<ExternRef, ExternRef>(&store, "not null").unwrap();
    assert_eq!(not_null.call(&mut store, one).unwrap(), one);
    instance.get_typed_func::<ExternRef, Option<ExternRef>>(&store, "not null").unwrap();
    assert!(instance.get_typed_func::<Option<ExternRef>, ExternRef>(&store, "not null").is_err());
    assert!(instance.get_typed_func::<Option<Func>, Option<Func>>(&store, "nullable").is_err());
}

#[test]
fn functions_go_to_typed_guests_only_where_they_belong() {
    const WAT: &str = r#"(module (import "host" "give" (func $give (param i32) (result funcref)))
        (table 1 funcref) (type $t (func (param i32) (result i32)))
        (func (export "take") (param i32) (result i32)
            (table.set (i32.const 0) (call $give (local.get 0)))
            (call_indirect (type $t) (local.get 0) (i32.const 0)))
        (func (export "double") (type $t) (i32.mul (local.get 0) (i32.const 2))))"#;
    let foreign = host(&mut Store::new(()), |_, n| Ok(n));
    let mut store = Store::new(());
    let give = Func::wrap(&mut store, move |caller: Caller<'_, ()>, n: i32| match n {
        1 => caller.get_export("double").and_then(Extern::into_func),
        2 => Some(foreign),
        _ => None,
    });
    let instance = Instance::new(&mut store, &module("gives", WAT), &[give.unwrap().into()]).unwrap();
    assert_eq!(call_i32(&mut store, instance, "take", &[1]), 2);
    let error = call(&mut store, instance, "take", &[Val::I32(2)]).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
    assert_eq!(trap(call(&mut store, instance, "take", &[Val::I32(3)])), Trap::UninitializedElement);
}

#[test]
fn errors_of_the_host_are_found_again() {
    let mut store = Store::new(());
    let f = host(&mut store, |mut caller, n| {
        match n {
            0 => Err(std::io::Error::from_raw_os_error(2))?,
            1 => Err(Trap::IntegerOverflow)?,
            2 => Err(Error::msg("in words"))?,
            3 => return Err(Error::host(Error::trap(Trap::NullReference))),
            _ => {}
        }
        // Whatever ends the inner call ends the outer one.
        let inner = caller.get_export("call").and_then(Extern::into_func).unwrap();
        inner.typed::<i32, i32>(&caller)?.call(&mut caller, n - 10)
    });
    let instance = Instance::new(&mut store, &module("errors", WAT), &[f.into()]).unwrap();
    for outer in [0, 10, 20] {
        let mut error = |n: i32| call(&mut store, instance, "call", &[Val::I32(outer + n)]).unwrap_err();
        assert_eq!(error(0).downcast_ref::<std::io::Error>().unwrap().raw_os_error(), Some(2));
        assert_eq!(error(0).downcast::<std::io::Error>().unwrap().kind(), std::io::ErrorKind::NotFound);
        assert!(error(1).is::<Trap>() && !error(1).is::<std::io::Error>());
        assert_eq!(error(1).downcast::<Trap>().unwrap(), Trap::IntegerOverflow);
        assert_eq!(error(1).backtrace().len(), outer as usize / 10 + 1);
        assert_eq!(error(2).to_string(), "in words");
        assert!(error(2).downcast::<Trap>().is_err_and(|error| error.to_string() == "in words"));
        assert!(error(3).is::<wasmelt_embed::GuestTrap>());
    }
}

/// Closures go with the last of what they are part of, and only then.
#[test]
fn closures_are_dropped_once() {
    let module = module("drops", WAT);
    let counted = Arc::new(());
    let mut linker = Linker::new();
    let captured = Arc::clone(&counted);
    linker.func_wrap("host", "f", move |n: i32| n + Arc::strong_count(&captured) as i32).unwrap();
    let ready = linker.instantiate_pre(&module).unwrap();
    let mut stores = [(); 3].map(|()| Store::new(()));
    let instances = stores.each_mut().map(|store| ready.instantiate(store).unwrap());
    drop((linker, ready));
    for (store, instance) in stores.iter_mut().zip(instances) {
        assert_eq!(call_i32(store, instance, "call", &[40]), 42);
    }
    assert_eq!(Arc::strong_count(&counted), 2);
    drop(stores);
    assert_eq!(Arc::strong_count(&counted), 1);
}

/// The host's data is there for functions that call each other, and stays when the store goes.
#[test]
fn data_of_the_host_is_shared_by_nested_calls() {
    let mut linker = Linker::new();
    linker
        .func_wrap("host", "f", |mut caller: Caller<'_, Vec<i32>>, n: i32| {
            caller.data_mut().push(n);
            if n > 0 {
                let call = caller.get_export("call").and_then(Extern::into_func).unwrap();
                call.typed::<i32, i32>(&caller)?.call(&mut caller, n - 1)?;
            }
            caller.data_mut().push(n);
            Ok(caller.data().len() as i32)
        })
        .unwrap();
    let mut store = Store::new(vec![100]);
    let instance = linker.instantiate(&mut store, &module("data", WAT)).unwrap();
    let call = instance.get_typed_func::<i32, i32>(&store, "call").unwrap();
    assert_eq!(call.call(&mut store, 2).unwrap(), 7);
    store.data_mut().push(200);
    assert_eq!(store.into_data(), [100, 2, 1, 0, 0, 1, 2, 200]);
}
