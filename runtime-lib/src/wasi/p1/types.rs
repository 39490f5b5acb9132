//! Numbers and layouts of preview 1 that several families share.

use crate::host::guest_memory::GuestMemory;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::{Metadata, NewTime};

/// `fd_read`.
pub(super) const RIGHT_FD_READ: u64 = 1 << 1;
/// `fd_write`.
pub(super) const RIGHT_FD_WRITE: u64 = 1 << 6;

/// `symlink_follow` of `lookupflags`.
pub(super) const LOOKUP_SYMLINK_FOLLOW: u32 = 1;

/// `append` of `fdflags`.
pub(super) const FDFLAG_APPEND: u32 = 1;
/// `dsync` of `fdflags`.
pub(super) const FDFLAG_DSYNC: u32 = 1 << 1;
/// `nonblock` of `fdflags`.
pub(super) const FDFLAG_NONBLOCK: u32 = 1 << 2;
/// `rsync` of `fdflags`.
pub(super) const FDFLAG_RSYNC: u32 = 1 << 3;
/// `sync` of `fdflags`.
pub(super) const FDFLAG_SYNC: u32 = 1 << 4;

/// Fails where flags have bits that none of `known` names.
pub(super) fn check_flags(flags: u32, known: u32) -> Result<()> {
    if flags & !known != 0 { Err(Errno::Inval) } else { Ok(()) }
}

/// Whether `lookupflags` ask to follow a symbolic link.
pub(super) fn follows(lookup_flags: u32) -> Result<bool> {
    check_flags(lookup_flags, LOOKUP_SYMLINK_FOLLOW)?;
    Ok(lookup_flags & LOOKUP_SYMLINK_FOLLOW != 0)
}

/// The two times that `fstflags` and their arguments ask for.
pub(super) fn new_times(accessed: u64, modified: u64, flags: u32) -> Result<(NewTime, NewTime)> {
    check_flags(flags, 0xf)?;
    let time = |given: u32, now: u32, at: u64| match (flags & given != 0, flags & now != 0) {
        (true, true) => Err(Errno::Inval),
        (true, false) => Ok(NewTime::At(at)),
        (false, true) => Ok(NewTime::Now),
        (false, false) => Ok(NewTime::Keep),
    };
    Ok((time(1, 2, accessed)?, time(4, 8, modified)?))
}

/// Writes a `filestat`.
pub(super) fn write_filestat(memory: &GuestMemory, at: u32, metadata: &Metadata) -> Result<()> {
    let fields = [
        metadata.device,
        metadata.inode,
        metadata.file_type as u64,
        metadata.links,
        metadata.size_bytes,
        metadata.accessed_ns,
        metadata.modified_ns,
        metadata.changed_ns,
    ];
    let mut bytes = [0; 64];
    for (place, field) in bytes.chunks_exact_mut(8).zip(fields) {
        place.copy_from_slice(&field.to_le_bytes());
    }
    memory.write(at, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::FileType;

    #[test]
    fn a_filestat_has_the_layout_of_the_specification() {
        let mut store = [0xffu8; 64];
        // SAFETY: the array outlives the value.
        let memory = unsafe { GuestMemory::new(store.as_mut_ptr(), 64) };
        let metadata = Metadata {
            device: 1,
            inode: 2,
            file_type: FileType::RegularFile,
            links: 3,
            size_bytes: 5,
            accessed_ns: 6,
            modified_ns: 7,
            changed_ns: 8,
        };
        write_filestat(&memory, 0, &metadata).unwrap();
        let words: std::vec::Vec<u8> = store.iter().step_by(8).copied().collect();
        assert_eq!(words, [1, 2, 4, 3, 5, 6, 7, 8]);
        assert_eq!(store.iter().map(|&b| u32::from(b)).sum::<u32>(), 36);
        assert_eq!(write_filestat(&memory, 1, &metadata), Err(Errno::Fault));
    }

    #[test]
    fn times_are_given_once() {
        assert_eq!(new_times(5, 6, 0), Ok((NewTime::Keep, NewTime::Keep)));
        assert_eq!(new_times(5, 6, 1 | 8), Ok((NewTime::At(5), NewTime::Now)));
        assert_eq!(new_times(5, 6, 2 | 4), Ok((NewTime::Now, NewTime::At(6))));
        assert_eq!(new_times(5, 6, 3), Err(Errno::Inval));
        assert_eq!(new_times(5, 6, 12), Err(Errno::Inval));
        assert_eq!(new_times(5, 6, 16), Err(Errno::Inval));
    }
}
