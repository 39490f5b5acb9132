//! The system's error numbers to the host's.

use core::ffi::c_int;

use crate::sys::errno::Errno;

const PAIRS: &[(c_int, Errno)] = &[
    (libc::E2BIG, Errno::Toobig),
    (libc::EACCES, Errno::Acces),
    (libc::EADDRINUSE, Errno::Addrinuse),
    (libc::EADDRNOTAVAIL, Errno::Addrnotavail),
    (libc::EAFNOSUPPORT, Errno::Afnosupport),
    (libc::EAGAIN, Errno::Again),
    (libc::EALREADY, Errno::Already),
    (libc::EBADF, Errno::Badf),
    (libc::EBADMSG, Errno::Badmsg),
    (libc::EBUSY, Errno::Busy),
    (libc::ECANCELED, Errno::Canceled),
    (libc::ECHILD, Errno::Child),
    (libc::ECONNABORTED, Errno::Connaborted),
    (libc::ECONNREFUSED, Errno::Connrefused),
    (libc::ECONNRESET, Errno::Connreset),
    (libc::EDEADLK, Errno::Deadlk),
    (libc::EDESTADDRREQ, Errno::Destaddrreq),
    (libc::EDOM, Errno::Dom),
    (libc::EDQUOT, Errno::Dquot),
    (libc::EEXIST, Errno::Exist),
    (libc::EFAULT, Errno::Fault),
    (libc::EFBIG, Errno::Fbig),
    (libc::EHOSTUNREACH, Errno::Hostunreach),
    (libc::EIDRM, Errno::Idrm),
    (libc::EILSEQ, Errno::Ilseq),
    (libc::EINPROGRESS, Errno::Inprogress),
    (libc::EINTR, Errno::Intr),
    (libc::EINVAL, Errno::Inval),
    (libc::EISCONN, Errno::Isconn),
    (libc::EISDIR, Errno::Isdir),
    (libc::ELOOP, Errno::Loop),
    (libc::EMFILE, Errno::Mfile),
    (libc::EMLINK, Errno::Mlink),
    (libc::EMSGSIZE, Errno::Msgsize),
    (libc::EMULTIHOP, Errno::Multihop),
    (libc::ENAMETOOLONG, Errno::Nametoolong),
    (libc::ENETDOWN, Errno::Netdown),
    (libc::ENETRESET, Errno::Netreset),
    (libc::ENETUNREACH, Errno::Netunreach),
    (libc::ENFILE, Errno::Nfile),
    (libc::ENOBUFS, Errno::Nobufs),
    (libc::ENODEV, Errno::Nodev),
    (libc::ENOENT, Errno::Noent),
    (libc::ENOEXEC, Errno::Noexec),
    (libc::ENOLCK, Errno::Nolck),
    (libc::ENOLINK, Errno::Nolink),
    (libc::ENOMEM, Errno::Nomem),
    (libc::ENOMSG, Errno::Nomsg),
    (libc::ENOPROTOOPT, Errno::Noprotoopt),
    (libc::ENOSPC, Errno::Nospc),
    (libc::ENOSYS, Errno::Nosys),
    (libc::ENOTCONN, Errno::Notconn),
    (libc::ENOTDIR, Errno::Notdir),
    (libc::ENOTEMPTY, Errno::Notempty),
    (libc::ENOTRECOVERABLE, Errno::Notrecoverable),
    (libc::ENOTSOCK, Errno::Notsock),
    (libc::EOPNOTSUPP, Errno::Notsup),
    (libc::ENOTTY, Errno::Notty),
    (libc::ENXIO, Errno::Nxio),
    (libc::EOVERFLOW, Errno::Overflow),
    (libc::EOWNERDEAD, Errno::Ownerdead),
    (libc::EPERM, Errno::Perm),
    (libc::EPIPE, Errno::Pipe),
    (libc::EPROTO, Errno::Proto),
    (libc::EPROTONOSUPPORT, Errno::Protonosupport),
    (libc::EPROTOTYPE, Errno::Prototype),
    (libc::ERANGE, Errno::Range),
    (libc::EROFS, Errno::Rofs),
    (libc::ESPIPE, Errno::Spipe),
    (libc::ESRCH, Errno::Srch),
    (libc::ESTALE, Errno::Stale),
    (libc::ETIMEDOUT, Errno::Timedout),
    (libc::ETXTBSY, Errno::Txtbsy),
    (libc::EXDEV, Errno::Xdev),
];

/// The host's error for one of the system's; [`Errno::Io`] where there is no counterpart.
pub(crate) fn from_raw(number: c_int) -> Errno {
    PAIRS.iter().find(|(system, _)| *system == number).map_or(Errno::Io, |(_, error)| *error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_an_error() {
        assert_eq!(from_raw(libc::ENOENT), Errno::Noent);
        assert_eq!(from_raw(libc::EAGAIN), Errno::Again);
        for number in [-1, 0, c_int::MAX, c_int::MIN, libc::EIO] {
            assert_eq!(from_raw(number), Errno::Io);
        }
    }
}
