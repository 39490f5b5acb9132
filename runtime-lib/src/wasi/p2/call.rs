//! A call of a host function by a component: its memory, its `realloc`, its handles, and how it traps.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: what `realloc` returns is as untrusted as any address of the guest, and the guest runs while it is ║
//! ║ called: it may grow its memory and write anywhere in it. So the memory's length is read anew after each call,║
//! ║ nothing that was read before is used to find an address afterwards, and no function of the host can be       ║
//! ║ entered meanwhile.                                                                                           ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use core::sync::atomic::{AtomicBool, Ordering};

use wasmelt_abi::component::Canon;

use crate::component::handles::Tables;
use crate::component::{calls, traps};
use crate::ending;
use crate::host::descriptor::Descriptor;
use crate::host::guest_memory::GuestMemory;
use crate::host::state::{Process, State as _};
use crate::sys;
use crate::sys::errno::Result;
use crate::wasi::caller::{Caller, Executable};

use super::handles::{self, Refusal, Removed, Resource, Stream};
use super::transfer::{self, BUFFER_BYTES};

/// A component that calls, for as long as the call lasts.
///
/// # Safety
/// What [`Self::buffer`] returns is writable as long as the call lasts, and nobody but the functions of this module uses it.
pub unsafe trait Component: Caller {
    /// Number of the component instance: each has handles of its own.
    fn component(self) -> u32;

    /// Runs `f` on the handles, which it must not use in another way.
    fn with_handles<T>(self, f: impl FnOnce(&mut Tables) -> T) -> T;

    /// Records that a handle was dropped which the call of this number has lent.
    fn give_back(self, call: u32);

    /// Calls the component's `realloc`, to allocate: the new address; `None` where there is no such function.
    fn reallocate(self, len_bytes: usize, align: u32) -> Option<u32>;

    /// Where bytes lie between the system and the guest.
    fn buffer(self) -> *mut [u8; BUFFER_BYTES];

    /// Ends the program.
    fn exit(self, code: i32) -> !;

    /// Traps on behalf of the guest.
    fn trap(self, words: &str) -> !;

    /// Traps because a handle is not the caller's, or stands for something else where it `is_known`.
    fn trap_about_handle(self, handle: u32, is_known: bool) -> !;
}

/// A guest's `realloc` is running. Components of executables have one thread.
static ALLOCATING: AtomicBool = AtomicBool::new(false);

/// The component of an executable.
#[derive(Clone, Copy)]
pub struct ExecutableComponent {
    canon: Canon,
}

impl ExecutableComponent {
    fn caller(self) -> Executable {
        // SAFETY: by the contract of `Call::new`.
        unsafe { Executable::new(self.canon.vmctx) }
    }
}

impl Caller for ExecutableComponent {
    type State = Process;

    #[inline]
    fn state(self) -> Process {
        Process
    }

    #[inline]
    fn memory(self) -> GuestMemory {
        self.caller().memory()
    }

    #[inline]
    fn for_each_argument(self, f: impl FnMut(&[&[u8]]) -> Result<()>) -> Result<()> {
        self.caller().for_each_argument(f)
    }

    #[inline]
    fn for_each_variable(self, f: impl FnMut(&[&[u8]]) -> Result<()>) -> Result<()> {
        self.caller().for_each_variable(f)
    }

    #[inline]
    fn with_guest_name<T>(self, descriptor: &Descriptor, f: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.caller().with_guest_name(descriptor, f)
    }
}

// SAFETY: the buffer is that of the process, whose components have one thread; no host function runs within another one.
unsafe impl Component for ExecutableComponent {
    #[inline]
    fn component(self) -> u32 {
        self.canon.component
    }

    #[inline]
    fn with_handles<T>(self, f: impl FnOnce(&mut Tables) -> T) -> T {
        handles::of_process(f)
    }

    #[inline]
    fn give_back(self, call: u32) {
        calls::give_back(call);
    }

    fn reallocate(self, len_bytes: usize, align: u32) -> Option<u32> {
        let realloc = self.canon.realloc?;
        let mut values = [[0, 0], [0, 0], [align.into(), 0], [len_bytes as u64, 0]];
        ALLOCATING.store(true, Ordering::Relaxed);
        // SAFETY: by the contract of `Call::new`; the array has room for the parameters and the result.
        unsafe { realloc(self.canon.realloc_vmctx, values.as_mut_ptr()) };
        ALLOCATING.store(false, Ordering::Relaxed);
        Some(values[0][0] as u32)
    }

    #[inline]
    fn buffer(self) -> *mut [u8; BUFFER_BYTES] {
        transfer::buffer_of_process()
    }

    fn exit(self, code: i32) -> ! {
        ending::announce();
        sys::exit(code)
    }

    fn trap(self, words: &str) -> ! {
        // SAFETY: by the contract of `Call::new`, and generated code of that context's program called.
        unsafe { traps::raise(self.canon.vmctx, words) }
    }

    fn trap_about_handle(self, handle: u32, is_known: bool) -> ! {
        // SAFETY: as in `trap`.
        unsafe { traps::raise_about_handle(self.canon.vmctx, handle, is_known) }
    }
}

/// A call of a host function.
#[derive(Clone, Copy)]
pub struct Call<C: Component = ExecutableComponent> {
    guest: C,
}

impl Call {
    /// The call that generated code describes.
    ///
    /// # Safety
    /// `canon` is what generated code passes to host functions of components: its contexts are live, and its `realloc`
    /// is code of the program.
    pub(super) unsafe fn new(canon: *const Canon) -> Self {
        // SAFETY: by this function's contract.
        let call = Self { guest: ExecutableComponent { canon: unsafe { *canon } } };
        if ALLOCATING.load(Ordering::Relaxed) {
            call.trap("cannot leave component instance");
        }
        call
    }
}

impl<C: Component> Call<C> {
    /// A call of this component, which may leave its instance.
    pub fn of(guest: C) -> Self {
        Self { guest }
    }

    /// Who calls.
    pub fn guest(&self) -> C {
        self.guest
    }

    /// What the call works on.
    pub fn state(&self) -> C::State {
        self.guest.state()
    }

    /// The memory that strings, lists and results lie in, as it is at this moment. Hosts do not get it, who might keep it for
    /// longer than the call lasts: they have [`Self::read`] and [`Self::put`].
    pub(crate) fn memory(&self) -> GuestMemory {
        self.guest.memory()
    }

    /// Traps on behalf of the guest.
    pub fn trap(&self, words: &str) -> ! {
        self.guest.trap(words)
    }

    /// A new stream of a descriptor.
    pub fn stream(&self, fd: u32) -> Stream {
        self.guest.with_handles(|tables| tables.stream(fd))
    }

    /// Checks the address of a result before anything is done for it.
    pub fn result_at(&self, at: u32, len_bytes: u32, align: u32) {
        if !at.is_multiple_of(align) {
            self.trap("pointer not aligned");
        }
        if self.memory().bytes(at, len_bytes).is_err() {
            self.trap("pointer out of bounds of memory");
        }
    }

    /// Checks a list of the guest: `count` elements of this size.
    pub fn list(&self, at: u32, count: u32, size_bytes: u32, align: u32) {
        if !at.is_multiple_of(align) {
            self.trap("list pointer is not aligned");
        }
        if self.memory().array(at, count, size_bytes).is_err() {
            self.trap("list pointer/length out of bounds of memory");
        }
    }

    /// Reads bytes of the guest's memory.
    pub fn read<const N: usize>(&self, at: u32) -> [u8; N] {
        self.memory().read(at).unwrap_or_else(|_| self.trap("pointer out of bounds of memory"))
    }

    /// Copies bytes of the guest's memory into `buffer`, which decides how many.
    pub fn read_bytes(&self, at: u32, buffer: &mut [u8]) {
        if self.memory().read_bytes(at, buffer).is_err() {
            self.trap("pointer out of bounds of memory");
        }
    }

    /// Writes bytes where they were checked to fit.
    pub fn put<const N: usize>(&self, at: u32, bytes: [u8; N]) {
        if self.memory().write(at, bytes).is_err() {
            self.trap("pointer out of bounds of memory");
        }
    }

    /// Writes an 8-bit number.
    pub fn put_u8(&self, at: u32, value: u8) {
        self.put(at, [value]);
    }

    /// Writes a 32-bit number.
    pub fn put_u32(&self, at: u32, value: u32) {
        self.put(at, value.to_le_bytes());
    }

    /// Writes a 64-bit number.
    pub fn put_u64(&self, at: u32, value: u64) {
        self.put(at, value.to_le_bytes());
    }

    /// Lets the guest allocate, and checks what it returns: `len_bytes` bytes lie there.
    pub fn allocate(&self, len_bytes: usize, align: u32) -> u32 {
        let Some(at) = self.guest.reallocate(len_bytes, align) else {
            self.trap("the component has no `realloc` for results")
        };
        if !at.is_multiple_of(align) {
            self.trap("realloc return: result not aligned");
        }
        if u32::try_from(len_bytes).is_ok_and(|len| self.memory().bytes(at, len).is_ok()) {
            return at;
        }
        self.trap("realloc return: beyond end of memory")
    }

    /// Writes a list of bytes, or a string, that the guest gets: address and length go to `at`.
    pub fn put_bytes(&self, at: u32, parts: &[&[u8]]) {
        let len = parts.iter().map(|part| part.len()).sum();
        let (start, mut to) = (self.allocate(len, 1), 0);
        for part in parts {
            if self.memory().write_bytes(start.wrapping_add(to), part).is_err() {
                self.trap("realloc return: beyond end of memory");
            }
            to = to.wrapping_add(part.len() as u32);
        }
        self.put_u32(at, start);
        self.put_u32(at.wrapping_add(4), len as u32);
    }

    /// A new handle for the guest.
    pub fn own(&self, resource: Resource) -> u32 {
        match self.guest.with_handles(|tables| tables.insert(self.guest.component(), resource)) {
            Ok(handle) => handle,
            Err(_) => self.trap("cannot allocate another handle: too many handles"),
        }
    }

    /// What a handle stands for; `select` picks what the function can use.
    pub fn resource<T>(&self, handle: u32, select: impl FnOnce(Resource) -> Option<T>) -> T {
        match self.guest.with_handles(|tables| tables.get(self.guest.component(), handle)) {
            None => self.guest.trap_about_handle(handle, false),
            Some(resource) => match select(resource) {
                Some(selected) => selected,
                None => self.guest.trap_about_handle(handle, true),
            },
        }
    }

    /// Changes what a handle stands for, which was looked up before.
    pub fn update(&self, handle: u32, resource: Resource) {
        self.guest.with_handles(|tables| tables.set(self.guest.component(), handle, resource));
    }

    /// Takes what a handle owns away from the guest, which must be something that `select` picks.
    pub fn take_owned<T>(&self, handle: u32, select: impl FnOnce(Resource) -> Option<T>) -> T {
        let selected = self.resource(handle, select);
        match self.guest.with_handles(|tables| tables.take(self.guest.component(), handle)) {
            Ok(Removed::Owned(_)) => selected,
            Ok(Removed::Lent(_)) => self.trap("cannot lift own resource from a borrow"),
            Err(_) => self.trap("cannot remove owned resource while borrowed"),
        }
    }

    /// Drops a handle, which must stand for something that `select` accepts.
    pub fn drop_handle(&self, handle: u32, select: impl FnOnce(Resource) -> bool) {
        self.resource(handle, |resource| select(resource).then_some(()));
        let removed = self.guest.with_handles(|tables| tables.remove(self.guest.component(), handle));
        match removed {
            Ok((removed, unused)) => self.close(removed, unused),
            Err(Refusal::Lent) => self.trap("cannot remove owned resource while borrowed"),
            Err(Refusal::Polled) => self.trap("resource has children"),
        }
    }

    /// Drops a handle that was looked up before; what it owned, which is the caller's to end.
    pub fn take(&self, handle: u32) -> Option<Resource> {
        match self.guest.with_handles(|tables| tables.take(self.guest.component(), handle)) {
            Ok(Removed::Owned(resource)) => Some(resource),
            Ok(Removed::Lent(call)) => {
                self.guest.give_back(call);
                None
            }
            Err(_) => self.trap("cannot remove owned resource while borrowed"),
        }
    }

    /// Traps where a resource that was dropped has children.
    pub fn check_childless(&self, has_children: Result<bool>) {
        if has_children == Ok(true) {
            self.trap("resource has children");
        }
    }

    /// Closes the descriptor of a handle that was removed, unless it was granted: a grant can be asked for again. What was
    /// lent goes back.
    fn close(&self, removed: Removed, unused: Option<u32>) {
        if let Removed::Lent(call) = removed {
            self.guest.give_back(call);
        }
        if let Some(fd) = unused
            && self.state().get(fd).is_ok_and(|descriptor| !descriptor.is_grant() && !descriptor.is_standard())
        {
            // It was just found.
            let _ = self.state().close(fd);
        }
    }
}
