//! Adds to a module what performs a script's steps on it: module and steps in, a module with one more export out.
//!
//! The export is `(k: i32, from: i32) -> i32`. It performs the steps before step `k` that must not trap, compares the
//! results of those from step `from` on, and performs step `k` last if that one must trap. It returns the number of
//! the first step whose results are wrong, [`DONE`] where there is none, or [`NO_TRAP`] where step `k` returned.
//!
//! Imports from `spectest` become definitions. Imports come first in each index space, so that no index changes and
//! the bodies of functions stay byte for byte what they were.

use wasm_encoder::reencode::{self, Reencode, RoundtripReencoder, utils};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, ExportKind, ExportSection,
    Function, FunctionSection, GlobalSection, Instruction, MemorySection, MemoryType, RawSection, StartSection,
    TableSection, TagSection, TypeSection,
};
use wasmelt::module::{Entity, FuncIndex, Module};
use wasmparser::{CompositeInnerType, Parser, Payload, TypeRef, ValType};

use crate::script::{Action, Expect, SPECTEST};
use crate::units::Step;
use crate::values::{Arg, Pattern};

/// Name of the export.
pub(crate) const DRIVER: &str = "wasmelt spec driver";

/// All steps that were performed are right.
pub(crate) const DONE: i32 = -1;

/// The step that must trap returned.
pub(crate) const NO_TRAP: i32 = -2;

/// Steps in one function: enough to make few functions, few enough to compile quickly.
const STEPS_PER_FUNCTION: usize = 32;

/// A value of `k` that calls all functions: nothing asks for it, so that they are compiled and not called.
const CALL_ALL: i32 = i32::MIN;

type Failure = reencode::Error;

/// Adds the driver. `call_all` makes every function of the module one that can be reached.
pub(crate) fn instrument(wasm: &[u8], module: &Module<'_>, steps: &[Step], call_all: bool) -> Result<Vec<u8>, String> {
    let mut sections = Sections::default();
    let mut driver = Driver { module, bodies: Vec::new() };
    driver.add(steps, call_all)?;
    sections.read(wasm).map_err(|e| format!("the module cannot be encoded anew: {e}"))?;
    let types = module.types.len() as u32;
    let int = wasm_encoder::ValType::I32;
    sections.types.ty().function([int, int], [int]);
    let mut last = module.funcs.len() as u32;
    for body in &driver.bodies {
        sections.functions.function(types);
        sections.code.function(body);
        last += 1;
    }
    sections.exports.export(DRIVER, ExportKind::Func, last - 1);
    Ok(sections.finish())
}

/// The functions that are added; the last one is the driver.
struct Driver<'m> {
    module: &'m Module<'m>,
    bodies: Vec<Function>,
}

/// Parameters of an added function.
const K: u32 = 0;
const FROM: u32 = 1;

impl Driver<'_> {
    fn add(&mut self, steps: &[Step], call_all: bool) -> Result<(), String> {
        let first = self.module.funcs.len() as u32;
        for (chunk, steps) in steps.chunks(STEPS_PER_FUNCTION).enumerate() {
            let body = self.steps(chunk * STEPS_PER_FUNCTION, steps)?;
            self.bodies.push(body);
        }
        let chunks = self.bodies.len() as u32;
        if call_all {
            let body = self.call_all();
            self.bodies.push(body);
        }
        use Instruction::*;
        let mut main = Function::new([(1, wasm_encoder::ValType::I32)]);
        let mut emit = |instruction: Instruction<'_>| _ = main.instruction(&instruction);
        for callee in first..first + self.bodies.len() as u32 {
            if callee == first + chunks {
                let condition = [LocalGet(K), I32Const(CALL_ALL), I32Eq, If(BlockType::Empty)];
                condition.into_iter().for_each(&mut emit);
            }
            let call = [LocalGet(K), LocalGet(FROM), Call(callee), LocalTee(2), I32Const(DONE), I32Ne];
            call.into_iter().for_each(&mut emit);
            [If(BlockType::Empty), LocalGet(2), Return, End].into_iter().for_each(&mut emit);
            if callee == first + chunks {
                emit(End);
            }
        }
        [I32Const(DONE), End].into_iter().for_each(&mut emit);
        self.bodies.push(main);
        Ok(())
    }

    /// Performs these steps, of which the first has this number.
    fn steps(&self, first: usize, steps: &[Step]) -> Result<Function, String> {
        use Instruction::*;
        let mut locals = Vec::new();
        let mut code = Vec::new();
        for (number, step) in (first as i32..).zip(steps) {
            let line = |why: String| format!("line {}: {why}", step.line);
            let mut act = Vec::new();
            let results = self.act(&step.action, &mut act).map_err(line)?;
            match &step.expect {
                Expect::Trap(_) | Expect::Exception => {
                    code.extend([LocalGet(K), I32Const(number), I32Eq, If(BlockType::Empty)]);
                    code.extend(act);
                    code.extend(results.iter().map(|_| Drop));
                    code.extend([I32Const(NO_TRAP), Return, End]);
                }
                Expect::Return => {
                    code.extend([LocalGet(K), I32Const(number), I32LeS]);
                    code.extend([If(BlockType::Empty), I32Const(DONE), Return, End]);
                    code.extend(act);
                    code.extend(results.iter().map(|_| Drop));
                }
                Expect::Results(patterns) => {
                    if patterns.len() != results.len() {
                        return Err(line(format!("{} results, expected {}", results.len(), patterns.len())));
                    }
                    code.extend([LocalGet(K), I32Const(number), I32LeS]);
                    code.extend([If(BlockType::Empty), I32Const(DONE), Return, End]);
                    code.extend(act);
                    let first_local = 2 + locals.len() as u32;
                    locals.extend(results.iter().copied());
                    code.extend((first_local..2 + locals.len() as u32).rev().map(LocalSet));
                    code.extend([LocalGet(FROM), I32Const(number), I32LeS, If(BlockType::Empty)]);
                    code.push(I32Const(1));
                    for ((local, &ty), pattern) in (first_local..).zip(&results).zip(patterns) {
                        compare(local, ty, pattern, &mut code).map_err(line)?;
                        code.push(I32And);
                    }
                    code.extend([I32Eqz, If(BlockType::Empty), I32Const(number), Return, End, End]);
                }
            }
        }
        code.extend([I32Const(DONE), End]);
        let locals = locals.into_iter().map(value_type).collect::<Result<Vec<_>, _>>()?;
        let mut function = Function::new_with_locals_types(locals);
        for instruction in &code {
            function.instruction(instruction);
        }
        Ok(function)
    }

    /// Performs an action. The types of its results, which are on the stack.
    fn act(&self, action: &Action, code: &mut Vec<Instruction<'static>>) -> Result<Vec<ValType>, String> {
        match action {
            Action::Invoke { name, args } => {
                let Some(Entity::Func(func)) = self.module.export(name) else {
                    return Err(format!("no function `{name}` is exported"));
                };
                let ty = self.module.func_type(func);
                if args.len() != ty.params.len() {
                    return Err(format!("{} arguments for {} parameters", args.len(), ty.params.len()));
                }
                for (arg, &param) in args.iter().zip(&ty.params) {
                    code.push(constant(arg, param)?);
                }
                code.push(Instruction::Call(func.as_u32()));
                Ok(ty.results.to_vec())
            }
            Action::Get { name } => {
                let Some(Entity::Global(global)) = self.module.export(name) else {
                    return Err(format!("no global `{name}` is exported"));
                };
                code.push(Instruction::GlobalGet(global.as_u32()));
                Ok(vec![self.module.globals[global].ty])
            }
        }
    }

    /// Calls every function, with zeros.
    fn call_all(&self) -> Function {
        let mut function = Function::new([]);
        for index in 0..self.module.funcs.len() as u32 {
            let ty = self.module.func_type(FuncIndex::from_u32(index));
            let args: Option<Vec<_>> = ty.params.iter().map(|&param| zero(param)).collect();
            // What has a parameter that cannot be null is called with what is never reached.
            for instruction in args.unwrap_or_else(|| vec![Instruction::Unreachable]) {
                function.instruction(&instruction);
            }
            function.instruction(&Instruction::Call(index));
            for _ in &ty.results {
                function.instruction(&Instruction::Drop);
            }
        }
        function.instruction(&Instruction::I32Const(DONE)).instruction(&Instruction::End);
        function
    }
}

fn value_type(ty: ValType) -> Result<wasm_encoder::ValType, String> {
    RoundtripReencoder.val_type(ty).map_err(|e| e.to_string())
}

fn constant(arg: &Arg, param: ValType) -> Result<Instruction<'static>, String> {
    Ok(match *arg {
        Arg::Extern(number) => return Err(format!("reference {number} of the host's")),
        Arg::I32(v) => Instruction::I32Const(v),
        Arg::I64(v) => Instruction::I64Const(v),
        Arg::F32(v) => Instruction::F32Const(wasm_encoder::Ieee32::new(v)),
        Arg::F64(v) => Instruction::F64Const(wasm_encoder::Ieee64::new(v)),
        Arg::V128(v) => Instruction::V128Const(i128::from_le_bytes(v)),
        Arg::Null => zero(param).ok_or("a null reference for a parameter that cannot be null")?,
    })
}

/// The value that locals of this type begin with.
fn zero(ty: ValType) -> Option<Instruction<'static>> {
    Some(match ty {
        ValType::I32 => Instruction::I32Const(0),
        ValType::I64 => Instruction::I64Const(0),
        ValType::F32 => Instruction::F32Const(wasm_encoder::Ieee32::new(0)),
        ValType::F64 => Instruction::F64Const(wasm_encoder::Ieee64::new(0)),
        ValType::V128 => Instruction::V128Const(0),
        ValType::Ref(ty) if ty.is_nullable() => {
            Instruction::RefNull(RoundtripReencoder.heap_type(ty.heap_type()).ok()?)
        }
        ValType::Ref(_) => return None,
    })
}

/// Whether a local is as the pattern says, as an `i32`.
fn compare(local: u32, ty: ValType, pattern: &Pattern, code: &mut Vec<Instruction<'static>>) -> Result<(), String> {
    use Instruction::*;
    match (pattern, ty) {
        (Pattern::Either(patterns), _) => {
            code.push(I32Const(0));
            for pattern in patterns {
                compare(local, ty, pattern, code)?;
                code.push(I32Or);
            }
        }
        (Pattern::Null, ValType::Ref(_)) => code.extend([LocalGet(local), RefIsNull]),
        (Pattern::Func | Pattern::Extern(None), ValType::Ref(_)) => code.extend([LocalGet(local), RefIsNull, I32Eqz]),
        (&Pattern::Bits { ty: expected, mask, value }, ValType::V128) if expected == ty => {
            code.extend([LocalGet(local), V128Const(mask as i128), V128And]);
            code.extend([V128Const(value as i128), I8x16Eq, I8x16AllTrue]);
        }
        (&Pattern::Bits { ty: expected, mask, value }, ValType::I32 | ValType::F32) if expected == ty => {
            code.push(LocalGet(local));
            code.extend((ty == ValType::F32).then_some(I32ReinterpretF32));
            code.extend([I32Const(mask as i32), I32And, I32Const(value as i32), I32Eq]);
        }
        (&Pattern::Bits { ty: expected, mask, value }, ValType::I64 | ValType::F64) if expected == ty => {
            code.push(LocalGet(local));
            code.extend((ty == ValType::F64).then_some(I64ReinterpretF64));
            code.extend([I64Const(mask as i64), I64And, I64Const(value as i64), I64Eq]);
        }
        (pattern, ty) => return Err(format!("a result of type {ty}, expected {pattern:?}")),
    }
    Ok(())
}

/// A module's sections while they are extended.
#[derive(Default)]
struct Sections<'a> {
    types: TypeSection,
    functions: FunctionSection,
    tables: TableSection,
    memories: MemorySection,
    tags: TagSection,
    globals: GlobalSection,
    exports: ExportSection,
    start: Option<u32>,
    elements: ElementSection,
    data_count: Option<u32>,
    code: CodeSection,
    data: DataSection,
    names: Option<&'a [u8]>,
    constants: Constants,
}

impl<'a> Sections<'a> {
    fn read(&mut self, wasm: &'a [u8]) -> Result<(), Failure> {
        for payload in Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(types) => {
                    for group in types.clone() {
                        self.constants.types.extend(group?.into_types().map(|ty| match ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => ty.results().len(),
                            _ => 0,
                        }));
                    }
                    utils::parse_type_section(&mut RoundtripReencoder, &mut self.types, types)?;
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import?;
                        if import.module == SPECTEST {
                            self.define(import.ty)?;
                        }
                    }
                }
                Payload::FunctionSection(s) => self.constants.parse_function_section(&mut self.functions, s)?,
                Payload::TableSection(s) => self.constants.parse_table_section(&mut self.tables, s)?,
                Payload::MemorySection(s) => self.constants.parse_memory_section(&mut self.memories, s)?,
                Payload::TagSection(s) => self.constants.parse_tag_section(&mut self.tags, s)?,
                Payload::GlobalSection(s) => self.constants.parse_global_section(&mut self.globals, s)?,
                Payload::ExportSection(s) => self.constants.parse_export_section(&mut self.exports, s)?,
                Payload::StartSection { func, .. } => self.start = Some(func),
                Payload::ElementSection(s) => self.constants.parse_element_section(&mut self.elements, s)?,
                Payload::DataCountSection { count, .. } => self.data_count = Some(count),
                Payload::CodeSectionEntry(body) => _ = self.code.raw(&wasm[body.range()]),
                Payload::DataSection(s) => self.constants.parse_data_section(&mut self.data, s)?,
                Payload::CustomSection(s) if s.name() == "name" => self.names = Some(s.data()),
                _ => {}
            }
        }
        Ok(())
    }

    /// Defines what `spectest` provides.
    fn define(&mut self, ty: TypeRef) -> Result<(), Failure> {
        match ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                self.functions.function(ty);
                let mut body = Function::new([]);
                if self.constants.types.get(ty as usize).is_some_and(|&results| results > 0) {
                    body.instruction(&Instruction::Unreachable);
                }
                self.code.function(body.instruction(&Instruction::End));
            }
            TypeRef::Table(ty) => {
                let ty = RoundtripReencoder.table_type(ty)?;
                self.tables.table(wasm_encoder::TableType { minimum: 10, maximum: Some(20), ..ty });
            }
            TypeRef::Memory(ty) => {
                let ty = RoundtripReencoder.memory_type(ty)?;
                self.memories.memory(MemoryType { minimum: 1, maximum: Some(2), ..ty });
            }
            TypeRef::Global(ty) => {
                let value = match ty.content_type {
                    ValType::I32 => Instruction::I32Const(666),
                    ValType::I64 => Instruction::I64Const(666),
                    ValType::F32 => Instruction::F32Const(666.6f32.into()),
                    ValType::F64 => Instruction::F64Const(666.6f64.into()),
                    ty => zero(ty).ok_or(Failure::InvalidConstExpr)?,
                };
                self.constants.globals.push(value.clone());
                self.globals.global(RoundtripReencoder.global_type(ty)?, &ConstExpr::extended([value]));
            }
            TypeRef::Tag(ty) => _ = self.tags.tag(RoundtripReencoder.tag_type(ty)?),
        }
        Ok(())
    }

    fn finish(self) -> Vec<u8> {
        let mut module = wasm_encoder::Module::new();
        module.section(&self.types).section(&self.functions);
        if !self.tables.is_empty() {
            module.section(&self.tables);
        }
        if !self.memories.is_empty() {
            module.section(&self.memories);
        }
        if !self.tags.is_empty() {
            module.section(&self.tags);
        }
        if !self.globals.is_empty() {
            module.section(&self.globals);
        }
        module.section(&self.exports);
        if let Some(function_index) = self.start {
            module.section(&StartSection { function_index });
        }
        if !self.elements.is_empty() {
            module.section(&self.elements);
        }
        if let Some(count) = self.data_count {
            module.section(&DataCountSection { count });
        }
        module.section(&self.code);
        if !self.data.is_empty() {
            module.section(&self.data);
        }
        if let Some(data) = self.names {
            // A custom section is its name, then its data.
            let mut section = vec![4];
            section.extend_from_slice(b"name");
            section.extend_from_slice(data);
            module.section(&RawSection { id: 0, data: &section });
        }
        module.finish()
    }
}

/// Encodes sections anew, with the values of what were imported globals in constant expressions: there only imported
/// globals may be named without the proposal `gc`.
#[derive(Default)]
struct Constants {
    globals: Vec<Instruction<'static>>,
    /// Number of results by type.
    types: Vec<usize>,
}

impl Reencode for Constants {
    type Error = std::convert::Infallible;

    fn instruction<'a>(&mut self, op: wasmparser::Operator<'a>) -> Result<Instruction<'a>, Failure> {
        if let wasmparser::Operator::GlobalGet { global_index } = op
            && let Some(value) = self.globals.get(global_index as usize)
        {
            return Ok(value.clone());
        }
        utils::instruction(self, op)
    }
}
