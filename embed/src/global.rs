//! Globals of a store.

use core::cell::UnsafeCell;
use core::mem::size_of;
use core::ops::Range;
use core::ptr;

use wasmelt_abi::interface::TypeCode;

use super::context::{AsContext, AsContextMut};
use super::store::{Handle, Inner};
use super::value::{self, Val};
use super::{Error, GlobalType};

/// A global of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Global(pub(super) Handle<GlobalEntity>);

/// A global that a store owns.
pub(super) struct GlobalEntity {
    /// Where the value is in the context of an instance; null where it is in `storage`.
    in_context: *mut u8,
    pub(super) ty: TypeCode,
    pub(super) mutable: bool,
    storage: Storage,
}

#[repr(align(16))]
struct Storage(UnsafeCell<[u64; 2]>);

/// Bytes that a value takes in a context.
pub(super) fn value_bytes(ty: TypeCode) -> usize {
    match ty {
        TypeCode::I32 | TypeCode::F32 => 4,
        TypeCode::V128 => 16,
        _ => 8,
    }
}

impl GlobalEntity {
    /// A global whose value is in a context that the store owns as well.
    pub(super) fn in_context(value: *mut u8, ty: TypeCode, mutable: bool) -> Self {
        Self { in_context: value, ty, mutable, storage: Storage(UnsafeCell::new([0; 2])) }
    }

    /// Where the value is.
    pub(super) fn value(&self) -> *mut u8 {
        if self.in_context.is_null() { self.storage.0.get().cast() } else { self.in_context }
    }

    pub(super) fn read(&self) -> [u64; 2] {
        let mut raw = [0; 2];
        // SAFETY: the value has this size, and a context or the entity itself holds it.
        unsafe { ptr::copy_nonoverlapping(self.value(), raw.as_mut_ptr().cast(), value_bytes(self.ty)) };
        raw
    }

    fn write(&self, raw: [u64; 2]) {
        // SAFETY: as in `read`. Generated code of the store does not run meanwhile.
        unsafe { ptr::copy_nonoverlapping(raw.as_ptr().cast(), self.value(), value_bytes(self.ty)) };
    }

    /// The words that may be references.
    pub(super) fn words(&self) -> Range<usize> {
        let start = self.value() as usize;
        start..start + if value_bytes(self.ty) == size_of::<usize>() { size_of::<usize>() } else { 0 }
    }
}

impl Inner {
    fn global(&self, global: Global) -> Result<&GlobalEntity, Error> {
        // SAFETY: the store owns the global.
        Ok(unsafe { self.follow(global.0)?.as_ref() })
    }

    pub(super) fn global_type(&self, global: Global) -> Result<GlobalType, Error> {
        let global = self.global(global)?;
        Ok(GlobalType { content: self.types.val_type(global.ty), mutable: global.mutable })
    }
}

impl Global {
    /// Makes a global with this type and value.
    pub fn new(mut store: impl AsContextMut, ty: GlobalType, value: Val) -> Result<Self, Error> {
        let mut store = store.as_context_mut();
        let inner = store.inner_mut();
        let code = inner.types.code(&ty.content)?;
        let storage = Storage(UnsafeCell::new(value::lower(inner, &value, code)?));
        let entity = GlobalEntity { in_context: ptr::null_mut(), ty: code, mutable: ty.mutable, storage };
        let entity = inner.globals.add(entity);
        Ok(Self(inner.handle(entity)))
    }

    /// Returns the type of the global.
    pub fn ty(&self, store: impl AsContext) -> Result<GlobalType, Error> {
        store.as_context().inner().global_type(*self)
    }

    /// Returns the value of the global.
    pub fn get(&self, store: impl AsContext) -> Result<Val, Error> {
        let store = store.as_context();
        let global = store.inner().global(*self)?;
        let (raw, ty) = (global.read(), global.ty);
        // SAFETY: the global holds a value of its type.
        Ok(unsafe { value::raise(store.inner(), raw, ty) })
    }

    /// Sets the value of the global, which must be mutable.
    pub fn set(&self, mut store: impl AsContextMut, value: Val) -> Result<(), Error> {
        let store = store.as_context_mut();
        let global = store.inner().global(*self)?;
        if !global.mutable {
            return Err(Error::usage("an immutable global cannot be set"));
        }
        let raw = value::lower(store.inner(), &value, global.ty)?;
        global.write(raw);
        Ok(())
    }
}
