//! The HTTP server of `examples/edge-server`: it is built, gets good and hostile tenants, and answers all requests of the
//! good ones.

mod tenants;

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::support::{self, portable};
use wasmelt::options::Options;

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("edge::tenants_of_all_kinds", tenants_of_all_kinds)]
}

/// Builds an example, with what the host programs of other tests are built from; its path.
pub(crate) fn build(package: &str) -> Result<PathBuf, Failed> {
    let target = Options::default().target.to_string();
    let build = ["build", "--locked", "--package", package, "--profile", "embed-host", "--target", &target];
    portable::cargo_with(&build, &[])?;
    Ok(portable::folder().join(target).join("embed-host").join(package))
}

fn library(folder: &Path, name: &str, wat: &str) -> Result<PathBuf, Failed> {
    let (source, library) = (folder.join(format!("{name}.wat")), folder.join(format!("{name}.so")));
    fs::write(&source, wat)?;
    support::compile(&source, &library, ["--emit", "cdylib", "--interruptible", "--library-name", "tenant"])?;
    Ok(library)
}

/// Starts a server that prints so many addresses first, each at the end of a line.
pub(crate) fn start(command: &mut Command, count: usize) -> Result<(Child, Vec<SocketAddr>), Failed> {
    let mut process = command.stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
    let address = |line: std::io::Result<String>| -> Result<SocketAddr, Failed> {
        Ok(line?.rsplit(' ').next().ok_or("no address")?.parse()?)
    };
    let addresses: Vec<_> = lines.take(count).map(address).collect::<Result<_, _>>()?;
    if addresses.len() < count {
        process.wait()?;
        return Err("the server has ended".into());
    }
    Ok((process, addresses))
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
    fn start(program: &Path, tenants: &[(&str, PathBuf)], more: &[&str]) -> Result<Self, Failed> {
        let mut command = Command::new(program);
        command.args(more);
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--deadline-ms",
            "50",
            "--max-body",
            "100000",
        ]);
        for (name, library) in tenants {
            command.arg("--tenant").arg(format!("{name}={}", library.display()));
        }
        let (process, addresses) = start(&mut command, 2)?;
        Ok(Self { process, public: addresses[0], admin: addresses[1] })
    }

    /// Ends it as an operator does; its exit code.
    fn end(mut self) -> Result<Option<i32>, Failed> {
        let signal = Command::new("kill").arg(self.process.id().to_string()).status()?;
        assert!(signal.success());
        let limit = Instant::now() + Duration::from_secs(30);
        while Instant::now() < limit {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status.code());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err("the server does not end".into())
    }
}

/// A request on a connection of its own: the answer's status, head and body.
pub(crate) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<(u16, String, Vec<u8>), String> {
    ask_with(address, method, path, "", body)
}

/// As [`ask`], with more header fields, each ended by CR and LF.
pub(crate) fn ask_with(
    address: SocketAddr,
    method: &str,
    path: &str,
    fields: &str,
    body: &[u8],
) -> Result<(u16, String, Vec<u8>), String> {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let len = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: test\r\n{fields}")?;
        write!(stream, "Connection: close\r\nContent-Length: {len}\r\n\r\n")?;
        // A server that refuses a body does not read all of it.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().map_err(|e| format!("{method} {path}: {e}"))?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or("no end of the head")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    Ok((status, head, answer[end + 4..].to_vec()))
}

fn tenants_of_all_kinds() -> Result<(), Failed> {
    let (program, folder) = (build("wasmelt-edge-server")?, support::scratch());
    let all = tenants::all();
    let mut libraries = Vec::new();
    for (name, wat, _) in &all {
        libraries.push((*name, library(folder.path(), name, wat)?));
    }
    let server = Server::start(&program, &libraries, &[])?;
    let address = server.public;
    for (name, _, wanted) in all.iter().filter(|(_, _, wanted)| *wanted > 0) {
        let (status, head, body) = ask(address, "POST", &format!("/{name}/a/b?c=d"), b"what was sent")?;
        assert_eq!(status, *wanted, "{name}: {head}\n{}", String::from_utf8_lossy(&body));
    }
    assert_eq!(ask(address, "GET", "/nobody/", b"")?.0, 404);
    assert_eq!(ask(address, "POST", "/echo/", &[b'x'; 100_001])?.0, 413);

    // All of them at once: the good one answers each request.
    thread::scope(|scope| -> Result<(), Failed> {
        let hostile = scope.spawn(|| {
            let statuses = thread::scope(|scope| {
                let ask_all = |round: usize| {
                    let names = all.iter().filter(|(name, _, _)| *name != "echo").cycle().skip(round);
                    let statuses = names.take(150).map(|(name, _, wanted)| match wanted {
                        // Nobody waits for one that sleeps.
                        0 => Ok((
                            0,
                            TcpStream::connect(address)
                                .and_then(|mut stream| write!(stream, "GET /{name}/ HTTP/1.1\r\nHost: test\r\n\r\n"))
                                .is_ok(),
                        )),
                        wanted => ask(address, "GET", &format!("/{name}/"), b"")
                            .map(|(status, _, _)| (status, status == *wanted || status == 503)),
                    });
                    statuses.collect::<Result<Vec<_>, _>>()
                };
                let asking: Vec<_> = (0..4).map(|round| scope.spawn(move || ask_all(round))).collect();
                asking.into_iter().map(|thread| thread.join().unwrap()).collect::<Result<Vec<_>, _>>()
            });
            statuses.map(|statuses| statuses.into_iter().flatten().collect::<Vec<_>>())
        });
        let good: Vec<_> = (0..2)
            .map(|client| {
                scope.spawn(move || -> Result<(), String> {
                    for n in 0..300 {
                        let sent = format!("client {client}, request {n}").repeat(n % 50 + 1);
                        let (status, head, body) = ask(address, "POST", "/echo/", sent.as_bytes())?;
                        assert_eq!((status, body == sent.as_bytes()), (200, true), "{head}");
                        assert!(head.contains("x-version: 1"), "{head}");
                    }
                    Ok(())
                })
            })
            .collect();
        for client in good {
            client.join().unwrap()?;
        }
        let statuses = hostile.join().unwrap()?;
        assert!(statuses.iter().all(|(_, is_right)| *is_right), "{statuses:?}");
        assert!(statuses.iter().any(|(status, _)| *status == 503), "tenants that fail are refused for a while");
        Ok(())
    })?;

    replace(&server, folder.path())?;
    let (_, _, metrics) = ask(server.admin, "GET", "/metrics", b"")?;
    let metrics = String::from_utf8_lossy(&metrics);
    let answered = "edge_requests_total{tenant=\"echo\",outcome=\"answered\"} 603";
    assert!(metrics.contains(answered), "{metrics}");
    assert!(!metrics.contains("edge_requests_total{tenant=\"loops\",outcome=\"too_late\"} 0\n"), "{metrics}");
    assert_eq!(server.end()?, Some(0));
    let impatient = Server::start(&program, &[], &["--client-ms", "2000", "--max-connections", "2"])?;
    silent_clients_go(impatient.public)
}

/// Clients that let their connections wait lose them: to a server that has two connections at a time, and waits 2 seconds.
pub(crate) fn silent_clients_go(address: SocketAddr) -> Result<(), Failed> {
    let mut silent = Vec::new();
    let start = Instant::now();
    for sent in [&b""[..], b"PRI", b"GET / HTTP/1.1\r\nhost: test\r\n\r\n"] {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(sent)?;
        silent.push(stream);
    }
    // The third is accepted when another one has ended.
    if let Some(third) = silent.last_mut() {
        third.read_exact(&mut [0])?;
        if start.elapsed() < Duration::from_millis(1500) {
            return Err(format!("a third connection was answered after {:?}", start.elapsed()).into());
        }
    }
    for mut stream in silent {
        match stream.read_to_end(&mut Vec::new()) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => return Err(format!("silent: {error}").into()),
            _ => {}
        }
    }
    // A server that waits for a client has no client that lets it wait.
    thread::sleep(Duration::from_millis(2200));
    ask(address, "GET", "/", b"")?;
    Ok(())
}

/// A tenant gets another library while the server runs.
fn replace(server: &Server, folder: &Path) -> Result<(), Failed> {
    // In place of the file that the first one was loaded from.
    let next = library(folder, "echo", &tenants::next_version())?;
    assert!(ask(server.public, "POST", "/echo/", b"")?.1.contains("x-version: 1"));
    let junk = folder.join("junk.so");
    fs::write(&junk, b"no library")?;
    let path = |path: &Path| path.display().to_string().into_bytes();
    assert_eq!(ask(server.admin, "PUT", "/tenants/echo", &path(&junk))?.0, 400);
    assert_eq!(ask(server.admin, "PUT", "/tenants/echo", &path(&folder.join("missing.so")))?.0, 400);
    assert_eq!(ask(server.admin, "PUT", "/tenants/echo", &path(&next))?.0, 200);
    let (status, head, _) = ask(server.public, "POST", "/echo/", b"")?;
    assert!((status, head.contains("x-version: 2")) == (200, true), "{head}");
    assert_eq!(ask(server.public, "GET", "/tenants/echo", b"")?.0, 404, "nobody but the operator");
    Ok(())
}
