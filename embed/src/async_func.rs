//! Asynchronous functions of the host: closures whose futures guests wait for.

// ---------------------------------------------------------------------------------------------------------------
// Security: a future has the store that its function was called with, and is polled and dropped by the call of the
// guest that waits for it, while nobody else has the store.
// ---------------------------------------------------------------------------------------------------------------

use std::sync::Arc;

use super::host_func::{HostCell, HostFunc};
use super::store::Inner;
use super::value::{self, Val};
use super::wasm_ty::{WasmParams, WasmRet, sealed, val_types};
use super::{Caller, Error, FuncType};

/// What an asynchronous function of the host returns.
pub type BoxFuture<'a, R> = Box<dyn Future<Output = R> + Send + 'a>;

/// A call of such a function.
struct Call {
    store: *mut Inner,
    cell: *const HostCell,
    values: *mut [u64; 2],
}

// SAFETY: it is part of a future that has the store.
unsafe impl Send for Call {}

impl Call {
    /// Who calls, for the future of this call.
    ///
    /// # Safety
    /// The store is one with this data, and nobody else uses it as long as the future is there.
    unsafe fn caller<T>(&self) -> Caller<'static, T> {
        // SAFETY: by this function's contract; a cell lives as long as its store.
        unsafe { Caller::new(self.store, &*self.cell) }
    }

    /// Leaves the results.
    ///
    /// # Safety
    /// There is room for results of this type, and the future has the store.
    unsafe fn finish(self, results: impl sealed::Values) -> Result<(), Error> {
        // SAFETY: by this function's contract.
        unsafe { results.lower(&*self.store, self.values) }
    }
}

impl HostFunc {
    /// An asynchronous function with parameters and results that are known when the host is compiled.
    pub(super) fn wrap_async<T, P, R, F>(function: F) -> Self
    where
        T: 'static,
        P: WasmParams,
        R: WasmRet + 'static,
        F: for<'a> Fn(Caller<'a, T>, P) -> BoxFuture<'a, R> + Send + Sync + 'static,
    {
        let ty = FuncType::new(val_types(P::CODES), val_types(<R::Results as sealed::Values>::CODES));
        let body = move |store: *mut Inner, cell: &HostCell, values: *mut [u64; 2]| {
            let call = Call { store, cell, values };
            // SAFETY: the values are arguments of the type; the store is the future's, and whoever makes its functions says
            // what its data is.
            let future = unsafe { function(call.caller(), P::raise(&*store, values)) };
            Box::pin(async move {
                let results = Box::into_pin(future).await.into_results()?;
                // SAFETY: there is room for the results.
                unsafe { call.finish(results) }
            }) as _
        };
        // SAFETY: the body leaves results of the type.
        unsafe { Self::new_async(ty, body) }
    }

    /// An asynchronous function that takes and returns [`Val`]s.
    pub(super) fn dynamic_async<T, F>(ty: FuncType, function: F) -> Self
    where
        T: 'static,
        F: for<'a> Fn(Caller<'a, T>, &'a [Val], &'a mut [Val]) -> BoxFuture<'a, Result<(), Error>>
            + Send
            + Sync
            + 'static,
    {
        let function = Arc::new(function);
        let body = move |store: *mut Inner, cell: &HostCell, values: *mut [u64; 2]| {
            let (function, call) = (Arc::clone(&function), Call { store, cell, values });
            // SAFETY: the store is the future's, and this is the only reference to it until the function is called.
            let inner = unsafe { &*store };
            let signature = Arc::clone(&inner.types.entry(cell.type_id()).signature);
            // SAFETY: these are the arguments.
            let mut all = unsafe { value::raise_all(inner, values, &signature.params) };
            all.extend(signature.results.iter().map(|&ty| value::zero(ty)));
            Box::pin(async move {
                let call = call;
                let (args, results) = all.split_at_mut(signature.params.len());
                // SAFETY: whoever makes a store's functions says what its data is.
                Box::into_pin(function(unsafe { call.caller() }, args, results)).await?;
                // SAFETY: the function is done.
                let lowered = value::lower_all(unsafe { &*call.store }, results, &signature.results)
                    .map_err(|error| Error::usage(format!("results of a host function: {error}")))?;
                // SAFETY: there is room for the results.
                unsafe { call.values.copy_from_nonoverlapping(lowered.as_ptr(), lowered.len()) };
                Ok(())
            }) as _
        };
        // SAFETY: the body leaves results of the type, which it has checked.
        unsafe { Self::new_async(ty, body) }
    }
}
