//! A module of the harness that stands between the instances of a linked file: it imports what the steps of a stretch
//! call, and its start function performs them when those instances exist that exist in the script at that point.

use std::collections::BTreeMap;

use wasm_encoder::reencode::Reencode;
use wasm_encoder::{
    BlockType, CodeSection, EntityType, Function, FunctionSection, GlobalType, ImportSection, Instruction,
    StartSection, TypeSection, ValType,
};
use wasmelt::module::Module;

use crate::instrument::{callee, exported_func, exported_global};
use crate::plan::{Event, Happening};
use crate::running::DONE;
use crate::script::Action;
use crate::steps::{self, Callee, PARAMS, RESULTS, STEPS_PER_FUNCTION, Scope};

/// The name of the module that says how far to go, `control.wat`.
pub(crate) const CONTROL: &str = "control";

/// Types of the stretch's own functions, and how many there are.
const STEPS: u32 = 0;
const FINISH: u32 = 1;
const START: u32 = 2;
const OWN_TYPES: u32 = 3;

/// An instance as the stretches see it.
#[derive(Debug)]
pub(crate) struct Seen<'m> {
    /// The name that it is imported by.
    pub(crate) name: String,
    pub(crate) module: &'m Module<'m>,
    pub(crate) wasm: &'m [u8],
}

/// The module that performs these steps, of which the first has this number, and finishes where no more is asked for.
pub(crate) fn stretch(
    instances: &BTreeMap<usize, Seen<'_>>,
    first: usize,
    events: &[Event],
) -> Result<Vec<u8>, String> {
    let mut stretch = Stretch::new();
    for event in events {
        let Happening::Step { action, .. } = &event.what else { continue };
        let instance = instances.get(&event.instance).ok_or("a step on an instance that is not there")?;
        stretch.import(event.instance, instance, action).map_err(|why| format!("line {}: {why}", event.line))?;
    }
    let bodies = events.chunks(STEPS_PER_FUNCTION).enumerate();
    let bodies = bodies.map(|(chunk, events)| steps::function(&stretch, first + chunk * STEPS_PER_FUNCTION, events));
    let bodies = bodies.collect::<Result<Vec<_>, _>>()?;
    Ok(stretch.finish(&bodies, first + events.len()))
}

#[derive(Default)]
struct Stretch<'a> {
    types: TypeSection,
    imports: ImportSection,
    /// The first of an instance's types.
    first_types: BTreeMap<usize, u32>,
    type_count: u32,
    funcs: BTreeMap<(usize, &'a str), Callee>,
    globals: BTreeMap<(usize, &'a str), (u32, ValType)>,
}

impl<'a> Stretch<'a> {
    fn new() -> Self {
        let mut stretch = Self { type_count: OWN_TYPES, ..Self::default() };
        stretch.types.ty().function(PARAMS, RESULTS);
        stretch.types.ty().function([ValType::I32], []);
        stretch.types.ty().function([], []);
        let number = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        stretch.imports.import(CONTROL, "finish", EntityType::Function(FINISH));
        stretch.imports.import(CONTROL, "k", number);
        stretch.imports.import(CONTROL, "from", number);
        stretch
    }

    /// Imports what an action needs.
    fn import(&mut self, number: usize, instance: &Seen<'_>, action: &'a Action) -> Result<(), String> {
        let first = match self.first_types.get(&number) {
            Some(&first) => first,
            None => self.add_types(number, instance)?,
        };
        match action {
            Action::Invoke { name, .. } if !self.funcs.contains_key(&(number, name)) => {
                let func = exported_func(instance.module, name)?;
                let index = 1 + self.funcs.len() as u32;
                let ty = first + instance.module.funcs[func].ty.as_u32();
                self.imports.import(&instance.name, name, EntityType::Function(ty));
                self.funcs.insert((number, name), callee(&mut Shifted(first), index, instance.module, func)?);
            }
            Action::Get { name } if !self.globals.contains_key(&(number, name)) => {
                let global = &instance.module.globals[exported_global(instance.module, name)?];
                let ty = Shifted(first).val_type(global.ty).map_err(|e| e.to_string())?;
                let index = 2 + self.globals.len() as u32;
                let imported = GlobalType { val_type: ty, mutable: global.mutable, shared: false };
                self.imports.import(&instance.name, name, imported);
                self.globals.insert((number, name), (index, ty));
            }
            Action::Invoke { .. } | Action::Get { .. } => {}
        }
        Ok(())
    }

    /// Takes over the types of an instance's module, which types of its functions refer to.
    fn add_types(&mut self, number: usize, instance: &Seen<'_>) -> Result<u32, String> {
        let first = self.type_count;
        for payload in wasmparser::Parser::new(0).parse_all(instance.wasm) {
            if let wasmparser::Payload::TypeSection(types) = payload.map_err(|e| e.to_string())? {
                Shifted(first).parse_type_section(&mut self.types, types).map_err(|e| e.to_string())?;
            }
        }
        self.type_count += instance.module.types.len() as u32;
        self.first_types.insert(number, first);
        Ok(first)
    }

    /// The module with these functions of steps, which ends before the event of number `last`.
    fn finish(self, bodies: &[Function], last: usize) -> Vec<u8> {
        let imported = 1 + self.funcs.len() as u32;
        let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
        for body in bodies {
            functions.function(STEPS);
            code.function(body);
        }
        use Instruction::*;
        let mut start = Function::new([(1, ValType::I32)]);
        let mut emit = |instruction: Instruction<'_>| _ = start.instruction(&instruction);
        for body in imported..imported + bodies.len() as u32 {
            let call = [GlobalGet(0), GlobalGet(1), Call(body), LocalTee(0), I32Const(DONE), I32Ne];
            call.into_iter().for_each(&mut emit);
            [If(BlockType::Empty), LocalGet(0), Call(0), End].into_iter().for_each(&mut emit);
        }
        [GlobalGet(0), I32Const(last as i32), I32LeS].into_iter().for_each(&mut emit);
        [If(BlockType::Empty), I32Const(DONE), Call(0), End, End].into_iter().for_each(&mut emit);
        functions.function(START);
        code.function(&start);
        let mut module = wasm_encoder::Module::new();
        module.section(&self.types).section(&self.imports).section(&functions);
        module.section(&StartSection { function_index: imported + bodies.len() as u32 }).section(&code);
        module.finish()
    }
}

impl Scope for Stretch<'_> {
    fn func(&self, instance: usize, name: &str) -> Result<Callee, String> {
        self.funcs.get(&(instance, name)).cloned().ok_or_else(|| format!("function `{name}` was not imported"))
    }

    fn global(&self, instance: usize, name: &str) -> Result<(u32, ValType), String> {
        self.globals.get(&(instance, name)).copied().ok_or_else(|| format!("global `{name}` was not imported"))
    }
}

/// Encodes types of a module behind so many others.
struct Shifted(u32);

impl Reencode for Shifted {
    type Error = std::convert::Infallible;

    fn type_index(&mut self, ty: u32) -> Result<u32, wasm_encoder::reencode::Error> {
        Ok(self.0 + ty)
    }
}
