//! Access to linear memory for host functions.
//!
//! In come unchecked addresses and lengths of the guest; out come values, or pointers that the kernel may use for the
//! rest of the call.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: every address that a guest passes to a host function goes through `GuestMemory::array`, the one    ║
//! ║ place that compares with the memory's length. Nothing else in `host` or `wasi` computes a guest pointer.     ║
//! ║ Other threads may write to a shared memory at any time: what is checked is a copy that was read once, never  ║
//! ║ the memory itself. The length that is compared with may be outdated, but never too large.                    ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use core::sync::atomic::{Ordering, compiler_fence};

use wasmelt_abi::context::{HEAD_BYTES, VmContextHead};

use crate::sys::errno::{Errno, Result};

/// Linear memory 0 of the calling instance, as long as one host call lasts.
///
/// A memory may grow between two calls, so the length is read anew in each. It never moves and never shrinks, so the
/// pointers that are made here stay valid. The guest may place overlapping buffers or write from other threads: so no
/// Rust reference to guest memory is ever made, only pointers and copies.
#[derive(Clone, Copy, Debug)]
pub struct GuestMemory {
    base: *mut u8,
    length_bytes: u64,
}

impl GuestMemory {
    /// The memory of the instance with this context.
    ///
    /// # Safety
    /// `vmctx` is a live context; see [`wasmelt_abi::context`].
    #[inline]
    pub unsafe fn of(vmctx: *mut u8) -> Self {
        // SAFETY: the head lies directly below `vmctx`, aligned.
        let head = unsafe { &*vmctx.sub(HEAD_BYTES).cast::<VmContextHead>() };
        // SAFETY: the head's memory record describes mapped memory.
        unsafe { Self::new(head.memory0.base, head.memory0.length_bytes) }
    }

    /// A memory by address and length.
    ///
    /// # Safety
    /// `length_bytes` bytes from `base` are readable and writable as long as the value is used.
    #[inline]
    pub unsafe fn new(base: *mut u8, length_bytes: u64) -> Self {
        Self { base, length_bytes }
    }

    /// Address of `count` elements of `size_bytes` each: all of them lie in the memory.
    #[inline]
    pub fn array(&self, at: u32, count: u32, size_bytes: u32) -> Result<*mut u8> {
        // 64 bits hold the sum: (2^32 - 1)^2 + 2^32 - 1 < 2^64.
        let end = u64::from(at) + u64::from(count) * u64::from(size_bytes);
        if end > self.length_bytes {
            return Err(Errno::Fault);
        }
        Ok(self.base.wrapping_add(at as usize))
    }

    /// Address of `len_bytes` bytes, all of them in the memory.
    #[inline]
    pub fn bytes(&self, at: u32, len_bytes: u32) -> Result<*mut u8> {
        self.array(at, len_bytes, 1)
    }

    /// Reads `N` bytes; the address need not be aligned.
    #[inline]
    pub fn read<const N: usize>(&self, at: u32) -> Result<[u8; N]> {
        let from = self.bytes(at, N as u32)?.cast::<[u8; N]>();
        // SAFETY: `bytes` checked the range; an array of bytes has no alignment.
        let value = unsafe { from.read() };
        // Other threads may write here: what is checked and what is used must be what was read now, not read again.
        compiler_fence(Ordering::SeqCst);
        Ok(value)
    }

    /// Writes `N` bytes; the address need not be aligned.
    #[inline]
    pub fn write<const N: usize>(&self, at: u32, value: [u8; N]) -> Result<()> {
        let to = self.bytes(at, N as u32)?.cast::<[u8; N]>();
        // SAFETY: `bytes` checked the range; an array of bytes has no alignment.
        unsafe { to.write(value) };
        Ok(())
    }

    /// Reads a little-endian 32-bit number.
    #[inline]
    pub fn read_u32(&self, at: u32) -> Result<u32> {
        self.read(at).map(u32::from_le_bytes)
    }

    /// Writes a little-endian 32-bit number.
    #[inline]
    pub fn write_u32(&self, at: u32, value: u32) -> Result<()> {
        self.write(at, value.to_le_bytes())
    }

    /// Writes a little-endian 64-bit number.
    #[inline]
    pub fn write_u64(&self, at: u32, value: u64) -> Result<()> {
        self.write(at, value.to_le_bytes())
    }

    /// Copies bytes of the host into the memory.
    #[inline]
    pub fn write_bytes(&self, at: u32, bytes: &[u8]) -> Result<()> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::Overflow)?;
        let to = self.bytes(at, len)?;
        // SAFETY: `bytes` checked the range; host slices never lie in guest memory.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Copies bytes of the memory into `buffer`, which decides how many.
    #[inline]
    pub fn read_bytes(&self, at: u32, buffer: &mut [u8]) -> Result<()> {
        let len = u32::try_from(buffer.len()).map_err(|_| Errno::Overflow)?;
        let from = self.bytes(at, len)?;
        // SAFETY: `bytes` checked the range; host slices never lie in guest memory.
        unsafe { from.copy_to_nonoverlapping(buffer.as_mut_ptr(), buffer.len()) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked_without_overflow() {
        let mut store = [7u8; 64];
        // SAFETY: the array outlives the value.
        let memory = unsafe { GuestMemory::new(store.as_mut_ptr(), 64) };
        assert!(memory.bytes(0, 64).is_ok());
        assert!(memory.bytes(64, 0).is_ok());
        assert_eq!(memory.bytes(65, 0), Err(Errno::Fault));
        assert_eq!(memory.bytes(0, 65), Err(Errno::Fault));
        assert_eq!(memory.bytes(1, u32::MAX), Err(Errno::Fault));
        assert_eq!(memory.bytes(u32::MAX, u32::MAX), Err(Errno::Fault));
        assert_eq!(memory.array(8, u32::MAX, u32::MAX), Err(Errno::Fault));
        assert_eq!(memory.array(0, 0x8000_0000, 2), Err(Errno::Fault));
        assert!(memory.array(16, 1, 48).is_ok());
        assert_eq!(memory.array(17, 1, 48), Err(Errno::Fault));
    }

    #[test]
    fn values_need_no_alignment() {
        let mut store = [0u8; 16];
        // SAFETY: the array outlives the value.
        let memory = unsafe { GuestMemory::new(store.as_mut_ptr(), 16) };
        memory.write_u32(3, 0x1234_5678).unwrap();
        assert_eq!(memory.read_u32(3), Ok(0x1234_5678));
        memory.write_u64(7, u64::MAX).unwrap();
        assert_eq!(memory.read::<9>(7), Ok([255, 255, 255, 255, 255, 255, 255, 255, 0]));
        assert_eq!(memory.write_u64(9, 0), Err(Errno::Fault));
        assert_eq!(memory.read_u32(13), Err(Errno::Fault));
        memory.write_bytes(14, b"ab").unwrap();
        assert_eq!(memory.write_bytes(14, b"abc"), Err(Errno::Fault));
        let mut out = [0; 2];
        memory.read_bytes(14, &mut out).unwrap();
        assert_eq!(&out, b"ab");
        assert_eq!(memory.read_bytes(15, &mut out), Err(Errno::Fault));
    }
}
