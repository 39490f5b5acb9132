//! What the functions of a WASI work on: descriptors, streams, clocks, random numbers.
//!
//! In an executable that is the [`Process`], whose state is static and costs nothing to name. In a host program each
//! context of WASI is a [`State`] of its own (`embed/src/wasi/`), so that guests of one process share nothing. The
//! functions of this module and of the fronts are generic over it, and there is one copy of each.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: a guest's number means something in the table of its own state alone. No function of `host` and of  ║
//! ║ preview 1 reaches descriptors, streams or clocks but through the state that it was handed.                    ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use crate::sys::errno::{Errno, Result};
use crate::sys::fs::{Handle, OwnedHandle};
use crate::sys::io_clock;
use crate::sys::io_stream::{self, Buffer};

use super::clocks::{self, Clock};
use super::descriptor::{Descriptor, Kind};
use super::descriptors::{self, NO_HANDLE, Reservation, Table};
use super::poll::Watch;
use super::restrict;
use super::tree::request::{self, Request};

/// What a guest's calls of WASI work on. Copies are the same state.
pub trait State: Copy {
    /// What bytes are read from or written to: a standard stream, a file or a connection.
    type Stream: Copy;

    /// What a number stands for.
    fn get(self, fd: u32) -> Result<Descriptor>;

    /// Runs `f` on the table, which it must not use in another way. The handle that `f` returns stays what it is while the
    /// calling host function uses it, whatever other threads close.
    fn with_table<T>(self, f: impl FnOnce(&mut Table) -> (T, Handle)) -> T;

    /// Closes a handle that was taken out of the table.
    fn close_handle(self, handle: Handle);

    /// Runs `f`, which moves the position of a directory and reads from there, while no other thread does the same.
    fn reading_directory<T>(self, f: impl FnOnce() -> T) -> T;

    /// How many descriptors the guest may have open, besides the standard ones.
    fn max_open_files(self) -> u32;

    /// Asks a tree for something, see [`request::call`].
    fn ask_tree<'a>(self, request: Request<'a>) -> Result<u64>
    where
        Self: 'a;

    /// Current time in nanoseconds.
    fn now(self, clock: Clock) -> Result<u64>;

    /// Resolution of a clock in nanoseconds.
    fn resolution(self, clock: Clock) -> Result<u64>;

    /// Waits until one of the handles is ready or the monotonic clock shows `deadline` nanoseconds. One of both is given.
    fn wait(self, watches: &mut [Watch], deadline: Option<u64>) -> Result<()>;

    /// Fills `len_bytes` bytes with random ones, at most; how many were filled, at least one.
    ///
    /// # Safety
    /// The bytes are writable; nothing in Rust refers to them.
    unsafe fn random(self, to: *mut u8, len_bytes: usize) -> Result<usize>;

    /// What a descriptor of a standard stream, a file or a connection is read and written by: it is of this kind and has
    /// this handle.
    fn stream(self, kind: Kind, handle: Handle) -> Self::Stream;

    /// Reads from the current position.
    ///
    /// # Safety
    /// The buffers are writable; nothing in Rust refers to what they hold.
    unsafe fn read(self, from: Self::Stream, buffers: &[Buffer]) -> Result<usize>;

    /// Writes at the current position.
    ///
    /// # Safety
    /// The buffers are readable.
    unsafe fn write(self, to: Self::Stream, buffers: &[Buffer]) -> Result<usize>;

    /// Whether a standard stream is a terminal.
    fn is_terminal(self, stream: Descriptor) -> bool;

    /// The handle by which the operating system knows when a stream, file or connection is ready; `None` for what is always
    /// ready.
    fn handle_to_watch(self, descriptor: Descriptor) -> Option<Handle>;

    /// The handle of what may be a socket, and is neither a directory nor of a tree.
    fn handle_of_socket(self, descriptor: Descriptor) -> Option<Handle>;

    /// What a number stands for, which must be a file.
    #[inline]
    fn file(self, fd: u32) -> Result<Descriptor> {
        match self.get(fd)? {
            file if file.kind == Kind::File => Ok(file),
            _ => Err(Errno::Badf),
        }
    }

    /// What a number stands for, which must be a directory.
    #[inline]
    fn directory(self, fd: u32) -> Result<Descriptor> {
        match self.get(fd)? {
            directory if directory.kind == Kind::Directory => Ok(directory),
            _ => Err(Errno::Badf),
        }
    }

    /// What a number stands for, which must be a directory, also one of a tree: those cannot be changed.
    #[inline]
    fn any_directory(self, fd: u32) -> Result<Descriptor> {
        match self.get(fd)? {
            directory if matches!(directory.kind, Kind::Directory | Kind::TreeDirectory) => Ok(directory),
            _ => Err(Errno::Badf),
        }
    }

    /// Reserves the lowest free number.
    fn reserve(self) -> Result<Reservation<Self>> {
        let reserved = self.with_table(|table| (table.reserve(self.max_open_files()), NO_HANDLE));
        reserved.map(|fd| Reservation::new(self, fd))
    }

    /// Makes the handle of `old`, a directory that is a mere location, one that can read entries, like `new`, which is the
    /// same directory. The number by which the operating system knows it stays, because other threads may be using it.
    fn replace_location(self, fd: u32, old: Descriptor, new: OwnedHandle) -> Result<Handle> {
        self.with_table(|table| {
            let replaced = table.get(fd).and_then(|mut now| {
                // Meanwhile `fd` may stand for another one. The handle tells: its number was not given away, see
                // `with_table`.
                if now.handle != old.handle {
                    return Err(Errno::Badf);
                }
                // Another thread may have been faster.
                if now.flags & Descriptor::LOCATION != 0 {
                    now.handle.replace_by(new.get())?;
                    now.flags &= !Descriptor::LOCATION;
                    table.set(fd, now)?;
                }
                Ok(now.handle)
            });
            (replaced, replaced.unwrap_or(NO_HANDLE))
        })
    }

    /// Closes a number. The process's own standard streams stay open: a message about a trap must not end up in a file
    /// that later got the number of standard error.
    fn close(self, fd: u32) -> Result<()> {
        let descriptor = self.with_table(|table| (table.take(fd), NO_HANDLE))?;
        self.close_descriptor(descriptor);
        Ok(())
    }

    /// Closes what was taken out of the table.
    fn close_descriptor(self, descriptor: Descriptor) {
        if descriptor.is_of_tree() {
            let _ = self.ask_tree(Request::Close { file: descriptor });
        } else if !descriptor.is_standard() {
            self.close_handle(descriptor.handle);
        }
    }

    /// Makes `to`, which is closed, stand for what `from` stood for.
    fn renumber(self, from: u32, to: u32) -> Result<()> {
        let replaced = self.with_table(|table| (table.renumber(from, to), NO_HANDLE))?;
        if let Some(replaced) = replaced {
            self.close_descriptor(replaced);
        }
        Ok(())
    }
}

/// The state of an executable: that of the process.
#[derive(Clone, Copy, Debug)]
pub struct Process;

impl State for Process {
    type Stream = Handle;

    #[inline]
    fn get(self, fd: u32) -> Result<Descriptor> {
        // SAFETY: a place that is not null is that of a descriptor, and no other thread changes it.
        match unsafe { descriptors::find(fd).as_ref() } {
            Some(descriptor) if descriptor.is_open() => Ok(*descriptor),
            _ => Err(Errno::Badf),
        }
    }

    #[inline]
    fn with_table<T>(self, f: impl FnOnce(&mut Table) -> (T, Handle)) -> T {
        descriptors::with(f)
    }

    #[inline]
    fn close_handle(self, handle: Handle) {
        descriptors::close_handle(handle);
    }

    #[inline]
    fn reading_directory<T>(self, f: impl FnOnce() -> T) -> T {
        descriptors::reading_directory(f)
    }

    #[inline]
    fn max_open_files(self) -> u32 {
        descriptors::max_open_files()
    }

    #[inline]
    fn ask_tree<'a>(self, request: Request<'a>) -> Result<u64>
    where
        Self: 'a,
    {
        request::call(request)
    }

    #[inline]
    fn now(self, clock: Clock) -> Result<u64> {
        clocks::now(clock)
    }

    #[inline]
    fn resolution(self, clock: Clock) -> Result<u64> {
        clocks::resolution(clock)
    }

    #[inline]
    fn wait(self, watches: &mut [Watch], deadline: Option<u64>) -> Result<()> {
        match deadline {
            Some(moment) if clocks::simulated() => {
                // Nobody waits for a simulated clock: it is moved on, unless a file is ready at once.
                if watches.is_empty() || io_clock::wait(watches, Some(0))? == 0 {
                    clocks::pass_until(moment);
                }
                Ok(())
            }
            _ => wait_for_system(watches, deadline),
        }
    }

    #[inline]
    unsafe fn random(self, to: *mut u8, len_bytes: usize) -> Result<usize> {
        if clocks::simulated() {
            // SAFETY: by this function's contract.
            unsafe { restrict::repeatable_bytes(to, len_bytes) };
            return Ok(len_bytes);
        }
        // SAFETY: by this function's contract.
        unsafe { io_stream::random(to, len_bytes) }
    }

    #[inline]
    fn stream(self, _kind: Kind, handle: Handle) -> Handle {
        handle
    }

    #[inline]
    unsafe fn read(self, from: Handle, buffers: &[Buffer]) -> Result<usize> {
        // SAFETY: by this function's contract.
        unsafe { io_stream::read(from, buffers) }
    }

    #[inline]
    unsafe fn write(self, to: Handle, buffers: &[Buffer]) -> Result<usize> {
        // SAFETY: by this function's contract.
        unsafe { io_stream::write(to, buffers) }
    }

    #[inline]
    fn is_terminal(self, stream: Descriptor) -> bool {
        io_stream::is_terminal(stream.handle)
    }

    #[inline]
    fn handle_to_watch(self, descriptor: Descriptor) -> Option<Handle> {
        Some(descriptor.handle)
    }

    #[inline]
    fn handle_of_socket(self, descriptor: Descriptor) -> Option<Handle> {
        Some(descriptor.handle)
    }
}

/// Waits for the operating system's handles and clock, see [`State::wait`].
#[inline]
pub fn wait_for_system(watches: &mut [Watch], deadline: Option<u64>) -> Result<()> {
    match deadline {
        Some(deadline) if watches.is_empty() => io_clock::sleep_until(deadline),
        _ => io_clock::wait(watches, deadline).map(|_| ()),
    }
}
