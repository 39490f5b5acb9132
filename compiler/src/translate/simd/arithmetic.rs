//! Arithmetic on lanes where it takes more than one instruction.

use cranelift_codegen::ir::{InstBuilder as _, Type, Value, types};

use super::FuncTranslator;
use super::convert::Half;
use crate::translate::memory::Extend;

impl FuncTranslator<'_, '_> {
    /// A shift of each lane by the same number of bits, modulo the lane's width.
    pub(super) fn shift(&mut self, ty: Type, f: impl FnOnce(&mut Self, Value, Value) -> Value) {
        let count = self.pop();
        let a = self.pop_lanes(ty);
        let value = f(self, a, count);
        self.push_vector(value);
    }

    /// Products of one half's lanes in twice their width. `ty` has the operands' lanes.
    pub(super) fn multiply_extended(&mut self, ty: Type, half: Half, extend: Extend) {
        self.vector_binary(ty, |t, a, b| t.extended_product(half, extend, extend, a, b));
    }

    fn extended_product(&mut self, half: Half, extend_a: Extend, extend_b: Extend, a: Value, b: Value) -> Value {
        let a = self.widen(half, extend_a, a);
        let b = self.widen(half, extend_b, b);
        self.ins().imul(a, b)
    }

    /// Sums of adjacent lanes in twice their width. `ty` has the operand's lanes.
    pub(super) fn add_pairwise_extended(&mut self, ty: Type, extend: Extend) {
        self.vector_unary(ty, |t, a| t.extended_pairs(extend, a));
    }

    pub(super) fn extended_pairs(&mut self, extend: Extend, a: Value) -> Value {
        let low = self.widen(Half::Low, extend, a);
        let high = self.widen(Half::High, extend, a);
        self.ins().iadd_pairwise(low, high)
    }

    /// Sums of the products of adjacent lanes, in twice the lanes' width.
    pub(super) fn dot_product(&mut self, a: Value, b: Value) -> Value {
        let low = self.extended_product(Half::Low, Extend::Signed, Extend::Signed, a, b);
        let high = self.extended_product(Half::High, Extend::Signed, Extend::Signed, a, b);
        self.ins().iadd_pairwise(low, high)
    }

    /// Sums of the products of four adjacent bytes, added to `sums`; no intermediate value overflows. Code generators
    /// know this tree as one instruction where the CPU has it.
    pub(super) fn dot_product4_add(&mut self, extend_b: Extend, a: Value, b: Value, sums: Value) -> Value {
        let low = self.extended_product(Half::Low, Extend::Signed, extend_b, a, b);
        let high = self.extended_product(Half::High, Extend::Signed, extend_b, a, b);
        let low = self.extended_pairs(Extend::Signed, low);
        let high = self.extended_pairs(Extend::Signed, high);
        let dot = self.ins().iadd_pairwise(low, high);
        debug_assert_eq!(self.type_of(dot), types::I32X4);
        self.ins().iadd(dot, sums)
    }
}
