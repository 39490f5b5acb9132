//! Function types of a store: equal ones have one number, whichever module or host function they come from.
//!
//! In come types as the host writes them ([`FuncType`]); out come numbers for contexts and [`TypeCode`]s in which
//! references name types by these numbers, so that equality and subtyping are comparisons of integers.

// ---------------------------------------------------------------------------------------------------------------
// Security: `call_indirect`, `call_ref` and imports rely on equal numbers meaning equal types, and nothing else.
// ---------------------------------------------------------------------------------------------------------------

use core::ptr;
use std::collections::HashMap;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use wasmelt_abi::interface::{MAX_TYPES, TypeCode};

use super::types::{FuncType, HeapType, RefType, ValType};

/// The number that stands for the type itself in its own lists.
const ITSELF: u32 = MAX_TYPES - 1;

/// Parameters and results.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Signature {
    pub(super) params: Box<[TypeCode]>,
    pub(super) results: Box<[TypeCode]>,
}

/// What a store knows about a function type.
#[derive(Debug)]
pub(super) struct TypeEntry {
    pub(super) signature: Arc<Signature>,
    pub(super) public: FuncType,
    /// Code that calls functions of this type, from a module that brings it.
    pub(super) to_wasm: *const u8,
    /// Code that host functions of this type are called through, from a module that brings it.
    pub(super) to_host: *const u8,
}

/// All function types of a store, by number.
#[derive(Debug, Default)]
pub(super) struct Types {
    numbers: HashMap<Signature, u32>,
    entries: Vec<TypeEntry>,
}

impl Types {
    /// The number of a type.
    pub(super) fn number(&mut self, ty: &FuncType) -> u32 {
        let lists = [ty.params(), ty.results()].map(|list| list.iter().map(|ty| self.code(ty)).collect());
        let [params, results] = lists;
        let signature = Signature { params, results };
        if let Some(&number) = self.numbers.get(&signature) {
            return number;
        }
        let number = self.entries.len() as u32;
        self.numbers.insert(signature.clone(), number);
        // The codes in the entry name the type by its number, those in the key do not know it yet.
        let named = |codes: Box<[TypeCode]>| -> Box<[TypeCode]> {
            let name = |code: &TypeCode| match (code.nullability(), code.type_number()) {
                (Some(nullable), Some(ITSELF)) => TypeCode::typed_reference(nullable, number),
                _ => *code,
            };
            codes.iter().map(name).collect()
        };
        let signature = Signature { params: named(signature.params), results: named(signature.results) };
        let entry = TypeEntry {
            signature: Arc::new(signature),
            public: ty.clone(),
            to_wasm: ptr::null(),
            to_host: ptr::null(),
        };
        self.entries.push(entry);
        number
    }

    /// The type with a number.
    pub(super) fn entry(&self, number: u32) -> &TypeEntry {
        &self.entries[number as usize]
    }

    pub(super) fn entry_mut(&mut self, number: u32) -> &mut TypeEntry {
        &mut self.entries[number as usize]
    }

    /// The code of a value type.
    pub(super) fn code(&mut self, ty: &ValType) -> TypeCode {
        match ty {
            ValType::I32 => TypeCode::I32,
            ValType::I64 => TypeCode::I64,
            ValType::F32 => TypeCode::F32,
            ValType::F64 => TypeCode::F64,
            ValType::V128 => TypeCode::V128,
            ValType::Ref(ty) => self.ref_code(ty),
        }
    }

    /// The code of a reference type.
    pub(super) fn ref_code(&mut self, ty: &RefType) -> TypeCode {
        let heap = match &ty.heap {
            HeapType::Func => TypeCode::HEAP_FUNC,
            HeapType::Extern => TypeCode::HEAP_EXTERN,
            HeapType::Exn => TypeCode::HEAP_EXN,
            HeapType::NoFunc => TypeCode::HEAP_NOFUNC,
            HeapType::NoExtern => TypeCode::HEAP_NOEXTERN,
            HeapType::NoExn => TypeCode::HEAP_NOEXN,
            HeapType::Concrete(func) => return TypeCode::typed_reference(ty.nullable, self.number(func)),
            HeapType::Recursive => return TypeCode::typed_reference(ty.nullable, ITSELF),
        };
        TypeCode::reference(ty.nullable, heap)
    }

    /// The value type of a code.
    pub(super) fn val_type(&self, code: TypeCode) -> ValType {
        val_type(code, |number| HeapType::Concrete(self.entry(number).public.clone()))
    }

    /// The reference type of a code that is one.
    pub(super) fn ref_type(&self, code: TypeCode) -> RefType {
        match self.val_type(code) {
            ValType::Ref(ty) => ty,
            _ => RefType::FUNCREF,
        }
    }
}

/// The value type of a code whose type numbers mean what `concrete` says.
pub(super) fn val_type(code: TypeCode, concrete: impl FnOnce(u32) -> HeapType) -> ValType {
    let Some(nullable) = code.nullability() else {
        return match code {
            TypeCode::I64 => ValType::I64,
            TypeCode::F32 => ValType::F32,
            TypeCode::F64 => ValType::F64,
            TypeCode::V128 => ValType::V128,
            _ => ValType::I32,
        };
    };
    let heap = match (code.type_number(), code.heap()) {
        (Some(number), _) => concrete(number),
        (None, TypeCode::HEAP_EXTERN) => HeapType::Extern,
        (None, TypeCode::HEAP_EXN) => HeapType::Exn,
        (None, TypeCode::HEAP_NOFUNC) => HeapType::NoFunc,
        (None, TypeCode::HEAP_NOEXTERN) => HeapType::NoExtern,
        (None, TypeCode::HEAP_NOEXN) => HeapType::NoExn,
        (None, _) => HeapType::Func,
    };
    ValType::Ref(RefType { nullable, heap })
}

/// Whether values of one type are values of another.
pub(super) fn is_subtype(sub: TypeCode, of: TypeCode) -> bool {
    let (Some(sub_null), Some(of_null)) = (sub.nullability(), of.nullability()) else { return sub == of };
    let heap = match (sub.heap(), of.heap()) {
        (sub, of) if sub == of => true,
        (TypeCode::HEAP_NOFUNC, TypeCode::HEAP_FUNC) => true,
        (TypeCode::HEAP_NOEXTERN, TypeCode::HEAP_EXTERN) => true,
        (TypeCode::HEAP_NOEXN, TypeCode::HEAP_EXN) => true,
        (TypeCode::HEAP_NOFUNC, _) => of.type_number().is_some(),
        (_, TypeCode::HEAP_FUNC) => sub.type_number().is_some(),
        _ => false,
    };
    heap && (of_null || !sub_null)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(nullable: bool, ty: &FuncType) -> ValType {
        ValType::Ref(RefType { nullable, heap: HeapType::Concrete(ty.clone()) })
    }

    #[test]
    fn equal_types_have_one_number() {
        let mut types = Types::default();
        let make = || FuncType::new([ValType::I32], [ValType::I64]);
        let first = types.number(&make());
        assert_eq!(types.number(&make()), first);
        assert_ne!(types.number(&FuncType::new([ValType::I64], [ValType::I32])), first);
        let outer = || FuncType::new([typed(true, &make())], []);
        assert_eq!(types.number(&outer()), types.number(&outer()));
        assert_ne!(types.number(&outer()), types.number(&FuncType::new([typed(false, &make())], [])));
    }

    #[test]
    fn a_type_can_refer_to_itself() {
        let mut types = Types::default();
        let itself = ValType::Ref(RefType { nullable: true, heap: HeapType::Recursive });
        let make = || FuncType::new([itself.clone()], []);
        let number = types.number(&make());
        assert_eq!(types.number(&make()), number);
        assert_eq!(types.entry(number).signature.params[0], TypeCode::typed_reference(true, number));
    }

    #[test]
    fn references_are_subtypes_as_specified() {
        let mut types = Types::default();
        let (a, b) = (FuncType::new([], []), FuncType::new([ValType::I32], []));
        let code = |nullable, heap| TypeCode::reference(nullable, heap);
        let a = types.code(&typed(false, &a));
        let b = types.code(&typed(true, &b));
        let func = |nullable| code(nullable, TypeCode::HEAP_FUNC);
        assert!(is_subtype(a, a) && is_subtype(a, func(false)) && is_subtype(a, func(true)));
        assert!(is_subtype(b, func(true)) && !is_subtype(b, func(false)));
        assert!(!is_subtype(a, b) && !is_subtype(func(true), b));
        assert!(is_subtype(code(true, TypeCode::HEAP_NOFUNC), b) && !is_subtype(code(true, TypeCode::HEAP_NOFUNC), a));
        assert!(is_subtype(code(false, TypeCode::HEAP_NOEXTERN), code(true, TypeCode::HEAP_EXTERN)));
        assert!(!is_subtype(func(true), code(true, TypeCode::HEAP_EXTERN)));
        assert!(is_subtype(TypeCode::I32, TypeCode::I32) && !is_subtype(TypeCode::I32, TypeCode::I64));
    }
}
