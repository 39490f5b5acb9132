//! Where the parts of an instance lie in its reservation of address space: computed once, by the compiler, so that a
//! start neither computes nor checks it.
//!
//! ```text
//! │ stack guard │ guest stack │ dropped bits │ context │ memory 0, length now │ rest of its reservation │ guard │
//! │  PROT_NONE  │              readable and writable                          │         PROT_NONE               │
//! ```

// ---------------------------------------------------------------------------------------------------------------
// Security: the layout is the sandbox. Memory 0 must be followed by `reserve_bytes + guard_bytes` of address space in
// which nothing else ever lies, because generated code leaves out bounds checks on the strength of it; and the call
// stack must have an inaccessible guard below it that no frame can jump over.
// ---------------------------------------------------------------------------------------------------------------

use crate::record::record;

/// Inaccessible address space below the guest stack. Generated code and the runtime touch every page of a large frame,
/// so one page would be enough; the other pages cost nothing.
pub const STACK_GUARD_BYTES: u64 = 1 << 20;

/// Largest frame of a function that raises its traps: what is below the stack pointer of whoever calls the function is touched
/// before the function compares its own.
pub const MAX_FRAME_BYTES: u32 = 24 << 10;

/// Stack that such code may use without comparing: a frame, and a trampoline with its 1,000 parameters or results.
pub const UNCHECKED_STACK_BYTES: usize = 64 << 10;

/// Addresses on a user's side of the address space, on every 64-bit platform.
const MAX_BYTES: u64 = 1 << 47;

record! {
    /// Offsets from the start of the reservation. The guest stack starts at [`STACK_GUARD_BYTES`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Layout {
        /// Where the guest stack begins to grow downwards, and where the dropped bits are; a multiple of 16.
        pub stack_top: u64,
        /// The context's end and the first byte of memory 0.
        pub vmctx: u64,
        /// End of what is usable from the start.
        pub usable_end: u64,
        /// Length of the reservation.
        pub total_bytes: u64,
    }
}

/// What the layout of an instance follows from.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// See [`crate::instance::InstancePlan::context_bytes`].
    pub context_bytes: u32,
    /// See [`crate::instance::InstancePlan::segment_count`].
    pub segment_count: u32,
    /// See [`crate::descriptor::ProgramDescriptor::stack_bytes`].
    pub stack_bytes: u64,
    /// Initial length, reservation and guard of memory 0, in bytes; zeros without one.
    pub memory0: [u64; 3],
    /// The largest page size of the target.
    pub page_bytes: u64,
}

impl Layout {
    /// Adds the parts of a further instance behind those that are there, apart from the stack, which is shared. The
    /// distance of its `vmctx` from that of the first one, `None` where it exceeds the address space.
    ///
    /// ```text
    /// ... │ guard │ dropped bits │ context │ memory 0, length now │ rest of its reservation │ guard │
    ///     │ NONE  │        readable and writable                  │         PROT_NONE               │
    /// ```
    pub fn add(&mut self, parts: &Parts) -> Option<u64> {
        let page = |bytes: u64| bytes.checked_next_multiple_of(parts.page_bytes);
        let below = u64::from(parts.context_bytes) + dropped_bytes(parts.segment_count);
        let vmctx = page(self.total_bytes)?.checked_add(page(below)?)?;
        let [initial, reserve, guard] = parts.memory0;
        let total_bytes = vmctx.checked_add(page(reserve.max(initial).checked_add(guard)?)?)?;
        self.total_bytes = total_bytes;
        (total_bytes <= MAX_BYTES).then_some(vmctx - self.vmctx)
    }

    /// The layout, `None` where it exceeds the address space.
    pub fn of(parts: &Parts) -> Option<Self> {
        let page = |bytes: u64| bytes.checked_next_multiple_of(parts.page_bytes);
        let above_stack = u64::from(parts.context_bytes) + dropped_bytes(parts.segment_count);
        let vmctx = STACK_GUARD_BYTES.checked_add(page(parts.stack_bytes.checked_add(above_stack)?)?)?;
        let [initial, reserve, guard] = parts.memory0;
        let usable_end = vmctx.checked_add(page(initial)?)?;
        let total_bytes = vmctx.checked_add(page(reserve.max(initial).checked_add(guard)?)?)?;
        let layout = Self { stack_top: (vmctx - above_stack) & !15, vmctx, usable_end, total_bytes };
        (total_bytes <= MAX_BYTES).then_some(layout)
    }
}

/// Bytes of the bits that say which segments were dropped; a multiple of 16.
pub fn dropped_bytes(segment_count: u32) -> u64 {
    u64::from(segment_count).div_ceil(128) * 16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(memory0: [u64; 3]) -> Parts {
        Parts { context_bytes: 48, segment_count: 3, stack_bytes: 100_000, memory0, page_bytes: 4096 }
    }

    #[test]
    fn parts_are_adjacent() {
        let layout = Layout::of(&parts([1 << 16, 4 << 16, 1 << 16])).unwrap();
        assert!(layout.stack_top >= STACK_GUARD_BYTES + 100_000);
        assert_eq!(layout.stack_top, layout.vmctx - 48 - 16);
        assert!(layout.vmctx.is_multiple_of(4096));
        assert_eq!(layout.usable_end, layout.vmctx + (1 << 16));
        assert_eq!(layout.total_bytes, layout.vmctx + (5 << 16));
        let none = Layout::of(&parts([0; 3])).unwrap();
        assert_eq!((none.usable_end, none.total_bytes), (none.vmctx, none.vmctx));
    }

    #[test]
    fn further_instances_lie_behind_the_guards_of_earlier_ones() {
        let mut layout = Layout::of(&parts([1 << 16, 4 << 16, 1 << 16])).unwrap();
        let (first_end, vmctx) = (layout.total_bytes, layout.vmctx);
        let distance = layout.add(&parts([5, 1 << 16, 0])).unwrap();
        assert_eq!(vmctx + distance, first_end + 4096);
        assert_eq!(layout.total_bytes, vmctx + distance + (1 << 16));
        assert_eq!(layout.add(&parts([0, 1 << 47, 0])), None);
    }

    #[test]
    fn what_cannot_be_addressed_has_no_layout() {
        assert_eq!(Layout::of(&parts([0, u64::MAX - 5, 1 << 16])), None);
        assert_eq!(Layout::of(&parts([0, 1 << 60, 0])), None);
        assert_eq!(Layout::of(&Parts { stack_bytes: u64::MAX - 5, ..parts([0; 3]) }), None);
    }
}
