//! Slices of the data that the compiler wrote, which knows them by distances.

use wasmelt_abi::descriptor::RelSlice;

/// The elements of a slice.
pub fn slice<T>(slice: &RelSlice<T>) -> &[T] {
    let (start, len) = slice.get();
    // SAFETY: the compiler wrote the slice, with `len` elements at `start`; nothing ever writes to them.
    unsafe { core::slice::from_raw_parts(start, len) }
}
