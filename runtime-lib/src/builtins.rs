//! The functions of the runtime that generated code calls: a front for each line of the table in
//! [`wasmelt_abi::builtin`], which fixes the names and the types; what they do is in the files of the concepts.
//!
//! Each is a symbol of its own, so the linker keeps those that a program uses.

use core::sync::atomic::{AtomicU32, AtomicU64};

use wasmelt_abi::context::Table;
use wasmelt_abi::for_each_builtin;

use crate::instance::Instance;
use crate::parking::{self, Cell};
use crate::rel::slice;
use crate::{exception, float, memory, table};

macro_rules! kind {
    (Pointer) => { *mut u8 };
    (I32) => { u32 };
    (I64) => { u64 };
    (F32) => { f32 };
    (F64) => { f64 };
}

/// What generated code calls to throw: the parameters are where Cranelift's `tail` convention has them.
///
/// # Safety
/// As for [`exception_throw`].
#[cfg(any(target_arch = "aarch64", windows))]
#[unsafe(naked)]
#[unsafe(export_name = "wasmelt_exception_throw_tail")]
pub unsafe extern "C" fn exception_throw_tail() -> ! {
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!("mov x0, x2", "mov x1, x3", "b {throw}", throw = sym exception_throw);
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!("mov rcx, rdi", "mov rdx, rsi", "jmp {throw}", throw = sym exception_throw);
}

macro_rules! export {
    ($($(#[$doc:meta])* $name:ident($($param:ident: $kind:ident),*) $(-> $result:ident)?;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// Only generated code calls this, with a context of its own and what its validated module says.
            #[unsafe(export_name = concat!("wasmelt_", stringify!($name)))]
            pub unsafe extern "C" fn $name($($param: kind!($kind)),*) $(-> kind!($result))? {
                // SAFETY: the contract is the same.
                unsafe { implementation::$name($($param),*) }
            }
        )*
    };
}

for_each_builtin!(export);

/// One function for each line of the table, with the same name.
mod implementation {
    use super::*;

    /// A table index or a result that says "out of bounds": 0 or 1.
    fn failed(result: Option<()>) -> u32 {
        u32::from(result.is_none())
    }

    pub(super) unsafe fn memory_grow(vmctx: *mut u8, memory_index: u32, delta_pages: u64) -> u64 {
        // SAFETY: `vmctx` is the caller's context.
        let instance = unsafe { Instance::from_vmctx(vmctx) };
        memory::grow(instance, memory_index as usize, delta_pages).unwrap_or(u64::MAX)
    }

    pub(super) unsafe fn memory_copy(dest: *mut u8, src: *mut u8, len_bytes: u64) {
        // SAFETY: the caller has checked both ranges.
        unsafe { core::ptr::copy(src, dest, len_bytes as usize) }
    }

    pub(super) unsafe fn memory_fill(dest: *mut u8, value: u32, len_bytes: u64) {
        // SAFETY: the caller has checked the range.
        unsafe { core::ptr::write_bytes(dest, value as u8, len_bytes as usize) }
    }

    pub(super) unsafe fn memory_init(
        vmctx: *mut u8,
        memory_index: u32,
        segment_index: u32,
        dest: u64,
        src: u32,
        len_bytes: u32,
    ) -> u32 {
        // SAFETY: `vmctx` is the caller's context.
        let instance = unsafe { Instance::from_vmctx(vmctx) };
        let memory = slice(&instance.plan().memories).get(memory_index as usize).map(|plan| instance.memory_at(plan));
        // SAFETY: the record is the instance's own.
        let done = memory
            .and_then(|memory| unsafe { memory::init(instance, memory, segment_index as usize, dest, src, len_bytes) });
        failed(done)
    }

    pub(super) unsafe fn memory_init_foreign(
        vmctx: *mut u8,
        memory: *mut u8,
        segment_index: u32,
        dest: u64,
        src: u32,
        len_bytes: u32,
    ) -> u32 {
        // SAFETY: `vmctx` is the caller's context, and `memory` the record of a memory that its code can use.
        failed(unsafe {
            let instance = Instance::from_vmctx(vmctx);
            memory::init(instance, memory.cast(), segment_index as usize, dest, src, len_bytes)
        })
    }

    pub(super) unsafe fn data_drop(vmctx: *mut u8, segment_index: u32) {
        // SAFETY: `vmctx` is the caller's context.
        let instance = unsafe { Instance::from_vmctx(vmctx) };
        memory::drop_segment(instance, segment_index as usize)
    }

    pub(super) unsafe fn memory_atomic_wait32(address: *mut u8, expected: u32, timeout_ns: u64) -> u32 {
        // SAFETY: the caller has checked the address: it is aligned and lies in a memory, which is never unmapped
        // while one of its threads runs.
        let cell = unsafe { AtomicU32::from_ptr(address.cast()) };
        parking::wait(Cell::Narrow(cell, expected), timeout_ns.cast_signed()) as u32
    }

    pub(super) unsafe fn memory_atomic_wait64(address: *mut u8, expected: u64, timeout_ns: u64) -> u32 {
        // SAFETY: as for `memory_atomic_wait32`.
        let cell = unsafe { AtomicU64::from_ptr(address.cast()) };
        parking::wait(Cell::Wide(cell, expected), timeout_ns.cast_signed()) as u32
    }

    pub(super) unsafe fn memory_atomic_notify(address: *mut u8, max_count: u32) -> u32 {
        parking::notify(address as usize, max_count)
    }

    pub(super) unsafe fn table_grow(vmctx: *mut u8, table_index: u32, delta_elements: u64, value: u64) -> u64 {
        // SAFETY: `vmctx` is the caller's context.
        let instance = unsafe { Instance::from_vmctx(vmctx) };
        table::grow(instance, table_index as usize, delta_elements, value).unwrap_or(u64::MAX)
    }

    pub(super) unsafe fn table_fill(table: *mut u8, dest: u64, value: u64, len_elements: u64) -> u32 {
        // SAFETY: `table` is a record in the caller's context, and only this thread uses it.
        failed(table::fill(unsafe { &mut *table.cast::<Table>() }, dest, value, len_elements))
    }

    pub(super) unsafe fn table_copy(
        dest_table: *mut u8,
        src_table: *mut u8,
        dest: u64,
        src: u64,
        len_elements: u64,
    ) -> u32 {
        // SAFETY: both are records in the caller's context.
        failed(unsafe { table::copy(dest_table.cast(), src_table.cast(), dest, src, len_elements) })
    }

    pub(super) unsafe fn table_init(
        vmctx: *mut u8,
        table: *mut u8,
        segment_index: u32,
        dest: u64,
        src: u32,
        len_elements: u32,
    ) -> u32 {
        // SAFETY: `vmctx` is the caller's context, `table` a record in it, and only this thread uses it.
        let (instance, table) = unsafe { (Instance::from_vmctx(vmctx), &mut *table.cast::<Table>()) };
        failed(table::init(instance, table, segment_index as usize, dest, src, len_elements))
    }

    pub(super) unsafe fn elem_drop(vmctx: *mut u8, segment_index: u32) {
        // SAFETY: `vmctx` is the caller's context.
        let instance = unsafe { Instance::from_vmctx(vmctx) };
        table::drop_segment(instance, segment_index as usize)
    }

    pub(super) unsafe fn exception_new(vmctx: *mut u8, tag: u32) -> *mut u8 {
        // SAFETY: `vmctx` is the caller's context.
        exception::new(unsafe { Instance::from_vmctx(vmctx) }, tag).cast()
    }

    pub(super) unsafe fn exception_throw(vmctx: *mut u8, thrown: *mut u8) -> ! {
        // SAFETY: generated code calls this with its context and an exception that was made for it.
        unsafe { exception::throw(Instance::from_vmctx(vmctx), thrown.cast()) }
    }

    macro_rules! float {
        ($($name:ident($($param:ident),*) -> $type:ident;)*) => {
            $(pub(super) unsafe fn $name($($param: $type),*) -> $type {
                float::$name($($param),*)
            })*
        };
    }
    float! {
        ceil_f32(value) -> f32;
        ceil_f64(value) -> f64;
        floor_f32(value) -> f32;
        floor_f64(value) -> f64;
        trunc_f32(value) -> f32;
        trunc_f64(value) -> f64;
        nearest_f32(value) -> f32;
        nearest_f64(value) -> f64;
        fma_f32(a, b, c) -> f32;
        fma_f64(a, b, c) -> f64;
    }
}
