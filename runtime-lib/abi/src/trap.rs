//! Traps: why guest code was stopped.

/// Exit code of a process whose guest trapped: that of a process ended by `SIGABRT`, as in wasmtime.
pub const TRAP_EXIT_CODE: i32 = 134;

/// Exit code after a fault of the runtime itself. Such a fault is a bug in wasmelt, never caused by the guest alone.
/// `EX_SOFTWARE` of `sysexits.h(3)`.
pub const RUNTIME_BUG_EXIT_CODE: i32 = 70;

/// Exit code when the program could not start: a CPU feature, a granted directory or address space is missing.
/// `EX_UNAVAILABLE` of `sysexits.h(3)`.
pub const START_FAILED_EXIT_CODE: i32 = 69;

macro_rules! traps {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $message:literal;)*) => {
        /// A trap of the specification. The numbers are stored in trap tables.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Trap {
            $($(#[$doc])* $name = $code,)*
        }

        impl Trap {
            /// All traps.
            pub const ALL: &[Trap] = &[$(Trap::$name,)*];

            /// The trap with this number.
            pub const fn from_u8(code: u8) -> Option<Self> {
                match code { $($code => Some(Trap::$name),)* _ => None }
            }

            /// All messages in the order of their numbers, from 1 on, each with a newline behind it: a list without
            /// addresses, which a position-independent executable would have to relocate.
            pub const MESSAGES: &str = concat!($($message, "\n"),*);

            /// The words of the specification, as its test suite spells them.
            pub const fn message(self) -> &'static str {
                match self { $(Trap::$name => $message,)* }
            }
        }
    };
}

impl core::fmt::Display for Trap {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "wasm trap: {}", self.message())
    }
}

impl core::error::Error for Trap {}

traps! {
    /// `unreachable` was executed.
    Unreachable = 1, "unreachable";
    /// An access outside a linear memory.
    MemoryOutOfBounds = 2, "out of bounds memory access";
    /// An access outside a table, other than by `call_indirect`.
    TableOutOfBounds = 3, "out of bounds table access";
    /// `call_indirect` with an index outside its table.
    UndefinedElement = 4, "undefined element";
    /// `call_indirect` of a null element.
    UninitializedElement = 5, "uninitialized element";
    /// `call_indirect` of a function of another type.
    IndirectCallTypeMismatch = 6, "indirect call type mismatch";
    /// Integer division or remainder by zero.
    IntegerDivideByZero = 7, "integer divide by zero";
    /// Signed division overflow, or a float that does not fit the integer type.
    IntegerOverflow = 8, "integer overflow";
    /// Conversion of a NaN to an integer.
    InvalidConversionToInteger = 9, "invalid conversion to integer";
    /// The call stack is used up.
    StackExhausted = 10, "call stack exhausted";
    /// A null reference where one to something is needed (`call_ref`, `ref.as_non_null`, `throw_ref`).
    NullReference = 11, "null reference";
    /// An atomic access to an address that is not a multiple of its size.
    UnalignedAtomic = 12, "unaligned atomic";
    /// `memory.atomic.wait` on a memory that is not shared.
    ExpectedSharedMemory = 13, "expected shared memory";
    /// An exception that nothing caught.
    UncaughtException = 14, "unhandled exception";
    /// The instructions that the policy allows are used up, see [`crate::descriptor::FurtherPolicy::fuel`].
    OutOfFuel = 15, "out of fuel";
    /// The time that the policy allows is over, see [`crate::descriptor::FurtherPolicy::timeout_ns`].
    Interrupt = 16, "interrupt";
    /// A call of an import that nothing provides, see `--unknown-imports trap`.
    UnknownImport = 17, "unknown import";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_traps_map_both_ways() {
        for &trap in Trap::ALL {
            assert_eq!(Trap::from_u8(trap as u8), Some(trap));
            assert_eq!(Trap::MESSAGES.lines().nth(trap as usize - 1), Some(trap.message()));
        }
        assert_eq!(Trap::from_u8(0), None);
    }
}
