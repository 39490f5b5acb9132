//! The stack of a store's guests.
//!
//! ```text
//! [ guard, inaccessible | stack ]
//!                       ^ range
//! ```
//!
//! Windows delivers a fault on the stack where the fault occurred. So the upper part of the guard there is made as the
//! system makes it for threads: pages whose first use is an exception, and which can be used from then on. The bounds
//! of the stack are those of the thread while it executes guest code, so that the system knows such a page for what it
//! is.

use core::ops::Range;

use wasmelt_abi::layout::STACK_GUARD_BYTES;

use super::Error;
use super::pool::Pool;
use super::reservation::Reservation;

/// A stack.
pub(super) struct Stack(Reservation);

impl Stack {
    /// Makes one with room for this many bytes.
    pub(super) fn new(bytes: u64) -> Result<Self, Error> {
        let total = bytes.saturating_add(STACK_GUARD_BYTES);
        let stack = Self(Reservation::new(total, STACK_GUARD_BYTES as usize, bytes)?);
        stack.restore_guard()?;
        Ok(stack)
    }

    /// One of a pool's.
    pub(super) fn of_pool(pool: &Pool) -> Result<Self, Error> {
        Ok(Self(Reservation::of_slot(pool.stack()?)))
    }

    /// Its addresses, without those of the guard.
    pub(super) fn range(&self) -> Range<usize> {
        let range = self.0.range();
        range.start + STACK_GUARD_BYTES as usize..range.end
    }

    /// Addresses that frames may have. Where the system finds room for another page of the stack it is in the guard.
    pub(super) fn frames(&self) -> Range<usize> {
        let range = self.range();
        range.start - if cfg!(windows) { STACK_GUARD_BYTES as usize } else { 0 }..range.end
    }

    /// Addresses of the guard.
    pub(super) fn guard(&self) -> Range<usize> {
        self.0.range().start..self.range().start
    }

    /// Makes the guard what it was before the stack was used up.
    #[cfg(not(windows))]
    pub(super) fn restore_guard(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(windows)]
pub(super) use windows::Bounds;

#[cfg(windows)]
mod windows {
    //! Stacks as Windows knows them.

    use core::ptr;

    use windows_sys::Win32::System::Memory::{MEM_COMMIT, PAGE_GUARD, PAGE_READWRITE, VirtualAlloc, VirtualProtect};

    use super::{Error, Stack};
    use wasmelt_runtime::sys::pages::PAGE_BYTES;

    /// What is left for handlers of exceptions once the stack is used up.
    const GUARANTEED_BYTES: usize = 64 << 10;

    /// The part of the guard that can be used then: on 64-bit systems the first exception takes up to two pages.
    const USABLE_GUARD_BYTES: usize = GUARANTEED_BYTES + 2 * PAGE_BYTES;

    /// What a thread's `TEB` says about its stack. Source: `winternl.h` and the public symbols of `ntdll`: the fields lie at
    /// offsets 8, 16, 0x1478 and 0x1748.
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    pub(crate) struct Bounds {
        /// `NtTib.StackBase`, the upper end.
        base: usize,
        /// `NtTib.StackLimit`, the lower end of what can be used without an exception.
        limit: usize,
        /// `DeallocationStack`, the lower end of all that belongs to the stack.
        deallocation: usize,
        /// `GuaranteedStackBytes`, of which the system reads 32 bits.
        guaranteed_bytes: usize,
    }

    impl Stack {
        /// What the system is told while code runs on the stack.
        pub(crate) fn bounds(&self) -> Bounds {
            let range = self.range();
            Bounds {
                base: range.end,
                limit: range.start,
                deallocation: range.start - USABLE_GUARD_BYTES - PAGE_BYTES,
                guaranteed_bytes: GUARANTEED_BYTES,
            }
        }

        /// Makes the guard what it was before the stack was used up.
        pub(crate) fn restore_guard(&self) -> Result<(), Error> {
            let start = ptr::with_exposed_provenance_mut(self.range().start - USABLE_GUARD_BYTES);
            let (protection, mut old) = (PAGE_READWRITE | PAGE_GUARD, 0);
            // SAFETY: the pages belong to the guard, which nothing uses.
            let done = unsafe {
                !VirtualAlloc(start, USABLE_GUARD_BYTES, MEM_COMMIT, protection).is_null()
                    && VirtualProtect(start, USABLE_GUARD_BYTES, protection, &raw mut old) != 0
            };
            if done { Ok(()) } else { Err(Error::system("cannot make the guard of a stack")) }
        }
    }
}
