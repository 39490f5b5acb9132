//! The path sandbox: guest paths to handles.
//!
//! In come a directory that the guest may use and an untrusted path; out comes a handle, or an error.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: this is the only place that turns a guest path into a handle. What comes out lies below the root,  ║
//! ║ whatever the path says, whatever symbolic links lie on the way, and whatever other processes rename or       ║
//! ║ replace meanwhile.                                                                                           ║
//! ║                                                                                                              ║
//! ║ Two back ends do that. `openat2(RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)` leaves it to the kernel. Where the ║
//! ║ kernel has no such call or a filter refuses it, `walk` opens one component at a time, never following a      ║
//! ║ link, expands links itself and goes back over the directories that it holds open. Both refuse the same.      ║
//! ║                                                                                                              ║
//! ║ The portable runtime (macOS, Windows) leaves it to cap-std, whose work is the same, see `sys/portable/fs.rs`. ║
//! ║                                                                                                              ║
//! ║ Operations that need a name (create, remove, rename, link) get a handle to its directory from `Root::parent` ║
//! ║ and one component that is neither `..` nor a path, and use calls that do not follow a link there.            ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use core::ffi::CStr;
#[cfg(all(target_os = "linux", not(feature = "portable")))]
use core::sync::atomic::{AtomicBool, Ordering};

use crate::sys::errno::{Errno, Result};
use crate::sys::fs::{self, Handle, OFlags, OwnedHandle};

use super::path::{Path, Split};

#[cfg(all(target_os = "linux", not(feature = "portable")))]
mod walk;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::test_directory;

/// Who keeps a path below its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackEnd {
    /// The kernel where it can, otherwise `BackEnd::Walk`; in the portable runtime cap-std.
    Kernel,
    /// The walk, one component at a time.
    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    Walk,
}

/// The kernel has no `openat2`: known after the first call that says so.
#[cfg(all(target_os = "linux", not(feature = "portable")))]
static KERNEL_LACKS_BENEATH: AtomicBool = AtomicBool::new(false);

/// A rename anywhere on the system can make the kernel give up. So often it is asked again, before the walk does it.
#[cfg(all(target_os = "linux", not(feature = "portable")))]
const KERNEL_ATTEMPTS: usize = 8;

/// A directory that paths are relative to and that they cannot leave.
#[derive(Clone, Copy, Debug)]
pub struct Root {
    handle: Handle,
    back_end: BackEnd,
}

impl Root {
    /// A directory with the best back end.
    pub fn new(handle: Handle) -> Self {
        Self::with_back_end(handle, BackEnd::Kernel)
    }

    /// A directory with a given back end.
    pub fn with_back_end(handle: Handle, back_end: BackEnd) -> Self {
        Self { handle, back_end }
    }

    /// The directory itself.
    pub fn handle(self) -> Handle {
        self.handle
    }

    /// Opens a path. `flags` are those of `open(2)`; `O_NOFOLLOW` concerns the last component alone.
    pub fn open(self, path: &CStr, flags: OFlags) -> Result<OwnedHandle> {
        match self.back_end {
            BackEnd::Kernel => self.open_by_kernel(path, flags),
            #[cfg(all(target_os = "linux", not(feature = "portable")))]
            BackEnd::Walk => walk::open(self.handle, path, flags),
        }
    }

    /// In the portable runtime nothing is tried a second time in another way: what cap-std says is final.
    #[cfg(any(not(target_os = "linux"), feature = "portable"))]
    fn open_by_kernel(self, path: &CStr, flags: OFlags) -> Result<OwnedHandle> {
        fs::open_beneath(self.handle, path, flags)
    }

    #[cfg(all(target_os = "linux", not(feature = "portable")))]
    fn open_by_kernel(self, path: &CStr, flags: OFlags) -> Result<OwnedHandle> {
        let mut attempts = if KERNEL_LACKS_BENEATH.load(Ordering::Relaxed) { 0 } else { KERNEL_ATTEMPTS };
        while attempts != 0 {
            attempts -= 1;
            match fs::open_beneath(self.handle, path, flags) {
                // The kernel's word for a step that would leave the root.
                Err(Errno::Xdev) => return Err(Errno::Perm),
                Err(Errno::Again) => {}
                Err(Errno::Nosys) => {
                    KERNEL_LACKS_BENEATH.store(true, Ordering::Relaxed);
                    break;
                }
                // Container runtimes refuse unknown calls with this one; it may as well be about the file, then the
                // walk says the same.
                Err(Errno::Perm) => break,
                result => return result,
            }
        }
        walk::open(self.handle, path, flags)
    }

    /// Opens the directory that holds a path's last component, see [`Parent`].
    pub fn parent(self, path: &mut Path) -> Result<Parent<'_>> {
        let Split { parent, name, trailing_slash } = path.split();
        let opened = match parent {
            None => None,
            // An absolute path with one component.
            Some(parent) if parent.is_empty() => return Err(Errno::Perm),
            Some(parent) => Some(self.open(parent, OFlags::PATH | OFlags::DIRECTORY)?),
        };
        Ok(Parent { root: self.handle, opened, name, trailing_slash })
    }
}

/// A name and the directory that holds it.
#[derive(Debug)]
pub struct Parent<'a> {
    root: Handle,
    /// `None` where the root itself holds the name.
    opened: Option<OwnedHandle>,
    /// One component; `.` where the path ended in `.` or `..`.
    pub name: &'a CStr,
    /// Slashes followed the name: it must be a directory.
    pub trailing_slash: bool,
}

impl Parent<'_> {
    /// The directory.
    pub fn directory(&self) -> Handle {
        self.opened.as_ref().map_or(self.root, OwnedHandle::get)
    }
}
