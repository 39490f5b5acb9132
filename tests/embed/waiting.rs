//! Asynchronous functions of the host: guests that wait, on whatever thread they go on, and calls that are given up.

use std::future::Future;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use wasmelt_embed::{BoxFuture, InstancePre, StoreConfig};

use super::*;

/// A waker of the thread that blocks.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// Polls once, without anybody to be woken.
pub(super) fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Is pending so many times.
struct Later(u32);

impl Future for Later {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

const GUEST: &str = r#"(module
    (import "host" "wait" (func $wait (param i32) (result i32)))
    (import "host" "now" (func $now (param i32) (result i32)))
    (tag $failed (import "host" "failed") (param i32))
    (memory (export "memory") 1) (global $calls (export "calls") (mut i32) (i32.const 0))
    (func (export "wait") (param i32) (result i32) (call $wait (local.get 0)))
    (func (export "now") (param i32) (result i32) (call $now (local.get 0)))
    (func (export "double") (param i32) (result i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.mul (local.get 0) (i32.const 2)))
    ;; Values of all kinds are kept over each time.
    (func (export "sum") (param $times i32) (param $a i64) (param $b f64) (param $c f32) (param $v v128) (result f64)
        (local $sum f64)
        (loop $again
            (local.set $sum (f64.add (local.get $sum) (f64.convert_i32_s (call $wait (local.get $times)))))
            (local.set $sum (f64.add (local.get $sum) (local.get $b)))
            (local.set $sum (f64.add (local.get $sum) (f64.convert_i64_s (local.get $a))))
            (local.set $sum (f64.add (local.get $sum) (f64.promote_f32 (local.get $c))))
            (local.set $sum (f64.add (local.get $sum) (f64x2.extract_lane 1 (local.get $v))))
            (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
        (local.get $sum))
    (func $deep (export "deep") (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
            (else (call $wait (i32.const 0)))))
    (func $endless (result i32) (i32.add (call $endless) (call $endless)))
    (func (export "wait, then overflow") (result i32) (drop (call $wait (i32.const 1))) (call $endless))
    (func (export "wait, then trap") (result i32) (drop (call $wait (i32.const 1))) (unreachable))
    (func (export "catch") (param i32) (result i32)
        (block $caught (result i32)
            (try_table (catch $failed $caught) (return (call $wait (local.get 0))))
            (unreachable)))
    ;; An exception that nothing but a frame holds.
    (func (export "hold") (param i32) (result i32)
        (local $held exnref)
        (block $made (result i32 exnref)
            (try_table (catch_ref $failed $made) (throw $failed (local.get 0)))
            (unreachable))
        (local.set $held) (drop)
        (drop (call $wait (i32.const -7)))
        (block $caught (result i32)
            (try_table (catch $failed $caught) (throw_ref (local.get $held)))
            (unreachable)))
    (func (export "throw") (param i32) (throw $failed (local.get 0)))
    (func (export "garbage") (param i32)
        (loop $again
            (block $made (result i32 exnref)
                (try_table (catch_ref $failed $made) (throw $failed (local.get 0)))
                (unreachable))
            (drop) (drop)
            (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))"#;

/// What the tests' host keeps in a store.
#[derive(Default)]
struct State {
    /// Futures of the host that are there.
    futures: Arc<AtomicUsize>,
}

/// Counts what has a destructor.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What `wait` of the host does.
fn wait(mut caller: Caller<'_, State>, (n,): (i32,)) -> BoxFuture<'_, Result<i32>> {
    Box::new(async move {
        let _counted = Counted::new(&caller.data().futures);
        Later(n.unsigned_abs() % 3).await;
        let export = |caller: &Caller<'_, State>, name| caller.get_export(name).and_then(Extern::into_func).unwrap();
        match n {
            -1 => Err(Error::msg("the host fails")),
            -2 => Err(Trap::IntegerOverflow.into()),
            -3 => panic!("the host panics"),
            -4 => {
                let Some(Extern::Func(throw)) = caller.get_export("throw") else { panic!() };
                Err(throw.call(&mut caller, &[Val::I32(70)], &mut []).unwrap_err())
            }
            -5 => export(&caller, "double").typed::<i32, i32>(&caller)?.call(&mut caller, 21),
            -6 => {
                let wait = export(&caller, "wait").typed::<i32, i32>(&caller)?;
                Ok(wait.call_async(&mut caller, 5).await? + wait.call_async(&mut caller, -5).await?)
            }
            -7 => {
                let garbage = export(&caller, "garbage").typed::<i32, ()>(&caller)?;
                garbage.call_async(&mut caller, 50_000).await?;
                Later(2).await;
                garbage.call(&mut caller, 50_000)?;
                Ok(0)
            }
            -8 => export(&caller, "now").typed::<i32, i32>(&caller)?.call(&mut caller, 1),
            -9 => {
                let wait = export(&caller, "wait").typed::<i32, i32>(&caller)?;
                let mut given_up = Box::pin(wait.call_async(&mut caller, 100));
                assert!(poll_once(given_up.as_mut()).is_pending());
                drop(given_up);
                wait.call_async(&mut caller, 1).await
            }
            -10 => loop {
                Later(u32::MAX).await;
            },
            n => Ok(n + 1),
        }
    })
}

fn linker(store: &mut Store<State>) -> Linker<State> {
    let mut linker = Linker::new();
    linker.func_wrap_async("host", "wait", wait).unwrap();
    // A function of the host that does not wait, and calls a guest that would.
    let now = |mut caller: Caller<'_, State>, n: i32| -> Result<i32> {
        let Some(Extern::Func(wait)) = caller.get_export("wait") else { panic!() };
        wait.typed::<i32, i32>(&caller)?.call(&mut caller, n)
    };
    linker.func_wrap("host", "now", now).unwrap();
    let tag = wasmelt_embed::Tag::new(&mut *store, FuncType::new([ValType::I32], [])).unwrap();
    linker.define(&*store, "host", "failed", tag).unwrap();
    linker
}

fn guest(options: &[&str]) -> (Store<State>, Instance) {
    let mut store = Store::new(State::default());
    let module = module_with("waiting", GUEST, options);
    let instance = linker(&mut store).instantiate(&mut store, &module).unwrap();
    (store, instance)
}

/// Calls a function with an `i32`, waiting.
fn ask(store: &mut Store<State>, instance: Instance, name: &str, n: i32) -> Result<i32> {
    let func = instance.get_typed_func::<i32, i32>(&*store, name).unwrap();
    block_on(func.call_async(store, n))
}

const CANNOT_WAIT: &str = "an asynchronous function of the host was called by a guest whose own caller does not wait: \
                           call the guest with `call_async`, also from functions of the host";

#[test]
fn guests_wait_and_keep_their_values() {
    for options in [&[][..], &["-O0", "--bounds-checks", "explicit"]] {
        let (mut store, instance) = guest(options);
        for n in 0..10 {
            assert_eq!(ask(&mut store, instance, "wait", n).unwrap(), n + 1);
            assert_eq!(ask(&mut store, instance, "deep", 100 * n).unwrap(), 100 * n + 1);
        }
        let sum = instance.get_func(&store, "sum").unwrap();
        let vector = [0f64.to_le_bytes(), 0.125f64.to_le_bytes()].concat();
        let vector = Val::V128(vector.try_into().unwrap());
        let args = [Val::I32(1000), Val::I64(3), Val::F64(0.5f64.to_bits()), Val::F32(0.25f32.to_bits()), vector];
        let mut results = [Val::I32(0)];
        block_on(sum.call_async(&mut store, &args, &mut results)).unwrap();
        let Val::F64(bits) = results[0] else { panic!("{results:?}") };
        assert_eq!(f64::from_bits(bits), 1000.0 * 3.875 + 1000.0 * 1001.0 / 2.0 + 1000.0);
        assert_eq!(store.data().futures.load(Ordering::Relaxed), 0);
        // What waits for nothing needs no executor.
        assert_eq!(block_on(async { ask(&mut store, instance, "double", 4) }).unwrap(), 8);
    }
}

#[test]
fn what_the_host_comes_to_is_what_the_guest_gets() {
    let (mut store, instance) = guest(&[]);
    for _ in 0..20 {
        assert_eq!(ask(&mut store, instance, "wait", -1).unwrap_err().to_string(), "the host fails");
        let Err(Error::Trap(trap)) =
            ask(&mut store, instance, "deep", 3).and_then(|_| ask(&mut store, instance, "wait", -2))
        else {
            panic!()
        };
        assert_eq!((trap.trap, trap.backtrace.len()), (Trap::IntegerOverflow, 1), "{trap}");
        assert!(matches!(ask(&mut store, instance, "wait", -3), Err(Error::Panic(_))));
        assert!(matches!(ask(&mut store, instance, "wait", -4), Err(Error::Exception(_))));
        assert_eq!(ask(&mut store, instance, "catch", -4).unwrap(), 70);
        assert_eq!(ask(&mut store, instance, "catch", 7).unwrap(), 8);
        assert_eq!(ask(&mut store, instance, "hold", 33).unwrap(), 33);
        for (name, wanted) in [("wait, then trap", Trap::Unreachable), ("wait, then overflow", Trap::StackExhausted)] {
            let func = instance.get_typed_func::<(), i32>(&store, name).unwrap();
            let Err(Error::Trap(trap)) = block_on(func.call_async(&mut store, ())) else { panic!() };
            assert_eq!(trap.trap, wanted);
            assert!(!trap.backtrace.is_empty(), "{trap}");
        }
    }
    assert_eq!(store.data().futures.load(Ordering::Relaxed), 0);
}

#[test]
fn functions_that_wait_call_guests() {
    let (mut store, instance) = guest(&[]);
    for _ in 0..20 {
        assert_eq!(ask(&mut store, instance, "wait", -5).unwrap(), 42);
        assert_eq!(ask(&mut store, instance, "deep", 5).unwrap(), 6);
        assert_eq!(ask(&mut store, instance, "wait", -6).unwrap(), 48);
        assert_eq!(ask(&mut store, instance, "wait", -9).unwrap(), 2);
    }
    let calls = instance.get_global(&store, "calls").unwrap();
    assert_eq!(calls.get(&store).unwrap(), Val::I32(40));
}

#[test]
fn a_caller_that_does_not_wait_is_told() {
    let (mut store, instance) = guest(&[]);
    let told = |result: Result<i32>| assert_eq!(result.unwrap_err().to_string(), CANNOT_WAIT);
    let wait = instance.get_typed_func::<i32, i32>(&store, "wait").unwrap();
    told(wait.call(&mut store, 1));
    told(ask(&mut store, instance, "now", 1));
    told(ask(&mut store, instance, "wait", -8));
    let func = Func::wrap_async(&mut store, wait_alone).unwrap();
    assert_eq!(func.call(&mut store, &[Val::I32(1)], &mut [Val::I32(0)]).unwrap_err().to_string(), CANNOT_WAIT);
    // The host's own functions can be waited for without a guest.
    let mut results = [Val::I32(0)];
    block_on(func.call_async(&mut store, &[Val::I32(1)], &mut results)).unwrap();
    assert_eq!(results, [Val::I32(3)]);
    let ty = FuncType::new([ValType::I32, ValType::I64], [ValType::I64, ValType::I32]);
    let swap = Func::new_async(&mut store, ty, |_: Caller<'_, State>, args, results| {
        Box::new(async move {
            Later(3).await;
            results.clone_from_slice(&[args[1].clone(), args[0].clone()]);
            Ok(())
        })
    });
    let mut results = [Val::I32(0), Val::I32(0)];
    block_on(swap.unwrap().call_async(&mut store, &[Val::I32(1), Val::I64(2)], &mut results)).unwrap();
    assert_eq!(results, [Val::I64(2), Val::I32(1)]);
    assert_eq!(ask(&mut store, instance, "wait", 1).unwrap(), 2);
}

fn wait_alone(_: Caller<'_, State>, n: i32) -> BoxFuture<'_, i32> {
    Box::new(async move {
        Later(2).await;
        n + 2
    })
}

#[test]
fn calls_are_given_up() {
    let (mut store, instance) = guest(&[]);
    let futures = Arc::clone(&store.data().futures);
    let wait = instance.get_typed_func::<i32, i32>(&store, "wait").unwrap();
    for polls in 0..4 {
        let mut call = Box::pin(wait.call_async(&mut store, -10));
        for _ in 0..polls {
            assert!(poll_once(call.as_mut()).is_pending());
        }
        assert_eq!(futures.load(Ordering::Relaxed), usize::from(polls > 0));
        drop(call);
        assert_eq!(futures.load(Ordering::Relaxed), 0);
        assert_eq!(ask(&mut store, instance, "deep", 1000).unwrap(), 1001);
    }
    // Without its destructor, a call holds its own things for ever, and nothing of the store.
    let mut call = Box::pin(wait.call_async(&mut store, -10));
    assert!(poll_once(call.as_mut()).is_pending());
    mem::forget(call);
    assert_eq!(ask(&mut store, instance, "deep", 1000).unwrap(), 1001);
    assert_eq!(call_i32(&mut store, instance, "double", &[4]), 8);
    store.reset();
}

#[test]
fn a_call_that_waits_can_be_interrupted() {
    let (mut store, instance) = guest(&["--interruptible"]);
    let handle = store.interrupt_handle().unwrap();
    let sum = instance.get_func(&store, "sum").unwrap();
    let args = [Val::I32(1000), Val::I64(3), Val::F64(0), Val::F32(0), Val::V128([0; 16])];
    let mut results = [Val::I32(0)];
    assert!(!handle.interrupt(), "nothing is executed");
    let mut call = Box::pin(sum.call_async(&mut store, &args, &mut results));
    assert!(poll_once(call.as_mut()).is_pending());
    assert!(handle.interrupt());
    let error = block_on(call).unwrap_err();
    assert!(matches!(error, Error::Trap(ref trap) if trap.trap == Trap::Interrupt), "{error}");
    assert!(!handle.interrupt(), "nothing is executed");
    // A call that was given up is not one that is executed.
    let mut call = Box::pin(sum.call_async(&mut store, &args, &mut results));
    assert!(poll_once(call.as_mut()).is_pending());
    drop(call);
    assert!(!handle.interrupt());
    assert_eq!(ask(&mut store, instance, "wait", 4).unwrap(), 5);
}

#[test]
fn instances_wait_when_they_start() {
    const WAT: &str = r#"(module (import "host" "wait" (func $wait (param i32) (result i32)))
        (global $found (export "found") (mut i32) (i32.const 0))
        (func $start (global.set $found (call $wait (i32.const 8)))) (start $start))"#;
    let mut store = Store::new(State::default());
    let module = module("starts", WAT);
    let linker = linker(&mut store);
    assert_eq!(linker.instantiate(&mut store, &module).unwrap_err().to_string(), CANNOT_WAIT);
    let instance = block_on(linker.instantiate_async(&mut store, &module)).unwrap();
    assert_eq!(instance.get_global(&store, "found").unwrap().get(&store).unwrap(), Val::I32(9));
    let func = Func::wrap_async(&mut store, wait).unwrap();
    block_on(Instance::new_async(&mut store, &module, &[func.into()])).unwrap();
}

/// Panics when it is dropped.
struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        panic!("a destructor panics");
    }
}

#[test]
fn destructors_of_the_host_panic() {
    let (mut store, instance) = guest(&[]);
    let later = Func::wrap_async(&mut store, |_: Caller<'_, State>, (times,): (i32,)| {
        Box::new(async move {
            let _dropped = Dropped;
            Later(times as u32).await;
            times
        })
    });
    let ty = "(import \"host\" \"wait\" (func $wait (param i32) (result i32)))";
    let wat = format!("(module {ty} (func (export \"wait\") (param i32) (result i32) (call $wait (local.get 0))))");
    let waiting = Instance::new(&mut store, &module("destructors", &wat), &[later.unwrap().into()]).unwrap();
    for _ in 0..20 {
        // As the function ends, and as its call is given up.
        assert!(matches!(ask(&mut store, waiting, "wait", 3), Err(Error::Panic(_))));
        let wait = waiting.get_typed_func::<i32, i32>(&store, "wait").unwrap();
        let mut call = Box::pin(wait.call_async(&mut store, 1000));
        assert!(poll_once(call.as_mut()).is_pending());
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(call))).is_err());
        // The store names neither call.
        assert_eq!(ask(&mut store, instance, "deep", 1000).unwrap(), 1001);
        assert_eq!(call_i32(&mut store, instance, "double", &[4]), 8);
    }
}

/// How many guests wait at the same time.
const MANY: usize = 10_000;

#[test]
fn ten_thousand_guests_wait_on_two_threads() {
    const WAT: &str = r#"(module (import "host" "ticket" (func $ticket (param i32) (result i32)))
        (func (export "run") (param i32) (result i32)
            (i32.add (call $ticket (local.get 0)) (call $ticket (i32.const 1)))))"#;
    let mut linker = Linker::<u32>::new();
    linker
        .func_wrap_async("host", "ticket", |caller: Caller<'_, u32>, (n,): (u32,)| {
            Box::new(async move {
                Later(2).await;
                n * caller.data()
            })
        })
        .unwrap();
    let ready = linker.instantiate_pre(&module("ticket", WAT)).unwrap();
    let guest = |ready: InstancePre<u32>, n: u32| async move {
        let mut config = StoreConfig::default();
        config.stack_bytes = Some(256 << 10);
        let mut store = Store::with_config(n, config);
        let run = ready.instantiate_async(&mut store).await?.get_typed_func::<u32, u32>(&store, "run")?;
        run.call_async(&mut store, 10).await
    };
    type Guest = Pin<Box<dyn Future<Output = Result<u32>> + Send>>;
    let new = |n| (n, Some(Box::pin(guest(ready.clone(), n)) as Guest));
    let mut guests: Vec<(u32, Option<Guest>)> = (0..MANY as u32).map(new).collect();
    // Each round, every guest is polled by the other thread.
    for round in 0..5 {
        let (left, right) = guests.split_at_mut(MANY / 2);
        let poll = |half: &mut [(u32, Option<Guest>)]| {
            for (n, guest) in half {
                match poll_once(guest.as_mut().unwrap().as_mut()) {
                    Poll::Ready(result) => {
                        assert_eq!((round, result.unwrap()), (4, 11 * *n));
                        *guest = None;
                    }
                    Poll::Pending => assert!(round < 4),
                }
            }
        };
        thread::scope(|scope| {
            let (first, second) = if round % 2 == 0 { (left, right) } else { (right, left) };
            scope.spawn(|| poll(first));
            poll(second);
        });
    }
    assert!(guests.iter().all(|(_, guest)| guest.is_none()));
}
