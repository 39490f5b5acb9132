//! Exceptions of the guest: making them, finding their handlers, and freeing those that nothing refers to any more.
//!
//! A handler is found by walking frame pointers: each return address into generated code is looked up among the calls
//! that handlers reach. References to exceptions (`exnref`) may lie in locals, globals, tables and other exceptions;
//! when no free exception is left, all of these are searched for words that look like one ("conservative marking"),
//! and the rest is freed. So exceptions need neither counts nor barriers, and throwing costs no more than the walk.

// ---------------------------------------------------------------------------------------------------------------
// Security: the walk trusts return addresses on the guest's stack, which guest code cannot write (linear memory lies
// elsewhere); every frame address is checked to lie in that stack all the same. A word that merely looks like a
// reference keeps an exception alive and does no other harm: marking never writes to anything but exceptions.
// ---------------------------------------------------------------------------------------------------------------

use core::mem::size_of;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use wasmelt_abi::context::Exception;
use wasmelt_abi::descriptor::{CallSite, ExceptionHandler, ProgramDescriptor};
use wasmelt_abi::trap::{TRAP_EXIT_CODE, Trap};

use crate::instance::{Instance, slice};
use crate::sys::{self, cpu, pages};
use crate::{threads, trap};

/// Address space for exceptions: more than any program has alive at once.
const RESERVE_BYTES: usize = 1 << 30;

/// What is made usable at first.
const FIRST_BYTES: usize = 1 << 16;

/// States of [`Exception::mark`].
mod mark {
    pub(super) const UNSEEN: u32 = 0;
    pub(super) const SEEN: u32 = 1;
    pub(super) const FREE: u32 = 2;
}

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
    // SAFETY: by this function's contract.
    let tag = unsafe { (*exception).tag };
    let (stack, text) = (instance.stack(), instance.text());
    let read = |address: usize| {
        let inside = address >= stack.start && address <= stack.end - size_of::<usize>();
        // SAFETY: the address lies in the guest stack.
        inside.then(|| unsafe { (address as *const usize).read() })
    };
    // A frame is known by the address where the caller's frame pointer and the return address lie.
    let frame_at = |frame: usize| Some((read(frame)?, read(frame.wrapping_add(size_of::<usize>()))?));
    #[cfg(not(windows))]
    let (mut frame, mut next) = (sys::frame_pointer(), frame_at(sys::frame_pointer()));
    #[cfg(windows)]
    let (mut frame, mut next) = (0, sys::stack::innermost_frame(&text).map(|(pc, frame_pointer)| (frame_pointer, pc)));
    let mut in_guest = false;
    while let Some((caller, return_address)) = next {
        if text.contains(&return_address) {
            in_guest = true;
            let offset = (return_address - text.start) as u32;
            if let Some((site, handler)) = find_handler(instance.program(), offset, tag) {
                let landing_pad = text.start + handler.landing_offset as usize;
                let stack_pointer = caller - site.frame_bytes as usize;
                // SAFETY: the table says so for the call that returns to this address.
                unsafe { cpu::resume(landing_pad, stack_pointer, caller, instance.vmctx(), exception as usize) }
            }
        } else if in_guest {
            break;
        }
        if caller <= frame {
            break;
        }
        frame = caller;
        next = frame_at(frame);
    }
    // SAFETY: generated code of this instance is the caller.
    unsafe { trap::raise(instance.vmctx(), Trap::UncaughtException) }
}

/// The handler of a call, by the offset of its return address, for exceptions of this tag.
fn find_handler(program: &ProgramDescriptor, return_offset: u32, tag: u32) -> Option<(CallSite, ExceptionHandler)> {
    let (site, handlers) = handlers_of(program, return_offset)?;
    let handler = handlers.iter().find(|handler| handler.tag == tag || handler.tag == ExceptionHandler::ALL)?;
    Some((*site, *handler))
}

/// A call within the reach of handlers, by the offset of its return address, and the handlers.
pub(crate) fn handlers_of(program: &ProgramDescriptor, return_offset: u32) -> Option<(&CallSite, &[ExceptionHandler])> {
    let sites = slice(&program.code.call_sites);
    let site = sites.get(sites.binary_search_by_key(&return_offset, |site| site.return_offset).ok()?)?;
    let first = site.first_handler as usize;
    Some((site, slice(&program.code.handlers).get(first..first + site.handler_count as usize)?))
}

#[cold]
fn out_of_memory() -> ! {
    crate::report::Report::new(crate::sys::Stream::Error)
        .failure()
        .text("out of memory for exceptions")
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
            unsafe { pages::release(base, RESERVE_BYTES) };
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

    fn grow(&self) {
        let mut base = self.base.load(Relaxed);
        if base.is_null() {
            let Ok(reserved) = pages::reserve(RESERVE_BYTES) else { return };
            base = reserved;
            self.base.store(base, Relaxed);
        }
        let usable = self.usable.load(Relaxed);
        let more = usable.max(FIRST_BYTES).min(RESERVE_BYTES - usable);
        // SAFETY: the range lies in the reservation, behind what is usable.
        if more > 0 && unsafe { pages::commit(base.wrapping_add(usable), more) }.is_ok() {
            self.usable.store(usable + more, Relaxed);
        }
    }

    /// Bytes that were freed.
    fn mark_and_sweep(&self, instance: Instance, cell_bytes: usize) -> usize {
        let marking = Marking {
            base: self.base.load(Relaxed) as usize,
            used: self.used.load(Relaxed),
            cell_bytes,
            pending: core::cell::Cell::new(ptr::null_mut()),
        };
        // Values that live across the call may be in these, and no frame of the runtime need have stored them.
        let registers = cpu::callee_saved();
        marking.words(registers.as_ptr() as usize, registers.as_ptr_range().end as usize);
        let stack = instance.stack();
        marking.words(sys::frame_pointer().max(stack.start), stack.end);
        for (instance, plan) in instance.all() {
            let vmctx = instance.vmctx() as usize;
            marking.words(vmctx - plan.context_bytes as usize, vmctx);
            for plan in slice(&plan.tables) {
                // SAFETY: the record is the instance's own.
                let table = unsafe { &*instance.table_at(plan) };
                let start = table.base as usize;
                marking.words(start, start + table.length_elements as usize * size_of::<u64>());
            }
        }
        marking.finish();
        self.sweep(&marking)
    }

    fn sweep(&self, marking: &Marking) -> usize {
        let (mut freed, mut offset) = (0, 0);
        // Not `step_by`, which panics for steps of zero, and does not know that there are none.
        while offset < marking.used {
            let cell = (marking.base + offset) as *mut Exception;
            // SAFETY: all cells below `used` were written.
            let exception = unsafe { &mut *cell };
            match exception.mark {
                mark::SEEN => exception.mark = mark::UNSEEN,
                mark::UNSEEN => {
                    exception.mark = mark::FREE;
                    exception.next = self.free.load(Relaxed);
                    self.free.store(cell, Relaxed);
                    freed += marking.cell_bytes;
                }
                _ => {}
            }
            offset += marking.cell_bytes;
        }
        freed
    }
}

/// One search for exceptions that are still referred to.
struct Marking {
    base: usize,
    used: usize,
    cell_bytes: usize,
    /// Exceptions that were seen and whose values are still to be searched.
    pending: core::cell::Cell<*mut Exception>,
}

impl Marking {
    /// Searches the words between two addresses.
    fn words(&self, start: usize, end: usize) {
        let start = start.next_multiple_of(size_of::<usize>());
        for address in (start..end & !(size_of::<usize>() - 1)).step_by(size_of::<usize>()) {
            // SAFETY: the callers name readable memory.
            let word = unsafe { (address as *const usize).read_volatile() };
            self.word(word);
        }
    }

    fn word(&self, word: usize) {
        let offset = word.wrapping_sub(self.base);
        if offset >= self.used || !offset.is_multiple_of(self.cell_bytes) {
            return;
        }
        // SAFETY: the address of a cell that was written.
        let exception = unsafe { &mut *(word as *mut Exception) };
        if exception.mark == mark::UNSEEN {
            exception.mark = mark::SEEN;
            exception.next = self.pending.get();
            self.pending.set(exception);
        }
    }

    /// Searches the values of exceptions that were found.
    fn finish(&self) {
        loop {
            let exception = self.pending.get();
            if exception.is_null() {
                return;
            }
            // SAFETY: a cell that was seen.
            self.pending.set(unsafe { (*exception).next });
            let cell = exception as usize;
            self.words(cell + size_of::<Exception>(), cell + self.cell_bytes);
        }
    }
}
