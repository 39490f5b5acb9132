//! Values of component functions.

use super::ResourceAny;

/// A value of a component's function. Names in records, variants, enumerations and flags are those of WIT.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "names are those of the component model")]
pub enum Val {
    Bool(bool),
    S8(i8),
    U8(u8),
    S16(i16),
    U16(u16),
    S32(i32),
    U32(u32),
    S64(i64),
    U64(u64),
    F32(f32),
    F64(f64),
    Char(char),
    String(String),
    List(Vec<Self>),
    /// Fields in the order of the type.
    Record(Vec<(String, Self)>),
    Tuple(Vec<Self>),
    Variant(String, Option<Box<Self>>),
    Enum(String),
    Option(Option<Box<Self>>),
    Result(Result<Option<Box<Self>>, Option<Box<Self>>>),
    /// Those that are set.
    Flags(Vec<String>),
    Resource(ResourceAny),
}

macro_rules! from {
    ($($case:ident $ty:ty;)*) => {
        $(impl From<$ty> for Val {
            fn from(value: $ty) -> Self {
                Self::$case(value)
            }
        })*
    };
}

from! {
    Bool bool; S8 i8; U8 u8; S16 i16; U16 u16; S32 i32; U32 u32; S64 i64; U64 u64; F32 f32; F64 f64; Char char;
    String String; Resource ResourceAny;
}

impl From<&str> for Val {
    fn from(value: &str) -> Self {
        Self::String(value.to_owned())
    }
}
