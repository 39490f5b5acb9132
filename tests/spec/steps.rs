//! The steps of a script as instructions: functions `(k: i32, from: i32) -> i32` that perform them as
//! [`crate::running`] says, and return the number that the executable prints.

use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{BlockType, Function, Ieee32, Ieee64, Instruction, ValType};

use crate::plan::{Event, Happening};
use crate::running::{DONE, NO_TRAP};
use crate::script::{Action, Expect};
use crate::values::{Arg, Pattern};

/// Steps in one function: enough to make few functions, few enough to compile quickly.
pub(crate) const STEPS_PER_FUNCTION: usize = 32;

/// Type of the functions.
pub(crate) const PARAMS: [ValType; 2] = [ValType::I32, ValType::I32];
pub(crate) const RESULTS: [ValType; 1] = [ValType::I32];

/// Parameters of the functions.
pub(crate) const K: u32 = 0;
pub(crate) const FROM: u32 = 1;

/// The module that steps are added to.
pub(crate) trait Scope {
    /// The function that an instance exports under this name.
    fn func(&self, instance: usize, name: &str) -> Result<Callee, String>;

    /// The global that an instance exports under this name: index and type.
    fn global(&self, instance: usize, name: &str) -> Result<(u32, ValType), String>;
}

/// A function that can be called, with the types as the module has them that calls it.
#[derive(Clone, Debug)]
pub(crate) struct Callee {
    pub(crate) index: u32,
    pub(crate) params: Vec<ValType>,
    pub(crate) results: Vec<ValType>,
}

/// Performs these steps, of which the first has this number.
pub(crate) fn function(scope: &impl Scope, first: usize, events: &[Event]) -> Result<Function, String> {
    use Instruction::*;
    let mut locals = Vec::new();
    let mut code = Vec::new();
    for (number, event) in (first as i32..).zip(events) {
        let Happening::Step { action, expect } = &event.what else { continue };
        let line = |why: String| format!("line {}: {why}", event.line);
        let mut act = Vec::new();
        let results = perform(scope, event.instance, action, &mut act).map_err(line)?;
        match expect {
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
    let mut function = Function::new_with_locals_types(locals);
    for instruction in &code {
        function.instruction(instruction);
    }
    Ok(function)
}

/// Performs an action. The types of its results, which are on the stack.
fn perform(
    scope: &impl Scope,
    instance: usize,
    action: &Action,
    code: &mut Vec<Instruction<'static>>,
) -> Result<Vec<ValType>, String> {
    match action {
        Action::Invoke { name, args } => {
            let callee = scope.func(instance, name)?;
            if args.len() != callee.params.len() {
                return Err(format!("{} arguments for {} parameters", args.len(), callee.params.len()));
            }
            for (arg, &param) in args.iter().zip(&callee.params) {
                code.push(constant(arg, param)?);
            }
            code.push(Instruction::Call(callee.index));
            Ok(callee.results)
        }
        Action::Get { name } => {
            let (index, ty) = scope.global(instance, name)?;
            code.push(Instruction::GlobalGet(index));
            Ok(vec![ty])
        }
    }
}

fn constant(arg: &Arg, param: ValType) -> Result<Instruction<'static>, String> {
    Ok(match *arg {
        Arg::Extern(number) => return Err(format!("reference {number} of the host's")),
        Arg::I32(v) => Instruction::I32Const(v),
        Arg::I64(v) => Instruction::I64Const(v),
        Arg::F32(v) => Instruction::F32Const(Ieee32::new(v)),
        Arg::F64(v) => Instruction::F64Const(Ieee64::new(v)),
        Arg::V128(v) => Instruction::V128Const(i128::from_le_bytes(v)),
        Arg::Null => zero(param).ok_or("a null reference for a parameter that cannot be null")?,
    })
}

/// The value that locals of this type begin with.
pub(crate) fn zero(ty: ValType) -> Option<Instruction<'static>> {
    Some(match ty {
        ValType::I32 => Instruction::I32Const(0),
        ValType::I64 => Instruction::I64Const(0),
        ValType::F32 => Instruction::F32Const(Ieee32::new(0)),
        ValType::F64 => Instruction::F64Const(Ieee64::new(0)),
        ValType::V128 => Instruction::V128Const(0),
        ValType::Ref(ty) if ty.nullable => Instruction::RefNull(ty.heap_type),
        ValType::Ref(_) => return None,
    })
}

/// Whether a local is as the pattern says, as an `i32`.
fn compare(local: u32, ty: ValType, pattern: &Pattern, code: &mut Vec<Instruction<'static>>) -> Result<(), String> {
    use Instruction::*;
    let is_of = |expected: wasmparser::ValType| RoundtripReencoder.val_type(expected).is_ok_and(|of| of == ty);
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
        (&Pattern::Bits { ty: expected, mask, value }, ValType::V128) if is_of(expected) => {
            code.extend([LocalGet(local), V128Const(mask as i128), V128And]);
            code.extend([V128Const(value as i128), I8x16Eq, I8x16AllTrue]);
        }
        (&Pattern::Bits { ty: expected, mask, value }, ValType::I32 | ValType::F32) if is_of(expected) => {
            code.push(LocalGet(local));
            code.extend((ty == ValType::F32).then_some(I32ReinterpretF32));
            code.extend([I32Const(mask as i32), I32And, I32Const(value as i32), I32Eq]);
        }
        (&Pattern::Bits { ty: expected, mask, value }, ValType::I64 | ValType::F64) if is_of(expected) => {
            code.push(LocalGet(local));
            code.extend((ty == ValType::F64).then_some(I64ReinterpretF64));
            code.extend([I64Const(mask as i64), I64And, I64Const(value as i64), I64Eq]);
        }
        (pattern, ty) => return Err(format!("a result of type {ty:?}, expected {pattern:?}")),
    }
    Ok(())
}
