//! The contenders: the executable, and the engines on `PATH`, each with the options that grant what the executable was
//! granted and that ask for what it was asked for. An engine that cannot do the same says so in its row.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use super::complaint;
use crate::error::Result;
use crate::features::{FEATURES, default_features};
use crate::options::{Options, Policy};

/// Something that is run over and over.
#[derive(Debug)]
pub(super) struct Contender {
    /// Name of the row.
    pub(super) name: &'static str,
    /// First line of what the engine says about itself.
    pub(super) version: String,
    /// What runs the program, or why it cannot be run.
    pub(super) command: Result<Command, String>,
    /// Seconds that were spent before the first run: compilation.
    pub(super) preparation: Option<f64>,
}

/// What is compared.
pub(super) struct Task<'a> {
    pub(super) modules: &'a Modules,
    /// Files that are made belong here.
    pub(super) folder: &'a Path,
    /// What the executable was compiled with.
    pub(super) options: &'a Options,
    /// Arguments of the guest.
    pub(super) args: &'a [OsString],
}

/// Files with modules: in the binary format, or what an engine compiled them to.
#[derive(Clone, Debug)]
pub(super) struct Modules {
    pub(super) main: PathBuf,
    /// Those that are instantiated before, by the names that imports give.
    pub(super) preloads: Vec<(String, PathBuf)>,
}

impl Modules {
    /// The same with other files.
    fn map(&self, mut file: impl FnMut(&Path) -> Result<PathBuf, String>) -> Result<Self, String> {
        let preloads = self.preloads.iter().map(|(name, path)| Ok((name.clone(), file(path)?)));
        Ok(Self { preloads: preloads.collect::<Result<_, String>>()?, main: file(&self.main)? })
    }
}

/// An engine: how it names what it grants, compiles ahead, and runs.
struct Engine {
    name: &'static str,
    program: &'static str,
    /// Arguments that compile a module to an output.
    compile: Option<Compile>,
    run: fn(&Task<'_>, &Modules) -> Vec<OsString>,
    /// Whether it can preload modules, and call an export by its name.
    links_and_invokes: bool,
}

/// Arguments by the task, the module and the output.
type Compile = fn(&Task<'_>, &Path, &Path) -> Vec<OsString>;

/// The engines, each in the ways that it has of running a module.
const ENGINES: &[Engine] = &[
    Engine {
        name: "wasmtime, precompiled",
        program: "wasmtime",
        compile: Some(|task, wasm, out| {
            let mut arguments = words(["compile"]);
            arguments.extend(proposals(task.options));
            arguments.extend([wasm.into(), "-o".into(), out.into()]);
            arguments
        }),
        run: |task, compiled| wasmtime(task, &["--allow-precompiled"], compiled),
        links_and_invokes: true,
    },
    Engine {
        name: "wasmtime",
        program: "wasmtime",
        compile: None,
        run: |task, modules| wasmtime(task, &["-C", "cache=n"], modules),
        links_and_invokes: true,
    },
    Engine { name: "wasmer", program: "wasmer", compile: None, run: wasmer, links_and_invokes: false },
    Engine {
        name: "WasmEdge, compiled",
        program: "wasmedge",
        compile: Some(|_, wasm, out| vec!["compile".into(), wasm.into(), out.into()]),
        run: wasmedge,
        links_and_invokes: false,
    },
    Engine {
        name: "WasmEdge, interpreter",
        program: "wasmedge",
        compile: None,
        run: wasmedge,
        links_and_invokes: false,
    },
    Engine { name: "WAMR", program: "iwasm", compile: None, run: iwasm, links_and_invokes: false },
    Engine { name: "node", program: "node", compile: None, run: node, links_and_invokes: false },
];

/// The module of node's that has WASI, called with a description of the grants.
const NODE: &str = include_str!("node.mjs");

/// All engines that are on `PATH`, in all their ways.
pub(super) fn engines(task: &Task<'_>) -> Vec<Contender> {
    ENGINES.iter().filter_map(|engine| contender(engine, task)).collect()
}

fn contender(engine: &Engine, task: &Task<'_>) -> Option<Contender> {
    let program = find(engine.program)?;
    let mut preparation = None;
    let modules = match missing(engine, task.options) {
        Some(why) => Err(why.to_owned()),
        None => compile(engine, task, &program, &mut preparation),
    };
    let command = modules.map(|modules| {
        let mut command = Command::new(&program);
        command.args((engine.run)(task, &modules));
        if engine.program == "node" {
            command.env("WASMELT_BENCH", grants_for_node(&task.options.policy));
        }
        command
    });
    Some(Contender { name: engine.name, version: version(&program), command, preparation })
}

/// What is asked for and what the engine does not have.
fn missing(engine: &Engine, options: &Options) -> Option<&'static str> {
    if engine.links_and_invokes {
        return None;
    }
    let linked = (!options.preloads.is_empty()).then_some("`wasmelt bench` has no way to let it link several modules");
    linked.or_else(|| options.invoke.is_some().then_some("`wasmelt bench` has no way to let it call an export"))
}

/// The modules as the engine runs them, with the seconds that it took to compile them.
fn compile(engine: &Engine, task: &Task<'_>, program: &Path, preparation: &mut Option<f64>) -> Result<Modules, String> {
    let Some(compile) = engine.compile else { return Ok(task.modules.clone()) };
    let start = Instant::now();
    let mut number = 0;
    let compiled = task.modules.map(|wasm| {
        // WasmEdge takes what it compiled for that by its extension.
        let out = task.folder.join(format!("{}-compiled-{number}.so", engine.program));
        number += 1;
        let compiled = must_work(Command::new(program).args(compile(task, wasm, &out)));
        compiled.map(|()| out).map_err(|why| format!("cannot compile it: {why}"))
    });
    *preparation = Some(start.elapsed().as_secs_f64());
    compiled
}

/// A program on `PATH`.
fn find(name: &str) -> Option<PathBuf> {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(&name)).find(|path| path.is_file())
}

fn version(program: &Path) -> String {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("unknown version");
    line.trim().chars().take(60).collect()
}

fn must_work(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(complaint::of(&String::from_utf8_lossy(&output.stderr)))
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<OsString> {
    words.into_iter().map(OsString::from).collect()
}

/// Variables with the values that the guest gets.
fn variables(policy: &Policy) -> Vec<(String, String)> {
    let given = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    let inherited = std::env::vars_os().filter_map(given).filter(|_| policy.inherit_env);
    let named = policy.env.iter().filter_map(|grant| {
        Some((grant.name.clone(), grant.value.clone().or_else(|| std::env::var(&grant.name).ok())?))
    });
    inherited.chain(named).collect()
}

/// Adds an option for each directory and each variable.
fn grant(out: &mut Vec<OsString>, policy: &Policy, dir: (&str, fn(&str, &str) -> String), env: &str) {
    for grant in &policy.dirs {
        out.extend([dir.0.into(), dir.1(&grant.host, &grant.guest).into()]);
    }
    for (name, value) in variables(policy) {
        out.extend([env.into(), format!("{name}={value}").into()]);
    }
}

/// Proposals that are on and that are off without an option, which have the same names there.
fn proposals(options: &Options) -> Vec<OsString> {
    let wanted = options.features.difference(default_features());
    let names = FEATURES.iter().filter(|feature| wanted.contains(feature.flag)).map(|feature| feature.name);
    names.flat_map(|name| ["-W".into(), format!("{name}=y").into()]).collect()
}

fn wasmtime(task: &Task<'_>, how: &[&str], modules: &Modules) -> Vec<OsString> {
    let policy = &task.options.policy;
    let mut out = words(["run"].into_iter().chain(how.iter().copied()));
    out.extend(proposals(task.options));
    grant(&mut out, policy, ("--dir", |host, guest| format!("{host}::{guest}")), "--env");
    for (name, path) in &modules.preloads {
        let mut preload = OsString::from(format!("{name}="));
        preload.push(path);
        out.extend(["--preload".into(), preload]);
    }
    for (option, value) in [("--invoke", &task.options.invoke), ("--argv0", &policy.arg0)] {
        out.extend(value.iter().flat_map(|value| [option.into(), value.into()]));
    }
    out.push(modules.main.clone().into());
    out.extend_from_slice(task.args);
    out
}

fn wasmer(task: &Task<'_>, modules: &Modules) -> Vec<OsString> {
    let mut out = words(["run"]);
    grant(&mut out, &task.options.policy, ("--mapdir", |host, guest| format!("{guest}:{host}")), "--env");
    out.extend([modules.main.clone().into(), "--".into()]);
    out.extend_from_slice(task.args);
    out
}

fn wasmedge(task: &Task<'_>, modules: &Modules) -> Vec<OsString> {
    let mut out = Vec::new();
    grant(&mut out, &task.options.policy, ("--dir", |host, guest| format!("{guest}:{host}")), "--env");
    out.push(modules.main.clone().into());
    out.extend_from_slice(task.args);
    out
}

fn iwasm(task: &Task<'_>, modules: &Modules) -> Vec<OsString> {
    let policy = &task.options.policy;
    let mut out: Vec<OsString> = Vec::new();
    out.extend(policy.dirs.iter().map(|grant| format!("--map-dir={}::{}", grant.guest, grant.host).into()));
    out.extend(variables(policy).into_iter().map(|(name, value)| format!("--env={name}={value}").into()));
    out.push(modules.main.clone().into());
    out.extend_from_slice(task.args);
    out
}

fn node(task: &Task<'_>, modules: &Modules) -> Vec<OsString> {
    let mut out = words(["--no-warnings", "--input-type=module", "--eval", NODE, "--"]);
    out.push(modules.main.clone().into());
    out.extend_from_slice(task.args);
    out
}

/// What [`NODE`] reads of its environment.
fn grants_for_node(policy: &Policy) -> String {
    let dirs: serde_json::Map<_, _> =
        policy.dirs.iter().map(|grant| (grant.guest.clone(), grant.host.clone().into())).collect();
    let env: serde_json::Map<_, _> = variables(policy).into_iter().map(|(name, value)| (name, value.into())).collect();
    serde_json::json!({ "preopens": dirs, "env": env }).to_string()
}
