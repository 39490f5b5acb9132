//! Values that the host passes to guests and gets from them.

// ---------------------------------------------------------------------------------------------------------------
// Security: a reference that guests get is one of their own store and has the type that they were compiled for.
// ---------------------------------------------------------------------------------------------------------------

use core::num::NonZeroU64;
use core::ptr::NonNull;

use wasmelt_abi::context::{self, FuncRef};
use wasmelt_abi::interface::TypeCode;

use super::registry::is_subtype;
use super::store::Inner;
use super::{Error, Exception, Func};

/// A value of WebAssembly. Clones of a reference refer to the same entity.
#[derive(Clone, Debug, PartialEq)]
pub enum Val {
    /// An `i32`.
    I32(i32),
    /// An `i64`.
    I64(i64),
    /// An `f32`, as its bits: a NaN keeps its payload.
    F32(u32),
    /// An `f64`, as its bits.
    F64(u64),
    /// A `v128`, little-endian.
    V128([u8; 16]),
    /// A function or null.
    FuncRef(Option<Func>),
    /// A value of the host or null.
    ExternRef(Option<ExternRef>),
    /// An exception or null.
    ExnRef(Option<Exception>),
}

/// A reference of the host that a guest can keep: a number whose meaning only the host knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExternRef(pub NonZeroU64);

impl ExternRef {
    /// Makes the reference with this number; `None` for 0, which guests would see as null.
    pub const fn new(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

/// What a result holds before a function of the host has set it: zero or null.
pub(super) fn zero(ty: TypeCode) -> Val {
    match ty {
        TypeCode::I32 => Val::I32(0),
        TypeCode::I64 => Val::I64(0),
        TypeCode::F32 => Val::F32(0),
        TypeCode::F64 => Val::F64(0),
        TypeCode::V128 => Val::V128([0; 16]),
        _ => match ty.heap() {
            TypeCode::HEAP_EXTERN | TypeCode::HEAP_NOEXTERN => Val::ExternRef(None),
            TypeCode::HEAP_EXN | TypeCode::HEAP_NOEXN => Val::ExnRef(None),
            _ => Val::FuncRef(None),
        },
    }
}

/// The values in the form of guests, if they have these types.
pub(super) fn lower_all(store: &Inner, values: &[Val], types: &[TypeCode]) -> Result<Vec<[u64; 2]>, Error> {
    if values.len() != types.len() {
        return Err(Error::usage(format!("{} values instead of {}", values.len(), types.len())));
    }
    values.iter().zip(types).map(|(value, &ty)| lower(store, value, ty)).collect()
}

/// The value in the form of guests, if it has this type.
pub(super) fn lower(store: &Inner, value: &Val, ty: TypeCode) -> Result<[u64; 2], Error> {
    let mismatch = || Error::usage(format!("{value:?} is not of type {}", store.types.val_type(ty)));
    let word = match (value, ty) {
        (Val::I32(value), TypeCode::I32) => u64::from(*value as u32),
        (Val::I64(value), TypeCode::I64) => *value as u64,
        (Val::F32(bits), TypeCode::F32) => u64::from(*bits),
        (Val::F64(bits), TypeCode::F64) => *bits,
        (Val::V128(bytes), TypeCode::V128) => {
            let value = u128::from_le_bytes(*bytes);
            return Ok([value as u64, (value >> 64) as u64]);
        }
        (Val::FuncRef(None) | Val::ExternRef(None) | Val::ExnRef(None), _) => {
            let bottom = match value {
                Val::FuncRef(_) => TypeCode::HEAP_NOFUNC,
                Val::ExternRef(_) => TypeCode::HEAP_NOEXTERN,
                _ => TypeCode::HEAP_NOEXN,
            };
            if !is_subtype(TypeCode::reference(true, bottom), ty) {
                return Err(mismatch());
            }
            0
        }
        (Val::FuncRef(Some(func)), _) => {
            let reference = store.follow(func.0)?;
            // SAFETY: the store owns what its handles refer to.
            let type_id = unsafe { reference.as_ref() }.type_id;
            if !is_subtype(TypeCode::typed_reference(false, type_id), ty) {
                return Err(mismatch());
            }
            func.for_guests(store)?.as_ptr() as u64
        }
        (Val::ExternRef(Some(ExternRef(number))), _) => {
            if !is_subtype(TypeCode::reference(false, TypeCode::HEAP_EXTERN), ty) {
                return Err(mismatch());
            }
            number.get()
        }
        (Val::ExnRef(Some(exception)), _) => {
            if !is_subtype(TypeCode::reference(false, TypeCode::HEAP_EXN), ty) {
                return Err(mismatch());
            }
            exception.pointer(store)? as u64
        }
        _ => return Err(mismatch()),
    };
    Ok([word, 0])
}

/// Values of these types that lie at `raw`.
///
/// # Safety
/// `raw` points to one valid value for each of these types, produced by a guest of this store.
pub(super) unsafe fn raise_all(store: &Inner, raw: *const [u64; 2], types: &[TypeCode]) -> Vec<Val> {
    // SAFETY: by this function's contract.
    types.iter().enumerate().map(|(i, &ty)| unsafe { raise(store, raw.add(i).read(), ty) }).collect()
}

/// The value that `[word, high]` holds. Bits beyond the width of the type may be anything.
///
/// # Safety
/// `[word, high]` is a valid value of type `ty`, produced by a guest of `store`.
pub(super) unsafe fn raise(store: &Inner, [word, high]: [u64; 2], ty: TypeCode) -> Val {
    match ty {
        TypeCode::I32 => Val::I32(word as i32),
        TypeCode::I64 => Val::I64(word as i64),
        TypeCode::F32 => Val::F32(word as u32),
        TypeCode::F64 => Val::F64(word),
        TypeCode::V128 => Val::V128((u128::from(high) << 64 | u128::from(word)).to_le_bytes()),
        _ => match ty.heap() {
            TypeCode::HEAP_EXTERN | TypeCode::HEAP_NOEXTERN => Val::ExternRef(ExternRef::new(word)),
            TypeCode::HEAP_EXN | TypeCode::HEAP_NOEXN => {
                let exception = word as *mut context::Exception;
                Val::ExnRef((word != 0).then(|| store.exceptions.hold(store.id, exception)))
            }
            _ => Val::FuncRef(NonNull::new(word as *mut FuncRef).map(|reference| Func(store.handle(reference)))),
        },
    }
}
