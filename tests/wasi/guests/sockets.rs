//! A component of WASI 0.2 that calls functions of `wasi:sockets` and of streams as lines of its standard input say, and
//! prints what each returned. It is built with `cargo build --release --target wasm32-wasip2`, and
//!
//! ```toml
//! [dependencies]
//! wasip2 = "=1.0.4"
//! [profile.release]
//! opt-level = "s"
//! lto = true
//! panic = "abort"
//! strip = "symbols"
//! ```
//!
//! A line is a function and its arguments. Sockets have names, which stand for their streams as well: `in` and `out`
//! functions take the stream of the socket. An address is `IP:PORT`, `@NAME` for where a socket is bound, or `@NAME+` for
//! that with the port raised by one. Ports that the system chose are printed as `P1`, `P2`, and so on.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::io::{self, BufRead};
use std::net::SocketAddr;

use wasip2::io::poll::{Pollable, poll};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::{ResolveAddressStream, resolve_addresses};
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, Network,
};
use wasip2::sockets::tcp::{ShutdownType, TcpSocket};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp::{IncomingDatagramStream, OutgoingDatagram, OutgoingDatagramStream, UdpSocket};
use wasip2::sockets::udp_create_socket::create_udp_socket;

#[derive(Default)]
struct Socket {
    // In the order in which they may go.
    polls: BTreeMap<&'static str, Pollable>,
    input: Option<InputStream>,
    output: Option<OutputStream>,
    incoming: Option<IncomingDatagramStream>,
    outgoing: Option<OutgoingDatagramStream>,
    addresses: Option<ResolveAddressStream>,
    tcp: Option<TcpSocket>,
    udp: Option<UdpSocket>,
}

struct World {
    network: Network,
    sockets: HashMap<String, Socket>,
    ports: RefCell<Vec<u16>>,
}

fn main() {
    let mut world = World { network: instance_network(), sockets: HashMap::new(), ports: RefCell::default() };
    for line in io::stdin().lock().lines() {
        let line = line.expect("standard input can be read");
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            [function, name, rest @ ..] => println!("{line} -> {}", world.call(function, name, rest)),
            _ => println!("{line}"),
        }
    }
    // Whatever is left goes in an order that is always allowed.
    for (_, socket) in world.sockets.drain() {
        let Socket { polls, input, output, incoming, outgoing, addresses, tcp, udp } = socket;
        drop(polls);
        drop((input, output, incoming, outgoing, addresses));
        drop((tcp, udp));
    }
}

fn show<T: Debug>(result: Result<T, ErrorCode>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(code) => code.name().to_owned(),
    }
}

fn show_stream<T: Debug>(result: Result<T, StreamError>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(StreamError::Closed) => "closed".to_owned(),
        Err(StreamError::LastOperationFailed(_)) => "last-operation-failed".to_owned(),
    }
}

fn of_std(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(v4) => {
            let [a, b, c, d] = v4.ip().octets();
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: v4.port(), address: (a, b, c, d) })
        }
        SocketAddr::V6(v6) => {
            let [a, b, c, d, e, f, g, h] = v6.ip().segments();
            IpSocketAddress::Ipv6(Ipv6SocketAddress {
                port: v6.port(),
                flow_info: v6.flowinfo(),
                address: (a, b, c, d, e, f, g, h),
                scope_id: v6.scope_id(),
            })
        }
    }
}

fn to_std(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(v4) => {
            let (a, b, c, d) = v4.address;
            SocketAddr::from(([a, b, c, d], v4.port))
        }
        IpSocketAddress::Ipv6(v6) => {
            let (a, b, c, d, e, f, g, h) = v6.address;
            SocketAddr::V6(std::net::SocketAddrV6::new(
                [a, b, c, d, e, f, g, h].into(),
                v6.port,
                v6.flow_info,
                v6.scope_id,
            ))
        }
    }
}

impl World {
    /// An address with its port as transcripts show it.
    fn shown(&self, address: IpSocketAddress) -> String {
        let address = to_std(address);
        let mut ports = self.ports.borrow_mut();
        if address.port() < 1024 {
            return address.to_string();
        }
        let place = ports.iter().position(|&port| port == address.port()).unwrap_or_else(|| {
            ports.push(address.port());
            ports.len() - 1
        });
        let text = address.to_string();
        format!("{}:P{}", text.rsplit_once(':').unwrap().0, place + 1)
    }

    fn address(&self, text: &str) -> IpSocketAddress {
        let Some(name) = text.strip_prefix('@') else {
            return of_std(text.parse().unwrap_or_else(|_| panic!("`{text}` is not an address")));
        };
        let (name, raise) = name.strip_suffix('+').map_or((name, 0), |name| (name, 1));
        let socket = &self.sockets[name];
        let local = match (&socket.tcp, &socket.udp) {
            (Some(tcp), _) => tcp.local_address(),
            (_, Some(udp)) => udp.local_address(),
            _ => panic!("no socket `{name}`"),
        };
        let mut local = to_std(local.expect("it has an address"));
        local.set_port(local.port() + raise);
        of_std(local)
    }

    fn socket(&mut self, name: &str) -> &mut Socket {
        self.sockets.get_mut(name).unwrap_or_else(|| panic!("no socket `{name}`"))
    }

    fn tcp(&self, name: &str) -> &TcpSocket {
        self.sockets[name].tcp.as_ref().expect("a socket of TCP")
    }

    fn udp(&self, name: &str) -> &UdpSocket {
        self.sockets[name].udp.as_ref().expect("a socket of UDP")
    }

    fn output(&self, name: &str) -> &OutputStream {
        self.sockets[name].output.as_ref().expect("a stream")
    }

    fn input(&self, name: &str) -> &InputStream {
        self.sockets[name].input.as_ref().expect("a stream")
    }

    fn call(&mut self, function: &str, name: &str, rest: &[&str]) -> String {
        let number = |place: usize| rest.get(place).and_then(|text| text.parse::<u64>().ok()).expect("a number");
        let text = rest.join(" ");
        match function {
            "tcp" | "udp" => return self.create(function, name, rest[0]),
            "start-bind" => {
                let address = self.address(rest[0]);
                let socket = &self.sockets[name];
                return show(match (&socket.tcp, &socket.udp) {
                    (Some(tcp), _) => tcp.start_bind(&self.network, address),
                    (_, Some(udp)) => udp.start_bind(&self.network, address),
                    _ => panic!("no socket"),
                });
            }
            "finish-bind" => {
                let socket = &self.sockets[name];
                return show(match (&socket.tcp, &socket.udp) {
                    (Some(tcp), _) => tcp.finish_bind(),
                    (_, Some(udp)) => udp.finish_bind(),
                    _ => panic!("no socket"),
                });
            }
            "bind" => {
                let started = self.call("start-bind", name, rest);
                return if started == "()" { self.call("finish-bind", name, rest) } else { started };
            }
            "start-connect" => {
                let address = self.address(rest[0]);
                return show(self.tcp(name).start_connect(&self.network, address));
            }
            "finish-connect" => match self.tcp(name).finish_connect() {
                Ok((input, output)) => {
                    let socket = self.socket(name);
                    (socket.input, socket.output) = (Some(input), Some(output));
                    return "connected".to_owned();
                }
                Err(code) => return code.name().to_owned(),
            },
            "connect" => {
                let started = self.call("start-connect", name, rest);
                if started != "()" {
                    return started;
                }
                self.tcp(name).subscribe().block();
                return self.call("finish-connect", name, rest);
            }
            "start-listen" => return show(self.tcp(name).start_listen()),
            "finish-listen" => return show(self.tcp(name).finish_listen()),
            "listen" => {
                let started = self.call("start-listen", name, rest);
                return if started == "()" { self.call("finish-listen", name, rest) } else { started };
            }
            "try-accept" => match self.tcp(name).accept() {
                Ok((tcp, input, output)) => {
                    let accepted =
                        Socket { tcp: Some(tcp), input: Some(input), output: Some(output), ..Socket::default() };
                    self.sockets.insert(rest[0].to_owned(), accepted);
                    return "accepted".to_owned();
                }
                Err(code) => return code.name().to_owned(),
            },
            "accept" => {
                self.tcp(name).subscribe().block();
                return self.call("try-accept", name, rest);
            }
            "local-address" | "remote-address" => {
                let socket = &self.sockets[name];
                let address = match (&socket.tcp, &socket.udp, function) {
                    (Some(tcp), _, "local-address") => tcp.local_address(),
                    (Some(tcp), ..) => tcp.remote_address(),
                    (_, Some(udp), "local-address") => udp.local_address(),
                    (_, Some(udp), _) => udp.remote_address(),
                    _ => panic!("no socket"),
                };
                return match address {
                    Ok(address) => self.shown(address),
                    Err(code) => code.name().to_owned(),
                };
            }
            "is-listening" => return self.tcp(name).is_listening().to_string(),
            "address-family" => {
                let socket = &self.sockets[name];
                return match (&socket.tcp, &socket.udp) {
                    (Some(tcp), _) => format!("{:?}", tcp.address_family()),
                    (_, Some(udp)) => format!("{:?}", udp.address_family()),
                    _ => panic!("no socket"),
                };
            }
            "get" => return self.get(name, rest[0]),
            "set" => return self.set(name, rest[0], number(1)),
            "shutdown" => {
                let how = match rest[0] {
                    "receive" => ShutdownType::Receive,
                    "send" => ShutdownType::Send,
                    _ => ShutdownType::Both,
                };
                return show(self.tcp(name).shutdown(how));
            }
            "stream" => {
                let peer = rest.first().map(|text| self.address(text));
                return match self.udp(name).stream(peer) {
                    Ok((incoming, outgoing)) => {
                        let socket = self.socket(name);
                        (socket.incoming, socket.outgoing) = (Some(incoming), Some(outgoing));
                        "streams".to_owned()
                    }
                    Err(code) => code.name().to_owned(),
                };
            }
            "check-send" => return show(self.sockets[name].outgoing.as_ref().expect("a stream").check_send()),
            // `send NAME ADDRESS|- TEXT...`, each text a datagram; `xN` is one of N bytes.
            "send" => {
                let remote_address = (rest[0] != "-").then(|| self.address(rest[0]));
                let datagrams: Vec<_> = rest[1..]
                    .iter()
                    .map(|text| match text.strip_prefix('x').and_then(|len| len.parse().ok()) {
                        Some(len) => vec![b'x'; len],
                        None => text.as_bytes().to_vec(),
                    })
                    .map(|data| OutgoingDatagram { data, remote_address })
                    .collect();
                return show(self.sockets[name].outgoing.as_ref().expect("a stream").send(&datagrams));
            }
            "receive" => {
                let received = self.sockets[name].incoming.as_ref().expect("a stream").receive(number(0));
                return match received {
                    Ok(datagrams) => {
                        let datagrams: Vec<_> = datagrams
                            .iter()
                            .map(|datagram| {
                                let data = String::from_utf8_lossy(&datagram.data);
                                let data = if data.len() > 40 { format!("{} bytes", data.len()) } else { data.into() };
                                format!("{data} from {}", self.shown(datagram.remote_address))
                            })
                            .collect();
                        format!("{datagrams:?}")
                    }
                    Err(code) => code.name().to_owned(),
                };
            }
            "resolve" => {
                return match resolve_addresses(&self.network, rest.first().unwrap_or(&"")) {
                    Ok(addresses) => {
                        self.sockets
                            .insert(name.to_owned(), Socket { addresses: Some(addresses), ..Socket::default() });
                        "addresses".to_owned()
                    }
                    Err(code) => code.name().to_owned(),
                };
            }
            "next" => {
                let addresses = self.sockets[name].addresses.as_ref().expect("addresses");
                addresses.subscribe().block();
                return match addresses.resolve_next_address() {
                    Ok(None) => "none".to_owned(),
                    Ok(Some(IpAddress::Ipv4((a, b, c, d)))) => format!("{a}.{b}.{c}.{d}"),
                    Ok(Some(IpAddress::Ipv6((a, b, c, d, e, f, g, h)))) => {
                        std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h).to_string()
                    }
                    Err(code) => code.name().to_owned(),
                };
            }
            "subscribe" => self.subscribe(name, rest[0]),
            "ready" => return self.sockets[name].polls[rest[0]].ready().to_string(),
            "block" => self.sockets[name].polls[rest[0]].block(),
            "poll" => {
                // `poll a out b in`: pairs.
                let words: Vec<&str> = [name].into_iter().chain(rest.iter().copied()).collect();
                let list: Vec<&Pollable> =
                    words.chunks(2).map(|pair| &self.sockets[pair[0]].polls[pair[1]]).collect();
                return format!("{:?}", poll(&list));
            }
            "drop" => return self.drop(name, rest.first().copied().unwrap_or("socket")),
            "check-write" => {
                return match self.output(name).check_write() {
                    Ok(0) => "0".to_owned(),
                    Ok(_) => "some".to_owned(),
                    Err(error) => show_stream::<u64>(Err(error)),
                };
            }
            "write" => {
                let checked = self.output(name).check_write();
                if let Err(error) = checked {
                    return show_stream::<()>(Err(error));
                }
                return show_stream(self.output(name).write(text.as_bytes()));
            }
            "write-unchecked" => return show_stream(self.output(name).write(text.as_bytes())),
            "write-all" => return show_stream(self.output(name).blocking_write_and_flush(text.as_bytes())),
            // Writes blocks of a size until the other side must read; how many were written is not the same each time.
            "fill" => {
                let block = vec![b'f'; number(0) as usize];
                let mut written = 0;
                loop {
                    match self.output(name).check_write() {
                        Ok(0) => return if written > 0 { "full".to_owned() } else { "full at once".to_owned() },
                        Ok(permit) => {
                            let len = block.len().min(permit as usize);
                            if let Err(error) = self.output(name).write(&block[..len]) {
                                return show_stream::<()>(Err(error));
                            }
                            written += len;
                        }
                        Err(error) => return show_stream::<u64>(Err(error)),
                    }
                }
            }
            // Reads until there is nothing, and says what it was made of.
            "drain" => {
                let mut found = BTreeMap::new();
                loop {
                    match self.input(name).read(1 << 20) {
                        Ok(bytes) if bytes.is_empty() => break,
                        Ok(bytes) => bytes.iter().for_each(|&byte| *found.entry(byte as char).or_insert(0u64) += 1),
                        Err(error) => return format!("{:?}, {}", found.keys(), show_stream::<()>(Err(error))),
                    }
                }
                return format!("{:?}", found.keys());
            }
            "flush" => return show_stream(self.output(name).flush()),
            "blocking-flush" => return show_stream(self.output(name).blocking_flush()),
            "write-zeroes" => {
                let _ = self.output(name).check_write();
                return show_stream(self.output(name).write_zeroes(number(0)));
            }
            "blocking-write-zeroes" => {
                return show_stream(self.output(name).blocking_write_zeroes_and_flush(number(0)));
            }
            "splice" => return show_stream(self.output(name).splice(self.input(rest[0]), number(1))),
            "blocking-splice" => {
                return show_stream(self.output(name).blocking_splice(self.input(rest[0]), number(1)));
            }
            "read" => return show_bytes(self.input(name).read(number(0))),
            "blocking-read" => return show_bytes(self.input(name).blocking_read(number(0))),
            "skip" => return show_stream(self.input(name).skip(number(0))),
            "blocking-skip" => return show_stream(self.input(name).blocking_skip(number(0))),
            _ => panic!("`{function}` is not a function"),
        }
        "ok".to_owned()
    }

    fn create(&mut self, protocol: &str, name: &str, family: &str) -> String {
        let family = if family == "4" { IpAddressFamily::Ipv4 } else { IpAddressFamily::Ipv6 };
        let mut socket = Socket::default();
        let created = if protocol == "tcp" {
            create_tcp_socket(family).map(|tcp| socket.tcp = Some(tcp))
        } else {
            create_udp_socket(family).map(|udp| socket.udp = Some(udp))
        };
        self.sockets.insert(name.to_owned(), socket);
        show(created)
    }

    fn get(&self, name: &str, option: &str) -> String {
        if let Some(udp) = &self.sockets[name].udp {
            return match option {
                "hop-limit" => show(udp.unicast_hop_limit()),
                "receive-buffer-size" => show(udp.receive_buffer_size()),
                _ => show(udp.send_buffer_size()),
            };
        }
        let tcp = self.tcp(name);
        match option {
            "keep-alive-enabled" => show(tcp.keep_alive_enabled()),
            "keep-alive-idle-time" => show(tcp.keep_alive_idle_time()),
            "keep-alive-interval" => show(tcp.keep_alive_interval()),
            "keep-alive-count" => show(tcp.keep_alive_count()),
            "hop-limit" => show(tcp.hop_limit()),
            "receive-buffer-size" => show(tcp.receive_buffer_size()),
            _ => show(tcp.send_buffer_size()),
        }
    }

    fn set(&self, name: &str, option: &str, value: u64) -> String {
        if let Some(udp) = &self.sockets[name].udp {
            return show(match option {
                "hop-limit" => udp.set_unicast_hop_limit(value as u8),
                "receive-buffer-size" => udp.set_receive_buffer_size(value),
                _ => udp.set_send_buffer_size(value),
            });
        }
        let tcp = self.tcp(name);
        show(match option {
            "backlog" => tcp.set_listen_backlog_size(value),
            "keep-alive-enabled" => tcp.set_keep_alive_enabled(value != 0),
            "keep-alive-idle-time" => tcp.set_keep_alive_idle_time(value),
            "keep-alive-interval" => tcp.set_keep_alive_interval(value),
            "keep-alive-count" => tcp.set_keep_alive_count(value as u32),
            "hop-limit" => tcp.set_hop_limit(value as u8),
            "receive-buffer-size" => tcp.set_receive_buffer_size(value),
            _ => tcp.set_send_buffer_size(value),
        })
    }

    fn subscribe(&mut self, name: &str, what: &str) {
        let socket = self.socket(name);
        let (key, poll) = match what {
            "in" => ("in", socket.input.as_ref().expect("a stream").subscribe()),
            "out" => ("out", socket.output.as_ref().expect("a stream").subscribe()),
            "incoming" => ("incoming", socket.incoming.as_ref().expect("a stream").subscribe()),
            "outgoing" => ("outgoing", socket.outgoing.as_ref().expect("a stream").subscribe()),
            "addresses" => ("addresses", socket.addresses.as_ref().expect("addresses").subscribe()),
            _ => match (&socket.tcp, &socket.udp) {
                (Some(tcp), _) => ("socket", tcp.subscribe()),
                (_, Some(udp)) => ("socket", udp.subscribe()),
                _ => panic!("no socket"),
            },
        };
        socket.polls.insert(key, poll);
    }

    /// Drops one thing alone.
    fn drop(&mut self, name: &str, what: &str) -> String {
        let socket = self.socket(name);
        match what {
            "in" => drop(socket.input.take()),
            "out" => drop(socket.output.take()),
            "incoming" => drop(socket.incoming.take()),
            "outgoing" => drop(socket.outgoing.take()),
            "addresses" => drop(socket.addresses.take()),
            "polls" => socket.polls.clear(),
            "all" => {
                socket.polls.clear();
                (socket.input, socket.output, socket.incoming, socket.outgoing) = (None, None, None, None);
                socket.addresses = None;
                (socket.tcp, socket.udp) = (None, None);
            }
            _ => {
                drop(socket.tcp.take());
                drop(socket.udp.take());
            }
        }
        "ok".to_owned()
    }
}

fn show_bytes(result: Result<Vec<u8>, StreamError>) -> String {
    match result {
        Ok(bytes) => format!("{:?}", String::from_utf8_lossy(&bytes)),
        Err(error) => show_stream::<()>(Err(error)),
    }
}
