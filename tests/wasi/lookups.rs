//! Names as hardened programs resolve them, in a root directory of their own: the files that say whom to ask may be missing
//! there, and a name server answers in two ways.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

use crate::support;

/// The name server, on an address of this host that nobody else uses, and on the only port that `resolv.conf` knows.
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 77, 0, 53), 53);

/// Flags of an answer: one that was cut, one that is whole, one that says that the name does not exist.
const CUT: [u8; 2] = [0x83, 0x80];
const WHOLE: [u8; 2] = [0x81, 0x80];
const NO_NAME: [u8; 2] = [0x81, 0x83];

/// The type of a question for an address of IPv4.
const A: u8 = 1;

pub(crate) fn trials() -> Vec<Trial> {
    const NAME: &str = "lookups::a_hardened_program_asks_as_any_other";
    // Files of a process belong to its user.
    let is_root = fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0);
    vec![match is_root {
        true => Trial::test(NAME, a_hardened_program_asks_as_any_other),
        false => support::skipped(NAME, "only root may have port 53 and another root directory"),
    }]
}

fn a_hardened_program_asks_as_any_other() -> Result<(), Failed> {
    let (by_udp, by_tcp) = (UdpSocket::bind(SERVER)?, TcpListener::bind(SERVER)?);
    let root = support::scratch();
    let executable = root.path().join("net");
    let guest = support::repository().join("tests/wasi/guests/net.wasm");
    by_udp.set_read_timeout(Some(Duration::from_millis(100)))?;
    for further in [&[][..], &["--harden"]] {
        support::compile(&guest, &executable, [&["--resolve", "*"], further].concat())?;
        let _ = fs::remove_dir_all(root.path().join("etc"));
        // Neither file is there: the name is known without them.
        expect(root.path(), "localhost", "127.0.0.1 ::1\n")?;
        fs::create_dir(root.path().join("etc"))?;
        fs::write(root.path().join("etc/hosts"), "10.9.8.7 known\n")?;
        expect(root.path(), "known", "10.9.8.7\n")?;
        fs::write(root.path().join("etc/resolv.conf"), format!("nameserver {}\n", SERVER.0))?;
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let server = scope.spawn(|| answer_all(&by_udp, &by_tcp, &is_over));
            let found = expect(root.path(), "www.example.org", "10.1.2.3\n");
            is_over.store(true, Ordering::Relaxed);
            server.join().map_err(|_| "the name server panicked")??;
            found
        })?;
    }
    Ok(())
}

/// Runs the program in its root directory, and compares what it finds.
fn expect(root: &Path, name: &str, found: &str) -> Result<(), Failed> {
    let mut command = Command::new("chroot");
    let outcome = support::run(command.arg(root).args(["/net", "lookup", name]), b"")?;
    outcome.expect_code(0)?.expect_stdout(found)?;
    Ok(())
}

/// Answers questions until that is over, also those that come again: for addresses of IPv4 with a cut answer, whose whole
/// comes by TCP; and that the name does not exist for the other kind.
fn answer_all(by_udp: &UdpSocket, by_tcp: &TcpListener, is_over: &AtomicBool) -> io::Result<()> {
    by_tcp.set_nonblocking(true)?;
    while !is_over.load(Ordering::Relaxed) {
        if let Ok((connection, _)) = by_tcp.accept() {
            answer_whole(connection)?;
        }
        let mut buffer = [0; 600];
        let Ok((len, from)) = by_udp.recv_from(&mut buffer) else { continue };
        let question = &buffer[..len];
        let flags = if question[len - 3] == A { CUT } else { NO_NAME };
        by_udp.send_to(&answer(question, flags), from)?;
    }
    Ok(())
}

/// Answers a question by TCP.
fn answer_whole(mut connection: TcpStream) -> io::Result<()> {
    connection.set_nonblocking(false)?;
    let mut len = [0; 2];
    connection.read_exact(&mut len)?;
    let mut question = vec![0; u16::from_be_bytes(len).into()];
    connection.read_exact(&mut question)?;
    let mut whole = answer(&question, WHOLE);
    // One record: the name that was asked for, an address, for 9 seconds.
    whole[7] = 1;
    whole.extend([0xc0, 12, 0, A, 0, 1, 0, 0, 0, 9, 0, 4, 10, 1, 2, 3]);
    connection.write_all(&[&(whole.len() as u16).to_be_bytes()[..], &whole].concat())
}

/// The question as an answer without records.
fn answer(question: &[u8], flags: [u8; 2]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2..4].copy_from_slice(&flags);
    answer
}
