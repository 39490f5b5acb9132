//! `fd_*` other than moving bytes, directories' entries and grants: state and attributes of what is open.

use crate::host::descriptor::{Descriptor, Kind};
use crate::host::files;
use crate::host::state::State;
use crate::host::tree::request::Request;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::{FileType, Metadata, Whence};
use crate::sys::fs::{self, OFlags};
use crate::wasi::caller::Caller;

use super::types::{
    FDFLAG_APPEND, FDFLAG_DSYNC, FDFLAG_NONBLOCK, FDFLAG_RSYNC, FDFLAG_SYNC, RIGHT_FD_READ, RIGHT_FD_WRITE,
    check_flags, new_times, write_filestat,
};

/// All rights of the specification.
const RIGHTS_ALL: u64 = (1 << 30) - 1;
const RIGHT_FD_SEEK: u64 = 1 << 2;
const RIGHT_FD_READDIR: u64 = 1 << 14;
const RIGHT_PATH_FILESTAT_SET_SIZE: u64 = 1 << 19;
const RIGHT_FD_FILESTAT_SET_SIZE: u64 = 1 << 22;

/// Rights of a granted directory: everything that concerns paths, entries and attributes but sizes. Older C libraries
/// look at them before they use a directory.
const RIGHTS_GRANT: u64 = 0b111 << 24 | 1 << 23 | 1 << 21 | 1 << 20 | 1 << 18 | 0b1_1111_1111 << 9;

/// Rights of what is opened through a granted directory: everything that concerns files besides.
const RIGHTS_GRANT_INHERITING: u64 = RIGHTS_GRANT | 0b1_1111_1111 | 1 << 22 | 1 << 27;

/// `fdstat`: type, flags, rights of the descriptor, and rights of what is opened through it.
struct Fdstat {
    file_type: FileType,
    flags: u32,
    rights: u64,
    rights_inheriting: u64,
}

impl Fdstat {
    fn new(file_type: FileType, flags: u32, rights: u64) -> Self {
        Self { file_type, flags, rights, rights_inheriting: rights }
    }

    fn of(state: impl State, descriptor: Descriptor) -> Result<Self> {
        match descriptor.kind {
            Kind::Free | Kind::Reserved => Err(Errno::Badf),
            Kind::Stdin => Ok(Self::new(standard_type(state, descriptor), 0, RIGHT_FD_READ)),
            Kind::Output => Ok(Self::new(standard_type(state, descriptor), 0, RIGHT_FD_WRITE)),
            Kind::TreeFile => Ok(Self::new(FileType::RegularFile, 0, RIGHTS_ALL & !RIGHT_FD_WRITE)),
            Kind::Directory | Kind::TreeDirectory if descriptor.is_grant() => Ok(Self {
                file_type: FileType::Directory,
                flags: 0,
                rights: RIGHTS_GRANT,
                rights_inheriting: RIGHTS_GRANT_INHERITING,
            }),
            Kind::Directory | Kind::TreeDirectory => {
                let never = RIGHT_FD_SEEK | RIGHT_FD_WRITE | RIGHT_FD_FILESTAT_SET_SIZE | RIGHT_PATH_FILESTAT_SET_SIZE;
                Ok(Self::new(FileType::Directory, 0, RIGHTS_ALL & !never))
            }
            Kind::File | Kind::Socket => {
                let flags = fs::flags(descriptor.handle)?;
                let mut rights = RIGHTS_ALL;
                match flags & OFlags::RWMODE {
                    OFlags::WRONLY => rights &= !(RIGHT_FD_READ | RIGHT_FD_READDIR),
                    OFlags::RDWR => {}
                    _ => rights &= !RIGHT_FD_WRITE,
                }
                Ok(Self::new(fs::metadata(descriptor.handle)?.file_type, fdflags(flags), rights))
            }
        }
    }

    fn to_bytes(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        let words = [self.file_type as u64 | u64::from(self.flags) << 16, self.rights, self.rights_inheriting];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

/// A standard stream is a terminal or something that the guest need not know more about.
fn standard_type(state: impl State, stream: Descriptor) -> FileType {
    if state.is_terminal(stream) { FileType::CharacterDevice } else { FileType::Unknown }
}

/// `fdflags` of what a file was opened with.
fn fdflags(flags: OFlags) -> u32 {
    let bit = |os: OFlags, ours: u32| if flags.contains(os) { ours } else { 0 };
    // The kernel's O_SYNC contains O_DSYNC and is O_RSYNC.
    let sync = if flags.contains(OFlags::SYNC) { FDFLAG_SYNC | FDFLAG_RSYNC } else { bit(OFlags::DSYNC, FDFLAG_DSYNC) };
    bit(OFlags::APPEND, FDFLAG_APPEND) | bit(OFlags::NONBLOCK, FDFLAG_NONBLOCK) | sync
}

/// Says how a part of a file will be used.
#[inline(always)]
pub fn fd_advise(caller: impl Caller, fd: u32, offset: u64, len: u64, advice: u32) -> Result<()> {
    let state = caller.state();
    let advice = files::advice(advice).ok_or(Errno::Inval)?;
    state.get(fd).and_then(|file| match file.kind {
        Kind::File => fs::advise(file.handle, offset, len, advice),
        // Nothing is read from a device.
        Kind::TreeFile => Ok(()),
        _ => Err(Errno::Badf),
    })
}

/// Reserves space for a part of a file.
#[inline(always)]
pub fn fd_allocate(caller: impl Caller, fd: u32, offset: u64, len: u64) -> Result<()> {
    let state = caller.state();
    state.file(fd).and_then(|file| fs::allocate(file.handle, offset, len))
}

/// Closes a descriptor.
#[inline(always)]
pub fn fd_close(caller: impl Caller, fd: u32) -> Result<()> {
    let state = caller.state();
    state.close(fd)
}

/// Writes a file's content to its device.
#[inline(always)]
pub fn fd_datasync(caller: impl Caller, fd: u32) -> Result<()> {
    let state = caller.state();
    state.file(fd).and_then(|file| fs::sync_data(file.handle))
}

/// Writes type, flags and rights of a descriptor.
#[inline(always)]
pub fn fd_fdstat_get(caller: impl Caller, fd: u32, fdstat_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let fdstat = state.get(fd).and_then(|descriptor| Fdstat::of(state, descriptor));
    fdstat.and_then(|fdstat| memory.write(fdstat_at, fdstat.to_bytes()))
}

/// Sets `append` and `nonblock`; the other flags cannot change.
#[inline(always)]
pub fn fd_fdstat_set_flags(caller: impl Caller, fd: u32, flags: u32) -> Result<()> {
    let state = caller.state();
    state.get(fd).and_then(|descriptor| {
        // The standard streams are shared with other processes, which would not expect their flags to change.
        if !matches!(descriptor.kind, Kind::File | Kind::Socket) {
            return Err(Errno::Badf);
        }
        check_flags(flags, FDFLAG_APPEND | FDFLAG_NONBLOCK)?;
        let mut new = OFlags::empty();
        if flags & FDFLAG_APPEND != 0 {
            new |= OFlags::APPEND;
        }
        if flags & FDFLAG_NONBLOCK != 0 {
            new |= OFlags::NONBLOCK;
        }
        fs::set_flags(descriptor.handle, new)
    })
}

/// Would narrow the rights of a descriptor. What a descriptor can do is decided by how it was opened.
#[inline(always)]
pub fn fd_fdstat_set_rights(caller: impl Caller, fd: u32, _rights: u64, _inheriting: u64) -> Result<()> {
    let state = caller.state();
    state.get(fd).and_then(|descriptor| Err(if descriptor.is_standard() { Errno::Badf } else { Errno::Notsup }))
}

/// Writes the attributes of what is open.
#[inline(always)]
pub fn fd_filestat_get(caller: impl Caller, fd: u32, filestat_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    metadata_of(state, fd).and_then(|metadata| write_filestat(&memory, filestat_at, &metadata))
}

/// The attributes of what is open.
pub(in crate::wasi) fn metadata_of(state: impl State, fd: u32) -> Result<Metadata> {
    state.get(fd).and_then(|descriptor| {
        if descriptor.is_of_tree() {
            let mut result = Metadata::UNKNOWN;
            return state.ask_tree(Request::Metadata { descriptor, result: &mut result }).map(|_| result);
        }
        if !descriptor.is_standard() {
            return fs::metadata(descriptor.handle);
        }
        // A guest must not learn where the standard streams lead.
        Ok(Metadata {
            device: 0,
            inode: 0,
            file_type: standard_type(state, descriptor),
            links: 0,
            size_bytes: 0,
            accessed_ns: 0,
            modified_ns: 0,
            changed_ns: 0,
        })
    })
}

/// Sets the length of a file.
#[inline(always)]
pub fn fd_filestat_set_size(caller: impl Caller, fd: u32, size: u64) -> Result<()> {
    let state = caller.state();
    state.file(fd).and_then(|file| {
        file.check_writable()?;
        fs::set_size(file.handle, size)
    })
}

/// Sets the times of what is open.
#[inline(always)]
pub fn fd_filestat_set_times(caller: impl Caller, fd: u32, accessed: u64, modified: u64, flags: u32) -> Result<()> {
    let state = caller.state();
    new_times(accessed, modified, flags).and_then(|(accessed, modified)| {
        let descriptor = state.get(fd)?;
        if descriptor.is_standard() {
            return Err(Errno::Badf);
        }
        descriptor.check_writable()?;
        files::set_open_times(descriptor.handle, descriptor.kind == Kind::Directory, accessed, modified)
    })
}

/// Makes one descriptor take another's number.
#[inline(always)]
pub fn fd_renumber(caller: impl Caller, from: u32, to: u32) -> Result<()> {
    let state = caller.state();
    state.renumber(from, to)
}

/// Moves the position in a file; the standard streams have none.
pub(in crate::wasi) fn seek(state: impl State, fd: u32, offset: i64, whence: Whence) -> Result<u64> {
    let descriptor = state.get(fd)?;
    match descriptor.kind {
        Kind::File => fs::seek(descriptor.handle, offset, whence),
        Kind::TreeFile => state.ask_tree(Request::Seek { file: descriptor, offset, whence }),
        Kind::Stdin | Kind::Output | Kind::Socket => Err(Errno::Spipe),
        Kind::Free | Kind::Reserved | Kind::Directory | Kind::TreeDirectory => Err(Errno::Badf),
    }
}

/// Moves the position and writes the new one.
#[inline(always)]
pub fn fd_seek(caller: impl Caller, fd: u32, offset: u64, whence: u32, position_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let whence = match whence {
        0 => Whence::Start,
        1 => Whence::Current,
        2 => Whence::End,
        _ => return Err(Errno::Inval),
    };
    seek(state, fd, offset.cast_signed(), whence).and_then(|position| memory.write_u64(position_at, position))
}

/// Writes a file's content and attributes to its device.
#[inline(always)]
pub fn fd_sync(caller: impl Caller, fd: u32) -> Result<()> {
    let state = caller.state();
    state.file(fd).and_then(|file| fs::sync(file.handle))
}

/// Writes the position.
#[inline(always)]
pub fn fd_tell(caller: impl Caller, fd: u32, position_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    seek(state, fd, 0, Whence::Current).and_then(|position| memory.write_u64(position_at, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_those_of_the_specification() {
        // Bits by name, in the order of the specification.
        let path_and_entries = [9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20, 21, 23, 24, 25, 26];
        assert_eq!(RIGHTS_GRANT, path_and_entries.iter().map(|bit| 1u64 << bit).sum::<u64>());
        let files = [0, 1, 2, 3, 4, 5, 6, 7, 8, 22, 27];
        assert_eq!(RIGHTS_GRANT_INHERITING, RIGHTS_GRANT | files.iter().map(|bit| 1u64 << bit).sum::<u64>());
    }

    #[test]
    fn an_fdstat_has_the_layout_of_the_specification() {
        let fdstat = Fdstat { file_type: FileType::RegularFile, flags: 0x1f, rights: 2, rights_inheriting: 3 };
        let bytes = fdstat.to_bytes();
        assert_eq!((bytes[0], bytes[2], bytes[8], bytes[16]), (4, 0x1f, 2, 3));
        assert_eq!(bytes.iter().map(|&b| u32::from(b)).sum::<u32>(), 4 + 0x1f + 2 + 3);
    }
}
