//! What a library (the `Many` shape) imports and exports, with types, for the runtime that instantiates it.
//!
//! An instance of a library has one context ([`crate::context`]) whose tail holds, at the offsets that are given here,
//! what is imported and what others may import. Indices count as in the module, imported entities first; tables that
//! nothing outside can reach and nothing changes are left out.

use crate::record::{Form, Record, RelOf, SliceOf, record};

/// A value type as 32 bits: the kind in the low byte, and for references the heap type above it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeCode(pub u32);

impl<F: Form> Record<F> for TypeCode {
    type Placed = Self;

    fn write(&self, at: usize, sink: &mut F::Sink) {
        Record::<F>::write(&self.0, at, sink);
    }
}

/// Kinds of [`TypeCode`]s and heap types, by their bytes in the binary format.
/// Source: specification, binary/types.html#value-types.
#[allow(missing_docs, reason = "names are those of the specification")]
impl TypeCode {
    pub const I32: Self = Self(0x7f);
    pub const I64: Self = Self(0x7e);
    pub const F32: Self = Self(0x7d);
    pub const F64: Self = Self(0x7c);
    pub const V128: Self = Self(0x7b);

    pub const HEAP_FUNC: u32 = 0x70;
    pub const HEAP_EXTERN: u32 = 0x6f;
    pub const HEAP_EXN: u32 = 0x69;
    pub const HEAP_NOFUNC: u32 = 0x73;
    pub const HEAP_NOEXTERN: u32 = 0x72;
    pub const HEAP_NOEXN: u32 = 0x74;

    const NULLABLE: u32 = 0x63;
    const NON_NULLABLE: u32 = 0x64;
    /// Heap types from here on are numbers of function types.
    const FIRST_CONCRETE: u32 = 0x100;

    /// A reference to an abstract heap type, one of the `HEAP_` constants.
    pub const fn reference(nullable: bool, heap: u32) -> Self {
        // A heap type that is shifted out of the word would be another one, or none.
        assert!(heap < Self::FIRST_CONCRETE + MAX_TYPES, "a heap type has 24 bits");
        Self((if nullable { Self::NULLABLE } else { Self::NON_NULLABLE }) | heap << 8)
    }

    /// A reference to functions of a type, by its number.
    pub const fn typed_reference(nullable: bool, type_number: u32) -> Self {
        Self::reference(nullable, Self::FIRST_CONCRETE + type_number)
    }

    /// Whether it is a reference type, and whether null belongs to it.
    pub const fn nullability(self) -> Option<bool> {
        match self.0 & 0xff {
            Self::NULLABLE => Some(true),
            Self::NON_NULLABLE => Some(false),
            _ => None,
        }
    }

    /// The heap type of a reference: an abstract one, or [`Self::type_number`].
    pub const fn heap(self) -> u32 {
        self.0 >> 8
    }

    /// The number of the function type that a reference names.
    pub const fn type_number(self) -> Option<u32> {
        match self.nullability() {
            Some(_) => self.heap().checked_sub(Self::FIRST_CONCRETE),
            None => None,
        }
    }
}

/// Number of function types that a library may have: what a [`TypeCode`] has room for.
pub const MAX_TYPES: u32 = (1 << 24) - 0x100;

/// What is imported or exported.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "variants are the specification's external kinds")]
pub enum Kind {
    Func = 0,
    Table = 1,
    Memory = 2,
    Global = 3,
    Tag = 4,
}

impl Kind {
    /// The kind with this number.
    pub const fn from_u32(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Func,
            1 => Self::Table,
            2 => Self::Memory,
            3 => Self::Global,
            4 => Self::Tag,
            _ => return None,
        })
    }
}

record! {
    /// A function type of the module, at the index that is its number. Equal types have one number. A type refers to itself
    /// and to types with smaller numbers.
    #[derive(Debug)]
    pub struct FuncTypeEntry<F> {
        /// Parameter types; type numbers in them are those of this list.
        pub params: SliceOf<F, TypeCode>,
        /// Result types.
        pub results: SliceOf<F, TypeCode>,
        /// `unsafe extern "C" fn(vmctx: *mut u8, code: *const u8, values: *mut [u64; 2])`: calls a function of this type,
        /// by its [`crate::context::FuncRef`]'s fields, with arguments from `values`, where the results go as well, 16 bytes
        /// each. None where no function of this type can leave the module.
        pub to_wasm: RelOf<F, u8>,
        /// The code that [`crate::context::FuncRef::code`] refers to for a host function of this type: it calls
        /// [`crate::context::HostFunc::entry`]. None where no function of this type is imported.
        pub to_host: RelOf<F, u8>,
    }
}

record! {
    /// An import.
    #[derive(Debug)]
    pub struct ImportEntry<F> {
        /// Module name.
        pub module: SliceOf<F, u8>,
        /// Field name.
        pub name: SliceOf<F, u8>,
        /// A [`Kind`].
        pub kind: u32,
        /// Index in the list of its kind.
        pub index: u32,
    }
}

record! {
    /// An export.
    #[derive(Debug)]
    pub struct ExportEntry<F> {
        /// Its name.
        pub name: SliceOf<F, u8>,
        /// A [`Kind`].
        pub kind: u32,
        /// Index in the list of its kind.
        pub index: u32,
    }
}

record! {
    /// A function that has a [`crate::context::FuncRef`] in the context: imported, exported, or referred to.
    #[derive(Clone, Copy, Debug)]
    pub struct FuncPlan {
        /// Offset of its entry from [`crate::code::Code::text`] in bytes; 0 for an imported one.
        pub code_offset: u32,
        /// Number of its type in [`Interface::types`].
        pub type_number: u32,
    }
}

record! {
    /// A table, memory or global.
    #[derive(Clone, Copy, Debug)]
    pub struct EntityPlan {
        /// Memories: least length in pages, tables: in elements, globals: 0.
        pub minimum: u64,
        /// Greatest length that the type allows, with [`EntityPlan::HAS_MAXIMUM`].
        pub maximum: u64,
        /// Type of the elements of a table, or of a global's value; 0 for memories.
        pub ty: TypeCode,
        /// Where it lies in the context, as an offset from `vmctx`. Of what the instance owns, a
        /// [`crate::context::Table`], a [`crate::context::Memory`], or the global's value; of what is imported, a pointer to
        /// a `Table`, a [`crate::context::MemoryRef`], a pointer to the value of a mutable global, or the value of an
        /// immutable one. Shared memories are a `MemoryRef` always.
        pub context_offset: i32,
        /// Logarithm of a memory's page size.
        pub page_size_log2: u16,
        /// A combination of the constants below.
        pub flags: u16,
        /// Zero.
        pub reserved: u32,
    }
}

impl EntityPlan {
    /// The type sets an upper limit.
    pub const HAS_MAXIMUM: u16 = 1;
    /// Addresses or indices have 64 bits.
    pub const INDEX_64: u16 = 2;
    /// A memory that threads share.
    pub const SHARED: u16 = 4;
    /// A global that can change.
    pub const MUTABLE: u16 = 8;
}

record! {
    /// An element segment that code can still use, or that is applied by code at instantiation.
    #[derive(Debug)]
    pub struct ElementPlan<F> {
        /// For each element the index of its function in [`Interface::funcs`], plus 1; 0 is null. Empty when
        /// `context_offset` is not 0.
        pub funcs: SliceOf<F, u32>,
        /// Where the elements are in the context, 8 bytes each as in a table, when they are known at instantiation only;
        /// 0 otherwise.
        pub context_offset: i32,
        /// Number of elements in the context.
        pub len: u32,
    }
}

record! {
    /// Everything that the runtime needs to know to connect a library's instance to others.
    #[repr(align(8))]
    #[derive(Debug)]
    pub struct Interface<F> {
        /// Function types.
        pub types: SliceOf<F, FuncTypeEntry>,
        /// Imports in order.
        pub imports: SliceOf<F, ImportEntry>,
        /// Exports in order.
        pub exports: SliceOf<F, ExportEntry>,
        /// Functions that have a [`crate::context::FuncRef`], imported ones first.
        pub funcs: SliceOf<F, FuncPlan>,
        /// Tables, in the order of [`crate::instance::InstancePlan::tables`].
        pub tables: SliceOf<F, EntityPlan>,
        /// Memories, in the order of [`crate::instance::InstancePlan::memories`].
        pub memories: SliceOf<F, EntityPlan>,
        /// Globals that are imported or exported.
        pub globals: SliceOf<F, EntityPlan>,
        /// Types of all tags, as numbers in `types`.
        pub tags: SliceOf<F, u32>,
        /// Element segments by index of the module.
        pub elements: SliceOf<F, ElementPlan>,
        /// Offset of the first [`crate::context::FuncRef`] from `vmctx`.
        pub func_refs_offset: i32,
        /// How many entries at the front of each list are imported, by [`Kind`].
        pub imported: [u32; 5],
        /// [`Interface::COUNTS_FUEL`], [`Interface::INTERRUPTIBLE`], [`Interface::RAISES_TRAPS`].
        pub flags: u32,
        /// Zero.
        pub reserved: u32,
    }
}

impl Interface {
    /// Code counts the operators that it executes, see [`crate::context::StoreState::fuel`].
    pub const COUNTS_FUEL: u32 = 1;
    /// Code looks whether it is to stop, see [`crate::context::StoreState::interrupt`].
    pub const INTERRUPTIBLE: u32 = 2;
    /// Code looks at everything that can trap before it does it, and calls [`crate::context::LibraryHead::raise`]: no
    /// instruction of it faults, nor does it use up the stack, see [`crate::context::StoreState::stack_limit`].
    pub const RAISES_TRAPS: u32 = 4;
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::{align_of, offset_of, size_of};

    #[test]
    fn layout_is_what_objects_were_compiled_for() {
        assert_eq!(size_of::<FuncTypeEntry>(), 24);
        assert_eq!(size_of::<ImportEntry>(), 24);
        assert_eq!(size_of::<ExportEntry>(), 16);
        assert_eq!(size_of::<FuncPlan>(), 8);
        assert_eq!(size_of::<EntityPlan>(), 32);
        assert_eq!(size_of::<ElementPlan>(), 16);
        assert_eq!(size_of::<Interface>(), 104);
        // Slices without elements must be aligned as their elements, see `RelSlice::get`.
        for field in [offset_of!(Interface, tables), offset_of!(Interface, memories), offset_of!(Interface, globals)] {
            assert!(field.is_multiple_of(align_of::<EntityPlan>()) && align_of::<Interface>() == 8);
        }
    }

    #[test]
    fn type_codes_tell_kinds_apart() {
        assert_eq!(TypeCode::I32.nullability(), None);
        assert_eq!(TypeCode::V128.type_number(), None);
        let funcref = TypeCode::reference(true, TypeCode::HEAP_FUNC);
        assert_eq!((funcref.nullability(), funcref.heap(), funcref.type_number()), (Some(true), 0x70, None));
        let typed = TypeCode::typed_reference(false, 7);
        assert_eq!((typed.nullability(), typed.type_number()), (Some(false), Some(7)));
        let last = TypeCode::typed_reference(true, MAX_TYPES - 1);
        assert_eq!(last.type_number(), Some(MAX_TYPES - 1));
    }

    #[test]
    #[should_panic(expected = "24 bits")]
    fn no_type_number_becomes_another_type() {
        // Shifted without an assertion, it would be `externref`.
        TypeCode::typed_reference(true, MAX_TYPES + TypeCode::HEAP_EXTERN);
    }
}
