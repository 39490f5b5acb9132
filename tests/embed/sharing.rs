//! Instances that share memories, tables, globals and functions, with each other and with the host.

use wasmelt_embed::{
    Global, GlobalType, Memory, MemoryType, RefType, SharedMemory, StoreLimitsBuilder, Table, TableType,
};

use super::*;

const OWNER: &str = r#"(module
    (type $t (func (param i32) (result i32)))
    (memory (export "memory") 1 4) (table (export "table") 4 8 funcref)
    (global (export "global") (mut i64) (i64.const 5)) (global (export "constant") i32 (i32.const 3))
    (global (export "vector") (mut v128) (v128.const i64x2 1 2))
    (data (i32.const 16) "owner") (elem (i32.const 1) $double)
    (func $double (export "double") (type $t) (i32.mul (i32.const 2) (local.get 0)))
    (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "size") (result i32) (memory.size))
    (func (export "apply") (param i32 i32) (result i32) (call_indirect (type $t) (local.get 1) (local.get 0))))"#;

const USER: &str = r#"(module
    (type $t (func (param i32) (result i32)))
    (import "owner" "double" (func $double (type $t)))
    (import "owner" "memory" (memory 1 4)) (import "owner" "table" (table 4 8 funcref))
    (import "owner" "global" (global $g (mut i64))) (import "owner" "constant" (global $c i32))
    (import "owner" "vector" (global $v (mut v128)))
    (memory $own 1)
    (elem (i32.const 2) $triple $double)
    (elem $passive func $triple $triple)
    (data (i32.const 32) "user") (data $segment "passive")
    (func $triple (type $t) (i32.mul (global.get $c) (local.get 0)))
    (export "again" (memory 0)) (export "table" (table 0)) (export "global" (global $g)) (export "double" (func $double))
    (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "grow own") (param i32) (result i32) (memory.grow $own (local.get 0)))
    (func (export "init") (memory.init $segment (i32.const 100) (i32.const 1) (i32.const 6)))
    (func (export "drop") (data.drop $segment))
    (func (export "table grow") (param i32) (result i32) (table.grow 0 (ref.func $triple) (local.get 0)))
    (func (export "table init") (param i32) (table.init 0 $passive (local.get 0) (i32.const 0) (i32.const 2)))
    (func (export "elem drop") (elem.drop $passive))
    (func (export "add") (global.set $g (i64.add (global.get $g) (i64.const 1)))
        (global.set $v (i64x2.add (global.get $v) (global.get $v))))
    (func (export "apply") (param i32 i32) (result i32) (call_indirect (type $t) (local.get 1) (local.get 0))))"#;

fn shared(options: &[&str]) {
    let mut store = Store::new(());
    let owner = Instance::new(&mut store, &module_with("owner", OWNER, options), &[]).unwrap();
    let mut linker = Linker::new();
    linker.instance(&store, "owner", owner).unwrap();
    let user = linker.instantiate(&mut store, &module_with("user", USER, options)).unwrap();

    // Memory.
    call(&mut store, user, "store", &[Val::I32(64), Val::I32(0x1234)]).unwrap();
    assert_eq!(call_i32(&mut store, owner, "load", &[64]), 0x1234);
    assert_eq!(call_i32(&mut store, owner, "load", &[32]), i32::from_le_bytes(*b"user"));
    assert_eq!(call_i32(&mut store, user, "grow", &[2]), 1);
    assert_eq!(call_i32(&mut store, user, "grow", &[2]), -1, "the owner's limit");
    assert_eq!(call_i32(&mut store, owner, "size", &[]), 3);
    assert_eq!(call_i32(&mut store, user, "grow own", &[100]), 1);
    assert_eq!(call_i32(&mut store, owner, "load", &[3 * 65536 - 4]), 0);
    assert_eq!(trap(call(&mut store, owner, "load", &[Val::I32(3 * 65536 - 3)])), Trap::MemoryOutOfBounds);
    assert_eq!(trap(call(&mut store, user, "store", &[Val::I32(-1), Val::I32(1)])), Trap::MemoryOutOfBounds);
    let Some(Extern::Memory(memory)) = user.get_export(&mut store, "again") else { panic!() };
    assert_eq!(
        owner.get_export(&mut store, "memory").map(|item| format!("{item:?}")),
        Some(format!("{:?}", Extern::Memory(memory)))
    );
    call(&mut store, user, "init", &[]).unwrap();
    let mut bytes = [0; 6];
    memory.read(&mut store, 100, &mut bytes).unwrap();
    assert_eq!(&bytes, b"assive");
    call(&mut store, user, "drop", &[]).unwrap();
    assert_eq!(trap(call(&mut store, user, "init", &[])), Trap::MemoryOutOfBounds);

    // Table: function references with a context of their own.
    for instance in [owner, user] {
        assert_eq!(call_i32(&mut store, instance, "apply", &[1, 10]), 20);
        assert_eq!(call_i32(&mut store, instance, "apply", &[2, 10]), 30);
        assert_eq!(call_i32(&mut store, instance, "apply", &[3, 10]), 20);
        assert_eq!(trap(call(&mut store, instance, "apply", &[Val::I32(0), Val::I32(0)])), Trap::UninitializedElement);
        assert_eq!(trap(call(&mut store, instance, "apply", &[Val::I32(8), Val::I32(0)])), Trap::UndefinedElement);
    }
    assert_eq!(call_i32(&mut store, user, "table grow", &[5]), -1);
    assert_eq!(call_i32(&mut store, user, "table grow", &[3]), 4);
    assert_eq!(call_i32(&mut store, owner, "apply", &[6, 10]), 30);
    call(&mut store, user, "table init", &[Val::I32(0)]).unwrap();
    assert_eq!(call_i32(&mut store, owner, "apply", &[1, 10]), 30);
    call(&mut store, user, "elem drop", &[]).unwrap();
    assert_eq!(trap(call(&mut store, user, "table init", &[Val::I32(0)])), Trap::TableOutOfBounds);
    let Some(Extern::Table(table)) = user.get_export(&mut store, "table") else { panic!() };
    let double = owner.get_func(&mut store, "double").unwrap();
    table.set(&mut store, 0, &Val::FuncRef(Some(double))).unwrap();
    assert_eq!(call_i32(&mut store, user, "apply", &[0, 10]), 20);
    let Val::FuncRef(Some(element)) = table.get(&mut store, 6).unwrap() else { panic!() };
    assert_eq!(call_func(&mut store, element, &[Val::I32(5)]).unwrap(), [Val::I32(15)]);
    assert!(table.get(&mut store, 7).is_err());
    assert_eq!(table.grow(&mut store, 1, &Val::FuncRef(None)).unwrap(), 7);
    assert!(table.grow(&mut store, 1, &Val::FuncRef(None)).is_err());
    assert_eq!(call_i32(&mut store, user, "double", &[4]), 8, "an import that is exported again");

    // Globals.
    let Some(Extern::Global(global)) = user.get_export(&mut store, "global") else { panic!() };
    let Some(Extern::Global(vector)) = owner.get_export(&mut store, "vector") else { panic!() };
    call(&mut store, user, "add", &[]).unwrap();
    assert_eq!(global.get(&store).unwrap(), Val::I64(6));
    assert_eq!(vector.get(&store).unwrap(), Val::V128((4u128 << 64 | 2).to_le_bytes()));
    global.set(&mut store, Val::I64(-1)).unwrap();
    call(&mut store, user, "add", &[]).unwrap();
    let Some(Extern::Global(same)) = owner.get_export(&mut store, "global") else { panic!() };
    assert_eq!(same.get(&store).unwrap(), Val::I64(0));
    assert_eq!(same, global);
    let Some(Extern::Global(constant)) = owner.get_export(&mut store, "constant") else { panic!() };
    assert_eq!(constant.get(&store).unwrap(), Val::I32(3));
    assert!(matches!(constant.set(&mut store, Val::I32(4)), Err(Error::Usage(_))));
}

#[test]
fn instances_share_what_they_export() {
    shared(&[]);
}

#[test]
fn so_with_explicit_bounds_checks() {
    shared(&["--bounds-checks", "explicit"]);
}

#[test]
fn the_host_makes_what_guests_import() {
    let mut store = Store::new(());
    let memory = Memory::new(&mut store, MemoryType::new(1, Some(4))).unwrap();
    let table = Table::new(&mut store, TableType::new(RefType::FUNCREF, 4, Some(8)), &Val::FuncRef(None)).unwrap();
    let global = |store: &mut Store<()>, content, mutable, value| {
        Global::new(store, GlobalType { content, mutable }, value).unwrap()
    };
    let mutable = global(&mut store, ValType::I64, true, Val::I64(41));
    let constant = global(&mut store, ValType::I32, false, Val::I32(7));
    let vector = global(&mut store, ValType::V128, true, Val::V128([1; 16]));
    let double = host(&mut store, |_, n| Ok(2 * n));
    assert!(matches!(table.set(&mut store, 0, &Val::FuncRef(Some(double))), Err(Error::Usage(_))));
    let mut linker = Linker::new();
    linker
        .define(&store, "owner", "double", double)
        .unwrap()
        .define(&store, "owner", "memory", memory)
        .unwrap()
        .define(&store, "owner", "table", table)
        .unwrap();
    linker
        .define(&store, "owner", "global", mutable)
        .unwrap()
        .define(&store, "owner", "constant", constant)
        .unwrap()
        .define(&store, "owner", "vector", vector)
        .unwrap();
    let user = linker.instantiate(&mut store, &module("user", USER)).unwrap();
    assert_eq!(call_i32(&mut store, user, "apply", &[2, 3]), 21);
    assert_eq!(call_i32(&mut store, user, "apply", &[3, 3]), 6, "a function of the host in a table");
    let Val::FuncRef(Some(again)) = table.get(&mut store, 3).unwrap() else { panic!() };
    assert_eq!(call_func(&mut store, again, &[Val::I32(4)]).unwrap(), [Val::I32(8)]);
    table.set(&mut store, 0, &Val::FuncRef(Some(double))).unwrap();
    assert_eq!(call_i32(&mut store, user, "apply", &[0, 3]), 6);
    call(&mut store, user, "add", &[]).unwrap();
    assert_eq!(mutable.get(&store).unwrap(), Val::I64(42));
    assert_eq!(call_i32(&mut store, user, "grow", &[1]), 1);
    assert_eq!(memory.grow(&mut store, 2).unwrap(), 2);
    assert!(memory.grow(&mut store, 1).is_err());
    memory.write(&mut store, 4 * 65536 - 4, &[1, 0, 0, 0]).unwrap();
    call(&mut store, user, "store", &[Val::I32(4 * 65536 - 4), Val::I32(9)]).unwrap();
    let mut bytes = [0; 4];
    memory.read(&mut store, 4 * 65536 - 4, &mut bytes).unwrap();
    assert_eq!(bytes, [9, 0, 0, 0]);
}

/// How often each of four threads grows a memory by a page.
const GROWTHS: usize = 200;

#[test]
fn threads_share_a_memory_of_the_host() {
    let memory = SharedMemory::new(MemoryType::shared(1, 1000)).unwrap();
    std::thread::scope(|scope| {
        for number in 0..4u8 {
            let memory = memory.clone();
            scope.spawn(move || {
                memory.write(usize::from(number), &[number + 1]).unwrap();
                for _ in 0..GROWTHS {
                    assert!(memory.grow(1).unwrap() > 0);
                }
            });
        }
    });
    assert_eq!(memory.size(), 801);
    assert!(memory.grow(200).is_err());
    let mut bytes = [0; 4];
    memory.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, [1, 2, 3, 4]);
    assert!(memory.read(801 * 65536 - 3, &mut bytes).is_err());
    assert!(SharedMemory::new(MemoryType::new(1, Some(2))).is_err());
}

#[test]
fn threads_share_a_memory() {
    const WAT: &str = r#"(module (import "host" "memory" (memory 1 1000 shared))
        (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
        (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
        (func (export "grow") (result i32) (memory.grow (i32.const 1))))"#;
    let module = module("shared", WAT);
    let memory = SharedMemory::new(MemoryType::shared(1, 1000)).unwrap();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (module, memory) = (&module, memory.clone());
            scope.spawn(move || {
                // A limiter is asked about the length at that moment, which is another one when the memory grows.
                let limits = StoreLimitsBuilder::new().memory_size(801 * 65536).trap_on_grow_failure(true).build();
                let mut store = Store::new(limits);
                if number % 2 == 0 {
                    store.limiter(|limits| limits);
                }
                let instance = Instance::new(&mut store, module, &[memory.into()]).unwrap();
                call(&mut store, instance, "store", &[Val::I32(4 * number), Val::I32(number + 1)]).unwrap();
                for _ in 0..GROWTHS {
                    assert!(call_i32(&mut store, instance, "grow", &[]) > 0);
                }
                assert_eq!(call_i32(&mut store, instance, "load", &[65536]), 0);
                assert_eq!(
                    trap(call(&mut store, instance, "load", &[Val::I32(1000 * 65536)])),
                    Trap::MemoryOutOfBounds
                );
            });
        }
    });
    assert_eq!(memory.size(), 801);
    for number in 0..4u8 {
        let mut bytes = [0; 4];
        memory.read(4 * usize::from(number), &mut bytes).unwrap();
        assert_eq!(bytes, [number + 1, 0, 0, 0]);
    }
    let mut store = Store::new(());
    let unshared = Memory::new(&mut store, MemoryType::new(1, Some(10))).unwrap();
    assert!(matches!(Instance::new(&mut store, &module, &[unshared.into()]), Err(Error::Unlinkable(_))));
}

#[test]
fn threads_wait_for_each_other() {
    const WAT: &str = r#"(module (import "host" "memory" (memory 1 1 shared)) (memory $own 1)
        (func (export "wait") (result i32) (memory.atomic.wait32 (i32.const 8) (i32.const 0) (i64.const -1)))
        (func (export "wait wrong") (result i32) (memory.atomic.wait32 (i32.const 8) (i32.const 5) (i64.const -1)))
        (func (export "wait briefly") (result i32) (memory.atomic.wait64 (i32.const 16) (i64.const 0) (i64.const 1000)))
        (func (export "wait alone") (result i32) (memory.atomic.wait32 $own (i32.const 8) (i32.const 0) (i64.const -1)))
        (func (export "notify") (result i32) (memory.atomic.notify (i32.const 8) (i32.const 1)))
        (func (export "unaligned") (result i32) (i32.atomic.load (i32.const 2))))"#;
    let module = module("waits", WAT);
    let memory = SharedMemory::new(MemoryType::shared(1, 1)).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut store = Store::new(());
            let instance = Instance::new(&mut store, &module, &[memory.clone().into()]).unwrap();
            call_i32(&mut store, instance, "wait", &[])
        });
        let mut store = Store::new(());
        let instance = Instance::new(&mut store, &module, &[memory.clone().into()]).unwrap();
        while call_i32(&mut store, instance, "notify", &[]) == 0 {
            std::thread::yield_now();
        }
        assert_eq!(waiter.join().unwrap(), 0);
        assert_eq!(call_i32(&mut store, instance, "wait wrong", &[]), 1);
        assert_eq!(call_i32(&mut store, instance, "wait briefly", &[]), 2);
        assert_eq!(trap(call(&mut store, instance, "wait alone", &[])), Trap::ExpectedSharedMemory);
        assert_eq!(trap(call(&mut store, instance, "unaligned", &[])), Trap::UnalignedAtomic);
    });
}

/// Code that leaves out checks on the strength of a guard must not get a memory without one, however much address space
/// that has: at its greatest length nothing inaccessible would be left of it.
#[test]
fn code_without_checks_gets_no_memory_without_a_guard() {
    for (index, maximum) in [("i32", 4), ("i64", 4), ("i64", 65536)] {
        let owner = format!("(module (memory (export \"memory\") {index} 1 {maximum}))");
        let user = format!(
            "(module (import \"owner\" \"memory\" (memory {index} 1 {maximum}))
             (func (export \"load\") (param {index}) (result i32) (i32.load offset=0x7fff0000 (local.get 0))))"
        );
        let explicit: &[&str] = &["--bounds-checks", "explicit"];
        let connect = |owner_options, user_options| {
            let mut store = Store::new(());
            let owner = Instance::new(&mut store, &module_with("owner", &owner, owner_options), &[]).unwrap();
            let mut linker = Linker::new();
            linker.instance(&store, "owner", owner).unwrap();
            linker.instantiate(&mut store, &module_with("user", &user, user_options)).map(|_| ())
        };
        let refused = connect(explicit, &[]);
        assert!(matches!(&refused, Err(Error::Unlinkable(why)) if why.contains("less address space")), "{refused:?}");
        connect(&[], &[]).unwrap();
        connect(&[], explicit).unwrap();
        connect(explicit, explicit).unwrap();
    }
}
