//! A reverse proxy whose filters are WebAssembly modules of the Proxy-Wasm ABI 0.2.1.
//!
//! Requests pass the filters in the order of the command line, responses in the reverse order. A filter reads and changes
//! header fields and bodies, holds messages back, calls other servers and answers itself. It is a guest: it has a bounded
//! memory, a deadline for each callback, no files and no network but the servers that it is given by name.

mod abi;
mod connection;
mod filter;
mod host;
mod message;
mod plugin;
mod state;

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Parser;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use crate::connection::{Connections, builder};
use crate::filter::{Filter, Passed};
use crate::message::Message;
use crate::plugin::{Limits, Plugin};
use crate::state::{MAX_CALLS, Settings, Shared, Way};

type Failure = Box<dyn Error + Send + Sync>;

/// How long a server may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A reverse proxy with WebAssembly filters.
#[derive(Parser)]
struct Arguments {
    /// Where requests are accepted; port 0 is any
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The server that requests go to, HOST:PORT
    #[arg(long)]
    upstream: String,
    /// A filter: its library, made by `wasmelt compile --emit cdylib --interruptible --library-name filter`; may be repeated
    #[arg(long = "filter", value_name = "FILE[=CONFIGURATION]", required = true)]
    filters: Vec<String>,
    /// A server that filters may call by this name; may be repeated
    #[arg(long = "cluster", value_name = "NAME=HOST:PORT", value_parser = named)]
    clusters: Vec<(String, String)>,
    /// Instances of each filter, which work at the same time
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u16).range(1..))]
    instances: u16,
    /// Connections that are open at the same time
    #[arg(long, default_value = "512", value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// Milliseconds for which a client may let a connection wait: for a request, or while it takes the response
    #[arg(long, default_value = "60000", value_parser = clap::value_parser!(u32).range(1..))]
    client_ms: u32,
    /// Bytes of a body
    #[arg(long = "max-body", default_value = "1048576")]
    max_body_bytes: usize,
    #[command(flatten)]
    limits: Limits,
}

fn named(text: &str) -> Result<(String, String), String> {
    let (name, server) = text.split_once('=').ok_or("NAME=HOST:PORT is wanted")?;
    Ok((name.to_owned(), server.to_owned()))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = Runtime::new().map_err(Failure::from).and_then(|runtime| runtime.block_on(serve(arguments)));
    if let Err(error) = result {
        eprintln!("error: {error}");
    }
    ExitCode::FAILURE
}

/// What requests go through.
struct Proxy {
    upstream: String,
    max_body_bytes: usize,
    /// The instances of each filter.
    filters: Vec<Vec<Arc<Filter>>>,
    turn: AtomicUsize,
}

impl Proxy {
    fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let clusters: Arc<HashMap<_, _>> = Arc::new(arguments.clusters.iter().cloned().collect());
        let mut filters = Vec::new();
        for filter in &arguments.filters {
            let (file, configuration) = filter.split_once('=').unwrap_or((filter, ""));
            let name = Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let settings = Settings {
                name,
                configuration: configuration.as_bytes().to_vec(),
                clusters: Arc::clone(&clusters),
                shared: Shared::default(),
                calls: Arc::new(Semaphore::new(MAX_CALLS)),
                max_body_bytes: arguments.max_body_bytes,
            };
            let start = |_| Filter::start(Plugin::load(&PathBuf::from(file), settings.clone(), arguments.limits)?);
            let instances = (0..arguments.instances).map(start).collect::<Result<_, _>>();
            filters.push(instances.map_err(|e| format!("filter {file}: {e}"))?);
        }
        let (upstream, max_body_bytes) = (arguments.upstream.clone(), arguments.max_body_bytes);
        Ok(Self { upstream, max_body_bytes, filters, turn: AtomicUsize::new(0) })
    }

    /// The response to a request that has passed so many filters.
    fn respond(
        self: Arc<Self>,
        passed: usize,
        request: Message,
    ) -> Pin<Box<dyn Future<Output = Result<Message, Failure>> + Send>> {
        Box::pin(async move {
            let Some(instances) = self.filters.get(passed) else {
                return request.send(&self.upstream, TIMEOUT, self.max_body_bytes).await;
            };
            let filter = &instances[self.turn.fetch_add(1, Ordering::Relaxed) % instances.len()];
            let passage = filter.begin().map_err(wasmelt_embed::Error::into_boxed)?;
            let request = passage.pass(Way::Request, request).await.map_err(wasmelt_embed::Error::into_boxed)?;
            let response = match request {
                Passed::GoesOn(request) => Arc::clone(&self).respond(passed + 1, request).await?,
                // The filter sees its own answer as it sees others.
                Passed::Answered(answer) => answer,
            };
            match passage.pass(Way::Response, response).await.map_err(wasmelt_embed::Error::into_boxed)? {
                Passed::GoesOn(response) | Passed::Answered(response) => Ok(response),
            }
        })
    }
}

async fn serve(arguments: Arguments) -> Result<(), Failure> {
    let proxy = Arc::new(Proxy::new(&arguments)?);
    let listener = TcpListener::bind(arguments.listen).await?;
    println!("listening on {}", listener.local_addr()?);
    let connections = Connections::new(arguments.max_connections, Duration::from_millis(arguments.client_ms.into()));
    loop {
        let (stream, permit, activity) = connections.accept(&listener).await;
        let (proxy, requests) = (Arc::clone(&proxy), Arc::clone(&activity));
        let service = service_fn(move |request| requests.answering(answer(Arc::clone(&proxy), request)));
        let connection = builder().serve_connection(TokioIo::new(stream), service).into_owned();
        let mut serving = tokio::spawn(connection);
        tokio::spawn(async move {
            tokio::select! {
                _ = &mut serving => {}
                () = activity.is_over() => {
                    serving.abort();
                    // The connection is there until then.
                    let _ = serving.await;
                }
            }
            drop(permit);
        });
    }
}

/// Answers a request; a filter or a server that fails is the proxy's answer.
async fn answer(
    proxy: Arc<Proxy>,
    request: Request<Incoming>,
) -> Result<hyper::Response<http_body_util::Full<hyper::body::Bytes>>, Failure> {
    let refusal = |status, text: &str| Message::text(status, text).into_response();
    let read = tokio::time::timeout(TIMEOUT, Message::of_request(request, proxy.max_body_bytes)).await;
    let request = match read {
        Ok(Ok(request)) => request,
        Ok(Err(_)) => return refusal(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long, or was broken off\n"),
        Err(_) => return refusal(StatusCode::REQUEST_TIMEOUT, "the request took too long\n"),
    };
    match proxy.respond(0, request).await.and_then(Message::into_response) {
        Ok(response) => Ok(response),
        Err(error) => {
            eprintln!("[error] {error}");
            refusal(StatusCode::BAD_GATEWAY, "a filter or the server has failed\n")
        }
    }
}
