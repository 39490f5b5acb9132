//! Where the host can stop a library's code, or let it wait: a call of the runtime, which comes back where the code may go on.
//!
//! The call keeps all registers, so that code around it is what it would be without the call.
//!
//! SECURITY: whoever stops a guest relies on the call being made. What it returns to is code that goes on as if nothing had
//! happened: while the guest waits, nobody changes what it knows, but for the counter of fuel.

use std::mem::offset_of;

use cranelift_codegen::ir::{Function, Inst, InstBuilder as _, SigRef, Signature, Value, types};
use cranelift_codegen::isa::CallConv;
use wasmelt_abi::context::{LIBRARY_HEAD_OFFSET, LibraryHead, StoreState};
use wasmelt_abi::trap::Trap;

use super::{FuncTranslator, Region, SignatureKey};

/// Whether an instruction is such a call.
pub fn is_pause(func: &Function, inst: Inst) -> bool {
    let signature = func.dfg.call_signature(inst);
    signature.is_some_and(|signature| func.dfg.signatures[signature].call_conv == CallConv::PreserveAll)
}

impl FuncTranslator<'_, '_> {
    /// Where a condition is not zero, asks the runtime whether the code may go on; otherwise it traps. `before` and `after` are
    /// translated around the call alone.
    pub(super) fn pause_if(
        &mut self,
        condition: Value,
        trap: Trap,
        before: impl FnOnce(&mut Self),
        after: impl FnOnce(&mut Self),
    ) {
        let (pauses, goes_on) = (self.builder.create_block(), self.builder.create_block());
        self.ins().brif(condition, pauses, &[], goes_on, &[]);
        self.builder.seal_block(pauses);
        self.builder.set_cold_block(pauses);
        if self.cold {
            self.builder.set_cold_block(goes_on);
        }
        self.builder.switch_to_block(pauses);
        before(self);
        // The optimiser would take a load that can move out of a loop, where it would occupy a register.
        let (vmctx, flags) = (self.vmctx(), self.context_flags().with_readonly());
        let offset = LIBRARY_HEAD_OFFSET + offset_of!(LibraryHead, pause) as i32;
        let code = self.ins().load(types::I64, flags, vmctx, offset);
        let (state, trap) = (self.store_state(), self.ins().iconst(types::I64, i64::from(trap as u8)));
        let flags = self.trusted_region(Region::Fuel);
        self.ins().store(flags, trap, state, offset_of!(StoreState, trap) as i32);
        let signature = self.pause_signature();
        self.ins().call_indirect(signature, code, &[]);
        after(self);
        self.ins().jump(goes_on, &[]);
        self.builder.seal_block(goes_on);
        self.builder.switch_to_block(goes_on);
    }

    fn pause_signature(&mut self) -> SigRef {
        let builder = &mut self.builder;
        *self
            .signatures
            .entry(SignatureKey::Pause)
            .or_insert_with(|| builder.import_signature(Signature::new(CallConv::PreserveAll)))
    }
}
