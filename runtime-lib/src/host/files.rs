//! Operations on files by path: opening, below a directory that the guest has open, and all others, below a root.
//!
//! In come a [`Root`] and a [`Path`]; the sandbox turns them into a directory handle and one component, on which the
//! operation works without following a link. Whether the grant allows changes is the caller's question, before; opening
//! asks it here.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: whatever a guest opens goes through `open_at_new_number`, the one function that gives a handle of  ║
//! ║ the operating system to a guest while it runs. Nothing is opened for writing through a read-only grant, and  ║
//! ║ nothing of `/proc`: a grant of `/` or `/proc` must not lead around the sandbox, and `/proc/self/mem` is this ║
//! ║ process's memory, code and all.                                                                              ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use crate::sys::errno::{Errno, Result};
use crate::sys::file::{FileType, Metadata, NewTime};
use crate::sys::fs::{self, Advice, Handle, OFlags, OwnedHandle};

use super::descriptor::{Descriptor, Kind};
use super::path::Path;
use super::sandbox::Root;
use super::state::State;
use super::tree::request::Request;

/// Flags for a handle that only says where something is.
const LOCATION: OFlags = OFlags::PATH;

/// What a number stands for, which must be a directory below which something can be opened.
pub fn directory_to_open_in(state: impl State, fd: u32) -> Result<Descriptor> {
    let descriptor = state.get(fd)?;
    match descriptor.kind {
        Kind::Directory | Kind::TreeDirectory => Ok(descriptor),
        Kind::File | Kind::TreeFile => Err(Errno::Notdir),
        _ => Err(Errno::Badf),
    }
}

/// Opens a path below a directory and gives a number to what was opened.
pub fn open(state: impl State, directory: Descriptor, path: &Path, flags: OFlags) -> Result<u32> {
    if directory.is_of_tree() {
        // A descriptor's number fits 32 bits.
        return state.ask_tree(Request::Open { directory, path, flags }).map(|fd| fd as u32);
    }
    open_at_new_number(state, directory.flags & Descriptor::READ_ONLY, flags, || {
        let opened = match directory.root().open(path.as_c_str(), flags) {
            Err(Errno::Notdir) if is_link(directory, path, flags) => return Err(Errno::Loop),
            result => result?,
        };
        // What was opened for writing is not a directory.
        let is_directory = !writes(flags)
            && (flags.contains(OFlags::DIRECTORY) || fs::metadata(opened.get())?.file_type == FileType::Directory);
        Ok((opened, if is_directory { Kind::Directory } else { Kind::File }))
    })
}

/// `oflags` of preview 1, which are the `open-flags` of WASI 0.2.
pub const CREATE: u32 = 1;
/// The path has to name a directory.
pub const DIRECTORY: u32 = 1 << 1;
/// What is created must not be there yet.
pub const EXCLUSIVE: u32 = 1 << 2;
/// A file loses its content.
pub const TRUNCATE: u32 = 1 << 3;

/// How a guest asks for something to be opened.
#[derive(Clone, Copy, Debug)]
pub struct Opening {
    /// A link at the end of the path is followed.
    pub follow: bool,
    /// [`CREATE`] and its like, nothing else.
    pub how: u32,
    /// Reading is asked for.
    pub read: bool,
    /// Writing is asked for.
    pub write: bool,
}

impl Opening {
    /// The flags of `open(2)`.
    pub fn flags(self) -> Result<OFlags> {
        let asks = |bits: u32| self.how & bits != 0;
        if asks(DIRECTORY) && self.how != DIRECTORY {
            return Err(Errno::Inval);
        }
        // Creating and truncating need write access, whatever is asked for; and where writing is not asked for, reading
        // must be possible for anything to be.
        let write = self.write || asks(CREATE | TRUNCATE);
        let read = self.read || !self.write;
        let access = match (read, write) {
            (_, false) => OFlags::RDONLY,
            (false, true) => OFlags::WRONLY,
            (true, true) => OFlags::RDWR,
        };
        Ok(access
            | flag(!self.follow, OFlags::NOFOLLOW)
            | flag(asks(CREATE), OFlags::CREATE)
            | flag(asks(CREATE) && asks(EXCLUSIVE), OFlags::EXCL)
            | flag(asks(TRUNCATE), OFlags::TRUNC)
            | flag(asks(DIRECTORY), OFlags::DIRECTORY))
    }
}

/// The flag, where it is wanted.
pub fn flag(is_wanted: bool, flag: OFlags) -> OFlags {
    if is_wanted { flag } else { OFlags::empty() }
}

/// What `advice` of preview 1 and of WASI 0.2 stand for; `None` for a number that is not one.
pub fn advice(number: u32) -> Option<Advice> {
    Some(match number {
        0 => Advice::Normal,
        1 => Advice::Sequential,
        2 => Advice::Random,
        3 => Advice::WillNeed,
        4 => Advice::DontNeed,
        5 => Advice::NoReuse,
        _ => return None,
    })
}

/// Whether something is opened for writing.
fn writes(flags: OFlags) -> bool {
    flags & OFlags::RWMODE != OFlags::RDONLY
}

/// Calls `open`, which opens something with `flags`, and gives a number to the result. `read_only` is
/// [`Descriptor::READ_ONLY`] or 0, as the grant says.
///
/// The number is reserved first, so that no file is created which then has no number.
pub fn open_at_new_number(
    state: impl State,
    read_only: u8,
    flags: OFlags,
    open: impl FnOnce() -> Result<(OwnedHandle, Kind)>,
) -> Result<u32> {
    if writes(flags) && read_only != 0 {
        return Err(Errno::Perm);
    }
    let number = state.reserve()?;
    let (opened, kind) = open()?;
    if writes(flags) && fs::is_process_file(opened.get())? {
        return Err(Errno::Perm);
    }
    Ok(number.fill(opened, kind, read_only, 0))
}

/// Whether a path that does not name a directory names a symbolic link, which was not to be followed.
#[cold]
fn is_link(directory: Descriptor, path: &Path, flags: OFlags) -> bool {
    if !flags.contains(OFlags::NOFOLLOW) || !flags.contains(OFlags::DIRECTORY) {
        return false;
    }
    let opened = directory.root().open(path.as_c_str(), LOCATION.union(OFlags::NOFOLLOW));
    opened
        .and_then(|opened| fs::metadata(opened.get()))
        .is_ok_and(|metadata| metadata.file_type == FileType::SymbolicLink)
}

/// Opens the directory that a path with a trailing slash names, following links as such a path does.
fn open_directory(root: Root, path: &Path) -> Result<OwnedHandle> {
    root.open(path.as_c_str(), LOCATION.union(OFlags::DIRECTORY))
}

/// Whether a path must name a directory because of its slash. Asked before the path is split.
fn ends_with_slash(path: &Path) -> bool {
    path.as_bytes().ends_with(b"/")
}

/// Creates a directory.
pub fn create_directory(root: Root, path: &mut Path) -> Result<()> {
    let parent = root.parent(path)?;
    fs::create_directory(parent.directory(), parent.name)
}

/// Removes an empty directory.
pub fn remove_directory(root: Root, path: &mut Path) -> Result<()> {
    let parent = root.parent(path)?;
    fs::remove_directory(parent.directory(), parent.name)
}

/// Removes a file or a symbolic link.
pub fn unlink(root: Root, path: &mut Path) -> Result<()> {
    let parent = root.parent(path)?;
    if parent.trailing_slash {
        // Nothing with a slash behind it can be unlinked: say why.
        let is_directory = fs::metadata_at(parent.directory(), parent.name)?.file_type == FileType::Directory;
        return Err(if is_directory { Errno::Isdir } else { Errno::Notdir });
    }
    fs::unlink(parent.directory(), parent.name)
}

/// Attributes of what a path names; of a symbolic link itself unless `follow`.
pub fn metadata(root: Root, path: &mut Path, follow: bool) -> Result<Metadata> {
    if ends_with_slash(path) {
        return fs::metadata(open_directory(root, path)?.get());
    }
    if !follow {
        let parent = root.parent(path)?;
        return fs::metadata_at(parent.directory(), parent.name);
    }
    // Most files are not links: then one call does for a single component what opening would do in three.
    if !path.as_bytes().contains(&b'/') && path.as_bytes() != b".." {
        let found = fs::metadata_at(root.handle(), path.as_c_str())?;
        if found.file_type != FileType::SymbolicLink {
            return Ok(found);
        }
    }
    fs::metadata(root.open(path.as_c_str(), LOCATION)?.get())
}

/// Sets the times of what a path names; of a symbolic link itself unless `follow`.
pub fn set_times(root: Root, path: &mut Path, follow: bool, accessed: NewTime, modified: NewTime) -> Result<()> {
    if !follow && !ends_with_slash(path) {
        let parent = root.parent(path)?;
        return fs::set_times_at(parent.directory(), parent.name, accessed, modified);
    }
    let directory = if ends_with_slash(path) { OFlags::DIRECTORY } else { OFlags::empty() };
    let location = root.open(path.as_c_str(), LOCATION.union(directory))?;
    match fs::set_times_at(location.get(), c"", accessed, modified) {
        // Kernels before 5.8 cannot do it through a mere location.
        Err(Errno::Inval) => {
            let opened = root.open(path.as_c_str(), directory.union(OFlags::NONBLOCK))?;
            fs::set_times(opened.get(), accessed, modified)
        }
        result => result,
    }
}

/// Makes a hard link at `new_path` to the file, or the symbolic link itself, that `path` names.
pub fn hard_link(root: Root, path: &mut Path, new_root: Root, new_path: &mut Path) -> Result<()> {
    if ends_with_slash(path) {
        open_directory(root, path)?;
        return Err(Errno::Perm);
    }
    refuse_new_directory(new_root, new_path)?;
    let (old, new) = (root.parent(path)?, new_root.parent(new_path)?);
    fs::hard_link(old.directory(), old.name, new.directory(), new.name)
}

/// Makes a symbolic link. The target is text that is only looked at when the link is used, but an absolute one could
/// never be followed and is refused.
pub fn symbolic_link(target: &Path, root: Root, path: &mut Path) -> Result<()> {
    if target.as_bytes().starts_with(b"/") {
        return Err(Errno::Perm);
    }
    refuse_new_directory(root, path)?;
    let parent = root.parent(path)?;
    fs::symbolic_link(target.as_c_str(), parent.directory(), parent.name)
}

/// Fails where the path of something new that is not a directory ends with a slash.
fn refuse_new_directory(root: Root, path: &Path) -> Result<()> {
    if ends_with_slash(path) {
        open_directory(root, path)?;
        return Err(Errno::Exist);
    }
    Ok(())
}

/// Reads the target of a symbolic link into `buffer`; how many bytes were read, all of the buffer where it is too
/// short. An absolute target is of no use to the guest and says something about the host: it is refused.
pub fn read_link(root: Root, path: &mut Path, buffer: &mut [u8]) -> Result<usize> {
    if ends_with_slash(path) {
        open_directory(root, path)?;
        return Err(Errno::Inval);
    }
    let parent = root.parent(path)?;
    let len = fs::read_link(parent.directory(), parent.name, buffer)?;
    if buffer.starts_with(b"/") {
        return Err(Errno::Perm);
    }
    Ok(len)
}

/// Renames; a file of the new name is replaced.
pub fn rename(root: Root, path: &mut Path, new_root: Root, new_path: &mut Path) -> Result<()> {
    let (old, new) = (root.parent(path)?, new_root.parent(new_path)?);
    if (old.trailing_slash || new.trailing_slash)
        && fs::metadata_at(old.directory(), old.name)?.file_type != FileType::Directory
    {
        return Err(Errno::Notdir);
    }
    fs::rename(old.directory(), old.name, new.directory(), new.name)
}

/// Sets the times of an open file or directory.
pub fn set_open_times(handle: Handle, is_directory: bool, accessed: NewTime, modified: NewTime) -> Result<()> {
    // A directory may be open as a mere location, which has no times of its own but has a name.
    if is_directory {
        fs::set_times_at(handle, c".", accessed, modified)
    } else {
        fs::set_times(handle, accessed, modified)
    }
}
