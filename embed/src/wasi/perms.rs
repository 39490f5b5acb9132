//! What a guest may do in a granted directory.

use core::ops::BitOr;

/// What a guest may do with the entries of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirPerms(u8);

/// What a guest may do with the files in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilePerms(u8);

impl DirPerms {
    /// Read the entries, and open what they name.
    pub const READ: Self = Self(1);
    /// Make, remove, rename and link entries.
    pub const MUTATE: Self = Self(2);

    /// Returns all permissions.
    pub const fn all() -> Self {
        Self(3)
    }

    pub(super) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl FilePerms {
    /// Read files.
    pub const READ: Self = Self(1);
    /// Write to files.
    pub const WRITE: Self = Self(2);

    /// Returns all permissions.
    pub const fn all() -> Self {
        Self(3)
    }

    pub(super) const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for DirPerms {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for FilePerms {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
