//! What modules import and export, and a list of names from which imports are taken.

use std::collections::HashMap;

use super::store::Store;
use super::{Error, ExternType, Func, Global, Instance, Memory, Module, SharedMemory, Table, Tag};

/// An entity that a module imports or exports.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "variants are the specification's external values")]
pub enum Extern {
    Func(Func),
    Table(Table),
    Memory(Memory),
    Global(Global),
    Tag(Tag),
    SharedMemory(SharedMemory),
}

macro_rules! from {
    ($($kind:ident)*) => {
        $(impl From<$kind> for Extern {
            fn from(item: $kind) -> Self {
                Self::$kind(item)
            }
        })*
    };
}

from!(Func Table Memory Global Tag SharedMemory);

impl Extern {
    /// Returns the type. The minimum in the type of a table or memory is the length at this moment.
    pub fn ty(&self, store: &Store) -> Result<ExternType, Error> {
        Ok(match self {
            Self::Func(func) => ExternType::Func(func.ty(store)?),
            Self::Table(table) => ExternType::Table(table.ty(store)?),
            Self::Memory(memory) => ExternType::Memory(memory.ty(store)?),
            Self::Global(global) => ExternType::Global(global.ty(store)?),
            Self::Tag(tag) => ExternType::Tag(tag.ty(store)?),
            Self::SharedMemory(memory) => ExternType::Memory(memory.ty()),
        })
    }
}

/// A list of names from which modules take their imports.
#[derive(Clone, Debug, Default)]
pub struct Linker(HashMap<String, HashMap<String, Extern>>);

impl Linker {
    /// Makes an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Defines `name` of `module` as `item`. An earlier definition of the same name is replaced.
    pub fn define(&mut self, module: &str, name: &str, item: impl Into<Extern>) -> &mut Self {
        self.0.entry(module.to_owned()).or_default().insert(name.to_owned(), item.into());
        self
    }

    /// Defines all exports of an instance, under their names, in `module`.
    pub fn instance(&mut self, store: &Store, module: &str, instance: Instance) -> Result<&mut Self, Error> {
        if instance.module(store).is_none() {
            return Err(Error::usage("an instance of another store"));
        }
        // Also where it exports nothing, the name is one of a module from now on.
        self.0.entry(module.to_owned()).or_default();
        for (name, item) in instance.exports(store) {
            self.define(module, name, item);
        }
        Ok(self)
    }

    /// Returns what is defined under this name, or `None`.
    pub fn get(&self, module: &str, name: &str) -> Option<&Extern> {
        self.0.get(module)?.get(name)
    }

    /// Instantiates a module whose imports are all defined in this list. See [`Instance::new`].
    pub fn instantiate(&self, store: &mut Store, module: &Module) -> Result<Instance, Error> {
        let mut imports = Vec::with_capacity(module.imports().len());
        for (index, import) in module.imports().enumerate() {
            let Some(item) = self.get(import.module, import.name) else {
                let place = format!("import {index} {:?} {:?}", import.module, import.name);
                return Err(Error::Unlinkable(format!(
                    "unknown import: {place}: expected {}, found nothing of this name",
                    import.ty
                )));
            };
            imports.push(item.clone());
        }
        Instance::new(store, module, &imports)
    }
}
