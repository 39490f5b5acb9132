//! Embedding: libraries are compiled, loaded into this process, connected with each other and with host functions, and
//! called through `wasmelt_embed`.

#[path = "../support/mod.rs"]
mod support;

mod bindings;
mod calls;
mod components;
mod composed;
mod exceptions;
mod interface;
mod limits;
mod linking;
mod pool;
mod resources;
mod sharing;
mod stops;
mod traps;
mod types;
mod waiting;
mod wasi;
mod yielding;

use std::fs;
use std::path::Path;

use wasmelt_embed::{
    AsContextMut, Caller, Error, Extern, Func, FuncType, Instance, Linker, Module, Result, Store, Trap, Val, ValType,
};

/// Compiles a module in the text format into a library of this name, and loads it.
fn module_with(name: &str, wat: &str, options: &[&str]) -> Module {
    let scratch = support::scratch();
    let (source, library) = (scratch.path().join(format!("{name}.wat")), scratch.path().join(format!("{name}.so")));
    fs::write(&source, wat).unwrap();
    let options = ["--emit", "cdylib"].iter().chain(options);
    support::compile(&source, &library, options).unwrap_or_else(|error| panic!("{}", error.message().unwrap_or("")));
    // Once it is loaded the file may go.
    load(&library, name).unwrap()
}

fn load(library: &Path, name: &str) -> Result<Module> {
    // SAFETY: these tests load what wasmelt has just made, and files that are not libraries.
    unsafe { Module::load(library, name) }
}

fn load_bytes(library: &[u8], name: &str) -> Result<Module> {
    // SAFETY: as above; what is cut off is refused before anything is executed.
    unsafe { Module::from_bytes(library, name) }
}

fn module(name: &str, wat: &str) -> Module {
    module_with(name, wat, &[])
}

/// An instance without imports.
fn instance(store: &mut Store<()>, name: &str, wat: &str) -> Instance {
    Instance::new(store, &module(name, wat), &[]).unwrap()
}

fn call<T>(store: &mut Store<T>, instance: Instance, name: &str, args: &[Val]) -> Result<Vec<Val>> {
    let func = instance.get_func(&store, name).unwrap_or_else(|| panic!("no export {name}"));
    call_func(store, func, args)
}

/// The one `i32` that a call returns.
fn call_i32<T>(store: &mut Store<T>, instance: Instance, name: &str, args: &[i32]) -> i32 {
    let args: Vec<_> = args.iter().map(|&arg| Val::I32(arg)).collect();
    match call(store, instance, name, &args).unwrap()[..] {
        [Val::I32(result)] => result,
        ref other => panic!("{other:?}"),
    }
}

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
