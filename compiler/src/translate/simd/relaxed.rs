//! Relaxed operators: the specification leaves some of their results to the CPU, and each becomes what the target does
//! fastest among the results that are allowed (core/exec/numerics.html#relaxed-operations).
//!
//! Where results must be the same on every CPU (`-W relaxed-simd-deterministic`, and `--nan-canonicalization` implies
//! it), each becomes what the specification's deterministic profile says instead.

use cranelift_codegen::ir::{InstBuilder as _, Type, Value, types};
use target_lexicon::Architecture;

use super::FuncTranslator;
use crate::translate::memory::Extend;

impl FuncTranslator<'_, '_> {
    pub(super) fn is_x86_64(&self) -> bool {
        self.env.isa.triple().architecture == Architecture::X86_64
    }

    /// Whether results may differ between CPUs.
    fn is_relaxed(&self) -> bool {
        !self.env.relaxed_simd_deterministic
    }

    fn is_relaxed_x86_64(&self) -> bool {
        self.is_relaxed() && self.is_x86_64()
    }

    /// Whether results may differ between CPUs and the target's has one of these features.
    fn has_relaxed(&self, features: &[&str]) -> bool {
        let flags = if self.is_relaxed() { self.env.isa.isa_flags() } else { Vec::new() };
        flags.iter().any(|flag| features.contains(&flag.name) && flag.as_bool() == Some(true))
    }

    /// Free: a lane out of range is 0, or the lane modulo 16 while below 128.
    pub(super) fn relaxed_swizzle(&mut self) {
        if self.is_relaxed() && self.env.isa.has_x86_pshufb_lowering() {
            self.vector_binary(types::I8X16, |t, a, lanes| t.ins().x86_pshufb(a, lanes));
        } else {
            self.swizzle();
        }
    }

    /// Free: NaN and what does not fit saturate, or become the smallest integer.
    pub(super) fn relaxed_truncate_signed(&mut self) {
        self.vector_unary(types::F32X4, |t, a| {
            if t.is_relaxed_x86_64() {
                t.ins().x86_cvtt2dq(types::I32X4, a)
            } else {
                t.truncate_lanes(a, Extend::Signed)
            }
        });
    }

    /// Free: NaN and what does not fit saturate, or become the smallest integer.
    pub(super) fn relaxed_truncate_f64_signed(&mut self) {
        self.vector_unary(types::F64X2, |t, a| {
            if t.is_relaxed_x86_64() {
                let wide = t.ins().x86_cvtt2dq(types::I64X2, a);
                let zero = t.zero_i64x2();
                t.ins().snarrow(wide, zero)
            } else {
                t.truncate_f64_lanes(a, Extend::Signed)
            }
        });
    }

    /// `a * b + c`, or `-(a * b) + c` when `negate`. Free: whether the product is rounded.
    pub(super) fn relaxed_multiply_add(&mut self, ty: Type, negate: bool) {
        let c = self.pop_lanes(ty);
        let (a, b) = self.pop2_lanes(ty);
        let value = match (self.is_relaxed() && self.env.isa.has_native_fma(), negate) {
            (true, negate) => {
                let a = if negate { self.ins().fneg(a) } else { a };
                self.ins().fma(a, b, c)
            }
            (false, false) => {
                let product = self.ins().fmul(a, b);
                self.ins().fadd(product, c)
            }
            (false, true) => {
                let product = self.ins().fmul(a, b);
                self.ins().fsub(c, product)
            }
        };
        self.push_vector(value);
    }

    /// Free: lanes of the mask that are neither all ones nor all zeros count by their bits, or by their top bit.
    pub(super) fn relaxed_laneselect(&mut self, ty: Type) {
        let mask = self.pop();
        let (a, b) = self.pop2();
        let value = if self.is_relaxed() && self.env.isa.has_blendv_lowering(ty) {
            let (mask, a, b) = (self.as_lanes(mask, ty), self.as_lanes(a, ty), self.as_lanes(b, ty));
            self.ins().blendv(mask, a, b)
        } else {
            self.select_bits(mask, a, b)
        };
        self.push_vector(value);
    }

    /// Free: with NaN or two zeros, which of the operands it is.
    pub(super) fn relaxed_min(&mut self, ty: Type) {
        self.vector_binary(ty, |t, a, b| if t.is_relaxed_x86_64() { t.pseudo_min(a, b) } else { t.ins().fmin(a, b) });
    }

    /// Free: with NaN or two zeros, which of the operands it is.
    pub(super) fn relaxed_max(&mut self, ty: Type) {
        self.vector_binary(ty, |t, a, b| if t.is_relaxed_x86_64() { t.pseudo_max(a, b) } else { t.ins().fmax(a, b) });
    }

    /// Free: whether the product of two smallest numbers saturates or wraps.
    pub(super) fn relaxed_q15_multiply(&mut self) {
        self.vector_binary(types::I16X8, |t, a, b| {
            if t.is_relaxed() && t.env.isa.has_x86_pmulhrsw_lowering() {
                t.ins().x86_pmulhrsw(a, b)
            } else {
                t.ins().sqmul_round_sat(a, b)
            }
        });
    }

    /// Free: bytes of `b` with the top bit set count as signed or unsigned, and whether sums saturate.
    pub(super) fn relaxed_dot(&mut self) {
        self.vector_binary(types::I8X16, Self::relaxed_dot_product);
    }

    fn relaxed_dot_product(&mut self, a: Value, b: Value) -> Value {
        if self.is_relaxed() && self.env.isa.has_x86_pmaddubsw_lowering() {
            self.ins().x86_pmaddubsw(a, b)
        } else {
            self.dot_product(a, b)
        }
    }

    /// Free: as for the dot product, and whether the intermediate sums are wider than 16 bits.
    pub(super) fn relaxed_dot_add(&mut self) {
        let c = self.pop_lanes(types::I32X4);
        let (a, b) = self.pop2_lanes(types::I8X16);
        let value = if self.has_relaxed(&["has_dotprod"]) {
            self.dot_product4_add(Extend::Signed, a, b, c)
        } else if self.has_relaxed(&["has_avx_vnni", "has_avx512vnni"]) {
            self.dot_product4_add(Extend::Unsigned, a, b, c)
        } else {
            let dot = self.relaxed_dot_product(a, b);
            let dot = self.extended_pairs(Extend::Signed, dot);
            self.ins().iadd(dot, c)
        };
        self.push_vector(value);
    }
}
