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

/// Makes [`Transcoder`], and the function that generated code calls for each, by its name in [`wasmelt_abi::canonical`].
macro_rules! transcoders {
    ($($(#[$doc:meta])* $transcoder:ident = $function:ident($($param:ident)*) $(-> $result:ty)?;)*) => {
        /// What a function of strings does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Transcoder {
            $($(#[$doc])* $transcoder,)*
        }

        impl Transcoder {
            const ALL: &[(&str, Self)] = &[$((stringify!($function), Self::$transcoder),)*];
        }

        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// `call` is what generated code passes to functions of strings: its context is live, its memories are mapped.
            #[unsafe(export_name = concat!("canon.", stringify!($function)))]
            pub unsafe extern "C" fn $function(call: *mut Transcoding, $($param: u64),*) $(-> $result)? {
                // SAFETY: by this function's contract.
                let _result = unsafe { perform(Transcoder::$transcoder, call, arguments([$($param),*])) };
                $(_result as $result)?
            }
        )*
    };
}

transcoders! {
    /// Copies UTF-8.
    Utf8ToUtf8 = utf8_to_utf8(from len to);
    /// Copies UTF-16.
    Utf16ToUtf16 = utf16_to_utf16(from len to);
    /// Copies Latin-1.
    Latin1ToLatin1 = latin1_to_latin1(from len to);
    /// Latin-1 to UTF-16.
    Latin1ToUtf16 = latin1_to_utf16(from len to);
    /// UTF-8 to UTF-16.
    Utf8ToUtf16 = utf8_to_utf16(from len to) -> u64;
    /// UTF-16 to UTF-16, or to Latin-1 where that has all characters.
    Utf16ToCompactProbablyUtf16 = utf16_to_compact_probably_utf16(from len to) -> u64;
    /// The start of UTF-8 as Latin-1.
    Utf8ToLatin1 = utf8_to_latin1(from len to) -> u64;
    /// The start of UTF-16 as Latin-1.
    Utf16ToLatin1 = utf16_to_latin1(from len to) -> u64;
    /// UTF-16 to UTF-8, as far as there is room.
    Utf16ToUtf8 = utf16_to_utf8(from len to room further) -> u64;
    /// Latin-1 to UTF-8, as far as there is room.
    Latin1ToUtf8 = latin1_to_utf8(from len to room further) -> u64;
    /// The rest of UTF-8 to UTF-16, behind what was written as Latin-1.
    Utf8ToCompactUtf16 = utf8_to_compact_utf16(from len to room further) -> u64;
    /// The rest of UTF-16 to UTF-16, behind what was written as Latin-1.
    Utf16ToCompactUtf16 = utf16_to_compact_utf16(from len to room further) -> u64;
}

/// Parameters of a function of strings, with 0 for those that the function does not have.
#[inline(always)]
fn arguments<const N: usize>(params: [u64; N]) -> [u64; 5] {
    core::array::from_fn(|index| params.get(index).copied().unwrap_or(0))
}

impl Transcoder {
    /// The function with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|&(_, transcoder)| transcoder)
    }

    /// Copies a string: what the function returns, and how many units were written, where that is told. `args` are the
    /// parameters, with 0 for those that the function does not have.
    ///
    /// # Safety
    /// The memories of the call are mapped, and nothing else uses them meanwhile.
    #[inline(always)]
    unsafe fn copy(self, call: &Transcoding, [from, len, to, room, further]: [u64; 5]) -> Result<(u64, u64)> {
        macro_rules! both {
            ($from:ty, $to:ty, $room:expr) => {
                // SAFETY: by this function's contract.
                unsafe { both::<$from, $to>(call, (from, len), (to, $room)) }?
            };
        }
        match self {
            Self::Utf8ToUtf8 => {
                let (from, to) = both!(u8, u8, len);
                copy_utf8(from, to).map(|()| (0, 0))
            }
            Self::Utf16ToUtf16 => {
                let (from, to) = both!(u16, u16, len);
                copy_utf16(from, to).map(|_| (0, 0))
            }
            Self::Latin1ToLatin1 => {
                let (from, to) = both!(u8, u8, len);
                copy(from, to).map(|()| (0, 0))
            }
            Self::Latin1ToUtf16 => {
                let (from, to) = both!(u8, u16, len);
                widen(from, to);
                Ok((0, 0))
            }
            Self::Utf8ToUtf16 => {
                let (from, to) = both!(u8, u16, len);
                Ok((utf8_as_utf16(from, to)? as u64, 0))
            }
            Self::Utf16ToCompactProbablyUtf16 => {
                let (from, to) = both!(u16, u16, len);
                Ok((utf16_as_compact(from, to, len)?, 0))
            }
            Self::Utf8ToLatin1 => {
                let (from, to) = both!(u8, u8, len);
                let (read, written) = utf8_as_latin1(from, to);
                Ok((read as u64, written as u64))
            }
            Self::Utf16ToLatin1 => {
                let (from, to) = both!(u16, u8, len);
                let len = utf16_as_latin1(from, to) as u64;
                Ok((len, len))
            }
            Self::Utf16ToUtf8 => {
                let (from, to) = both!(u16, u8, room);
                as_utf8_bytes(characters(from), |c| c.len_utf16(), to, further != 0)
            }
            Self::Latin1ToUtf8 => {
                let (from, to) = both!(u8, u8, room);
                as_utf8_bytes(from.iter().map(|byte| Ok(char::from(*byte))), |_| 1, to, further != 0)
            }
            Self::Utf8ToCompactUtf16 => {
                let (from, to) = both!(u8, u16, room);
                let rest = widen_in_place(to, further)?;
                Ok((further + utf8_as_utf16(from, rest)? as u64, 0))
            }
            Self::Utf16ToCompactUtf16 => {
                let (from, to) = both!(u16, u16, room);
                let rest = widen_in_place(to, further)?;
                copy_utf16(from, rest)?;
                Ok((further + len, 0))
            }
        }
    }
}

/// UTF-16 to UTF-16, or to Latin-1 where that has all characters: the tagged length.
fn utf16_as_compact(from: &[u16], to: &mut [u16], len: u64) -> Result<u64> {
    if !copy_utf16(from, to)? {
        return Ok(len | UTF16_TAG);
    }
    // Two bytes of Latin-1 make one unit of the destination.
    for (pair, slot) in from.chunks(2).zip(to) {
        let byte = |unit: Option<&u16>| unit.map_or(0, |unit| u16::from_le(*unit) as u8);
        *slot = u16::from_ne_bytes([byte(pair.first()), byte(pair.get(1))]);
    }
    Ok(len)
}

/// Copies a string for a host program: what the function returns, and how many units were written, where that is told; or the
/// words of a trap. `args` are the parameters, with 0 for those that the function does not have.
///
/// # Safety
/// Both memories are mapped, and nothing else uses them meanwhile.
pub unsafe fn transcode(
    transcoder: Transcoder,
    from: Span,
    to: Span,
    args: [u64; 5],
) -> core::result::Result<(u64, u64), &'static str> {
    let call = Transcoding { vmctx: core::ptr::null_mut(), from, to, written: 0 };
    // SAFETY: by this function's contract.
    let copied = unsafe { transcoder.copy(&call, args) };
    copied.map_err(|fault| Fault::MESSAGES.lines().nth(fault as usize).unwrap_or_default())
}

/// Performs a call of generated code. A fault traps.
///
/// # Safety
/// `call` is what generated code passes: its context is live, its memories are mapped.
#[inline(always)]
unsafe fn perform(transcoder: Transcoder, call: *mut Transcoding, args: [u64; 5]) -> u64 {
    // SAFETY: by this function's contract.
    let call = unsafe { &mut *call };
    // SAFETY: by this function's contract; a component has one thread.
    match unsafe { transcoder.copy(call, args) } {
        Ok((result, written)) => {
            call.written = written;
            result
        }
        // SAFETY: by this function's contract, generated code of that context's program called.
        Err(fault) => unsafe { traps::raise_listed(call.vmctx, Fault::MESSAGES, fault as usize) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_the_names_of_the_contract() {
        for function in wasmelt_abi::canonical::CANONICAL {
            let is_of_strings = function.name.contains("_to_");
            assert_eq!(Transcoder::named(function.name).is_some(), is_of_strings, "{}", function.name);
        }
    }

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
