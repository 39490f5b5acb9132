//! The memory functions that compiled code expects of every platform, under their C names. Their work is done in
//! [`wasmelt_runtime::memops`].

use wasmelt_runtime::memops;

/// Copies between places that may overlap.
///
/// # Safety
/// `len` bytes can be read at `src` and written at `dest`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memmove(dest: *mut u8, src: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the contract is the same.
    unsafe { memops::copy(dest, src, len) };
    dest
}

/// Copies between places that do not overlap.
///
/// # Safety
/// As [`memmove`].
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memcpy(dest: *mut u8, src: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the contract is the same. Knowing that nothing overlaps would save one comparison.
    unsafe { memmove(dest, src, len) }
}

/// Sets all bytes to the low byte of `value`.
///
/// # Safety
/// `len` bytes can be written at `dest`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memset(dest: *mut u8, value: i32, len: usize) -> *mut u8 {
    // SAFETY: the contract is the same.
    unsafe { memops::fill(dest, value as u8, len) };
    dest
}

/// Compares byte by byte.
///
/// # Safety
/// `len` bytes can be read at both places.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: the contract is the same.
    unsafe { memops::compare(a, b, len) }
}

/// Compares for equality: 0 where all bytes are the same.
///
/// # Safety
/// As [`memcmp`].
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    // SAFETY: the contract is the same.
    unsafe { memcmp(a, b, len) }
}
