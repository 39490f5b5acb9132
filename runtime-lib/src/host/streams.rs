//! Reading and writing between descriptors and guest memory, without a copy.
//!
//! In comes a list of buffers in guest memory; out comes the number of bytes that the kernel moved. The kernel gets
//! pointers into guest memory, made by [`GuestMemory`].

use core::mem::MaybeUninit;

use crate::sys::errno::Result;
use crate::sys::io_stream::Buffer;

use super::guest_memory::GuestMemory;

/// The most buffers that one call hands to the kernel. Moving fewer bytes than asked for is always allowed, so longer
/// lists are cut.
const MAX_BUFFERS: usize = 32;

/// Size of an element of a guest's list: address and length, 32 bits each.
const ELEMENT_BYTES: u32 = 8;

/// The buffers of one call.
#[derive(Debug)]
pub struct Buffers {
    list: [MaybeUninit<Buffer>; MAX_BUFFERS],
    len: usize,
}

impl Buffers {
    /// No buffers yet. The list is filled in place, because it is too long to be moved around.
    #[allow(clippy::new_without_default, reason = "an empty list is of no use")]
    #[inline]
    pub fn new() -> Self {
        Self { list: [const { MaybeUninit::uninit() }; MAX_BUFFERS], len: 0 }
    }

    /// Reads a list of `count` buffers from guest memory. Empty ones are left out, so that a list that was cut never
    /// looks like the end of a file.
    #[inline]
    pub fn read_guest(&mut self, memory: &GuestMemory, at: u32, count: u32) -> Result<()> {
        memory.array(at, count, ELEMENT_BYTES)?;
        for index in 0..count {
            // The whole list lies in the memory, so this does not overflow.
            let element = at.wrapping_add(index * ELEMENT_BYTES);
            let [a, b, c, d, e, f, g, h] = memory.read(element)?;
            let (start, len) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
            let base = memory.bytes(start, len)?;
            if len == 0 {
                continue;
            }
            let Some(slot) = self.list.get_mut(self.len) else { break };
            slot.write(Buffer { base, len_bytes: len as usize });
            self.len += 1;
        }
        Ok(())
    }

    /// The buffers, as the kernel wants them.
    #[inline]
    pub fn as_slice(&self) -> &[Buffer] {
        // SAFETY: the first `len` elements were written, and `len` is at most the list's length.
        unsafe { core::slice::from_raw_parts(self.list.as_ptr().cast(), self.len) }
    }
}

/// The guest's form of a number of bytes. The kernel never moves 2^31 bytes at once.
#[inline]
pub fn moved(len_bytes: usize) -> u32 {
    u32::try_from(len_bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::errno::Errno;

    fn gather(store: &mut [u8], at: u32, count: u32) -> Result<std::vec::Vec<(usize, usize)>> {
        // SAFETY: the slice outlives the value.
        let memory = unsafe { GuestMemory::new(store.as_mut_ptr(), store.len() as u64) };
        let base = store.as_ptr() as usize;
        let mut buffers = Buffers::new();
        buffers.read_guest(&memory, at, count)?;
        Ok(buffers.as_slice().iter().map(|b| (b.base as usize - base, b.len_bytes)).collect())
    }

    fn list(elements: &[(u32, u32)]) -> std::vec::Vec<u8> {
        let mut bytes: std::vec::Vec<u8> =
            elements.iter().flat_map(|(at, len)| [at.to_le_bytes(), len.to_le_bytes()].concat()).collect();
        bytes.resize(1024, 0);
        bytes
    }

    #[test]
    fn lists_are_checked_and_cut() {
        assert_eq!(gather(&mut list(&[(100, 5), (200, 0), (1020, 4)]), 0, 3).unwrap(), [(100, 5), (1020, 4)]);
        assert_eq!(gather(&mut list(&[(100, 5), (1020, 5)]), 0, 2), Err(Errno::Fault));
        assert_eq!(gather(&mut list(&[(u32::MAX, 2)]), 0, 1), Err(Errno::Fault));
        assert_eq!(gather(&mut list(&[]), 1020, 1), Err(Errno::Fault));
        assert_eq!(gather(&mut list(&[]), 0, u32::MAX), Err(Errno::Fault));
        assert_eq!(gather(&mut list(&[]), u32::MAX, 0), Err(Errno::Fault));
        assert_eq!(gather(&mut list(&[(8, 1); 100]), 0, 100).unwrap().len(), MAX_BUFFERS);
        let mut mostly_empty = list(&[(8, 0); 60]);
        mostly_empty[59 * 8 + 4] = 1;
        assert_eq!(gather(&mut mostly_empty, 0, 60).unwrap(), [(8, 1)]);
    }
}
