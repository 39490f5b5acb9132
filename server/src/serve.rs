//! The server: connections, requests, and what an operator sees of them.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use listenfd::ListenFd;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use wasmelt_embed::component::Component;

use crate::body::Outgoing;
use crate::connection::{Admitted, Connections, InTurn};
use crate::crew::{Crew, Share};
use crate::http::Answer;
use crate::listener::{Accepted, Listener};
use crate::metrics::Metrics;
use crate::options::Options;
use crate::tls::{self, Tls};
use crate::worker::{Failure, Workers};
use crate::{note, say};

/// Connections of operators at the same time.
const OPERATORS: usize = 16;

/// How long deadlines may be passed by, and the time after which a guest is one that runs for long.
const TICK: Duration = Duration::from_millis(5);

struct Server {
    crew: Crew,
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
    let crew = Crew::new()?;
    let metrics = Arc::new(Metrics::default());
    let workers = Arc::new(Workers::new(component, options.clone(), Arc::clone(&metrics))?);
    let count = (options.max_concurrency as usize).min(Semaphore::MAX_PERMITS / 2);
    let server = Arc::new(Server {
        crew: crew.clone(),
        workers: Arc::clone(&workers),
        metrics,
        running: Arc::new(Semaphore::new(count)),
        accepted: Arc::new(Semaphore::new(count + options.max_queue.min(Semaphore::MAX_PERMITS / 2))),
        options,
    });
    let (sender, end) = mpsc::channel();
    crew.share().spawn(async move {
        // The other side waits for this.
        let _ = sender.send(serve(&server, tls.map(Arc::new)).await);
    });
    crew.start(TICK, move || workers.tick())?;
    // Guests that go on are not waited for.
    end.recv()?
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

/// Who asks.
#[derive(Clone)]
struct Client {
    server: Arc<Server>,
    /// What the connection is in.
    share: Arc<Share>,
    peer: SocketAddr,
}

/// Accepts connections for ever.
async fn accept<F>(
    listener: &Listener,
    connections: &Connections,
    server: &Arc<Server>,
    answer: fn(Client, Request<Incoming>) -> F,
) where
    F: Future<Output = Response<Outgoing>> + Send + 'static,
{
    loop {
        match connections.admit(listener.accept()).await {
            Ok(((accepted, peer), admitted)) => {
                let share = Arc::clone(server.crew.share());
                connect(accepted, admitted, Client { server: Arc::clone(server), share, peer }, answer);
            }
            // The process has mostly used up its descriptors.
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

fn connect<F>(accepted: Accepted, admitted: Admitted, client: Client, answer: fn(Client, Request<Incoming>) -> F)
where
    F: Future<Output = Response<Outgoing>> + Send + 'static,
{
    let (share, turns) = (Arc::clone(&client.share), Arc::clone(admitted.turns()));
    let service = service_fn(move |request| {
        let (turn, answer) = (turns.begin(), answer(client.clone(), request));
        async move { Ok::<_, hyper::Error>(answer.await.map(|body| InTurn::new(body, turn))) }
    });
    share.connect(async move {
        // Without a descriptor to watch the connection by, it ends.
        if let Ok(stream) = accepted.stream() {
            admitted.serve(stream, service).await;
        }
    });
}

/// Answers a request of the public.
async fn answer(client: Client, request: Request<Incoming>) -> Response<Outgoing> {
    let (server, peer) = (&client.server, client.peer);
    let start = Instant::now();
    let line =
        server.options.access_log.then(|| format!("{} {} {:?}", request.method(), request.uri(), request.version()));
    let response = by_guest(&client, request, start).await;
    server.metrics.answered(response.status().as_u16());
    if let Some(line) = line {
        let (status, ms) = (response.status().as_u16(), start.elapsed().as_secs_f64() * 1e3);
        say(format_args!("{peer} \"{line}\" {status} {ms:.3} ms"));
    }
    response
}

/// Lets a guest answer a request that arrived at this time.
async fn by_guest(client: &Client, request: Request<Incoming>, arrived: Instant) -> Response<Outgoing> {
    let server = &client.server;
    let Ok(accepted) = Arc::clone(&server.accepted).try_acquire_owned() else {
        server.metrics.refused.fetch_add(1, Ordering::Relaxed);
        return text(StatusCode::SERVICE_UNAVAILABLE, "too many requests wait already\n");
    };
    accepted_by_guest(client, request, arrived).await.map(|body| body.accepted(accepted))
}

async fn accepted_by_guest(client: &Client, request: Request<Incoming>, arrived: Instant) -> Response<Outgoing> {
    let server = &client.server;
    let permit = timeout(server.options.deadline(), Arc::clone(&server.running).acquire_owned()).await;
    let permit = match permit {
        Ok(Ok(permit)) => permit,
        Ok(Err(_)) => return text(StatusCode::SERVICE_UNAVAILABLE, "the server ends\n"),
        Err(_) => {
            server.metrics.deadlines.fetch_add(1, Ordering::Relaxed);
            return too_late();
        }
    };
    let (sender, answered) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let this = Arc::clone(server);
    server.crew.run(&client.share, move || {
        let running = this.metrics.run();
        let result = this.workers.run(request, arrived, sender);
        // Not sooner: whoever has asked may be gone, and the guest still runs.
        drop(running);
        drop(permit);
        let _ = end.send(result);
    });
    let failure = match answered.await {
        Ok(Answer::Response { status, headers, body }) => {
            let mut response = Response::new(Outgoing::new(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            *response.headers_mut() = headers;
            return response;
        }
        Ok(Answer::Error(code)) => {
            note(format_args!("the component answers with the error code {code}"));
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the component answers with an error\n");
        }
        // Without an answer, the guest is at its end.
        Err(_) => ended.await.unwrap_or(Err(Failure::Trapped)).err().unwrap_or(Failure::NoAnswer),
    };
    match failure {
        Failure::TooLate => too_late(),
        Failure::Trapped => text(StatusCode::INTERNAL_SERVER_ERROR, "the component has failed\n"),
        Failure::NoAnswer => text(StatusCode::INTERNAL_SERVER_ERROR, "the component has given no answer\n"),
    }
}

/// Answers a request of the operator.
async fn administer(client: Client, request: Request<Incoming>) -> Response<Outgoing> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => text(StatusCode::OK, "ok\n"),
        (&Method::GET, "/metrics") => Response::new(Outgoing::whole(client.server.metrics.text())),
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
