//! What modules import and export.

use super::context::AsContext;
use super::store::Inner;
use super::{Error, ExternType, Func, Global, Memory, SharedMemory, Table, Tag};

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

macro_rules! kinds {
    ($($kind:ident $into:ident $what:literal)*) => {
        $(impl From<$kind> for Extern {
            fn from(item: $kind) -> Self {
                Self::$kind(item)
            }
        })*

        impl Extern {
            $(#[doc = concat!("Returns the ", $what, ", or `None` where this is something else.")]
            pub fn $into(self) -> Option<$kind> {
                match self {
                    Self::$kind(item) => Some(item),
                    _ => None,
                }
            })*
        }
    };
}

kinds! {
    Func into_func "function"
    Table into_table "table"
    Memory into_memory "memory"
    Global into_global "global"
    Tag into_tag "tag"
    SharedMemory into_shared_memory "shared memory"
}

impl Extern {
    /// Returns the type. The minimum in the type of a table or memory is the length at this moment.
    pub fn ty(&self, store: impl AsContext) -> Result<ExternType, Error> {
        self.type_in(store.as_context().inner())
    }

    pub(super) fn type_in(&self, store: &Inner) -> Result<ExternType, Error> {
        Ok(match self {
            Self::Func(func) => ExternType::Func(store.func_type(*func)?),
            Self::Table(table) => ExternType::Table(store.table_type(*table)?),
            Self::Memory(memory) => ExternType::Memory(store.memory(*memory)?.ty()),
            Self::Global(global) => ExternType::Global(store.global_type(*global)?),
            Self::Tag(tag) => ExternType::Tag(store.tag_type(*tag)?),
            Self::SharedMemory(memory) => ExternType::Memory(memory.ty()),
        })
    }
}
