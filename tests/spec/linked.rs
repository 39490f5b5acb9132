//! Files whose modules import from each other, as executables of several modules: the instances of the script in their
//! order, and between them [`crate::stretch`]es that perform its steps. Each module imports from the instances that the
//! script registered, under names that no two of them share.

use std::collections::{BTreeMap, HashMap};

use wasmelt::driver::{self, NoProgress};
use wasmelt::features::default_features;
use wasmelt::module::{self, Module};
use wasmelt::options::{Emit, Options, Preload};

use crate::instrument::{CALL_ALL, DRIVER, call_all_of};
use crate::outcome::Refused;
use crate::plan::{Event, Happening, Instance, Plan};
use crate::running::DONE;
use crate::script::{SPECTEST, Script};
use crate::sections::Sections;
use crate::steps::{PARAMS, RESULTS};
use crate::stretch::{CONTROL, Seen, stretch};

/// The modules of a file, to be linked.
pub(crate) struct Linked<'s> {
    script: &'s Script,
    plan: &'s Plan,
    options: Options,
    /// Compile also the functions that no step reaches.
    compile_unused: bool,
    modules: HashMap<usize, Module<'s>>,
}

/// An instance's name in a program.
fn name(instance: usize) -> String {
    format!("instance {instance}")
}

impl<'s> Linked<'s> {
    pub(crate) fn new(script: &'s Script, plan: &'s Plan, options: &Options, compile_unused: bool) -> Self {
        // What the harness adds needs more than the first release has.
        let options = Options { features: default_features() | options.features, ..options.clone() };
        let mut modules = HashMap::new();
        for (index, wasm) in script.modules.iter().enumerate() {
            if let Ok(module) = module::parse(wasm, options.features) {
                modules.insert(index, module);
            }
        }
        Self { script, plan, options, compile_unused, modules }
    }

    /// The executable that performs all events.
    pub(crate) fn whole(&self) -> Result<Vec<u8>, Refused> {
        let mut preloads = self.before(&self.plan.events, |_| true)?;
        let all = self.compile_unused.then_some(0..self.plan.instances.len());
        let main = main(all.into_iter().flatten());
        let last = preloads.len();
        preloads.push(preload("main", main.into_bytes()));
        self.compile(preloads, last)
    }

    /// The executable that ends with the instantiation of a module, after so many events.
    pub(crate) fn ending(&self, instance: &Instance, after: usize) -> Result<Vec<u8>, Refused> {
        let mut preloads = self.before(&self.plan.events[..after], self.plan.concerned(instance))?;
        preloads.push(self.module("last", instance, false)?);
        let last = preloads.len();
        preloads.push(preload("main", main([].into_iter()).into_bytes()));
        self.compile(preloads, last)
    }

    /// What is said of a module whose imports must be refused.
    pub(crate) fn refused(&self, instance: &Instance) -> Result<(), Refused> {
        let concerned = self.plan.concerned(instance);
        let made = |event: &&Event| matches!(event.what, Happening::Instantiated) && concerned(event.instance);
        let events: Vec<Event> = self.plan.events.iter().filter(made).cloned().collect();
        let mut preloads = self.before(&events, |_| true)?;
        preloads.push(self.module("last", instance, false)?);
        let last = preloads.len();
        preloads.push(preload("main", main([].into_iter()).into_bytes()));
        self.compile(preloads, last).map(|_| ())
    }

    /// Links these modules, of which one is the main module.
    fn compile(&self, mut preloads: Vec<Preload>, main: usize) -> Result<Vec<u8>, Refused> {
        let main = preloads.remove(main);
        let options = Options { emit: Emit::Exe, preloads, ..self.options.clone() };
        let made = driver::compile(&main.bytes, &main.name, &options, &NoProgress).map_err(|e| Refused::new(&e))?;
        Ok(made.bytes)
    }

    /// The modules that perform those of these events that concern certain instances.
    fn before(&self, events: &[Event], concerned: impl Fn(usize) -> bool) -> Result<Vec<Preload>, Refused> {
        let mut preloads = vec![
            preload(CONTROL, include_bytes!("control.wat").to_vec()),
            preload(SPECTEST, include_bytes!("spectest.wat").to_vec()),
        ];
        let mut seen = BTreeMap::new();
        let mut first = 0;
        for (number, event) in events.iter().enumerate() {
            let Happening::Instantiated = event.what else { continue };
            self.stretch(&seen, first..number, events, &concerned, &mut preloads)?;
            first = number + 1;
            if concerned(event.instance) {
                let instance = &self.plan.instances[event.instance];
                preloads.push(self.module(&name(event.instance), instance, self.compile_unused)?);
                seen.insert(event.instance, self.seen(event.instance)?);
            }
        }
        self.stretch(&seen, first..events.len(), events, &concerned, &mut preloads)?;
        Ok(preloads)
    }

    /// Adds what performs a stretch of events between two instances.
    fn stretch(
        &self,
        seen: &BTreeMap<usize, Seen<'_>>,
        range: std::ops::Range<usize>,
        events: &[Event],
        concerned: impl Fn(usize) -> bool,
        preloads: &mut Vec<Preload>,
    ) -> Result<(), Refused> {
        let first = range.start;
        let events: Vec<Event> = events[range].iter().filter(|event| concerned(event.instance)).cloned().collect();
        if !events.is_empty() {
            preloads
                .push(preload(&format!("steps from {first}"), stretch(seen, first, &events).map_err(Refused::Error)?));
        }
        Ok(())
    }

    fn parsed(&self, module: usize) -> Result<&Module<'s>, Refused> {
        self.modules.get(&module).ok_or_else(|| Refused::Error("a module that is not accepted".to_owned()))
    }

    fn seen(&self, instance: usize) -> Result<Seen<'_>, Refused> {
        let module = self.plan.instances[instance].module;
        let wasm = &self.script.modules[module];
        Ok(Seen { name: name(instance), module: self.parsed(module)?, wasm })
    }

    /// A module that imports from those that the script registered.
    fn module(&self, own_name: &str, instance: &Instance, call_all: bool) -> Result<Preload, Refused> {
        let module = self.parsed(instance.module)?;
        let renamed = |import: &str| match instance.providers.get(import) {
            Some(&provider) => Some(name(provider)),
            None => Some(import.to_owned()),
        };
        let mut sections = Sections::read(&self.script.modules[instance.module], renamed).map_err(Refused::Error)?;
        if call_all {
            sections.append((&PARAMS, &RESULTS), &[call_all_of(module)], DRIVER, module.funcs.len());
        }
        Ok(preload(own_name, sections.finish()))
    }
}

fn preload(name: &str, bytes: Vec<u8>) -> Preload {
    Preload { name: name.to_owned(), source_name: format!("{name}.wat"), bytes }
}

/// The main module, in text: all that was asked for is done. It can reach every function of these instances.
fn main(all: impl Iterator<Item = usize>) -> String {
    let (mut imports, mut calls) = (String::new(), String::new());
    for instance in all {
        let name = name(instance);
        imports += &format!("(import \"{name}\" \"{DRIVER}\" (func ${instance} (param i32 i32) (result i32)))");
        calls += &format!("(drop (call ${instance} (i32.const 0) (i32.const 0)))");
    }
    format!(
        "(module (import \"{CONTROL}\" \"finish\" (func $finish (param i32)))
            (import \"{CONTROL}\" \"k\" (global $k (mut i32))) {imports}
            (func (export \"_start\")
                (if (i32.eq (global.get $k) (i32.const {CALL_ALL})) (then {calls}))
                (call $finish (i32.const {DONE}))))"
    )
}
