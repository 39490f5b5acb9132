//! Vector loads and stores of parts of a vector; whole vectors are in `translate/memory.rs`.

use cranelift_codegen::ir::{InstBuilder as _, Type, types};
use wasmparser::MemArg;

use super::FuncTranslator;
use crate::translate::bounds::Place;
use crate::translate::memory::Extend;

impl FuncTranslator<'_, '_> {
    /// A load of 64 bits whose lanes are extended to the lanes of `ty`.
    pub(super) fn load_extend(&mut self, memarg: &MemArg, ty: Type, extend: Extend) {
        let index = self.pop();
        let Place { flags, address, offset } = self.accessed_place(memarg, index, 8);
        let ins = self.ins();
        let value = match (ty, extend) {
            (types::I16X8, Extend::Signed) => ins.sload8x8(flags, address, offset),
            (types::I16X8, Extend::Unsigned) => ins.uload8x8(flags, address, offset),
            (types::I32X4, Extend::Signed) => ins.sload16x4(flags, address, offset),
            (types::I32X4, Extend::Unsigned) => ins.uload16x4(flags, address, offset),
            (_, Extend::Signed) => ins.sload32x2(flags, address, offset),
            (_, Extend::Unsigned) => ins.uload32x2(flags, address, offset),
        };
        self.push_vector(value);
    }

    /// A load of one lane into all lanes.
    pub(super) fn load_splat(&mut self, memarg: &MemArg, ty: Type) {
        self.load(memarg, ty.lane_type());
        let value = self.pop();
        let value = self.ins().splat(ty, value);
        self.push_vector(value);
    }

    /// A load of the first lane; all others become zero.
    pub(super) fn load_zero(&mut self, memarg: &MemArg, ty: Type) {
        self.load(memarg, ty.lane_type());
        let value = self.pop();
        let value = self.ins().scalar_to_vector(ty, value);
        self.push_vector(value);
    }

    /// A load of one lane; all others stay.
    pub(super) fn load_lane(&mut self, memarg: &MemArg, ty: Type, lane: u8) {
        let vector = self.pop_lanes(ty);
        self.load(memarg, ty.lane_type());
        let value = self.pop();
        let value = self.ins().insertlane(vector, value, lane);
        self.push_vector(value);
    }

    /// A store of one lane.
    pub(super) fn store_lane(&mut self, memarg: &MemArg, ty: Type, lane: u8) {
        let vector = self.pop_lanes(ty);
        let value = self.ins().extractlane(vector, lane);
        self.push(value);
        self.store(memarg);
    }
}
