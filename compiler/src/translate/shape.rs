//! The two shapes of an instance, and what differs between them in code.
//!
//! In the `Single` shape the context of the instance whose code runs is known through the pinned register, which also is
//! the base of its memory 0; what instances do with one another is in `crossing`. In the `Many` shape (libraries) every function takes the context's address as its hidden first
//! parameter. Everything else asks [`FuncTranslator::vmctx`] and [`FuncTranslator::memory_base`].

use std::mem::offset_of;

use cranelift_codegen::ir::{self, ExceptionTableItem, InstBuilder as _, MemFlagsData, Value, types};
use wasmelt_abi::builtin::Builtin;
use wasmelt_abi::context::{
    FuncRecord, FuncRef, LIBRARY_HEAD_OFFSET, LibraryHead, MEMORY0_BASE_OFFSET, MEMORY0_LENGTH_OFFSET, Memory,
    MemoryRef,
};
use wasmelt_abi::descriptor::TablePlan as TableFlags;

use super::call::Code;
use super::crossing::RunsIn;
use super::{FuncTranslator, Name};
use crate::module::MemoryIndex;
use crate::options::Shape;
use crate::program::{GlobalPlace, InstanceIndex, TypeId};

const MEMORY_LENGTH_OFFSET: i32 = offset_of!(Memory, length_bytes) as i32;
const MEMORY_RECORD_OFFSET: i32 = offset_of!(MemoryRef, record) as i32;

impl FuncTranslator<'_, '_> {
    /// The address that contexts are known by.
    pub(super) fn vmctx(&mut self) -> Value {
        if let Some(vmctx) = self.vmctx {
            return vmctx;
        }
        match self.env.shape {
            // Read once in each stretch of straight code without calls; `optimize/pinned.rs` takes the reads out of loops.
            Shape::Single => {
                let block = self.builder.current_block();
                if let Some((read_in, value)) = self.pinned
                    && Some(read_in) == block
                {
                    return value;
                }
                let value = self.ins().get_pinned_reg(types::I64);
                self.pinned = block.map(|block| (block, value));
                value
            }
            Shape::Many => {
                let entry = self.builder.func.layout.entry_block().expect("the entry block comes first");
                let vmctx = self.builder.func.dfg.block_params(entry)[0];
                self.vmctx = Some(vmctx);
                vmctx
            }
        }
    }

    /// Records a call: a value that was read before the call must not be kept in a register across it.
    pub(super) fn forget_vmctx(&mut self) {
        self.pinned = None;
    }

    /// Whether functions take the context as their first parameter.
    pub(super) fn vmctx_param(shape: Shape) -> Option<ir::AbiParam> {
        match shape {
            Shape::Single => None,
            Shape::Many => Some(ir::AbiParam::special(types::I64, ir::ArgumentPurpose::VMContext)),
        }
    }

    /// The context as an argument of a call to a function of this instance.
    pub(super) fn vmctx_argument(&mut self) -> Option<Value> {
        (self.env.shape == Shape::Many).then(|| self.vmctx())
    }

    /// A constant of the instance in its context.
    fn context_constant(&mut self, ty: ir::Type, offset: i32) -> Value {
        let vmctx = self.vmctx();
        let flags = self.context_flags().with_readonly().with_can_move();
        self.builder.ins().load(ty, flags, vmctx, offset)
    }

    /// The address of what the instances of a library's store share.
    pub(super) fn store_state(&mut self) -> Value {
        self.context_constant(types::I64, LIBRARY_HEAD_OFFSET + offset_of!(LibraryHead, store) as i32)
    }

    /// A number that the runtime gave to what the module knows by `index`, from a table in the [`LibraryHead`].
    fn library_number(&mut self, table_offset: usize, index: u32) -> Value {
        let table = self.context_constant(types::I64, LIBRARY_HEAD_OFFSET + table_offset as i32);
        let flags = self.context_flags().with_readonly().with_can_move();
        self.builder.ins().load(types::I32, flags, table, 4 * index as i32)
    }

    /// The number of a function type that records and references carry.
    pub(super) fn type_id(&mut self, id: TypeId) -> Value {
        match self.env.shape {
            Shape::Single => self.ins().iconst(types::I32, i64::from(id)),
            Shape::Many => self.library_number(offset_of!(LibraryHead, type_ids), id),
        }
    }

    /// Where a reference to a function has the number of its type.
    pub(super) fn type_id_offset(&self) -> i32 {
        match self.env.shape {
            Shape::Single => offset_of!(FuncRecord, type_id) as i32,
            Shape::Many => offset_of!(FuncRef, type_id) as i32,
        }
    }

    /// The number of a tag that exceptions carry.
    pub(super) fn tag_number(&mut self, tag: u32) -> Value {
        match self.env.shape {
            Shape::Single => {
                let number = self.env.tag(tag);
                self.ins().iconst(types::I32, i64::from(number))
            }
            Shape::Many => self.library_number(offset_of!(LibraryHead, tag_ids), tag),
        }
    }

    /// The address of a runtime function; `None` where the linker knows it.
    pub(super) fn builtin_address(&mut self, builtin: Builtin) -> Option<Value> {
        (self.env.shape == Shape::Many).then(|| {
            let offset = LIBRARY_HEAD_OFFSET + offset_of!(LibraryHead, builtins) as i32;
            let table = self.context_constant(types::I64, offset);
            let flags = self.context_flags().with_readonly().with_can_move();
            self.builder.ins().load(types::I64, flags, table, 8 * builtin as i32)
        })
    }

    /// A function's reference, by the index of its record.
    pub(super) fn record_reference(&mut self, record: u32) -> Value {
        match self.env.shape {
            Shape::Single => self.symbol(Name::Record(self.env.index, record)),
            Shape::Many => {
                let vmctx = self.vmctx();
                let offset = self.func_ref_offset(record);
                self.ins().iadd_imm_s(vmctx, i64::from(offset))
            }
        }
    }

    fn func_ref_offset(&self, record: u32) -> i32 {
        self.env.instance.func_refs_offset + record as i32 * size_of::<FuncRef>() as i32
    }

    /// The code that a reference stands for, which is known not to be null.
    pub(super) fn reference_code(&mut self, reference: Value) -> Code {
        match self.env.shape {
            Shape::Single => {
                let code = self.const_record_code(reference);
                Code { runs_in: self.record_instance(reference), ..code }
            }
            Shape::Many => {
                let flags = self.record_flags();
                let address = self.ins().load(types::I64, flags, reference, offset_of!(FuncRef, code) as i32);
                let vmctx = self.ins().load(types::I64, flags, reference, offset_of!(FuncRef, vmctx) as i32);
                Code { address, vmctx: Some(vmctx), runs_in: RunsIn::Own }
            }
        }
    }

    /// The code of an imported function.
    pub(super) fn imported_code(&mut self, import: u32) -> Code {
        let offset = self.func_ref_offset(import);
        let address = self.context_constant(types::I64, offset + offset_of!(FuncRef, code) as i32);
        let vmctx = self.context_constant(types::I64, offset + offset_of!(FuncRef, vmctx) as i32);
        Code { address, vmctx: Some(vmctx), runs_in: RunsIn::Own }
    }

    /// Where a global lies: an address and an offset from it.
    pub(super) fn global_place(&mut self, place: GlobalPlace) -> Option<(Value, i32)> {
        match place {
            GlobalPlace::Const(_) => None,
            GlobalPlace::Context(offset) => Some((self.vmctx(), offset)),
            GlobalPlace::Imported(offset) => Some((self.context_constant(types::I64, offset), 0)),
            GlobalPlace::Foreign(owner, global) => {
                let theirs = &self.env.program.instances[owner];
                let offset = match theirs.globals[global] {
                    GlobalPlace::Context(offset) => Some(offset),
                    _ => theirs.global_homes.get(&global).copied(),
                };
                offset.map(|offset| (self.vmctx_of(owner), offset))
            }
        }
    }

    /// Where the [`wasmelt_abi::context::Table`] record of a table that can change lies: an address and an offset.
    pub(super) fn table_place(&mut self, owner: InstanceIndex, place: u32) -> (Value, i32) {
        let plan = self.env.program.instances[owner].table_plans[place as usize];
        match plan.flags & TableFlags::IMPORTED {
            0 => (self.vmctx_of(owner), plan.context_offset),
            _ => (self.context_constant(types::I64, plan.context_offset), 0),
        }
    }

    /// What a call within the reach of handlers lets the runtime find: the context, without which the tags of
    /// handlers mean nothing in libraries.
    pub(super) fn handler_context(&mut self) -> Option<ExceptionTableItem> {
        self.vmctx_argument().map(ExceptionTableItem::Context)
    }

    /// The first byte of a linear memory.
    pub(super) fn memory_base(&mut self, memory: MemoryIndex) -> Value {
        let (owner, index) = self.env.instance.owners.memories[memory];
        let vmctx = self.vmctx_of(owner);
        let plan = self.env.instance.memories[memory];
        match (self.env.shape, index.as_u32()) {
            (Shape::Single, 0) if !plan.is_pointed() => vmctx,
            _ => {
                // Memories never move, so the base is a constant of the instance.
                let offset = plan.context_offset;
                let flags = self.context_flags().with_readonly().with_can_move();
                self.builder.ins().load(types::I64, flags, vmctx, offset)
            }
        }
    }

    /// The current length of a linear memory in bytes.
    pub(super) fn memory_length_bytes(&mut self, memory: MemoryIndex) -> Value {
        let vmctx = self.vmctx_of(self.env.instance.owners.memories[memory].0);
        let plan = self.env.instance.memories[memory];
        let flags = self.context_flags();
        if !plan.is_pointed() {
            return self.builder.ins().load(types::I64, flags, vmctx, plan.context_offset + MEMORY_LENGTH_OFFSET);
        }
        // Another thread's growth may be seen late, never its end: memories do not shrink.
        let record = self.memory_record(memory);
        self.builder.ins().load(types::I64, flags, record, MEMORY_LENGTH_OFFSET)
    }

    /// The length for `memory.size`, which sees what other threads have done to a shared memory.
    pub(super) fn memory_length_bytes_now(&mut self, memory: MemoryIndex) -> Value {
        if !self.env.instance.memories[memory].is_pointed() {
            return self.memory_length_bytes(memory);
        }
        let flags = self.context_flags();
        let record = self.memory_record(memory);
        let address = self.ins().iadd_imm_s(record, i64::from(MEMORY_LENGTH_OFFSET));
        self.ins().atomic_load(types::I64, flags, address)
    }

    /// The address of the record of a memory.
    pub(super) fn memory_record(&mut self, memory: MemoryIndex) -> Value {
        let vmctx = self.vmctx_of(self.env.instance.owners.memories[memory].0);
        let plan = self.env.instance.memories[memory];
        if !plan.is_pointed() {
            return self.ins().iadd_imm_s(vmctx, i64::from(plan.context_offset));
        }
        let constant = self.context_flags().with_readonly().with_can_move();
        self.builder.ins().load(types::I64, constant, vmctx, plan.context_offset + MEMORY_RECORD_OFFSET)
    }

    /// Before a host function is called: where memory 0 lies elsewhere, brings the record in the context's head, which
    /// host functions compare with, up to date. So they need not know that there are such memories.
    pub(super) fn renew_host_memory(&mut self) {
        let memory0 = MemoryIndex::from_u32(0);
        if self.env.instance.memories.get(memory0).is_some_and(|plan| plan.is_foreign()) {
            let (base, length) = (self.memory_base(memory0), self.memory_length_bytes_now(memory0));
            let (flags, vmctx) = (self.context_flags(), self.vmctx());
            self.ins().store(flags, base, vmctx, MEMORY0_BASE_OFFSET);
            self.ins().store(flags, length, vmctx, MEMORY0_LENGTH_OFFSET);
        } else if self.env.instance.memories.get(memory0).is_some_and(|plan| plan.is_pointed()) {
            let length = self.memory_length_bytes_now(memory0);
            let (flags, vmctx) = (self.context_flags(), self.vmctx());
            self.ins().store(flags, length, vmctx, MEMORY0_LENGTH_OFFSET);
        }
    }

    /// Flags of accesses to the context other than to globals.
    pub(super) fn context_flags(&mut self) -> MemFlagsData {
        self.trusted_region(super::Region::Context)
    }
}
