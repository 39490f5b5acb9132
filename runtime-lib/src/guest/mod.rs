//! The sandbox's judgement, in one place for both of its fronts: executables, and stores in host programs.
//!
//! What a fault means ([`judge`]), which calls are being executed ([`stack`]), who handles an exception ([`handlers`])
//! and which exceptions are still referred to ([`marking`]) is decided here, for anything that is [`Guests`]. The fronts
//! say where guests' code, stack and memories lie, and do what follows: end a process, or a call of the host.

// ---------------------------------------------------------------------------------------------------------------
// Security: everything here may run in a signal handler, in the middle of whatever faulted: no allocation, no lock, no
// panic. It believes what `Guests` says and the read-only data that the compiler wrote, and nothing that lies on a
// stack: what is read there is checked before it is followed.
// ---------------------------------------------------------------------------------------------------------------

pub mod handlers;
pub mod judge;
pub mod marking;
pub mod stack;

use core::ops::Range;
use core::ptr;

use wasmelt_abi::descriptor::Code;

/// Where the guests of a thread are: the one program of an executable, or the instances of a store.
pub trait Guests {
    /// Whether functions of the runtime run on the guests' stack to its very end. Otherwise they ask for enough of it
    /// first, see [`Guests::asks_for_stack`].
    const SHARES_STACK: bool;

    /// The generated code that an address lies in, and the address as an offset in it.
    fn code_at(&self, address: usize) -> Option<(&Code, u32)>;

    /// Addresses that frames of guests may have. They can be read.
    fn frames(&self) -> Range<usize>;

    /// Addresses of the inaccessible pages that end the stack.
    fn stack_guard(&self) -> Range<usize>;

    /// Whether the system's report of an overflow at this address is about the guests' stack.
    #[cfg(windows)]
    fn overflows_at(&self, address: usize) -> bool;

    /// Where an address lies in the reservation of a memory that the code may use, if it does.
    fn memory_at(&self, address: usize) -> Option<InMemory>;

    /// Whether the runtime's instruction at this address makes sure of the guests' stack, in a function without a frame.
    fn asks_for_stack(&self, _pc: usize) -> bool {
        false
    }

    /// The number by which exceptions know a tag, by the tag's index in a handler.
    ///
    /// # Safety
    /// `vmctx` is the context of the code whose handler it is, or 0 where the handlers name none.
    unsafe fn tag_number(&self, vmctx: usize, index: u32) -> Option<u32>;
}

/// Where an address in a memory's reservation lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InMemory {
    /// Outside the memory, or a memory that another thread may have changed since.
    Outside,
    /// Inside a memory that no other thread changes: no access there faults.
    Inside,
    /// Inside a memory that another thread may have grown since the access. Executables do not look.
    InsideShared,
}

/// Addresses of generated code.
pub fn text(code: &Code) -> Range<usize> {
    let start = code.text.get().unwrap_or(ptr::null()) as usize;
    start..start + code.text_bytes as usize
}
