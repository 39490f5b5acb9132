//! Types of values that go from one component to another, and how the canonical ABI lays them out: size, alignment, and
//! the core types that they flatten to.
//! Source: component model, "Canonical ABI" (`alignment`, `elem_size`, `flatten_type`).

use wasmparser::component_types::{ComponentDefinedType, ComponentValType};
use wasmparser::types::TypesRef;
use wasmparser::{PrimitiveValType, ValType};

/// Parameters of more core values lie in memory.
pub(crate) const MAX_FLAT_PARAMS: usize = 16;

/// A type of values. Records and tuples are one kind, and so are all types with cases.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Type {
    Bool,
    /// An integer of so many bytes. Whether it has a sign makes no difference to its bits.
    Int {
        bytes: u32,
        signed: bool,
    },
    /// A floating-point number of so many bytes.
    Float {
        bytes: u32,
    },
    Char,
    String,
    List(Box<Type>),
    /// Fields with names, which are numbers in a tuple.
    Record(Vec<(String, Type)>),
    /// Cases with names; of an option, `none` and `some`, of a result, `ok` and `error`.
    Variant(Cases, Vec<(String, Option<Type>)>),
    Flags(Vec<String>),
}

/// How a type with cases is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cases {
    Variant,
    Enum,
    Option,
    Result,
}

impl Type {
    /// The type that `wasmparser` has found; which part of it no script can write down, otherwise.
    pub(crate) fn read(types: TypesRef<'_>, ty: ComponentValType) -> Result<Self, String> {
        let id = match ty {
            ComponentValType::Primitive(ty) => return Self::primitive(ty),
            ComponentValType::Type(id) => id,
        };
        let read = |ty: ComponentValType| Self::read(types, ty);
        let payload = |ty: Option<ComponentValType>| ty.map(read).transpose();
        Ok(match &types[id] {
            ComponentDefinedType::Primitive(ty) => return Self::primitive(*ty),
            ComponentDefinedType::Record(record) => {
                let fields = record.fields.iter().map(|(name, ty)| Ok((name.to_string(), read(*ty)?)));
                Self::Record(fields.collect::<Result<_, String>>()?)
            }
            ComponentDefinedType::Tuple(tuple) => Self::tuple(tuple.types.iter().map(|ty| read(*ty)))?,
            ComponentDefinedType::Variant(variant) => {
                let cases = variant.cases.iter().map(|(name, case)| Ok((name.to_string(), payload(case.ty)?)));
                Self::Variant(Cases::Variant, cases.collect::<Result<_, String>>()?)
            }
            ComponentDefinedType::List { element, .. } => Self::List(Box::new(read(*element)?)),
            ComponentDefinedType::Flags(names) => Self::Flags(names.iter().map(ToString::to_string).collect()),
            ComponentDefinedType::Enum(names) => {
                Self::Variant(Cases::Enum, names.iter().map(|name| (name.to_string(), None)).collect())
            }
            ComponentDefinedType::Option { ty, .. } => Self::option(read(*ty)?),
            ComponentDefinedType::Result { ok, err, .. } => Self::result(payload(*ok)?, payload(*err)?),
            ComponentDefinedType::Own(_) | ComponentDefinedType::Borrow(_) => return Err("a handle".to_owned()),
            other => return Err(format!("{other:?}")),
        })
    }

    fn primitive(ty: PrimitiveValType) -> Result<Self, String> {
        use PrimitiveValType::*;
        Ok(match ty {
            Bool => Self::Bool,
            S8 | U8 => Self::Int { bytes: 1, signed: ty == S8 },
            S16 | U16 => Self::Int { bytes: 2, signed: ty == S16 },
            S32 | U32 => Self::Int { bytes: 4, signed: ty == S32 },
            S64 | U64 => Self::Int { bytes: 8, signed: ty == S64 },
            F32 => Self::Float { bytes: 4 },
            F64 => Self::Float { bytes: 8 },
            Char => Self::Char,
            String => Self::String,
            ErrorContext => return Err("an error context".to_owned()),
        })
    }

    /// A tuple of fields.
    pub(crate) fn tuple(types: impl Iterator<Item = Result<Self, String>>) -> Result<Self, String> {
        let fields = types.enumerate().map(|(number, ty)| Ok((number.to_string(), ty?)));
        Ok(Self::Record(fields.collect::<Result<_, String>>()?))
    }

    pub(crate) fn option(some: Self) -> Self {
        Self::Variant(Cases::Option, vec![("none".to_owned(), None), ("some".to_owned(), Some(some))])
    }

    pub(crate) fn result(ok: Option<Self>, error: Option<Self>) -> Self {
        Self::Variant(Cases::Result, vec![("ok".to_owned(), ok), ("error".to_owned(), error)])
    }

    /// In bytes, as is [`Self::size`].
    pub(crate) fn alignment(&self) -> u32 {
        match self {
            Self::Bool => 1,
            Self::Int { bytes, .. } | Self::Float { bytes } => *bytes,
            Self::Char | Self::String | Self::List(_) => 4,
            Self::Record(fields) => fields.iter().map(|(_, ty)| ty.alignment()).max().unwrap_or(1),
            Self::Variant(_, cases) => discriminant_size(cases.len()).max(payload_alignment(cases)),
            Self::Flags(names) => flags_size(names.len()),
        }
    }

    pub(crate) fn size(&self) -> u32 {
        match self {
            Self::Bool => 1,
            Self::Int { bytes, .. } | Self::Float { bytes } => *bytes,
            Self::Char => 4,
            Self::String | Self::List(_) => 8,
            Self::Record(fields) => {
                let end = fields.iter().fold(0, |end, (_, ty)| align(end, ty.alignment()) + ty.size());
                align(end, self.alignment())
            }
            Self::Variant(_, cases) => {
                let payload = cases.iter().flat_map(|(_, ty)| ty).map(Self::size).max().unwrap_or(0);
                align(payload_offset(cases) + payload, self.alignment())
            }
            Self::Flags(names) => flags_size(names.len()),
        }
    }

    /// The core types of a value as parameters or a result.
    pub(crate) fn flat(&self) -> Vec<ValType> {
        match self {
            Self::Bool | Self::Char | Self::Flags(_) => vec![ValType::I32],
            Self::Int { bytes: 8, .. } => vec![ValType::I64],
            Self::Int { .. } => vec![ValType::I32],
            Self::Float { bytes: 8 } => vec![ValType::F64],
            Self::Float { .. } => vec![ValType::F32],
            Self::String | Self::List(_) => vec![ValType::I32; 2],
            Self::Record(fields) => fields.iter().flat_map(|(_, ty)| ty.flat()).collect(),
            Self::Variant(_, cases) => {
                let mut flat = Vec::new();
                for payload in cases.iter().flat_map(|(_, ty)| ty) {
                    for (at, ty) in payload.flat().into_iter().enumerate() {
                        match flat.get_mut(at) {
                            Some(joined) => *joined = join(*joined, ty),
                            None => flat.push(ty),
                        }
                    }
                }
                flat.insert(0, ValType::I32);
                flat
            }
        }
    }

    /// The fields of a record with their offsets.
    pub(crate) fn fields(fields: &[(String, Type)]) -> impl Iterator<Item = (u32, &Type)> {
        fields.iter().scan(0, |end, (_, ty)| {
            let offset = align(*end, ty.alignment());
            *end = offset + ty.size();
            Some((offset, ty))
        })
    }
}

/// A core type that has room for either.
fn join(a: ValType, b: ValType) -> ValType {
    match (a, b) {
        _ if a == b => a,
        (ValType::I32, ValType::F32) | (ValType::F32, ValType::I32) => ValType::I32,
        _ => ValType::I64,
    }
}

pub(crate) fn align(offset: u32, alignment: u32) -> u32 {
    offset.next_multiple_of(alignment)
}

pub(crate) fn discriminant_size(cases: usize) -> u32 {
    match cases {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

fn flags_size(flags: usize) -> u32 {
    match flags {
        0..=8 => 1,
        9..=16 => 2,
        _ => 4,
    }
}

fn payload_alignment(cases: &[(String, Option<Type>)]) -> u32 {
    cases.iter().flat_map(|(_, ty)| ty).map(Type::alignment).max().unwrap_or(1)
}

pub(crate) fn payload_offset(cases: &[(String, Option<Type>)]) -> u32 {
    align(discriminant_size(cases.len()), payload_alignment(cases))
}

/// A function that a component exports.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    /// With their names.
    pub(crate) params: Vec<(String, Type)>,
    pub(crate) result: Option<Type>,
}

impl Signature {
    /// Whether parameters are one address.
    pub(crate) fn has_params_in_memory(&self) -> bool {
        self.flat_params().len() > MAX_FLAT_PARAMS
    }

    /// Whether the result is written to an address that is the last parameter.
    pub(crate) fn has_result_in_memory(&self) -> bool {
        self.result.as_ref().is_some_and(|result| result.flat().len() > 1)
    }

    fn flat_params(&self) -> Vec<ValType> {
        self.params.iter().flat_map(|(_, ty)| ty.flat()).collect()
    }

    /// The function's type once it is lowered, in the text format.
    pub(crate) fn lowered(&self) -> String {
        let mut params = self.flat_params();
        if self.has_params_in_memory() {
            params = vec![ValType::I32];
        }
        let mut result = self.result.as_ref().map_or(Vec::new(), Type::flat);
        if self.has_result_in_memory() {
            params.push(ValType::I32);
            result.clear();
        }
        let words = |types: Vec<ValType>| types.iter().map(|ty| format!(" {ty}")).collect::<String>();
        format!("(param{}) (result{})", words(params), words(result))
    }
}
