//! A writer for the structures of the contract: little-endian, with references that become distances from their own
//! place. The compiler makes a structure as a value, in the form [`Linked`], and writes it whole.

use std::fmt;
use std::marker::PhantomData;

use wasmelt_abi::record::{Form, Record, Sink};
use wasmelt_abi::rel::{Rel, RelSlice};

use super::reloc::{Encoding, Reference, Target};
use crate::error::{Error, Result};

/// The form of structures that are about to be written: a reference says what it refers to.
#[derive(Debug)]
pub(super) struct Linked;

impl Form for Linked {
    type Rel<T> = Link<T>;
    type Slice<T> = Links<T>;
    type Sink = Blob;
}

/// What a reference refers to.
#[derive(Clone, Debug)]
enum Referent {
    Nothing,
    /// What lies at this offset in the blob.
    Here(usize),
    /// So many bytes behind something outside.
    Outside(Target, u64),
}

/// A reference to a `T`.
pub(super) struct Link<T> {
    referent: Referent,
    _type: PhantomData<T>,
}

impl<T> Link<T> {
    /// To nothing.
    pub(super) const NONE: Self = Self { referent: Referent::Nothing, _type: PhantomData };

    /// To what lies at this offset.
    pub(super) fn here(at: usize) -> Self {
        Self { referent: Referent::Here(at), _type: PhantomData }
    }

    /// To what lies `addend` bytes behind something outside.
    pub(super) fn outside(target: Target, addend: impl Into<u64>) -> Self {
        Self { referent: Referent::Outside(target, addend.into()), _type: PhantomData }
    }
}

impl<T> fmt::Debug for Link<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.referent.fmt(f)
    }
}

impl<T> Record<Linked> for Link<T> {
    type Placed = Rel<T>;

    fn write(&self, at: usize, blob: &mut Blob) {
        match &self.referent {
            Referent::Nothing => {}
            // Truncates where the blob exceeds 2 GiB, which `finish` refuses.
            Referent::Here(there) => blob.put(at, &((*there as i64).wrapping_sub(at as i64) as i32).to_le_bytes()),
            Referent::Outside(target, addend) => blob.references.push(Reference {
                offset: at as u64,
                encoding: Encoding::Relative32,
                target: target.clone(),
                addend: addend.cast_signed(),
            }),
        }
    }
}

/// A reference to consecutive `T`s.
pub(super) struct Links<T> {
    start: Link<T>,
    len: usize,
}

impl<T> Links<T> {
    /// Without elements.
    pub(super) const NONE: Self = Self { start: Link::NONE, len: 0 };
}

impl Links<u8> {
    /// To bytes of another section, from `start` on.
    pub(super) fn outside(target: Target, start: u32, len: u32) -> Self {
        Self { start: Link::outside(target, start), len: len as usize }
    }
}

impl<T> fmt::Debug for Links<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {:?}", self.len, self.start)
    }
}

impl<T> Record<Linked> for Links<T> {
    type Placed = RelSlice<T>;

    fn write(&self, at: usize, blob: &mut Blob) {
        if self.len > 0 {
            self.start.write(at, blob);
            blob.put(at + size_of::<Rel<T>>(), &(self.len as u32).to_le_bytes());
        }
    }
}

/// Room in the blob for consecutive `T`s, which are written later: what they refer to comes behind them.
#[derive(Debug)]
pub(super) struct Room<T> {
    start: usize,
    len: usize,
    _type: PhantomData<T>,
}

impl<T> Room<T> {
    /// Offset of the element with this index, `None` where there are not so many.
    pub(super) fn offset(&self, index: usize) -> Option<usize> {
        (index < self.len).then(|| self.start + index * size_of::<T>())
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Offset of the first element.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// A reference to the first element.
    pub(super) fn link(&self) -> Link<T> {
        Link::here(self.start)
    }

    /// A reference to all of them.
    pub(super) fn links(&self) -> Links<T> {
        Links { start: Link::here(self.start), len: self.len }
    }
}

/// The content of a section of structures that refer to one another.
#[derive(Debug, Default)]
pub(super) struct Blob {
    bytes: Vec<u8>,
    references: Vec<Reference>,
}

impl Sink for Blob {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes.put(at, bytes);
    }
}

impl Blob {
    /// Goes on with a section that was finished.
    pub(super) fn resume(bytes: Vec<u8>, references: Vec<Reference>) -> Self {
        Self { bytes, references }
    }

    /// Makes room for `len` values of type `T`, all zero.
    pub(super) fn reserve<T>(&mut self, len: usize) -> Room<T> {
        self.align(align_of::<T>());
        let start = self.bytes.len();
        self.bytes.resize(start + len * size_of::<T>(), 0);
        Room { start, len, _type: PhantomData }
    }

    /// Writes the element with this index.
    pub(super) fn fill<R: Record<Linked>>(&mut self, room: &Room<R::Placed>, index: usize, record: &R) {
        record.write(room.start + index * size_of::<R::Placed>(), self);
    }

    /// Appends these structures.
    pub(super) fn add<R: Record<Linked>>(&mut self, records: &[R]) -> Links<R::Placed> {
        let room = self.reserve(records.len());
        for (i, record) in records.iter().enumerate() {
            self.fill(&room, i, record);
        }
        room.links()
    }

    /// Appends this structure.
    pub(super) fn add_one<R: Record<Linked>>(&mut self, record: &R) -> Link<R::Placed> {
        let room = self.reserve(1);
        self.fill(&room, 0, record);
        room.link()
    }

    /// Appends these bytes.
    pub(super) fn add_bytes(&mut self, bytes: &[u8]) -> Links<u8> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Links { start: Link::here(start), len: bytes.len() }
    }

    /// Moves the end to a multiple of `align` bytes.
    pub(super) fn align(&mut self, align: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(align), 0);
    }

    /// The bytes and what the linker fills in. All offsets fit into their fields, or it is an error.
    pub(super) fn finish(mut self) -> Result<(Vec<u8>, Vec<Reference>)> {
        if i32::try_from(self.bytes.len()).is_err() {
            let gib = self.bytes.len() >> 30;
            return Err(Error::input(format!(
                "the program's constant data takes {gib} GiB, more than the limit of 2 GiB"
            )));
        }
        self.references.sort_by_key(|reference| reference.offset);
        Ok((self.bytes, self.references))
    }
}
