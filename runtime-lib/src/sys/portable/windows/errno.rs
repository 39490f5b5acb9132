//! The system's error numbers to the host's.

use windows_sys::Win32::Foundation as win;
use windows_sys::Win32::Networking::WinSock as sock;

use crate::sys::errno::Errno;

const PAIRS: &[(u32, Errno)] = &[
    (win::ERROR_ACCESS_DENIED, Errno::Acces),
    (win::ERROR_ALREADY_EXISTS, Errno::Exist),
    (win::ERROR_BAD_NET_NAME, Errno::Noent),
    (win::ERROR_BAD_NETPATH, Errno::Noent),
    (win::ERROR_BAD_PATHNAME, Errno::Inval),
    (win::ERROR_BROKEN_PIPE, Errno::Pipe),
    (win::ERROR_BUFFER_OVERFLOW, Errno::Nametoolong),
    (win::ERROR_BUSY, Errno::Busy),
    (win::ERROR_CANT_RESOLVE_FILENAME, Errno::Loop),
    (win::ERROR_CURRENT_DIRECTORY, Errno::Acces),
    (win::ERROR_DIR_NOT_EMPTY, Errno::Notempty),
    (win::ERROR_DIRECTORY, Errno::Notdir),
    (win::ERROR_DISK_FULL, Errno::Nospc),
    (win::ERROR_FILE_EXISTS, Errno::Exist),
    (win::ERROR_FILE_NOT_FOUND, Errno::Noent),
    (win::ERROR_FILENAME_EXCED_RANGE, Errno::Nametoolong),
    (win::ERROR_HANDLE_DISK_FULL, Errno::Nospc),
    (win::ERROR_INVALID_DRIVE, Errno::Noent),
    (win::ERROR_INVALID_FUNCTION, Errno::Inval),
    (win::ERROR_INVALID_HANDLE, Errno::Badf),
    (win::ERROR_INVALID_NAME, Errno::Noent),
    (win::ERROR_INVALID_PARAMETER, Errno::Inval),
    (win::ERROR_LOCK_VIOLATION, Errno::Acces),
    (win::ERROR_NEGATIVE_SEEK, Errno::Inval),
    (win::ERROR_NO_DATA, Errno::Pipe),
    (win::ERROR_NOACCESS, Errno::Fault),
    (win::ERROR_NOT_A_REPARSE_POINT, Errno::Inval),
    (win::ERROR_NOT_ENOUGH_MEMORY, Errno::Nomem),
    (win::ERROR_NOT_SAME_DEVICE, Errno::Xdev),
    (win::ERROR_NOT_SUPPORTED, Errno::Notsup),
    (win::ERROR_OPERATION_ABORTED, Errno::Intr),
    (win::ERROR_OUTOFMEMORY, Errno::Nomem),
    (win::ERROR_PATH_NOT_FOUND, Errno::Noent),
    (win::ERROR_PIPE_NOT_CONNECTED, Errno::Pipe),
    (win::ERROR_PRIVILEGE_NOT_HELD, Errno::Perm),
    (win::ERROR_SEEK, Errno::Spipe),
    (win::ERROR_SHARING_VIOLATION, Errno::Acces),
    (win::ERROR_STOPPED_ON_SYMLINK, Errno::Loop),
    (win::ERROR_TOO_MANY_LINKS, Errno::Mlink),
    (win::ERROR_TOO_MANY_OPEN_FILES, Errno::Mfile),
    (win::ERROR_WRITE_PROTECT, Errno::Rofs),
    (sock::WSAEACCES as u32, Errno::Acces),
    (sock::WSAEADDRINUSE as u32, Errno::Addrinuse),
    (sock::WSAEADDRNOTAVAIL as u32, Errno::Addrnotavail),
    (sock::WSAEAFNOSUPPORT as u32, Errno::Afnosupport),
    (sock::WSAECONNABORTED as u32, Errno::Connaborted),
    (sock::WSAECONNREFUSED as u32, Errno::Connrefused),
    (sock::WSAECONNRESET as u32, Errno::Connreset),
    (sock::WSAEINTR as u32, Errno::Intr),
    (sock::WSAEINVAL as u32, Errno::Inval),
    (sock::WSAEMFILE as u32, Errno::Mfile),
    (sock::WSAEMSGSIZE as u32, Errno::Msgsize),
    (sock::WSAENETDOWN as u32, Errno::Netdown),
    (sock::WSAENETRESET as u32, Errno::Netreset),
    (sock::WSAENETUNREACH as u32, Errno::Netunreach),
    (sock::WSAENOBUFS as u32, Errno::Nobufs),
    (sock::WSAENOTCONN as u32, Errno::Notconn),
    (sock::WSAENOTSOCK as u32, Errno::Notsock),
    (sock::WSAEOPNOTSUPP as u32, Errno::Notsup),
    (sock::WSAESHUTDOWN as u32, Errno::Pipe),
    (sock::WSAETIMEDOUT as u32, Errno::Timedout),
    (sock::WSAEWOULDBLOCK as u32, Errno::Again),
];

/// The host's error for one of the system's; [`Errno::Io`] where there is no counterpart.
pub(crate) fn from_raw(number: i32) -> Errno {
    let number = number.cast_unsigned();
    PAIRS.iter().find(|(system, _)| *system == number).map_or(Errno::Io, |(_, error)| *error)
}
