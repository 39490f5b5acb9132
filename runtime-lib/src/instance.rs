//! Instances: from a descriptor to a context and memories that generated code can run with.
//!
//! One reservation holds everything that must be adjacent, as [`wasmelt_abi::layout`] describes, so that one `mmap` and
//! one `mprotect` make a whole instance. What few programs have, further and shared memories and tables that can
//! change, is made by hooks that only their programs refer to.

// ---------------------------------------------------------------------------------------------------------------
// Security: the layout is the sandbox, see `wasmelt_abi::layout`. It is the compiler's; here it is only followed.
// ---------------------------------------------------------------------------------------------------------------

use core::ops::Range;
use core::ptr;

use wasmelt_abi::context::{HEAD_BYTES, LINKED_HEAD_OFFSET, LinkedHead, Memory, MemoryRef, Table, VmContextHead};
use wasmelt_abi::descriptor::{InstancePlan, MemoryPlan, ProgramDescriptor, TablePlan};
use wasmelt_abi::layout::{STACK_GUARD_BYTES, dropped_bytes};

use crate::failure::Failure;
use crate::guest;
use crate::memops;
use crate::memory::SharedMemory;
use crate::rel::slice;
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

    /// Makes the first instance of a program with everything that the descriptor alone decides, apart from what hooks
    /// make, the other instances among it. Code has not run yet.
    #[inline(always)]
    pub fn create(program: &'static ProgramDescriptor) -> Result<Self, CreateError> {
        let layout = &program.layout;
        let usable = layout.usable_end - STACK_GUARD_BYTES;
        // SAFETY: the range lies in the new reservation.
        let start = unsafe {
            let reserve = |len_bytes| pages::reserve_above(ptr::from_ref(program).addr(), len_bytes);
            reserve_and_commit(reserve, layout.total_bytes, STACK_GUARD_BYTES, usable)
        }?;
        // SAFETY: the reservation is new, and usable as the layout says.
        unsafe { Self::fill(program, start) }
    }

    /// Makes the instances of a new thread of this instance's program; the first one. They share with those of this
    /// thread what several threads may share; all else is new.
    pub fn create_sibling(self) -> Result<Self, CreateError> {
        let (program, layout) = (self.program(), &self.program().layout);
        let reserved = pages::reserve(layout.total_bytes as usize).map_err(CreateError::of(Failure::Reserve))?;
        let usable = (layout.usable_end - STACK_GUARD_BYTES) as usize;
        // SAFETY: the range lies in the new reservation.
        let committed = unsafe { pages::commit(reserved.wrapping_add(STACK_GUARD_BYTES as usize), usable) };
        let made = committed.map_err(CreateError::of(Failure::Commit)).and_then(|()| {
            // SAFETY: the reservation is new, and usable as the layout says.
            let instance = unsafe { Self::fill(program, reserved) }?;
            let made = instance.make_others().and_then(|()| {
                instance.all().zip(self.first().all()).try_for_each(|((new, _), (old, _))| {
                    new.make_memories(Some(old))?;
                    new.make_tables()
                })
            });
            if made.is_err() {
                instance.release_parts();
            }
            made.map(|()| instance)
        });
        if made.is_err() {
            // SAFETY: nothing refers to it yet.
            unsafe { pages::release(reserved, layout.total_bytes as usize) };
        }
        made
    }

    /// # Safety
    /// `start` is that of a new reservation as the program's layout describes it.
    #[inline(always)]
    unsafe fn fill(program: &'static ProgramDescriptor, start: *mut u8) -> Result<Self, CreateError> {
        let layout = &program.layout;
        let instance = Self { vmctx: start.wrapping_add(layout.vmctx as usize) };
        let plan = &program.first;
        instance.fill_head(program, plan, start.wrapping_add(layout.stack_top as usize));
        instance.place_contents(plan)?;
        Ok(instance)
    }

    /// Makes the instances that follow this one, the first, in its reservation.
    fn make_others(self) -> Result<(), CreateError> {
        let program = self.program();
        // SAFETY: in a program of several instances, the contexts have room for it.
        let tell = |instance: Self, plan: &InstancePlan| unsafe {
            let head = LinkedHead { plan: ptr::from_ref(plan), first: self.vmctx };
            instance.vmctx.wrapping_offset(LINKED_HEAD_OFFSET as isize).cast::<LinkedHead>().write(head);
        };
        if program.others.len > 0 {
            tell(self, &program.first);
        }
        for plan in slice(&program.others) {
            let instance = Self { vmctx: self.vmctx.wrapping_add(plan.distance as usize) };
            let dropped = dropped_bytes(plan.segment_count);
            let bits = instance.vmctx.wrapping_sub(plan.context_bytes as usize + dropped as usize);
            let start = (bits as usize) & !(pages::PAGE_BYTES - 1);
            let memory0 = slice(&plan.memories).first().filter(|memory| memory.flags == 0);
            let end = instance.vmctx as usize + page(memory0.map_or(0, |memory| memory.initial_bytes)) as usize;
            // SAFETY: by the layout, context and memory 0 of this instance have these pages of the reservation alone.
            unsafe { pages::commit(start as *mut u8, end - start) }.map_err(CreateError::of(Failure::Commit))?;
            instance.fill_head(program, plan, bits);
            tell(instance, plan);
            instance.place_contents(plan)?;
        }
        Ok(())
    }

    fn fill_head(self, program: &'static ProgramDescriptor, plan: &'static InstancePlan, dropped_bits: *mut u8) {
        let dropped_segments = if plan.segment_count == 0 { ptr::null_mut() } else { dropped_bits.cast() };
        let length_bytes = slice(&plan.memories).first().map_or(0, |memory| memory.initial_bytes);
        let memory0 = Memory { base: self.vmctx, length_bytes };
        let head = VmContextHead { dropped_segments, program: ptr::from_ref(program), memory0 };
        // SAFETY: the head lies directly below `vmctx`, in pages that are usable.
        unsafe { self.vmctx.sub(HEAD_BYTES).cast::<VmContextHead>().write(head) };
    }

    /// Fills context and memory 0 with their initial bytes.
    #[inline(always)]
    fn place_contents(self, plan: &'static InstancePlan) -> Result<(), CreateError> {
        for chunk in slice(&plan.maps) {
            let source = chunk.source.get().unwrap_or(ptr::null()).cast_mut();
            let dest = self.vmctx.wrapping_add(chunk.dest_offset as usize);
            // SAFETY: the pages at `source` hold this chunk only, and the compiler checked it against memory 0.
            unsafe { pages::move_pages(source, dest, chunk.len_bytes as usize) }
                .map_err(CreateError::of(Failure::Map))?;
        }
        for chunk in slice(&plan.copies) {
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

    /// What this was made from.
    pub fn plan(self) -> &'static InstancePlan {
        let program = self.program();
        if program.others.len == 0 {
            return &program.first;
        }
        // SAFETY: contexts of such a program have this head, which was filled when the instance was made.
        unsafe { &*(*self.linked_head()).plan }
    }

    /// What contexts of programs of several instances have in addition.
    fn linked_head(self) -> *mut LinkedHead {
        self.vmctx.wrapping_offset(LINKED_HEAD_OFFSET as isize).cast()
    }

    /// The program that this is an instance of.
    pub fn program(self) -> &'static ProgramDescriptor {
        // SAFETY: the head was filled when the instance was made, with a reference.
        unsafe { &*(*self.head()).program }
    }

    /// The first instance of the program, in the same thread.
    #[inline]
    pub fn first(self) -> Self {
        if self.program().others.len == 0 {
            return self;
        }
        // SAFETY: contexts of such a program have this head, which was filled when the instance was made.
        Self { vmctx: unsafe { (*self.linked_head()).first } }
    }

    /// All instances of the program in the same thread, in order, with their plans; this is the first one.
    pub fn all(self) -> impl Iterator<Item = (Self, &'static InstancePlan)> {
        let at = move |distance: u64| Self { vmctx: self.vmctx.wrapping_add(distance as usize) };
        let program = self.program();
        core::iter::once(&program.first).chain(slice(&program.others)).map(move |plan| (at(plan.distance), plan))
    }

    /// Where the context holds the record of a memory, or a reference to it.
    pub fn memory_place(self, plan: &MemoryPlan) -> *mut u8 {
        self.vmctx.wrapping_offset(plan.context_offset as isize)
    }

    /// The record of a memory.
    pub fn memory_at(self, plan: &MemoryPlan) -> *mut Memory {
        let place = self.memory_place(plan);
        if plan.flags & MemoryPlan::POINTED != 0 {
            // SAFETY: then a reference to the record stands at the place, which the guest cannot write to.
            return unsafe { (*place.cast::<MemoryRef>()).record };
        }
        place.cast()
    }

    /// Makes the memories that do not lie above the context. Those that are shared are the ones of `sibling`, if there
    /// is one.
    fn make_memories(self, sibling: Option<Instance>) -> Result<(), CreateError> {
        for (index, plan) in slice(&self.plan().memories).iter().enumerate() {
            if plan.flags & MemoryPlan::FOREIGN != 0 {
                continue;
            }
            let place = self.memory_place(plan);
            if plan.flags & MemoryPlan::POINTED == 0 {
                if index > 0 {
                    let base = further_pages(memory_bytes(plan), plan.initial_bytes)?;
                    // SAFETY: the plan's offset is that of this memory's record in the context.
                    unsafe { place.cast::<Memory>().write(Memory { base, length_bytes: plan.initial_bytes }) };
                }
                continue;
            }
            let record = match sibling {
                Some(sibling) => sibling.memory_at(plan),
                None => shared_memory(plan)?,
            };
            // SAFETY: the record is that of a memory which is never unmapped.
            let base = unsafe { (*record).base };
            // SAFETY: the plan's offset is that of the reference in the context.
            unsafe { place.cast::<MemoryRef>().write(MemoryRef { base, record }) };
            if index == 0 {
                // Generated code renews the length before each call of a host function.
                // SAFETY: the head is this instance's own.
                unsafe { (*self.head()).memory0 = Memory { base, length_bytes: plan.initial_bytes } };
            }
        }
        Ok(())
    }

    fn make_tables(self) -> Result<(), CreateError> {
        for plan in slice(&self.plan().tables) {
            let bytes = |elements: u64| elements.saturating_mul(size_of::<u64>() as u64);
            let base = further_pages(table_bytes(plan), bytes(plan.initial_elements))?.cast();
            // SAFETY: the plan's offset is that of this table's record in the context.
            unsafe { self.table_at(plan).write(Table { base, length_elements: plan.initial_elements }) };
        }
        Ok(())
    }

    /// Gives back the memories and tables of a thread's instances that have mappings of their own; this is the first
    /// one. Those that were never made have records that are zero.
    pub fn release_parts(self) {
        self.all().for_each(|(instance, _)| instance.release_own_parts());
    }

    fn release_own_parts(self) {
        let release = |start: *mut u8, len_bytes: u64| {
            if !start.is_null() {
                // SAFETY: the mapping was made with this length for this instance, in which nothing runs any more.
                unsafe { pages::release(start, page(len_bytes.max(1)) as usize) };
            }
        };
        let memories = slice(&self.plan().memories).iter().skip(1);
        for plan in memories.filter(|plan| plan.flags & (MemoryPlan::POINTED | MemoryPlan::FOREIGN) == 0) {
            // SAFETY: the record is the instance's own.
            release(unsafe { (*self.memory_at(plan)).base }, memory_bytes(plan));
        }
        for plan in slice(&self.plan().tables) {
            // SAFETY: so is this one.
            release(unsafe { (*self.table_at(plan)).base.cast() }, table_bytes(plan));
        }
    }

    /// The reservation that holds the stack and all contexts: its start, and its length in bytes. This is the first
    /// instance.
    pub fn reservation(self) -> (*mut u8, usize) {
        let layout = &self.program().layout;
        (self.vmctx.wrapping_sub(layout.vmctx as usize), layout.total_bytes as usize)
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
        let room = segment < self.plan().segment_count as usize;
        (!words.is_null() && room).then(|| (words.wrapping_add(segment / 64), 1 << (segment % 64)))
    }

    /// Addresses of the stack of the guest's thread, which has none in the reservation.
    #[cfg(windows)]
    pub fn stack(self) -> Range<usize> {
        crate::sys::stack::limits()
    }

    /// Addresses of the guest stack, without its guard. This is the first instance.
    #[cfg(not(windows))]
    pub fn stack(self) -> Range<usize> {
        let layout = &self.program().layout;
        let start = (self.vmctx as usize).wrapping_sub(layout.vmctx as usize);
        start.wrapping_add(STACK_GUARD_BYTES as usize)..start.wrapping_add(layout.stack_top as usize)
    }

    /// Addresses of the guard below the guest stack. This is the first instance.
    pub fn stack_guard(self) -> Range<usize> {
        let stack = self.stack();
        stack.start.wrapping_sub(STACK_GUARD_BYTES as usize)..stack.start
    }

    /// Addresses of the generated code.
    pub fn text(self) -> Range<usize> {
        guest::text(&self.program().code)
    }
}

/// Makes the instances after the first one, see [`wasmelt_abi::symbols::HOOK_INSTANCES`].
///
/// # Safety
/// `vmctx` is the context of a program's first instance, in which no code has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_instances(vmctx: *mut u8) {
    // SAFETY: by this function's contract.
    let instance = unsafe { Instance::from_vmctx(vmctx) };
    instance.make_others().unwrap_or_else(|error| error.end());
    crate::executable::judge_all_instances();
}

/// Makes the memories beyond memory 0 and those that are shared, see [`wasmelt_abi::symbols::HOOK_MEMORIES`].
///
/// # Safety
/// `vmctx` is the context of an instance in which no code has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_memories(vmctx: *mut u8) {
    // SAFETY: by this function's contract.
    let instance = unsafe { Instance::from_vmctx(vmctx) };
    instance.all().try_for_each(|(instance, _)| instance.make_memories(None)).unwrap_or_else(|error| error.end());
}

/// Makes the tables that can change, see [`wasmelt_abi::symbols::HOOK_TABLES`].
///
/// # Safety
/// `vmctx` is the context of an instance in which no code has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_tables(vmctx: *mut u8) {
    // SAFETY: by this function's contract.
    let instance = unsafe { Instance::from_vmctx(vmctx) };
    instance.all().try_for_each(|(instance, _)| instance.make_tables()).unwrap_or_else(|error| error.end());
}

/// A memory that threads share: a page with its record, then the memory itself. Nothing unmaps it, because there is no
/// last thread that would outlive the process.
fn shared_memory(plan: &MemoryPlan) -> Result<*mut Memory, CreateError> {
    let header = pages::PAGE_BYTES as u64;
    let start = further_pages(memory_bytes(plan).saturating_add(header), plan.initial_bytes.saturating_add(header))?;
    let memory = Memory { base: start.wrapping_add(pages::PAGE_BYTES), length_bytes: plan.initial_bytes };
    let shared = start.cast::<SharedMemory>();
    // SAFETY: the first page is usable and new.
    unsafe { shared.write(SharedMemory::new(memory)) };
    Ok(shared.cast())
}

/// Length of a memory's mapping in bytes, where it has one of its own.
fn memory_bytes(plan: &MemoryPlan) -> u64 {
    plan.reserve_bytes.max(plan.initial_bytes).saturating_add(plan.guard_bytes)
}

/// Length of a table's mapping in bytes.
fn table_bytes(plan: &TablePlan) -> u64 {
    plan.maximum_elements.max(plan.initial_elements).saturating_mul(size_of::<u64>() as u64)
}

/// Whole pages. Sizes that no address space holds stay such sizes, for the operating system to refuse.
fn page(bytes: u64) -> u64 {
    bytes.checked_next_multiple_of(pages::PAGE_BYTES as u64).unwrap_or(1 << 63)
}

/// Makes a mapping of its own, at least a page, of which the first `usable_bytes` are usable.
fn further_pages(total_bytes: u64, usable_bytes: u64) -> Result<*mut u8, CreateError> {
    // SAFETY: the range starts with the new reservation, and is no longer.
    unsafe { reserve_and_commit(pages::reserve, page(total_bytes.max(1)), 0, page(usable_bytes)) }
}

/// Lets `reserve` reserve `total_bytes`, of which `usable_bytes` from `usable_start` on are usable; the start of the reservation.
///
/// # Safety
/// What is to be usable lies in the reservation.
#[inline(always)]
unsafe fn reserve_and_commit(
    reserve: impl FnOnce(usize) -> Result<*mut u8, SystemError>,
    total_bytes: u64,
    usable_start: u64,
    usable_bytes: u64,
) -> Result<*mut u8, CreateError> {
    let start = reserve(total_bytes as usize).map_err(CreateError::of(Failure::Reserve))?;
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
        let memory = unsafe { instance.memory_at(&slice(&instance.plan().memories)[0]).read() };
        assert_eq!((memory.base, memory.length_bytes), (instance.vmctx(), 2 << 16));
        let stack = instance.stack();
        assert!(stack.len() as u64 >= program.stack_bytes && stack.end.is_multiple_of(16));
        assert!(stack.end <= instance.vmctx() as usize - instance.plan().context_bytes as usize);
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
        let refused = unsafe { reserve_and_commit(pages::reserve, 1 << 63, 0, 0) };
        assert!(matches!(refused, Err(CreateError { failure: Failure::Reserve, .. })));
    }

    #[test]
    fn further_memories_have_pages_of_their_own() {
        let instance = Instance::create(TestProgram::with_memory(1 << 16, 1 << 16).leak()).unwrap();
        let start = further_pages(5 << 16, 100).unwrap();
        // SAFETY: the first page is usable.
        unsafe { start.add(4095).write(1) };
        assert_ne!(start, instance.vmctx());
    }
}
