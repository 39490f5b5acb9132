//! Asks name servers: by UDP, and by TCP for an answer that was cut.
//!
//! Each question has a random number and a socket of its own, whose port the system chooses and whose peer is the server:
//! what anybody else sends never arrives. An answer to another question is passed over until the time is up.

use core::net::SocketAddr;

use crate::sys::errno::{Errno, Result};
use crate::sys::linux::fs::Handle;
use crate::sys::linux::io_clock::{self, Clock, Watch};
use crate::sys::linux::io_stream::{self, Buffer};
use crate::sys::linux::sockets;
use crate::sys::names::{Found, Unresolved};
use crate::sys::socket::{Family, Protocol};

use super::files::Configuration;
use super::message::{Answer, Kind, Question};

/// The longest answer by UDP to a question that does not say that longer ones are welcome, and some more.
const UDP_BYTES: usize = 1500;

/// The longest answer by TCP that is read: one with more addresses than are of interest.
const TCP_BYTES: usize = 8192;

const SECOND: u64 = 1_000_000_000;

/// Asks for both kinds of addresses.
pub(super) fn servers(name: &[u8], configuration: &Configuration) -> core::result::Result<Found, Unresolved> {
    let mut found = Found::NONE;
    let mut answered = false;
    for kind in [Kind::A, Kind::Aaaa] {
        match ask(name, kind, configuration, &mut found) {
            // What was found for the other kind is still an answer.
            Answer::NoName => break,
            Answer::Addresses => answered = true,
            // Nobody answers: asking for the other kind would take as long again.
            _ if found.as_slice().is_empty() && !answered => return Err(Unresolved::Temporary),
            _ => {}
        }
    }
    if found.as_slice().is_empty() { Err(Unresolved::Unknown) } else { Ok(found) }
}

/// Asks each server, as often as is configured, until one can say.
fn ask(name: &[u8], kind: Kind, configuration: &Configuration, found: &mut Found) -> Answer {
    for _ in 0..configuration.attempts {
        for server in configuration.servers() {
            let mut number = [0; 2];
            // SAFETY: the array is writable.
            if unsafe { io_stream::random(number.as_mut_ptr(), number.len()) } != Ok(number.len()) {
                return Answer::Failed;
            }
            let Some(question) = Question::new(name, kind, u16::from_ne_bytes(number)) else { return Answer::NoName };
            let Ok(deadline) = io_clock::now(Clock::Monotonic) else { return Answer::Failed };
            let deadline = deadline.saturating_add(configuration.timeout_seconds * SECOND);
            let mut answer = by_udp(server, &question, deadline, found);
            if answer == Ok(Answer::Cut) {
                answer = by_tcp(server, &question, deadline, found);
            }
            // What a server fails to say, another one may know.
            if let Ok(answer @ (Answer::Addresses | Answer::NoName)) = answer {
                return answer;
            }
        }
    }
    Answer::Failed
}

/// Waits for a socket, until the time is up. That is looked at first: a peer that sends without end makes the socket ready
/// at any moment.
fn wait(handle: Handle, events: u16, deadline: u64) -> Result<()> {
    if io_clock::now(Clock::Monotonic)? >= deadline {
        return Err(Errno::Timedout);
    }
    match io_clock::wait(&mut [Watch::new(handle, events)], Some(deadline))? {
        0 => Err(Errno::Timedout),
        _ => Ok(()),
    }
}

fn by_udp(server: &SocketAddr, question: &Question, deadline: u64, found: &mut Found) -> Result<Answer> {
    let socket = sockets::socket(Family::of(server), Protocol::Udp)?;
    sockets::connect(socket.get(), server)?;
    let bytes = question.as_bytes();
    let buffer = Buffer { base: bytes.as_ptr().cast_mut(), len_bytes: bytes.len() };
    // SAFETY: the bytes are readable.
    unsafe { sockets::send_to(socket.get(), &buffer, None) }?;
    loop {
        wait(socket.get(), Watch::READABLE, deadline)?;
        let mut answer = [0u8; UDP_BYTES];
        let room = Buffer { base: answer.as_mut_ptr(), len_bytes: answer.len() };
        // SAFETY: the buffer is the array, which nothing else refers to meanwhile.
        let len = match unsafe { sockets::receive_from(socket.get(), &room) } {
            Ok((len, _)) => len,
            Err(Errno::Again | Errno::Msgsize) => continue,
            Err(error) => return Err(error),
        };
        match question.read(answer.get(..len).unwrap_or_default(), found) {
            Answer::Foreign => {}
            said => return Ok(said),
        }
    }
}

fn by_tcp(server: &SocketAddr, question: &Question, deadline: u64, found: &mut Found) -> Result<Answer> {
    let socket = sockets::socket(Family::of(server), Protocol::Tcp)?;
    let handle = socket.get();
    match sockets::connect(handle, server) {
        Ok(()) | Err(Errno::Inprogress) => {}
        Err(error) => return Err(error),
    }
    wait(handle, Watch::WRITABLE, deadline)?;
    sockets::error(handle)?;
    let bytes = question.as_bytes();
    let mut len = (bytes.len() as u16).to_be_bytes();
    let message = [
        Buffer { base: len.as_mut_ptr(), len_bytes: len.len() },
        Buffer { base: bytes.as_ptr().cast_mut(), len_bytes: bytes.len() },
    ];
    // SAFETY: the bytes are readable. A new connection takes a few hundred of them at once, or is of no use.
    if unsafe { io_stream::send(handle, &message) }? != len.len() + bytes.len() {
        return Ok(Answer::Failed);
    }
    let mut answer = [0u8; TCP_BYTES];
    receive(handle, &mut len, deadline)?;
    let Some(answer) = answer.get_mut(..usize::from(u16::from_be_bytes(len))) else { return Ok(Answer::Failed) };
    receive(handle, answer, deadline)?;
    Ok(question.read(answer, found))
}

/// Receives exactly as many bytes as there is room for.
fn receive(handle: Handle, mut room: &mut [u8], deadline: u64) -> Result<()> {
    while !room.is_empty() {
        wait(handle, Watch::READABLE, deadline)?;
        let buffer = Buffer { base: room.as_mut_ptr(), len_bytes: room.len() };
        // SAFETY: the buffer is the slice, which nothing else refers to meanwhile.
        match unsafe { io_stream::read(handle, &[buffer]) } {
            Ok(0) => return Err(Errno::Connreset),
            Ok(len) => room = room.get_mut(len..).unwrap_or_default(),
            Err(Errno::Again) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{IpAddr, TcpListener, UdpSocket};
    use std::time::Duration;
    use std::vec::Vec;

    /// How a server answers.
    #[derive(Clone, Copy, PartialEq)]
    enum Manner {
        Says,
        Cuts,
        /// First an answer to another question, then the answer.
        Confuses,
        Refuses,
        /// Says that the name does not exist when it is asked for an address of IPv6.
        KnowsOneKind,
        IsSilent,
    }

    /// An answer with one address of the kind that is asked for.
    fn answer(question: &[u8], flags: [u8; 2]) -> Vec<u8> {
        let mut answer = question.to_vec();
        answer[2..4].copy_from_slice(&flags);
        answer[7] = 1;
        let kind = question[question.len() - 3];
        answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 9]);
        answer.extend(if kind == 1 {
            [&[0, 4][..], &[10, 1, 2, 3]].concat()
        } else {
            [&[0, 16][..], &[0xfd; 16]].concat()
        });
        answer
    }

    /// Asks a server of this manner for a name.
    fn ask_one(manner: Manner) -> core::result::Result<Found, Unresolved> {
        const SAYS: [u8; 2] = [0x81, 0x80];
        const NO_NAME: [u8; 2] = [0x81, 0x83];
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_millis(3000))).unwrap();
        let address = server.local_addr().unwrap();
        let by_tcp = TcpListener::bind(address).unwrap();
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 600];
            for _ in 0..if matches!(manner, Manner::Refuses | Manner::IsSilent) { 1 } else { 2 } {
                let (len, from) = server.recv_from(&mut buffer).unwrap();
                let question = &buffer[..len];
                match manner {
                    Manner::IsSilent => {}
                    Manner::Says => drop(server.send_to(&answer(question, SAYS), from).unwrap()),
                    Manner::Refuses => drop(server.send_to(&answer(question, NO_NAME), from).unwrap()),
                    Manner::KnowsOneKind => {
                        let flags = if question[len - 3] == 1 { SAYS } else { NO_NAME };
                        server.send_to(&answer(question, flags), from).unwrap();
                    }
                    Manner::Confuses => {
                        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
                        let mut wrong = answer(question, SAYS);
                        let last = wrong.len() - 1;
                        wrong[last] = 99;
                        // From somebody else, for another question, and nothing at all.
                        other.send_to(&wrong, from).unwrap();
                        wrong[0] ^= 1;
                        server.send_to(&wrong, from).unwrap();
                        server.send_to(&[], from).unwrap();
                        server.send_to(&answer(question, SAYS), from).unwrap();
                    }
                    Manner::Cuts => {
                        server.send_to(&answer(question, [0x83, 0x80]), from).unwrap();
                        let (mut connection, _) = by_tcp.accept().unwrap();
                        let mut asked = std::vec![0; 2 + len];
                        connection.read_exact(&mut asked).unwrap();
                        let answer = answer(&asked[2..], SAYS);
                        connection
                            .write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer[..7]].concat())
                            .unwrap();
                        std::thread::sleep(Duration::from_millis(10));
                        connection.write_all(&answer[7..]).unwrap();
                    }
                }
            }
        });
        let found = servers(b"www.example.org", &Configuration::of(address));
        thread.join().unwrap();
        found
    }

    #[test]
    fn servers_are_asked_and_not_believed_everything() {
        let expected = [IpAddr::from([10, 1, 2, 3]), IpAddr::from([0xfd; 16])];
        for manner in [Manner::Says, Manner::Cuts, Manner::Confuses] {
            assert_eq!(ask_one(manner).map(|found| found.as_slice().to_vec()), Ok(expected.to_vec()));
        }
        assert_eq!(ask_one(Manner::KnowsOneKind).map(|found| found.as_slice().to_vec()), Ok(expected[..1].to_vec()));
        assert_eq!(ask_one(Manner::Refuses).map(|_| ()), Err(Unresolved::Unknown));
        assert_eq!(ask_one(Manner::IsSilent).map(|_| ()), Err(Unresolved::Temporary));
    }

    #[test]
    fn a_server_that_sends_without_end_has_no_more_time_than_another() {
        let socket = sockets::socket(Family::V4, Protocol::Udp).unwrap();
        sockets::bind(socket.get(), &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.send_to(b"no answer", sockets::local_address(socket.get()).unwrap()).unwrap();
        let now = io_clock::now(Clock::Monotonic).unwrap();
        assert_eq!(wait(socket.get(), Watch::READABLE, now + 60 * SECOND), Ok(()));
        // There still is something to read.
        assert_eq!(wait(socket.get(), Watch::READABLE, now), Err(Errno::Timedout));
    }
}
