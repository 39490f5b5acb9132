//! Instances: from a descriptor to a context and memories that generated code can run with.
//!
//! One reservation holds everything that must be adjacent. In it, from low to high addresses:
//!
//! ```text
//! │ stack guard │ guest stack │ dropped bits │ context │ memory 0, length now │ rest of its reservation │ guard │
//! │  PROT_NONE  │              readable and writable                          │         PROT_NONE               │
//!                                                      ^ vmctx
//! ```
//!
//! so that one `mmap` and one `mprotect` make a whole instance.

// ---------------------------------------------------------------------------------------------------------------
// Security: the layout is the sandbox. Memory 0 must be followed by `reserve_bytes + guard_bytes` of address space in
// which nothing else ever lies, because generated code leaves out bounds checks on the strength of it; and the call
// stack must have an inaccessible guard below it that no frame can jump over.
// ---------------------------------------------------------------------------------------------------------------

use core::ops::Range;
use core::ptr;

use wasmelt_abi::context::{HEAD_BYTES, Memory, Table, VmContextHead};
use wasmelt_abi::descriptor::{MemoryPlan, ProgramDescriptor, RelSlice, TablePlan};

use crate::memops;
use crate::sys::{SystemError, pages};

/// Inaccessible address space below the guest stack. Generated code and the runtime touch every page of a large
/// frame, so one page would do; the rest costs nothing.
pub const STACK_GUARD_BYTES: usize = 1 << 20;

/// Why an instance could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateError {
    /// No address space for a reservation.
    Reserve(SystemError),
    /// Stack, memories or tables could not be made usable.
    Commit(SystemError),
    /// The initial contents of memory 0 could not be moved into place.
    Map(SystemError),
    /// The descriptor asks for more than there are addresses.
    TooLarge,
}

/// Where things lie in a reservation, as offsets from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// End of the stack guard, start of the guest stack.
    stack_start: usize,
    /// Where the guest stack begins to grow downwards; a multiple of 16.
    stack_top: usize,
    /// The context's end and the first byte of memory 0.
    vmctx: usize,
    /// End of what is usable from the start.
    usable_end: usize,
    /// Length of the reservation.
    total_bytes: usize,
}

impl Layout {
    fn of(program: &ProgramDescriptor) -> Option<Self> {
        let context_bytes = program.context_bytes as usize;
        let above_stack = context_bytes.checked_add(dropped_bytes(program))?;
        let stack_bytes = usize::try_from(program.stack_bytes).ok()?;
        let stack_start = STACK_GUARD_BYTES;
        let vmctx = stack_start.checked_add(pages::round_up(stack_bytes.checked_add(above_stack)?)?)?;
        let (initial, reserve, guard) = match slice(&program.memories).first() {
            Some(plan) => (plan.initial_bytes, plan.reserve_bytes, plan.guard_bytes),
            None => (0, 0, 0),
        };
        let usable_end = vmctx.checked_add(pages::round_up(usize::try_from(initial).ok()?)?)?;
        let behind = usize::try_from(reserve.max(initial).checked_add(guard)?).ok()?;
        let total_bytes = vmctx.checked_add(pages::round_up(behind)?)?;
        Some(Self { stack_start, stack_top: (vmctx - above_stack) & !15, vmctx, usable_end, total_bytes })
    }
}

/// Bytes of the bits that say which segments were dropped; a multiple of 16.
fn dropped_bytes(program: &ProgramDescriptor) -> usize {
    (program.segment_count as usize).div_ceil(128) * 16
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

    /// Makes an instance with everything that the descriptor alone decides. Code has not run yet.
    pub fn create(program: &'static ProgramDescriptor) -> Result<Self, CreateError> {
        let layout = Layout::of(program).ok_or(CreateError::TooLarge)?;
        let start = pages::reserve(layout.total_bytes).map_err(CreateError::Reserve)?;
        let usable = layout.usable_end - layout.stack_start;
        // SAFETY: the range lies in the new reservation.
        unsafe { pages::commit(start.wrapping_add(layout.stack_start), usable) }.map_err(CreateError::Commit)?;
        let instance = Self { vmctx: start.wrapping_add(layout.vmctx) };
        instance.fill_head(program, start.wrapping_add(layout.stack_top));
        instance.place_contents(program)?;
        for (index, plan) in slice(&program.memories).iter().enumerate() {
            instance.create_memory(index, plan)?;
        }
        for plan in slice(&program.tables) {
            instance.create_table(plan)?;
        }
        Ok(instance)
    }

    fn fill_head(self, program: &'static ProgramDescriptor, stack_top: *mut u8) {
        let dropped_segments = if program.segment_count == 0 { ptr::null_mut() } else { stack_top.cast() };
        let memory0 = Memory { base: self.vmctx, length_bytes: 0 };
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
            unsafe { pages::move_pages(source, dest, chunk.len_bytes as usize) }.map_err(CreateError::Map)?;
        }
        for chunk in slice(&program.copies) {
            let (source, len) = chunk.bytes.get();
            let dest = self.vmctx.wrapping_offset(chunk.dest_offset as isize);
            // SAFETY: the compiler checked the chunk against context and memory 0, which are usable.
            unsafe { memops::copy_once(dest, source, len) };
        }
        Ok(())
    }

    fn create_memory(self, index: usize, plan: &MemoryPlan) -> Result<(), CreateError> {
        let base = if index == 0 { self.vmctx } else { create_further_memory(plan)? };
        let memory = Memory { base, length_bytes: plan.initial_bytes };
        // SAFETY: the plan's offset is that of this memory's record in the context.
        unsafe { self.memory_at(plan).write(memory) };
        Ok(())
    }

    fn create_table(self, plan: &TablePlan) -> Result<(), CreateError> {
        let bytes = |elements: u64| usize::try_from(elements).ok()?.checked_mul(size_of::<u64>());
        let initial = bytes(plan.initial_elements).ok_or(CreateError::TooLarge)?;
        let maximum = bytes(plan.maximum_elements.max(plan.initial_elements)).ok_or(CreateError::TooLarge)?;
        let base = reserve_and_commit(maximum, initial)?;
        let table = Table { base: base.cast(), length_elements: plan.initial_elements };
        // SAFETY: the plan's offset is that of this table's record in the context.
        unsafe { self.table_at(plan).write(table) };
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
        // The layout is that of `create`, which would have failed without one.
        let Some(layout) = Layout::of(self.program()) else { return 0..0 };
        let start = (self.vmctx as usize) - layout.vmctx;
        start + layout.stack_start..start + layout.stack_top
    }

    /// Addresses of the guard below the guest stack.
    pub fn stack_guard(self) -> Range<usize> {
        let stack = self.stack();
        stack.start.saturating_sub(STACK_GUARD_BYTES)..stack.start
    }

    /// Addresses of the generated code.
    pub fn text(self) -> Range<usize> {
        let program = self.program();
        let start = program.text.get().unwrap_or(ptr::null()) as usize;
        start..start + program.text_bytes as usize
    }
}

/// Makes a memory other than memory 0; its first byte.
fn create_further_memory(plan: &MemoryPlan) -> Result<*mut u8, CreateError> {
    let total = plan.reserve_bytes.max(plan.initial_bytes).checked_add(plan.guard_bytes);
    let total = total.and_then(|bytes| usize::try_from(bytes).ok()).ok_or(CreateError::TooLarge)?;
    reserve_and_commit(total, plan.initial_bytes as usize)
}

/// Reserves `total_bytes`, at least a page, of which the first `usable_bytes` are usable.
fn reserve_and_commit(total_bytes: usize, usable_bytes: usize) -> Result<*mut u8, CreateError> {
    let total = pages::round_up(total_bytes.max(1)).ok_or(CreateError::TooLarge)?;
    let usable = pages::round_up(usable_bytes).ok_or(CreateError::TooLarge)?;
    let start = pages::reserve(total).map_err(CreateError::Reserve)?;
    // SAFETY: the range lies in the new reservation.
    unsafe { pages::commit(start, usable) }.map_err(CreateError::Commit)?;
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
    fn what_cannot_be_addressed_is_an_error() {
        let mut program = TestProgram::with_memory(0, 0);
        program.memories[0].reserve_bytes = u64::MAX - 5;
        assert_eq!(Instance::create(program.leak()), Err(CreateError::TooLarge));
        let mut program = TestProgram::with_memory(0, 0);
        program.memories[0].reserve_bytes = 1 << 60;
        assert!(matches!(Instance::create(program.leak()), Err(CreateError::Reserve(..))));
    }
}
