//! References: what all of them have in common.

use core::ffi::c_void;
use core::mem;
use std::sync::{Arc, Mutex, PoisonError};

use wasmelt_embed::{Error, Extern, Func, Global, Instance, Memory, Module, Result, SharedMemory, Table, Tag};

use super::error::{attempt, need};
use super::store::{StoreRef, wasm_store_t};
use super::trap::TrapData;

/// A reference of any kind. The header's types of references are all this one.
#[derive(Clone)]
pub struct wasm_ref_t {
    pub(crate) item: Item,
    /// Where it is; modules and traps are in no store.
    pub(crate) store: Option<StoreRef>,
}

/// What a reference refers to.
#[derive(Clone)]
pub(crate) enum Item {
    Func(Func),
    Global(Global),
    Table(Table),
    Memory(Memory),
    Shared(Arc<SharedData>),
    Tag(Tag),
    Instance(Instance),
    Module(Arc<ModuleData>),
    Trap(Arc<TrapData>),
    Foreign(Arc<Foreign>),
}

/// A module, with what the host knows about it.
pub(crate) struct ModuleData {
    pub(crate) module: Module,
    info: Mutex<Info>,
}

impl ModuleData {
    pub(crate) fn new(module: Module) -> Arc<Self> {
        Arc::new(Self { module, info: Mutex::default() })
    }
}

/// A memory that threads share, with what the host knows about it.
pub(crate) struct SharedData {
    pub(crate) memory: SharedMemory,
    info: Mutex<Info>,
}

/// An object of the host's: what it is, its information says.
#[derive(Default)]
pub(crate) struct Foreign(Mutex<Info>);

/// What tells an item from all others of its store. Each kind is one of the header's, so that memories of both kinds are one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Func(Func),
    Global(Global),
    Table(Table),
    Memory(Memory),
    Tag(Tag),
    Instance(Instance),
    /// Where it is, as long as somebody has it.
    Address(usize),
}

/// Information of the host, with its finalizer.
pub(crate) struct Info {
    data: *mut c_void,
    finalizer: Option<Finalizer>,
}

/// Called with what it was set with.
pub(crate) type Finalizer = extern "C" fn(*mut c_void);

// SAFETY: only C knows what the pointer is; by the header, one thread at a time uses what belongs to a store.
unsafe impl Send for Info {}
// SAFETY: as above.
unsafe impl Sync for Info {}

impl Info {
    pub(crate) fn new(data: *mut c_void, finalizer: Option<Finalizer>) -> Self {
        Self { data, finalizer }
    }

    pub(crate) fn data(&self) -> *mut c_void {
        self.data
    }
}

impl Default for Info {
    fn default() -> Self {
        Self::new(core::ptr::null_mut(), None)
    }
}

impl Drop for Info {
    fn drop(&mut self) {
        if let Some(finalizer) = self.finalizer {
            finalizer(self.data);
        }
    }
}

impl Item {
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Func(func) => Key::Func(*func),
            Self::Global(global) => Key::Global(*global),
            Self::Table(table) => Key::Table(*table),
            Self::Memory(memory) => Key::Memory(*memory),
            Self::Tag(tag) => Key::Tag(*tag),
            Self::Instance(instance) => Key::Instance(*instance),
            Self::Shared(memory) => Key::Address(Arc::as_ptr(memory).addr()),
            Self::Module(module) => Key::Address(Arc::as_ptr(module).addr()),
            Self::Trap(trap) => Key::Address(Arc::as_ptr(trap).addr()),
            Self::Foreign(foreign) => Key::Address(Arc::as_ptr(foreign).addr()),
        }
    }
}

impl From<Extern> for Item {
    fn from(item: Extern) -> Self {
        match item {
            Extern::Func(func) => Self::Func(func),
            Extern::Global(global) => Self::Global(global),
            Extern::Table(table) => Self::Table(table),
            Extern::Memory(memory) => Self::Memory(memory),
            Extern::Tag(tag) => Self::Tag(tag),
            Extern::SharedMemory(memory) => Self::Shared(Arc::new(SharedData { memory, info: Mutex::default() })),
        }
    }
}

impl wasm_ref_t {
    pub(crate) fn store(&self) -> Result<&StoreRef> {
        self.store.as_ref().ok_or_else(|| Error::Usage("the object belongs to no store".to_owned()))
    }

    /// What modules import and export.
    pub(crate) fn external(&self) -> Result<Extern> {
        Ok(match &self.item {
            Item::Func(func) => Extern::Func(*func),
            Item::Global(global) => Extern::Global(*global),
            Item::Table(table) => Extern::Table(*table),
            Item::Memory(memory) => Extern::Memory(*memory),
            Item::Shared(shared) => Extern::SharedMemory(shared.memory.clone()),
            Item::Tag(tag) => Extern::Tag(*tag),
            _ => return Err(Error::Usage("the object is not one that modules import".to_owned())),
        })
    }

    /// Does something with the information about it, which calls no finalizer.
    fn with_info<R>(&self, action: impl FnOnce(&mut Info) -> R) -> Result<R> {
        let own = match &self.item {
            Item::Module(module) => &module.info,
            Item::Shared(shared) => &shared.info,
            Item::Trap(trap) => &trap.info,
            Item::Foreign(foreign) => &foreign.0,
            _ => return Ok(self.store()?.with(|mut store| action(store.data_mut().info(self.item.key())))),
        };
        Ok(action(&mut own.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    fn is_same(&self, other: &Self) -> bool {
        self.item.key() == other.item.key()
            && self.store.as_ref().zip(other.store.as_ref()).is_none_or(|(store, other)| store.is(other))
    }
}

type Borrowed<'a> = Option<&'a wasm_ref_t>;

/// What all kinds of references have.
macro_rules! references {
    ($($name:literal)*) => {
        $(const _: () = {
            #[unsafe(export_name = concat!("wasm_", $name, "_delete"))]
            pub extern "C" fn delete(object: Option<Box<wasm_ref_t>>) {
                drop(object);
            }

            #[unsafe(export_name = concat!("wasm_", $name, "_copy"))]
            pub extern "C" fn copy(object: Borrowed<'_>) -> Option<Box<wasm_ref_t>> {
                object.cloned().map(Box::new)
            }

            #[unsafe(export_name = concat!("wasm_", $name, "_same"))]
            pub extern "C" fn same(object: Borrowed<'_>, other: Borrowed<'_>) -> bool {
                object.zip(other).map_or(object.is_none() && other.is_none(), |(object, other)| object.is_same(other))
            }

            #[unsafe(export_name = concat!("wasm_", $name, "_get_host_info"))]
            pub extern "C" fn host_info(object: Borrowed<'_>) -> *mut c_void {
                attempt(|| need(object, "the object")?.with_info(|info| info.data())).unwrap_or(core::ptr::null_mut())
            }

            #[unsafe(export_name = concat!("wasm_", $name, "_set_host_info"))]
            pub extern "C" fn set_host_info(object: Borrowed<'_>, data: *mut c_void) {
                set_info(object, Info::new(data, None));
            }

            #[unsafe(export_name = concat!("wasm_", $name, "_set_host_info_with_finalizer"))]
            pub extern "C" fn set_host_info_with_finalizer(
                object: Borrowed<'_>,
                data: *mut c_void,
                finalizer: Option<Finalizer>,
            ) {
                set_info(object, Info::new(data, finalizer));
            }
        };)*
    };
}

fn set_info(object: Borrowed<'_>, mut info: Info) {
    attempt(|| need(object, "the object")?.with_info(|place| mem::swap(place, &mut info)));
    // Here the finalizer of what was there before is called; where that failed, the one of what was to be set.
    drop(info);
}

references! { "ref" "trap" "foreign" "module" "func" "global" "table" "memory" "extern" "instance" }

/// References seen as of another type: `$wide` is the more general one, and the pattern says which items are of the kind.
macro_rules! casts {
    ($wide:literal: $($name:literal ($($pattern:tt)+);)*) => {
        $(const _: () = {
            #[unsafe(export_name = concat!("wasm_", $name, "_as_", $wide))]
            pub extern "C" fn widen(object: Borrowed<'_>) -> Borrowed<'_> {
                object
            }

            #[unsafe(export_name = concat!("wasm_", $name, "_as_", $wide, "_const"))]
            pub extern "C" fn widen_const(object: Borrowed<'_>) -> Borrowed<'_> {
                object
            }

            #[unsafe(export_name = concat!("wasm_", $wide, "_as_", $name))]
            pub extern "C" fn narrow(object: Borrowed<'_>) -> Borrowed<'_> {
                object.filter(|object| matches!(object.item, $($pattern)+))
            }

            #[unsafe(export_name = concat!("wasm_", $wide, "_as_", $name, "_const"))]
            pub extern "C" fn narrow_const(object: Borrowed<'_>) -> Borrowed<'_> {
                object.filter(|object| matches!(object.item, $($pattern)+))
            }
        };)*
    };
}

casts! { "extern":
    "func" (Item::Func(_));
    "global" (Item::Global(_));
    "table" (Item::Table(_));
    "memory" (Item::Memory(_) | Item::Shared(_));
}

casts! { "ref":
    "trap" (Item::Trap(_));
    "foreign" (Item::Foreign(_));
    "module" (Item::Module(_));
    "func" (Item::Func(_));
    "global" (Item::Global(_));
    "table" (Item::Table(_));
    "memory" (Item::Memory(_) | Item::Shared(_));
    "extern" (Item::Func(_) | Item::Global(_) | Item::Table(_) | Item::Memory(_) | Item::Shared(_) | Item::Tag(_));
    "instance" (Item::Instance(_));
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_foreign_new(store: Option<&wasm_store_t>) -> Option<Box<wasm_ref_t>> {
    attempt(|| Ok(need(store, "the store")?.store.object(Item::Foreign(Arc::default()))))
}
