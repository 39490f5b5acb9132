//! What a program writes that was compiled with `--profile-generate`: how often each part of its functions was executed.
//!
//! A profile is a sequence of bytes, little-endian:
//!
//! | what | |
//! |---|---|
//! | [`START`] | 8 bytes, the last of which is the version of the form |
//! | number of functions | 8 bytes |
//! | for each function | [`DIGEST_BYTES`] that stand for its body, and 4 bytes with the number of its counters |
//! | for each function | its counters, 8 bytes each |
//!
//! The compiler writes all but the counters into the program ([`ProfilePlan::head`]). The counters lie in the contexts of
//! the program's instances, in the same order.

use crate::record::{SliceOf, record};

/// What a profile starts with.
pub const START: [u8; 8] = *b"wmprof\0\x01";

/// Bytes of the number by which a profile knows a function.
pub const DIGEST_BYTES: usize = 16;

/// The environment variable with the path that a program writes its profile to. The guest never sees it.
pub const VARIABLE: &str = "WASMELT_PROFILE";

/// The path where the variable is not set: in the working directory.
pub const DEFAULT_PATH: &str = "default.wasmprof";

record! {
    /// What the runtime writes.
    #[derive(Debug)]
    pub struct ProfilePlan<F> {
        /// The profile up to the counters.
        pub head: SliceOf<F, u8>,
        /// The counters, in order: one range for each instance.
        pub counters: SliceOf<F, CounterRange>,
    }
}

record! {
    /// Counters of an instance, in its context.
    #[derive(Debug)]
    pub struct CounterRange {
        /// Distance of the first one from the first instance's `vmctx`, in bytes.
        pub distance: i64,
        /// How many there are.
        pub count: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_what_objects_were_compiled_for() {
        assert_eq!(size_of::<ProfilePlan>(), 16);
        assert_eq!(size_of::<CounterRange>(), 16);
    }
}
