//! Functions: those of guests, which the host calls, and those of the host, which guests call.

// ---------------------------------------------------------------------------------------------------------------
// Security: code is called with the arguments of its type and no others; both directions check every value.
// ---------------------------------------------------------------------------------------------------------------

use core::ptr::{self, NonNull};
use std::sync::Arc;

use wasmelt_abi::context::{FuncRef, HostFunc};

use super::registry::Signature;
use super::store::{Handle, Inner, Store};
use super::value::{self, Val};
use super::{Error, FuncType, activation, arch};

/// A function of a store: a function of a guest, or one of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Func(pub(super) Handle<FuncRef>);

/// `Sync` because the function may run on several threads at once: it can send the store that it gets to another thread,
/// which calls it again by way of a guest.
type Body = Box<dyn Fn(&mut Store, &[Val]) -> Result<Vec<Val>, Error> + Send + Sync>;

/// A host function, in the form that references of guests point to.
#[repr(C)]
pub(super) struct HostFuncData {
    head: HostFunc,
    /// For [`arch::call_host`].
    pub(super) store: *mut Inner,
    /// Has no code until a module of the store brings code for this type.
    pub(super) reference: FuncRef,
    signature: Arc<Signature>,
    body: Body,
}

impl HostFuncData {
    /// Calls it with arguments from `values`, where the results go as well.
    ///
    /// # Safety
    /// `this` is a function of this store; `values` has its arguments, and room for its results.
    pub(super) unsafe fn call(this: *mut Self, store: &mut Store, values: *mut [u64; 2]) -> Result<(), Error> {
        // SAFETY: functions stay as long as their store, and these two parts of them never change.
        let (signature, body) = unsafe { (&(*this).signature, &(*this).body) };
        // SAFETY: by this function's contract.
        let args = unsafe { value::raise_all(&store.inner, values, &signature.params) };
        let results = body(store, &args)?;
        let results = value::lower_all(&store.inner, &results, &signature.results)
            .map_err(|error| Error::usage(format!("results of a host function: {error}")))?;
        // SAFETY: by this function's contract.
        unsafe { values.copy_from_nonoverlapping(results.as_ptr(), results.len()) };
        Ok(())
    }
}

impl Func {
    /// Makes a host function that guests can call.
    ///
    /// The function gets the store of the caller, and may call guests. When the function returns an error, the host's
    /// call into the guest returns that error, except [`Error::Exception`], which handlers of the guest may catch. When
    /// the function panics, the panic goes on in the host's call into the guest.
    ///
    /// Returns [`Error::System`] when the store has no room for another function type.
    pub fn new(
        store: &mut Store,
        ty: FuncType,
        body: impl Fn(&mut Store, &[Val]) -> Result<Vec<Val>, Error> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let inner = &mut store.inner;
        let type_id = inner.types.number(&ty)?;
        let this = &raw mut *inner;
        let entry = inner.types.entry_mut(type_id);
        let data = HostFuncData {
            head: HostFunc { entry: arch::call_host },
            store: this,
            reference: FuncRef { code: entry.to_host, vmctx: ptr::null_mut(), type_id, owner: FuncRef::HOST },
            signature: Arc::clone(&entry.signature),
            body: Box::new(body),
        };
        let data = inner.hosts.add(data);
        if entry.to_host.is_null() {
            entry.without_code.push(data);
        }
        // SAFETY: the function is new and stays where it is.
        let reference = unsafe {
            (*data.as_ptr()).reference.vmctx = data.as_ptr().cast();
            NonNull::new_unchecked(&raw mut (*data.as_ptr()).reference)
        };
        Ok(Self(inner.handle(reference)))
    }

    /// Returns the type of the function.
    pub fn ty(self, store: &Store) -> Result<FuncType, Error> {
        let reference = store.inner.func(self)?;
        Ok(store.inner.types.entry(reference.type_id).public.clone())
    }

    /// Calls the function. `args` has one value of the right type for each parameter; the results come back in order.
    pub fn call(self, store: &mut Store, args: &[Val]) -> Result<Vec<Val>, Error> {
        let inner = &mut store.inner;
        let FuncRef { code, vmctx, type_id, owner } = *inner.func(self)?;
        let entry = inner.types.entry(type_id);
        let (signature, to_wasm) = (Arc::clone(&entry.signature), entry.to_wasm);
        let mut values = value::lower_all(inner, args, &signature.params)?;
        values.resize(signature.params.len().max(signature.results.len()), [0; 2]);
        match owner {
            FuncRef::HOST => {
                activation::check_nesting(inner)?;
                // SAFETY: it is a function of this store, with as many values as it takes and returns.
                unsafe { HostFuncData::call(vmctx.cast(), store, values.as_mut_ptr())? };
            }
            FuncRef::GUEST if to_wasm.is_null() => {
                return Err(Error::usage("no module of this store has a function of this type to be called"));
            }
            FuncRef::GUEST => {
                let args = [vmctx as usize, code as usize, values.as_mut_ptr() as usize];
                // SAFETY: the code is for functions of this type, and gets what it takes.
                unsafe { activation::call(&raw mut store.inner, to_wasm, args)? };
            }
            _ => return Err(Error::system("a reference says neither that its function is a guest's nor the host's")),
        }
        // SAFETY: these are the results that the function has left.
        Ok(unsafe { value::raise_all(&store.inner, values.as_ptr(), &signature.results) })
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

impl Inner {
    pub(super) fn func(&self, func: Func) -> Result<&FuncRef, Error> {
        // SAFETY: the store owns what its handles refer to.
        Ok(unsafe { self.follow(func.0)?.as_ref() })
    }

    /// Records code that calls functions of this type and that they are called through.
    pub(super) fn add_trampolines(&mut self, type_id: u32, to_wasm: *const u8, to_host: *const u8) {
        let entry = self.types.entry_mut(type_id);
        if entry.to_wasm.is_null() {
            entry.to_wasm = to_wasm;
        }
        if entry.to_host.is_null() && !to_host.is_null() {
            entry.to_host = to_host;
            for host in core::mem::take(&mut entry.without_code) {
                // SAFETY: the store owns its functions, and no reference to this field is in use.
                unsafe { (*host.as_ptr()).reference.code = to_host };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Func::new` could not put a function that is not `Send + Sync` into a box of this type.
    #[test]
    fn functions_of_the_host_can_run_on_several_threads_at_once() {
        fn of_all_threads<T: Send + Sync>() {}
        of_all_threads::<Body>();
    }
}
