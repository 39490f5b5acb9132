//! Servers that speak TLS: versions, protocols, certificates, and clients that make no handshake.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::http2::{DATA, Frame, HEADERS, OK, PREFACE, SETTINGS, frame};
use super::{ADDRESSES, Server, compiled, connect, ended, expect};
use crate::support;

/// A file of the certificates of tests.
pub(super) fn file(name: &str) -> PathBuf {
    support::repository().join("tests/run/server/certificates").join(name)
}

/// The options of a server with a certificate.
pub(super) fn options(name: &str) -> Result<[String; 4], Failed> {
    let path = |name: &str| file(name).into_os_string().into_string().map_err(|_| "a path");
    let (certificate, key) = (path(&format!("{name}.pem"))?, path(&format!("{name}-key.pem"))?);
    Ok(["--tls-cert".to_owned(), certificate, "--tls-key".to_owned(), key])
}

pub(super) fn strings(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

/// A client that trusts the authority of the tests.
struct Client(Arc<ClientConfig>);

type Secret = StreamOwned<ClientConnection, TcpStream>;

impl Client {
    fn new(version: &'static SupportedProtocolVersion, protocols: &[&[u8]]) -> Result<Self, Failed> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file("authority.pem"))?)?;
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(&[version])?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Self(Arc::new(config)))
    }

    /// Makes a handshake with a server that must be called `name`.
    fn connect(&self, server: &Server, name: &'static str) -> io::Result<Secret> {
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        let stream = connect(server.public).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    fn ask(&self, server: &Server, path: &str, headers: &str) -> Result<String, Failed> {
        let mut stream = self.connect(server, "127.0.0.1")?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n")?;
        let mut response = String::new();
        // The end is one that the server has signed: not an error.
        stream.read_to_string(&mut response)?;
        Ok(response)
    }
}

pub(super) fn tls() -> Result<(), Failed> {
    let folder = support::scratch();
    let program = compiled(folder.path())?;
    wrong_files(&program, folder.path())?;
    let options = options("one")?;
    let server = Server::start(&program, &strings(&options))?;
    versions(&server)?;
    by_http2(&server)?;
    no_handshakes(&server)?;
    impatient(&program, &options)?;
    renewed(&program, folder.path())?;
    outside(&program, &server)?;
    ends(server)
}

fn versions(server: &Server) -> Result<(), Failed> {
    for (version, number) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let client = Client::new(version, &[])?;
        let response = client.ask(server, "/about?x=1", "x-b: two\r\nx-a: one\r\nx-forwarded-proto: http\r\n")?;
        expect(&response, "/about", 203, &["Method::Get Some(Scheme::Https) \"/about?x=1\"", "x-a: one\nx-b: two"])?;
        let client = Client::new(version, &[b"other", b"http/1.1"])?;
        let mut stream = client.connect(server, "localhost")?;
        if stream.conn.protocol_version() != Some(number) || stream.conn.alpn_protocol() != Some(b"http/1.1") {
            return Err(format!("{:?} with {:?}", stream.conn.protocol_version(), stream.conn.alpn_protocol()).into());
        }
        let body = "z".repeat(460_000);
        write!(
            stream,
            "POST /echo HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 460000\r\n\r\n{body}"
        )?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        if !response.starts_with("HTTP/1.1 200 ") || response.matches('z').count() != body.len() {
            return Err(format!("/echo returns {} bytes", response.len()).into());
        }
    }
    // Nothing that the server speaks, and a name that the certificate does not have.
    let (other, http) = (Client::new(&TLS13, &[b"other"])?, Client::new(&TLS13, &[])?);
    for (client, name, word) in [(other, "localhost", "NoApplicationProtocol"), (http, "two.test", "NotValidForName")] {
        match client.connect(server, name) {
            Err(error) if format!("{error:?}").contains(word) => {}
            result => return Err(format!("{word} is expected, not {:?}", result.map(drop)).into()),
        }
    }
    Ok(())
}

/// A client that prefers HTTP/2 gets it.
fn by_http2(server: &Server) -> Result<(), Failed> {
    // `:method` GET, `:scheme` https, `:path`, `:authority`. Source: RFC 7541, sections 6.1, 6.2.2, appendix A.
    const HEAD: &[u8] = b"\x82\x87\x04\x06/hello\x01\x04test";

    let mut stream = Client::new(&TLS13, &[b"h2", b"http/1.1"])?.connect(server, "127.0.0.1")?;
    if stream.conn.alpn_protocol() != Some(b"h2") {
        return Err(format!("the protocol is {:?}", stream.conn.alpn_protocol()).into());
    }
    // The request has an end of its head, and no body.
    let request = [PREFACE, &*frame(SETTINGS, 0, 0, &[]), &frame(HEADERS, 5, 1, HEAD)];
    stream.write_all(&request.concat())?;
    let (mut status, mut body) = (0, Vec::new());
    while !body.ends_with(b"Hello, world!\n") {
        let Frame { kind, stream, payload } = Frame::read(&mut stream)?;
        match (kind, stream) {
            (DATA, 1) => body.extend(payload),
            (HEADERS, 1) => status = payload[0],
            _ => {}
        }
    }
    if status == OK { Ok(()) } else { Err(format!("the status by HTTP/2 is {status:#x}").into()) }
}

/// Clients that make no handshake lose their connections, and nobody waits for them.
fn no_handshakes(server: &Server) -> Result<(), Failed> {
    let client = Client::new(&TLS13, &[])?;
    let silent: Vec<_> = (0..50).map(|_| connect(server.public)).collect::<Result<_, _>>()?;
    for bytes in [&b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n"[..], &[0xff; 4096], b"\x16\x03\x01\xff\xff", b"\x16"] {
        let mut stream = connect(server.public)?;
        stream.write_all(bytes)?;
        // It is not the client who waits for more.
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut answer = Vec::new();
        // The server may close before it has read everything.
        let _ = stream.read_to_end(&mut answer);
        if answer.windows(4).any(|part| part == b"HTTP") {
            return Err(format!("{bytes:?} is answered").into());
        }
        expect(&client.ask(server, "/hello", "")?, "/hello", 200, &["Hello, world!\n"])?;
    }
    drop(silent);
    Ok(())
}

/// The time for the first request is the time for the handshake as well.
fn impatient(program: &Path, options: &[String]) -> Result<(), Failed> {
    let server = Server::start(program, &[strings(options), vec!["--client-ms", "300"]].concat())?;
    for sent in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = connect(server.public)?;
        stream.write_all(sent)?;
        ended(&mut stream, sent)?;
    }
    Ok(())
}

/// Files without a certificate, or without its key, end a server before it listens.
fn wrong_files(program: &Path, folder: &Path) -> Result<(), Failed> {
    let text = folder.join("text");
    fs::write(&text, "nothing of this is PEM\n")?;
    let damaged = folder.join("damaged");
    fs::write(&damaged, "-----BEGIN CERTIFICATE-----\nTm90aGluZw==\n-----END CERTIFICATE-----\n")?;
    let [one, key, two] = ["one.pem", "one-key.pem", "two-key.pem"].map(file);
    let missing = folder.join("missing");
    let cases: [(&[(&str, &Path)], &str); 9] = [
        (&[("--tls-cert", &one)], "--tls-key <FILE>"),
        (&[("--tls-key", &key)], "--tls-cert <FILE>"),
        (&[("--tls-cert", &missing), ("--tls-key", &key)], "missing of --tls-cert cannot be read: No such file"),
        (&[("--tls-cert", &one), ("--tls-key", &missing)], "missing of --tls-key cannot be read: No such file"),
        (&[("--tls-cert", &text), ("--tls-key", &key)], "text of --tls-cert has no certificate"),
        (&[("--tls-cert", &key), ("--tls-key", &key)], "one-key.pem of --tls-cert has no certificate"),
        (&[("--tls-cert", &one), ("--tls-key", &one)], "one.pem of --tls-key has no private key"),
        (
            &[("--tls-cert", &one), ("--tls-key", &two)],
            "two-key.pem of --tls-key is not the key of the first certificate in",
        ),
        (
            &[("--tls-cert", &damaged), ("--tls-key", &key)],
            "damaged of --tls-cert has a certificate that cannot be used",
        ),
    ];
    for (options, message) in cases {
        let mut command = Command::new(program);
        for (option, path) in options {
            command.arg(option).arg(path);
        }
        let output = command.output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(2) || !error.contains(message) || !output.stdout.is_empty() {
            return Err(format!("{options:?} ends with {:?} and says {error}", output.status.code()).into());
        }
    }
    // No PEM, and PEM in which there is no certificate.
    for (path, message) in [(&text, "the file has no certificate: PEM"), (&damaged, "the file has no certificate that")]
    {
        let output = Command::new(program).arg("--tls-roots").arg(path).output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(2) || !error.contains(&format!("for '--tls-roots <FILE>': {message}")) {
            return Err(format!("--tls-roots ends with {:?} and says {error}", output.status.code()).into());
        }
    }
    Ok(())
}

/// The files are read again on SIGHUP, and files that cannot be used change nothing.
fn renewed(program: &Path, folder: &Path) -> Result<(), Failed> {
    let [certificate, key, log] = ["certificate", "key", "log"].map(|name| folder.join(name));
    let put = |name: &str| -> Result<(), Failed> {
        fs::copy(file(&format!("{name}.pem")), &certificate)?;
        fs::copy(file(&format!("{name}-key.pem")), &key)?;
        Ok(())
    };
    put("one")?;
    let mut command = Command::new(program);
    command.args(ADDRESSES).arg("--tls-cert").arg(&certificate).arg("--tls-key").arg(&key);
    let server = Server::of(command.stderr(File::create(&log)?))?;
    let client = Client::new(&TLS13, &[])?;
    // A connection from before goes on: it has had its first request.
    let mut before = client.connect(&server, "localhost")?;
    before.write_all(b"GET /hello HTTP/1.1\r\nhost: test\r\n\r\n")?;
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n0\r\n\r\n") {
        let mut byte = [0];
        before.read_exact(&mut byte)?;
        response.extend(byte);
    }
    put("two")?;
    server.signal("-HUP")?;
    wait_for(&log, "the certificate in ")?;
    client.connect(&server, "two.test")?;
    fs::write(&certificate, "nothing\n")?;
    server.signal("-HUP")?;
    wait_for(&log, "the certificate from before stays in use: ")?;
    client.connect(&server, "two.test")?;
    before.write_all(b"GET /hello HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")?;
    let mut response = String::new();
    before.read_to_string(&mut response)?;
    expect(&response, "/hello", 200, &["Hello, world!\n"])
}

/// Waits until a server has said something.
fn wait_for(log: &Path, words: &str) -> Result<(), Failed> {
    let start = Instant::now();
    while !fs::read_to_string(log)?.contains(words) {
        if start.elapsed() > Duration::from_secs(20) {
            return Err(format!("the server says {:?}", fs::read_to_string(log)?).into());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Requests of a guest by https, to a server of the tests.
fn outside(program: &Path, server: &Server) -> Result<(), Failed> {
    // A collection, of which one certificate cannot be read.
    let authority = program.with_extension("pem");
    let unreadable = "-----BEGIN CERTIFICATE-----\nTm90aGluZw==\n-----END CERTIFICATE-----\n";
    fs::write(&authority, [unreadable, &fs::read_to_string(file("authority.pem"))?].concat())?;
    let authority = authority.to_str().ok_or("a path")?;
    let trusting = Server::start(program, &["--http-allow", "*", "--tls-roots", authority])?;
    let to = |host: &str| format!("x-to: https://{host}:{}\r\n", server.public.port());
    let fetch = |from: &Server, to: &str, status: u16, words: &str| -> Result<(), Failed> {
        expect(&from.ask("/fetch", to, b"")?, to, status, &[words])
    };
    fetch(&trusting, &to("localhost"), 200, "Hello, world!\n")?;
    fetch(&trusting, &to("127.0.0.1"), 200, "Hello, world!\n")?;
    let elsewhere = Server::start(program, &strings(&options("two")?))?;
    fetch(&trusting, &format!("x-to: https://{}\r\n", elsewhere.public), 502, "TlsCertificateError")?;
    // An authority that has not signed, and none at all.
    let [other, plain] = [("SSL_CERT_FILE", file("two.pem")), ("SSL_CERT_FILE", file("missing.pem"))].map(|variable| {
        let mut command = Command::new(program);
        let command = command.args(ADDRESSES).args(["--http-allow", "127.0.0.1"]).env_remove("SSL_CERT_DIR");
        Server::of(command.env(variable.0, variable.1).stderr(Stdio::null()))
    });
    fetch(&other?, &to("127.0.0.1"), 502, "TlsCertificateError")?;
    let plain = plain?;
    fetch(&plain, &to("127.0.0.1"), 502, "InternalError(Some(\"this server has no certificates of authorities")?;
    fetch(&plain, &to("localhost"), 502, "HttpRequestDenied")?;
    // Who answers speaks no TLS.
    fetch(&trusting, &format!("x-to: https://{}\r\n", plain.public), 502, "TlsProtocolError")?;
    alert(&trusting)
}

/// A host that takes no certificate of ours says so by an alert: `handshake_failure` is number 40.
fn alert(trusting: &Server) -> Result<(), Failed> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let host = thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        stream.read_exact(&mut vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))])?;
        stream.write_all(&[21, 3, 3, 0, 2, 2, 40])
    });
    let response = trusting.ask("/fetch", &format!("x-to: https://{address}\r\n"), b"")?;
    host.join().map_err(|_| "the host panicked")??;
    expect(&response, "/fetch", 502, &["TlsAlertReceived", "alert-id: Some(40)", "alert-message: None"])
}

/// A server that is told to end answers what was asked through TLS, and does not wait for handshakes.
fn ends(server: Server) -> Result<(), Failed> {
    let _silent = connect(server.public)?;
    let stream = Client::new(&TLS13, &[])?.connect(&server, "127.0.0.1")?;
    server.ends_with_the_answer(stream)
}
