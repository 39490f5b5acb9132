//! Loads and stores of numbers, and the size of memories.

use cranelift_codegen::ir::{InstBuilder as _, Type, Value, types};
use wasmelt_abi::builtin::Builtin;
use wasmparser::MemArg;

use super::FuncTranslator;
use super::bounds::Place;
use crate::error::{Error, Result};
use crate::module::MemoryIndex;

/// How a narrow load fills the rest of its type.
#[derive(Clone, Copy)]
pub(super) enum Extend {
    Signed,
    Unsigned,
}

impl FuncTranslator<'_, '_> {
    /// A load of a whole value.
    pub(super) fn load(&mut self, memarg: &MemArg, ty: Type) {
        let index = self.pop();
        let Place { flags, address, offset } = self.accessed_place(memarg, index, ty.bytes());
        let value = self.ins().load(ty, flags, address, offset);
        self.push(value);
    }

    /// A load of `bits` bits into a wider integer.
    pub(super) fn load_narrow(&mut self, memarg: &MemArg, ty: Type, bits: u32, extend: Extend) {
        let index = self.pop();
        let Place { flags, address, offset } = self.accessed_place(memarg, index, bits / 8);
        let ins = self.ins();
        let value = match (bits, extend) {
            (8, Extend::Signed) => ins.sload8(ty, flags, address, offset),
            (8, Extend::Unsigned) => ins.uload8(ty, flags, address, offset),
            (16, Extend::Signed) => ins.sload16(ty, flags, address, offset),
            (16, Extend::Unsigned) => ins.uload16(ty, flags, address, offset),
            (_, Extend::Signed) => ins.sload32(flags, address, offset),
            (_, Extend::Unsigned) => ins.uload32(flags, address, offset),
        };
        self.push(value);
    }

    /// A store of a whole value.
    pub(super) fn store(&mut self, memarg: &MemArg) {
        let (index, value) = self.pop2();
        let size = self.type_of(value).bytes();
        let Place { flags, address, offset } = self.accessed_place(memarg, index, size);
        self.ins().store(flags, value, address, offset);
    }

    /// A store of the low `bits` bits of an integer.
    pub(super) fn store_narrow(&mut self, memarg: &MemArg, bits: u32) {
        let (index, value) = self.pop2();
        let Place { flags, address, offset } = self.accessed_place(memarg, index, bits / 8);
        let ins = self.ins();
        match bits {
            8 => ins.istore8(flags, value, address, offset),
            16 => ins.istore16(flags, value, address, offset),
            _ => ins.istore32(flags, value, address, offset),
        };
    }

    pub(super) fn memory_size(&mut self, memory: u32) {
        let memory = MemoryIndex::from_u32(memory);
        let length = self.memory_length_bytes_now(memory);
        let page_size_log2 = self.env.instance.memories[memory].page_size_log2;
        let pages = self.ins().ushr_imm_u(length, i64::from(page_size_log2));
        self.push_index(pages, self.env.module().memories[memory].index_64);
    }

    pub(super) fn memory_grow(&mut self, memory: u32) -> Result<()> {
        let delta = self.pop();
        let delta = self.zero_extend(delta);
        let index_64 = self.env.module().memories[MemoryIndex::from_u32(memory)].index_64;
        let (owner, memory) = self.env.instance.owners.memories[MemoryIndex::from_u32(memory)];
        let (vmctx, memory) = (self.vmctx_of(owner), memory.as_u32());
        let memory = self.ins().iconst(types::I32, i64::from(memory));
        let old = self.call_builtin(Builtin::memory_grow, &[vmctx, memory, delta]);
        let old = old.ok_or_else(|| Error::internal("memory_grow has a result"))?;
        self.push_index(old, index_64);
        Ok(())
    }

    /// A 64-bit length as an operand of the memory's or table's index type.
    pub(super) fn push_index(&mut self, value: Value, index_64: bool) {
        let value = if index_64 { value } else { self.ins().ireduce(types::I32, value) };
        self.push(value);
    }
}
