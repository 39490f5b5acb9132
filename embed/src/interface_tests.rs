//! The interface without guests: types, values, globals and functions of the host. No test here needs generated code,
//! and only the last one reserves address space. The others run in Miri as well, see docs/SECURITY.md.

use std::thread;

use super::func_type::tests::nested_type;
use super::*;

fn typed(nullable: bool, ty: &FuncType) -> RefType {
    RefType { nullable, heap: HeapType::Concrete(ty.clone()) }
}

fn double(store: &mut Store<()>) -> Func {
    let ty = FuncType::new([ValType::I32], [ValType::I32]);
    let double = |_: Caller<'_, ()>, args: &[Val], results: &mut [Val]| match args {
        [Val::I32(value)] => {
            results[0] = Val::I32(2 * value);
            Ok(())
        }
        _ => Err(Error::msg("one number")),
    };
    Func::new(store, ty, double).unwrap()
}

fn is_usage<T>(result: Result<T>) -> bool {
    matches!(result, Err(Error::Usage(_)))
}

#[test]
fn functions_of_the_host_call_each_other() {
    let mut store = Store::new(());
    let double = double(&mut store);
    let ty = double.ty(&store).unwrap();
    let twice = Func::new(&mut store, ty, move |mut caller, args, results| {
        // What runs stays where it is while the store gets more functions.
        let again = Func::wrap(&mut caller, move |caller: Caller<'_, ()>, value: i32| {
            double.typed::<i32, i32>(&caller)?.call(caller, value)
        })?;
        let mut once = [Val::I32(0)];
        double.call(&mut caller, args, &mut once)?;
        again.call(&mut caller, &once, results)
    })
    .unwrap();
    let mut results = [Val::I32(0)];
    twice.call(&mut store, &[Val::I32(3)], &mut results).unwrap();
    assert_eq!(results, [Val::I32(12)]);
    assert!(is_usage(twice.call(&mut store, &[], &mut results)));
    assert!(is_usage(twice.call(&mut store, &[Val::I32(3)], &mut [])));
    assert!(is_usage(twice.call(&mut store, &[Val::I64(3)], &mut results)));
    assert!(is_usage(twice.call(&mut Store::new(()), &[Val::I32(3)], &mut results)));
}

#[test]
fn a_store_goes_to_another_thread_while_a_function_of_the_host_runs() {
    let mut store = Store::new(());
    let double = double(&mut store);
    let elsewhere = Func::wrap(&mut store, move |caller: Caller<'_, ()>| {
        let double = double.typed::<i32, i32>(&caller)?;
        thread::scope(|scope| scope.spawn(|| double.call(caller, 4)).join().unwrap())
    });
    let elsewhere = elsewhere.unwrap().typed::<(), i32>(&store).unwrap();
    assert_eq!(elsewhere.call(&mut store, ()).unwrap(), 8);
}

#[test]
fn globals_are_read_and_written() {
    let mut store = Store::new(());
    let mut global = |content, mutable, value| Global::new(&mut store, GlobalType { content, mutable }, value);
    let number = global(ValType::I64, true, Val::I64(5)).unwrap();
    let vector = global(ValType::V128, true, Val::V128([7; 16])).unwrap();
    let null = global(ValType::EXTERNREF, false, Val::ExternRef(None)).unwrap();
    assert!(is_usage(global(ValType::I32, true, Val::I64(5))));
    number.set(&mut store, Val::I64(-1)).unwrap();
    vector.set(&mut store, Val::V128([8; 16])).unwrap();
    assert_eq!(number.get(&store).unwrap(), Val::I64(-1));
    assert_eq!(vector.get(&store).unwrap(), Val::V128([8; 16]));
    assert_eq!(null.get(&store).unwrap(), Val::ExternRef(None));
    assert!(is_usage(null.set(&mut store, Val::ExternRef(None))));
    assert!(is_usage(number.get(Store::new(()))));
}

#[test]
fn tags_and_exceptions_have_their_types() {
    let mut store = Store::new(());
    let tag = Tag::new(&mut store, FuncType::new([ValType::F64], [])).unwrap();
    assert!(is_usage(Tag::new(&mut store, FuncType::new([], [ValType::F64]))));
    assert!(is_usage(Exception::new(&mut store, tag, &[])));
    let exception = Exception::new(&mut store, tag, &[Val::F64(1)]).unwrap();
    assert_eq!(exception.values(&store).unwrap(), [Val::F64(1)]);
    assert_eq!(exception.tag(&store).unwrap(), tag);
    let content = ValType::EXNREF;
    let global = Global::new(&mut store, GlobalType { content, mutable: true }, Val::ExnRef(Some(exception.clone())));
    assert_eq!(global.unwrap().get(&store).unwrap(), Val::ExnRef(Some(exception)));
}

#[test]
fn types_that_mean_nothing_are_refused() {
    let mut store = Store::new(());
    let itself = RefType { nullable: true, heap: HeapType::Recursive };
    let null = Val::FuncRef(None);
    assert!(is_usage(Table::new(&mut store, TableType::new(itself.clone(), 1, None), &null)));
    let content = ValType::Ref(itself.clone());
    assert!(is_usage(Global::new(&mut store, GlobalType { content, mutable: true }, null.clone())));
    // In the lists of a function type it does mean something.
    let ty = FuncType::new([ValType::Ref(itself)], []);
    let content = ValType::Ref(typed(true, &ty));
    let global = Global::new(&mut store, GlobalType { content: content.clone(), mutable: true }, null).unwrap();
    assert_eq!(global.ty(&store).unwrap().content, content);
}

#[test]
fn deep_types_are_types() {
    const DEPTH: usize = if cfg!(miri) { 500 } else { 50_000 };
    let mut store = Store::new(());
    let ty = nested_type(DEPTH, 1, ValType::I32);
    let tag = Tag::new(&mut store, ty.clone()).unwrap();
    assert_eq!(tag.ty(&store).unwrap(), ty);
    let content = ValType::Ref(typed(true, &ty));
    let global = Global::new(&mut store, GlobalType { content, mutable: true }, Val::FuncRef(None)).unwrap();
    assert_eq!(global.get(&store).unwrap(), Val::FuncRef(None));
    assert!(is_usage(global.set(&mut store, Val::I32(1))));
    // Both ways to the same type, as wide as it is deep.
    let wide = [0, 1].map(|_| Tag::new(&mut store, nested_type(40, 3, ValType::I32)).unwrap());
    assert_eq!(wide[0].ty(&store).unwrap(), wide[1].ty(&store).unwrap());
    assert_ne!(wide[0].ty(&store).unwrap(), ty);
    drop(store);
    drop(ty);
}

#[test]
fn limits_that_no_memory_or_table_has_are_refused() {
    let mut store = Store::new(());
    let table = |minimum, maximum| TableType::new(RefType::FUNCREF, minimum, maximum);
    assert!(is_usage(Table::new(&mut store, table(2, Some(1)), &Val::FuncRef(None))));
    assert!(is_usage(Table::new(&mut store, table(1 << 32, None), &Val::FuncRef(None))));
    let long = TableType { index_64: true, ..table(u64::MAX, None) };
    assert!(matches!(Table::new(&mut store, long, &Val::FuncRef(None)), Err(Error::System(_))));
    for page_size_log2 in [1, 15, 17, 32, 63, 64, 255] {
        for index_64 in [false, true] {
            let ty = MemoryType { page_size_log2, index_64, ..MemoryType::new(0, Some(1)) };
            assert!(is_usage(Memory::new(&mut store, ty.clone())), "{ty:?}");
            assert!(is_usage(SharedMemory::new(MemoryType { shared: true, ..ty })));
        }
    }
    for (minimum, maximum, index_64) in [(2, Some(1), false), (65537, None, false), (1 << 48, None, true)] {
        let ty = MemoryType { index_64, ..MemoryType::new(minimum, maximum) };
        assert!(is_usage(Memory::new(&mut store, ty.clone())), "{ty:?}");
    }
    let mut small = Store::new(StoreLimitsBuilder::new().memory_size(1).build());
    small.limiter(|limits| limits);
    assert!(matches!(Memory::new(&mut small, MemoryType::new(1, None)), Err(Error::System(_))));
}
