//! What is left to do when a program ends, whichever way it does: nothing, unless a hook of the program has said so.
//!
//! Those who end programs announce it here first, but for what each program has of that: a return from `_start`, faults
//! and `proc_exit`. A program whose end matters has functions of its own in their places, so that others pay nothing.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// A `fn()`, or null.
static LAST: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Lets `work` be done before the process ends. It may run in a signal handler: it takes no lock and does not panic.
pub(crate) fn set(work: fn()) {
    LAST.store(work as *mut (), Ordering::Relaxed);
}

/// Does what is left to do, once: an end may interrupt another one.
pub(crate) fn announce() {
    let work = LAST.swap(ptr::null_mut(), Ordering::Relaxed);
    if !work.is_null() {
        // SAFETY: only a `fn()` is stored.
        unsafe { core::mem::transmute::<*mut (), fn()>(work)() }
    }
}
