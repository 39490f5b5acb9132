//! Instances: from a descriptor to a context and memories that generated code can run with.
//!
//! One reservation holds everything that must be adjacent, as [`wasmelt_abi::layout`] describes, so that one `mmap` and
//! one `mprotect` make a whole instance. What few programs have, further memories and tables that can change, is made
//! by hooks that only their programs refer to.

// ---------------------------------------------------------------------------------------------------------------
// Security: the layout is the sandbox, see `wasmelt_abi::layout`. It is the compiler's; here it is only followed.
// ---------------------------------------------------------------------------------------------------------------

use core::ops::Range;
use core::ptr;

use wasmelt_abi::context::{HEAD_BYTES, Memory, Table, VmContextHead};
use wasmelt_abi::descriptor::{MemoryPlan, ProgramDescriptor, RelSlice, TablePlan};
use wasmelt_abi::layout::STACK_GUARD_BYTES;

use crate::failure::Failure;
use crate::memops;
use crate::sys::{SystemError, pages};

/// Why an instance could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateError {
    /// What failed.
    pub failure: Failure,
    /// What the operating system said.
    pub error: SystemError,
}

impl CreateError {
    fn of(failure: Failure) -> impl FnOnce(SystemError) -> Self {
        move |error| Self { failure, error }
    }

    /// Ends the process because of it.
    pub fn end(self) -> ! {
        self.failure.end([self.error.number().into(), 0])
    }
}

/// The elements of a descriptor's slice.
pub fn slice<T>(slice: &RelSlice<T>) -> &[T] {
    let (start, len) = slice.get();
    // SAFETY: the compiler wrote the descriptor, with `len` elements at `start`; nothing ever writes to them.
    unsafe { core::slice::from_raw_parts(start, len) }
}

/// An instance of a module, known by the address of its context. Copies refer to the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Instance {
    vmctx: *mut u8,
}

impl Instance {
    /// The instance with this context.
    ///
    /// # Safety
    /// `vmctx` is the context of an instance that [`Instance::create`] made and that is not gone.
    pub unsafe fn from_vmctx(vmctx: *mut u8) -> Self {
        Self { vmctx }
    }

    /// Makes an instance with everything that the descriptor alone decides, apart from what hooks make. Code has not
    /// run yet.
    #[inline(always)]
    pub fn create(program: &'static ProgramDescriptor) -> Result<Self, CreateError> {
        let layout = &program.layout;
        let usable = layout.usable_end - STACK_GUARD_BYTES;
        // SAFETY: the range lies in the new reservation.
        let start = unsafe { reserve_and_commit(layout.total_bytes, STACK_GUARD_BYTES, usable) }?;
        let instance = Self { vmctx: start.wrapping_add(layout.vmctx as usize) };
        instance.fill_head(program, start.wrapping_add(layout.stack_top as usize));
        instance.place_contents(program)?;
        Ok(instance)
    }

    fn fill_head(self, program: &'static ProgramDescriptor, stack_top: *mut u8) {
        let dropped_segments = if program.segment_count == 0 { ptr::null_mut() } else { stack_top.cast() };
        let length_bytes = slice(&program.memories).first().map_or(0, |plan| plan.initial_bytes);
        let memory0 = Memory { base: self.vmctx, length_bytes };
        let head = VmContextHead { dropped_segments, program: ptr::from_ref(program), memory0 };
        // SAFETY: the head lies directly below `vmctx`, in pages that are usable.
        unsafe { self.vmctx.sub(HEAD_BYTES).cast::<VmContextHead>().write(head) };
    }

    /// Fills context and memory 0 with their initial bytes.
    fn place_contents(self, program: &'static ProgramDescriptor) -> Result<(), CreateError> {
        for chunk in slice(&program.maps) {
            let source = chunk.source.get().unwrap_or(ptr::null()).cast_mut();
            let dest = self.vmctx.wrapping_add(chunk.dest_offset as usize);
            // SAFETY: the pages at `source` hold this chunk only, and the compiler checked it against memory 0.
            unsafe { pages::move_pages(source, dest, chunk.len_bytes as usize) }
                .map_err(CreateError::of(Failure::Map))?;
        }
        for chunk in slice(&program.copies) {
            let (source, len) = chunk.bytes.get();
            let dest = self.vmctx.wrapping_offset(chunk.dest_offset as isize);
            // SAFETY: the compiler checked the chunk against context and memory 0, which are usable.
            unsafe { memops::copy_once(dest, source, len) };
        }
        Ok(())
    }

    /// The address that generated code knows the instance by.
    pub fn vmctx(self) -> *mut u8 {
        self.vmctx
    }

    fn head(self) -> *mut VmContextHead {
        self.vmctx.wrapping_sub(HEAD_BYTES).cast()
    }

    /// The program that this is an instance of.
    pub fn program(self) -> &'static ProgramDescriptor {
        // SAFETY: the head was filled when the instance was made, with a reference.
        unsafe { &*(*self.head()).program }
    }

    /// The record of a memory.
    pub fn memory_at(self, plan: &MemoryPlan) -> *mut Memory {
        self.vmctx.wrapping_offset(plan.context_offset as isize).cast()
    }

    /// The record of a table that can change.
    pub fn table_at(self, plan: &TablePlan) -> *mut Table {
        self.vmctx.wrapping_offset(plan.context_offset as isize).cast()
    }

    /// The word and the bit in it that say whether a segment was dropped; element segments count first. `None` where
    /// nothing is ever dropped.
    pub fn dropped_bit(self, segment: usize) -> Option<(*mut u64, u64)> {
        // SAFETY: the head was filled when the instance was made.
        let words = unsafe { (*self.head()).dropped_segments };
        let room = segment < self.program().segment_count as usize;
        (!words.is_null() && room).then(|| (words.wrapping_add(segment / 64), 1 << (segment % 64)))
    }

    /// Addresses of the guest stack, without its guard.
    pub fn stack(self) -> Range<usize> {
        let layout = &self.program().layout;
        let start = (self.vmctx as usize).wrapping_sub(layout.vmctx as usize);
        start.wrapping_add(STACK_GUARD_BYTES as usize)..start.wrapping_add(layout.stack_top as usize)
    }

    /// Addresses of the guard below the guest stack.
    pub fn stack_guard(self) -> Range<usize> {
        let stack = self.stack();
        stack.start.wrapping_sub(STACK_GUARD_BYTES as usize)..stack.start
    }

    /// Addresses of the generated code.
    pub fn text(self) -> Range<usize> {
        let program = self.program();
        let start = program.text.get().unwrap_or(ptr::null()) as usize;
        start..start + program.text_bytes as usize
    }
}

/// Makes the memories beyond memory 0, see [`wasmelt_abi::symbols::HOOK_MEMORIES`].
///
/// # Safety
/// `vmctx` is the context of an instance in which no code has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_memories(vmctx: *mut u8) {
    // SAFETY: by this function's contract.
    let instance = unsafe { Instance::from_vmctx(vmctx) };
    for plan in slice(&instance.program().memories).iter().skip(1) {
        let total = plan.reserve_bytes.max(plan.initial_bytes).saturating_add(plan.guard_bytes);
        let base = further_pages(total, plan.initial_bytes);
        // SAFETY: the plan's offset is that of this memory's record in the context.
        unsafe { instance.memory_at(plan).write(Memory { base, length_bytes: plan.initial_bytes }) };
    }
}

/// Makes the tables that can change, see [`wasmelt_abi::symbols::HOOK_TABLES`].
///
/// # Safety
/// `vmctx` is the context of an instance in which no code has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_tables(vmctx: *mut u8) {
    // SAFETY: by this function's contract.
    let instance = unsafe { Instance::from_vmctx(vmctx) };
    for plan in slice(&instance.program().tables) {
        let bytes = |elements: u64| elements.saturating_mul(size_of::<u64>() as u64);
        let total = bytes(plan.maximum_elements.max(plan.initial_elements));
        let base = further_pages(total, bytes(plan.initial_elements)).cast();
        // SAFETY: the plan's offset is that of this table's record in the context.
        unsafe { instance.table_at(plan).write(Table { base, length_elements: plan.initial_elements }) };
    }
}

/// Makes a mapping of its own, at least a page, of which the first `usable_bytes` are usable; ends the process where
/// there is none.
fn further_pages(total_bytes: u64, usable_bytes: u64) -> *mut u8 {
    // Sizes that no address space holds stay such sizes, for the operating system to refuse.
    let page = |bytes: u64| bytes.checked_next_multiple_of(pages::PAGE_BYTES as u64).unwrap_or(1 << 63);
    // SAFETY: the range starts with the new reservation, and is no longer.
    unsafe { reserve_and_commit(page(total_bytes.max(1)), 0, page(usable_bytes)) }.unwrap_or_else(|error| error.end())
}

/// Reserves `total_bytes`, of which `usable_bytes` from `usable_start` on are usable; the start of the reservation.
///
/// # Safety
/// What is to be usable lies in the reservation.
#[inline(always)]
unsafe fn reserve_and_commit(total_bytes: u64, usable_start: u64, usable_bytes: u64) -> Result<*mut u8, CreateError> {
    let start = pages::reserve(total_bytes as usize).map_err(CreateError::of(Failure::Reserve))?;
    // SAFETY: by this function's contract.
    unsafe { pages::commit(start.wrapping_add(usable_start as usize), usable_bytes as usize) }
        .map_err(CreateError::of(Failure::Commit))?;
    Ok(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestProgram;

    #[test]
    fn an_instance_is_laid_out_as_described() {
        let program = TestProgram::with_memory(2 << 16, 4 << 16).leak();
        let instance = Instance::create(program).unwrap();
        assert_eq!(instance.vmctx() as usize % pages::PAGE_BYTES, 0);
        assert_eq!(ptr::from_ref(instance.program()), ptr::from_ref(program));
        // SAFETY: the record was just made.
        let memory = unsafe { instance.memory_at(&slice(&program.memories)[0]).read() };
        assert_eq!((memory.base, memory.length_bytes), (instance.vmctx(), 2 << 16));
        let stack = instance.stack();
        assert!(stack.len() as u64 >= program.stack_bytes && stack.end.is_multiple_of(16));
        assert!(stack.end <= instance.vmctx() as usize - program.context_bytes as usize);
        assert_eq!(instance.stack_guard().end, stack.start);
        // SAFETY: these are the first and the last usable bytes.
        unsafe {
            (stack.start as *mut u8).write(1);
            instance.vmctx().add((2 << 16) - 1).write(1);
        }
    }

    #[test]
    fn what_the_system_refuses_is_an_error() {
        // SAFETY: the range lies in the reservation, of which there is none.
        let refused = unsafe { reserve_and_commit(1 << 63, 0, 0) };
        assert!(matches!(refused, Err(CreateError { failure: Failure::Reserve, .. })));
    }

    #[test]
    fn further_memories_have_pages_of_their_own() {
        let instance = Instance::create(TestProgram::with_memory(1 << 16, 1 << 16).leak()).unwrap();
        let start = further_pages(5 << 16, 100);
        // SAFETY: the first page is usable.
        unsafe { start.add(4095).write(1) };
        assert_ne!(start, instance.vmctx());
    }
}
