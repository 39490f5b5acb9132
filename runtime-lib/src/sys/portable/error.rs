//! Errors of the standard library to the host's: by the system's number where there is one, otherwise by kind.

use std::io::{Error, ErrorKind};

use crate::sys::errno::Errno;

/// The host's error for one of std's.
pub(super) fn from_io(error: Error) -> Errno {
    if let Some(number) = error.raw_os_error() {
        return super::system::errno::from_raw(number);
    }
    from_kind(error.kind())
}

/// The host's error for one without a number of the system.
fn from_kind(kind: ErrorKind) -> Errno {
    match kind {
        // What cap-std says about a path that leads outside.
        ErrorKind::PermissionDenied => Errno::Perm,
        ErrorKind::NotFound => Errno::Noent,
        ErrorKind::AlreadyExists => Errno::Exist,
        ErrorKind::InvalidInput => Errno::Inval,
        ErrorKind::WouldBlock => Errno::Again,
        ErrorKind::Interrupted => Errno::Intr,
        ErrorKind::Unsupported => Errno::Notsup,
        ErrorKind::OutOfMemory => Errno::Nomem,
        ErrorKind::NotADirectory => Errno::Notdir,
        ErrorKind::IsADirectory => Errno::Isdir,
        ErrorKind::DirectoryNotEmpty => Errno::Notempty,
        ErrorKind::StorageFull => Errno::Nospc,
        ErrorKind::QuotaExceeded => Errno::Dquot,
        ErrorKind::FileTooLarge => Errno::Fbig,
        ErrorKind::NotSeekable => Errno::Spipe,
        ErrorKind::ReadOnlyFilesystem => Errno::Rofs,
        ErrorKind::CrossesDevices => Errno::Xdev,
        ErrorKind::TooManyLinks => Errno::Mlink,
        ErrorKind::BrokenPipe => Errno::Pipe,
        ErrorKind::ConnectionReset => Errno::Connreset,
        ErrorKind::ConnectionAborted => Errno::Connaborted,
        ErrorKind::NotConnected => Errno::Notconn,
        ErrorKind::TimedOut => Errno::Timedout,
        _ => Errno::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_the_directory_is_not_permitted() {
        assert_eq!(from_io(Error::new(ErrorKind::PermissionDenied, "a path led outside")), Errno::Perm);
        #[cfg(unix)]
        assert_eq!(from_io(Error::from_raw_os_error(libc::EACCES)), Errno::Acces);
    }
}
