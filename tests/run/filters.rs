//! The reverse proxy of `examples/proxy-wasm`: filters that were made with the Rust SDK of Proxy-Wasm, and hostile ones.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use libtest_mimic::{Failed, Trial};

use crate::edge::{ask, ask_with, build, silent_clients_go, start};
use crate::support;

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("filters::of_the_sdk_and_hostile_ones", of_the_sdk_and_hostile_ones)]
}

/// A proxy that ends with the test.
struct Proxy(Child, SocketAddr);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Proxy {
    fn start(program: &Path, filters: &[String], servers: [SocketAddr; 2]) -> Result<Self, Failed> {
        Self::with(program, filters, servers, &[])
    }

    fn with(program: &Path, filters: &[String], servers: [SocketAddr; 2], more: &[&str]) -> Result<Self, Failed> {
        let mut command = Command::new(program);
        command.args(more);
        command.args(["--listen", "127.0.0.1:0", "--deadline-ms", "2000", "--upstream", &servers[0].to_string()]);
        command.arg("--cluster").arg(format!("judge={}", servers[1]));
        filters.iter().for_each(|filter| _ = command.args(["--filter", filter]));
        let (process, addresses) = start(command.stderr(Stdio::null()), 1)?;
        Ok(Self(process, addresses[0]))
    }
}

/// A server that answers for as long as the test runs: `answer` gets the head and the body of each request.
fn serve(answer: fn(&str, Vec<u8>) -> Vec<u8>) -> Result<SocketAddr, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = serve_one(stream, answer);
            });
        }
    });
    Ok(address)
}

fn serve_one(mut stream: TcpStream, answer: fn(&str, Vec<u8>) -> Vec<u8>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(Ok(0), str::parse);
    let mut body = vec![0; len.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let body = answer(&head, body);
    write!(stream, "HTTP/1.1 200 OK\r\nX-Server: s\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(&body)
}

fn library(source: &Path, folder: &Path, name: &str) -> Result<PathBuf, Failed> {
    let library = folder.join(name).with_extension("so");
    support::compile(source, &library, ["--emit", "cdylib", "--interruptible", "--library-name", "filter"])?;
    Ok(library)
}

fn of_the_sdk_and_hostile_ones() -> Result<(), Failed> {
    let (program, folder) = (build("wasmelt-proxy-wasm")?, support::scratch());
    let upstream = serve(|head, body| match head.split(' ').nth(1) {
        Some(path) if path.ends_with("/secret") => b"this is secret ".repeat(5000),
        _ => body,
    })?;
    let judge = serve(|head, _| if head.contains("/allowed") { b"yes".to_vec() } else { b"no".to_vec() })?;
    of_the_sdk(&program, folder.path(), [upstream, judge])?;
    hostile(&program, folder.path(), [upstream, judge])?;
    greedy(&program, folder.path(), upstream)?;
    impatient(&program, folder.path(), upstream)
}

fn of_the_sdk(program: &Path, folder: &Path, servers: [SocketAddr; 2]) -> Result<(), Failed> {
    let source = support::repository().join("examples/proxy-wasm/filters.wasm");
    let library = library(&source, folder, "filters")?;
    let filter = |configuration| format!("{}={configuration}", library.display());
    let refused =
        Command::new(program).args(["--upstream", "127.0.0.1:1", "--filter", &filter("nonsense")]).output()?;
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(message.contains("the plugin refuses: proxy_on_configure returned false"), "{message}");
    let proxy = Proxy::start(program, &["greet", "stamp a b", "ask", "redact"].map(filter), servers)?;

    let (status, head, body) = ask(proxy.1, "GET", "/greeting", b"")?;
    assert_eq!((status, body.as_slice()), (200, &b"good day\n"[..]), "{head}");
    assert!(head.contains("x-greeter: a filter") && !head.contains("x-stamp"), "the first one has answered: {head}");
    let (status, head, body) = ask(proxy.1, "GET", "/else", b"")?;
    assert_eq!((status, body.as_slice()), (403, &b"the judge says no\n"[..]));
    assert!(head.contains("x-stamp: a b"), "{head}");
    let (status, head, body) = ask(proxy.1, "GET", "/allowed/secret", b"")?;
    assert_eq!((status, body.as_slice()), (200, &b"75000 bytes are not for you\n"[..]));
    assert!(head.contains("x-stamp: a b") && head.contains("x-server: s"), "{head}");
    // Many at once, each in several parts.
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                scope.spawn(move || -> Result<(), String> {
                    for n in 0..25 {
                        let sent = format!("client {client}, request {n}. ").repeat(20 + 100 * n);
                        let (status, head, body) = ask(proxy.1, "POST", "/allowed", sent.as_bytes())?;
                        assert_eq!((status, body == sent.as_bytes()), (200, true), "{head}");
                    }
                    Ok(())
                })
            })
            .collect();
        clients.into_iter().try_for_each(|client| client.join().unwrap())
    })?;
    // What another server does not answer is a call that has failed.
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let alone = Proxy::start(program, &[filter("ask")], [servers[0], nobody])?;
    assert_eq!(ask(alone.1, "GET", "/allowed", b"")?.0, 403);
    Ok(())
}

/// What it does follows from the number of header fields, pseudo-fields included.
const HOSTILE: &str = r#"(module
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (import "env" "proxy_get_buffer_bytes" (func $bytes (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_header_map_pairs" (func $set (param i32 i32 i32) (result i32)))
    (import "env" "proxy_record_metric" (func $metric (param i32 i64) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\ff\ff\ff\ff\ff\ff\ff\ff")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const -8))
    (func $must (param i32 i32) (if (i32.ne (local.get 0) (local.get 1)) (then (unreachable))))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (call $must (i32.const 6) (call $log (i32.const 0) (i32.const -1) (i32.const 100)))
        (call $must (i32.const 6) (call $log (i32.const 0) (i32.const 65530) (i32.const 7)))
        (call $must (i32.const 2) (call $log (i32.const 77) (i32.const 0) (i32.const 0)))
        (call $must (i32.const 6) (call $bytes (i32.const 7) (i32.const 0) (i32.const 9) (i32.const 8) (i32.const 12)))
        (call $must (i32.const 2) (call $bytes (i32.const 9) (i32.const 0) (i32.const 9) (i32.const 8) (i32.const 12)))
        (call $must (i32.const 3) (call $set (i32.const 0) (i32.const 0) (i32.const 8)))
        (if (i32.eq (local.get 1) (i32.const 8)) (then (loop $l (br $l))))
        (if (i32.eq (local.get 1) (i32.const 9)) (then (unreachable)))
        (if (i32.eq (local.get 1) (i32.const 10)) (then (return (i32.load (i32.const -4)))))
        (if (i32.eq (local.get 1) (i32.const 11)) (then (drop (call $metric (i32.const 0) (i64.const 0)))))
        (i32.const 0)))"#;

fn hostile(program: &Path, folder: &Path, servers: [SocketAddr; 2]) -> Result<(), Failed> {
    let source = folder.join("hostile.wat");
    fs::write(&source, HOSTILE)?;
    let filter = library(&source, folder, "hostile")?.display().to_string();
    let proxy = Proxy::start(program, &[filter + "=some text"], servers)?;
    // Four pseudo-fields, `Connection` and `Content-Length`.
    for (count, wanted) in [(6, 200), (8, 502), (6, 200), (9, 502), (10, 502), (11, 502), (6, 200), (7, 200)] {
        let more = "X-More: 1\r\n".repeat(count - 6);
        let (status, _, body) = ask_with(proxy.1, "GET", "/", &more, b"")?;
        assert_eq!(status, wanted, "{count} fields: {}", String::from_utf8_lossy(&body));
    }
    let source = folder.join("none.wat");
    fs::write(&source, "(module)")?;
    let none = library(&source, folder, "none")?;
    let refused = Command::new(program).args(["--upstream", "127.0.0.1:1", "--filter"]).arg(none).output()?;
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(message.contains("is not a plugin of the Proxy-Wasm ABI 0.2.1"), "{message}");
    Ok(())
}

/// A filter that wants the proxy to keep too much for it: what it does follows from the number of header fields. It answers with
/// a status that says how often something was refused, or how many exchanges it has begun.
const GREEDY: &str = r#"(module
    (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_header_map_pairs" (func $set (param i32 i32 i32) (result i32)))
    (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response" (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 16)
    (global $begun (mut i32) (i32.const 0))
    (data (i32.const 16) "silent")
    (data (i32.const 64) "\03\00\00\00\07\00\00\00\01\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00")
    (data (i32.const 92) ":method\00G\00:path\00/\00:authority\00a\00")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))
    (func (export "proxy_on_context_create") (param i32 i32)
        (global.set $begun (i32.add (global.get $begun) (i32.const 1))))
    (func (export "proxy_on_done") (param i32) (result i32) (i32.const 0))
    (func $fields (result i32) (local $n i32)
        (loop $more
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $more (i32.and (i32.lt_u (local.get $n) (i32.const 20000))
                (i32.eqz (call $add (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 16) (i32.const 0))))))
        ;; A list of 20,000 fields without a letter.
        (i32.store (i32.const 65536) (i32.const 20000))
        (i32.add (i32.lt_u (local.get $n) (i32.const 20000))
            (i32.eq (i32.const 3) (call $set (i32.const 0) (i32.const 65536) (i32.const 300000)))))
    (func $calls (result i32) (local $n i32) (local $refused i32)
        (loop $more
            (local.set $refused (i32.add (local.get $refused) (i32.ne (i32.const 0) (call $call
                (i32.const 16) (i32.const 6) (i32.const 64) (i32.const 63) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 600000) (i32.const 8)))))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $n) (i32.const 60))))
        (local.get $refused))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (local $status i32)
        (local.set $status (global.get $begun))
        (if (i32.eq (local.get 1) (i32.const 7)) (then (local.set $status (call $fields))))
        (if (i32.eq (local.get 1) (i32.const 8)) (then (local.set $status (call $calls))))
        (call $answer (i32.add (i32.const 200) (local.get $status)) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))))"#;

fn greedy(program: &Path, folder: &Path, upstream: SocketAddr) -> Result<(), Failed> {
    let source = folder.join("greedy.wat");
    fs::write(&source, GREEDY)?;
    let filter = library(&source, folder, "greedy")?.display().to_string();
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let cluster = format!("silent={}", silent.local_addr()?);
    let options = ["--instances", "1", "--cluster", &cluster];
    let proxy = Proxy::with(program, &[filter], [upstream; 2], &options)?;
    let status = |more: usize| ask_with(proxy.1, "GET", "/", &"X-More: 1\r\n".repeat(more), b"").map(|answer| answer.0);
    assert_eq!(status(1)?, 202, "fields");
    // There are 100 calls at a time, whatever callback has begun them.
    assert_eq!((status(2)?, status(2)?), (200, 220), "calls");
    // Exchanges that it never ends cost it the instance; no exchange fails that is under way.
    for _ in 0..150 {
        let begun = status(0)? - 200;
        assert!((1..=70).contains(&begun), "{begun} exchanges");
    }
    Ok(())
}

/// Clients that let their connections wait lose them.
fn impatient(program: &Path, folder: &Path, upstream: SocketAddr) -> Result<(), Failed> {
    let filter = folder.join("hostile.so").display().to_string();
    let options = ["--client-ms", "2000", "--max-connections", "2"];
    let proxy = Proxy::with(program, &[filter + "=some text"], [upstream; 2], &options)?;
    silent_clients_go(proxy.1)
}
