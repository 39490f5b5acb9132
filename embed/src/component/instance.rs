//! Instances of components.

use std::sync::Arc;

use wasmelt_plan::CoreExport;

use super::context::{Life, Realloc};
use super::func::CANNOT_ENTER;
use super::guest::trap;
use super::handles::ResourceTypes;
use super::loaded::is_interface;
use super::{Component, ComponentCtx, Func, ResourceAny};
use crate::{AsContextMut, Error, Result};

/// An instance of a component, in a store with data `T`.
pub struct Instance<T> {
    component: Component,
    context: fn(&mut T) -> &mut ComponentCtx,
    /// Of core modules.
    instances: Arc<[crate::Instance]>,
    types: Arc<ResourceTypes>,
}

impl<T> Clone for Instance<T> {
    fn clone(&self) -> Self {
        let (component, instances) = (self.component.clone(), Arc::clone(&self.instances));
        Self { component, context: self.context, instances, types: Arc::clone(&self.types) }
    }
}

impl<T: 'static> Instance<T> {
    pub(super) fn new(
        component: Component,
        context: fn(&mut T) -> &mut ComponentCtx,
        instances: Arc<[crate::Instance]>,
        types: Arc<ResourceTypes>,
    ) -> Self {
        Self { component, context, instances, types }
    }

    /// Drops a resource that a component has made and that the host has: calls its destructor, where it has one.
    ///
    /// # Errors
    /// As [`Func::call`]; [`Error::Usage`] when the resource was dropped or given away already, is lent, belongs to another store,
    /// or is one of the host's own. While the instance is being called, and after it has trapped, it cannot drop anything; the
    /// resource stays.
    pub fn resource_drop(&self, mut store: impl AsContextMut<Data = T>, resource: ResourceAny) -> Result<()> {
        let mut store = store.as_context_mut();
        let state = (self.context)(store.data_mut()).state.as_mut().filter(|state| state.life == Life::Ready);
        let state = state.ok_or_else(|| trap(CANNOT_ENTER))?;
        let (number, representation) = state.held.get_mut().take(resource)?;
        let Some(&Some(destructor)) = state.destructors.get(number as usize) else { return Ok(()) };
        state.life = Life::Entered;
        destructor.call(&mut store, representation as i32)?;
        if let Some(state) = &mut (self.context)(store.data_mut()).state {
            state.life = Life::Ready;
        }
        Ok(())
    }

    /// Returns the exported function of an interface, which is named with its version or without; of no interface where
    /// `interface` is empty.
    ///
    /// # Errors
    /// [`Error::Usage`] when the component does not export the function, or when the instance is not in this store.
    pub fn get_func(&self, mut store: impl AsContextMut<Data = T>, interface: &str, name: &str) -> Result<Func<T>> {
        let mut store = store.as_context_mut();
        let mut exports = self.component.0.plan.exports.iter();
        let export = exports.find(|export| is_interface(&export.interface, interface) && export.name == name);
        let missing = || Error::usage(format!("the component exports no function `{name}` of `{interface}`"));
        let export = export.ok_or_else(missing)?;
        let instance = |of: &CoreExport| self.instances[of.instance as usize];
        let func = |of: &CoreExport| {
            let func = instance(of).get_func(&store, &of.name);
            func.ok_or_else(|| Error::usage("the component's instance belongs to another store"))
        };
        let (core, post_return) = (func(&export.func)?, export.post_return.as_ref().map(func).transpose()?);
        let memory = export.memory.as_ref().and_then(|of| instance(of).get_memory(&store, &of.name));
        let mut flags = self.component.0.plan.may_leave.iter();
        let flag = flags.find(|(component, _)| *component == export.component);
        let may_leave = flag.and_then(|(_, of)| instance(of).get_global(&store, &of.name));
        let realloc = export.realloc.as_ref().map(|of| instance(of).get_typed_func(&store, &of.name)).transpose()?;
        let realloc = realloc.map(|func| Realloc { func, may_leave });
        let core_type = core.ty(&store)?;
        let params = core_type.params().len();
        let values = params.max(core_type.results().len());
        let _ = store.data_mut();
        Ok(Func {
            core,
            memory,
            realloc,
            post_return,
            may_leave,
            params,
            values,
            ty: export.ty.clone(),
            component: export.component,
            types: Arc::clone(&self.types),
            context: self.context,
        })
    }
}
