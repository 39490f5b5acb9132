//! Writing to a pipe whose reader is gone, without the signal that would end the host.
//!
//! Rust programs ignore `SIGPIPE`; hosts in other languages do not.

use core::mem::MaybeUninit;
use core::ptr;

/// Runs `f`, which may write to a pipe. The signal that this raises in the calling thread is taken away; the error stays.
pub(super) fn without_sigpipe<T>(f: impl FnOnce() -> T) -> T {
    let mut old = MaybeUninit::uninit();
    // SAFETY: the sets are initialised before they are read; changing the thread's mask has no other requirement.
    let (set, was_pending) = unsafe {
        let mut set = MaybeUninit::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        let set = set.assume_init();
        let was_pending = is_pending();
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, old.as_mut_ptr());
        (set, was_pending)
    };
    let result = f();
    if !was_pending && is_pending() {
        take(&set);
    }
    // SAFETY: `pthread_sigmask` has filled `old`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, old.as_ptr(), ptr::null_mut()) };
    result
}

fn is_pending() -> bool {
    let mut pending = MaybeUninit::uninit();
    // SAFETY: `sigpending` fills the set.
    unsafe { libc::sigpending(pending.as_mut_ptr()) == 0 && libc::sigismember(pending.as_ptr(), libc::SIGPIPE) == 1 }
}

/// Takes a signal away that is pending.
#[cfg(target_os = "linux")]
fn take(set: &libc::sigset_t) {
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the set and the time are read; nothing is asked about the signal.
    unsafe { libc::sigtimedwait(set, ptr::null_mut(), &raw const at_once) };
}

/// Takes a signal away that is pending.
#[cfg(not(target_os = "linux"))]
fn take(set: &libc::sigset_t) {
    let mut number = 0;
    // SAFETY: the set is read and the number written. The signal is pending in this thread, so `sigwait` returns at
    // once.
    unsafe { libc::sigwait(set, &raw mut number) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_without_a_reader_is_an_error_and_no_signal() {
        let mut ends = [0; 2];
        // SAFETY: `pipe` fills both numbers, and the reading end is closed once. A host in C has the default action; the
        // harness, which ignores the signal, writes to no pipe of this kind meanwhile.
        let written = unsafe {
            assert_eq!(libc::pipe(ends.as_mut_ptr()), 0);
            libc::close(ends[0]);
            let old = libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            let written = without_sigpipe(|| libc::write(ends[1], [0u8].as_ptr().cast(), 1));
            libc::signal(libc::SIGPIPE, old);
            libc::close(ends[1]);
            written
        };
        assert_eq!(written, -1);
        assert!(!is_pending());
    }
}
