//! Guests that compute for long give the executor its thread back: after as much fuel, or time, as the host has set.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use wasmelt_embed::{Deadlines, TypedFunc};

use super::waiting::{block_on, poll_once};
use super::*;

/// `sum` has more values than the CPU has registers, of all kinds, while it loops.
const GUEST: &str = r#"(module
    (import "host" "step" (func $step)) (import "host" "call" (func $call (param i32) (result i32)))
    (global $calls (mut i32) (i32.const 0))
    (func $sum (export "sum") (param $n i32) (result i64)
        LOCALS
        (loop $again
            STEPS
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        RESULT)
    (func (export "endless") (loop $again (call $step) (br $again)))
    (func (export "count") (param $n i32) (result i32) (local $i i32)
        (loop $again
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $again (i32.lt_u (local.get $i) (local.get $n))))
        (local.get $i))
    (func $deep (param $n i32) (result i32)
        (if (result i32) (local.get $n)
            (then (i32.add (call $deep (i32.sub (local.get $n) (i32.const 1))) (i32.const 1)))
            (else (i32.const 0))))
    (func $recurs (export "recurs") (param $n i32) (result i32) (call $deep (local.get $n)))
    (func $traps (export "traps") (param $n i32) (result i32) (drop (call $sum (local.get $n))) (unreachable))
    (func $overflows (export "overflows") (param $n i32) (result i32)
        (i32.add (call $overflows (i32.add (local.get $n) (i32.const 1))) (i32.const 1)))
    (func (export "nested") (param $n i32) (result i32)
        (local.set $n (call $call (local.get $n)))
        (drop (call $sum (i32.const 1000)))
        (local.get $n)))"#;

/// The guest, where each turn of `sum` changes 12 values of each type.
fn wat() -> String {
    let types = ["i32", "i64", "f32", "f64", "v128"];
    let each = |line: &dyn Fn(usize, &str) -> String| -> String {
        (0..12).flat_map(|n| types.map(|ty| line(n, ty))).collect::<Vec<_>>().join("\n")
    };
    let locals = each(&|n, ty| format!("(local ${ty}{n} {ty})"));
    let steps = each(&|n, ty| {
        let (this, next) = (format!("${ty}{n}"), format!("${ty}{}", (n + 1) % 12));
        let (add, one) = match ty {
            "v128" => ("i32x4.add", format!("(i32x4.splat (i32.const {}))", n + 1)),
            "i32" => ("i32.add", format!("(i32.add (local.get $n) (i32.const {n}))")),
            "i64" => ("i64.add", format!("(i64.const {})", 3 * n + 1)),
            "f32" => ("f32.add", format!("(f32.const {n}.5)")),
            _ => ("f64.add", format!("(f64.const {n}.25)")),
        };
        format!("(local.set {this} ({add} (local.get {next}) {one}))")
    });
    let bits = |n: usize, ty: &str| match ty {
        "i32" => format!("(i64.extend_i32_u (local.get $i32{n}))"),
        "i64" => format!("(local.get $i64{n})"),
        "f32" => format!("(i64.extend_i32_u (i32.reinterpret_f32 (local.get $f32{n})))"),
        "f64" => format!("(i64.reinterpret_f64 (local.get $f64{n}))"),
        _ => {
            format!("(i64.add (i64x2.extract_lane 0 (local.get $v128{n})) (i64x2.extract_lane 1 (local.get $v128{n})))")
        }
    };
    let result = each(&|n, ty| format!("{} (i64.mul (i64.const 31)) (i64.add)", bits(n, ty)));
    let result = format!(
        "(i64.const 1) {}",
        result.replace("(i64.mul (i64.const 31)) (i64.add)", "i64.add i64.const 31 i64.mul")
    );
    GUEST.replace("LOCALS", &locals).replace("STEPS", &steps).replace("RESULT", &result)
}

/// What the tests' host keeps in a store.
#[derive(Default)]
struct State {
    steps: Arc<AtomicU32>,
    /// Looked at in each step.
    deadlines: Deadlines,
}

const WAYS: [&[&str]; 3] = [&[], &["-O0"], &["--bounds-checks", "explicit"]];

fn guest_with(options: &[&str]) -> (Store<State>, Instance) {
    let mut store = Store::new(State::default());
    let instance = linker(false).instantiate(&mut store, &module_with("yields", &wat(), options)).unwrap();
    (store, instance)
}

/// A guest with this much fuel, that gives the executor back after each of these intervals.
fn fueled(options: &[&str], fuel: u64, interval: u64) -> (Store<State>, Instance) {
    let (mut store, instance) = guest_with(&[options, &["--fuel"]].concat());
    store.set_fuel(fuel).unwrap();
    store.fuel_async_yield_interval(Some(interval)).unwrap();
    (store, instance)
}

fn linker(calls_wait: bool) -> Linker<State> {
    let mut linker = Linker::new();
    let step = |caller: Caller<'_, State>| {
        caller.data().steps.fetch_add(1, Ordering::Relaxed);
        caller.data().deadlines.tick();
    };
    linker.func_wrap("host", "step", step).unwrap();
    let sum = |caller: &Caller<'_, State>| {
        caller.get_export("sum").and_then(Extern::into_func).unwrap().typed::<i32, i64>(caller)
    };
    match calls_wait {
        true => linker.func_wrap_async("host", "call", move |mut caller: Caller<'_, State>, (n,): (i32,)| {
            Box::new(async move { sum(&caller)?.call_async(&mut caller, n).await.map(|sum| sum as i32) })
        }),
        false => linker.func_wrap("host", "call", move |mut caller: Caller<'_, State>, n: i32| {
            sum(&caller)?.call(&mut caller, n).map(|sum| sum as i32)
        }),
    }
    .unwrap();
    linker
}

/// Polls until the future is ready; how often it was pending.
fn polls<F: Future>(future: F) -> (u32, F::Output) {
    let mut future = Box::pin(future);
    for pending in 0.. {
        if let Poll::Ready(output) = poll_once(future.as_mut()) {
            return (pending, output);
        }
    }
    unreachable!("it ends some day")
}

fn sum(store: &mut Store<State>, instance: Instance, n: i32) -> (u32, Result<i64>) {
    let sum: TypedFunc<i32, i64> = instance.get_typed_func(&*store, "sum").unwrap();
    polls(sum.call_async(store, n))
}

#[test]
fn guests_go_on_as_if_nothing_had_happened() {
    for options in WAYS {
        let (mut store, instance) = fueled(options, u64::MAX, 1_000);
        let at_once = instance.get_typed_func::<i32, i64>(&store, "sum").unwrap().call(&mut store, 500).unwrap();
        store.set_fuel(1 << 40).unwrap();
        let (pending, result) = sum(&mut store, instance, 500);
        assert_eq!(result.unwrap(), at_once, "{options:?}");
        let used = (1 << 40) - store.get_fuel().unwrap();
        // The guest asks at the start of each turn, which is longer than a tenth of an interval.
        assert!(u64::from(pending) <= used / 1_000 && u64::from(pending) > used / 2_000, "{pending} {used}");
        let recurs = instance.get_typed_func::<i32, i32>(&store, "recurs").unwrap();
        let (pending, result) = polls(recurs.call_async(&mut store, 2_000));
        assert_eq!(result.unwrap(), 2_000);
        assert!(pending > 5, "{pending}");
        // By whatever executor.
        assert_eq!(block_on(recurs.call_async(&mut store, 2_000)).unwrap(), 2_000);
    }
}

#[test]
fn all_fuel_is_used_and_no_more() {
    let (mut store, instance) = fueled(&[], 0, 1_000);
    let mut without = guest_with(&["--fuel"]);
    for fuel in (0..60_000).step_by(1_777) {
        without.0.set_fuel(fuel).unwrap();
        let (pending, at_once) = sum(&mut without.0, without.1, 100);
        assert_eq!(pending, 0);
        for interval in [1, 100, 1_000, 1_000_000, u64::MAX] {
            store.set_fuel(fuel).unwrap();
            store.fuel_async_yield_interval(Some(interval)).unwrap();
            assert_eq!(store.get_fuel().unwrap(), fuel);
            let (_, result) = sum(&mut store, instance, 100);
            assert_eq!(store.get_fuel().unwrap(), without.0.get_fuel().unwrap());
            match (&at_once, &result) {
                (Ok(a), Ok(b)) => assert_eq!(a, b),
                (Err(a), Err(b)) => assert_eq!(a.to_string(), b.to_string()),
                _ => panic!("{at_once:?} {result:?}"),
            }
        }
    }
    store.set_fuel(5_000).unwrap();
    store.fuel_async_yield_interval(None).unwrap();
    let (pending, result) = sum(&mut store, instance, 100);
    assert_eq!((pending, trap(result), store.get_fuel().unwrap()), (0, Trap::OutOfFuel, 0));
}

/// Polls both in turn until each has made so many steps.
fn in_turn(stores: [&mut Store<State>; 2], instances: [Instance; 2], steps: u32) {
    let counts = stores.each_ref().map(|store| Arc::clone(&store.data().steps));
    let [a, b] = stores;
    let endless = |n: usize, store: &Store<State>| instances[n].get_typed_func::<(), ()>(store, "endless").unwrap();
    let [endless_a, endless_b] = [endless(0, a), endless(1, b)];
    let (mut a, mut b) = (Box::pin(endless_a.call_async(a, ())), Box::pin(endless_b.call_async(b, ())));
    while counts.iter().any(|count| count.load(Ordering::Relaxed) < steps) {
        assert!(poll_once(a.as_mut()).is_pending() && poll_once(b.as_mut()).is_pending());
    }
}

#[test]
fn two_guests_without_end_share_a_thread() {
    for options in WAYS {
        let (mut a, mut b) = (fueled(options, u64::MAX, 1_000), fueled(options, u64::MAX, 50));
        in_turn([&mut a.0, &mut b.0], [a.1, b.1], 1_000);
        // What was given up is gone, and the store has what was left.
        assert!(sum(&mut a.0, a.1, 100).1.is_ok());
        assert!(a.0.get_fuel().unwrap() < i64::MAX as u64 - 1_000);

        let [mut a, mut b] = [0; 2].map(|_| guest_with(&[options, &["--interruptible"]].concat()));
        for store in [&mut a.0, &mut b.0] {
            let deadlines = store.data().deadlines.clone();
            store.deadline_async_yield_and_update(&deadlines, Duration::ZERO).unwrap();
        }
        in_turn([&mut a.0, &mut b.0], [a.1, b.1], 1_000);
        assert!(sum(&mut a.0, a.1, 100).1.is_ok());
    }
}

#[test]
fn another_thread_says_when_slices_are_over() {
    let deadlines = Deadlines::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                deadlines.tick();
                thread::yield_now();
            }
        });
        let [mut a, mut b] = [0; 2].map(|_| guest_with(&["--interruptible"]));
        for store in [&mut a.0, &mut b.0] {
            store.deadline_async_yield_and_update(&deadlines, Duration::from_nanos(1)).unwrap();
        }
        in_turn([&mut a.0, &mut b.0], [a.1, b.1], 10_000);
        let at_once = guest_with(&[]);
        let wanted = sum(&mut { at_once.0 }, at_once.1, 20_000).1.unwrap();
        let (pending, found) = sum(&mut a.0, a.1, 20_000);
        assert_eq!(found.unwrap(), wanted, "pending {pending} times");
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_guest_that_gave_the_executor_back_can_be_stopped() {
    let (mut store, instance) = guest_with(&["--interruptible"]);
    let (handle, deadlines) = (store.interrupt_handle().unwrap(), store.data().deadlines.clone());
    store.deadline_async_yield_and_update(&deadlines, Duration::ZERO).unwrap();
    let endless = instance.get_typed_func::<(), ()>(&store, "endless").unwrap();
    let mut call = Box::pin(endless.call_async(&mut store, ()));
    for _ in 0..100 {
        assert!(poll_once(call.as_mut()).is_pending());
    }
    assert!(handle.interrupt());
    assert_eq!(trap(block_on(call)), Trap::Interrupt);
    // The whole time is over.
    store.set_deadline(&deadlines, Duration::ZERO).unwrap();
    assert_eq!(trap(block_on(endless.call_async(&mut store, ()))), Trap::Interrupt);
    store.set_deadline(&deadlines, Duration::MAX).unwrap();
    let mut call = Box::pin(endless.call_async(&mut store, ()));
    assert!(poll_once(call.as_mut()).is_pending());
    drop(call);
    store.clear_deadline();
    assert!(!handle.interrupt());
    assert_eq!(sum(&mut store, instance, 100).0, 0);
}

#[test]
fn guests_trap_after_they_gave_the_executor_back() {
    for options in WAYS {
        let (mut store, instance) = fueled(options, u64::MAX, 500);
        for _ in 0..3 {
            for (name, wanted) in [("traps", Trap::Unreachable), ("overflows", Trap::StackExhausted)] {
                let func = instance.get_typed_func::<i32, i32>(&store, name).unwrap();
                let (pending, result) = polls(func.call_async(&mut store, 100));
                let Err(Error::Trap(trap)) = result else { panic!("{result:?}") };
                assert!(pending > 10 && trap.trap == wanted, "{pending} {trap}");
                assert_eq!(trap.backtrace[0].function_name, name, "{trap}");
            }
            store.set_fuel(3_000).unwrap();
            let traps = instance.get_typed_func::<i32, i32>(&store, "traps").unwrap();
            let Err(Error::Trap(trap)) = polls(traps.call_async(&mut store, 1_000)).1 else { panic!() };
            let names: Vec<_> = trap.backtrace.iter().map(|frame| &*frame.function_name).collect();
            assert_eq!((trap.trap, &names[..]), (Trap::OutOfFuel, &["sum", "traps"][..]), "{trap}");
            store.set_fuel(u64::MAX).unwrap();
        }
    }
}

#[test]
fn what_cannot_wait_goes_on() {
    let (mut store, instance) = fueled(&[], 1 << 40, 100);
    let wanted = instance.get_typed_func::<i32, i64>(&store, "sum").unwrap().call(&mut store, 2_000).unwrap();
    let nested = instance.get_typed_func::<i32, i32>(&store, "nested").unwrap();
    // The guest around the host's function gives the executor back, as often as its own code needs.
    let (pending, result) = polls(nested.call_async(&mut store, 2_000));
    assert_eq!(result.unwrap(), wanted as i32);
    let (outer, result) = polls(nested.call_async(&mut store, 1));
    result.unwrap();
    assert!(outer > 10 && pending == outer, "{pending} {outer}");
    // Where the host's function waits, so does the guest in it.
    let waiting = linker(true).instantiate(&mut store, &module_with("yields", &wat(), &["--fuel"])).unwrap();
    let nested = waiting.get_typed_func::<i32, i32>(&store, "nested").unwrap();
    let (pending, result) = polls(nested.call_async(&mut store, 2_000));
    assert_eq!(result.unwrap(), wanted as i32);
    assert!(pending > outer + 1_000, "{pending} {outer}");
    // Both traps end the call around them.
    for instance in [instance, waiting] {
        store.set_fuel(20_000).unwrap();
        let nested = instance.get_typed_func::<i32, i32>(&store, "nested").unwrap();
        assert_eq!(trap(polls(nested.call_async(&mut store, 2_000)).1), Trap::OutOfFuel);
        assert_eq!(store.get_fuel().unwrap(), 0);
    }
    store.set_fuel(20_000).unwrap();
    let sum = instance.get_typed_func::<i32, i64>(&store, "sum").unwrap();
    assert_eq!(trap(sum.call(&mut store, 2_000)), Trap::OutOfFuel);
}

#[test]
fn deadlines_let_what_cannot_wait_go_on() {
    let (mut store, instance) = guest_with(&["--interruptible"]);
    let deadlines = store.data().deadlines.clone();
    store.deadline_async_yield_and_update(&deadlines, Duration::ZERO).unwrap();
    let func = instance.get_typed_func::<i32, i64>(&store, "sum").unwrap();
    let wanted = func.call(&mut store, 100).unwrap();
    assert_eq!(sum(&mut store, instance, 100).1.unwrap(), wanted);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                deadlines.tick();
                thread::yield_now();
            }
        });
        let nested = instance.get_typed_func::<i32, i32>(&store, "nested").unwrap();
        assert_eq!(nested.call(&mut store, 100).unwrap(), wanted as i32);
        assert_eq!(block_on(nested.call_async(&mut store, 100)).unwrap(), wanted as i32);
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn who_cannot_be_told_is_refused() {
    let (mut store, _) = guest_with(&[]);
    let fuel = "module \"yields\" does not count fuel: compile it with `--emit cdylib --fuel`";
    let interrupt = "module \"yields\" cannot be interrupted: compile it with `--emit cdylib --interruptible`";
    assert_eq!(store.fuel_async_yield_interval(Some(1)).unwrap_err().to_string(), fuel);
    let yields = store.deadline_async_yield_and_update(&Deadlines::new(), Duration::ZERO);
    assert_eq!(yields.unwrap_err().to_string(), interrupt);
    let (mut store, instance) = fueled(&[], 1_000_000, 100);
    let zero = store.fuel_async_yield_interval(Some(0)).unwrap_err().to_string();
    assert_eq!(zero, "a guest cannot give the executor back after no fuel: the interval is 0");
    assert!(sum(&mut store, instance, 10).0 > 1);
    store.reset();
    store.set_fuel(1_000_000).unwrap();
    let instance = linker(false).instantiate(&mut store, &module_with("yields", &wat(), &["--fuel"])).unwrap();
    assert_eq!(sum(&mut store, instance, 10).0, 0);
}
