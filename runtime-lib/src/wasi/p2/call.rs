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
use wasmelt_abi::descriptor::Policy;

use crate::component::traps;
use crate::host::guest_memory::GuestMemory;
use crate::host::policy;

use super::handles::{self, Refusal, Resource};

/// A guest's `realloc` is running. Components have one thread.
static ALLOCATING: AtomicBool = AtomicBool::new(false);

/// A call of a host function.
#[derive(Clone, Copy)]
pub(super) struct Call {
    canon: Canon,
}

impl Call {
    /// The call that generated code describes.
    ///
    /// # Safety
    /// `canon` is what generated code passes to host functions of components: its contexts are live, and its `realloc`
    /// is code of the program.
    pub(super) unsafe fn new(canon: *const Canon) -> Self {
        // SAFETY: by this function's contract.
        let call = Self { canon: unsafe { *canon } };
        if ALLOCATING.load(Ordering::Relaxed) {
            call.trap("cannot leave component instance");
        }
        call
    }

    /// The memory that strings, lists and results lie in, as it is at this moment.
    pub(super) fn memory(&self) -> GuestMemory {
        // SAFETY: by the contract of `new`.
        unsafe { GuestMemory::of(self.canon.vmctx) }
    }

    /// What the program was granted.
    pub(super) fn policy(&self) -> &'static Policy {
        // SAFETY: by the contract of `new`.
        unsafe { policy::of(self.canon.vmctx) }
    }

    /// Traps on behalf of the guest.
    pub(super) fn trap(&self, words: &str) -> ! {
        // SAFETY: by the contract of `new`, and generated code of that context's program called.
        unsafe { traps::raise(self.canon.vmctx, words) }
    }

    fn trap_about_handle(&self, handle: u32, is_known: bool) -> ! {
        // SAFETY: as in `trap`.
        unsafe { traps::raise_about_handle(self.canon.vmctx, handle, is_known) }
    }

    /// Checks the address of a result before anything is done for it.
    pub(super) fn result_at(&self, at: u32, len_bytes: u32, align: u32) {
        if !at.is_multiple_of(align) {
            self.trap("pointer not aligned");
        }
        if self.memory().bytes(at, len_bytes).is_err() {
            self.trap("pointer out of bounds of memory");
        }
    }

    /// Checks a list of the guest: `count` elements of this size.
    pub(super) fn list(&self, at: u32, count: u32, size_bytes: u32, align: u32) {
        if !at.is_multiple_of(align) {
            self.trap("list pointer is not aligned");
        }
        if self.memory().array(at, count, size_bytes).is_err() {
            self.trap("list pointer/length out of bounds of memory");
        }
    }

    /// Writes bytes where they were checked to fit.
    pub(super) fn put<const N: usize>(&self, at: u32, bytes: [u8; N]) {
        if self.memory().write(at, bytes).is_err() {
            self.trap("pointer out of bounds of memory");
        }
    }

    /// Writes an 8-bit number.
    pub(super) fn put_u8(&self, at: u32, value: u8) {
        self.put(at, [value]);
    }

    /// Writes a 32-bit number.
    pub(super) fn put_u32(&self, at: u32, value: u32) {
        self.put(at, value.to_le_bytes());
    }

    /// Writes a 64-bit number.
    pub(super) fn put_u64(&self, at: u32, value: u64) {
        self.put(at, value.to_le_bytes());
    }

    /// Lets the guest allocate, and checks what it returns: `len_bytes` bytes lie there.
    pub(super) fn allocate(&self, len_bytes: usize, align: u32) -> u32 {
        let Some(realloc) = self.canon.realloc else { self.trap("the component has no `realloc` for results") };
        let mut values = [[0, 0], [0, 0], [align.into(), 0], [len_bytes as u64, 0]];
        ALLOCATING.store(true, Ordering::Relaxed);
        // SAFETY: by the contract of `new`; the array has room for the parameters and the result.
        unsafe { realloc(self.canon.realloc_vmctx, values.as_mut_ptr()) };
        ALLOCATING.store(false, Ordering::Relaxed);
        let at = values[0][0] as u32;
        if !at.is_multiple_of(align) {
            self.trap("realloc return: result not aligned");
        }
        if u32::try_from(len_bytes).is_ok_and(|len| self.memory().bytes(at, len).is_ok()) {
            return at;
        }
        self.trap("realloc return: beyond end of memory")
    }

    /// Writes a list of bytes, or a string, that the guest gets: address and length go to `at`.
    pub(super) fn put_bytes(&self, at: u32, parts: &[&[u8]]) {
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
    pub(super) fn own(&self, resource: Resource) -> u32 {
        match handles::insert(self.canon.component, resource) {
            Ok(handle) => handle,
            Err(_) => self.trap("cannot allocate another handle: too many handles"),
        }
    }

    /// What a handle stands for; `select` picks what the function can use.
    pub(super) fn resource<T>(&self, handle: u32, select: impl FnOnce(Resource) -> Option<T>) -> T {
        match handles::get(self.canon.component, handle) {
            None => self.trap_about_handle(handle, false),
            Some(resource) => match select(resource) {
                Some(selected) => selected,
                None => self.trap_about_handle(handle, true),
            },
        }
    }

    /// Changes what a handle stands for, which was looked up before.
    pub(super) fn update(&self, handle: u32, resource: Resource) {
        handles::set(self.canon.component, handle, resource);
    }

    /// Drops a handle, which must stand for something that `select` accepts.
    pub(super) fn drop_handle(&self, handle: u32, select: impl FnOnce(Resource) -> bool) {
        self.resource(handle, |resource| select(resource).then_some(()));
        match handles::remove(self.canon.component, handle) {
            Ok(()) => {}
            Err(Refusal::Lent) => self.trap("cannot remove owned resource while borrowed"),
            Err(Refusal::Polled) => self.trap("resource has children"),
        }
    }
}
