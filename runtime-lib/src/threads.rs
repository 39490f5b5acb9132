//! Guest threads: how a thread starts, what it runs, how it ends, and the locks that the runtime needs because of
//! threads.
//!
//! In comes the instance that asks for a thread; out comes a native thread that runs in an instance of its own, with
//! its own stack, context and exceptions, and with the memories that the module imports. A program that cannot start
//! threads contains only [`own_heap`] of this file.

// ---------------------------------------------------------------------------------------------------------------
// Security: the record of a thread, its stack and its context lie outside linear memory. A thread's fault is judged
// by its own instance, which its thread pointer leads to. A number of the operating system for an open file is never
// given to another file while a host function of some thread may still use it: what it was checked for, say that
// nothing may be changed through it, would not hold for the other one.
// ---------------------------------------------------------------------------------------------------------------

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

use wasmelt_abi::descriptor::FurtherPolicy;

use crate::exception;
use crate::executable;
use crate::failure::Failure;
use crate::host::descriptor::Descriptor;
use crate::host::descriptors::{self, Step};
use crate::instance::Instance;
use crate::sync::Lock;
use crate::sys::fault::{Fault, FaultHandler};
use crate::sys::faults::{self, HANDLER_STACK_BYTES};
use crate::sys::fs::Handle;
use crate::sys::{pages, threads};
use crate::trap;

/// The largest number of a thread. Source: wasi-threads, "Thread IDs".
const MAX_TID: u32 = (1 << 29) - 1;

/// How many of the handles that a thread used last are kept from being given away: more than any host function uses
/// at once, other than `poll_oneoff`, which only asks whether they are ready.
const USED_HANDLES: usize = 4;

/// A thread, as the runtime knows it. Its address is the thread pointer.
#[repr(C)]
struct Thread {
    /// Its own address.
    this: AtomicPtr<Thread>,
    /// What it runs in; of the first thread null: see [`executable::running`].
    vmctx: AtomicPtr<u8>,
    tid: u32,
    start_arg: u32,
    /// Its exceptions; those of the first thread are elsewhere.
    heap: exception::Heap,
    /// The next thread of the list that starts at [`FIRST`]; with [`LOCK`].
    next: AtomicPtr<Thread>,
    /// The handles that it used last, and whose turn it is to be replaced; with [`LOCK`].
    used: [UsedHandle; USED_HANDLES],
    turn: AtomicU32,
    /// The descriptor that it asked for last.
    found: UnsafeCell<Descriptor>,
}

// SAFETY: `found` is only used by the thread itself, all else by means of atomics.
unsafe impl Sync for Thread {}

impl Thread {
    const fn new(vmctx: *mut u8, tid: u32, start_arg: u32) -> Self {
        Self {
            this: AtomicPtr::new(ptr::null_mut()),
            vmctx: AtomicPtr::new(vmctx),
            tid,
            start_arg,
            heap: exception::Heap::new(),
            next: AtomicPtr::new(ptr::null_mut()),
            used: [const { UsedHandle { number: AtomicU32::new(0), is_closing: AtomicBool::new(false) } };
                USED_HANDLES],
            turn: AtomicU32::new(0),
            found: UnsafeCell::new(Descriptor::FREE),
        }
    }
}

/// A handle that a host function may be using.
struct UsedHandle {
    /// The operating system's number; 0 for none.
    number: AtomicU32,
    /// It was closed meanwhile: its number is free when this entry is no longer needed.
    is_closing: AtomicBool,
}

/// The thread that the process started with.
static FIRST: Thread = Thread::new(ptr::null_mut(), 0, 0);

/// Whether there was ever another one.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Held by who uses the list of threads or the table of descriptors.
static LOCK: Lock = Lock::new();

/// Held by who reads a directory.
static DIRECTORY_LOCK: Lock = Lock::new();

/// The last number that a thread got.
static LAST_TID: AtomicU32 = AtomicU32::new(0);

/// Threads that may run at once, besides the first one.
static LIMIT: AtomicU32 = AtomicU32::new(FurtherPolicy::DEFAULT_MAX_THREADS);

/// Threads that run, besides the first one.
static RUNNING: AtomicU32 = AtomicU32::new(0);

/// Sets how many threads may run at once, besides the first one; before there is any.
pub fn limit(count: u32) {
    LIMIT.store(count, Ordering::Relaxed);
}

/// The thread whose trap ends the process.
static ENDING: AtomicPtr<Thread> = AtomicPtr::new(ptr::null_mut());

/// The calling thread.
///
/// # Safety
/// The process has started a thread.
unsafe fn current() -> &'static Thread {
    // SAFETY: each thread has a thread pointer since the first one was started, which leads to its record; and a record
    // lives as long as its thread.
    unsafe { &*threads::thread_pointer().cast::<Thread>() }
}

/// Where the calling thread has its exceptions, if it is not the first one.
#[inline]
pub fn own_heap() -> Option<&'static exception::Heap> {
    if !STARTED.load(Ordering::Relaxed) {
        return None;
    }
    // SAFETY: a thread was started.
    let thread = unsafe { current() };
    (thread.tid != 0).then_some(&thread.heap)
}

/// Starts a thread in a new instance of the same program; its number, or `None` where the limit is reached or the system
/// or the numbers are exhausted, and nothing changed.
pub fn spawn(instance: Instance, start_arg: u32) -> Option<u32> {
    let limit = LIMIT.load(Ordering::Relaxed);
    let one_more = |running: u32| (running < limit).then_some(running + 1);
    RUNNING.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
    let started = start(instance, start_arg);
    if started.is_none() {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
    }
    started
}

fn start(instance: Instance, start_arg: u32) -> Option<u32> {
    prepare()?;
    let tid = next_tid()?;
    let sibling = instance.create_sibling().ok()?;
    let started = Thread::create(sibling, tid, start_arg).and_then(|thread| {
        LOCK.with(|| {
            // SAFETY: the record is new and complete.
            unsafe { (*thread).next.store(FIRST.next.load(Ordering::Relaxed), Ordering::Relaxed) };
            FIRST.next.store(thread, Ordering::Relaxed);
        });
        let stack_top = sibling.stack().end as *mut u8;
        // SAFETY: stack and record are the new thread's alone.
        let result = unsafe { threads::start(stack_top, thread.cast(), run) };
        if result.is_err() {
            LOCK.with(|| unlink(thread));
            // SAFETY: nobody else knows the record.
            unsafe { Thread::destroy(thread) };
        }
        result.ok()
    });
    if started.is_none() {
        sibling.release_parts();
        let (start, len_bytes) = sibling.reservation();
        // SAFETY: nothing runs in the instance.
        unsafe { pages::release(start, len_bytes) };
    }
    started.map(|()| tid)
}

/// Before the first thread is started: makes what a process of several threads needs.
fn prepare() -> Option<()> {
    // Only the first thread can be the one that starts the first other one.
    if STARTED.load(Ordering::Relaxed) {
        return Some(());
    }
    let first = ptr::from_ref(&FIRST).cast_mut();
    FIRST.this.store(first, Ordering::Relaxed);
    // SAFETY: the record is static and begins with its address.
    unsafe { threads::set_thread_pointer(first.cast()) }.ok()?;
    faults::set_handler::<Handler>().ok()?;
    // SAFETY: this is the only thread, and it is in no function of `descriptors`.
    unsafe { descriptors::set_guard(guard) };
    STARTED.store(true, Ordering::Relaxed);
    Some(())
}

/// A number that no other thread of the process ever had.
fn next_tid() -> Option<u32> {
    let next = |last: u32| (last < MAX_TID).then_some(last + 1);
    LAST_TID.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok().map(|last| last + 1)
}

/// What a thread has besides its instance, in one mapping: an inaccessible page, the stack for its faults, its record.
const MAPPING_BYTES: usize = pages::PAGE_BYTES + HANDLER_STACK_BYTES + pages::PAGE_BYTES;

const _: () = assert!(size_of::<Thread>() <= pages::PAGE_BYTES);

impl Thread {
    /// Makes the record of a thread, and its stack for faults below.
    fn create(instance: Instance, tid: u32, start_arg: u32) -> Option<*mut Thread> {
        let start = pages::reserve(MAPPING_BYTES).ok()?;
        let usable = start.wrapping_add(pages::PAGE_BYTES);
        // SAFETY: the range lies in the new reservation.
        if unsafe { pages::commit(usable, MAPPING_BYTES - pages::PAGE_BYTES) }.is_err() {
            // SAFETY: nothing refers to it.
            unsafe { pages::release(start, MAPPING_BYTES) };
            return None;
        }
        let thread = usable.wrapping_add(HANDLER_STACK_BYTES).cast::<Thread>();
        // SAFETY: the last page of the mapping is usable and new.
        unsafe {
            thread.write(Thread::new(instance.vmctx(), tid, start_arg));
            (*thread).this.store(thread, Ordering::Relaxed);
        }
        Some(thread)
    }

    /// Gives the mapping of a record back.
    ///
    /// # Safety
    /// It came from [`Thread::create`] and nothing refers to it, no thread pointer and no signal stack.
    unsafe fn destroy(thread: *mut Thread) {
        let start = thread.cast::<u8>().wrapping_sub(MAPPING_BYTES - pages::PAGE_BYTES);
        // SAFETY: by this function's contract.
        unsafe { pages::release(start, MAPPING_BYTES) };
    }
}

/// Takes a thread off the list; with [`LOCK`].
fn unlink(thread: *mut Thread) {
    let mut link = &FIRST.next;
    while link.load(Ordering::Relaxed) != thread {
        // SAFETY: those on the list are alive, and `thread` is one of them.
        link = unsafe { &(*link.load(Ordering::Relaxed)).next };
    }
    // SAFETY: it is alive still.
    link.store(unsafe { (*thread).next.load(Ordering::Relaxed) }, Ordering::Relaxed);
}

/// What a thread does, on its guest stack.
///
/// # Safety
/// `argument` is the record of the calling thread.
unsafe extern "C" fn run(argument: *mut u8) -> ! {
    let record = argument.cast::<Thread>();
    // SAFETY: by this function's contract.
    let (vmctx, tid, start_arg) =
        unsafe { ((*record).vmctx.load(Ordering::Relaxed), (*record).tid, (*record).start_arg) };
    // SAFETY: below the record lies the thread's stack for faults, and the handler does not return.
    if let Err(error) = unsafe { faults::set_stack(argument) } {
        Failure::Signals.end([error.number().into(), 0]);
    }
    // SAFETY: the instance was made for this thread.
    let instance = unsafe { Instance::from_vmctx(vmctx) };
    if let Some(code) = instance.program().thread_entry.get() {
        type Entry = unsafe extern "C" fn(vmctx: *mut u8, tid: u64, start_arg: u64);
        // SAFETY: the descriptor refers to a function of this type, for a new instance.
        unsafe { core::mem::transmute::<*const u8, Entry>(code)(vmctx, tid.into(), start_arg.into()) }
    }
    instance.release_parts();
    // SAFETY: the thread's code has returned, and with it all references to exceptions.
    unsafe { (*record).heap.release() };
    LOCK.with(|| {
        unlink(record);
        // SAFETY: the record is alive still.
        for used in unsafe { &(*record).used } {
            replace(used, 0);
        }
    });
    RUNNING.fetch_sub(1, Ordering::Relaxed);
    let (start, len_bytes) = instance.reservation();
    // SAFETY: the calling thread uses nothing but its stack any more, and that up to here.
    unsafe {
        threads::block_signals();
        Thread::destroy(record);
        threads::end_and_unmap(start, len_bytes)
    }
}

/// What a process of several threads does about faults.
struct Handler;

impl FaultHandler for Handler {
    const OF_THREADS: bool = true;

    fn handle(fault: &Fault) -> ! {
        // SAFETY: the handler is installed when the first thread is started.
        let thread = ptr::from_ref(unsafe { current() }).cast_mut();
        match ENDING.compare_exchange(ptr::null_mut(), thread, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {}
            Err(other) if other == thread => trap::on_runtime_fault(fault),
            // The other thread is about to end the process.
            Err(_) => loop {
                threads::wait(&AtomicU32::new(0), 0, None);
            },
        }
        // SAFETY: this is the calling thread's record.
        let vmctx = unsafe { (*thread).vmctx.load(Ordering::Relaxed) };
        let vmctx = if vmctx.is_null() { executable::running() } else { vmctx };
        // SAFETY: guest code only runs in complete instances, and threads are started by guest code.
        trap::on_fault_in_any(fault, unsafe { Instance::from_vmctx(vmctx) })
    }
}

/// See [`descriptors::Guard`].
///
/// # Safety
/// The steps come in their order.
unsafe extern "C" fn guard(step: Step, number: u32) -> *const Descriptor {
    let handle = Handle::from_number(number);
    match step {
        Step::Enter => LOCK.enter(),
        Step::Leave => {
            use_handle(handle);
            LOCK.leave();
        }
        Step::Get => {
            // SAFETY: the guard is set when the first thread is started.
            let found = unsafe { current() }.found.get();
            LOCK.with(|| {
                // SAFETY: all others who use the table have the lock; the place is this thread's own.
                unsafe {
                    *found = descriptors::get_guarded(number);
                    use_handle((*found).handle);
                }
            });
            return found;
        }
        Step::Close => LOCK.with(|| close(handle)),
        Step::EnterDirectory => DIRECTORY_LOCK.enter(),
        Step::LeaveDirectory => DIRECTORY_LOCK.leave(),
    }
    ptr::null()
}

/// Records that the calling thread is going to use a handle. [`LOCK`] must be held.
fn use_handle(handle: Handle) {
    // Standard streams stay open.
    if handle.number() > Handle::STDERR.number() {
        // SAFETY: the guard is set when the first thread is started.
        let thread = unsafe { current() };
        let turn = thread.turn.load(Ordering::Relaxed);
        thread.turn.store(turn.wrapping_add(1), Ordering::Relaxed);
        replace(&thread.used[turn as usize % USED_HANDLES], handle.number());
    }
}

/// Calls `f` with the handles that threads other than `except` may be using, until it returns true; with [`LOCK`].
fn any_used(except: *const Thread, f: impl Fn(&UsedHandle) -> bool) -> bool {
    let mut next = ptr::from_ref(&FIRST).cast_mut();
    while !next.is_null() {
        // SAFETY: those on the list are alive.
        let thread = unsafe { &*next };
        if !ptr::eq(thread, except) && thread.used.iter().any(&f) {
            return true;
        }
        next = thread.next.load(Ordering::Relaxed);
    }
    false
}

/// Closes what a handle stands for. Its number stays taken as long as another thread may be using it; with [`LOCK`].
fn close(handle: Handle) {
    let closes_later = |used: &UsedHandle| {
        let is_same = used.number.load(Ordering::Relaxed) == handle.number();
        if is_same {
            used.is_closing.store(true, Ordering::Relaxed);
        }
        is_same
    };
    // SAFETY: the guard is set when the first thread is started.
    if any_used(unsafe { current() }, closes_later) {
        // Where there is no substitute the file itself stays open until then.
        let _ = handle.replace_by_nothing();
    } else {
        handle.close();
    }
}

/// Puts another handle into an entry. One that was closed meanwhile is passed on to another thread that may be using
/// it, or its number is given back; with [`LOCK`].
fn replace(entry: &UsedHandle, number: u32) {
    let old = entry.number.swap(number, Ordering::Relaxed);
    if !entry.is_closing.swap(false, Ordering::Relaxed) {
        return;
    }
    let takes_over = |used: &UsedHandle| {
        let is_same = used.number.load(Ordering::Relaxed) == old;
        if is_same {
            used.is_closing.store(true, Ordering::Relaxed);
        }
        is_same
    };
    if !any_used(ptr::null(), takes_over) {
        Handle::from_number(old).close();
    }
}
