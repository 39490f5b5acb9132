//! Faults of guest code in a host process, and what happens after them. How the system delivers faults is in `unix`
//! (signals) and `windows` (exceptions).

// ---------------------------------------------------------------------------------------------------------------
// Security: what is a guest's trap is decided by `guest::judge`; here is said where the guests of a store are. Code is
// what the store has loaded, and an access is judged by the store's own memories and its stack. All of it runs in the
// middle of what faulted: it allocates nothing, takes no lock, and believes only what the system and this crate wrote.
// ---------------------------------------------------------------------------------------------------------------

#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;

use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use wasmelt_abi::context::{LIBRARY_HEAD_OFFSET, LibraryHead};
use wasmelt_abi::descriptor::Code;

use super::Error;
use super::activation::{self, Activation, Raised};
use super::backtrace::Captured;
use super::builtins;
use super::store::Inner;
use wasmelt_runtime::guest::judge::{Verdict, judge};
use wasmelt_runtime::guest::{Guests, InMemory};
use wasmelt_runtime::sys::fault::Fault;

/// Whether the process has code whose traps are faults.
static EXPECTED: AtomicBool = AtomicBool::new(false);

/// The process has code whose traps are faults: from now on, threads that call guests are made ready for them.
pub(super) fn are_expected() {
    EXPECTED.store(true, Ordering::Release);
}

/// Makes this thread ready for guest code; addresses of its stack, none where nobody knows, and whether it stays ready
/// whatever is loaded.
pub(super) fn prepare() -> Result<(Range<usize>, bool), Error> {
    // The order of threads is that of who hands over a module, or a store with an instance of it.
    match EXPECTED.load(Ordering::Acquire) {
        true => Ok((system::prepare_thread()?, true)),
        false => Ok((system::stack_of_thread(), false)),
    }
}

impl Guests for Inner {
    const SHARES_STACK: bool = false;

    fn code_at(&self, address: usize) -> Option<(&Code, u32)> {
        self.module_at(address).map(|(module, offset)| (&module.program().code, offset))
    }

    fn frames(&self) -> Range<usize> {
        self.frame_addresses()
    }

    fn stack_guard(&self) -> Range<usize> {
        self.guard()
    }

    #[cfg(windows)]
    fn overflows_at(&self, address: usize) -> bool {
        // The system's own code uses up the rest of the stack only on the way to the handler of a guest's trap; the
        // runtime has asked for enough.
        self.guard().contains(&address)
    }

    fn memory_at(&self, address: usize) -> Option<InMemory> {
        let memory = self.memory_ranges.iter().find(|memory| memory.range.contains(&address))?;
        let inside = address - memory.range.start < memory.length_bytes() as usize;
        Some(match (inside, memory.shared) {
            (false, _) => InMemory::Outside,
            (true, false) => InMemory::Inside,
            (true, true) => InMemory::InsideShared,
        })
    }

    fn asks_for_stack(&self, pc: usize) -> bool {
        builtins::asks_for_stack(pc)
    }

    unsafe fn tag_number(&self, vmctx: usize, index: u32) -> Option<u32> {
        if vmctx == 0 {
            return None;
        }
        let head = (vmctx as *const u8).wrapping_offset(LIBRARY_HEAD_OFFSET as isize).cast::<LibraryHead>();
        // SAFETY: by this function's contract it is a context of a library, which has a number for each tag of the module.
        unsafe {
            let numbers = (*head).tag_ids;
            (!numbers.is_null()).then(|| *numbers.add(index as usize))
        }
    }
}

/// What the system's handler is to do.
enum Answer {
    /// Not a fault of a guest: other handlers decide.
    PassOn,
    /// Go on where it occurred.
    Retry,
    /// Go on where this activation ends, with its address in the register of results.
    End(*mut Activation),
}

/// Judges a fault of the calling thread.
///
/// # Safety
/// Called in the middle of what faulted.
unsafe fn answer(fault: &Fault) -> Answer {
    let activation = activation::current();
    if activation.is_null() {
        return Answer::PassOn;
    }
    // SAFETY: the activation of this thread is on its stack, and its store is there; nothing else runs on this thread,
    // and no other thread uses the store. Nothing was raised before, so nothing is dropped.
    unsafe {
        let store: &Inner = &*(*activation).store;
        match judge(fault, store) {
            Some(Verdict::Trap(trap)) => {
                (*activation).captured = Captured::of_fault(store, activation, fault);
                (&raw mut (*activation).raised).write(Some(Raised::Trap(trap)));
                Answer::End(activation)
            }
            Some(Verdict::GoodNow) => Answer::Retry,
            None => Answer::PassOn,
        }
    }
}
