//! Names as hardened programs resolve them, in a root directory of their own: the files that say whom to ask may be missing
//! there, and a name server answers in two ways.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
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
    vec![match servers() {
        Ok((by_udp, by_tcp)) => Trial::test(NAME, move || a_hardened_program_asks_as_any_other(&by_udp, &by_tcp)),
        Err(error) => support::skipped(NAME, format!("there is no name server here: {error}")),
    }]
}

/// The sockets of the name server, where a program may have them and another root directory.
fn servers() -> io::Result<(UdpSocket, TcpListener)> {
    let sockets = (UdpSocket::bind(SERVER)?, TcpListener::bind(SERVER)?);
    let output = Command::new("chroot").args(["/", "true"]).output()?;
    if output.status.success() { Ok(sockets) } else { Err(io::Error::other(String::from_utf8_lossy(&output.stderr))) }
}

fn a_hardened_program_asks_as_any_other(by_udp: &UdpSocket, by_tcp: &TcpListener) -> Result<(), Failed> {
    let root = support::scratch();
    let executable = root.path().join("net");
    let guest = support::repository().join("tests/wasi/guests/net.wasm");
    by_udp.set_read_timeout(Some(Duration::from_secs(10)))?;
    for further in [&[][..], &["--harden"]] {
        support::compile(&guest, &executable, [&["--resolve", "*"], further].concat())?;
        let _ = fs::remove_dir_all(root.path().join("etc"));
        // Neither file is there: the name is known without them.
        expect(root.path(), "localhost", "127.0.0.1 ::1\n")?;
        fs::create_dir(root.path().join("etc"))?;
        fs::write(root.path().join("etc/hosts"), "10.9.8.7 known\n")?;
        expect(root.path(), "known", "10.9.8.7\n")?;
        fs::write(root.path().join("etc/resolv.conf"), format!("nameserver {}\n", SERVER.0))?;
        let sockets = (by_udp.try_clone()?, by_tcp.try_clone()?);
        let server = thread::spawn(move || answer_two(&sockets.0, &sockets.1));
        // Where this fails, the server may wait for a question that never comes.
        expect(root.path(), "www.example.org", "10.1.2.3\n")?;
        server.join().map_err(|_| "the name server panicked")??;
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

/// Answers the questions of one name: for addresses of IPv4 with a cut answer, whose whole comes by TCP; and that the name
/// does not exist for the other kind.
fn answer_two(by_udp: &UdpSocket, by_tcp: &TcpListener) -> io::Result<()> {
    for _ in 0..2 {
        let mut buffer = [0; 600];
        let (len, from) = by_udp.recv_from(&mut buffer)?;
        let question = &buffer[..len];
        if question[len - 3] != A {
            by_udp.send_to(&answer(question, NO_NAME), from)?;
            continue;
        }
        by_udp.send_to(&answer(question, CUT), from)?;
        let (mut connection, _) = by_tcp.accept()?;
        let mut asked = vec![0; 2 + len];
        connection.read_exact(&mut asked)?;
        let mut whole = answer(&asked[2..], WHOLE);
        // One record: the name that was asked for, an address, for 9 seconds.
        whole[7] = 1;
        whole.extend([0xc0, 12, 0, A, 0, 1, 0, 0, 0, 9, 0, 4, 10, 1, 2, 3]);
        connection.write_all(&[&(whole.len() as u16).to_be_bytes()[..], &whole].concat())?;
    }
    Ok(())
}

/// The question as an answer without records.
fn answer(question: &[u8], flags: [u8; 2]) -> Vec<u8> {
    let mut answer = question.to_vec();
    answer[2..4].copy_from_slice(&flags);
    answer
}
