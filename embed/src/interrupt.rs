//! Interruption: another thread stops what the guests of a store execute, at once or at a deadline.

// ---------------------------------------------------------------------------------------------------------------
// Security: an interrupt is for the call that is executed when it is asked for. Each call has a number, and the flag that
// code looks at is in one word with the number: a thread that means one call never stops the next one. What stopped a
// call inside a function of the host stops the calls around it as well.
// ---------------------------------------------------------------------------------------------------------------

use core::cell::UnsafeCell;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Instant;

use wasmelt_abi::context::StoreState;
use wasmelt_abi::interface::Interface;
use wasmelt_abi::trap::Trap;

use super::pause::Answer;
use super::store::{Inner, Store};
use super::{AsContextMut as _, Caller, Error};

/// Values of the lowest byte of [`StoreState::interrupt`]; above it is the number of the call.
mod flag {
    /// A call is executed.
    pub(super) const RUNS: u64 = 0;
    /// It is to stop.
    pub(super) const STOPS: u64 = 1;
    /// No call is executed.
    pub(super) const IDLE: u64 = 2;
    /// It is to give the executor back, where it can, and to go on.
    pub(super) const YIELDS: u64 = 3;
    pub(super) const MASK: u64 = 0xff;
}

/// Added for the next number.
const NEXT: u64 = flag::MASK + 1;

/// No deadline.
const NEVER: u64 = u64::MAX;

/// What stops the guests of a store.
pub(super) struct Stop {
    state: UnsafeCell<StoreState>,
    /// What is left of the fuel beside what is in the counter.
    fuel_reserve: AtomicU64,
    /// The fuel after which guests give the executor back, [`NEVER`] without.
    fuel_interval: AtomicU64,
    /// When the store's calls are to stop, by [`now`].
    deadline: AtomicU64,
    /// When the call that is executed is to give the executor back.
    slice_end: AtomicU64,
    /// How long that is after the executor has polled it, in nanoseconds.
    slice: AtomicU64,
}

// SAFETY: the counter and the trap are accessed with the store alone, which one thread has at a time; all the rest is atomic.
unsafe impl Send for Stop {}
// SAFETY: as above.
unsafe impl Sync for Stop {}

impl Stop {
    pub(super) fn new() -> Arc<Self> {
        let state = StoreState { fuel: 0, interrupt: flag::IDLE, stack_limit: 0, trap: 0 };
        let never = || AtomicU64::new(NEVER);
        Arc::new(Self {
            state: UnsafeCell::new(state),
            fuel_reserve: AtomicU64::new(0),
            fuel_interval: never(),
            deadline: never(),
            slice_end: never(),
            slice: never(),
        })
    }

    /// What code knows it by.
    pub(super) fn state(&self) -> *mut StoreState {
        self.state.get()
    }

    /// The fuel that is left. Called with the store at hand, while no guest runs.
    pub(super) fn fuel(&self) -> u64 {
        // SAFETY: by this function's contract.
        let counter = unsafe { (*self.state.get()).fuel };
        self.fuel_reserve.load(Ordering::Relaxed).saturating_add_signed(counter.saturating_neg())
    }

    /// Sets the fuel that is left: guests get the first interval of it, the rest is kept. Called with the store at hand, while
    /// no guest runs.
    pub(super) fn set_fuel(&self, fuel: u64) {
        let fuel = fuel.min(i64::MAX as u64);
        let at_once = fuel.min(self.fuel_interval.load(Ordering::Relaxed));
        self.fuel_reserve.store(fuel - at_once, Ordering::Relaxed);
        // SAFETY: by this function's contract.
        unsafe { (*self.state.get()).fuel = -(at_once as i64) }
    }

    /// Sets the fuel after which guests give the executor back. Called with the store at hand, while no guest runs.
    pub(super) fn set_fuel_interval(&self, interval: Option<u64>) {
        let fuel = self.fuel();
        self.fuel_interval.store(interval.unwrap_or(NEVER), Ordering::Relaxed);
        self.set_fuel(fuel);
    }

    /// For a guest that has used up the fuel in the counter. Called while it waits for the answer.
    pub(super) fn refuel(&self) -> Answer {
        let fuel = self.fuel();
        self.set_fuel(fuel);
        if fuel == 0 { Answer::Stop } else { Answer::Yield }
    }

    /// What a guest that asks whether it may go on ends with if it may not. Called while it waits for the answer.
    pub(super) fn trap(&self) -> Trap {
        // SAFETY: by this function's contract.
        let number = unsafe { (*self.state.get()).trap };
        u8::try_from(number).ok().and_then(Trap::from_u8).unwrap_or(Trap::Interrupt)
    }

    /// Says how far the stack goes. Called with the store at hand, while no guest runs.
    pub(super) fn set_stack_limit(&self, address: usize) {
        // SAFETY: by this function's contract.
        unsafe { (*self.state.get()).stack_limit = address as u64 }
    }

    fn word(&self) -> &AtomicU64 {
        // SAFETY: the word is as long as this, and all who access it do so atomically, code by reading its lowest byte.
        unsafe { AtomicU64::from_ptr(&raw mut (*self.state.get()).interrupt) }
    }

    /// A call begins, in which others may be made. Nothing else of the store is executed.
    #[inline]
    pub(super) fn begin(&self) {
        let word = self.word();
        word.store((word.load(Ordering::Relaxed) & !flag::MASK).wrapping_add(NEXT) | flag::RUNS, Ordering::Release);
    }

    /// The call has ended.
    #[inline]
    pub(super) fn end(&self) {
        let word = self.word();
        // Whoever means this call and comes too late finds another word.
        word.store(word.load(Ordering::Relaxed) & !flag::MASK | flag::IDLE, Ordering::Release);
    }

    /// Stops the call that was found to be executed, if it still is.
    fn stop(&self, found: u64) -> bool {
        matches!(found & flag::MASK, flag::RUNS | flag::YIELDS) && self.tell(found, flag::STOPS)
    }

    /// Puts a flag in place of the one that was found, if nothing has changed.
    fn tell(&self, found: u64, flag: u64) -> bool {
        let told = found & !flag::MASK | flag;
        self.word().compare_exchange(found, told, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Stops the call that is executed at this moment, if any is.
    fn stop_now(&self) -> bool {
        loop {
            let found = self.word().load(Ordering::Acquire);
            if self.stop(found) {
                return true;
            }
            if self.word().load(Ordering::Acquire) == found {
                return false;
            }
        }
    }

    /// Stops the call that is executed, if its deadline is over; where its slice is over, tells it so.
    fn stop_at(&self, now: u64) -> bool {
        // The order is the reverse of that in `set_deadline`: who sees its number sees its deadline, or a later one.
        let found = self.word().load(Ordering::Acquire);
        if now >= self.deadline.load(Ordering::Acquire) {
            return self.stop(found);
        }
        if now >= self.slice_end.load(Ordering::Acquire) && found & flag::MASK == flag::RUNS {
            self.tell(found, flag::YIELDS);
        }
        false
    }

    /// For a guest that has seen the flag. Called while it waits for the answer.
    pub(super) fn answer(&self) -> Answer {
        match self.forget_yields() & flag::MASK {
            flag::RUNS => Answer::GoOn,
            flag::YIELDS => Answer::Yield,
            _ => Answer::Stop,
        }
    }

    /// What was to give the executor back runs; the word before that.
    fn forget_yields(&self) -> u64 {
        let runs = |found| (found & flag::MASK == flag::YIELDS).then_some(found & !flag::MASK | flag::RUNS);
        self.word().fetch_update(Ordering::AcqRel, Ordering::Acquire, runs).unwrap_or_else(|found| found)
    }

    /// The executor polls a call that may have begun. Called with the store at hand, while no guest runs.
    pub(super) fn begin_slice(&self) {
        let slice = self.slice.load(Ordering::Relaxed);
        if slice != NEVER {
            self.slice_end.store(now().saturating_add(slice), Ordering::Release);
            // As in `set_deadline`.
            self.word().fetch_add(NEXT, Ordering::AcqRel);
            self.forget_yields();
        }
    }

    /// Nothing is left of what was set. Called with the store at hand, while no guest runs.
    pub(super) fn reset(&self) {
        self.set_fuel_interval(None);
        self.set_fuel(0);
        self.set_slice(NEVER);
        self.set_deadline(NEVER);
    }

    fn set_slice(&self, slice: u64) {
        self.slice.store(slice, Ordering::Relaxed);
        self.slice_end.store(NEVER, Ordering::Release);
        self.begin_slice();
    }

    fn set_deadline(&self, deadline: u64) {
        self.deadline.store(deadline, Ordering::Release);
        // Who has seen the deadline before does not stop what goes on with the new one.
        self.word().fetch_add(NEXT, Ordering::AcqRel);
    }
}

/// Nanoseconds since the first use.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(NEVER)
}

/// Interrupts the guests of a store from other threads. Clones are for the same store.
#[derive(Clone)]
pub struct InterruptHandle(Arc<Stop>);

impl InterruptHandle {
    /// Stops the call into a guest that the store executes at this moment: the call ends with
    /// [`Trap::Interrupt`](crate::Trap::Interrupt), at the guest's next loop or function. Returns whether there is such a
    /// call. Where there is none, nothing happens, also to the next one.
    ///
    /// A function of the host that the guest has called goes on until it returns, and so does a guest that waits
    /// (`memory.atomic.wait`) or copies a lot of memory at once.
    pub fn interrupt(&self) -> bool {
        self.0.stop_now()
    }
}

impl fmt::Debug for InterruptHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InterruptHandle").finish_non_exhaustive()
    }
}

/// Interrupts stores at their deadlines, when a thread of the host's says so. Clones know the same stores.
///
/// ```no_run
/// # fn main() -> wasmelt_embed::Result<()> {
/// # use std::time::Duration;
/// # use wasmelt_embed::{Deadlines, Store};
/// let deadlines = Deadlines::new();
/// let ticker = deadlines.clone();
/// std::thread::spawn(move || {
///     loop {
///         std::thread::sleep(Duration::from_millis(10));
///         ticker.tick();
///     }
/// });
/// let mut store = Store::new(());
/// store.set_deadline(&deadlines, Duration::from_secs(1))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Deadlines(Arc<Mutex<Vec<Weak<Stop>>>>);

impl Deadlines {
    /// Knows no store yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Interrupts all calls whose deadline is over; returns how many these are. Tells those whose slice is over, see
    /// [`Store::deadline_async_yield_and_update`]. Time and memory are proportional to the number of stores.
    pub fn tick(&self) -> usize {
        let (now, mut stopped) = (now(), 0);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|stop| {
            let stop = stop.upgrade();
            stopped += usize::from(stop.as_ref().is_some_and(|stop| stop.stop_at(now)));
            stop.is_some()
        });
        stopped
    }

    /// Starts a thread that calls [`Self::tick`] after each period, as long as anybody has this object or a clone.
    ///
    /// # Errors
    /// [`Error::System`] when the system starts no thread.
    pub fn tick_every(&self, period: Duration) -> Result<(), Error> {
        let stops = Arc::downgrade(&self.0);
        let tick = move || {
            loop {
                thread::sleep(period);
                let Some(stops) = stops.upgrade() else { return };
                Self(stops).tick();
            }
        };
        let started = thread::Builder::new().name("deadlines".into()).spawn(tick);
        started.map(drop).map_err(|error| Error::system(format!("no thread for deadlines: {error}")))
    }

    fn know(&self, stop: &Arc<Stop>) {
        let mut stops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !stops.iter().any(|other| core::ptr::eq(other.as_ptr(), Arc::as_ptr(stop))) {
            stops.push(Arc::downgrade(stop));
        }
    }
}

impl fmt::Debug for Deadlines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadlines").finish_non_exhaustive()
    }
}

impl<T> Store<T> {
    /// Returns what other threads interrupt the store's guests with.
    ///
    /// # Errors
    /// [`Error::Usage`] when a module of the store was compiled without `--interruptible`. From now on such a module is an
    /// error of instantiation.
    pub fn interrupt_handle(&mut self) -> Result<InterruptHandle, Error> {
        let inner = &mut self.contents_mut().inner;
        inner.want(Interface::INTERRUPTIBLE)?;
        Ok(InterruptHandle(Arc::clone(&inner.stop)))
    }

    /// Sets when the store's calls are to stop, from now on: each [`Deadlines::tick`] after that stops the call that is
    /// executed then, as [`InterruptHandle::interrupt`] does, until another deadline is set.
    ///
    /// # Errors
    /// As for [`Self::interrupt_handle`].
    pub fn set_deadline(&mut self, deadlines: &Deadlines, after: Duration) -> Result<(), Error> {
        self.as_context_mut().inner_mut().set_deadline(deadlines, after)
    }

    /// Sets how long guests may compute before they give the executor its thread back: the future of a call that can wait
    /// (`call_async`) is pending at the next [`Deadlines::tick`] after that, wakes itself at once, and has another `slice` when
    /// it is polled again. It does so without end, unless [`Self::set_deadline`] has set when the call is to stop.
    ///
    /// What cannot wait does not give the executor back: a guest that `call` calls, by the host or in a function of the host
    /// that is not asynchronous, goes on. The guest around it gives the executor back afterwards.
    ///
    /// # Errors
    /// As for [`Self::interrupt_handle`].
    pub fn deadline_async_yield_and_update(&mut self, deadlines: &Deadlines, slice: Duration) -> Result<(), Error> {
        self.as_context_mut().inner_mut().yield_at(deadlines, slice)
    }

    /// The store has no deadline any more, and its guests do not give the executor back because of one.
    pub fn clear_deadline(&mut self) {
        let stop = &self.contents_mut().inner.stop;
        stop.set_slice(NEVER);
        stop.set_deadline(NEVER);
    }
}

impl<T> Caller<'_, T> {
    /// Sets when the store's calls are to stop, see [`Store::set_deadline`]. The call that the guest is in counts as well,
    /// unless it was stopped before.
    ///
    /// # Errors
    /// As for [`Store::interrupt_handle`].
    pub fn set_deadline(&mut self, deadlines: &Deadlines, after: Duration) -> Result<(), Error> {
        self.as_context_mut().inner_mut().set_deadline(deadlines, after)
    }

    /// Sets how long guests may compute before they give the executor back, see [`Store::deadline_async_yield_and_update`].
    ///
    /// # Errors
    /// As for [`Store::interrupt_handle`].
    pub fn deadline_async_yield_and_update(&mut self, deadlines: &Deadlines, slice: Duration) -> Result<(), Error> {
        self.as_context_mut().inner_mut().yield_at(deadlines, slice)
    }
}

impl Inner {
    fn set_deadline(&mut self, deadlines: &Deadlines, after: Duration) -> Result<(), Error> {
        self.know_deadlines(deadlines)?;
        self.stop.set_deadline(now().saturating_add(nanoseconds(after)));
        Ok(())
    }

    fn yield_at(&mut self, deadlines: &Deadlines, slice: Duration) -> Result<(), Error> {
        self.know_deadlines(deadlines)?;
        self.stop.set_slice(nanoseconds(slice));
        Ok(())
    }

    /// Whoever knew the store before still does, and may tick: the deadline is the store's.
    fn know_deadlines(&mut self, deadlines: &Deadlines) -> Result<(), Error> {
        self.want(Interface::INTERRUPTIBLE)?;
        if !self.deadlines.as_ref().is_some_and(|known| Arc::ptr_eq(&known.0, &deadlines.0)) {
            deadlines.know(&self.stop);
            self.deadlines = Some(deadlines.clone());
        }
        Ok(())
    }
}

/// A length of time, [`NEVER`] where it is too long.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_means_one_call_never_stops_another() {
        let stop = Stop::new();
        let seen = |stop: &Stop| stop.word().load(Ordering::Acquire);
        let idle = seen(&stop);
        stop.begin();
        let first = seen(&stop);
        assert!(!stop.stop(idle), "found when nothing was executed");
        stop.end();
        assert!(!stop.stop(first) && !stop.stop_now(), "the call is over");
        stop.begin();
        assert!(!stop.stop(first), "another call");
        assert_eq!(seen(&stop) & flag::MASK, flag::RUNS);
        assert!(stop.stop_now() && !stop.stop_now());
        assert_eq!(seen(&stop) & flag::MASK, flag::STOPS);
        stop.end();
        stop.begin();
        assert_eq!(seen(&stop) & flag::MASK, flag::RUNS, "the flag does not outlive its call");
    }

    #[test]
    fn who_has_seen_an_old_deadline_does_not_stop_what_has_a_new_one() {
        let stop = Stop::new();
        stop.set_deadline(5);
        assert!(!stop.stop_at(6), "nothing is executed");
        stop.begin();
        assert!(!stop.stop_at(4));
        let found = stop.word().load(Ordering::Acquire);
        stop.set_deadline(10);
        assert!(!stop.stop(found) && !stop.stop_at(9));
        assert!(stop.stop_at(10));
        stop.set_deadline(20);
        assert_eq!(stop.word().load(Ordering::Acquire) & flag::MASK, flag::STOPS, "what was stopped stays so");
    }

    #[test]
    fn stores_that_are_gone_are_forgotten() {
        let deadlines = Deadlines::new();
        let mut stores: Vec<_> = (0..10).map(Store::new).collect();
        for store in &mut stores {
            store.set_deadline(&deadlines, Duration::ZERO).unwrap();
            store.set_deadline(&deadlines, Duration::ZERO).unwrap();
        }
        assert_eq!((deadlines.tick(), deadlines.0.lock().unwrap().len()), (0, 10));
        stores.truncate(3);
        assert_eq!((deadlines.tick(), deadlines.0.lock().unwrap().len()), (0, 3));
    }
}
