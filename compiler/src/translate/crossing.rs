//! Access from one instance of a program to another. The distances between contexts are known when code is generated,
//! so code reaches what another instance owns by a constant offset from the pinned register.
//!
//! On entry to a function and on return, the pinned register is that of the function's own instance. A caller sets the
//! register for a function of another instance, and sets it back after the call. Functions that *stray* are the
//! exception: they end with a tail call of a function of another instance, and have no frame to return to. Their
//! callers keep the value of the register in their own frame.

use cranelift_codegen::ir::{InstBuilder as _, Value, types};
use wasmelt_abi::context::WideRecord;

use super::FuncTranslator;
use crate::options::Shape;
use crate::program::InstanceIndex;

/// Where a function runs that is called.
#[derive(Clone, Copy)]
pub(super) enum RunsIn {
    /// In the caller's instance, or, in libraries, where the context says that it is given.
    Own,
    /// In the caller's instance, but it may return in another one.
    OwnStraying,
    /// In another instance of the program; whether it may return in yet another one.
    Other(InstanceIndex, bool),
    /// In the instance at this distance from the first one.
    Distance(Value),
}

/// How the pinned register gets its value back after a call.
pub(super) enum Back {
    /// It has it.
    There,
    /// By so many bytes from what it is.
    Distance(i64),
    /// It was this one.
    Value(Value),
}

impl FuncTranslator<'_, '_> {
    /// The distance from one instance's context to another one's.
    fn distance(&self, from: InstanceIndex, to: InstanceIndex) -> i64 {
        let instances = &self.env.program.instances;
        instances[to].distance.wrapping_sub(instances[from].distance).cast_signed()
    }

    /// The context of an instance of the program.
    pub(super) fn vmctx_of(&mut self, instance: InstanceIndex) -> Value {
        let vmctx = self.vmctx();
        match self.distance(self.env.index, instance) {
            0 => vmctx,
            distance => self.ins().iadd_imm_s(vmctx, distance),
        }
    }

    /// The context of the program's first instance.
    pub(super) fn first_vmctx(&mut self) -> Value {
        self.vmctx_of(InstanceIndex::from_u32(0))
    }

    /// Where the function runs that a reference of the `Single` shape stands for.
    pub(super) fn record_instance(&mut self, reference: Value) -> RunsIn {
        if self.env.program.has_wide_records {
            let flags = self.record_flags();
            let offset = std::mem::offset_of!(WideRecord, distance) as i32;
            return RunsIn::Distance(self.ins().load(types::I64, flags, reference, offset));
        }
        if self.env.program.has_straying() { RunsIn::OwnStraying } else { RunsIn::Own }
    }

    /// Before a call: sets the pinned register for the function.
    pub(super) fn cross(&mut self, runs_in: RunsIn, tail: bool) -> Back {
        match runs_in {
            RunsIn::Own => Back::There,
            RunsIn::OwnStraying if tail => Back::There,
            RunsIn::OwnStraying => Back::Value(self.vmctx()),
            RunsIn::Other(instance, strays) => {
                let (here, there) = (self.vmctx(), self.vmctx_of(instance));
                self.ins().set_pinned_reg(there);
                if strays { Back::Value(here) } else { Back::Distance(self.distance(instance, self.env.index)) }
            }
            RunsIn::Distance(distance) => {
                let (here, first) = (self.vmctx(), self.first_vmctx());
                let there = self.ins().iadd(first, distance);
                self.ins().set_pinned_reg(there);
                Back::Value(here)
            }
        }
    }

    /// After the call.
    pub(super) fn come_back(&mut self, back: Back) {
        let here = match back {
            Back::There => return,
            Back::Distance(distance) => {
                let there = self.ins().get_pinned_reg(types::I64);
                self.ins().iadd_imm_s(there, distance)
            }
            Back::Value(here) => here,
        };
        self.ins().set_pinned_reg(here);
        self.forget_vmctx();
    }

    /// At the start of a landing pad: the runtime comes with the context of the program's first instance.
    pub(super) fn enter_landing_pad(&mut self) {
        let distance = self.distance(InstanceIndex::from_u32(0), self.env.index);
        if self.env.shape == Shape::Single && distance != 0 {
            let first = self.ins().get_pinned_reg(types::I64);
            let here = self.ins().iadd_imm_s(first, distance);
            self.ins().set_pinned_reg(here);
            self.forget_vmctx();
        }
    }

    /// In an entry: what follows is code of this instance; `first` is the context of the program's first one.
    pub(super) fn enter_instance(&mut self, instance: InstanceIndex, first: Value) {
        if self.env.program.instances.len() > 1 {
            self.env = self.env.of(instance);
            let distance = self.distance(InstanceIndex::from_u32(0), instance);
            let here = self.ins().iadd_imm_s(first, distance);
            self.ins().set_pinned_reg(here);
            self.vmctx = Some(here);
        }
    }
}
