//! What a fault of the CPU means: a guest's trap, or nothing that a guest can have caused.

// ---------------------------------------------------------------------------------------------------------------
// Security: a fault of the runtime or of a host must never be taken for a guest's trap. It counts as one only where
// generated code is known to fault, by its address and its place: at an instruction that the compiler listed, or for an
// access in the reservation of a memory but outside the memory; and in the guard of the guests' stack, where code runs
// that may use up that stack.
// ---------------------------------------------------------------------------------------------------------------

use wasmelt_abi::code_map;
use wasmelt_abi::trap::Trap;

use super::{Guests, InMemory};
use crate::rel::slice;
use crate::sys::fault::{Fault, FaultKind};

/// What a guest's fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The guest traps.
    Trap(Trap),
    /// The access was out of bounds, but another thread has grown the memory since: it would be good now.
    GoodNow,
}

/// What a fault means; `None` where no guest can have caused it.
#[inline(always)]
pub fn judge<G: Guests>(fault: &Fault, guests: &G) -> Option<Verdict> {
    let in_guest = guests.code_at(fault.pc);
    if fault.kind == FaultKind::Access && guests.stack_guard().contains(&fault.address) {
        let may = G::SHARES_STACK || in_guest.is_some() || guests.asks_for_stack(fault.pc);
        return may.then_some(Verdict::Trap(Trap::StackExhausted));
    }
    #[cfg(windows)]
    if fault.kind == FaultKind::Stack {
        // Whatever the code: where a guest traps at the end of its stack, it is the system's own code that uses up the
        // rest of it, on the way to the handler.
        return guests.overflows_at(fault.address).then_some(Verdict::Trap(Trap::StackExhausted));
    }
    let (code, offset) = in_guest?;
    match fault.kind {
        FaultKind::Access => match guests.memory_at(fault.address)? {
            InMemory::Outside => Some(Verdict::Trap(Trap::MemoryOutOfBounds)),
            InMemory::InsideShared => Some(Verdict::GoodNow),
            InMemory::Inside => None,
        },
        FaultKind::Instruction | FaultKind::Arithmetic => {
            let trap = Trap::from_u8(code_map::find(slice(&code.code_map), offset).trap as u8)?;
            Some(Verdict::Trap(trap))
        }
        FaultKind::Unavailable => None,
        #[cfg(windows)]
        FaultKind::Stack => None,
    }
}
