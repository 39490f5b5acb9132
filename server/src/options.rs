//! What an operator says when the server starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, value_parser};
use tokio_rustls::rustls::RootCertStore;

use crate::http::Allowed;
use crate::tls;

/// Answers requests of HTTP with a component of WebAssembly.
#[derive(Clone, Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    /// Where requests are accepted; port 0 is any. A socket that systemd passes is used in its place
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// The certificate of the server in PEM, and those that lead to its authority behind it: speaks TLS, and no plain HTTP. Read
    /// again on SIGHUP, with the key
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of the certificate in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Where `/healthz` and `/metrics` are; for nobody but the operator
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<SocketAddr>,
    /// Hosts that the component may send requests to, as NAME or NAME:PORT, `*` for all; may be repeated
    #[arg(long = "http-allow", value_name = "HOST")]
    pub(crate) http_allow: Vec<Allowed>,
    /// Certificates in PEM of the authorities that other hosts are trusted by, for requests by https, in place of the system's
    #[arg(long, value_name = "FILE", value_parser = tls::roots)]
    pub(crate) tls_roots: Option<RootCertStore>,
    /// The time that a request may take, from its head to the end of the response that the component makes, and while it waits
    /// for its turn
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 30_000, value_parser = value_parser!(u64).range(1..))]
    pub(crate) deadline_ms: u64,
    /// Connections that are open at the same time; more are accepted when one has ended
    #[arg(long, value_name = "COUNT", default_value_t = 512, value_parser = value_parser!(u32).range(1..))]
    pub(crate) max_connections: u32,
    /// The time that a client may let its connection wait: for a request, or until it takes more of a response
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 60_000, value_parser = value_parser!(u64).range(1..))]
    pub(crate) client_ms: u64,
    /// Bytes of each memory of an instance
    #[arg(long, value_name = "BYTES", default_value_t = 128 << 20)]
    pub(crate) max_memory: usize,
    /// Requests that run at the same time. One that waits, or computes for longer than 5 ms, has a thread of its own
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = value_parser!(u32).range(1..))]
    pub(crate) max_concurrency: u32,
    /// Requests that wait for their turn, and responses of which clients have not taken everything; more are answered with 503
    #[arg(long, value_name = "COUNT", default_value_t = 1024)]
    pub(crate) max_queue: usize,
    /// Requests that an instance answers one after the other before another one takes its place. With more than one, what a
    /// request has left in the component's memory is there for the next one, whoever sends it
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    pub(crate) max_requests_per_instance: u32,
    /// An environment variable of the component, as NAME=VALUE; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) variables: Vec<(String, String)>,
    /// Print a line to standard output for each request
    #[arg(long)]
    pub(crate) access_log: bool,
    /// The time that is waited for requests after SIGTERM
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 10_000)]
    pub(crate) grace_ms: u64,
}

impl Options {
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    pub(crate) fn client_time(&self) -> Duration {
        // So much that the end of this time can be computed.
        Duration::from_millis(self.client_ms).min(Duration::from_secs(86_400 * 365))
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is wanted".to_owned()),
    }
}
