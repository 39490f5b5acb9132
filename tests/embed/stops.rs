//! Guests that would go on for ever are stopped: by fuel, by other threads, at deadlines.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use wasmelt_embed::{Deadlines, TypedFunc};

use super::*;

/// Each export goes on for ever, in a way of its own.
const ENDLESS: &str = r#"(module
    (type $v (func)) (type $i (func (param i32)))
    (tag $e) (memory 1) (global $g (mut i32) (i32.const 0))
    (table 1 funcref) (elem (i32.const 0) $indirect) (elem declare func $by_ref)
    (func (export "loop") (loop $l (br $l)))
    (func (export "loop in a loop") (loop $a (loop $b (br $b)) (br $a)))
    (func (export "loop out of a loop") (loop $a (loop $b (br $a))))
    (func (export "three loops") (local $i i32)
        (loop $a (loop $b (loop $c
            (br_if $c (i32.and (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 7)))
            (br_if $b (i32.and (local.get $i) (i32.const 63)))
            (br $a)))))
    (func (export "loop that computes") (local $i i64)
        (loop $l (local.set $i (i64.add (i64.mul (local.get $i) (i64.const 5)) (i64.const 1))) (br_if $l (i64.ne (local.get $i) (i64.const 0)))
            (br $l)))
    (func (export "loop that reads") (loop $l (br_if $l (i32.eqz (i32.load (i32.const 8))))))
    (func (export "loop that writes") (loop $l (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1))) (br $l)))
    (func (export "loop by table") (loop $l (br_table $l $l $l (i32.load (i32.const 4)))))
    (func (export "loop by null") (loop $l (br_on_null $l (ref.null func)) (drop)))
    (func (export "loop by handler") (loop $l (try_table (catch_all $l) (throw $e))))
    (func (export "loop that catches") (loop $l (block $h (try_table (catch_all $h) (throw $e))) (br $l)))
    (func $self (export "tail call") (return_call $self))
    (func $even (export "tail calls") (return_call $odd)) (func $odd (return_call $even))
    (func $indirect (export "tail call through a table") (return_call_indirect (type $v) (i32.const 0)))
    (func $by_ref (export "tail call by reference") (return_call_ref $v (ref.func $by_ref)))
    (func $tree (export "tree") (param i32)
        (if (local.get 0) (then (call $tree (i32.sub (local.get 0) (i32.const 1))) (call $tree (i32.sub (local.get 0) (i32.const 1))))))
    (func (export "tree of calls") (call $f1) (call $f1))
    FUNCTIONS
    (func $f60 (global.set $g (i32.add (global.get $g) (i32.const 1))))
    (func (export "count") (param i32) (result i32) (local $n i32)
        (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
        (local.get $n)))"#;

/// [`ENDLESS`] with a tree of calls that neither repeats nor recurs, and takes 2^60 calls.
fn endless(options: &[&str]) -> Module {
    let function = |n: u32| format!("(func $f{n} (call $f{0}) (call $f{0}))", n + 1);
    let functions: String = (1..60).map(function).collect();
    module_with("endless", &ENDLESS.replace("FUNCTIONS", &functions), options)
}

/// The exports that go on for ever.
fn names(module: &Module) -> Vec<String> {
    let names = module.exports().map(|export| export.name.to_owned()).filter(|name| name != "count");
    let names: Vec<_> = names.collect();
    assert_eq!(names.len(), 17);
    names
}

fn run(store: &mut Store<()>, instance: Instance, name: &str) -> Result<()> {
    match name {
        "tree" => instance.get_typed_func::<i32, ()>(&*store, name)?.call(store, 60),
        _ => instance.get_typed_func::<(), ()>(&*store, name)?.call(store, ()),
    }
}

fn count(store: &mut Store<()>, instance: Instance, n: i32) -> Result<i32> {
    instance.get_typed_func(&*store, "count")?.call(store, n)
}

const WAYS: [&[&str]; 3] = [&[], &["-O0"], &["--bounds-checks", "explicit"]];

#[test]
fn fuel_ends_whatever_goes_on_for_ever() {
    for options in WAYS {
        let module = endless(&[options, &["--fuel"]].concat());
        let mut store = Store::new(());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        for name in names(&module) {
            store.set_fuel(100_000).unwrap();
            let error = run(&mut store, instance, &name).unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&Trap::OutOfFuel), "{name} {options:?}");
            assert_eq!(store.get_fuel().unwrap(), 0);
            assert_eq!(trap(count(&mut store, instance, 1)), Trap::OutOfFuel);
            store.set_fuel(1000).unwrap();
            assert_eq!(count(&mut store, instance, 9).unwrap(), 9);
        }
    }
}

#[test]
fn fuel_is_the_same_each_time_and_suffices_to_the_unit() {
    let module = endless(&["--fuel"]);
    let needed = |n: i32| {
        let mut store = Store::new(());
        store.set_fuel(1 << 40).unwrap();
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        count(&mut store, instance, n).unwrap();
        (1 << 40) - store.get_fuel().unwrap()
    };
    assert_eq!((needed(1), needed(2), needed(100)), (needed(1), needed(2), needed(100)));
    assert_eq!(needed(100) - needed(50), 25 * (needed(4) - needed(2)));
    let mut store = Store::new(());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    for n in [1, 2, 100] {
        let mut with = |fuel: u64| {
            store.set_fuel(fuel).unwrap();
            count(&mut store, instance, n).is_ok()
        };
        let least = (0..=needed(n)).find(|&fuel| with(fuel)).unwrap();
        // The end of the function is counted after the last check.
        assert!(needed(n) - least < 10 && !with(least - 1) && with(least + 1), "{least} of {}", needed(n));
    }
}

#[test]
fn instances_that_call_each_other_have_one_budget() {
    let mut store = Store::new(());
    let counter = Instance::new(&mut store, &endless(&["--fuel"]), &[]).unwrap();
    const OUTER: &str = r#"(module (import "" "count" (func $count (param i32) (result i32)))
        (func (export "count") (param i32) (result i32) (call $count (local.get 0)))
        (func (export "loop") (loop $l (drop (call $count (i32.const 10))) (br $l))))"#;
    let imports = [counter.get_export(&store, "count").unwrap()];
    let outer = Instance::new(&mut store, &module_with("outer", OUTER, &["--fuel"]), &imports).unwrap();
    let mut needed = |instance| {
        store.set_fuel(10_000).unwrap();
        assert_eq!(count(&mut store, instance, 100).unwrap(), 100);
        10_000 - store.get_fuel().unwrap()
    };
    let (inner, both) = (needed(counter), needed(outer));
    assert!((inner + 1..inner + 10).contains(&both), "{inner} {both}");
    store.set_fuel(10_000).unwrap();
    assert_eq!(trap(run(&mut store, outer, "loop")), Trap::OutOfFuel);
    assert_eq!(store.get_fuel().unwrap(), 0);
}

#[test]
fn functions_of_the_host_see_and_set_fuel() {
    const WAT: &str = r#"(module (import "host" "more" (func $more (param i32) (result i32)))
        (func (export "run") (param i32) (result i32)
            (loop $l (local.set 0 (call $more (local.get 0))) (br_if $l (i32.gt_s (local.get 0) (i32.const 0)))) (local.get 0)))"#;
    let mut store = Store::new(());
    store.set_fuel(50).unwrap();
    let more = host(&mut store, |mut caller, n| {
        assert!(caller.get_fuel()? <= 50);
        caller.set_fuel(50)?;
        Ok(n - 1)
    });
    let instance = Instance::new(&mut store, &module_with("more", WAT, &["--fuel"]), &[more.into()]).unwrap();
    assert_eq!(call_i32(&mut { store }, instance, "run", &[1000]), 0);
}

#[test]
fn who_traps_on_purpose_has_paid() {
    const WAT: &str = r#"(module (func (export "run") (param i32)
        (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (unreachable)))"#;
    let mut store = Store::new(());
    let instance = Instance::new(&mut store, &module_with("pays", WAT, &["--fuel"]), &[]).unwrap();
    store.set_fuel(100_000).unwrap();
    let run: TypedFunc<i32, ()> = instance.get_typed_func(&store, "run").unwrap();
    assert_eq!(trap(run.call(&mut store, 1000)), Trap::Unreachable);
    assert!(store.get_fuel().unwrap() < 97_000, "{:?}", store.get_fuel());
}

#[test]
fn code_that_cannot_be_stopped_is_refused_where_it_shall_be() {
    let plain = module("plain", "(module (func (export \"f\")))");
    let mut store = Store::new(());
    let error = store.get_fuel().unwrap_err();
    assert_eq!(error.to_string(), "no fuel was set: see `Store::set_fuel`");
    Instance::new(&mut store, &plain, &[]).unwrap();
    let fuel = "module \"plain\" does not count fuel: compile it with `--emit cdylib --fuel`";
    let interrupt = "module \"plain\" cannot be interrupted: compile it with `--emit cdylib --interruptible`";
    assert_eq!(store.set_fuel(1).unwrap_err().to_string(), fuel);
    assert_eq!(store.interrupt_handle().unwrap_err().to_string(), interrupt);
    assert_eq!(store.set_deadline(&Deadlines::new(), Duration::ZERO).unwrap_err().to_string(), interrupt);
    let mut store = Store::new(());
    store.set_fuel(1).unwrap();
    assert_eq!(Instance::new(&mut store, &plain, &[]).unwrap_err().to_string(), fuel);
    let mut store = Store::new(());
    store.interrupt_handle().unwrap();
    assert_eq!(Instance::new(&mut store, &plain, &[]).unwrap_err().to_string(), interrupt);
}

/// Interrupts the next call that `call` makes.
fn interrupted<R>(store: &mut Store<()>, call: impl FnOnce(&mut Store<()>) -> R) -> R {
    let handle = store.interrupt_handle().unwrap();
    assert!(!handle.interrupt(), "nothing is executed");
    thread::scope(|scope| {
        scope.spawn(move || {
            while !handle.interrupt() {
                thread::yield_now();
            }
        });
        call(store)
    })
}

#[test]
fn other_threads_stop_whatever_goes_on_for_ever() {
    for options in WAYS {
        let module = endless(&[options, &["--interruptible"]].concat());
        let mut store = Store::new(());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        for name in names(&module) {
            let error = interrupted(&mut store, |store| run(store, instance, &name)).unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&Trap::Interrupt), "{name} {options:?}");
            assert_eq!(error.backtrace().last().unwrap().module, "endless");
            assert_eq!(count(&mut store, instance, 9).unwrap(), 9);
        }
    }
}

#[test]
fn an_interrupt_is_for_the_call_that_is_executed() {
    let module = endless(&["--interruptible", "--fuel"]);
    let mut store = Store::new(());
    store.set_fuel(u64::MAX).unwrap();
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let handle = store.interrupt_handle().unwrap();
    for _ in 0..1000 {
        assert!(!handle.interrupt());
        assert_eq!(count(&mut store, instance, 1).unwrap(), 1);
    }
    // As many calls are stopped as the other thread has been told.
    let (told, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let stopped = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                told.fetch_add(u64::from(handle.interrupt()), Ordering::Relaxed);
                thread::yield_now();
            }
        });
        let calls = (0..3000).map(|_| count(&mut store, instance, 2000));
        let stopped = calls.filter(Result::is_err).count() as u64;
        done.store(true, Ordering::Relaxed);
        stopped
    });
    // Those that came behind the last check of a call have changed nothing.
    assert!(stopped <= told.into_inner());
    assert_eq!(count(&mut store, instance, 5).unwrap(), 5);
}

#[test]
fn calls_around_the_one_that_is_stopped_end_as_well() {
    const WAT: &str = r#"(module (import "host" "f" (func $f (param i32) (result i32)))
        (func (export "endless") (param i32) (result i32) (loop $l (br $l)) (unreachable))
        (func (export "outer") (param i32) (result i32) (loop $l (drop (call $f (i32.const 1))) (br $l)) (unreachable))
        (func (export "one") (param i32) (result i32) (i32.const 1)))"#;
    let mut store = Store::new(());
    let inner = host(&mut store, |_, n| Ok(n));
    let module = module_with("nested", WAT, &["--interruptible"]);
    let inner = Instance::new(&mut store, &module, &[inner.into()]).unwrap();
    let endless: TypedFunc<i32, i32> = inner.get_typed_func(&store, "endless").unwrap();
    // The function of the host hides that its guest was stopped.
    let hides = host(&mut store, move |caller, n| Ok(endless.call(caller, n).unwrap_or(7)));
    let outer = Instance::new(&mut store, &module, &[hides.into()]).unwrap();
    let outer: TypedFunc<i32, i32> = outer.get_typed_func(&store, "outer").unwrap();
    assert_eq!(trap(interrupted(&mut store, |store| outer.call(store, 0))), Trap::Interrupt);
    assert_eq!(call_i32(&mut store, inner, "one", &[0]), 1);
}

#[test]
fn deadlines_stop_calls() {
    let module = endless(&["--interruptible"]);
    let (deadlines, done) = (Deadlines::new(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                deadlines.tick();
                thread::sleep(Duration::from_millis(1));
            }
        });
        let mut store = Store::new(());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        for _ in 0..10 {
            store.set_deadline(&deadlines, Duration::from_millis(5)).unwrap();
            assert_eq!(trap(run(&mut store, instance, "loop")), Trap::Interrupt);
            // It holds until another one is set.
            assert_eq!(trap(run(&mut store, instance, "loop that writes")), Trap::Interrupt);
            store.set_deadline(&deadlines, Duration::MAX).unwrap();
            assert_eq!(count(&mut store, instance, 100_000).unwrap(), 100_000);
            store.clear_deadline();
            assert_eq!(count(&mut store, instance, 100_000).unwrap(), 100_000);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(deadlines.tick(), 0);
}
