//! Atomic operators: the table of operators, one line each, and how each kind is translated.
//!
//! Cranelift's atomic instructions are sequentially consistent, as the specification asks, and its alias analysis moves
//! no other access across them.

use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder as _, MemFlagsData, Type, Value, types};
use wasmelt_abi::builtin::Builtin;
use wasmelt_abi::trap::Trap;
use wasmparser::{MemArg, Operator};

use super::FuncTranslator;
use super::bounds::Place;
use crate::module::MemoryIndex;

use types::{I8, I16, I32, I64};

impl FuncTranslator<'_, '_> {
    /// Translates an atomic operator; `false` when the operator is not atomic.
    pub(super) fn atomic_operator(&mut self, op: &Operator<'_>) -> bool {
        #[rustfmt::skip]
        match op {
            // Loads and stores.
            Operator::I32AtomicLoad { memarg } => self.atomic_load(memarg, I32, I32),
            Operator::I32AtomicLoad8U { memarg } => self.atomic_load(memarg, I32, I8),
            Operator::I32AtomicLoad16U { memarg } => self.atomic_load(memarg, I32, I16),
            Operator::I64AtomicLoad { memarg } => self.atomic_load(memarg, I64, I64),
            Operator::I64AtomicLoad8U { memarg } => self.atomic_load(memarg, I64, I8),
            Operator::I64AtomicLoad16U { memarg } => self.atomic_load(memarg, I64, I16),
            Operator::I64AtomicLoad32U { memarg } => self.atomic_load(memarg, I64, I32),
            Operator::I32AtomicStore { memarg } => self.atomic_store(memarg, I32),
            Operator::I32AtomicStore8 { memarg } => self.atomic_store(memarg, I8),
            Operator::I32AtomicStore16 { memarg } => self.atomic_store(memarg, I16),
            Operator::I64AtomicStore { memarg } => self.atomic_store(memarg, I64),
            Operator::I64AtomicStore8 { memarg } => self.atomic_store(memarg, I8),
            Operator::I64AtomicStore16 { memarg } => self.atomic_store(memarg, I16),
            Operator::I64AtomicStore32 { memarg } => self.atomic_store(memarg, I32),

            // Read, modify, write.
            Operator::I32AtomicRmwAdd { memarg } => self.atomic_rmw(memarg, I32, I32, AtomicRmwOp::Add),
            Operator::I32AtomicRmw8AddU { memarg } => self.atomic_rmw(memarg, I32, I8, AtomicRmwOp::Add),
            Operator::I32AtomicRmw16AddU { memarg } => self.atomic_rmw(memarg, I32, I16, AtomicRmwOp::Add),
            Operator::I64AtomicRmwAdd { memarg } => self.atomic_rmw(memarg, I64, I64, AtomicRmwOp::Add),
            Operator::I64AtomicRmw8AddU { memarg } => self.atomic_rmw(memarg, I64, I8, AtomicRmwOp::Add),
            Operator::I64AtomicRmw16AddU { memarg } => self.atomic_rmw(memarg, I64, I16, AtomicRmwOp::Add),
            Operator::I64AtomicRmw32AddU { memarg } => self.atomic_rmw(memarg, I64, I32, AtomicRmwOp::Add),
            Operator::I32AtomicRmwSub { memarg } => self.atomic_rmw(memarg, I32, I32, AtomicRmwOp::Sub),
            Operator::I32AtomicRmw8SubU { memarg } => self.atomic_rmw(memarg, I32, I8, AtomicRmwOp::Sub),
            Operator::I32AtomicRmw16SubU { memarg } => self.atomic_rmw(memarg, I32, I16, AtomicRmwOp::Sub),
            Operator::I64AtomicRmwSub { memarg } => self.atomic_rmw(memarg, I64, I64, AtomicRmwOp::Sub),
            Operator::I64AtomicRmw8SubU { memarg } => self.atomic_rmw(memarg, I64, I8, AtomicRmwOp::Sub),
            Operator::I64AtomicRmw16SubU { memarg } => self.atomic_rmw(memarg, I64, I16, AtomicRmwOp::Sub),
            Operator::I64AtomicRmw32SubU { memarg } => self.atomic_rmw(memarg, I64, I32, AtomicRmwOp::Sub),
            Operator::I32AtomicRmwAnd { memarg } => self.atomic_rmw(memarg, I32, I32, AtomicRmwOp::And),
            Operator::I32AtomicRmw8AndU { memarg } => self.atomic_rmw(memarg, I32, I8, AtomicRmwOp::And),
            Operator::I32AtomicRmw16AndU { memarg } => self.atomic_rmw(memarg, I32, I16, AtomicRmwOp::And),
            Operator::I64AtomicRmwAnd { memarg } => self.atomic_rmw(memarg, I64, I64, AtomicRmwOp::And),
            Operator::I64AtomicRmw8AndU { memarg } => self.atomic_rmw(memarg, I64, I8, AtomicRmwOp::And),
            Operator::I64AtomicRmw16AndU { memarg } => self.atomic_rmw(memarg, I64, I16, AtomicRmwOp::And),
            Operator::I64AtomicRmw32AndU { memarg } => self.atomic_rmw(memarg, I64, I32, AtomicRmwOp::And),
            Operator::I32AtomicRmwOr { memarg } => self.atomic_rmw(memarg, I32, I32, AtomicRmwOp::Or),
            Operator::I32AtomicRmw8OrU { memarg } => self.atomic_rmw(memarg, I32, I8, AtomicRmwOp::Or),
            Operator::I32AtomicRmw16OrU { memarg } => self.atomic_rmw(memarg, I32, I16, AtomicRmwOp::Or),
            Operator::I64AtomicRmwOr { memarg } => self.atomic_rmw(memarg, I64, I64, AtomicRmwOp::Or),
            Operator::I64AtomicRmw8OrU { memarg } => self.atomic_rmw(memarg, I64, I8, AtomicRmwOp::Or),
            Operator::I64AtomicRmw16OrU { memarg } => self.atomic_rmw(memarg, I64, I16, AtomicRmwOp::Or),
            Operator::I64AtomicRmw32OrU { memarg } => self.atomic_rmw(memarg, I64, I32, AtomicRmwOp::Or),
            Operator::I32AtomicRmwXor { memarg } => self.atomic_rmw(memarg, I32, I32, AtomicRmwOp::Xor),
            Operator::I32AtomicRmw8XorU { memarg } => self.atomic_rmw(memarg, I32, I8, AtomicRmwOp::Xor),
            Operator::I32AtomicRmw16XorU { memarg } => self.atomic_rmw(memarg, I32, I16, AtomicRmwOp::Xor),
            Operator::I64AtomicRmwXor { memarg } => self.atomic_rmw(memarg, I64, I64, AtomicRmwOp::Xor),
            Operator::I64AtomicRmw8XorU { memarg } => self.atomic_rmw(memarg, I64, I8, AtomicRmwOp::Xor),
            Operator::I64AtomicRmw16XorU { memarg } => self.atomic_rmw(memarg, I64, I16, AtomicRmwOp::Xor),
            Operator::I64AtomicRmw32XorU { memarg } => self.atomic_rmw(memarg, I64, I32, AtomicRmwOp::Xor),
            Operator::I32AtomicRmwXchg { memarg } => self.atomic_rmw(memarg, I32, I32, AtomicRmwOp::Xchg),
            Operator::I32AtomicRmw8XchgU { memarg } => self.atomic_rmw(memarg, I32, I8, AtomicRmwOp::Xchg),
            Operator::I32AtomicRmw16XchgU { memarg } => self.atomic_rmw(memarg, I32, I16, AtomicRmwOp::Xchg),
            Operator::I64AtomicRmwXchg { memarg } => self.atomic_rmw(memarg, I64, I64, AtomicRmwOp::Xchg),
            Operator::I64AtomicRmw8XchgU { memarg } => self.atomic_rmw(memarg, I64, I8, AtomicRmwOp::Xchg),
            Operator::I64AtomicRmw16XchgU { memarg } => self.atomic_rmw(memarg, I64, I16, AtomicRmwOp::Xchg),
            Operator::I64AtomicRmw32XchgU { memarg } => self.atomic_rmw(memarg, I64, I32, AtomicRmwOp::Xchg),
            Operator::I32AtomicRmwCmpxchg { memarg } => self.atomic_cmpxchg(memarg, I32, I32),
            Operator::I32AtomicRmw8CmpxchgU { memarg } => self.atomic_cmpxchg(memarg, I32, I8),
            Operator::I32AtomicRmw16CmpxchgU { memarg } => self.atomic_cmpxchg(memarg, I32, I16),
            Operator::I64AtomicRmwCmpxchg { memarg } => self.atomic_cmpxchg(memarg, I64, I64),
            Operator::I64AtomicRmw8CmpxchgU { memarg } => self.atomic_cmpxchg(memarg, I64, I8),
            Operator::I64AtomicRmw16CmpxchgU { memarg } => self.atomic_cmpxchg(memarg, I64, I16),
            Operator::I64AtomicRmw32CmpxchgU { memarg } => self.atomic_cmpxchg(memarg, I64, I32),

            // Order, waiting and waking.
            Operator::AtomicFence => { self.ins().fence(); }
            Operator::MemoryAtomicWait32 { memarg } => self.atomic_wait(memarg, I32, Builtin::memory_atomic_wait32),
            Operator::MemoryAtomicWait64 { memarg } => self.atomic_wait(memarg, I64, Builtin::memory_atomic_wait64),
            Operator::MemoryAtomicNotify { memarg } => self.atomic_notify(memarg),
            _ => return false,
        };
        true
    }

    /// The address of an atomic access of this type, which traps now where it is not a multiple of the type's size, and
    /// now or at the access where it is outside.
    ///
    /// The specification leaves open which of the two traps comes first; guard pages let alignment be the first.
    fn atomic_place(&mut self, memarg: &MemArg, index: Value, access: Type) -> (MemFlagsData, Value) {
        let bytes = access.bytes();
        if bytes > 1 {
            // Only the low bits matter, so a sum that wraps, which is outside any memory, needs no thought.
            let wide = self.zero_extend(index);
            let wide = match memarg.offset % u64::from(bytes) {
                0 => wide,
                offset => self.ins().iadd_imm_u(wide, offset as i64),
            };
            let low = self.ins().band_imm_u(wide, i64::from(bytes - 1));
            self.trap_if(low, Trap::UnalignedAtomic);
        }
        let Place { flags, address, offset } = self.memory_place(memarg, index, bytes);
        let address = if offset == 0 { address } else { self.ins().iadd_imm_s(address, i64::from(offset)) };
        (flags, address)
    }

    /// Pushes the value of a narrow access as an operand of the operator's type.
    fn push_extended(&mut self, value: Value, ty: Type, access: Type) {
        let value = if access == ty { value } else { self.ins().uextend(ty, value) };
        self.push(value);
    }

    /// The low bits of an operand, as many as are accessed.
    fn reduced(&mut self, value: Value, access: Type) -> Value {
        if self.type_of(value) == access { value } else { self.ins().ireduce(access, value) }
    }

    fn atomic_load(&mut self, memarg: &MemArg, ty: Type, access: Type) {
        let index = self.pop();
        let (flags, address) = self.atomic_place(memarg, index, access);
        let value = self.ins().atomic_load(access, flags, address);
        self.push_extended(value, ty, access);
    }

    fn atomic_store(&mut self, memarg: &MemArg, access: Type) {
        let (index, value) = self.pop2();
        let value = self.reduced(value, access);
        let (flags, address) = self.atomic_place(memarg, index, access);
        self.ins().atomic_store(flags, value, address);
    }

    fn atomic_rmw(&mut self, memarg: &MemArg, ty: Type, access: Type, op: AtomicRmwOp) {
        let (index, value) = self.pop2();
        let value = self.reduced(value, access);
        let (flags, address) = self.atomic_place(memarg, index, access);
        let old = self.ins().atomic_rmw(access, flags, op, address, value);
        self.push_extended(old, ty, access);
    }

    fn atomic_cmpxchg(&mut self, memarg: &MemArg, ty: Type, access: Type) {
        let (index, expected, replacement) = self.pop3();
        let (expected, replacement) = (self.reduced(expected, access), self.reduced(replacement, access));
        let (flags, address) = self.atomic_place(memarg, index, access);
        let old = self.ins().atomic_cas(flags, address, expected, replacement);
        self.push_extended(old, ty, access);
    }

    /// `memory.atomic.wait32` and `wait64`. The address is checked by reading from it, in either bounds-check plan.
    fn atomic_wait(&mut self, memarg: &MemArg, access: Type, builtin: Builtin) {
        let (index, expected, timeout) = self.pop3();
        let (flags, address) = self.atomic_place(memarg, index, access);
        if !self.env.module().memories[MemoryIndex::from_u32(memarg.memory)].shared {
            self.trap(Trap::ExpectedSharedMemory);
            return;
        }
        self.ins().atomic_load(access, flags, address);
        let result = self.call_builtin(builtin, &[address, expected, timeout]);
        self.stack.extend(result);
    }

    /// `memory.atomic.notify`. Nothing can wait on a memory that is not shared.
    fn atomic_notify(&mut self, memarg: &MemArg) {
        let (index, max_count) = self.pop2();
        let (flags, address) = self.atomic_place(memarg, index, I32);
        self.ins().atomic_load(I32, flags, address);
        if !self.env.module().memories[MemoryIndex::from_u32(memarg.memory)].shared {
            let none = self.ins().iconst(I32, 0);
            self.push(none);
            return;
        }
        let result = self.call_builtin(Builtin::memory_atomic_notify, &[address, max_count]);
        self.stack.extend(result);
    }
}
