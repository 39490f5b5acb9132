//! Names from which modules take their imports.

use core::marker::PhantomData;
use std::collections::HashMap;
use std::sync::Arc;

use super::context::{AsContext, AsContextMut, Caller};
use super::host_func::HostFunc;
use super::instantiate::{Imports, mismatch};
use super::store::Inner;
use super::typed_func::IntoFunc;
use super::wasm_ty::{WasmParams, WasmRet};
use super::{BoxFuture, Error, Extern, ExternType, Func, FuncType, Instance, Module, Val};

/// Names from which modules take their imports, for stores with data `T`.
///
/// Functions of the host that are defined here belong to no store: one linker serves any number of them. What else is
/// defined belongs to one store, and instances can be made in that store only. Clones are independent of each other.
pub struct Linker<T> {
    /// By module, then by name.
    names: HashMap<String, HashMap<String, Definition>>,
    allow_shadowing: bool,
    /// Invariant: the functions were made for exactly this data.
    data: PhantomData<fn(T) -> T>,
}

/// What a name stands for.
#[derive(Clone)]
pub(super) enum Definition {
    Extern(Extern),
    Func(HostFunc),
}

impl<T> Clone for Linker<T> {
    fn clone(&self) -> Self {
        Self { names: self.names.clone(), allow_shadowing: self.allow_shadowing, data: PhantomData }
    }
}

impl<T> Default for Linker<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Linker<T> {
    /// Makes a linker without names.
    pub fn new() -> Self {
        Self { names: HashMap::new(), allow_shadowing: false, data: PhantomData }
    }

    /// Sets whether a name may be defined again. By default that is an error.
    pub fn allow_shadowing(&mut self, allow: bool) -> &mut Self {
        self.allow_shadowing = allow;
        self
    }

    /// Defines `name` of `module` as `item`, which belongs to this store.
    ///
    /// # Errors
    /// [`Error::Usage`] when the name is defined, or the item belongs to another store.
    pub fn define(
        &mut self,
        store: impl AsContext<Data = T>,
        module: &str,
        name: &str,
        item: impl Into<Extern>,
    ) -> Result<&mut Self, Error> {
        let item = item.into();
        item.ty(store)?;
        self.insert(module, name, Definition::Extern(item))
    }

    /// Defines a function of the host from a closure, see [`Func::wrap`].
    ///
    /// # Errors
    /// [`Error::Usage`] when the name is defined.
    pub fn func_wrap<Params, Results>(
        &mut self,
        module: &str,
        name: &str,
        function: impl IntoFunc<T, Params, Results>,
    ) -> Result<&mut Self, Error> {
        self.insert(module, name, Definition::Func(function.into_host_func()))
    }

    /// Defines a function of the host with this type, see [`Func::new`].
    ///
    /// # Errors
    /// [`Error::Usage`] when the name is defined.
    pub fn func_new(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        function: impl Fn(Caller<'_, T>, &[Val], &mut [Val]) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Result<&mut Self, Error> {
        self.insert(module, name, Definition::Func(HostFunc::dynamic(ty, function)))
    }

    /// Defines an asynchronous function of the host from a closure, see [`Func::wrap_async`].
    ///
    /// # Errors
    /// [`Error::Usage`] when the name is defined.
    pub fn func_wrap_async<P: WasmParams, R: WasmRet + 'static>(
        &mut self,
        module: &str,
        name: &str,
        function: impl for<'a> Fn(Caller<'a, T>, P) -> BoxFuture<'a, R> + Send + Sync + 'static,
    ) -> Result<&mut Self, Error>
    where
        T: 'static,
    {
        self.insert(module, name, Definition::Func(HostFunc::wrap_async(function)))
    }

    /// Defines an asynchronous function of the host with this type, see [`Func::new_async`].
    ///
    /// # Errors
    /// [`Error::Usage`] when the name is defined.
    pub fn func_new_async(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        function: impl for<'a> Fn(Caller<'a, T>, &'a [Val], &'a mut [Val]) -> BoxFuture<'a, Result<(), Error>>
        + Send
        + Sync
        + 'static,
    ) -> Result<&mut Self, Error>
    where
        T: 'static,
    {
        self.insert(module, name, Definition::Func(HostFunc::dynamic_async(ty, function)))
    }

    /// Defines all exports of an instance, under their names, in `module`.
    ///
    /// # Errors
    /// [`Error::Usage`] when a name is defined, or the instance belongs to another store.
    pub fn instance(
        &mut self,
        store: impl AsContext<Data = T>,
        module: &str,
        instance: Instance,
    ) -> Result<&mut Self, Error> {
        let store = store.as_context();
        if instance.module(&store).is_none() {
            return Err(Error::usage("an instance of another store"));
        }
        // Also where it exports nothing, the name is one of a module from now on.
        self.names.entry(module.to_owned()).or_default();
        for (name, item) in instance.exports_in(store.inner()) {
            self.insert(module, name, Definition::Extern(item))?;
        }
        Ok(self)
    }

    /// Instantiates a module, calls its `_initialize` where it is a reactor, and defines its exports in `name`.
    ///
    /// # Errors
    /// As [`Self::instantiate`] and [`Self::instance`]; [`Error::Usage`] when the module is a command, which exports `_start`:
    /// it runs once, and its exports are of no use after that.
    pub fn module(
        &mut self,
        mut store: impl AsContextMut<Data = T>,
        name: &str,
        module: &Module,
    ) -> Result<&mut Self, Error> {
        if module.exports().any(|export| export.name == "_start") {
            return Err(Error::usage(format!("module {:?} is a command: it exports `_start`", module.name())));
        }
        let instance = self.instantiate(&mut store, module)?;
        if let Some(initialize) = instance.get_func(&store, "_initialize") {
            initialize.typed::<(), ()>(&store)?.call(&mut store, ())?;
        }
        self.instance(&store, name, instance)
    }

    /// Defines a second name for what `name` of `module` stands for.
    ///
    /// # Errors
    /// [`Error::Usage`] when nothing has the first name, or the second one is defined.
    pub fn alias(&mut self, module: &str, name: &str, as_module: &str, as_name: &str) -> Result<&mut Self, Error> {
        let missing = || Error::usage(format!("{module:?} {name:?} is not defined"));
        let definition = self.definition(module, name).ok_or_else(missing)?.clone();
        self.insert(as_module, as_name, definition)
    }

    /// Defines all names of `module` in `as_module` as well.
    ///
    /// # Errors
    /// [`Error::Usage`] when nothing is defined under that module, or a name is defined already.
    pub fn alias_module(&mut self, module: &str, as_module: &str) -> Result<(), Error> {
        let names = self.names.get(module).ok_or_else(|| Error::usage(format!("{module:?} is not defined")))?;
        for (name, definition) in names.clone() {
            self.insert(as_module, &name, definition)?;
        }
        Ok(())
    }

    /// Defines each function that the module imports and that is not defined: calling it is an error that names it.
    pub fn define_unknown_imports_as_traps(&mut self, module: &Module) -> Result<(), Error> {
        for import in module.imports() {
            if self.definition(import.module, import.name).is_none()
                && let ExternType::Func(ty) = import.ty
            {
                let message = format!("unknown import: {:?} {:?} was called", import.module, import.name);
                self.func_new(import.module, import.name, ty, move |_, _, _| Err(Error::msg(&message)))?;
            }
        }
        Ok(())
    }

    /// Defines a function of the host with this type, see [`Func::new_words`].
    ///
    /// # Errors
    /// [`Error::Usage`] when the name is defined, or the type has references.
    pub fn func_new_words(
        &mut self,
        module: &str,
        name: &str,
        ty: FuncType,
        function: impl Fn(Caller<'_, T>, &mut [[u64; 2]]) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Result<&mut Self, Error> {
        self.insert(module, name, Definition::Func(HostFunc::words(ty, function)?))
    }

    /// Returns what is defined under this name, or `None`. Functions that belong to no store are made in this one.
    ///
    /// # Errors
    /// [`Error::System`] when the store has no room for another function type.
    pub fn get(
        &self,
        mut store: impl AsContextMut<Data = T>,
        module: &str,
        name: &str,
    ) -> Result<Option<Extern>, Error> {
        Ok(match self.definition(module, name) {
            None => None,
            Some(Definition::Extern(item)) => Some(item.clone()),
            Some(Definition::Func(func)) => Some(Func::of_host(store.as_context_mut().contents(), func)?.into()),
        })
    }

    /// Returns whether anything is defined in this module, or the module itself as an empty one.
    pub fn has_module(&self, module: &str) -> bool {
        self.names.contains_key(module)
    }

    /// Finds the imports of a module and checks the types of its functions, once for any number of instances.
    ///
    /// # Errors
    /// [`Error::Unlinkable`] when a name is not defined, or a function has another type.
    pub fn instantiate_pre(&self, module: &Module) -> Result<InstancePre<T>, Error> {
        let find = |(index, import): (usize, super::ImportType<'_>)| {
            let Some(definition) = self.definition(import.module, import.name) else {
                let place = format!("import {index} {:?} {:?}", import.module, import.name);
                let expected = import.ty;
                let message = format!("unknown import: {place}: expected {expected}, found nothing of this name");
                return Err(Error::Unlinkable(message));
            };
            match (definition, &import.ty) {
                (Definition::Func(func), ExternType::Func(ty)) if func.ty == *ty => {}
                (Definition::Func(func), _) => {
                    return Err(mismatch(module, index, &ExternType::Func(func.ty.clone()), ""));
                }
                (Definition::Extern(_), _) => {}
            }
            Ok(definition.clone())
        };
        let imports = module.imports().enumerate().map(find).collect::<Result<_, _>>()?;
        Ok(InstancePre { module: module.clone(), imports, data: PhantomData })
    }

    /// Instantiates a module whose imports are all defined here. See [`Instance::new`].
    ///
    /// # Errors
    /// As [`Self::instantiate_pre`] and [`Instance::new`].
    pub fn instantiate(&self, store: impl AsContextMut<Data = T>, module: &Module) -> Result<Instance, Error> {
        self.instantiate_pre(module)?.instantiate(store)
    }

    /// As [`Self::instantiate`], where functions of the host may be asynchronous.
    ///
    /// # Errors
    /// As there.
    pub async fn instantiate_async(
        &self,
        store: impl AsContextMut<Data = T>,
        module: &Module,
    ) -> Result<Instance, Error> {
        self.instantiate_pre(module)?.instantiate_async(store).await
    }

    fn definition(&self, module: &str, name: &str) -> Option<&Definition> {
        self.names.get(module)?.get(name)
    }

    fn insert(&mut self, module: &str, name: &str, definition: Definition) -> Result<&mut Self, Error> {
        let allowed = self.allow_shadowing || self.definition(module, name).is_none();
        if !allowed {
            return Err(Error::usage(format!("{module:?} {name:?} is defined already, see `allow_shadowing`")));
        }
        self.names.entry(module.to_owned()).or_default().insert(name.to_owned(), definition);
        Ok(self)
    }
}

/// A module with its imports, for stores with data `T`. Clones refer to the same.
pub struct InstancePre<T> {
    module: Module,
    /// Functions of the host among them have the types that the module asks for.
    imports: Arc<[Definition]>,
    data: PhantomData<fn(T) -> T>,
}

impl<T> Clone for InstancePre<T> {
    fn clone(&self) -> Self {
        Self { module: self.module.clone(), imports: Arc::clone(&self.imports), data: PhantomData }
    }
}

impl<T> InstancePre<T> {
    /// Makes an instance. See [`Instance::new`].
    ///
    /// # Errors
    /// As [`Instance::new`]; [`Error::Usage`] when something that the linker names belongs to another store.
    pub fn instantiate(&self, mut store: impl AsContextMut<Data = T>) -> Result<Instance, Error> {
        let store: *mut Inner = store.as_context_mut().contents();
        Instance::with_imports(store, &self.module, &Imports::Checked(&self.imports))
    }

    /// As [`Self::instantiate`], where functions of the host may be asynchronous.
    ///
    /// # Errors
    /// As there.
    pub async fn instantiate_async(&self, mut store: impl AsContextMut<Data = T>) -> Result<Instance, Error> {
        let mut store = store.as_context_mut();
        Instance::with_imports_async(&mut store, &self.module, &Imports::Checked(&self.imports)).await
    }

    /// Returns the module.
    pub fn module(&self) -> &Module {
        &self.module
    }
}
