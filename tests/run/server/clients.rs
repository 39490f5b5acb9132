//! Clients that go, that let servers wait, and that take a long time.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use libtest_mimic::Failed;

use super::{Server, connect, ended};

/// Clients that reset their connections, and an operator who reads no output any more, end no server.
pub(super) fn unheard(program: &Path) -> Result<(), Failed> {
    // The test has closed the pipe when the server is there.
    let server = Server::start(program, &["--access-log"])?;
    for _ in 0..20 {
        let mut stream = connect(server.public)?;
        stream.write_all(b"GET /endless HTTP/1.1\r\nhost: test\r\n\r\n")?;
        stream.read_exact(&mut [0; 4096])?;
        // What arrives is not read: closing resets the connection.
        thread::sleep(Duration::from_millis(5));
    }
    server.expect("/hello", 200, &["Hello, world!\n"])?;
    server.expect("/trap", 500, &[])
}

/// Connections whose clients let them wait end, and others are accepted in their stead.
pub(super) fn impatient(program: &Path) -> Result<(), Failed> {
    const HTTP_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let options = ["--client-ms", "1000", "--max-connections", "2"];
    let server = Server::start(program, &options)?;
    let descriptors = server.descriptors()?;
    // Nothing, a part of what begins HTTP/2, HTTP/2 without a request, and a connection that is kept alive.
    for [first, second] in [[&b""[..], b"PRI"], [HTTP_2, b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n"]] {
        let mut streams = [(connect(server.public)?, first), (connect(server.public)?, second)];
        for (stream, sent) in &mut streams {
            stream.write_all(sent)?;
        }
        for (stream, sent) in &mut streams {
            ended(stream, sent)?;
        }
    }
    // The guest would write for longer, but the client takes nothing.
    let mut stalled = connect(server.public)?;
    stalled.write_all(b"GET /endless HTTP/1.1\r\nhost: test\r\n\r\n")?;
    let _ = stalled.read(&mut [0]);
    server.wait_for(descriptors)?;
    drop(stalled);
    // A server that waits for a client has no client that lets it wait.
    thread::sleep(Duration::from_millis(1200));
    server.expect("/hello", 200, &["Hello, world!\n"])?;
    // The third is accepted when another one has ended.
    let mut silent = [connect(server.public)?, connect(server.public)?];
    server.expect("/hello", 200, &["Hello, world!\n"])?;
    for stream in &mut silent {
        stream.set_nonblocking(true)?;
    }
    if silent.iter_mut().all(|stream| stream.read(&mut [0]).is_err()) {
        return Err("there are more connections than may be".into());
    }
    Ok(())
}

/// Clients that take a response slowly and steadily keep their connections for longer than a client may let one wait.
pub(super) fn steady(program: &Path) -> Result<(), Failed> {
    let server = Server::start(program, &["--client-ms", "3000"])?;
    let mut stream = connect(server.public)?;
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: test\r\n\r\n")?;
    let mut bytes = vec![0; 1 << 20];
    for _ in 0..40 {
        stream.read_exact(&mut bytes)?;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
