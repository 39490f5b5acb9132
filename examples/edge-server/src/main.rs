//! An HTTP server whose tenants are WebAssembly modules that strangers may have written.
//!
//! The first part of a request's path names the tenant. Each request gets an instance of its own, which answers as a CGI
//! program does (RFC 3875, see [`cgi`]), and which has nothing but the request: a bounded memory, a deadline, no files, no
//! network. What a tenant may take of the machine is bounded as well, see [`tenant`].

mod cgi;
#[path = "../../proxy-wasm/src/connection.rs"]
mod connection;
mod metrics;
mod tenant;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::cgi::Question;
use crate::connection::{Connections, builder};
use crate::tenant::{Limits, Refusal, Tenants};

type Answer = Response<Full<Bytes>>;

/// Connections of operators at the same time.
const OPERATORS: u16 = 16;

/// What is waited for after SIGTERM, at most.
const GRACE: Duration = Duration::from_secs(10);

/// Serves HTTP requests with WebAssembly modules.
#[derive(Parser)]
struct Arguments {
    /// Where requests are accepted; port 0 is any
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where metrics are served and tenants replaced; for nobody but the operator
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// A tenant and its library, made by `wasmelt compile --emit cdylib --interruptible`; may be repeated
    #[arg(long = "tenant", value_name = "NAME=FILE", value_parser = named)]
    tenants: Vec<(String, PathBuf)>,
    /// Connections that are open at the same time
    #[arg(long, default_value = "512", value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// Milliseconds for which a client may let a connection wait: for a request, or while it takes the answer
    #[arg(long, default_value = "60000", value_parser = clap::value_parser!(u32).range(1..))]
    client_ms: u32,
    #[command(flatten)]
    limits: Limits,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !name.contains('/') => Ok((name.to_owned(), file.into())),
        _ => Err("NAME=FILE is wanted".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(serve(arguments));
    // Guests that sleep are not waited for.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let tenants = Arc::new(Tenants::new(arguments.limits)?);
    for (name, file) in &arguments.tenants {
        tenants.load(name, file).map_err(|e| format!("tenant {name}, {}: {e}", file.display()))?;
    }
    let client_time = Duration::from_millis(arguments.client_ms.into());
    let (public, graceful) = (TcpListener::bind(arguments.listen).await?, GracefulShutdown::new());
    println!("listening on {}", public.local_addr()?);
    if let Some(address) = arguments.admin {
        let admin = TcpListener::bind(address).await?;
        println!("administration on {}", admin.local_addr()?);
        let (tenants, operators) = (Arc::clone(&tenants), Connections::new(OPERATORS, client_time));
        // Nobody waits for the operator at the end.
        tokio::spawn(async move { accept(&admin, &operators, &GracefulShutdown::new(), &tenants, administer).await });
    }
    let connections = Connections::new(arguments.max_connections, client_time);
    let mut end = signal(SignalKind::terminate())?;
    tokio::select! {
        () = accept(&public, &connections, &graceful, &tenants, answer) => {}
        _ = end.recv() => {}
    }
    drop(public);
    // Requests that were accepted are answered.
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    Ok(())
}

/// Accepts connections for ever.
async fn accept<F>(
    listener: &TcpListener,
    connections: &Connections,
    graceful: &GracefulShutdown,
    tenants: &Arc<Tenants>,
    answer: fn(Arc<Tenants>, Request<Incoming>) -> F,
) where
    F: Future<Output = Answer> + Send + 'static,
{
    loop {
        let (stream, permit, activity) = connections.accept(listener).await;
        let (tenants, requests) = (Arc::clone(tenants), Arc::clone(&activity));
        let service = service_fn(move |request| {
            let answer = requests.answering(answer(Arc::clone(&tenants), request));
            async move { Ok::<_, hyper::Error>(answer.await) }
        });
        let connection = builder().serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            tokio::select! {
                // What has come just in time is seen first.
                biased;
                _ = connection => {}
                () = activity.is_over() => {}
            }
            drop(permit);
        });
    }
}

/// Answers a request of the public.
async fn answer(tenants: Arc<Tenants>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_start_matches('/');
    let (name, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
    let Some(tenant) = tenants.find(name) else { return text(StatusCode::NOT_FOUND, "no such tenant\n") };
    // A slow sender takes a connection, and nothing else.
    let body = Limited::new(body, tenants.limits.max_body_bytes).collect();
    let body = match tokio::time::timeout(Duration::from_secs(30), body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return text(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long, or was broken off\n"),
        Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the request took too long\n"),
    };
    let question = Question::new(&head, name, rest, body);
    match tenant.answer(&tenants, question).await {
        Ok(answer) => answer,
        Err(refusal) => {
            let status = match refusal {
                Refusal::Busy | Refusal::Punished => StatusCode::SERVICE_UNAVAILABLE,
                Refusal::TooLate => StatusCode::GATEWAY_TIMEOUT,
                Refusal::Failed | Refusal::NoAnswer => StatusCode::BAD_GATEWAY,
            };
            text(status, &format!("{refusal}\n"))
        }
    }
}

/// Answers a request of the operator.
async fn administer(tenants: Arc<Tenants>, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    match (head.method, head.uri.path().split('/').collect::<Vec<_>>().as_slice()) {
        (Method::GET, ["", "metrics"]) => text(StatusCode::OK, &tenants.metrics()),
        (Method::GET, ["", "healthz"]) => text(StatusCode::OK, "ok\n"),
        // The body is the path of a library on this machine.
        (Method::PUT, ["", "tenants", name]) if !name.is_empty() => {
            let Ok(body) = Limited::new(body, 4096).collect().await else {
                return text(StatusCode::PAYLOAD_TOO_LARGE, "the body is the path of a library\n");
            };
            let file = String::from_utf8_lossy(&body.to_bytes()).trim().to_owned();
            match tenants.load(name, file.as_ref()) {
                Ok(()) => text(StatusCode::OK, "loaded\n"),
                Err(error) => text(StatusCode::BAD_REQUEST, &format!("{error}\n")),
            }
        }
        _ => text(StatusCode::NOT_FOUND, "GET /metrics, GET /healthz, PUT /tenants/NAME\n"),
    }
}

fn text(status: StatusCode, text: &str) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::copy_from_slice(text.as_bytes())));
    *answer.status_mut() = status;
    answer
}
