//! The ways to name a store: [`Store`] itself, the [`Caller`] of a host function, and what both can be lent as.

use core::ptr;

use wasmelt_runtime::host::guest_memory::GuestMemory;

use super::host_func::HostCell;
use super::store::{Contents, Inner, Store};
use super::{Error, Extern, Instance};

/// A store that is lent for reading.
pub struct StoreContext<'a, T>(&'a Contents<T>);

/// A store that is lent for everything.
pub struct StoreContextMut<'a, T>(&'a mut Contents<T>);

/// The store of the guest that has called a host function, and which instance that is.
///
/// It is used in all places where a store is: `memory.data(&caller)`, `func.call(&mut caller, ...)`. The bytes of a memory
/// cannot be kept over a call, in which the guest could change them:
///
/// ```compile_fail,E0502
/// # use wasmelt_embed::{Caller, Memory, Result, TypedFunc};
/// fn keeps(mut caller: Caller<'_, ()>, memory: Memory, grow: TypedFunc<(), ()>) -> Result<u8> {
///     let bytes = memory.data(&caller);
///     grow.call(&mut caller, ())?;
///     Ok(bytes[0])
/// }
/// ```
pub struct Caller<'a, T> {
    store: StoreContextMut<'a, T>,
    instance: Option<Instance>,
}

/// What names a store for reading.
pub trait AsContext {
    /// The host's data in the store.
    type Data;

    /// Lends the store.
    fn as_context(&self) -> StoreContext<'_, Self::Data>;
}

/// What names a store for everything.
pub trait AsContextMut: AsContext {
    /// Lends the store.
    fn as_context_mut(&mut self) -> StoreContextMut<'_, Self::Data>;
}

impl<'a, T> StoreContext<'a, T> {
    /// Returns the host's data.
    pub fn data(&self) -> &'a T {
        &self.0.data
    }

    pub(crate) fn inner(&self) -> &'a Inner {
        &self.0.inner
    }
}

impl<'a, T> StoreContextMut<'a, T> {
    /// Returns the host's data.
    pub fn data(&self) -> &T {
        &self.0.data
    }

    /// Returns the host's data, to change it.
    pub fn data_mut(&mut self) -> &mut T {
        &mut self.0.data
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.0.inner
    }

    pub(crate) fn inner_mut(&mut self) -> &mut Inner {
        &mut self.0.inner
    }

    /// The host's data, for as long as the store is lent.
    pub(crate) fn into_data(self) -> &'a mut T {
        &mut self.0.data
    }

    /// The address of the whole contents, for host functions to find the data with.
    pub(crate) fn contents(&mut self) -> *mut Inner {
        (&raw mut *self.0).cast()
    }
}

impl<'a, T> Caller<'a, T> {
    /// The caller of the function that `cell` stands for.
    ///
    /// # Safety
    /// `store` is the address of a store's whole contents with data of this type, which nobody else uses as long as this
    /// is there.
    pub(crate) unsafe fn new(store: *mut Inner, cell: &HostCell) -> Self {
        // SAFETY: by this function's contract.
        let contents = unsafe { &mut *store.cast::<Contents<T>>() };
        let instance = cell.caller.map(|instance| Instance(contents.inner.handle(instance)));
        Self { store: StoreContextMut(contents), instance }
    }

    /// Returns the export of the calling instance with this name, or `None`.
    ///
    /// The calling instance is the one that has imported the function. A guest that got the function in another way, as
    /// an element of a table or as a value, or the host itself, has no exports here.
    pub fn get_export(&self, name: &str) -> Option<Extern> {
        self.instance?.get_export(self, name)
    }

    /// Returns the calling instance, where it is known, see [`Self::get_export`].
    pub fn instance(&self) -> Option<Instance> {
        self.instance
    }

    /// Memory 0 of the calling instance, as functions of WASI see it: an instance without one has a memory of no bytes.
    ///
    /// It is good for the call of the host function: until that returns, no memory of the store grows, and none goes away.
    pub(crate) fn guest_memory(&self) -> Result<GuestMemory, Error> {
        let unknown =
            || Error::msg("WASI was called through a value: which instance calls, and its memory, is not known");
        let inner = self.store.inner();
        let instance = inner.follow(self.instance.ok_or_else(unknown)?.0)?;
        // SAFETY: the store owns the instance.
        let memory = unsafe { instance.as_ref() }.memory(0);
        let (base, len) = memory.map_or((ptr::null_mut(), 0), |memory| (memory.base(), memory.len()));
        // SAFETY: a memory has this length, never shrinks, and is there as long as the store.
        Ok(unsafe { GuestMemory::new(base, len) })
    }

    /// Returns the host's data.
    pub fn data(&self) -> &T {
        self.store.data()
    }

    /// Returns the host's data, to change it.
    pub fn data_mut(&mut self) -> &mut T {
        self.store.data_mut()
    }
}

impl<T> AsContext for Store<T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.contents())
    }
}

impl<T> AsContextMut for Store<T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.contents_mut())
    }
}

impl<T> AsContext for StoreContext<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T> AsContext for StoreContextMut<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        StoreContext(self.0)
    }
}

impl<T> AsContextMut for StoreContextMut<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        StoreContextMut(self.0)
    }
}

impl<T> AsContext for Caller<'_, T> {
    type Data = T;

    fn as_context(&self) -> StoreContext<'_, T> {
        self.store.as_context()
    }
}

impl<T> AsContextMut for Caller<'_, T> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, T> {
        self.store.as_context_mut()
    }
}

impl<C: AsContext> AsContext for &C {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContext> AsContext for &mut C {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        C::as_context(self)
    }
}

impl<C: AsContextMut> AsContextMut for &mut C {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        C::as_context_mut(self)
    }
}

impl<'a, C: AsContext> From<&'a C> for StoreContext<'a, C::Data> {
    fn from(store: &'a C) -> Self {
        store.as_context()
    }
}

impl<'a, C: AsContext> From<&'a mut C> for StoreContext<'a, C::Data> {
    fn from(store: &'a mut C) -> Self {
        C::as_context(store)
    }
}

impl<'a, C: AsContextMut> From<&'a mut C> for StoreContextMut<'a, C::Data> {
    fn from(store: &'a mut C) -> Self {
        store.as_context_mut()
    }
}
