//! What it costs that a host can stop a library's code: the kernels of the corpus at their full arguments, compiled with
//! `--interruptible` and with `--fuel`, against the same without.
//!
//! CPU time of calls in this process, in turn; what the kernels print must be what they print elsewhere.

mod common;

use common::{Program, Result, support};
use nix::sys::resource::{UsageWho, getrusage};
use std::path::Path;
use wasmelt_embed::{Caller, Error, Extern, Linker, Memory, Module, Store};

/// Options whose cost is measured.
const OPTIONS: [&str; 2] = ["--interruptible", "--fuel"];

fn main() -> Result {
    common::main(5, bench)
}

fn bench(arguments: &common::Arguments) -> Result {
    let folder = support::scratch();
    println!("stops: milliseconds of the corpus' kernels as libraries, least of {} runs in turn", arguments.runs);
    common::print_row(&["", "plain", OPTIONS[0], "ratio", OPTIONS[1], "ratio"].map(ToOwned::to_owned));
    let mut ratios = [Vec::new(), Vec::new()];
    for program in common::corpus()?.iter().filter(|p| p.is_kernel && arguments.select(&p.name)) {
        let [plain, stopped @ ..] = match measure(program, arguments, folder.path()) {
            Ok(least) => least,
            Err(error) => {
                common::print_row(&[program.name.clone(), format!("not measured: {error}")]);
                continue;
            }
        };
        let mut cells = vec![program.name.clone(), format!("{plain:.0}")];
        for (ratios, least) in ratios.iter_mut().zip(stopped) {
            ratios.push(least / plain);
            cells.extend([format!("{least:.0}"), format!("{:.3}", least / plain)]);
        }
        common::print_row(&cells);
    }
    for (option, ratios) in OPTIONS.iter().zip(&ratios).filter(|(_, ratios)| !ratios.is_empty()) {
        let worst = ratios.iter().copied().fold(0.0, f64::max);
        let mean = common::geometric_mean(ratios);
        println!("{option}: geometric mean {mean:.3} of {}, worst {worst:.3}", ratios.len());
    }
    Ok(())
}

/// The least time of each form of a kernel in milliseconds: without an option, and with each.
fn measure(program: &Program, arguments: &common::Arguments, folder: &Path) -> Result<[f64; 3]> {
    let library = |options: &[&str]| {
        // A library that is loaded is found again by its name.
        let path = folder.join(format!("{}{}.so", program.name, options.concat()));
        let mut compile = support::wasmelt();
        compile
            .arg("compile")
            .arg(&program.wasm)
            .args(["--emit", "cdylib", "--library-name", "kernel", "-o"])
            .arg(&path)
            .args(options);
        let output = compile.output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
        // SAFETY: wasmelt has just made it.
        let module = unsafe { Module::load(&path, "kernel") }?;
        std::fs::remove_file(path)?;
        Ok::<_, Box<dyn std::error::Error>>(module)
    };
    let modules = [library(&[])?, library(&OPTIONS[..1])?, library(&OPTIONS[1..])?];
    let mut least = [f64::INFINITY; 3];
    for _ in 0..arguments.runs {
        for (number, (least, module)) in least.iter_mut().zip(&modules).enumerate() {
            *least = least.min(run(program, module, number == 2)?);
        }
    }
    Ok(least)
}

/// CPU time that this thread has spent outside the system, in milliseconds.
fn user_millis() -> Result<f64> {
    let time = getrusage(UsageWho::RUSAGE_THREAD)?.user_time();
    Ok(time.tv_sec() as f64 * 1e3 + time.tv_usec() as f64 / 1e3)
}

/// What a kernel is told, and what it prints.
struct State {
    args: Vec<Vec<u8>>,
    output: Vec<u8>,
}

/// A kernel has ended by itself.
#[derive(Debug)]
struct Exit;

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("exit")
    }
}

impl std::error::Error for Exit {}

/// How long a kernel takes, in milliseconds.
fn run(program: &Program, module: &Module, counts: bool) -> Result<f64> {
    let args = std::iter::once(&program.name).chain(&program.args);
    let args = args.map(|arg| [arg.as_bytes(), b"\0"].concat()).collect();
    let mut store = Store::new(State { args, output: Vec::new() });
    let mut linker = linker()?;
    linker.define_unknown_imports_as_traps(module)?;
    if counts {
        store.set_fuel(u64::MAX)?;
    }
    let instance = linker.instantiate(&mut store, module)?;
    let start = instance.get_typed_func::<(), ()>(&store, "_start")?;
    let begin = user_millis()?;
    match start.call(&mut store, ()) {
        Err(error) if !error.is::<Exit>() => Err(error.into_boxed()),
        _ => {
            let took = user_millis()? - begin;
            let is_right = common::sha256(&store.data().output) == program.sha256;
            if is_right { Ok(took) } else { Err("the output is another one".into()) }
        }
    }
}

/// As much of WASI as the kernels need.
fn linker() -> Result<Linker<State>> {
    const WASI: &str = "wasi_snapshot_preview1";
    let mut linker = Linker::new();
    linker.func_wrap(WASI, "args_sizes_get", |mut caller: Caller<'_, State>, count: i32, bytes: i32| {
        let sizes = (caller.data().args.len() as u32, caller.data().args.concat().len() as u32);
        put(&mut caller, count, sizes.0)?;
        put(&mut caller, bytes, sizes.1)
    })?;
    linker.func_wrap(WASI, "args_get", |mut caller: Caller<'_, State>, list: i32, mut bytes: i32| {
        for (index, arg) in caller.data().args.clone().into_iter().enumerate() {
            put(&mut caller, list + 4 * index as i32, bytes as u32)?;
            memory(&caller)?.write(&mut caller, bytes as usize, &arg)?;
            bytes += arg.len() as i32;
        }
        Ok(0)
    })?;
    linker.func_wrap(
        WASI,
        "fd_write",
        |mut caller: Caller<'_, State>, _: i32, list: i32, count: i32, written: i32| {
            let mut total = 0;
            for index in 0..count {
                let [start, len] = [0, 4].map(|at| get(&caller, list + 8 * index + at));
                let (start, len) = (start? as usize, len? as usize);
                let bytes = memory(&caller)?.data(&caller).get(start..start + len).unwrap_or_default().to_vec();
                caller.data_mut().output.extend(bytes);
                total += len as u32;
            }
            put(&mut caller, written, total)
        },
    )?;
    linker.func_wrap(WASI, "clock_time_get", |mut caller: Caller<'_, State>, _: i32, _: i64, time: i32| {
        put(&mut caller, time, 0)?;
        put(&mut caller, time + 4, 0)
    })?;
    linker.func_wrap(WASI, "environ_sizes_get", |mut caller: Caller<'_, State>, count: i32, bytes: i32| {
        put(&mut caller, count, 0)?;
        put(&mut caller, bytes, 0)
    })?;
    linker.func_wrap(WASI, "environ_get", |_: i32, _: i32| 0)?;
    linker.func_wrap(WASI, "fd_close", |_: i32| 0)?;
    linker.func_wrap(WASI, "fd_seek", |_: i32, _: i64, _: i32, _: i32| 70)?;
    // A character device, so that lines are written at once or not: kernels write little.
    linker.func_wrap(WASI, "fd_fdstat_get", |mut caller: Caller<'_, State>, _: i32, place: i32| {
        memory(&caller)?.write(&mut caller, place as usize, &[0; 24])?;
        put(&mut caller, place, 2)
    })?;
    linker.func_wrap(WASI, "fd_prestat_get", |_: i32, _: i32| 8)?;
    linker.func_wrap(WASI, "proc_exit", |_: i32| Err::<(), _>(Error::host(Exit)))?;
    Ok(linker)
}

fn memory(caller: &Caller<'_, State>) -> wasmelt_embed::Result<Memory> {
    caller.get_export("memory").and_then(Extern::into_memory).ok_or_else(|| Error::msg("no memory"))
}

fn put(caller: &mut Caller<'_, State>, place: i32, value: u32) -> wasmelt_embed::Result<i32> {
    memory(caller)?.write(caller, place as usize, &value.to_le_bytes())?;
    Ok(0)
}

fn get(caller: &Caller<'_, State>, place: i32) -> wasmelt_embed::Result<u32> {
    let mut bytes = [0; 4];
    memory(caller)?.read(caller, place as usize, &mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}
