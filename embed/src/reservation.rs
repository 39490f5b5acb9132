//! Address space that its owner gives back: memories, tables, stacks.

use core::ops::Range;
use core::ptr;

use super::Error;
use super::pool::Slot;
use wasmelt_runtime::sys::pages;

/// Reserved address space of which a part is usable. Given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    start: *mut u8,
    len_bytes: usize,
    /// The slot of a pool that it is; it gives itself back.
    slot: Option<Slot>,
}

// SAFETY: a range of addresses, which belong to no thread.
unsafe impl Send for Reservation {}
// SAFETY: as above; nothing here reads or writes what is in it.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Reserves at least `total_bytes`, and at least a page, of which `usable_bytes` from `usable_start` on, a multiple
    /// of the page size, are usable.
    pub(super) fn new(total_bytes: u64, usable_start: usize, usable_bytes: u64) -> Result<Self, Error> {
        let refused = |what: &str, bytes: u64| {
            Error::system(format!("cannot {what} {bytes} bytes of address space: see `ulimit -v` and --memory-reserve"))
        };
        let round = |bytes: u64| usize::try_from(bytes).ok().and_then(pages::round_up);
        let (Some(len_bytes), Some(usable)) = (round(total_bytes.max(1)), round(usable_bytes)) else {
            return Err(refused("reserve", total_bytes));
        };
        if usable_start.checked_add(usable).is_none_or(|end| end > len_bytes) {
            return Err(refused("use", usable_bytes));
        }
        let start = pages::reserve(len_bytes).map_err(|_| refused("reserve", total_bytes))?;
        let reservation = Self { start, len_bytes, slot: None };
        // SAFETY: the range lies in the new reservation, as was just checked.
        unsafe { pages::commit(start.wrapping_add(usable_start), usable) }.map_err(|_| refused("use", usable_bytes))?;
        Ok(reservation)
    }

    /// The address space of a slot, of which the slot's first bytes are usable.
    pub(super) fn of_slot(slot: Slot) -> Self {
        let range = slot.range();
        Self { start: ptr::with_exposed_provenance_mut(range.start), len_bytes: range.len(), slot: Some(slot) }
    }

    /// The slot that it is, if it is one.
    pub(super) fn slot(&self) -> Option<&Slot> {
        self.slot.as_ref()
    }

    /// First byte.
    pub(super) fn start(&self) -> *mut u8 {
        self.start
    }

    /// All addresses.
    pub(super) fn range(&self) -> Range<usize> {
        self.start as usize..self.start as usize + self.len_bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.slot.is_none() {
            // SAFETY: the range is this owner's, who says by dropping it that nothing uses it any more.
            unsafe { pages::release(self.start, self.len_bytes) };
        }
    }
}
