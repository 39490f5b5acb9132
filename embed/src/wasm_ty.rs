//! Rust types that are values of WebAssembly: parameters and results of functions that are typed when the host is compiled.

// ---------------------------------------------------------------------------------------------------------------
// Security: each Rust type names the one type of WebAssembly whose values it holds; references are checked as in `value`.
// ---------------------------------------------------------------------------------------------------------------

use wasmelt_abi::interface::TypeCode;

use super::registry::val_type;
use super::store::Inner;
use super::value::{self, Val};
use super::{Error, Exception, ExternRef, Func, HeapType, ValType};

/// A Rust type whose values are values of WebAssembly: `i32` and `u32`, `i64` and `u64`, `f32`, `f64`, `[u8; 16]`
/// (`v128`, little-endian), [`Func`], [`ExternRef`], [`Exception`], and the last three in an `Option`, where `None` is null.
pub trait WasmTy: sealed::Value {}

/// The parameters of a function: nothing, one value, or a tuple of values.
pub trait WasmParams: sealed::Values {}

/// The results of a function: nothing, one value, or a tuple of values.
pub trait WasmResults: sealed::Values {}

/// What a function of the host returns: its results, or a `Result` with its results.
pub trait WasmRet: sealed::Return {}

/// The most parameters, and the most results, that a list can have.
pub(super) const MAX_VALUES: usize = 16;

pub(super) mod sealed {
    use super::{Error, Inner, TypeCode};

    /// A value.
    pub trait Value: Send + Sized {
        /// Its type.
        #[doc(hidden)]
        const CODE: TypeCode;

        /// Puts the value where guests look for it.
        ///
        /// # Safety
        /// `place` can be written to.
        #[doc(hidden)]
        unsafe fn lower(self, store: &Inner, place: *mut [u64; 2]) -> Result<(), Error>;

        /// The value that a guest has put there.
        ///
        /// # Safety
        /// A value of the type is there, made by a guest of this store.
        #[doc(hidden)]
        unsafe fn raise(store: &Inner, place: *const [u64; 2]) -> Self;
    }

    /// A list of values.
    pub trait Values: Send + Sized {
        /// Their types.
        #[doc(hidden)]
        const CODES: &'static [TypeCode];

        /// As [`Value::lower`], for one after the other.
        ///
        /// # Safety
        /// There is room for each value.
        #[doc(hidden)]
        unsafe fn lower(self, store: &Inner, places: *mut [u64; 2]) -> Result<(), Error>;

        /// As [`Value::raise`], for one after the other.
        ///
        /// # Safety
        /// As there, for each value.
        #[doc(hidden)]
        unsafe fn raise(store: &Inner, places: *const [u64; 2]) -> Self;
    }

    /// What a function of the host returns.
    pub trait Return {
        #[doc(hidden)]
        type Results: Values;

        #[doc(hidden)]
        fn into_results(self) -> Result<Self::Results, Error>;
    }
}

/// The types of a list for the host. None of the codes names a type by its number.
pub(super) fn val_types(codes: &'static [TypeCode]) -> impl Iterator<Item = ValType> {
    codes.iter().map(|&code| val_type(code, |_| HeapType::Recursive))
}

macro_rules! number {
    ($($rust:ty: $code:ident, $lower:expr, $raise:expr;)*) => {
        $(impl WasmTy for $rust {}

        impl sealed::Value for $rust {
            const CODE: TypeCode = TypeCode::$code;

            #[inline]
            unsafe fn lower(self, _store: &Inner, place: *mut [u64; 2]) -> Result<(), Error> {
                let lower: fn(Self) -> u64 = $lower;
                // SAFETY: by this function's contract. Nobody reads the second half of a number.
                unsafe { place.cast::<u64>().write(lower(self)) };
                Ok(())
            }

            #[inline]
            unsafe fn raise(_store: &Inner, place: *const [u64; 2]) -> Self {
                let raise: fn(u64) -> Self = $raise;
                // SAFETY: by this function's contract.
                raise(unsafe { place.cast::<u64>().read() })
            }
        })*
    };
}

number! {
    i32: I32, |value| u64::from(value as u32), |word| word as i32;
    u32: I32, u64::from, |word| word as u32;
    i64: I64, |value| value as u64, |word| word as i64;
    u64: I64, |value| value, |word| word;
    f32: F32, |value| u64::from(value.to_bits()), |word| f32::from_bits(word as u32);
    f64: F64, f64::to_bits, f64::from_bits;
}

impl WasmTy for [u8; 16] {}

impl sealed::Value for [u8; 16] {
    const CODE: TypeCode = TypeCode::V128;

    unsafe fn lower(self, _store: &Inner, place: *mut [u64; 2]) -> Result<(), Error> {
        // SAFETY: by this function's contract.
        unsafe { place.cast::<Self>().write(self) };
        Ok(())
    }

    unsafe fn raise(_store: &Inner, place: *const [u64; 2]) -> Self {
        // SAFETY: by this function's contract.
        unsafe { place.cast::<Self>().read() }
    }
}

/// References, nullable and not: as [`Val`]s.
macro_rules! reference {
    ($($rust:ty: $heap:ident, $variant:ident;)*) => {
        $(impl WasmTy for Option<$rust> {}

        impl sealed::Value for Option<$rust> {
            const CODE: TypeCode = TypeCode::reference(true, TypeCode::$heap);

            unsafe fn lower(self, store: &Inner, place: *mut [u64; 2]) -> Result<(), Error> {
                let value = value::lower(store, &Val::$variant(self), Self::CODE)?;
                // SAFETY: by this function's contract.
                unsafe { place.write(value) };
                Ok(())
            }

            unsafe fn raise(store: &Inner, place: *const [u64; 2]) -> Self {
                // SAFETY: by this function's contract; the second half means nothing, and may not be there.
                match unsafe { value::raise(store, [place.cast::<u64>().read(), 0], Self::CODE) } {
                    Val::$variant(reference) => reference,
                    _ => None,
                }
            }
        }

        impl WasmTy for $rust {}

        impl sealed::Value for $rust {
            const CODE: TypeCode = TypeCode::reference(false, TypeCode::$heap);

            unsafe fn lower(self, store: &Inner, place: *mut [u64; 2]) -> Result<(), Error> {
                // SAFETY: by this function's contract.
                unsafe { Some(self).lower(store, place) }
            }

            unsafe fn raise(store: &Inner, place: *const [u64; 2]) -> Self {
                // SAFETY: by this function's contract.
                let reference = unsafe { <Option<Self> as sealed::Value>::raise(store, place) };
                reference.expect("a guest's reference that is not null")
            }
        })*
    };
}

reference! {
    Func: HEAP_FUNC, FuncRef;
    ExternRef: HEAP_EXTERN, ExternRef;
    Exception: HEAP_EXN, ExnRef;
}

impl<V: WasmTy> WasmParams for V {}
impl<V: WasmTy> WasmResults for V {}

impl<V: WasmTy> sealed::Values for V {
    const CODES: &'static [TypeCode] = &[V::CODE];

    #[inline]
    unsafe fn lower(self, store: &Inner, places: *mut [u64; 2]) -> Result<(), Error> {
        // SAFETY: by this function's contract.
        unsafe { <V as sealed::Value>::lower(self, store, places) }
    }

    #[inline]
    unsafe fn raise(store: &Inner, places: *const [u64; 2]) -> Self {
        // SAFETY: by this function's contract.
        unsafe { <V as sealed::Value>::raise(store, places) }
    }
}

/// Tuples; `$index` is the place of each value.
macro_rules! tuple {
    ($($value:ident $index:tt),*) => {
        impl<$($value: WasmTy),*> WasmParams for ($($value,)*) {}
        impl<$($value: WasmTy),*> WasmResults for ($($value,)*) {}

        #[allow(clippy::unused_unit, unused_variables, reason = "the empty tuple")]
        impl<$($value: WasmTy),*> sealed::Values for ($($value,)*) {
            const CODES: &'static [TypeCode] = &[$($value::CODE),*];

            #[inline]
            unsafe fn lower(self, store: &Inner, places: *mut [u64; 2]) -> Result<(), Error> {
                // SAFETY: by this function's contract.
                $(unsafe { self.$index.lower(store, places.add($index))? };)*
                Ok(())
            }

            #[inline]
            unsafe fn raise(store: &Inner, places: *const [u64; 2]) -> Self {
                // SAFETY: by this function's contract.
                ($(unsafe { <$value as sealed::Value>::raise(store, places.add($index)) },)*)
            }
        }

        impl<$($value: WasmTy),*> WasmRet for ($($value,)*) {}

        impl<$($value: WasmTy),*> sealed::Return for ($($value,)*) {
            type Results = Self;

            #[inline]
            fn into_results(self) -> Result<Self, Error> {
                Ok(self)
            }
        }
    };
}

/// Calls `$each` with each list of at most [`MAX_VALUES`] types and their places.
macro_rules! for_each_list {
    ($each:ident) => {
        for_each_list!($each: [] A0 0, A1 1, A2 2, A3 3, A4 4, A5 5, A6 6, A7 7, A8 8, A9 9, A10 10, A11 11, A12 12, A13 13, A14 14, A15 15);
    };
    ($each:ident: [$($done:ident $at:tt),*]) => { $each!($($done $at),*); };
    ($each:ident: [$($done:ident $at:tt),*] $next:ident $index:tt $(, $rest:ident $rest_at:tt)*) => {
        $each!($($done $at),*);
        for_each_list!($each: [$($done $at,)* $next $index] $($rest $rest_at),*);
    };
}
pub(super) use for_each_list;

for_each_list!(tuple);

impl<V: WasmTy> WasmRet for V {}

impl<V: WasmTy> sealed::Return for V {
    type Results = V;

    #[inline]
    fn into_results(self) -> Result<V, Error> {
        Ok(self)
    }
}

impl<R: WasmRet> WasmRet for Result<R, Error> {}

impl<R: WasmRet> sealed::Return for Result<R, Error> {
    type Results = R::Results;

    #[inline]
    fn into_results(self) -> Result<R::Results, Error> {
        self?.into_results()
    }
}
