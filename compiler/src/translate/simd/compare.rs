//! Comparisons of lanes, and vectors reduced to one number.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder as _, Type, Value, types};

use super::FuncTranslator;

impl FuncTranslator<'_, '_> {
    /// Lanes of all ones where the condition holds, of zeros elsewhere.
    pub(super) fn compare_lanes(&mut self, ty: Type, condition: IntCC) {
        self.vector_binary(ty, |t, a, b| t.ins().icmp(condition, a, b));
    }

    /// Lanes of all ones where the condition holds, of zeros elsewhere.
    pub(super) fn compare_float_lanes(&mut self, ty: Type, condition: FloatCC) {
        self.vector_binary(ty, |t, a, b| t.ins().fcmp(condition, a, b));
    }

    /// `y` where `y < x`, else `x`: `minps y, x` of x86, which the code generator makes of it.
    pub(super) fn pseudo_min(&mut self, x: Value, y: Value) -> Value {
        let less = self.ins().fcmp(FloatCC::LessThan, y, x);
        self.select_float_lanes(less, y, x)
    }

    /// `y` where `x < y`, else `x`: `maxps y, x` of x86, which the code generator makes of it.
    pub(super) fn pseudo_max(&mut self, x: Value, y: Value) -> Value {
        let less = self.ins().fcmp(FloatCC::LessThan, x, y);
        self.select_float_lanes(less, y, x)
    }

    fn select_float_lanes(&mut self, mask: Value, a: Value, b: Value) -> Value {
        let ty = self.type_of(a);
        let mask = self.as_lanes(mask, ty);
        self.ins().bitselect(mask, a, b)
    }

    pub(super) fn any_true(&mut self) {
        let a = self.pop();
        let a = self.without_bitcasts(a);
        let ty = self.type_of(a);
        // Lanes of -0.0 are not zero here.
        let a = if ty.lane_type().is_int() { a } else { self.as_lanes(a, types::I8X16) };
        let value = self.ins().vany_true(a);
        self.push_bool(value);
    }

    pub(super) fn all_true(&mut self, ty: Type) {
        let a = self.pop_lanes(ty);
        let value = self.ins().vall_true(a);
        self.push_bool(value);
    }

    /// The most significant bit of each lane.
    pub(super) fn bitmask(&mut self, ty: Type) {
        let a = self.pop_lanes(ty);
        let value = self.ins().vhigh_bits(types::I32, a);
        self.push(value);
    }
}
