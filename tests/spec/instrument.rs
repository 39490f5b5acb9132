//! Adds to a module what performs a script's steps on it: module and steps in, a module with one more export out, which
//! is such a function as [`crate::steps`] makes. Imports from `spectest` become definitions.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, Function, Instruction, ValType};
use wasmelt::module::{Entity, FuncIndex, GlobalIndex, Module};

use crate::plan::Event;
use crate::running::DONE;
use crate::sections::Sections;
use crate::steps::{self, Callee, FROM, K, PARAMS, RESULTS, STEPS_PER_FUNCTION, Scope, zero};

/// Name of the export that is added.
pub(crate) const DRIVER: &str = "wasmelt spec driver";

/// A value of `k` that calls all functions: nothing asks for it, so that they are compiled and not called.
pub(crate) const CALL_ALL: i32 = i32::MIN;

/// Adds the driver, whose events are all about one instance. `call_all` makes every function of the module one that can
/// be reached.
pub(crate) fn instrument(
    wasm: &[u8],
    module: &Module<'_>,
    events: &[Event],
    call_all: bool,
) -> Result<Vec<u8>, String> {
    let mut sections = Sections::read(wasm, |_| None)?;
    let first = module.funcs.len() as u32;
    let mut bodies = Vec::new();
    for (chunk, events) in events.chunks(STEPS_PER_FUNCTION).enumerate() {
        bodies.push(steps::function(&Own(module), chunk * STEPS_PER_FUNCTION, events)?);
    }
    let all = call_all.then_some(first + bodies.len() as u32);
    bodies.extend(call_all.then(|| call_all_of(module)));
    let driver = driver(first..first + bodies.len() as u32, all);
    bodies.push(driver);
    sections.append((&PARAMS, &RESULTS), &bodies, DRIVER, module.funcs.len());
    Ok(sections.finish())
}

/// Calls these functions, one of them only if it is asked for.
fn driver(functions: std::ops::Range<u32>, all: Option<u32>) -> Function {
    use Instruction::*;
    let mut driver = Function::new([(1, ValType::I32)]);
    let mut emit = |instruction: Instruction<'_>| _ = driver.instruction(&instruction);
    for callee in functions {
        let is_all = all == Some(callee);
        if is_all {
            [LocalGet(K), I32Const(CALL_ALL), I32Eq, If(BlockType::Empty)].into_iter().for_each(&mut emit);
        }
        let call = [LocalGet(K), LocalGet(FROM), Call(callee), LocalTee(2), I32Const(DONE), I32Ne];
        call.into_iter().for_each(&mut emit);
        [If(BlockType::Empty), LocalGet(2), Return, End].into_iter().for_each(&mut emit);
        if is_all {
            emit(End);
        }
    }
    [I32Const(DONE), End].into_iter().for_each(&mut emit);
    driver
}

/// Calls every function, with zeros. A function of the type of the driver's.
pub(crate) fn call_all_of(module: &Module<'_>) -> Function {
    let mut function = Function::new([]);
    for index in 0..module.funcs.len() as u32 {
        let ty = module.func_type(FuncIndex::from_u32(index));
        let args: Option<Vec<_>> =
            ty.params.iter().map(|&param| RoundtripReencoder.val_type(param).ok().and_then(zero)).collect();
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

/// The module itself: steps are functions of it.
struct Own<'m>(&'m Module<'m>);

impl Scope for Own<'_> {
    fn func(&self, _: usize, name: &str) -> Result<Callee, String> {
        let func = exported_func(self.0, name)?;
        callee(&mut RoundtripReencoder, func.as_u32(), self.0, func)
    }

    fn global(&self, _: usize, name: &str) -> Result<(u32, ValType), String> {
        let global = exported_global(self.0, name)?;
        let ty = RoundtripReencoder.val_type(self.0.globals[global].ty).map_err(|e| e.to_string())?;
        Ok((global.as_u32(), ty))
    }
}

pub(crate) fn exported_func(module: &Module<'_>, name: &str) -> Result<FuncIndex, String> {
    match module.export(name) {
        Some(Entity::Func(func)) => Ok(func),
        _ => Err(format!("no function `{name}` is exported")),
    }
}

pub(crate) fn exported_global(module: &Module<'_>, name: &str) -> Result<GlobalIndex, String> {
    match module.export(name) {
        Some(Entity::Global(global)) => Ok(global),
        _ => Err(format!("no global `{name}` is exported")),
    }
}

/// A function of a module, as another one that imports it by this index sees it, whose types are numbered as the encoder
/// does.
pub(crate) fn callee<E: std::fmt::Display>(
    types: &mut impl Reencode<Error = E>,
    index: u32,
    module: &Module<'_>,
    func: FuncIndex,
) -> Result<Callee, String> {
    let ty = module.func_type(func);
    let mut encoded = |list: &[wasmparser::ValType]| {
        list.iter().map(|&ty| types.val_type(ty)).collect::<Result<_, _>>().map_err(|e| e.to_string())
    };
    Ok(Callee { index, params: encoded(&ty.params)?, results: encoded(&ty.results)? })
}
