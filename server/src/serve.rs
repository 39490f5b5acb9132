//! The server: connections, requests, and what an operator sees of them.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use listenfd::ListenFd;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use wasmelt_embed::component::Component;

use crate::body::Outgoing;
use crate::connection::{Admitted, Connections, InTurn};
use crate::http::{self, Answer};
use crate::listener::Listener;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::stream::Stream;
use crate::tls::{self, Tls};
use crate::worker::{Failure, Workers};
use crate::{note, say};

/// Connections of operators at the same time.
const OPERATORS: usize = 16;

struct Server {
    workers: Arc<Workers>,
    metrics: Arc<Metrics>,
    options: Options,
    /// Requests that run.
    running: Arc<Semaphore>,
    /// Requests that run or wait, and responses of which clients have not taken everything.
    accepted: Arc<Semaphore>,
}

/// Serves until the process is told to end.
pub(crate) fn run(
    component: &Component,
    options: Options,
    tls: Option<Tls>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads((options.max_concurrency as usize).saturating_add(http::LOOKUPS + 8))
        .build()?;
    let metrics = Arc::new(Metrics::default());
    let workers = {
        let _runtime = runtime.enter();
        Arc::new(Workers::new(component, options.clone(), Arc::clone(&metrics))?)
    };
    let count = (options.max_concurrency as usize).min(Semaphore::MAX_PERMITS / 2);
    let server = Arc::new(Server {
        workers,
        metrics,
        running: Arc::new(Semaphore::new(count)),
        accepted: Arc::new(Semaphore::new(count + options.max_queue.min(Semaphore::MAX_PERMITS / 2))),
        options,
    });
    let result = runtime.block_on(serve(&server, tls.map(Arc::new)));
    // Guests that go on are not waited for.
    runtime.shutdown_background();
    result
}

async fn serve(server: &Arc<Server>, tls: Option<Arc<Tls>>) -> Result<(), Box<dyn Error + Send + Sync>> {
    // The C library's start leaves the default action, by which a client or a reader of a pipe that goes ends the process.
    // Once there is a handler, writing fails instead, and it is never removed.
    let _ = signal(SignalKind::pipe())?;
    // Whoever reads that the server listens may tell it to end.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(tls::renew(tls.clone(), signal(SignalKind::hangup())?));
    raise_descriptors();
    let public = match passed()? {
        Some(listener) => listener,
        None => bind(server.options.listen).await?,
    };
    let public = Listener::new(public, tls);
    say(format_args!("listening on {}", public.local_addr()?));
    if let Some(address) = server.options.admin {
        let admin = Listener::new(bind(address).await?, None);
        say(format_args!("administration on {}", admin.local_addr()?));
        let (server, operators) = (Arc::clone(server), Connections::new(OPERATORS, server.options.client_time()));
        // Nobody waits for the operator at the end.
        tokio::spawn(async move { accept(&admin, &operators, &server, administer).await });
    }
    let connections = Connections::new(server.options.max_connections as usize, server.options.client_time());
    tokio::select! {
        () = accept(&public, &connections, server, answer) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    drop(public);
    // Requests that were accepted are answered.
    let _ = timeout(Duration::from_millis(server.options.grace_ms), connections.end()).await;
    Ok(())
}

/// Takes as many descriptors as the system lets the process have. Each connection has one, each body two, and what many
/// systems give at first is for programs that call `select`.
fn raise_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // Where that is refused, the limits of the options may be more than there are descriptors for.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// The socket that whoever has started the process listens on for it, as systemd does.
/// Source: `sd_listen_fds(3)`.
fn passed() -> Result<Option<TcpListener>, Box<dyn Error + Send + Sync>> {
    let passed = ListenFd::from_env().take_tcp_listener(0);
    let Some(listener) = passed.map_err(|error| format!("what LISTEN_FDS passes is not a TCP socket: {error}"))? else {
        return Ok(None);
    };
    listener.set_nonblocking(true)?;
    Ok(Some(TcpListener::from_std(listener)?))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// Accepts connections for ever.
async fn accept<F>(
    listener: &Listener,
    connections: &Connections,
    server: &Arc<Server>,
    answer: fn(Arc<Server>, SocketAddr, Request<Incoming>) -> F,
) where
    F: Future<Output = Response<Outgoing>> + Send + 'static,
{
    loop {
        match connections.admit(listener.accept()).await {
            Ok(((stream, peer), admitted)) => connect(stream, peer, admitted, server, answer),
            // The process has mostly used up its descriptors.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

fn connect<F>(
    stream: Stream,
    peer: SocketAddr,
    admitted: Admitted,
    server: &Arc<Server>,
    answer: fn(Arc<Server>, SocketAddr, Request<Incoming>) -> F,
) where
    F: Future<Output = Response<Outgoing>> + Send + 'static,
{
    let (server, turns) = (Arc::clone(server), Arc::clone(admitted.turns()));
    let service = service_fn(move |request| {
        let (turn, answer) = (turns.begin(), answer(Arc::clone(&server), peer, request));
        async move { Ok::<_, hyper::Error>(answer.await.map(|body| InTurn::new(body, turn))) }
    });
    tokio::spawn(admitted.serve(stream, service));
}

/// Answers a request of the public.
async fn answer(server: Arc<Server>, peer: SocketAddr, request: Request<Incoming>) -> Response<Outgoing> {
    let start = Instant::now();
    let line =
        server.options.access_log.then(|| format!("{} {} {:?}", request.method(), request.uri(), request.version()));
    let response = by_guest(&server, request, start).await;
    server.metrics.answered(response.status().as_u16());
    if let Some(line) = line {
        let (status, ms) = (response.status().as_u16(), start.elapsed().as_secs_f64() * 1e3);
        say(format_args!("{peer} \"{line}\" {status} {ms:.3} ms"));
    }
    response
}

/// Lets a guest answer a request that arrived at this time.
async fn by_guest(server: &Arc<Server>, request: Request<Incoming>, arrived: Instant) -> Response<Outgoing> {
    let Ok(accepted) = Arc::clone(&server.accepted).try_acquire_owned() else {
        server.metrics.refused.fetch_add(1, Ordering::Relaxed);
        return text(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait already\n");
    };
    accepted_by_guest(server, request, arrived).await.map(|body| body.accepted(accepted))
}

async fn accepted_by_guest(server: &Arc<Server>, request: Request<Incoming>, arrived: Instant) -> Response<Outgoing> {
    let running = timeout(server.options.deadline(), Arc::clone(&server.running).acquire_owned()).await;
    let running = match running {
        Ok(Ok(running)) => running,
        Ok(Err(_)) => return text(StatusCode::SERVICE_UNAVAILABLE, "the server ends\n"),
        Err(_) => {
            server.metrics.deadlines.fetch_add(1, Ordering::Relaxed);
            return too_late();
        }
    };
    let (sender, answered) = oneshot::channel();
    let this = Arc::clone(server);
    let guest = tokio::task::spawn_blocking(move || {
        // Not sooner: whoever has asked may be gone, and the guest still runs.
        let _running = (running, this.metrics.run());
        this.workers.run(request, arrived, sender)
    });
    let failure = match answered.await {
        Ok(Answer::Response { status, headers, body }) => {
            let mut response = match Outgoing::new(body) {
                Ok(body) => Response::new(body),
                Err(_) => return text(StatusCode::INTERNAL_SERVER_ERROR, "the body cannot be read\n"),
            };
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            *response.headers_mut() = headers;
            return response;
        }
        Ok(Answer::Error(code)) => {
            note(format_args!("the component answers with the error code {code}"));
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the component answers with an error\n");
        }
        // Without an answer, the guest is at its end.
        Err(_) => guest.await.unwrap_or(Err(Failure::Trapped)).err().unwrap_or(Failure::NoAnswer),
    };
    match failure {
        Failure::TooLate => too_late(),
        Failure::Trapped => text(StatusCode::INTERNAL_SERVER_ERROR, "the component has failed\n"),
        Failure::NoAnswer => text(StatusCode::INTERNAL_SERVER_ERROR, "the component has given no answer\n"),
    }
}

/// Answers a request of the operator.
async fn administer(server: Arc<Server>, _: SocketAddr, request: Request<Incoming>) -> Response<Outgoing> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/metrics") => Response::new(Outgoing::whole(server.metrics.text())),
        _ => text(StatusCode::NOT_FOUND, "GET /healthz, GET /metrics\n"),
    }
}

fn too_late() -> Response<Outgoing> {
    text(StatusCode::GATEWAY_TIMEOUT, "the deadline is over\n")
}

fn text(status: StatusCode, text: &'static str) -> Response<Outgoing> {
    let mut response = Response::new(Outgoing::whole(text));
    *response.status_mut() = status;
    response
}
