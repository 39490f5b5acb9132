//! Directories that exist only for the guest: files that the policy grants one by one (`--file`) and files that are
//! stored in the executable (`--embed`). Read-only data, like everything that descriptors refer to.

use crate::record::{SliceOf, record};

record! {
    /// A directory that the guest finds as if it were granted.
    #[derive(Debug)]
    pub struct Tree<F> {
        /// Name under which the guest finds it.
        pub guest: SliceOf<F, u8>,
        /// Its nodes; the first is the directory itself. Children of a directory are consecutive and sorted by name.
        pub nodes: SliceOf<F, Node>,
    }
}

record! {
    /// A file or directory of a [`Tree`].
    #[derive(Debug)]
    pub struct Node<F> {
        /// Name in its directory, as bytes without a final NUL; empty for the tree itself.
        pub name: SliceOf<F, u8>,
        /// [`Node::DIRECTORY`], [`Node::EMBEDDED`] or [`Node::HOST`].
        pub kind: u32,
        /// [`Node::READ_ONLY`] or 0.
        pub flags: u32,
        /// Directory: index of the first child.
        pub first_child: u32,
        /// Directory: number of children.
        pub children: u32,
        /// Embedded file: its content. File of the host: its path there. Both without a final NUL.
        pub bytes: SliceOf<F, u8>,
    }
}

impl Node {
    /// A directory.
    pub const DIRECTORY: u32 = 0;
    /// A file whose content is part of the executable.
    pub const EMBEDDED: u32 = 1;
    /// A file of the host.
    pub const HOST: u32 = 2;

    /// A file of the host that cannot be changed.
    pub const READ_ONLY: u32 = 1;
}
