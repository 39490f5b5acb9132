//! Asks name servers: by UDP, and by TCP for an answer that was cut.
//!
//! Each question has a random number and a socket of its own, whose port the system chooses and whose peer is the server:
//! what anybody else sends never arrives. An answer that is none to the question is passed over until the time is up.

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
            Answer::NoName => return Err(Unresolved::Unknown),
            Answer::Addresses => answered = true,
            _ => {}
        }
    }
    match (found.as_slice().is_empty(), answered) {
        (false, _) => Ok(found),
        (true, true) => Err(Unresolved::Unknown),
        (true, false) => Err(Unresolved::Temporary),
    }
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

/// Waits for a socket, until the time is up.
fn wait(handle: Handle, events: u16, deadline: u64) -> Result<()> {
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
