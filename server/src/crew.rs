//! The threads of a server, which see to its connections and run its guests.
//!
//! Connections are in shares, one for each processor. One thread at a time leads a share: it sees to the connections, and runs
//! the guests of their requests itself. So the most usual request, whose guest neither waits nor runs for long, is never handed
//! to another thread. A guest that is about to wait, or that has run for a tick, keeps the thread, and another thread leads the
//! share from there on.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{self, Runtime};
use tokio::sync::Notify;

/// How long a thread is kept that has nothing to do.
const IDLE_TIME: Duration = Duration::from_secs(10);

/// A guest that is to run.
type Job = Box<dyn FnOnce() + Send>;

/// All shares.
#[derive(Clone)]
pub(crate) struct Crew(Arc<[Arc<Share>]>);

/// Some of the connections, and the guests that they wait for.
pub(crate) struct Share {
    /// Only the leader is in it.
    runtime: Runtime,
    state: Arc<State>,
    jobs: Mutex<VecDeque<Job>>,
    /// Says to the leader that there is a job.
    arrived: Notify,
    /// How often the leader has begun to run guests, or has ended that: odd while guests run. Who counts on from an odd number,
    /// the leader or somebody else, decides who leads from there on.
    turn: AtomicU64,
    threads: Mutex<Threads>,
    called: Condvar,
}

/// What a runtime tells of itself.
#[derive(Default)]
struct State {
    /// Whether the leader waits for something to do.
    is_idle: AtomicBool,
    connections: AtomicUsize,
}

#[derive(Default)]
struct Threads {
    /// How many have nothing to do, with those that are about to begin.
    idle: usize,
    /// Whether one is to lead.
    is_called: bool,
}

thread_local! {
    /// The share that the thread leads, and in which turn, while it runs guests.
    static LEADS: RefCell<Option<(Arc<Share>, u64)>> = const { RefCell::new(None) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crew {
    /// Makes the shares. Nothing of them is executed before [`Self::start`].
    pub(crate) fn new() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let shares: io::Result<Vec<_>> = (0..count).map(|_| Share::new()).collect();
        Ok(Self(shares?.into()))
    }

    /// The share that has the fewest connections.
    pub(crate) fn share(&self) -> &Arc<Share> {
        let connections = |share: &&Arc<Share>| share.state.connections.load(Ordering::Relaxed);
        self.0.iter().min_by_key(connections).unwrap_or(&self.0[0])
    }

    /// Begins. Calls this at each tick for ever, and looks whether guests hold connections up.
    pub(crate) fn start(&self, period: Duration, mut tick: impl FnMut() + Send + 'static) -> io::Result<()> {
        for share in self.0.iter() {
            share.call()?;
        }
        let shares = Arc::clone(&self.0);
        let mut turns = vec![0; shares.len()];
        let watch = move || {
            loop {
                thread::sleep(period);
                tick();
                shares.iter().zip(&mut turns).for_each(|(share, turn)| share.look(turn));
            }
        };
        thread::Builder::new().name("ticks".into()).spawn(watch).map(drop)
    }

    /// Runs a guest in a thread that may wait: that of `share`, or of a share that has nothing to do.
    pub(crate) fn run(&self, share: &Share, guest: impl FnOnce() + Send + 'static) {
        let guest = Box::new(guest);
        // One share has what may be all requests of a client: those that would have to wait for each other go elsewhere.
        let other = (!lock(&share.jobs).is_empty())
            .then(|| self.0.iter().find(|share| share.state.is_idle.swap(false, Ordering::Relaxed)))
            .flatten();
        let share = other.map_or(share, |other| &**other);
        lock(&share.jobs).push_back(guest);
        share.arrived.notify_one();
    }
}

/// Lets another thread see to the connections that the current one sees to, if it does: a guest is about to wait.
pub(crate) fn make_way() {
    // Without the borrow: another thread may have to be started.
    let leads = LEADS.take();
    if let Some((share, turn)) = leads {
        share.hand_over(turn);
    }
}

impl Share {
    fn new() -> io::Result<Arc<Self>> {
        let state = Arc::new(State::default());
        let [parks, goes_on] = [true, false].map(|is_idle| {
            let state = Arc::clone(&state);
            move || state.is_idle.store(is_idle, Ordering::Relaxed)
        });
        let mut builder = runtime::Builder::new_current_thread();
        builder.enable_all().max_blocking_threads(crate::http::LOOKUPS + 8);
        let runtime = builder.on_thread_park(parks).on_thread_unpark(goes_on).build()?;
        Ok(Arc::new(Self {
            runtime,
            state,
            jobs: Mutex::default(),
            arrived: Notify::new(),
            turn: AtomicU64::new(0),
            threads: Mutex::default(),
            called: Condvar::new(),
        }))
    }

    /// Executes a task in this share, among its connections.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Executes the task of a connection.
    pub(crate) fn connect(&self, task: impl Future<Output = ()> + Send + 'static) {
        let connection = Connection::new(&self.state);
        self.spawn(async move {
            task.await;
            drop(connection);
        });
    }

    /// Lets a thread lead that has nothing to do, or a new one.
    fn call(self: &Arc<Self>) -> io::Result<()> {
        let mut threads = lock(&self.threads);
        threads.is_called = true;
        self.find(&mut threads)
    }

    /// Finds a thread where one is called.
    fn find(self: &Arc<Self>, threads: &mut Threads) -> io::Result<()> {
        if !threads.is_called {
            return Ok(());
        }
        if threads.idle > 0 {
            self.called.notify_one();
            return Ok(());
        }
        let this = Arc::clone(self);
        thread::Builder::new().name("server".into()).spawn(move || this.work())?;
        threads.idle += 1;
        Ok(())
    }

    /// What a thread does: it leads whenever it is called.
    fn work(self: Arc<Self>) {
        let _runtime = self.runtime.enter();
        while self.is_called() {
            self.lead();
            lock(&self.threads).idle += 1;
        }
    }

    /// Waits until the thread, which has nothing to do, is called; not for ever.
    fn is_called(&self) -> bool {
        let threads = lock(&self.threads);
        let waited = self.called.wait_timeout_while(threads, IDLE_TIME, |threads| !threads.is_called);
        let mut threads = waited.unwrap_or_else(PoisonError::into_inner).0;
        threads.idle -= 1;
        std::mem::take(&mut threads.is_called)
    }

    /// Sees to connections and runs guests, until another thread leads.
    fn lead(self: &Arc<Self>) {
        while self.run_guests() {
            self.runtime.block_on(self.arrived.notified());
        }
    }

    /// Runs the guests that are there. Whether the thread still leads.
    fn run_guests(self: &Arc<Self>) -> bool {
        let turn = self.turn.fetch_add(1, Ordering::AcqRel) + 1;
        LEADS.set(Some((Arc::clone(self), turn)));
        while self.turn.load(Ordering::Acquire) == turn {
            let Some(job) = self.next() else { break };
            // Who waits for an answer sees that there is none.
            let _ = panic::catch_unwind(AssertUnwindSafe(job));
        }
        LEADS.set(None);
        self.end(turn)
    }

    fn next(&self) -> Option<Job> {
        lock(&self.jobs).pop_front()
    }

    /// Ends a turn, unless somebody else has.
    fn end(&self, turn: u64) -> bool {
        self.turn.compare_exchange(turn, turn + 1, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Lets another thread lead, unless the turn is over.
    fn hand_over(self: &Arc<Self>, turn: u64) {
        if self.end(turn) {
            // Where no thread is found, the next tick looks again.
            let _ = self.call();
        }
    }

    /// Looks whether the turn is still the one that was seen at the last tick, and whether there was no thread for a call.
    fn look(self: &Arc<Self>, seen: &mut u64) {
        let turn = self.turn.load(Ordering::Acquire);
        if turn % 2 == 1 && turn == *seen {
            self.hand_over(turn);
        }
        *seen = turn;
        let _ = self.find(&mut lock(&self.threads));
    }
}

/// A connection that counts.
struct Connection(Arc<State>);

impl Connection {
    fn new(state: &Arc<State>) -> Self {
        state.connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(state))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
