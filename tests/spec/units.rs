//! A script as independent units, for executables: each module instance with the steps that are performed on it, in
//! order, and the modules that must not be accepted. What needs instances that share something is decided here.

use std::collections::HashMap;

use wasmparser::{Parser, Payload};

use crate::outcome::{Kind, Outcome, Reason, Verdict};
use crate::script::{Action, Directive, Exec, Expect, ModuleRef, SPECTEST, Script, What, trap_of_segment};
use crate::values::{Arg, Pattern};

/// What is left to do after reading, and what was decided by it.
#[derive(Debug, Default)]
pub(crate) struct Units {
    pub(crate) units: Vec<Unit>,
    pub(crate) outcomes: Vec<Outcome>,
}

/// Something that can be checked by itself.
#[derive(Debug)]
pub(crate) enum Unit {
    /// A module that is instantiated once, and what happens to its instance.
    Instance { line: usize, wasm: Vec<u8>, steps: Vec<Step> },
    /// A module that must not be accepted.
    Rejected { line: usize, wasm: Vec<u8> },
    /// A module with an import that nothing provides.
    Unlinkable { line: usize, wasm: Vec<u8> },
    /// A module whose instantiation traps.
    InstantiationTraps { line: usize, wasm: Vec<u8>, message: String },
}

/// A directive about an instance.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) action: Action,
    pub(crate) expect: Expect,
}

impl Step {
    pub(crate) fn kind(&self) -> Kind {
        self.expect.kind()
    }
}

/// Where an instance is.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Unit(usize),
    Missing(Reason),
}

struct Divider<'s> {
    modules: &'s [Vec<u8>],
    result: Units,
    current: Slot,
    named: HashMap<String, Slot>,
    registered: HashMap<String, Slot>,
    definitions: HashMap<Option<String>, Result<usize, Reason>>,
    /// Units that another module imports from, or that got a reference of the host's: what happens to them from then on
    /// is not seen here.
    closed: HashMap<usize, Reason>,
}

/// Divides a script.
pub(crate) fn divide(script: &Script) -> Units {
    let mut divider = Divider {
        modules: &script.modules,
        result: Units::default(),
        current: Slot::Missing(Reason::AfterFailure),
        named: HashMap::new(),
        registered: HashMap::new(),
        definitions: HashMap::new(),
        closed: HashMap::new(),
    };
    for directive in &script.directives {
        divider.directive(directive);
    }
    divider.result
}

impl Divider<'_> {
    fn directive(&mut self, directive: &Directive) {
        let line = directive.line;
        match &directive.what {
            What::Module { name, module } => {
                let module = self.well_formed(line, module);
                self.instantiate(line, name, module);
            }
            What::Definition { name, module } => {
                let module = self.well_formed(line, module);
                self.definitions.insert(None, module);
                self.definitions.insert(name.clone(), module);
            }
            What::Instance { name, definition } => {
                let module = self.definitions.get(definition).copied().unwrap_or(Err(Reason::AfterFailure));
                self.instantiate(line, name, module);
            }
            What::Register { name, instance } => {
                let slot = self.slot(instance);
                self.registered.insert(name.clone(), slot);
            }
            What::Step { exec: Exec::On { instance, action }, expect } => self.step(line, instance, action, expect),
            What::Step { exec: Exec::Instantiate(module), expect } => {
                let message = match expect {
                    Expect::Trap(message) => message,
                    Expect::Exception => UNCAUGHT,
                    Expect::Return | Expect::Results(_) => {
                        return self.not_run(line, Kind::Assertion, Reason::Script);
                    }
                };
                self.instantiation_traps(line, module, message);
            }
            What::Rejected { wasm: Some(wasm) } => {
                self.result.units.push(Unit::Rejected { line, wasm: wasm.clone() });
            }
            What::Rejected { wasm: None } => self.decide(line, Kind::Assertion, Verdict::Passed),
            What::Unlinkable { module, message } => self.unlinkable(line, module, message),
            What::Thread { directives, .. } => {
                for directive in directives {
                    let kind = match &directive.what {
                        What::Step { expect, .. } => expect.kind(),
                        What::Module { .. } | What::Definition { .. } | What::Instance { .. } => Kind::Module,
                        _ => Kind::Assertion,
                    };
                    self.not_run(directive.line, kind, Reason::Script);
                }
            }
            What::Wait { .. } => {}
            What::NotRun { kind, reason } => self.not_run(line, *kind, *reason),
        }
    }

    fn decide(&mut self, line: usize, kind: Kind, verdict: Verdict) {
        self.result.outcomes.push(Outcome { line, kind, verdict });
    }

    fn not_run(&mut self, line: usize, kind: Kind, reason: Reason) {
        self.decide(line, kind, Verdict::NotRun(reason));
    }

    /// The module; one that should be well-formed and is not has failed.
    fn well_formed(&mut self, line: usize, module: &ModuleRef) -> Result<usize, Reason> {
        module.clone().map_err(|why| {
            self.decide(line, Kind::Module, Verdict::Failed(why));
            Reason::AfterFailure
        })
    }

    fn instantiate(&mut self, line: usize, name: &Option<String>, module: Result<usize, Reason>) {
        self.current = match module.and_then(|module| self.alone(module)) {
            Ok(wasm) => {
                self.result.units.push(Unit::Instance { line, wasm, steps: Vec::new() });
                Slot::Unit(self.result.units.len() - 1)
            }
            Err(reason) => {
                self.not_run(line, Kind::Module, reason);
                Slot::Missing(reason)
            }
        };
        if let Some(name) = name {
            self.named.insert(name.clone(), self.current);
        }
    }

    /// A module that imports nothing from other modules of the script; if it does, those are shared from now on.
    fn alone(&mut self, module: usize) -> Result<Vec<u8>, Reason> {
        let wasm = &self.modules[module];
        let mut result = Ok(());
        for (module, _) in imports(wasm) {
            match self.registered.get(&module) {
                Some(&Slot::Unit(unit)) => {
                    self.closed.insert(unit, Reason::SeveralModules);
                    result = Err(Reason::SeveralModules);
                }
                Some(&Slot::Missing(reason)) => result = result.and(Err(reason)),
                None => {}
            }
        }
        result.map(|()| wasm.clone())
    }

    fn slot(&self, name: &Option<String>) -> Slot {
        match name {
            None => self.current,
            Some(name) => self.named.get(name).copied().unwrap_or(Slot::Missing(Reason::AfterFailure)),
        }
    }

    fn step(&mut self, line: usize, instance: &Option<String>, action: &Action, expect: &Expect) {
        if let Err(reason) = self.add(line, instance, action, expect) {
            self.not_run(line, expect.kind(), reason);
        }
    }

    fn add(&mut self, line: usize, instance: &Option<String>, action: &Action, expect: &Expect) -> Result<(), Reason> {
        let unit = match self.slot(instance) {
            Slot::Unit(unit) => unit,
            Slot::Missing(reason) => return Err(reason),
        };
        if let Some(&reason) = self.closed.get(&unit) {
            return Err(reason);
        }
        if is_about_host_references(action, expect) {
            // What it leaves behind is missing from now on.
            self.closed.insert(unit, Reason::HostReference);
            return Err(Reason::HostReference);
        }
        let expect = match expect {
            // What an executable ends with.
            Expect::Exception => Expect::Trap(UNCAUGHT.to_owned()),
            expect => expect.clone(),
        };
        if let Some(Unit::Instance { steps, .. }) = self.result.units.get_mut(unit) {
            steps.push(Step { line, action: action.clone(), expect });
        }
        Ok(())
    }

    fn instantiation_traps(&mut self, line: usize, module: &ModuleRef, message: &str) {
        let module = module.as_ref().map_err(|_| Reason::AfterFailure);
        match module.and_then(|&module| self.alone(module)) {
            Ok(wasm) => {
                self.result.units.push(Unit::InstantiationTraps { line, wasm, message: message.to_owned() });
            }
            Err(reason) => self.not_run(line, Kind::Assertion, reason),
        }
    }

    fn unlinkable(&mut self, line: usize, module: &ModuleRef, message: &str) {
        let module = module.as_ref().map_err(|_| Reason::AfterFailure);
        let wasm = match module.and_then(|&module| self.alone(module)) {
            Ok(wasm) => wasm,
            Err(reason) => return self.not_run(line, Kind::Assertion, reason),
        };
        if let Some(trap) = trap_of_segment(message) {
            return self.result.units.push(Unit::InstantiationTraps { line, wasm, message: trap.to_owned() });
        }
        if imports(&wasm).iter().all(|(module, name)| module == SPECTEST && SPECTEST_NAMES.contains(&name.as_str())) {
            // The import is there, with another type than it should have.
            return self.not_run(line, Kind::Assertion, Reason::SeveralModules);
        }
        self.result.units.push(Unit::Unlinkable { line, wasm });
    }
}

/// What an executable says of an exception that nothing catches.
const UNCAUGHT: &str = "unhandled exception";

/// Whether a step passes or expects a reference that only a host can make.
fn is_about_host_references(action: &Action, expect: &Expect) -> bool {
    fn expected(pattern: &Pattern) -> bool {
        match pattern {
            Pattern::Extern(Some(_)) => true,
            Pattern::Either(patterns) => patterns.iter().any(expected),
            _ => false,
        }
    }
    let passed = match action {
        Action::Invoke { args, .. } => args.iter().any(|arg| matches!(arg, Arg::Extern(_))),
        Action::Get { .. } => false,
    };
    passed || matches!(expect, Expect::Results(patterns) if patterns.iter().any(expected))
}

/// What the module of the host has.
const SPECTEST_NAMES: &[&str] = &[
    "print",
    "print_i32",
    "print_i64",
    "print_f32",
    "print_f64",
    "print_i32_f32",
    "print_f64_f64",
    "global_i32",
    "global_i64",
    "global_f32",
    "global_f64",
    "table",
    "table64",
    "memory",
    "shared_memory",
];

/// Module and field name of each import that can be decoded.
fn imports(wasm: &[u8]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Ok(Payload::ImportSection(imports)) = payload {
            let imports = imports.into_imports().map_while(Result::ok);
            found.extend(imports.map(|import| (import.module.to_owned(), import.name.to_owned())));
        }
    }
    found
}
