//! The context of a module instance: what generated code and the runtime both read and write.
//!
//! One address, `vmctx`, identifies a context. The context lies *below* that address: first the fixed head, and below
//! the head the part that differs from module to module. Every offset into a context is negative.
//!
//! ```text
//!            lower addresses                                                     higher addresses
//!            ┌───────────────────────────────┬──────────────────────┬────────────────────────────
//!            │ globals, tables, memories 1.. │ VmContextHead        │ linear memory 0 ...
//!            └───────────────────────────────┴──────────────────────┴────────────────────────────
//!            ^ vmctx - context_bytes         ^ vmctx - HEAD_BYTES   ^ vmctx
//! ```
//!
//! In the `Single` shape `vmctx` is also the address of the first byte of linear memory 0, so one pinned register
//! serves memory accesses (positive offsets) and context accesses (negative offsets). A guest address is an unsigned
//! number added to the base, so no guest access can reach below it. In the `Many` shape `vmctx` is a parameter and
//! memory 0 is found through the head.
//!
//! Memory 0 lies elsewhere when several threads share it. Then the pinned register holds `vmctx`, a [`MemoryRef`]
//! stands in the part below the head, and the record in the head is a copy for host functions. Generated code renews
//! the length in that copy before it calls a host function.

use core::mem::{offset_of, size_of};

use crate::descriptor::ProgramDescriptor;
use crate::instance::InstancePlan;
use crate::record::record;

/// A linear memory as generated code sees it.
#[repr(C)]
#[derive(Debug)]
pub struct Memory {
    /// First byte of the memory. A memory never moves: all address space that it may ever use is reserved.
    pub base: *mut u8,
    /// Current length in bytes; a multiple of the page size.
    pub length_bytes: u64,
}

/// What a context holds in place of a [`Memory`] where the record lies elsewhere, because several instances or threads
/// share the memory, see [`crate::descriptor::MemoryPlan::POINTED`].
#[repr(C)]
#[derive(Debug)]
pub struct MemoryRef {
    /// First byte of the memory, as in the record.
    pub base: *mut u8,
    /// The record.
    pub record: *mut Memory,
}

/// A table that can change at run time. Its elements are 8 bytes each: for function references the address of a
/// [`FuncRecord`] or 0 for null, for other reference types an opaque value or 0 for null.
#[repr(C)]
#[derive(Debug)]
pub struct Table {
    /// First element. Never moves.
    pub base: *mut u64,
    /// Current length in elements.
    pub length_elements: u64,
}

record! {
    /// What a function reference of the `Single` shape points to, and the element of a table that never changes.
    ///
    /// Where references can reach another instance of the program, it is the front of a [`WideRecord`].
    ///
    /// Eight bytes without any address in them, so that tables need no relocation and start-up does not grow with them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct FuncRecord {
        /// Offset of the function's entry from [`crate::symbols::TEXT`], in bytes.
        pub code_offset: u32,
        /// Program-wide number of the function's type, or [`FuncRecord::NULL_TYPE`] for a null element.
        pub type_id: u32,
    }
}

impl FuncRecord {
    /// A type number that no function has. It marks a null element of a table that never changes.
    pub const NULL_TYPE: u32 = u32::MAX;
    /// The null element.
    pub const NULL: Self = Self { code_offset: 0, type_id: Self::NULL_TYPE };
}

record! {
    /// What a function reference points to in programs whose instances exchange references: also where the function runs.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct WideRecord {
        /// As in the other programs.
        pub record: FuncRecord,
        /// Its instance, see [`InstancePlan::distance`].
        pub distance: u64,
    }
}

/// What a function reference of the `Many` shape points to: all that a call needs, whoever calls.
///
/// These structures lie in contexts, one for each import and each function whose reference is taken, and live as long
/// as the context.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FuncRef {
    /// The function's entry, of the `tail` calling convention with `vmctx` as the hidden first parameter.
    pub code: *const u8,
    /// The context that it runs in; for a host function its [`HostFunc`].
    pub vmctx: *mut u8,
    /// Number of the function's type, see [`LibraryHead::type_ids`].
    pub type_id: u32,
    /// Whose function it is, [`FuncRef::GUEST`] or [`FuncRef::HOST`], for the runtime: addresses do not tell, because
    /// `vmctx` of a guest lies at the end of its context, where anything may begin.
    pub owner: u32,
}

impl FuncRef {
    /// A function of an instance, see [`FuncRef::owner`].
    pub const GUEST: u32 = 1;
    /// A function of the host.
    pub const HOST: u32 = 2;
}

/// The front of what stands in [`FuncRef::vmctx`] for a function of the host. Code that a module brings for each type
/// of imported function calls it, see [`crate::interface::FuncTypeEntry::to_host`].
#[repr(C)]
#[derive(Debug)]
pub struct HostFunc {
    /// Gets the address of this structure and the arguments, 16 bytes each, and replaces the arguments by the results.
    pub entry: unsafe extern "C" fn(host_func: *mut HostFunc, values: *mut [u64; 2]),
}

/// The part of every context of the `Many` shape that lies directly below its [`VmContextHead`].
#[repr(C)]
#[derive(Debug)]
pub struct LibraryHead {
    /// Number of each tag, by its index in the module. Tags with equal numbers are the same tag.
    pub tag_ids: *const u32,
    /// Number of each function type, by its number in the module. Types with equal numbers are equal.
    pub type_ids: *const u32,
    /// The runtime's functions, in the order of [`crate::builtin::Builtin::ALL`].
    pub builtins: *const *const u8,
    /// For the runtime.
    pub instance: *mut u8,
    /// What all instances of the store share.
    pub store: *mut StoreState,
    /// `unsafe extern "C" fn(trap: u32) -> !`: ends the call with a trap, by its number; for code that raises its traps, see
    /// [`crate::interface::Interface::RAISES_TRAPS`].
    pub raise: *const u8,
    /// `unsafe extern "preserve_all" fn()`: the host's fuel is used up, or somebody wants the code to stop. It returns when the
    /// code may go on, and otherwise ends the call with [`StoreState::trap`]. All registers are what they were: also for
    /// parameters, the optimiser would move values where nothing is called.
    pub pause: *const u8,
}

/// What code of all instances of a store reads and writes.
#[repr(C)]
#[derive(Debug)]
pub struct StoreState {
    /// What was executed, in code that counts, see [`crate::interface::Interface::COUNTS_FUEL`]: the counter starts at the
    /// negative budget and counts up; at 0 code calls [`LibraryHead::pause`].
    pub fuel: i64,
    /// Code that can be interrupted calls [`LibraryHead::pause`] where the lowest byte is not 0, see
    /// [`crate::interface::Interface::INTERRUPTIBLE`]. Other threads write it.
    pub interrupt: u64,
    /// The lowest address that the stack pointer may have in a function that calls others, for code that raises its traps.
    /// [`crate::layout::UNCHECKED_STACK_BYTES`] lie below it, and below those what the runtime needs.
    pub stack_limit: u64,
    /// The number of the trap with which [`LibraryHead::pause`] ends a call; written by code before it calls that.
    pub trap: u64,
}

/// What lies directly below the [`VmContextHead`] in programs of several instances.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct LinkedHead {
    /// What this context was made from.
    pub plan: *const InstancePlan,
    /// The `vmctx` of the program's first instance in the same thread.
    pub first: *mut u8,
}

/// Offset of [`LinkedHead`] from `vmctx`.
pub const LINKED_HEAD_OFFSET: i32 = -((HEAD_BYTES + size_of::<LinkedHead>()) as i32);

/// Offset of [`LibraryHead`] from `vmctx`.
pub const LIBRARY_HEAD_OFFSET: i32 = -((HEAD_BYTES + size_of::<LibraryHead>()) as i32);

/// An exception that was thrown. References to exceptions (`exnref`) are its address.
///
/// `exception_new` makes exceptions, and they never change afterwards. An exception is freed when nothing on the guest's
/// stack, in a context, a table or another exception looks like a reference to it.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct Exception {
    /// Index of its tag; in the `Many` shape its number, see [`LibraryHead::tag_ids`].
    pub tag: u32,
    /// For the runtime.
    pub mark: u32,
    /// For the runtime.
    pub next: *mut Exception,
    // The values follow, 16 bytes each.
}

/// Offset of [`Exception::tag`].
pub const EXCEPTION_TAG_OFFSET: i32 = offset_of!(Exception, tag) as i32;

/// Offset of an exception's first value.
pub const EXCEPTION_PAYLOAD_OFFSET: i32 = size_of::<Exception>() as i32;

/// The fixed part of every context, directly below `vmctx`. The hottest fields come last: they get the shortest
/// displacement.
#[repr(C)]
#[derive(Debug)]
pub struct VmContextHead {
    /// Which segments were dropped: one bit for each segment, element segments first. `null` when the module has
    /// neither `data.drop` nor `elem.drop`. A dropped segment has no bytes.
    pub dropped_segments: *mut u64,
    /// The program that this context belongs to. Written by the runtime before any guest code runs.
    pub program: *const ProgramDescriptor,
    /// Linear memory 0; zero length and a dangling base when the module has none.
    pub memory0: Memory,
}

/// Size of [`VmContextHead`] in bytes.
pub const HEAD_BYTES: usize = size_of::<VmContextHead>();

/// Offset of `memory0.base` from `vmctx`.
pub const MEMORY0_BASE_OFFSET: i32 =
    offset_of!(VmContextHead, memory0) as i32 + offset_of!(Memory, base) as i32 - HEAD_BYTES as i32;

/// Offset of `memory0.length_bytes` from `vmctx`.
pub const MEMORY0_LENGTH_OFFSET: i32 =
    offset_of!(VmContextHead, memory0) as i32 + offset_of!(Memory, length_bytes) as i32 - HEAD_BYTES as i32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_what_objects_were_compiled_for() {
        assert_eq!(HEAD_BYTES, 32);
        assert_eq!(MEMORY0_BASE_OFFSET, -16);
        assert_eq!(MEMORY0_LENGTH_OFFSET, -8);
        assert_eq!(size_of::<Memory>(), 16);
        assert_eq!(size_of::<Table>(), 16);
        assert_eq!(size_of::<MemoryRef>(), 16);
        assert_eq!(size_of::<FuncRecord>(), 8);
        assert_eq!(size_of::<WideRecord>(), 16);
        assert_eq!(size_of::<FuncRef>(), 24);
        assert_eq!((size_of::<LibraryHead>(), LIBRARY_HEAD_OFFSET), (56, -88));
        assert_eq!((size_of::<StoreState>(), offset_of!(StoreState, interrupt)), (32, 8));
        assert_eq!((size_of::<LinkedHead>(), LINKED_HEAD_OFFSET), (16, -48));
        assert_eq!((EXCEPTION_TAG_OFFSET, EXCEPTION_PAYLOAD_OFFSET), (0, 16));
    }
}
