//! `--preinit`: an export of the module runs while the module is compiled, and what the instance is like then is what the
//! program starts with.
//!
//! The initialiser runs in a program of its own, compiled for this machine, in a process of its own, with what the later
//! program is granted. Its state ([`State`]) is that of WebAssembly: lengths and bytes of memories, values of globals,
//! elements of tables. So it can be given to a module ([`State::apply`]) that is compiled for any target.

mod apply;
mod read;

use std::collections::BTreeMap;

use wasmelt_abi::trap::TRAP_EXIT_CODE;

use crate::error::{Error, Result};
use crate::host::{self, Start};
use crate::link;
use crate::module::{ConstValue, DataIndex, ElemIndex, Entity, FuncIndex, FuncType, GlobalIndex, Module, TableIndex};
use crate::options::{Cpu, DirFrom, Emit, Linker, Options, Policy, Preinit, Runtime, Snapshot, Stops, UnknownImports};

/// Exports that initialise where none is named: as in wasmtime's Wizer, and as in its earlier versions.
const USUAL_NAMES: [&str; 2] = ["wizer-initialize", "wizer.initialize"];

/// Exports that take the place of `_start` in a program that is initialised, as Wizer's header for C has them.
const RESUME: [&str; 2] = ["wizer-resume", "wizer.resume"];

/// What an instance is like at a moment between two calls.
#[derive(Debug, Default)]
pub(crate) struct State {
    memories: Vec<MemoryState>,
    /// Of those globals that the initialiser could change.
    globals: BTreeMap<GlobalIndex, ConstValue>,
    /// Of those tables that it could change.
    tables: BTreeMap<TableIndex, Vec<Option<FuncIndex>>>,
    dropped_data: Vec<DataIndex>,
    dropped_elements: Vec<ElemIndex>,
}

/// A linear memory.
#[derive(Debug)]
struct MemoryState {
    len_bytes: u64,
    /// What is not zero, by offset: in order and apart from one another.
    pieces: Vec<(u64, Vec<u8>)>,
}

/// The options for the program that initialises `module`.
pub(crate) fn options_of_initialiser(preinit: &Preinit, module: &Module<'_>, options: &Options) -> Result<Options> {
    refuse(module, options)?;
    let policy = Policy {
        env: Vec::new(),
        inherit_env: false,
        arg0: None,
        // The executable has no folder yet.
        dir_from: DirFrom::Cwd,
        ..options.policy.clone()
    };
    let snapshot = Snapshot { withheld: withheld(preinit, &options.policy) };
    Ok(Options {
        target: target_lexicon::HOST,
        emit: Emit::Exe,
        library: None,
        cpu: Cpu::Native,
        policy,
        stops: Stops::default(),
        invoke: Some(initialiser(preinit, module)?.to_owned()),
        // An import that the initialiser does not call need not be there.
        unknown_imports: UnknownImports::Trap,
        linker: Linker::Embedded,
        runtime: Runtime::default_for(&target_lexicon::HOST),
        // The folder may have archives for the target alone.
        runtime_dir: options.runtime_dir.clone().filter(|dir| {
            options.target == target_lexicon::HOST || link::has_runtime(&target_lexicon::HOST, Some(dir))
        }),
        debug_info: false,
        grantable: false,
        preinit: None,
        // What is counted, and known, is of the later program.
        profile_generate: false,
        profile: None,
        // What is reused is that of the later program.
        reuse: None,
        snapshot: Some(snapshot),
        ..options.clone()
    })
}

/// Refuses what has state that cannot be part of a file.
fn refuse(module: &Module<'_>, options: &Options) -> Result<()> {
    let refused = |what: String, hint: &str| Err(Error::input(format!("`--preinit`: {what}")).hint(hint));
    if !options.policy.tcp_listen.is_empty() {
        return refused(
            "a program that listens cannot be initialised when compiling: the address would be taken then".into(),
            "leave out `--tcplisten`, or `--preinit`",
        );
    }
    if let Some((index, _)) = module.memories.iter().find(|(_, memory)| memory.shared) {
        return refused(
            format!("memory {} is shared, and what threads do cannot be captured", index.as_u32()),
            "leave `--preinit` out, or compile the module without threads",
        );
    }
    let kind = |entity: Entity| match entity {
        Entity::Func(_) => None,
        Entity::Table(_) => Some("table"),
        Entity::Memory(_) => Some("memory"),
        Entity::Global(_) => Some("global"),
        Entity::Tag(_) => Some("tag"),
    };
    let imported = module.imports.iter().find_map(|import| Some((kind(import.entity)?, import)));
    if let Some((kind, import)) = imported {
        return refused(
            format!(
                "the module imports the {kind} `{}` from `{}`, whose contents the host decides",
                import.name, import.module
            ),
            "leave `--preinit` out, or let the module define it",
        );
    }
    Ok(())
}

/// The export that initialises.
fn initialiser<'a>(preinit: &'a Preinit, module: &Module<'_>) -> Result<&'a str> {
    let func = |name: &str| match module.export(name) {
        Some(Entity::Func(func)) => Some(func),
        _ => None,
    };
    let usual = || USUAL_NAMES.into_iter().find(|name| func(name).is_some());
    let Some(name) = preinit.export.as_deref().or_else(usual) else {
        return Err(Error::input(format!("the module exports no function `{}` that initialises it", USUAL_NAMES[0]))
            .hint("`--preinit=NAME` names another one, which takes and returns nothing"));
    };
    let Some(func) = func(name) else {
        return Err(Error::input(format!("the module exports no function `{name}` that initialises it"))
            .hint("`wasmelt inspect` lists exports"));
    };
    match module.func_type(func) {
        ty if *ty == FuncType::default() => Ok(name),
        ty => Err(Error::input(format!("the initialiser `{name}` must take and return nothing, but its type is {ty}"))),
    }
}

/// Functions of WASI that no initialiser may call: what they tell or do is of the run and not of the program.
fn withheld(preinit: &Preinit, policy: &Policy) -> Vec<&'static str> {
    let mut names = vec![
        "args_get",
        "args_sizes_get",
        "proc_raise",
        "sock_accept",
        "sock_recv",
        "sock_send",
        "sock_shutdown",
        "thread-spawn",
    ];
    if !policy.env.is_empty() || policy.inherit_env {
        names.extend(["environ_get", "environ_sizes_get"]);
    }
    if !preinit.random && policy.deterministic.is_none() {
        names.push("random_get");
    }
    names
}

/// Runs the program that initialises: what it writes is a snapshot.
pub(crate) fn run(executable: &[u8], options: &Options, module: &Module<'_>) -> Result<Vec<u8>> {
    let name = options.invoke.as_deref().unwrap_or_default();
    // What the variable takes away is meant for programs that are started, and not for one that is compiled.
    let env = BTreeMap::from([("WASMELT_POLICY".to_owned(), String::new())]);
    let start = Start { arg0: "initialiser".into(), args: &[], env };
    let (status, snapshot) = host::output_of_bytes(executable, &start)
        .map_err(|e| Error::io(format!("cannot execute the initialiser `{name}`"), &e))?;
    if status.success() && !snapshot.is_empty() {
        return Ok(snapshot);
    }
    if status.success() {
        return Err(Error::input(format!("the initialiser `{name}` ended the program: it called `proc_exit`"))
            .hint("an initialiser returns when it is done"));
    }
    let trapped = status.code() == Some(TRAP_EXIT_CODE);
    let withheld = options.snapshot.iter().filter(|_| trapped).flat_map(|snapshot| &snapshot.withheld);
    let imports: Vec<_> = withheld
        .filter(|name| module.imports.iter().any(|import| import.name == **name))
        .map(|name| format!("`{name}`"))
        .collect();
    let error = Error::input(format!("the initialiser `{name}` failed while the module was compiled: {status}"));
    let error = match imports.is_empty() {
        true => error,
        false => error.hint(format!(
            "what depends on a single run is not there for it: calls of {} trap, as of unknown imports",
            imports.join(", ")
        )),
    };
    Err(match imports.iter().any(|import| import == "`random_get`") {
        true => {
            error.hint("`--preinit-random` provides random numbers, which are then the same in each run of the program")
        }
        false => error,
    })
}

/// Leaves out the exports that are of no use once the module is initialised, and lets `_start` be what goes on.
pub(crate) fn replace_exports(preinit: &Preinit, module: &mut Module<'_>) -> Result<()> {
    let name = initialiser(preinit, module)?.to_owned();
    module.exports.retain(|export| export.name != name && export.name != "_initialize");
    let resume = RESUME.into_iter().find(|name| matches!(module.export(name), Some(Entity::Func(_))));
    if let Some(resume) = resume {
        module.exports.retain(|export| export.name != "_start");
        module.exports.iter_mut().filter(|export| export.name == resume).for_each(|export| export.name = "_start");
    }
    Ok(())
}
