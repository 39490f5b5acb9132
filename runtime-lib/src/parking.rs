//! `memory.atomic.wait` and `notify`: threads that sleep until another one wakes them by an address.
//!
//! In comes the host's address of a cell of linear memory, which the caller has checked. A kernel's futex compares only
//! 32 bits and does not wake in the order that the specification asks for, so the queues are here: an address belongs
//! to one of some buckets, each with a lock and a list of sleeping threads, the first to come first. Comparing and
//! joining the list is one step under the lock, as is taking threads off it: a wake-up between the two cannot be lost.

// ---------------------------------------------------------------------------------------------------------------
// Security: a list links places on the stacks of sleeping threads. A thread leaves only after it was taken off its
// list, by itself or by who wakes it, under the lock; who wakes it touches it no more afterwards. Stacks and lists lie
// outside linear memory: the guest names addresses and nothing else.
// ---------------------------------------------------------------------------------------------------------------

use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::sync::Lock;
use crate::sys::io_clock::{self, Clock};
use crate::sys::threads;

/// How a wait ended, with the numbers of the specification.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Another thread woke it.
    Notified = 0,
    /// The cell held another value than was expected.
    NotEqual = 1,
    /// The time was over.
    TimedOut = 2,
}

/// A cell of linear memory, as wide as its comparison.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'m> {
    /// 32 bits, and the value to wait at.
    Narrow(&'m AtomicU32, u32),
    /// 64 bits, and the value to wait at.
    Wide(&'m AtomicU64, u64),
}

impl Cell<'_> {
    fn is_as_expected(self) -> bool {
        match self {
            Cell::Narrow(cell, expected) => cell.load(Ordering::SeqCst) == expected,
            Cell::Wide(cell, expected) => cell.load(Ordering::SeqCst) == expected,
        }
    }

    fn address(self) -> usize {
        match self {
            Cell::Narrow(cell, _) => cell.as_ptr() as usize,
            Cell::Wide(cell, _) => cell.as_ptr() as usize,
        }
    }
}

/// A thread that sleeps, on its own stack.
struct Sleeper {
    address: usize,
    next: *mut Sleeper,
    /// [`ASLEEP`] as long as it is on a list.
    state: AtomicU32,
}

const ASLEEP: u32 = 0;
const AWAKE: u32 = 1;

/// Those who sleep at some addresses, the longest sleeper first.
struct Bucket {
    lock: Lock,
    first: UnsafeCell<*mut Sleeper>,
}

// SAFETY: the list is only used by the thread that has the lock.
unsafe impl Sync for Bucket {}

impl Bucket {
    /// Goes through the list, with the lock: takes off those of whom `choose` says so, and passes them to `taken`, which
    /// may end their lives.
    ///
    /// # Safety
    /// The calling thread has the lock.
    unsafe fn take(&self, mut choose: impl FnMut(*mut Sleeper) -> bool, mut taken: impl FnMut(*mut Sleeper)) {
        let mut link = self.first.get();
        // SAFETY: with the lock, all sleepers on the list are alive, and so are their links.
        unsafe {
            while !(*link).is_null() {
                let sleeper = *link;
                if choose(sleeper) {
                    *link = (*sleeper).next;
                    taken(sleeper);
                } else {
                    link = &raw mut (*sleeper).next;
                }
            }
        }
    }

    /// # Safety
    /// The calling thread has the lock; the sleeper lives until it is taken off.
    unsafe fn append(&self, sleeper: *mut Sleeper) {
        let mut link = self.first.get();
        // SAFETY: as in `take`.
        unsafe {
            while !(*link).is_null() {
                link = &raw mut (**link).next;
            }
            *link = sleeper;
        }
    }
}

/// Number of buckets: a power of two, some times what CPUs run at once.
const BUCKETS: usize = 64;

static QUEUES: [Bucket; BUCKETS] =
    [const { Bucket { lock: Lock::new(), first: UnsafeCell::new(ptr::null_mut()) } }; BUCKETS];

fn bucket(address: usize) -> &'static Bucket {
    // Fibonacci hashing: the upper bits of the product depend on all bits of the address.
    let hash = (address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKETS.trailing_zeros());
    &QUEUES[hash as usize % BUCKETS]
}

/// Sleeps until another thread calls [`notify`] for this address or `timeout_ns` nanoseconds have passed, unless the
/// cell does not hold what was expected. A negative time means no limit.
pub fn wait(cell: Cell<'_>, timeout_ns: i64) -> Wake {
    // When the clock cannot be read, the time counts as over: a thread must not sleep for ever.
    let deadline =
        u64::try_from(timeout_ns).ok().map(|ns| io_clock::now(Clock::Monotonic).unwrap_or(0).saturating_add(ns));
    let bucket = bucket(cell.address());
    let mut sleeper = Sleeper { address: cell.address(), next: ptr::null_mut(), state: AtomicU32::new(ASLEEP) };
    let sleeper = &raw mut sleeper;
    let joined = bucket.lock.with(|| {
        let joins = cell.is_as_expected();
        if joins {
            // SAFETY: this is with the lock, and this function does not return before it was taken off.
            unsafe { bucket.append(sleeper) };
        }
        joins
    });
    if !joined {
        return Wake::NotEqual;
    }
    loop {
        // SAFETY: it is this function's own.
        let state = unsafe { &(*sleeper).state };
        if state.load(Ordering::Acquire) == AWAKE {
            return Wake::Notified;
        }
        if threads::wait(state, ASLEEP, deadline) {
            let mut found = false;
            // SAFETY: this is with the lock.
            bucket.lock.with(|| unsafe { bucket.take(|other| other == sleeper, |_| found = true) });
            // Who was not on the list any more was woken just before.
            return if found { Wake::TimedOut } else { Wake::Notified };
        }
    }
}

/// Wakes at most `max_count` threads that sleep at this address, the longest sleeper first; how many.
pub fn notify(address: usize, max_count: u32) -> u32 {
    let bucket = bucket(address);
    let count = core::cell::Cell::new(0);
    bucket.lock.with(|| {
        let choose = |sleeper: *mut Sleeper| {
            // SAFETY: sleepers on the list are alive.
            let chosen = count.get() < max_count && unsafe { (*sleeper).address } == address;
            count.set(count.get() + u32::from(chosen));
            chosen
        };
        let wake = |sleeper: *mut Sleeper| {
            // SAFETY: the sleeper is alive until its state changes. Afterwards only its address is used.
            let state = unsafe { &raw const (*sleeper).state };
            // SAFETY: so is its state.
            unsafe { (*state).store(AWAKE, Ordering::Release) };
            threads::wake(state, 1);
        };
        // SAFETY: this is with the lock.
        unsafe { bucket.take(choose, wake) };
    });
    count.get()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};
    use std::vec::Vec;

    #[test]
    fn a_wait_ends_at_once_or_in_time() {
        let (narrow, wide) = (AtomicU32::new(5), AtomicU64::new(5 << 32));
        assert_eq!(wait(Cell::Narrow(&narrow, 4), -1), Wake::NotEqual);
        assert_eq!(wait(Cell::Wide(&wide, 0), -1), Wake::NotEqual);
        assert_eq!(wait(Cell::Narrow(&narrow, 5), 0), Wake::TimedOut);
        let start = Instant::now();
        assert_eq!(wait(Cell::Wide(&wide, 5 << 32), 3_000_000), Wake::TimedOut);
        assert!(start.elapsed() >= Duration::from_millis(3));
        assert_eq!(notify(narrow.as_ptr() as usize, u32::MAX), 0);
    }

    #[test]
    fn as_many_wake_up_as_were_asked_for() {
        let cells = [const { AtomicU64::new(7) }; 2];
        let address = |cell: usize| cells[cell].as_ptr() as usize;
        std::thread::scope(|scope| {
            let cells = &cells;
            let sleepers: Vec<_> =
                (0..6).map(|i| scope.spawn(move || wait(Cell::Wide(&cells[i / 5], 7), -1))).collect();
            let mut woken = 0;
            while woken < 5 {
                let count = notify(address(0), 2);
                assert!(count <= 2);
                woken += count;
            }
            assert_eq!((woken, notify(address(0), 9)), (5, 0));
            while notify(address(1), 1) == 0 {
                std::thread::yield_now();
            }
            for sleeper in sleepers {
                assert_eq!(sleeper.join().unwrap(), Wake::Notified);
            }
        });
    }

    #[test]
    fn no_wake_up_is_lost() {
        let turn = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for me in 0..2 {
                let turn = &turn;
                scope.spawn(move || {
                    for _ in 0..5000 {
                        while turn.load(Ordering::SeqCst) != me {
                            wait(Cell::Narrow(turn, 1 - me), -1);
                        }
                        turn.store(1 - me, Ordering::SeqCst);
                        notify(turn.as_ptr() as usize, 1);
                    }
                });
            }
        });
    }
}
