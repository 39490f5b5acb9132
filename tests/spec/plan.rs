//! A script as what executables can show: its instances and the steps that are performed on them, in order, and apart
//! from those the modules that must be refused, or whose instantiation must trap. What no executable can do is decided
//! here, each with its reason.

use std::collections::HashMap;
use std::fmt;

use wasmelt::module::{self, Entity, Module};
use wasmparser::WasmFeatures;

use crate::outcome::{Kind, Outcome, Reason, Refused, Verdict};
use crate::script::{Action, Directive, Exec, Expect, ModuleRef, Script, What, trap_of_segment};
use crate::values::{Arg, Pattern};

/// What is left to do after reading, and what was decided by it.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Instances in the order in which they are made.
    pub(crate) instances: Vec<Instance>,
    /// What happens, in order.
    pub(crate) events: Vec<Event>,
    /// Modules that do not become instances.
    pub(crate) apart: Vec<Apart>,
    pub(crate) outcomes: Vec<Outcome>,
    /// The instances that import from each other, directly or through others, have one number.
    components: Vec<usize>,
}

/// A module that becomes an instance, or would: with the instances that provide what it imports, by the names of its
/// imports. What is not there is for `spectest` to provide, or for nobody.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    /// Index in [`Script::modules`].
    pub(crate) module: usize,
    pub(crate) providers: HashMap<String, usize>,
}

/// Something that happens to an instance.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) line: usize,
    pub(crate) instance: usize,
    pub(crate) what: Happening,
}

#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// The instance is made.
    Instantiated,
    /// An action is performed on it.
    Step { action: Action, expect: Expect },
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instantiated => f.write_str("instantiation"),
            Self::Step { action, expect } => write!(f, "{action:?}, expected {expect:x?}"),
        }
    }
}

impl Event {
    pub(crate) fn kind(&self) -> Kind {
        match &self.what {
            Happening::Instantiated => Kind::Module,
            Happening::Step { expect, .. } => expect.kind(),
        }
    }

    /// The message of the trap that it must end with.
    pub(crate) fn trap(&self) -> Option<&str> {
        match &self.what {
            Happening::Step { expect: Expect::Trap(message), .. } => Some(message),
            _ => None,
        }
    }
}

/// A module that does not become an instance.
#[derive(Debug)]
pub(crate) struct Apart {
    pub(crate) line: usize,
    pub(crate) end: End,
}

/// What a module comes to that does not become an instance.
#[derive(Debug)]
pub(crate) enum End {
    /// It must not be accepted.
    Rejected { wasm: Vec<u8> },
    /// Its imports must be refused, with this message.
    Unlinkable { instance: Instance, message: String },
    /// Its instantiation, after this many events, must trap.
    Traps { instance: Instance, message: String, after: usize },
}

impl Plan {
    /// Whether modules import from each other.
    pub(crate) fn is_linked(&self) -> bool {
        let refused = self.apart.iter().filter_map(|apart| match &apart.end {
            End::Traps { instance, .. } => Some(instance),
            End::Rejected { .. } | End::Unlinkable { .. } => None,
        });
        self.instances.iter().chain(refused).any(|instance| !instance.providers.is_empty())
    }

    /// The instances that a module imports from, directly or through others, and those that these share something with.
    pub(crate) fn concerned(&self, instance: &Instance) -> impl Fn(usize) -> bool + use<'_> {
        let concerned: Vec<_> = instance.providers.values().map(|&provider| self.components[provider]).collect();
        move |instance| concerned.contains(&self.components[instance])
    }
}

/// Reads a script.
pub(crate) fn plan(script: &Script, features: WasmFeatures) -> Plan {
    let mut planner = Planner {
        modules: &script.modules,
        features,
        plan: Plan::default(),
        current: Err(Reason::AfterFailure),
        named: HashMap::new(),
        registered: HashMap::new(),
        definitions: HashMap::new(),
        closed: HashMap::new(),
    };
    for directive in &script.directives {
        planner.directive(directive);
    }
    planner.plan
}

/// An instance by its number, or why it is missing.
type Slot = Result<usize, Reason>;

struct Planner<'s> {
    modules: &'s [Vec<u8>],
    features: WasmFeatures,
    plan: Plan,
    current: Slot,
    named: HashMap<String, Slot>,
    registered: HashMap<String, Slot>,
    definitions: HashMap<Option<String>, Result<usize, Reason>>,
    /// Numbers in [`Plan::components`] of instances to which something happened that no executable can do: what they are
    /// from then on is not seen.
    closed: HashMap<usize, Reason>,
}

impl Planner<'_> {
    fn directive(&mut self, directive: &Directive) {
        let line = directive.line;
        match &directive.what {
            What::Module { name, module } => {
                let module = self.accepted(line, module);
                self.instantiate(line, name, module);
            }
            What::Definition { name, module } => {
                let module = self.accepted(line, module);
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
                self.apart(line, module, |instance, after| End::Traps { instance, message: message.to_owned(), after });
            }
            What::Rejected { wasm: Some(wasm) } => {
                self.plan.apart.push(Apart { line, end: End::Rejected { wasm: wasm.clone() } });
            }
            What::Rejected { wasm: None } => self.decide(line, Kind::Assertion, Verdict::Passed),
            What::Unlinkable { module, message } => {
                self.apart(line, module, |instance, after| match trap_of_segment(message) {
                    Some(trap) => End::Traps { instance, message: trap.to_owned(), after },
                    None => End::Unlinkable { instance, message: message.clone() },
                });
            }
            What::Thread { shared, directives, .. } => {
                if let Some(Ok(instance)) = shared.as_ref().map(|shared| self.slot(&Some(shared.clone()))) {
                    // What the thread does with it is missing.
                    self.closed.insert(self.plan.components[instance], Reason::Script);
                }
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
        self.plan.outcomes.push(Outcome { line, kind, verdict });
    }

    fn not_run(&mut self, line: usize, kind: Kind, reason: Reason) {
        self.decide(line, kind, Verdict::NotRun(reason));
    }

    /// The module, or why it is not accepted.
    fn parse(&self, module: &ModuleRef) -> Result<(usize, Module<'_>), Refused> {
        let index = *module.as_ref().map_err(|why| Refused::Error(why.clone()))?;
        let module = module::parse(&self.modules[index], self.features).map_err(|e| Refused::new(&e))?;
        Ok((index, module))
    }

    /// A module that should be accepted; one that is not is decided here.
    fn accepted(&mut self, line: usize, module: &ModuleRef) -> Result<usize, Reason> {
        match self.parse(module) {
            Ok((index, _)) => Ok(index),
            Err(refused) => {
                let reason = refused.reason();
                self.decide(line, Kind::Module, refused.verdict());
                Err(reason)
            }
        }
    }

    fn instantiate(&mut self, line: usize, name: &Option<String>, module: Result<usize, Reason>) {
        self.current = module.and_then(|module| {
            let instance = self.linked(module).and_then(|instance| self.is_open(&instance).map(|()| instance));
            let instance = instance.inspect_err(|&reason| self.not_run(line, Kind::Module, reason))?;
            let number = self.plan.instances.len();
            self.plan.components.push(number);
            for &provider in instance.providers.values() {
                let (from, to) = (self.plan.components[provider], self.plan.components[number]);
                self.plan.components.iter_mut().filter(|component| **component == from).for_each(|c| *c = to);
            }
            self.plan.instances.push(instance);
            self.plan.events.push(Event { line, instance: number, what: Happening::Instantiated });
            Ok(number)
        });
        if let Some(name) = name {
            self.named.insert(name.clone(), self.current);
        }
    }

    /// A module with those that provide what it imports.
    fn linked(&self, module: usize) -> Result<Instance, Reason> {
        let (_, parsed) = self.parse(&Ok(module)).map_err(|refused| refused.reason())?;
        let mut providers = HashMap::new();
        for import in &parsed.imports {
            if let Some(&slot) = self.registered.get(import.module) {
                providers.insert(import.module.to_owned(), slot?);
            }
        }
        Ok(Instance { module, providers })
    }

    /// Whether the instances that provide what a module imports are as they would be if all that happened to them had
    /// been performed, and were as large when they were made.
    fn is_open(&self, instance: &Instance) -> Result<(), Reason> {
        instance.providers.values().try_for_each(|&provider| self.open(Ok(provider)).map(|_| ()))?;
        let (_, module) = self.parse(&Ok(instance.module)).map_err(|refused| refused.reason())?;
        for import in &module.imports {
            let Some(&provider) = instance.providers.get(import.module) else { continue };
            if minimum(&module, import.entity) > self.exported_minimum(provider, import.name) {
                return Err(Reason::Grown);
            }
        }
        Ok(())
    }

    /// The length that a memory or table of an instance has at least, by its export; the largest number for other exports.
    fn exported_minimum(&self, instance: usize, name: &str) -> u64 {
        let instance = &self.plan.instances[instance];
        let Ok((_, module)) = self.parse(&Ok(instance.module)) else { return u64::MAX };
        let Some(entity) = module.export(name) else { return u64::MAX };
        let is_import = |import: &&module::Import<'_>| import.entity == entity;
        let provider = module.imports.iter().find(is_import).and_then(|import| {
            let provider = *instance.providers.get(import.module)?;
            Some(self.exported_minimum(provider, import.name))
        });
        match entity {
            Entity::Memory(_) | Entity::Table(_) => provider.unwrap_or_else(|| minimum(&module, entity)),
            _ => u64::MAX,
        }
    }

    /// An instance that is as it would be if all that happened to it had been performed.
    fn open(&self, slot: Slot) -> Slot {
        let instance = slot?;
        self.closed.get(&self.plan.components[instance]).map_or(Ok(instance), |&reason| Err(reason))
    }

    fn slot(&self, name: &Option<String>) -> Slot {
        match name {
            None => self.current,
            Some(name) => self.named.get(name).copied().unwrap_or(Err(Reason::AfterFailure)),
        }
    }

    fn step(&mut self, line: usize, instance: &Option<String>, action: &Action, expect: &Expect) {
        let instance = match self.open(self.slot(instance)) {
            Ok(instance) => instance,
            Err(reason) => return self.not_run(line, expect.kind(), reason),
        };
        if is_about_host_references(action, expect) {
            // What it leaves behind is missing from now on.
            self.closed.insert(self.plan.components[instance], Reason::HostReference);
            return self.not_run(line, expect.kind(), Reason::HostReference);
        }
        let expect = match expect {
            // What an executable ends with.
            Expect::Exception => Expect::Trap(UNCAUGHT.to_owned()),
            expect => expect.clone(),
        };
        let what = Happening::Step { action: action.clone(), expect };
        self.plan.events.push(Event { line, instance, what });
    }

    /// A module that does not become an instance. Where its instantiation traps it may have written to what it imports,
    /// and an executable ends there.
    fn apart(&mut self, line: usize, module: &ModuleRef, end: impl FnOnce(Instance, usize) -> End) {
        let module = match self.parse(module) {
            Ok((module, _)) => module,
            Err(refused) => return self.decide(line, Kind::Assertion, refused.verdict()),
        };
        let end = self.linked(module).and_then(|instance| {
            let end = end(instance, self.plan.events.len());
            if let End::Traps { instance, .. } = &end {
                self.is_open(instance)?;
                let components = instance.providers.values().map(|&provider| self.plan.components[provider]);
                self.closed.extend(components.map(|component| (component, Reason::AfterTrap)));
            }
            Ok(end)
        });
        match end {
            Ok(end) => self.plan.apart.push(Apart { line, end }),
            Err(reason) => self.not_run(line, Kind::Assertion, reason),
        }
    }
}

/// The length that a memory or table is declared to have at least.
fn minimum(module: &Module<'_>, entity: Entity) -> u64 {
    match entity {
        Entity::Memory(memory) => module.memories[memory].minimum_pages,
        Entity::Table(table) => module.tables[table].minimum,
        _ => 0,
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
