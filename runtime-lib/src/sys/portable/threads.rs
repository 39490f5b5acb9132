//! Threads of the process: starting and ending them, which one is running, and waiting for a word to change.

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::SystemError;
#[cfg(unix)]
use super::arch::{SavedStack, call_and_return, return_from_stack};
use super::io_clock::{Clock, now};

pub use super::system::block_signals;

std::thread_local! {
    /// The record of the calling thread. Constant and without a destructor, so that a signal handler can read it.
    static THREAD: Cell<*mut u8> = const { Cell::new(ptr::null_mut()) };
    /// The stack that the system gave to the thread, while it runs on the guest's.
    #[cfg(unix)]
    static SYSTEM_STACK: Cell<SavedStack> = const { Cell::new(SavedStack::NONE) };
    /// What the thread unmaps last: start and length.
    #[cfg(unix)]
    static UNMAP: Cell<(*mut u8, usize)> = const { Cell::new((ptr::null_mut(), 0)) };
}

/// Stack of the thread that the system makes: nothing but the first and last moments of the thread happen on it.
#[cfg(unix)]
fn system_stack_bytes() -> usize {
    64 << 10
}

/// Stack of the thread that the system makes, which is the guest's as well, see `windows::stack`.
#[cfg(windows)]
fn system_stack_bytes() -> usize {
    super::stack::thread_stack_bytes()
}

/// What a new thread is told.
struct Start {
    #[cfg_attr(windows, allow(dead_code, reason = "the thread keeps its own stack"))]
    stack_top: *mut u8,
    thread: *mut u8,
    function: unsafe extern "C" fn(*mut u8) -> !,
}

// SAFETY: the caller of `start` gives all of it to the new thread.
unsafe impl Send for Start {}

impl Start {
    #[cfg(windows)]
    fn run(self) {
        THREAD.set(self.thread);
        // SAFETY: by the contract of `start`.
        unsafe { (self.function)(self.thread) }
    }

    #[cfg(unix)]
    fn run(self) {
        THREAD.set(self.thread);
        // SAFETY: by the contract of `start`; the place is this thread's own.
        unsafe { call_and_return(self.stack_top, self.function, self.thread, SYSTEM_STACK.with(Cell::as_ptr)) };
        let (start, len_bytes) = UNMAP.get();
        // SAFETY: by the contract of `end_and_unmap`, which led here.
        unsafe { super::pages::release(start, len_bytes) };
    }
}

/// Starts a thread that calls `function` with `thread`, which is its thread pointer too.
///
/// # Safety
/// `stack_top` is the upper end of a stack that nothing uses, a multiple of 16; at `thread` lies its own address; and
/// `function` is sound to call in another thread.
pub unsafe fn start(
    stack_top: *mut u8,
    thread: *mut u8,
    function: unsafe extern "C" fn(*mut u8) -> !,
) -> Result<(), SystemError> {
    let start = Start { stack_top, thread, function };
    let spawned = std::thread::Builder::new().stack_size(system_stack_bytes()).spawn(move || start.run());
    // Nobody waits for it: dropping the handle detaches the thread.
    spawned.map(drop).map_err(|_| SystemError::last())
}

/// Sets the thread pointer of the calling thread.
///
/// # Safety
/// At `thread` lies its own address, as long as the thread runs.
pub unsafe fn set_thread_pointer(thread: *mut u8) -> Result<(), SystemError> {
    THREAD.set(thread);
    Ok(())
}

/// The thread pointer that was set for the calling thread.
pub fn thread_pointer() -> *mut u8 {
    THREAD.get()
}

/// Ends the calling thread alone and unmaps memory, the stack that it runs on among it.
///
/// # Safety
/// Nothing uses the mapping but this thread, which has nothing left to do, was made by [`start`], and has called
/// [`block_signals`].
pub unsafe fn end_and_unmap(start: *mut u8, len_bytes: usize) -> ! {
    #[cfg(unix)]
    {
        UNMAP.set((start, len_bytes));
        // SAFETY: `Start::run` has stored it, and waits for the return.
        unsafe { return_from_stack(SYSTEM_STACK.get()) }
    }
    #[cfg(windows)]
    {
        // SAFETY: by this function's contract. The stack is the thread's own, which the system gives back.
        unsafe {
            super::pages::release(start, len_bytes);
            windows_sys::Win32::System::Threading::ExitThread(0)
        }
    }
}

/// Those who sleep, by the address of their word.
struct Bucket {
    lock: Mutex<()>,
    woken: Condvar,
}

static BUCKETS: [Bucket; 64] = [const { Bucket { lock: Mutex::new(()), woken: Condvar::new() } }; 64];

impl Bucket {
    fn of(word: *const AtomicU32) -> &'static Self {
        let mixed = (word as usize as u64 >> 2).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Six bits: as many as there are buckets.
        &BUCKETS[(mixed >> 58) as usize]
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sleeps while `word` is `expected`, until somebody wakes it or the monotonic clock shows `deadline` nanoseconds;
/// also returns without either now and then. Whether the time was over.
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<u64>) -> bool {
    let bucket = Bucket::of(word);
    let guard = bucket.lock();
    // Who changes the word takes the lock before it wakes: so either the change is seen here, or the wake-up comes.
    if word.load(Ordering::SeqCst) != expected {
        return false;
    }
    let Some(deadline) = deadline else {
        drop(bucket.woken.wait(guard).unwrap_or_else(PoisonError::into_inner));
        return false;
    };
    let left = deadline.saturating_sub(now(Clock::Monotonic).unwrap_or(deadline));
    let (_guard, result) =
        bucket.woken.wait_timeout(guard, Duration::from_nanos(left)).unwrap_or_else(PoisonError::into_inner);
    result.timed_out()
}

/// Wakes at least `count` threads that sleep on this word. The word itself is not accessed, and may be gone.
pub fn wake(word: *const AtomicU32, _count: u32) {
    let bucket = Bucket::of(word);
    drop(bucket.lock());
    // Others that share the bucket look at their words and sleep again.
    bucket.woken.notify_all();
}
