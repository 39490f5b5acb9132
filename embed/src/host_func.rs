//! Functions of the host: what a store keeps of them, and how they are called, by guests and by the host itself.
//!
//! A function is a [`HostFunc`]: a type, a closure, and code for exactly this closure that passes arguments and results.
//! Generated code knows it by a [`HostCell`], of which there is one for each import: it also says which instance calls.

// ---------------------------------------------------------------------------------------------------------------
// Security: a closure is called with the store whose data it was made for, on the values that its type says.
// ---------------------------------------------------------------------------------------------------------------

use core::ptr::NonNull;
use std::sync::Arc;

use wasmelt_abi::context::{self, FuncRef};

use super::activation;
use super::arch::{self, Resume};
use super::instance::InstanceData;
use super::pause;
use super::store::Inner;
use super::value::{self, Val};
use super::waiting::{self, HostFuture};
use super::{Caller, Error, FuncType, ValType};

/// Calls a closure for a guest, on the host's stack; null, or where to go on instead of returning to the guest.
type FromGuest = unsafe extern "C" fn(cell: *mut HostCell, values: *mut [u64; 2]) -> *const Resume;

/// Calls a closure for the host.
type FromHost = unsafe fn(store: *mut Inner, cell: &HostCell, values: *mut [u64; 2]) -> Result<(), Error>;

/// Begins an asynchronous function for the host.
type Begin = unsafe fn(store: *mut Inner, cell: &HostCell, values: *mut [u64; 2]) -> HostFuture;

/// A function of the host that belongs to no store yet. `T`, the host's data in stores that it is for, is not part of the
/// type: whoever has one knows. Clones are the same function.
#[derive(Clone)]
pub struct HostFunc {
    pub(super) ty: FuncType,
    from_guest: FromGuest,
    from_host: FromHost,
    /// Of asynchronous functions.
    begin: Option<Begin>,
    closure: Arc<dyn Closure>,
}

/// Closures can run on several threads at once: one can send the store that it gets to another thread, which calls it again
/// by way of a guest.
trait Closure: Send + Sync {}

impl<F: Send + Sync> Closure for F {}

impl HostFunc {
    /// A function of this type that `body` performs: it gets the store, the cell and the values, and puts the results where
    /// the arguments were.
    ///
    /// # Safety
    /// `body` may rely on what is said at [`Self::call`], and leaves results of the type.
    pub(super) unsafe fn new<B>(ty: FuncType, body: B) -> Self
    where
        B: Fn(*mut Inner, &HostCell, *mut [u64; 2]) -> Result<(), Error> + Send + Sync + 'static,
    {
        Self { ty, from_guest: from_guest::<B>, from_host: from_host::<B>, begin: None, closure: Arc::new(body) }
    }

    /// A function of this type that `body` begins; as [`Self::new`], when the future is done.
    ///
    /// # Safety
    /// `body` and its future may rely on what is said at [`Self::call`], as long as the future is there and polled by whoever
    /// has the store. They leave results of the type.
    pub(super) unsafe fn new_async<B>(ty: FuncType, body: B) -> Self
    where
        B: Fn(*mut Inner, &HostCell, *mut [u64; 2]) -> HostFuture + Send + Sync + 'static,
    {
        let (from_guest, from_host) = (begin_from_guest::<B> as FromGuest, refuse as FromHost);
        Self { ty, from_guest, from_host, begin: Some(begin::<B>), closure: Arc::new(body) }
    }

    /// A function that takes and returns [`Val`]s, for stores with data of type `T`.
    pub(super) fn dynamic<T, F>(ty: FuncType, function: F) -> Self
    where
        F: Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), Error> + Send + Sync + 'static,
    {
        let body = move |store: *mut Inner, cell: &HostCell, values: *mut [u64; 2]| {
            // SAFETY: the store is the caller's, and this is the only reference to it until the function is called.
            let inner = unsafe { &*store };
            let signature = Arc::clone(&inner.types.entry(cell.type_id).signature);
            // SAFETY: these are the arguments.
            let mut all = unsafe { value::raise_all(inner, values, &signature.params) };
            all.extend(signature.results.iter().map(|&ty| value::zero(ty)));
            let (args, results) = all.split_at_mut(signature.params.len());
            // SAFETY: whoever makes a store's functions says what its data is.
            function(unsafe { Caller::new(store, cell) }, args, results)?;
            // SAFETY: as above; the function has returned.
            let results = value::lower_all(unsafe { &*store }, results, &signature.results)
                .map_err(|error| Error::usage(format!("results of a host function: {error}")))?;
            // SAFETY: there is room for the results.
            unsafe { values.copy_from_nonoverlapping(results.as_ptr(), results.len()) };
            Ok(())
        };
        // SAFETY: the body leaves results of the type, which it has checked.
        unsafe { Self::new(ty, body) }
    }

    /// A function that takes and returns numbers and vectors as words, for stores with data of type `T`; an error where its
    /// type has references.
    pub(super) fn words<T, F>(ty: FuncType, function: F) -> Result<Self, Error>
    where
        F: Fn(Caller<'_, T>, &mut [[u64; 2]]) -> Result<(), Error> + Send + Sync + 'static,
    {
        if ty.params().iter().chain(ty.results()).any(|ty| matches!(ty, ValType::Ref(_))) {
            return Err(Error::usage(format!("a function of type {ty} has references")));
        }
        let count = ty.params().len().max(ty.results().len());
        let body = move |store: *mut Inner, cell: &HostCell, values: *mut [u64; 2]| {
            // SAFETY: there is room for the arguments and for the results, which nobody else uses; any bits are a word.
            let values = unsafe { core::slice::from_raw_parts_mut(values, count) };
            // SAFETY: the store is the caller's, and whoever makes its functions says what its data is.
            function(unsafe { Caller::new(store, cell) }, values)
        };
        // SAFETY: any bits are a number or a vector.
        Ok(unsafe { Self::new(ty, body) })
    }

    /// What stands for the function where `caller` imports it, in this store, which has this number for its type. It is good
    /// as long as one of the clones.
    pub(super) fn cell(&self, store: *mut Inner, type_id: u32, caller: Option<NonNull<InstanceData>>) -> HostCell {
        HostCell {
            head: context::HostFunc { entry: arch::call_host },
            store,
            from_guest: self.from_guest,
            from_host: self.from_host,
            begin: self.begin,
            closure: Arc::as_ptr(&self.closure).cast(),
            caller,
            type_id,
        }
    }
}

/// What generated code knows a host function by.
#[repr(C)]
pub(super) struct HostCell {
    pub(super) head: context::HostFunc,
    /// For [`arch::call_host`].
    pub(super) store: *mut Inner,
    /// For [`arch::call_host`].
    pub(super) from_guest: FromGuest,
    from_host: FromHost,
    begin: Option<Begin>,
    closure: *const (),
    /// The instance that imports it; `None` where the function is not an import.
    pub(super) caller: Option<NonNull<InstanceData>>,
    type_id: u32,
}

impl HostCell {
    /// What guests call that ask whether they may go on, in the store with this address.
    pub(super) fn of_pause(store: *mut Inner) -> Self {
        Self {
            head: context::HostFunc { entry: arch::call_host },
            store,
            from_guest: pause::from_guest,
            from_host: refuse,
            begin: None,
            closure: core::ptr::null(),
            caller: None,
            type_id: 0,
        }
    }

    /// The store's number of its type.
    pub(super) fn type_id(&self) -> u32 {
        self.type_id
    }

    /// The same function as an import of this instance.
    pub(super) fn imported_by(&self, caller: NonNull<InstanceData>) -> Self {
        Self { head: context::HostFunc { entry: self.head.entry }, caller: Some(caller), ..*self }
    }

    /// Calls the function for the host.
    ///
    /// # Safety
    /// `store` is the address of the whole contents of the function's store, which nobody else uses meanwhile; `values` has
    /// the arguments, and room for the results.
    pub(super) unsafe fn call(&self, store: *mut Inner, values: *mut [u64; 2]) -> Result<(), Error> {
        // SAFETY: by this function's contract.
        unsafe { (self.from_host)(store, self, values) }
    }

    /// Begins the function for the host, where it is asynchronous.
    ///
    /// # Safety
    /// As [`Self::call`], for as long as the future is there.
    pub(super) unsafe fn begin(&self, store: *mut Inner, values: *mut [u64; 2]) -> Option<HostFuture> {
        // SAFETY: by this function's contract.
        self.begin.map(|begin| unsafe { begin(store, self, values) })
    }
}

/// The cell of a store's own function, in the form that references of guests point to.
#[repr(C)]
pub(super) struct HostFuncData {
    pub(super) cell: HostCell,
    /// Has no code until a module of the store brings code for this type.
    pub(super) reference: FuncRef,
    /// Keeps the closure.
    _func: HostFunc,
}

impl HostFuncData {
    /// The reference of this function, made for a store.
    pub(super) fn create(store: *mut Inner, func: &HostFunc) -> Result<NonNull<FuncRef>, Error> {
        // SAFETY: the caller has the store.
        let inner = unsafe { &mut *store };
        let type_id = inner.types.number(&func.ty)?;
        let code = inner.types.entry(type_id).to_host;
        let data = inner.hosts.add(Self {
            cell: func.cell(store, type_id, None),
            reference: FuncRef { code, vmctx: core::ptr::null_mut(), type_id, owner: FuncRef::HOST },
            _func: func.clone(),
        });
        if code.is_null() {
            inner.types.wants_code(type_id, data);
        }
        // SAFETY: the function is new and stays where it is.
        unsafe {
            (*data.as_ptr()).reference.vmctx = data.as_ptr().cast();
            Ok(NonNull::new_unchecked(&raw mut (*data.as_ptr()).reference))
        }
    }
}

/// # Safety
/// Called by [`arch::call_host`] with a cell whose closure is a `B`.
unsafe extern "C" fn from_guest<B>(cell: *mut HostCell, values: *mut [u64; 2]) -> *const Resume
where
    B: Fn(*mut Inner, &HostCell, *mut [u64; 2]) -> Result<(), Error>,
{
    // SAFETY: generated code passes a host function of its store, which lives as long as that, and room for the arguments
    // and results of its type. Nobody uses the store while guest code runs.
    unsafe { activation::in_host(|store| from_host::<B>(store, &*cell, values)) }
}

/// # Safety
/// As [`HostCell::call`], with a cell whose closure is a `B`.
unsafe fn from_host<B>(store: *mut Inner, cell: &HostCell, values: *mut [u64; 2]) -> Result<(), Error>
where
    B: Fn(*mut Inner, &HostCell, *mut [u64; 2]) -> Result<(), Error>,
{
    // SAFETY: by this function's contract; closures are kept as long as their cells.
    let body = unsafe { &*cell.closure.cast::<B>() };
    body(store, cell, values)
}

/// # Safety
/// As [`from_guest`].
unsafe extern "C" fn begin_from_guest<B>(cell: *mut HostCell, values: *mut [u64; 2]) -> *const Resume
where
    B: Fn(*mut Inner, &HostCell, *mut [u64; 2]) -> HostFuture,
{
    // SAFETY: as in `from_guest`. The values stay where they are as long as the guest waits.
    unsafe { waiting::begin_in_host(|store| begin::<B>(store, &*cell, values)) }
}

/// # Safety
/// As [`HostCell::begin`], with a cell whose closure is a `B`.
unsafe fn begin<B>(store: *mut Inner, cell: &HostCell, values: *mut [u64; 2]) -> HostFuture
where
    B: Fn(*mut Inner, &HostCell, *mut [u64; 2]) -> HostFuture,
{
    // SAFETY: as in `from_host`.
    let body = unsafe { &*cell.closure.cast::<B>() };
    body(store, cell, values)
}

/// Calls no asynchronous function: nobody waits for it.
unsafe fn refuse(_: *mut Inner, _: &HostCell, _: *mut [u64; 2]) -> Result<(), Error> {
    Err(Error::usage(waiting::CANNOT_WAIT))
}
