//! Tenants: their modules, and what one of them may take of the machine.
//!
//! Guests compute on threads of their own, as many for each tenant as it may have requests at the same time, so that a
//! tenant whose guests do not end keeps nobody else's from running. One that fails again and again is refused for a while,
//! twice as long each time.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use tokio::sync::Semaphore;
use wasmelt_embed::wasi::{I32Exit, MemoryInputPipe, MemoryOutputPipe, WasiCtx, WasiCtxBuilder, p1};
use wasmelt_embed::{
    Deadlines, Error, InstancePre, Linker, Module, Pool, PoolConfig, Store, StoreConfig, StoreLimits,
    StoreLimitsBuilder, Trap,
};

use crate::cgi::{self, Question};
use crate::metrics::Counters;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(1);

/// The longest time for which a tenant is refused.
const LONGEST_PUNISHMENT: Duration = Duration::from_secs(10);

/// What each request may take.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Limits {
    /// Milliseconds after which a guest is stopped
    #[arg(long = "deadline-ms", default_value = "100")]
    deadline_ms: u64,
    /// Bytes of a guest's memory
    #[arg(long = "max-memory", default_value = "33554432")]
    max_memory_bytes: usize,
    /// Bytes of a request, and of an answer
    #[arg(long = "max-body", default_value = "1048576")]
    pub(crate) max_body_bytes: usize,
    /// Requests of one tenant that are answered at the same time
    #[arg(long, default_value = "2")]
    concurrency: usize,
    /// Requests of one tenant that wait for others of it
    #[arg(long, default_value = "100")]
    queue: usize,
}

/// Why a request has no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Refusal {
    Busy = 1,
    Punished,
    TooLate,
    Failed,
    NoAnswer,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "too many requests wait already",
            Self::Punished => "too many requests have failed; try again later",
            Self::TooLate => "the deadline is over",
            Self::Failed => "the program has failed",
            Self::NoAnswer => "the program has written no answer",
        })
    }
}

/// What a guest's functions of the host work on.
struct State {
    wasi: WasiCtx,
    limits: StoreLimits,
}

/// All tenants, and what they share.
pub(crate) struct Tenants {
    pub(crate) limits: Limits,
    linker: Linker<State>,
    stores: StoreConfig,
    deadlines: Deadlines,
    by_name: RwLock<HashMap<String, Arc<Tenant>>>,
}

impl Tenants {
    pub(crate) fn new(limits: Limits) -> Result<Self, Error> {
        let mut linker = Linker::new();
        p1::add_to_linker_sync(&mut linker, |state: &mut State| &mut state.wasi)?;
        let mut stores = StoreConfig::default();
        stores.pool = Some(Pool::new(PoolConfig::default())?);
        let deadlines = Deadlines::new();
        deadlines.tick_every(TICK)?;
        Ok(Self { limits, linker, stores, deadlines, by_name: RwLock::default() })
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Tenant>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Loads the library of a tenant, which is new or gets it in place of another one. Requests that have begun end with the
    /// old one, which goes with the last of them. Where it cannot be loaded, the old one stays.
    pub(crate) fn load(&self, name: &str, file: &Path) -> Result<(), Error> {
        let bytes = std::fs::read(file).map_err(|e| Error::msg(format!("cannot read {}: {e}", file.display())))?;
        // From memory: who writes the file anew does not change what runs.
        // SAFETY: the operator says that wasmelt made the file.
        let module = unsafe { Module::from_bytes(&bytes, "tenant") }?;
        let ready = self.linker.instantiate_pre(&module)?;
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let counters = by_name.get(name).map_or_else(Default::default, |old| Arc::clone(&old.counters));
        by_name.insert(name.to_owned(), Arc::new(Tenant::new(ready, counters, self.limits)));
        Ok(())
    }

    /// The counters of all tenants.
    pub(crate) fn metrics(&self) -> String {
        let mut text = "# TYPE edge_requests_total counter\n# TYPE edge_guest_seconds histogram\n".to_owned();
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<_> = by_name.iter().collect();
        names.sort_unstable_by_key(|(name, _)| *name);
        names.into_iter().for_each(|(name, tenant)| tenant.counters.write(&mut text, name));
        text
    }
}

pub(crate) struct Tenant {
    ready: InstancePre<State>,
    running: Arc<Semaphore>,
    waiting: Semaphore,
    /// Failures since the last answer.
    failures: AtomicU32,
    refused_until: Mutex<Option<Instant>>,
    counters: Arc<Counters>,
}

impl Tenant {
    fn new(ready: InstancePre<State>, counters: Arc<Counters>, limits: Limits) -> Self {
        Self {
            ready,
            running: Arc::new(Semaphore::new(limits.concurrency)),
            waiting: Semaphore::new(limits.queue + limits.concurrency),
            failures: AtomicU32::new(0),
            refused_until: Mutex::default(),
            counters,
        }
    }

    /// Answers a request with an instance of its own.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        tenants: &Arc<Tenants>,
        question: Question,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let result = self.try_to_answer(tenants, question).await;
        self.counters.count(result.as_ref().map_or_else(|&refusal| refusal as usize, |_| 0));
        result
    }

    async fn try_to_answer(
        self: &Arc<Self>,
        tenants: &Arc<Tenants>,
        question: Question,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let _waits = self.waiting.try_acquire().map_err(|_| Refusal::Busy)?;
        let runs = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Refusal::Busy)?;
        if self.refused_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|end| Instant::now() < end) {
            return Err(Refusal::Punished);
        }
        let (tenant, tenants) = (Arc::clone(self), Arc::clone(tenants));
        let task = tokio::task::spawn_blocking(move || {
            let start = Instant::now();
            let result = tenant.run(&tenants, &question);
            tenant.counters.time(start.elapsed());
            tenant.judge(&result, tenants.limits);
            // Not sooner: whoever has asked may be gone, and the guest still runs.
            drop(runs);
            result
        });
        task.await.unwrap_or(Err(Refusal::Failed))
    }

    /// Runs the program once.
    fn run(&self, tenants: &Tenants, question: &Question) -> Result<Response<Full<Bytes>>, Refusal> {
        let limits = tenants.limits;
        let output = MemoryOutputPipe::new(limits.max_body_bytes);
        let mut wasi = WasiCtxBuilder::new();
        wasi.arg("tenant").envs(&question.variables);
        wasi.stdin(MemoryInputPipe::new(&*question.body)).stdout(output.clone());
        let memory = StoreLimitsBuilder::new().memory_size(limits.max_memory_bytes).instances(1).build();
        let state = State { wasi: wasi.build(), limits: memory };
        let mut store = Store::with_config(state, tenants.stores.clone());
        store.limiter(|state| &mut state.limits);
        let outcome = self.call(&mut store, tenants);
        match outcome {
            Ok(()) => {}
            Err(error) if error.downcast_ref::<I32Exit>().is_some_and(|exit| exit.0 == 0) => {}
            Err(error) if error.downcast_ref::<Trap>().is_some_and(|trap| *trap == Trap::Interrupt) => {
                return Err(Refusal::TooLate);
            }
            Err(_) => return Err(Refusal::Failed),
        }
        cgi::answer(&output.contents()).ok_or(Refusal::NoAnswer)
    }

    fn call(&self, store: &mut Store<State>, tenants: &Tenants) -> Result<(), Error> {
        store.set_deadline(&tenants.deadlines, Duration::from_millis(tenants.limits.deadline_ms))?;
        let instance = self.ready.instantiate(&mut *store)?;
        instance.get_typed_func::<(), ()>(&*store, "_start")?.call(store, ())
    }

    /// Refuses a tenant for a while that has failed several times in a row.
    fn judge(&self, result: &Result<Response<Full<Bytes>>, Refusal>, limits: Limits) {
        if result.is_ok() {
            self.failures.store(0, Ordering::Relaxed);
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures > 2 {
            let deadline = Duration::from_millis(limits.deadline_ms);
            let time = deadline.saturating_mul(1 << failures.min(16)).min(LONGEST_PUNISHMENT);
            *self.refused_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + time);
        }
    }
}
