//! Conservative marking: which exceptions are still referred to. All memory that may hold references is searched for
//! words that are addresses of exceptions, and the values of those that are found as well.

// ---------------------------------------------------------------------------------------------------------------
// Security: an exception that is missed would be freed while a guest can still reach it. So a search leaves out nothing
// where a reference may be: registers that callees keep, the whole stack that is in use, and what the front names. A
// word that merely looks like a reference keeps an exception alive and does no other harm: marking writes to nothing
// but exceptions, which the front has told from everything else.
// ---------------------------------------------------------------------------------------------------------------

use core::mem::size_of;
use core::ops::Range;
use core::ptr;

use wasmelt_abi::context::Exception;

use crate::sys::cpu;

/// Values of [`Exception::mark`].
pub mod mark {
    /// Not found by the search that is under way, or none is.
    pub const UNSEEN: u32 = 0;
    /// Found by it.
    pub const SEEN: u32 = 1;
    /// Not an exception any more.
    pub const FREE: u32 = 2;
}

/// The exceptions of a heap.
pub trait Cells {
    /// The length in bytes of the exception at this address, with its values; `None` where there is none.
    fn len_bytes(&self, address: usize) -> Option<usize>;
}

/// A search for exceptions that are referred to.
pub struct Marking<C> {
    cells: C,
    /// Exceptions that were found and whose values are still to be searched.
    pending: *mut Exception,
}

impl<C: Cells> Marking<C> {
    /// A search that has found nothing yet. All exceptions are [`mark::UNSEEN`].
    pub fn new(cells: C) -> Self {
        Self { cells, pending: ptr::null_mut() }
    }

    /// Searches the registers, and the part of this stack that is in use: from the stack pointer on where this is the
    /// stack that the caller runs on, otherwise from `idle_from`, where whoever uses the stack has stopped.
    ///
    /// # Safety
    /// The stack can be read.
    #[inline(never)]
    pub unsafe fn stack(&mut self, stack: Range<usize>, idle_from: usize) {
        // A value that lives across the call is in a register that callees keep, which no frame of the runtime need have
        // stored, or on the stack: in a guest's frame, or where a frame of the runtime stored such a register. All of
        // that lies above the stack pointer; it need not lie above a frame pointer.
        let registers = cpu::callee_saved();
        registers.iter().for_each(|&register| self.word(register));
        let here = cpu::stack_pointer();
        let start = if stack.contains(&here) { here } else { idle_from.max(stack.start) };
        // SAFETY: by this function's contract.
        unsafe { self.words(start..stack.end) };
    }

    /// Searches the words in a range of memory.
    ///
    /// # Safety
    /// It can be read.
    pub unsafe fn words(&mut self, range: Range<usize>) {
        let start = range.start.next_multiple_of(size_of::<usize>());
        for address in (start..range.end & !(size_of::<usize>() - 1)).step_by(size_of::<usize>()) {
            // SAFETY: by this function's contract.
            self.word(unsafe { (address as *const usize).read_volatile() });
        }
    }

    /// Keeps an exception alive, where the word is the address of one.
    pub fn word(&mut self, word: usize) {
        if self.cells.len_bytes(word).is_none() {
            return;
        }
        // SAFETY: there is an exception at this address.
        let exception = unsafe { &mut *(word as *mut Exception) };
        if exception.mark == mark::UNSEEN {
            exception.mark = mark::SEEN;
            exception.next = self.pending;
            self.pending = exception;
        }
    }

    /// Searches the values of all that was found; the heap, whose exceptions say what was.
    pub fn finish(mut self) -> C {
        while !self.pending.is_null() {
            let address = self.pending as usize;
            // SAFETY: an exception that was found.
            self.pending = unsafe { (*self.pending).next };
            let len_bytes = self.cells.len_bytes(address).unwrap_or(0);
            // SAFETY: its values, which can be read.
            unsafe { self.words(address + size_of::<Exception>()..address + len_bytes) };
        }
        self.cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Exceptions with one value each.
    #[repr(C)]
    struct Cell {
        exception: Exception,
        value: [usize; 2],
    }

    struct Heap(Vec<Cell>);

    impl Cells for Heap {
        fn len_bytes(&self, address: usize) -> Option<usize> {
            self.0.iter().any(|cell| ptr::from_ref(cell) as usize == address).then_some(size_of::<Cell>())
        }
    }

    #[test]
    fn what_is_referred_to_is_found_through_others_and_nothing_else() {
        let cell = |_| {
            let exception = Exception { tag: 0, mark: mark::UNSEEN, next: ptr::null_mut() };
            Cell { exception, value: [0; 2] }
        };
        let mut heap = Heap((0..5).map(cell).collect());
        let address: Vec<usize> = heap.0.iter().map(|cell| ptr::from_ref(cell) as usize).collect();
        // 0 refers to 1, which refers to 2 and back; nothing refers to 3; a word beside 4 is none of its references.
        heap.0[0].value = [7, address[1]];
        heap.0[1].value = [address[2], address[0]];
        heap.0[2].value = [address[1], 1];
        heap.0[3].value = [address[0], 0];
        let roots = [address[0], address[4] + 8, 3, usize::MAX];
        let mut marking = Marking::new(heap);
        // SAFETY: the words of the array.
        unsafe { marking.words(roots.as_ptr() as usize..roots.as_ptr_range().end as usize) };
        let heap = marking.finish();
        let marks: Vec<u32> = heap.0.iter().map(|cell| cell.exception.mark).collect();
        assert_eq!(marks, [mark::SEEN, mark::SEEN, mark::SEEN, mark::UNSEEN, mark::UNSEEN]);
    }
}
