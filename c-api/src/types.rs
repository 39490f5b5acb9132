//! Types as objects of C.

use wasmelt_embed::{
    Error, ExternType, FuncType, GlobalType, HeapType, MemoryType, RefType, Result, TableType, ValType,
};

use super::error::{attempt, need};
use super::vec::{ByteVec, ValTypes};

/// Numbers of kinds, see the headers.
mod kind {
    pub(super) const I32: u8 = 0;
    pub(super) const I64: u8 = 1;
    pub(super) const F32: u8 = 2;
    pub(super) const F64: u8 = 3;
    pub(super) const V128: u8 = 4;
    pub(super) const EXTERNREF: u8 = 128;
    pub(super) const FUNCREF: u8 = 129;
    pub(super) const EXNREF: u8 = 130;
}

/// Stands for the absence of a maximum.
const NO_MAXIMUM: u32 = u32::MAX;

/// The type of a value.
#[derive(Clone)]
pub struct wasm_valtype_t(pub(crate) ValType);

/// The kind that C knows the type by.
pub(crate) fn kind_of(ty: &ValType) -> u8 {
    match ty {
        ValType::I32 => kind::I32,
        ValType::I64 => kind::I64,
        ValType::F32 => kind::F32,
        ValType::F64 => kind::F64,
        ValType::V128 => kind::V128,
        ValType::Ref(RefType { heap: HeapType::Extern | HeapType::NoExtern, .. }) => kind::EXTERNREF,
        ValType::Ref(RefType { heap: HeapType::Exn | HeapType::NoExn, .. }) => kind::EXNREF,
        ValType::Ref(_) => kind::FUNCREF,
    }
}

/// The most general type of a kind.
pub(crate) fn type_of(number: u8) -> Result<ValType> {
    Ok(match number {
        kind::I32 => ValType::I32,
        kind::I64 => ValType::I64,
        kind::F32 => ValType::F32,
        kind::F64 => ValType::F64,
        kind::V128 => ValType::V128,
        kind::EXTERNREF => ValType::EXTERNREF,
        kind::FUNCREF => ValType::FUNCREF,
        kind::EXNREF => ValType::EXNREF,
        _ => return Err(Error::Usage(format!("{number} is not the kind of a value"))),
    })
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct wasm_limits_t {
    min: u32,
    max: u32,
}

impl wasm_limits_t {
    fn of(minimum: u64, maximum: Option<u64>) -> Self {
        let word = |value: u64| u32::try_from(value).unwrap_or(NO_MAXIMUM);
        Self { min: word(minimum), max: maximum.map_or(NO_MAXIMUM, word) }
    }

    fn maximum(self) -> Option<u64> {
        (self.max != NO_MAXIMUM).then_some(self.max.into())
    }
}

/// The type of an import or export: of any kind, so that C can see it as one of its own kind or as this.
#[derive(Clone)]
pub enum wasm_externtype_t {
    Func { ty: FuncType, params: ValTypes, results: ValTypes },
    Global { ty: GlobalType, content: Box<wasm_valtype_t> },
    Table { ty: TableType, element: Box<wasm_valtype_t>, limits: wasm_limits_t },
    Memory { ty: MemoryType, limits: wasm_limits_t },
    Tag(Box<wasm_externtype_t>),
}

impl From<ExternType> for wasm_externtype_t {
    fn from(ty: ExternType) -> Self {
        match ty {
            ExternType::Func(ty) => Self::of_func(ty),
            ExternType::Global(ty) => Self::Global { content: Box::new(wasm_valtype_t(ty.content.clone())), ty },
            ExternType::Table(ty) => Self::Table {
                element: Box::new(wasm_valtype_t(ValType::Ref(ty.element.clone()))),
                limits: wasm_limits_t::of(ty.minimum, ty.maximum),
                ty,
            },
            ExternType::Memory(ty) => Self::Memory { limits: wasm_limits_t::of(ty.minimum, ty.maximum), ty },
            ExternType::Tag(ty) => Self::Tag(Box::new(Self::of_func(ty))),
        }
    }
}

impl wasm_externtype_t {
    fn of_func(ty: FuncType) -> Self {
        let list = |types: &[ValType]| types.iter().map(|ty| Some(Box::new(wasm_valtype_t(ty.clone())))).collect();
        Self::Func { params: list(ty.params()), results: list(ty.results()), ty }
    }

    /// The number of its kind.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Self::Func { .. } => 0,
            Self::Global { .. } => 1,
            Self::Table { .. } => 2,
            Self::Memory { .. } => 3,
            Self::Tag(_) => 4,
        }
    }

    pub(crate) fn func(&self) -> Result<&FuncType> {
        match self {
            Self::Func { ty, .. } => Ok(ty),
            _ => Err(Error::Usage("the type is not one of functions".to_owned())),
        }
    }
}

/// The types in a vector that was given away.
fn take_types(list: Option<&mut ValTypes>, what: &str) -> Result<Vec<ValType>> {
    let types = list.map(super::vec::Vector::take).unwrap_or_default();
    types.into_iter().map(|ty| need(ty, what).map(|ty| ty.0)).collect()
}

/// What each kind of type has, and how C sees it as the type of an external and back.
macro_rules! external_types {
    ($($name:literal $number:literal)*) => {
        $(const _: () = {
            type Borrowed<'a> = Option<&'a wasm_externtype_t>;

            #[unsafe(export_name = concat!("wasm_", $name, "_delete"))]
            pub extern "C" fn delete(ty: Option<Box<wasm_externtype_t>>) {
                drop(ty);
            }

            #[unsafe(export_name = concat!("wasm_", $name, "_copy"))]
            pub extern "C" fn copy(ty: Borrowed<'_>) -> Option<Box<wasm_externtype_t>> {
                ty.cloned().map(Box::new)
            }

            #[unsafe(export_name = concat!("wasm_", $name, "_as_externtype"))]
            pub extern "C" fn widen(ty: Borrowed<'_>) -> Borrowed<'_> {
                ty
            }

            #[unsafe(export_name = concat!("wasm_", $name, "_as_externtype_const"))]
            pub extern "C" fn widen_const(ty: Borrowed<'_>) -> Borrowed<'_> {
                ty
            }

            #[unsafe(export_name = concat!("wasm_externtype_as_", $name))]
            pub extern "C" fn narrow(ty: Borrowed<'_>) -> Borrowed<'_> {
                ty.filter(|ty| ty.kind() == $number)
            }

            #[unsafe(export_name = concat!("wasm_externtype_as_", $name, "_const"))]
            pub extern "C" fn narrow_const(ty: Borrowed<'_>) -> Borrowed<'_> {
                ty.filter(|ty| ty.kind() == $number)
            }
        };)*
    };
}

external_types! { "functype" 0 "globaltype" 1 "tabletype" 2 "memorytype" 3 "tagtype" 4 }

/// Deleting and copying of the other kinds.
macro_rules! other_types {
    ($($name:literal $ty:ty;)*) => {
        $(const _: () = {
            #[unsafe(export_name = concat!("wasm_", $name, "_delete"))]
            pub extern "C" fn delete(ty: Option<Box<$ty>>) {
                drop(ty);
            }

            #[unsafe(export_name = concat!("wasm_", $name, "_copy"))]
            pub extern "C" fn copy(ty: Option<&$ty>) -> Option<Box<$ty>> {
                ty.cloned().map(Box::new)
            }
        };)*
    };
}

other_types! {
    "externtype" wasm_externtype_t;
    "valtype" wasm_valtype_t;
    "importtype" wasm_importtype_t;
    "exporttype" wasm_exporttype_t;
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_externtype_kind(ty: Option<&wasm_externtype_t>) -> u8 {
    ty.map_or(0, wasm_externtype_t::kind)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_valtype_new(kind: u8) -> Option<Box<wasm_valtype_t>> {
    attempt(|| Ok(Box::new(wasm_valtype_t(type_of(kind)?))))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_valtype_kind(ty: Option<&wasm_valtype_t>) -> u8 {
    ty.map_or(0, |ty| kind_of(&ty.0))
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_functype_new(
    params: Option<&mut ValTypes>,
    results: Option<&mut ValTypes>,
) -> Option<Box<wasm_externtype_t>> {
    attempt(|| {
        // Both are taken, whatever is wrong with one of them.
        let (params, results) =
            (take_types(params, "the type of a parameter"), take_types(results, "the type of a result"));
        Ok(Box::new(wasm_externtype_t::of_func(FuncType::new(params?, results?))))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_functype_params(ty: Option<&wasm_externtype_t>) -> Option<&ValTypes> {
    match ty? {
        wasm_externtype_t::Func { params, .. } => Some(params),
        _ => None,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_functype_results(ty: Option<&wasm_externtype_t>) -> Option<&ValTypes> {
    match ty? {
        wasm_externtype_t::Func { results, .. } => Some(results),
        _ => None,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_globaltype_new(
    content: Option<Box<wasm_valtype_t>>,
    mutability: u8,
) -> Option<Box<wasm_externtype_t>> {
    attempt(|| {
        let content = need(content, "the type of the value")?.0;
        Ok(Box::new(ExternType::Global(GlobalType { content, mutable: mutability != 0 }).into()))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_globaltype_content(ty: Option<&wasm_externtype_t>) -> Option<&wasm_valtype_t> {
    match ty? {
        wasm_externtype_t::Global { content, .. } => Some(content),
        _ => None,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_globaltype_mutability(ty: Option<&wasm_externtype_t>) -> u8 {
    matches!(ty, Some(wasm_externtype_t::Global { ty: GlobalType { mutable: true, .. }, .. })).into()
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_tabletype_new(
    element: Option<Box<wasm_valtype_t>>,
    limits: Option<&wasm_limits_t>,
) -> Option<Box<wasm_externtype_t>> {
    attempt(|| {
        let limits = need(limits, "the limits")?;
        let ValType::Ref(element) = need(element, "the type of the elements")?.0 else {
            return Err(Error::Usage("the elements of a table are references".to_owned()));
        };
        Ok(Box::new(ExternType::Table(TableType::new(element, limits.min.into(), limits.maximum())).into()))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_tabletype_element(ty: Option<&wasm_externtype_t>) -> Option<&wasm_valtype_t> {
    match ty? {
        wasm_externtype_t::Table { element, .. } => Some(element),
        _ => None,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_tabletype_limits(ty: Option<&wasm_externtype_t>) -> Option<&wasm_limits_t> {
    match ty? {
        wasm_externtype_t::Table { limits, .. } => Some(limits),
        _ => None,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_memorytype_new(limits: Option<&wasm_limits_t>) -> Option<Box<wasm_externtype_t>> {
    attempt(|| {
        let limits = need(limits, "the limits")?;
        Ok(Box::new(ExternType::Memory(MemoryType::new(limits.min.into(), limits.maximum())).into()))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_memorytype_limits(ty: Option<&wasm_externtype_t>) -> Option<&wasm_limits_t> {
    match ty? {
        wasm_externtype_t::Memory { limits, .. } => Some(limits),
        _ => None,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_tagtype_new(ty: Option<Box<wasm_externtype_t>>) -> Option<Box<wasm_externtype_t>> {
    attempt(|| {
        let ty = need(ty, "the function type")?;
        ty.func()?;
        Ok(Box::new(wasm_externtype_t::Tag(ty)))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_tagtype_functype(ty: Option<&wasm_externtype_t>) -> Option<&wasm_externtype_t> {
    match ty? {
        wasm_externtype_t::Tag(ty) => Some(ty),
        _ => None,
    }
}

/// An import of a module.
#[derive(Clone)]
pub struct wasm_importtype_t {
    pub(crate) module: ByteVec,
    pub(crate) name: ByteVec,
    pub(crate) ty: Box<wasm_externtype_t>,
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_importtype_new(
    module: Option<&mut ByteVec>,
    name: Option<&mut ByteVec>,
    ty: Option<Box<wasm_externtype_t>>,
) -> Option<Box<wasm_importtype_t>> {
    attempt(|| {
        let (module, name) = (module.map(super::vec::Vector::take), name.map(super::vec::Vector::take));
        let (module, name) = (need(module, "the name of the module")?.into(), need(name, "the name")?.into());
        Ok(Box::new(wasm_importtype_t { module, name, ty: need(ty, "the type")? }))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_importtype_module(import: Option<&wasm_importtype_t>) -> Option<&ByteVec> {
    Some(&import?.module)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_importtype_name(import: Option<&wasm_importtype_t>) -> Option<&ByteVec> {
    Some(&import?.name)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_importtype_type(import: Option<&wasm_importtype_t>) -> Option<&wasm_externtype_t> {
    Some(&import?.ty)
}

/// An export of a module.
#[derive(Clone)]
pub struct wasm_exporttype_t {
    pub(crate) name: ByteVec,
    pub(crate) ty: Box<wasm_externtype_t>,
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_exporttype_new(
    name: Option<&mut ByteVec>,
    ty: Option<Box<wasm_externtype_t>>,
) -> Option<Box<wasm_exporttype_t>> {
    attempt(|| {
        let name = need(name.map(super::vec::Vector::take), "the name")?.into();
        Ok(Box::new(wasm_exporttype_t { name, ty: need(ty, "the type")? }))
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_exporttype_name(export: Option<&wasm_exporttype_t>) -> Option<&ByteVec> {
    Some(&export?.name)
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_exporttype_type(export: Option<&wasm_exporttype_t>) -> Option<&wasm_externtype_t> {
    Some(&export?.ty)
}
