//! Bounds checks of linear memory accesses.
//!
//! ┌───────────────────────────────────────────────────────────────────────────────────────────────────────────────┐
//! │ SECURITY: this file is the sandbox of linear memory. An address that leaves it is either inside the memory's   │
//! │ reservation and guard (whose inaccessible pages fault, and the fault becomes a trap), or was compared with the │
//! │ current length. Whoever changes it reads docs/RATIONALE.md "Why no bounds-check instructions?" first.          │
//! └───────────────────────────────────────────────────────────────────────────────────────────────────────────────┘
//!
//! For a 32-bit memory in the guard plan, `base + index + offset` with `index < 2^32` and
//! `offset + size <= guard_bytes` stays below `base + reserve_bytes + guard_bytes`, whatever the index: no check. All
//! other accesses compare `index + offset + size` with the current length, in 64 bits, where the sum cannot wrap: a
//! 32-bit index plus a 32-bit offset plus a size.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder as _, MemFlagsData, Value, types};
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
        let region = self.region(Region::Memory(memarg.memory));
        let flags = MemFlagsData::new()
            .with_endianness(cranelift_codegen::ir::Endianness::Little)
            .with_alias_region(Some(region));
        let index_is_32_bits = plan.maximum_bytes <= 1 << 32;
        let guarded = index_is_32_bits && plan.reserve_bytes >= 1 << 32 && end <= plan.guard_bytes;
        let index = if guarded { index } else { self.check_memory_range(memory, index, end) };
        let base = self.memory_base(memory);
        let mut address = self.ins().iadd(base, index);
        let offset = i32::try_from(memarg.offset).unwrap_or_else(|_| {
            address = self.builder.ins().iadd_imm_s(address, memarg.offset as i64);
            0
        });
        Place { flags, address, offset }
    }

    /// The index, when `index + end` does not exceed the current length; traps otherwise. `index` is below 2^32.
    fn check_memory_range(&mut self, memory: MemoryIndex, index: Value, end: u64) -> Value {
        let length = self.memory_length_bytes(memory);
        let Ok(end) = i64::try_from(end) else {
            // No 32-bit memory has an access that ends there.
            let always = self.ins().iconst(types::I8, 1);
            self.trap_if(always, Trap::MemoryOutOfBounds);
            return index;
        };
        let end = self.ins().iadd_imm_s(index, end);
        let outside = self.ins().icmp(IntCC::UnsignedGreaterThan, end, length);
        self.trap_if(outside, Trap::MemoryOutOfBounds);
        self.mask(outside, index)
    }

    /// Checks a range given by values, for bulk operations: traps where `start + len` exceeds the current length, both
    /// below 2^32. The start's address.
    pub(super) fn checked_range(&mut self, memory: MemoryIndex, start: Value, len: Value) -> Value {
        let length = self.memory_length_bytes(memory);
        let end = self.ins().iadd(start, len);
        let outside = self.ins().icmp(IntCC::UnsignedGreaterThan, end, length);
        self.trap_if(outside, Trap::MemoryOutOfBounds);
        let start = self.mask(outside, start);
        let base = self.memory_base(memory);
        self.ins().iadd(base, start)
    }

    fn mask(&mut self, outside: Value, index: Value) -> Value {
        if !self.env.spectre_mitigations {
            return index;
        }
        let zero = self.ins().iconst(types::I64, 0);
        self.ins().select_spectre_guard(outside, zero, index)
    }
}
