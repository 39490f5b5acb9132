//! Instances that answer requests, each in a thread that it keeps when it waits.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use hyper::Request;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use wasmelt_embed::component::{Component, ComponentCtx, Func, InstancePre, Linker};
use wasmelt_embed::wasi::WasiCtxBuilder;
use wasmelt_embed::{Deadlines, Error, Pool, PoolConfig, Result, Store, StoreConfig, StoreLimits, StoreLimitsBuilder};

use crate::crew;
use crate::http::{self, Answer, Outside, Scheme, Session};
use crate::metrics::Metrics;
use crate::options::Options;

/// The interface that a component of the world exports.
const HANDLER: &str = "wasi:http/incoming-handler";

/// What the data of a store is.
struct State {
    context: ComponentCtx,
    limits: StoreLimits,
}

/// An instance, and what it is called by.
struct Worker {
    store: Store<State>,
    handle: Func<State>,
    /// Requests that it has answered.
    requests: u32,
}

/// Why a request has no response of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    TooLate,
    Trapped,
    /// The guest has returned without a response.
    NoAnswer,
}

/// What all requests share.
pub(crate) struct Workers {
    ready: InstancePre<State>,
    stores: StoreConfig,
    deadlines: Deadlines,
    outside: Arc<Outside>,
    options: Options,
    metrics: Arc<Metrics>,
    /// Instances that may answer further requests.
    idle: Mutex<Vec<Worker>>,
}

impl Workers {
    pub(crate) fn new(component: &Component, options: Options, metrics: Arc<Metrics>) -> Result<Self> {
        let mut linker = Linker::new(|state: &mut State| &mut state.context);
        linker.define_wasi()?;
        http::define(&mut linker)?;
        let ready = linker.instantiate_pre(component)?;
        let mut pool = PoolConfig::default();
        // Instances that wait for further requests have their own.
        let count = (options.max_concurrency as usize).saturating_mul(2);
        (pool.memories, pool.tables, pool.stacks) = (count, count.saturating_mul(4), count);
        let mut stores = StoreConfig::default();
        stores.pool = Some(Pool::new(pool)?);
        let deadlines = Deadlines::new();
        let outside = Arc::new(Outside::new(options.http_allow.clone(), options.tls_roots.clone()));
        Ok(Self { ready, stores, deadlines, outside, options, metrics, idle: Mutex::default() })
    }

    /// Ends guests whose deadline is over.
    pub(crate) fn tick(&self) {
        self.deadlines.tick();
    }

    /// Answers a request: the response goes to `answer` as soon as the guest has one, and the guest goes on.
    pub(crate) fn run(
        &self,
        request: Request<Incoming>,
        arrived: Instant,
        answer: oneshot::Sender<Answer>,
    ) -> std::result::Result<(), Failure> {
        let start = Instant::now();
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let result = idle.map_or_else(|| self.worker(arrived), Ok).and_then(|mut worker| {
            let is_done = worker.answer(self, request, arrived, answer)?;
            worker.requests += 1;
            if is_done && worker.requests < self.options.max_requests_per_instance {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
            }
            Ok(())
        });
        self.metrics.guest(start.elapsed());
        let Err(error) = result else { return Ok(()) };
        if arrived.elapsed() >= self.options.deadline() {
            self.metrics.deadlines.fetch_add(1, Ordering::Relaxed);
            return Err(Failure::TooLate);
        }
        self.metrics.traps.fetch_add(1, Ordering::Relaxed);
        crate::note(format_args!("the component has failed: {error}"));
        Err(Failure::Trapped)
    }

    fn worker(&self, arrived: Instant) -> Result<Worker> {
        let mut wasi = WasiCtxBuilder::new();
        wasi.inherit_stdout().inherit_stderr().envs(&self.options.variables).before_waiting(crew::make_way);
        let scheme = if self.options.tls_cert.is_some() { Scheme::Https } else { Scheme::Http };
        let session = Session::new(Handle::current(), scheme, Arc::clone(&self.outside));
        let context = ComponentCtx::new(wasi.build()).with_data(session);
        let limits = StoreLimitsBuilder::new().memory_size(self.options.max_memory).build();
        let mut store = Store::with_config(State { context, limits }, self.stores.clone());
        store.limiter(|state| &mut state.limits);
        self.begin(&mut store, arrived)?;
        let instance = self.ready.instantiate(&mut store)?;
        let handle = instance.get_func(&mut store, HANDLER, "handle")?;
        Ok(Worker { store, handle, requests: 0 })
    }

    /// Begins the time that a guest has: what is left since the request has arrived.
    fn begin(&self, store: &mut Store<State>, arrived: Instant) -> Result<()> {
        let left = self.options.deadline().saturating_sub(arrived.elapsed());
        store.set_deadline(&self.deadlines, left)?;
        store.data_mut().context.begin_request(left);
        Ok(())
    }
}

impl Worker {
    /// Answers a request; whether the guest has given up all that belongs to the request.
    fn answer(
        &mut self,
        workers: &Workers,
        request: Request<Incoming>,
        arrived: Instant,
        answer: oneshot::Sender<Answer>,
    ) -> Result<bool> {
        workers.begin(&mut self.store, arrived)?;
        let (head, body) = request.into_parts();
        let context = &mut self.store.data_mut().context;
        let session = context.data_mut::<Session>().ok_or_else(|| Error::msg("the instance has no session"))?;
        let resources = session.begin(head, body, answer);
        let mut handles = [0; 2];
        for (handle, resource) in handles.iter_mut().zip(resources) {
            *handle = context.insert(self.handle.component(), resource)?.into();
        }
        let result = self.handle.call_flat(&mut self.store, &handles, |_, _| Ok(()));
        let session = self.store.data_mut().context.data_mut::<Session>();
        let is_done = session.is_some_and(Session::end);
        result.map(|()| is_done)
    }
}
