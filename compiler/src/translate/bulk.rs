//! Bulk memory operations. Ranges are checked here; short copies and fills of known length are done in place, the
//! others by the runtime's memory functions.

use cranelift_codegen::ir::{self, InstBuilder as _, MemFlagsData, Type, Value, types};
use wasmelt_abi::builtin::Builtin;
use wasmelt_abi::trap::Trap;

use super::FuncTranslator;
use crate::error::Result;
use crate::module::MemoryIndex;

/// Longest copy or fill of known length that is done in place: what four vector registers hold.
const MAX_INLINE_BYTES: u64 = 64;

impl FuncTranslator<'_, '_> {
    /// The value of an integer constant operand.
    pub(super) fn known(&self, value: Value) -> Option<u64> {
        let dfg = &self.builder.func.dfg;
        let inst = dfg.value_def(value).inst()?;
        match dfg.insts[inst] {
            ir::InstructionData::UnaryImm { opcode: ir::Opcode::Iconst, imm } => {
                let bits = dfg.value_type(value).bits();
                Some(imm.bits() as u64 & (u64::MAX >> (64 - bits)))
            }
            _ => None,
        }
    }

    fn plain_memory_flags(&mut self, memory: MemoryIndex) -> MemFlagsData {
        let region = self.memory_region(memory);
        MemFlagsData::new().with_notrap().with_alias_region(Some(region))
    }

    pub(super) fn memory_copy(&mut self, dest_memory: u32, src_memory: u32) {
        let (dest, src, len) = self.pop3();
        self.fuel_for_bulk(len);
        let known = self.known(len);
        let (dest_memory, src_memory) = (MemoryIndex::from_u32(dest_memory), MemoryIndex::from_u32(src_memory));
        let (dest, src, len) = (self.zero_extend(dest), self.zero_extend(src), self.zero_extend(len));
        let dest = self.checked_range(dest_memory, dest, len);
        let src = self.checked_range(src_memory, src, len);
        match known {
            Some(len) if len <= MAX_INLINE_BYTES => {
                let from = self.plain_memory_flags(src_memory);
                let to = self.plain_memory_flags(dest_memory);
                // All loads come before all stores, so that overlapping ranges are copied right.
                let mut pieces = Vec::new();
                for (ty, offset) in inline_pieces(len) {
                    pieces.push((self.ins().load(ty, from, src, offset), offset));
                }
                for (value, offset) in pieces {
                    self.ins().store(to, value, dest, offset);
                }
            }
            _ => {
                self.call_builtin(Builtin::memory_copy, &[dest, src, len]);
            }
        }
    }

    pub(super) fn memory_fill(&mut self, memory: u32) {
        let (dest, value, len) = self.pop3();
        self.fuel_for_bulk(len);
        let known = self.known(len);
        let memory = MemoryIndex::from_u32(memory);
        let (dest, len) = (self.zero_extend(dest), self.zero_extend(len));
        let dest = self.checked_range(memory, dest, len);
        match known {
            Some(len) if len <= MAX_INLINE_BYTES => {
                let flags = self.plain_memory_flags(memory);
                let byte = self.ins().ireduce(types::I8, value);
                for (ty, offset) in inline_pieces(len) {
                    let value = self.repeat_byte(byte, ty);
                    self.ins().store(flags, value, dest, offset);
                }
            }
            _ => {
                self.call_builtin(Builtin::memory_fill, &[dest, value, len]);
            }
        }
    }

    fn repeat_byte(&mut self, byte: Value, ty: Type) -> Value {
        match ty {
            types::I8 => byte,
            types::I8X16 => self.ins().splat(types::I8X16, byte),
            _ => {
                let wide = self.ins().uextend(types::I64, byte);
                let repeated = self.ins().imul_imm_u(wide, 0x0101_0101_0101_0101);
                if ty == types::I64 { repeated } else { self.ins().ireduce(ty, repeated) }
            }
        }
    }

    pub(super) fn memory_init(&mut self, segment: u32, memory: u32) -> Result<()> {
        let (dest, src, len) = self.pop3();
        self.fuel_for_bulk(len);
        self.memory_init_values(memory, segment, dest, src, len)
    }

    pub(super) fn memory_init_values(
        &mut self,
        memory: u32,
        segment: u32,
        dest: Value,
        src: Value,
        len: Value,
    ) -> Result<()> {
        let dest = self.zero_extend(dest);
        let memory = MemoryIndex::from_u32(memory);
        let is_foreign = self.env.instance.owners.memories[memory].0 != self.env.index;
        let builtin = if is_foreign { Builtin::memory_init_foreign } else { Builtin::memory_init };
        let vmctx = self.vmctx();
        let memory = match is_foreign {
            true => self.memory_record(memory),
            false => self.ins().iconst(types::I32, i64::from(memory.as_u32())),
        };
        let segment = self.ins().iconst(types::I32, i64::from(segment));
        let failed = self.call_builtin(builtin, &[vmctx, memory, segment, dest, src, len]);
        self.trap_if_failed(failed, Trap::MemoryOutOfBounds)
    }

    pub(super) fn data_drop(&mut self, segment: u32) {
        let vmctx = self.vmctx();
        let segment = self.ins().iconst(types::I32, i64::from(segment));
        self.call_builtin(Builtin::data_drop, &[vmctx, segment]);
    }
}

/// Covers `len` bytes with few accesses; the last one may overlap the one before.
fn inline_pieces(len: u64) -> Vec<(Type, i32)> {
    const TYPES: [Type; 5] = [types::I8X16, types::I64, types::I32, types::I16, types::I8];
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < len {
        let left = len - at;
        let fits = TYPES.into_iter().find(|ty| u64::from(ty.bytes()) <= left).unwrap_or(types::I8);
        // Instead of several small pieces for the rest, one that reaches back.
        let covering = TYPES.into_iter().rev().find(|ty| u64::from(ty.bytes()) >= left && u64::from(ty.bytes()) <= len);
        let (ty, start) = match covering {
            Some(ty) => (ty, len - u64::from(ty.bytes())),
            None => (fits, at),
        };
        pieces.push((ty, start as i32));
        at = start + u64::from(ty.bytes());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_exactly_the_range() {
        for len in 0..=MAX_INLINE_BYTES {
            let mut covered = vec![false; len as usize];
            let pieces = inline_pieces(len);
            for &(ty, at) in &pieces {
                for byte in &mut covered[at as usize..at as usize + ty.bytes() as usize] {
                    *byte = true;
                }
            }
            assert!(covered.iter().all(|&c| c), "{len}: {pieces:?}");
            assert!(pieces.len() <= 5, "{len}: {pieces:?}");
        }
    }
}
