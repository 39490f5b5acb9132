//! Values that the host passes to guests and gets from them.

use core::num::NonZeroU64;
use std::prelude::rust_2024::*;

use super::{Exception, Func};

/// A value. Copies of references refer to the same thing.
#[derive(Clone, Debug, PartialEq)]
pub enum Val {
    /// An `i32`.
    I32(i32),
    /// An `i64`.
    I64(i64),
    /// An `f32`, as its bits: a NaN keeps its payload.
    F32(u32),
    /// An `f64`, as its bits.
    F64(u64),
    /// A `v128`, little-endian.
    V128([u8; 16]),
    /// A function or null.
    FuncRef(Option<Func>),
    /// A value of the host or null.
    ExternRef(Option<ExternRef>),
    /// An exception or null.
    ExnRef(Option<Exception>),
}

/// What the host lets a guest keep: a number that only the host gives a meaning to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExternRef(pub NonZeroU64);

impl ExternRef {
    /// The reference with this number, `None` for 0, which is null to guests.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}
