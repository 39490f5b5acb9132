//! Declares the structures of the contract once, for both sides: the runtime reads them where they lie, and the
//! compiler makes them as values and writes them whole.
//!
//! A structure that refers to others has a parameter, its [`Form`]. In memory the form is [`Placed`], and references
//! are distances. The compiler has a form of its own, in which a reference says what it refers to.

use core::fmt::Debug;

use crate::rel::{Rel, RelSlice};

/// What references are.
pub trait Form: Sized {
    /// A reference to a `T`.
    type Rel<T>: Record<Self> + Debug;
    /// A reference to consecutive `T`s.
    type Slice<T>: Record<Self> + Debug;
    /// What structures of this form are written into.
    type Sink: Sink + ?Sized;
}

/// A reference to a `T`, in this form.
pub type RelOf<F, T> = <F as Form>::Rel<T>;

/// A reference to consecutive `T`s, in this form.
pub type SliceOf<F, T> = <F as Form>::Slice<T>;

/// The form that the runtime reads: references are distances from where they lie.
#[derive(Debug)]
pub struct Placed;

impl Form for Placed {
    type Rel<T> = Rel<T>;
    type Slice<T> = RelSlice<T>;
    type Sink = [u8];
}

/// What bytes are written into.
pub trait Sink {
    /// Writes these bytes, `at` bytes from the start.
    fn put(&mut self, at: usize, bytes: &[u8]);
}

impl Sink for [u8] {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// A structure, number or reference of the contract, in this form.
pub trait Record<F: Form> {
    /// What the runtime reads, whose size and layout it is written in.
    type Placed;

    /// Writes its bytes in little-endian order, field by field, `at` bytes from the start of the sink.
    fn write(&self, at: usize, sink: &mut F::Sink);
}

macro_rules! numbers {
    ($($ty:ty),*) => {
        $(impl<F: Form> Record<F> for $ty {
            type Placed = Self;

            fn write(&self, at: usize, sink: &mut F::Sink) {
                sink.put(at, &self.to_le_bytes());
            }
        })*
    };
}

numbers!(u16, u32, u64, i32, i64);

impl<F: Form, T: Record<F>, const N: usize> Record<F> for [T; N] {
    type Placed = [T::Placed; N];

    fn write(&self, at: usize, sink: &mut F::Sink) {
        for (i, element) in self.iter().enumerate() {
            element.write(at + i * size_of::<T::Placed>(), sink);
        }
    }
}

/// Declares a structure, `repr(C)`, whose fields are [`Record`]s. There is room for nothing but its fields, so that its
/// layout is the same for every target and each of its bytes is written. `struct Name<F>` has references, in form `F`.
macro_rules! record {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }

        const _: () = assert!(0 $(+ size_of::<$ty>())* == size_of::<$name>(), "the structure has padding");

        impl<F: $crate::record::Form> $crate::record::Record<F> for $name {
            type Placed = Self;

            fn write(&self, at: usize, sink: &mut F::Sink) {
                $($crate::record::Record::<F>::write(&self.$field, at + core::mem::offset_of!($name, $field), sink);)*
            }
        }
    };
    ($(#[$meta:meta])* pub struct $name:ident<$form:ident> { $($(#[$field_meta:meta])* pub $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        pub struct $name<$form: $crate::record::Form = $crate::record::Placed> {
            $($(#[$field_meta])* pub $field: $ty,)*
        }

        const _: () = {
            type $form = $crate::record::Placed;
            assert!(0 $(+ size_of::<$ty>())* == size_of::<$name>(), "the structure has padding");
        };

        impl<$form: $crate::record::Form> $crate::record::Record<$form> for $name<$form> {
            type Placed = $name;

            fn write(&self, at: usize, sink: &mut <$form as $crate::record::Form>::Sink) {
                $($crate::record::Record::<$form>::write(
                    &self.$field,
                    at + core::mem::offset_of!($name, $field),
                    sink,
                );)*
            }
        }
    };
}
pub(crate) use record;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::{FuncRecord, WideRecord};

    #[test]
    fn the_fields_of_a_structure_are_written_at_their_offsets() {
        let mut bytes = [0xee; 20];
        let record = FuncRecord { code_offset: 0x0102_0304, type_id: 5 };
        Record::<Placed>::write(&WideRecord { record, distance: 6 }, 4, &mut bytes[..]);
        assert_eq!(bytes, [0xee, 0xee, 0xee, 0xee, 4, 3, 2, 1, 5, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    }

    record! {
        /// A structure with something of each kind.
        #[expect(unreachable_pub, reason = "only the test sees it")]
        #[repr(align(8))]
        pub struct Mixed<F> {
            /// A number.
            pub number: u64,
            /// References.
            pub one: RelOf<F, u64>,
            /// Of both kinds.
            pub many: SliceOf<F, Mixed>,
            /// Numbers.
            pub numbers: [u32; 3],
        }
    }

    #[test]
    fn what_is_written_is_what_lies_in_memory() {
        let mut mixed = Mixed::<Placed> {
            number: 1 << 40,
            one: Rel::default(),
            many: RelSlice::default(),
            numbers: [1, 2, 0x0304_0506],
        };
        (mixed.one.offset, mixed.many.start.offset, mixed.many.len) = (-4, 1 << 20, 7);
        let mut bytes = [0; 32];
        mixed.write(0, &mut bytes);
        let mut expected = [0; 32];
        for (at, number) in
            [(4, 1u32 << 8), (8, -4i32 as u32), (12, 1 << 20), (16, 7), (20, 1), (24, 2), (28, 0x0304_0506)]
        {
            expected.put(at, &number.to_le_bytes());
        }
        assert_eq!(bytes, expected);
    }
}
