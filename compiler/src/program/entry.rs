//! What an executable does once its instance exists: which exports it calls.

use wasmelt_abi::host::THREAD_START;
use wasmparser::ValType;

use super::{Entry, Instance, InstanceIndex};
use crate::error::{Error, Result};
use crate::image::Invoke;
use crate::module::{Entity, FuncIndex, FuncType, Module};
use crate::options::Options;
use crate::value_type;

impl Entry {
    /// Calls functions without parameters and results.
    pub(super) fn calling(instance: InstanceIndex, calls: Vec<FuncIndex>) -> Self {
        Self { instance, calls, has_status: false, invoke: None, thread_start: None }
    }

    /// Chooses what runs: the export of `--invoke`, or `_start`.
    pub(super) fn find(
        instance: &Instance<'_>,
        main: InstanceIndex,
        in_threads: bool,
        options: &Options,
    ) -> Result<Self> {
        let module = &instance.module;
        let command = FuncType::default();
        let nullary = |name: &str| match module.export(name) {
            Some(Entity::Func(f)) if *module.func_type(f) == command => Ok(Some(f)),
            Some(Entity::Func(f)) => Err(Error::input(format!(
                "export `{name}` must take and return nothing, but its type is {}",
                module.func_type(f)
            ))),
            _ => Ok(None),
        };
        let thread_start = if in_threads { Some(find_thread_start(module)?) } else { None };
        let Some(name) = &options.invoke else {
            if let Some(start) = nullary("_start")? {
                return Ok(Self { thread_start, ..Self::calling(main, vec![start]) });
            }
            let reactor = nullary("_initialize")?.map_or("", |_| ": it is a reactor, and `_initialize` prepares it");
            return Err(Error::input(format!(
                "the module exports no function `_start`, so there is nothing to run{reactor}"
            ))
            .hint(format!("`--invoke NAME` calls another export; {}", list_exports(module)))
            .hint("`--emit cdylib` or `staticlib` makes a library for a host program that calls the exports"));
        };
        let Some(Entity::Func(func)) = module.export(name) else {
            return Err(Error::input(format!("the module exports no function `{name}`")).hint(list_exports(module)));
        };
        let ty = module.func_type(func);
        let invoke = Invoke {
            name: name.clone(),
            params: ty.params.iter().map(|&t| value_type(t)).collect::<Result<_>>()?,
            results: ty.results.iter().map(|&t| value_type(t)).collect::<Result<_>>()?,
        };
        let calls = nullary("_initialize")?.into_iter().filter(|&f| f != func).collect();
        Ok(Self { invoke: Some((func, invoke)), thread_start, ..Self::calling(main, calls) })
    }
}

/// What runs before others use an instance: its export `_initialize`, as wasmtime does it.
pub(super) fn initializer(instance: &Instance<'_>) -> Result<Option<FuncIndex>> {
    let (module, name) = (&instance.module, &instance.name);
    if let Some(Entity::Func(_)) = module.export("_start") {
        return Err(Error::input(format!("module `{name}` is a program of its own: it exports `_start`"))
            .hint("a module for `--preload` is a library, for example made with `-mexec-model=reactor`"));
    }
    match module.export("_initialize") {
        Some(Entity::Func(f)) if *module.func_type(f) == FuncType::default() => Ok(Some(f)),
        Some(Entity::Func(f)) => Err(Error::input(format!(
            "export `_initialize` of module `{name}` must take and return nothing, but its type is {}",
            module.func_type(f)
        ))),
        _ => Ok(None),
    }
}

/// The export that threads run, which a module that starts threads must have.
fn find_thread_start(module: &Module<'_>) -> Result<FuncIndex> {
    let wanted = FuncType { params: [ValType::I32, ValType::I32].into(), results: Box::default() };
    match module.export(THREAD_START) {
        Some(Entity::Func(func)) if *module.func_type(func) == wanted => Ok(func),
        Some(Entity::Func(func)) => Err(Error::input(format!(
            "export `{THREAD_START}` must be of type {wanted}, but its type is {}",
            module.func_type(func)
        ))),
        _ => Err(Error::input(format!(
            "the module imports `thread-spawn` from module `wasi`, but exports no function `{THREAD_START}` for threads \
             to run"
        ))),
    }
}

fn list_exports(module: &Module<'_>) -> String {
    const MOST: usize = 12;
    let funcs: Vec<_> = module
        .exports
        .iter()
        .filter_map(|e| match e.entity {
            Entity::Func(f) => Some(format!("`{}` {}", e.name, module.func_type(f))),
            _ => None,
        })
        .collect();
    match funcs.len() {
        0 => "it exports no functions at all".to_owned(),
        n if n > MOST => format!("it exports {} and {} more", funcs[..MOST].join(", "), n - MOST),
        _ => format!("it exports {}", funcs.join(", ")),
    }
}
