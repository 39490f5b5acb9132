//! Exceptions of an executable: making them, throwing them, and freeing those that nothing refers to any more.
//!
//! Handlers are found by `guest::handlers`. References to exceptions (`exnref`) may lie in locals, globals, tables and
//! other exceptions; when no free exception is left, all of these are searched (`guest::marking`), and the rest is
//! freed. So exceptions need neither counts nor barriers, and throwing costs no more than the walk.

// ---------------------------------------------------------------------------------------------------------------
// Security: a heap says of a word that it is an exception only where a cell of the heap begins, and all cells that were
// ever handed out are exceptions. All that can hold a reference is named in `Heap::mark_and_sweep`.
// ---------------------------------------------------------------------------------------------------------------

use core::mem::size_of;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use wasmelt_abi::context::Exception;
use wasmelt_abi::descriptor::{FurtherPolicy, ProgramDescriptor};
use wasmelt_abi::trap::{TRAP_EXIT_CODE, Trap};

use crate::guest::handlers::{self, Landing};
use crate::guest::marking::{Cells, Marking, mark};
use crate::guest::stack::Frames;
use crate::instance::Instance;
use crate::rel::slice;
use crate::sys::{self, cpu, pages};
use crate::{threads, trap};

/// What the heaps of all threads may take together, in bytes; each reserves as much address space.
static LIMIT: AtomicUsize = AtomicUsize::new(FurtherPolicy::DEFAULT_MAX_EXCEPTION_BYTES as usize);

/// What the heaps of all threads take.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

/// Sets what exceptions may take, in bytes; before there is any.
pub fn limit(bytes: u64) {
    // Whole pages, as memory is taken.
    LIMIT.store(usize::try_from(bytes).unwrap_or(usize::MAX) & !(pages::PAGE_BYTES - 1), Relaxed);
}

/// What is made usable at first.
const FIRST_BYTES: usize = 1 << 16;

/// The exceptions of a thread's instance. One guest thread uses it at a time; the atomics only keep the statics sound.
#[derive(Debug)]
pub struct Heap {
    /// First cell; null before the first exception.
    base: AtomicPtr<u8>,
    /// Bytes that are usable from `base` on.
    usable: AtomicUsize,
    /// Bytes of cells that were ever handed out.
    used: AtomicUsize,
    /// First free cell.
    free: AtomicPtr<Exception>,
}

/// The exceptions of the process's first instance.
static HEAP: Heap = Heap::new();

/// Size of an exception with room for the largest values of the program.
fn cell_bytes(program: &ProgramDescriptor) -> usize {
    size_of::<Exception>() + (program.code.exception_payload_bytes as usize).next_multiple_of(16)
}

/// Makes an exception. Its values are for the caller to fill in.
pub fn new(instance: Instance, tag: u32) -> *mut Exception {
    let cell_bytes = cell_bytes(instance.program());
    // References to exceptions cannot leave their instance: neither memory nor calls carry them to another thread.
    let heap = threads::own_heap().unwrap_or(&HEAP);
    let cell = heap.take(cell_bytes).or_else(|| {
        heap.collect(instance.first(), cell_bytes);
        heap.take(cell_bytes)
    });
    let Some(cell) = cell else { out_of_memory() };
    // SAFETY: the cell is the heap's and nobody else's.
    unsafe { cell.write(Exception { tag, mark: mark::UNSEEN, next: ptr::null_mut() }) };
    cell
}

/// Continues at the innermost handler of an exception; traps when there is none.
///
/// # Safety
/// Called by generated code of this instance, by the calling convention that keeps no register; `exception` is one
/// that [`new`] made.
pub unsafe fn throw(instance: Instance, exception: *mut Exception) -> ! {
    // Landing pads go on from the first instance.
    let instance = instance.first();
    #[cfg(not(windows))]
    let frames = Frames::new(&instance, sys::frame_pointer());
    // Frames of the runtime keep no frame pointers there.
    #[cfg(windows)]
    let frames = {
        let (pc, pointer) = sys::stack::innermost_frame(&instance.text()).unwrap_or((0, 0));
        Frames::from_call(&instance, pc, pointer)
    };
    // SAFETY: the frames are those of the caller; by this function's contract the exception can be read.
    let landing = unsafe { handlers::find(&instance, frames, (*exception).tag) };
    if let Some(Landing { code, stack_pointer, frame_pointer }) = landing {
        // SAFETY: the handler is that of a call which is being executed.
        unsafe { cpu::resume(code, stack_pointer, frame_pointer, instance.vmctx(), exception as usize) }
    }
    // SAFETY: generated code of this instance is the caller.
    unsafe { trap::raise(instance.vmctx(), Trap::UncaughtException) }
}

#[cold]
fn out_of_memory() -> ! {
    crate::report::Report::new(crate::sys::Stream::Error)
        .failure()
        .text("out of memory for exceptions (see --max-exception-memory)")
        .exit(TRAP_EXIT_CODE)
}

impl Heap {
    /// A heap without any exception.
    #[allow(clippy::new_without_default, reason = "the first one is made at compile time")]
    pub const fn new() -> Self {
        Self {
            base: AtomicPtr::new(ptr::null_mut()),
            usable: AtomicUsize::new(0),
            used: AtomicUsize::new(0),
            free: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Gives the memory of all exceptions back.
    ///
    /// # Safety
    /// Nothing refers to any of them.
    pub unsafe fn release(&self) {
        let base = self.base.swap(ptr::null_mut(), Relaxed);
        if !base.is_null() {
            // SAFETY: the reservation was made in `grow`; by this function's contract nothing uses it.
            unsafe { pages::release(base, LIMIT.load(Relaxed)) };
            TAKEN.fetch_sub(self.usable.load(Relaxed), Relaxed);
        }
    }

    /// A cell that is free, without looking for garbage.
    fn take(&self, cell_bytes: usize) -> Option<*mut Exception> {
        let free = self.free.load(Relaxed);
        if !free.is_null() {
            // SAFETY: a cell on the free list was written when it was freed.
            self.free.store(unsafe { (*free).next }, Relaxed);
            return Some(free);
        }
        let used = self.used.load(Relaxed);
        if used + cell_bytes > self.usable.load(Relaxed) {
            return None;
        }
        self.used.store(used + cell_bytes, Relaxed);
        Some(self.base.load(Relaxed).wrapping_add(used).cast())
    }

    /// Frees what nothing refers to, and makes more room where that was not much.
    fn collect(&self, instance: Instance, cell_bytes: usize) {
        let used = self.used.load(Relaxed);
        let freed = if used == 0 { 0 } else { self.mark_and_sweep(instance, cell_bytes) };
        if freed * 2 < used || used == 0 {
            self.grow();
        }
    }

    /// Makes twice as much usable, or what the limit leaves.
    fn grow(&self) {
        let limit = LIMIT.load(Relaxed);
        let mut base = self.base.load(Relaxed);
        if base.is_null() && limit > 0 {
            let Ok(reserved) = pages::reserve(limit) else { return };
            base = reserved;
            self.base.store(base, Relaxed);
        }
        let usable = self.usable.load(Relaxed);
        let mut more = 0;
        let take = |taken: usize| {
            more = usable.max(FIRST_BYTES).min(limit.saturating_sub(taken));
            (more > 0).then_some(taken + more)
        };
        if TAKEN.fetch_update(Relaxed, Relaxed, take).is_err() {
            return;
        }
        // SAFETY: the range lies in the reservation, behind what is usable: no heap takes more than the limit.
        if unsafe { pages::commit(base.wrapping_add(usable), more) }.is_ok() {
            self.usable.store(usable + more, Relaxed);
        } else {
            TAKEN.fetch_sub(more, Relaxed);
        }
    }

    /// Bytes that were freed. The instance is the first one of its program.
    fn mark_and_sweep(&self, instance: Instance, cell_bytes: usize) -> usize {
        let (base, used) = (self.base.load(Relaxed) as usize, self.used.load(Relaxed));
        let mut marking = Marking::new(Used { base, used, cell_bytes });
        let stack = instance.stack();
        let end = stack.end;
        // SAFETY: the guest's stack can be read. The guest has called, so this runs on it.
        unsafe { marking.stack(stack, end) };
        for (instance, plan) in instance.all() {
            let vmctx = instance.vmctx() as usize;
            // SAFETY: the instance's context.
            unsafe { marking.words(vmctx - plan.context_bytes as usize..vmctx) };
            for plan in slice(&plan.tables) {
                // SAFETY: the record is the instance's own, and its table has this length.
                unsafe {
                    let table = &*instance.table_at(plan);
                    let start = table.base as usize;
                    marking.words(start..start + table.length_elements as usize * size_of::<u64>());
                }
            }
        }
        self.sweep(&marking.finish())
    }

    fn sweep(&self, cells: &Used) -> usize {
        let (mut freed, mut offset) = (0, 0);
        // Not `step_by`, which panics for steps of zero, and cannot know that no step is zero.
        while offset < cells.used {
            let cell = (cells.base + offset) as *mut Exception;
            // SAFETY: all cells below `used` were written.
            let exception = unsafe { &mut *cell };
            match exception.mark {
                mark::SEEN => exception.mark = mark::UNSEEN,
                mark::UNSEEN => {
                    exception.mark = mark::FREE;
                    exception.next = self.free.load(Relaxed);
                    self.free.store(cell, Relaxed);
                    freed += cells.cell_bytes;
                }
                _ => {}
            }
            offset += cells.cell_bytes;
        }
        freed
    }
}

/// The cells of a heap that were ever handed out.
struct Used {
    base: usize,
    /// Their length together, in bytes.
    used: usize,
    cell_bytes: usize,
}

impl Cells for Used {
    #[inline(always)]
    fn len_bytes(&self, address: usize) -> Option<usize> {
        let offset = address.wrapping_sub(self.base);
        (offset < self.used && offset.is_multiple_of(self.cell_bytes)).then_some(self.cell_bytes)
    }
}
