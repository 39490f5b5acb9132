//! Standard streams: anything that the host can read from or write to.

use std::io::{self, IsTerminal as _, Read, Write};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use wasmelt_runtime::sys::errno::{Errno, Result};
use wasmelt_runtime::sys::fs::Handle;
use wasmelt_runtime::sys::io_stream::{self, Buffer};

/// How many bytes one call of a guest moves at most, to or from what is the host's.
const MAX_MOVED_BYTES: usize = 64 << 10;

/// Bytes for a guest to read, then the end.
#[derive(Clone, Debug, Default)]
pub struct MemoryInputPipe(io::Cursor<Vec<u8>>);

impl MemoryInputPipe {
    /// Makes a stream with these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(io::Cursor::new(bytes.into()))
    }
}

impl Read for MemoryInputPipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// A buffer in memory that takes what a guest writes, up to a number of bytes; then the guest's writes fail as on a device
/// that is full. Clones are the same buffer: the host keeps one.
#[derive(Clone, Debug)]
pub struct MemoryOutputPipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    capacity_bytes: usize,
}

impl MemoryOutputPipe {
    /// Makes an empty buffer.
    pub fn new(capacity_bytes: usize) -> Self {
        Self { bytes: Arc::default(), capacity_bytes }
    }

    /// Returns what was written so far.
    pub fn contents(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for MemoryOutputPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.capacity_bytes - written.len();
        if room == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let fits = &bytes[..bytes.len().min(room)];
        written.extend_from_slice(fits);
        Ok(fits.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where standard input comes from.
pub(super) enum Input {
    /// The process's own, without the host's buffer.
    Inherited,
    Reader(Box<dyn Read + Send>),
}

impl Input {
    /// Reads into buffers.
    ///
    /// # Safety
    /// The buffers are writable; nothing in Rust refers to what they hold.
    pub(super) unsafe fn read(&mut self, buffers: &[Buffer]) -> Result<usize> {
        let reader = match self {
            // SAFETY: by this function's contract.
            Self::Inherited => return unsafe { io_stream::read(Handle::STDIN, buffers) },
            Self::Reader(reader) => reader,
        };
        // Readers of the host's never see memory that other threads of guests may write to.
        let mut bytes = vec![0; moved_at_most(buffers)];
        let len = retry(|| reader.read(&mut bytes))?;
        // A reader that says it has read more than it could is the host's mistake.
        let mut rest = bytes.get(..len).ok_or(Errno::Io)?;
        for buffer in buffers {
            let (now, later) = rest.split_at(rest.len().min(buffer.len_bytes));
            // SAFETY: by this function's contract; `now` has at most as many bytes as the buffer.
            unsafe { ptr::copy_nonoverlapping(now.as_ptr(), buffer.base, now.len()) };
            rest = later;
        }
        Ok(len)
    }
}

/// Where standard output or standard error goes.
pub(super) struct Output {
    pub(super) writer: Box<dyn Write + Send>,
    pub(super) is_terminal: bool,
}

impl Output {
    pub(super) fn new(writer: impl Write + Send + 'static) -> Self {
        Self { writer: Box::new(writer), is_terminal: false }
    }

    pub(super) fn inherited_output() -> Self {
        Self { writer: Box::new(Inherited(Flushed(io::stdout()))), is_terminal: io::stdout().is_terminal() }
    }

    pub(super) fn inherited_error() -> Self {
        Self { writer: Box::new(Inherited(io::stderr())), is_terminal: io::stderr().is_terminal() }
    }

    /// Writes buffers.
    ///
    /// # Safety
    /// The buffers are readable.
    pub(super) unsafe fn write(&mut self, buffers: &[Buffer]) -> Result<usize> {
        let len = moved_at_most(buffers);
        let mut bytes: Vec<u8> = Vec::with_capacity(len);
        for buffer in buffers {
            let part = buffer.len_bytes.min(len - bytes.len());
            // SAFETY: by this function's contract; there is room for `len` bytes, and all parts have so many together.
            unsafe {
                ptr::copy_nonoverlapping(buffer.base, bytes.as_mut_ptr().add(bytes.len()), part);
                bytes.set_len(bytes.len() + part);
            }
        }
        let written = retry(|| self.writer.write(&bytes))?;
        if written > len { Err(Errno::Io) } else { Ok(written) }
    }
}

/// Standard output without the buffer that waits for the end of a line.
struct Flushed(io::Stdout);

impl Write for Flushed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut output = self.0.lock();
        let len = output.write(bytes)?;
        output.flush()?;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A stream of the process, which may be a pipe whose reader is gone: that is an error of the guest, and not the end of a host
/// that does not ignore `SIGPIPE`.
struct Inherited<W>(W);

impl<W: Write> Write for Inherited<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(unix)]
        return super::sigpipe::without_sigpipe(|| self.0.write(bytes));
        #[cfg(not(unix))]
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        return super::sigpipe::without_sigpipe(|| self.0.flush());
        #[cfg(not(unix))]
        self.0.flush()
    }
}

fn moved_at_most(buffers: &[Buffer]) -> usize {
    buffers.iter().fold(0usize, |sum, buffer| sum.saturating_add(buffer.len_bytes)).min(MAX_MOVED_BYTES)
}

fn retry(mut f: impl FnMut() -> io::Result<usize>) -> Result<usize> {
    loop {
        match f() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(|error| errno(&error)),
        }
    }
}

/// What a guest is told of an error of the host's reader or writer.
fn errno(error: &io::Error) -> Errno {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Errno::Pipe,
        io::ErrorKind::ConnectionReset => Errno::Connreset,
        io::ErrorKind::StorageFull | io::ErrorKind::WriteZero => Errno::Nospc,
        io::ErrorKind::TimedOut => Errno::Timedout,
        io::ErrorKind::WouldBlock => Errno::Again,
        _ => Errno::Io,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// The test in the process that it starts: with the default action of `SIGPIPE`, as a host in C has it.
    const ROLE: &str = "WASMELT_TEST_PIPE";

    #[test]
    fn an_inherited_stream_whose_reader_is_gone_does_not_end_the_host() {
        use std::process::{Command, Stdio};

        if std::env::var_os(ROLE).is_none() {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args([
                "--exact",
                "wasi::streams::tests::an_inherited_stream_whose_reader_is_gone_does_not_end_the_host",
            ]);
            let mut child = child.env(ROLE, "1").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stderr.take());
            assert_eq!(child.wait().unwrap().code(), Some(42));
            return;
        }
        // SAFETY: this process has one purpose, and no handler of its own.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let (mut output, bytes) = (Output::inherited_error(), [b'x'; 64]);
        let buffer = Buffer { base: bytes.as_ptr().cast_mut(), len_bytes: bytes.len() };
        // SAFETY: the buffer is read, and is there as long as the call lasts.
        while unsafe { output.write(&[buffer]) } != Err(Errno::Pipe) {}
        std::process::exit(42);
    }
}
