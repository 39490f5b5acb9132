//! What Unix systems have in common and the standard library does not offer: lists of buffers in guest memory, clocks,
//! readiness, flags of open files, memory and signals.

use core::ffi::{CStr, c_int};
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd as _, FromRawFd as _, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::DirEntryExt as _;
use std::path::Path;
use std::vec::Vec;

use cap_fs_ext::SystemTimeSpec;
use cap_std::fs::{Dir, DirEntry, MetadataExt as _, OpenOptions, OpenOptionsExt as _};

use crate::sys::errno::{Errno, Result};
use crate::sys::file::{FileType, Metadata};

use super::error::from_io;
use super::fs::{Advice, Handle, OFlags, with_file};
use super::handles::Object;
use super::io_clock::{Clock, Watch};
use super::io_stream::Buffer;
use super::{Stream, SystemError};

pub mod alarm;
pub(super) mod errno;
pub mod faults;
pub mod io_memory;
pub mod pages;

/// Ends the process, all threads of it, at once: also from within a signal handler.
pub fn exit(code: i32) -> ! {
    // SAFETY: the call touches no memory and does not return.
    unsafe { libc::_exit(code) }
}

/// Writes all of `bytes`; gives up at the first error. Also from within a signal handler.
fn write_all(descriptor: c_int, mut bytes: &[u8]) -> core::result::Result<(), SystemError> {
    while !bytes.is_empty() {
        // SAFETY: the kernel reads `bytes`.
        let written = unsafe { libc::write(descriptor, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(_) if SystemError::last().number() == libc::EINTR as u32 => {}
            Err(_) => return Err(SystemError::last()),
        }
    }
    Ok(())
}

/// Opens something in place of each standard stream that the process was started without, in the direction in which it
/// is of no use: the next file would get its number otherwise, and receive the guest's output or our messages.
pub fn occupy_standard_streams() -> core::result::Result<(), SystemError> {
    for stream in 0..=2 {
        // SAFETY: no memory is involved.
        if unsafe { libc::fcntl(stream, libc::F_GETFD) } >= 0 {
            continue;
        }
        let useless = if stream == 0 { libc::O_WRONLY } else { libc::O_RDONLY };
        // SAFETY: the path is a C string. The lowest free number is this one.
        if unsafe { libc::open(c"/dev/null".as_ptr(), useless) } < 0 {
            return Err(SystemError::last());
        }
    }
    Ok(())
}

/// Makes a standard stream stand for the same as an object.
pub(super) fn replace_standard_stream(stream: u32, object: &Object) -> Result<()> {
    let fd = descriptor(object)?;
    // SAFETY: no memory is involved, and nobody owns the descriptors of standard streams.
    check(|| unsafe { libc::dup2(fd, stream.cast_signed()) } as isize).map(|_| ())
}

/// Keeps signals from the calling thread, which is about to lose the stacks that handlers run on.
pub fn block_signals() {
    // SAFETY: a set of signals is plain data, which `sigfillset` fills and `pthread_sigmask` reads.
    unsafe {
        let mut all = core::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, core::ptr::null_mut());
    }
}

/// A path as the standard library takes it: bytes as they are.
pub(super) fn path_of(path: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(path.to_bytes()))
}

/// A path of the host, which the user wrote.
pub(super) fn path_of_host(path: &CStr) -> &Path {
    path_of(path)
}

/// The name of what a symbolic link leads to as the guest knows it.
pub(super) fn link_target(target: &Path) -> Vec<u8> {
    target.as_os_str().as_bytes().to_vec()
}

/// Makes a symbolic link.
pub(super) fn symbolic_link(dir: &Dir, target: &CStr, name: &CStr) -> Result<()> {
    dir.symlink_contents(path_of(target), path_of(name)).map_err(from_io)
}

/// Records how a file was opened. The system knows, so nothing is done here.
pub(super) fn opened(_file: &File, _flags: OFlags) {}

/// What a listing wants to know of an entry: number, `d_type` and name; `None` for one that has none.
pub(super) fn entry(entry: &DirEntry) -> Option<(u64, u8, Vec<u8>)> {
    use cap_fs_ext::FileTypeExt as _;
    let d_type = entry.file_type().map_or(0, |file_type| match () {
        () if file_type.is_file() => 8,
        () if file_type.is_dir() => 4,
        () if file_type.is_symlink() => 10,
        () if file_type.is_fifo() => 1,
        () if file_type.is_char_device() => 2,
        () if file_type.is_block_device() => 6,
        () if file_type.is_socket() => 12,
        () => 0,
    });
    Some((entry.ino(), d_type, entry.file_name().into_vec()))
}

/// Attributes of a file.
pub(super) fn metadata_of(found: &cap_std::fs::Metadata) -> Metadata {
    let ns = |seconds: i64, nanoseconds: i64| {
        u64::try_from(seconds).map_or(0, |s| s.saturating_mul(1_000_000_000).saturating_add(nanoseconds.unsigned_abs()))
    };
    Metadata {
        device: found.dev(),
        inode: found.ino(),
        file_type: FileType::from_mode(found.mode()),
        links: found.nlink(),
        size_bytes: found.size(),
        accessed_ns: ns(found.atime(), found.atime_nsec()),
        modified_ns: ns(found.mtime(), found.mtime_nsec()),
        changed_ns: ns(found.ctime(), found.ctime_nsec()),
    }
}

/// Attributes of what has a descriptor.
pub(super) fn metadata_of_open(object: &Object) -> Result<Metadata> {
    // SAFETY: the descriptor is open as long as the object, and `ManuallyDrop` keeps it open.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(descriptor(object)?) });
    cap_std::fs::Metadata::from_file(&file).map(|found| metadata_of(&found)).map_err(from_io)
}

/// Whether a file belongs to the file system through which Linux lets processes be looked into and changed. No other
/// system that is supported has one.
pub fn is_process_file(handle: Handle) -> Result<bool> {
    #[cfg(target_os = "linux")]
    {
        let object = handle.object()?;
        let fd = descriptor(&object)?;
        // SAFETY: all zeros is a value of this type of numbers.
        let mut found: libc::statfs = unsafe { core::mem::zeroed() };
        // SAFETY: the call writes one structure.
        check(|| unsafe { libc::fstatfs(fd, &raw mut found) } as isize)?;
        Ok(found.f_type == libc::PROC_SUPER_MAGIC)
    }
    #[cfg(not(target_os = "linux"))]
    handle.object().map(|_| false)
}

/// Writes what was changed to the device.
pub(super) fn sync(file: &File, sync: fn(&File) -> io::Result<()>) -> Result<()> {
    sync(file).map_err(from_io)
}

/// Sets the times of an open file.
pub(super) fn set_times(file: &File, accessed: Option<SystemTimeSpec>, modified: Option<SystemTimeSpec>) -> Result<()> {
    let timespec = |time: Option<SystemTimeSpec>| match time {
        None => libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_OMIT },
        Some(SystemTimeSpec::SymbolicNow) => libc::timespec { tv_sec: 0, tv_nsec: libc::UTIME_NOW },
        Some(SystemTimeSpec::Absolute(time)) => {
            let since = time.into_std().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            libc::timespec { tv_sec: since.as_secs().cast_signed(), tv_nsec: since.subsec_nanos().into() }
        }
    };
    let times = [timespec(accessed), timespec(modified)];
    // SAFETY: the call reads two times.
    check(|| unsafe { libc::futimens(file.as_raw_fd(), times.as_ptr()) } as isize).map(|_| ())
}

/// The descriptor of an object that has one to read, write or wait for.
fn descriptor(object: &Object) -> Result<RawFd> {
    match object {
        Object::Standard(number) => Ok(number.cast_signed()),
        Object::File(file) => Ok(file.as_raw_fd()),
        Object::Listener(socket) => Ok(socket.as_raw_fd()),
        Object::Connection(socket) => Ok(socket.as_raw_fd()),
        Object::Socket(socket) => Ok(socket.as_raw_fd()),
        // It can be looked at; what else is asked of it, the system refuses.
        Object::Directory(dir, _) => Ok(dir.as_raw_fd()),
        Object::Location(..) | Object::Nothing => Err(Errno::Badf),
    }
}

/// Makes a system call until no signal interrupts it.
fn check(mut call: impl FnMut() -> isize) -> Result<usize> {
    loop {
        match usize::try_from(call()) {
            Ok(result) => return Ok(result),
            Err(_) => match from_io(io::Error::last_os_error()) {
                Errno::Intr => {}
                error => return Err(error),
            },
        }
    }
}

/// The list as the system takes it, and its length, which is far below any limit.
fn list(buffers: &[Buffer]) -> (*const libc::iovec, c_int) {
    (buffers.as_ptr().cast(), buffers.len() as c_int)
}

/// Reads into buffers from the current position.
///
/// # Safety
/// The buffers are writable; nothing in Rust refers to what they hold.
pub unsafe fn read(handle: Handle, buffers: &[Buffer]) -> Result<usize> {
    let (object, (list, len)) = (handle.object()?, list(buffers));
    let fd = descriptor(&object)?;
    // SAFETY: the system writes no more than the buffers hold.
    check(|| unsafe { libc::readv(fd, list, len) })
}

/// Writes buffers at the current position.
///
/// # Safety
/// The buffers are readable.
pub unsafe fn write_buffers(handle: Handle, buffers: &[Buffer]) -> Result<usize> {
    let (object, (list, len)) = (handle.object()?, list(buffers));
    let fd = descriptor(&object)?;
    // SAFETY: the system reads no more than the buffers hold.
    check(|| unsafe { libc::writev(fd, list, len) })
}

/// Reads into buffers from a position.
///
/// # Safety
/// As for [`read`].
pub unsafe fn read_at(handle: Handle, buffers: &[Buffer], offset: u64) -> Result<usize> {
    let (object, (list, len)) = (handle.object()?, list(buffers));
    let fd = descriptor(&object)?;
    // SAFETY: the system writes no more than the buffers hold.
    check(|| unsafe { libc::preadv(fd, list, len, offset.cast_signed()) })
}

/// Writes buffers at a position.
///
/// # Safety
/// As for [`write_buffers`].
pub unsafe fn write_at(handle: Handle, buffers: &[Buffer], offset: u64) -> Result<usize> {
    let (object, (list, len)) = (handle.object()?, list(buffers));
    let fd = descriptor(&object)?;
    // SAFETY: the system reads no more than the buffers hold.
    check(|| unsafe { libc::pwritev(fd, list, len, offset.cast_signed()) })
}

/// Receive without removing what is received.
pub const RECEIVE_PEEK: u32 = libc::MSG_PEEK as u32;
/// Receive as much as was asked for.
pub const RECEIVE_WAIT_ALL: u32 = libc::MSG_WAITALL as u32;

fn message(buffers: &[Buffer]) -> libc::msghdr {
    // SAFETY: all zeros is a message without address, buffers and control data. Some systems have padding in it.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    let (list, len) = list(buffers);
    (message.msg_iov, message.msg_iovlen) = (list.cast_mut(), len as _);
    message
}

/// Receives from a socket: number of bytes, and whether a message was cut off.
///
/// # Safety
/// As for [`read`].
pub unsafe fn receive(handle: Handle, buffers: &[Buffer], flags: u32) -> Result<(usize, bool)> {
    let (object, mut message) = (handle.object()?, message(buffers));
    let fd = descriptor(&object)?;
    // SAFETY: the message describes writable buffers and room for nothing else.
    let len = check(|| unsafe { libc::recvmsg(fd, &raw mut message, flags.cast_signed()) })?;
    Ok((len, message.msg_flags & libc::MSG_TRUNC != 0))
}

/// Sends to a socket. A peer that is gone is an error, never a signal: std's sockets on Apple's systems have the option
/// for it, elsewhere a flag says so.
///
/// # Safety
/// As for [`write_buffers`].
pub unsafe fn send(handle: Handle, buffers: &[Buffer]) -> Result<usize> {
    #[cfg(target_vendor = "apple")]
    const NO_SIGNAL: c_int = 0;
    #[cfg(not(target_vendor = "apple"))]
    const NO_SIGNAL: c_int = libc::MSG_NOSIGNAL;
    let (object, message) = (handle.object()?, message(buffers));
    let fd = descriptor(&object)?;
    // SAFETY: the message describes readable buffers.
    check(|| unsafe { libc::sendmsg(fd, &raw const message, NO_SIGNAL) })
}

/// Our flags that an open file keeps, and the system's.
const FLAGS: [(OFlags, c_int); 4] = [
    (OFlags::APPEND, libc::O_APPEND),
    (OFlags::NONBLOCK, libc::O_NONBLOCK),
    (OFlags::DSYNC, libc::O_DSYNC),
    (OFlags::SYNC, libc::O_SYNC),
];

fn to_system(flags: OFlags) -> c_int {
    FLAGS.iter().filter(|(ours, _)| flags.contains(*ours)).fold(0, |bits, (_, system)| bits | system)
}

/// Adds to options what the standard library has no method for. Not its `append`, which excludes `truncate`.
pub(super) fn add_flags(options: &mut OpenOptions, flags: OFlags) {
    options.custom_flags(to_system(flags) | libc::O_NOCTTY);
}

/// Flags that a file was opened with, or that were set since.
pub fn flags(handle: Handle) -> Result<OFlags> {
    let object = handle.object()?;
    let fd = descriptor(&object)?;
    // SAFETY: no memory is involved.
    let bits = check(|| unsafe { libc::fcntl(fd, libc::F_GETFL) } as isize)? as c_int;
    let access = match bits & libc::O_ACCMODE {
        libc::O_WRONLY => OFlags::WRONLY,
        libc::O_RDWR => OFlags::RDWR,
        _ => OFlags::RDONLY,
    };
    let set = FLAGS.iter().filter(|(_, system)| bits & system == *system);
    Ok(set.fold(access, |flags, (ours, _)| flags | *ours))
}

/// Sets the flags that can change: append, nonblock.
pub fn set_flags(handle: Handle, flags: OFlags) -> Result<()> {
    let object = handle.object()?;
    let fd = descriptor(&object)?;
    let bits = to_system(flags);
    // SAFETY: no memory is involved.
    check(|| unsafe { libc::fcntl(fd, libc::F_SETFL, bits) } as isize).map(|_| ())
}

/// Reserves space for a part of a file, which grows where it ends before. Apple's systems only reserve by files' ends:
/// there the file grows, and space is taken when it is written.
pub fn allocate(handle: Handle, offset: u64, len_bytes: u64) -> Result<()> {
    let range = |value: u64| i64::try_from(value).map_err(|_| Errno::Inval);
    let (start, len) = (range(offset)?, range(len_bytes)?);
    let end = start.checked_add(len).ok_or(Errno::Fbig)?;
    if len == 0 {
        return Err(Errno::Inval);
    }
    with_file(handle, |file| {
        #[cfg(target_os = "linux")]
        {
            let _ = end;
            // SAFETY: no memory is involved.
            check(|| unsafe { libc::fallocate(file.as_raw_fd(), 0, start, len) } as isize).map(|_| ())
        }
        #[cfg(not(target_os = "linux"))]
        match file.metadata().map_err(from_io)?.len() {
            now if now < end.unsigned_abs() => file.set_len(end.unsigned_abs()).map_err(from_io),
            _ => Ok(()),
        }
    })
}

/// Says how a part of a file will be used. A system that does not want to know ignores it.
pub fn advise(handle: Handle, offset: u64, len_bytes: u64, advice: Advice) -> Result<()> {
    with_file(handle, |file| {
        #[cfg(target_os = "linux")]
        {
            let advice = match advice {
                Advice::Normal => libc::POSIX_FADV_NORMAL,
                Advice::Sequential => libc::POSIX_FADV_SEQUENTIAL,
                Advice::Random => libc::POSIX_FADV_RANDOM,
                Advice::WillNeed => libc::POSIX_FADV_WILLNEED,
                Advice::DontNeed => libc::POSIX_FADV_DONTNEED,
                Advice::NoReuse => libc::POSIX_FADV_NOREUSE,
            };
            let (offset, len) = (offset.cast_signed(), len_bytes.cast_signed());
            // SAFETY: no memory is involved. The result is an error number.
            match unsafe { libc::posix_fadvise(file.as_raw_fd(), offset, len, advice) } {
                0 => Ok(()),
                error => Err(errno::from_raw(error)),
            }
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (file, offset, len_bytes, advice);
            Ok(())
        }
    })
}

impl Clock {
    fn number(self) -> libc::clockid_t {
        match self {
            Self::Realtime => libc::CLOCK_REALTIME,
            Self::Monotonic => libc::CLOCK_MONOTONIC,
            Self::ProcessCputime => libc::CLOCK_PROCESS_CPUTIME_ID,
            Self::ThreadCputime => libc::CLOCK_THREAD_CPUTIME_ID,
        }
    }
}

fn to_ns(time: libc::timespec) -> Result<u64> {
    let seconds = u64::try_from(time.tv_sec).map_err(|_| Errno::Overflow)?;
    let ns = seconds.checked_mul(1_000_000_000).and_then(|ns| ns.checked_add(time.tv_nsec.unsigned_abs()));
    ns.ok_or(Errno::Overflow)
}

/// Current time in nanoseconds.
pub fn now(clock: Clock) -> Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one time.
    check(|| unsafe { libc::clock_gettime(clock.number(), &raw mut time) } as isize)?;
    to_ns(time)
}

/// Resolution in nanoseconds.
pub fn resolution(clock: Clock) -> Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one time.
    check(|| unsafe { libc::clock_getres(clock.number(), &raw mut time) } as isize)?;
    to_ns(time)
}

/// Waits until one of the handles is ready or the monotonic clock shows `deadline` nanoseconds; how many are ready.
pub fn wait(watches: &mut [Watch], deadline: Option<u64>) -> Result<usize> {
    const EVENTS: [(u16, i16); 5] = [
        (Watch::READABLE, libc::POLLIN),
        (Watch::WRITABLE, libc::POLLOUT),
        (Watch::ERROR, libc::POLLERR),
        (Watch::HANGUP, libc::POLLHUP),
        (Watch::INVALID, libc::POLLNVAL),
    ];
    // The objects stay open while they are waited for.
    let objects: Vec<_> = watches.iter().map(|watch| watch.handle.object()).collect();
    let mut polled: Vec<libc::pollfd> = Vec::with_capacity(watches.len());
    for (watch, object) in watches.iter().zip(&objects) {
        // A location is always ready, as a file is: the system says so of any file that is open.
        let fd = object.as_ref().map_or(Err(Errno::Badf), |object| descriptor(object))?;
        let asked = EVENTS.iter().filter(|(ours, _)| watch.events & ours != 0);
        polled.push(libc::pollfd { fd, events: asked.fold(0, |bits, (_, system)| bits | system), revents: 0 });
    }
    let ready = loop {
        let milliseconds = match deadline {
            None => -1,
            // Rounded up, so that the moment has come when the call returns.
            Some(deadline) => {
                let left = deadline.saturating_sub(now(Clock::Monotonic)?).div_ceil(1_000_000);
                c_int::try_from(left).unwrap_or(c_int::MAX)
            }
        };
        // SAFETY: the call reads and writes the list.
        let result = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, milliseconds) };
        match usize::try_from(result) {
            // The longest time that the call takes may be less than what is left.
            Ok(0) if milliseconds == c_int::MAX => {}
            Ok(ready) => break ready,
            Err(_) => match from_io(io::Error::last_os_error()) {
                Errno::Intr => {}
                error => return Err(error),
            },
        }
    };
    for (watch, polled) in watches.iter_mut().zip(&polled) {
        let found = EVENTS.iter().filter(|(_, system)| polled.revents & system != 0);
        watch.found = found.fold(0, |bits, (ours, _)| bits | ours);
    }
    Ok(ready)
}

/// Writes all of `bytes`; gives up at the first error.
pub fn write(stream: Stream, bytes: &[u8]) -> core::result::Result<(), SystemError> {
    match stream {
        Stream::Output => write_all(libc::STDOUT_FILENO, bytes),
        Stream::Error => write_all(libc::STDERR_FILENO, bytes),
    }
}
