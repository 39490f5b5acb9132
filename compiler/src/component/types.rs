//! Types of a component's functions, as host programs get them.

use wasmelt_plan::{self as plan, FuncType, Type};
use wasmtime_environ::component::{InterfaceType, TypeFuncIndex};

use super::flatten::Reader;
use super::{ImportName, ResourceType, unsupported};
use crate::error::Result;

impl Reader<'_> {
    /// The type of a function.
    pub(super) fn func_type(&self, ty: TypeFuncIndex) -> Result<FuncType> {
        let ty = &self.types[ty];
        let params = ty.param_names.iter().zip(&self.types[ty.params].types);
        let params = params.map(|(name, ty)| Ok((name.clone(), self.value_type(ty)?))).collect::<Result<_>>()?;
        let result = self.types[ty.results].types.first().map(|ty| self.value_type(ty)).transpose()?;
        Ok(FuncType { params, result })
    }

    fn value_type(&self, ty: &InterfaceType) -> Result<Type> {
        let boxed = |ty: &InterfaceType| self.value_type(ty).map(Box::new);
        let optional = |ty: &Option<InterfaceType>| ty.as_ref().map(|ty| self.value_type(ty)).transpose();
        Ok(match ty {
            InterfaceType::Bool => Type::Bool,
            InterfaceType::S8 => Type::S8,
            InterfaceType::U8 => Type::U8,
            InterfaceType::S16 => Type::S16,
            InterfaceType::U16 => Type::U16,
            InterfaceType::S32 => Type::S32,
            InterfaceType::U32 => Type::U32,
            InterfaceType::S64 => Type::S64,
            InterfaceType::U64 => Type::U64,
            InterfaceType::Float32 => Type::F32,
            InterfaceType::Float64 => Type::F64,
            InterfaceType::Char => Type::Char,
            InterfaceType::String => Type::String,
            InterfaceType::List(index) => Type::List(boxed(&self.types[*index].element)?),
            InterfaceType::Record(index) => {
                let fields = self.types[*index].fields.iter();
                Type::Record(
                    fields.map(|field| Ok((field.name.clone(), self.value_type(&field.ty)?))).collect::<Result<_>>()?,
                )
            }
            InterfaceType::Tuple(index) => {
                let types = self.types[*index].types.iter();
                Type::Tuple(types.map(|ty| self.value_type(ty)).collect::<Result<_>>()?)
            }
            InterfaceType::Variant(index) => {
                let cases = self.types[*index].cases.iter();
                Type::Variant(cases.map(|(name, ty)| Ok((name.clone(), optional(ty)?))).collect::<Result<_>>()?)
            }
            InterfaceType::Enum(index) => Type::Enum(self.types[*index].names.iter().cloned().collect()),
            InterfaceType::Flags(index) => Type::Flags(self.types[*index].names.iter().cloned().collect()),
            InterfaceType::Option(index) => Type::Option(boxed(&self.types[*index].ty)?),
            InterfaceType::Result(index) => {
                let ty = &self.types[*index];
                Type::Result(optional(&ty.ok)?.map(Box::new), optional(&ty.err)?.map(Box::new))
            }
            InterfaceType::Own(table) => Type::Own(self.planned_resource(*table)?),
            InterfaceType::Borrow(table) => Type::Borrow(self.planned_resource(*table)?),
            other => return Err(unsupported(&format!("values of the type {other:?} between host and component"))),
        })
    }

    fn planned_resource(
        &self,
        table: wasmtime_environ::component::TypeResourceTableIndex,
    ) -> Result<plan::ResourceType> {
        Ok(match self.resource_type(table)? {
            ResourceType::Own(number) => plan::ResourceType::Own(number),
            ResourceType::Imported(ImportName { interface, name }) => plan::ResourceType::Imported(interface, name),
        })
    }
}
