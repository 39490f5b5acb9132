//! The probes and the attacks once more, with the guest as a library in a host program: this one, which runs many of them
//! at the same time, each in a thread and with a context of its own.

use std::path::Path;
use std::sync::OnceLock;

use libtest_mimic::Failed;
use wasmelt_embed::component::{self, Component, ComponentCtx, Val};
use wasmelt_embed::wasi::{
    DirPerms, FilePerms, I32Exit, MemoryInputPipe, MemoryOutputPipe, WasiCtx, WasiCtxBuilder, p1,
};
use wasmelt_embed::{Linker, Module, Store};

use crate::{guest, support};

/// The guest as a library, made once.
fn module() -> Result<&'static Module, Failed> {
    static MODULE: OnceLock<Result<Module, String>> = OnceLock::new();
    let make = || {
        let folder = support::scratch();
        let library = folder.path().join("probe.so");
        let compiled = support::compile(&guest(), &library, ["--emit", "cdylib"]);
        compiled.map_err(|error| error.message().unwrap_or_default().to_owned())?;
        // SAFETY: wasmelt has just made it.
        unsafe { Module::load(&library, "probe") }.map_err(|error| error.to_string())
    };
    MODULE.get_or_init(make).as_ref().map_err(|error| error.clone().into())
}

/// A context with the grants that the options of executables stand for.
fn context(
    options: &[impl AsRef<str>],
    folder: &Path,
    script: String,
    (output, errors): (&MemoryOutputPipe, &MemoryOutputPipe),
) -> Result<WasiCtx, Failed> {
    let mut builder = WasiCtxBuilder::new();
    builder.arg("probe").stdin(MemoryInputPipe::new(script)).stdout(output.clone()).stderr(errors.clone());
    for pair in options.chunks(2) {
        match [pair[0].as_ref(), pair[1].as_ref()] {
            ["--dir", grant] => {
                let (host, guest) = grant.split_once("::").ok_or("a directory is HOST::GUEST")?;
                let (dir, file, guest) = match guest.strip_suffix(":ro") {
                    Some(guest) => (DirPerms::READ, FilePerms::READ, guest),
                    None => (DirPerms::all(), FilePerms::all(), guest),
                };
                builder.preopened_dir(folder.join(host), guest, dir, file).map_err(|error| error.to_string())?;
            }
            ["--file", grant] => {
                let (host, guest) = grant.split_once("::").ok_or("a file is HOST::GUEST")?;
                let (perms, guest) = match guest.strip_suffix(":ro") {
                    Some(guest) => (FilePerms::READ, guest),
                    None => (FilePerms::all(), guest),
                };
                builder.preopened_file(folder.join(host), guest, perms).map_err(|error| error.to_string())?;
            }
            ["--env", variable] => {
                let (name, value) = variable.split_once('=').ok_or("a variable is NAME=VALUE")?;
                builder.env(name, value);
            }
            other => return Err(format!("host programs know no option {other:?}").into()),
        }
    }
    Ok(builder.build())
}

/// Runs a script with the grants that the options of executables stand for; its transcript.
pub(crate) fn run(options: &[String], folder: &Path, script: &str) -> Result<String, Failed> {
    let (output, errors) = (MemoryOutputPipe::new(256 << 20), MemoryOutputPipe::new(64 << 10));
    let context = context(options, folder, script.to_owned(), (&output, &errors))?;
    let mut linker = Linker::new();
    p1::add_to_linker_sync(&mut linker, |context: &mut WasiCtx| context).map_err(|error| error.to_string())?;
    let mut store = Store::new(context);
    let instance = linker.instantiate(&mut store, module()?).map_err(|error| error.to_string())?;
    let start = instance.get_typed_func::<(), ()>(&store, "_start").map_err(|error| error.to_string())?;
    match start.call(&mut store, ()) {
        Ok(()) => {}
        Err(error) if error.downcast_ref() == Some(&I32Exit(0)) => {}
        Err(error) => return Err(format!("{error}\n{}", String::from_utf8_lossy(&errors.contents())).into()),
    }
    Ok(String::from_utf8(output.contents())?)
}

/// Runs the component that tries walls.
pub(crate) fn run_walls(options: &[&str], folder: &Path, script: String) -> Result<String, Failed> {
    static COMPONENT: OnceLock<Result<Component, String>> = OnceLock::new();
    let make = || {
        let folder = support::scratch();
        let library = folder.path().join("walls.so");
        let guest = support::repository().join("tests/wasi/guests/walls.wasm");
        let compiled = support::compile(&guest, &library, ["--emit", "cdylib"]);
        compiled.map_err(|error| error.message().unwrap_or_default().to_owned())?;
        // SAFETY: wasmelt has just made it.
        unsafe { Component::load(&library, "walls") }.map_err(|error| error.to_string())
    };
    let component = COMPONENT.get_or_init(make).as_ref().map_err(Clone::clone)?;
    let (output, errors) = (MemoryOutputPipe::new(1 << 20), MemoryOutputPipe::new(64 << 10));
    let context = ComponentCtx::new(context(options, folder, script, (&output, &errors))?);
    let mut linker = component::Linker::new(|context: &mut ComponentCtx| context);
    let mut store = Store::new(context);
    let mut run = || {
        let instance = linker.define_wasi()?.instantiate(&mut store, component)?;
        instance.get_func(&mut store, "wasi:cli/run", "run")?.call(&mut store, &[])
    };
    match run() {
        Ok(Some(Val::Result(Ok(None)))) => Ok(String::from_utf8(output.contents())?),
        other => Err(format!("{other:?}\n{}", String::from_utf8_lossy(&errors.contents())).into()),
    }
}
