//! A `.wast` file as plain data: text in, out come its directives in order, with all modules in the binary format.

use wast::token::{Id, Span};
use wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke, WastRet, WastThread, Wat};

use crate::outcome::{Kind, Outcome, Reason, Verdict};
use crate::suites::File;
use crate::values::{self, Arg, Pattern};

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) directives: Vec<Directive>,
    /// The modules that directives refer to, in the order in which they appear.
    pub(crate) modules: Vec<Vec<u8>>,
}

/// The index of a module in [`Script::modules`], or why it is not well-formed.
pub(crate) type ModuleRef = Result<usize, String>;

#[derive(Debug)]
pub(crate) struct Directive {
    /// Line in the file, counted from 1.
    pub(crate) line: usize,
    pub(crate) what: What,
}

/// Names of instances are the script's own; none stands for the latest one.
#[derive(Debug)]
pub(crate) enum What {
    /// Instantiates a module.
    Module { name: Option<String>, module: ModuleRef },
    /// Gives a module a name, to be instantiated later.
    Definition { name: Option<String>, module: ModuleRef },
    /// Instantiates a definition.
    Instance { name: Option<String>, definition: Option<String> },
    /// Makes exports importable.
    Register { name: String, instance: Option<String> },
    /// Performs something and looks at what comes out.
    Step { exec: Exec, expect: Expect },
    /// A module that must not be accepted; none where the text already was refused.
    Rejected { wasm: Option<Vec<u8>> },
    /// A module whose imports must be refused.
    Unlinkable { module: ModuleRef, message: String },
    /// Directives of a thread of its own, which shares memories with the instance of this name.
    Thread { name: String, shared: Option<String>, directives: Vec<Directive> },
    /// Waits for the end of a thread.
    Wait { thread: String },
    /// Something that no way of running files can do.
    NotRun { kind: Kind, reason: Reason },
}

/// What is performed.
#[derive(Debug)]
pub(crate) enum Exec {
    On { instance: Option<String>, action: Action },
    Instantiate(ModuleRef),
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Invoke { name: String, args: Vec<Arg> },
    Get { name: String },
}

#[derive(Clone, Debug)]
pub(crate) enum Expect {
    /// It returns.
    Return,
    /// It returns these results.
    Results(Vec<Pattern>),
    /// It traps with this message.
    Trap(String),
    /// It throws an exception.
    Exception,
}

impl Expect {
    /// What a directive with this expectation is counted as.
    pub(crate) fn kind(&self) -> Kind {
        if matches!(self, Self::Return) { Kind::Action } else { Kind::Assertion }
    }
}

/// The module that the suite expects of its host.
pub(crate) const SPECTEST: &str = "spectest";

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
    let mut reader = Reader { file, modules: Vec::new() };
    let directives = wast.directives.into_iter().map(|directive| reader.directive(directive)).collect();
    Ok(Script { directives, modules: reader.modules })
}

struct Reader<'f> {
    file: &'f File,
    modules: Vec<Vec<u8>>,
}

fn owned(id: Option<Id<'_>>) -> Option<String> {
    id.map(|id| id.name().to_owned())
}

impl Reader<'_> {
    fn directive(&mut self, directive: WastDirective<'_>) -> Directive {
        let line = self.line(directive.span());
        let what = match directive {
            WastDirective::Module(mut module) => {
                What::Module { name: owned(module.name()), module: self.module(&mut module) }
            }
            WastDirective::ModuleDefinition(mut module) => {
                What::Definition { name: owned(module.name()), module: self.module(&mut module) }
            }
            WastDirective::ModuleInstance { instance, module, .. } => {
                What::Instance { name: owned(instance), definition: owned(module) }
            }
            WastDirective::Register { name, module, .. } => {
                What::Register { name: name.to_owned(), instance: owned(module) }
            }
            WastDirective::Invoke(call) => self.step(WastExecute::Invoke(call), Ok(Expect::Return)),
            WastDirective::AssertReturn { exec, results, .. } => self.step(exec, returned(&results)),
            WastDirective::AssertTrap { exec, message, .. } => self.step(exec, Ok(Expect::Trap(message.to_owned()))),
            WastDirective::AssertExhaustion { call, message, .. } => {
                self.step(WastExecute::Invoke(call), Ok(Expect::Trap(message.to_owned())))
            }
            WastDirective::AssertException { exec, .. } => self.step(exec, Ok(Expect::Exception)),
            // The text format is parsed by the crate that the compiler uses as well.
            WastDirective::AssertMalformed { mut module, .. } | WastDirective::AssertInvalid { mut module, .. } => {
                What::Rejected { wasm: module.encode().ok() }
            }
            WastDirective::AssertUnlinkable { module, message, .. } => {
                What::Unlinkable { module: self.wat(module), message: message.to_owned() }
            }
            WastDirective::Thread(thread) => self.thread(thread),
            WastDirective::Wait { thread, .. } => What::Wait { thread: thread.name().to_owned() },
            WastDirective::AssertSuspension { .. } => What::NotRun { kind: Kind::Assertion, reason: Reason::Proposal },
            WastDirective::AssertInvalidCustom { .. } | WastDirective::AssertMalformedCustom { .. } => {
                What::NotRun { kind: Kind::Assertion, reason: Reason::Script }
            }
        };
        Directive { line, what }
    }

    fn line(&self, span: Span) -> usize {
        span.linecol_in(&self.file.text).0 + 1
    }

    fn module(&mut self, module: &mut QuoteWat<'_>) -> ModuleRef {
        let wasm = module.encode().map_err(|e| format!("the module cannot be assembled: {}", e.message()))?;
        self.modules.push(wasm);
        Ok(self.modules.len() - 1)
    }

    fn wat(&mut self, module: Wat<'_>) -> ModuleRef {
        self.module(&mut QuoteWat::Wat(module))
    }

    fn thread(&mut self, thread: WastThread<'_>) -> What {
        What::Thread {
            name: thread.name.name().to_owned(),
            shared: owned(thread.shared_module),
            directives: thread.directives.into_iter().map(|directive| self.directive(directive)).collect(),
        }
    }

    fn step(&mut self, exec: WastExecute<'_>, expect: Result<Expect, Reason>) -> What {
        let exec = match exec {
            WastExecute::Invoke(call) => invoke(&call).map(|action| Exec::On { instance: owned(call.module), action }),
            WastExecute::Get { module, global, .. } => {
                Ok(Exec::On { instance: owned(module), action: Action::Get { name: global.to_owned() } })
            }
            WastExecute::Wat(module) => Ok(Exec::Instantiate(self.wat(module))),
        };
        match (exec, expect) {
            (Ok(exec), Ok(expect)) => What::Step { exec, expect },
            (Err(reason), Ok(expect)) => What::NotRun { kind: expect.kind(), reason },
            (_, Err(reason)) => What::NotRun { kind: Kind::Assertion, reason },
        }
    }
}

fn invoke(call: &WastInvoke<'_>) -> Result<Action, Reason> {
    let args = call.args.iter().map(values::arg).collect::<Result<_, _>>()?;
    Ok(Action::Invoke { name: call.name.to_owned(), args })
}

fn returned(results: &[WastRet<'_>]) -> Result<Expect, Reason> {
    results.iter().map(values::result).collect::<Result<_, _>>().map(Expect::Results)
}

/// What release 1 calls a segment that does not fit, which had to be found when a module is linked. Later releases made
/// it a trap; its message, where `message` is one of those.
pub(crate) fn trap_of_segment(message: &str) -> Option<&'static str> {
    let trap = [("data segment", "out of bounds memory access"), ("elements segment", "out of bounds table access")];
    trap.iter().find(|(words, _)| message.starts_with(words)).map(|&(_, trap)| trap)
}
