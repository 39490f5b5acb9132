//! The descriptor table: guest numbers to handles of the operating system.
//!
//! In comes an unchecked number of the guest; out comes the entry with that number, or [`Errno::Badf`]. A guest can
//! only name entries of the table, and only granted directories and what was opened through them become entries.

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};

use crate::sys::errno::{Errno, Result};
use crate::sys::fs::{Handle, OwnedHandle};
use crate::sys::io_memory as memory;

use super::descriptor::{Descriptor, Kind};
use super::state::{Process, State};

/// Descriptors that need no mapping of their own.
const FIRST_LEN: usize = 8;
/// The most descriptors that a guest may have; the operating system's limit is mostly lower.
const MAX_LEN: usize = 1 << 20;

/// How many descriptors the policy allows, besides the standard ones.
static LIMIT: AtomicU32 = AtomicU32::new(u32::MAX);

/// Lowers the number of descriptors that the guest may have open, besides the standard ones.
pub fn limit(count: u32) {
    LIMIT.store(count, Ordering::Relaxed);
}

/// How many descriptors the guest may have open, besides the standard ones.
pub(super) fn max_open_files() -> u32 {
    LIMIT.load(Ordering::Relaxed)
}

/// Makes a standard stream of the guest lead somewhere else; the process's own stays.
pub fn redirect_standard(fd: u32, handle: Handle) {
    let _ = with(|table| {
        let redirected = table.get(fd).and_then(|descriptor| table.set(fd, Descriptor { handle, ..descriptor }));
        (redirected, NO_HANDLE)
    });
}

/// Whether a number of the guest stands for a handle of the system.
pub fn leads_to(fd: u32, handle: Handle) -> bool {
    with(|table| (table.get(fd).map(|descriptor| descriptor.handle == handle), NO_HANDLE)).unwrap_or(false)
}

/// A table of descriptors. It starts with the three standard streams, which are filled in before its first use: so the
/// table of the process is all zeros in an executable, and takes no room in the file. Dropping a table closes nothing.
#[derive(Debug)]
pub struct Table {
    first: [Descriptor; FIRST_LEN],
    /// Descriptors from `FIRST_LEN` on, in a mapping that grows.
    more: *mut Descriptor,
    more_len: usize,
}

// SAFETY: a table owns its mapping, and nothing in it depends on a thread.
unsafe impl Send for Table {}

impl Drop for Table {
    fn drop(&mut self) {
        if self.more_len != 0 {
            // SAFETY: the mapping is this table's own, which goes away.
            unsafe { memory::unmap(self.more.cast(), self.more_len * size_of::<Descriptor>()) };
        }
    }
}

impl Table {
    /// A table that has not been used yet.
    const fn new() -> Self {
        Self { first: [Descriptor::FREE; FIRST_LEN], more: ptr::null_mut(), more_len: 0 }
    }

    /// A table with the three standard streams: their handles say which they are, whatever numbers they get.
    pub fn with_standard_streams() -> Self {
        let mut table = Self::new();
        table.open();
        table
    }

    /// All numbers that may stand for something.
    pub fn numbers(&self) -> core::ops::Range<u32> {
        // At most `MAX_LEN`.
        0..(FIRST_LEN + self.more_len) as u32
    }

    /// Fills in the standard streams, before the first use.
    fn open(&mut self) {
        self.first[0] = Descriptor::standard(Handle::STDIN, Kind::Stdin);
        self.first[1] = Descriptor::standard(Handle::STDOUT, Kind::Output);
        self.first[2] = Descriptor::standard(Handle::STDERR, Kind::Output);
    }

    /// The place of a number, in use or not; `None` beyond the table.
    #[inline]
    fn slot(&mut self, fd: u32) -> Option<&mut Descriptor> {
        let place = self.place(fd);
        // SAFETY: a place that is not null is that of an initialised descriptor of this table.
        unsafe { place.cast_mut().as_mut() }
    }

    /// The place of a number in a table that was used before; null beyond it.
    #[inline]
    fn place(&self, fd: u32) -> *const Descriptor {
        let fd = fd as usize;
        match fd.checked_sub(FIRST_LEN) {
            None => (&raw const self.first).cast::<Descriptor>().wrapping_add(fd),
            Some(index) if index < self.more_len => self.more.wrapping_add(index),
            Some(_) => ptr::null(),
        }
    }

    /// What a number stands for.
    #[inline]
    pub fn get(&mut self, fd: u32) -> Result<Descriptor> {
        match self.slot(fd) {
            Some(descriptor) if descriptor.is_open() => Ok(*descriptor),
            _ => Err(Errno::Badf),
        }
    }

    /// Puts a descriptor at a number that is in use or was reserved.
    pub fn set(&mut self, fd: u32, descriptor: Descriptor) -> Result<()> {
        *self.slot(fd).ok_or(Errno::Badf)? = descriptor;
        Ok(())
    }

    /// Takes a descriptor out.
    pub fn take(&mut self, fd: u32) -> Result<Descriptor> {
        match self.slot(fd) {
            Some(slot) if slot.is_open() => Ok(core::mem::replace(slot, Descriptor::FREE)),
            _ => Err(Errno::Badf),
        }
    }

    /// The lowest free number, which is reserved from now on, where not so many are taken besides the standard ones.
    pub fn reserve(&mut self, max_open_files: u32) -> Result<u32> {
        const STANDARD: u32 = 3;
        let mut fd = 0u32;
        loop {
            // All numbers below are taken.
            if fd.saturating_sub(STANDARD) >= max_open_files {
                return Err(Errno::Mfile);
            }
            match self.slot(fd) {
                Some(slot) if slot.kind == Kind::Free => {
                    slot.kind = Kind::Reserved;
                    return Ok(fd);
                }
                Some(_) => fd += 1,
                None => self.grow()?,
            }
        }
    }

    /// Makes `to` stand for what `from` stood for; what `to` stood for, unless both are the same number.
    pub(super) fn renumber(&mut self, from: u32, to: u32) -> Result<Option<Descriptor>> {
        self.get(from)?;
        let replaced = self.get(to)?;
        if from == to {
            return Ok(None);
        }
        let moved = self.take(from)?;
        self.set(to, moved)?;
        Ok(Some(replaced))
    }

    /// Makes room for more descriptors.
    fn grow(&mut self) -> Result<()> {
        const SIZE: usize = size_of::<Descriptor>();
        let new_len = if self.more_len == 0 { 4096 / SIZE } else { self.more_len * 2 };
        if new_len > MAX_LEN {
            return Err(Errno::Mfile);
        }
        let new = memory::map(new_len * SIZE)?.cast::<Descriptor>();
        for index in 0..new_len {
            let descriptor = if index < self.more_len {
                // SAFETY: `more` holds `more_len` initialised descriptors.
                unsafe { self.more.add(index).read() }
            } else {
                Descriptor::FREE
            };
            // SAFETY: the mapping has room for `new_len` descriptors.
            unsafe { new.add(index).write(descriptor) };
        }
        if self.more_len != 0 {
            // SAFETY: the old mapping is given up here.
            unsafe { memory::unmap(self.more.cast(), self.more_len * SIZE) };
        }
        (self.more, self.more_len) = (new, new_len);
        Ok(())
    }
}

/// How far the table of the process is.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It was not used yet.
    New,
    /// It holds what it should, and can be looked up.
    Direct,
    /// It holds what it should, and is for the thread alone that a [`Guard`] has let in.
    Guarded,
}

/// The table of the process.
struct Global {
    /// A [`Phase`].
    phase: AtomicU8,
    table: UnsafeCell<Table>,
}

// SAFETY: a program has one thread, which runs the guest and its host functions, or a [`Guard`]; each function below
// keeps its borrow of the table to itself and calls nothing that would borrow it again.
unsafe impl Sync for Global {}

static TABLE: Global = Global { phase: AtomicU8::new(Phase::New as u8), table: UnsafeCell::new(Table::new()) };

impl Global {
    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }

    /// Makes the table ready for its first use.
    fn open(&self) {
        // SAFETY: see `Global`.
        unsafe { &mut *self.table.get() }.open();
        self.phase.store(Phase::Direct as u8, Ordering::Relaxed);
    }
}

/// A moment in the use of the table, and the number that belongs to it.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A thread is about to use the table.
    Enter,
    /// It has used it, and is going to use the handle with this number; 0 for none.
    Leave,
    /// What the descriptor with this number stands for is asked for. The result is a place that holds it until the
    /// thread asks again.
    Get,
    /// The handle with this number, no longer in the table, is to be closed.
    Close,
    /// A thread is about to read the entries of a directory, from a position that all threads share.
    EnterDirectory,
    /// It has read them.
    LeaveDirectory,
}

/// What a program with several threads does at each [`Step`]; a result only for [`Step::Get`].
pub type Guard = unsafe extern "C" fn(step: Step, number: u32) -> *const Descriptor;

/// A handle that is never closed.
pub(super) const NO_HANDLE: Handle = Handle::STDIN;

/// The [`Guard`] of this process; null in one that never started a thread. It is called by address, so that the code
/// behind it is only in programs that can start threads, and costs the others a test that fails.
static GUARD: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Sets what is done at each step from now on.
///
/// # Safety
/// The process has one thread, and it is not within any step.
pub unsafe fn set_guard(guard: Guard) {
    if TABLE.is(Phase::New) {
        TABLE.open();
    }
    TABLE.phase.store(Phase::Guarded as u8, Ordering::Relaxed);
    // A compiler that sees the only value ever stored calls it directly, and all programs would have the code.
    GUARD.store(core::hint::black_box(guard as *mut ()), Ordering::Relaxed);
}

#[inline]
fn guard() -> Option<Guard> {
    let guard = GUARD.load(Ordering::Relaxed);
    // SAFETY: only `set_guard` writes it.
    (!guard.is_null()).then(|| unsafe { core::mem::transmute::<*mut (), Guard>(guard) })
}

#[inline]
fn step(guard: Option<Guard>, step: Step, handle: Handle) {
    if let Some(guard) = guard {
        // SAFETY: the steps are called in their order.
        unsafe { guard(step, handle.number()) };
    }
}

/// Runs `f` on the table of the process. `f` must not call functions of this module. The handle that `f` returns stays
/// what it is while the calling host function uses it, whatever other threads close.
pub(crate) fn with<T>(f: impl FnOnce(&mut Table) -> (T, Handle)) -> T {
    enter();
    // SAFETY: see `Global`.
    let (result, handle) = f(unsafe { &mut *TABLE.table.get() });
    leave(handle);
    result
}

/// The beginning of [`with`]; not a part of it, which there are several of.
#[inline(never)]
fn enter() {
    step(guard(), Step::Enter, NO_HANDLE);
    if TABLE.is(Phase::New) {
        TABLE.open();
    }
}

/// The end of [`with`].
#[inline(never)]
fn leave(handle: Handle) {
    step(guard(), Step::Leave, handle);
}

/// Closes a handle that was taken out of the table.
#[inline(never)]
pub(super) fn close_handle(handle: Handle) {
    match guard() {
        None => handle.close(),
        guard => step(guard, Step::Close, handle),
    }
}

/// Runs `f`, which moves the position of a directory and reads from there, while no other thread does the same.
pub(super) fn reading_directory<T>(f: impl FnOnce() -> T) -> T {
    let guard = guard();
    step(guard, Step::EnterDirectory, NO_HANDLE);
    let result = f();
    step(guard, Step::LeaveDirectory, NO_HANDLE);
    result
}

/// What a number stands for.
#[inline]
pub fn get(fd: u32) -> Result<Descriptor> {
    Process.get(fd)
}

/// The place of a number in the table of the process, in use or not; null beyond it. No other thread changes what is there
/// until this one asks again.
#[inline]
pub(super) fn find(fd: u32) -> *const Descriptor {
    // This is in nearly every program: one test leads to everything that is not simply looking it up.
    let mut place = ptr::null();
    if !TABLE.is(Phase::Direct) {
        place = get_indirect(fd);
    }
    if place.is_null() {
        // SAFETY: see `Global`.
        place = unsafe { &*TABLE.table.get() }.place(fd);
    }
    place
}

/// Asks the guard; without one, makes the table ready to be looked up and returns null.
#[cold]
#[inline(never)]
fn get_indirect(fd: u32) -> *const Descriptor {
    if let Some(guard) = guard() {
        // SAFETY: the guard calls `get_guarded` while no other thread uses the table.
        return unsafe { guard(Step::Get, fd) };
    }
    TABLE.open();
    ptr::null()
}

/// What a number stands for; a free descriptor for nothing.
///
/// # Safety
/// No other thread uses the table.
pub unsafe fn get_guarded(fd: u32) -> Descriptor {
    // SAFETY: by this function's contract.
    unsafe { &mut *TABLE.table.get() }.get(fd).unwrap_or(Descriptor::FREE)
}

/// A number that nothing else gets; to be asked for before something is opened, so that no file is created which then
/// has no place. Dropped, it is free again.
#[derive(Debug)]
pub struct Reservation<S: State> {
    state: S,
    fd: u32,
}

impl<S: State> Reservation<S> {
    /// A number of the state's table that was reserved.
    pub(super) fn new(state: S, fd: u32) -> Self {
        Self { state, fd }
    }

    /// Puts a newly opened handle at the number, which is returned.
    pub fn fill(self, handle: OwnedHandle, kind: Kind, flags: u8, grant: u32) -> u32 {
        // From here on the table owns it.
        self.fill_with(handle.release(), kind, flags, grant)
    }

    /// Puts something that is not the operating system's at the number, which is returned.
    pub fn fill_with(self, handle: Handle, kind: Kind, flags: u8, grant: u32) -> u32 {
        let descriptor = Descriptor { handle, grant, kind, flags };
        self.set(descriptor);
        let fd = self.fd;
        core::mem::forget(self);
        fd
    }

    fn set(&self, descriptor: Descriptor) {
        // The number is in the table: that it is reserved says so.
        let _ = self.state.with_table(|table| (table.set(self.fd, descriptor), NO_HANDLE));
    }
}

impl<S: State> Drop for Reservation<S> {
    fn drop(&mut self) {
        self.set(Descriptor::FREE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_lowest_free_ones() {
        let mut table = Table::new();
        table.open();
        assert_eq!(table.get(0).unwrap().kind, Kind::Stdin);
        assert_eq!(table.get(2).unwrap().kind, Kind::Output);
        assert!(table.get(3).is_err() && table.get(u32::MAX).is_err());
        for expected in 3..1000 {
            let fd = table.reserve(u32::MAX).unwrap();
            assert_eq!(fd, expected);
            table.set(fd, Descriptor { kind: Kind::File, grant: fd, ..Descriptor::FREE }).unwrap();
        }
        for fd in 3..1000 {
            assert_eq!(table.get(fd).unwrap().grant, fd);
        }
        assert_eq!(table.take(500).unwrap().grant, 500);
        assert_eq!(table.take(7).unwrap().grant, 7);
        assert!(table.take(7).is_err());
        assert_eq!(table.reserve(u32::MAX), Ok(7));
        assert!(table.set(1 << 20, Descriptor::FREE).is_err());
    }
}
