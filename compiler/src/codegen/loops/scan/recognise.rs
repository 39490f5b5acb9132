//! Which loops look at bytes, and how.

use cranelift_codegen::ir::condcodes::{CondCode as _, IntCC};
use cranelift_codegen::ir::{BlockArg, BlockCall, Inst, InstructionData, Opcode, Type, Value, ValueDef, types};

use super::{Extended, Loop, Scan, Step, Test};

/// Most instructions of a loop that is looked at.
const MAX_INSTRUCTIONS: usize = 24;

/// A byte of a load, as a number of more bits.
struct Byte {
    load: usize,
    is_signed: bool,
}

impl Loop<'_> {
    /// What the loop looks for, where that is something that can be looked for in many bytes at once.
    pub(super) fn recognise(&self) -> Option<Scan> {
        let is_short = self.instructions().nth(MAX_INSTRUCTIONS).is_none();
        if !is_short || !self.instructions().any(|inst| self.is_byte_load(inst)) {
            return None;
        }
        let scan = Scan {
            latch: self.entry,
            steps: Vec::new(),
            passed: Vec::new(),
            loads: Vec::new(),
            tests: Vec::new(),
            guards: 0,
            extended: Vec::new(),
        };
        Recognition { of: self, scan, conditions: Vec::new() }.finish()
    }

    fn is_byte_load(&self, inst: Inst) -> bool {
        matches!(self.func.dfg.insts[inst].opcode(), Opcode::Uload8 | Opcode::Sload8)
    }
}

/// A loop while it is looked at.
struct Recognition<'l, 'f> {
    of: &'l Loop<'f>,
    scan: Scan,
    /// The loop ends when the value is zero, or when it is not.
    conditions: Vec<(Value, bool)>,
}

impl Recognition<'_, '_> {
    fn finish(mut self) -> Option<Scan> {
        let next = self.follow()?;
        self.find_steps(&next)?;
        for (value, ends_at_zero) in std::mem::take(&mut self.conditions) {
            let test = self.test(value, ends_at_zero)?;
            self.scan.tests.push(test);
        }
        for load in self.scan.loads.clone() {
            let address = self.of.func.dfg.inst_args(load)[0];
            if self.stride(address)? != 1 {
                return None;
            }
        }
        let is_of_bytes = |test: &Test| !matches!(test, Test::Count { .. });
        let (guards, _) = self.scan.tests.split_at(self.scan.guards);
        let is_scan = self.scan.tests.iter().any(is_of_bytes) && !guards.iter().any(is_of_bytes);
        is_scan.then_some(self.scan)
    }

    /// Goes through the blocks of a round, which must be the same ones whenever another round follows. What the header
    /// gets for that one.
    fn follow(&mut self) -> Option<Vec<Value>> {
        let of = self.of;
        let mut block = of.header;
        for _ in &of.blocks {
            for inst in of.func.layout.block_insts(block) {
                self.visit(inst)?;
            }
            self.scan.latch = of.func.layout.last_inst(block)?;
            let call = self.way_on(self.scan.latch)?;
            let args = call.args(&of.func.dfg.value_lists).map(|arg| match arg {
                BlockArg::Value(value) => Some(of.func.dfg.resolve_aliases(value)),
                _ => None,
            });
            let args = args.collect::<Option<Vec<_>>>()?;
            block = call.block(&of.func.dfg.value_lists);
            if block == of.header {
                return Some(args);
            }
            self.scan.passed.extend(of.func.dfg.block_params(block).iter().copied().zip(args));
        }
        None
    }

    /// Looks at an instruction. All but loads of bytes must have no effect.
    fn visit(&mut self, inst: Inst) -> Option<()> {
        if self.of.is_byte_load(inst) {
            self.scan.guards = self.conditions.len();
            self.scan.loads.push(inst);
            return Some(());
        }
        let opcode = self.of.func.dfg.insts[inst].opcode();
        let acts = opcode.can_load()
            || opcode.can_store()
            || opcode.can_trap()
            || opcode.is_call()
            || opcode.other_side_effects();
        (matches!(opcode, Opcode::Jump | Opcode::Brif) || !acts).then_some(())
    }

    /// Where a branch goes when the loop does not end with it.
    fn way_on(&mut self, branch: Inst) -> Option<BlockCall> {
        match self.of.func.dfg.insts[branch] {
            InstructionData::Jump { destination, .. } => Some(destination),
            InstructionData::Brif { arg, blocks: [then, otherwise], .. } => {
                let block = |call: BlockCall| call.block(&self.of.func.dfg.value_lists);
                let is_inside = |call| self.of.analysis.innermost_loop(block(call)) == Some(self.of.id);
                let goes_on_if = is_inside(then);
                self.conditions.push((arg, goes_on_if));
                (goes_on_if != is_inside(otherwise)).then_some(if goes_on_if { then } else { otherwise })
            }
            _ => None,
        }
    }

    /// How the parameters of the header change.
    fn find_steps(&mut self, next: &[Value]) -> Option<()> {
        let params = self.of.func.dfg.block_params(self.of.header);
        let steps = params.iter().zip(next).map(|(&param, &next)| self.step(param, next));
        self.scan.steps = steps.collect::<Option<_>>()?;
        Some(())
    }

    fn step(&self, param: Value, next: Value) -> Option<Step> {
        let next = self.passed(next);
        let (by, is_widened) = match self.data(next) {
            Some(InstructionData::Unary { opcode: Opcode::Uextend, arg }) if self.type_of(arg) == types::I32 => {
                let narrow = |value| match self.data(value) {
                    Some(InstructionData::Unary { opcode: Opcode::Ireduce, arg }) => self.passed(arg) == param,
                    _ => false,
                };
                (self.distance(arg, narrow)?, true)
            }
            _ => (self.distance(next, |value| value == param)?, false),
        };
        (matches!(by, -1..=1) && self.is_number(param)).then_some(Step { by, is_widened })
    }

    /// What is added to a certain value to get this one.
    fn distance(&self, value: Value, is_start: impl Fn(Value) -> bool) -> Option<i64> {
        let value = self.passed(value);
        match self.data(value) {
            _ if is_start(value) => Some(0),
            Some(InstructionData::Binary { opcode, args: [a, b] }) if is_start(self.passed(a)) => match opcode {
                Opcode::Iadd => self.constant(b),
                Opcode::Isub => self.constant(b)?.checked_neg(),
                _ => None,
            },
            _ => None,
        }
    }

    fn test(&mut self, value: Value, ends_at_zero: bool) -> Option<Test> {
        match self.data(self.passed(value)) {
            Some(InstructionData::IntCompare { args: [a, b], cond, .. }) => {
                let cond = if ends_at_zero { cond.complement() } else { cond };
                self.comparison(a, cond, b).or_else(|| self.comparison(b, cond.swap_args(), a))
            }
            _ => self.against_zero(value, if ends_at_zero { IntCC::Equal } else { IntCC::NotEqual }),
        }
    }

    /// The loop ends when `a` and `b` compare so.
    fn comparison(&mut self, a: Value, cond: IntCC, b: Value) -> Option<Test> {
        let is_equality = matches!(cond, IntCC::Equal | IntCC::NotEqual);
        let constant = self.constant(b);
        if constant == Some(0) && is_equality {
            return self.against_zero(a, cond);
        }
        let Some(byte) = self.byte(a) else { return self.count(a, cond, b) };
        if let Some(other) = self.byte(b) {
            let are_alike = is_equality && byte.is_signed == other.is_signed;
            return are_alike.then_some(Test::Bytes { loads: [byte.load, other.load], cond });
        }
        let cond = match (constant, byte.is_signed) {
            (Some(0..=255), false) => cond.unsigned(),
            (Some(-128..=127), true) if is_equality || cond != cond.unsigned() => cond,
            // A value that no byte has only makes the skipping end too early.
            (None, _) if cond == IntCC::Equal && self.stride(b)? == 0 => cond,
            _ => return None,
        };
        Some(Test::Byte { load: byte.load, cond, with: Some(b) })
    }

    /// The loop ends when a value is zero, or when it is not.
    fn against_zero(&mut self, value: Value, cond: IntCC) -> Option<Test> {
        let value = self.passed(value);
        if let Some(Byte { load, .. }) = self.byte(value) {
            return Some(Test::Byte { load, cond, with: None });
        }
        if let InstructionData::Binary { opcode: Opcode::Isub | Opcode::Bxor, args: [a, b] } = self.data(value)?
            && let (Some(a), Some(b)) = (self.byte(a), self.byte(b))
        {
            return (a.is_signed == b.is_signed).then_some(Test::Bytes { loads: [a.load, b.load], cond });
        }
        let is_count = self.is_number(value) && cond == IntCC::Equal;
        match is_count.then(|| self.stride(value)).flatten()? {
            1 => Some(Test::Count { low: Some(value), high: None, below: None }),
            -1 => Some(Test::Count { low: None, high: Some(value), below: None }),
            _ => None,
        }
    }

    fn count(&mut self, a: Value, cond: IntCC, b: Value) -> Option<Test> {
        use IntCC::{SignedGreaterThanOrEqual as Sge, SignedLessThan as Slt, SignedLessThanOrEqual as Sle};
        use IntCC::{UnsignedGreaterThanOrEqual as Uge, UnsignedLessThan as Ult, UnsignedLessThanOrEqual as Ule};
        if !self.is_number(a) || self.stride(b)? != 0 {
            return None;
        }
        let by = self.stride(a)?;
        let below = match (by, cond) {
            (1 | -1, IntCC::Equal) => None,
            (1, Uge) | (-1, Ule) => Some(Ult),
            (1, Sge) | (-1, Sle) => Some(Slt),
            _ => return None,
        };
        let (low, high) = if by == 1 { (a, b) } else { (b, a) };
        Some(Test::Count { low: Some(low), high: Some(high), below })
    }

    /// The byte that a value is.
    fn byte(&self, value: Value) -> Option<Byte> {
        let value = self.passed(value);
        let inst = self.of.func.dfg.value_def(value).inst()?;
        if let Some(load) = self.scan.loads.iter().position(|&load| load == inst) {
            return Some(Byte { load, is_signed: self.of.func.dfg.insts[inst].opcode() == Opcode::Sload8 });
        }
        match self.data(value)? {
            InstructionData::Binary { opcode: Opcode::Band, args: [a, b] } if self.constant(b) == Some(255) => {
                Some(Byte { is_signed: false, ..self.byte(a)? })
            }
            InstructionData::Unary { opcode: Opcode::Ireduce, arg } if self.is_number(value) => self.byte(arg),
            _ => None,
        }
    }

    /// What is added to a value from round to round, where that is the same in all rounds that may be skipped.
    fn stride(&mut self, value: Value) -> Option<i64> {
        let value = self.passed(value);
        if self.of.is_outside(value) {
            return Some(0);
        }
        if let ValueDef::Param(_, index) = self.of.func.dfg.value_def(value) {
            let Step { by, is_widened } = *self.scan.steps.get(index)?;
            if is_widened {
                self.extend(value, by);
            }
            return Some(by);
        }
        match self.data(value)? {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, .. } => Some(0),
            InstructionData::Binary { opcode, args: [a, b] } => {
                let (a, b) = (self.stride(a)?, self.stride(b)?);
                match opcode {
                    Opcode::Iadd => Some(a + b),
                    Opcode::Isub => Some(a - b),
                    Opcode::Band | Opcode::Bor | Opcode::Bxor => (a == 0 && b == 0).then_some(0),
                    _ => None,
                }
            }
            InstructionData::Unary { opcode: Opcode::Ireduce, arg } if self.is_number(value) => {
                let known = self.scan.extended.len();
                let stride = self.stride(arg);
                self.scan.extended.truncate(known);
                stride
            }
            InstructionData::Unary { opcode: Opcode::Uextend, arg } if self.type_of(arg) == types::I32 => {
                let by = self.stride(arg)?;
                self.extend(arg, by);
                matches!(by, -1..=1).then_some(by)
            }
            _ => None,
        }
    }

    /// A number of 32 bits that changes so is used as 64.
    fn extend(&mut self, value: Value, by: i64) {
        let extended = Extended { value: self.passed(value), by };
        if by != 0 && !self.scan.extended.contains(&extended) {
            self.scan.extended.push(extended);
        }
    }

    fn passed(&self, value: Value) -> Value {
        self.scan.passed(self.of.func.dfg.resolve_aliases(value))
    }

    /// The instruction that a value is the result of.
    fn data(&self, value: Value) -> Option<InstructionData> {
        let inst = self.of.func.dfg.value_def(self.passed(value)).inst()?;
        Some(self.of.func.dfg.insts[inst])
    }

    fn constant(&self, value: Value) -> Option<i64> {
        let InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } = self.data(value)? else { return None };
        Some(if self.type_of(value) == types::I32 { i64::from(imm.bits() as i32) } else { imm.bits() })
    }

    fn type_of(&self, value: Value) -> Type {
        self.of.func.dfg.value_type(value)
    }

    fn is_number(&self, value: Value) -> bool {
        matches!(self.type_of(value), types::I32 | types::I64)
    }
}
