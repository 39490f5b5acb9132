//! The kernel's error numbers to the host's.

use linux_raw_sys::errno as os;

use crate::sys::errno::Errno;

const COUNT: usize = 134;

/// One byte for each of the kernel's numbers. A table of bytes needs neither relocations nor a jump table.
static TABLE: [Errno; COUNT] = {
    let mut table = [Errno::Io; COUNT];
    let pairs = [
        (os::E2BIG, Errno::Toobig),
        (os::EACCES, Errno::Acces),
        (os::EADDRINUSE, Errno::Addrinuse),
        (os::EADDRNOTAVAIL, Errno::Addrnotavail),
        (os::EAFNOSUPPORT, Errno::Afnosupport),
        (os::EAGAIN, Errno::Again),
        (os::EALREADY, Errno::Already),
        (os::EBADF, Errno::Badf),
        (os::EBADMSG, Errno::Badmsg),
        (os::EBUSY, Errno::Busy),
        (os::ECANCELED, Errno::Canceled),
        (os::ECHILD, Errno::Child),
        (os::ECONNABORTED, Errno::Connaborted),
        (os::ECONNREFUSED, Errno::Connrefused),
        (os::ECONNRESET, Errno::Connreset),
        (os::EDEADLK, Errno::Deadlk),
        (os::EDESTADDRREQ, Errno::Destaddrreq),
        (os::EDOM, Errno::Dom),
        (os::EDQUOT, Errno::Dquot),
        (os::EEXIST, Errno::Exist),
        (os::EFAULT, Errno::Fault),
        (os::EFBIG, Errno::Fbig),
        (os::EHOSTUNREACH, Errno::Hostunreach),
        (os::EIDRM, Errno::Idrm),
        (os::EILSEQ, Errno::Ilseq),
        (os::EINPROGRESS, Errno::Inprogress),
        (os::EINTR, Errno::Intr),
        (os::EINVAL, Errno::Inval),
        (os::EISCONN, Errno::Isconn),
        (os::EISDIR, Errno::Isdir),
        (os::ELOOP, Errno::Loop),
        (os::EMFILE, Errno::Mfile),
        (os::EMLINK, Errno::Mlink),
        (os::EMSGSIZE, Errno::Msgsize),
        (os::EMULTIHOP, Errno::Multihop),
        (os::ENAMETOOLONG, Errno::Nametoolong),
        (os::ENETDOWN, Errno::Netdown),
        (os::ENETRESET, Errno::Netreset),
        (os::ENETUNREACH, Errno::Netunreach),
        (os::ENFILE, Errno::Nfile),
        (os::ENOBUFS, Errno::Nobufs),
        (os::ENODEV, Errno::Nodev),
        (os::ENOENT, Errno::Noent),
        (os::ENOEXEC, Errno::Noexec),
        (os::ENOLCK, Errno::Nolck),
        (os::ENOLINK, Errno::Nolink),
        (os::ENOMEM, Errno::Nomem),
        (os::ENOMSG, Errno::Nomsg),
        (os::ENOPROTOOPT, Errno::Noprotoopt),
        (os::ENOSPC, Errno::Nospc),
        (os::ENOSYS, Errno::Nosys),
        (os::ENOTCONN, Errno::Notconn),
        (os::ENOTDIR, Errno::Notdir),
        (os::ENOTEMPTY, Errno::Notempty),
        (os::ENOTRECOVERABLE, Errno::Notrecoverable),
        (os::ENOTSOCK, Errno::Notsock),
        (os::EOPNOTSUPP, Errno::Notsup),
        (os::ENOTTY, Errno::Notty),
        (os::ENXIO, Errno::Nxio),
        (os::EOVERFLOW, Errno::Overflow),
        (os::EOWNERDEAD, Errno::Ownerdead),
        (os::EPERM, Errno::Perm),
        (os::EPIPE, Errno::Pipe),
        (os::EPROTO, Errno::Proto),
        (os::EPROTONOSUPPORT, Errno::Protonosupport),
        (os::EPROTOTYPE, Errno::Prototype),
        (os::ERANGE, Errno::Range),
        (os::EROFS, Errno::Rofs),
        (os::ESPIPE, Errno::Spipe),
        (os::ESRCH, Errno::Srch),
        (os::ESTALE, Errno::Stale),
        (os::ETIMEDOUT, Errno::Timedout),
        (os::ETXTBSY, Errno::Txtbsy),
        (os::EXDEV, Errno::Xdev),
    ];
    let mut i = 0;
    while i < pairs.len() {
        table[pairs[i].0 as usize] = pairs[i].1;
        i += 1;
    }
    table
};

/// The host's error for one of the kernel's; [`Errno::Io`] where there is no counterpart.
pub(crate) fn from_raw(number: i32) -> Errno {
    usize::try_from(number).ok().and_then(|n| TABLE.get(n)).copied().unwrap_or(Errno::Io)
}

/// The host's error for one of rustix's.
pub(crate) fn from_rustix(error: rustix::io::Errno) -> Errno {
    from_raw(error.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_an_error() {
        assert_eq!(from_raw(2), Errno::Noent);
        assert_eq!(from_raw(18), Errno::Xdev);
        assert_eq!(from_raw(5), Errno::Io);
        for number in [-1, 0, 15, 133, 134, 4096, i32::MIN, i32::MAX] {
            assert_eq!(from_raw(number), Errno::Io);
        }
    }
}
