//! Functions of the runtime behind calls between the components of one program: strings on their way from one memory to
//! another, handles of resources, borrows, and traps. Adapters call them, which are core modules made when compiling, and
//! components call those of their own resources. No component can import one by its name.
//!
//! A function is an `extern "C"` symbol named `canon.<name>`, in a section of its own. The first parameter of those of
//! strings is the address of a [`Transcoding`], that of the others is the caller's context. Addresses and lengths have
//! 64 bits, whatever the memory's have.

use crate::descriptor::ValueType;
use crate::host::{HostFunction, Reach};

/// A part of the address space: a linear memory as it is at the moment of a call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Its first byte.
    pub base: *mut u8,
    /// Its length.
    pub len_bytes: u64,
}

/// What generated code tells a function of strings, and what it is told.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Transcoding {
    /// The caller's context.
    pub vmctx: *mut u8,
    /// The memory that the string is read from.
    pub from: Span,
    /// The memory that it is written to.
    pub to: Span,
    /// A second result, where there are two: how many units were written.
    pub written: u64,
}

/// Calls a macro with the table of functions: for each family, where the runtime has it (below `component`), and for each
/// function its name, parameters, result, and the groups of system calls of Linux that it makes
/// (`compiler/src/harden/`).
///
/// Lengths are in units of the encoding, and `units` in those of the destination. A *first pass* stops at the first
/// character that has more than one unit in UTF-8.
#[macro_export]
macro_rules! for_each_canonical_function {
    ($mac:ident) => {
        $mac! {
            // (source, units, destination)
            strings.utf8_to_utf8(I64 I64 I64): [];
            strings.utf16_to_utf16(I64 I64 I64): [];
            strings.latin1_to_latin1(I64 I64 I64): [];
            strings.latin1_to_utf16(I64 I64 I64): [];
            // The same; how many units were written.
            strings.utf8_to_utf16(I64 I64 I64) -> I64: [];
            // The same; the tagged length.
            strings.utf16_to_compact_probably_utf16(I64 I64 I64) -> I64: [];
            // The same; how many units were read, and how many were written.
            strings.utf8_to_latin1(I64 I64 I64) -> I64: [];
            strings.utf16_to_latin1(I64 I64 I64) -> I64: [];
            // (source, units, destination, units of room, whether this is the first pass); how many units were read, and
            // how many were written.
            strings.utf16_to_utf8(I64 I64 I64 I64 I64) -> I64: [];
            strings.latin1_to_utf8(I64 I64 I64 I64 I64) -> I64: [];
            // (source, units, destination, units of room, bytes of Latin-1 that are there); how many units are there.
            strings.utf8_to_compact_utf16(I64 I64 I64 I64 I64) -> I64: [];
            strings.utf16_to_compact_utf16(I64 I64 I64 I64 I64) -> I64: [];
            // (component, type, representation); the new handle.
            resources.resource_new(I32 I32 I32) -> I32: [HANDLES];
            // (component, type, handle); the representation.
            resources.resource_rep(I32 I32 I32) -> I32: [];
            // The same; where the handle owned, twice the representation and 1, and 0 where it was lent.
            resources.resource_drop(I32 I32 I32) -> I64: [];
            // (type, handle, its component, the component that gets it); the new handle.
            resources.transfer_own(I32 I32 I32 I32) -> I32: [HANDLES];
            resources.transfer_borrow(I32 I32 I32 I32) -> I32: [HANDLES];
            // (type, handle, its component); the representation, for the component that has defined the type.
            resources.lend(I32 I32 I32) -> I32: [HANDLES];
            calls.enter_call(): [HANDLES];
            calls.exit_call(): [];
            // (a CanonicalTrap)
            traps.trap(I32): [];
        }
    };
}

macro_rules! declare {
    ($($family:ident . $function:ident ($($param:ident)*) $(-> $result:ident)?: [$($group:ident)*];)*) => {
        /// The functions of the canonical ABI.
        pub static CANONICAL: &[HostFunction] = &[$(HostFunction {
            module: "canon",
            name: stringify!($function),
            params: &[$(ValueType::$param),*],
            results: &[$(ValueType::$result)?],
            reach: Reach::Process,
        },)*];
    };
}

for_each_canonical_function!(declare);

/// The function of the canonical ABI with this name.
pub fn find(name: &str) -> Option<&'static HostFunction> {
    CANONICAL.iter().find(|function| function.name == name)
}

macro_rules! traps {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $message:literal;)*) => {
        /// Why the canonical ABI stops a program where no instruction of a core module traps.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum CanonicalTrap {
            $($(#[$doc])* $name = $code,)*
        }

        impl CanonicalTrap {
            /// All of them, in the order of their numbers.
            pub const ALL: &[CanonicalTrap] = &[$(CanonicalTrap::$name,)*];

            /// All messages in this order, each with a newline behind it.
            pub const MESSAGES: &str = concat!($($message, "\n"),*);
        }
    };
}

traps! {
    /// A component would be called while it waits for the call that it made.
    CannotEnter = 0, "cannot enter component instance";
    /// A component calls another one, or the host, from `realloc` or `post-return`.
    CannotLeave = 1, "cannot leave component instance";
    /// A number that is not a character.
    InvalidChar = 2, "invalid `char` bit pattern";
    /// A string outside of its memory, or longer than strings may be.
    StringOutOfBounds = 3, "string content out-of-bounds";
    /// The same of a list.
    ListOutOfBounds = 4, "list content out-of-bounds";
    /// A variant that has no case of this number.
    InvalidDiscriminant = 5, "invalid variant discriminant";
    /// An address that is not a multiple of its alignment.
    UnalignedPointer = 6, "unaligned pointer";
    /// Parameters or results outside of their memory.
    MemoryOutOfBounds = 7, "out of bounds memory access";
    /// An exception that a component does not catch.
    UncaughtException = 8, "uncaught exception propagated out of component";
}

/// Resources of the host, by interface and name: the number of each is its place here.
pub const HOST_RESOURCES: &[(&str, &str)] = &[
    ("wasi:io/poll", "pollable"),
    ("wasi:io/error", "error"),
    ("wasi:io/streams", "input-stream"),
    ("wasi:io/streams", "output-stream"),
    ("wasi:filesystem/types", "descriptor"),
    ("wasi:filesystem/types", "directory-entry-stream"),
    ("wasi:cli/terminal-input", "terminal-input"),
    ("wasi:cli/terminal-output", "terminal-output"),
    ("wasi:sockets/network", "network"),
    ("wasi:sockets/tcp", "tcp-socket"),
    ("wasi:sockets/udp", "udp-socket"),
    ("wasi:sockets/udp", "incoming-datagram-stream"),
    ("wasi:sockets/udp", "outgoing-datagram-stream"),
    ("wasi:sockets/ip-name-lookup", "resolve-address-stream"),
];

/// The number of a resource of the host, whatever the version of its interface.
pub fn host_resource(interface: &str, name: &str) -> Option<u32> {
    let interface = interface.split_once('@').map_or(interface, |(interface, _)| interface);
    HOST_RESOURCES.iter().position(|known| *known == (interface, name)).map(|place| place as u32)
}

/// The number of the first resource type that a component of the program has defined.
pub const FIRST_OWN_RESOURCE: u32 = 1 << 8;

/// The number of a resource type of the host of which no handle can exist.
pub const NO_RESOURCE: u32 = FIRST_OWN_RESOURCE - 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_have_words() {
        assert_eq!(CanonicalTrap::MESSAGES.lines().count(), CanonicalTrap::ALL.len());
        for (number, &trap) in CanonicalTrap::ALL.iter().enumerate() {
            assert_eq!(trap as usize, number);
        }
    }

    #[test]
    fn code_knows_where_fields_are() {
        assert_eq!(size_of::<Transcoding>(), 48);
    }
}
