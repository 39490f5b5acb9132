//! Requests of guests to other hosts.

use std::net::TcpListener;
use std::path::Path;

use libtest_mimic::Failed;

use super::{Server, expect};

/// Requests of a guest go where the operator says.
pub(super) fn outside(program: &Path) -> Result<(), Failed> {
    let closed = Server::start(program, &[])?;
    let to = format!("x-to: {}\r\n", closed.public);
    let denied = closed.ask("/fetch", &to, b"")?;
    expect(&denied, "/fetch", 502, &["HttpRequestDenied"])?;
    let open = Server::start(program, &["--http-allow", &closed.public.to_string()])?;
    let fetched = open.ask("/fetch", &to, b"")?;
    expect(&fetched, "/fetch", 200, &["Hello, world!\n"])?;
    let denied = open.ask("/fetch", &format!("x-to: {}\r\n", closed.admin), b"")?;
    expect(&denied, "/fetch", 502, &["HttpRequestDenied"])?;
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let all = Server::start(program, &["--http-allow", "*"])?;
    let refused = all.ask("/fetch", &format!("x-to: {gone}\r\n"), b"")?;
    expect(&refused, "/fetch", 502, &["ConnectionRefused"])?;
    // By name.
    let named = all.ask("/fetch", &format!("x-to: localhost:{}\r\n", closed.public.port()), b"")?;
    expect(&named, "/fetch", 200, &["Hello, world!\n"])?;
    // Nobody answers: requests are limited, and end with the one that has made them.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let descriptors = all.descriptors()?;
    let many = all.ask("/many?40", &format!("x-to: {}\r\n", silent.local_addr()?), b"")?;
    expect(&many, "/many", 200, &["16 Some(ErrorCode::ConnectionLimitReached)"])?;
    all.wait_for(descriptors)
}
