//! What components import, by interface and name.

use core::any::TypeId;
use core::cell::RefCell;
use core::marker::PhantomData;
use core::ops::Range;
use std::collections::HashMap;
use std::sync::Arc;

use wasmelt_abi::canonical::NO_RESOURCE;
use wasmelt_plan::{Argument, CoreExport, Lowering, Work};
use wasmelt_runtime::component::strings::Transcoder;

use super::adapter::{self, HandleTables, handle_tables};
use super::check::check_types;
use super::context::{Canon, ComponentCtx, Life, Realloc, State, with_state};
use super::guest::{enter, trap};
use super::handles::{self, Passage, ResourceTypes};
use super::layout::{self, Heap};
use super::{Component, FuncType, GuestCall, Instance, RawResource, Resource, Val};
use crate::host_func::HostFunc;
use crate::instantiate::Imports;
use crate::linker::Definition;
use crate::{AsContextMut, Error, ExternType, Result, StoreContextMut};

/// A function over the flattened values of the canonical ABI.
type Flat = Arc<dyn Fn(GuestCall<'_>, &mut [[u64; 2]]) + Send + Sync>;

/// A function over values.
type Typed<T> = Arc<dyn Fn(StoreContextMut<'_, T>, &[Val]) -> Result<Option<Val>> + Send + Sync>;

/// What is called with the number of a resource of the host that a component has dropped.
type OnDrop<T> = Arc<dyn Fn(StoreContextMut<'_, T>, u32) -> Result<()> + Send + Sync>;

/// What a name stands for.
enum Function<T> {
    Flat(Flat),
    Typed(Typed<T>),
    /// What drops resources of this type of the host.
    Drop(TypeId, OnDrop<T>),
}

/// What a component calls a function by that drops its handles of a type of resources.
const DROP: &str = "[resource-drop]";

/// Numbers of types of raw resources: behind those of WASI.
const RAW_TYPES: Range<u32> = 128..NO_RESOURCE;

/// What a call ends with that a component makes while it must call nobody.
const CANNOT_LEAVE: &str = "cannot leave component instance";

impl<T> Clone for Function<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Flat(function) => Self::Flat(Arc::clone(function)),
            Self::Typed(function) => Self::Typed(Arc::clone(function)),
            Self::Drop(ty, function) => Self::Drop(*ty, Arc::clone(function)),
        }
    }
}

/// Names from which components take their imports, for stores with data `T`, in which the context of the component is.
pub struct Linker<T> {
    context: fn(&mut T) -> &mut ComponentCtx,
    names: Names<Function<T>>,
    /// Types of resources that functions over flattened values make.
    raw_types: Names<u32>,
}

/// By interface, then by name.
type Names<V> = HashMap<String, HashMap<String, V>>;

/// What has a name of an interface: with the interface's version, or without for all versions.
fn find<'a, V>(names: &'a Names<V>, interface: &str, name: &str) -> Option<&'a V> {
    let without_version = interface.split_once('@').map_or(interface, |(interface, _)| interface);
    let found = |interface: &str| names.get(interface)?.get(name);
    found(interface).or_else(|| found(without_version))
}

impl<T: 'static> Linker<T> {
    /// Makes a linker without names; `context` finds the context in the data of a store.
    pub fn new(context: fn(&mut T) -> &mut ComponentCtx) -> Self {
        Self { context, names: HashMap::new(), raw_types: HashMap::new() }
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

    /// Defines a resource of an interface, `$root` for one outside interfaces: in functions with the resource among their
    /// values, it is a [`Resource<R>`]. The closure gets what a component has dropped.
    ///
    /// # Errors
    /// [`Error::Usage`] when the resource is defined.
    pub fn resource<R: 'static>(
        &mut self,
        interface: &str,
        name: &str,
        on_drop: impl Fn(StoreContextMut<'_, T>, Resource<R>) -> Result<()> + Send + Sync + 'static,
    ) -> Result<&mut Self> {
        let on_drop = move |store: StoreContextMut<'_, T>, rep| on_drop(store, Resource::new_own(rep));
        self.insert(interface, &format!("{DROP}{name}"), Function::Drop(TypeId::of::<R>(), Arc::new(on_drop)))
    }

    /// Tells which number [`RawResource::Own`] has for resources that functions of [`Self::func_flat`] make, from 128 to 254, for
    /// components that were composed: their parts give each other handles of one type only.
    ///
    /// # Errors
    /// [`Error::Usage`] when the number is none of these, or when the resource has one.
    pub fn raw_resource(&mut self, interface: &str, name: &str, ty: u32) -> Result<&mut Self> {
        if !RAW_TYPES.contains(&ty) {
            return Err(Error::usage(format!("{ty} is not a number of a raw resource: these are from 128 to 254")));
        }
        let names = self.raw_types.entry(interface.to_owned()).or_default();
        if names.insert(name.to_owned(), ty).is_some() {
            return Err(Error::usage(format!("`{name}` of `{interface}` has a number already")));
        }
        Ok(self)
    }

    fn insert(&mut self, interface: &str, name: &str, function: Function<T>) -> Result<&mut Self> {
        let names = self.names.entry(interface.to_owned()).or_default();
        if names.insert(name.to_owned(), function).is_some() {
            return Err(Error::usage(format!("`{name}` of `{interface}` is defined already")));
        }
        Ok(self)
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
        let plan = &component.0.plan;
        let raw = |interface: &str, name: &str| find(&self.raw_types, interface, name).copied();
        let types = Arc::new(ResourceTypes::new(plan, raw, |interface, name| {
            match find(&self.names, interface, &format!("{DROP}{name}"))? {
                Function::Drop(ty, _) => Some(*ty),
                _ => None,
            }
        }));
        let tables = handle_tables(plan, &types).into();
        let mut imports = Vec::new();
        for planned in &plan.instances {
            let module = &component.0.modules[planned.module as usize];
            let arguments = planned.arguments.iter().zip(module.imports()).map(|(argument, import)| match argument {
                Argument::Export(export) => Ok(Given::Export(export.clone())),
                Argument::Lowering(index) => {
                    let ExternType::Func(ty) = import.ty else {
                        return Err(Error::system("a component's function is imported as something else"));
                    };
                    self.lowered(component, *index as usize, (&types, &tables), ty).map(Given::Func)
                }
            });
            imports.push(arguments.collect::<Result<_>>()?);
        }
        Ok(InstancePre {
            component: component.clone(),
            context: self.context,
            imports: Arc::new(imports),
            types,
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
    fn lowered(
        &self,
        component: &Component,
        index: usize,
        (types, tables): (&Arc<ResourceTypes>, &Arc<HandleTables>),
        ty: crate::FuncType,
    ) -> Result<HostFunc> {
        let plan = &component.0.plan;
        let Lowering { component, work } = &plan.lowerings[index];
        let caller = Caller { context: self.context, component: *component, index };
        match work {
            Work::Import { interface, name, ty: of_component, .. } => {
                let function = find(&self.names, interface, name).ok_or_else(|| {
                    Error::Unlinkable(format!("unknown import: the component imports `{name}` of `{interface}`"))
                })?;
                match function {
                    Function::Flat(function) => caller.flat(ty, true, Arc::clone(function)),
                    Function::Typed(function) => {
                        let of_component = of_component.clone().unwrap_or_default();
                        caller.typed(ty, of_component, Arc::clone(types), Arc::clone(function))
                    }
                    Function::Drop(_, on_drop) => {
                        let number = types.number_of(interface, name.strip_prefix(DROP).unwrap_or(name))?;
                        caller.drop_of_host(ty, number, Arc::clone(on_drop))
                    }
                }
            }
            &Work::ResourceNew(number) => {
                let new = move |call: GuestCall<'_>, values: &mut [[u64; 2]]| {
                    values[0][0] = call.own(handles::entry(number, values[0][0] as u32)).into();
                };
                caller.flat(ty, true, Arc::new(new))
            }
            &Work::ResourceRep(number) => {
                let representation = move |call: GuestCall<'_>, values: &mut [[u64; 2]]| {
                    let own = |resource| match resource {
                        RawResource::Own { representation, .. }
                            if resource == handles::entry(number, representation) =>
                        {
                            Some(representation)
                        }
                        _ => None,
                    };
                    values[0][0] = call.resource(values[0][0] as u32, own).into();
                };
                caller.flat(ty, false, Arc::new(representation))
            }
            &Work::ResourceDrop(number) => {
                let has_destructor = plan.resources.get(number as usize).is_some_and(|ty| ty.destructor.is_some());
                caller.drop_of_guest(ty, number, has_destructor)
            }
            Work::Transcode { function, .. } => caller.transcode(ty, function),
            work @ (Work::TransferOwn | Work::TransferBorrow) => {
                caller.transfer(ty, *work == Work::TransferBorrow, Arc::clone(tables))
            }
            Work::EnterCall => caller.on_state(ty, |state, _| state.calls.borrow_mut().enter()),
            Work::ExitCall => {
                caller.on_state(ty, |state, _| state.calls.borrow_mut().exit(&mut state.handles.borrow_mut()))
            }
            Work::Trap { reasons } => {
                let reasons = reasons.clone();
                caller.on_state(ty, move |_, values| Err(adapter::reason(&reasons, values)))
            }
        }
    }
}

/// A component instance that calls a function which no core module defines.
struct Caller<T> {
    context: fn(&mut T) -> &mut ComponentCtx,
    component: u32,
    /// Which function, by index in the plan.
    index: usize,
}

impl<T> Clone for Caller<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Caller<T> {}

impl<T: 'static> Caller<T> {
    /// A function over flattened values; whether a call of it leaves the component instance (`leaves`).
    fn flat(self, ty: crate::FuncType, leaves: bool, function: Flat) -> Result<HostFunc> {
        HostFunc::words(ty, move |mut store: crate::Caller<'_, T>, values: &mut [[u64; 2]]| {
            if leaves {
                self.check_leaving(&mut store)?;
            }
            enter(&mut store, self.context, self.component, self.index, |call| function(call, values))
        })
    }

    fn typed(
        self,
        core: crate::FuncType,
        ty: FuncType,
        types: Arc<ResourceTypes>,
        function: Typed<T>,
    ) -> Result<HostFunc> {
        check_types(&ty, &types)?;
        HostFunc::words(core, move |mut store: crate::Caller<'_, T>, values: &mut [[u64; 2]]| {
            let loans = RefCell::default();
            self.check_leaving(&mut store)?;
            let args = self.with_state(&mut store, |store, state| {
                let Canon { memory, realloc, .. } = state.canon.get(self.index).copied().unwrap_or_default();
                let passage = Passage::new(state, &types, self.component, &loans);
                layout::lift_params(&ty, values, &Heap::new(store, memory, realloc, passage))
            })?;
            let result = function(store.as_context_mut(), &args)?;
            // While the guest allocates, it can call no function of the host.
            self.with_state(&mut store, |store, state| {
                let Canon { memory, realloc, .. } = state.canon.get(self.index).copied().unwrap_or_default();
                let passage = Passage::new(state, &types, self.component, &loans);
                layout::lower_result(&ty, values, result, &Heap::new(store, memory, realloc, passage))?;
                loans.borrow_mut().end(state);
                Ok(())
            })
        })
    }

    /// Drops a handle of a resource of the host.
    fn drop_of_host(self, ty: crate::FuncType, number: u32, on_drop: OnDrop<T>) -> Result<HostFunc> {
        HostFunc::words(ty, move |mut store: crate::Caller<'_, T>, values: &mut [[u64; 2]]| {
            match self.dropped(&mut store, number, values)? {
                Some(rep) => on_drop(store.as_context_mut(), rep),
                None => Ok(()),
            }
        })
    }

    /// Drops a handle of a resource that a component has made.
    fn drop_of_guest(self, ty: crate::FuncType, number: u32, has_destructor: bool) -> Result<HostFunc> {
        HostFunc::words(ty, move |mut store: crate::Caller<'_, T>, values: &mut [[u64; 2]]| {
            let dropped = self.dropped(&mut store, number, values)?.filter(|_| has_destructor);
            let Some(representation) = dropped else { return Ok(()) };
            let state = (self.context)(store.data_mut()).state.as_ref();
            match state.and_then(|state| *state.destructors.get(number as usize)?) {
                Some(destructor) => destructor.call(store, representation as i32),
                None => Err(trap("a resource is dropped before its destructor exists")),
            }
        })
    }

    /// Frees a handle that the component names; the representation of what it owned.
    fn dropped(&self, store: &mut crate::Caller<'_, T>, number: u32, values: &[[u64; 2]]) -> Result<Option<u32>> {
        let handle = values[0][0] as u32;
        self.check_leaving(store)?;
        self.with_state(store, |_, state| handles::drop_handle(state, self.component, number, handle))
    }

    /// Copies a string from one component's memory to another's.
    fn transcode(self, ty: crate::FuncType, function: &str) -> Result<HostFunc> {
        let unknown = || Error::system(format!("a component needs `{function}`, which this host does not have"));
        let transcoder = Transcoder::named(function).ok_or_else(unknown)?;
        let params = ty.clone();
        HostFunc::words(ty, move |mut store: crate::Caller<'_, T>, values: &mut [[u64; 2]]| {
            let state = (self.context)(store.data_mut()).state.as_ref();
            let canon = state.and_then(|state| state.canon.get(self.index).copied()).unwrap_or_default();
            let (Some(from), Some(to)) = (canon.memory, canon.to) else { return Err(trap(CANNOT_LEAVE)) };
            adapter::copy_string(&mut store.as_context_mut(), transcoder, &params, (from, to), values)
        })
    }

    /// Moves a handle from one component instance to another, or lends it.
    fn transfer(self, ty: crate::FuncType, lends: bool, tables: Arc<HandleTables>) -> Result<HostFunc> {
        self.on_state(ty, move |state, values| {
            values[0][0] = adapter::transfer(state, &tables, lends, values)?.into();
            Ok(())
        })
    }

    /// A function that works on the state alone.
    fn on_state(
        self,
        ty: crate::FuncType,
        function: impl Fn(&State, &mut [[u64; 2]]) -> Result<()> + Send + Sync + 'static,
    ) -> Result<HostFunc> {
        HostFunc::words(ty, move |mut store: crate::Caller<'_, T>, values: &mut [[u64; 2]]| {
            self.with_state(&mut store, |_, state| function(state, values))
        })
    }

    /// Traps while the component instance may call nobody outside.
    fn check_leaving(&self, store: &mut crate::Caller<'_, T>) -> Result<()> {
        let state = (self.context)(store.data_mut()).state.as_ref();
        let flag = state.and_then(|state| state.may_leave.get(&self.component).copied());
        match flag.map(|flag| flag.get(&*store)).transpose()? {
            Some(crate::Val::I32(0)) => Err(trap(CANNOT_LEAVE)),
            _ => Ok(()),
        }
    }

    fn with_state<R>(
        &self,
        store: &mut crate::Caller<'_, T>,
        f: impl FnOnce(&mut crate::Caller<'_, T>, &State) -> Result<R>,
    ) -> Result<R> {
        with_state(store, self.context, CANNOT_LEAVE, f)
    }
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
    types: Arc<ResourceTypes>,
    data: PhantomData<fn(T) -> T>,
}

impl<T> Clone for InstancePre<T> {
    fn clone(&self) -> Self {
        let (component, imports) = (self.component.clone(), Arc::clone(&self.imports));
        Self { component, context: self.context, imports, types: Arc::clone(&self.types), data: PhantomData }
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
                state.destructors = vec![None; plan.resources.len()];
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
        Ok(Instance::new(self.component.clone(), self.context, instances.into(), Arc::clone(&self.types)))
    }

    /// Records memories and functions of the last instance for the imports that use them.
    fn record(&self, store: &mut StoreContextMut<'_, T>, instances: &[crate::Instance]) -> Result<()> {
        let last = instances.len() - 1;
        fn of_last_name(export: Option<&CoreExport>, last: usize) -> Option<&str> {
            export.filter(|export| export.instance as usize == last).map(|export| export.name.as_str())
        }
        let of_last = |export| of_last_name(export, last);
        let plan = &self.component.0.plan;
        for (component, flag) in plan.may_leave.iter().filter(|(_, flag)| flag.instance as usize == last) {
            let flag = instances[last].get_global(&*store, &flag.name);
            let state = (self.context)(store.data_mut()).state.as_mut();
            if let (Some(state), Some(flag)) = (state, flag) {
                state.may_leave.insert(*component, flag);
            }
        }
        for (index, lowering) in plan.lowerings.iter().enumerate() {
            let (memory, realloc, to) = match &lowering.work {
                Work::Import { memory, realloc, .. } => (of_last(memory.as_ref()), of_last(realloc.as_ref()), None),
                Work::Transcode { from, to, .. } => (of_last(Some(from)), None, of_last(Some(to))),
                _ => continue,
            };
            let [memory, to] = [memory, to].map(|name| name.and_then(|name| instances[last].get_memory(&*store, name)));
            let realloc = realloc.map(|name| instances[last].get_typed_func(&*store, name)).transpose()?;
            let Some(state) = (self.context)(store.data_mut()).state.as_mut() else { continue };
            let may_leave = state.may_leave.get(&lowering.component).copied();
            if let Some(canon) = state.canon.get_mut(index) {
                canon.memory = memory.or(canon.memory);
                canon.realloc = realloc.map(|func| Realloc { func, may_leave }).or(canon.realloc);
                canon.to = to.or(canon.to);
            }
        }
        for (number, resource) in plan.resources.iter().enumerate() {
            let Some(name) = of_last(resource.destructor.as_ref()) else { continue };
            let destructor = instances[last].get_typed_func(&*store, name)?;
            let state = (self.context)(store.data_mut()).state.as_mut();
            if let Some(known) = state.and_then(|state| state.destructors.get_mut(number)) {
                *known = Some(destructor);
            }
        }
        Ok(())
    }
}
