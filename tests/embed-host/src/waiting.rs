//! Guests that wait for functions of the host, and go on in other threads.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use wasmelt_embed::{Caller, Deadlines, Error, Exception, Extern, Func, Instance, Linker, Store, Trap, Val};

use crate::modules::Modules;

/// Is pending once.
struct Later(bool);

impl Future for Later {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Polls until it is done, each time in another thread, with floats in all registers; how often it was polled.
fn finish<F: Future<Output: Send> + Send>(future: F) -> (usize, F::Output) {
    let mut future = Box::pin(future);
    for polls in 1.. {
        let poll = || {
            let all: [f64; 10] = std::array::from_fn(|i| f64::from(black_box(i as i32)) + 0.5);
            let [a, b, c, d, e, f, g, h, i, j] = all.map(black_box);
            let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!([a + j, b + i, c + h, d + g, e + f], [10.0; 5]);
            polled
        };
        let polled = thread::scope(|scope| scope.spawn(poll).join());
        if let Ok(Poll::Ready(output)) = polled {
            return (polls, output);
        }
    }
    unreachable!("it is done at some time")
}

pub(crate) fn waiting(modules: &Modules) {
    let mut store = Store::new(());
    // Calls the guest again, which waits as well.
    let f = Func::wrap_async(&mut store, |mut caller: Caller<'_, ()>, (n,): (i32,)| {
        Box::new(async move {
            Later(false).await;
            let Some(Extern::Func(down)) = caller.get_export("down") else { panic!("there is a function") };
            down.typed::<i32, i32>(&caller)?.call_async(&mut caller, n).await
        })
    });
    let instance = Instance::new(&mut store, &modules.get("calls"), &[f.unwrap().into()]).unwrap();
    let down = instance.get_typed_func::<i32, i32>(&store, "down").unwrap();
    for n in [0, 1, 2, 30] {
        let (polls, result) = finish(down.call_async(&mut store, n));
        assert_eq!((polls, result.unwrap()), (n as usize + 1, n));
    }
    // Given up in the middle.
    for _ in 0..10 {
        let mut call = Box::pin(down.call_async(&mut store, 10));
        for _ in 0..5 {
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
    }
    assert!(down.call(&mut store, 1).is_err());
    assert_eq!(down.call(&mut store, 0).unwrap(), 0);
}

pub(crate) fn waiting_fails(modules: &Modules) {
    let mut store = Store::new(());
    let thrower = Instance::new(&mut store, &modules.get("thrower"), &[]).unwrap();
    let Some(Extern::Tag(e)) = thrower.get_export(&store, "e") else { panic!("there is a tag") };
    let throw = Func::wrap_async(&mut store, move |caller: Caller<'_, ()>, (n,): (i32,)| {
        Box::new(async move {
            Later(false).await;
            match n {
                0 => Err::<i32, _>(Error::host("none")),
                n => Err(Error::Exception(Exception::new(caller, e, &[Val::I32(n), Val::I64(1000)])?)),
            }
        })
    });
    let mut linker = Linker::new();
    linker.define(&store, "thrower", "throw", throw.unwrap()).unwrap().define(&store, "thrower", "e", e).unwrap();
    let catcher = linker.instantiate(&mut store, &modules.get("catcher")).unwrap();
    let catch = catcher.get_typed_func::<i32, i32>(&store, "catch").unwrap();
    for n in 1..50 {
        assert_eq!(finish(catch.call_async(&mut store, n)).1.unwrap(), 4 * n + 1000);
        assert!(finish(catch.call_async(&mut store, 0)).1.is_err());
    }
    // Floats of the host's threads are kept over the guest, which uses all registers.
    let f = Func::wrap_async(&mut store, |_: Caller<'_, ()>, (n,): (i32,)| {
        Box::new(async move {
            Later(false).await;
            n
        })
    });
    let floats = Instance::new(&mut store, &modules.get("floats"), &[f.unwrap().into()]).unwrap();
    let calls = floats.get_typed_func::<i32, ()>(&store, "calls").unwrap();
    for n in 1..50 {
        assert_eq!(finish(calls.call_async(&mut store, n)).0, 2);
    }
}

pub(crate) fn yielding(modules: &Modules) {
    let (mut store, deadlines) = (Store::new(()), Deadlines::new());
    let instance = Instance::new(&mut store, &modules.get("slices"), &[]).unwrap();
    let sum = instance.get_typed_func::<i32, i64>(&store, "sum").unwrap();
    store.set_fuel(u64::MAX).unwrap();
    let wanted = sum.call(&mut store, 1000).unwrap();
    store.fuel_async_yield_interval(Some(2000)).unwrap();
    assert_eq!(sum.call(&mut store, 1000).unwrap(), wanted);
    let (polls, result) = finish(sum.call_async(&mut store, 1000));
    assert!(polls > 50 && result.unwrap() == wanted, "polled {polls} times");
    // For the other reason.
    store.fuel_async_yield_interval(None).unwrap();
    store.deadline_async_yield_and_update(&deadlines, Duration::ZERO).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                deadlines.tick();
            }
        });
        // Until the other thread has run at the same time.
        loop {
            let (polls, result) = finish(sum.call_async(&mut store, 100_000));
            assert_eq!(result.unwrap(), sum.call(&mut store, 100_000).unwrap());
            if polls > 1 {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    store.set_fuel(20_000).unwrap();
    store.fuel_async_yield_interval(Some(2000)).unwrap();
    let error = finish(sum.call_async(&mut store, 1000)).1.unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&Trap::OutOfFuel));
}
