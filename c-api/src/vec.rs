//! Vectors of C: a length and an array.

use core::mem::{self, MaybeUninit};
use core::ptr;

use super::error::attempt;
use super::object::wasm_ref_t;
use super::trap::wasm_frame_t;
use super::types::{wasm_exporttype_t, wasm_externtype_t, wasm_importtype_t, wasm_valtype_t};
use super::val::wasm_val_t;

/// A vector. `data` of an empty one is null. Other data is an array that was a boxed slice, or, in a vector that C lends, an
/// array of C's own.
#[repr(C)]
pub struct Vector<T> {
    size: usize,
    data: *mut T,
}

pub(crate) type ByteVec = Vector<u8>;
pub(crate) type ValVec = Vector<wasm_val_t>;
pub(crate) type Refs = Vector<Option<Box<wasm_ref_t>>>;
pub(crate) type ValTypes = Vector<Option<Box<wasm_valtype_t>>>;

// SAFETY: a vector owns its elements.
unsafe impl<T: Send> Send for Vector<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Vector<T> {}

impl<T> Vector<T> {
    pub(crate) const EMPTY: Self = Self { size: 0, data: ptr::null_mut() };

    /// The elements.
    pub(crate) fn as_slice(&self) -> &[T] {
        match self.data.is_null() {
            true => &[],
            // SAFETY: by the header, there are so many elements.
            false => unsafe { core::slice::from_raw_parts(self.data, self.size) },
        }
    }

    /// Elements for C, or by C, to be written to, whatever is in them.
    pub(crate) fn as_places(&mut self) -> &mut [MaybeUninit<T>] {
        match self.data.is_null() {
            true => &mut [],
            // SAFETY: by the header, there is room for so many elements.
            false => unsafe { core::slice::from_raw_parts_mut(self.data.cast(), self.size) },
        }
    }

    /// Takes the elements out; the vector is empty then.
    pub(crate) fn take(&mut self) -> Vec<T> {
        let (size, data) = (mem::replace(&mut self.size, 0), mem::replace(&mut self.data, ptr::null_mut()));
        match data.is_null() {
            true => Vec::new(),
            // SAFETY: by the header, a vector that is given away is one that this crate has made: its array was a boxed slice.
            false => unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(data, size)) }.into_vec(),
        }
    }
}

impl<T> From<Vec<T>> for Vector<T> {
    fn from(elements: Vec<T>) -> Self {
        if elements.is_empty() {
            return Self::EMPTY;
        }
        Self { size: elements.len(), data: Box::into_raw(elements.into_boxed_slice()).cast() }
    }
}

impl<T> FromIterator<T> for Vector<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        elements.into_iter().collect::<Vec<_>>().into()
    }
}

/// Vectors within objects of this crate are its own.
impl<T> Drop for Vector<T> {
    fn drop(&mut self) {
        self.take();
    }
}

impl<T: Clone> Clone for Vector<T> {
    fn clone(&self) -> Self {
        self.as_slice().to_vec().into()
    }
}

/// The five functions of each kind of vector.
macro_rules! vectors {
    ($($name:literal $element:ty;)*) => {
        $(const _: () = {
            type Out<'a> = Option<&'a mut MaybeUninit<Vector<$element>>>;

            #[unsafe(export_name = concat!("wasm_", $name, "_vec_new_empty"))]
            pub extern "C" fn new_empty(out: Out<'_>) {
                write(out, Vec::new);
            }

            #[unsafe(export_name = concat!("wasm_", $name, "_vec_new_uninitialized"))]
            pub extern "C" fn new_uninitialized(out: Out<'_>, size: usize) {
                write(out, || (0..size).map(|_| <$element>::default()).collect());
            }

            /// # Safety
            /// By the header: null, or there are so many elements, which are given away.
            #[unsafe(export_name = concat!("wasm_", $name, "_vec_new"))]
            pub unsafe extern "C" fn new(out: Out<'_>, size: usize, elements: *const $element) {
                let size = if elements.is_null() { 0 } else { size };
                // SAFETY: by this function's contract.
                write(out, || (0..size).map(|index| unsafe { elements.add(index).read() }).collect());
            }

            #[unsafe(export_name = concat!("wasm_", $name, "_vec_copy"))]
            pub extern "C" fn copy(out: Out<'_>, vector: Option<&Vector<$element>>) {
                write(out, || vector.map_or_else(Vec::new, |vector| vector.as_slice().to_vec()));
            }

            #[unsafe(export_name = concat!("wasm_", $name, "_vec_delete"))]
            pub extern "C" fn delete(vector: Option<&mut Vector<$element>>) {
                drop(vector.map(Vector::take));
            }
        };)*
    };
}

/// Writes a new vector, where there is somewhere to write to.
fn write<T>(out: Option<&mut MaybeUninit<Vector<T>>>, elements: impl FnOnce() -> Vec<T>) {
    if let Some(out) = out {
        // Elements that do not fit into memory are an error, which leaves an empty vector.
        out.write(attempt(|| Ok(elements())).unwrap_or_default().into());
    }
}

vectors! {
    "byte" u8;
    "valtype" Option<Box<wasm_valtype_t>>;
    "functype" Option<Box<wasm_externtype_t>>;
    "globaltype" Option<Box<wasm_externtype_t>>;
    "tabletype" Option<Box<wasm_externtype_t>>;
    "memorytype" Option<Box<wasm_externtype_t>>;
    "tagtype" Option<Box<wasm_externtype_t>>;
    "externtype" Option<Box<wasm_externtype_t>>;
    "importtype" Option<Box<wasm_importtype_t>>;
    "exporttype" Option<Box<wasm_exporttype_t>>;
    "val" wasm_val_t;
    "frame" Option<Box<wasm_frame_t>>;
    "extern" Option<Box<wasm_ref_t>>;
}
