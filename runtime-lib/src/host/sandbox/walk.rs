//! Path resolution one component at a time, for kernels that cannot keep a path below its root themselves.
//!
//! SECURITY: see the banner of the parent module. What makes it hold:
//! - Each step opens one name with `O_NOFOLLOW` relative to a directory that is held open. So a directory that is
//!   replaced by a link between two steps is seen as the link that it is.
//! - `..` never reaches the kernel: it goes back to the handle from which the current directory was reached, and
//!   fails at the root. So moving a directory out of the root while it is being walked gives no way up from there.
//! - A link's target is read through a handle to the link itself and walked like any other path, from the directory
//!   that holds the link; an absolute one is refused. So links of `/proc` lead nowhere but where their text says.

use core::ffi::CStr;

use crate::host::path::PATH_MAX;
use crate::sys::errno::{Errno, Result};
use crate::sys::fs::{self, Handle, OFlags, OwnedHandle};

/// Links in one path, as in the kernel.
const MAX_LINKS: u32 = 40;

/// Directories that are held open at once; deeper paths are refused as too long.
const MAX_DEPTH: usize = 256;

/// The longest component, as in the kernel.
const NAME_MAX: usize = 255;

/// Opens `path` below `root`.
pub(super) fn open(root: Handle, path: &CStr, flags: OFlags) -> Result<OwnedHandle> {
    let mut walk =
        Walk { root, held: Held { handles: [Handle::STDIN; MAX_DEPTH], len: 0 }, rest: Rest::new(), links: 0 };
    walk.rest.push(path.to_bytes())?;
    loop {
        if let Some(opened) = walk.step(flags)? {
            return Ok(opened);
        }
    }
}

struct Walk {
    root: Handle,
    held: Held,
    rest: Rest,
    links: u32,
}

impl Walk {
    /// Takes one component; the result after the last one.
    fn step(&mut self, flags: OFlags) -> Result<Option<OwnedHandle>> {
        let mut store = [0; NAME_MAX + 1];
        let component = self.rest.pop(&mut store)?;
        let here = self.held.last().unwrap_or(self.root);
        match component.name.to_bytes() {
            b"." => {}
            b".." => self.held.pop()?,
            _ if !component.is_last => return self.descend(here, component.name).map(|()| None),
            _ if component.trailing_slash => {
                if flags.contains(OFlags::CREATE) {
                    return Err(Errno::Isdir);
                }
                self.descend(here, component.name)?;
                // A link's target goes on; otherwise the directory just entered is what the path names.
                if !self.rest.is_empty() {
                    return Ok(None);
                }
            }
            _ => return self.open_last(here, component.name, flags),
        }
        if !component.is_last {
            return Ok(None);
        }
        let here = self.held.last().unwrap_or(self.root);
        fs::open_one(here, c".", flags & !OFlags::NOFOLLOW).map(Some)
    }

    /// Enters a directory, or expands a link in the middle of a path.
    fn descend(&mut self, here: Handle, name: &CStr) -> Result<()> {
        match fs::open_one(here, name, OFlags::PATH | OFlags::DIRECTORY) {
            Ok(directory) => self.held.push(directory),
            // A link is not a directory either.
            Err(Errno::Notdir | Errno::Loop) => match self.expand(here, name, true)? {
                Expanded::Yes => Ok(()),
                // It may have become a directory since.
                Expanded::NoLink(opened) => self.held.push(as_directory(opened.get())?),
            },
            Err(error) => Err(error),
        }
    }

    /// Opens what the path names, or expands the link that it is.
    fn open_last(&mut self, here: Handle, name: &CStr, flags: OFlags) -> Result<Option<OwnedHandle>> {
        let follow = !flags.contains(OFlags::NOFOLLOW);
        let error = match fs::open_one(here, name, flags) {
            // Only O_PATH without O_DIRECTORY opens a link itself.
            Ok(opened) if follow && flags & (OFlags::PATH | OFlags::DIRECTORY) == OFlags::PATH => {
                return match self.expand_opened(opened, false)? {
                    Expanded::Yes => Ok(None),
                    Expanded::NoLink(opened) => Ok(Some(opened)),
                };
            }
            Ok(opened) => return Ok(Some(opened)),
            // What O_NOFOLLOW says about a link, and what it says together with O_DIRECTORY.
            Err(error @ (Errno::Loop | Errno::Notdir)) if follow => error,
            Err(error) => return Err(error),
        };
        match self.expand(here, name, false)? {
            Expanded::Yes => Ok(None),
            // It was a link, or no directory, a moment ago. Trying again counts as a link, so it ends.
            Expanded::NoLink(opened) => {
                if error == Errno::Notdir {
                    as_directory(opened.get())?;
                }
                self.count_link()?;
                self.rest.push(name.to_bytes())?;
                Ok(None)
            }
        }
    }

    /// Puts the target of the link `name` in front of what remains of the path.
    fn expand(&mut self, here: Handle, name: &CStr, slash: bool) -> Result<Expanded> {
        let link = fs::open_one(here, name, OFlags::PATH)?;
        self.expand_opened(link, slash)
    }

    fn expand_opened(&mut self, link: OwnedHandle, slash: bool) -> Result<Expanded> {
        let mut target = [0; PATH_MAX];
        let target = match fs::read_link(link.get(), c"", &mut target) {
            Ok(len) if len == PATH_MAX => return Err(Errno::Nametoolong),
            Ok(len) => target.get(..len).unwrap_or(&[]),
            // Kernels differ in what they say about a handle that is not a link.
            Err(Errno::Inval | Errno::Noent) => return Ok(Expanded::NoLink(link)),
            Err(error) => return Err(error),
        };
        self.count_link()?;
        if target.is_empty() {
            return Err(Errno::Noent);
        }
        if slash {
            self.rest.push(b"/")?;
        }
        self.rest.push(target)?;
        Ok(Expanded::Yes)
    }

    fn count_link(&mut self) -> Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS { Err(Errno::Loop) } else { Ok(()) }
    }
}

enum Expanded {
    Yes,
    /// It is something else, which was opened as a mere location.
    NoLink(OwnedHandle),
}

/// A second handle to a directory; an error where it is something else.
fn as_directory(opened: Handle) -> Result<OwnedHandle> {
    fs::open_one(opened, c".", OFlags::PATH | OFlags::DIRECTORY)
}

/// The directories between the root and the current one, the current one last.
struct Held {
    handles: [Handle; MAX_DEPTH],
    len: usize,
}

impl Held {
    fn last(&self) -> Option<Handle> {
        self.handles.get(self.len.checked_sub(1)?).copied()
    }

    fn push(&mut self, directory: OwnedHandle) -> Result<()> {
        *self.handles.get_mut(self.len).ok_or(Errno::Nametoolong)? = directory.release();
        self.len += 1;
        Ok(())
    }

    /// Goes up one level; not beyond the root.
    fn pop(&mut self) -> Result<()> {
        self.last().ok_or(Errno::Perm)?.close();
        self.len -= 1;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        while self.pop().is_ok() {}
    }
}

/// What remains of the path, at the end of a buffer, so that a link's target can be put in front of it.
struct Rest {
    bytes: [u8; PATH_MAX],
    start: usize,
}

struct Component<'a> {
    name: &'a CStr,
    /// Nothing follows but slashes.
    is_last: bool,
    trailing_slash: bool,
}

impl Rest {
    fn new() -> Self {
        Self { bytes: [0; PATH_MAX], start: PATH_MAX }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or(&[])
    }

    fn is_empty(&self) -> bool {
        self.start == PATH_MAX
    }

    /// Puts bytes in front.
    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let start = self.start.checked_sub(bytes.len()).ok_or(Errno::Nametoolong)?;
        self.bytes.get_mut(start..self.start).ok_or(Errno::Nametoolong)?.copy_from_slice(bytes);
        self.start = start;
        Ok(())
    }

    /// Takes the first component, with the slashes behind it, off the front.
    fn pop<'a>(&mut self, store: &'a mut [u8; NAME_MAX + 1]) -> Result<Component<'a>> {
        let rest = self.as_bytes();
        let len = rest.iter().position(|&b| b == b'/').unwrap_or(rest.len());
        let (name, behind) = rest.split_at_checked(len).ok_or(Errno::Noent)?;
        match name {
            // An absolute path, or an absolute link.
            [] if !behind.is_empty() => return Err(Errno::Perm),
            [] => return Err(Errno::Noent),
            _ => {}
        }
        let slashes = behind.iter().take_while(|&&b| b == b'/').count();
        let with_nul = store.get_mut(..=len).ok_or(Errno::Nametoolong)?;
        let (last, bytes) = with_nul.split_last_mut().ok_or(Errno::Nametoolong)?;
        *last = 0;
        bytes.copy_from_slice(name);
        self.start += len + slashes;
        let name = CStr::from_bytes_with_nul(with_nul).map_err(|_| Errno::Inval)?;
        Ok(Component { name, is_last: self.is_empty(), trailing_slash: slashes != 0 })
    }
}
