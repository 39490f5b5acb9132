//! A `.wast` file as independent units: each module instance with the steps that are performed on it, in order, and
//! the modules that must not be accepted. What needs instances that share something is decided here.

use std::collections::{BTreeSet, HashMap};

use wasmparser::{Parser, Payload};
use wast::token::{Id, Span};
use wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke, WastRet, Wat};

use crate::outcome::{Kind, Outcome, Reason, Verdict};
use crate::suites::File;
use crate::values::{self, Arg, Pattern};

/// What is left to do after reading, and what was decided by it.
#[derive(Debug, Default)]
pub(crate) struct Script {
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

#[derive(Debug)]
pub(crate) enum Action {
    Invoke { name: String, args: Vec<Arg> },
    Get { name: String },
}

#[derive(Debug)]
pub(crate) enum Expect {
    /// It returns.
    Return,
    /// It returns these results.
    Results(Vec<Pattern>),
    /// It traps with this message.
    Trap(String),
}

impl Step {
    pub(crate) fn kind(&self) -> Kind {
        if matches!(self.expect, Expect::Return) { Kind::Action } else { Kind::Assertion }
    }
}

/// Where an instance is.
#[derive(Clone, Copy, Debug)]
enum Slot {
    Unit(usize),
    Missing(Reason),
}

struct Reader<'f> {
    file: &'f File,
    script: Script,
    current: Slot,
    named: HashMap<String, Slot>,
    registered: HashMap<String, Slot>,
    definitions: HashMap<Option<String>, Result<Vec<u8>, Reason>>,
    /// Units that another module imports from: what happens to them from then on is not theirs alone.
    shared: BTreeSet<usize>,
}

/// Reads a file; the outcome where it cannot be read.
pub(crate) fn read(file: &File) -> Result<Script, Vec<Outcome>> {
    let unreadable = |e: wast::Error| {
        let line = e.span().linecol_in(&file.text).0 + 1;
        let why = format!("the script cannot be parsed: {}", e.message());
        vec![Outcome { line, kind: Kind::Module, verdict: Verdict::Failed(why) }]
    };
    let mut lexer = wast::lexer::Lexer::new(&file.text);
    lexer.allow_confusing_unicode(true);
    let buffer = wast::parser::ParseBuffer::new_with_lexer(lexer).map_err(unreadable)?;
    let wast: Wast<'_> = wast::parser::parse(&buffer).map_err(unreadable)?;
    let mut reader = Reader {
        file,
        script: Script::default(),
        current: Slot::Missing(Reason::AfterFailure),
        named: HashMap::new(),
        registered: HashMap::new(),
        definitions: HashMap::new(),
        shared: BTreeSet::new(),
    };
    for directive in wast.directives {
        reader.directive(directive);
    }
    Ok(reader.script)
}

fn owned(id: Option<Id<'_>>) -> Option<String> {
    id.map(|id| id.name().to_owned())
}

impl Reader<'_> {
    fn directive(&mut self, directive: WastDirective<'_>) {
        let line = self.line(directive.span());
        match directive {
            WastDirective::Module(mut module) => {
                let name = owned(module.name());
                let wasm = self.encode(line, &mut module);
                self.instantiate(line, name, wasm);
            }
            WastDirective::ModuleDefinition(mut module) => {
                let name = owned(module.name());
                let wasm = self.encode(line, &mut module);
                self.definitions.insert(None, wasm.clone());
                self.definitions.insert(name, wasm);
            }
            WastDirective::ModuleInstance { instance, module, .. } => {
                let wasm = self.definitions.get(&owned(module)).cloned().unwrap_or(Err(Reason::AfterFailure));
                self.instantiate(line, owned(instance), wasm);
            }
            WastDirective::Register { name, module, .. } => {
                let slot = self.slot(module);
                self.registered.insert(name.to_owned(), slot);
            }
            WastDirective::Invoke(call) => {
                self.step(line, WastExecute::Invoke(call), Kind::Action, |_| Ok(Expect::Return))
            }
            WastDirective::AssertReturn { exec, results, .. } => {
                self.step(line, exec, Kind::Assertion, |_| returned(&results));
            }
            WastDirective::AssertTrap { exec: WastExecute::Wat(module), message, .. } => {
                self.instantiation_traps(line, module, message);
            }
            WastDirective::AssertTrap { exec, message, .. } => self.traps(line, exec, message),
            WastDirective::AssertExhaustion { call, message, .. } => {
                self.traps(line, WastExecute::Invoke(call), message)
            }
            WastDirective::AssertException { exec, .. } => self.traps(line, exec, "unhandled exception"),
            WastDirective::AssertMalformed { mut module, .. } | WastDirective::AssertInvalid { mut module, .. } => {
                // The text format is parsed by the crate that the compiler uses as well.
                match module.encode() {
                    Ok(wasm) => self.script.units.push(Unit::Rejected { line, wasm }),
                    Err(_) => self.decide(line, Kind::Assertion, Verdict::Passed),
                }
            }
            WastDirective::AssertUnlinkable { module, message, .. } => self.unlinkable(line, module, message),
            WastDirective::AssertSuspension { .. } => self.not_run(line, Kind::Assertion, Reason::Proposal),
            WastDirective::AssertInvalidCustom { .. } | WastDirective::AssertMalformedCustom { .. } => {
                self.not_run(line, Kind::Assertion, Reason::Script);
            }
            WastDirective::Thread(thread) => {
                for directive in thread.directives {
                    let kind = match directive {
                        WastDirective::Module(_) | WastDirective::Register { .. } => Kind::Module,
                        WastDirective::Invoke(_) => Kind::Action,
                        _ => Kind::Assertion,
                    };
                    self.not_run(self.line(directive.span()), kind, Reason::Script);
                }
            }
            WastDirective::Wait { .. } => {}
        }
    }

    fn line(&self, span: Span) -> usize {
        span.linecol_in(&self.file.text).0 + 1
    }

    fn decide(&mut self, line: usize, kind: Kind, verdict: Verdict) {
        self.script.outcomes.push(Outcome { line, kind, verdict });
    }

    fn not_run(&mut self, line: usize, kind: Kind, reason: Reason) {
        self.decide(line, kind, Verdict::NotRun(reason));
    }

    /// The module in the binary format; one that should be well-formed and is not has failed.
    fn encode(&mut self, line: usize, module: &mut QuoteWat<'_>) -> Result<Vec<u8>, Reason> {
        module.encode().map_err(|e| {
            self.decide(
                line,
                Kind::Module,
                Verdict::Failed(format!("the module cannot be assembled: {}", e.message())),
            );
            Reason::AfterFailure
        })
    }

    fn instantiate(&mut self, line: usize, name: Option<String>, wasm: Result<Vec<u8>, Reason>) {
        self.current = match wasm.and_then(|wasm| self.check_alone(&wasm).map(|()| wasm)) {
            Ok(wasm) => {
                self.script.units.push(Unit::Instance { line, wasm, steps: Vec::new() });
                Slot::Unit(self.script.units.len() - 1)
            }
            Err(reason) => {
                self.not_run(line, Kind::Module, reason);
                Slot::Missing(reason)
            }
        };
        if let Some(name) = name {
            self.named.insert(name, self.current);
        }
    }

    /// Whether a module imports nothing from other modules of the script; if it does, those are shared from now on.
    fn check_alone(&mut self, wasm: &[u8]) -> Result<(), Reason> {
        let mut result = Ok(());
        for (module, _) in imports(wasm) {
            match self.registered.get(&module) {
                Some(&Slot::Unit(unit)) => {
                    self.shared.insert(unit);
                    result = Err(Reason::SeveralModules);
                }
                Some(&Slot::Missing(reason)) => result = result.and(Err(reason)),
                None => {}
            }
        }
        result
    }

    fn slot(&self, name: Option<Id<'_>>) -> Slot {
        match owned(name) {
            None => self.current,
            Some(name) => self.named.get(&name).copied().unwrap_or(Slot::Missing(Reason::AfterFailure)),
        }
    }

    fn step(
        &mut self,
        line: usize,
        exec: WastExecute<'_>,
        kind: Kind,
        expect: impl FnOnce(&Self) -> Result<Expect, Reason>,
    ) {
        let add = |reader: &mut Self| -> Result<(), Reason> {
            let (module, action) = match &exec {
                WastExecute::Invoke(call) => (call.module, invoke(call)?),
                WastExecute::Get { module, global, .. } => (*module, Action::Get { name: (*global).to_owned() }),
                WastExecute::Wat(_) => return Err(Reason::Script),
            };
            let expect = expect(reader)?;
            let unit = match reader.slot(module) {
                Slot::Unit(unit) if reader.shared.contains(&unit) => return Err(Reason::SeveralModules),
                Slot::Unit(unit) => unit,
                Slot::Missing(reason) => return Err(reason),
            };
            if let Some(Unit::Instance { steps, .. }) = reader.script.units.get_mut(unit) {
                steps.push(Step { line, action, expect });
            }
            Ok(())
        };
        if let Err(reason) = add(self) {
            self.not_run(line, kind, reason);
        }
    }

    fn traps(&mut self, line: usize, exec: WastExecute<'_>, message: &str) {
        self.step(line, exec, Kind::Assertion, |_| Ok(Expect::Trap(message.to_owned())));
    }

    fn instantiation_traps(&mut self, line: usize, module: Wat<'_>, message: &str) {
        let wasm = QuoteWat::Wat(module).encode();
        match wasm.map_err(|_| Reason::AfterFailure).and_then(|wasm| self.check_alone(&wasm).map(|()| wasm)) {
            Ok(wasm) => {
                self.script.units.push(Unit::InstantiationTraps { line, wasm, message: message.to_owned() });
            }
            Err(reason) => self.not_run(line, Kind::Assertion, reason),
        }
    }

    fn unlinkable(&mut self, line: usize, module: Wat<'_>, message: &str) {
        let Ok(wasm) = QuoteWat::Wat(module).encode() else {
            return self.not_run(line, Kind::Assertion, Reason::AfterFailure);
        };
        if let Err(reason) = self.check_alone(&wasm) {
            return self.not_run(line, Kind::Assertion, reason);
        }
        // In release 1 a segment out of bounds is such an error; later releases made it a trap.
        let trap =
            [("data segment", "out of bounds memory access"), ("elements segment", "out of bounds table access")];
        if let Some((_, trap)) = trap.iter().find(|(words, _)| message.starts_with(words)) {
            let message = (*trap).to_owned();
            return self.script.units.push(Unit::InstantiationTraps { line, wasm, message });
        }
        if imports(&wasm).iter().all(|(module, name)| module == SPECTEST && SPECTEST_NAMES.contains(&name.as_str())) {
            // The import is there, with another type than it should have.
            return self.not_run(line, Kind::Assertion, Reason::SeveralModules);
        }
        self.script.units.push(Unit::Unlinkable { line, wasm });
    }
}

fn invoke(call: &WastInvoke<'_>) -> Result<Action, Reason> {
    let args = call.args.iter().map(values::arg).collect::<Result<_, _>>()?;
    Ok(Action::Invoke { name: call.name.to_owned(), args })
}

fn returned(results: &[WastRet<'_>]) -> Result<Expect, Reason> {
    results.iter().map(values::result).collect::<Result<_, _>>().map(Expect::Results)
}

/// The module that the suite expects of its host.
pub(crate) const SPECTEST: &str = "spectest";

/// What it has.
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
