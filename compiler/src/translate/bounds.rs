//! Bounds checks of linear memory accesses.
//!
//! ┌───────────────────────────────────────────────────────────────────────────────────────────────────────────────┐
//! │ SECURITY: this file is the sandbox of linear memory. An address that leaves it is either inside the memory's   │
//! │ reservation and guard (whose inaccessible pages fault, and the fault becomes a trap), or was compared with the │
//! │ current length. Whoever changes it reads docs/RATIONALE.md "Why no bounds-check instructions?" first.          │
//! └───────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
//!
//! For a 32-bit memory in the guard plan, `base + index + offset` with `index < 2^32` and
//! `offset + size <= guard_bytes` stays below `base + reserve_bytes + guard_bytes`, whatever the index: no check. For a
//! 64-bit memory in the guard plan an index that does not exceed the current length is followed by the guard, so only
//! the index is compared. All other accesses compare `index + offset + size` with the current length: for 32-bit
//! memories the sum of a 32-bit index, a 32-bit offset and a size cannot wrap in 64 bits; for 64-bit memories a sum
//! that wraps counts as outside.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AliasRegion, InstBuilder as _, MemFlagsData, Value, types};
use wasmelt_abi::trap::Trap;
use wasmparser::MemArg;

use super::{FuncTranslator, Region};
use crate::module::MemoryIndex;

/// A checked place in linear memory.
pub(super) struct Place {
    pub(super) flags: MemFlagsData,
    pub(super) address: Value,
    pub(super) offset: i32,
}

impl FuncTranslator<'_, '_> {
    /// The place that an access of `size` bytes goes to; traps now or at the access where it is outside.
    pub(super) fn memory_place(&mut self, memarg: &MemArg, index: Value, size: u32) -> Place {
        let memory = MemoryIndex::from_u32(memarg.memory);
        let plan = self.env.instance.memories[memory];
        let index = self.zero_extend(index);
        let end = memarg.offset.saturating_add(u64::from(size));
        let region = self.memory_region(memory);
        let flags = MemFlagsData::new()
            .with_endianness(cranelift_codegen::ir::Endianness::Little)
            .with_alias_region(Some(region));
        let index_64 = self.env.module().memories[memory].index_64;
        let guarded = end <= plan.guard_bytes;
        let index = match (guarded, index_64) {
            (true, false) => index,
            (true, true) => self.check_memory_range(memory, index, 0),
            (false, _) => self.check_memory_range(memory, index, end),
        };
        let base = self.memory_base(memory);
        let mut address = self.ins().iadd(base, index);
        let offset = i32::try_from(memarg.offset).unwrap_or_else(|_| {
            address = self.builder.ins().iadd_imm_s(address, memarg.offset as i64);
            0
        });
        Place { flags, address, offset }
    }

    /// The region of a memory. Imported memories may be the same one.
    pub(super) fn memory_region(&mut self, memory: MemoryIndex) -> AliasRegion {
        self.region(Region::Memory(self.env.program.memory_number(self.env.instance, memory)))
    }

    /// The index, when `index + end` does not exceed the current length; traps otherwise.
    fn check_memory_range(&mut self, memory: MemoryIndex, index: Value, end: u64) -> Value {
        let outside = if end == 0 {
            let length = self.memory_length_bytes(memory);
            self.ins().icmp(IntCC::UnsignedGreaterThan, index, length)
        } else {
            let end = self.ins().iconst(types::I64, end as i64);
            self.range_is_outside(memory, index, end)
        };
        self.trap_if(outside, Trap::MemoryOutOfBounds);
        self.mask(outside, index)
    }

    /// Checks a range given by values, for bulk operations: traps where `start + len` exceeds the current length. The
    /// start's address.
    pub(super) fn checked_range(&mut self, memory: MemoryIndex, start: Value, len: Value) -> Value {
        let outside = self.range_is_outside(memory, start, len);
        self.trap_if(outside, Trap::MemoryOutOfBounds);
        let start = self.mask(outside, start);
        let base = self.memory_base(memory);
        self.ins().iadd(base, start)
    }

    /// Whether `start + len` exceeds the current length of a memory; both are 64-bit values, below 2^32 (a constant
    /// offset and size: below 2^33) for a 32-bit memory.
    fn range_is_outside(&mut self, memory: MemoryIndex, start: Value, len: Value) -> Value {
        let length = self.memory_length_bytes(memory);
        if !self.env.module().memories[memory].index_64 {
            let end = self.ins().iadd(start, len);
            return self.ins().icmp(IntCC::UnsignedGreaterThan, end, length);
        }
        let (end, wraps) = self.ins().uadd_overflow(start, len);
        let beyond = self.ins().icmp(IntCC::UnsignedGreaterThan, end, length);
        self.ins().bor(wraps, beyond)
    }

    fn mask(&mut self, outside: Value, index: Value) -> Value {
        if !self.env.spectre_mitigations {
            return index;
        }
        let zero = self.ins().iconst(types::I64, 0);
        self.ins().select_spectre_guard(outside, zero, index)
    }
}
