//! References without addresses: distances from the field that holds them. So a position independent executable has
//! nothing to relocate in its descriptors, whatever the size of the program.

use core::fmt;
use core::marker::PhantomData;

use crate::record::{Placed, Record, Sink};

/// A reference to a `T`: the distance in bytes from this field to the referent. 0 refers to nothing.
#[repr(transparent)]
pub struct Rel<T> {
    /// Signed distance in bytes from the address of this field.
    pub offset: i32,
    _referent: PhantomData<T>,
}

impl<T> Rel<T> {
    /// Returns the address of the referent, or `None`.
    #[inline]
    pub fn get(&self) -> Option<*const T> {
        let here = core::ptr::from_ref(self).cast::<u8>();
        (self.offset != 0).then(|| here.wrapping_offset(self.offset as isize).cast())
    }
}

/// It refers to nothing.
impl<T> Default for Rel<T> {
    fn default() -> Self {
        Self { offset: 0, _referent: PhantomData }
    }
}

impl<T> fmt::Debug for Rel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rel({})", self.offset)
    }
}

impl<T> Record<Placed> for Rel<T> {
    type Placed = Self;

    fn write(&self, at: usize, sink: &mut [u8]) {
        sink.put(at, &self.offset.to_le_bytes());
    }
}

/// Makes a reference refer to this address: for tables that are made in memory, as tests make them.
///
/// # Panics
/// Panics where the address is more than 2 GiB away.
pub fn refer<T, U>(from: &mut Rel<T>, to: *const U) {
    let distance = (to as isize).wrapping_sub(&raw const *from as isize);
    from.offset = i32::try_from(distance).expect("the referent is within 2 GiB");
}

/// As [`refer`], for the elements of a slice.
pub fn refer_slice<T>(from: &mut RelSlice<T>, to: &[T]) {
    refer(&mut from.start, to.as_ptr());
    from.len = to.len() as u32;
}

/// A reference to `len` consecutive `T`s: the first one's distance in bytes from this field, and how many.
#[repr(C)]
pub struct RelSlice<T> {
    /// The first element.
    pub start: Rel<T>,
    /// Number of elements.
    pub len: u32,
}

impl<T> RelSlice<T> {
    /// Returns the address of the first element, which is aligned even when the slice is empty, and the number of
    /// elements.
    #[inline]
    pub fn get(&self) -> (*const T, usize) {
        // Without elements the distance may be 0. The address is aligned then as well, because the fields of this type
        // are aligned as their elements: see the tests.
        let here = core::ptr::from_ref(&self.start).cast::<u8>();
        (here.wrapping_offset(self.start.offset as isize).cast(), self.len as usize)
    }
}

/// It has no elements.
impl<T> Default for RelSlice<T> {
    fn default() -> Self {
        Self { start: Rel::default(), len: 0 }
    }
}

impl<T> fmt::Debug for RelSlice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelSlice({}, {})", self.start.offset, self.len)
    }
}

impl<T> Record<Placed> for RelSlice<T> {
    type Placed = Self;

    fn write(&self, at: usize, sink: &mut [u8]) {
        self.start.write(at, sink);
        sink.put(at + size_of::<Rel<T>>(), &self.len.to_le_bytes());
    }
}
