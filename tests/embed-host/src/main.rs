//! A host program that does with libraries what a host can do, and says `ok` after each thing that went as it must.
//!
//! `wasmelt-embed-host scenarios [FOLDER]` takes the modules from libraries in a folder, or those that are linked into
//! it. `wasmelt-embed-host access` and `stack` end by a fault of the host, which must not become a trap of a guest.

mod modules;
mod scenarios;
mod waiting;

use std::process::ExitCode;

use wasmelt_embed::{AsContextMut, Caller, Error, Func, Instance, Result, Store, Trap, Val};

use modules::Modules;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next().unwrap_or_default();
    let modules = Modules(arguments.next().map(Into::into));
    match command.to_str() {
        Some("scenarios") => {
            for (name, scenario) in scenarios::ALL {
                scenario(&modules);
                println!("ok {name}");
            }
        }
        Some("access") => end_by(&modules, modules::fault),
        Some("stack") => end_by(&modules, || {
            exhaust_host_stack(&[0; 1000]);
        }),
        other => {
            eprintln!("unknown command {other:?}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Faults in a host function.
fn end_by(modules: &Modules, fault: fn()) {
    let mut store = Store::new(());
    let f = host(&mut store, move |_, n| {
        println!("about to fault");
        fault();
        Ok(n)
    });
    let instance = Instance::new(&mut store, &modules.get("calls"), &[f.into()]).expect("an instance");
    let result = call(&mut store, instance, "once", &[Val::I32(1)]);
    println!("the host's own fault became {result:?}");
}

fn exhaust_host_stack(above: &[u64; 1000]) -> u64 {
    let mut own = *std::hint::black_box(above);
    own[7] += 1;
    if own[7] == u64::MAX {
        return 0;
    }
    exhaust_host_stack(&own) + own[8]
}

/// Calls an export.
fn call(store: &mut Store<()>, instance: Instance, name: &str, args: &[Val]) -> Result<Vec<Val>> {
    let func = instance.get_func(&store, name).unwrap_or_else(|| panic!("no export {name}"));
    call_func(store, func, args)
}

/// The one `i32` that a call returns.
#[track_caller]
fn call_i32(store: &mut Store<()>, instance: Instance, name: &str, args: &[i32]) -> i32 {
    let args: Vec<_> = args.iter().map(|&arg| Val::I32(arg)).collect();
    match call(store, instance, name, &args) {
        Ok(results) if matches!(results[..], [Val::I32(_)]) => match results[0] {
            Val::I32(result) => result,
            _ => unreachable!(),
        },
        other => panic!("{name}: {other:?}"),
    }
}

/// The trap that a call ended with.
#[track_caller]
fn trap<T: std::fmt::Debug>(result: Result<T>) -> Trap {
    match result {
        Err(Error::Trap(trap)) => trap.trap,
        other => panic!("no trap: {other:?}"),
    }
}

/// A function of the host that takes and returns one `i32`.
fn host(store: &mut Store<()>, body: impl Fn(Caller<'_, ()>, i32) -> Result<i32> + Send + Sync + 'static) -> Func {
    Func::wrap(store, body).unwrap()
}

/// Calls a function whatever its type is; its results.
fn call_func(mut store: impl AsContextMut, func: Func, args: &[Val]) -> Result<Vec<Val>> {
    let mut results = vec![Val::I32(0); func.ty(&store)?.results().len()];
    func.call(&mut store, args, &mut results)?;
    Ok(results)
}
