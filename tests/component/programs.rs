//! Performs a script: compiles each of its programs into one executable, and runs that once for each call.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use wasmelt::driver::{self, NoProgress};
use wasmelt::features::default_features;
use wasmelt::options::{Emit, Options};
use wasmelt_abi::trap::TRAP_EXIT_CODE;
use wasmparser::WasmFeatures;

use crate::driver::{Expect, Instance, command};
use crate::library;
use crate::outcome::{Outcome, Reason, Verdict};
use crate::process::{self, Ended};
use crate::script::{Program, Rejected, Script};

/// Words of the error about a component that is not valid.
const INVALID: &str = "the component is not valid: ";

/// Words of the error about WASI 0.3.
const ASYNCHRONOUS: &str = "asynchronous components";

/// Words of the error about a valid component that is not a command.
const NO_COMMAND: &str = "so there is nothing to run";

/// What programs are compiled to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Executable,
    /// A library, which this process loads.
    Library,
}

/// What becomes of each directive.
pub(crate) fn check(script: Script, form: Form, folder: &Path) -> Vec<Outcome> {
    let mut outcomes = script.outcomes;
    for (number, program) in script.programs.iter().enumerate() {
        let path = folder.join(number.to_string());
        outcomes.extend(perform(program, form, &path));
        // Hundreds of executables fill a temporary file system that lies in memory.
        let _ = fs::remove_file(path);
    }
    outcomes.extend(script.rejected.iter().map(judge_rejected));
    outcomes.sort_by_key(|outcome| outcome.line);
    outcomes
}

/// Compiles a component.
pub(crate) fn compile(component: &[u8], form: Form) -> Result<Vec<u8>, String> {
    let (emit, library) = match form {
        Form::Executable => (Emit::Exe, None),
        Form::Library => (Emit::Cdylib, Some(library::NAME.to_owned())),
    };
    let features = default_features() | WasmFeatures::MULTI_MEMORY;
    let options = Options { threads: 1, features, emit, library, ..Options::default() };
    driver::compile(component, "component", &options, &NoProgress).map(|made| made.bytes).map_err(|e| e.to_string())
}

/// Writes an executable.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o700).open(path);
    file.and_then(|mut file| std::io::Write::write_all(&mut file, bytes)).map_err(|e| e.to_string())
}

fn perform(program: &Program, form: Form, path: &Path) -> Vec<Outcome> {
    let calls: Vec<_> = program.calls.iter().map(|(_, call)| call.clone()).collect();
    let component = command(&program.instances, &calls);
    let compiled = match reference() {
        Some(_) => Ok(component),
        None => compile(&component, form),
    };
    let run = |call| match form {
        Form::Executable => run(path, call),
        Form::Library => library::run(path, call),
    };
    let made = match compiled.and_then(|bytes| write(path, &bytes)) {
        Err(why) if why.contains(ASYNCHRONOUS) => Verdict::NotRun(Reason::Asynchronous),
        Err(why) => Verdict::Failed(why),
        Ok(()) => match &program.traps {
            Some(message) => judge_trap(run(0), message),
            None => judge_return(run(0)),
        },
    };
    let is_made = matches!(made, Verdict::Passed);
    let reason = match made {
        Verdict::NotRun(reason) => reason,
        _ => Reason::AfterFailure,
    };
    let mut outcomes = Vec::new();
    let mut made = Some(made);
    for &line in program.lines.iter().rev() {
        // The last line says what is wrong.
        let verdict = made.take().unwrap_or(if is_made { Verdict::Passed } else { Verdict::NotRun(reason) });
        outcomes.push(Outcome { line, verdict });
    }
    let mut can_run = is_made;
    for (number, (line, call)) in program.calls.iter().enumerate() {
        let verdict = match &call.expect {
            _ if !can_run => Verdict::NotRun(reason),
            Expect::Trap(message) => judge_trap(run(number + 1), message),
            Expect::Return | Expect::Result(_) => {
                let ended = run(number + 1);
                // Those after it would make this call first.
                can_run = ended.as_ref().is_ok_and(|ended| ended.code <= 1);
                judge_return(ended)
            }
        };
        outcomes.push(Outcome { line: *line, verdict });
    }
    outcomes
}

/// The wasmtime that performs the scripts instead of executables, if one is named: it is asked whether they are right.
pub(crate) fn reference() -> Option<PathBuf> {
    std::env::var_os("WASMELT_WASMTIME").map(PathBuf::from)
}

/// What wasmtime is told of proposals.
const PROPOSALS: [&str; 2] = ["-W", "multi-memory,memory64,component-model-memory64,exceptions"];

/// Runs a command up to a call.
pub(crate) fn run(path: &Path, call: usize) -> Result<Ended, String> {
    match reference() {
        None => run_ours(path, call),
        Some(_) => run_reference(&[&["run", "-C", "cache=n"][..], &PROPOSALS].concat(), path, call),
    }
}

/// Runs an executable up to a call.
pub(crate) fn run_ours(path: &Path, call: usize) -> Result<Ended, String> {
    process::run(None, path, &["x".repeat(call)])
}

/// Compiles a component for the reference.
pub(crate) fn precompile(component: &[u8], wasm: &Path, precompiled: &Path) -> Result<(), String> {
    write(wasm, component)?;
    let wasmtime = reference().ok_or("there is no reference")?;
    let words = ["compile", "-C", "cache=n"].iter().chain(&PROPOSALS).map(|word| (*word).to_owned());
    let paths = [wasm.display().to_string(), "-o".to_owned(), precompiled.display().to_string()];
    let ended = process::run(None, &wasmtime, &words.chain(paths).collect::<Vec<_>>())?;
    if ended.code == 0 { Ok(()) } else { Err(ended.stderr) }
}

/// Runs what was compiled for the reference.
pub(crate) fn run_precompiled(path: &Path, call: usize) -> Result<Ended, String> {
    run_reference(&[&["run", "--allow-precompiled"][..], &PROPOSALS].concat(), path, call)
}

fn run_reference(words: &[&str], path: &Path, call: usize) -> Result<Ended, String> {
    let wasmtime = reference().ok_or("there is no reference")?;
    let words = words.iter().map(|word| (*word).to_owned());
    let words: Vec<_> = words.chain([path.display().to_string(), "x".repeat(call)]).collect();
    process::run(None, &wasmtime, &words)
}

fn judge_return(ended: Result<Ended, String>) -> Verdict {
    match ended {
        Ok(ended) if ended.code == 0 => Verdict::Passed,
        Ok(ended) if ended.code == 1 && ended.stderr.is_empty() => Verdict::Failed("wrong result".to_owned()),
        Ok(ended) => Verdict::Failed(describe(&ended)),
        Err(why) => Verdict::Failed(why),
    }
}

fn judge_trap(ended: Result<Ended, String>, message: &str) -> Verdict {
    let ended = match ended {
        Ok(ended) => ended,
        Err(why) => return Verdict::Failed(why),
    };
    let found = match reference() {
        // Its message has several lines, with the cause on one of them.
        Some(_) => ended.stderr.lines().find(|line| line.contains(message)),
        None => ended.stderr.lines().next().and_then(|line| line.strip_prefix("wasm trap: ")),
    };
    let is_trap = ended.code == TRAP_EXIT_CODE || (ended.code == 1 && reference().is_some());
    match found {
        Some(found) if is_trap && (found.contains(message) || message.contains(found)) => Verdict::Passed,
        _ => Verdict::Failed(format!("expected the trap `{message}`, found {}", describe(&ended))),
    }
}

fn describe(ended: &Ended) -> String {
    let text = match reference() {
        Some(_) => &ended.stderr,
        None => ended.stderr.lines().next().unwrap_or(ended.stdout.trim_end()),
    };
    format!("exit code {} and `{text}`", ended.code)
}

/// Judges what was said of a component that must not be accepted.
fn judge_rejected(rejected: &Rejected) -> Outcome {
    let found = match &rejected.component {
        Err(why) => Err(format!("{INVALID}{why}")),
        Ok(component) if rejected.program.instances.is_empty() => match compile(component, Form::Executable) {
            // Whatever is wrong, and can be seen in a command alone.
            Err(why) if why.contains(NO_COMMAND) => {
                let instance = Instance { component: component.clone(), imports: Vec::new() };
                compile(&command(&[instance], &[]), Form::Executable).and(Err(why))
            }
            compiled => compiled,
        },
        Ok(_) => compile(&command(&rejected.program.instances, &[]), Form::Executable),
    };
    let expected = &rejected.message;
    let verdict = match found {
        Ok(_) => Verdict::Failed(format!("the component was accepted, expected `{expected}`")),
        Err(why) if why.contains(NO_COMMAND) => {
            Verdict::Failed(format!("the component is valid, expected `{expected}`"))
        }
        Err(why) if why.contains(INVALID) && why.contains(expected.as_str()) => Verdict::Passed,
        Err(why) => Verdict::Failed(format!("expected `{expected}`, found `{why}`")),
    };
    Outcome { line: rejected.line, verdict }
}
