//! A writer for the structures of [`wasmelt_abi::descriptor`]: little-endian, with references that are distances from
//! their own place. Fields are addressed by `offset_of!` of the contract's own types, so the two cannot diverge.

use wasmelt_abi::record::Record;

use super::reloc::{Encoding, Reference, Target};
use crate::error::{Error, Result};

/// The content of a section of structures that refer to one another.
#[derive(Debug, Default)]
pub(super) struct Blob {
    bytes: Vec<u8>,
    references: Vec<Reference>,
}

impl Blob {
    /// Goes on with a section that was finished.
    pub(super) fn resume(bytes: Vec<u8>, references: Vec<Reference>) -> Self {
        Self { bytes, references }
    }

    /// Makes room for `count` values of type `T`, all zero, and returns the offset of the first.
    pub(super) fn alloc<T>(&mut self, count: usize) -> usize {
        self.align(align_of::<T>());
        let at = self.bytes.len();
        self.bytes.resize(at + count * size_of::<T>(), 0);
        at
    }

    /// Moves the end to a multiple of `align` bytes.
    pub(super) fn align(&mut self, align: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(align), 0);
    }

    /// Appends bytes and returns their offset.
    pub(super) fn append(&mut self, bytes: &[u8]) -> usize {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        at
    }

    /// Writes a number of 32 bits.
    pub(super) fn put_u32(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Writes a number of 64 bits.
    pub(super) fn put_u64(&mut self, at: usize, value: u64) {
        self.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// Writes a structure of numbers.
    pub(super) fn put(&mut self, at: usize, record: &impl Record) {
        record.write(at, &mut |at, bytes| self.bytes[at..at + bytes.len()].copy_from_slice(bytes));
    }

    /// Makes the slice field at `at` refer to these structures of numbers, which are appended.
    pub(super) fn link_records<T: Record>(&mut self, at: usize, records: &[T]) {
        let start = self.alloc::<T>(records.len());
        self.link_slice(at, start, records.len());
        for (i, record) in records.iter().enumerate() {
            self.put(start + i * size_of::<T>(), record);
        }
    }

    /// Makes the field at `at` refer to what lies at `target`.
    pub(super) fn link(&mut self, at: usize, target: usize) {
        // Truncates where the blob exceeds 2 GiB, which `finish` refuses.
        self.put_u32(at, (target as i64).wrapping_sub(at as i64) as u32);
    }

    /// Makes the slice field at `at` refer to `len` elements from `start` on.
    pub(super) fn link_slice(&mut self, at: usize, start: usize, len: usize) {
        if len > 0 {
            self.link(at, start);
            self.put_u32(at + 4, len as u32);
        }
    }

    /// Makes the slice field at `at` refer to these bytes, which are appended.
    pub(super) fn link_bytes(&mut self, at: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            let start = self.append(bytes);
            self.link_slice(at, start, bytes.len());
        }
    }

    /// Makes the field at `at` refer to something outside.
    pub(super) fn refer(&mut self, at: usize, target: Target, addend: u64) {
        let (offset, addend) = (at as u64, addend as i64);
        self.references.push(Reference { offset, encoding: Encoding::Relative32, target, addend });
    }

    /// The bytes and what the linker fills in. All offsets fit into their fields, or it is an error.
    pub(super) fn finish(self) -> Result<(Vec<u8>, Vec<Reference>)> {
        if i32::try_from(self.bytes.len()).is_err() {
            let gib = self.bytes.len() >> 30;
            return Err(Error::input(format!(
                "the program's constant data takes {gib} GiB, more than the limit of 2 GiB"
            )));
        }
        Ok((self.bytes, self.references))
    }
}
