//! Integer and float operators.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder as _, MemFlagsData, Type, Value, types};

use super::FuncTranslator;

impl FuncTranslator<'_, '_> {
    pub(super) fn compare(&mut self, condition: IntCC) {
        let (a, b) = self.pop2();
        let value = self.ins().icmp(condition, a, b);
        self.push_bool(value);
    }

    pub(super) fn compare_float(&mut self, condition: FloatCC) {
        let (a, b) = self.pop2();
        let value = self.ins().fcmp(condition, a, b);
        self.push_bool(value);
    }

    pub(super) fn eqz(&mut self) {
        let a = self.pop();
        let value = self.ins().icmp_imm_u(IntCC::Equal, a, 0);
        self.push_bool(value);
    }

    /// A product. By 3, 5 and 9 it is a sum with a shifted operand, which is one instruction on all machines and takes
    /// less time than a multiplication.
    pub(super) fn multiply(&mut self, a: Value, b: Value) -> Value {
        let shift = |factor| match self.known(factor).filter(|_| self.env.peepholes)? {
            3 => Some(1),
            5 => Some(2),
            9 => Some(3),
            _ => None,
        };
        let (a, shift) = match (shift(a), shift(b)) {
            (_, Some(shift)) => (a, shift),
            (Some(shift), _) => (b, shift),
            _ => return self.ins().imul(a, b),
        };
        let shifted = self.ins().ishl_imm_u(a, shift);
        self.ins().iadd(a, shifted)
    }

    /// An operator on 128-bit integers, each given as its low and high half.
    pub(super) fn arithmetic_128(&mut self, f: impl FnOnce(&mut Self, Value, Value) -> Value) {
        let (b_low, b_high) = self.pop2();
        let (a_low, a_high) = self.pop2();
        let a = self.ins().iconcat(a_low, a_high);
        let b = self.ins().iconcat(b_low, b_high);
        let sum = f(self, a, b);
        let (low, high) = self.ins().isplit(sum);
        self.push(low);
        self.push(high);
    }

    /// The 128-bit product of two 64-bit integers, low half first.
    pub(super) fn multiply_wide(&mut self, high: impl FnOnce(&mut Self, Value, Value) -> Value) {
        let (a, b) = self.pop2();
        let low = self.ins().imul(a, b);
        let high = high(self, a, b);
        self.push(low);
        self.push(high);
    }

    pub(super) fn sign_extend_low(&mut self, narrow: Type) {
        self.unary(|t, a| {
            let wide = t.type_of(a);
            let low = t.ins().ireduce(narrow, a);
            t.ins().sextend(wide, low)
        });
    }

    /// A float to an integer; traps on NaN and on what does not fit.
    pub(super) fn truncate(&mut self, ty: Type, signed: bool) {
        self.unary(|t, a| if signed { t.ins().fcvt_to_sint(ty, a) } else { t.ins().fcvt_to_uint(ty, a) });
    }

    /// A float to the nearest integer that fits; NaN becomes 0.
    pub(super) fn truncate_saturating(&mut self, ty: Type, signed: bool) {
        self.unary(|t, a| if signed { t.ins().fcvt_to_sint_sat(ty, a) } else { t.ins().fcvt_to_uint_sat(ty, a) });
    }

    pub(super) fn convert(&mut self, ty: Type, signed: bool) {
        self.unary(|t, a| if signed { t.ins().fcvt_from_sint(ty, a) } else { t.ins().fcvt_from_uint(ty, a) });
    }

    pub(super) fn reinterpret(&mut self, ty: Type) {
        self.unary(|t, a| t.ins().bitcast(ty, MemFlagsData::new(), a));
    }

    pub(super) fn wrap(&mut self) {
        self.unary(|t, a| t.ins().ireduce(types::I32, a));
    }
}
