//! Functions of a store: those of guests, which the host calls, and those of the host, which guests call.

// ---------------------------------------------------------------------------------------------------------------
// Security: code is called with the arguments of its type and no others; both directions check every value.
// ---------------------------------------------------------------------------------------------------------------

use core::pin::Pin;
use core::ptr::{self, NonNull};
use core::task::{Context, Poll};
use std::sync::Arc;

use wasmelt_abi::context::FuncRef;

use super::activation;
use super::context::{AsContext, AsContextMut, Caller};
use super::host_func::{HostCell, HostFunc, HostFuncData};
use super::registry::Signature;
use super::store::{Handle, Inner};
use super::typed_func::{IntoFunc, TypedFunc};
use super::value::{self, Val};
use super::waiting::{HostFuture, WaitingCall};
use super::wasm_ty::{WasmParams, WasmResults, WasmRet};
use super::{BoxFuture, Error, FuncType};

/// A function of a store: a function of a guest, or one of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Func(pub(super) Handle<FuncRef>);

impl Func {
    /// Makes a function of the host with a type that is known when the host runs: the closure gets the arguments, and a
    /// result for each of the type's, which it sets. [`Self::wrap`] is faster.
    ///
    /// The closure may call guests. When it returns an error, the host's call into the guest returns that error, except
    /// [`Error::Exception`], which handlers of the guest may catch. When it panics, the host's call into the guest
    /// returns [`Error::Panic`].
    ///
    /// # Errors
    /// [`Error::System`] when the store has no room for another function type.
    pub fn new<T>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        function: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::of_host(store.as_context_mut().contents(), &HostFunc::dynamic(ty, function))
    }

    /// Makes a function of the host from a closure, whose parameters and results say the type. The first parameter may be a
    /// [`Caller`]. Errors and panics of the closure are as with [`Self::new`].
    ///
    /// The closure can run on several threads at once, because one call can lend the store to another thread; so it is
    /// `Sync`:
    ///
    /// ```compile_fail,E0277
    /// # use wasmelt_embed::{Func, Result, Store};
    /// fn counts(store: &mut Store<()>) -> Result<Func> {
    ///     let count = std::cell::Cell::new(0);
    ///     Func::wrap(store, move || count.set(count.get() + 1))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::System`] when the store has no room for another function type.
    pub fn wrap<T, Params, Results>(
        mut store: impl AsContextMut<Data = T>,
        function: impl IntoFunc<T, Params, Results>,
    ) -> Result<Self, Error> {
        Self::of_host(store.as_context_mut().contents(), &function.into_host_func())
    }

    /// Makes a function of the host that takes and returns numbers and vectors alone, without allocating anything: for hosts
    /// that know the type only when they run. The closure gets what [`Self::call_words`] takes: the arguments, which it
    /// replaces by the results. Bits above those of a value's type may be anything. Errors and panics are as with
    /// [`Self::new`].
    ///
    /// # Errors
    /// As for [`Self::new`]; and [`Error::Usage`] when the type has references.
    pub fn new_words<T>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        function: impl Fn(Caller<'_, T>, &mut [[u64; 2]]) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::of_host(store.as_context_mut().contents(), &HostFunc::words(ty, function)?)
    }

    /// A function of the host in a store with the data that it is for, of which this is the address.
    pub(super) fn of_host(store: *mut Inner, func: &HostFunc) -> Result<Self, Error> {
        let reference = HostFuncData::create(store, func)?;
        // SAFETY: the caller has the store.
        Ok(Self(unsafe { &*store }.handle(reference)))
    }

    /// Returns the type of the function.
    pub fn ty(&self, store: impl AsContext) -> Result<FuncType, Error> {
        store.as_context().inner().func_type(*self)
    }

    /// Returns the function with types that are known when the host is compiled.
    ///
    /// # Errors
    /// [`Error::Usage`] when the function has other types.
    pub fn typed<P: WasmParams, R: WasmResults>(&self, store: impl AsContext) -> Result<TypedFunc<P, R>, Error> {
        TypedFunc::new(store.as_context().inner(), *self)
    }

    /// Calls the function. `args` has one value of the right type for each parameter; `results` has one for each result, and
    /// whatever it holds is replaced.
    ///
    /// # Errors
    /// As [`TypedFunc::call`]; and [`Error::Usage`] when there are more or fewer values, or one of another type.
    pub fn call(&self, mut store: impl AsContextMut, args: &[Val], results: &mut [Val]) -> Result<(), Error> {
        let mut store = store.as_context_mut();
        let inner = store.inner();
        let reference = *inner.func(*self)?;
        let to_wasm = code_for(reference.owner, inner.types.entry(reference.type_id).to_wasm)?;
        let (signature, mut values) = self.arguments(inner, args, results.len())?;
        // SAFETY: these are arguments of the type, and there is room for the results.
        unsafe { call(store.contents(), &reference, to_wasm, values.as_mut_ptr())? };
        // SAFETY: these are the results that the function has left.
        unsafe { raise_results(store.inner(), &values, &signature, results) };
        Ok(())
    }

    /// The type of the function, and its arguments with room for its results, of which there are to be so many.
    fn arguments(self, store: &Inner, args: &[Val], results: usize) -> Result<(Arc<Signature>, Vec<[u64; 2]>), Error> {
        let signature = Arc::clone(&store.types.entry(store.func(self)?.type_id).signature);
        let has = signature.results.len();
        if results != has {
            return Err(Error::usage(format!("there is room for {results} results, and the function has {has}")));
        }
        let mut values = value::lower_all(store, args, &signature.params)?;
        values.resize(signature.params.len().max(has), [0; 2]);
        Ok((signature, values))
    }

    /// Makes an asynchronous function of the host with a type that is known when the host runs. As [`Self::new`], and as
    /// [`Self::wrap_async`], which is faster.
    ///
    /// # Errors
    /// [`Error::System`] when the store has no room for another function type.
    pub fn new_async<T: 'static>(
        mut store: impl AsContextMut<Data = T>,
        ty: FuncType,
        function: impl for<'a> Fn(Caller<'a, T>, &'a [Val], &'a mut [Val]) -> BoxFuture<'a, Result<(), Error>>
        + Send
        + Sync
        + 'static,
    ) -> Result<Self, Error> {
        Self::of_host(store.as_context_mut().contents(), &HostFunc::dynamic_async(ty, function))
    }

    /// Makes an asynchronous function of the host from a closure that gets the [`Caller`] and a tuple of parameters: guests
    /// wait for its future, without a thread of the host. Their own caller must wait as well, see
    /// [`TypedFunc::call_async`]; otherwise a call of the function is an error. Errors and panics of the future are as with
    /// [`Self::new`].
    ///
    /// The future has the store as long as it is there, so it can call guests while its own caller waits.
    ///
    /// # Errors
    /// [`Error::System`] when the store has no room for another function type.
    pub fn wrap_async<T: 'static, P: WasmParams, R: WasmRet + 'static>(
        mut store: impl AsContextMut<Data = T>,
        function: impl for<'a> Fn(Caller<'a, T>, P) -> BoxFuture<'a, R> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        Self::of_host(store.as_context_mut().contents(), &HostFunc::wrap_async(function))
    }

    /// As [`Self::call`], where functions of the host may be asynchronous. See [`TypedFunc::call_async`].
    pub async fn call_async(
        &self,
        mut store: impl AsContextMut,
        args: &[Val],
        results: &mut [Val],
    ) -> Result<(), Error> {
        let mut store = store.as_context_mut();
        let (signature, mut values) = self.arguments(store.inner(), args, results.len())?;
        let call = {
            let reference = *store.inner().func(*self)?;
            let to_wasm = code_for(reference.owner, store.inner().types.entry(reference.type_id).to_wasm)?;
            // SAFETY: these are arguments of the type, and there is room for the results. The values and the borrow of the
            // store are there as long as the call.
            unsafe { begin(store.contents(), &reference, to_wasm, values.as_mut_ptr()) }
        };
        call.await?;
        // SAFETY: these are the results that the function has left.
        unsafe { raise_results(store.inner(), &values, &signature, results) };
        Ok(())
    }

    /// Calls a function that takes and returns numbers and vectors alone, without allocating anything: for hosts that know
    /// the type only when they run, and check it once. `values` has an element for each parameter and for each result,
    /// whichever are more: the arguments, which the results replace. Each holds its value in the lowest bits.
    ///
    /// # Errors
    /// As [`TypedFunc::call`]; and [`Error::Usage`] when there are too few values, or one of the type's is a reference.
    pub fn call_words(&self, mut store: impl AsContextMut, values: &mut [[u64; 2]]) -> Result<(), Error> {
        let mut store = store.as_context_mut();
        let inner = store.inner();
        let reference = *inner.func(*self)?;
        let entry = inner.types.entry(reference.type_id);
        let Signature { params, results } = &*entry.signature;
        if values.len() < params.len().max(results.len()) {
            return Err(Error::usage(format!("{} values for a function of type {}", values.len(), entry.public)));
        }
        // Any bits are a number; they are not a reference.
        if params.iter().chain(results).any(|ty| ty.nullability().is_some()) {
            return Err(Error::usage(format!("a function of type {} has references", entry.public)));
        }
        let to_wasm = code_for(reference.owner, entry.to_wasm)?;
        // SAFETY: there are arguments of the type, and there is room for the results.
        unsafe { call(store.contents(), &reference, to_wasm, values.as_mut_ptr()) }
    }

    /// The function reference in the form that guests use.
    pub(super) fn for_guests(self, store: &Inner) -> Result<NonNull<FuncRef>, Error> {
        let reference = store.follow(self.0)?;
        // SAFETY: the store owns what its handles refer to.
        if unsafe { reference.as_ref() }.code.is_null() {
            return Err(Error::usage("no module of this store imports functions of this type, so none can call one"));
        }
        Ok(reference)
    }
}

/// The code that calls a function of this owner, where `to_wasm` does so for guests; null for a function of the host.
pub(super) fn code_for(owner: u32, to_wasm: *const u8) -> Result<*const u8, Error> {
    match owner {
        FuncRef::HOST => Ok(ptr::null()),
        FuncRef::GUEST if to_wasm.is_null() => {
            Err(Error::usage("no module of this store has a function of this type to be called"))
        }
        FuncRef::GUEST => Ok(to_wasm),
        _ => Err(Error::system("a reference says neither that its function is a guest's nor the host's")),
    }
}

/// Calls a function with the arguments in `values`, where the results go as well.
///
/// # Safety
/// `store` is the address of the whole contents of the function's store, which is the caller's. `to_wasm` is the code for the
/// function's type, see [`code_for`]. `values` has one for each parameter, and room for each result.
#[inline]
pub(super) unsafe fn call(
    store: *mut Inner,
    reference: &FuncRef,
    to_wasm: *const u8,
    values: *mut [u64; 2],
) -> Result<(), Error> {
    let &FuncRef { code, vmctx, .. } = reference;
    // SAFETY: by this function's contract; what is the host's has a cell for a context.
    unsafe {
        if to_wasm.is_null() {
            activation::check_nesting(&*store)?;
            return (*vmctx.cast::<HostCell>()).call(store, values);
        }
        activation::call(store, to_wasm, [vmctx as usize, code as usize, values as usize])
    }
}

/// Sets the results of a function from the values that it has left.
///
/// # Safety
/// They are values of these types.
unsafe fn raise_results(store: &Inner, values: &[[u64; 2]], signature: &Signature, results: &mut [Val]) {
    for ((result, &value), &ty) in results.iter_mut().zip(values).zip(&signature.results) {
        // SAFETY: by this function's contract.
        *result = unsafe { value::raise(store, value, ty) };
    }
}

/// Begins a call as [`call`] makes it, that can wait.
///
/// # Safety
/// As [`call`], and as [`WaitingCall::new`]; the values are there as long as the call.
pub(super) unsafe fn begin(
    store: *mut Inner,
    reference: &FuncRef,
    to_wasm: *const u8,
    values: *mut [u64; 2],
) -> AsyncCall {
    let &FuncRef { code, vmctx, .. } = reference;
    // SAFETY: by this function's contract; what is the host's has a cell for a context.
    unsafe {
        if !to_wasm.is_null() {
            let args = [vmctx as usize, code as usize, values as usize];
            return match WaitingCall::new(store, to_wasm, args) {
                Ok(call) => AsyncCall::Guest(call),
                Err(error) => AsyncCall::Done(Some(Err(error))),
            };
        }
        if let Err(error) = activation::check_nesting(&*store) {
            return AsyncCall::Done(Some(Err(error)));
        }
        let cell = vmctx.cast::<HostCell>();
        match (*cell).begin(store, values) {
            Some(future) => AsyncCall::Host(future),
            None => AsyncCall::Done(Some((*cell).call(store, values))),
        }
    }
}

/// A call that can wait. It is over at the latest when whoever has begun it gives up the store.
pub(super) enum AsyncCall {
    Guest(WaitingCall),
    Host(HostFuture),
    /// What it came to, which is told once.
    Done(Option<Result<(), Error>>),
}

impl Future for AsyncCall {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Guest(call) => call.poll(context),
            Self::Host(future) => future.as_mut().poll(context),
            Self::Done(result) => result.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

impl Inner {
    pub(super) fn func(&self, func: Func) -> Result<&FuncRef, Error> {
        // SAFETY: the store owns what its handles refer to.
        Ok(unsafe { self.follow(func.0)?.as_ref() })
    }

    pub(super) fn func_type(&self, func: Func) -> Result<FuncType, Error> {
        Ok(self.types.entry(self.func(func)?.type_id).public.clone())
    }
}
