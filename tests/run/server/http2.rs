//! Servers that speak HTTP/2 with clients that take some responses, or none.

use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use super::{Server, compiled, connect, expect};
use crate::support;

// Source: RFC 9113, sections 6 and 8.1.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// `:status` 200. Source: RFC 7541, appendix A.
pub(super) const OK: u8 = 0x88;

/// A frame of HTTP/2.
/// Source: RFC 9113, section 4.1.
pub(super) fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap_or(u8::MAX);
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A frame that has arrived.
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) stream: u8,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) fn read(stream: &mut impl Read) -> Result<Self, Failed> {
        let mut head = [0; 9];
        stream.read_exact(&mut head)?;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        stream.read_exact(&mut payload)?;
        Ok(Self { kind: head[3], stream: head[8], payload })
    }
}

/// A client that takes nothing of a response unless it says so.
struct Client(TcpStream);

impl Client {
    fn new(server: &Server) -> Result<Self, Failed> {
        const INITIAL_WINDOW_SIZE: [u8; 6] = [0, 4, 0, 0, 0, 0];
        const MAX_CONCURRENT_STREAMS: [u8; 6] = [0, 3, 0, 0, 0, 64];
        let mut stream = connect(server.public)?;
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &INITIAL_WINDOW_SIZE)].concat())?;
        let settings = Frame::read(&mut stream)?;
        if settings.kind != SETTINGS || !settings.payload.chunks(6).any(|setting| setting == MAX_CONCURRENT_STREAMS) {
            return Err(format!("the settings are {:?}", settings.payload).into());
        }
        Ok(Self(stream))
    }

    fn send(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Result<(), Failed> {
        Ok(self.0.write_all(&frame(kind, flags, stream, payload))?)
    }

    /// Begins a request; its body may follow unless the flags end the stream.
    fn ask(&mut self, stream: u8, flags: u8, path: &str) -> Result<(), Failed> {
        // `:method` GET or POST, `:scheme` http, `:path`, `:authority`. Source: RFC 7541, sections 6.1, 6.2.2, appendix A.
        let method = if flags & END_STREAM == 0 { b"\x83" } else { b"\x82" };
        let length = [u8::try_from(path.len())?];
        let head = [&method[..], b"\x86\x04", &length, path.as_bytes(), b"\x01\x04test"].concat();
        self.send(HEADERS, flags | END_HEADERS, stream, &head)
    }

    /// Lets the server send 255 bytes of a response.
    fn take(&mut self, stream: u8) -> Result<(), Failed> {
        self.send(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 255])
    }

    /// Waits for frames of this kind, one in each of the streams.
    fn expect(&mut self, kind: u8, streams: &[u8]) -> Result<Vec<u8>, Failed> {
        let mut left = streams.to_vec();
        let mut payload = Vec::new();
        while !left.is_empty() {
            let frame = Frame::read(&mut self.0)?;
            let index = left.iter().position(|stream| frame.stream == *stream);
            match index {
                Some(index) if frame.kind == kind => _ = left.remove(index),
                Some(_) => return Err(format!("stream {} has a frame {}, not {kind}", frame.stream, frame.kind).into()),
                None => continue,
            }
            payload = frame.payload;
            if kind == HEADERS && payload[0] != OK {
                return Err(format!("the status by HTTP/2 is {:#x}", payload[0]).into());
            }
        }
        Ok(payload)
    }
}

pub(super) fn http2() -> Result<(), Failed> {
    let folder = support::scratch();
    let program = compiled(folder.path())?;
    let server = Server::start(&program, &["--max-concurrency", "1", "--max-queue", "2"])?;
    counted(&server)?;
    let server = Server::start(&program, &["--max-concurrency", "2", "--max-queue", "0", "--client-ms", "2000"])?;
    stalled(&server)
}

/// Waits until the server takes a request.
fn wait_for_room(server: &Server) -> Result<(), Failed> {
    let start = Instant::now();
    loop {
        let response = server.ask("/hello", "", b"")?;
        if !response.starts_with("HTTP/1.1 503 ") || start.elapsed() > Duration::from_secs(20) {
            return expect(&response, "/hello", 200, &["Hello, world!\n"]);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Responses that a client does not take are counted until the client gives them up.
fn counted(server: &Server) -> Result<(), Failed> {
    const CANCEL: [u8; 4] = [0, 0, 0, 8];
    let streams = [1, 3, 5];
    let mut client = Client::new(server)?;
    for stream in streams {
        client.ask(stream, END_STREAM, "/hello")?;
    }
    client.expect(HEADERS, &streams)?;
    server.expect("/hello", 503, &[])?;
    for stream in streams {
        client.send(RST_STREAM, 0, stream, &CANCEL)?;
    }
    wait_for_room(server)?;
    // The connection goes on.
    client.ask(7, END_STREAM, "/hello")?;
    client.expect(HEADERS, &[7])?;
    client.take(7)?;
    match client.expect(DATA, &[7])? {
        body if body == b"Hello, world!\n" => Ok(()),
        body => Err(format!("the body by HTTP/2 is {body:?}").into()),
    }
}

/// A response that the client lets wait for too long ends, and the connection's other requests go on.
fn stalled(server: &Server) -> Result<(), Failed> {
    let mut client = Client::new(server)?;
    // It is the guest's turn: to answer what has not come.
    client.ask(1, 0, "/stream")?;
    client.take(1)?;
    client.expect(HEADERS, &[1])?;
    client.ask(3, END_STREAM, "/hello")?;
    client.expect(HEADERS, &[3])?;
    wait_for_room(server)?;
    client.send(DATA, 0, 1, b"moving")?;
    if client.expect(DATA, &[1])? != b"moving" {
        return Err("the stream that moves has other bytes".into());
    }
    client.take(3)?;
    client.expect(RST_STREAM, &[3])?;
    client.send(DATA, END_STREAM, 1, b"last")?;
    if client.expect(DATA, &[1])? == b"last" { Ok(()) } else { Err("the stream that moves has other bytes".into()) }
}
