//! Pools: what a guest leaves behind is gone for the next one of its slot, whatever it did, and slots are limited.

use wasmelt_embed::{Pool, PoolConfig, StoreConfig, StoreLimitsBuilder, Table};

use super::*;

/// Writes to all that it has, in all ways, and reads what it got.
const TENANT: &str = r#"(module
    (memory (export "memory") 16 64) DATA
    (table $t (export "table") 10 100 funcref) (table $x (export "exceptions") 10 exnref)
    (global $g (export "global") (mut i64) (i64.const 5))
    (tag $e (param i64)) (elem declare func $deep)
    (func (export "write") (param $step i32) (local $p i32) (local $caught exnref)
        (loop $l (i64.store (local.get $p) (i64.const 0x5ec7e75ec7e7))
            (br_if $l (i32.lt_u (local.tee $p (i32.add (local.get $p) (local.get $step))) (i32.mul (memory.size) (i32.const 65536)))))
        (global.set $g (i64.const 0x5ec7e75ec7e7))
        (table.fill $t (i32.const 0) (ref.func $deep) (table.size $t))
        (block $h (result i64 exnref) (try_table (catch_ref $e $h) (throw $e (i64.const 0x5ec7e75ec7e7))) (unreachable))
        (local.set $caught) (drop) (table.set $x (i32.const 3) (local.get $caught)))
    (func (export "grow") (param $pages i32) (result i32)
        (drop (table.grow $t (ref.func $deep) (i32.const 50))) (memory.grow (local.get $pages)))
    (func $deep (export "deep") (param i64 i64 i64 i64 i64 i64 i64 i64) (result i64)
        (if (result i64) (i64.eqz (local.get 0)) (then (i64.const 0x5ec7e75ec7e7))
            (else (i64.add (local.get 7) (call $deep (i64.sub (local.get 0) (i64.const 1)) (i64.const 0x5ec7e75ec7e7) (local.get 1)
                (local.get 2) (local.get 3) (local.get 4) (local.get 5) (local.get 6))))))
    (func (export "locals") (result i64) LOCALS))"#;

/// [`TENANT`] with this data, and a function that reads more locals than registers hold, none of which it has set.
fn tenant(name: &str, data: &str) -> Module {
    let reads: String = (1..300).map(|n| format!("(i64.or (local.get {n})")).collect();
    let locals = format!("(local {}) {reads} (local.get 0) {}", "i64 ".repeat(300), ")".repeat(299));
    let wat = TENANT.replace("DATA", data).replace("LOCALS", &locals);
    module_with(name, &wat, &["-O0"])
}

fn pool_of(stores: usize, keep_resident_bytes: usize) -> StoreConfig {
    let mut pool = PoolConfig::default();
    (pool.memories, pool.tables, pool.stacks) = (stores, 2 * stores, stores);
    (pool.keep_resident_bytes, pool.memory_slot_bytes) = (keep_resident_bytes, 6 << 30);
    let mut config = StoreConfig::default();
    config.pool = Some(Pool::new(pool).unwrap());
    config
}

/// What a new tenant finds is what it would find without others before it.
fn finds_nothing(store: &mut Store<()>, tenant: Instance, memory: &[u8]) {
    let found = tenant.get_memory(&*store, "memory").unwrap().data(&*store);
    assert!(found == memory, "byte {:?} of {}", found.iter().zip(memory).position(|(a, b)| a != b), found.len());
    let global = tenant.get_global(&*store, "global").unwrap();
    assert_eq!(global.get(&*store).unwrap(), Val::I64(5));
    let null = |store: &Store<()>, table: Table, n| match table.get(store, n).unwrap() {
        Val::FuncRef(found) => found.is_none(),
        Val::ExnRef(found) => found.is_none(),
        other => panic!("{other:?}"),
    };
    for name in ["table", "exceptions"] {
        let table = tenant.get_table(&*store, name).unwrap();
        assert_eq!(table.size(&*store).unwrap(), 10);
        assert!((0..10).all(|n| null(store, table, n)));
    }
    let locals = tenant.get_typed_func::<(), i64>(&*store, "locals").unwrap();
    assert_eq!(locals.call(&mut *store, ()).unwrap(), 0);
}

/// Grown pages and elements are new, and what lies beyond the memory cannot be reached.
fn grows_into_nothing(store: &mut Store<()>, tenant: Instance) {
    let memory = tenant.get_memory(&*store, "memory").unwrap();
    let before = memory.data_size(&*store).unwrap();
    memory.grow(&mut *store, 48).unwrap();
    assert!(memory.data(&*store)[before..] == vec![0; 48 << 16]);
    let table = tenant.get_table(&*store, "table").unwrap();
    table.grow(&mut *store, 90, &Val::FuncRef(None)).unwrap();
    assert!((10..100).all(|n| table.get(&*store, n).unwrap() == Val::FuncRef(None)));
}

fn leaves_traces(store: &mut Store<()>, tenant: Instance, step: i32, grows: bool) {
    let write = tenant.get_typed_func::<i32, ()>(&*store, "write").unwrap();
    if grows {
        assert_eq!(call_i32(store, tenant, "grow", &[10]), 16);
    }
    write.call(&mut *store, step).unwrap();
    let args: Vec<_> = (0..8).map(|n| Val::I64(if n == 0 { 2000 } else { -1 })).collect();
    call(store, tenant, "deep", &args).unwrap();
}

fn nothing_is_left(modules: &[(&Module, &[u8])], keep_resident_bytes: usize) {
    let config = pool_of(1, keep_resident_bytes);
    let mut kept = None;
    for round in 0..3 {
        // All of each page, every other page in more pieces than are looked at, and few pages.
        for step in [8, 8192, 300_000] {
            for (number, (module, memory)) in modules.iter().enumerate() {
                for grows in [false, true] {
                    let mut store = kept.take().unwrap_or_else(|| Store::with_config((), config.clone()));
                    let instance = Instance::new(&mut store, module, &[]).unwrap();
                    finds_nothing(&mut store, instance, memory);
                    leaves_traces(&mut store, instance, step, grows);
                    store.reset();
                    let instance = Instance::new(&mut store, module, &[]).unwrap();
                    finds_nothing(&mut store, instance, memory);
                    if number == round {
                        grows_into_nothing(&mut store, instance);
                        leaves_traces(&mut store, instance, step, false);
                    }
                    store.reset();
                    kept = (round == 1).then_some(store);
                }
            }
        }
    }
}

#[test]
fn no_tenant_sees_what_another_one_has_left() {
    let zeros = vec![0; 16 << 16];
    let mut small = zeros.clone();
    small[1000..1005].copy_from_slice(b"small");
    // Enough for an image, which neither begins nor ends with a page.
    let bytes: Vec<u8> = (0..200_000).map(|n: u32| (n % 251) as u8).collect();
    let mut large = zeros.clone();
    large[70_001..270_001].copy_from_slice(&bytes);
    let text: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let modules = [
        tenant("plain", ""),
        tenant("small", "(data (i32.const 1000) \"small\")"),
        tenant("large", &format!("(data (i32.const 70001) \"{text}\")")),
    ];
    let all = [(&modules[0], &zeros[..]), (&modules[1], &small[..]), (&modules[2], &large[..])];
    for keep_resident_bytes in [0, usize::MAX] {
        nothing_is_left(&all, keep_resident_bytes);
    }
}

#[test]
fn a_memory_ends_where_its_tenant_says() {
    const LONG: &str =
        "(module (memory (export \"m\") 8) (func (export \"load\") (param i32) (result i32) (i32.load (local.get 0))))";
    const SHORT: &str =
        "(module (memory (export \"m\") 1) (func (export \"load\") (param i32) (result i32) (i32.load (local.get 0))))";
    let (config, modules) = (pool_of(1, 1 << 20), [module("long", LONG), module("short", SHORT)]);
    for (number, pages) in [(0, 8), (1, 1), (0, 8), (1, 1), (1, 1)] {
        let mut store = Store::with_config((), config.clone());
        let instance = Instance::new(&mut store, &modules[number], &[]).unwrap();
        let load = instance.get_typed_func::<i32, i32>(&store, "load").unwrap();
        assert_eq!(load.call(&mut store, (pages << 16) - 4).unwrap(), 0);
        for beyond in [pages << 16, 9 << 16, -4] {
            assert_eq!(trap(load.call(&mut store, beyond)), Trap::MemoryOutOfBounds);
        }
        let memory = instance.get_memory(&store, "m").unwrap();
        memory.grow(&mut store, 100).unwrap();
        assert_eq!(load.call(&mut store, ((pages + 100) << 16) - 4).unwrap(), 0);
    }
}

#[test]
fn a_pool_is_used_up_and_used_again() {
    let config = pool_of(2, 1 << 20);
    let module = tenant("limited", "");
    let ready = Linker::new().instantiate_pre(&module).unwrap();
    let store = || Store::with_config((), config.clone());
    let (mut first, mut second, mut third) = (store(), store(), store());
    ready.instantiate(&mut first).unwrap();
    ready.instantiate(&mut second).unwrap();
    let error = ready.instantiate(&mut third).unwrap_err();
    assert_eq!(error.to_string(), "all 2 stacks of the pool are in use");
    let error = ready.instantiate(&mut second).unwrap_err();
    assert_eq!(error.to_string(), "all 4 tables of the pool are in use");
    drop(first);
    ready.instantiate(&mut third).unwrap();
    drop((second, third));
    let mut config = config.clone();
    config.stack_bytes = Some(5 << 20);
    let error = ready.instantiate(&mut Store::with_config((), config)).unwrap_err();
    assert_eq!(error.to_string(), "a stack of 5242880 bytes: those of the pool have 1048576");
    let large = module_with("large", "(module (table (export \"t\") 30000 funcref))", &[]);
    let error = Instance::new(&mut store(), &large, &[]).unwrap_err();
    assert_eq!(error.to_string(), "a table of 30000 elements: slots of the pool have 20480");
}

#[test]
fn a_reset_store_is_an_empty_one() {
    let mut store = Store::new(StoreLimitsBuilder::new().instances(1).build());
    store.limiter(|limits| limits);
    let module = module_with("reset", "(module (func (export \"f\")) (tag (export \"e\")))", &["--fuel"]);
    store.set_fuel(100).unwrap();
    for _ in 0..3 {
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let f = instance.get_typed_func::<(), ()>(&store, "f").unwrap();
        let waits = Func::wrap(&mut store, |_: i64| ()).unwrap();
        let exception = {
            let tag = instance.get_tag(&store, "e").unwrap();
            wasmelt_embed::Exception::new(&mut store, tag, &[]).unwrap()
        };
        f.call(&mut store, ()).unwrap();
        assert!(Instance::new(&mut store, &module, &[]).is_err(), "the limiter holds");
        store.reset();
        assert!(matches!(f.call(&mut store, ()), Err(Error::Usage(_))));
        assert!(matches!(waits.ty(&store), Err(Error::Usage(_))));
        assert!(matches!(exception.values(&store), Err(Error::Usage(_))));
        assert!(instance.get_func(&store, "f").is_none());
        assert_eq!(store.get_fuel().unwrap(), 0);
        store.set_fuel(100).unwrap();
    }
}

#[test]
fn ten_thousand_instances_are_alive() {
    const COUNT: usize = 10_000;
    let config = pool_of(COUNT, 0);
    let module = module(
        "many",
        "(module (memory (export \"m\") 1) (data (i32.const 0) \"1\") (func (export \"f\") (result i32) (i32.load (i32.const 0))))",
    );
    let ready = Linker::new().instantiate_pre(&module).unwrap();
    let mut all: Vec<_> = (0..COUNT)
        .map(|_| {
            let mut store = Store::with_config((), config.clone());
            let instance = ready.instantiate(&mut store).unwrap();
            (store, instance)
        })
        .collect();
    for (store, instance) in all.iter_mut().step_by(97) {
        assert_eq!(call_i32(store, *instance, "f", &[]), i32::from(b'1'));
    }
}
