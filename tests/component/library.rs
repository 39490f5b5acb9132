//! Programs of scripts in a host program, which this test is: the library of a command is loaded, and its `run` called.

use std::path::Path;

use wasmelt_abi::trap::TRAP_EXIT_CODE;
use wasmelt_embed::component::{Component, ComponentCtx, ComponentTrap, Linker, Val};
use wasmelt_embed::wasi::WasiCtxBuilder;
use wasmelt_embed::{Error, Result, Store};

use crate::process::Ended;

/// Name of libraries.
pub(crate) const NAME: &str = "command";

/// Runs a command up to a call: what an executable of it would say.
pub(crate) fn run(path: &Path, call: usize) -> std::result::Result<Ended, String> {
    let (code, stderr) = match call_run(path, call) {
        Ok(Some(Val::Result(Ok(_)))) => (0, String::new()),
        Ok(Some(Val::Result(Err(_)))) => (1, String::new()),
        Ok(other) => return Err(format!("`run` has returned {other:?}")),
        Err(error) => (TRAP_EXIT_CODE, words_of_trap(&error)),
    };
    Ok(Ended { code, stdout: String::new(), stderr })
}

fn call_run(path: &Path, call: usize) -> Result<Option<Val>> {
    // SAFETY: wasmelt has just made the library.
    let component = unsafe { Component::load(path, NAME) }?;
    let mut linker = Linker::new(|context: &mut ComponentCtx| context);
    linker.define_wasi()?;
    let wasi = WasiCtxBuilder::new().args(&["command".to_owned(), "x".repeat(call)]).build();
    let mut store = Store::new(ComponentCtx::new(wasi));
    let instance = linker.instantiate(&mut store, &component)?;
    instance.get_func(&mut store, "wasi:cli/run", "run")?.call(&mut store, &[])
}

fn words_of_trap(error: &Error) -> String {
    match error.downcast_ref::<ComponentTrap>() {
        Some(trap) => format!("wasm trap: {trap}"),
        None => error.to_string(),
    }
}
