//! The sending half of a connection. A guest may write as much as it was permitted, whatever the system takes at once:
//! what is left over waits in a buffer of the host, and until it is gone nothing more is permitted.

use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::sys::errno::{Errno, Result};
use crate::sys::fs::Handle;
use crate::sys::io_memory;
use crate::sys::io_stream::{self, Buffer};

/// How many sockets have accepted bytes and not sent them.
static WAITING: AtomicU32 = AtomicU32::new(0);

/// How many sockets have accepted bytes and not sent them.
pub(super) fn waiting() -> u32 {
    WAITING.load(Ordering::Relaxed)
}

/// How many bytes a guest may write at once.
pub const PERMIT_BYTES: usize = 1 << 16;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is no connection yet.
    Never,
    /// Bytes can be written.
    Open,
    /// No more is accepted, and what waits is still sent.
    Closing,
    /// Nothing is sent any more, because the guest said so or nobody receives.
    Closed,
    /// Nothing is sent any more, because of an error.
    Failed(Errno),
}

/// Why nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The half is closed.
    Closed,
    /// It has failed.
    Failed(Errno),
    /// The guest writes more than it was permitted.
    Unpermitted,
}

/// The sending half.
#[derive(Clone, Copy, Debug)]
pub struct Sending {
    phase: Phase,
    /// How many bytes may be written: by a call of [`Sending::check`] that no write has followed.
    permit: u32,
    /// A mapping of [`PERMIT_BYTES`] bytes, or null.
    waiting: *mut u8,
    /// Which of its bytes wait to be sent.
    start: u32,
    end: u32,
}

impl Sending {
    /// The half of a socket without a connection.
    pub(super) const fn new() -> Self {
        Self { phase: Phase::Never, permit: 0, waiting: ptr::null_mut(), start: 0, end: 0 }
    }

    /// A connection stands.
    pub(super) fn open(&mut self) {
        self.phase = Phase::Open;
    }

    /// Whether there ever was a connection.
    pub(super) fn was_opened(&self) -> bool {
        self.phase != Phase::Never
    }

    /// Why nothing is accepted, where nothing ever will be.
    fn stopped(&self) -> Result<(), Stop> {
        match self.phase {
            Phase::Open | Phase::Closing => Ok(()),
            Phase::Never | Phase::Closed => Err(Stop::Closed),
            Phase::Failed(error) => Err(Stop::Failed(error)),
        }
    }

    /// Whether it is ready at once: whoever waits for it learns why nothing is accepted.
    pub(super) fn is_over(&self) -> bool {
        self.stopped().is_err()
    }

    /// How many bytes may be written at this moment.
    pub(super) fn check(&mut self, handle: Handle) -> Result<u32, Stop> {
        self.permit = 0;
        let is_sent = self.send_waiting(handle);
        self.stopped()?;
        // What the system does not take at once waits, so that nothing needs to be asked of it here.
        if is_sent && self.phase == Phase::Open {
            // It fits.
            self.permit = PERMIT_BYTES as u32;
        }
        Ok(self.permit)
    }

    /// Whether bytes that were accepted are on their way.
    pub(super) fn check_flush(&self) -> Result<(), Stop> {
        self.stopped()
    }

    /// Accepts bytes, no more than were permitted.
    ///
    /// # Safety
    /// The bytes are readable.
    pub(super) unsafe fn write(&mut self, handle: Handle, start: *mut u8, len: usize) -> Result<(), Stop> {
        self.stopped()?;
        if self.phase != Phase::Open || len > self.permit as usize {
            return Err(Stop::Unpermitted);
        }
        if len == 0 {
            return Ok(());
        }
        self.permit = 0;
        let mut sent = 0;
        while sent < len {
            let rest = Buffer { base: start.wrapping_add(sent), len_bytes: len - sent };
            // SAFETY: a part of the caller's bytes.
            match unsafe { io_stream::send(handle, &[rest]) } {
                Ok(more) => sent += more,
                Err(Errno::Again) => {
                    // SAFETY: as above. A permit is only given when nothing waits.
                    return unsafe { self.keep(rest) }.map_err(Stop::Failed);
                }
                Err(error) => return Err(self.fail(error)),
            }
        }
        Ok(())
    }

    /// Copies bytes that the system does not take yet.
    ///
    /// # Safety
    /// The bytes are readable, no more than [`PERMIT_BYTES`], and nothing waits.
    unsafe fn keep(&mut self, bytes: Buffer) -> Result<()> {
        if self.waiting.is_null() {
            self.waiting = io_memory::map(PERMIT_BYTES)?;
            WAITING.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: by this function's contract; the mapping is this half's own.
        unsafe { ptr::copy_nonoverlapping(bytes.base, self.waiting, bytes.len_bytes) };
        (self.start, self.end) = (0, bytes.len_bytes as u32);
        Ok(())
    }

    fn fail(&mut self, error: Errno) -> Stop {
        self.forget();
        self.phase = if error == Errno::Pipe { Phase::Closed } else { Phase::Failed(error) };
        if error == Errno::Pipe { Stop::Closed } else { Stop::Failed(error) }
    }

    /// Sends what waits, as far as that is possible at once; whether nothing is left of it.
    pub(super) fn send_waiting(&mut self, handle: Handle) -> bool {
        while self.start < self.end {
            let rest = Buffer {
                base: self.waiting.wrapping_add(self.start as usize),
                len_bytes: (self.end - self.start) as usize,
            };
            // SAFETY: the bytes lie in the mapping.
            match unsafe { io_stream::send(handle, &[rest]) } {
                // No more than were given.
                Ok(sent) => self.start += sent as u32,
                Err(Errno::Again) => return false,
                Err(error) => {
                    self.fail(error);
                    return true;
                }
            }
        }
        self.forget();
        if self.phase == Phase::Closing {
            self.phase = Phase::Closed;
            // A connection that is gone has nobody to tell.
            let _ = io_stream::shutdown(handle, SENDING);
        }
        true
    }

    /// Accepts nothing more, and tells the peer once everything is sent.
    pub(super) fn close(&mut self, handle: Handle) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
            self.send_waiting(handle);
        }
    }

    /// Whether something that was accepted is not sent.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_null()
    }

    /// Gives up what waits.
    pub(super) fn forget(&mut self) {
        if !self.waiting.is_null() {
            // SAFETY: the mapping is this half's own, and nothing refers to it.
            unsafe { io_memory::unmap(self.waiting, PERMIT_BYTES) };
            self.waiting = ptr::null_mut();
            WAITING.fetch_sub(1, Ordering::Relaxed);
        }
        (self.start, self.end) = (0, 0);
    }
}

/// What [`io_stream::shutdown`] shuts down.
const SENDING: u32 = 1;
