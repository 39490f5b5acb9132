//! Operations on files relative to a directory handle.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: guest paths are resolved by cap-std, below the directory that the handle stands for: by `openat2`  ║
//! ║ where the kernel has it, otherwise one component at a time. Nothing here opens a path in any other way, but  ║
//! ║ `open_granted`, whose path comes from the policy. All other functions get one component.                     ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use core::ffi::CStr;
use core::ops::{BitAnd, BitOr, BitOrAssign, Not};
use std::fs::File;
use std::io::Seek as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _, SystemTimeSpec};
use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions};
use cap_std::time::SystemTime as CapTime;

use crate::sys::errno::{Errno, Result};
use crate::sys::file::{Metadata, NewTime, Whence};

use super::error::from_io;
use super::handles::Object;
use super::system;

pub use super::handles::{Handle, OwnedHandle};
pub use super::system::{advise, allocate, flags, is_process_file, set_flags};

/// How to open, in the words of `open(2)`. The bits are our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OFlags(u32);

impl OFlags {
    /// Read only: no bit.
    pub const RDONLY: Self = Self(0);
    /// Write only.
    pub const WRONLY: Self = Self(1);
    /// Read and write.
    pub const RDWR: Self = Self(2);
    /// The bits that say which of the three.
    pub const RWMODE: Self = Self(3);
    /// Create the file where it does not exist.
    pub const CREATE: Self = Self(1 << 2);
    /// Fail where it exists.
    pub const EXCL: Self = Self(1 << 3);
    /// Cut the file to nothing.
    pub const TRUNC: Self = Self(1 << 4);
    /// Write at the end.
    pub const APPEND: Self = Self(1 << 5);
    /// Do not wait.
    pub const NONBLOCK: Self = Self(1 << 6);
    /// Content is on the device when a write returns.
    pub const DSYNC: Self = Self(1 << 7);
    /// So are attributes.
    pub const SYNC: Self = Self(1 << 8 | 1 << 7);
    /// Fail where it is not a directory.
    pub const DIRECTORY: Self = Self(1 << 9);
    /// Fail where it is a symbolic link.
    pub const NOFOLLOW: Self = Self(1 << 10);
    /// Say where it is, without access to it.
    pub const PATH: Self = Self(1 << 11);

    /// No flags.
    pub const fn empty() -> Self {
        Self(0)
    }

    /// Whether all of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for OFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for OFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for OFlags {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for OFlags {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}

/// Where relative paths of the host start; the working directory of the process until something else is said.
static START: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Makes relative paths of the host start at the folder of the executable.
pub fn start_granted_at_executable() -> Result<()> {
    let executable = std::env::current_exe().map_err(from_io)?;
    let folder = executable.parent().ok_or(Errno::Noent)?;
    *START.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder.into());
    Ok(())
}

/// A path of the host, which the user wrote.
fn path_of_host(path: &CStr) -> PathBuf {
    let start = START.lock().unwrap_or_else(PoisonError::into_inner);
    let path = system::path_of_host(path);
    start.as_ref().map_or_else(|| path.into(), |start| start.join(path))
}

/// Opens a granted directory by a path of the host.
pub fn open_granted(path: &CStr) -> Result<OwnedHandle> {
    let dir = Dir::open_ambient_dir(path_of_host(path), ambient_authority()).map_err(from_io)?;
    OwnedHandle::new(Object::directory(dir))
}

/// Room for a component of a path with its final NUL.
pub const NAME_BYTES: usize = 256;

/// Finds a file of the host by a path that the user wrote: the directory that holds it, and its name there. Links are
/// followed now, so the name is not a link unless someone replaces it later.
pub fn resolve_granted(path: &CStr, name: &mut [u8; NAME_BYTES]) -> Result<OwnedHandle> {
    let file = std::fs::canonicalize(path_of_host(path)).map_err(from_io)?;
    let (Some(folder), Some(last)) = (file.parent(), file.file_name()) else { return Err(Errno::Isdir) };
    let last = last.as_encoded_bytes();
    name.get_mut(..last.len()).filter(|name| name.len() < NAME_BYTES).ok_or(Errno::Nametoolong)?.copy_from_slice(last);
    let directory = Dir::open_ambient_dir(folder, ambient_authority()).map_err(from_io)?;
    OwnedHandle::new(Object::directory(directory))
}

/// Opens a file of the host for reading and writing.
pub fn open_granted_file(path: &CStr) -> Result<OwnedHandle> {
    let file = File::options().read(true).write(true).open(path_of_host(path)).map_err(from_io)?;
    system::opened(&file, OFlags::RDWR);
    OwnedHandle::new(Object::File(file))
}

/// Opens one component below a directory. A symbolic link is never followed.
pub fn open_one(directory: Handle, name: &CStr, flags: OFlags) -> Result<OwnedHandle> {
    open_beneath(directory, name, flags | OFlags::NOFOLLOW)
}

/// Opens a path, all of whose steps cap-std keeps below `directory`: [`Errno::Perm`] where one would leave it.
pub fn open_beneath(directory: Handle, path: &CStr, flags: OFlags) -> Result<OwnedHandle> {
    let (dir, path) = (directory.dir()?, system::path_of(path));
    let writes = flags & OFlags::RWMODE != OFlags::RDONLY;
    let follow = !flags.contains(OFlags::NOFOLLOW);
    // Windows takes a last `.` away before it looks. What ends in a slash is a directory, which this cannot create.
    let bytes = path.as_os_str().as_encoded_bytes();
    if flags.contains(OFlags::CREATE) && bytes.ends_with(b"/") {
        return Err(Errno::Isdir);
    }
    let is_directory = flags.contains(OFlags::DIRECTORY) || bytes.ends_with(b"/.");
    let object = if is_directory {
        let opened = if follow { dir.open_dir(path) } else { dir.open_dir_nofollow(path) };
        let opened = opened.map_err(from_io)?;
        if writes {
            return Err(Errno::Isdir);
        }
        Object::directory(opened)
    } else if flags.contains(OFlags::PATH) {
        let found = if follow { dir.metadata(path) } else { dir.symlink_metadata(path) };
        found.map_err(from_io)?;
        Object::Location(dir, path.into(), follow)
    } else {
        open_file(&dir, path, flags)?
    };
    OwnedHandle::new(object)
}

/// Opens something that may be a file or, where it is not written to, a directory.
fn open_file(dir: &Dir, path: &Path, flags: OFlags) -> Result<Object> {
    let access = flags & OFlags::RWMODE;
    let (reads, writes) = (access != OFlags::WRONLY, access != OFlags::RDONLY);
    let creates = flags.contains(OFlags::CREATE);
    let mut options = OpenOptions::new();
    options.read(reads).write(writes).create(creates).truncate(flags.contains(OFlags::TRUNC));
    options.create_new(creates && flags.contains(OFlags::EXCL));
    options.follow(if flags.contains(OFlags::NOFOLLOW) { FollowSymlinks::No } else { FollowSymlinks::Yes });
    system::add_flags(&mut options, flags);
    let failed = |error| match from_io(error) {
        // Windows' word for it.
        Errno::Acces if writes && dir.symlink_metadata(path).is_ok_and(|found| found.is_dir()) => Errno::Isdir,
        error => error,
    };
    let file = dir.open_with(path, &options).map_err(failed)?.into_std();
    system::opened(&file, flags);
    if !writes && file.metadata().map_err(from_io)?.is_dir() {
        return Ok(Object::directory(Dir::from_std_file(file)));
    }
    Ok(Object::File(file))
}

/// Reads the target of the symbolic link `name`; the number of bytes, which is the buffer's length where the target may
/// be longer.
pub fn read_link(directory: Handle, name: &CStr, buffer: &mut [u8]) -> Result<usize> {
    if is_itself(name) {
        return Err(Errno::Inval);
    }
    // "Contents", because the sandbox has its own opinion on absolute targets, which the caller refuses as well.
    let target = directory.dir()?.read_link_contents(system::path_of(name)).map_err(from_io)?;
    let target = system::link_target(&target);
    let len = target.len().min(buffer.len());
    if let (Some(to), Some(from)) = (buffer.get_mut(..len), target.get(..len)) {
        to.copy_from_slice(from);
    }
    Ok(len)
}

/// Whether a name is that of the directory itself: the path ended in `.` or `..`. Systems say different things about
/// it, and cap-std others; here it is what Linux says.
fn is_itself(name: &CStr) -> bool {
    name == c"."
}

/// Creates a directory.
pub fn create_directory(directory: Handle, name: &CStr) -> Result<()> {
    if is_itself(name) {
        return Err(Errno::Exist);
    }
    directory.dir()?.create_dir(system::path_of(name)).map_err(from_io)
}

/// Removes an empty directory.
pub fn remove_directory(directory: Handle, name: &CStr) -> Result<()> {
    if is_itself(name) {
        return Err(Errno::Inval);
    }
    directory.dir()?.remove_dir(system::path_of(name)).map_err(from_io)
}

/// Removes a name that is not a directory's.
pub fn unlink(directory: Handle, name: &CStr) -> Result<()> {
    if is_itself(name) {
        return Err(Errno::Isdir);
    }
    directory.dir()?.remove_file_or_symlink(system::path_of(name)).map_err(from_io)
}

/// Renames; a file of the new name is replaced.
pub fn rename(directory: Handle, name: &CStr, new_directory: Handle, new_name: &CStr) -> Result<()> {
    if is_itself(name) || is_itself(new_name) {
        return Err(Errno::Busy);
    }
    let (old, new) = (directory.dir()?, new_directory.dir()?);
    old.rename(system::path_of(name), &new, system::path_of(new_name)).map_err(from_io)
}

/// Makes a hard link to a file, or to a symbolic link itself.
pub fn hard_link(directory: Handle, name: &CStr, new_directory: Handle, new_name: &CStr) -> Result<()> {
    if is_itself(new_name) {
        return Err(Errno::Exist);
    }
    if is_itself(name) {
        return Err(Errno::Perm);
    }
    let (old, new) = (directory.dir()?, new_directory.dir()?);
    old.hard_link(system::path_of(name), &new, system::path_of(new_name)).map_err(from_io)
}

/// Makes a symbolic link.
pub fn symbolic_link(target: &CStr, directory: Handle, name: &CStr) -> Result<()> {
    if is_itself(name) {
        return Err(Errno::Exist);
    }
    system::symbolic_link(&*directory.dir()?, target, name)
}

/// Attributes of an open file.
pub fn metadata(handle: Handle) -> Result<Metadata> {
    let object = handle.object()?;
    let found = match &*object {
        Object::Directory(dir, _) => dir.dir_metadata(),
        Object::Location(dir, path, true) => dir.metadata(path),
        Object::Location(dir, path, false) => dir.symlink_metadata(path),
        other => return system::metadata_of_open(other),
    };
    found.map(|found| system::metadata_of(&found)).map_err(from_io)
}

/// Attributes of `name`, of the symbolic link itself where it is one.
pub fn metadata_at(directory: Handle, name: &CStr) -> Result<Metadata> {
    let found = directory.dir()?.symlink_metadata(system::path_of(name)).map_err(from_io)?;
    Ok(system::metadata_of(&found))
}

impl NewTime {
    fn spec(self) -> Result<Option<SystemTimeSpec>> {
        match self {
            Self::Keep => Ok(None),
            Self::Now => Ok(Some(SystemTimeSpec::SymbolicNow)),
            Self::At(ns) => {
                let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(ns)).ok_or(Errno::Overflow)?;
                Ok(Some(SystemTimeSpec::Absolute(CapTime::from_std(time))))
            }
        }
    }
}

/// Sets the times of an open file.
pub fn set_times(handle: Handle, accessed: NewTime, modified: NewTime) -> Result<()> {
    let (accessed, modified) = (accessed.spec()?, modified.spec()?);
    with_file(handle, |file| system::set_times(file, accessed, modified))
}

/// Sets the times of `name`, of the symbolic link itself where it is one; of what `directory` stands for when `name` is
/// empty, be it a file that was named and not opened.
pub fn set_times_at(directory: Handle, name: &CStr, accessed: NewTime, modified: NewTime) -> Result<()> {
    let (accessed, modified) = (accessed.spec()?, modified.spec()?);
    let object = directory.object()?;
    let set = match (&*object, name.is_empty()) {
        (Object::Location(dir, path, true), true) => dir.set_times(path, accessed, modified),
        (Object::Location(dir, path, false), true) => dir.set_symlink_times(path, accessed, modified),
        (Object::Directory(dir, _), true) => dir.set_times(".", accessed, modified),
        // What a link at the end would change is decided by the sandbox again; `.` is not a link.
        (Object::Directory(dir, _), false) if is_itself(name) => dir.set_times(".", accessed, modified),
        (Object::Directory(dir, _), false) => dir.set_symlink_times(system::path_of(name), accessed, modified),
        _ => return Err(Errno::Notdir),
    };
    set.map_err(from_io)
}

/// Moves the position; the new one. In a directory, a position is that of an entry, see `listing`.
pub fn seek(handle: Handle, offset: i64, whence: Whence) -> Result<u64> {
    let object = handle.object()?;
    let positive = u64::try_from(offset).map_err(|_| Errno::Inval);
    let to = match (&*object, whence) {
        (Object::Directory(dir, listing), Whence::Start) => {
            let position = positive?;
            listing.lock().unwrap_or_else(PoisonError::into_inner).seek(dir, position)?;
            return Ok(position);
        }
        (_, Whence::Start) => std::io::SeekFrom::Start(positive?),
        (_, Whence::Current) => std::io::SeekFrom::Current(offset),
        (_, Whence::End) => std::io::SeekFrom::End(offset),
    };
    match &*object {
        Object::File(file) => (&mut &*file).seek(to).map_err(from_io),
        _ => Err(Errno::Spipe),
    }
}

/// Does something with what a handle stands for, which must be a file.
pub(super) fn with_file<T>(handle: Handle, f: impl FnOnce(&File) -> Result<T>) -> Result<T> {
    match &*handle.object()? {
        Object::File(file) => f(file),
        _ => Err(Errno::Badf),
    }
}

/// Sets the length of a file.
pub fn set_size(handle: Handle, size_bytes: u64) -> Result<()> {
    if i64::try_from(size_bytes).is_err() {
        return Err(Errno::Inval);
    }
    // Linux's word for a file that was opened for reading alone; others have others.
    let reads = flags(handle)? & OFlags::RWMODE == OFlags::RDONLY;
    with_file(handle, |file| if reads { Err(Errno::Inval) } else { file.set_len(size_bytes).map_err(from_io) })
}

/// How a part of a file will be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Nothing is known.
    Normal,
    /// From front to back.
    Sequential,
    /// In no order.
    Random,
    /// Soon.
    WillNeed,
    /// Not soon.
    DontNeed,
    /// Once.
    NoReuse,
}

/// Writes content and attributes to the device.
pub fn sync(handle: Handle) -> Result<()> {
    with_file(handle, |file| system::sync(file, File::sync_all))
}

/// Writes the content to the device.
pub fn sync_data(handle: Handle) -> Result<()> {
    with_file(handle, |file| system::sync(file, File::sync_data))
}
