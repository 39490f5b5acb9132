//! Memories of a store, and memories that threads share.

// ---------------------------------------------------------------------------------------------------------------
// Security: memories never move, and behind each lies as much inaccessible address space as the code that uses it was
// compiled for. Lengths and ranges are checked here for the host; a shared memory's bytes may change at any time, so
// the host never holds a reference to them.
// ---------------------------------------------------------------------------------------------------------------

use core::cell::UnsafeCell;
use core::ops::Range;
use core::ptr::{self, NonNull};
use core::slice;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wasmelt_abi::context;
use wasmelt_abi::descriptor::MemoryPlan;

use super::context::{AsContext, AsContextMut, StoreContext, StoreContextMut};
use super::limits::{self, Growable, Growth};
use super::pool::Image;
use super::reservation::Reservation;
use super::store::{Handle, Inner};
use super::{Error, MemoryType, shared_bytes};
use wasmelt_runtime::memory;

/// Address space of memories that the host makes, where their addresses have 32 bits: what code without bounds checks
/// is compiled for, see the compiler's guard plan.
const RESERVE_BYTES: u64 = 1 << 32;

/// Inaccessible address space behind it.
const GUARD_BYTES: u64 = 1 << 31;

/// What a memory that the host makes may grow to where its addresses have 64 bits and its type sets no limit.
const LARGE_RESERVE_BYTES: u64 = 1 << 34;

/// A memory of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Memory(pub(super) Handle<MemoryEntity>);

/// A shared memory: instances of any number of stores can import it. Clones refer to the same memory.
#[derive(Clone, Debug)]
pub struct SharedMemory(pub(super) Arc<MemoryEntity>);

/// A memory.
#[derive(Debug)]
pub(super) struct MemoryEntity {
    /// Its address and length in the context of an instance; null where they are in `own_record`.
    in_context: *mut context::Memory,
    own_record: UnsafeCell<context::Memory>,
    /// With the maximum of the type; the minimum is what the type said.
    pub(super) ty: MemoryType,
    /// The length in bytes that it can grow to.
    capacity_bytes: u64,
    bytes: Reservation,
    /// Held while the length changes.
    growing: Mutex<()>,
}

// SAFETY: one that is not shared is used with its store only; of one that is, the record is in the entity, its address
// never changes, its length is read and written atomically, and its bytes are accessed by copying alone.
unsafe impl Send for MemoryEntity {}
// SAFETY: as above.
unsafe impl Sync for MemoryEntity {}

/// Address space of its own for a memory that is made by this plan.
fn reserve(plan: &MemoryPlan) -> Result<Reservation, Error> {
    let MemoryPlan { initial_bytes, reserve_bytes, guard_bytes, .. } = *plan;
    Reservation::new(reserve_bytes.max(initial_bytes).saturating_add(guard_bytes), 0, initial_bytes)
}

/// Where a memory lies, for the signal handler.
#[derive(Debug)]
pub(super) struct MemoryRange {
    pub(super) range: Range<usize>,
    pub(super) shared: bool,
    record: *mut context::Memory,
}

impl MemoryRange {
    pub(super) fn length_bytes(&self) -> u64 {
        // SAFETY: the record is there as long as the store.
        unsafe { length(self.record) }.load(Ordering::SeqCst)
    }
}

/// The length in a record.
///
/// # Safety
/// The record is there.
unsafe fn length<'a>(record: *mut context::Memory) -> &'a AtomicU64 {
    // SAFETY: by this function's contract.
    unsafe { AtomicU64::from_ptr(&raw mut (*record).length_bytes) }
}

impl MemoryEntity {
    /// A memory of these bytes, with its record at `record`, or in itself when that is null.
    ///
    /// # Safety
    /// The record lies in a context that lives as long as the memory.
    unsafe fn new(
        ty: MemoryType,
        plan: &MemoryPlan,
        bytes: Reservation,
        record: *mut context::Memory,
    ) -> Result<Self, Error> {
        let MemoryPlan { initial_bytes, maximum_bytes, reserve_bytes, .. } = *plan;
        let contents = || context::Memory { base: bytes.start(), length_bytes: initial_bytes };
        if !record.is_null() {
            // SAFETY: by this function's contract.
            unsafe { record.write(contents()) };
        }
        let own_record = UnsafeCell::new(contents());
        let capacity_bytes = maximum_bytes.min(reserve_bytes).max(initial_bytes);
        Ok(Self { in_context: record, own_record, ty, capacity_bytes, bytes, growing: Mutex::new(()) })
    }

    /// The plan of a memory that the host makes.
    fn plan(ty: &MemoryType) -> Result<MemoryPlan, Error> {
        if !matches!(ty.page_size_log2, 0 | 16) {
            return Err(Error::usage(format!("a page of a memory has 1 or 65536 bytes, not 2^{}", ty.page_size_log2)));
        }
        let bytes =
            |pages: u64| pages.checked_shl(ty.page_size_log2.into()).filter(|b| b >> ty.page_size_log2 == pages);
        let addressable = if ty.index_64 { u64::MAX } else { 1 << 32 };
        let maximum = ty.maximum.map_or(Some(addressable), bytes).unwrap_or(u64::MAX).min(addressable);
        let initial_bytes = bytes(ty.minimum).filter(|&initial| initial <= maximum);
        let initial_bytes =
            initial_bytes.ok_or_else(|| Error::usage("the least length of a memory is above its greatest"))?;
        let reserve_bytes = match (ty.index_64, ty.maximum) {
            (false, _) => RESERVE_BYTES,
            (true, Some(_)) => maximum,
            (true, None) => initial_bytes.max(LARGE_RESERVE_BYTES),
        };
        let guard_bytes = GUARD_BYTES;
        let page_size_log2 = ty.page_size_log2.into();
        let maximum_bytes = maximum;
        Ok(MemoryPlan {
            context_offset: 0,
            page_size_log2,
            flags: 0,
            initial_bytes,
            maximum_bytes,
            reserve_bytes,
            guard_bytes,
        })
    }

    /// Makes a memory of a store, with its record at `record` or, when that is null, in the entity. The store's limits allow
    /// it, see [`limits::check_new`].
    ///
    /// # Safety
    /// The record lies in a context that the store owns.
    pub(super) unsafe fn create(
        store: &mut Inner,
        ty: MemoryType,
        plan: &MemoryPlan,
        image: Option<&Arc<Image>>,
        record: *mut context::Memory,
    ) -> Result<NonNull<Self>, Error> {
        let bytes = match &store.config.pool {
            Some(pool) => Reservation::of_slot(pool.memory(plan, image)?),
            None => reserve(plan)?,
        };
        // SAFETY: by this function's contract.
        let entity = unsafe { Self::new(ty, plan, bytes, record)? };
        let entity = store.memories.add(entity);
        // SAFETY: the store owns it.
        store.memory_ranges.push(unsafe { entity.as_ref() }.range());
        Ok(entity)
    }

    fn range(&self) -> MemoryRange {
        MemoryRange { range: self.bytes.range(), shared: self.ty.shared, record: self.record() }
    }

    /// Whether code may use it that relies on this plan: accesses without a check reach `guard_bytes` beyond the greatest
    /// length (64-bit addresses), or beyond `reserve_bytes` (32-bit addresses), and must find nothing else there.
    pub(super) fn has_address_space_of(&self, plan: &MemoryPlan) -> bool {
        let total = self.bytes.range().len() as u64;
        let behind = total.saturating_sub(self.capacity_bytes);
        behind >= plan.guard_bytes && total >= plan.reserve_bytes.saturating_add(plan.guard_bytes)
    }

    /// The first byte of the memory.
    pub(super) fn base(&self) -> *mut u8 {
        self.bytes.start()
    }

    /// Its record, which is there as long as the entity.
    pub(super) fn record(&self) -> *mut context::Memory {
        if self.in_context.is_null() { self.own_record.get() } else { self.in_context }
    }

    pub(super) fn len(&self) -> u64 {
        // SAFETY: the record is there as long as the entity.
        unsafe { length(self.record()) }.load(Ordering::SeqCst)
    }

    /// Returns the type of the memory. The minimum in the type is the length at this moment.
    pub(super) fn ty(&self) -> MemoryType {
        MemoryType { minimum: self.len() >> self.ty.page_size_log2, ..self.ty.clone() }
    }

    /// What it means to grow the memory.
    pub(super) fn growth(&self, delta_pages: u64) -> Growth {
        let bytes = |pages: u64| pages.saturating_mul(1 << self.ty.page_size_log2);
        let current = self.len();
        let (desired, maximum) = (current.saturating_add(bytes(delta_pages)), self.ty.maximum.map(bytes));
        Growth { what: Growable::Memory, current, desired, maximum }
    }

    /// Grows the memory, to `max_bytes` at most; returns the length before in pages, or `None` when nothing changed.
    pub(super) fn grow(&self, delta_pages: u64, max_bytes: u64) -> Option<u64> {
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        let capacity_bytes = self.capacity_bytes.min(max_bytes.max(self.len()));
        // SAFETY: the record is there as long as the entity, and all who grow the memory have the lock.
        let grown =
            unsafe { memory::grow_record(self.record(), capacity_bytes, self.ty.page_size_log2.into(), delta_pages) };
        if let Some(slot) = self.bytes.slot() {
            slot.grows_to(self.len() as usize);
        }
        grown
    }

    fn address(&self, offset: u64, len_bytes: usize) -> Option<*mut u8> {
        // SAFETY: the record is there as long as the entity.
        unsafe { memory::checked_address(self.record(), offset, len_bytes as u64) }
    }

    fn outside(&self, offset: u64, len_bytes: usize) -> Error {
        Error::usage(format!("{len_bytes} bytes at {offset} of a memory of {} bytes", self.len()))
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let address = self.address(offset, bytes.len()).ok_or_else(|| self.outside(offset, bytes.len()))?;
        // SAFETY: the range was just checked; memories never shrink, consist of whole pages of the system, and nobody but
        // the caller uses one that is not shared.
        unsafe {
            match self.ty.shared {
                true => shared_bytes::read(address, bytes),
                false => ptr::copy_nonoverlapping(address, bytes.as_mut_ptr(), bytes.len()),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.write_inside(offset, bytes).ok_or_else(|| self.outside(offset, bytes.len()))
    }

    /// Copies bytes into the memory; `None` when the range exceeds the memory, which then does not change.
    pub(super) fn write_inside(&self, offset: u64, bytes: &[u8]) -> Option<()> {
        let address = self.address(offset, bytes.len())?;
        // SAFETY: as in `read`.
        unsafe {
            match self.ty.shared {
                true => shared_bytes::write(address, bytes),
                false => ptr::copy_nonoverlapping(bytes.as_ptr(), address, bytes.len()),
            }
        }
        Some(())
    }
}

impl Inner {
    pub(super) fn memory(&self, memory: Memory) -> Result<&MemoryEntity, Error> {
        // SAFETY: the store owns the memory.
        Ok(unsafe { self.follow(memory.0)?.as_ref() })
    }

    /// Takes part in a shared memory: from now on its faults are known.
    pub(super) fn share(&mut self, memory: &SharedMemory) {
        if !self.shared.iter().any(|other| Arc::ptr_eq(&other.0, &memory.0)) {
            self.memory_ranges.push(memory.0.range());
            self.shared.push(memory.clone());
        }
    }
}

impl Memory {
    /// Makes a memory that is not shared. [`SharedMemory`] is for threads.
    pub fn new(mut store: impl AsContextMut, ty: MemoryType) -> Result<Self, Error> {
        if ty.shared {
            return Err(Error::usage("a memory of a store is not shared"));
        }
        let plan = MemoryEntity::plan(&ty)?;
        let mut store = store.as_context_mut();
        let growth = Growth::of_new_memory(&plan, ty.maximum, ty.page_size_log2.into());
        // SAFETY: the store is the caller's.
        unsafe { limits::check_new(store.contents(), 0, &[growth])? };
        let inner = store.inner_mut();
        // SAFETY: the record is the entity's own.
        let entity = unsafe { MemoryEntity::create(inner, ty, &plan, None, ptr::null_mut())? };
        Ok(Self(inner.handle(entity)))
    }

    /// Returns the type of the memory. The minimum in the type is the length at this moment.
    pub fn ty(&self, store: impl AsContext) -> Result<MemoryType, Error> {
        Ok(store.as_context().inner().memory(*self)?.ty())
    }

    /// Returns the length of the memory in pages.
    pub fn size(&self, store: impl AsContext) -> Result<u64, Error> {
        Ok(self.ty(store)?.minimum)
    }

    /// Returns the length of the memory in bytes.
    pub fn data_size(&self, store: impl AsContext) -> Result<usize, Error> {
        Ok(store.as_context().inner().memory(*self)?.len() as usize)
    }

    /// Returns the bytes of the memory. As long as they are borrowed the store is, so no guest runs and the memory does not
    /// grow.
    ///
    /// # Panics
    /// Panics when the memory belongs to another store.
    pub fn data<'a, T: 'a>(&self, store: impl Into<StoreContext<'a, T>>) -> &'a [u8] {
        let (base, len) = self.bytes(store.into().inner());
        // SAFETY: the memory is there as long as the store, and has this length. It is not shared, so whoever writes to it has
        // the store, which is borrowed for reading.
        unsafe { slice::from_raw_parts(base, len) }
    }

    /// Returns the bytes of the memory, to change them. As [`Self::data`].
    ///
    /// # Panics
    /// Panics when the memory belongs to another store.
    pub fn data_mut<'a, T: 'a>(&self, store: impl Into<StoreContextMut<'a, T>>) -> &'a mut [u8] {
        self.data_and_store_mut(store).0
    }

    /// Returns the bytes of the memory and the host's data, to change both. As [`Self::data`].
    ///
    /// # Panics
    /// Panics when the memory belongs to another store.
    pub fn data_and_store_mut<'a, T: 'a>(&self, store: impl Into<StoreContextMut<'a, T>>) -> (&'a mut [u8], &'a mut T) {
        let store = store.into();
        let (base, len) = self.bytes(store.inner());
        // SAFETY: as in `data`; the store is borrowed for everything, and its bytes lie outside what it consists of.
        (unsafe { slice::from_raw_parts_mut(base, len) }, store.into_data())
    }

    /// Where the bytes are, and how many.
    #[track_caller]
    fn bytes(self, store: &Inner) -> (*mut u8, usize) {
        match store.memory(self) {
            Ok(memory) if !memory.ty.shared => (memory.base(), memory.len() as usize),
            Ok(_) => panic!("the bytes of a shared memory cannot be borrowed"),
            Err(error) => panic!("{error}"),
        }
    }

    /// Copies bytes from the memory into `bytes`. Returns [`Error::Usage`] when the range exceeds the memory.
    pub fn read(&self, store: impl AsContext, offset: usize, bytes: &mut [u8]) -> Result<(), Error> {
        store.as_context().inner().memory(*self)?.read(offset as u64, bytes)
    }

    /// Copies `bytes` into the memory. Returns [`Error::Usage`] when the range exceeds the memory.
    pub fn write(&self, mut store: impl AsContextMut, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        store.as_context_mut().inner().memory(*self)?.write(offset as u64, bytes)
    }

    /// Grows the memory by `delta` pages and returns the length before, in pages.
    ///
    /// # Errors
    /// [`Error::System`] where the type, the store's limiter or the system does not allow it, and what the limiter returns
    /// as its error.
    pub fn grow(&self, mut store: impl AsContextMut, delta_pages: u64) -> Result<u64, Error> {
        let mut store = store.as_context_mut();
        // SAFETY: the store owns the memory.
        let entity = unsafe { store.inner().follow(self.0)?.as_ref() };
        // SAFETY: the store is the caller's.
        unsafe {
            limits::grow_for_host(
                store.contents(),
                || entity.growth(delta_pages),
                |growth| entity.grow(delta_pages, growth.desired),
            )
        }
    }
}

impl SharedMemory {
    /// Makes a shared memory.
    pub fn new(ty: MemoryType) -> Result<Self, Error> {
        if !ty.shared || ty.maximum.is_none() {
            return Err(Error::usage("a shared memory has a shared type with a maximum"));
        }
        let plan = MemoryEntity::plan(&ty)?;
        Self::create(ty, &plan)
    }

    pub(super) fn create(ty: MemoryType, plan: &MemoryPlan) -> Result<Self, Error> {
        // SAFETY: the record is the memory's own.
        let entity = unsafe { MemoryEntity::new(ty, plan, reserve(plan)?, ptr::null_mut())? };
        Ok(Self(Arc::new(entity)))
    }

    /// Returns the type of the memory. The minimum in the type is the length at this moment.
    pub fn ty(&self) -> MemoryType {
        self.0.ty()
    }

    /// Returns the length of the memory in pages.
    pub fn size(&self) -> u64 {
        self.ty().minimum
    }

    /// Returns the length of the memory in bytes.
    pub fn data_size(&self) -> usize {
        self.0.len() as usize
    }

    /// Copies bytes from the memory, each as it is at some moment of the call. Returns [`Error::Usage`] when the range
    /// exceeds the memory.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Error> {
        self.0.read(offset as u64, bytes)
    }

    /// Copies `bytes` into the memory. Returns [`Error::Usage`] when the range exceeds the memory.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), Error> {
        self.0.write(offset as u64, bytes)
    }

    /// Grows the memory by `delta` pages and returns the length before, in pages. No limiter is asked: the memory belongs
    /// to no store.
    pub fn grow(&self, delta_pages: u64) -> Result<u64, Error> {
        self.0.grow(delta_pages, u64::MAX).ok_or_else(|| self.0.growth(delta_pages).refused())
    }
}
