//! Sockets of TCP: each is new, connects, is connected, listens, or has failed. What may be done in which state is as in
//! WASI 0.2, and where that leaves a choice, as in wasmtime.

use core::net::SocketAddr;

use crate::sys::errno::{Errno, Result};
use crate::sys::fs::Handle;
use crate::sys::io_stream;
use crate::sys::socket::{Family, Protocol, SocketOption};
use crate::sys::sockets;

use super::policy::{self, Purpose};
use super::sending::{Sending, Stop};
use super::{NOT_STARTED, Socket};

/// How many connections wait to be accepted, unless a guest asks for another number.
const DEFAULT_BACKLOG: u32 = 128;

/// What a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It may have an address.
    New,
    /// A connection was begun; it has failed already where there is an error.
    Connecting(Option<Errno>),
    /// It has a peer.
    Connected,
    /// It waits for connections.
    Listening,
    /// It could not be connected.
    Failed(Errno),
}

/// What was started and not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Bind,
    Connect,
    Listen,
}

/// What a `pollable` of a socket waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The socket itself: a connection that is begun, or that can be accepted.
    Socket,
    /// Its stream of bytes that are received.
    Input,
    /// Its stream of bytes that are sent.
    Output,
}

/// When something of a socket is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Now.
    Always,
    /// When the system says that it can be read.
    Readable,
    /// When the system says that it can be written.
    Writable,
}

/// How many of something of a socket a guest has handles of.
#[derive(Clone, Copy, Debug, Default)]
struct Children {
    streams: u8,
    /// Of each [`Part`].
    polls: [u32; 3],
}

/// A socket of TCP.
#[derive(Clone, Copy, Debug)]
pub struct Tcp {
    handle: Handle,
    family: Family,
    state: State,
    operation: Option<Operation>,
    is_bound: bool,
    backlog: u32,
    receives: Receiving,
    /// What is sent.
    pub(super) sending: Sending,
    children: Children,
}

/// The receiving half of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiving {
    Never,
    Open,
    Closed,
}

/// Makes a socket; its number. Access is denied where no address is granted.
pub fn create(family: Family) -> Result<u32> {
    if !policy::allows_any(Purpose::TcpConnect) && !policy::allows_any(Purpose::TcpListen) {
        return Err(Errno::Acces);
    }
    super::add(|| sockets::socket(family, Protocol::Tcp), |handle| Socket::Tcp(Tcp::new(handle, family, State::New)))
}

impl Tcp {
    fn new(handle: Handle, family: Family, state: State) -> Self {
        Self {
            handle,
            family,
            state,
            operation: None,
            is_bound: state != State::New,
            backlog: DEFAULT_BACKLOG,
            receives: Receiving::Never,
            sending: Sending::new(),
            children: Children::default(),
        }
    }

    /// Which addresses it has.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Whether it waits for connections.
    pub fn is_listening(&self) -> bool {
        self.state == State::Listening
    }

    fn check_idle(&self) -> Result<()> {
        if self.operation.is_some() { Err(Errno::Already) } else { Ok(()) }
    }

    fn finish(&mut self, operation: Operation) -> Result<()> {
        if self.operation != Some(operation) {
            return Err(NOT_STARTED);
        }
        self.operation = None;
        Ok(())
    }

    /// Begins to bind to an address.
    pub fn start_bind(&mut self, address: &SocketAddr) -> Result<()> {
        self.check_idle()?;
        if self.is_bound || self.state != State::New {
            return Err(Errno::Isconn);
        }
        super::check_unicast(address)?;
        super::check_family(address, self.family)?;
        if !policy::allows(Purpose::TcpListen, address) {
            return Err(Errno::Acces);
        }
        // So that a server can be started again at once.
        let _ = sockets::set_option(self.handle, SocketOption::ReuseAddress, 1);
        sockets::bind(self.handle, address).map_err(of_bind)?;
        self.is_bound = true;
        self.operation = Some(Operation::Bind);
        Ok(())
    }

    /// Ends binding.
    pub fn finish_bind(&mut self) -> Result<()> {
        self.finish(Operation::Bind)
    }

    /// Begins to connect. What the system or the policy refuses is said at the end.
    pub fn start_connect(&mut self, address: &SocketAddr) -> Result<()> {
        self.check_idle()?;
        if self.state != State::New {
            return Err(Errno::Isconn);
        }
        super::check_unicast(address)?;
        super::check_remote(address)?;
        super::check_family(address, self.family)?;
        let begun = if policy::allows(Purpose::TcpConnect, address) {
            sockets::connect(self.handle, address)
        } else {
            Err(Errno::Acces)
        };
        self.state = State::Connecting(begun.err().filter(|&error| error != Errno::Inprogress));
        self.is_bound = true;
        self.operation = Some(Operation::Connect);
        Ok(())
    }

    /// Ends connecting, which would block until the peer has answered. Afterwards the socket has two streams.
    pub fn finish_connect(&mut self) -> Result<()> {
        let (Some(Operation::Connect), State::Connecting(error)) = (self.operation, self.state) else {
            return Err(NOT_STARTED);
        };
        let result = match error {
            Some(error) => Err(error),
            None if !super::is_writable(self.handle)? => return Err(Errno::Again),
            None => sockets::error(self.handle),
        };
        self.operation = None;
        match result {
            Ok(()) => self.connected(),
            Err(error) => self.state = State::Failed(error),
        }
        result
    }

    fn connected(&mut self) {
        self.state = State::Connected;
        self.receives = Receiving::Open;
        self.sending.open();
        self.children.streams = 2;
    }

    /// Begins to listen.
    pub fn start_listen(&mut self) -> Result<()> {
        self.check_idle()?;
        if !self.is_bound || self.state != State::New {
            return Err(Errno::Isconn);
        }
        sockets::listen(self.handle, self.backlog)?;
        self.state = State::Listening;
        self.operation = Some(Operation::Listen);
        Ok(())
    }

    /// Ends that.
    pub fn finish_listen(&mut self) -> Result<()> {
        self.finish(Operation::Listen)
    }

    /// Handle and family of a socket that listens.
    fn listener(&self) -> Result<(Handle, Family)> {
        if self.is_listening() { Ok((self.handle, self.family)) } else { Err(Errno::Notconn) }
    }

    /// The handle of a socket whose options can be asked for.
    fn open(&self) -> Result<Handle> {
        match self.state {
            State::New | State::Connected | State::Listening => Ok(self.handle),
            State::Connecting(_) => Err(Errno::Notconn),
            State::Failed(error) => Err(error),
        }
    }

    /// Its own address.
    pub fn local_address(&self) -> Result<SocketAddr> {
        if !self.is_bound {
            return Err(Errno::Notconn);
        }
        sockets::local_address(self.open()?)
    }

    /// The address of its peer.
    pub fn remote_address(&self) -> Result<SocketAddr> {
        match self.state {
            State::Connected => sockets::peer_address(self.handle),
            State::Failed(error) => Err(error),
            _ => Err(Errno::Notconn),
        }
    }

    /// Says how many connections may wait to be accepted.
    pub fn set_backlog(&mut self, value: u64) -> Result<()> {
        const MOST: u64 = i32::MAX as u64;
        if value == 0 {
            return Err(Errno::Inval);
        }
        // At most `MOST`.
        let value = value.min(MOST) as u32;
        match self.state {
            State::New => {}
            State::Listening => sockets::listen(self.handle, value).map_err(|_| Errno::Notsup)?,
            State::Failed(error) => return Err(error),
            State::Connecting(_) | State::Connected => return Err(Errno::Isconn),
        }
        self.backlog = value;
        Ok(())
    }

    /// The value of an option that is a number or a truth.
    pub fn option(&self, option: SocketOption) -> Result<u32> {
        sockets::option(self.open()?, option)
    }

    /// Whether silent peers are asked for a sign of life.
    pub fn set_keep_alive(&self, on: bool) -> Result<()> {
        sockets::set_option(self.open()?, SocketOption::KeepAlive, on.into())
    }

    /// Sets a time of keeping alive, in nanoseconds: whole seconds, at least one.
    pub fn set_keep_alive_time(&self, option: SocketOption, nanoseconds: u64) -> Result<()> {
        const MOST_SECONDS: u64 = i16::MAX as u64;
        if nanoseconds == 0 {
            return Err(Errno::Inval);
        }
        let handle = self.open()?;
        // Rounded up, as rustix does it. At most `MOST_SECONDS`.
        let seconds = nanoseconds.div_ceil(1_000_000_000).clamp(1, MOST_SECONDS) as u32;
        sockets::set_option(handle, option, seconds)
    }

    /// Sets how many questions go without an answer.
    pub fn set_keep_alive_count(&self, count: u32) -> Result<()> {
        const MOST: u32 = i8::MAX as u32;
        if count == 0 {
            return Err(Errno::Inval);
        }
        sockets::set_option(self.open()?, SocketOption::KeepAliveCount, count.min(MOST))
    }

    /// How many routers its packets may pass.
    pub fn hop_limit(&self) -> Result<u8> {
        super::hop_limit(self.open()?, self.family)
    }

    /// Sets that.
    pub fn set_hop_limit(&self, hops: u8) -> Result<()> {
        super::set_hop_limit(self.open()?, self.family, hops)
    }

    /// Sets the size of a buffer in bytes.
    pub fn set_buffer_size(&self, buffer: SocketOption, bytes: u64) -> Result<()> {
        super::set_buffer_size(self.open()?, buffer, bytes)
    }

    /// Ends a connection in one or both directions.
    pub fn shutdown(&mut self, receiving: bool, sending: bool) -> Result<()> {
        const RECEIVING: u32 = 0;
        if !self.sending.was_opened() {
            return Err(Errno::Notconn);
        }
        if receiving && self.receives == Receiving::Open {
            self.receives = Receiving::Closed;
            // A connection that is gone receives nothing anyway.
            let _ = io_stream::shutdown(self.handle, RECEIVING);
        }
        if sending {
            self.sending.close(self.handle);
        }
        Ok(())
    }

    /// The handle to receive by; `None` once nothing is received any more.
    pub fn receiver(&self) -> Option<Handle> {
        (self.receives == Receiving::Open).then_some(self.handle)
    }

    /// The end of what the peer sends was found, or an error.
    pub fn end_receiving(&mut self) {
        self.receives = Receiving::Closed;
    }

    /// How many bytes may be written at this moment.
    pub fn check_write(&mut self) -> Result<u32, Stop> {
        self.sending.check(self.handle)
    }

    /// Whether what was written is on its way.
    pub fn flush(&self) -> Result<(), Stop> {
        self.sending.check_flush()
    }

    /// Writes bytes, no more than were permitted.
    ///
    /// # Safety
    /// The bytes are readable.
    pub unsafe fn write(&mut self, start: *mut u8, len: usize) -> Result<(), Stop> {
        // SAFETY: by this function's contract.
        unsafe { self.sending.write(self.handle, start, len) }
    }

    /// The handle that becomes writable when more can be sent.
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// Sends what was accepted, as far as that is possible at once; whether nothing is left of it.
    pub fn send_waiting(&mut self) -> bool {
        self.sending.send_waiting(self.handle)
    }

    /// When a part of it is ready.
    pub fn ready(&self, part: Part) -> Ready {
        match (part, self.operation, self.state) {
            (Part::Socket, Some(Operation::Connect), State::Connecting(None)) => Ready::Writable,
            (Part::Socket, None, State::Listening) => Ready::Readable,
            (Part::Input, ..) if self.receives == Receiving::Open => Ready::Readable,
            (Part::Output, ..) if !self.sending.is_over() => Ready::Writable,
            _ => Ready::Always,
        }
    }

    /// A guest has one more `pollable` of a part of it.
    pub fn add_poll(&mut self, part: Part) {
        if let Some(count) = self.children.polls.get_mut(part as usize) {
            *count += 1;
        }
    }

    /// A `pollable` is gone.
    pub fn remove_poll(&mut self, part: Part) {
        if let Some(count) = self.children.polls.get_mut(part as usize) {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether a guest has a `pollable` of a part of it.
    pub fn is_polled(&self, part: Part) -> bool {
        self.children.polls.get(part as usize).is_some_and(|&count| count > 0)
    }

    /// Whether a guest has anything of it besides itself.
    pub fn has_children(&self) -> bool {
        self.children.streams > 0 || self.is_polled(Part::Socket)
    }

    /// A stream of it is gone.
    pub fn remove_stream(&mut self) {
        self.children.streams = self.children.streams.saturating_sub(1);
    }
}

/// The error of binding: an address of another family was checked before, and is an invalid argument.
fn of_bind(error: Errno) -> Errno {
    if error == Errno::Afnosupport { Errno::Inval } else { error }
}

/// Accepts a connection of the socket with this number; the number of the new socket.
pub fn accept(fd: u32) -> Result<u32> {
    let (listener, family) = super::with_tcp(fd, |tcp| tcp.listener())?;
    let accept = || sockets::accept(listener).map_err(of_accept);
    super::add(accept, |handle| {
        let mut tcp = Tcp::new(handle, family, State::Connected);
        tcp.connected();
        Socket::Tcp(tcp)
    })
}

/// The error of accepting: what the network did to a connection that nobody has accepted yet is not the listener's.
fn of_accept(error: Errno) -> Errno {
    match error {
        Errno::Connreset
        | Errno::Netreset
        | Errno::Hostunreach
        | Errno::Netdown
        | Errno::Netunreach
        | Errno::Proto
        | Errno::Noprotoopt
        | Errno::Notsup => Errno::Connaborted,
        error => error,
    }
}
