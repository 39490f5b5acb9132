//! Functions whose types the host knows when it is compiled: calls of them and closures that are functions.

// ---------------------------------------------------------------------------------------------------------------
// Security: the types are compared with those of the function once, when the typed handle is made; types of functions
// never change.
// ---------------------------------------------------------------------------------------------------------------

use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

use wasmelt_abi::context::FuncRef;

use super::context::{AsContextMut, Caller};
use super::func::{self, Func};
use super::host_func::{HostCell, HostFunc};
use super::registry::{Signature, is_subtype};
use super::store::Inner;
use super::wasm_ty::{MAX_VALUES, WasmParams, WasmResults, WasmRet, WasmTy, for_each_list, sealed, val_types};
use super::{Error, FuncType};

/// A function with parameters `P` and results `R`. A call of it neither looks anything up nor allocates.
pub struct TypedFunc<P, R> {
    func: Func,
    /// What calls functions of this type; null where the function is the host's.
    to_wasm: *const u8,
    types: PhantomData<fn(P) -> R>,
}

// SAFETY: the code is read-only, and is there as long as the store that the function is used with.
unsafe impl<P, R> Send for TypedFunc<P, R> {}
// SAFETY: as above.
unsafe impl<P, R> Sync for TypedFunc<P, R> {}

impl<P, R> Clone for TypedFunc<P, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P, R> Copy for TypedFunc<P, R> {}

impl<P, R> fmt::Debug for TypedFunc<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedFunc").field(&self.func).finish()
    }
}

impl<P: WasmParams, R: WasmResults> TypedFunc<P, R> {
    /// The function, where it has these types.
    pub(super) fn new(store: &Inner, func: Func) -> Result<Self, Error> {
        let FuncRef { type_id, owner, .. } = *store.func(func)?;
        let entry = store.types.entry(type_id);
        let fits =
            |subs: &[_], of: &[_]| subs.len() == of.len() && subs.iter().zip(of).all(|(&a, &b)| is_subtype(a, b));
        let Signature { params, results } = &*entry.signature;
        if !fits(P::CODES, params) || !fits(results, R::CODES) {
            let wanted = FuncType::new(val_types(P::CODES), val_types(R::CODES));
            return Err(Error::usage(format!("a function of type {} is not one of type {wanted}", entry.public)));
        }
        let to_wasm = func::code_for(owner, entry.to_wasm)?;
        Ok(Self { func, to_wasm, types: PhantomData })
    }

    /// Calls the function.
    ///
    /// # Errors
    /// [`Error::Trap`] when a guest traps, [`Error::Exception`] when it throws, what a function of the host returns as
    /// its error, and [`Error::Usage`] when `store` is not the function's store.
    #[inline]
    pub fn call(&self, mut store: impl AsContextMut, params: P) -> Result<R, Error> {
        let mut store = store.as_context_mut();
        let reference = *store.inner().func(self.func)?;
        let mut values = [const { MaybeUninit::<[u64; 2]>::uninit() }; MAX_VALUES];
        let places = values.as_mut_ptr().cast::<[u64; 2]>();
        // SAFETY: lists are never longer than `MAX_VALUES`. The function takes these parameters.
        unsafe {
            params.lower(store.inner(), places)?;
            func::call(store.contents(), &reference, self.to_wasm, places)?;
            Ok(R::raise(store.inner(), places))
        }
    }

    /// Calls the function as [`Self::call`] does, where functions of the host may be asynchronous: while the guest waits for
    /// one, the future of this call is pending, and whoever polls it goes on with something else.
    ///
    /// The guest's code is executed where the future is polled, and holds up the thread as long as it does not wait: a store
    /// whose guests may run long gets a deadline, or is polled on a thread of its own. Dropping the future gives up the call;
    /// the instance stays usable, as after a trap.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn call_async(&self, mut store: impl AsContextMut, params: P) -> Result<R, Error> {
        let mut store = store.as_context_mut();
        let mut values = vec![[0; 2]; P::CODES.len().max(R::CODES.len())];
        let call = {
            let reference = *store.inner().func(self.func)?;
            let places = values.as_mut_ptr();
            // SAFETY: there is room for each of them; the function takes these parameters. The values and the borrow of the
            // store are there as long as the call.
            unsafe {
                params.lower(store.inner(), places)?;
                func::begin(store.contents(), &reference, self.to_wasm, places)
            }
        };
        call.await?;
        // SAFETY: these are the results that the function has left.
        Ok(unsafe { R::raise(store.inner(), values.as_ptr()) })
    }

    /// Returns the function without its types.
    pub fn func(&self) -> &Func {
        &self.func
    }
}

/// A closure that is a function of the host in stores with data `T`: with parameters and results that are values, and, before
/// them, the [`Caller`] if it likes.
pub trait IntoFunc<T, Params, Results>: private::IntoHostFunc<T, Params, Results> {}

pub(super) mod private {
    use super::HostFunc;

    /// Makes a function of the host.
    pub trait IntoHostFunc<T, Params, Results> {
        #[doc(hidden)]
        fn into_host_func(self) -> HostFunc;
    }
}

/// Closures with this list of parameters.
macro_rules! closure {
    ($($value:ident $index:tt),*) => {
        impl<T, F, R, $($value),*> IntoFunc<T, ($($value,)*), R> for F
        where
            F: Fn($($value),*) -> R + Send + Sync + 'static,
            $($value: WasmTy,)*
            R: WasmRet,
        {
        }

        impl<T, F, R, $($value),*> private::IntoHostFunc<T, ($($value,)*), R> for F
        where
            F: Fn($($value),*) -> R + Send + Sync + 'static,
            $($value: WasmTy,)*
            R: WasmRet,
        {
            #[allow(non_snake_case, reason = "values are named by their types")]
            fn into_host_func(self) -> HostFunc {
                let function = move |_: Caller<'_, T>, $($value: $value),*| self($($value),*);
                private::IntoHostFunc::<T, (Caller<'_, T>, $($value,)*), R>::into_host_func(function)
            }
        }

        impl<T, F, R, $($value),*> IntoFunc<T, (Caller<'_, T>, $($value,)*), R> for F
        where
            F: Fn(Caller<'_, T>, $($value),*) -> R + Send + Sync + 'static,
            $($value: WasmTy,)*
            R: WasmRet,
        {
        }

        impl<T, F, R, $($value),*> private::IntoHostFunc<T, (Caller<'_, T>, $($value,)*), R> for F
        where
            F: Fn(Caller<'_, T>, $($value),*) -> R + Send + Sync + 'static,
            $($value: WasmTy,)*
            R: WasmRet,
        {
            #[allow(non_snake_case, unused_variables, reason = "values are named by their types")]
            fn into_host_func(self) -> HostFunc {
                let results = <R::Results as sealed::Values>::CODES;
                let ty = FuncType::new(val_types(<($($value,)*) as sealed::Values>::CODES), val_types(results));
                let body = move |store: *mut Inner, cell: &HostCell, values: *mut [u64; 2]| {
                    // SAFETY: the values are arguments of the type, with room for the results; the store is the caller's, and
                    // whoever makes its functions says what its data is. No reference to the store outlives its statement.
                    unsafe {
                        $(let $value = <$value as sealed::Value>::raise(&*store, values.add($index));)*
                        let results = self(Caller::new(store, cell), $($value),*).into_results()?;
                        sealed::Values::lower(results, &*store, values)
                    }
                };
                // SAFETY: the body leaves results of the type.
                unsafe { HostFunc::new(ty, body) }
            }
        }
    };
}

for_each_list!(closure);
