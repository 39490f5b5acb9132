//! `args_*` and `environ_*`: what the guest was started with.
//!
//! Both pairs work the same way: sizes first, then the strings into a buffer and their addresses into a list.

use crate::host::guest_memory::GuestMemory;
use crate::sys::errno::{Errno, Result};
use crate::wasi::caller::Caller;

/// Number of strings and of their bytes, each string with its NUL.
#[derive(Default)]
struct Sizes {
    count: u32,
    len_bytes: u32,
}

impl Sizes {
    fn add(&mut self, parts: &[&[u8]]) -> Result<()> {
        self.count = self.count.checked_add(1).ok_or(Errno::Overflow)?;
        let len = parts.iter().try_fold(1usize, |sum, part| sum.checked_add(part.len())).ok_or(Errno::Overflow)?;
        let len = u32::try_from(len).map_err(|_| Errno::Overflow)?;
        self.len_bytes = self.len_bytes.checked_add(len).ok_or(Errno::Overflow)?;
        Ok(())
    }

    fn write(&self, memory: &GuestMemory, count_at: u32, len_at: u32) -> Result<()> {
        memory.write_u32(count_at, self.count)?;
        memory.write_u32(len_at, self.len_bytes)
    }
}

/// Where the next address and the next string go.
struct Writer {
    memory: GuestMemory,
    list: u32,
    buffer: u32,
}

impl Writer {
    fn add(&mut self, parts: &[&[u8]]) -> Result<()> {
        self.memory.write_u32(self.list, self.buffer)?;
        self.list = self.list.checked_add(4).ok_or(Errno::Fault)?;
        for part in parts.iter().copied().chain([&b"\0"[..]]) {
            self.memory.write_bytes(self.buffer, part)?;
            // The bytes lie in the memory, whose length is at most 2^32: only the very end can overflow.
            self.buffer = self.buffer.wrapping_add(part.len() as u32);
        }
        Ok(())
    }
}

fn sizes(caller: impl Caller, environment: bool) -> Result<Sizes> {
    let mut sizes = Sizes::default();
    if environment {
        caller.for_each_variable(|parts| sizes.add(parts))?;
    } else {
        caller.for_each_argument(|parts| sizes.add(parts))?;
    }
    Ok(sizes)
}

/// Writes the arguments of the program.
#[inline(always)]
pub fn args_get(caller: impl Caller, list: u32, buffer: u32) -> Result<()> {
    let memory = caller.memory();
    let mut writer = Writer { memory, list, buffer };
    caller.for_each_argument(|parts| writer.add(parts))
}

/// Writes how many arguments there are, and how many bytes they need.
#[inline(always)]
pub fn args_sizes_get(caller: impl Caller, count_at: u32, len_at: u32) -> Result<()> {
    let memory = caller.memory();
    sizes(caller, false).and_then(|sizes| sizes.write(&memory, count_at, len_at))
}

/// Writes the environment that the guest may see, as `NAME=value`.
#[inline(always)]
pub fn environ_get(caller: impl Caller, list: u32, buffer: u32) -> Result<()> {
    let memory = caller.memory();
    let mut writer = Writer { memory, list, buffer };
    caller.for_each_variable(|parts| writer.add(parts))
}

/// Writes how many environment variables there are, and how many bytes they need.
#[inline(always)]
pub fn environ_sizes_get(caller: impl Caller, count_at: u32, len_at: u32) -> Result<()> {
    let memory = caller.memory();
    sizes(caller, true).and_then(|sizes| sizes.write(&memory, count_at, len_at))
}
