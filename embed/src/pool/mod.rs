//! Pools: address space for stores that come and go, reserved once.
//!
//! A pool has slots of three kinds: for memories, for tables, for stacks. A store of a pool takes slots and gives them back;
//! what its guests have written is gone before anybody else can have them. A slot keeps the pages that it has, as far as
//! the pool's configuration allows, because a page that has to be made again costs forty times as much as one that is
//! cleared.

// ---------------------------------------------------------------------------------------------------------------
// Security: no byte that a guest has written may be seen by the next guest of a slot. A slot is cleaned when it is given
// back, before it is free. What was written is what the kernel says, of each page; where the kernel does not say, or says
// it of another process, all pages are given up. A slot that cannot be cleaned is not used again. Outside the length of
// its memory a slot is inaccessible, as any memory is.
// ---------------------------------------------------------------------------------------------------------------

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "other.rs"]
mod system;

use core::fmt;
use core::hash::{BuildHasherDefault, Hasher};
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use wasmelt_abi::descriptor::MemoryPlan;
use wasmelt_abi::layout::STACK_GUARD_BYTES;
use wasmelt_runtime::sys::pages;

use super::Error;
use super::reservation::Reservation;
pub(super) use system::Image;
use system::System;

/// What a pool has room for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolConfig {
    /// How many memories there may be at once. Address space is reserved for all of them in one piece: on x86-64 a process
    /// mostly has room for 13,000 of the default size.
    pub memories: usize,
    /// Address space for each memory, in bytes. The default, 6 GiB, is what code without bounds checks needs; code that was
    /// compiled with `--memory-reserve` needs less.
    pub memory_slot_bytes: u64,
    /// How many tables there may be at once, besides those that never change.
    pub tables: usize,
    /// The length that each table can have, in elements.
    pub table_elements: u64,
    /// How many stores with instances there may be at once: each has a stack.
    pub stacks: usize,
    /// Each store's call stack in bytes.
    pub stack_bytes: u64,
    /// What a slot keeps of its memory when nobody uses it, in bytes: pages that guests have written are cleared as far as
    /// this, otherwise all are given back to the system; of a stack, what is beyond.
    pub keep_resident_bytes: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            memories: 1000,
            memory_slot_bytes: 6 << 30,
            tables: 1000,
            table_elements: 20_000,
            stacks: 1000,
            stack_bytes: 1 << 20,
            keep_resident_bytes: 1 << 20,
        }
    }
}

/// Address space for stores that come and go. Clones are the same pool.
///
/// ```no_run
/// # fn main() -> wasmelt_embed::Result<()> {
/// # use wasmelt_embed::{Linker, Module, Pool, PoolConfig, Store, StoreConfig};
/// # // SAFETY: wasmelt made the file.
/// # let module = unsafe { Module::load("./plugin.so".as_ref(), "plugin") }?;
/// let ready = Linker::<()>::new().instantiate_pre(&module)?;
/// let mut config = StoreConfig::default();
/// config.pool = Some(Pool::new(PoolConfig::default())?);
/// loop {
///     let mut store = Store::with_config((), config.clone());
///     let instance = ready.instantiate(&mut store)?;
///     instance.get_typed_func::<(), ()>(&store, "run")?.call(&mut store, ())?;
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Pool(Arc<Slots>);

struct Slots {
    system: System,
    memories: Space,
    tables: Space,
    stacks: Space,
    keep_resident_bytes: usize,
}

impl Pool {
    /// Reserves the address space.
    ///
    /// # Errors
    /// [`Error::System`] where the system has not as much address space, and on other systems than Linux.
    pub fn new(config: PoolConfig) -> Result<Self, Error> {
        let PoolConfig { memories, memory_slot_bytes, tables, table_elements, stacks, .. } = config;
        let table_bytes = table_elements.saturating_mul(8);
        let stack_bytes = config.stack_bytes.max(super::store::MIN_STACK_BYTES).saturating_add(STACK_GUARD_BYTES);
        Ok(Self(Arc::new(Slots {
            system: System::new()?,
            memories: Space::new("memories", memories, memory_slot_bytes)?,
            tables: Space::new("tables", tables, table_bytes)?,
            stacks: Space::new("stacks", stacks, stack_bytes)?,
            keep_resident_bytes: config.keep_resident_bytes,
        })))
    }

    /// A slot for a memory that is made by this plan, with the bytes of this image.
    pub(super) fn memory(&self, plan: &MemoryPlan, image: Option<&Arc<Image>>) -> Result<Slot, Error> {
        let total = plan.reserve_bytes.max(plan.initial_bytes).saturating_add(plan.guard_bytes);
        let initial = usize::try_from(plan.initial_bytes).ok().and_then(pages::round_up);
        let initial = initial.filter(|_| total <= self.0.memories.slot_bytes as u64);
        let Some(initial) = initial else {
            let bytes = self.0.memories.slot_bytes;
            return Err(Error::system(format!(
                "a memory of {total} bytes of address space: slots of the pool have {bytes}"
            )));
        };
        self.take(Kind::Memory, Content { initial, image: image.cloned(), wear: Wear::default() })
    }

    /// A slot for a table that has this many elements now, and may have as many as `capacity`.
    pub(super) fn table(&self, minimum: u64, capacity: u64) -> Result<(Slot, u64), Error> {
        let most = (self.0.tables.slot_bytes / 8) as u64;
        if minimum > most {
            return Err(Error::system(format!("a table of {minimum} elements: slots of the pool have {most}")));
        }
        let content = Content { initial: self.0.tables.slot_bytes, ..Content::default() };
        Ok((self.take(Kind::Table, content)?, capacity.min(most)))
    }

    /// A slot for a stack and its guard.
    pub(super) fn stack(&self) -> Result<Slot, Error> {
        let initial = self.0.stacks.slot_bytes - STACK_GUARD_BYTES as usize;
        self.take(Kind::Stack, Content { initial, ..Content::default() })
    }

    /// The length of stacks in bytes.
    pub(super) fn stack_bytes(&self) -> u64 {
        self.0.stacks.slot_bytes as u64 - STACK_GUARD_BYTES
    }

    fn take(&self, kind: Kind, content: Content) -> Result<Slot, Error> {
        let space = self.0.space(kind);
        let (number, found) = space.take(&content)?;
        // From here on the slot is given back, in whatever state it is.
        let content = Content { wear: found.wear, ..content };
        let slot = Slot { pool: self.clone(), kind, number, used: AtomicUsize::new(0), content };
        if !found.is(&slot.content) {
            let (before, after) = (slot.usable(found.initial), slot.usable(slot.content.initial));
            if let Err(error) = self.0.system.prepare(before, after, &found, &slot.content) {
                // Nobody knows what the slot is prepared for.
                core::mem::forget(slot);
                return Err(error);
            }
        }
        slot.used.store(slot.content.initial, Ordering::Relaxed);
        Ok(slot)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl Slots {
    fn space(&self, kind: Kind) -> &Space {
        match kind {
            Kind::Memory => &self.memories,
            Kind::Table => &self.tables,
            Kind::Stack => &self.stacks,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Memory,
    Table,
    Stack,
}

/// What a slot is prepared for.
#[derive(Clone, Debug, Default)]
struct Content {
    /// How many bytes are accessible.
    initial: usize,
    /// What is in them; zeros without one.
    image: Option<Arc<Image>>,
    wear: Wear,
}

/// What is known of the pages that a slot keeps of its memory. Each time they are cleared, since nobody knows which of
/// them were written since the last time. So those that one guest has used and later ones do not are given up some time,
/// lest each later one costs as much as that one.
#[derive(Clone, Copy, Debug, Default)]
struct Wear {
    /// The bytes that were cleared last.
    kept: usize,
    /// How often no more than those were found.
    repeats: u32,
    /// How often that may be; it grows when pages are found again after they were given up.
    patience: u32,
    /// The bytes that were given up last time.
    given_up: usize,
}

impl Wear {
    /// So few bytes are always kept.
    const FEW_BYTES: usize = 64 << 10;
    const LEAST_PATIENCE: u32 = 32;
    const MOST_PATIENCE: u32 = 1 << 12;

    /// Whether pages are to be given up of which so many bytes were found.
    fn is_over(&mut self, found: usize) -> bool {
        let patience = self.patience.max(Self::LEAST_PATIENCE);
        if found <= Self::FEW_BYTES {
            *self = Self::default();
        } else if self.given_up > 0 {
            let are_needed = found >= self.given_up / 2;
            let patience = if are_needed { (2 * patience).min(Self::MOST_PATIENCE) } else { Self::LEAST_PATIENCE };
            *self = Self { kept: found, patience, ..Self::default() };
        } else if found > self.kept {
            *self = Self { kept: found, patience, ..Self::default() };
        } else if self.repeats < patience {
            self.repeats += 1;
        } else {
            *self = Self { given_up: found, patience, ..Self::default() };
            return true;
        }
        false
    }
}

/// What a content is found by: a length and an address.
type Key = (usize, usize);

impl Content {
    fn is(&self, other: &Self) -> bool {
        self.key() == other.key()
    }

    /// An image lives as long as a slot is prepared for it, so its address stands for it.
    fn key(&self) -> Key {
        (self.initial, self.image.as_ref().map_or(0, |image| Arc::as_ptr(image).addr()))
    }
}

/// The slots of a kind.
struct Space {
    what: &'static str,
    reservation: Reservation,
    slot_bytes: usize,
    count: usize,
    free: Mutex<Free>,
}

/// A hash of lengths and addresses, which no guest chooses.
#[derive(Default)]
struct OfAddresses(u64);

impl Hasher for OfAddresses {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_usize(byte.into()));
    }

    fn write_usize(&mut self, word: usize) {
        let product = u128::from(self.0 ^ word as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Slots that nobody uses. All of them are clean.
#[derive(Default)]
struct Free {
    /// Slots that were used, by what they are prepared for.
    prepared: HashMap<Key, Vec<(usize, Content)>, BuildHasherDefault<OfAddresses>>,
    /// How many were ever used.
    used: usize,
}

impl Space {
    fn new(what: &'static str, count: usize, slot_bytes: u64) -> Result<Self, Error> {
        let slot_bytes = usize::try_from(slot_bytes).ok().and_then(pages::round_up);
        let total = slot_bytes.and_then(|bytes| bytes.checked_mul(count));
        let (Some(slot_bytes), Some(total)) = (slot_bytes, total) else {
            return Err(Error::usage(format!("the {what} of a pool have more address space than there is")));
        };
        let reservation = Reservation::new(total as u64, 0, 0)?;
        Ok(Self { what, reservation, slot_bytes, count, free: Mutex::default() })
    }

    /// A slot that nobody uses, and what it is prepared for: preferably for this.
    fn take(&self, content: &Content) -> Result<(usize, Content), Error> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = free.prepared.get_mut(&content.key()).and_then(Vec::pop) {
            return Ok(slot);
        }
        if free.used < self.count {
            free.used += 1;
            return Ok((free.used - 1, Content::default()));
        }
        let other = free.prepared.values_mut().find_map(Vec::pop);
        other.ok_or_else(|| Error::system(format!("all {} {} of the pool are in use", self.count, self.what)))
    }

    fn give_back(&self, number: usize, content: Content) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.prepared.entry(content.key()).or_default().push((number, content));
    }
}

/// A slot that somebody uses.
pub(super) struct Slot {
    pool: Pool,
    kind: Kind,
    number: usize,
    content: Content,
    /// How many bytes somebody may have written, from the first usable one on.
    used: AtomicUsize,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("kind", &self.kind).field("number", &self.number).finish_non_exhaustive()
    }
}

impl Slot {
    /// All addresses of the slot.
    pub(super) fn range(&self) -> Range<usize> {
        let space = self.pool.0.space(self.kind);
        let start = space.reservation.start() as usize + self.number * space.slot_bytes;
        start..start + space.slot_bytes
    }

    /// Addresses of its first usable bytes.
    fn usable(&self, bytes: usize) -> Range<usize> {
        let start = self.range().start + if self.kind == Kind::Stack { STACK_GUARD_BYTES as usize } else { 0 };
        start..start + bytes
    }

    /// As many bytes are accessible from now on, in whole pages.
    pub(super) fn grows_to(&self, bytes: usize) {
        self.used.fetch_max(pages::round_up(bytes).unwrap_or(usize::MAX), Ordering::Relaxed);
    }

    /// Only so many bytes of it were ever written.
    pub(super) fn only_used(&self, bytes: usize) {
        self.used.store(bytes, Ordering::Relaxed);
    }

    fn clean(&mut self) -> Result<(), Error> {
        let slots = &*self.pool.0;
        let used = self.used.load(Ordering::Relaxed);
        match self.kind {
            Kind::Memory => {
                let (used, initial) = (self.usable(used), self.usable(self.content.initial));
                let Content { image, wear, .. } = &mut self.content;
                let is_kept = |bytes| bytes <= slots.keep_resident_bytes && !wear.is_over(bytes);
                slots.system.clean_memory(used, initial, image.as_deref(), is_kept)
            }
            Kind::Table => {
                slots.system.clean_table(self.usable(used.min(self.content.initial)), slots.keep_resident_bytes)
            }
            Kind::Stack => slots.system.clean_stack(self.usable(self.content.initial), slots.keep_resident_bytes),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // What cannot be cleaned is never used again.
        if self.clean().is_ok() {
            let content = core::mem::take(&mut self.content);
            self.pool.0.space(self.kind).give_back(self.number, content);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `uses` gave up the pages, where each found as many bytes as `found` says.
    fn given_up(wear: &mut Wear, uses: u32, found: impl Fn(u32) -> usize) -> usize {
        (0..uses).filter(|&n| wear.is_over(found(n))).count()
    }

    #[test]
    fn pages_that_nobody_uses_any_more_are_given_up() {
        let mut wear = Wear::default();
        assert_eq!(given_up(&mut wear, 1000, |n| n as usize % 16 * 4096), 0, "few pages cost little");
        // One guest uses much. As long as its pages are kept, they are found each time.
        assert!(!wear.is_over(1 << 20));
        assert_eq!(given_up(&mut wear, 32, |_| 1 << 20), 0);
        assert!(wear.is_over(1 << 20));
        assert_eq!(given_up(&mut wear, 1000, |_| 4096), 0);
    }

    #[test]
    fn pages_that_are_used_each_time_are_given_up_ever_more_rarely() {
        let mut wear = Wear::default();
        let times = given_up(&mut wear, 100_000, |_| 1 << 20);
        assert!((8..40).contains(&times), "{times} times");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_slot_forgets_what_one_guest_has_used() {
        let config =
            PoolConfig { memories: 1, memory_slot_bytes: 1 << 20, tables: 1, stacks: 1, ..PoolConfig::default() };
        let pool = Pool::new(config).unwrap();
        let use_slot = |pages: usize| {
            let content = Content { initial: 1 << 20, ..Content::default() };
            let slot = pool.take(Kind::Memory, content).unwrap();
            let range = slot.usable(pages * pages::PAGE_BYTES);
            // SAFETY: the slot is this test's, and its pages are accessible.
            unsafe {
                core::ptr::write_bytes(core::ptr::with_exposed_provenance_mut::<u8>(range.start), 7, range.len())
            };
            drop(slot);
            let free = pool.0.memories.free.lock().unwrap();
            free.prepared.values().flatten().map(|(_, content)| content.wear.kept).sum::<usize>()
        };
        use_slot(200);
        let kept: Vec<_> = (0..100).map(|_| use_slot(1)).collect();
        assert_eq!(kept.last(), Some(&0), "{kept:?}");
    }
}
