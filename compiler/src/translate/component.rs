//! Calls of the runtime by components: code tells each function which memory and which handles it works on, see
//! [`wasmelt_abi::component::Canon`].

use std::mem::{offset_of, size_of};

use cranelift_codegen::ir::{InstBuilder as _, MemFlagsData, StackSlotData, StackSlotKind, Value, types};
use wasmelt_abi::component::{self, Canon};

use super::{FuncTranslator, Name};
use crate::error::{Error, Result};
use crate::program::{Lowering, LoweringIndex, Piece};

impl FuncTranslator<'_, '_> {
    /// Calls a function of the runtime for a component.
    pub(super) fn call_lowered(&mut self, lowering: LoweringIndex, args: &[Value]) -> Result<Option<Value>> {
        let lowering = &self.env.program.lowerings[lowering];
        let canon = self.canon(lowering)?;
        self.call_native(lowering.host, canon, args)
    }

    /// Ends the program with the result of `run`, which lies on the stack: 0 is success.
    pub(super) fn exit_with_status(&mut self) -> Result<()> {
        let exit =
            component::find("wasi:cli/exit@0.2.0", "exit").ok_or_else(|| Error::internal("no function `exit`"))?;
        let status = self.pop();
        let canon = self.canon(&Lowering { host: exit, component: 0, memory: None, realloc: None })?;
        self.call_native(exit, canon, &[status]).map(drop)
    }

    /// The address of a [`Canon`] in the frame.
    fn canon(&mut self, lowering: &Lowering) -> Result<Value> {
        // Calls follow one another, so all have the same room. It is aligned for addresses.
        let room = StackSlotData::new(StackSlotKind::ExplicitSlot, size_of::<Canon>() as u32, 3);
        let slot = self.canon.unwrap_or_else(|| self.builder.create_sized_stack_slot(room));
        self.canon = Some(slot);
        let canon = self.ins().stack_addr(types::I64, slot, 0);
        let flags = MemFlagsData::trusted();
        // A function without a memory gets a context all the same: the caller's.
        let vmctx = match lowering.memory {
            Some(instance) => self.vmctx_of(instance),
            None => self.vmctx(),
        };
        self.ins().store(flags, vmctx, canon, offset_of!(Canon, vmctx) as i32);
        if let Some((instance, func)) = lowering.realloc {
            let id = self.env.program.functions.id(Piece::Realloc(instance, func));
            let id = id.ok_or_else(|| Error::internal("a component's `realloc` was dropped"))?;
            let (code, vmctx) = (self.symbol(Name::Function(id)), self.vmctx_of(instance));
            self.ins().store(flags, code, canon, offset_of!(Canon, realloc) as i32);
            self.ins().store(flags, vmctx, canon, offset_of!(Canon, realloc_vmctx) as i32);
        } else {
            let none = self.ins().iconst(types::I64, 0);
            self.ins().store(flags, none, canon, offset_of!(Canon, realloc) as i32);
        }
        let component = self.ins().iconst(types::I32, i64::from(lowering.component));
        self.ins().store(flags, component, canon, offset_of!(Canon, component) as i32);
        Ok(canon)
    }
}
