//! The signatures of the interface.
#![allow(missing_docs, unused_variables, reason = "replaced by what does the work")]

use std::path::Path;
use std::prelude::rust_2024::*;

use super::*;
use wasmelt_abi::descriptor::ProgramDescriptor;

fn no<T>() -> Result<T, Error> {
    Err(Error::usage("not available yet"))
}

/// A file of one or more modules.
#[derive(Clone, Debug)]
pub struct Library(());
impl Library {
    pub fn open(path: &Path) -> Result<Self, Error> {
        no()
    }
    pub fn module(&self, name: &str) -> Result<Module, Error> {
        no()
    }
}

#[derive(Clone, Debug)]
pub struct Module(());
impl Module {
    pub fn load(path: &Path, name: &str) -> Result<Self, Error> {
        no()
    }
    /// # Safety
    /// The descriptor is one that the compiler wrote, and stays.
    pub unsafe fn from_descriptor(descriptor: *const ProgramDescriptor, name: &str) -> Result<Self, Error> {
        no()
    }
    pub fn name(&self) -> &str {
        ""
    }
    pub fn imports(&self) -> impl ExactSizeIterator<Item = ImportType<'_>> {
        [].into_iter()
    }
    pub fn exports(&self) -> impl ExactSizeIterator<Item = ExportType<'_>> {
        [].into_iter()
    }
}

/// An import of a module.
#[derive(Clone, Debug)]
pub struct ImportType<'a> {
    pub module: &'a str,
    pub name: &'a str,
    pub ty: ExternType,
}

/// An export of a module.
#[derive(Clone, Debug)]
pub struct ExportType<'a> {
    pub name: &'a str,
    pub ty: ExternType,
}

#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StoreConfig {
    pub stack_bytes: u64,
    pub max_memory_bytes: u64,
    pub max_table_elements: u64,
}
impl Default for StoreConfig {
    fn default() -> Self {
        Self { stack_bytes: 8 << 20, max_memory_bytes: u64::MAX, max_table_elements: 10_000_000 }
    }
}

/// Always behind a `Box`: `Store: !Sized`, so that nothing can replace it under a running guest.
#[derive(Debug)]
pub struct Store {
    unsized_tail: [()],
}
impl Store {
    #[allow(clippy::new_ret_no_self, reason = "it is never without its box")]
    pub fn new() -> Box<Self> {
        Self::with_config(StoreConfig::default())
    }
    pub fn with_config(config: StoreConfig) -> Box<Self> {
        std::process::abort()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instance(());
impl Instance {
    /// Imports in the order of [`Module::imports`].
    pub fn new(store: &mut Store, module: &Module, imports: &[Extern]) -> Result<Self, Error> {
        no()
    }
    pub fn export(self, store: &Store, name: &str) -> Option<Extern> {
        None
    }
    pub fn exports(self, store: &Store) -> impl Iterator<Item = (&str, Extern)> {
        [].into_iter()
    }
    pub fn func(self, store: &Store, name: &str) -> Option<Func> {
        None
    }
}

#[derive(Clone, Debug)]
pub enum Extern {
    Func(Func),
    Table(Table),
    Memory(Memory),
    Global(Global),
    Tag(Tag),
    SharedMemory(SharedMemory),
}
macro_rules! from {
    ($($kind:ident)*) => { $(impl From<$kind> for Extern { fn from(x: $kind) -> Self { Self::$kind(x) } })* };
}
from!(Func Table Memory Global Tag SharedMemory);
impl Extern {
    pub fn ty(&self, store: &Store) -> Result<ExternType, Error> {
        no()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Func(());
impl Func {
    pub fn new(
        store: &mut Store,
        ty: FuncType,
        body: impl Fn(&mut Store, &[Val]) -> Result<Vec<Val>, Error> + Send + 'static,
    ) -> Self {
        Self(())
    }
    pub fn ty(self, store: &Store) -> Result<FuncType, Error> {
        no()
    }
    pub fn call(self, store: &mut Store, args: &[Val]) -> Result<Vec<Val>, Error> {
        no()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Table(());
impl Table {
    pub fn new(store: &mut Store, ty: TableType, value: &Val) -> Result<Self, Error> {
        no()
    }
    pub fn ty(self, store: &Store) -> Result<TableType, Error> {
        no()
    }
    pub fn size(self, store: &Store) -> Result<u64, Error> {
        no()
    }
    pub fn get(self, store: &Store, index: u64) -> Result<Val, Error> {
        no()
    }
    pub fn set(self, store: &mut Store, index: u64, value: &Val) -> Result<(), Error> {
        no()
    }
    pub fn grow(self, store: &mut Store, delta: u64, value: &Val) -> Result<u64, Error> {
        no()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Memory(());
impl Memory {
    pub fn new(store: &mut Store, ty: MemoryType) -> Result<Self, Error> {
        no()
    }
    pub fn ty(self, store: &Store) -> Result<MemoryType, Error> {
        no()
    }
    pub fn size_pages(self, store: &Store) -> Result<u64, Error> {
        no()
    }
    pub fn len(self, store: &Store) -> Result<u64, Error> {
        no()
    }
    pub fn read(self, store: &Store, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        no()
    }
    pub fn write(self, store: &mut Store, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        no()
    }
    pub fn grow(self, store: &mut Store, delta_pages: u64) -> Result<u64, Error> {
        no()
    }
}

/// `Send + Sync`; of no store.
#[derive(Clone, Debug)]
pub struct SharedMemory(());
impl SharedMemory {
    pub fn new(ty: MemoryType) -> Result<Self, Error> {
        no()
    }
    pub fn ty(&self) -> MemoryType {
        MemoryType::shared(0, 0)
    }
    pub fn size_pages(&self) -> u64 {
        0
    }
    pub fn len(&self) -> u64 {
        0
    }
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        no()
    }
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        no()
    }
    pub fn grow(&self, delta_pages: u64) -> Result<u64, Error> {
        no()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Global(());
impl Global {
    pub fn new(store: &mut Store, ty: GlobalType, value: &Val) -> Result<Self, Error> {
        no()
    }
    pub fn ty(self, store: &Store) -> Result<GlobalType, Error> {
        no()
    }
    pub fn get(self, store: &Store) -> Result<Val, Error> {
        no()
    }
    pub fn set(self, store: &mut Store, value: &Val) -> Result<(), Error> {
        no()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag(());
impl Tag {
    pub fn new(store: &mut Store, ty: FuncType) -> Result<Self, Error> {
        no()
    }
    pub fn ty(self, store: &Store) -> Result<FuncType, Error> {
        no()
    }
}

/// A reference that keeps the exception.
#[derive(Clone, Debug, PartialEq)]
pub struct Exception(());
impl Exception {
    pub fn new(store: &mut Store, tag: Tag, values: &[Val]) -> Result<Self, Error> {
        no()
    }
    pub fn tag(&self, store: &Store) -> Result<Tag, Error> {
        no()
    }
    pub fn values(&self, store: &Store) -> Result<Vec<Val>, Error> {
        no()
    }
}

/// Names of imports.
#[derive(Clone, Debug, Default)]
pub struct Linker(());
impl Linker {
    pub fn new() -> Self {
        Self(())
    }
    pub fn define(&mut self, module: &str, name: &str, item: impl Into<Extern>) -> &mut Self {
        self
    }
    /// Defines all exports of an instance.
    pub fn instance(&mut self, store: &Store, module: &str, instance: Instance) -> Result<&mut Self, Error> {
        no()
    }
    pub fn get(&self, module: &str, name: &str) -> Option<&Extern> {
        None
    }
    pub fn instantiate(&self, store: &mut Store, module: &Module) -> Result<Instance, Error> {
        no()
    }
}
