//! Runtime functions that generated code calls, other than the host functions that a module imports.
//!
//! Each is an `extern "C"` symbol in a section of its own, so that the linker keeps only those that a program uses. No
//! builtin traps by itself: generated code makes the checks that can trap, or the result tells it to trap.

/// Type of a builtin's parameter or result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An address.
    Pointer,
    /// A 32-bit integer.
    I32,
    /// A 64-bit integer.
    I64,
    /// A 32-bit float.
    F32,
    /// A 64-bit float.
    F64,
}

/// Calls a macro with the table of builtins: documentation, name (which is the symbol's, after `wasmelt_`), parameters
/// and result. The compiler declares them from it, the runtime checks its definitions against it.
#[macro_export]
macro_rules! for_each_builtin {
    ($mac:ident) => {
        $mac! {
            /// Grows the memory with this index by `delta_pages`; the old length in pages, or -1 and nothing changed.
            memory_grow(vmctx: Pointer, memory_index: I32, delta_pages: I64) -> I64;
            /// Copies bytes between ranges that may overlap; the caller has checked both ranges.
            memory_copy(dest: Pointer, src: Pointer, len_bytes: I64);
            /// Sets bytes; the caller has checked the range.
            memory_fill(dest: Pointer, value: I32, len_bytes: I64);
            /// `memory.init`: copies from a data segment, checking both ranges; 0, or 1 where one is exceeded.
            memory_init(vmctx: Pointer, memory_index: I32, segment_index: I32, dest: I64, src: I32, len_bytes: I32) -> I32;
            /// The same into the memory with this record, of another instance of the program.
            memory_init_foreign(vmctx: Pointer, memory: Pointer, segment_index: I32, dest: I64, src: I32, len_bytes: I32) -> I32;
            /// `data.drop`.
            data_drop(vmctx: Pointer, segment_index: I32);
            /// `memory.atomic.wait32` at an address that the caller has checked: 0 woken, 1 another value was there, 2 the
            /// time was over. No time limit where `timeout_ns` is negative.
            memory_atomic_wait32(address: Pointer, expected: I32, timeout_ns: I64) -> I32;
            /// `memory.atomic.wait64`, like `memory_atomic_wait32`.
            memory_atomic_wait64(address: Pointer, expected: I64, timeout_ns: I64) -> I32;
            /// `memory.atomic.notify` at an address that the caller has checked: how many were woken.
            memory_atomic_notify(address: Pointer, max_count: I32) -> I32;
            /// Grows the table with this index (among those that can change); the old length in
            /// elements, or -1 and nothing changed.
            table_grow(vmctx: Pointer, table_index: I32, delta_elements: I64, value: I64) -> I64;
            /// `table.fill`, checking the range; 0, or 1 where it is exceeded.
            table_fill(table: Pointer, dest: I64, value: I64, len_elements: I64) -> I32;
            /// `table.copy`, checking both ranges; 0, or 1 where one is exceeded.
            table_copy(dest_table: Pointer, src_table: Pointer, dest: I64, src: I64, len_elements: I64) -> I32;
            /// `table.init`, checking both ranges; 0, or 1 where one is exceeded.
            table_init(vmctx: Pointer, table: Pointer, segment_index: I32, dest: I64, src: I32, len_elements: I32) -> I32;
            /// `elem.drop`.
            elem_drop(vmctx: Pointer, segment_index: I32);
            /// Makes an exception with the tag of this index (of this number in libraries); the caller fills in its values.
            exception_new(vmctx: Pointer, tag: I32) -> Pointer;
            /// Continues at the innermost handler of an exception; never returns to its caller.
            exception_throw(vmctx: Pointer, exception: Pointer);
            /// `f32.ceil` where the CPU has no instruction for it.
            ceil_f32(value: F32) -> F32;
            /// `f64.ceil` where the CPU has no instruction for it.
            ceil_f64(value: F64) -> F64;
            /// `f32.floor` where the CPU has no instruction for it.
            floor_f32(value: F32) -> F32;
            /// `f64.floor` where the CPU has no instruction for it.
            floor_f64(value: F64) -> F64;
            /// `f32.trunc` where the CPU has no instruction for it.
            trunc_f32(value: F32) -> F32;
            /// `f64.trunc` where the CPU has no instruction for it.
            trunc_f64(value: F64) -> F64;
            /// `f32.nearest` where the CPU has no instruction for it.
            nearest_f32(value: F32) -> F32;
            /// `f64.nearest` where the CPU has no instruction for it.
            nearest_f64(value: F64) -> F64;
            /// Fused multiply-add where the CPU has no instruction for it.
            fma_f32(a: F32, b: F32, c: F32) -> F32;
            /// Fused multiply-add where the CPU has no instruction for it.
            fma_f64(a: F64, b: F64, c: F64) -> F64;
        }
    };
}

macro_rules! declare {
    ($($(#[$doc:meta])* $name:ident($($param:ident: $kind:ident),*) $(-> $result:ident)?;)*) => {
        /// A runtime function that generated code calls.
        #[allow(non_camel_case_types, reason = "variants are the builtins' own names")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Builtin {
            $($(#[$doc])* $name,)*
        }

        impl Builtin {
            /// All builtins, each at the index that is its number.
            pub const ALL: &[Builtin] = &[$(Builtin::$name,)*];

            /// Symbol in the runtime archive.
            pub const fn symbol(self) -> &'static str {
                match self { $(Builtin::$name => concat!("wasmelt_", stringify!($name)),)* }
            }

            /// Parameter types.
            pub const fn params(self) -> &'static [Kind] {
                match self { $(Builtin::$name => &[$(Kind::$kind),*],)* }
            }

            /// Result type.
            pub const fn result(self) -> Option<Kind> {
                match self { $(Builtin::$name => declare!(@result $($result)?),)* }
            }
        }
    };
    (@result) => { None };
    (@result $kind:ident) => { Some(Kind::$kind) };
}

for_each_builtin!(declare);
