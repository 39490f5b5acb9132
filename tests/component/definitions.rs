//! Types of values and functions, defined in a component that is being built.

use wasm_encoder::{
    ComponentBuilder, ComponentExportKind, ComponentTypeRef, ComponentValType, PrimitiveValType, TypeBounds,
};

use crate::driver::type_name;
use crate::types::{Cases, Signature, Type};

/// How types get names that must have one in what is imported or exported: records, variants, enums and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    None,
    Imported,
    Exported,
}

/// Defines types.
pub(crate) struct Definitions<'b> {
    component: &'b mut ComponentBuilder,
    naming: Naming,
    /// The indices of these types, in order.
    pub(crate) named: Vec<u32>,
}

impl<'b> Definitions<'b> {
    pub(crate) fn new(component: &'b mut ComponentBuilder, naming: Naming) -> Self {
        Self { component, naming, named: Vec::new() }
    }

    /// Imports a function; its index.
    pub(crate) fn import(&mut self, name: &str, signature: &Signature) -> u32 {
        let ty = self.function(signature);
        self.component.import(name, ComponentTypeRef::Func(ty))
    }

    /// The index of the type of a function.
    pub(crate) fn function(&mut self, signature: &Signature) -> u32 {
        let params = signature.params.iter().map(|(name, ty)| (name.as_str(), self.value(ty)));
        let params: Vec<_> = params.collect();
        let result = signature.result.as_ref().map(|ty| self.value(ty));
        let (ty, mut encoder) = self.component.type_function(None);
        encoder.params(params).result(result);
        ty
    }

    fn value(&mut self, ty: &Type) -> ComponentValType {
        use PrimitiveValType::*;
        let primitive = match ty {
            Type::Bool => Bool,
            Type::Int { bytes: 1, signed } => [U8, S8][usize::from(*signed)],
            Type::Int { bytes: 2, signed } => [U16, S16][usize::from(*signed)],
            Type::Int { bytes: 4, signed } => [U32, S32][usize::from(*signed)],
            Type::Int { signed, .. } => [U64, S64][usize::from(*signed)],
            Type::Float { bytes: 4 } => F32,
            Type::Float { .. } => F64,
            Type::Char => Char,
            Type::String => String,
            _ => return ComponentValType::Type(self.compound(ty)),
        };
        ComponentValType::Primitive(primitive)
    }

    fn compound(&mut self, ty: &Type) -> u32 {
        match ty {
            Type::List(element) => {
                let element = self.value(element);
                let (index, encoder) = self.component.type_defined(None);
                encoder.list(element);
                index
            }
            Type::Record(fields) => self.record(fields),
            Type::Variant(kind, cases) => self.variant(*kind, cases),
            Type::Flags(names) => {
                let (index, encoder) = self.component.type_defined(None);
                encoder.flags(names.iter().map(String::as_str));
                self.name(index)
            }
            _ => unreachable!("a type that consists of others"),
        }
    }

    fn record(&mut self, fields: &[(String, Type)]) -> u32 {
        let values: Vec<_> = fields.iter().map(|(name, ty)| (name.as_str(), self.value(ty))).collect();
        let is_tuple = fields.iter().any(|(name, _)| name.starts_with(|c: char| c.is_ascii_digit()));
        let (index, encoder) = self.component.type_defined(None);
        match is_tuple {
            true => encoder.tuple(values.into_iter().map(|(_, ty)| ty)),
            false => encoder.record(values),
        }
        if is_tuple { index } else { self.name(index) }
    }

    fn variant(&mut self, kind: Cases, cases: &[(String, Option<Type>)]) -> u32 {
        let payloads: Vec<_> = cases.iter().map(|(_, ty)| ty.as_ref().map(|ty| self.value(ty))).collect();
        let names = cases.iter().map(|(name, _)| name.as_str());
        let (index, encoder) = self.component.type_defined(None);
        match kind {
            Cases::Option => encoder.option(payloads[1].expect("`some` has a payload")),
            Cases::Result => encoder.result(payloads[0], payloads[1]),
            Cases::Enum => encoder.enum_type(names.collect::<Vec<_>>()),
            Cases::Variant => encoder.variant(names.zip(payloads).collect::<Vec<_>>()),
        }
        if matches!(kind, Cases::Option | Cases::Result) { index } else { self.name(index) }
    }

    /// The index of a type that must have a name.
    fn name(&mut self, index: u32) -> u32 {
        let name = type_name(self.named.len());
        let index = match self.naming {
            Naming::None => index,
            Naming::Imported => self.component.import(name.as_str(), ComponentTypeRef::Type(TypeBounds::Eq(index))),
            Naming::Exported => self.component.export(name.as_str(), ComponentExportKind::Type, index, None),
        };
        self.named.push(index);
        index
    }
}
