//! Paths as a guest writes them: copied out of its memory once, so that what was checked is what is used.
//!
//! In come address and length; out comes a NUL-terminated copy on the stack that is valid UTF-8, not empty and free
//! of other NULs.

use core::ffi::CStr;
use core::mem::MaybeUninit;
use core::sync::atomic::{Ordering, compiler_fence};

use crate::sys::errno::{Errno, Result};

use super::guest_memory::GuestMemory;

/// The longest path with its final NUL, as in the kernel.
pub const PATH_MAX: usize = 4096;

/// A path of at most [`PATH_MAX`] bytes with its NUL.
#[derive(Debug)]
pub struct Path {
    bytes: [MaybeUninit<u8>; PATH_MAX],
    /// Bytes before the final NUL; at most `PATH_MAX - 1`, and all of them and the NUL are initialised.
    len: usize,
}

impl Path {
    /// An empty path, to be filled in place: a path is too long to be moved around.
    #[allow(clippy::new_without_default, reason = "an empty path is of no use")]
    #[inline]
    pub fn new() -> Self {
        let mut path = Self { bytes: [const { MaybeUninit::uninit() }; PATH_MAX], len: 0 };
        path.bytes[0].write(0);
        path
    }

    /// Copies a path out of guest memory.
    #[inline(never)]
    pub fn read_guest(&mut self, memory: &GuestMemory, at: u32, len_bytes: u32) -> Result<()> {
        let from = memory.bytes(at, len_bytes)?;
        let len = len_bytes as usize;
        if len >= PATH_MAX {
            return Err(Errno::Nametoolong);
        }
        // SAFETY: `bytes` checked the source; the destination has room for `len` bytes and the NUL.
        unsafe {
            from.copy_to_nonoverlapping(self.bytes.as_mut_ptr().cast(), len);
            self.bytes.as_mut_ptr().cast::<u8>().add(len).write(0);
        }
        // Other threads may write to the source: only the copy is looked at.
        compiler_fence(Ordering::SeqCst);
        self.len = len;
        self.check()
    }

    /// Copies a path of the host.
    pub fn set(&mut self, bytes: &[u8]) -> Result<()> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::Nametoolong)?;
        // SAFETY: the slice is readable for the call, and `read_guest` only reads.
        let memory = unsafe { GuestMemory::new(bytes.as_ptr().cast_mut(), u64::from(len)) };
        self.read_guest(&memory, 0, len)
    }

    /// A path for tests.
    #[cfg(test)]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let mut path = Self::new();
        path.set(bytes).map(|()| path)
    }

    fn check(&self) -> Result<()> {
        let bytes = self.as_bytes();
        if core::str::from_utf8(bytes).is_err() {
            return Err(Errno::Ilseq);
        }
        if bytes.contains(&0) {
            return Err(Errno::Inval);
        }
        if bytes.is_empty() {
            return Err(Errno::Noent);
        }
        Ok(())
    }

    /// The path without its NUL.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes are initialised.
        unsafe { core::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len) }
    }

    /// The path with its NUL.
    pub fn as_c_str(&self) -> &CStr {
        // SAFETY: `len` bytes without a NUL and then a NUL are initialised.
        unsafe {
            CStr::from_bytes_with_nul_unchecked(core::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len + 1))
        }
    }

    /// Splits off the last component, see [`Split`].
    pub fn split(&mut self) -> Split<'_> {
        let bytes = self.as_bytes();
        let end = bytes.iter().rposition(|&b| b != b'/').map_or(0, |last| last + 1);
        let trailing_slash = end < bytes.len();
        let start = bytes.iter().take(end).rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
        let (parent, name) = match bytes.get(start..end) {
            Some(name) if !matches!(name, b"" | b"." | b"..") => (start, end),
            _ => return Split { parent: Some(self.as_c_str()), name: c".", trailing_slash: false },
        };
        let (name_len, store) = (name - parent, self.bytes.as_mut_ptr().cast::<u8>());
        // SAFETY: `name <= len`, so the NULs overwrite a slash, the final NUL, or the slash before the name; then both
        // parts end with a NUL, have none inside, and are initialised.
        unsafe {
            store.add(name).write(0);
            let parent_path = match parent {
                0 => None,
                _ => {
                    store.add(parent - 1).write(0);
                    Some(core::slice::from_raw_parts(store.cast_const(), parent))
                }
            };
            let name = core::slice::from_raw_parts(store.add(parent).cast_const(), name_len + 1);
            Split {
                parent: parent_path.map(|p| CStr::from_bytes_with_nul_unchecked(p)),
                name: CStr::from_bytes_with_nul_unchecked(name),
                trailing_slash,
            }
        }
    }
}

/// A path in two parts.
#[derive(Debug, PartialEq, Eq)]
pub struct Split<'a> {
    /// The directory that holds `name`; `None` is the directory that the path is relative to. Empty where the path
    /// was absolute with one component.
    pub parent: Option<&'a CStr>,
    /// One component: never `..`, never with a `/`. Where the path ends in `.` or `..`, the whole of it is `parent`
    /// and this is `.`.
    pub name: &'a CStr,
    /// Slashes followed the name: it must be a directory.
    pub trailing_slash: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(path: &str) -> (Option<std::string::String>, std::string::String, bool) {
        let mut path = Path::from_bytes(path.as_bytes()).unwrap();
        let split = path.split();
        let text = |s: &CStr| std::string::String::from(s.to_str().unwrap());
        (split.parent.map(text), text(split.name), split.trailing_slash)
    }

    #[test]
    fn the_last_component_is_split_off() {
        let some = |parent: &str, name: &str, slash| (Some(parent.into()), name.into(), slash);
        assert_eq!(split("a"), (None, "a".into(), false));
        assert_eq!(split("a///"), (None, "a".into(), true));
        assert_eq!(split("a/b"), some("a", "b", false));
        assert_eq!(split("a//b/"), some("a/", "b", true));
        assert_eq!(split("a/b/c"), some("a/b", "c", false));
        assert_eq!(split("../a"), some("..", "a", false));
        assert_eq!(split("."), some(".", ".", false));
        assert_eq!(split("a/."), some("a/.", ".", false));
        assert_eq!(split("a/.."), some("a/..", ".", false));
        assert_eq!(split("a/../"), some("a/../", ".", false));
        assert_eq!(split("/"), some("/", ".", false));
        assert_eq!(split("/a"), some("", "a", false));
        assert_eq!(split("...").1, "...");
    }

    #[test]
    fn bad_paths_are_refused() {
        let of = |bytes: &[u8]| Path::from_bytes(bytes).map(|_| ()).unwrap_err();
        assert_eq!(of(b""), Errno::Noent);
        assert_eq!(of(b"a\0b"), Errno::Inval);
        assert_eq!(of(b"\xff"), Errno::Ilseq);
        assert_eq!(of(&[b'a'; PATH_MAX]), Errno::Nametoolong);
        assert!(Path::from_bytes(&[b'a'; PATH_MAX - 1]).is_ok());
    }
}
