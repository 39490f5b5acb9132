//! `fd_readdir`: the entries of a directory.

use crate::host::directory::Entries;
use crate::host::entry::Entry;
use crate::host::guest_memory::GuestMemory;
use crate::sys::errno::{Errno, Result};
use crate::wasi::caller::Caller;

/// Size of `dirent`.
const DIRENT_BYTES: usize = 24;

/// Writes entries of a directory from a cookie on, each followed by its name, until the buffer is full or the
/// directory ends. The last entry may be cut: a full buffer tells the guest to ask again.
#[inline(always)]
pub fn fd_readdir(caller: impl Caller, fd: u32, buffer: u32, buffer_len: u32, cookie: u64, used_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    let mut output = Output { memory, buffer, buffer_len, used: 0 };
    let read = Entries::for_each(state, fd, cookie, |entry| {
        output.write(entry)?;
        Ok(output.used < buffer_len)
    });
    read.and_then(|()| memory.write_u32(used_at, output.used))
}

/// The guest's buffer.
struct Output {
    memory: GuestMemory,
    buffer: u32,
    buffer_len: u32,
    /// Bytes written; at most `buffer_len`.
    used: u32,
}

impl Output {
    fn write(&mut self, entry: &Entry<'_>) -> Result<()> {
        let name_len = u32::try_from(entry.name.len()).map_err(|_| Errno::Overflow)?;
        let mut dirent = [0; DIRENT_BYTES];
        let words = [entry.next_cookie, entry.inode, u64::from(name_len) | (entry.file_type as u64) << 32];
        for (place, word) in dirent.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        self.append(&dirent)?;
        self.append(entry.name)
    }

    /// Writes as many bytes as there is room for.
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let room = (self.buffer_len - self.used) as usize;
        let bytes = bytes.get(..room).unwrap_or(bytes);
        let at = self.buffer.checked_add(self.used).ok_or(Errno::Fault)?;
        self.memory.write_bytes(at, bytes)?;
        // At most `room`, so at most what a 32-bit number holds.
        self.used += bytes.len() as u32;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::FileType;

    #[test]
    fn the_last_entry_is_cut_at_any_byte() {
        let entry = Entry { next_cookie: 7, inode: 9, file_type: FileType::RegularFile, name: b"name" };
        let mut whole = [0u8; 28];
        whole[0] = 7;
        whole[8] = 9;
        whole[16] = 4;
        whole[20] = 4;
        whole[24..].copy_from_slice(b"name");
        for len in 0..40usize {
            let mut store = [0xee; 64];
            // SAFETY: the array outlives the value.
            let memory = unsafe { GuestMemory::new(store.as_mut_ptr(), 64) };
            let mut output = Output { memory, buffer: 8, buffer_len: len as u32, used: 0 };
            output.write(&entry).unwrap();
            let used = len.min(28);
            assert_eq!(output.used as usize, used);
            assert_eq!(store[8..8 + used], whole[..used]);
            assert!(store[8 + used..].iter().all(|&b| b == 0xee) && store[..8].iter().all(|&b| b == 0xee));
        }
    }
}
