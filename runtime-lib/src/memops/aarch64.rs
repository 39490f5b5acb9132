//! The loops of aarch64. The baseline of this architecture has no instruction for large sizes.

use core::arch::aarch64::{uint8x16_t, vdupq_n_u8, vld1q_u8, vst1q_u8};
use core::arch::asm;

use super::CHUNK_BYTES;

/// What one register holds.
pub(super) type Chunk = uint8x16_t;

/// Bytes that a round of the loops moves.
const BLOCK_BYTES: usize = 4 * CHUNK_BYTES;

/// # Safety
/// [`CHUNK_BYTES`] can be read.
#[inline(always)]
pub(super) unsafe fn load(from: *const u8) -> Chunk {
    // SAFETY: by this function's contract; NEON is part of aarch64.
    unsafe { vld1q_u8(from) }
}

/// # Safety
/// [`CHUNK_BYTES`] can be written.
#[inline(always)]
pub(super) unsafe fn store(to: *mut u8, chunk: Chunk) {
    // SAFETY: by this function's contract; NEON is part of aarch64.
    unsafe { vst1q_u8(to, chunk) }
}

#[inline(always)]
pub(super) fn splat(value: u8) -> Chunk {
    // SAFETY: NEON is part of aarch64.
    unsafe { vdupq_n_u8(value) }
}

/// Copies from the lowest address on.
///
/// # Safety
/// As [`super::copy`], with more than eight chunks, and no byte of `src` is at or above `dest` unless all are.
#[inline(always)]
pub(super) unsafe fn copy_upwards(dest: *mut u8, src: *const u8, len: usize) {
    // The loop's stores are aligned. It covers whole blocks from the first aligned chunk on; the first chunk and the
    // last block are read before it could overwrite them.
    let skip = CHUNK_BYTES - (dest as usize & (CHUNK_BYTES - 1));
    let tail = len - BLOCK_BYTES;
    // SAFETY: there are more than two blocks, so `skip`, which is at most a chunk, and `tail` are inside. The loop
    // ends before `tail` plus a block.
    unsafe {
        let head = load(src);
        let (t0, t1) = (load(src.add(tail)), load(src.add(tail + CHUNK_BYTES)));
        let (t2, t3) = (load(src.add(tail + 2 * CHUNK_BYTES)), load(src.add(tail + 3 * CHUNK_BYTES)));
        asm!(
            "2:",
            "ldp {a:q}, {b:q}, [{src}]",
            "ldp {c:q}, {d:q}, [{src}, 32]",
            "add {src}, {src}, 64",
            "stp {a:q}, {b:q}, [{dest}]",
            "stp {c:q}, {d:q}, [{dest}, 32]",
            "add {dest}, {dest}, 64",
            "cmp {dest}, {end}",
            "b.lo 2b",
            src = inout(reg) src.add(skip) => _,
            dest = inout(reg) dest.add(skip) => _,
            end = in(reg) dest.add(tail),
            a = out(vreg) _, b = out(vreg) _, c = out(vreg) _, d = out(vreg) _,
            options(nostack)
        );
        store(dest.add(tail), t0);
        store(dest.add(tail + CHUNK_BYTES), t1);
        store(dest.add(tail + 2 * CHUNK_BYTES), t2);
        store(dest.add(tail + 3 * CHUNK_BYTES), t3);
        store(dest, head);
    }
}

/// Copies with as little code as possible.
///
/// # Safety
/// `len` bytes can be read at `src` and written at `dest`, and no byte of `src` is at or above `dest` unless all are.
#[inline(always)]
pub(super) unsafe fn copy_by_instruction(dest: *mut u8, src: *const u8, len: usize) {
    // SAFETY: by this function's contract: first whole words, then the bytes that are left.
    unsafe {
        asm!(
            "2:",
            "subs {len}, {len}, 8",
            "b.lo 3f",
            "ldr {word}, [{src}], 8",
            "str {word}, [{dest}], 8",
            "b 2b",
            "3:",
            "adds {len}, {len}, 8",
            "4:",
            "b.eq 5f",
            "ldrb {word:w}, [{src}], 1",
            "strb {word:w}, [{dest}], 1",
            "subs {len}, {len}, 1",
            "b 4b",
            "5:",
            len = inout(reg) len => _, dest = inout(reg) dest => _, src = inout(reg) src => _,
            word = out(reg) _,
            options(nostack)
        );
    }
}

/// Copies from the highest address on.
///
/// # Safety
/// As [`super::copy`], with more than eight chunks.
#[inline(always)]
pub(super) unsafe fn copy_downwards(dest: *mut u8, src: *const u8, len: usize) {
    // The mirror image of the loop above.
    let skip = (dest as usize + len) & (CHUNK_BYTES - 1);
    let top = len - if skip == 0 { CHUNK_BYTES } else { skip };
    // SAFETY: there are more than two blocks, so the first block and the last chunk are inside. The loop ends above
    // `dest`.
    unsafe {
        let last = load(src.add(len - CHUNK_BYTES));
        let (h0, h1) = (load(src), load(src.add(CHUNK_BYTES)));
        let (h2, h3) = (load(src.add(2 * CHUNK_BYTES)), load(src.add(3 * CHUNK_BYTES)));
        asm!(
            "2:",
            "ldp {a:q}, {b:q}, [{src}, -32]",
            "ldp {c:q}, {d:q}, [{src}, -64]",
            "sub {src}, {src}, 64",
            "stp {a:q}, {b:q}, [{dest}, -32]",
            "stp {c:q}, {d:q}, [{dest}, -64]",
            "sub {dest}, {dest}, 64",
            "cmp {dest}, {end}",
            "b.hi 2b",
            src = inout(reg) src.add(top) => _,
            dest = inout(reg) dest.add(top) => _,
            end = in(reg) dest.add(BLOCK_BYTES),
            a = out(vreg) _, b = out(vreg) _, c = out(vreg) _, d = out(vreg) _,
            options(nostack)
        );
        store(dest, h0);
        store(dest.add(CHUNK_BYTES), h1);
        store(dest.add(2 * CHUNK_BYTES), h2);
        store(dest.add(3 * CHUNK_BYTES), h3);
        store(dest.add(len - CHUNK_BYTES), last);
    }
}

/// Sets all bytes.
///
/// # Safety
/// As [`super::fill`], with more than eight chunks.
#[inline(always)]
pub(super) unsafe fn fill(dest: *mut u8, value: u8, len: usize) {
    let chunk = splat(value);
    let skip = CHUNK_BYTES - (dest as usize & (CHUNK_BYTES - 1));
    let tail = len - BLOCK_BYTES;
    // SAFETY: there are more than two blocks, so `skip`, which is at most a chunk, and `tail` are inside. The loop
    // ends before `tail` plus a block.
    unsafe {
        store(dest, chunk);
        asm!(
            "2:",
            "stp {chunk:q}, {chunk:q}, [{dest}]",
            "stp {chunk:q}, {chunk:q}, [{dest}, 32]",
            "add {dest}, {dest}, 64",
            "cmp {dest}, {end}",
            "b.lo 2b",
            dest = inout(reg) dest.add(skip) => _,
            end = in(reg) dest.add(tail),
            chunk = in(vreg) chunk,
            options(nostack)
        );
        for i in 0..4 {
            store(dest.add(tail + i * CHUNK_BYTES), chunk);
        }
    }
}
