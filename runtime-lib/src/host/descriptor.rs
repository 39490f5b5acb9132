//! What a number of the guest stands for, as plain data: an entry of the descriptor table.

use crate::sys::errno::{Errno, Result};
use crate::sys::fs::Handle;

use super::sandbox::Root;

/// What a descriptor stands for.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: the number is not in use.
    Free,
    /// Nothing yet: the number belongs to a [`super::descriptors::Reservation`].
    Reserved,
    /// Standard input.
    Stdin,
    /// Standard output or standard error.
    Output,
    /// A directory.
    Directory,
    /// A file, whatever its type.
    File,
    /// A connection that was accepted.
    Socket,
    /// A directory of a tree: the handle is the number of its node, see [`super::tree`].
    TreeDirectory,
    /// An embedded file: the handle is its number among those that are open.
    TreeFile,
}

/// An entry of the table.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// The open file.
    pub handle: Handle,
    /// For a granted directory its index among the grants plus 1, otherwise 0.
    pub grant: u32,
    /// What it is.
    pub kind: Kind,
    /// [`Descriptor::READ_ONLY`], [`Descriptor::LOCATION`].
    pub flags: u8,
}

impl Descriptor {
    /// It was opened through a read-only grant: nothing may be changed through it.
    pub const READ_ONLY: u8 = 1;
    /// A directory that was opened as a mere location (`O_PATH`): its entries cannot be read through this handle.
    pub const LOCATION: u8 = 2;
    /// In [`Descriptor::grant`] of a tree's directory, beside the tree's number: it is not the tree itself.
    pub const BELOW: u32 = 1 << 31;

    /// A number that is not in use.
    pub const FREE: Self = Self { handle: Handle::STDIN, grant: 0, kind: Kind::Free, flags: 0 };

    pub(super) const fn standard(handle: Handle, kind: Kind) -> Self {
        Self { handle, grant: 0, kind, flags: 0 }
    }

    /// Whether it stands for anything.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.kind as u8 > Kind::Reserved as u8
    }

    /// Fails where nothing may be changed through this descriptor.
    #[inline]
    pub fn check_writable(&self) -> Result<()> {
        if self.flags & Self::READ_ONLY != 0 { Err(Errno::Perm) } else { Ok(()) }
    }

    /// The directory that paths are relative to.
    #[inline]
    pub fn root(&self) -> Root {
        Root::new(self.handle)
    }

    /// Whether it is a granted directory itself, not one below.
    #[inline]
    pub fn is_grant(&self) -> bool {
        match self.kind {
            Kind::TreeDirectory => self.grant & Self::BELOW == 0,
            _ => self.grant != 0,
        }
    }

    /// Whether it belongs to a tree: its handle means nothing to the operating system.
    #[inline]
    pub fn is_of_tree(&self) -> bool {
        matches!(self.kind, Kind::TreeDirectory | Kind::TreeFile)
    }

    /// Whether it is one of the three standard streams.
    #[inline]
    pub fn is_standard(&self) -> bool {
        matches!(self.kind, Kind::Stdin | Kind::Output)
    }
}
