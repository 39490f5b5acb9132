//! Rounding of floats to integers: one instruction, or a call of the runtime where the CPU has none.
//!
//! Cranelift makes such calls itself, to symbols. Those of a library would have to be found when it is loaded, so it
//! calls the runtime of its host as it does elsewhere: through its context.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder as _, Value, types};
use wasmelt_abi::builtin::Builtin;

use super::FuncTranslator;
use crate::options::Shape;

/// Where to.
#[derive(Clone, Copy)]
pub(super) enum Rounding {
    Ceil,
    Floor,
    Trunc,
    Nearest,
}

impl FuncTranslator<'_, '_> {
    /// Whether there is no instruction that rounds, and no symbol for Cranelift to call instead.
    pub(super) fn rounds_by_call(&self) -> bool {
        self.env.shape == Shape::Many && !self.env.isa.has_round()
    }

    /// Rounds a float, or each lane of a vector of floats.
    pub(super) fn round(&mut self, to: Rounding, value: Value) -> Value {
        if !self.rounds_by_call() {
            return match to {
                Rounding::Ceil => self.ins().ceil(value),
                Rounding::Floor => self.ins().floor(value),
                Rounding::Trunc => self.ins().trunc(value),
                Rounding::Nearest => self.ins().nearest(value),
            };
        }
        let ty = self.builder.func.dfg.value_type(value);
        if !ty.is_vector() {
            return self.round_by_call(to, value);
        }
        (0..ty.lane_count() as u8).fold(value, |rounded, lane| {
            let element = self.ins().extractlane(value, lane);
            let element = self.round_by_call(to, element);
            self.ins().insertlane(rounded, element, lane)
        })
    }

    fn round_by_call(&mut self, to: Rounding, value: Value) -> Value {
        let is_f32 = self.builder.func.dfg.value_type(value) == types::F32;
        let builtin = match (to, is_f32) {
            (Rounding::Ceil, true) => Builtin::ceil_f32,
            (Rounding::Ceil, false) => Builtin::ceil_f64,
            (Rounding::Floor, true) => Builtin::floor_f32,
            (Rounding::Floor, false) => Builtin::floor_f64,
            (Rounding::Trunc, true) => Builtin::trunc_f32,
            (Rounding::Trunc, false) => Builtin::trunc_f64,
            (Rounding::Nearest, true) => Builtin::nearest_f32,
            (Rounding::Nearest, false) => Builtin::nearest_f64,
        };
        let rounded = self.call_builtin(builtin, &[value]).unwrap_or(value);
        if !self.env.isa.flags().enable_nan_canonicalization() {
            return rounded;
        }
        // Cranelift does this for its own operators alone.
        let canonical = match is_f32 {
            true => self.ins().f32const(f32::from_bits(0x7fc0_0000)),
            false => self.ins().f64const(f64::from_bits(0x7ff8_0000_0000_0000)),
        };
        let is_nan = self.ins().fcmp(FloatCC::Unordered, rounded, rounded);
        self.ins().select(is_nan, canonical, rounded)
    }
}
