//! What there is to say about a file, whatever the platform: its type and its attributes, new times, and what a position
//! is relative to.

/// What kind of thing a file is. The numbers are those of WASI preview 1.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileType {
    /// Something that none of the others names, such as a pipe.
    Unknown = 0,
    /// A block device.
    BlockDevice = 1,
    /// A character device.
    CharacterDevice = 2,
    /// A directory.
    Directory = 3,
    /// A regular file.
    RegularFile = 4,
    /// A socket. Preview 1 tells datagrams from streams, files do not.
    Socket = 6,
    /// A symbolic link.
    SymbolicLink = 7,
}

impl FileType {
    /// From the type bits of `st_mode`, which are also `d_type` of a directory entry shifted by 12.
    pub(super) fn from_mode(mode: u32) -> Self {
        match mode >> 12 & 15 {
            2 => Self::CharacterDevice,
            4 => Self::Directory,
            6 => Self::BlockDevice,
            8 => Self::RegularFile,
            10 => Self::SymbolicLink,
            12 => Self::Socket,
            _ => Self::Unknown,
        }
    }

    /// From `d_type` of a directory entry; `None` where the file system does not tell.
    pub fn from_entry(d_type: u8) -> Option<Self> {
        (d_type != 0).then(|| Self::from_mode(u32::from(d_type) << 12))
    }
}

/// Attributes of a file.
#[derive(Clone, Copy, Debug)]
pub struct Metadata {
    /// Device that holds the file.
    pub device: u64,
    /// Number of the file on its device.
    pub inode: u64,
    /// Type.
    pub file_type: FileType,
    /// Number of hard links.
    pub links: u64,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Last access, in nanoseconds since 1970; 0 for times before.
    pub accessed_ns: u64,
    /// Last change of the content.
    pub modified_ns: u64,
    /// Last change of content or attributes.
    pub changed_ns: u64,
}

impl Metadata {
    /// Nothing is known yet.
    pub const UNKNOWN: Self = Self {
        device: 0,
        inode: 0,
        file_type: FileType::Unknown,
        links: 0,
        size_bytes: 0,
        accessed_ns: 0,
        modified_ns: 0,
        changed_ns: 0,
    };
}

/// A new time stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewTime {
    /// The old one stays.
    Keep,
    /// The current time.
    Now,
    /// Nanoseconds since 1970.
    At(u64),
}

/// What a new position is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// The start of the file.
    Start = 0,
    /// The current position.
    Current = 1,
    /// The end of the file.
    End = 2,
}
