//! Function types of a store: equal ones have one number, whichever module or host function they come from.
//!
//! In come types as the host writes them ([`FuncType`]) and as modules list them ([`FuncTypeEntry`]); out come numbers for
//! contexts and [`TypeCode`]s in which references name types by these numbers, so that equality and subtyping are
//! comparisons of integers. A type is looked up by its own lists, in which the types that it refers to stand as their
//! numbers: numbering takes time in proportion to the lists, however deep types are nested.

// ---------------------------------------------------------------------------------------------------------------
// Security: `call_indirect`, `call_ref` and imports rely on equal numbers meaning equal types, and nothing else.
// ---------------------------------------------------------------------------------------------------------------

use core::ptr::{self, NonNull};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use wasmelt_abi::interface::{FuncTypeEntry, MAX_TYPES, TypeCode};

use super::host_func::HostFuncData;
use super::types::{HeapType, RefType, ValType};
use super::{Error, FuncType, Module};
use wasmelt_runtime::rel::slice;

/// The number that stands for the type itself in its own lists. No type of a store gets it.
const ITSELF: u32 = MAX_TYPES - 1;

/// Parameters and results.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Signature {
    pub(super) params: Box<[TypeCode]>,
    pub(super) results: Box<[TypeCode]>,
}

/// What a store knows about a function type.
#[derive(Clone, Debug)]
pub(super) struct TypeEntry {
    pub(super) signature: Arc<Signature>,
    pub(super) public: FuncType,
    /// Code that calls functions of this type, from a module that brings it.
    pub(super) to_wasm: *const u8,
    /// Code that host functions of this type are called through, from a module that brings it.
    pub(super) to_host: *const u8,
}

// SAFETY: the code is read-only, and called by those alone who keep its module.
unsafe impl Send for TypeEntry {}
// SAFETY: as above.
unsafe impl Sync for TypeEntry {}

/// Function types by number.
#[derive(Clone, Debug)]
struct Known {
    numbers: HashMap<Signature, u32>,
    entries: Vec<TypeEntry>,
    /// How many there may be, at most [`ITSELF`].
    maximum: u32,
}

/// All function types of a store.
#[derive(Debug)]
pub(super) struct Types {
    /// Shared with other stores of the same module as long as nothing else is added.
    known: Arc<Known>,
    /// Functions of the host that no code calls yet, with the numbers of their types.
    without_code: Vec<(u32, NonNull<HostFuncData>)>,
}

impl Default for Types {
    fn default() -> Self {
        static NONE: LazyLock<Arc<Known>> =
            LazyLock::new(|| Arc::new(Known { numbers: HashMap::new(), entries: Vec::new(), maximum: ITSELF }));
        Self { known: Arc::clone(&NONE), without_code: Vec::new() }
    }
}

/// What a store knows whose first types are those of a module. Made once for each module.
#[derive(Debug)]
pub(super) struct FirstTypes {
    /// The numbers of the module's types.
    numbers: Arc<[u32]>,
    /// Without the module's code, for stores that do not keep the module yet.
    without_code: Arc<Known>,
    with_code: Arc<Known>,
}

impl FirstTypes {
    /// Those of a module with these types, of which `public` are the same as the host sees them.
    pub(super) fn new(entries: &[FuncTypeEntry], public: &[FuncType]) -> Result<Self, Error> {
        let mut types = Types::default();
        let numbers: Arc<[u32]> = types.number_all(entries, public)?.into();
        let without_code = Arc::clone(&types.known);
        types.add_code(entries, &numbers);
        Ok(Self { numbers, without_code, with_code: types.known })
    }
}

impl Types {
    /// The number of a type; an [`Error::System`] where the store has as many types as there are numbers.
    pub(super) fn number(&mut self, ty: &FuncType) -> Result<u32, Error> {
        // Numbers by the addresses of types: parts are shared, and each is numbered once.
        let (mut numbers, mut pending) = (HashMap::new(), vec![ty]);
        while let Some(&ty) = pending.last() {
            let waiting = pending.len();
            if !numbers.contains_key(&ty.address()) {
                pending.extend(ty.nested().filter(|ty| !numbers.contains_key(&ty.address())));
            }
            // What it refers to comes first.
            if pending.len() > waiting {
                continue;
            }
            pending.pop();
            if !numbers.contains_key(&ty.address()) {
                let codes = |list: &[ValType]| list.iter().map(|ty| code(ty, |ty| numbers[&ty.address()])).collect();
                let signature = Signature { params: codes(ty.params()), results: codes(ty.results()) };
                numbers.insert(ty.address(), self.intern(signature, ty)?);
            }
        }
        Ok(numbers[&ty.address()])
    }

    /// The numbers of a module's types.
    pub(super) fn number_module(&mut self, module: &Module) -> Result<Arc<[u32]>, Error> {
        match module.first_types() {
            Some(first) if self.known.entries.is_empty() => {
                self.known = Arc::clone(&first.without_code);
                Ok(Arc::clone(&first.numbers))
            }
            _ => Ok(self.number_all(slice(&module.interface().types), module.types())?.into()),
        }
    }

    /// Records the code that a module brings for its types, which have these numbers. From now on, who has the types keeps the
    /// module.
    pub(super) fn add_module(&mut self, module: &Module, numbers: &[u32]) {
        match module.first_types() {
            Some(first) if Arc::ptr_eq(&self.known, &first.without_code) => self.known = Arc::clone(&first.with_code),
            _ => self.add_code(slice(&module.interface().types), numbers),
        }
        let Self { known, without_code } = self;
        without_code.retain(|&(number, host)| {
            let code = known.entries[number as usize].to_host;
            if !code.is_null() {
                // SAFETY: the store owns its functions, and no reference to this field is in use.
                unsafe { (*host.as_ptr()).reference.code = code };
            }
            code.is_null()
        });
    }

    /// Records code of types that have these numbers, where there is none.
    fn add_code(&mut self, entries: &[FuncTypeEntry], numbers: &[u32]) {
        for (entry, &number) in entries.iter().zip(numbers) {
            let [to_wasm, to_host] = [&entry.to_wasm, &entry.to_host].map(|code| code.get().unwrap_or(ptr::null()));
            let known = self.entry(number);
            if known.to_wasm.is_null() && !to_wasm.is_null() {
                self.entry_mut(number).to_wasm = to_wasm;
            }
            if self.entry(number).to_host.is_null() && !to_host.is_null() {
                self.entry_mut(number).to_host = to_host;
            }
        }
    }

    /// A function of the host of this type is called by nobody before there is code for that.
    pub(super) fn wants_code(&mut self, number: u32, host: NonNull<HostFuncData>) {
        self.without_code.push((number, host));
    }

    /// The numbers of a module's types, of which `public` are the same as the host sees them.
    ///
    /// A type of the list refers to itself and to types before it only, as was checked when the module was loaded.
    pub(super) fn number_all(&mut self, entries: &[FuncTypeEntry], public: &[FuncType]) -> Result<Box<[u32]>, Error> {
        let mut numbers: Vec<u32> = Vec::with_capacity(entries.len());
        for (entry, public) in entries.iter().zip(public) {
            let number_of = |number| if number == numbers.len() { ITSELF } else { numbers[number] };
            let code = |&code: &TypeCode| match (code.nullability(), code.type_number()) {
                (Some(nullable), Some(number)) => TypeCode::typed_reference(nullable, number_of(number as usize)),
                _ => code,
            };
            let codes = |list| slice(list).iter().map(code).collect();
            let signature = Signature { params: codes(&entry.params), results: codes(&entry.results) };
            numbers.push(self.intern(signature, public)?);
        }
        Ok(numbers.into())
    }

    /// The number of the type with this signature, in which [`ITSELF`] stands for its own number.
    fn intern(&mut self, signature: Signature, public: &FuncType) -> Result<u32, Error> {
        if let Some(&number) = self.known.numbers.get(&signature) {
            return Ok(number);
        }
        let known = Arc::make_mut(&mut self.known);
        let number = known.entries.len() as u32;
        if number >= known.maximum {
            return Err(Error::system(format!("a store has room for {} function types", known.maximum)));
        }
        // The codes in the entry name the type by its number, those in the key cannot know it.
        let named = |codes: &[TypeCode]| -> Box<[TypeCode]> {
            let name = |code: &TypeCode| match (code.nullability(), code.type_number()) {
                (Some(nullable), Some(ITSELF)) => TypeCode::typed_reference(nullable, number),
                _ => *code,
            };
            codes.iter().map(name).collect()
        };
        let entry = TypeEntry {
            signature: Arc::new(Signature { params: named(&signature.params), results: named(&signature.results) }),
            public: public.clone(),
            to_wasm: ptr::null(),
            to_host: ptr::null(),
        };
        known.numbers.insert(signature, number);
        known.entries.push(entry);
        Ok(number)
    }

    /// Functions of the host that wait for code are gone.
    pub(super) fn forget_functions(&mut self) {
        self.without_code.clear();
    }

    /// The type with a number.
    pub(super) fn entry(&self, number: u32) -> &TypeEntry {
        &self.known.entries[number as usize]
    }

    fn entry_mut(&mut self, number: u32) -> &mut TypeEntry {
        &mut Arc::make_mut(&mut self.known).entries[number as usize]
    }

    /// The code of a value type that stands outside function types.
    pub(super) fn code(&mut self, ty: &ValType) -> Result<TypeCode, Error> {
        let number = match ty {
            ValType::Ref(RefType { heap: HeapType::Concrete(ty), .. }) => self.number(ty)?,
            ValType::Ref(RefType { heap: HeapType::Recursive, .. }) => {
                return Err(Error::usage("`HeapType::Recursive` means nothing outside the lists of a function type"));
            }
            _ => 0,
        };
        Ok(code(ty, |_| number))
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

/// The code of a value type, given the numbers of function types. [`HeapType::Recursive`] is [`ITSELF`].
fn code(ty: &ValType, number: impl FnOnce(&FuncType) -> u32) -> TypeCode {
    let ty = match ty {
        ValType::I32 => return TypeCode::I32,
        ValType::I64 => return TypeCode::I64,
        ValType::F32 => return TypeCode::F32,
        ValType::F64 => return TypeCode::F64,
        ValType::V128 => return TypeCode::V128,
        ValType::Ref(ty) => ty,
    };
    let heap = match &ty.heap {
        HeapType::Func => TypeCode::HEAP_FUNC,
        HeapType::Extern => TypeCode::HEAP_EXTERN,
        HeapType::Exn => TypeCode::HEAP_EXN,
        HeapType::NoFunc => TypeCode::HEAP_NOFUNC,
        HeapType::NoExtern => TypeCode::HEAP_NOEXTERN,
        HeapType::NoExn => TypeCode::HEAP_NOEXN,
        HeapType::Concrete(func) => return TypeCode::typed_reference(ty.nullable, number(func)),
        HeapType::Recursive => return TypeCode::typed_reference(ty.nullable, ITSELF),
    };
    TypeCode::reference(ty.nullable, heap)
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
    use super::super::func_type::tests::{nested_type, reference};
    use super::*;
    use wasmelt_abi::rel::refer_slice;

    fn typed(nullable: bool, ty: &FuncType) -> ValType {
        ValType::Ref(RefType { nullable, heap: HeapType::Concrete(ty.clone()) })
    }

    fn itself() -> ValType {
        ValType::Ref(RefType { nullable: true, heap: HeapType::Recursive })
    }

    #[test]
    fn equal_types_have_one_number() {
        let mut types = Types::default();
        let mut number = |ty| types.number(&ty).unwrap();
        let make = || FuncType::new([ValType::I32], [ValType::I64]);
        let first = number(make());
        assert_eq!(number(make()), first);
        assert_ne!(number(FuncType::new([ValType::I64], [ValType::I32])), first);
        let outer = || FuncType::new([typed(true, &make())], []);
        assert_eq!(number(outer()), number(outer()));
        assert_ne!(number(outer()), number(FuncType::new([typed(false, &make())], [])));
    }

    #[test]
    fn a_type_can_refer_to_itself() {
        let mut types = Types::default();
        let make = || FuncType::new([itself()], []);
        let number = types.number(&make()).unwrap();
        assert_eq!(types.number(&make()).unwrap(), number);
        assert_eq!(types.entry(number).signature.params[0], TypeCode::typed_reference(true, number));
        // What refers to it from outside is another type, as is one that refers to that.
        let outer = FuncType::new([reference(&make())], []);
        let outer_number = types.number(&outer).unwrap();
        assert_ne!(outer_number, number);
        assert_ne!(types.number(&FuncType::new([reference(&outer)], [])).unwrap(), outer_number);
        assert!(matches!(types.code(&itself()), Err(Error::Usage(_))));
    }

    #[test]
    fn deep_and_wide_types_are_numbered() {
        const DEPTH: usize = if cfg!(miri) { 500 } else { 20_000 };
        let mut types = Types::default();
        for (depth, width) in [(DEPTH, 1), (1_000, 10)] {
            let before = types.known.entries.len();
            let number = types.number(&nested_type(depth, width, ValType::F32)).unwrap();
            assert_eq!(types.number(&nested_type(depth, width, ValType::F32)).unwrap(), number);
            // Both have the innermost type, and the narrow one has nothing else in common with the wide one.
            assert_eq!(types.known.entries.len(), before + depth + usize::from(before == 0));
        }
    }

    /// The types of a module with their parameters, close enough together for 32-bit distances.
    #[repr(C)]
    struct Entries {
        entries: [FuncTypeEntry; 4],
        params: [[TypeCode; 2]; 4],
    }

    /// Types of a module with these parameters, which name types of the list by their numbers.
    fn entries(params: &[&[TypeCode]]) -> Box<Entries> {
        // SAFETY: all zeros is a value of every field: empty lists.
        let mut all: Box<Entries> = Box::new(unsafe { core::mem::zeroed() });
        let Entries { entries, params: places } = &mut *all;
        for ((entry, place), params) in entries.iter_mut().zip(places).zip(params) {
            place[..params.len()].copy_from_slice(params);
            refer_slice(&mut entry.params, &place[..params.len()]);
        }
        all
    }

    #[test]
    #[cfg_attr(miri, ignore = "references of descriptors are distances, which carry no provenance")]
    fn modules_and_the_host_agree_about_types() {
        let by_number = |number| TypeCode::typed_reference(true, number);
        // In one module the type that refers to itself has number 1, in the other one number 0.
        let first = entries(&[&[TypeCode::I32], &[TypeCode::I64, by_number(1)], &[by_number(0), by_number(1)]]);
        let second = entries(&[
            &[TypeCode::I64, by_number(0)],
            &[TypeCode::I32],
            &[by_number(1), by_number(0)],
            &[by_number(0), by_number(0)],
        ]);
        let int = FuncType::new([ValType::I32], []);
        let recursive = FuncType::new([ValType::I64, itself()], []);
        let both = FuncType::new([reference(&int), reference(&recursive)], []);
        let twice = FuncType::new([reference(&recursive), reference(&recursive)], []);
        let mut types = Types::default();
        let host = [&int, &recursive, &both, &twice].map(|ty| types.number(ty).unwrap());
        let public = [int.clone(), recursive.clone(), both.clone()];
        assert_eq!(*types.number_all(&first.entries, &public).unwrap(), host[..3]);
        let public = [recursive, int, both, twice];
        assert_eq!(*types.number_all(&second.entries, &public).unwrap(), [host[1], host[0], host[2], host[3]]);
        assert_eq!(types.known.entries.len(), 4);
    }

    #[test]
    fn a_store_runs_out_of_numbers_with_an_error() {
        let mut types = Types::default();
        Arc::make_mut(&mut types.known).maximum = 2;
        let ty = |count| FuncType::new(vec![ValType::I32; count], []);
        assert_eq!([0, 1].map(|count| types.number(&ty(count)).unwrap()), [0, 1]);
        assert!(matches!(types.number(&ty(2)), Err(Error::System(_))));
        assert!(types.number(&FuncType::new([reference(&ty(2))], [])).is_err());
        assert_eq!(types.number(&ty(1)).unwrap(), 1);
        assert_eq!(Types::default().known.maximum, ITSELF, "no type has the number that stands for the type itself");
    }

    #[test]
    fn references_are_subtypes_as_specified() {
        let mut types = Types::default();
        let (a, b) = (FuncType::new([], []), FuncType::new([ValType::I32], []));
        let code = |nullable, heap| TypeCode::reference(nullable, heap);
        let a = types.code(&typed(false, &a)).unwrap();
        let b = types.code(&typed(true, &b)).unwrap();
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
