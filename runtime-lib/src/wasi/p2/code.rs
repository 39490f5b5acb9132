//! Errors as `error-code` of `wasi:filesystem/types` numbers them.

use crate::sys::errno::Errno;

/// The number of an error in `error-code`.
pub(super) fn error_code(error: Errno) -> u8 {
    match error {
        Errno::Acces => 0,
        Errno::Again => 1,
        Errno::Already => 2,
        Errno::Badf => 3,
        Errno::Busy => 4,
        Errno::Deadlk => 5,
        Errno::Dquot => 6,
        Errno::Exist => 7,
        Errno::Fbig => 8,
        Errno::Ilseq => 9,
        Errno::Inprogress => 10,
        Errno::Intr => 11,
        Errno::Inval => 12,
        Errno::Isdir => 14,
        Errno::Loop => 15,
        Errno::Mlink => 16,
        Errno::Msgsize => 17,
        Errno::Nametoolong => 18,
        Errno::Nodev => 19,
        Errno::Noent => 20,
        Errno::Nolck => 21,
        Errno::Nomem => 22,
        Errno::Nospc => 23,
        Errno::Notdir => 24,
        Errno::Notempty => 25,
        Errno::Notrecoverable => 26,
        Errno::Notsup | Errno::Nosys => 27,
        Errno::Notty => 28,
        Errno::Nxio => 29,
        Errno::Overflow => 30,
        Errno::Perm | Errno::Notcapable => 31,
        Errno::Pipe => 32,
        Errno::Rofs => 33,
        Errno::Spipe => 34,
        Errno::Txtbsy => 35,
        Errno::Xdev => 36,
        // `io`: what the list has no name for.
        _ => 13,
    }
}
