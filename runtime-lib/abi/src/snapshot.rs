//! What a program writes that initialises an instance for a later one (`compile --preinit`): the state of its instance,
//! as it lies in memory. The compiler that made the program knows what each part means.
//!
//! A snapshot is a sequence of 64-bit little-endian words and of bytes:
//!
//! | what | |
//! |---|---|
//! | [`START`] | a word |
//! | address of the program's descriptor | a word, to which references to functions are relative |
//! | context | its length in bytes, and the bytes below `vmctx` |
//! | dropped segments | the number of segments, and [`dropped_bytes`](crate::layout::dropped_bytes) with a bit for each; element segments come first |
//! | memories | their number; for each its length in bytes, then pieces that are not zero: offset, length, bytes; the last piece has the length 0 |
//! | tables that can change | their number; for each its length in elements, and its elements |
//! | [`END`] | a word |

/// What a snapshot starts with: text and the version of the contract.
pub const START: u64 = u64::from_le_bytes(*b"wmsnap\0\0") | (crate::ABI_VERSION as u64) << 48;

/// What it ends with.
pub const END: u64 = u64::from_le_bytes(*b"snap-end");
