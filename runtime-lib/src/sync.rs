//! A lock for what guest threads share in the runtime.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::sys::threads;

/// Nobody has the lock.
const FREE: u32 = 0;
/// Somebody has it.
const TAKEN: u32 = 1;
/// Somebody has it, and others may be asleep until it is free.
const CONTENDED: u32 = 2;

/// A lock that sleeps while another thread has it. All zeros is a free one.
#[derive(Debug)]
#[repr(transparent)]
pub struct Lock {
    state: AtomicU32,
}

impl Lock {
    /// A lock that is free.
    #[allow(clippy::new_without_default, reason = "locks are made at compile time")]
    pub const fn new() -> Self {
        Self { state: AtomicU32::new(FREE) }
    }

    /// Takes the lock; waits until it is free.
    pub fn enter(&self) {
        if self.state.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed).is_ok() {
            return;
        }
        while self.state.swap(CONTENDED, Ordering::Acquire) != FREE {
            threads::wait(&self.state, CONTENDED, None);
        }
    }

    /// Gives the lock back; only for the thread that has it.
    pub fn leave(&self) {
        if self.state.swap(FREE, Ordering::Release) == CONTENDED {
            threads::wake(&self.state, 1);
        }
    }

    /// Does something while no other thread has the lock.
    pub fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        self.enter();
        let result = f();
        self.leave();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU64;

    #[test]
    fn one_thread_at_a_time() {
        let (lock, counter) = (Lock::new(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        lock.with(|| counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed));
                    }
                });
            }
        });
        assert_eq!(counter.into_inner(), 80_000);
    }
}
