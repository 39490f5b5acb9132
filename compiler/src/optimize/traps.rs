//! Traps that code raises itself: a call of the runtime in place of an instruction that faults.
//!
//! A library whose code does this (`--bounds-checks explicit`) needs no signals of its host. Everything that can trap is
//! looked at before it is done, and the end of the stack is compared at the start of each function that calls something.
//!
//! SECURITY: where no handler is installed, a fault ends the host. So no instruction that can fault may be left in code that a
//! module brings, and no frame may be larger than what is known to be there, see [`MAX_FRAME_BYTES`].
//!
//! [`MAX_FRAME_BYTES`]: wasmelt_abi::layout::MAX_FRAME_BYTES

use std::mem::offset_of;

use cranelift_codegen::cursor::{Cursor as _, FuncCursor};
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    AbiParam, Block, Function, Inst, InstBuilder as _, InstructionData, MemFlagsData, Opcode, SigRef, Signature, Type,
    Value, types,
};
use cranelift_codegen::isa::CallConv;
use wasmelt_abi::context::{LIBRARY_HEAD_OFFSET, LibraryHead, StoreState};
use wasmelt_abi::trap::Trap;

use crate::error::{Error, Result};
use crate::translate::trap_of;

/// Lets a function of a library, which is not a trampoline, raise its traps. The runtime is called by `convention`.
pub(super) fn raise(func: &mut Function, convention: CallConv) -> Result<()> {
    let insts = func.layout.blocks().flat_map(|block| func.layout.block_insts(block));
    let insts: Vec<_> = insts.map(|inst| (inst, func.dfg.insts[inst].opcode())).collect();
    let calls = insts.iter().any(|(_, opcode)| opcode.is_call());
    let trapping: Vec<Inst> = insts.iter().filter(|(_, opcode)| opcode.can_trap()).map(|&(inst, _)| inst).collect();
    if trapping.is_empty() && !calls {
        return Ok(());
    }
    // Functions of wasm and what runs a library have their context in the first parameter.
    let entry = func.layout.entry_block().and_then(|entry| func.dfg.block_params(entry).first());
    let vmctx = *entry.ok_or_else(|| Error::internal("a function of a library without its context"))?;
    let mut signature = Signature::new(convention);
    signature.params.push(AbiParam::new(types::I32));
    let signature = func.import_signature(signature);
    let mut raiser = Raiser { func, vmctx, signature };
    for inst in trapping {
        raiser.look_before(inst)?;
    }
    if calls {
        raiser.check_stack();
    }
    Ok(())
}

struct Raiser<'a> {
    func: &'a mut Function,
    vmctx: Value,
    signature: SigRef,
}

impl Raiser<'_> {
    /// Raises before an instruction what it would trap with.
    fn look_before(&mut self, inst: Inst) -> Result<()> {
        let data = self.func.dfg.insts[inst];
        let arg = |index: usize| self.func.dfg.inst_args(inst)[index];
        match (data.opcode(), data.trap_code()) {
            (Opcode::Trap, Some(code)) => {
                let trap = trap_of(code).ok_or_else(|| Error::internal("an unknown trap"))?;
                self.call_before(inst, inst, trap);
            }
            (opcode @ (Opcode::Trapz | Opcode::Trapnz), Some(code)) => {
                let trap = trap_of(code).ok_or_else(|| Error::internal("an unknown trap"))?;
                let condition = arg(0);
                let condition = match opcode {
                    Opcode::Trapz => self.before(inst).ins().icmp_imm_u(IntCC::Equal, condition, 0),
                    _ => condition,
                };
                self.raise_if(inst, condition, trap);
                self.func.layout.remove_inst(inst);
            }
            (Opcode::FcvtToSint | Opcode::FcvtToUint, _) => {
                let signed = data.opcode() == Opcode::FcvtToSint;
                let (value, to) = (arg(0), self.func.dfg.ctrl_typevar(inst));
                self.check_conversion(inst, value, to, signed);
            }
            (Opcode::Udiv | Opcode::Urem | Opcode::Sdiv | Opcode::Srem, _) => {
                let operands = [arg(0), arg(1)];
                self.check_division(inst, data, operands);
            }
            (opcode, _) => return Err(Error::internal(format!("{opcode} traps in an unknown way"))),
        }
        Ok(())
    }

    fn check_division(&mut self, inst: Inst, data: InstructionData, [dividend, divisor]: [Value; 2]) {
        let by_zero = self.before(inst).ins().icmp_imm_u(IntCC::Equal, divisor, 0);
        self.raise_if(inst, by_zero, Trap::IntegerDivideByZero);
        if data.opcode() == Opcode::Sdiv {
            let least = i64::MIN >> (64 - self.func.dfg.value_type(dividend).bits());
            let is_least = self.before(inst).ins().icmp_imm_s(IntCC::Equal, dividend, least);
            let by_minus_one = self.before(inst).ins().icmp_imm_s(IntCC::Equal, divisor, -1);
            let overflows = self.before(inst).ins().band(is_least, by_minus_one);
            self.raise_if(inst, overflows, Trap::IntegerOverflow);
        }
    }

    fn check_conversion(&mut self, inst: Inst, value: Value, to: Type, signed: bool) {
        let from = self.func.dfg.value_type(value);
        let is_nan = self.before(inst).ins().fcmp(FloatCC::Unordered, value, value);
        self.raise_if(inst, is_nan, Trap::InvalidConversionToInteger);
        let [below, above] = limits(from, to, signed);
        for (limit, outside) in [(below, FloatCC::LessThanOrEqual), (above, FloatCC::GreaterThanOrEqual)] {
            let limit = match from {
                types::F32 => self.before(inst).ins().f32const(limit as f32),
                _ => self.before(inst).ins().f64const(limit),
            };
            let is_outside = self.before(inst).ins().fcmp(outside, value, limit);
            self.raise_if(inst, is_outside, Trap::IntegerOverflow);
        }
    }

    /// Raises [`Trap::StackExhausted`] at the start of the function, where less of the stack is left than what it calls needs.
    fn check_stack(&mut self) {
        let entry = self.func.layout.entry_block().expect("a function has an entry");
        let first = self.func.layout.first_inst(entry).expect("a block has a last instruction");
        let state = self.head(first, offset_of!(LibraryHead, store));
        let limit =
            self.before(first).ins().load(types::I64, constant(), state, offset_of!(StoreState, stack_limit) as i32);
        let stack = self.before(first).ins().get_stack_pointer(types::I64);
        let exhausted = self.before(first).ins().icmp(IntCC::UnsignedLessThan, stack, limit);
        self.raise_if(first, exhausted, Trap::StackExhausted);
    }

    /// Raises a trap before an instruction where a condition is not zero.
    fn raise_if(&mut self, inst: Inst, condition: Value, trap: Trap) {
        let raised = self.raised(inst, trap);
        let rest = self.func.dfg.make_block();
        self.func.layout.split_block(rest, inst);
        let block = self.func.layout.prev_block(rest).expect("a block was split");
        let location = self.func.srcloc(inst);
        let mut cursor = FuncCursor::new(self.func).at_bottom(block).with_srcloc(location);
        cursor.ins().brif(condition, raised, &[], rest, &[]);
    }

    /// A block that raises a trap of an instruction's.
    fn raised(&mut self, inst: Inst, trap: Trap) -> Block {
        let block = self.func.dfg.make_block();
        self.func.layout.append_block(block);
        self.func.layout.set_cold(block);
        let location = self.func.srcloc(inst);
        let mut cursor = FuncCursor::new(self.func).at_bottom(block).with_srcloc(location);
        // The call does not return.
        let end = cursor.ins().trap(crate::translate::trap_code(trap));
        self.call_before(end, inst, trap);
        block
    }

    /// Calls the runtime before an instruction, with a trap of another one.
    fn call_before(&mut self, inst: Inst, of: Inst, trap: Trap) {
        let location = self.func.srcloc(of);
        let (vmctx, signature) = (self.vmctx, self.signature);
        let mut cursor = FuncCursor::new(self.func).at_inst(inst).with_srcloc(location);
        let offset = LIBRARY_HEAD_OFFSET + offset_of!(LibraryHead, raise) as i32;
        let code = cursor.ins().load(types::I64, constant(), vmctx, offset);
        let number = cursor.ins().iconst(types::I32, i64::from(trap as u8));
        cursor.ins().call_indirect(signature, code, &[number]);
    }

    /// A field of the context's head, read before an instruction.
    fn head(&mut self, inst: Inst, field: usize) -> Value {
        let vmctx = self.vmctx;
        self.before(inst).ins().load(types::I64, constant(), vmctx, LIBRARY_HEAD_OFFSET + field as i32)
    }

    /// Where an instruction is, for others before it.
    fn before(&mut self, inst: Inst) -> FuncCursor<'_> {
        let location = self.func.srcloc(inst);
        FuncCursor::new(self.func).at_inst(inst).with_srcloc(location)
    }
}

/// Flags of what never changes and is always there.
fn constant() -> MemFlagsData {
    MemFlagsData::trusted().with_readonly()
}

/// Where values are outside of an integer type: those up to the first number, and those from the second number on. Both are
/// numbers of the type that is converted.
fn limits(from: Type, to: Type, signed: bool) -> [f64; 2] {
    let bits = to.bits() as i32;
    match (signed, from, bits) {
        (false, ..) => [-1.0, 2f64.powi(bits)],
        // The next number below the least integer.
        (true, types::F32, _) => [-2f64.powi(bits - 1) - 2f64.powi(bits - 24), 2f64.powi(bits - 1)],
        (true, _, 32) => [-2f64.powi(31) - 1.0, 2f64.powi(31)],
        (true, ..) => [-2f64.powi(63) - 2f64.powi(11), 2f64.powi(63)],
    }
}
