//! How servers start: options that are refused, sockets and limits that they find, and signals that come at once.

use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Failed;

use super::{ADDRESSES, Server, connect};

/// What can have no meaning is refused at the start.
pub(super) fn misunderstood(program: &Path) -> Result<(), Failed> {
    let hosts = [
        "https://host",
        "host:abc",
        "host:",
        "user@host",
        "host/path",
        "",
        "host:70000",
        "::1",
        "*.host",
        "host:+80",
        ".",
    ];
    let hosts = hosts.map(|host| ["--http-allow", host]);
    let numbers =
        ["--max-concurrency", "--max-connections", "--client-ms", "--deadline-ms"].map(|option| [option, "0"]);
    for options in hosts.into_iter().chain(numbers) {
        let output = Command::new(program).args(options).args(["--listen", "192.0.2.1:1"]).output()?;
        let message = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(2) || !message.contains(options[0]) {
            return Err(format!("{options:?} is answered with {:?}: {message}", output.status).into());
        }
    }
    Ok(())
}

/// A server that is started with a socket, as systemd does it, answers there.
pub(super) fn activated(program: &Path) -> Result<(), Failed> {
    const START: &str = "import os, socket, sys\n\
        s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n\
        os.dup2(s.fileno(), 3); os.set_inheritable(3, True)\n\
        os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n\
        os.execv(sys.argv[1], sys.argv[1:])";
    let program = program.to_str().ok_or("a path")?;
    // The address of the option is not used: it would be an error.
    let options = ["-c", START, program, "--listen", "192.0.2.1:1", "--admin", "127.0.0.1:0"];
    let mut command = Command::new("python3");
    let server = Server::of(command.args(options).stderr(Stdio::null()))?;
    server.expect("/hello", 200, &["Hello, world!\n"])
}

/// A server has as many descriptors as it may have, and not only those that it starts with.
pub(super) fn descriptors(program: &Path) -> Result<(), Failed> {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 40; exec \"$@\"", "sh"]).arg(program);
    let server = Server::of(command.args(ADDRESSES).stderr(Stdio::null()))?;
    let connections = (0..100).map(|_| connect(server.public)).collect::<Result<Vec<_>, _>>()?;
    server.expect("/hello", 200, &["Hello, world!\n"])?;
    drop(connections);
    Ok(())
}

/// A server can be told something from when it says that it listens; without a certificate, SIGHUP changes nothing.
pub(super) fn told_at_once(program: &Path) -> Result<(), Failed> {
    let mut server = Server::start(program, &[])?;
    server.signal("-HUP")?;
    server.expect("/hello", 200, &["Hello, world!\n"])?;
    server.signal("-TERM")?;
    let code = server.process.wait()?.code();
    if code != Some(0) {
        return Err(format!("the server ends with {code:?}").into());
    }
    let mut server = Server::start(program, &[])?;
    server.signal("-TERM")?;
    let code = server.process.wait()?.code();
    if code == Some(0) { Ok(()) } else { Err(format!("told at once, the server ends with {code:?}").into()) }
}
