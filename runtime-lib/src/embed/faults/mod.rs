//! Faults of guest code in a host process: what is a guest's trap, and what is none of ours. How the system delivers
//! faults is in `unix` (signals) and `windows` (exceptions).

// ---------------------------------------------------------------------------------------------------------------
// Security: `judge` decides what is a guest's trap. It must never take a fault of the host for one: a fault counts
// only at an instruction of generated code that this activation's store has loaded, and for an access only inside the
// reservation of one of the store's memories but outside the memory, or in the guard of its stack. All of it runs in
// the middle of what faulted: it allocates nothing, takes no lock, and believes only what the system and this crate
// wrote.
// ---------------------------------------------------------------------------------------------------------------

#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;

use wasmelt_abi::code_map;
use wasmelt_abi::trap::Trap;

use super::activation::{self, Activation, Raised};
use super::backtrace::Captured;
use super::builtins;
use super::store::Inner;
use crate::instance::slice;
use crate::sys::fault::{Fault, FaultKind};

pub(super) use system::prepare_thread;

/// What a fault is to the host.
enum Verdict {
    Trap(Trap),
    /// Another thread has grown the memory meanwhile: the access is good now.
    Retry,
}

/// What a fault means, `None` where it is none of this store's guests'.
fn judge(fault: &Fault, store: &Inner) -> Option<Verdict> {
    let in_guest = store.code_at(fault.pc);
    if fault.kind == FaultKind::Access && store.stack_guard().contains(&fault.address) {
        // Code of the runtime touches the guest's stack first of all, and asks for enough of it.
        let by_guest = in_guest.is_some() || builtins::asks_for_stack(fault.pc);
        return by_guest.then_some(Verdict::Trap(Trap::StackExhausted));
    }
    // Where a guest traps at the end of its stack, it is the system's own code that uses up the rest of it, on the way to
    // the handler. Nothing of the runtime does: it has asked for enough.
    #[cfg(windows)]
    if fault.kind == FaultKind::Stack {
        return store.stack_guard().contains(&fault.address).then_some(Verdict::Trap(Trap::StackExhausted));
    }
    let (module, offset) = in_guest?;
    match fault.kind {
        FaultKind::Access => {
            let memory = store.memory_ranges.iter().find(|memory| memory.range.contains(&fault.address))?;
            let inside = fault.address - memory.range.start < memory.length_bytes() as usize;
            match (inside, memory.shared) {
                (false, _) => Some(Verdict::Trap(Trap::MemoryOutOfBounds)),
                (true, true) => Some(Verdict::Retry),
                (true, false) => None,
            }
        }
        FaultKind::Instruction | FaultKind::Arithmetic => {
            let found = code_map::find(slice(&module.program().code.code_map), offset);
            Trap::from_u8(found.trap as u8).map(Verdict::Trap)
        }
        _ => None,
    }
}

/// What the system's handler is to do.
enum Answer {
    /// It is no fault of a guest: let others see to it.
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
            Some(Verdict::Retry) => Answer::Retry,
            None => Answer::PassOn,
        }
    }
}
