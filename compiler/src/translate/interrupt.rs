//! `--interruptible`: code looks whether another thread wants it to stop, and asks the runtime then.
//!
//! The flag lies in the state of the store. Code looks where it could go on without end: at the start of loops, and of
//! functions that call others. A function that neither calls nor repeats anything ends soon.
//!
//! SECURITY: a host relies on it: no loop, no recursion and no tree of calls may go around the checks, and no check may be
//! taken for another one by the optimiser.

use std::mem::offset_of;

use cranelift_codegen::ir::{InstBuilder as _, types};
use wasmelt_abi::context::StoreState;
use wasmelt_abi::trap::Trap;

use super::FuncTranslator;
use crate::module::{BodyFacts, LoopFacts};

impl FuncTranslator<'_, '_> {
    /// At the start of a function that was compiled from the module.
    pub(super) fn interrupt_at_entry(&mut self, facts: &BodyFacts) {
        if facts.calls_functions {
            self.interrupt_check();
        }
    }

    /// At the start of a loop.
    pub(super) fn interrupt_in_loop(&mut self, facts: LoopFacts) {
        if facts.repeats {
            self.interrupt_check();
        }
    }

    /// Asks the runtime where another thread wants it.
    fn interrupt_check(&mut self) {
        if !self.env.stops.interrupt {
            return;
        }
        let state = self.store_state();
        // Nothing in the function writes the flag, so the optimiser would take what an earlier check has read. It does not
        // look back beyond this point, which becomes nothing in the code.
        self.ins().sequence_point();
        let flags = self.trusted_region(super::Region::Interrupt);
        let flag = self.ins().load(types::I8, flags, state, offset_of!(StoreState, interrupt) as i32);
        self.pause_if(flag, Trap::Interrupt, |_| {}, |_| {});
    }
}
