//! Handles, and operations on files relative to a directory handle. No function here looks at more than one component
//! of a path, except [`open_beneath`], which makes the kernel keep the path below its start.

use core::ffi::CStr;
use core::sync::atomic::{AtomicI32, Ordering};

use linux_raw_sys::general::{
    __NR_dup3, __NR_epoll_create1, __NR_fcntl, __NR_lseek, __NR_openat, __NR_openat2, __NR_readlinkat, AT_FDCWD,
    F_DUPFD_CLOEXEC, RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS,
};
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, Mode, Timestamps};

use crate::sys::errno::{Errno, Result};
use crate::sys::file::{FileType, Metadata, NewTime, Whence};

use super::io_error::from_rustix;
use super::io_syscall::call;

/// How to open, in the words of `open(2)`.
pub use rustix::fs::OFlags;

/// An open file, directory, pipe or terminal of the operating system. Copies do not own it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(i32);

impl Handle {
    /// Standard input.
    pub const STDIN: Handle = Handle(0);
    /// Standard output.
    pub const STDOUT: Handle = Handle(1);
    /// Standard error.
    pub const STDERR: Handle = Handle(2);

    /// The argument of a system call.
    pub(super) fn raw(self) -> usize {
        self.0 as usize
    }

    fn fd(self) -> BorrowedFd<'static> {
        // SAFETY: handles are made from descriptors of the kernel, so none is negative. Said aloud, because rustix would
        // check it and bring in the code that reports a panic.
        unsafe { core::hint::assert_unchecked(self.0 >= 0) };
        // SAFETY: a handle that was closed early would give EBADF, never an access to memory.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }

    /// The number by which the operating system knows it.
    pub fn number(self) -> u32 {
        // The kernel's descriptors are not negative.
        self.0 as u32
    }

    /// The handle with this number.
    pub fn from_number(number: u32) -> Self {
        Self(number as i32)
    }

    /// Closes what the handle stands for, and makes it stand for something that can neither be read nor written nor
    /// be a directory. It is still to be closed.
    pub fn replace_by_nothing(self) -> Result<()> {
        const EPOLL_CLOEXEC: usize = 0o2_000_000;
        // SAFETY: no memory is involved.
        let nothing = OwnedHandle(Self(unsafe { call(__NR_epoll_create1, [EPOLL_CLOEXEC, 0, 0, 0]) }? as i32));
        self.replace_by(nothing.get())
    }

    /// Closes what the handle stands for, and makes it stand for the same as `other`.
    pub fn replace_by(self, other: Handle) -> Result<()> {
        let flags = OFlags::CLOEXEC.bits() as usize;
        // SAFETY: no memory is involved.
        unsafe { call(__NR_dup3, [other.raw(), self.raw(), flags, 0]) }.map(|_| ())
    }

    /// Closes the handle.
    pub fn close(self) {
        // SAFETY: handles own nothing that Rust relies on; the caller gives this one up.
        unsafe { rustix::io::close(self.0) };
    }
}

/// A handle that is closed when it is dropped.
#[derive(Debug)]
pub struct OwnedHandle(Handle);

impl OwnedHandle {
    /// Takes over what the kernel returned. A low number is moved up: where the process was started with a standard
    /// stream closed, the next file would become the guest's standard output or receive our messages.
    pub(super) fn from_kernel(raw: usize) -> Result<Self> {
        const FIRST: i32 = 3;
        // The kernel's descriptors fit 32 bits.
        let handle = Self(Handle(raw as i32));
        if handle.0.0 >= FIRST {
            return Ok(handle);
        }
        // SAFETY: no memory is involved. `handle` closes the low number afterwards.
        let moved = unsafe { call(__NR_fcntl, [raw, F_DUPFD_CLOEXEC as usize, FIRST as usize, 0]) }?;
        Ok(Self(Handle(moved as i32)))
    }

    /// Takes over a descriptor of a host program.
    ///
    /// # Safety
    /// The descriptor is open, and the caller owns it.
    pub unsafe fn from_fd(fd: i32) -> Self {
        Self(Handle(fd))
    }

    /// The handle, still owned by this value.
    pub fn get(&self) -> Handle {
        self.0
    }

    /// The handle, no longer owned.
    pub fn release(self) -> Handle {
        let handle = self.0;
        core::mem::forget(self);
        handle
    }
}

impl Drop for OwnedHandle {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What new files may be used for before the process's mask: everything but executing. Only asked for when one may be
/// created, because `openat2` refuses it otherwise.
fn mode(flags: OFlags) -> usize {
    if flags.contains(OFlags::CREATE) { 0o666 } else { 0 }
}

/// What new directories may be used for before the process's mask: everything.
const NEW_DIRECTORY: Mode = Mode::from_raw_mode(0o777);

/// Flags that every open gets: no handle reaches a child process, and no terminal becomes ours.
const ALWAYS: OFlags = OFlags::CLOEXEC;

fn complete(flags: OFlags) -> OFlags {
    // `openat2` accepts nothing beside O_PATH that it would ignore.
    if flags.contains(OFlags::PATH) { flags | ALWAYS } else { flags | ALWAYS | OFlags::NOCTTY }
}

fn retry<T>(mut f: impl FnMut() -> rustix::io::Result<T>) -> Result<T> {
    loop {
        match f() {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map_err(from_rustix),
        }
    }
}

/// The working directory of the process.
pub const WORKING_DIRECTORY: Handle = Handle(AT_FDCWD);

/// Where relative paths of the host start: [`WORKING_DIRECTORY`] or a directory.
static START: AtomicI32 = AtomicI32::new(AT_FDCWD);

/// Makes relative paths of the host start at a directory, which stays open.
pub fn start_granted_at(directory: OwnedHandle) {
    START.store(directory.release().0, Ordering::Relaxed);
}

/// Opens a granted directory, as a mere location, by a path of the host.
pub fn open_granted(path: &CStr) -> Result<OwnedHandle> {
    open_of_host(path, OFlags::PATH.union(OFlags::DIRECTORY))
}

/// Room for a component of a path with its final NUL.
pub const NAME_BYTES: usize = 256;

/// Finds a file of the host by a path that the user wrote: the directory that holds it, as a mere location, and its
/// name there. Links are followed now, so the name is not a link unless someone replaces it later.
pub fn resolve_granted(path: &CStr, name: &mut [u8; NAME_BYTES]) -> Result<OwnedHandle> {
    const PATH_BYTES: usize = 4096;
    /// As many as the kernel follows.
    const MAX_LINKS: u32 = 40;
    let mut text = [0; PATH_BYTES];
    let mut len = path.to_bytes().len();
    text.get_mut(..len).ok_or(Errno::Nametoolong)?.copy_from_slice(path.to_bytes());
    let mut from: Option<OwnedHandle> = None;
    for _ in 0..MAX_LINKS {
        let found = text.get(..len).ok_or(Errno::Nametoolong)?;
        let name_start = found.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
        let last = found.get(name_start..).unwrap_or_default();
        if matches!(last, b"" | b"." | b"..") {
            return Err(Errno::Isdir);
        }
        *name = [0; NAME_BYTES];
        name.get_mut(..last.len())
            .filter(|name| name.len() < NAME_BYTES)
            .ok_or(Errno::Nametoolong)?
            .copy_from_slice(last);
        // What is left of the name is the directory's path: with its slash, or nothing.
        *text.get_mut(name_start).ok_or(Errno::Nametoolong)? = 0;
        let directory =
            if name_start == 0 { c"." } else { CStr::from_bytes_until_nul(&text).map_err(|_| Errno::Inval)? };
        let flags = OFlags::PATH.union(OFlags::DIRECTORY);
        let directory = match &from {
            None => open_of_host(directory, flags)?,
            Some(from) => open_of_host_at(from.get().0, directory, flags)?,
        };
        let name = CStr::from_bytes_until_nul(name).map_err(|_| Errno::Nametoolong)?;
        match read_link(directory.get(), name, &mut text) {
            Ok(PATH_BYTES) => return Err(Errno::Nametoolong),
            Ok(target_len) => len = target_len,
            Err(Errno::Inval) => return Ok(directory),
            Err(error) => return Err(error),
        }
        from = Some(directory);
    }
    Err(Errno::Loop)
}

/// Opens a file of the host for reading and writing.
pub fn open_granted_file(path: &CStr) -> Result<OwnedHandle> {
    open_of_host(path, OFlags::RDWR)
}

/// Opens a file of the system, by its absolute path, for reading.
pub fn open_system_file(path: &CStr) -> Result<OwnedHandle> {
    open_of_host_at(AT_FDCWD, path, OFlags::RDONLY)
}

/// Opens by a path of the host, which the user wrote: links in it are followed.
fn open_of_host(path: &CStr, flags: OFlags) -> Result<OwnedHandle> {
    open_of_host_at(START.load(Ordering::Relaxed), path, flags)
}

/// The same for a path that starts at a directory.
fn open_of_host_at(start: i32, path: &CStr, flags: OFlags) -> Result<OwnedHandle> {
    let flags = flags.union(ALWAYS);
    // SAFETY: the path is a C string.
    unsafe { call(__NR_openat, [start as usize, path.as_ptr() as usize, flags.bits() as usize, 0]) }
        .and_then(OwnedHandle::from_kernel)
}

/// Opens one component below a directory, `name` being neither `..` nor containing a `/`. A symbolic link is never
/// followed.
pub fn open_one(directory: Handle, name: &CStr, flags: OFlags) -> Result<OwnedHandle> {
    let (flags, mode) = (complete(flags) | OFlags::NOFOLLOW, mode(flags));
    let arguments = [directory.raw(), name.as_ptr() as usize, flags.bits() as usize, mode];
    // SAFETY: the name is a C string.
    unsafe { call(__NR_openat, arguments) }.and_then(OwnedHandle::from_kernel)
}

/// `struct open_how`.
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Opens a path, all of whose steps the kernel keeps below `directory`: [`Errno::Xdev`] where one would leave it,
/// [`Errno::Again`] where something was renamed meanwhile.
pub fn open_beneath(directory: Handle, path: &CStr, flags: OFlags) -> Result<OwnedHandle> {
    let how = OpenHow {
        flags: u64::from(complete(flags).bits()),
        mode: mode(flags) as u64,
        resolve: u64::from(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS),
    };
    let how_at = core::ptr::from_ref(&how) as usize;
    // SAFETY: the path is a C string, and the structure has the size that is passed.
    unsafe { call(__NR_openat2, [directory.raw(), path.as_ptr() as usize, how_at, size_of::<OpenHow>()]) }
        .and_then(OwnedHandle::from_kernel)
}

/// Reads the target of the symbolic link `name`, or of the link that `directory` itself is when `name` is empty; the
/// number of bytes, which is the buffer's length where the target may be longer.
pub fn read_link(directory: Handle, name: &CStr, buffer: &mut [u8]) -> Result<usize> {
    let arguments = [directory.raw(), name.as_ptr() as usize, buffer.as_mut_ptr() as usize, buffer.len()];
    // SAFETY: the kernel writes no more than the buffer holds.
    unsafe { call(__NR_readlinkat, arguments) }
}

/// Creates a directory.
pub fn create_directory(directory: Handle, name: &CStr) -> Result<()> {
    rustix::fs::mkdirat(directory.fd(), name, NEW_DIRECTORY).map_err(from_rustix)
}

/// Removes an empty directory.
pub fn remove_directory(directory: Handle, name: &CStr) -> Result<()> {
    rustix::fs::unlinkat(directory.fd(), name, AtFlags::REMOVEDIR).map_err(from_rustix)
}

/// Removes a name that is not a directory's.
pub fn unlink(directory: Handle, name: &CStr) -> Result<()> {
    rustix::fs::unlinkat(directory.fd(), name, AtFlags::empty()).map_err(from_rustix)
}

/// Renames; a file of the new name is replaced.
pub fn rename(directory: Handle, name: &CStr, new_directory: Handle, new_name: &CStr) -> Result<()> {
    rustix::fs::renameat(directory.fd(), name, new_directory.fd(), new_name).map_err(from_rustix)
}

/// Makes a hard link to a file, or to a symbolic link itself.
pub fn hard_link(directory: Handle, name: &CStr, new_directory: Handle, new_name: &CStr) -> Result<()> {
    rustix::fs::linkat(directory.fd(), name, new_directory.fd(), new_name, AtFlags::empty()).map_err(from_rustix)
}

/// Makes a symbolic link.
pub fn symbolic_link(target: &CStr, directory: Handle, name: &CStr) -> Result<()> {
    rustix::fs::symlinkat(target, directory.fd(), name).map_err(from_rustix)
}

#[allow(clippy::unnecessary_cast, reason = "the field types differ between architectures")]
fn metadata_of(stat: &rustix::fs::Stat) -> Metadata {
    let ns = |seconds: i64, nanoseconds: u64| {
        u64::try_from(seconds).map_or(0, |s| s.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
    };
    Metadata {
        device: stat.st_dev as u64,
        inode: stat.st_ino as u64,
        file_type: FileType::from_mode(stat.st_mode),
        links: stat.st_nlink as u64,
        size_bytes: stat.st_size as u64,
        accessed_ns: ns(stat.st_atime as i64, stat.st_atime_nsec as u64),
        modified_ns: ns(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
        changed_ns: ns(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
    }
}

/// Attributes of an open file.
pub fn metadata(handle: Handle) -> Result<Metadata> {
    rustix::fs::fstat(handle.fd()).map(|s| metadata_of(&s)).map_err(from_rustix)
}

/// Whether a file belongs to the file system through which the kernel lets processes be looked into and changed.
pub fn is_process_file(handle: Handle) -> Result<bool> {
    let file_system = rustix::fs::fstatfs(handle.fd()).map_err(from_rustix)?;
    Ok(file_system.f_type as u64 == rustix::fs::PROC_SUPER_MAGIC as u64)
}

/// Attributes of `name`, of the symbolic link itself where it is one.
pub fn metadata_at(directory: Handle, name: &CStr) -> Result<Metadata> {
    rustix::fs::statat(directory.fd(), name, AtFlags::SYMLINK_NOFOLLOW).map(|s| metadata_of(&s)).map_err(from_rustix)
}

impl NewTime {
    fn timespec(self) -> rustix::fs::Timespec {
        match self {
            Self::Keep => rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            Self::Now => rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
            Self::At(ns) => {
                rustix::fs::Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 }
            }
        }
    }
}

/// Sets the times of an open file.
pub fn set_times(handle: Handle, accessed: NewTime, modified: NewTime) -> Result<()> {
    let times = Timestamps { last_access: accessed.timespec(), last_modification: modified.timespec() };
    rustix::fs::futimens(handle.fd(), &times).map_err(from_rustix)
}

/// Sets the times of `name`, of the symbolic link itself where it is one; of `directory` itself, even where it was
/// opened as a mere location, when `name` is empty.
pub fn set_times_at(directory: Handle, name: &CStr, accessed: NewTime, modified: NewTime) -> Result<()> {
    let times = Timestamps { last_access: accessed.timespec(), last_modification: modified.timespec() };
    let flags = if name.is_empty() { AtFlags::EMPTY_PATH } else { AtFlags::SYMLINK_NOFOLLOW };
    rustix::fs::utimensat(directory.fd(), name, &times, flags).map_err(from_rustix)
}

/// Flags that a file was opened with, or that were set since.
pub fn flags(handle: Handle) -> Result<OFlags> {
    rustix::fs::fcntl_getfl(handle.fd()).map_err(from_rustix)
}

/// Sets the flags that can change: `O_APPEND`, `O_NONBLOCK`.
pub fn set_flags(handle: Handle, flags: OFlags) -> Result<()> {
    rustix::fs::fcntl_setfl(handle.fd(), flags).map_err(from_rustix)
}

/// Moves the position; the new one.
pub fn seek(handle: Handle, offset: i64, whence: Whence) -> Result<u64> {
    // SAFETY: no memory is involved.
    unsafe { call(__NR_lseek, [handle.raw(), offset as usize, whence as usize, 0]) }.map(|position| position as u64)
}

/// Sets the length of a file.
pub fn set_size(handle: Handle, size_bytes: u64) -> Result<()> {
    if i64::try_from(size_bytes).is_err() {
        return Err(Errno::Inval);
    }
    retry(|| rustix::fs::ftruncate(handle.fd(), size_bytes))
}

/// Reserves space for a part of a file, which grows where it ends before.
pub fn allocate(handle: Handle, offset: u64, len_bytes: u64) -> Result<()> {
    retry(|| rustix::fs::fallocate(handle.fd(), rustix::fs::FallocateFlags::empty(), offset, len_bytes))
}

/// How a part of a file will be used.
pub use rustix::fs::Advice;

/// Says how a part of a file will be used.
pub fn advise(handle: Handle, offset: u64, len_bytes: u64, advice: Advice) -> Result<()> {
    let len = core::num::NonZeroU64::new(len_bytes);
    rustix::fs::fadvise(handle.fd(), offset, len, advice).map_err(from_rustix)
}

/// Writes content and attributes to the device.
pub fn sync(handle: Handle) -> Result<()> {
    retry(|| rustix::fs::fsync(handle.fd()))
}

/// Writes the content to the device.
pub fn sync_data(handle: Handle) -> Result<()> {
    retry(|| rustix::fs::fdatasync(handle.fd()))
}
