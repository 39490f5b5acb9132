//! Performs the directives of a script on instances in a store: loaded modules go in, outcomes come out.
//!
//! A thread of a script is a thread with a store of its own. What it shares with the script are the shared memories
//! that the script names.

use std::collections::HashMap;
use std::thread::{self, Scope, ScopedJoinHandle};

use wasmelt::module as compiler;
use wasmelt_embed::{Error, Extern, ExternRef, HeapType, Instance, Linker, Module, Store, Val, ValType};
use wasmparser::WasmFeatures;

use crate::outcome::{Kind, Outcome, Reason, Refused, Verdict, same_trap};
use crate::script::{Action, Directive, Exec, Expect, ModuleRef, What, trap_of_segment};
use crate::spectest;
use crate::values::{Arg, Found};

/// What there is while a script runs.
pub(crate) struct World<'s> {
    modules: &'s [Result<Module, Refused>],
    features: WasmFeatures,
    store: Store<()>,
    linker: Linker<()>,
    current: Slot,
    named: HashMap<String, Slot>,
    definitions: HashMap<Option<String>, Result<usize, Reason>>,
    /// Names that modules could import from, had what registered them been run.
    missing: HashMap<String, Reason>,
    outcomes: Vec<Outcome>,
}

/// What a name stands for, or why it stands for nothing.
type Slot = Result<Known, Reason>;

#[derive(Clone)]
enum Known {
    Instance(Instance),
    /// An instance of another thread: its shared memories.
    Memories(Vec<(String, Extern)>),
}

/// What performing something led to.
enum Performed {
    Ended(Result<Vec<Val>, Error>),
    /// It could not be performed.
    Not(Verdict),
}

type Threads<'scope> = HashMap<&'scope str, ScopedJoinHandle<'scope, Vec<Outcome>>>;

impl<'s> World<'s> {
    /// Performs all directives.
    pub(crate) fn perform(
        directives: &'s [Directive],
        modules: &'s [Result<Module, Refused>],
        features: WasmFeatures,
    ) -> Vec<Outcome> {
        Self::begin(directives, modules, features, HashMap::new())
    }

    fn begin(
        directives: &'s [Directive],
        modules: &'s [Result<Module, Refused>],
        features: WasmFeatures,
        named: HashMap<String, Slot>,
    ) -> Vec<Outcome> {
        let mut world = Self {
            modules,
            features,
            store: Store::new(()),
            linker: Linker::new(),
            current: Err(Reason::AfterFailure),
            named,
            definitions: HashMap::new(),
            missing: HashMap::new(),
            outcomes: Vec::new(),
        };
        // A script may register one name again and again.
        world.linker.allow_shadowing(true);
        if let Err(e) = spectest::define(&mut world.linker, &mut world.store) {
            world.decide(1, Kind::Module, Verdict::Failed(format!("spectest: {e}")));
        }
        thread::scope(|scope| {
            let mut threads = Threads::new();
            for directive in directives {
                world.directive(directive, scope, &mut threads);
            }
            for (_, thread) in threads {
                world.join(thread);
            }
        });
        world.outcomes
    }

    fn decide(&mut self, line: usize, kind: Kind, verdict: Verdict) {
        self.outcomes.push(Outcome { line, kind, verdict });
    }

    fn directive<'scope>(
        &mut self,
        directive: &'s Directive,
        scope: &'scope Scope<'scope, 's>,
        threads: &mut Threads<'scope>,
    ) where
        's: 'scope,
    {
        let line = directive.line;
        match &directive.what {
            What::Module { name, module } => {
                let module = self.compiled(line, module);
                self.instantiate(line, name, module);
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
                self.instantiate(line, name, module);
            }
            What::Register { name, instance } => self.register(line, name, instance),
            What::Step { exec, expect } => {
                let verdict = match self.execute(exec) {
                    Performed::Ended(result) => judge(result, expect),
                    Performed::Not(verdict) => verdict,
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
                let verdict = match self.execute_module(module) {
                    Performed::Ended(result) => judge_unlinkable(result, message),
                    Performed::Not(verdict) => verdict,
                };
                self.decide(line, Kind::Assertion, verdict);
            }
            What::Thread { name, shared, directives } => {
                let named = shared.iter().map(|shared| (shared.clone(), self.shared_memories(shared))).collect();
                let (modules, features) = (self.modules, self.features);
                let thread = scope.spawn(move || World::begin(directives, modules, features, named));
                if let Some(earlier) = threads.insert(name, thread) {
                    self.join(earlier);
                }
            }
            What::Wait { thread } => match threads.remove(thread.as_str()) {
                Some(thread) => self.join(thread),
                None => self.decide(line, Kind::Action, Verdict::Failed(format!("there is no thread `{thread}`"))),
            },
            What::NotRun { kind, reason } => self.decide(line, *kind, Verdict::NotRun(*reason)),
        }
    }

    fn join(&mut self, thread: ScopedJoinHandle<'_, Vec<Outcome>>) {
        match thread.join() {
            Ok(outcomes) => self.outcomes.extend(outcomes),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// The module's index; one that should be accepted and was not is decided here.
    fn compiled(&mut self, line: usize, module: &ModuleRef) -> Result<usize, Reason> {
        let refused = match module {
            Ok(index) => match &self.modules[*index] {
                Ok(_) => return Ok(*index),
                Err(refused) => refused.clone(),
            },
            Err(why) => Refused::Error(why.clone()),
        };
        let reason = refused.reason();
        self.decide(line, Kind::Module, refused.verdict());
        Err(reason)
    }

    fn instantiate(&mut self, line: usize, name: &Option<String>, module: Result<usize, Reason>) {
        self.current = module.and_then(|index| {
            let Ok(module) = &self.modules[index] else { return Err(Reason::AfterFailure) };
            if let Some(reason) = self.missing_import(module) {
                self.decide(line, Kind::Module, Verdict::NotRun(reason));
                return Err(reason);
            }
            match self.linker.instantiate(&mut self.store, module) {
                Ok(instance) => {
                    self.decide(line, Kind::Module, Verdict::Passed);
                    Ok(Known::Instance(instance))
                }
                Err(e) => {
                    self.decide(line, Kind::Module, Verdict::Failed(format!("instantiation: {}", shown(&e))));
                    Err(Reason::AfterFailure)
                }
            }
        });
        if let Some(name) = name {
            self.named.insert(name.clone(), self.current.clone());
        }
    }

    /// Why a module that this one imports from is not there.
    fn missing_import(&self, module: &Module) -> Option<Reason> {
        module.imports().find_map(|import| self.missing.get(import.module).copied())
    }

    fn slot(&self, name: &Option<String>) -> Slot {
        match name {
            None => self.current.clone(),
            Some(name) => self.named.get(name).cloned().unwrap_or(Err(Reason::AfterFailure)),
        }
    }

    fn register(&mut self, line: usize, name: &str, instance: &Option<String>) {
        let slot = self.slot(instance);
        self.missing.remove(name);
        match slot {
            Ok(Known::Instance(instance)) => {
                if let Err(e) = self.linker.instance(&self.store, name, instance) {
                    self.decide(line, Kind::Action, Verdict::Failed(e.to_string()));
                }
            }
            Ok(Known::Memories(memories)) => {
                for (field, memory) in memories {
                    if let Err(e) = self.linker.define(&self.store, name, &field, memory) {
                        self.decide(line, Kind::Action, Verdict::Failed(e.to_string()));
                    }
                }
            }
            Err(reason) => _ = self.missing.insert(name.to_owned(), reason),
        }
    }

    /// What a thread sees of an instance.
    fn shared_memories(&self, name: &str) -> Slot {
        Ok(match self.slot(&Some(name.to_owned()))? {
            Known::Instance(instance) => {
                let exports = instance.exports(&self.store).map(|(field, item)| (field.to_owned(), item));
                Known::Memories(exports.filter(|(_, item)| matches!(item, Extern::SharedMemory(_))).collect())
            }
            memories => memories,
        })
    }

    fn execute(&mut self, exec: &Exec) -> Performed {
        match exec {
            Exec::Instantiate(module) => self.execute_module(module),
            Exec::On { instance, action } => match self.slot(instance) {
                Ok(Known::Instance(instance)) => match self.act(instance, action) {
                    Ok(result) => Performed::Ended(result),
                    Err(why) => Performed::Not(Verdict::Failed(why)),
                },
                Ok(Known::Memories(_)) => {
                    Performed::Not(Verdict::Failed("an action on an instance of another thread".to_owned()))
                }
                Err(reason) => Performed::Not(Verdict::NotRun(reason)),
            },
        }
    }

    fn execute_module(&mut self, module: &ModuleRef) -> Performed {
        let module = match module.clone().map(|index| &self.modules[index]) {
            Ok(Ok(module)) => module,
            Ok(Err(refused)) => return Performed::Not(refused.clone().verdict()),
            Err(why) => return Performed::Not(Verdict::Failed(why)),
        };
        if let Some(reason) = self.missing_import(module) {
            return Performed::Not(Verdict::NotRun(reason));
        }
        Performed::Ended(self.linker.instantiate(&mut self.store, module).map(|_| Vec::new()))
    }

    /// What an action ends with, or why the script cannot perform it.
    fn act(&mut self, instance: Instance, action: &Action) -> Result<Result<Vec<Val>, Error>, String> {
        let store = &mut self.store;
        match action {
            Action::Invoke { name, args } => {
                let func =
                    instance.get_func(&*store, name).ok_or_else(|| format!("no function `{name}` is exported"))?;
                let ty = func.ty(&*store).map_err(|e| e.to_string())?;
                if args.len() != ty.params().len() {
                    return Err(format!("{} arguments for {} parameters", args.len(), ty.params().len()));
                }
                let args: Result<Vec<_>, _> = args.iter().zip(ty.params()).map(|(arg, ty)| value(arg, ty)).collect();
                let mut results = vec![Val::I32(0); ty.results().len()];
                Ok(func.call(store, &args?, &mut results).map(|()| results))
            }
            Action::Get { name } => match instance.get_export(&*store, name) {
                Some(Extern::Global(global)) => Ok(global.get(store).map(|value| vec![value])),
                _ => Err(format!("no global `{name}` is exported")),
            },
        }
    }
}

/// The number of a reference of the host's: the suite also has number 0, which is null here.
fn host_reference(number: u32) -> Option<ExternRef> {
    ExternRef::new(u64::from(number) + 1)
}

fn value(arg: &Arg, ty: &ValType) -> Result<Val, String> {
    Ok(match (arg, ty) {
        (&Arg::I32(v), _) => Val::I32(v),
        (&Arg::I64(v), _) => Val::I64(v),
        (&Arg::F32(v), _) => Val::F32(v),
        (&Arg::F64(v), _) => Val::F64(v),
        (&Arg::V128(v), _) => Val::V128(v),
        (&Arg::Extern(number), _) => Val::ExternRef(host_reference(number)),
        (Arg::Null, ValType::Ref(ty)) => match ty.heap {
            HeapType::Func | HeapType::NoFunc | HeapType::Concrete(_) | HeapType::Recursive => Val::FuncRef(None),
            HeapType::Extern | HeapType::NoExtern => Val::ExternRef(None),
            HeapType::Exn | HeapType::NoExn => Val::ExnRef(None),
        },
        (Arg::Null, ty) => return Err(format!("a null reference for a parameter of type {ty}")),
    })
}

fn judge(result: Result<Vec<Val>, Error>, expect: &Expect) -> Verdict {
    let (as_expected, expected) = match (expect, &result) {
        (Expect::Return, result) => (result.is_ok(), "a return".to_owned()),
        (Expect::Results(patterns), result) => {
            let fits = |results: &Vec<Val>| {
                results.len() == patterns.len() && results.iter().zip(patterns).all(|(value, p)| found(value).fits(p))
            };
            (result.as_ref().is_ok_and(fits), format!("{patterns:x?}"))
        }
        (Expect::Trap(message), result) => {
            let fits = matches!(result, Err(Error::Trap(trap)) if same_trap(trap.trap.message(), message));
            (fits, format!("the trap `{message}`"))
        }
        (Expect::Exception, result) => (matches!(result, Err(Error::Exception(_))), "an exception".to_owned()),
    };
    if as_expected { Verdict::Passed } else { differs(&expected, &result) }
}

fn differs(expected: &str, result: &Result<Vec<Val>, Error>) -> Verdict {
    let found = match result {
        Ok(results) => format!("{results:x?}"),
        Err(e) => shown(e),
    };
    Verdict::Failed(format!("expected {expected}, found {found}"))
}

/// An error without its backtrace.
fn shown(error: &Error) -> String {
    match error {
        Error::Trap(trap) => format!("the trap `{}`", trap.trap.message()),
        error => format!("`{error}`"),
    }
}

fn judge_unlinkable(result: Result<Vec<Val>, Error>, message: &str) -> Verdict {
    let as_expected = match (&result, trap_of_segment(message)) {
        (Err(Error::Trap(found)), Some(trap)) => same_trap(found.trap.message(), trap),
        (Err(Error::Unlinkable(found)), None) => found.starts_with(message),
        _ => false,
    };
    if as_expected { Verdict::Passed } else { differs(&format!("`{message}`"), &result) }
}

/// A value as the suite's patterns know it.
fn found(value: &Val) -> Found {
    use wasmparser::ValType::{F32, F64, I32, I64, V128};
    match value {
        &Val::I32(v) => Found::Bits(I32, (v as u32).into()),
        &Val::I64(v) => Found::Bits(I64, (v as u64).into()),
        &Val::F32(v) => Found::Bits(F32, v.into()),
        &Val::F64(v) => Found::Bits(F64, v.into()),
        &Val::V128(v) => Found::Bits(V128, u128::from_le_bytes(v)),
        Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None) => Found::Null,
        Val::FuncRef(Some(_)) => Found::Func,
        Val::ExternRef(Some(reference)) => Found::Extern((reference.0.get() - 1) as u32),
        Val::ExnRef(Some(_)) => Found::Other,
    }
}
