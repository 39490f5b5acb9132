//! Declares structures of numbers once, for both sides of the contract: the runtime reads them where they lie, and the
//! compiler makes them as values and writes them whole.

/// A structure or number of the contract.
pub trait Record: Sized {
    /// Writes its bytes in little-endian order, field by field: `put` is given offsets from the start, and bytes.
    fn write(&self, at: usize, put: &mut impl FnMut(usize, &[u8]));
}

macro_rules! numbers {
    ($($ty:ty),*) => {
        $(impl Record for $ty {
            fn write(&self, at: usize, put: &mut impl FnMut(usize, &[u8])) {
                put(at, &self.to_le_bytes());
            }
        })*
    };
}

numbers!(u16, u32, u64, i32, i64);

/// Declares a structure, `repr(C)`, whose fields are [`Record`]s. There is room for nothing but its fields, so that its
/// layout is the same for every target and each of its bytes is written.
macro_rules! record {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[repr(C)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $ty,)*
        }

        const _: () = assert!(0 $(+ size_of::<$ty>())* == size_of::<$name>(), "the structure has padding");

        impl $crate::record::Record for $name {
            fn write(&self, at: usize, put: &mut impl FnMut(usize, &[u8])) {
                $($crate::record::Record::write(&self.$field, at + core::mem::offset_of!($name, $field), put);)*
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
        WideRecord { record, distance: 6 }
            .write(4, &mut |at, field| bytes[at..at + field.len()].copy_from_slice(field));
        assert_eq!(bytes, [0xee, 0xee, 0xee, 0xee, 4, 3, 2, 1, 5, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
    }
}
