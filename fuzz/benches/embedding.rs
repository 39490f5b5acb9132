//! Embedding beside the `wasmtime` crate: the same modules in the same process, with wasmtime's pool tuned as its
//! documentation advises. Runs of both alternate, and each row is the ratio of the medians.
//!
//! `cargo bench -p wasmelt-fuzz --bench embedding [-- WORDS THAT SELECT ROWS]`

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use wasmelt::driver::{self, NoProgress};
use wasmelt::options::{Emit, Options};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Runs of each side, of which the median counts. They are short, so that the system interrupts few of them.
const RUNS: usize = 51;

/// Stores that both pools have room for.
const STORES: u32 = 1000;

fn main() -> Result {
    let words: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let rows = Rows { words };
    println!("wasmelt beside the wasmtime crate, medians of {RUNS} runs\n");
    println!("{:60} {:>12} {:>12} {:>7}", "", "wasmelt", "wasmtime", "ratio");
    pooled(&rows)?;
    calls(&rows)?;
    idle(&rows)?;
    loading(&rows)
}

/// The rows that were asked for.
struct Rows {
    words: Vec<String>,
}

impl Rows {
    fn has(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word.as_str()))
    }

    /// Prints what one of `count` repetitions takes on each side.
    fn row(
        &self,
        name: &str,
        count: u32,
        mut ours: impl FnMut(u32) -> Result,
        mut theirs: impl FnMut(u32) -> Result,
    ) -> Result {
        if !self.has(name) {
            return Ok(());
        }
        let mut nanos = [Vec::new(), Vec::new()];
        for run in 0..=RUNS {
            for (side, nanos) in nanos.iter_mut().enumerate() {
                let start = Instant::now();
                if side == 0 { ours(count) } else { theirs(count) }?;
                if run > 0 {
                    nanos.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(count));
                }
            }
        }
        let [ours, theirs] = nanos.map(|mut nanos| {
            nanos.sort_by(f64::total_cmp);
            nanos[nanos.len() / 2]
        });
        print(name, "ns", ours, theirs);
        Ok(())
    }
}

fn print(name: &str, unit: &str, ours: f64, theirs: f64) {
    println!("{name:60} {ours:9.0} {unit} {theirs:9.0} {unit} {:7.2}", ours / theirs);
}

/// Compiles a module to a library, and loads it.
#[allow(unsafe_code, reason = "loading a library believes what is in it; `tests/tidy` lists the places")]
fn load(path: &Path, wasm: &[u8]) -> Result<wasmelt_embed::Module> {
    let options = Options { emit: Emit::Cdylib, library: Some("bench".to_owned()), ..Options::default() };
    let compiled = driver::compile(wasm, "module", &options, &NoProgress).map_err(|e| e.to_string())?;
    fs::write(path, &compiled.bytes)?;
    // SAFETY: wasmelt has just made it.
    Ok(unsafe { wasmelt_embed::Module::load(path, "bench") }?)
}

fn module(wat: &str) -> Result<(wasmelt_embed::Module, wasmtime::Module)> {
    let wasm = wast::parser::parse::<wast::Wat<'_>>(&wast::parser::ParseBuffer::new(wat)?)?.encode()?;
    let folder = tempfile::tempdir()?;
    Ok((load(&folder.path().join("bench.so"), &wasm)?, wasmtime::Module::new(&engine()?, &wasm)?))
}

fn engine() -> Result<wasmtime::Engine> {
    thread_local! {
        static ENGINE: wasmtime::Engine = wasmtime::Engine::new(&config()).expect("an engine");
    }
    Ok(ENGINE.with(Clone::clone))
}

fn config() -> wasmtime::Config {
    let mut pool = wasmtime::PoolingAllocationConfig::new();
    pool.total_core_instances(STORES).total_memories(STORES).total_tables(STORES).total_stacks(STORES);
    pool.max_unused_warm_slots(STORES).pagemap_scan(wasmtime::Enabled::Auto);
    pool.linear_memory_keep_resident(1 << 20).table_keep_resident(1 << 16).async_stack_keep_resident(1 << 16);
    let mut config = wasmtime::Config::new();
    config.allocation_strategy(wasmtime::InstanceAllocationStrategy::Pooling(pool));
    config
}

fn our_pool() -> Result<wasmelt_embed::StoreConfig> {
    let mut config = wasmelt_embed::StoreConfig::default();
    config.pool = Some(wasmelt_embed::Pool::new(wasmelt_embed::PoolConfig::default())?);
    Ok(config)
}

/// Writes to as many pages as its argument says.
const PAGES: &str = r#"(func (export "pages") (param $n i32) (local $p i32)
    (loop $l (i32.store (local.get $p) (i32.const 1)) (local.set $p (i32.add (local.get $p) (i32.const 4096)))
        (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))"#;

/// Stores that come and go, each with an instance and a call.
fn pooled(rows: &Rows) -> Result {
    let config = our_pool()?;
    let megabyte: String = (0..1 << 16).fold(String::new(), |mut text, i| {
        let _ = write!(text, "\\{:02x}{:014}", i % 251, i);
        text
    });
    let elements = "$nothing ".repeat(6000);
    let modules = [
        ("small", format!("(module (memory 16) {PAGES})")),
        ("with 1 MB of data", format!("(module (memory 32) (data (i32.const 65536) \"{megabyte}\") {PAGES})")),
        (
            "a table of 6,000 elements, called through",
            format!(
                "(module (memory 16) (table 6000 funcref) (elem (i32.const 0) func {elements}) (func $nothing) \
                 (func (export \"call\") (param i32) (call_indirect (local.get 0))) {PAGES})"
            ),
        ),
        (
            "a table of 6,000 elements, exported",
            format!(
                "(module (memory 16) (table (export \"t\") 6000 funcref) (elem (i32.const 0) func {elements}) \
                 (func $nothing) {PAGES})"
            ),
        ),
    ];
    for (name, wat) in modules {
        let (ours, theirs) = module(&wat)?;
        let ours = wasmelt_embed::Linker::new().instantiate_pre(&ours)?;
        let theirs = wasmtime::Linker::new(&engine()?).instantiate_pre(&theirs)?;
        let our_use = |store: &mut wasmelt_embed::Store<()>, pages| -> Result {
            let guest = ours.instantiate(&mut *store)?;
            Ok(guest.get_typed_func::<i32, ()>(&*store, "pages")?.call(store, pages)?)
        };
        let their_use = |pages| -> Result {
            let mut store = wasmtime::Store::new(theirs.module().engine(), ());
            let guest = theirs.instantiate(&mut store)?;
            Ok(guest.get_typed_func::<i32, ()>(&mut store, "pages")?.call(&mut store, pages)?)
        };
        rows.row(
            &format!("pool: store, instance, a call, dropped; {name}"),
            200,
            |count| (0..count).try_for_each(|_| our_use(&mut wasmelt_embed::Store::with_config((), config.clone()), 1)),
            |count| (0..count).try_for_each(|_| their_use(1)),
        )?;
        if name != "small" {
            continue;
        }
        let mut store = wasmelt_embed::Store::with_config((), config.clone());
        for pages in [1, 16, 256] {
            rows.row(
                &format!("pool: reset (wasmtime: another store), {pages} pages written"),
                100,
                |count| {
                    (0..count).try_for_each(|_| {
                        store.reset();
                        our_use(&mut store, pages)
                    })
                },
                |count| (0..count).try_for_each(|_| their_use(pages)),
            )?;
        }
    }
    Ok(())
}

const CALLS: &str = r#"(module (import "host" "tick" (func $tick (param i32)))
    (func (export "nothing"))
    (func (export "tick") (param $n i32)
        (loop $l (call $tick (i32.const 1)) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))))"#;

fn calls(rows: &Rows) -> Result {
    const COUNT: u32 = 100_000;
    let (our_module, their_module) = module(CALLS)?;
    let mut our_linker = wasmelt_embed::Linker::new();
    our_linker.func_wrap("host", "tick", |n: i32| _ = black_box(n))?;
    let mut their_linker = wasmtime::Linker::new(&engine()?);
    their_linker.func_wrap("host", "tick", |n: i32| _ = black_box(n))?;
    let mut ours = wasmelt_embed::Store::new(());
    let mut theirs = wasmtime::Store::new(&engine()?, ());
    let our_guest = our_linker.instantiate(&mut ours, &our_module)?;
    let their_guest = their_linker.instantiate(&mut theirs, &their_module)?;
    let our_nothing = our_guest.get_typed_func::<(), ()>(&ours, "nothing")?;
    let their_nothing = their_guest.get_typed_func::<(), ()>(&mut theirs, "nothing")?;
    rows.row(
        "call of the host into a guest, typed",
        COUNT,
        |count| Ok((0..count).try_for_each(|_| our_nothing.call(&mut ours, ()))?),
        |count| Ok((0..count).try_for_each(|_| their_nothing.call(&mut theirs, ()))?),
    )?;
    let our_tick = our_guest.get_typed_func::<u32, ()>(&ours, "tick")?;
    let their_tick = their_guest.get_typed_func::<u32, ()>(&mut theirs, "tick")?;
    rows.row(
        "call of a guest to the host, typed",
        COUNT,
        |count| Ok(our_tick.call(&mut ours, count)?),
        |count| Ok(their_tick.call(&mut theirs, count)?),
    )?;
    rows.row(
        "call of the host into a guest, asynchronous",
        COUNT / 10,
        |count| (0..count).try_for_each(|_| Ok(finish(our_nothing.call_async(&mut ours, ()))?)),
        |count| (0..count).try_for_each(|_| Ok(finish(their_nothing.call_async(&mut theirs, ()))?)),
    )?;
    waiting(rows, &our_module, &their_module)
}

/// Is pending once.
async fn later() {
    let mut is_ready = false;
    std::future::poll_fn(|_| if std::mem::replace(&mut is_ready, true) { Poll::Ready(()) } else { Poll::Pending })
        .await;
}

fn waiting(rows: &Rows, our_module: &wasmelt_embed::Module, their_module: &wasmtime::Module) -> Result {
    let mut our_linker = wasmelt_embed::Linker::new();
    our_linker.func_wrap_async("host", "tick", |_: wasmelt_embed::Caller<'_, ()>, (n,): (i32,)| {
        Box::new(async move {
            later().await;
            black_box(n);
        })
    })?;
    let mut their_linker = wasmtime::Linker::new(&engine()?);
    their_linker.func_wrap_async("host", "tick", |_: wasmtime::Caller<'_, ()>, (n,): (i32,)| {
        Box::new(async move {
            later().await;
            black_box(n);
        })
    })?;
    let mut ours = wasmelt_embed::Store::new(());
    let mut theirs = wasmtime::Store::new(&engine()?, ());
    let our_guest = our_linker.instantiate(&mut ours, our_module)?;
    let their_guest = finish(their_linker.instantiate_async(&mut theirs, their_module))?;
    let our_tick = our_guest.get_typed_func::<u32, ()>(&ours, "tick")?;
    let their_tick = their_guest.get_typed_func::<u32, ()>(&mut theirs, "tick")?;
    rows.row(
        "call of a guest to the host that waits once",
        20_000,
        |count| Ok(finish(our_tick.call_async(&mut ours, count))?),
        |count| Ok(finish(their_tick.call_async(&mut theirs, count))?),
    )
}

/// Polls until it is done.
fn finish<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

/// What instances take that have been called once and do nothing.
fn idle(rows: &Rows) -> Result {
    let name = "resident bytes of an idle instance, one page written";
    if !rows.has(name) {
        return Ok(());
    }
    let (ours, theirs) = module(&format!("(module (memory 16) {PAGES})"))?;
    let ours = wasmelt_embed::Linker::new().instantiate_pre(&ours)?;
    let theirs = wasmtime::Linker::new(&engine()?).instantiate_pre(&theirs)?;
    let config = our_pool()?;
    let mut stores = Vec::new();
    let before = resident_bytes()?;
    for _ in 0..STORES {
        let mut store = wasmelt_embed::Store::with_config((), config.clone());
        let guest = ours.instantiate(&mut store)?;
        guest.get_typed_func::<i32, ()>(&store, "pages")?.call(&mut store, 1)?;
        stores.push(store);
    }
    let our_bytes = resident_bytes()? - before;
    let mut stores = Vec::new();
    let before = resident_bytes()?;
    for _ in 0..STORES {
        let mut store = wasmtime::Store::new(theirs.module().engine(), ());
        let guest = theirs.instantiate(&mut store)?;
        guest.get_typed_func::<i32, ()>(&mut store, "pages")?.call(&mut store, 1)?;
        stores.push(store);
    }
    let their_bytes = resident_bytes()? - before;
    print(name, "B ", our_bytes / f64::from(STORES), their_bytes / f64::from(STORES));
    Ok(())
}

/// Source: `statm` of proc(5).
fn resident_bytes() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = text.split_whitespace().nth(1).ok_or("no resident pages")?.parse()?;
    Ok(pages * 4096.0)
}

/// Code that was compiled before. Wasmtime's is deserialised from a file, ours loaded as a library.
#[allow(unsafe_code, reason = "loading a library believes what is in it; `tests/tidy` lists the places")]
fn loading(rows: &Rows) -> Result {
    let name = "load 5 MB of code, and drop it";
    if !rows.has(name) {
        return Ok(());
    }
    // Functions that differ, so that no linker folds them.
    let mut wat = "(module (memory (export \"memory\") 1)".to_owned();
    for f in 0..12_000 {
        let _ = write!(wat, "(func (export \"f{f}\") (param i32 i32) (result i32) (local.get 0)");
        for step in 0..24 {
            let _ = write!(
                wat,
                "(local.tee 1 (i32.xor (i32.load offset={} (i32.add (local.get 1))) (i32.const {})))",
                4 * step,
                f * 31 + step
            );
        }
        wat.push(')');
    }
    wat.push(')');
    let wasm = wast::parser::parse::<wast::Wat<'_>>(&wast::parser::ParseBuffer::new(&wat)?)?.encode()?;
    let folder = tempfile::tempdir()?;
    let (our_file, their_file) = (folder.path().join("bench.so"), folder.path().join("bench.cwasm"));
    drop(load(&our_file, &wasm)?);
    fs::write(&their_file, wasmtime::Module::new(&engine()?, &wasm)?.serialize()?)?;
    println!(
        "    ({} KB as a library, {} KB for wasmtime)",
        fs::metadata(&our_file)?.len() / 1000,
        fs::metadata(&their_file)?.len() / 1000
    );
    let engine = engine()?;
    rows.row(
        name,
        10,
        |count| {
            (0..count).try_for_each(|_| {
                // SAFETY: wasmelt has just made it.
                let module = unsafe { wasmelt_embed::Module::load(&our_file, "bench") };
                Ok(module.map(drop)?)
            })
        },
        |count| {
            (0..count).try_for_each(|_| {
                // SAFETY: wasmtime has just made it.
                let module = unsafe { wasmtime::Module::deserialize_file(&engine, &their_file) };
                Ok(module.map(drop)?)
            })
        },
    )
}
