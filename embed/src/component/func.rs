//! Functions that components export.

use super::context::{ComponentCtx, Life, Realloc};
use super::guest::trap;
use super::layout::{self, Heap};
use super::{FuncType, Val};
use crate::{AsContextMut, Error, Memory, Result};

/// A function that a component exports, in a store with data `T`.
pub struct Func<T> {
    pub(super) core: crate::Func,
    pub(super) memory: Option<Memory>,
    pub(super) realloc: Option<Realloc>,
    pub(super) post_return: Option<crate::Func>,
    /// How many parameters the core function has.
    pub(super) params: usize,
    /// How many values it takes or returns, at most.
    pub(super) values: usize,
    pub(super) ty: FuncType,
    pub(super) component: u32,
    pub(super) context: fn(&mut T) -> &mut ComponentCtx,
}

impl<T: 'static> Func<T> {
    /// Returns its type.
    pub fn ty(&self) -> &FuncType {
        &self.ty
    }

    /// Returns the number of the component instance, which handles belong to, see
    /// [`ComponentCtx::insert`](super::ComponentCtx::insert).
    pub fn component(&self) -> u32 {
        self.component
    }

    /// Calls the function.
    ///
    /// # Errors
    /// As [`TypedFunc::call`](crate::TypedFunc::call); a [`ComponentTrap`](super::ComponentTrap) when the component returns
    /// numbers or bytes that are not a value of the type, or when the component has trapped before; [`Error::Usage`] when the
    /// arguments have other types, or the function has resources.
    pub fn call(&self, mut store: impl AsContextMut<Data = T>, args: &[Val]) -> Result<Option<Val>> {
        let mut store = store.as_context_mut();
        layout::check(&self.ty)?;
        layout::check_args(&self.ty, args)?;
        self.enter(&mut store)?;
        let mut values = vec![[0; 2]; self.values.max(1)];
        self.without_state(&mut store, |store| {
            layout::lower_params(&self.ty, &mut values, args, &Heap::new(store, self.memory, self.realloc))
        })?;
        self.core.call_words(&mut store, &mut values)?;
        let result = layout::lift_result(&self.ty, &values, &Heap::new(&mut store, self.memory, None))?;
        self.finish(&mut store, &mut values)?;
        Ok(result)
    }

    /// Calls the function with the parameters of the core function, one word each: for who works close to the canonical ABI.
    /// `read` gets the bytes of the memory that results lie in, none where the function has no memory, and the core function's
    /// result, before the component frees what it returns. The result is a number, or the address of what is larger; `None`
    /// where the function has none.
    ///
    /// # Errors
    /// As [`Self::call`]; [`Error::Usage`] when there are more or fewer arguments than the core function has parameters; and
    /// what `read` returns, after which the instance is not entered again.
    pub fn call_flat<R>(
        &self,
        mut store: impl AsContextMut<Data = T>,
        args: &[u64],
        read: impl FnOnce(&[u8], Option<u64>) -> Result<R>,
    ) -> Result<R> {
        let mut store = store.as_context_mut();
        if args.len() != self.params {
            let (given, wanted) = (args.len(), self.params);
            return Err(Error::usage(format!("{given} words for a core function with {wanted} parameters")));
        }
        let mut values = vec![[0; 2]; self.values.max(1)];
        values.iter_mut().zip(args).for_each(|(value, &arg)| value[0] = arg);
        self.enter(&mut store)?;
        self.core.call_words(&mut store, &mut values)?;
        let result = self.ty.result.is_some().then_some(values[0][0]);
        let read = read(self.memory.map_or(&[], |memory| memory.data(&store)), result)?;
        self.finish(&mut store, &mut values)?;
        Ok(read)
    }

    /// Records that the instance is entered: until the call has returned, and forever when it traps. A function of another
    /// store enters nothing.
    fn enter(&self, store: &mut crate::StoreContextMut<'_, T>) -> Result<()> {
        store.inner().func(self.core)?;
        match &mut (self.context)(store.data_mut()).state {
            Some(state) if state.life == Life::Ready => {
                state.life = Life::Entered;
                Ok(())
            }
            _ => Err(trap("cannot enter component instance")),
        }
    }

    /// Lets the component free its results, and records that the call has returned.
    fn finish(&self, store: &mut crate::StoreContextMut<'_, T>, values: &mut [[u64; 2]]) -> Result<()> {
        if let Some(post_return) = &self.post_return {
            self.without_state(store, |store| post_return.call_words(store, values))?;
        }
        if let Some(state) = &mut (self.context)(store.data_mut()).state {
            state.life = Life::Ready;
        }
        Ok(())
    }

    /// Runs code of the guest that can call no function of the host.
    fn without_state<R>(
        &self,
        store: &mut crate::StoreContextMut<'_, T>,
        f: impl FnOnce(&mut crate::StoreContextMut<'_, T>) -> Result<R, Error>,
    ) -> Result<R> {
        let state = (self.context)(store.data_mut()).state.take();
        let result = f(store);
        (self.context)(store.data_mut()).state = state;
        result
    }
}
