//! Types and values at random, from a number that says which: records, variants, lists, options, results, enums, flags and
//! strings, nested; strings of all lengths of characters; and damage, for what components must not accept.

use crate::types::{Cases, Type, discriminant_size};
use crate::values::{Image, Value};

/// Numbers that look random (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// One time in so many.
    pub(crate) fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// A type that nests at most this deep.
pub(crate) fn ty(random: &mut Random, depth: u32) -> Type {
    let kinds = if depth == 0 { 8 } else { 16 };
    let name = |prefix: &str, number: usize| format!("{prefix}{number}");
    match random.below(kinds) {
        0 => Type::Bool,
        1 => Type::Int { bytes: random.pick(&[1, 2, 4, 8]), signed: random.once_in(2) },
        2 => Type::Float { bytes: random.pick(&[4, 8]) },
        3 => Type::Char,
        4 | 5 => Type::String,
        6 => {
            let cases = random.pick(&[1, 2, 5, 256, 257]);
            Type::Variant(Cases::Enum, (0..cases).map(|number| (name("e", number), None)).collect())
        }
        7 => Type::Flags((0..random.pick(&[1, 7, 8, 9, 16, 17, 32])).map(|number| name("f", number)).collect()),
        8 | 9 => Type::List(Box::new(ty(random, depth - 1))),
        10 => Type::Record((0..=random.below(4)).map(|number| (name("r", number), ty(random, depth - 1))).collect()),
        11 => Type::Record((0..=random.below(4)).map(|number| (number.to_string(), ty(random, depth - 1))).collect()),
        12 => Type::option(ty(random, depth - 1)),
        13 => {
            let ok = payload(random, depth);
            Type::result(ok, payload(random, depth))
        }
        _ => {
            let cases = (0..=random.below(5)).map(|number| (name("c", number), payload(random, depth)));
            Type::Variant(Cases::Variant, cases.collect())
        }
    }
}

fn payload(random: &mut Random, depth: u32) -> Option<Type> {
    (!random.once_in(3)).then(|| ty(random, depth - 1))
}

/// The first and last characters of each length, in each encoding.
const CHARS: &[char] = &[
    'a',
    '\0',
    '\x7f',
    '\u{80}',
    '\u{e9}',
    '\u{ff}',
    '\u{100}',
    '\u{7ff}',
    '\u{800}',
    '\u{d7ff}',
    '\u{e000}',
    '\u{ffff}',
    '\u{10000}',
    '\u{10ffff}',
];

pub(crate) fn value(random: &mut Random, ty: &Type) -> Value {
    match ty {
        Type::Bool => Value::Bits(random.bits() & 1),
        Type::Int { bytes, .. } => Value::Bits(random.bits() >> (64 - bytes * 8)),
        Type::Float { bytes: 4 } => Value::Bits(random.pick(&[0, 0x8000_0000, 0x7f80_0000, 0x7fc0_0000, 0x3fc0_0001])),
        Type::Float { .. } => Value::Bits(random.pick(&[0, 1 << 63, 0x7ff0 << 48, 0x7ff8 << 48, (0x3ff8 << 48) | 1])),
        Type::Char => Value::Bits(u64::from(random.pick(CHARS))),
        Type::String => {
            let kinds = random.pick(&[3, 6, CHARS.len()]);
            let len = random.pick(&[0, 1, 2, 3, 7, 8, 9, 20]);
            Value::String((0..len).map(|_| random.pick(&CHARS[..kinds])).collect())
        }
        Type::List(element) => Value::List((0..random.pick(&[0, 1, 2, 5])).map(|_| value(random, element)).collect()),
        Type::Record(fields) => Value::Record(fields.iter().map(|(_, ty)| value(random, ty)).collect()),
        Type::Variant(_, cases) => {
            let index = random.below(cases.len());
            Value::Variant(index, cases[index].1.as_ref().map(|ty| Box::new(value(random, ty))))
        }
        Type::Flags(names) => Value::Bits(random.bits() >> (64 - names.len())),
    }
}

/// An encoding of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Utf8,
    Utf16,
    /// Latin-1 where that is enough, or UTF-16.
    Compact,
}

pub(crate) const ENCODINGS: [Encoding; 3] = [Encoding::Utf8, Encoding::Utf16, Encoding::Compact];

/// Writes values as a careless component would: strings in its encoding, and now and then what is not valid.
pub(crate) struct Careless<'r> {
    pub(crate) random: &'r mut Random,
    pub(crate) image: Image,
    pub(crate) encoding: Encoding,
    /// Something is wrong one time in so many; never without it.
    pub(crate) damage: Option<usize>,
}

impl Careless<'_> {
    fn errs(&mut self) -> bool {
        self.damage.is_some_and(|count| self.random.once_in(count))
    }

    /// Writes a value to an address.
    pub(crate) fn store(&mut self, ty: &Type, value: &Value, at: u32) {
        match (ty, value) {
            (Type::Char, _) if self.errs() => {
                let bits = self.random.pick(&[0xd800, 0xdfff, 0x11_0000, 0xffff_ffff]);
                self.image.write(at, bits, 4);
            }
            // Each pattern of bits is a boolean. Bits beyond the flags do not count.
            (Type::Bool | Type::Flags(_), _) if self.errs() => {
                let bits = self.random.bits();
                self.image.write(at, bits, ty.size());
            }
            (_, Value::Bits(bits)) => self.image.write(at, *bits, ty.size()),
            (Type::String, Value::String(text)) => {
                let (address, len) = self.string(text);
                self.range(at, address, len);
            }
            (Type::List(element), Value::List(values)) => {
                let (size, len) = (element.size(), values.len() as u32);
                let address = self.image.allocate(size * len, element.alignment());
                for (number, value) in values.iter().enumerate() {
                    self.store(element, value, address + number as u32 * size);
                }
                self.range(at, address, len);
            }
            (Type::Record(fields), Value::Record(values)) => {
                for ((offset, ty), value) in Type::fields(fields).zip(values) {
                    self.store(ty, value, at + offset);
                }
            }
            (Type::Variant(_, cases), Value::Variant(index, payload)) => {
                let index = if self.errs() { self.random.pick(&[cases.len(), 255, index + 1]) } else { *index };
                self.image.write(at, index as u64, discriminant_size(cases.len()));
                if let (Some(Some(ty)), Some(payload)) = (cases.get(index).map(|case| &case.1), payload)
                    && cases.iter().any(|(_, case)| case.as_ref() == Some(ty))
                    && fits(ty, payload)
                {
                    self.store(ty, payload, at + crate::types::payload_offset(cases));
                }
            }
            _ => unreachable!("a value is of its type"),
        }
    }

    /// The address and the length of a string.
    fn string(&mut self, text: &str) -> (u32, u32) {
        let is_latin = text.chars().all(|c| u32::from(c) < 256);
        let (mut bytes, len, alignment): (Vec<u8>, u32, u32) = match self.encoding {
            Encoding::Utf8 => (text.bytes().collect(), text.len() as u32, 1),
            Encoding::Compact if is_latin && !self.random.once_in(4) => {
                let bytes: Vec<u8> = text.chars().map(|c| c as u8).collect();
                let len = bytes.len() as u32;
                (bytes, len, 2)
            }
            encoding => {
                let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
                let tag = if encoding == Encoding::Compact { 1 << 31 } else { 0 };
                let len = (bytes.len() as u32 / 2) | tag;
                (bytes, len, 2)
            }
        };
        if !bytes.is_empty() && self.errs() {
            let at = self.random.below(bytes.len());
            bytes[at] = self.random.bits() as u8;
        }
        (self.image.add(&bytes, alignment), len)
    }

    /// Writes an address and a length.
    fn range(&mut self, at: u32, address: u32, len: u32) {
        let address = if self.errs() { address + self.random.pick(&[1, 2, 0x0100_0000]) } else { address };
        let len =
            if self.errs() { self.random.pick(&[len + 1, 0x1_0000, 0x1000_0000, 0x7fff_ffff, u32::MAX]) } else { len };
        self.image.write(at, address.into(), 4);
        self.image.write(at + 4, len.into(), 4);
    }
}

/// Whether a value is of a type: a case that was changed may have another one.
fn fits(ty: &Type, value: &Value) -> bool {
    match (ty, value) {
        (Type::String, Value::String(_)) => true,
        (Type::List(element), Value::List(values)) => values.iter().all(|value| fits(element, value)),
        (Type::Record(fields), Value::Record(values)) => {
            fields.len() == values.len() && fields.iter().zip(values).all(|((_, ty), value)| fits(ty, value))
        }
        (Type::Variant(_, cases), Value::Variant(index, payload)) => match (cases.get(*index), payload) {
            (Some((_, Some(ty))), Some(payload)) => fits(ty, payload),
            (Some((_, None)), None) => true,
            _ => false,
        },
        (Type::Bool | Type::Int { .. } | Type::Float { .. } | Type::Char | Type::Flags(_), Value::Bits(_)) => true,
        _ => false,
    }
}
