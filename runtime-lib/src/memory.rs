//! Linear memories after instantiation: `memory.grow`, `memory.init`, `data.drop`.

// ---------------------------------------------------------------------------------------------------------------
// Security: lengths and ranges are checked here, against the memory's own record, and nowhere above.
// ---------------------------------------------------------------------------------------------------------------

use core::sync::atomic::{AtomicU64, Ordering};

use wasmelt_abi::context::Memory;
use wasmelt_abi::descriptor::MemoryPlan;

use crate::instance::Instance;
use crate::rel::slice;
use crate::sync::Lock;
use crate::sys::pages;

/// A memory that has grown to this size asks for large pages: random reads in 256 MiB took 30 ns instead of 42 ns with
/// them. Not before, and not for what a memory starts with, of which a program may touch little.
const LARGE_BYTES: u64 = 16 << 20;

/// A memory that several threads use: what the record of a plan that is both [`MemoryPlan::POINTED`] and
/// [`MemoryPlan::SHARED`] is the front of.
#[repr(C)]
#[derive(Debug)]
pub struct SharedMemory {
    memory: Memory,
    /// Held while the memory grows: its length must not say more than is usable, and nothing beyond may be usable.
    growing: Lock,
}

impl SharedMemory {
    /// A memory that nobody uses yet.
    pub const fn new(memory: Memory) -> Self {
        Self { memory, growing: Lock::new() }
    }
}

/// The length in bytes that no memory may exceed, whatever its type and the compiled limit say.
static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Lowers the limit of all memories; whether those of the program are short enough.
pub fn limit(instance: Instance, bytes: u64) -> bool {
    LIMIT.store(bytes, Ordering::Relaxed);
    instance.all().all(|(_, plan)| slice(&plan.memories).iter().all(|memory| memory.initial_bytes <= bytes))
}

/// Grows a memory by `delta_pages`; the length before in pages, or `None` and nothing changed.
pub fn grow(instance: Instance, memory_index: usize, delta_pages: u64) -> Option<u64> {
    const BOTH: u16 = MemoryPlan::POINTED | MemoryPlan::SHARED;
    let plan = slice(&instance.plan().memories).get(memory_index)?;
    let memory = instance.memory_at(plan);
    let grow = || {
        let maximum_bytes = plan.maximum_bytes.min(plan.reserve_bytes).min(LIMIT.load(Ordering::Relaxed));
        // SAFETY: this thread is the only one that runs in the instance, or it has the lock.
        unsafe { grow_record(memory, maximum_bytes, plan.page_size_log2, delta_pages) }
    };
    if plan.flags & BOTH != BOTH {
        return grow();
    }
    // SAFETY: that is what the record of such a plan belongs to.
    unsafe { &(*memory.cast::<SharedMemory>()).growing }.with(grow)
}

/// The length of a memory, which another thread may be changing.
///
/// # Safety
/// It is the record of a memory.
unsafe fn length_bytes<'m>(memory: *mut Memory) -> &'m AtomicU64 {
    // SAFETY: by this function's contract.
    unsafe { AtomicU64::from_ptr(&raw mut (*memory).length_bytes) }
}

/// Grows the memory with this record, for which `maximum_bytes` are reserved; the length before in pages, or `None` and
/// nothing changed.
///
/// # Safety
/// It is the record of such a memory, which nothing else grows meanwhile.
pub unsafe fn grow_record(
    memory: *mut Memory,
    maximum_bytes: u64,
    page_size_log2: u16,
    delta_pages: u64,
) -> Option<u64> {
    // SAFETY: by this function's contract. The base never changes.
    let (base, length) = unsafe { ((*memory).base, length_bytes(memory)) };
    let old = length.load(Ordering::Relaxed);
    let new = grown_length(maximum_bytes, page_size_log2, old, delta_pages)?;
    let usable = pages::round_up(usize::try_from(old).ok()?)?;
    let wanted = pages::round_up(usize::try_from(new).ok()?)?;
    if wanted > usable {
        // SAFETY: `grown_length` keeps the pages inside the memory's reservation.
        unsafe { pages::commit(base.wrapping_add(usable), wanted - usable) }.ok()?;
    }
    if new >= LARGE_BYTES {
        pages::prefer_large_pages(base, wanted);
    }
    length.store(new, Ordering::Release);
    Some(old >> page_size_log2)
}

/// The length in bytes after growing, `None` above the limit.
fn grown_length(maximum_bytes: u64, page_size_log2: u16, old_bytes: u64, delta_pages: u64) -> Option<u64> {
    let page_bytes = 1u64.checked_shl(page_size_log2.into())?;
    let new = old_bytes.checked_add(delta_pages.checked_mul(page_bytes)?)?;
    (new <= maximum_bytes).then_some(new)
}

/// `memory.init`: copies from a data segment; `None` where a range is exceeded, and nothing changed.
///
/// # Safety
/// `memory` is the record of a memory.
pub unsafe fn init(
    instance: Instance,
    memory: *mut Memory,
    segment_index: usize,
    dest: u64,
    src: u32,
    len_bytes: u32,
) -> Option<()> {
    let plan = instance.plan();
    let bytes = match is_dropped(instance, segment_index) {
        true => &[],
        false => slice(&slice(&plan.data_segments).get(segment_index)?.bytes),
    };
    // SAFETY: by this function's contract.
    unsafe { init_from(memory, bytes, dest, src, len_bytes) }
}

/// Copies from the bytes of a data segment into the memory with this record.
///
/// # Safety
/// It is the record of a memory.
pub(crate) unsafe fn init_from(memory: *mut Memory, bytes: &[u8], dest: u64, src: u32, len_bytes: u32) -> Option<()> {
    let source = bytes.get(src as usize..)?.get(..len_bytes as usize)?;
    // SAFETY: by this function's contract.
    let dest = unsafe { checked_address(memory, dest, u64::from(len_bytes)) }?;
    // SAFETY: source and destination were just checked, and segments lie outside all memories.
    unsafe { core::ptr::copy_nonoverlapping(source.as_ptr(), dest, source.len()) };
    Some(())
}

/// The host's address of a range of a memory, `None` where it is not all inside.
///
/// # Safety
/// It is the record of a memory.
pub unsafe fn checked_address(memory: *mut Memory, start: u64, len_bytes: u64) -> Option<*mut u8> {
    let end = start.checked_add(len_bytes)?;
    // SAFETY: by this function's contract.
    let (base, length) = unsafe { ((*memory).base, length_bytes(memory)) };
    (end <= length.load(Ordering::Relaxed)).then(|| base.wrapping_add(start as usize))
}

/// `data.drop`.
pub fn drop_segment(instance: Instance, segment_index: usize) {
    if let Some((word, bit)) = dropped_bit(instance, segment_index) {
        // SAFETY: the word is the instance's own.
        unsafe { *word |= bit };
    }
}

fn is_dropped(instance: Instance, segment_index: usize) -> bool {
    // SAFETY: the word is the instance's own.
    dropped_bit(instance, segment_index).is_some_and(|(word, bit)| unsafe { *word } & bit != 0)
}

fn dropped_bit(instance: Instance, segment_index: usize) -> Option<(*mut u64, u64)> {
    instance.dropped_bit(instance.plan().element_segments.len as usize + segment_index)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestProgram;

    const PAGE: u64 = 1 << 16;

    fn length(instance: Instance) -> u64 {
        // SAFETY: the record is there.
        unsafe { (*instance.memory_at(&slice(&instance.plan().memories)[0])).length_bytes }
    }

    #[test]
    fn a_memory_grows_up_to_its_limit() {
        let instance = Instance::create(TestProgram::with_memory(PAGE, 3 * PAGE).leak()).unwrap();
        assert_eq!(grow(instance, 0, 0), Some(1));
        assert_eq!(grow(instance, 0, 2), Some(1));
        // SAFETY: the last byte of the grown memory.
        unsafe { instance.vmctx().add(3 * PAGE as usize - 1).write(1) };
        assert_eq!(grow(instance, 0, 1), None);
        assert_eq!(grow(instance, 0, u64::MAX), None);
        assert_eq!(grow(instance, 1, 1), None);
        assert_eq!(length(instance), 3 * PAGE);
    }

    #[test]
    fn pages_of_one_byte_are_possible() {
        let mut program = TestProgram::with_memory(5, 9000);
        program.memories[0].page_size_log2 = 0;
        let instance = Instance::create(program.leak()).unwrap();
        assert_eq!(grow(instance, 0, 8000), Some(5));
        // SAFETY: the last byte of the grown memory.
        unsafe { instance.vmctx().add(8004).write(1) };
        assert_eq!(grow(instance, 0, 996), None);
    }

    #[test]
    fn init_checks_both_ranges_and_drops() {
        let instance = Instance::create(TestProgram::with_memory(PAGE, PAGE).leak()).unwrap();
        let record = instance.memory_at(&slice(&instance.plan().memories)[0]);
        // SAFETY: the record is there.
        let init = |segment, dest, src, len| unsafe { init(instance, record, segment, dest, src, len) };
        assert_eq!(init(0, PAGE - 3, 1, 3), Some(()));
        // SAFETY: the bytes that were just written.
        assert_eq!(unsafe { instance.vmctx().add(PAGE as usize - 3).cast::<[u8; 3]>().read() }, *b"ata");
        assert_eq!(init(0, PAGE - 2, 1, 3), None);
        assert_eq!(init(0, 0, 2, 3), None);
        assert_eq!(init(0, u64::MAX, 0, 1), None);
        assert_eq!(init(0, PAGE, 4, 0), Some(()));
        assert_eq!(init(0, PAGE + 1, 4, 0), None);
        drop_segment(instance, 0);
        assert_eq!(init(0, 0, 0, 1), None);
        assert_eq!(init(0, 0, 0, 0), Some(()));
        assert_eq!(init(0, 0, 1, 0), None);
    }
}
