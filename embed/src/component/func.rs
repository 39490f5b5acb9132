//! Functions that components export.

use core::cell::RefCell;
use std::sync::Arc;

use super::check::check_args;
use super::context::{ComponentCtx, Life, Realloc, State, with_state, without_leaving};
use super::guest::trap;
use super::handles::{Loans, Passage, ResourceTypes};
use super::layout::{self, Heap};
use super::{FuncType, Val};
use crate::{AsContextMut, Error, Global, Memory, Result, StoreContextMut};

/// What a call ends with that would enter an instance which is not to be entered.
pub(super) const CANNOT_ENTER: &str = "cannot enter component instance";

/// A function that a component exports, in a store with data `T`.
pub struct Func<T> {
    pub(super) core: crate::Func,
    pub(super) memory: Option<Memory>,
    pub(super) realloc: Option<Realloc>,
    pub(super) post_return: Option<crate::Func>,
    /// The flag of the component instance, see [`State::may_leave`].
    pub(super) may_leave: Option<Global>,
    /// How many parameters the core function has.
    pub(super) params: usize,
    /// How many values it takes or returns, at most.
    pub(super) values: usize,
    pub(super) ty: FuncType,
    pub(super) component: u32,
    pub(super) types: Arc<ResourceTypes>,
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
    /// arguments have other types, when a resource is not the host's to give or lend, or when the host does not define a type of
    /// resources that the function has.
    pub fn call(&self, mut store: impl AsContextMut<Data = T>, args: &[Val]) -> Result<Option<Val>> {
        let mut store = store.as_context_mut();
        let loans = RefCell::default();
        self.enter(&mut store, |state| {
            check_args(&self.ty, args, &Passage::new(state, &self.types, self.component, &loans))
        })?;
        let mut values = vec![[0; 2]; self.values.max(1)];
        with_state(&mut store, self.context, CANNOT_ENTER, |store, state| {
            let heap =
                Heap::new(store, self.memory, self.realloc, Passage::new(state, &self.types, self.component, &loans));
            layout::lower_params(&self.ty, &mut values, args, &heap)
        })?;
        self.core.call_words(&mut store, &mut values)?;
        let result = with_state(&mut store, self.context, CANNOT_ENTER, |store, state| {
            let heap = Heap::new(store, self.memory, None, Passage::new(state, &self.types, self.component, &loans));
            let result = layout::lift_result(&self.ty, &values, &heap)?;
            end_loans(state, &loans)?;
            Ok(result)
        })?;
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
        self.enter(&mut store, |_| Ok(()))?;
        self.core.call_words(&mut store, &mut values)?;
        let result = self.ty.result.is_some().then_some(values[0][0]);
        let read = read(self.memory.map_or(&[], |memory| memory.data(&store)), result)?;
        self.finish(&mut store, &mut values)?;
        Ok(read)
    }

    /// Records that the instance is entered: until the call has returned, and forever when it traps. A function of another
    /// store enters nothing, and neither does one whose arguments `check` refuses.
    fn enter(&self, store: &mut StoreContextMut<'_, T>, check: impl FnOnce(&State) -> Result<()>) -> Result<()> {
        store.inner().func(self.core)?;
        match &mut (self.context)(store.data_mut()).state {
            Some(state) if state.life == Life::Ready => {
                check(state)?;
                state.life = Life::Entered;
                Ok(())
            }
            _ => Err(trap(CANNOT_ENTER)),
        }
    }

    /// Lets the component free its results, and records that the call has returned.
    fn finish(&self, store: &mut StoreContextMut<'_, T>, values: &mut [[u64; 2]]) -> Result<()> {
        if let Some(post_return) = &self.post_return {
            with_state(store, self.context, CANNOT_ENTER, |store, _| {
                without_leaving(store, self.may_leave, |store| post_return.call_words(store, values))
            })?;
        }
        if let Some(state) = &mut (self.context)(store.data_mut()).state {
            state.life = Life::Ready;
        }
        Ok(())
    }
}

/// Ends what was lent for a call, where the component has given all of that back.
fn end_loans(state: &State, loans: &RefCell<Loans>) -> Result<()> {
    state.calls.borrow().check()?;
    loans.borrow_mut().end(state);
    Ok(())
}
