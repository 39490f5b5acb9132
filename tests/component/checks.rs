//! Code that compares what a call has returned with a value: text of a core function that returns 0 where it differs.
//! Source: component model, "Canonical ABI" (`load`, `lift_flat`).

use std::fmt::Write as _;

use crate::types::{Type, discriminant_size, payload_offset};
use crate::values::{Image, Value, sign_extended};

/// Code that is being written.
pub(crate) struct Checks<'i> {
    pub(crate) code: String,
    /// How many locals for addresses there are, `$0` and so on.
    pub(crate) locals: usize,
    /// Where the bytes of expected strings go.
    image: &'i mut Image,
}

impl<'i> Checks<'i> {
    pub(crate) fn new(image: &'i mut Image) -> Self {
        Self { code: String::new(), locals: 0, image }
    }

    fn require(&mut self, condition: impl std::fmt::Display) {
        let _ = writeln!(self.code, "    (if (i32.eqz {condition}) (then (return (i32.const 0))))");
    }

    /// A new local that holds an address.
    fn local(&mut self, address: impl std::fmt::Display) -> String {
        let name = format!("$at{}", self.locals);
        self.locals += 1;
        let _ = writeln!(self.code, "    (local.set {name} {address})");
        name
    }

    /// Compares what lies at an address, which is a local and an offset.
    pub(crate) fn memory(&mut self, ty: &Type, value: &Value, at: &str, offset: u32) {
        let word = |offset: u32| format!("(i32.load offset={offset} (local.get {at}))");
        match (ty, value) {
            (_, Value::Bits(bits)) => self.loaded(ty, *bits, at, offset),
            (_, Value::String(text)) => {
                let expected = self.image.add(text.as_bytes(), 1);
                self.require(format!("(i32.eq {} (i32.const {}))", word(offset + 4), text.len()));
                let len = text.len();
                self.require(format!("(call $same {} (i32.const {expected}) (i32.const {len}))", word(offset)));
            }
            (Type::List(ty), Value::List(values)) => {
                self.require(format!("(i32.eq {} (i32.const {}))", word(offset + 4), values.len()));
                let elements = self.local(word(offset));
                for (number, value) in values.iter().enumerate() {
                    self.memory(ty, value, &elements, number as u32 * ty.size());
                }
            }
            (Type::Record(fields), Value::Record(values)) => {
                for ((field, ty), value) in Type::fields(fields).zip(values) {
                    self.memory(ty, value, at, offset + field);
                }
            }
            (Type::Variant(_, cases), Value::Variant(index, payload)) => {
                let discriminant = Type::Int { bytes: discriminant_size(cases.len()), signed: false };
                self.loaded(&discriminant, *index as u64, at, offset);
                if let (Some(ty), Some(payload)) = (&cases[*index].1, payload) {
                    self.memory(ty, payload, at, offset + payload_offset(cases));
                }
            }
            _ => unreachable!("a value is of its type"),
        }
    }

    /// Compares a number in memory.
    fn loaded(&mut self, ty: &Type, bits: u64, at: &str, offset: u32) {
        if let Type::Float { bytes } = ty {
            let width = bytes * 8;
            return self.float(*bytes, bits, &format!("(f{width}.load offset={offset} (local.get {at}))"));
        }
        let (core, load) = match ty.size() {
            1 => ("i32", "i32.load8_u"),
            2 => ("i32", "i32.load16_u"),
            4 => ("i32", "i32.load"),
            _ => ("i64", "i64.load"),
        };
        self.require(format!("({core}.eq ({load} offset={offset} (local.get {at})) ({core}.const {bits}))"));
    }

    /// Compares a floating-point number. One NaN is as good as another.
    fn float(&mut self, bytes: u32, bits: u64, found: &str) {
        let is_nan = match bytes {
            4 => f32::from_bits(bits as u32).is_nan(),
            _ => f64::from_bits(bits).is_nan(),
        };
        let width = bytes * 8;
        match is_nan {
            true => self.require(format!("(f{width}.ne {found} {found})")),
            false => {
                self.require(format!("(i{width}.eq (i{width}.reinterpret_f{width} {found}) (i{width}.const {bits}))"))
            }
        }
    }

    /// Compares the one core value in the local `$result`.
    pub(crate) fn flat(&mut self, ty: &Type, value: &Value) {
        match (ty, value) {
            (Type::Record(fields), Value::Record(values)) => self.flat(&fields[0].1, &values[0]),
            (_, Value::Variant(index, _)) => {
                self.require(format!("(i32.eq (local.get $result) (i32.const {index}))"));
            }
            (Type::Float { bytes }, Value::Bits(bits)) => self.float(*bytes, *bits, "(local.get $result)"),
            (Type::Int { bytes: 8, .. }, Value::Bits(bits)) => {
                self.require(format!("(i64.eq (local.get $result) (i64.const {bits}))"));
            }
            (_, Value::Bits(bits)) => {
                let bits = sign_extended(ty, *bits);
                self.require(format!("(i32.eq (local.get $result) (i32.const {bits}))"));
            }
            _ => unreachable!("a value of one core value"),
        }
    }
}
