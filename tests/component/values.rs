//! Values: from the constants of a script to the bytes and core values that a driver hands over.
//! Source: component model, "Canonical ABI" (`store`, `lower_flat`).

use wasmparser::ValType;
use wast::component::WastVal;
use wast::core::{NanPattern, WastArgCore, WastRetCore};
use wast::{WastArg, WastRet};

use crate::types::{Type, align, discriminant_size, payload_offset};

/// A value of a [`Type`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// The bits of a `bool`, a number or a `char`; of flags as well.
    Bits(u64),
    String(String),
    List(Vec<Value>),
    Record(Vec<Value>),
    Variant(usize, Option<Box<Value>>),
}

impl Value {
    /// The value that a script gives, if it is one of this type.
    pub(crate) fn read(constant: &WastVal<'_>, ty: &Type) -> Result<Self, String> {
        Self::number(constant, ty)
            .or_else(|| Self::compound(constant, ty))
            .unwrap_or_else(|| Err(format!("{constant:?} is not a value of the type {ty:?}")))
    }

    fn number(constant: &WastVal<'_>, ty: &Type) -> Option<Result<Self, String>> {
        let int = |wanted: u32, has_sign: bool, bits: u64| {
            let fits = *ty == Type::Int { bytes: wanted, signed: has_sign };
            let mask = if wanted == 8 { u64::MAX } else { (1 << (wanted * 8)) - 1 };
            fits.then_some(bits & mask)
        };
        let bits = match constant {
            WastVal::Bool(v) => (*ty == Type::Bool).then_some(u64::from(*v)),
            WastVal::U8(v) => int(1, false, u64::from(*v)),
            WastVal::S8(v) => int(1, true, *v as u64),
            WastVal::U16(v) => int(2, false, u64::from(*v)),
            WastVal::S16(v) => int(2, true, *v as u64),
            WastVal::U32(v) => int(4, false, u64::from(*v)),
            WastVal::S32(v) => int(4, true, *v as u64),
            WastVal::U64(v) => int(8, false, *v),
            WastVal::S64(v) => int(8, true, *v as u64),
            WastVal::F32(v) => (*ty == Type::Float { bytes: 4 }).then_some(v.bits.into()),
            WastVal::F64(v) => (*ty == Type::Float { bytes: 8 }).then_some(v.bits),
            WastVal::Char(v) => (*ty == Type::Char).then_some(u64::from(*v)),
            _ => None,
        };
        bits.map(|bits| Ok(Self::Bits(bits)))
    }

    fn compound(constant: &WastVal<'_>, ty: &Type) -> Option<Result<Self, String>> {
        let case = |name: &str, payload: Option<&WastVal<'_>>| {
            let Type::Variant(_, cases) = ty else { return None };
            let index = cases.iter().position(|(case, _)| case == name)?;
            let payload = match (payload, &cases[index].1) {
                (None, None) => None,
                (Some(payload), Some(ty)) => Some(Self::read(payload, ty)),
                _ => return None,
            };
            Some(payload.transpose().map(|payload| Self::Variant(index, payload.map(Box::new))))
        };
        match (constant, ty) {
            (WastVal::String(text), Type::String) => Some(Ok(Self::String((*text).to_owned()))),
            (WastVal::List(elements), Type::List(ty)) => {
                let elements = elements.iter().map(|element| Self::read(element, ty));
                Some(elements.collect::<Result<_, _>>().map(Self::List))
            }
            (WastVal::Record(values), Type::Record(fields)) => {
                let same = values.iter().map(|(name, _)| *name).eq(fields.iter().map(|(name, _)| name.as_str()));
                same.then(|| Self::record(values.iter().map(|(_, value)| value), fields))
            }
            (WastVal::Tuple(values), Type::Record(fields)) => {
                (values.len() == fields.len()).then(|| Self::record(values.iter(), fields))
            }
            (WastVal::Variant(name, payload), _) => case(name, payload.as_deref()),
            (WastVal::Enum(name), _) => case(name, None),
            (WastVal::Option(None), _) => case("none", None),
            (WastVal::Option(some), _) => case("some", some.as_deref()),
            (WastVal::Result(Ok(ok)), _) => case("ok", ok.as_deref()),
            (WastVal::Result(Err(error)), _) => case("error", error.as_deref()),
            (WastVal::Flags(set), Type::Flags(names)) => {
                let bits = set.iter().map(|flag| names.iter().position(|name| name == flag));
                let bits = bits.collect::<Option<Vec<_>>>()?;
                Some(Ok(Self::Bits(bits.into_iter().fold(0, |bits, bit| bits | (1 << bit)))))
            }
            _ => None,
        }
    }

    fn record<'v, 'a: 'v>(
        values: impl Iterator<Item = &'v WastVal<'a>>,
        fields: &[(String, Type)],
    ) -> Result<Self, String> {
        values.zip(fields).map(|(value, (_, ty))| Self::read(value, ty)).collect::<Result<_, _>>().map(Self::Record)
    }
}

/// An argument of a call. Floating-point numbers have the same text as in scripts about modules.
pub(crate) fn argument(arg: &WastArg<'_>, ty: &Type) -> Result<Value, String> {
    match arg {
        WastArg::Component(constant) => Value::read(constant, ty),
        WastArg::Core(WastArgCore::F32(v)) => Value::read(&WastVal::F32(*v), ty),
        WastArg::Core(WastArgCore::F64(v)) => Value::read(&WastVal::F64(*v), ty),
        other => Err(format!("{other:?} is not a value of a component")),
    }
}

/// What a call has to return.
pub(crate) fn result(result: &WastRet<'_>, ty: &Type) -> Result<Value, String> {
    let is_nan = |bits: u64, bytes: u32| match *ty == (Type::Float { bytes }) {
        true => Ok(Value::Bits(bits)),
        false => Err(format!("a number is not a value of the type {ty:?}")),
    };
    match result {
        WastRet::Component(constant) => Value::read(constant, ty),
        WastRet::Core(WastRetCore::F32(NanPattern::Value(v))) => Value::read(&WastVal::F32(*v), ty),
        WastRet::Core(WastRetCore::F64(NanPattern::Value(v))) => Value::read(&WastVal::F64(*v), ty),
        WastRet::Core(WastRetCore::F32(_)) => is_nan(f32::NAN.to_bits().into(), 4),
        WastRet::Core(WastRetCore::F64(_)) => is_nan(f64::NAN.to_bits(), 8),
        other => Err(format!("{other:?} is not a value of a component")),
    }
}

/// Bytes that lie in a memory from an address on when a program begins.
#[derive(Debug)]
pub(crate) struct Image {
    base: u32,
    bytes: Vec<u8>,
}

impl Image {
    pub(crate) fn new(base: u32) -> Self {
        Self { base, bytes: Vec::new() }
    }

    pub(crate) fn end(&self) -> u32 {
        self.base + self.bytes.len() as u32
    }

    /// Room with this alignment, filled with zeros.
    pub(crate) fn allocate(&mut self, size: u32, alignment: u32) -> u32 {
        let at = align(self.end(), alignment);
        self.bytes.resize((at - self.base + size) as usize, 0);
        at
    }

    /// Writes the low bytes of a number.
    pub(crate) fn write(&mut self, at: u32, bits: u64, size: u32) {
        let at = (at - self.base) as usize;
        self.bytes[at..at + size as usize].copy_from_slice(&bits.to_le_bytes()[..size as usize]);
    }

    /// Reads a number of so many bytes.
    pub(crate) fn read(&self, at: u32, size: u32) -> u64 {
        let at = (at - self.base) as usize;
        self.bytes[at..at + size as usize].iter().rev().fold(0, |bits, byte| (bits << 8) | u64::from(*byte))
    }

    /// Adds bytes, and says where they are.
    pub(crate) fn add(&mut self, bytes: &[u8], alignment: u32) -> u32 {
        let at = self.allocate(bytes.len() as u32, alignment);
        let offset = (at - self.base) as usize;
        self.bytes[offset..].copy_from_slice(bytes);
        at
    }

    /// Writes a value to an address; strings are UTF-8.
    pub(crate) fn store(&mut self, ty: &Type, value: &Value, at: u32) {
        match (ty, value) {
            (_, Value::Bits(bits)) => self.write(at, *bits, ty.size()),
            (_, Value::String(_) | Value::List(_)) => {
                let (address, len) = self.elements(ty, value);
                self.write(at, address.into(), 4);
                self.write(at + 4, len.into(), 4);
            }
            (Type::Record(fields), Value::Record(values)) => {
                for ((offset, ty), value) in Type::fields(fields).zip(values) {
                    self.store(ty, value, at + offset);
                }
            }
            (Type::Variant(_, cases), Value::Variant(index, payload)) => {
                self.write(at, *index as u64, discriminant_size(cases.len()));
                if let (Some(ty), Some(payload)) = (&cases[*index].1, payload) {
                    self.store(ty, payload, at + payload_offset(cases));
                }
            }
            _ => unreachable!("a value is of its type"),
        }
    }

    /// Where the elements of a list or the bytes of a string are, and how many there are.
    fn elements(&mut self, ty: &Type, value: &Value) -> (u32, u32) {
        match (ty, value) {
            (Type::List(ty), Value::List(values)) => {
                let (size, len) = (ty.size(), values.len() as u32);
                let at = self.allocate(size * len, ty.alignment());
                for (number, value) in values.iter().enumerate() {
                    self.store(ty, value, at + number as u32 * size);
                }
                (at, len)
            }
            (_, Value::String(text)) => (self.add(text.as_bytes(), 1), text.len() as u32),
            _ => unreachable!("a value is of its type"),
        }
    }

    /// The core values of a value, each as the bits of its core type.
    pub(crate) fn lower(&mut self, ty: &Type, value: &Value) -> Vec<(ValType, u64)> {
        match (ty, value) {
            (_, Value::Bits(bits)) => vec![(ty.flat()[0], sign_extended(ty, *bits))],
            (_, Value::String(_) | Value::List(_)) => {
                let (address, len) = self.elements(ty, value);
                vec![(ValType::I32, address.into()), (ValType::I32, len.into())]
            }
            (Type::Record(fields), Value::Record(values)) => {
                fields.iter().zip(values).flat_map(|((_, ty), value)| self.lower(ty, value)).collect()
            }
            (Type::Variant(_, cases), Value::Variant(index, payload)) => {
                let payload = match (&cases[*index].1, payload) {
                    (Some(ty), Some(payload)) => self.lower(ty, payload),
                    _ => Vec::new(),
                };
                let bits = [*index as u64].into_iter().chain(payload.into_iter().map(|(_, bits)| bits));
                // What joins two types keeps the bits and widens them with zeros.
                ty.flat().into_iter().zip(bits.chain(std::iter::repeat(0))).collect()
            }
            _ => unreachable!("a value is of its type"),
        }
    }

    /// The bytes as a string of the text format.
    pub(crate) fn text(&self) -> String {
        self.bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
    }

    pub(crate) fn base(&self) -> u32 {
        self.base
    }
}

/// The bits of an `i32` or `i64` that has the value of a narrow number.
pub(crate) fn sign_extended(ty: &Type, bits: u64) -> u64 {
    match *ty {
        Type::Int { bytes, signed: true } if bytes < 4 => {
            let shift = 32 - bytes * 8;
            u64::from(((bits as u32) << shift).cast_signed().wrapping_shr(shift).cast_unsigned())
        }
        _ => bits,
    }
}
