//! Requests of guests to other hosts: where they go, and what is sent there.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::thread;

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
    // Neither a user nor a port that is none leaves the machine.
    for to in [format!("other@{}", closed.public), "127.0.0.1:99999".to_owned(), "127.0.0.1:".to_owned()] {
        let refused = all.ask("/fetch", &format!("x-to: {to}\r\n"), b"")?;
        expect(&refused, &to, 502, &["HttpRequestUriInvalid"])?;
    }
    named_otherwise(program)?;
    let named = all.ask("/fetch", &format!("x-to: localhost:{}\r\n", closed.public.port()), b"")?;
    expect(&named, "/fetch", 200, &["Hello, world!\n"])?;
    // Nobody answers: requests are limited, and end with the one that has made them.
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let descriptors = all.descriptors()?;
    let many = all.ask("/many?40", &format!("x-to: {}\r\n", silent.local_addr()?), b"")?;
    expect(&many, "/many", 200, &["16 Some(ErrorCode::ConnectionLimitReached)"])?;
    all.wait_for(descriptors)
}

/// One host has several names, and each of them is sent in the same way. The head of a response has a limit.
fn named_otherwise(program: &Path) -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let allowed = format!("LocalHost.:{port}");
    let server = Server::start(program, &["--http-allow", &allowed, "--http-allow", "[0:0::1]:1"])?;
    let host = thread::spawn(move || -> io::Result<Vec<String>> {
        let mut asked = Vec::new();
        for length in [1000, 300_000] {
            let mut stream = BufReader::new(listener.accept()?.0);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head)? != 0 {}
            asked.push(head);
            let field = "x".repeat(length);
            // Who asks may be gone before all of this has left.
            let _ = write!(stream.get_mut(), "HTTP/1.1 200 OK\r\nx-long: {field}\r\ncontent-length: 2\r\n\r\nok");
        }
        Ok(asked)
    });
    for (to, status, part) in [("localhost", 200, "ok"), ("LOCALHOST.", 502, "HttpResponseIncomplete")] {
        let response = server.ask("/fetch", &format!("x-to: {to}:{port}\r\n"), b"")?;
        expect(&response, to, status, &[part])?;
    }
    let asked = host.join().map_err(|_| "the host panicked")??;
    if let Some(head) = asked.iter().find(|head| !head.contains(&format!("host: localhost:{port}\r\n"))) {
        return Err(format!("another host is asked by {head:?}").into());
    }
    // Whether or not there is IPv6: it is not the operator who denies this.
    let response = server.ask("/fetch", "x-to: [::1]:1\r\n", b"")?;
    if response.contains("HttpRequestDenied") { Err("an address is denied".into()) } else { Ok(()) }
}
