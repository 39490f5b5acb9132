//! The contenders: the executable, and the engines on `PATH`, each with the options that grant what the executable was
//! granted.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::error::Result;
use crate::options::Policy;

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
    /// The module in the binary format.
    pub(super) wasm: &'a Path,
    /// Files that are made belong here.
    pub(super) folder: &'a Path,
    pub(super) policy: &'a Policy,
    /// Arguments of the guest.
    pub(super) args: &'a [OsString],
}

/// An engine: how it names what it grants, compiles ahead, and runs.
struct Engine {
    name: &'static str,
    program: &'static str,
    /// Arguments that compile: module and output follow in the order that the function gives.
    compile: Option<fn(&Path, &Path) -> Vec<OsString>>,
    run: fn(&Task<'_>, &Path) -> Vec<OsString>,
}

/// The engines, each in the ways that it has of running a module.
const ENGINES: &[Engine] = &[
    Engine {
        name: "wasmtime, precompiled",
        program: "wasmtime",
        compile: Some(|wasm, out| words(["compile".as_ref(), wasm.as_os_str(), "-o".as_ref(), out.as_os_str()])),
        run: |task, compiled| wasmtime(task, &["run", "--allow-precompiled"], compiled),
    },
    Engine {
        name: "wasmtime",
        program: "wasmtime",
        compile: None,
        run: |task, wasm| wasmtime(task, &["run", "-C", "cache=n"], wasm),
    },
    Engine { name: "wasmer", program: "wasmer", compile: None, run: wasmer },
    Engine {
        name: "WasmEdge, compiled",
        program: "wasmedge",
        compile: Some(|wasm, out| words(["compile".as_ref(), wasm.as_os_str(), out.as_os_str()])),
        run: wasmedge,
    },
    Engine { name: "WasmEdge, interpreter", program: "wasmedge", compile: None, run: wasmedge },
    Engine { name: "WAMR", program: "iwasm", compile: None, run: iwasm },
    Engine { name: "node", program: "node", compile: None, run: node },
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
    let mut module = Ok(task.wasm.to_owned());
    if let Some(compile) = engine.compile {
        // WasmEdge takes what it compiled for that by its extension.
        let out = task.folder.join(format!("{}-compiled.so", engine.program));
        let start = Instant::now();
        let mut command = Command::new(&program);
        module = must_work(command.args(compile(task.wasm, &out))).map(|()| out);
        preparation = Some(start.elapsed().as_secs_f64());
    }
    let command = module.map(|module| {
        let mut command = Command::new(&program);
        command.args((engine.run)(task, &module));
        if engine.program == "node" {
            command.env("WASMELT_BENCH", grants_for_node(task.policy));
        }
        command
    });
    Some(Contender { name: engine.name, version: version(&program), command, preparation })
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
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(complaint.lines().find(|line| !line.trim().is_empty()).unwrap_or("it cannot compile the module").to_owned())
}

fn words<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> Vec<OsString> {
    words.into_iter().map(OsStr::to_owned).collect()
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

fn wasmtime(task: &Task<'_>, command: &[&str], module: &Path) -> Vec<OsString> {
    let mut out = words(command.iter().map(OsStr::new));
    grant(&mut out, task.policy, ("--dir", |host, guest| format!("{host}::{guest}")), "--env");
    out.push(module.into());
    out.extend_from_slice(task.args);
    out
}

fn wasmer(task: &Task<'_>, module: &Path) -> Vec<OsString> {
    let mut out = words(["run".as_ref()]);
    grant(&mut out, task.policy, ("--mapdir", |host, guest| format!("{guest}:{host}")), "--env");
    out.extend([module.into(), "--".into()]);
    out.extend_from_slice(task.args);
    out
}

fn wasmedge(task: &Task<'_>, module: &Path) -> Vec<OsString> {
    let mut out = Vec::new();
    grant(&mut out, task.policy, ("--dir", |host, guest| format!("{guest}:{host}")), "--env");
    out.push(module.into());
    out.extend_from_slice(task.args);
    out
}

fn iwasm(task: &Task<'_>, module: &Path) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::new();
    out.extend(task.policy.dirs.iter().map(|grant| format!("--map-dir={}::{}", grant.guest, grant.host).into()));
    out.extend(variables(task.policy).into_iter().map(|(name, value)| format!("--env={name}={value}").into()));
    out.push(module.into());
    out.extend_from_slice(task.args);
    out
}

fn node(task: &Task<'_>, module: &Path) -> Vec<OsString> {
    let mut out = words(["--no-warnings", "--input-type=module", "--eval", NODE, "--"].map(OsStr::new));
    out.push(module.into());
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
