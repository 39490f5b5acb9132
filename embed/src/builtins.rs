//! The runtime's functions for libraries: what generated code calls through
//! [`LibraryHead::builtins`](wasmelt_abi::context::LibraryHead::builtins).
//!
//! Those of executables serve here as well, except where an instance has more than its own context: what it imports.
//! All of them run on the guest's stack, and ask for enough of it first.

// ---------------------------------------------------------------------------------------------------------------
// Security: what is imported has the limits of its owner, not those that the importing module was compiled with. No
// builtin can be ended by a fault halfway: the stack that it needs is there before it starts.
// ---------------------------------------------------------------------------------------------------------------

use wasmelt_abi::builtin::Builtin;
use wasmelt_abi::for_each_builtin;

use super::activation::current_store;
use super::arch;
use super::instance::InstanceData;
use super::limits::{self, Grown};

/// Addresses of functions.
#[repr(transparent)]
struct Addresses([*const u8; Builtin::ALL.len()]);

// SAFETY: addresses of code, which never changes.
unsafe impl Sync for Addresses {}

macro_rules! stubs {
    ($($(#[$doc:meta])* $name:ident($($param:ident: $kind:ident),*) $(-> $result:ident)?;)*) => {
        mod stubs {
            $(super::arch::on_guest_stack!($name, super::implementation::$name);)*
        }

        static ADDRESSES: Addresses = Addresses([$(stubs::$name as *const u8),*]);
    };
}

for_each_builtin!(stubs);

/// The builtins' addresses in the order of their numbers.
pub(super) fn addresses() -> *const *const u8 {
    ADDRESSES.0.as_ptr()
}

/// The builtin `memory_grow`.
///
/// # Safety
/// Called for generated code with its context, on the guest's stack; `frame` is a frame pointer whose frame returns to that
/// code.
pub(super) unsafe extern "C" fn grow_memory(
    vmctx: *mut u8,
    memory_index: u32,
    delta_pages: u64,
    _unused: u64,
    frame: usize,
) -> Grown {
    // SAFETY: by this function's contract; nobody else uses the store meanwhile.
    unsafe {
        let Some(memory) = InstanceData::of(vmctx).memory(memory_index) else { return Grown::FAILED };
        limits::grow_for_guest(
            current_store(),
            frame,
            || memory.growth(delta_pages),
            |growth| memory.grow(delta_pages, growth.desired),
        )
    }
}

/// The builtin `table_grow`.
///
/// # Safety
/// As [`grow_memory`]; `value` is of the element type.
pub(super) unsafe extern "C" fn grow_table(
    vmctx: *mut u8,
    table_index: u32,
    delta_elements: u64,
    value: u64,
    frame: usize,
) -> Grown {
    // SAFETY: by this function's contract; nobody else uses the store meanwhile.
    unsafe {
        let Some(table) = InstanceData::of(vmctx).table(table_index) else { return Grown::FAILED };
        limits::grow_for_guest(
            current_store(),
            frame,
            || table.growth(delta_elements),
            |_| table.grow(delta_elements, value),
        )
    }
}

/// Whether this is the address of an instruction that makes sure of the guest's stack on behalf of the runtime.
pub(super) fn asks_for_stack(pc: usize) -> bool {
    arch::asks_for_stack(pc, &ADDRESSES.0)
}

/// One function for each builtin: those below, and for the rest those of executables.
mod implementation {
    use wasmelt_abi::context::Table;

    pub(super) use super::super::arch::{exception_new, exception_throw, memory_grow, table_grow};
    use super::super::instance::InstanceData;
    // What is defined here takes the place of what has the same name there.
    #[allow(clippy::wildcard_imports, reason = "the table of builtins says which there are")]
    pub(super) use wasmelt_runtime::builtins::*;
    use wasmelt_runtime::table;

    pub(super) unsafe extern "C" fn memory_init(
        vmctx: *mut u8,
        memory_index: u32,
        segment_index: u32,
        dest: u64,
        src: u32,
        len_bytes: u32,
    ) -> u32 {
        // SAFETY: generated code passes its context; nobody else uses the store meanwhile.
        let instance = unsafe { InstanceData::of(vmctx) };
        let bytes = instance.data_segment(segment_index).and_then(|bytes| bytes.get(src as usize..));
        let bytes = bytes.and_then(|bytes| bytes.get(..len_bytes as usize));
        let memory = instance.memory(memory_index);
        u32::from(memory.zip(bytes).and_then(|(memory, bytes)| memory.write_inside(dest, bytes)).is_none())
    }

    pub(super) unsafe extern "C" fn data_drop(vmctx: *mut u8, segment_index: u32) {
        // SAFETY: as in `memory_init`.
        unsafe { InstanceData::of(vmctx).drop_data(segment_index) }
    }

    pub(super) unsafe extern "C" fn table_init(
        vmctx: *mut u8,
        table: *mut u8,
        segment_index: u32,
        dest: u64,
        src: u32,
        len_elements: u32,
    ) -> u32 {
        // SAFETY: generated code passes its context and the record of a table.
        let done = unsafe {
            let table = &mut *table.cast::<Table>();
            let dest = table::checked_address(table, dest, len_elements.into());
            dest.and_then(|dest| InstanceData::of(vmctx).copy_elements(segment_index, src, len_elements, dest))
        };
        u32::from(done.is_none())
    }

    pub(super) unsafe extern "C" fn elem_drop(vmctx: *mut u8, segment_index: u32) {
        // SAFETY: as in `memory_init`.
        unsafe { InstanceData::of(vmctx).drop_elements(segment_index) }
    }
}
