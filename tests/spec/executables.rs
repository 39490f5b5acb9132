//! Checks a script as executables: compiles its modules, runs what comes out, and compares. Modules that import from
//! each other are one executable, others are one each.

use std::path::Path;

use wasmelt::driver::{self, NoProgress};
use wasmelt::module;
use wasmelt::options::{Emit, Options};

use crate::configuration::{Configuration, Way};
use crate::instrument::{DRIVER, instrument};
use crate::linked::Linked;
use crate::outcome::{Kind, Outcome, Outcomes, Refused, Verdict};
use crate::plan::{Apart, End, Event, plan};
use crate::running::Executable;
use crate::script::Script;
use crate::suites::File;
use crate::support;

/// What becomes of each directive of a script.
pub(crate) fn check(configuration: &Configuration, file: &File, script: &Script) -> Outcomes {
    let options = match configuration.options(file.features) {
        Ok(options) => Options { emit: Emit::Exe, ..options },
        Err(why) => {
            let outcome = Outcome { line: 1, kind: Kind::Module, verdict: Verdict::Failed(why) };
            return Outcomes { directives: vec![outcome], is_linked: false };
        }
    };
    let folder = support::scratch();
    let mut plan = plan(script, file.features);
    let mut directives = std::mem::take(&mut plan.outcomes);
    let compile_unused = configuration.way == Way::Executables { compile_unused: true };
    let linked = Linked::new(script, &plan, &options, compile_unused);
    let checker = Checker { configuration, script, compile_unused, options, folder: folder.path() };
    if plan.is_linked() {
        directives.extend(checker.perform(&plan.events, 0, || linked.whole()));
    } else {
        for number in 0..plan.instances.len() {
            let events: Vec<Event> = plan.events.iter().filter(|event| event.instance == number).cloned().collect();
            let module = plan.instances[number].module;
            directives.extend(checker.perform(&events, number, || checker.alone(module, &events)));
        }
    }
    let apart = plan.apart.iter().enumerate();
    directives.extend(apart.map(|(number, apart)| checker.apart(&linked, plan.instances.len() + number, apart)));
    Outcomes { directives, is_linked: plan.is_linked() }
}

struct Checker<'c> {
    configuration: &'c Configuration,
    script: &'c Script,
    compile_unused: bool,
    options: Options,
    folder: &'c Path,
}

impl Checker<'_> {
    /// Performs events by an executable.
    fn perform(
        &self,
        events: &[Event],
        number: usize,
        compile: impl FnOnce() -> Result<Vec<u8>, Refused>,
    ) -> Vec<Outcome> {
        match compile().and_then(|bytes| self.write(number, &bytes)) {
            Ok(executable) => executable.perform(events),
            Err(refused) => {
                let reason = refused.reason();
                let mut verdict = Some(refused.verdict());
                let outcomes = events.iter().map(|event| {
                    let verdict = verdict.take().unwrap_or(Verdict::NotRun(reason));
                    Outcome { line: event.line, kind: event.kind(), verdict }
                });
                outcomes.collect()
            }
        }
    }

    /// A module by itself, which performs the events on it.
    fn alone(&self, module: usize, events: &[Event]) -> Result<Vec<u8>, Refused> {
        let wasm = &self.script.modules[module];
        let parsed = module::parse(wasm, self.options.features).map_err(|e| Refused::new(&e))?;
        let wasm = instrument(wasm, &parsed, events, self.compile_unused).map_err(Refused::Error)?;
        let options = Options { invoke: Some(DRIVER.to_owned()), ..self.options.clone() };
        let made = driver::compile(&wasm, "module", &options, &NoProgress).map_err(|e| Refused::new(&e))?;
        Ok(made.bytes)
    }

    fn apart(&self, linked: &Linked<'_>, number: usize, apart: &Apart) -> Outcome {
        let verdict = match &apart.end {
            End::Rejected { wasm } => Refused::judge(module::parse(wasm, self.options.features).err().as_ref()),
            End::Unlinkable { instance, message } => judge_unlinkable(linked.refused(instance), message),
            End::Traps { instance, message, after } => {
                let compiled = match instance.providers.is_empty() {
                    true => self.alone(instance.module, &[]),
                    false => linked.ending(instance, *after),
                };
                match compiled.and_then(|bytes| self.write(number, &bytes)) {
                    Ok(executable) => executable.traps(i32::MAX, message),
                    Err(refused) => refused.verdict(),
                }
            }
        };
        Outcome { line: apart.line, kind: Kind::Assertion, verdict }
    }

    fn write(&self, number: usize, bytes: &[u8]) -> Result<Executable, Refused> {
        Executable::write(self.folder, number, self.configuration.system, bytes).map_err(Refused::Error)
    }
}

/// Judges what was said of a module whose imports must be refused.
fn judge_unlinkable(compiled: Result<(), Refused>, message: &str) -> Verdict {
    let words = match message {
        "incompatible import type" => "has the wrong type",
        message => message,
    };
    match compiled {
        Ok(()) => Verdict::Failed(format!("the module was linked, expected `{message}`")),
        Err(Refused::Error(why)) if !why.contains(words) => {
            Verdict::Failed(format!("expected `{message}`, found `{why}`"))
        }
        Err(refused @ (Refused::Proposal | Refused::Limit)) => refused.verdict(),
        Err(Refused::Error(_)) => Verdict::Passed,
    }
}
