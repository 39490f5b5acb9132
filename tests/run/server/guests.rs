//! Guests that do wrong, that take their time, and that answer several requests.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use super::{Server, connect, expect, hello};

/// Guests that do wrong end their own requests, while others are answered.
pub(super) fn hostile(program: &Path) -> Result<(), Failed> {
    // Only the guests that do not end have little time: others are to be answered, however busy the machine is.
    let start = |ms| Server::start(program, &["--deadline-ms", ms, "--max-memory", "33554432"]);
    let (server, hurried) = (&start("20000")?, &start("1000")?);
    thread::scope(|scope| {
        let good = scope.spawn(|| (0..200).try_for_each(|_| server.expect("/hello", 200, &["Hello, world!\n"])));
        let failing = ["/trap", "/allocate", "/fields", "/names", "/objects", "/bodies?48", "/nothing", "/error"]
            .map(|path| (path, 500));
        for (path, status) in failing {
            server.expect(path, status, &[])?;
        }
        for path in ["/loop", "/sleep"] {
            hurried.expect(path, 504, &[])?;
        }
        // The head was sent before the guest went wrong: the response breaks off.
        for (server, path) in [(server, "/half"), (server, "/short"), (hurried, "/endless")] {
            broken_off(server, path)?;
        }
        // A client that never sends the body that it has promised.
        let mut slow = connect(hurried.public)?;
        slow.write_all(b"POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\nsome")?;
        let mut response = [0; 12];
        slow.read_exact(&mut response)?;
        if response != *b"HTTP/1.1 504" {
            return Err(format!("a slow client gets {}", String::from_utf8_lossy(&response)).into());
        }
        // Nothing of the request is left, so the connection ends.
        slow.read_to_end(&mut Vec::new()).map_err(|error| format!("after the 504 of a slow client: {error}"))?;
        good.join().map_err(|_| "good requests panicked")?
    })?;
    server.expect("/hello", 200, &["Hello, world!\n"])?;
    // The guest of the last request may not have ended.
    let start = Instant::now();
    while hurried.counter("wasmelt_running ")? != 0 && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(10));
    }
    let (running, deadlines) = (hurried.counter("wasmelt_running ")?, hurried.counter("wasmelt_deadlines_total ")?);
    if running != 0 || deadlines < 3 {
        return Err(format!("{running} guests run, {deadlines} deadlines are over").into());
    }
    Ok(())
}

/// A response that has begun breaks off.
fn broken_off(server: &Server, path: &str) -> Result<(), Failed> {
    let mut response = String::new();
    // On a busy machine, a deadline may be over before the response begins.
    for _ in 0..10 {
        // The server may close before what was written has left.
        response = server.ask(path, "", b"")?;
        if !response.starts_with("HTTP/1.1 504 ") {
            break;
        }
    }
    if response.ends_with("\r\n0\r\n\r\n") || response.contains("HTTP/1.1 5") {
        return Err(format!("{path} has the response {:?}", response.get(..response.len().min(200))).into());
    }
    Ok(())
}

/// An instance that answers several requests has nothing of the one before.
pub(super) fn reused(program: &Path) -> Result<(), Failed> {
    let server = Server::start(program, &["--max-requests-per-instance", "50", "--max-concurrency", "2"])?;
    for _ in 0..120 {
        server.expect("/hello", 200, &["Hello, world!\n"])?;
    }
    server.expect("/trap", 500, &[])?;
    // What an instance keeps of a request ends with the request.
    for _ in 0..4 {
        let mut stream = connect(server.public)?;
        stream.write_all(b"GET /keep HTTP/1.1\r\nhost: test\r\n\r\n")?;
        // The server may close before what was written has left.
        stream.read_to_end(&mut Vec::new()).map_err(|error| format!("/keep goes on: {error}"))?;
    }
    let response = server.ask("/echo", "", b"whole body")?;
    expect(&response, "/echo", 200, &["whole body"])
}

/// Requests that wait for a thread have no more time than others.
pub(super) fn queued(program: &Path) -> Result<(), Failed> {
    let server = Server::start(program, &["--deadline-ms", "300", "--max-concurrency", "1"])?;
    thread::scope(|scope| {
        let asking: Vec<_> = (0..20).map(|_| scope.spawn(|| server.expect("/sleep", 504, &[]))).collect();
        asking.into_iter().try_for_each(|asking| asking.join().map_err(|_| "a request panicked")?)
    })?;
    // With a time for each of its own, the guests would take twenty times as long as one.
    let seconds: f64 = server.metric("wasmelt_guest_seconds_sum ")?.parse()?;
    let deadlines = server.counter("wasmelt_deadlines_total ")?;
    if deadlines != 20 || seconds >= 20.0 * 0.3 {
        return Err(format!("of twenty requests, {deadlines} are too late, and guests take {seconds} s").into());
    }
    Ok(())
}

/// Guests that run or wait for a long time hold no connection up, whichever thread sees to it.
pub(super) fn unhindered(program: &Path) -> Result<(), Failed> {
    let count = thread::available_parallelism()?.get();
    let server = Server::start(program, &["--deadline-ms", "600000"])?;
    let mut kept = (0..2 * count).map(|_| connect(server.public)).collect::<Result<Vec<_>, _>>()?;
    kept.iter_mut().try_for_each(hello)?;
    let mut busy = Vec::new();
    for path in ["/loop", "/sleep"].repeat(count) {
        let mut stream = connect(server.public)?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")?;
        busy.push(stream);
    }
    let start = Instant::now();
    let is_busy = || Ok::<_, Failed>(server.counter("wasmelt_running ")? == 2 * count as u64);
    while !is_busy()? && start.elapsed() < Duration::from_secs(20) {
        thread::sleep(Duration::from_millis(10));
    }
    kept.iter_mut().try_for_each(hello)?;
    // Those that were answered have not waited for an end.
    if is_busy()? { Ok(()) } else { Err("guests that do not end have ended".into()) }
}
