//! The guest that calls a function of the host, as the runtime's WASI 0.2 sees it.

use core::any::Any;
use core::cell::{RefCell, RefMut};
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use wasmelt_runtime::component::handles::{Stream, Tables};
use wasmelt_runtime::host::descriptor::Descriptor;
#[cfg(target_os = "linux")]
use wasmelt_runtime::host::descriptor::Kind;
use wasmelt_runtime::host::guest_memory::GuestMemory;
use wasmelt_runtime::host::state::State as _;
use wasmelt_runtime::sys::errno;
#[cfg(target_os = "linux")]
use wasmelt_runtime::sys::fs::{Handle, OwnedHandle};
use wasmelt_runtime::wasi::caller::Caller as WasiCaller;
use wasmelt_runtime::wasi::p2::call::{Call, Component};
use wasmelt_runtime::wasi::p2::transfer::BUFFER_BYTES;

use super::context::{Canon, ComponentCtx, Realloc, State, without_leaving};
#[cfg(target_os = "linux")]
use crate::wasi::Sent;
use crate::wasi::{I32Exit, WasiCall, WasiCtx};
use crate::{AsContext as _, Caller, Error, Memory, Result};

/// A call of a function of the host: the guest's memory and handles, as long as the call lasts.
///
/// Bytes of the memory are copied in and out; what could be kept for longer than the store is there is not to be had:
///
/// ```compile_fail,E0624
/// use wasmelt_embed::component::GuestCall;
///
/// fn keep(call: GuestCall<'_>) {
///     let memory = call.memory();
///     std::thread::spawn(move || memory.read_u32(0));
/// }
/// ```
pub type GuestCall<'a> = Call<Guest<'a>>;

/// Why the canonical ABI, or a function of the host, has stopped a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentTrap(pub(super) String);

impl fmt::Display for ComponentTrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for ComponentTrap {}

pub(super) fn trap(words: impl Into<String>) -> Error {
    Error::host(ComponentTrap(words.into()))
}

/// The guest that calls.
#[derive(Clone, Copy)]
pub struct Guest<'a>(&'a Frame<'a>);

/// A call of a function of the host.
struct Frame<'a> {
    state: &'a State,
    canon: Canon,
    component: u32,
    store: RefCell<&'a mut dyn GuestStore>,
}

/// A store, whatever the host's data.
pub(super) trait GuestStore {
    /// A memory as it is at this moment; one of no bytes where there is none.
    fn memory(&mut self, memory: Option<Memory>) -> GuestMemory;

    /// Lets the guest allocate.
    fn reallocate(&mut self, realloc: &Realloc, len_bytes: usize, align: u32) -> Result<u32>;
}

impl<S: crate::AsContextMut> GuestStore for S {
    fn memory(&mut self, memory: Option<Memory>) -> GuestMemory {
        let store = self.as_context();
        let entity = memory.and_then(|memory| store.inner().memory(memory).ok());
        let (base, len) = entity.map_or((core::ptr::null_mut(), 0), |memory| (memory.base(), memory.len()));
        // SAFETY: a memory has this length, never shrinks, and is there as long as the store.
        unsafe { GuestMemory::new(base, len) }
    }

    fn reallocate(&mut self, realloc: &Realloc, len_bytes: usize, align: u32) -> Result<u32> {
        let len = i32::try_from(len_bytes).map_err(|_| trap("a value is too long for the guest's memory"))?;
        let at = without_leaving(self, realloc.may_leave, |store| {
            realloc.func.call(store.as_context_mut(), (0, 0, align as i32, len))
        });
        at.map(|at| at as u32)
    }
}

/// What unwinds from the depth of a function to [`enter`]: why it ends.
struct Unwound(Error);

fn unwind(error: Error) -> ! {
    // Without a message of a panic: nothing is wrong with the host.
    resume_unwind(Box::new(Unwound(error)))
}

impl<'a> Guest<'a> {
    /// Returns the data that the context was given, see [`ComponentCtx::with_data`]; `None` where it is not of this type.
    pub fn data<D: Any>(self) -> Option<RefMut<'a, D>> {
        RefMut::filter_map(self.0.state.data.borrow_mut(), |data| data.as_mut()?.downcast_mut()).ok()
    }

    /// Opens one side of a pair of sockets, which does not block, for a stream of the guest. The descriptor is closed with the
    /// last handle of the stream.
    ///
    /// # Errors
    /// [`Error::System`] when the guest has too many descriptors.
    #[cfg(target_os = "linux")]
    pub fn open(self, socket: std::os::fd::OwnedFd) -> Result<Stream> {
        self.open_with(socket, |_, _| {})
    }

    /// Opens a socket as [`Self::open`], and counts what the guest writes to the stream until [`Self::take_sent`] asks, or the
    /// next request begins.
    ///
    /// # Errors
    /// As [`Self::open`].
    #[cfg(target_os = "linux")]
    pub fn open_counted(self, socket: std::os::fd::OwnedFd) -> Result<Stream> {
        self.open_with(socket, |stream, socket| {
            self.state().sent.borrow_mut().push(Sent { stream, socket: Some(socket), bytes: 0 });
        })
    }

    #[cfg(target_os = "linux")]
    fn open_with(self, socket: std::os::fd::OwnedFd, count: impl FnOnce(Stream, Handle)) -> Result<Stream> {
        let state = self.state();
        let reserved = state.reserve().map_err(|_| Error::system("the guest has too many descriptors"))?;
        // SAFETY: the socket is given up here.
        let owned = unsafe { OwnedHandle::from_fd(std::os::fd::IntoRawFd::into_raw_fd(socket)) };
        let socket = owned.get();
        // The system gives the number of a socket that is closed to the next one.
        state
            .sent
            .borrow_mut()
            .iter_mut()
            .filter(|sent| sent.socket == Some(socket))
            .for_each(|sent| sent.socket = None);
        let fd = reserved.fill(owned, Kind::Socket, 0, 0);
        let stream = self.with_handles(|handles| handles.stream(fd));
        count(stream, socket);
        Ok(stream)
    }

    /// Ends counting what the guest writes to a stream of [`Self::open_counted`]: how many bytes there were.
    pub fn take_sent(self, stream: Stream) -> u64 {
        let mut sent = self.state().sent.borrow_mut();
        let found = sent.iter().position(|sent| sent.stream == stream);
        found.map_or(0, |index| sent.swap_remove(index).bytes)
    }

    /// Closes the descriptor of a stream that [`Self::open`] has opened, and that no handle was made of.
    pub fn close(self, stream: Stream) {
        // It may be closed already.
        let _ = self.state().close(stream.fd);
    }

    /// Returns whether a stream, or what polls it, has a handle.
    pub fn uses(self, stream: Stream) -> bool {
        self.with_handles(|handles| handles.uses_stream(stream))
    }

    /// Ends the guest's call with an error.
    pub fn fail(self, error: Error) -> ! {
        unwind(error)
    }
}

impl<'a> WasiCaller for Guest<'a> {
    type State = &'a WasiCtx;

    fn state(self) -> &'a WasiCtx {
        &self.0.state.wasi
    }

    fn memory(self) -> GuestMemory {
        self.0.store.borrow_mut().memory(self.0.canon.memory)
    }

    fn for_each_argument(self, f: impl FnMut(&[&[u8]]) -> errno::Result<()>) -> errno::Result<()> {
        WasiCall { memory: self.memory(), context: self.state() }.for_each_argument(f)
    }

    fn for_each_variable(self, f: impl FnMut(&[&[u8]]) -> errno::Result<()>) -> errno::Result<()> {
        WasiCall { memory: self.memory(), context: self.state() }.for_each_variable(f)
    }

    fn with_guest_name<T>(self, descriptor: &Descriptor, f: impl FnOnce(&[u8]) -> T) -> Option<T> {
        WasiCall { memory: self.memory(), context: self.state() }.with_guest_name(descriptor, f)
    }
}

// SAFETY: the buffer is that of the state, which the call has; functions of the host use it one after the other.
unsafe impl Component for Guest<'_> {
    fn component(self) -> u32 {
        self.0.component
    }

    fn with_handles<T>(self, f: impl FnOnce(&mut Tables) -> T) -> T {
        f(&mut self.0.state.handles.borrow_mut())
    }

    fn give_back(self, call: u32) {
        self.0.state.calls.borrow_mut().give_back(call);
    }

    fn reallocate(self, len_bytes: usize, align: u32) -> Option<u32> {
        let realloc = self.0.canon.realloc.as_ref()?;
        let allocated = self.0.store.borrow_mut().reallocate(realloc, len_bytes, align);
        Some(allocated.unwrap_or_else(|error| unwind(error)))
    }

    fn buffer(self) -> *mut [u8; BUFFER_BYTES] {
        self.0.state.buffer()
    }

    fn exit(self, code: i32) -> ! {
        unwind(Error::host(I32Exit(code)))
    }

    fn trap(self, words: &str) -> ! {
        unwind(trap(words))
    }

    fn trap_about_handle(self, handle: u32, is_known: bool) -> ! {
        unwind(trap(match is_known {
            true => format!("handle index {handle} used with the wrong type"),
            false => format!("unknown handle index {handle}"),
        }))
    }
}

/// Runs a function of the host for the guest that has called it as the import of this number.
pub(super) fn enter<T>(
    caller: &mut Caller<'_, T>,
    context: fn(&mut T) -> &mut ComponentCtx,
    component: u32,
    import: usize,
    function: impl FnOnce(GuestCall<'_>),
) -> Result<()> {
    let state = context(caller.data_mut()).state.take();
    let state = state.ok_or_else(|| trap("cannot leave component instance"))?;
    let done = {
        let canon = state.canon.get(import).copied().unwrap_or_default();
        let frame = Frame { state: &state, canon, component, store: RefCell::new(caller) };
        catch_unwind(AssertUnwindSafe(|| function(Call::of(Guest(&frame)))))
    };
    context(caller.data_mut()).state = Some(state);
    done.or_else(|payload| match payload.downcast::<Unwound>() {
        Ok(unwound) => Err(unwound.0),
        Err(payload) => resume_unwind(payload),
    })
}
