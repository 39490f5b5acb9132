//! Servers that are made of components (`--world proxy`): what they answer, and that tenants who trap, loop, sleep, allocate
//! and never stop writing hurt no request but their own.

mod clients;
mod guests;
mod http2;
mod outside;
mod start;
mod tls;

use std::fs;
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::support::{self, portable};
use wasmelt::options::Options;

/// Options of servers that listen where there is nobody.
const ADDRESSES: [&str; 4] = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];

/// File name of the archive.
const ARCHIVE: &str = "libwasmelt_server.a";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("server::requests_of_all_kinds", requests_of_all_kinds),
        Trial::test("server::http2", http2::http2),
        Trial::test("server::tls", tls::tls),
    ]
}

/// Builds the archive, with what the host programs of other tests are built from; its folder, for `--runtime-dir`.
fn archives(folder: &Path) -> Result<PathBuf, Failed> {
    let target = Options::default().target.to_string();
    portable::cargo_with(
        &["build", "--locked", "--package", "wasmelt-server", "--profile", "embed-host", "--target", &target],
        &[],
    )?;
    let place = folder.join("archives").join(&target);
    fs::create_dir_all(&place)?;
    fs::copy(portable::folder().join(target).join("embed-host").join(ARCHIVE), place.join(ARCHIVE))?;
    Ok(folder.join("archives"))
}

/// Makes a server of the guest.
fn compiled(folder: &Path) -> Result<PathBuf, Failed> {
    let archives = archives(folder)?;
    let guest = support::repository().join("tests/run/guests/http.wasm");
    let program = folder.join("server");
    let options = ["--world", "proxy", "--runtime-dir", archives.to_str().ok_or("a path")?];
    support::compile(&guest, &program, options)?;
    Ok(program)
}

/// A server that ends with the test.
struct Server {
    process: Child,
    public: SocketAddr,
    admin: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(program: &Path, options: &[&str]) -> Result<Self, Failed> {
        let mut command = Command::new(program);
        Self::of(command.args(ADDRESSES).args(options).stderr(Stdio::null()))
    }

    fn of(command: &mut Command) -> Result<Self, Failed> {
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let mut address = || -> Result<SocketAddr, Failed> {
            let line = lines.next().ok_or("the server has ended")??;
            Ok(line.rsplit(' ').next().ok_or("no address")?.parse()?)
        };
        let (public, admin) = (address()?, address()?);
        Ok(Self { process, public, admin })
    }

    /// Sends a request that ends the connection; the whole response.
    fn ask(&self, path: &str, headers: &str, body: &[u8]) -> Result<String, Failed> {
        let mut stream = connect(self.public)?;
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let method = if body.is_empty() { "GET" } else { "POST" };
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}{length}\r\n")?;
        stream.write_all(body)?;
        let mut response = Vec::new();
        // A response that has broken off is one as well.
        let _ = stream.read_to_end(&mut response);
        Ok(String::from_utf8_lossy(&response).into_owned())
    }

    fn expect(&self, path: &str, status: u16, parts: &[&str]) -> Result<(), Failed> {
        let response = self.ask(path, "x-b: two\r\nx-a: one\r\n", b"")?;
        expect(&response, path, status, parts)
    }

    /// How many descriptors the server has open.
    fn descriptors(&self) -> Result<usize, Failed> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.process.id()))?.count())
    }

    /// Waits until the server has so many descriptors, or fewer.
    fn wait_for(&self, descriptors: usize) -> Result<(), Failed> {
        let start = Instant::now();
        while self.descriptors()? > descriptors {
            if start.elapsed() > Duration::from_secs(20) {
                return Err(format!("{} descriptors are open, not {descriptors}", self.descriptors()?).into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// A counter of the metrics.
    fn counter(&self, name: &str) -> Result<u64, Failed> {
        Ok(self.metric(name)?.parse()?)
    }

    /// The value of a metric.
    fn metric(&self, name: &str) -> Result<String, Failed> {
        let mut stream = connect(self.admin)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let line = text.lines().find(|line| line.starts_with(name)).ok_or_else(|| format!("no {name} in {text}"))?;
        Ok(line.rsplit(' ').next().unwrap_or_default().to_owned())
    }

    fn signal(&self, name: &str) -> Result<(), Failed> {
        let status = Command::new("kill").args([name, &self.process.id().to_string()]).status()?;
        if status.success() { Ok(()) } else { Err(format!("the server does not get {name}").into()) }
    }

    /// Asks on a new connection, tells the server to end while it answers, and waits for the answer and the end.
    fn ends_with_the_answer(mut self, mut stream: impl io::Read + io::Write) -> Result<(), Failed> {
        stream.write_all(b"POST /echo HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 4\r\n\r\n")?;
        let start = Instant::now();
        // The request has arrived.
        while self.counter("wasmelt_running ")? == 0 && start.elapsed() < Duration::from_secs(20) {
            thread::sleep(Duration::from_millis(10));
        }
        self.signal("-TERM")?;
        thread::sleep(Duration::from_millis(50));
        stream.write_all(b"last")?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        if !response.contains("last") {
            return Err(format!("the last request has the response {response:?}").into());
        }
        let code = self.process.wait()?.code();
        if code == Some(0) { Ok(()) } else { Err(format!("the server ends with {code:?}").into()) }
    }
}

fn connect(address: SocketAddr) -> Result<TcpStream, Failed> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    Ok(stream)
}

/// Waits until the server has ended a connection, which it may do before it has read what was sent.
fn ended(stream: &mut TcpStream, sent: &[u8]) -> Result<(), Failed> {
    match stream.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(format!("after {sent:?}: {error}").into()),
        _ => Ok(()),
    }
}

fn expect(response: &str, path: &str, status: u16, parts: &[&str]) -> Result<(), Failed> {
    let has = |part: &&&str| !response.contains(**part);
    if !response.starts_with(&format!("HTTP/1.1 {status} ")) || parts.iter().any(|part| has(&part)) {
        return Err(format!("{path} has the response {response:?}, not {status} with {parts:?}").into());
    }
    Ok(())
}

fn requests_of_all_kinds() -> Result<(), Failed> {
    let folder = support::scratch();
    let program = compiled(folder.path())?;
    in_an_image(&program)?;
    let server = Server::start(&program, &[])?;
    good(&server)?;
    streams(&server)?;
    composed(folder.path())?;
    guests::hostile(&program)?;
    guests::reused(&program)?;
    clients::unheard(&program)?;
    clients::impatient(&program)?;
    clients::steady(&program)?;
    start::told_at_once(&program)?;
    guests::queued(&program)?;
    guests::unhindered(&program)?;
    start::misunderstood(&program)?;
    start::activated(&program)?;
    start::descriptors(&program)?;
    outside::outside(&program)?;
    ends(server)
}

/// A component that hands requests on to another one, built for an older version of WASI.
fn composed(folder: &Path) -> Result<(), Failed> {
    let guests = support::repository().join("tests/run/guests");
    let archives = folder.join("archives");
    let guest = guests.join("http.wasm");
    let [archives, guest] = [archives.to_str(), guest.to_str()].map(|path| path.ok_or("a path"));
    let options = ["--world", "proxy", "--runtime-dir", archives?, "--plug", guest?];
    let program = folder.join("composed");
    support::compile(&guests.join("gate.wat"), &program, options)?;
    let server = Server::start(&program, &[])?;
    good(&server)?;
    streams(&server)?;
    server.expect("/gate", 500, &[])?;
    server.expect("/gates", 404, &["no such path"])
}

/// The server needs no other file, so an image has it alone.
fn in_an_image(program: &Path) -> Result<(), Failed> {
    let image = program.with_extension("tar");
    let output = support::wasmelt().arg("image").arg(program).arg("-o").arg(&image).output()?;
    if !output.status.success() || fs::metadata(&image)?.len() < fs::metadata(program)?.len() / 4 {
        return Err(format!("no image: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(())
}

/// What a component answers when all is well.
fn good(server: &Server) -> Result<(), Failed> {
    server.expect("/hello", 200, &["content-type: text/plain", "Hello, world!\n"])?;
    // As long as it says, and read to its end.
    server.expect("/exact", 200, &["content-length: 5\r\n", "exact"])?;
    let about = [
        "x-kind: about\r\nx-kind: again",
        "Method::Get Some(Scheme::Http) \"/about?x=1\"",
        "x-a: one\nx-b: two",
        "Err(HeaderError::Immutable)",
        "host is there: false",
        "Err(HeaderError::Forbidden)",
        "Err(HeaderError::InvalidSyntax)",
    ];
    server.expect("/about?x=1", 203, &about)?;
    server.expect("/else", 404, &["no such path"])?;
    // As many bodies as there may be, with that of the response.
    server.expect("/bodies?47", 200, &["so many"])?;
    server.expect("/interleaved", 200, &["interleaved"])?;
    let body = "z".repeat(460_000);
    let response = server.ask("/echo", "", body.as_bytes())?;
    if !response.starts_with("HTTP/1.1 200 ") || response.matches('z').count() != body.len() {
        return Err(format!("/echo returns {} bytes", response.len()).into());
    }
    // Two requests on one connection.
    let mut stream = connect(server.public)?;
    (0..2).try_for_each(|_| hello(&mut stream))
}

/// Asks on a connection that is kept.
fn hello(stream: &mut TcpStream) -> Result<(), Failed> {
    stream.write_all(b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n")?;
    let mut response = Vec::new();
    while !response.ends_with(b"world!\n\r\n0\r\n\r\n") {
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes)? {
            0 => return Err("the connection has ended".into()),
            len => response.extend(&bytes[..len]),
        }
    }
    Ok(())
}

/// What is written is read before the rest is written, both ways; and trailers.
fn streams(server: &Server) -> Result<(), Failed> {
    let mut stream = connect(server.public)?;
    write!(
        stream,
        "POST /stream HTTP/1.1\r\nhost: test\r\nte: trailers\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    )?;
    let mut response = String::new();
    for part in ["first", "second", "third"] {
        write!(stream, "{:x}\r\n{part}\r\n", part.len())?;
        while !response.contains(part) {
            let mut bytes = [0; 4096];
            let len = stream.read(&mut bytes)?;
            if len == 0 {
                return Err(format!("/stream ends with {response:?}").into());
            }
            response += &String::from_utf8_lossy(&bytes[..len]);
        }
    }
    write!(stream, "0\r\n\r\n")?;
    stream.read_to_string(&mut response)?;
    if !response.ends_with("0\r\n\r\n") && !response.ends_with("x-trailer: yes\r\n\r\n") {
        return Err(format!("/stream ends with {response:?}").into());
    }
    // Who has read a body finds what comes after it.
    for _ in 0..50 {
        let mut stream = connect(server.public)?;
        stream.write_all(
            b"POST /trailers HTTP/1.1\r\nhost: test\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n",
        )?;
        stream.write_all(b"4\r\nbody\r\n0\r\nx-after: it\r\n\r\n")?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        expect(&response, "/trailers", 200, &["Ok(Some([(\"x-after\", [105, 116])]))"])?;
    }
    Ok(())
}

/// A server that is told to end answers what it has accepted, and ends.
fn ends(server: Server) -> Result<(), Failed> {
    let stream = connect(server.public)?;
    server.ends_with_the_answer(stream)
}
