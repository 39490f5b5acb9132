//! Lanes: a vector's view as lanes of a type, and the operators that move lanes without computing on them.
//!
//! A `v128` operand is held as 16 bytes on the operand stack. An operator takes it as lanes of its own type and puts
//! its result back as bytes.

use cranelift_codegen::ir::{
    InstBuilder as _, InstructionData, MemFlagsData, Opcode, StackSlotData, StackSlotKind, Type, Value, types,
};

use super::FuncTranslator;
use crate::translate::memory::Extend;

impl FuncTranslator<'_, '_> {
    /// A vector as lanes of a type.
    pub(super) fn as_lanes(&mut self, value: Value, ty: Type) -> Value {
        let value = self.without_bitcasts(value);
        if self.type_of(value) == ty {
            return value;
        }
        self.ins().bitcast(ty, lane_order(), value)
    }

    /// What a vector was before it was put on the operand stack: most chains of operators keep to one lane type, and
    /// the code generator finds its best instructions where no bitcasts lie between them.
    pub(super) fn without_bitcasts(&self, value: Value) -> Value {
        let dfg = &self.builder.func.dfg;
        let def = dfg.value_def(value).inst().map(|inst| &dfg.insts[inst]);
        match def {
            Some(&InstructionData::LoadNoOffset { opcode: Opcode::Bitcast, arg, .. })
                if dfg.value_type(arg).is_vector() =>
            {
                arg
            }
            _ => value,
        }
    }

    pub(super) fn pop_lanes(&mut self, ty: Type) -> Value {
        let value = self.pop();
        self.as_lanes(value, ty)
    }

    /// The two topmost operands as lanes of a type, in the order they were pushed.
    pub(super) fn pop2_lanes(&mut self, ty: Type) -> (Value, Value) {
        let b = self.pop_lanes(ty);
        (self.pop_lanes(ty), b)
    }

    /// Pushes a vector, whatever its lanes.
    pub(super) fn push_vector(&mut self, value: Value) {
        let bytes = if self.type_of(value) == types::I8X16 {
            value
        } else {
            self.ins().bitcast(types::I8X16, lane_order(), value)
        };
        self.push(bytes);
    }

    /// An operator on one vector with lanes of a type.
    pub(super) fn vector_unary(&mut self, ty: Type, f: impl FnOnce(&mut Self, Value) -> Value) {
        let a = self.pop_lanes(ty);
        let value = f(self, a);
        self.push_vector(value);
    }

    /// An operator on two vectors with lanes of a type.
    pub(super) fn vector_binary(&mut self, ty: Type, f: impl FnOnce(&mut Self, Value, Value) -> Value) {
        let (a, b) = self.pop2_lanes(ty);
        let value = f(self, a, b);
        self.push_vector(value);
    }

    pub(super) fn splat(&mut self, ty: Type) {
        let value = self.pop_lane(ty);
        let value = self.ins().splat(ty, value);
        self.push_vector(value);
    }

    pub(super) fn extract_lane(&mut self, ty: Type, lane: u8) {
        let a = self.pop_lanes(ty);
        let value = self.ins().extractlane(a, lane);
        self.push(value);
    }

    /// A lane that is narrower than the operand it becomes.
    pub(super) fn extract_lane_narrow(&mut self, ty: Type, lane: u8, extend: Extend) {
        let a = self.pop_lanes(ty);
        let value = self.ins().extractlane(a, lane);
        let value = match extend {
            Extend::Signed => self.ins().sextend(types::I32, value),
            Extend::Unsigned => self.ins().uextend(types::I32, value),
        };
        self.push(value);
    }

    pub(super) fn replace_lane(&mut self, ty: Type, lane: u8) {
        let value = self.pop_lane(ty);
        let a = self.pop_lanes(ty);
        let value = self.ins().insertlane(a, value, lane);
        self.push_vector(value);
    }

    /// A scalar operand as one lane; narrow lanes take the low bits of an `i32`.
    fn pop_lane(&mut self, ty: Type) -> Value {
        let value = self.pop();
        match ty.lane_type() {
            narrow @ (types::I8 | types::I16) => self.ins().ireduce(narrow, value),
            _ => value,
        }
    }

    pub(super) fn shuffle(&mut self, lanes: [u8; 16]) {
        let (a, b) = self.pop2_lanes(types::I8X16);
        let value = if self.has_byte_shuffles() {
            let lanes = self.builder.func.dfg.immediates.push(lanes.as_slice().into());
            self.ins().shuffle(a, b, lanes)
        } else {
            let lanes = self.v128_const(lanes);
            self.look_up_bytes(a, b, lanes)
        };
        self.push_vector(value);
    }

    pub(super) fn swizzle(&mut self) {
        self.vector_binary(types::I8X16, |t, a, lanes| {
            if t.has_byte_shuffles() {
                return t.ins().swizzle(a, lanes);
            }
            // What is out of range becomes the first lane of a vector of zeros.
            let zero = t.v128_const([0; 16]);
            let first_zero = t.v128_const([16; 16]);
            let lanes = t.ins().umin(lanes, first_zero);
            t.look_up_bytes(a, zero, lanes)
        });
    }

    /// Whether the CPU can move bytes by index: `pshufb` came to x86-64 with SSSE3.
    fn has_byte_shuffles(&self) -> bool {
        !self.is_x86_64() || self.env.isa.has_x86_pshufb_lowering()
    }

    /// The bytes of `a` (0 to 15) and `b` (16 to 31) at the indices that `lanes` holds, through memory.
    fn look_up_bytes(&mut self, a: Value, b: Value, lanes: Value) -> Value {
        const LANES_OFFSET: i32 = 32;
        let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 48, 4);
        let slot = self.builder.create_sized_stack_slot(slot);
        self.ins().stack_store(types::I64, a, slot, 0);
        self.ins().stack_store(types::I64, b, slot, 16);
        self.ins().stack_store(types::I64, lanes, slot, LANES_OFFSET);
        let base = self.ins().stack_addr(types::I64, slot, 0);
        let flags = MemFlagsData::trusted();
        // A byte of the result replaces its own index, which nothing reads again.
        for place in LANES_OFFSET..LANES_OFFSET + 16 {
            let lane = self.ins().uload8(types::I64, flags, base, place);
            let address = self.ins().iadd(base, lane);
            let byte = self.ins().load(types::I8, flags, address, 0);
            self.ins().store(flags, byte, base, place);
        }
        self.ins().load(types::I8X16, flags, base, LANES_OFFSET)
    }

    pub(super) fn bitselect(&mut self) {
        let (a, b, mask) = self.pop3();
        let value = self.select_bits(mask, a, b);
        self.push_vector(value);
    }

    /// For each bit of the mask, the bit of `a` where it is set and that of `b` elsewhere.
    pub(super) fn select_bits(&mut self, mask: Value, a: Value, b: Value) -> Value {
        // A mask that a comparison made is kept as it is: the code generator then knows that its lanes are all ones
        // or all zeros.
        let mask = self.without_bitcasts(mask);
        let ty = self.type_of(mask);
        let ty = if ty.lane_type().is_int() { ty } else { types::I8X16 };
        let (mask, a, b) = (self.as_lanes(mask, ty), self.as_lanes(a, ty), self.as_lanes(b, ty));
        self.ins().bitselect(mask, a, b)
    }
}

/// Lanes are in the order of their bytes in linear memory.
pub(super) fn lane_order() -> MemFlagsData {
    MemFlagsData::new().with_endianness(cranelift_codegen::ir::Endianness::Little)
}
