//! Stores: what instances share, and what keeps it alive.
//!
//! A store owns instances, tables, memories, globals, tags, host functions, exceptions and the guest's stack. Nothing
//! that it owns moves or goes away before the store does, so handles and contexts refer to it by address.

// ---------------------------------------------------------------------------------------------------------------
// Security: a handle is followed only after its store's number was compared, so one from elsewhere is an error and
// never an address. While guest code of a store runs, nobody has a `&mut Store`: host functions get a `Caller`, which
// cannot be exchanged for another store. The type of the data is invariant: a host function was made for exactly it.
// ---------------------------------------------------------------------------------------------------------------

use core::fmt;
use core::marker::PhantomData;
use core::num::NonZeroU64;
use core::ops::Range;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

use super::Error;
use super::activation::Activation;
use super::arch::RUNTIME_STACK_BYTES;
use super::exceptions::Heap;
use super::few::Few;
use super::global::GlobalEntity;
use super::host_func::{HostCell, HostFuncData};
use super::instance::InstanceData;
use super::interrupt::{Deadlines, Stop};
use super::limits::{Limiter, ResourceLimiter};
use super::memory::{MemoryEntity, MemoryRange, SharedMemory};
use super::module::Module;
use super::pool::Pool;
use super::registry::Types;
use super::stack::Stack;
use super::table::TableEntity;
use super::tag::TagEntity;
use wasmelt_abi::layout::UNCHECKED_STACK_BYTES;

/// The least stack that a guest gets.
pub(super) const MIN_STACK_BYTES: u64 = 256 << 10;

/// Limits of a store that hold from its start. What its guests may have of memory, tables and instances is the matter of
/// its [limiter](Store::limiter).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreConfig {
    /// The guest's call stack in bytes, for all instances of the store together. Without it, the stack is as large as
    /// the module of the first instance was compiled for.
    pub stack_bytes: Option<u64>,
    /// The bytes that all live exceptions together may take.
    pub max_exception_bytes: usize,
    /// Where the store takes memories, tables and its stack from, which then has the pool's length: stores that come and go
    /// cost much less. Without one, the system is asked for each of them.
    pub pool: Option<Pool>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { stack_bytes: None, max_exception_bytes: 256 << 20, pool: None }
    }
}

/// Everything that instances share, and data of the host's own. A store can move from thread to thread; one thread uses
/// it at a time.
///
/// Functions of this interface take a store as `&store` or `&mut store`; a host function hands on its [`Caller`] in the same
/// way.
///
/// A host function that reads data of a long life cannot be given data of a shorter one:
///
/// ```compile_fail
/// # use wasmelt_embed::Store;
/// fn shortens<'a>(store: Store<&'static str>) -> Store<&'a str> {
///     store
/// }
/// ```
///
/// [`Caller`]: crate::Caller
pub struct Store<T> {
    /// A mutable pointer, so that `T` is invariant: data of a longer life must not be exchanged for data of a shorter one.
    contents: *mut Contents<T>,
}

/// What a store holds, where it stays. Host functions know its address without knowing the type of the data.
#[repr(C)]
pub(crate) struct Contents<T> {
    pub(crate) inner: Inner,
    pub(crate) data: T,
}

// SAFETY: what a store owns is reached through the store alone, host functions are `Send` and `Sync`, and no part of it
// depends on the thread: activations, which do, exist only while the store is borrowed.
unsafe impl<T: Send> Send for Contents<T> {}

// SAFETY: a store is its contents.
unsafe impl<T: Send> Send for Store<T> {}

impl<T> Store<T> {
    /// Makes an empty store with data of the host's own, which host functions reach by their [`Caller`](crate::Caller).
    pub fn new(data: T) -> Self {
        Self::with_config(data, StoreConfig::default())
    }

    /// Makes an empty store with these limits.
    pub fn with_config(data: T, config: StoreConfig) -> Self {
        let contents = Box::into_raw(Box::new(Contents { inner: Inner::new(StoreId::next(), config), data }));
        // SAFETY: the contents are new, and stay where they are.
        unsafe { (*contents).inner.pause.store = contents.cast() };
        Self { contents }
    }

    /// Returns the host's data.
    pub fn data(&self) -> &T {
        &self.contents().data
    }

    /// Returns the host's data, to change it.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.contents_mut().data
    }

    /// Limits what the guests of the store may have: the limiter, a part of the host's data, is asked before anything grows
    /// or is made from now on. Without one, memories may have what their types say, tables 10,000,000 elements, and the
    /// store 10,000 instances, tables and memories.
    ///
    /// ```
    /// use wasmelt_embed::{Store, StoreLimits, StoreLimitsBuilder};
    ///
    /// struct State {
    ///     limits: StoreLimits,
    /// }
    ///
    /// let limits = StoreLimitsBuilder::new().memory_size(16 << 20).instances(1).build();
    /// let mut store = Store::new(State { limits });
    /// store.limiter(|state| &mut state.limits);
    /// ```
    pub fn limiter(&mut self, limiter: impl (FnMut(&mut T) -> &mut dyn ResourceLimiter) + Send + Sync + 'static) {
        let limiter = Limiter::new(self.contents.cast(), limiter);
        self.contents_mut().inner.limiter = Some(limiter);
    }

    /// Empties the store: instances, tables, memories, globals, tags, functions and exceptions go, and handles of them are
    /// handles of another store from now on. The host's data, the limiter, what stops the store's guests, modules and, with
    /// its last contents, the stack stay. So this costs less than another store; with a [`Pool`], as much as the pages that
    /// guests have written.
    ///
    /// No fuel is left, no deadline is set, and guests do not give the executor back.
    pub fn reset(&mut self) {
        self.contents_mut().inner.reset();
    }

    /// Drops all that the store holds but the host's data.
    pub fn into_data(self) -> T {
        let contents = core::mem::ManuallyDrop::new(self).contents;
        // SAFETY: it came from a box, and this store, which would be the only one to drop it, does not.
        let Contents { inner, data } = *unsafe { Box::from_raw(contents) };
        drop(inner);
        data
    }

    pub(crate) fn contents(&self) -> &Contents<T> {
        // SAFETY: the store owns its contents, and is borrowed as long as they are.
        unsafe { &*self.contents }
    }

    pub(crate) fn contents_mut(&mut self) -> &mut Contents<T> {
        // SAFETY: as in `contents`.
        unsafe { &mut *self.contents }
    }
}

impl<T: Default> Default for Store<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> Drop for Store<T> {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and only here, or in `into_data` instead, goes back into one.
        drop(unsafe { Box::from_raw(self.contents) });
    }
}

impl<T: fmt::Debug> fmt::Debug for Store<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Contents { inner: Inner { id, instances, .. }, data } = self.contents();
        let mut f = f.debug_struct("Store");
        f.field("id", &id.0).field("instances", &instances.len()).field("data", data).finish_non_exhaustive()
    }
}

/// The part of a store's contents that does not depend on the host's data.
#[repr(C)]
pub struct Inner {
    /// The call into guest code that is running; null when none is.
    pub(super) activation: *mut Activation,
    pub(super) id: StoreId,
    pub(super) config: StoreConfig,
    pub(super) limiter: Option<Box<Limiter>>,
    /// What stops its guests.
    pub(super) stop: Arc<Stop>,
    /// What guests call that ask whether they may go on.
    pub(super) pause: HostCell,
    /// In which ways all code of the store can be stopped, as flags of [`wasmelt_abi::interface::Interface`].
    pub(super) wanted: u32,
    /// Who knows the store's deadline.
    pub(super) deadlines: Option<Deadlines>,
    pub(super) types: Types,
    /// Made with the first instance.
    stack: Option<Stack>,
    /// Modules that have instances, sorted by the addresses of their code.
    modules: Vec<Known>,
    /// Where memories lie, for the signal handler.
    pub(super) memory_ranges: Few<MemoryRange>,
    /// Memories of other threads as well.
    pub(super) shared: Vec<SharedMemory>,
    pub(super) exceptions: Heap,
    pub(super) hosts: Arena<HostFuncData>,
    pub(super) instances: Arena<InstanceData>,
    pub(super) tables: Arena<TableEntity>,
    pub(super) memories: Arena<MemoryEntity>,
    pub(super) globals: Arena<GlobalEntity>,
    pub(super) tags: Arena<TagEntity>,
}

impl Inner {
    fn new(id: StoreId, config: StoreConfig) -> Self {
        Self {
            activation: ptr::null_mut(),
            id,
            exceptions: Heap::new(config.max_exception_bytes),
            config,
            limiter: None,
            stop: Stop::new(),
            // The address is known when the contents are where they stay.
            pause: HostCell::of_pause(ptr::null_mut()),
            wanted: 0,
            deadlines: None,
            types: Types::default(),
            stack: None,
            modules: Vec::new(),
            memory_ranges: Few::default(),
            shared: Vec::new(),
            hosts: Arena::new(),
            instances: Arena::new(),
            tables: Arena::new(),
            memories: Arena::new(),
            globals: Arena::new(),
            tags: Arena::new(),
        }
    }

    /// What [`Store::reset`] does.
    fn reset(&mut self) {
        self.id = StoreId::next();
        self.types.forget_functions();
        self.instances.clear();
        self.hosts.clear();
        self.tables.clear();
        self.memories.clear();
        self.globals.clear();
        self.tags.clear();
        self.memory_ranges.clear();
        self.shared.clear();
        self.exceptions = Heap::new(self.config.max_exception_bytes);
        self.stop.reset();
    }

    /// Makes the guest's stack, if it is not there yet.
    pub(super) fn ensure_stack(&mut self, wanted_bytes: u64) -> Result<(), Error> {
        if self.stack.is_none() {
            let stack = match (&self.config.pool, self.config.stack_bytes) {
                (Some(pool), Some(bytes)) if bytes != pool.stack_bytes() => {
                    let of_pool = pool.stack_bytes();
                    return Err(Error::usage(format!("a stack of {bytes} bytes: those of the pool have {of_pool}")));
                }
                (Some(pool), _) => Stack::of_pool(pool)?,
                (None, bytes) => Stack::new(bytes.unwrap_or(wanted_bytes).max(MIN_STACK_BYTES))?,
            };
            self.stop.set_stack_limit(stack.range().start + RUNTIME_STACK_BYTES + UNCHECKED_STACK_BYTES);
            self.stack = Some(stack);
        }
        Ok(())
    }

    /// The guest's stack, which is there as soon as there is an instance.
    pub(super) fn guest_stack(&self) -> Option<&Stack> {
        self.stack.as_ref()
    }

    /// Addresses of the guest's stack without its guard.
    pub(super) fn stack(&self) -> Range<usize> {
        self.stack.as_ref().map_or(0..0, Stack::range)
    }

    /// Addresses that frames of guests may have.
    pub(super) fn frame_addresses(&self) -> Range<usize> {
        self.stack.as_ref().map_or(0..0, Stack::frames)
    }

    /// Addresses of the guard below it.
    pub(super) fn guard(&self) -> Range<usize> {
        self.stack.as_ref().map_or(0..0, Stack::guard)
    }

    /// The store's numbers of a module's types.
    pub(super) fn type_ids(&mut self, module: &Module) -> Result<Arc<[u32]>, Error> {
        match self.find_module(module) {
            Ok(known) => Ok(Arc::clone(&known.type_ids)),
            Err(_) => self.types.number_module(module),
        }
    }

    /// What is known of a module that has instances, or where it would stand.
    fn find_module(&self, module: &Module) -> Result<&Known, usize> {
        let (range, address) = (module.text(), module.address());
        // A module without code may have the address at which another one's begins: it comes first.
        let key = |known: &Known| (known.code.start, known.code.end, known.module.address());
        let found = self.modules.binary_search_by_key(&(range.start, range.end, address), key);
        found.map(|at| &self.modules[at])
    }

    /// Records a module whose types have these numbers: its code, and the code that it brings for its types.
    pub(super) fn add_module(&mut self, module: &Module, type_ids: &Arc<[u32]>) {
        if let Err(at) = self.find_module(module) {
            let known = Known { code: module.text(), module: module.clone(), type_ids: Arc::clone(type_ids) };
            self.modules.insert(at, known);
            self.types.add_module(module, type_ids);
        }
    }

    /// The modules that have instances.
    pub(super) fn modules(&self) -> impl Iterator<Item = &Module> {
        self.modules.iter().map(|known| &known.module)
    }

    /// The module whose code is at this address, and its offset in the code.
    pub(super) fn module_at(&self, address: usize) -> Option<(&Module, u32)> {
        let at = self.modules.partition_point(|known| known.code.start <= address);
        let Known { code, module, .. } = self.modules.get(at.checked_sub(1)?)?;
        code.contains(&address).then(|| (module, (address - code.start) as u32))
    }

    /// What a handle refers to.
    pub(super) fn follow<T>(&self, handle: Handle<T>) -> Result<NonNull<T>, Error> {
        self.check(handle.store)?;
        Ok(handle.referent)
    }

    /// Refuses what belongs to another store.
    pub(super) fn check(&self, store: StoreId) -> Result<(), Error> {
        if store == self.id { Ok(()) } else { Err(Error::usage("a handle of another store")) }
    }

    /// The handle of something that the store owns.
    pub(super) fn handle<T>(&self, referent: NonNull<T>) -> Handle<T> {
        Handle { store: self.id, referent }
    }
}

/// A module that has instances.
struct Known {
    code: Range<usize>,
    module: Module,
    /// The store's numbers of its types.
    type_ids: Arc<[u32]>,
}

/// The number of a store, unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct StoreId(NonZeroU64);

impl StoreId {
    /// A number that no store has had.
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NonZeroU64::new(NEXT.fetch_add(1, Relaxed)).unwrap_or(NonZeroU64::MAX))
    }
}

/// Refers to something that a store owns.
pub(super) struct Handle<T> {
    store: StoreId,
    referent: NonNull<T>,
}

// SAFETY: the address is followed only with the store at hand, see `Inner::follow`, which one thread has at a time.
unsafe impl<T> Send for Handle<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Handle<T> {}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<T> {}

impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.store, self.referent) == (other.store, other.referent)
    }
}

impl<T> Eq for Handle<T> {}

impl<T> core::hash::Hash for Handle<T> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.referent.hash(state);
    }
}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:p}", self.store.0, self.referent)
    }
}

/// Things that stay where they are until all of them go.
pub(super) struct Arena<T> {
    items: Few<NonNull<T>>,
    owns: PhantomData<T>,
}

impl<T> Arena<T> {
    fn new() -> Self {
        Self { items: Few::default(), owns: PhantomData }
    }

    /// Keeps `item`; its address for the rest of the arena's life.
    pub(super) fn add(&mut self, item: T) -> NonNull<T> {
        let item = NonNull::from(Box::leak(Box::new(item)));
        self.items.push(item);
        item
    }

    /// Drops all of them.
    fn clear(&mut self) {
        for item in self.items.drain() {
            // SAFETY: it came from a box, and only here, or in `drop`, goes back into one.
            drop(unsafe { Box::from_raw(item.as_ptr()) });
        }
    }

    /// The thing that was added as number `index`.
    pub(super) fn at(&self, index: usize) -> NonNull<T> {
        *self.items.get(index).expect("the number of a thing in the arena")
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = NonNull<T>> {
        self.items.iter().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

impl<T> Drop for Arena<T> {
    fn drop(&mut self) {
        self.clear();
    }
}
