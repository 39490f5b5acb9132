//! Arguments and expected results of the suite, as plain data: text syntax in, bits out.

use wasmparser::ValType;
use wast::core::{NanPattern, V128Pattern, WastArgCore, WastRetCore};
use wast::token::{F32, F64};
use wast::{WastArg, WastRet};

use crate::outcome::Reason;

/// An argument of a call.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    I32(i32),
    I64(i64),
    /// Bits of an `f32`.
    F32(u32),
    /// Bits of an `f64`.
    F64(u64),
    V128([u8; 16]),
    /// Of the type of the parameter.
    Null,
    /// A reference of the host's.
    Extern(u32),
}

/// What a result has to be.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// A number of this type whose bits, masked, are these.
    Bits {
        ty: ValType,
        mask: u128,
        value: u128,
    },
    Null,
    /// A function.
    Func,
    /// A reference of the host's: this one, or any.
    Extern(Option<u32>),
    Either(Vec<Pattern>),
}

/// A result.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// The bits of a number or a vector.
    Bits(ValType, u128),
    Null,
    Func,
    /// A reference of the host's.
    Extern(u32),
    /// What the suite has no word for.
    Other,
}

impl Found {
    /// Whether it is as the pattern says.
    pub(crate) fn fits(&self, pattern: &Pattern) -> bool {
        match (self, pattern) {
            (_, Pattern::Either(patterns)) => patterns.iter().any(|pattern| self.fits(pattern)),
            (Self::Bits(found, bits), Pattern::Bits { ty, mask, value }) => found == ty && bits & mask == *value,
            (Self::Extern(found), Pattern::Extern(number)) => number.is_none_or(|number| number == *found),
            (Self::Null, Pattern::Null) | (Self::Func, Pattern::Func) => true,
            _ => false,
        }
    }
}

const F32_NAN: u32 = 0x7fc0_0000;
const F64_NAN: u64 = 0x7ff8 << 48;

pub(crate) fn arg(arg: &WastArg<'_>) -> Result<Arg, Reason> {
    let WastArg::Core(arg) = arg else { return Err(Reason::Proposal) };
    Ok(match arg {
        WastArgCore::I32(v) => Arg::I32(*v),
        WastArgCore::I64(v) => Arg::I64(*v),
        WastArgCore::F32(v) => Arg::F32(v.bits),
        WastArgCore::F64(v) => Arg::F64(v.bits),
        WastArgCore::V128(v) => Arg::V128(v.to_le_bytes()),
        WastArgCore::RefNull(_) => Arg::Null,
        WastArgCore::RefExtern(number) => Arg::Extern(*number),
        WastArgCore::RefHost(_) => return Err(Reason::Proposal),
    })
}

pub(crate) fn result(result: &WastRet<'_>) -> Result<Pattern, Reason> {
    match result {
        WastRet::Core(result) => pattern(result),
        _ => Err(Reason::Proposal),
    }
}

fn pattern(result: &WastRetCore<'_>) -> Result<Pattern, Reason> {
    Ok(match result {
        WastRetCore::I32(v) => Pattern::Bits { ty: ValType::I32, mask: u128::MAX, value: (*v as u32).into() },
        WastRetCore::I64(v) => Pattern::Bits { ty: ValType::I64, mask: u128::MAX, value: (*v as u64).into() },
        WastRetCore::F32(v) => {
            let (mask, value) = f32_bits(v);
            Pattern::Bits { ty: ValType::F32, mask: mask.into(), value: value.into() }
        }
        WastRetCore::F64(v) => {
            let (mask, value) = f64_bits(v);
            Pattern::Bits { ty: ValType::F64, mask: mask.into(), value: value.into() }
        }
        WastRetCore::V128(v) => v128(v),
        WastRetCore::RefNull(_) => Pattern::Null,
        WastRetCore::RefFunc(_) => Pattern::Func,
        WastRetCore::RefExtern(number) => Pattern::Extern(*number),
        WastRetCore::Either(patterns) => Pattern::Either(patterns.iter().map(pattern).collect::<Result<_, _>>()?),
        WastRetCore::RefAny
        | WastRetCore::RefEq
        | WastRetCore::RefArray
        | WastRetCore::RefStruct
        | WastRetCore::RefHost(_)
        | WastRetCore::RefI31
        | WastRetCore::RefI31Shared => return Err(Reason::Proposal),
    })
}

/// Mask and value. A canonical NaN has one payload and any sign, an arithmetic one has the payload's top bit set.
fn f32_bits(pattern: &NanPattern<F32>) -> (u32, u32) {
    match pattern {
        NanPattern::CanonicalNan => (u32::MAX >> 1, F32_NAN),
        NanPattern::ArithmeticNan => (F32_NAN, F32_NAN),
        NanPattern::Value(v) => (u32::MAX, v.bits),
    }
}

fn f64_bits(pattern: &NanPattern<F64>) -> (u64, u64) {
    match pattern {
        NanPattern::CanonicalNan => (u64::MAX >> 1, F64_NAN),
        NanPattern::ArithmeticNan => (F64_NAN, F64_NAN),
        NanPattern::Value(v) => (u64::MAX, v.bits),
    }
}

fn v128(pattern: &V128Pattern) -> Pattern {
    let lanes: Vec<(u128, u128)> = match pattern {
        V128Pattern::I8x16(lanes) => lanes.iter().map(|&v| (u8::MAX.into(), (v as u8).into())).collect(),
        V128Pattern::I16x8(lanes) => lanes.iter().map(|&v| (u16::MAX.into(), (v as u16).into())).collect(),
        V128Pattern::I32x4(lanes) => lanes.iter().map(|&v| (u32::MAX.into(), (v as u32).into())).collect(),
        V128Pattern::I64x2(lanes) => lanes.iter().map(|&v| (u64::MAX.into(), (v as u64).into())).collect(),
        V128Pattern::F32x4(lanes) => lanes.iter().map(f32_bits).map(|(m, v)| (m.into(), v.into())).collect(),
        V128Pattern::F64x2(lanes) => lanes.iter().map(f64_bits).map(|(m, v)| (m.into(), v.into())).collect(),
    };
    let lane_bits = 128 / lanes.len();
    let (mut mask, mut value) = (0, 0);
    for (index, (lane_mask, lane_value)) in lanes.into_iter().enumerate() {
        mask |= lane_mask << (index * lane_bits);
        value |= lane_value << (index * lane_bits);
    }
    Pattern::Bits { ty: ValType::V128, mask, value }
}
