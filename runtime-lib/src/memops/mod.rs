//! Copying, filling and comparing memory: what `memory.copy` and `memory.fill` come down to, and in a freestanding
//! executable also every copy that the compiler of the runtime makes.
//!
//! In come addresses and lengths that the caller has checked. Small sizes take overlapping loads and stores without a
//! loop, medium ones a loop over `CHUNK_BYTES`, large ones the CPU's own instruction where it has one.
//!
//! These functions are behind `memcpy` and its like, so nothing here may be compiled into a call of one of them: all
//! loops that could be recognised as a copy or a fill are in assembly.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
use aarch64 as arch;
#[cfg(target_arch = "x86_64")]
use x86_64 as arch;

use arch::{Chunk, load, splat, store};

/// Bytes of the widest register that every CPU of the architecture has.
const CHUNK_BYTES: usize = size_of::<Chunk>();

/// Up to this size there is no loop: at most this many bytes are in registers at once.
const REGISTERS_BYTES: usize = 8 * CHUNK_BYTES;

/// Copies between places that may overlap.
///
/// # Safety
/// `len` bytes can be read at `src` and written at `dest`.
#[inline(always)]
pub unsafe fn copy(dest: *mut u8, src: *const u8, len: usize) {
    // SAFETY: each branch reads and writes inside the `len` bytes, by the bound that it checked; all reads of a
    // branch come before its writes, so overlap does no harm.
    unsafe {
        if len <= CHUNK_BYTES {
            copy_small(dest, src, len);
        } else if len <= 2 * CHUNK_BYTES {
            copy_ends::<1>(dest, src, len);
        } else if len <= 4 * CHUNK_BYTES {
            copy_ends::<2>(dest, src, len);
        } else if len <= REGISTERS_BYTES {
            copy_ends::<4>(dest, src, len);
        } else if (dest as usize).wrapping_sub(src as usize) >= len {
            arch::copy_upwards(dest, src, len);
        } else {
            arch::copy_downwards(dest, src, len);
        }
    }
}

/// # Safety
/// As [`copy`], with at most [`CHUNK_BYTES`].
#[inline(always)]
unsafe fn copy_small(dest: *mut u8, src: *const u8, len: usize) {
    // SAFETY: by this function's contract, and the bounds that are checked.
    unsafe {
        if len >= 8 {
            copy_ends_of::<u64>(dest, src, len);
        } else if len >= 4 {
            copy_ends_of::<u32>(dest, src, len);
        } else if len >= 2 {
            copy_ends_of::<u16>(dest, src, len);
        } else if len == 1 {
            dest.write(src.read());
        }
    }
}

/// Copies the first and the last `T`, which together are everything.
///
/// # Safety
/// As [`copy`], with one to two times the size of `T`.
#[inline(always)]
unsafe fn copy_ends_of<T>(dest: *mut u8, src: *const u8, len: usize) {
    let last = len - size_of::<T>();
    // SAFETY: by this function's contract.
    unsafe {
        let (first, second) = (src.cast::<T>().read_unaligned(), src.add(last).cast::<T>().read_unaligned());
        dest.cast::<T>().write_unaligned(first);
        dest.add(last).cast::<T>().write_unaligned(second);
    }
}

/// Copies the first and the last `N` chunks, which together are everything.
///
/// # Safety
/// As [`copy`], with `N` to `2 * N` chunks.
#[inline(always)]
unsafe fn copy_ends<const N: usize>(dest: *mut u8, src: *const u8, len: usize) {
    let last = len - N * CHUNK_BYTES;
    // SAFETY: by this function's contract.
    unsafe {
        let first: [Chunk; N] = core::array::from_fn(|i| load(src.add(i * CHUNK_BYTES)));
        let second: [Chunk; N] = core::array::from_fn(|i| load(src.add(last + i * CHUNK_BYTES)));
        for (i, chunk) in first.into_iter().enumerate() {
            store(dest.add(i * CHUNK_BYTES), chunk);
        }
        for (i, chunk) in second.into_iter().enumerate() {
            store(dest.add(last + i * CHUNK_BYTES), chunk);
        }
    }
}

/// Copies between places that do not overlap, without calling anything: for code that runs once, so that a program
/// that copies nothing else does not carry the rest of this file.
///
/// # Safety
/// `len` bytes can be read at `src` and written at `dest`, and they do not overlap.
#[inline(always)]
pub unsafe fn copy_once(dest: *mut u8, src: *const u8, len: usize) {
    // SAFETY: by this function's contract.
    unsafe { arch::copy_by_instruction(dest, src, len) };
}

/// Sets all bytes to `value`.
///
/// # Safety
/// `len` bytes can be written at `dest`.
#[inline(always)]
pub unsafe fn fill(dest: *mut u8, value: u8, len: usize) {
    // SAFETY: each branch writes inside the `len` bytes, by the bound that it checked.
    unsafe {
        if len <= CHUNK_BYTES {
            fill_small(dest, u64::from(value).wrapping_mul(0x0101_0101_0101_0101), len);
        } else if len <= 2 * CHUNK_BYTES {
            fill_ends::<1>(dest, splat(value), len);
        } else if len <= 4 * CHUNK_BYTES {
            fill_ends::<2>(dest, splat(value), len);
        } else if len <= REGISTERS_BYTES {
            fill_ends::<4>(dest, splat(value), len);
        } else {
            arch::fill(dest, value, len);
        }
    }
}

/// # Safety
/// As [`fill`], with at most [`CHUNK_BYTES`].
#[inline(always)]
unsafe fn fill_small(dest: *mut u8, value: u64, len: usize) {
    // SAFETY: by this function's contract, and the bounds that are checked.
    unsafe {
        if len >= 8 {
            dest.cast::<u64>().write_unaligned(value);
            dest.add(len - 8).cast::<u64>().write_unaligned(value);
        } else if len >= 4 {
            dest.cast::<u32>().write_unaligned(value as u32);
            dest.add(len - 4).cast::<u32>().write_unaligned(value as u32);
        } else if len >= 2 {
            dest.cast::<u16>().write_unaligned(value as u16);
            dest.add(len - 2).cast::<u16>().write_unaligned(value as u16);
        } else if len == 1 {
            dest.write(value as u8);
        }
    }
}

/// # Safety
/// As [`fill`], with `N` to `2 * N` chunks.
#[inline(always)]
unsafe fn fill_ends<const N: usize>(dest: *mut u8, chunk: Chunk, len: usize) {
    let last = len - N * CHUNK_BYTES;
    for i in 0..N {
        // SAFETY: by this function's contract.
        unsafe {
            store(dest.add(i * CHUNK_BYTES), chunk);
            store(dest.add(last + i * CHUNK_BYTES), chunk);
        }
    }
}

/// Compares two places byte by byte: below, equal to or above zero as `a` is below, equal to or above `b`.
///
/// # Safety
/// `len` bytes can be read at both.
#[inline(always)]
pub unsafe fn compare(a: *const u8, b: *const u8, len: usize) -> i32 {
    let mut at = 0;
    while len - at >= 8 {
        // SAFETY: eight bytes are left. Read as big-endian numbers, the first byte counts most.
        let (x, y) = unsafe {
            (a.add(at).cast::<u64>().read_unaligned().to_be(), b.add(at).cast::<u64>().read_unaligned().to_be())
        };
        if x != y {
            return if x < y { -1 } else { 1 };
        }
        at += 8;
    }
    while at < len {
        // SAFETY: a byte is left.
        let (x, y) = unsafe { (a.add(at).read(), b.add(at).read()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        at += 1;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn numbers(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 7 + i / 256) as u8).collect()
    }

    /// Sizes around every branch, and some above the last threshold.
    fn sizes() -> impl Iterator<Item = usize> {
        (0..=300).chain([511, 512, 1000, 2047, 2048, 2049, 4095, 4096, 4097, 8191, 8192, 8200, 65_537, 1 << 20])
    }

    #[test]
    fn copies_are_exact_whatever_overlaps() {
        for len in sizes() {
            for distance in [0, 1, 7, 15, 16, 17, 63, 64, 65, 129, 5000] {
                for backwards in [false, true] {
                    let mut ours = numbers(len + distance + 64);
                    let mut expected = ours.clone();
                    let (src, dest) = if backwards { (32, 32 + distance) } else { (32 + distance, 32) };
                    expected.copy_within(src..src + len, dest);
                    let base = ours.as_mut_ptr();
                    // SAFETY: both ranges are inside the vector.
                    unsafe { copy(base.add(dest), base.add(src), len) };
                    assert!(ours == expected, "{len} bytes, {distance} apart, {backwards}");
                }
            }
        }
    }

    #[test]
    fn fills_are_exact() {
        for len in sizes() {
            for start in [0, 1, 8, 15] {
                let mut ours = numbers(len + 64);
                let mut expected = ours.clone();
                expected[start..start + len].fill(0xa5);
                // SAFETY: the range is inside the vector.
                unsafe { fill(ours.as_mut_ptr().add(start), 0xa5, len) };
                assert!(ours == expected, "{len} bytes from {start}");
            }
        }
    }

    #[test]
    fn comparison_finds_the_first_difference() {
        for len in 0..40 {
            let a = numbers(len);
            // SAFETY: both are that long.
            let compare = |b: &[u8]| unsafe { compare(a.as_ptr(), b.as_ptr(), len) };
            assert_eq!(compare(&a), 0);
            for at in 0..len {
                let mut b = a.clone();
                b[at] ^= 0x80;
                b[at + 1..].fill(0);
                assert_eq!(compare(&b) < 0, a[..] < b[..], "{len} {at}");
                assert_ne!(compare(&b), 0);
            }
        }
    }
}
