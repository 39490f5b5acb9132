//! Calls that lend resources from one component to another. What was lent must be given back before the call ends, and
//! whoever lends cannot give away meanwhile.

use core::cell::UnsafeCell;

use super::handles;
use super::traps;
use crate::growing::Growing;
use crate::sys::errno::Result;

/// The most lent handles, and the most calls that lend, at one moment.
const MAX_LEN: usize = 1 << 20;

/// A call that has begun.
#[derive(Clone, Copy)]
struct Call {
    /// Handles that the callee was lent and has not dropped.
    lent: u32,
    /// How many lenders there were before.
    lenders_before: u32,
}

/// A handle that owns, and has lent: component and handle.
type Lender = (u32, u32);

/// The calls that have begun, the innermost one last, and the lenders of all of them.
struct Calls {
    calls: Growing<Call, 8>,
    depth: u32,
    lenders: Growing<Lender, 8>,
    lenders_len: u32,
}

struct Global(UnsafeCell<Calls>);

// SAFETY: programs that were components have one thread, and each function below keeps its borrow to itself.
unsafe impl Sync for Global {}

const NO_CALL: Call = Call { lent: 0, lenders_before: 0 };

static CALLS: Global = Global(UnsafeCell::new(Calls {
    calls: Growing::new(NO_CALL),
    depth: 0,
    lenders: Growing::new((0, 0)),
    lenders_len: 0,
}));

fn with<T>(f: impl FnOnce(&mut Calls) -> T) -> T {
    // SAFETY: see `Global`; `f` calls nothing that would borrow it again.
    f(unsafe { &mut *CALLS.0.get() })
}

impl Calls {
    fn enter(&mut self) -> Result<()> {
        if self.depth as usize == self.calls.len() {
            let most = MAX_LEN.saturating_sub(self.calls.len());
            self.calls.grow(NO_CALL, most)?;
        }
        let lenders_before = self.lenders_len;
        if let Some(call) = self.calls.slot(self.depth as usize) {
            *call = Call { lent: 0, lenders_before };
            self.depth += 1;
        }
        Ok(())
    }

    fn lend(&mut self, lender: Lender) -> Result<()> {
        if self.lenders_len as usize == self.lenders.len() {
            let most = MAX_LEN.saturating_sub(self.lenders.len());
            self.lenders.grow((0, 0), most)?;
        }
        if let Some(slot) = self.lenders.slot(self.lenders_len as usize) {
            *slot = lender;
            self.lenders_len += 1;
        }
        Ok(())
    }

    /// The last lender of the innermost call; `None` where it has no more.
    fn pop_lender(&mut self, lenders_before: u32) -> Option<Lender> {
        let last = self.lenders_len.checked_sub(1).filter(|&last| last >= lenders_before)?;
        self.lenders_len = last;
        self.lenders.slot(last as usize).copied()
    }
}

/// Records that the innermost call borrows from this handle, which owns.
pub(super) fn borrow_from(component: u32, handle: u32) -> Result<()> {
    with(|calls| calls.lend((component, handle)))
}

/// Records that the innermost call lends a handle; the number of the call, from 1 on, or 0 where there is none.
pub(super) fn lend() -> u32 {
    with(|calls| {
        let innermost = calls.depth;
        if let Some(call) = innermost.checked_sub(1).and_then(|index| calls.calls.slot(index as usize)) {
            call.lent += 1;
        }
        innermost
    })
}

/// Records that a handle which this call lent was dropped.
pub(crate) fn give_back(number: u32) {
    with(|calls| {
        if let Some(call) = number.checked_sub(1).and_then(|index| calls.calls.slot(index as usize)) {
            call.lent = call.lent.saturating_sub(1);
        }
    });
}

/// Begins a call that may lend.
///
/// # Safety
/// As for [`traps::raise`].
#[unsafe(export_name = "canon.enter_call")]
pub unsafe extern "C" fn enter_call(vmctx: *mut u8) {
    if with(Calls::enter).is_err() {
        // SAFETY: by this function's contract.
        unsafe { traps::raise(vmctx, "too many calls that lend") }
    }
}

/// Ends the innermost call: what it lent is back, or the program traps.
///
/// # Safety
/// As for [`traps::raise`].
#[unsafe(export_name = "canon.exit_call")]
pub unsafe extern "C" fn exit_call(vmctx: *mut u8) {
    let call = with(|calls| {
        calls.depth = calls.depth.saturating_sub(1);
        let depth = calls.depth as usize;
        calls.calls.slot(depth).copied().unwrap_or(NO_CALL)
    });
    if call.lent != 0 {
        // SAFETY: by this function's contract.
        unsafe { traps::raise(vmctx, "borrow handles still remain at the end of the call") }
    }
    while let Some((component, handle)) = with(|calls| calls.pop_lender(call.lenders_before)) {
        handles::end_of_loan(component, handle);
    }
}
