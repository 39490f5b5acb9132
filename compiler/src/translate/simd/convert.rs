//! Conversions between lane types.

use cranelift_codegen::ir::{InstBuilder as _, Type, Value, types};

use super::FuncTranslator;
use crate::translate::memory::Extend;

/// Which half of a vector's lanes.
#[derive(Clone, Copy)]
pub(super) enum Half {
    /// Lanes of the lower numbers.
    Low,
    /// Lanes of the higher numbers.
    High,
}

impl FuncTranslator<'_, '_> {
    /// One half's lanes in twice their width. `ty` has the operand's lanes.
    pub(super) fn extend_half(&mut self, ty: Type, half: Half, extend: Extend) {
        self.vector_unary(ty, |t, a| t.widen(half, extend, a));
    }

    pub(super) fn widen(&mut self, half: Half, extend: Extend, a: Value) -> Value {
        match (half, extend) {
            (Half::Low, Extend::Signed) => self.ins().swiden_low(a),
            (Half::Low, Extend::Unsigned) => self.ins().uwiden_low(a),
            (Half::High, Extend::Signed) => self.ins().swiden_high(a),
            (Half::High, Extend::Unsigned) => self.ins().uwiden_high(a),
        }
    }

    /// Lanes of two vectors in half their width; signed lanes, saturated to the result's range. `ty` has the
    /// operands' lanes.
    pub(super) fn narrow(&mut self, ty: Type, result: Extend) {
        self.vector_binary(ty, |t, a, b| match result {
            Extend::Signed => t.ins().snarrow(a, b),
            Extend::Unsigned => t.ins().unarrow(a, b),
        });
    }

    /// Floats to the nearest integers that fit; NaN becomes 0.
    pub(super) fn truncate_lanes(&mut self, a: Value, result: Extend) -> Value {
        match result {
            Extend::Signed => self.ins().fcvt_to_sint_sat(types::I32X4, a),
            Extend::Unsigned => self.ins().fcvt_to_uint_sat(types::I32X4, a),
        }
    }

    /// Two `f64` to the nearest 32-bit integers that fit, with two zeros behind them; NaN becomes 0.
    pub(super) fn truncate_f64_lanes(&mut self, a: Value, result: Extend) -> Value {
        let zero = self.zero_i64x2();
        match result {
            Extend::Signed => {
                let wide = self.ins().fcvt_to_sint_sat(types::I64X2, a);
                self.ins().snarrow(wide, zero)
            }
            // What the form below becomes begins with rounding.
            Extend::Unsigned if self.rounds_by_call() => {
                let none = self.ins().iconst(types::I32, 0);
                let none = self.ins().splat(types::I32X4, none);
                (0..2).fold(none, |lanes, lane| {
                    let element = self.ins().extractlane(a, lane);
                    let element = self.ins().fcvt_to_uint_sat(types::I32, element);
                    self.ins().insertlane(lanes, element, lane)
                })
            }
            Extend::Unsigned => {
                let wide = self.ins().fcvt_to_uint_sat(types::I64X2, a);
                self.ins().uunarrow(wide, zero)
            }
        }
    }

    pub(super) fn zero_i64x2(&mut self) -> Value {
        let zero = self.builder.func.dfg.constants.insert([0; 16].as_slice().into());
        self.ins().vconst(types::I64X2, zero)
    }

    /// The lower two integers as `f64`.
    pub(super) fn convert_low(&mut self, extend: Extend) {
        self.vector_unary(types::I32X4, |t, a| {
            let wide = t.widen(Half::Low, extend, a);
            match extend {
                Extend::Signed => t.ins().fcvt_from_sint(types::F64X2, wide),
                Extend::Unsigned => t.ins().fcvt_from_uint(types::F64X2, wide),
            }
        });
    }
}
