//! Limits of a store: what guests may have of memory, tables and instances, and what happens beyond.

use wasmelt_embed::{
    Memory, MemoryType, RefType, ResourceLimiter, SharedMemory, StoreLimits, StoreLimitsBuilder, Table, TableType,
};

use super::*;

const GROWS: &str = r#"(module (memory (export "memory") 1 8) (table $t (export "table") 2 funcref)
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "grow table") (param i32) (result i32) (table.grow $t (ref.null func) (local.get 0)))
    (func (export "size") (result i32) (memory.size)))"#;

/// A store with these limits, and an instance of [`GROWS`].
fn limited(limits: StoreLimits) -> (Store<StoreLimits>, Instance) {
    let mut store = Store::new(limits);
    store.limiter(|limits| limits);
    let instance = Instance::new(&mut store, &module("grows", GROWS), &[]).unwrap();
    (store, instance)
}

fn ask<T>(store: &mut Store<T>, instance: Instance, name: &str, n: i32) -> Result<i32> {
    instance.get_typed_func(&*store, name)?.call(store, n)
}

fn size<T>(store: &mut Store<T>, instance: Instance) -> i32 {
    instance.get_typed_func::<(), i32>(&*store, "size").unwrap().call(store, ()).unwrap()
}

#[test]
fn lengths_have_limits_for_guests_and_for_the_host() {
    let (mut store, grows) = limited(StoreLimitsBuilder::new().memory_size(3 << 16).table_elements(5).build());
    assert_eq!(ask(&mut store, grows, "grow", 3).unwrap(), -1);
    assert_eq!(ask(&mut store, grows, "grow", -1).unwrap(), -1);
    assert_eq!(ask(&mut store, grows, "grow", 1).unwrap(), 1);
    assert_eq!(ask(&mut store, grows, "grow table", 4).unwrap(), -1);
    assert_eq!(ask(&mut store, grows, "grow table", 2).unwrap(), 2);
    let (memory, table) = (grows.get_memory(&store, "memory").unwrap(), grows.get_table(&store, "table").unwrap());
    assert!(matches!(memory.grow(&mut store, 2), Err(Error::System(_))));
    assert_eq!(memory.grow(&mut store, 1).unwrap(), 2);
    assert!(matches!(table.grow(&mut store, 2, &Val::FuncRef(None)), Err(Error::System(_))));
    assert_eq!(table.grow(&mut store, 1, &Val::FuncRef(None)).unwrap(), 4);
    assert!(matches!(Memory::new(&mut store, MemoryType::new(4, None)), Err(Error::System(_))));
    let ty = |minimum| TableType { element: RefType::FUNCREF, minimum, maximum: None, index_64: false };
    assert!(matches!(Table::new(&mut store, ty(6), &Val::FuncRef(None)), Err(Error::System(_))));
    for wat in ["(module (memory (export \"m\") 4))", "(module (table (export \"t\") 6 funcref))"] {
        let large = Instance::new(&mut store, &module("large", wat), &[]);
        assert!(matches!(large, Err(Error::System(_))), "{large:?}");
    }
    assert_eq!(size(&mut store, grows), 3);
}

#[test]
fn growing_too_far_can_end_the_call() {
    let limits = StoreLimitsBuilder::new().memory_size(3 << 16).table_elements(5).trap_on_grow_failure(true).build();
    let (mut store, grows) = limited(limits);
    for round in 0..100 {
        for (name, expected) in
            [("grow", "a memory may not grow to 327680 bytes"), ("grow table", "a table may not grow to 6 elements")]
        {
            let error = ask(&mut store, grows, name, 4).unwrap_err();
            assert_eq!(error.to_string(), expected, "round {round}");
        }
        assert_eq!(size(&mut store, grows), 1);
    }
    assert_eq!(ask(&mut store, grows, "grow", 2).unwrap(), 1);
}

#[test]
fn what_is_made_is_counted_and_nothing_is_half_made() {
    let builder = || StoreLimitsBuilder::new();
    for (limits, expected) in [
        (builder().instances(1), "the store allows 1 instances"),
        (builder().memories(1), "the store allows 1 memories"),
        (builder().tables(1), "the store allows 1 tables"),
    ] {
        let (mut store, first) = limited(limits.build());
        let module = module("second", GROWS);
        for _ in 0..3 {
            assert_eq!(Instance::new(&mut store, &module, &[]).unwrap_err().to_string(), expected);
        }
        assert_eq!(size(&mut store, first), 1);
        *store.data_mut() = builder().instances(2).memories(2).tables(2).build();
        Instance::new(&mut store, &module, &[]).unwrap();
        assert!(Instance::new(&mut store, &module, &[]).is_err());
    }
}

/// Records what it is asked, and answers what it was told to.
#[derive(Default)]
struct Recorder {
    asked: Vec<(usize, usize, Option<usize>)>,
    failed: Vec<String>,
    answer: Option<fn() -> Result<bool>>,
}

impl ResourceLimiter for Recorder {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.asked.push((current, desired, maximum));
        self.answer.map_or(Ok(true), |answer| answer())
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<()> {
        self.failed.push(error.to_string());
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        self.memory_growing(current, desired, maximum)
    }
}

/// A store whose guests have little stack, with a [`Recorder`].
fn recorded() -> (Store<Recorder>, Instance) {
    let mut config = wasmelt_embed::StoreConfig::default();
    config.stack_bytes = Some(256 << 10);
    let mut store = Store::with_config(Recorder::default(), config);
    store.limiter(|recorder| recorder);
    let instance = Instance::new(&mut store, &module("grows", GROWS), &[]).unwrap();
    (store, instance)
}

#[test]
fn a_limiter_of_the_host_is_asked_and_told() {
    let (mut store, grows) = recorded();
    assert_eq!(ask(&mut store, grows, "grow", 2).unwrap(), 1);
    assert_eq!(ask(&mut store, grows, "grow", 9).unwrap(), -1);
    assert_eq!(ask(&mut store, grows, "grow table", 3).unwrap(), 2);
    const PAGE: usize = 1 << 16;
    let max = Some(8 * PAGE);
    let expected = [(0, PAGE, max), (0, 2, None), (PAGE, 3 * PAGE, max), (3 * PAGE, 12 * PAGE, max), (2, 5, None)];
    assert_eq!(store.data().asked, expected);
    assert_eq!(store.data().failed, ["a memory of 196608 bytes cannot grow to 786432"]);
}

#[test]
fn a_limiter_runs_on_the_stack_of_the_host() {
    let (mut store, grows) = recorded();
    store.data_mut().answer = Some(|| {
        // More than all of the guest's stack, let alone what is left of it.
        let large = std::hint::black_box([1u8; 512 << 10]);
        Ok(large.iter().all(|&byte| byte == 1))
    });
    assert_eq!(ask(&mut store, grows, "grow", 1).unwrap(), 1);
}

#[test]
fn errors_and_panics_of_a_limiter_end_the_call() {
    let (mut store, grows) = recorded();
    for _ in 0..100 {
        store.data_mut().answer = Some(|| panic!("no more"));
        for name in ["grow", "grow table"] {
            let Err(Error::Panic(panic)) = ask(&mut store, grows, name, 1) else { panic!("no panic") };
            assert_eq!(panic.message(), "no more");
        }
        store.data_mut().answer = Some(|| Err(Trap::Interrupt.into()));
        let error = ask(&mut store, grows, "grow", 1).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Trap::Interrupt));
        assert_eq!(error.backtrace().len(), 1);
        assert_eq!(error.backtrace()[0].module, "grows");
        store.data_mut().answer = None;
        assert_eq!(size(&mut store, grows), 1);
    }
}

#[test]
fn whoever_grows_a_shared_memory_has_the_limit() {
    const WAT: &str = r#"(module (import "" "m" (memory 1 8 shared))
        (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#;
    let memory = SharedMemory::new(MemoryType { shared: true, ..MemoryType::new(1, Some(8)) }).unwrap();
    let module = module("shared", WAT);
    let mut store = Store::new(StoreLimitsBuilder::new().memory_size(2 << 16).build());
    store.limiter(|limits| limits);
    let small = Instance::new(&mut store, &module, &[memory.clone().into()]).unwrap();
    let mut other = Store::new(());
    let large = Instance::new(&mut other, &module, &[memory.clone().into()]).unwrap();
    assert_eq!(ask(&mut store, small, "grow", 2).unwrap(), -1);
    assert_eq!(ask(&mut store, small, "grow", 1).unwrap(), 1);
    assert_eq!(ask(&mut other, large, "grow", 1).unwrap(), 2);
    assert_eq!(ask(&mut store, small, "grow", 1).unwrap(), -1);
    assert_eq!(memory.size(), 3);
}
