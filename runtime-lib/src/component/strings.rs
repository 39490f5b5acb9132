//! Strings on their way from one component to another: UTF-8, UTF-16, and *compact* strings, which are Latin-1, or UTF-16
//! with a tag in their length.
//!
//! In come addresses and lengths of two guests, and their memories; out come units in the destination, and how many.
//! Adapters have checked addresses and allocated room; here they are checked once more.
//! Source: component model, "Canonical ABI" (`store_string`).
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: both ranges must lie in their memories, be aligned and not overlap, before any reference to them is ║
//! ║ made. Nothing else runs while the references live: programs that were components have one thread.            ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use core::slice;

use wasmelt_abi::canonical::{Span, Transcoding};

use super::encodings::{
    Fault, Result, as_utf8_bytes, characters, copy, copy_utf8, copy_utf16, utf8_as_latin1, utf8_as_utf16,
    utf16_as_latin1, widen, widen_in_place,
};
use super::traps;

/// The bit in the length of a compact string that says that it is UTF-16.
const UTF16_TAG: u64 = 1 << 31;

/// Address of `count` units of `T`, all of them in the memory, and how many they are.
fn range<T>(memory: Span, at: u64, count: u64) -> Result<(*mut T, usize)> {
    let len = count.checked_mul(size_of::<T>() as u64).ok_or(Fault::OutOfBounds)?;
    let end = at.checked_add(len).ok_or(Fault::OutOfBounds)?;
    if end > memory.len_bytes {
        return Err(Fault::OutOfBounds);
    }
    let start = memory.base.wrapping_add(at as usize).cast::<T>();
    if !start.is_aligned() {
        return Err(Fault::Unaligned);
    }
    Ok((start, count as usize))
}

/// The source and the destination of a call.
///
/// # Safety
/// The memories of the call are mapped, and nothing else uses them as long as the result lives.
unsafe fn both<'a, F, T>(call: &Transcoding, from: (u64, u64), to: (u64, u64)) -> Result<(&'a [F], &'a mut [T])> {
    let (source, source_len) = range::<F>(call.from, from.0, from.1)?;
    let (destination, destination_len) = range::<T>(call.to, to.0, to.1)?;
    let (source_at, destination_at) = (source as usize, destination as usize);
    let source_end = source_at + source_len * size_of::<F>();
    let destination_end = destination_at + destination_len * size_of::<T>();
    let is_empty = source_len == 0 || destination_len == 0;
    if !is_empty && source_at < destination_end && destination_at < source_end {
        return Err(Fault::Overlap);
    }
    // SAFETY: both ranges were checked to lie in mapped memory, to be aligned and to be apart; integers have no invalid
    // values.
    Ok(unsafe { (slice::from_raw_parts(source, source_len), slice::from_raw_parts_mut(destination, destination_len)) })
}

/// Performs a call: both ranges in, what `convert` returns out. A fault traps.
///
/// # Safety
/// `call` is what generated code passes: its context is live, its memories are mapped.
unsafe fn perform<F, T>(
    call: *mut Transcoding,
    from: (u64, u64),
    to: (u64, u64),
    convert: impl FnOnce(&[F], &mut [T]) -> Result<(u64, u64)>,
) -> u64 {
    // SAFETY: by this function's contract.
    let call = unsafe { &mut *call };
    // SAFETY: by this function's contract; a component has one thread.
    let done = unsafe { both(call, from, to) }.and_then(|(from, to)| convert(from, to));
    match done {
        Ok((result, written)) => {
            call.written = written;
            result
        }
        // SAFETY: by this function's contract, generated code of that context's program called.
        Err(fault) => unsafe { traps::raise_listed(call.vmctx, Fault::MESSAGES, fault as usize) },
    }
}

/// Copies UTF-8.
///
/// # Safety
/// `call` is what generated code passes to functions of strings.
#[unsafe(export_name = "canon.utf8_to_utf8")]
pub unsafe extern "C" fn utf8_to_utf8(call: *mut Transcoding, from: u64, len: u64, to: u64) {
    // SAFETY: by this function's contract.
    unsafe { perform(call, (from, len), (to, len), |from: &[u8], to: &mut [u8]| copy_utf8(from, to).map(|()| (0, 0))) };
}

/// Copies UTF-16.
///
/// # Safety
/// As for [`utf8_to_utf8`].
#[unsafe(export_name = "canon.utf16_to_utf16")]
pub unsafe extern "C" fn utf16_to_utf16(call: *mut Transcoding, from: u64, len: u64, to: u64) {
    // SAFETY: by this function's contract.
    unsafe {
        perform(call, (from, len), (to, len), |from: &[u16], to: &mut [u16]| copy_utf16(from, to).map(|_| (0, 0)))
    };
}

/// Copies Latin-1.
///
/// # Safety
/// As for [`utf8_to_utf8`].
#[unsafe(export_name = "canon.latin1_to_latin1")]
pub unsafe extern "C" fn latin1_to_latin1(call: *mut Transcoding, from: u64, len: u64, to: u64) {
    // SAFETY: by this function's contract.
    unsafe { perform(call, (from, len), (to, len), |from: &[u8], to: &mut [u8]| copy(from, to).map(|()| (0, 0))) };
}

/// Latin-1 to UTF-16.
///
/// # Safety
/// As for [`utf8_to_utf8`].
#[unsafe(export_name = "canon.latin1_to_utf16")]
pub unsafe extern "C" fn latin1_to_utf16(call: *mut Transcoding, from: u64, len: u64, to: u64) {
    let convert = |from: &[u8], to: &mut [u16]| {
        widen(from, to);
        Ok((0, 0))
    };
    // SAFETY: by this function's contract.
    unsafe { perform(call, (from, len), (to, len), convert) };
}

/// UTF-8 to UTF-16.
///
/// # Safety
/// As for [`utf8_to_utf8`].
#[unsafe(export_name = "canon.utf8_to_utf16")]
pub unsafe extern "C" fn utf8_to_utf16(call: *mut Transcoding, from: u64, len: u64, to: u64) -> u64 {
    let convert = |from: &[u8], to: &mut [u16]| Ok((utf8_as_utf16(from, to)? as u64, 0));
    // SAFETY: by this function's contract.
    unsafe { perform(call, (from, len), (to, len), convert) }
}

/// UTF-16 to UTF-16, or to Latin-1 where that has all characters.
///
/// # Safety
/// As for [`utf8_to_utf8`].
#[unsafe(export_name = "canon.utf16_to_compact_probably_utf16")]
pub unsafe extern "C" fn utf16_to_compact_probably_utf16(call: *mut Transcoding, from: u64, len: u64, to: u64) -> u64 {
    let convert = |from: &[u16], to: &mut [u16]| {
        if !copy_utf16(from, to)? {
            return Ok((len | UTF16_TAG, 0));
        }
        // Two bytes of Latin-1 make one unit of the destination.
        for (pair, slot) in from.chunks(2).zip(to) {
            let byte = |unit: Option<&u16>| unit.map_or(0, |unit| u16::from_le(*unit) as u8);
            *slot = u16::from_ne_bytes([byte(pair.first()), byte(pair.get(1))]);
        }
        Ok((len, 0))
    };
    // SAFETY: by this function's contract.
    unsafe { perform(call, (from, len), (to, len), convert) }
}

/// The start of UTF-8 as Latin-1.
///
/// # Safety
/// As for [`utf8_to_utf8`].
#[unsafe(export_name = "canon.utf8_to_latin1")]
pub unsafe extern "C" fn utf8_to_latin1(call: *mut Transcoding, from: u64, len: u64, to: u64) -> u64 {
    let convert = |from: &[u8], to: &mut [u8]| {
        let (read, written) = utf8_as_latin1(from, to);
        Ok((read as u64, written as u64))
    };
    // SAFETY: by this function's contract.
    unsafe { perform(call, (from, len), (to, len), convert) }
}

/// The start of UTF-16 as Latin-1.
///
/// # Safety
/// As for [`utf8_to_utf8`].
#[unsafe(export_name = "canon.utf16_to_latin1")]
pub unsafe extern "C" fn utf16_to_latin1(call: *mut Transcoding, from: u64, len: u64, to: u64) -> u64 {
    let convert = |from: &[u16], to: &mut [u8]| {
        let len = utf16_as_latin1(from, to) as u64;
        Ok((len, len))
    };
    // SAFETY: by this function's contract.
    unsafe { perform(call, (from, len), (to, len), convert) }
}

/// UTF-16 to UTF-8, as far as there is room.
///
/// # Safety
/// As for [`utf8_to_utf8`].
#[unsafe(export_name = "canon.utf16_to_utf8")]
pub unsafe extern "C" fn utf16_to_utf8(
    call: *mut Transcoding,
    from: u64,
    len: u64,
    to: u64,
    room: u64,
    first_pass: u64,
) -> u64 {
    let convert = |from: &[u16], to: &mut [u8]| as_utf8_bytes(characters(from), |c| c.len_utf16(), to, first_pass != 0);
    // SAFETY: by this function's contract.
    unsafe { perform(call, (from, len), (to, room), convert) }
}

/// Latin-1 to UTF-8, as far as there is room.
///
/// # Safety
/// As for [`utf8_to_utf8`].
#[unsafe(export_name = "canon.latin1_to_utf8")]
pub unsafe extern "C" fn latin1_to_utf8(
    call: *mut Transcoding,
    from: u64,
    len: u64,
    to: u64,
    room: u64,
    first_pass: u64,
) -> u64 {
    let convert = |from: &[u8], to: &mut [u8]| {
        as_utf8_bytes(from.iter().map(|byte| Ok(char::from(*byte))), |_| 1, to, first_pass != 0)
    };
    // SAFETY: by this function's contract.
    unsafe { perform(call, (from, len), (to, room), convert) }
}

/// The rest of UTF-8 to UTF-16, behind what was written as Latin-1.
///
/// # Safety
/// As for [`utf8_to_utf8`].
#[unsafe(export_name = "canon.utf8_to_compact_utf16")]
pub unsafe extern "C" fn utf8_to_compact_utf16(
    call: *mut Transcoding,
    from: u64,
    len: u64,
    to: u64,
    room: u64,
    latin1: u64,
) -> u64 {
    let convert = |from: &[u8], to: &mut [u16]| {
        let rest = widen_in_place(to, latin1)?;
        Ok((latin1 + utf8_as_utf16(from, rest)? as u64, 0))
    };
    // SAFETY: by this function's contract.
    unsafe { perform(call, (from, len), (to, room), convert) }
}

/// The rest of UTF-16 to UTF-16, behind what was written as Latin-1.
///
/// # Safety
/// As for [`utf8_to_utf8`].
#[unsafe(export_name = "canon.utf16_to_compact_utf16")]
pub unsafe extern "C" fn utf16_to_compact_utf16(
    call: *mut Transcoding,
    from: u64,
    len: u64,
    to: u64,
    room: u64,
    latin1: u64,
) -> u64 {
    let convert = |from: &[u16], to: &mut [u16]| {
        let rest = widen_in_place(to, latin1)?;
        copy_utf16(from, rest)?;
        Ok((latin1 + len, 0))
    };
    // SAFETY: by this function's contract.
    unsafe { perform(call, (from, len), (to, room), convert) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_outside_unaligned_or_overlapping_are_refused() {
        let mut store = [0u64; 8];
        let whole = Span { base: store.as_mut_ptr().cast(), len_bytes: 64 };
        let call = Transcoding { vmctx: core::ptr::null_mut(), from: whole, to: whole, written: 0 };
        let fault = |from, to| {
            // SAFETY: the array lives, and nothing else uses it.
            unsafe { both::<u8, u16>(&call, from, to) }.err()
        };
        assert_eq!(fault((0, 16), (16, 24)), None);
        assert_eq!(fault((0, 65), (0, 0)), Some(Fault::OutOfBounds));
        assert_eq!(fault((u64::MAX, 1), (0, 0)), Some(Fault::OutOfBounds));
        assert_eq!(fault((0, 0), (64, 1)), Some(Fault::OutOfBounds));
        assert_eq!(fault((0, 0), (0, u64::MAX / 2 + 1)), Some(Fault::OutOfBounds));
        assert_eq!(fault((0, 0), (1, 1)), Some(Fault::Unaligned));
        assert_eq!(fault((0, 17), (16, 24)), Some(Fault::Overlap));
        assert_eq!(fault((63, 1), (16, 24)), Some(Fault::Overlap));
        assert_eq!(fault((20, 0), (16, 24)), None, "nothing overlaps nothing");
    }
}
