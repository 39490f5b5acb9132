//! Embedding: what instances, calls between host and guest and traps cost, and how fast the code of a library is beside
//! the same module as an executable.

mod common;

use std::hint::black_box;
use std::mem;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use common::{Result, support};
use wasmelt_embed::{
    Caller, Instance, InstancePre, Linker, Module, Pool, PoolConfig, Store, StoreConfig, StoreLimitsBuilder, TypedFunc,
};

/// Guest code for all rows. The kernels are called with the number of rounds.
const WAT: &str = r#"(module
    (type $binary (func (param i64) (result i64)))
    (import "host" "tick" (func $tick (param i32)))
    (memory 16) (table 2 funcref) (elem (i32.const 0) $double $increment)
    (func $double (type $binary) (i64.shl (local.get 0) (i64.const 1)))
    (func $increment (type $binary) (i64.add (local.get 0) (i64.const 1)))
    (func (export "nothing"))
    (func (export "trap") unreachable)
    (func (export "pages") (param $n i64) (local $p i32)
        (loop $l (i32.store (local.get $p) (i32.const 1)) (local.set $p (i32.add (local.get $p) (i32.const 4096)))
            (br_if $l (i64.ne (i64.const 0) (local.tee $n (i64.sub (local.get $n) (i64.const 1)))))))
    (func (export "grow") (param $n i64)
        (loop $l (drop (memory.grow (i32.const 1)))
            (br_if $l (i64.ne (i64.const 0) (local.tee $n (i64.sub (local.get $n) (i64.const 1)))))))
    (func (export "tick") (param $n i64)
        (loop $l (call $tick (i32.const 1))
            (br_if $l (i64.ne (i64.const 0) (local.tee $n (i64.sub (local.get $n) (i64.const 1)))))))
    (func $fib (export "recursion") (param $n i64) (result i64)
        (if (result i64) (i64.lt_s (local.get $n) (i64.const 2)) (then (local.get $n))
            (else (i64.add (call $fib (i64.sub (local.get $n) (i64.const 1)))
                (call $fib (i64.sub (local.get $n) (i64.const 2)))))))
    (func (export "calls through a table") (param $n i64) (result i64) (local $x i64)
        (loop $l (local.set $x (call_indirect (type $binary) (local.get $x) (i32.wrap_i64 (i64.and (local.get $n) (i64.const 1)))))
            (br_if $l (i64.ne (i64.const 0) (local.tee $n (i64.sub (local.get $n) (i64.const 1))))))
        (local.get $x))
    (func (export "memory") (param $n i64) (result i64) (local $p i32) (local $x i64)
        (loop $l
            (local.set $p (i32.and (i32.wrap_i64 (i64.mul (local.get $n) (i64.const 2654435761))) (i32.const 0xfff8)))
            (local.set $x (i64.xor (local.get $x) (i64.load (local.get $p))))
            (i64.store (local.get $p) (i64.add (local.get $x) (local.get $n)))
            (br_if $l (i64.ne (i64.const 0) (local.tee $n (i64.sub (local.get $n) (i64.const 1))))))
        (local.get $x)))"#;

/// Exports that compute something, and with what: tens of milliseconds each.
const KERNELS: &[(&str, i64)] = &[("recursion", 35), ("calls through a table", 40_000_000), ("memory", 40_000_000)];

fn main() -> Result {
    common::main(21, bench)
}

fn bench(arguments: &common::Arguments) -> Result {
    let folder = support::scratch();
    let source = folder.path().join("bench.wat");
    std::fs::write(&source, WAT)?;
    let library = folder.path().join("bench.so");
    compile(&source, &library, &["--emit", "cdylib"])?;
    // SAFETY: wasmelt has just made it.
    let module = unsafe { Module::load(&library, "bench") }?;

    println!("embedding: medians of {} runs", arguments.runs);
    costs(arguments, &module)?;
    println!("\ncode of a library against the same code as an executable: wall time in ms, and ratio");
    common::print_row(&["", "library", "executable", "ratio"].map(ToOwned::to_owned));
    for (name, n) in KERNELS.iter().filter(|(name, _)| arguments.select(name)) {
        kernel(arguments, &module, &source, folder.path(), name, *n)?;
    }
    Ok(())
}

fn compile(source: &Path, output: &Path, options: &[&str]) -> Result {
    let result = support::wasmelt().arg("compile").arg(source).arg("-o").arg(output).args(options).output()?;
    if result.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&result.stderr).into()) }
}

/// What the module imports, typed or not.
fn linker(is_typed: bool) -> Result<Linker<()>> {
    let mut linker = Linker::new();
    if is_typed {
        linker.func_wrap("host", "tick", |n: i32| _ = black_box(n))?;
    } else {
        let ty = wasmelt_embed::FuncType::new([wasmelt_embed::ValType::I32], []);
        linker.func_new("host", "tick", ty, |_, args, _| {
            black_box(args);
            Ok(())
        })?;
    }
    Ok(linker)
}

fn instance(store: &mut Store<()>, module: &Module) -> Result<Instance> {
    Ok(linker(true)?.instantiate(store, module)?)
}

/// Prints how long one of `count` repetitions takes.
fn row(arguments: &common::Arguments, name: &str, count: u32, mut repeat: impl FnMut(u32) -> Result) -> Result {
    if !arguments.select(name) {
        return Ok(());
    }
    repeat(count)?;
    let mut nanos = Vec::new();
    for _ in 0..arguments.runs {
        let start = Instant::now();
        repeat(count)?;
        nanos.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(count));
    }
    common::print_row(&[name.to_owned(), format!("{:.0} ns", common::median(&nanos))]);
    Ok(())
}

fn costs(arguments: &common::Arguments, module: &Module) -> Result {
    let ready = linker(true)?.instantiate_pre(module)?;
    row(arguments, "store and instance, made and dropped", 200, |count| {
        for _ in 0..count {
            ready.instantiate(&mut Store::new(()))?;
        }
        Ok(())
    })?;
    pooled(arguments, &ready)?;
    let mut store = Store::new(());
    let guest = ready.instantiate(&mut store)?;
    let nothing: TypedFunc<(), ()> = guest.get_typed_func(&store, "nothing")?;
    row(arguments, "call of the host into a guest, typed", 100_000, |count| {
        for _ in 0..count {
            nothing.call(&mut store, ())?;
        }
        Ok(())
    })?;
    row(arguments, "call of the host into a guest, untyped", 100_000, |count| {
        for _ in 0..count {
            nothing.func().call(&mut store, &[], &mut [])?;
        }
        Ok(())
    })?;
    for (name, is_typed) in
        [("call of a guest to the host, typed", true), ("call of a guest to the host, untyped", false)]
    {
        let guest = linker(is_typed)?.instantiate(&mut store, module)?;
        let tick: TypedFunc<i64, ()> = guest.get_typed_func(&store, "tick")?;
        row(arguments, name, 100_000, |count| Ok(tick.call(&mut store, count.into())?))?;
    }
    waiting(arguments, module)?;
    refused_growth(arguments, module)?;
    let trap: TypedFunc<(), ()> = guest.get_typed_func(&store, "trap")?;
    row(arguments, "trap, with its backtrace", 2_000, |count| {
        for _ in 0..count {
            let _ = black_box(trap.call(&mut store, ()));
        }
        Ok(())
    })
}

/// Stores that come and go in a pool, each with an instance and a call that writes to some pages.
fn pooled(arguments: &common::Arguments, ready: &InstancePre<()>) -> Result {
    let mut config = StoreConfig::default();
    config.pool = Some(Pool::new(PoolConfig::default())?);
    let use_pages = |store: &mut Store<()>, pages: i64| {
        let guest = ready.instantiate(&mut *store)?;
        guest.get_typed_func::<i64, ()>(&*store, "pages")?.call(store, pages)
    };
    row(arguments, "in a pool: store, instance, a call, dropped", 2000, |count| {
        for _ in 0..count {
            use_pages(&mut Store::with_config((), config.clone()), 1)?;
        }
        Ok(())
    })?;
    let mut store = Store::with_config((), config.clone());
    for pages in [1, 16, 256] {
        row(arguments, &format!("in a pool: reset, instance, a call that writes to {pages} pages"), 500, |count| {
            for _ in 0..count {
                store.reset();
                use_pages(&mut store, pages)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Calls that can wait: they do not, or once for each call of the host.
fn waiting(arguments: &common::Arguments, module: &Module) -> Result {
    let mut store = Store::new(());
    for (name, times) in [("ready at once", 0), ("that waits once", 1)] {
        let mut linker = Linker::new();
        linker.func_wrap_async("host", "tick", move |_: Caller<'_, ()>, (n,): (i32,)| {
            Box::new(async move {
                let mut left = times;
                std::future::poll_fn(|_| if mem::take(&mut left) == 0 { Poll::Ready(()) } else { Poll::Pending }).await;
                black_box(n);
            })
        })?;
        let guest = linker.instantiate(&mut store, module)?;
        let nothing: TypedFunc<(), ()> = guest.get_typed_func(&store, "nothing")?;
        if times == 0 {
            row(arguments, "asynchronous call of the host into a guest", 100_000, |count| {
                (0..count).try_for_each(|_| finish(nothing.call_async(&mut store, ())))
            })?;
        }
        let tick: TypedFunc<i64, ()> = guest.get_typed_func(&store, "tick")?;
        row(arguments, &format!("asynchronous call of a guest to the host, {name}"), 100_000, |count| {
            finish(tick.call_async(&mut store, count.into()))
        })?;
    }
    Ok(())
}

/// Polls until it is done.
fn finish(call: impl Future<Output = wasmelt_embed::Result<()>>) -> Result {
    let mut call = pin!(call);
    loop {
        if let Poll::Ready(result) = call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Ok(result?);
        }
    }
}

/// What it takes to ask a limiter: the guest's way to the host and back.
fn refused_growth(arguments: &common::Arguments, module: &Module) -> Result {
    let mut linker = Linker::new();
    linker.func_wrap("host", "tick", |_: i32| ())?;
    let mut store = Store::new(StoreLimitsBuilder::new().memory_size(1 << 20).build());
    store.limiter(|limits| limits);
    let guest = linker.instantiate(&mut store, module)?;
    let grow: TypedFunc<i64, ()> = guest.get_typed_func(&store, "grow")?;
    row(arguments, "memory.grow that a limiter refuses", 100_000, |count| Ok(grow.call(&mut store, count.into())?))
}

fn kernel(arguments: &common::Arguments, module: &Module, source: &Path, folder: &Path, name: &str, n: i64) -> Result {
    let executable = folder.join("executable");
    compile(source, &executable, &["--invoke", name, "--unknown-imports", "trap"])?;
    let mut store = Store::new(());
    let guest = instance(&mut store, module)?;
    let func: TypedFunc<i64, i64> = guest.get_typed_func(&store, name)?;
    let (mut in_library, mut in_executable) = (Vec::new(), Vec::new());
    for _ in 0..arguments.runs {
        let start = Instant::now();
        black_box(func.call(&mut store, n)?);
        in_library.push(start.elapsed().as_secs_f64() * 1e3);
        let mut process = std::process::Command::new(&executable);
        in_executable.push(common::start_up_micros(process.arg(n.to_string()))? / 1e3);
    }
    let (library, executable) = (common::median(&in_library), common::median(&in_executable));
    common::print_row(&[
        name.to_owned(),
        format!("{library:.1}"),
        format!("{executable:.1}"),
        format!("{:.2}", library / executable),
    ]);
    Ok(())
}
