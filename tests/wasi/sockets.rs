//! `wasi:sockets`: scripts of calls that `guests/sockets.rs` makes, compared with what wasmtime returned for the same
//! script; policies, which wasmtime does not have; and programs that use sockets through the standard library.
//!
//! `sockets/NAME.txt` is a script. One that begins with `#! options:` is run with these options, and
//! `sockets/NAME.expected` says what is granted; the others are run with everything granted, and theirs is wasmtime's
//! transcript. With `WASMELT_WASMTIME=PROGRAM` (wasmtime 48) it is made anew and compared; with `BLESS=1` besides it is
//! written.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::support;
use crate::support::place::{self, Place};

const EVERYTHING: &[&str] = &["--tcp-connect", "*:*", "--tcp-listen", "*:*", "--udp", "*:*", "--resolve", "*"];

/// The exit code of a program that does not start.
const NOT_STARTED: i32 = 69;

/// What a guest does that is wrong, and what it is told.
const TRAPS: &[(&str, &str)] = &[
    ("tcp l 4\nsubscribe l socket\ndrop l socket\n", "resource has children"),
    ("tcp l 4\nbind l 127.0.0.1:0\nlisten l\ntcp c 4\nconnect c @l\ndrop c socket\n", "resource has children"),
    (
        "tcp l 4\nbind l 127.0.0.1:0\nlisten l\ntcp c 4\nconnect c @l\nsubscribe c in\ndrop c in\n",
        "resource has children",
    ),
    ("tcp l 4\nbind l 127.0.0.1:0\nlisten l\ntcp c 4\nconnect c @l\nwrite-unchecked c x\n", "write exceeded budget"),
    ("udp l 4\nbind l 127.0.0.1:0\nstream l\nstream l\n", "UDP streams not dropped yet"),
    ("udp l 4\nbind l 127.0.0.1:0\nstream l\ndrop l socket\n", "resource has children"),
    ("udp l 4\nbind l 127.0.0.1:0\nstream l\nsubscribe l outgoing\ndrop l outgoing\n", "resource has children"),
    ("udp l 4\nbind l 127.0.0.1:0\nstream l\nsend l @l x\n", "unpermitted: argument exceeds permitted size"),
];

/// What `WASMELT_POLICY` makes of a program that was granted everything.
const NARROWED: &[(&str, &str, &str)] = &[
    ("no-tcp-connect", "tcp a 4\nconnect a 127.0.0.1:1\n", "tcp a 4 -> ()\nconnect a 127.0.0.1:1 -> access-denied\n"),
    ("no-tcp-connect;no-tcp-listen", "tcp a 4\n", "tcp a 4 -> access-denied\n"),
    (
        "tcp-connect=10.0.0.0/8:443;tcp-connect=127.0.0.1:*",
        "tcp a 4\nconnect a 127.0.0.1:1\ntcp b 4\nconnect b 127.0.0.2:1\n",
        "tcp a 4 -> ()\nconnect a 127.0.0.1:1 -> connection-refused\ntcp b 4 -> ()\nconnect b 127.0.0.2:1 -> access-denied\n",
    ),
    (
        "tcp-listen=127.0.0.1:0",
        "tcp a 4\nbind a 0.0.0.0:0\nbind a 127.0.0.1:0\n",
        "tcp a 4 -> ()\nbind a 0.0.0.0:0 -> access-denied\nbind a 127.0.0.1:0 -> ()\n",
    ),
    ("no-udp", "udp a 4\n", "udp a 4 -> access-denied\n"),
    ("no-resolve", "resolve a localhost\n", "resolve a localhost -> access-denied\n"),
    ("resolve=*.org", "resolve a localhost\n", "resolve a localhost -> access-denied\n"),
];

pub(crate) fn trials() -> Vec<Trial> {
    let folder = support::repository().join("tests/wasi/sockets");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".txt").map(ToOwned::to_owned))
        .collect();
    names.sort();
    let has_v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let mut trials = Vec::new();
    for name in names {
        let trial = format!("sockets::{name}");
        if name == "v6" && !has_v6 {
            trials.push(support::skipped(trial, "this machine has no IPv6"));
            continue;
        }
        let script = name.clone();
        trials.push(Trial::test(trial.clone(), move || Script::read(&script)?.check(&[])));
        let script = name.clone();
        trials.push(Trial::test(format!("{trial}::hardened"), move || Script::read(&script)?.check(&["--harden"])));
        trials.push(place::trial(Place::Portable, trial, move || Script::read(&name)?.check(&[])));
    }
    let here: [(&str, Test); 9] = [
        ("traps", traps),
        ("narrowed", narrowed),
        ("words_that_are_not_understood", words_that_are_not_understood),
        ("many_connections", many_connections),
        ("a_slow_reader_gets_everything", a_slow_reader_gets_everything),
        ("what_was_written_is_sent_while_a_guest_never_waits", what_was_written_is_sent_while_a_guest_never_waits),
        ("datagrams", datagrams),
        ("who_has_written_is_answered", who_has_written_is_answered),
        ("files_and_sockets_share_a_limit", files_and_sockets_share_a_limit),
    ];
    trials.extend(here.map(|(name, test)| Trial::test(format!("sockets::{name}"), test)));
    trials
}

/// A test that needs nothing from outside.
type Test = fn() -> Result<(), Failed>;

fn guest(name: &str) -> PathBuf {
    support::repository().join("tests/wasi/guests").join(name)
}

/// A script, and what comes of it.
struct Script {
    name: String,
    text: String,
    options: Option<Vec<String>>,
}

impl Script {
    fn file(&self, extension: &str) -> PathBuf {
        support::repository().join(format!("tests/wasi/sockets/{}.{extension}", self.name))
    }

    fn read(name: &str) -> Result<Self, Failed> {
        let mut script = Self { name: name.to_owned(), text: String::new(), options: None };
        let text = fs::read_to_string(script.file("txt"))?;
        script.options = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("#! options:"))
            .map(|options| options.split_ascii_whitespace().map(ToOwned::to_owned).collect());
        script.text = text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        Ok(script)
    }

    fn expected(&self) -> Result<String, Failed> {
        let program = std::env::var_os("WASMELT_WASMTIME").filter(|_| self.options.is_none());
        let Some(program) = program else { return Ok(fs::read_to_string(self.file("expected"))?) };
        let mut command = Command::new(program);
        command.args(["run", "-S", "inherit-network,allow-ip-name-lookup"]).arg(guest("sockets.wasm"));
        let transcript = support::run(&mut command, self.text.as_bytes())?.expect_code(0)?.stdout();
        if support::switch("BLESS") {
            fs::write(self.file("expected"), &transcript)?;
        } else if transcript != fs::read_to_string(self.file("expected"))? {
            return Err("wasmtime does not say any more what is written down".into());
        }
        Ok(transcript)
    }

    fn check(&self, further: &[&str]) -> Result<(), Failed> {
        let options = self.options.clone();
        let mut options = options.unwrap_or_else(|| EVERYTHING.iter().map(ToString::to_string).collect());
        options.extend(further.iter().map(ToString::to_string));
        let folder = support::scratch();
        let executable = folder.path().join("sockets");
        support::compile(&guest("sockets.wasm"), &executable, &options)?;
        let outcome = support::run(&mut place::program(&executable)?, self.text.as_bytes())?;
        outcome.expect_code(0)?.expect_stdout(self.expected()?)?;
        Ok(())
    }
}

fn traps() -> Result<(), Failed> {
    let folder = support::scratch();
    let executable = folder.path().join("sockets");
    support::compile(&guest("sockets.wasm"), &executable, EVERYTHING)?;
    for (script, words) in TRAPS {
        let outcome = support::run(&mut Command::new(&executable), script.as_bytes())?;
        outcome.expect_stderr(words).map_err(|e| format!("{script}: {}", e.message().unwrap_or_default()))?;
    }
    Ok(())
}

fn narrowed() -> Result<(), Failed> {
    let folder = support::scratch();
    let executable = folder.path().join("sockets");
    for options in [EVERYTHING.to_vec(), [EVERYTHING, &["--harden"]].concat()] {
        support::compile(&guest("sockets.wasm"), &executable, options)?;
        for (words, script, expected) in NARROWED {
            let mut command = Command::new(&executable);
            let outcome = support::run(command.env("WASMELT_POLICY", words), script.as_bytes())?;
            outcome.expect_code(0)?.expect_stdout(expected)?;
        }
    }
    Ok(())
}

fn words_that_are_not_understood() -> Result<(), Failed> {
    let folder = support::scratch();
    let executable = folder.path().join("sockets");
    support::compile(&guest("sockets.wasm"), &executable, EVERYTHING)?;
    for words in ["tcp-connect=localhost:80", "udp=", "tcp-listen=1.2.3.4", "resolve=a..b", "no-tcp", "tcp=*:*"] {
        let mut command = Command::new(&executable);
        let outcome = support::run(command.env("WASMELT_POLICY", words), b"tcp a 4\n")?;
        outcome.expect_code(NOT_STARTED)?.expect_stdout("")?.expect_stderr(words)?.expect_stderr("WASMELT_POLICY")?;
    }
    // A program that has no sockets, and looks at the variable, does not know the words of sockets.
    let without = folder.path().join("without");
    let options = ["--tcp-connect", "*:*", "--timeout", "1m"];
    support::compile(&support::repository().join("examples/hello.wat"), &without, options)?;
    for (words, code) in [("timeout=30s", 0), ("no-udp", NOT_STARTED)] {
        let outcome = support::run(Command::new(&without).env("WASMELT_POLICY", words), b"")?.expect_code(code)?;
        if code != 0 {
            outcome.expect_stdout("")?.expect_stderr(words)?;
        }
    }
    Ok(())
}

/// A running program, whose standard output is read line by line.
struct Running {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(options: &[&str], arguments: &[&str]) -> Result<Self, Failed> {
        let folder = support::scratch();
        let executable = folder.path().join("net");
        support::compile(&guest("net.wasm"), &executable, options)?;
        let mut command = Command::new(executable);
        let mut child = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().ok_or("no output")?);
        Ok(Self { child, output, _folder: folder })
    }

    fn line(&mut self) -> Result<String, Failed> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn port(&mut self) -> Result<u16, Failed> {
        let line = self.line()?;
        Ok(line.parse().map_err(|_| format!("`{line}` is not a port"))?)
    }

    fn end(mut self) -> Result<(), Failed> {
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("{status}").into()) }
    }
}

/// How many connections are open at once.
const MANY: usize = 300;

fn many_connections() -> Result<(), Failed> {
    for options in [&["--tcp-listen", "127.0.0.1:0"][..], &["--tcp-listen", "127.0.0.1:0", "--harden"]] {
        let mut server = Running::start(options, &["serve", &MANY.to_string()])?;
        let address = SocketAddr::from(([127, 0, 0, 1], server.port()?));
        let connections: Vec<TcpStream> = (0..MANY).map(|_| TcpStream::connect(address)).collect::<Result<_, _>>()?;
        for (index, mut connection) in connections.iter().enumerate() {
            writeln!(connection, "{index}")?;
        }
        for (index, mut connection) in connections.into_iter().enumerate() {
            let mut answer = String::new();
            connection.read_to_string(&mut answer)?;
            if answer != format!("answer to {index}\n") {
                return Err(format!("connection {index} was answered `{answer}`").into());
            }
        }
        if server.line()? != format!("answered {MANY}") {
            return Err("not all were answered".into());
        }
        server.end()?;
    }
    Ok(())
}

fn a_slow_reader_gets_everything() -> Result<(), Failed> {
    const BYTES: usize = 5 << 20;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let peer = thread::spawn(move || -> std::io::Result<()> {
        let (mut connection, _) = listener.accept()?;
        thread::sleep(Duration::from_millis(100));
        let mut all = Vec::new();
        connection.read_to_end(&mut all)?;
        connection.write_all(&all)?;
        connection.shutdown(Shutdown::Write)
    });
    let mut client = Running::start(&["--tcp-connect", "127.0.0.1:*"], &["fetch", &address, &BYTES.to_string()])?;
    let line = client.line()?;
    peer.join().map_err(|_| "the peer panicked")??;
    client.end()?;
    if line == format!("{BYTES} bytes, the same: true") { Ok(()) } else { Err(line.into()) }
}

/// Who writes more than the system takes, and then asks for an answer without ever waiting, sends all of it meanwhile.
fn what_was_written_is_sent_while_a_guest_never_waits() -> Result<(), Failed> {
    for further in [&[][..], &["--harden"]] {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let options = [&["--tcp-connect", "127.0.0.1:*"], further].concat();
        let mut client = Running::start(&options, &["spin", &listener.local_addr()?.to_string()])?;
        let (mut connection, _) = listener.accept()?;
        // Nothing is received before the guest has found that the system takes no more.
        let written = client.line()?;
        let mut all = Vec::new();
        connection.set_read_timeout(Some(Duration::from_secs(60)))?;
        connection.read_to_end(&mut all)?;
        if written != all.len().to_string() {
            return Err(format!("{} of {written} bytes were received", all.len()).into());
        }
        connection.write_all(b"yes")?;
        let line = client.line()?;
        client.end()?;
        if line != "yes" {
            return Err(line.into());
        }
    }
    Ok(())
}

fn datagrams() -> Result<(), Failed> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let address = socket.local_addr()?.to_string();
    let peer = thread::spawn(move || -> std::io::Result<()> {
        let mut buffer = [0; 100];
        let (len, from) = socket.recv_from(&mut buffer)?;
        // Whom nobody granted is not heard.
        UdpSocket::bind("127.0.0.2:0")?.send_to(b"stranger", from)?;
        socket.send_to(&[b"re: ", &buffer[..len]].concat(), from).map(|_| ())
    });
    let grant = format!("127.0.0.1:{}", address.rsplit_once(':').map_or("", |(_, port)| port));
    let mut client = Running::start(&["--udp", &grant], &["udp", &address, "hello"])?;
    let line = client.line()?;
    peer.join().map_err(|_| "the peer panicked")??;
    client.end()?;
    if line == "re: hello from true" { Ok(()) } else { Err(line.into()) }
}

fn who_has_written_is_answered() -> Result<(), Failed> {
    let mut server = Running::start(&["--udp", "127.0.0.1:0", "--harden"], &["hear", "127.0.0.1:0", "3"])?;
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()?));
    for _ in 0..3 {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.send_to(b"hello", address)?;
        let mut buffer = [0; 100];
        let (len, _) = socket.recv_from(&mut buffer)?;
        if &buffer[..len] != b"HELLO" {
            return Err(format!("{:?}", &buffer[..len]).into());
        }
    }
    server.end()
}

fn files_and_sockets_share_a_limit() -> Result<(), Failed> {
    let folder = support::scratch();
    let executable = folder.path().join("sockets");
    let options = [EVERYTHING, &["--max-open-files", "2"]].concat();
    support::compile(&guest("sockets.wasm"), &executable, options)?;
    let script = "tcp a 4\nudp b 6\ntcp c 4\ndrop a socket\ntcp d 4\n";
    let outcome = support::run(&mut Command::new(&executable), script.as_bytes())?;
    let expected = "tcp a 4 -> ()\nudp b 6 -> ()\ntcp c 4 -> new-socket-limit\ndrop a socket -> ok\ntcp d 4 -> ()\n";
    outcome.expect_code(0)?.expect_stdout(expected)?;
    Ok(())
}
