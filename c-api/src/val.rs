//! Values: those of C, and those of guests.

use core::ptr;

use wasmelt_embed::{AsContext, Error, HeapType, RefType, Result, StoreContextMut, Val, ValType};

use super::object::{Item, wasm_ref_t};
use super::store::{State, StoreRef};
use super::types::{kind_of, type_of};

/// A value. One that has a reference owns it.
#[repr(C)]
pub struct wasm_val_t {
    kind: u8,
    of: Of,
}

#[repr(C)]
#[derive(Clone, Copy)]
union Of {
    i32: i32,
    i64: i64,
    f32: u32,
    f64: u64,
    reference: *mut wasm_ref_t,
}

impl wasm_val_t {
    const EXTERNREF: u8 = 128;

    fn new(ty: &ValType, of: Of) -> Self {
        Self { kind: kind_of(ty), of }
    }

    /// Null, which a function of the host leaves where it sets no result.
    pub(crate) const fn null() -> Self {
        Self { kind: Self::EXTERNREF, of: Of { reference: ptr::null_mut() } }
    }

    fn reference(&self) -> Option<&wasm_ref_t> {
        if self.kind < Self::EXTERNREF {
            return None;
        }
        // SAFETY: by the header, a value of this kind has a reference or null.
        unsafe { self.of.reference.as_ref() }
    }

    /// The reference that the value owns.
    pub(crate) fn into_reference(mut self) -> Option<Box<wasm_ref_t>> {
        self.reference()?;
        // SAFETY: an own value owns its reference, which was a box, and this one does not any more.
        unsafe { Some(Box::from_raw(core::mem::replace(&mut self.of, Of { reference: ptr::null_mut() }).reference)) }
    }

    /// The value for a guest, where one of type `ty` is expected.
    pub(crate) fn lower(
        &self,
        store: &StoreRef,
        context: &mut StoreContextMut<'_, State>,
        ty: &ValType,
    ) -> Result<Val> {
        if self.kind >= Self::EXTERNREF {
            return lower_reference(self.reference(), store, context, ty);
        }
        let Self { kind, of } = *self;
        // SAFETY: any bits are a number, and C has written as many as the kind says.
        unsafe {
            Ok(match type_of(kind)? {
                ValType::I32 => Val::I32(of.i32),
                ValType::I64 => Val::I64(of.i64),
                ValType::F32 => Val::F32(of.f32),
                ValType::F64 => Val::F64(of.f64),
                ty => return Err(Error::Usage(format!("a value of type {ty} does not fit into a wasm_val_t"))),
            })
        }
    }

    /// A value of a guest for C.
    pub(crate) fn raise(store: &StoreRef, state: &State, value: &Val) -> Result<Self> {
        let of_reference = |ty: ValType, object: Option<Box<wasm_ref_t>>| {
            Self::new(&ty, Of { reference: object.map_or(ptr::null_mut(), Box::into_raw) })
        };
        Ok(match *value {
            Val::I32(i32) => Self::new(&ValType::I32, Of { i32 }),
            Val::I64(i64) => Self::new(&ValType::I64, Of { i64 }),
            Val::F32(f32) => Self::new(&ValType::F32, Of { f32 }),
            Val::F64(f64) => Self::new(&ValType::F64, Of { f64 }),
            Val::FuncRef(func) => of_reference(ValType::FUNCREF, func.map(|func| store.object(Item::Func(func)))),
            Val::ExternRef(None) => of_reference(ValType::EXTERNREF, None),
            Val::ExternRef(Some(reference)) => {
                let unknown = || Error::Usage(format!("the host has no object with number {}", reference.0));
                let item = state.referent(reference).ok_or_else(unknown)?;
                let mut object = store.object(item.clone());
                if matches!(item, Item::Module(_) | Item::Trap(_)) {
                    object.store = None;
                }
                of_reference(ValType::EXTERNREF, Some(object))
            }
            Val::ExnRef(None) => of_reference(ValType::EXNREF, None),
            Val::ExnRef(Some(_)) | Val::V128(_) => {
                let what = if matches!(value, Val::V128(_)) { "v128" } else { "exnref" };
                return Err(Error::Usage(format!("a value of type {what} does not fit into a wasm_val_t")));
            }
        })
    }
}

/// The reference for a guest, where one of type `ty` is expected: C knows two kinds of them alone, and null is one of both.
pub(crate) fn lower_reference(
    object: Option<&wasm_ref_t>,
    store: &StoreRef,
    context: &mut StoreContextMut<'_, State>,
    ty: &ValType,
) -> Result<Val> {
    let ValType::Ref(RefType { heap, .. }) = ty else {
        return Err(Error::Usage(format!("a reference is not of type {ty}")));
    };
    let is_extern = matches!(heap, HeapType::Extern | HeapType::NoExtern);
    let Some(object) = object else {
        return Ok(match heap {
            _ if is_extern => Val::ExternRef(None),
            HeapType::Exn | HeapType::NoExn => Val::ExnRef(None),
            _ => Val::FuncRef(None),
        });
    };
    if object.store.as_ref().is_some_and(|other| !other.is(store)) {
        return Err(Error::Usage("the reference is of another store".to_owned()));
    }
    match &object.item {
        item if is_extern => Ok(Val::ExternRef(context.data_mut().extern_ref(item))),
        Item::Func(func) => Ok(Val::FuncRef(Some(*func))),
        _ => Err(Error::Usage(format!("the reference is not of type {ty}"))),
    }
}

/// All values for a guest.
pub(crate) fn lower_all(
    values: &[wasm_val_t],
    store: &StoreRef,
    context: &mut StoreContextMut<'_, State>,
    types: &[ValType],
) -> Result<Vec<Val>> {
    if values.len() != types.len() {
        return Err(Error::Usage(format!("{} values instead of {}", values.len(), types.len())));
    }
    values.iter().zip(types).map(|(value, ty)| value.lower(store, context, ty)).collect()
}

/// All values of a guest for C.
pub(crate) fn raise_all(
    store: &StoreRef,
    context: impl AsContext<Data = State>,
    values: &[Val],
) -> Result<Vec<wasm_val_t>> {
    let state = context.as_context();
    values.iter().map(|value| wasm_val_t::raise(store, state.data(), value)).collect()
}

impl Clone for wasm_val_t {
    fn clone(&self) -> Self {
        match self.reference() {
            Some(object) => Self { kind: self.kind, of: Of { reference: Box::into_raw(Box::new(object.clone())) } },
            None => Self { ..*self },
        }
    }
}

impl Default for wasm_val_t {
    fn default() -> Self {
        Self { kind: 0, of: Of { i64: 0 } }
    }
}

impl Drop for wasm_val_t {
    fn drop(&mut self) {
        if self.reference().is_some() {
            // SAFETY: by the header, an own value owns its reference, which was a box.
            drop(unsafe { Box::from_raw(self.of.reference) });
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_val_delete(value: Option<&mut wasm_val_t>) {
    if let Some(value) = value
        && value.reference().is_some()
    {
        *value = wasm_val_t { kind: value.kind, of: Of { reference: ptr::null_mut() } };
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn wasm_val_copy(out: Option<&mut core::mem::MaybeUninit<wasm_val_t>>, value: Option<&wasm_val_t>) {
    if let (Some(out), Some(value)) = (out, value) {
        out.write(value.clone());
    }
}

/// What of the layout is private.
pub(crate) fn facts() -> Vec<(&'static str, usize)> {
    vec![
        ("offsetof(wasm_val_t, kind)", core::mem::offset_of!(wasm_val_t, kind)),
        ("offsetof(wasm_val_t, of)", core::mem::offset_of!(wasm_val_t, of)),
    ]
}
