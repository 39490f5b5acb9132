//! The context of WASI: all that the functions of a guest work on.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: this is the state that the runtime's WASI gets in host programs. It holds a table of its own, which ║
//! ║ holds what the builder granted and what the guest opened through it. Standard streams are the host's readers  ║
//! ║ and writers: their handles are mere numbers, and are never given to the operating system.                    ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use core::cell::RefCell;
use core::fmt;

use wasmelt_runtime::component::handles::Stream;
use wasmelt_runtime::host::clocks::Clock;
use wasmelt_runtime::host::descriptor::{Descriptor, Kind};
use wasmelt_runtime::host::descriptors::Table;
use wasmelt_runtime::host::guest_memory::GuestMemory;
use wasmelt_runtime::host::poll::Watch;
use wasmelt_runtime::host::state::State;
use wasmelt_runtime::host::tree::request::Request;
use wasmelt_runtime::sys::errno::{Errno, Result};
use wasmelt_runtime::sys::fs::Handle;
use wasmelt_runtime::sys::io_clock;
use wasmelt_runtime::sys::io_stream::{self, Buffer};
use wasmelt_runtime::wasi::caller::Caller;

#[cfg(unix)]
use wasmelt_runtime::sys::{file::FileType, fs};

use super::clocks::Clocks;
use super::files::{self, Folder};
use super::streams::{Input, Output};

/// How many files a guest may have open unless the host says otherwise: a fraction of what systems allow a process.
const MAX_OPEN_FILES: u32 = 256;

/// Fills bytes with random ones.
pub(super) type Random = Box<dyn FnMut(&mut [u8]) + Send>;

/// What the host does before a guest waits.
pub(super) type BeforeWaiting = Box<dyn Fn() + Send>;

/// How many random bytes the host's generator is asked for at once.
const RANDOM_BYTES: usize = 4096;

/// What guests of a store find when they call WASI: their arguments, environment, descriptors, streams and clocks. A
/// [`WasiCtxBuilder`](super::WasiCtxBuilder) makes one.
///
/// A context is the whole state of its guests. Whoever shares a context shares descriptors; guests that must not see each
/// other have a context, and so a store, each. Dropping a context closes what its guests have open.
pub struct WasiCtx {
    pub(super) table: RefCell<Table>,
    pub(super) max_open_files: u32,
    pub(super) arguments: Vec<Vec<u8>>,
    /// As `NAME=value`.
    pub(super) variables: Vec<Vec<u8>>,
    /// The guest's names of granted directories, in the order of their grants.
    pub(super) directories: Vec<Vec<u8>>,
    /// Directories of files that are granted one by one.
    pub(super) folders: Vec<Folder>,
    pub(super) stdin: RefCell<Input>,
    /// Standard output and standard error.
    pub(super) outputs: [RefCell<Output>; 2],
    pub(super) clocks: Clocks,
    /// The system's where there is none.
    pub(super) random: Option<RefCell<Random>>,
    /// Whom to tell that the guest is about to wait.
    pub(super) before_waiting: Option<BeforeWaiting>,
    /// When waiting ends for good, by the monotonic clock of the system in nanoseconds.
    pub(super) wait_until: Option<u64>,
    /// What is counted of the sockets that the host has given.
    pub(crate) sent: RefCell<Vec<Sent>>,
}

/// What a guest has written to a stream.
pub(crate) struct Sent {
    pub(crate) stream: Stream,
    /// As long as no other socket has its number.
    pub(crate) socket: Option<Handle>,
    pub(crate) bytes: u64,
}

impl Default for WasiCtx {
    /// A context that grants nothing: empty streams, the system's clocks and random numbers.
    fn default() -> Self {
        Self {
            table: RefCell::new(Table::with_standard_streams()),
            max_open_files: MAX_OPEN_FILES,
            arguments: Vec::new(),
            variables: Vec::new(),
            directories: Vec::new(),
            folders: Vec::new(),
            stdin: RefCell::new(Input::Reader(Box::new(std::io::empty()))),
            outputs: core::array::from_fn(|_| RefCell::new(Output::new(std::io::sink()))),
            clocks: Clocks::default(),
            random: None,
            before_waiting: None,
            wait_until: None,
            sent: RefCell::default(),
        }
    }
}

impl Drop for WasiCtx {
    fn drop(&mut self) {
        let numbers = self.table.get_mut().numbers();
        for fd in numbers {
            // Most numbers stand for nothing.
            let _ = self.close(fd);
        }
    }
}

impl fmt::Debug for WasiCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |all: &[Vec<u8>]| -> Vec<String> {
            all.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect()
        };
        let mut f = f.debug_struct("WasiCtx");
        f.field("arguments", &text(&self.arguments)).field("directories", &text(&self.directories));
        f.finish_non_exhaustive()
    }
}

impl WasiCtx {
    /// Limits how long guests may wait, from now on: waiting that lasts longer ends with a trap, or an error. For contexts
    /// whose monotonic clock is the system's.
    pub fn limit_waiting(&mut self, time: core::time::Duration) {
        let now = io_clock::now(Clock::Monotonic).unwrap_or(0);
        self.wait_until = Some(now.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)));
    }

    /// Tells the host that the guest is about to wait, where the host wants to know. Returns whether it need not wait.
    fn is_ready(&self, watches: &mut [Watch], deadline: Option<u64>) -> Result<bool> {
        let Some(tell) = &self.before_waiting else { return Ok(false) };
        if !watches.is_empty() && io_clock::wait(watches, Some(0))? != 0 {
            return Ok(true);
        }
        // Who only asks how things are does not wait.
        if deadline.is_none_or(|deadline| self.clocks.now(Clock::Monotonic).is_ok_and(|now| now < deadline)) {
            tell();
        }
        Ok(false)
    }

    fn count(&self, socket: Handle, bytes: u64) {
        if let Some(sent) = self.sent.borrow_mut().iter_mut().find(|sent| sent.socket == Some(socket)) {
            sent.bytes += bytes;
        }
    }

    /// Where a standard stream for output goes.
    fn output(&self, stream: Handle) -> &RefCell<Output> {
        let [output, error] = &self.outputs;
        if stream == Handle::STDERR { error } else { output }
    }
}

impl State for &WasiCtx {
    type Stream = (Kind, Handle);

    fn get(self, fd: u32) -> Result<Descriptor> {
        self.table.borrow_mut().get(fd)
    }

    fn with_table<T>(self, f: impl FnOnce(&mut Table) -> (T, Handle)) -> T {
        // One thread at a time has the context, so no handle has to be kept for another one.
        f(&mut self.table.borrow_mut()).0
    }

    fn close_handle(self, handle: Handle) {
        handle.close();
    }

    fn reading_directory<T>(self, f: impl FnOnce() -> T) -> T {
        f()
    }

    fn max_open_files(self) -> u32 {
        self.max_open_files
    }

    fn ask_tree<'a>(self, request: Request<'a>) -> Result<u64>
    where
        Self: 'a,
    {
        files::answer(self, request)
    }

    fn now(self, clock: Clock) -> Result<u64> {
        self.clocks.now(clock)
    }

    fn resolution(self, clock: Clock) -> Result<u64> {
        self.clocks.resolution(clock)
    }

    fn wait(self, watches: &mut [Watch], deadline: Option<u64>) -> Result<()> {
        let until = deadline.into_iter().chain(self.wait_until).min();
        if !self.is_ready(watches, until)? {
            self.clocks.wait(watches, until)?;
        }
        match self.wait_until {
            // A host that limits waiting has the system's clock.
            Some(end) if self.clocks.now(Clock::Monotonic)? >= end => Err(Errno::Timedout),
            _ => Ok(()),
        }
    }

    unsafe fn random(self, to: *mut u8, len_bytes: usize) -> Result<usize> {
        let Some(random) = &self.random else {
            // SAFETY: by this function's contract.
            return unsafe { io_stream::random(to, len_bytes) };
        };
        let mut bytes = [0; RANDOM_BYTES];
        let bytes = &mut bytes[..len_bytes.min(RANDOM_BYTES)];
        random.borrow_mut()(bytes);
        // SAFETY: by this function's contract; there are at most `len_bytes` of them.
        unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(bytes.len())
    }

    fn stream(self, kind: Kind, handle: Handle) -> (Kind, Handle) {
        (kind, handle)
    }

    unsafe fn read(self, (kind, handle): (Kind, Handle), buffers: &[Buffer]) -> Result<usize> {
        // SAFETY: by this function's contract, in both cases.
        unsafe {
            match kind {
                Kind::Stdin => self.stdin.borrow_mut().read(buffers),
                _ => io_stream::read(handle, buffers),
            }
        }
    }

    unsafe fn write(self, (kind, handle): (Kind, Handle), buffers: &[Buffer]) -> Result<usize> {
        // SAFETY: by this function's contract, in all cases.
        unsafe {
            match kind {
                Kind::Output => self.output(handle).borrow_mut().write(buffers),
                // Not by the call that raises a signal where the other side is gone.
                Kind::Socket => {
                    let len = io_stream::send(handle, buffers)?;
                    self.count(handle, len as u64);
                    Ok(len)
                }
                _ => write_to_file(handle, buffers),
            }
        }
    }

    fn is_terminal(self, stream: Descriptor) -> bool {
        match stream.kind {
            Kind::Stdin => {
                matches!(*self.stdin.borrow(), Input::Inherited) && std::io::IsTerminal::is_terminal(&std::io::stdin())
            }
            _ => self.output(stream.handle).borrow().is_terminal,
        }
    }

    fn handle_to_watch(self, descriptor: Descriptor) -> Option<Handle> {
        match descriptor.kind {
            Kind::Stdin => matches!(*self.stdin.borrow(), Input::Inherited).then_some(Handle::STDIN),
            Kind::Output => None,
            _ => Some(descriptor.handle),
        }
    }

    fn handle_of_socket(self, descriptor: Descriptor) -> Option<Handle> {
        // A standard stream of the process may be a socket. It is the host's, and no guest's to shut down.
        (!descriptor.is_standard()).then_some(descriptor.handle)
    }
}

/// Writes to what a path named: also a pipe whose reader is gone, which must not end the host.
///
/// # Safety
/// The buffers are readable.
unsafe fn write_to_file(handle: Handle, buffers: &[Buffer]) -> Result<usize> {
    // SAFETY: by this function's contract.
    let write = || unsafe { io_stream::write(handle, buffers) };
    #[cfg(unix)]
    if fs::metadata(handle)?.file_type != FileType::RegularFile {
        return super::sigpipe::without_sigpipe(write);
    }
    write()
}

/// A guest's call, with its memory.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) memory: GuestMemory,
    pub(crate) context: &'a WasiCtx,
}

impl<'a> Caller for Call<'a> {
    type State = &'a WasiCtx;

    fn state(self) -> &'a WasiCtx {
        self.context
    }

    fn memory(self) -> GuestMemory {
        self.memory
    }

    fn for_each_argument(self, mut f: impl FnMut(&[&[u8]]) -> Result<()>) -> Result<()> {
        self.context.arguments.iter().try_for_each(|argument| f(&[argument]))
    }

    fn for_each_variable(self, mut f: impl FnMut(&[&[u8]]) -> Result<()>) -> Result<()> {
        self.context.variables.iter().try_for_each(|variable| f(&[variable]))
    }

    fn with_guest_name<T>(self, descriptor: &Descriptor, f: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let name = match descriptor.kind {
            Kind::TreeDirectory if !descriptor.is_grant() => None,
            Kind::TreeDirectory => self.context.folders.get(files::number(descriptor)).map(|folder| &folder.guest),
            _ => self.context.directories.get((descriptor.grant as usize).checked_sub(1)?),
        };
        name.map(|name| f(name))
    }
}
