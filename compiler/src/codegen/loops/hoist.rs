//! Operations with a constant, whose other operand is computed before a loop, leave the loop.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::cursor::{Cursor as _, FuncCursor};
use cranelift_codegen::ir::{Inst, InstBuilder as _, InstructionData, Opcode, Type, Value, types};

use super::Loop;

/// Most integers that are used in a loop and come from outside of it, those that leave it included: x86-64 has 13
/// registers for them beside the stack's, the frame's and the pinned one, and the loop needs some for itself.
const MAX_INTEGERS: usize = 11;

/// An operation that can leave a loop; equal ones have the same result.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Operation {
    opcode: Opcode,
    ty: Type,
    operands: (Operand, Operand),
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Operand {
    /// A value from outside.
    Value(Value),
    /// Of the operation's type.
    Constant(i64),
}

impl Loop<'_> {
    pub(super) fn hoist(&mut self) {
        if !self.instructions().any(|inst| self.operation(inst).is_some()) {
            return;
        }
        let mut room = MAX_INTEGERS.saturating_sub(self.integers_from_outside());
        let mut hoisted: HashMap<Operation, Value> = HashMap::new();
        // One that leaves may let the next one leave.
        for inst in self.instructions().collect::<Vec<_>>() {
            let Some(operation) = self.operation(inst) else { continue };
            let value = match hoisted.get(&operation) {
                Some(&value) => value,
                None if room == 0 => continue,
                None => {
                    room -= 1;
                    let value = self.compute_before(operation);
                    hoisted.insert(operation, value);
                    value
                }
            };
            self.replace(inst, value);
        }
    }

    /// What an instruction computes, where that can leave the loop. These are the operations that Cranelift computes
    /// again where they are used (`remat.isle`); all others have left already.
    fn operation(&self, inst: Inst) -> Option<Operation> {
        let InstructionData::Binary { opcode, args: [a, b] } = self.func.dfg.insts[inst] else { return None };
        if !matches!(opcode, Opcode::Iadd | Opcode::Isub | Opcode::Band | Opcode::Bor | Opcode::Bxor) {
            return None;
        }
        let ty = self.func.dfg.value_type(a);
        let operands = (self.operand(a)?, self.operand(b)?);
        (matches!(ty, types::I32 | types::I64)).then_some(Operation { opcode, ty, operands })
    }

    fn operand(&self, value: Value) -> Option<Operand> {
        let value = self.func.dfg.resolve_aliases(value);
        let defined_by = self.func.dfg.value_def(value).inst().map(|inst| self.func.dfg.insts[inst]);
        match defined_by {
            Some(InstructionData::UnaryImm { opcode: Opcode::Iconst, imm }) => Some(Operand::Constant(imm.bits())),
            _ => self.is_outside(value).then_some(Operand::Value(value)),
        }
    }

    /// Number of integers from outside that the loop uses, or that change from round to round.
    fn integers_from_outside(&self) -> usize {
        let dfg = &self.func.dfg;
        let is_integer = |value: Value| dfg.value_type(value).is_int() && !dfg.value_type(value).is_vector();
        let used = self.instructions().flat_map(|inst| dfg.inst_values(inst)).map(|value| dfg.resolve_aliases(value));
        let mut integers: HashSet<Value> = used.filter(|&v| is_integer(v) && self.is_outside(v)).collect();
        integers.extend(dfg.block_params(self.header).iter().copied().filter(|&v| is_integer(v)));
        integers.len()
    }

    fn compute_before(&mut self, operation: Operation) -> Value {
        let Operation { opcode, ty, operands } = operation;
        let mut cursor = FuncCursor::new(self.func).at_inst(self.entry);
        let mut operand = |operand| match operand {
            Operand::Value(value) => value,
            Operand::Constant(bits) => cursor.ins().iconst(ty, bits),
        };
        let (a, b) = (operand(operands.0), operand(operands.1));
        let (inst, dfg) = cursor.ins().Binary(opcode, ty, a, b);
        dfg.first_result(inst)
    }
}
