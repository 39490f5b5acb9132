//! Tables that can change, after instantiation: `table.grow`, `table.fill`, `table.copy`, `table.init`, `elem.drop`.

// ---------------------------------------------------------------------------------------------------------------
// Security: lengths and ranges are checked here, against the table's own record, and nowhere above. What lies in a
// table is called: an element beyond its length must never be read as one.
// ---------------------------------------------------------------------------------------------------------------

use core::mem::size_of;
use core::sync::atomic::{AtomicU64, Ordering};

use wasmelt_abi::context::Table;

use crate::instance::Instance;
use crate::rel::slice;
use crate::sys::pages;

/// The number of elements that no table may exceed, whatever its type and the compiled limit say.
static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);

/// Lowers the limit of all tables; whether those of the instance are short enough.
pub fn limit(instance: Instance, elements: u64) -> bool {
    LIMIT.store(elements, Ordering::Relaxed);
    instance.all().all(|(_, plan)| slice(&plan.tables).iter().all(|table| table.initial_elements <= elements))
}

/// Grows a table by `delta` elements of `value`; the length before, or `None` and nothing changed.
pub fn grow(instance: Instance, table_index: usize, delta: u64, value: u64) -> Option<u64> {
    let plan = slice(&instance.plan().tables).get(table_index)?;
    let maximum = plan.maximum_elements.min(LIMIT.load(Ordering::Relaxed));
    // SAFETY: the record is the instance's own, and this thread is the only one that runs in it.
    grow_record(unsafe { &mut *instance.table_at(plan) }, maximum, delta, value)
}

/// Grows the table with this record, for which `maximum` elements are reserved.
pub fn grow_record(table: &mut Table, maximum: u64, delta: u64, value: u64) -> Option<u64> {
    let old = table.length_elements;
    let new = old.checked_add(delta)?;
    if new > maximum {
        return None;
    }
    let bytes = |elements: u64| pages::round_up(usize::try_from(elements).ok()?.checked_mul(size_of::<u64>())?);
    let (usable, wanted) = (bytes(old)?, bytes(new)?);
    if wanted > usable {
        // SAFETY: the table's mapping has room for the maximum.
        unsafe { pages::commit(table.base.cast::<u8>().wrapping_add(usable), wanted - usable) }.ok()?;
    }
    table.length_elements = new;
    fill(table, old, value, delta)?;
    Some(old)
}

/// `table.fill`; `None` where the range is exceeded, and nothing changed.
pub fn fill(table: &mut Table, dest: u64, value: u64, len: u64) -> Option<()> {
    let dest = checked_address(table, dest, len)?;
    // SAFETY: the range was just checked.
    unsafe { core::slice::from_raw_parts_mut(dest, len as usize) }.fill(value);
    Some(())
}

/// `table.copy`; `None` where a range is exceeded, and nothing changed.
///
/// # Safety
/// Both are records of tables; they may be the same.
pub unsafe fn copy(dest_table: *const Table, src_table: *const Table, dest: u64, src: u64, len: u64) -> Option<()> {
    // SAFETY: by this function's contract; nothing writes to the records meanwhile.
    let (dest, src) = unsafe { (checked_address(&*dest_table, dest, len)?, checked_address(&*src_table, src, len)?) };
    // SAFETY: both ranges were just checked.
    unsafe { core::ptr::copy(src, dest, len as usize) };
    Some(())
}

/// `table.init`: copies from an element segment; `None` where a range is exceeded, and nothing changed.
pub fn init(instance: Instance, table: &mut Table, segment_index: usize, dest: u64, src: u32, len: u32) -> Option<()> {
    let elements = match is_dropped(instance, segment_index) {
        true => &[],
        false => slice(&slice(&instance.plan().element_segments).get(segment_index)?.elements),
    };
    let source = elements.get(src as usize..)?.get(..len as usize)?;
    let dest = checked_address(table, dest, u64::from(len))?;
    for (i, element) in source.iter().enumerate() {
        let record = element.get().map_or(0, |record| record as u64);
        // SAFETY: the range was just checked.
        unsafe { dest.add(i).write(record) };
    }
    Some(())
}

/// The address of a range of a table, `None` where it is not all inside.
pub fn checked_address(table: &Table, start: u64, len: u64) -> Option<*mut u64> {
    let end = start.checked_add(len)?;
    (end <= table.length_elements).then(|| table.base.wrapping_add(start as usize))
}

/// `elem.drop`.
pub fn drop_segment(instance: Instance, segment_index: usize) {
    if let Some((word, bit)) = instance.dropped_bit(segment_index) {
        // SAFETY: the word is the instance's own.
        unsafe { *word |= bit };
    }
}

fn is_dropped(instance: Instance, segment_index: usize) -> bool {
    // SAFETY: the word is the instance's own.
    instance.dropped_bit(segment_index).is_some_and(|(word, bit)| unsafe { *word } & bit != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestProgram;

    fn instance() -> Instance {
        let instance = Instance::create(TestProgram::with_table(2, 5000).leak()).unwrap();
        // SAFETY: no code has run in it.
        unsafe { crate::instance::wasmelt_hook_tables(instance.vmctx()) };
        instance
    }

    fn table(instance: Instance) -> &'static mut Table {
        // SAFETY: the record is there, and each test has an instance of its own.
        unsafe { &mut *instance.table_at(&slice(&instance.plan().tables)[0]) }
    }

    fn elements(instance: Instance) -> &'static [u64] {
        let table = table(instance);
        // SAFETY: that is the table.
        unsafe { core::slice::from_raw_parts(table.base, table.length_elements as usize) }
    }

    #[test]
    fn a_table_grows_up_to_its_limit() {
        let instance = instance();
        assert_eq!(elements(instance), [0, 0]);
        assert_eq!(grow(instance, 0, 4000, 7), Some(2));
        assert_eq!(elements(instance)[1..3], [0, 7]);
        assert_eq!(elements(instance)[4001], 7);
        assert_eq!(grow(instance, 0, 999, 7), None);
        assert_eq!(grow(instance, 0, u64::MAX, 7), None);
        assert_eq!(elements(instance).len(), 4002);
    }

    #[test]
    fn fill_and_copy_check_their_ranges() {
        let instance = instance();
        grow(instance, 0, 2, 9);
        assert_eq!(fill(table(instance), 3, 5, 1), Some(()));
        assert_eq!(fill(table(instance), 3, 5, 2), None);
        assert_eq!(fill(table(instance), u64::MAX, 5, 2), None);
        assert_eq!(elements(instance), [0, 0, 9, 5]);
        let record = table(instance);
        // SAFETY: the record is a table's.
        let copy = |dest, src, len| unsafe { copy(record, record, dest, src, len) };
        assert_eq!(copy(0, 1, 3), Some(()));
        assert_eq!(copy(2, 1, 3), None);
        assert_eq!(copy(0, 4, 0), Some(()));
        assert_eq!(copy(0, 5, 0), None);
        assert_eq!(elements(instance), [0, 9, 5, 5]);
    }

    #[test]
    fn init_reads_records_and_nulls_until_the_segment_is_dropped() {
        let instance = instance();
        let plan = instance.plan();
        let segment = slice(&slice(&plan.element_segments)[0].elements);
        let record = segment[1].get().unwrap() as u64;
        assert_eq!(init(instance, table(instance), 0, 0, 0, 2), Some(()));
        assert_eq!(elements(instance), [0, record]);
        assert_eq!(init(instance, table(instance), 0, 1, 0, 2), None);
        assert_eq!(init(instance, table(instance), 0, 0, 1, 2), None);
        drop_segment(instance, 0);
        assert_eq!(init(instance, table(instance), 0, 0, 0, 1), None);
        assert_eq!(init(instance, table(instance), 0, 0, 0, 0), Some(()));
    }
}
