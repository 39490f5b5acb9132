//! What components import, by interface and name.

use core::marker::PhantomData;
use std::collections::HashMap;
use std::sync::Arc;

use wasmelt_abi::canonical::FIRST_OWN_RESOURCE;
use wasmelt_plan::{Argument, CoreExport, Lowering, Work};
use wasmelt_runtime::component::handles::{Removed, Resource};
use wasmelt_runtime::wasi::p2::call::Component as _;

use super::context::{Canon, ComponentCtx, Life};
use super::guest::{enter, trap};
use super::layout::{self, Heap};
use super::{Component, FuncType, GuestCall, Instance, Val};
use crate::host_func::HostFunc;
use crate::instantiate::Imports;
use crate::linker::Definition;
use crate::{AsContextMut, Caller, Error, ExternType, Result, StoreContextMut};

/// A function over the flattened values of the canonical ABI.
type Flat = Arc<dyn Fn(GuestCall<'_>, &mut [[u64; 2]]) + Send + Sync>;

/// A function over values.
type Typed<T> = Arc<dyn Fn(StoreContextMut<'_, T>, &[Val]) -> Result<Option<Val>> + Send + Sync>;

/// What a name stands for.
enum Function<T> {
    Flat(Flat),
    Typed(Typed<T>),
}

impl<T> Clone for Function<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Flat(function) => Self::Flat(Arc::clone(function)),
            Self::Typed(function) => Self::Typed(Arc::clone(function)),
        }
    }
}

/// Names from which components take their imports, for stores with data `T`, in which the context of the component is.
pub struct Linker<T> {
    context: fn(&mut T) -> &mut ComponentCtx,
    /// By interface, then by name.
    names: HashMap<String, HashMap<String, Function<T>>>,
}

impl<T: 'static> Linker<T> {
    /// Makes a linker without names; `context` finds the context in the data of a store.
    pub fn new(context: fn(&mut T) -> &mut ComponentCtx) -> Self {
        Self { context, names: HashMap::new() }
    }

    /// Defines a function of an interface, which is named with a version, or without to be found for all versions. The
    /// closure gets the arguments, and returns what the function returns.
    ///
    /// # Errors
    /// [`Error::Usage`] when the name is defined.
    pub fn func_new(
        &mut self,
        interface: &str,
        name: &str,
        function: impl Fn(StoreContextMut<'_, T>, &[Val]) -> Result<Option<Val>> + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        self.insert(interface, name, Function::Typed(Arc::new(function)))
    }

    /// Defines a function that gets the parameters of the core function, and puts its result in the place of the first one:
    /// for who implements an interface close to the canonical ABI. The type is the caller's to know.
    ///
    /// # Errors
    /// [`Error::Usage`] when the name is defined.
    pub fn func_flat(
        &mut self,
        interface: &str,
        name: &str,
        function: impl Fn(GuestCall<'_>, &mut [[u64; 2]]) + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        self.insert(interface, name, Function::Flat(Arc::new(function)))
    }

    fn insert(&mut self, interface: &str, name: &str, function: Function<T>) -> Result<&mut Self> {
        let names = self.names.entry(interface.to_owned()).or_default();
        if names.insert(name.to_owned(), function).is_some() {
            return Err(Error::usage(format!("`{name}` of `{interface}` is defined already")));
        }
        Ok(self)
    }

    fn find(&self, interface: &str, name: &str) -> Option<&Function<T>> {
        let without_version = interface.split_once('@').map_or(interface, |(interface, _)| interface);
        let found = |interface: &str| self.names.get(interface)?.get(name);
        found(interface).or_else(|| found(without_version))
    }

    /// Finds what a component imports, once for any number of instances.
    ///
    /// # Errors
    /// [`Error::Unlinkable`] when a name is not defined, and [`Error::Usage`] when the host program does not unwind.
    pub fn instantiate_pre(&self, component: &Component) -> Result<InstancePre<T>> {
        if cfg!(panic = "abort") {
            return Err(Error::usage(
                "components need a host program that unwinds, and this one has `panic = \"abort\"`",
            ));
        }
        let mut imports = Vec::new();
        for planned in &component.0.plan.instances {
            let module = &component.0.modules[planned.module as usize];
            let arguments = planned.arguments.iter().zip(module.imports()).map(|(argument, import)| match argument {
                Argument::Export(export) => Ok(Given::Export(export.clone())),
                Argument::Lowering(index) => {
                    let ExternType::Func(ty) = import.ty else {
                        return Err(Error::system("a component's function is imported as something else"));
                    };
                    self.lowered(component, *index as usize, ty).map(Given::Func)
                }
            });
            imports.push(arguments.collect::<Result<_>>()?);
        }
        Ok(InstancePre {
            component: component.clone(),
            context: self.context,
            imports: Arc::new(imports),
            data: PhantomData,
        })
    }

    /// Instantiates a component whose imports are all defined here.
    ///
    /// # Errors
    /// As [`Self::instantiate_pre`] and [`InstancePre::instantiate`].
    pub fn instantiate(&self, store: impl AsContextMut<Data = T>, component: &Component) -> Result<Instance<T>> {
        self.instantiate_pre(component)?.instantiate(store)
    }

    /// The function of the host for an import of a core module.
    fn lowered(&self, component: &Component, index: usize, ty: crate::FuncType) -> Result<HostFunc> {
        let (context, Lowering { component: caller, work }) = (self.context, &component.0.plan.lowerings[index]);
        let caller = *caller;
        match work {
            Work::Import { interface, name, ty: of_component, .. } => {
                let function = self.find(interface, name).ok_or_else(|| {
                    Error::Unlinkable(format!("unknown import: the component imports `{name}` of `{interface}`"))
                })?;
                match function {
                    Function::Flat(function) => flat(context, caller, index, ty, Arc::clone(function)),
                    Function::Typed(function) => {
                        let of_component = of_component.clone().unwrap_or_default();
                        typed(context, index, ty, of_component, Arc::clone(function))
                    }
                }
            }
            &Work::ResourceNew(number) => flat(
                context,
                caller,
                index,
                ty,
                Arc::new(move |call, values| {
                    values[0][0] = call
                        .own(Resource::Own { ty: FIRST_OWN_RESOURCE + number, representation: values[0][0] as u32 })
                        .into();
                }),
            ),
            &Work::ResourceRep(number) => flat(
                context,
                caller,
                index,
                ty,
                Arc::new(move |call, values| {
                    let handle = values[0][0] as u32;
                    values[0][0] = call.resource(handle, |resource| own(resource, number)).into();
                }),
            ),
            Work::ResourceDrop { ty: number, destructor } => {
                let (number, destructor) = (*number, destructor.clone());
                HostFunc::words(ty, move |mut store: Caller<'_, T>, values: &mut [[u64; 2]]| {
                    let handle = values[0][0] as u32;
                    let mut dropped = None;
                    enter(&mut store, context, caller, index, |call| {
                        call.resource(handle, |resource| own(resource, number));
                        match call.guest().with_handles(|handles| handles.take(caller, handle)) {
                            Ok(Removed::Owned(resource)) => dropped = own(resource, number),
                            Ok(Removed::Lent(_)) => {}
                            Err(_) => call.trap("cannot remove owned resource while borrowed"),
                        }
                    })?;
                    match (dropped, &destructor) {
                        (Some(representation), Some(_)) => destroy(store, context, index, representation),
                        _ => Ok(()),
                    }
                })
            }
        }
    }
}

/// What the component knows its own resource by.
fn own(resource: Resource, number: u32) -> Option<u32> {
    match resource {
        Resource::Own { ty, representation } if ty == FIRST_OWN_RESOURCE + number => Some(representation),
        _ => None,
    }
}

/// Calls a destructor of the component.
fn destroy<T: 'static>(
    mut store: Caller<'_, T>,
    context: fn(&mut T) -> &mut ComponentCtx,
    index: usize,
    representation: u32,
) -> Result<()> {
    let canon = context(store.data_mut()).state.as_ref().and_then(|state| state.canon.get(index).copied());
    match canon.and_then(|canon| canon.destructor) {
        Some(destructor) => destructor.call(store, representation as i32),
        None => Err(trap("a resource is dropped before its destructor exists")),
    }
}

fn flat<T: 'static>(
    context: fn(&mut T) -> &mut ComponentCtx,
    component: u32,
    index: usize,
    ty: crate::FuncType,
    function: Flat,
) -> Result<HostFunc> {
    HostFunc::words(ty, move |mut caller: Caller<'_, T>, values: &mut [[u64; 2]]| {
        enter(&mut caller, context, component, index, |call| function(call, values))
    })
}

fn typed<T: 'static>(
    context: fn(&mut T) -> &mut ComponentCtx,
    index: usize,
    core: crate::FuncType,
    ty: FuncType,
    function: Typed<T>,
) -> Result<HostFunc> {
    layout::check(&ty)?;
    HostFunc::words(core, move |mut caller: Caller<'_, T>, values: &mut [[u64; 2]]| {
        let state = context(caller.data_mut()).state.as_ref();
        let canon = state.map(|state| state.canon.get(index).copied().unwrap_or_default());
        let Canon { memory, realloc, .. } = canon.ok_or_else(|| trap("cannot leave component instance"))?;
        let args = layout::lift_params(&ty, values, &Heap::new(&mut caller, memory, realloc))?;
        let result = function(caller.as_context_mut(), &args)?;
        // While the guest allocates, it can call no function of the host.
        let state = context(caller.data_mut()).state.take();
        let lowered = layout::lower_result(&ty, values, result, &Heap::new(&mut caller, memory, realloc));
        context(caller.data_mut()).state = state;
        lowered
    })
}

/// What an import of a core module gets.
enum Given {
    Export(CoreExport),
    Func(HostFunc),
}

/// A component with its imports, for stores with data `T`. Clones refer to the same.
pub struct InstancePre<T> {
    component: Component,
    context: fn(&mut T) -> &mut ComponentCtx,
    /// By instance of a core module.
    imports: Arc<Vec<Vec<Given>>>,
    data: PhantomData<fn(T) -> T>,
}

impl<T> Clone for InstancePre<T> {
    fn clone(&self) -> Self {
        let (component, imports) = (self.component.clone(), Arc::clone(&self.imports));
        Self { component, context: self.context, imports, data: PhantomData }
    }
}

impl<T: 'static> InstancePre<T> {
    /// Makes the instance of the store, whose context must not have been used for another one.
    ///
    /// # Errors
    /// As [`crate::Instance::new`]; [`Error::Usage`] when the context has an instance already.
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>) -> Result<Instance<T>> {
        let mut store = store.as_context_mut();
        let plan = &self.component.0.plan;
        let used =
            || Error::usage("a store has one instance of a component, and this one's context was used: take a new one");
        match &mut (self.context)(store.data_mut()).state {
            Some(state) if state.life == Life::Empty => {
                state.life = Life::Entered;
                state.canon = vec![Canon::default(); plan.lowerings.len()];
            }
            _ => return Err(used()),
        }
        let mut instances: Vec<crate::Instance> = Vec::with_capacity(plan.instances.len());
        for (planned, given) in plan.instances.iter().zip(&*self.imports) {
            let module = &self.component.0.modules[planned.module as usize];
            let definitions = given.iter().map(|given| match given {
                Given::Func(func) => Ok(Definition::Func(func.clone())),
                Given::Export(CoreExport { instance, name }) => {
                    let export =
                        instances.get(*instance as usize).and_then(|instance| instance.get_export(&store, name));
                    let missing = || Error::system(format!("a core module does not export {name:?}"));
                    export.map(Definition::Extern).ok_or_else(missing)
                }
            });
            let definitions = definitions.collect::<Result<Vec<_>>>()?;
            let made = crate::Instance::with_imports(store.contents(), module, &Imports::Checked(&definitions))?;
            instances.push(made);
            self.record(&mut store, &instances)?;
        }
        if let Some(state) = &mut (self.context)(store.data_mut()).state {
            state.life = Life::Ready;
        }
        Ok(Instance::new(self.component.clone(), self.context, instances.into()))
    }

    /// Records memories and functions of the last instance for the imports that use them.
    fn record(&self, store: &mut StoreContextMut<'_, T>, instances: &[crate::Instance]) -> Result<()> {
        let last = instances.len() - 1;
        let of_last = |export: &Option<CoreExport>| {
            export.as_ref().filter(|export| export.instance as usize == last).map(|export| export.name.clone())
        };
        for (index, lowering) in self.component.0.plan.lowerings.iter().enumerate() {
            let (memory, realloc, destructor) = match &lowering.work {
                Work::Import { memory, realloc, .. } => (of_last(memory), of_last(realloc), None),
                Work::ResourceDrop { destructor, .. } => (None, None, of_last(destructor)),
                _ => continue,
            };
            let memory = memory.and_then(|name| instances[last].get_memory(&*store, &name));
            let realloc = realloc.map(|name| instances[last].get_typed_func(&*store, &name)).transpose()?;
            let destructor = destructor.map(|name| instances[last].get_typed_func(&*store, &name)).transpose()?;
            let state = (self.context)(store.data_mut()).state.as_mut();
            if let Some(canon) = state.and_then(|state| state.canon.get_mut(index)) {
                canon.memory = memory.or(canon.memory);
                canon.realloc = realloc.or(canon.realloc);
                canon.destructor = destructor.or(canon.destructor);
            }
        }
        Ok(())
    }
}
