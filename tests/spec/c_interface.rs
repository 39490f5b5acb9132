//! Checks a script through the C interface: the modules of a file are one shared library, and a host in C (`driver.c`), which
//! knows `wasm.h` and `wasmelt.h` alone, performs the directives. What comes out is judged as through the Rust interface.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use wasmelt::driver::{self, NoProgress};
use wasmelt::module as compiler;
use wasmelt::options::{Emit, Options};
use wasmelt_abi::trap::Trap;
use wasmparser::{ValType, WasmFeatures};

use crate::configuration::Configuration;
use crate::libraries;
use crate::outcome::{Kind, Outcome, Reason, Refused, Verdict, same_trap};
use crate::script::{Action, Directive, Exec, Expect, ModuleRef, SPECTEST, Script, What, trap_of_segment};
use crate::suites::File;
use crate::support::{self, portable};
use crate::values::{Arg, Found};

/// What of the module `spectest` the C interface cannot make: a module has it.
const REST_OF_SPECTEST: &str = r#"(module
    (table (export "table64") i64 10 20 funcref)
    (memory (export "shared_memory") 1 2 shared))"#;

/// What becomes of each directive of a script.
pub(crate) fn check(configuration: &Configuration, file: &File, script: &Script) -> Vec<Outcome> {
    let perform = || {
        let options = configuration.options(file.features)?;
        let (modules, library) = link(script, &options)?;
        let folder = support::scratch();
        let path = folder.path().join("modules.so");
        fs::write(&path, library).map_err(|e| format!("cannot write the library: {e}"))?;
        World::perform(script, &modules, Host::start(&path)?, file.features)
    };
    perform().unwrap_or_else(|why| vec![Outcome { line: 1, kind: Kind::Module, verdict: Verdict::Failed(why) }])
}

/// Which modules of a script were compiled, and why the others were not.
type Compiled = Vec<Result<(), Refused>>;

/// Links the modules of a script, and the rest of `spectest` behind them; which of them are in the library.
fn link(script: &Script, options: &Options) -> Result<(Compiled, Vec<u8>), String> {
    let objects = libraries::objects(script, options);
    let rest = wat::parse_str(REST_OF_SPECTEST).map_err(|e| e.to_string())?;
    let features = Options::default().features;
    let rest_options =
        Options { emit: Emit::Obj, library: Some(libraries::name(objects.len())), features, ..options.clone() };
    let rest = driver::compile(&rest, "spectest", &rest_options, &NoProgress).map_err(|e| e.to_string())?.bytes;
    let inputs = objects.iter().flatten().cloned().chain([rest]).collect();
    let library = driver::link_libraries(inputs, options).map_err(|e| format!("linking: {e}"))?;
    Ok((objects.into_iter().map(|object| object.map(drop)).collect(), library))
}

/// The host in C, built once.
fn program() -> Result<&'static Path, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(build).as_deref().map_err(Clone::clone)
}

fn build() -> Result<PathBuf, String> {
    let target = Options::default().target.to_string();
    portable::cargo(&[
        "build",
        "--locked",
        "--package",
        "wasmelt-c-api",
        "--profile",
        "embed-host",
        "--target",
        &target,
    ])?;
    let built = portable::folder().join(target).join("embed-host");
    let (source, program) = (support::repository().join("tests/spec/driver.c"), built.join("spec-driver"));
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=c99", "-O1", "-D_XOPEN_SOURCE=700", "-I"]).arg(support::repository().join("c-api/include"));
    gcc.arg("-o").arg(&program).arg(source).arg(built.join("libwasmelt_c_api.a"));
    gcc.args(["-lpthread", "-ldl", "-lm", "-lgcc_s", "-lc"]);
    let output = gcc.output().map_err(|e| format!("cannot run gcc: {e}"))?;
    if output.status.success() { Ok(program) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// The running host.
struct Host {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What the host answers.
#[derive(Debug)]
enum Answer {
    Done,
    Values(Vec<Found>),
    /// A trap of WebAssembly, or an exception that nothing caught.
    Trap(Trap),
    /// Why nothing was called.
    Error(String),
    /// The interface has no way.
    Cannot,
}

impl Host {
    fn start(library: &Path) -> Result<Self, String> {
        let mut command = Command::new(program()?);
        command.arg(library).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|e| format!("cannot run the host: {e}"))?;
        let (Some(commands), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("the host has no pipes".to_owned());
        };
        Ok(Self { process, commands, answers: BufReader::new(answers) })
    }

    /// Fails where the host has ended.
    fn ask(&mut self, command: &str) -> Result<Answer, String> {
        let mut line = String::new();
        let asked = writeln!(self.commands, "{command}").and_then(|()| self.answers.read_line(&mut line));
        let (what, rest) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
        let answer = match (what, rest) {
            ("done", _) => Some(Answer::Done),
            ("values", rest) => rest.split_terminator(' ').map(found).collect::<Option<_>>().map(Answer::Values),
            ("trap", rest) => {
                rest.split_once(' ').map(|(code, message)| match code.parse().ok().and_then(Trap::from_u8) {
                    Some(trap) => Answer::Trap(trap),
                    None => Answer::Error(message.to_owned()),
                })
            }
            ("error", why) => Some(Answer::Error(why.to_owned())),
            ("cannot", _) => Some(Answer::Cannot),
            _ => None,
        };
        answer.filter(|_| asked.is_ok()).ok_or_else(|| format!("`{command}`: the host has ended, or answered {line:?}"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A value of an answer.
fn found(word: &str) -> Option<Found> {
    let (ty, value) = word.split_once(':').unwrap_or((word, ""));
    let ty = match ty {
        "null" => return Some(Found::Null),
        "func" => return Some(Found::Func),
        "extern" => return value.parse().ok().map(Found::Extern),
        "i32" => ValType::I32,
        "i64" => ValType::I64,
        "f32" => ValType::F32,
        "f64" => ValType::F64,
        "v128" => ValType::V128,
        _ => return None,
    };
    u128::from_str_radix(value, 16).ok().map(|bits| Found::Bits(ty, bits))
}

fn argument(arg: &Arg) -> String {
    match arg {
        Arg::I32(v) => format!("i32:{v:x}"),
        Arg::I64(v) => format!("i64:{v:x}"),
        Arg::F32(bits) => format!("f32:{bits:x}"),
        Arg::F64(bits) => format!("f64:{bits:x}"),
        Arg::V128(bytes) => format!("v128:{:032x}", u128::from_le_bytes(*bytes)),
        Arg::Null => "null".to_owned(),
        Arg::Extern(number) => format!("extern:{number}"),
    }
}

fn hexadecimal(name: &str) -> String {
    name.bytes().fold("x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The host's number of an instance, or why there is none.
type Slot = Result<usize, Reason>;

/// What there is while a script runs.
struct World<'s> {
    script: &'s Script,
    modules: &'s [Result<(), Refused>],
    features: WasmFeatures,
    host: Host,
    slots: usize,
    current: Slot,
    named: HashMap<String, Slot>,
    definitions: HashMap<Option<String>, Result<usize, Reason>>,
    /// Names that modules could import from, had what registered them been run.
    missing: HashMap<String, Reason>,
    /// A thread of the script was not run: what follows may look at what it has left.
    lacks_thread: bool,
    outcomes: Vec<Outcome>,
}

impl<'s> World<'s> {
    fn perform(
        script: &'s Script,
        modules: &'s [Result<(), Refused>],
        host: Host,
        features: WasmFeatures,
    ) -> Result<Vec<Outcome>, String> {
        let current = Err(Reason::AfterFailure);
        let (named, definitions, missing) = (HashMap::new(), HashMap::new(), HashMap::new());
        let outcomes = Vec::new();
        let mut world = Self {
            script,
            modules,
            features,
            host,
            slots: 0,
            current,
            named,
            definitions,
            missing,
            lacks_thread: false,
            outcomes,
        };
        let rest = world.instance(modules.len())?.map_err(|answer| format!("spectest: {answer:?}"))?;
        world.host.ask(&format!("register {rest} {}", hexadecimal(SPECTEST)))?;
        script.directives.iter().try_for_each(|directive| world.directive(directive))?;
        Ok(world.outcomes)
    }

    fn decide(&mut self, line: usize, kind: Kind, verdict: Verdict) {
        self.outcomes.push(Outcome { line, kind, verdict });
    }

    fn directive(&mut self, directive: &Directive) -> Result<(), String> {
        let line = directive.line;
        match &directive.what {
            What::Module { name, module } => {
                let module = self.compiled(line, module);
                self.instantiate(line, name, module)?;
            }
            What::Definition { name, module } => {
                let module = self.compiled(line, module);
                if module.is_ok() {
                    self.decide(line, Kind::Module, Verdict::Passed);
                }
                self.definitions.insert(None, module);
                self.definitions.insert(name.clone(), module);
            }
            What::Instance { name, definition } => {
                let module = self.definitions.get(definition).copied().unwrap_or(Err(Reason::AfterFailure));
                self.instantiate(line, name, module)?;
            }
            What::Register { name, instance } => self.register(line, name, instance)?,
            What::Step { exec, expect } => {
                let verdict = match self.execute(line, exec)? {
                    Ok(answer) => judge(&answer, expect),
                    Err(verdict) => verdict,
                };
                self.decide(line, expect.kind(), verdict);
            }
            What::Rejected { wasm } => {
                let verdict = match wasm {
                    Some(wasm) => Refused::judge(compiler::parse(wasm, self.features).err().as_ref()),
                    None => Verdict::Passed,
                };
                self.decide(line, Kind::Assertion, verdict);
            }
            What::Unlinkable { module, message } => {
                let verdict = match self.execute_module(module)? {
                    Ok(answer) => judge_unlinkable(&answer, message),
                    Err(verdict) => verdict,
                };
                self.decide(line, Kind::Assertion, verdict);
            }
            // Threads of a script share memories, which the interface gives to no other store.
            What::Thread { directives, .. } => {
                self.lacks_thread = true;
                for directive in directives {
                    let (kind, is_counted) = match &directive.what {
                        What::Module { .. } => (Kind::Module, true),
                        What::Step { expect, .. } => (expect.kind(), true),
                        _ => (Kind::Action, false),
                    };
                    if is_counted {
                        self.decide(directive.line, kind, Verdict::NotRun(Reason::Script));
                    }
                }
            }
            What::Wait { .. } => {}
            What::NotRun { kind, reason } => self.decide(line, *kind, Verdict::NotRun(*reason)),
        }
        Ok(())
    }

    /// The module's index; one that should be accepted and was not is decided here.
    fn compiled(&mut self, line: usize, module: &ModuleRef) -> Result<usize, Reason> {
        let refused = match module {
            Ok(index) => match &self.modules[*index] {
                Ok(()) => return Ok(*index),
                Err(refused) => refused.clone(),
            },
            Err(why) => Refused::Error(why.clone()),
        };
        let reason = refused.reason();
        self.decide(line, Kind::Module, refused.verdict());
        Err(reason)
    }

    /// Instantiates a module at the next number.
    fn instance(&mut self, index: usize) -> Result<Result<usize, Answer>, String> {
        let slot = self.slots;
        self.slots += 1;
        Ok(match self.host.ask(&format!("module {slot} {index}"))? {
            Answer::Done => Ok(slot),
            answer => Err(answer),
        })
    }

    fn instantiate(&mut self, line: usize, name: &Option<String>, module: Result<usize, Reason>) -> Result<(), String> {
        self.current = match module {
            Err(reason) => Err(reason),
            Ok(index) => match self.missing_import(index) {
                Some(reason) => {
                    self.decide(line, Kind::Module, Verdict::NotRun(reason));
                    Err(reason)
                }
                None => match self.instance(index)? {
                    Ok(slot) => {
                        self.decide(line, Kind::Module, Verdict::Passed);
                        Ok(slot)
                    }
                    Err(answer) => {
                        self.decide(line, Kind::Module, Verdict::Failed(format!("instantiation: {answer:?}")));
                        Err(Reason::AfterFailure)
                    }
                },
            },
        };
        if let Some(name) = name {
            self.named.insert(name.clone(), self.current);
        }
        Ok(())
    }

    /// Why a module that this one imports from is not there.
    fn missing_import(&self, index: usize) -> Option<Reason> {
        if self.missing.is_empty() {
            return None;
        }
        let module = compiler::parse(&self.script.modules[index], self.features).ok()?;
        module.imports.iter().find_map(|import| self.missing.get(import.module).copied())
    }

    fn slot(&self, name: &Option<String>) -> Slot {
        match name {
            None => self.current,
            Some(name) => self.named.get(name).copied().unwrap_or(Err(Reason::AfterFailure)),
        }
    }

    fn register(&mut self, line: usize, name: &str, instance: &Option<String>) -> Result<(), String> {
        self.missing.remove(name);
        match self.slot(instance) {
            Ok(slot) => match self.host.ask(&format!("register {slot} {}", hexadecimal(name)))? {
                Answer::Done => {}
                Answer::Cannot => _ = self.missing.insert(name.to_owned(), Reason::Script),
                answer => self.decide(line, Kind::Action, Verdict::Failed(format!("{answer:?}"))),
            },
            Err(reason) => _ = self.missing.insert(name.to_owned(), reason),
        }
        Ok(())
    }

    fn execute(&mut self, line: usize, exec: &Exec) -> Result<Result<Answer, Verdict>, String> {
        let (instance, action) = match exec {
            Exec::Instantiate(module) => return self.execute_module(module),
            Exec::On { instance, action } => (instance, action),
        };
        let slot = match self.slot(instance) {
            Ok(_) if self.lacks_thread => return Ok(Err(Verdict::NotRun(Reason::Script))),
            Ok(slot) => slot,
            Err(reason) => return Ok(Err(Verdict::NotRun(reason))),
        };
        let command = match action {
            Action::Get { name } => format!("get {slot} {}", hexadecimal(name)),
            Action::Invoke { name, args } => {
                // Both ways to call a function are taken, where either is possible.
                let how = if line.is_multiple_of(2) { "boxed" } else { "unboxed" };
                let args: String = args.iter().map(|arg| format!(" {}", argument(arg))).collect();
                format!("invoke {how} {slot} {}{args}", hexadecimal(name))
            }
        };
        Ok(match self.host.ask(&command)? {
            Answer::Cannot => Err(Verdict::NotRun(Reason::Script)),
            answer => Ok(answer),
        })
    }

    fn execute_module(&mut self, module: &ModuleRef) -> Result<Result<Answer, Verdict>, String> {
        let index = match module {
            Ok(index) => *index,
            Err(why) => return Ok(Err(Verdict::Failed(why.clone()))),
        };
        if let Err(refused) = &self.modules[index] {
            return Ok(Err(refused.clone().verdict()));
        }
        if let Some(reason) = self.missing_import(index) {
            return Ok(Err(Verdict::NotRun(reason)));
        }
        Ok(Ok(self.instance(index)?.map_or_else(|answer| answer, |_| Answer::Values(Vec::new()))))
    }
}

fn judge(answer: &Answer, expect: &Expect) -> Verdict {
    let as_expected = match (expect, answer) {
        (Expect::Return, answer) => matches!(answer, Answer::Values(_)),
        (Expect::Results(patterns), Answer::Values(values)) => {
            values.len() == patterns.len() && values.iter().zip(patterns).all(|(value, pattern)| value.fits(pattern))
        }
        (Expect::Trap(message), Answer::Trap(trap)) => same_trap(trap.message(), message),
        (Expect::Exception, Answer::Trap(trap)) => *trap == Trap::UncaughtException,
        _ => false,
    };
    if as_expected { Verdict::Passed } else { Verdict::Failed(format!("expected {expect:x?}, found {answer:x?}")) }
}

fn judge_unlinkable(answer: &Answer, message: &str) -> Verdict {
    let as_expected = match (answer, trap_of_segment(message)) {
        (Answer::Trap(found), Some(trap)) => same_trap(found.message(), trap),
        (Answer::Error(found), None) => found.starts_with(message),
        _ => false,
    };
    if as_expected { Verdict::Passed } else { Verdict::Failed(format!("expected `{message}`, found {answer:?}")) }
}
