//! What `proc_exit` ends a call with.

use core::fmt;

/// The guest has called `proc_exit` with this code. It is the error of the call that the host made; find it by
/// [`Error::downcast_ref`](crate::Error::downcast_ref).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct I32Exit(pub i32);

impl fmt::Display for I32Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exited with i32 exit status {}", self.0)
    }
}

impl std::error::Error for I32Exit {}
