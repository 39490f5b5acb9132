//! Threads of the process: starting and ending them, which one is running, and waiting for a word to change.

use core::sync::atomic::AtomicU32;

use linux_raw_sys::general::{
    __NR_futex, __NR_rt_sigprocmask, CLONE_FILES, CLONE_FS, CLONE_SETTLS, CLONE_SIGHAND, CLONE_SYSVSEM, CLONE_THREAD,
    CLONE_VM, FUTEX_BITSET_MATCH_ANY, FUTEX_PRIVATE_FLAG, FUTEX_WAIT_BITSET, FUTEX_WAKE,
};

use super::io_clock::Timespec;
use super::{SystemError, arch};

pub use arch::thread_pointer;

/// What threads share: everything but their registers, signal stack and thread pointer.
const SHARED: u32 = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

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
    // SAFETY: by this function's contract.
    SystemError::check(unsafe { arch::clone(SHARED | CLONE_SETTLS, stack_top, thread, function) }).map(|_| ())
}

/// Sets the thread pointer of the calling thread.
///
/// # Safety
/// At `thread` lies its own address, as long as the thread runs.
pub unsafe fn set_thread_pointer(thread: *mut u8) -> Result<(), SystemError> {
    // SAFETY: by this function's contract.
    unsafe { arch::set_thread_pointer(thread) }
}

/// Ends the calling thread alone and unmaps memory, the stack that it runs on among it.
///
/// # Safety
/// Nothing uses the mapping but this thread, which has nothing left to do and has called [`block_signals`].
pub unsafe fn end_and_unmap(start: *mut u8, len_bytes: usize) -> ! {
    // SAFETY: by this function's contract.
    unsafe { arch::unmap_and_exit(start, len_bytes) }
}

/// Keeps signals from the calling thread, which is about to lose the stacks that handlers run on. Another thread gets
/// those that are sent to the process.
pub fn block_signals() {
    const SIG_SETMASK: usize = 2;
    let all = u64::MAX;
    // SAFETY: the kernel reads the mask.
    unsafe { arch::system_call(__NR_rt_sigprocmask, [SIG_SETMASK, &raw const all as usize, 0, size_of::<u64>()]) };
}

/// Sleeps while `word` is `expected`, until somebody wakes it or the monotonic clock shows `deadline` nanoseconds;
/// also returns without either now and then. Whether the time was over.
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<u64>) -> bool {
    const ETIMEDOUT: isize = linux_raw_sys::errno::ETIMEDOUT as isize;
    let deadline = deadline.map(Timespec::from_ns);
    let deadline_at = deadline.as_ref().map_or(0, |time| core::ptr::from_ref(time) as usize);
    let operation = (FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG) as usize;
    let any = FUTEX_BITSET_MATCH_ANY as usize;
    // SAFETY: the kernel reads the word and the time.
    let result = unsafe {
        arch::system_call_6(__NR_futex, [word.as_ptr() as usize, operation, expected as usize, deadline_at, 0, any])
    };
    result == -ETIMEDOUT
}

/// Wakes at most `count` threads that sleep on this word. The word itself is not accessed, and may be gone.
pub fn wake(word: *const AtomicU32, count: u32) {
    let operation = (FUTEX_WAKE | FUTEX_PRIVATE_FLAG) as usize;
    // SAFETY: the address only names those who wait.
    unsafe { arch::system_call(__NR_futex, [word as usize, operation, count as usize, 0]) };
}
