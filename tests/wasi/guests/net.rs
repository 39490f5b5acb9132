//! A component of WASI 0.2 that uses sockets through the standard library. It is built with
//!
//! ```text
//! rustc --edition 2024 --target wasm32-wasip2 -C opt-level=s -C lto -C panic=abort -C strip=symbols net.rs
//! ```
//!
//! Its arguments say what it does: `serve COUNT` prints its port, accepts so many connections, keeps them all, and answers
//! a line on each; `fetch ADDRESS BYTES` sends so many bytes, ends that half, and counts what comes back; `udp ADDRESS TEXT`
//! sends a datagram and prints the answer; `hear ADDRESS COUNT` binds there, and answers so many datagrams; `lookup NAME`
//! prints the addresses of a name; `spin ADDRESS` writes more than the system takes, ends that half, prints how many bytes
//! that were, and asks for an answer again and again without ever waiting.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["serve", count] => serve(count.parse().expect("a number")),
        ["fetch", address, bytes] => fetch(address, bytes.parse().expect("a number")),
        ["udp", address, text] => udp(address, text),
        ["hear", address, count] => hear(address, count.parse().expect("a number")),
        ["lookup", name] => lookup(name),
        ["spin", address] => spin(address),
        _ => panic!("what to do?"),
    };
    if let Err(error) = done {
        println!("{:?}", error.kind());
    }
}

fn serve(count: usize) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(listener.accept()?.0);
    }
    for connection in &mut connections {
        let mut line = String::new();
        BufReader::new(&mut *connection).read_line(&mut line)?;
        write!(connection, "answer to {line}")?;
    }
    println!("answered {}", connections.len());
    Ok(())
}

fn fetch(address: &str, bytes: usize) -> io::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    let block: Vec<u8> = (0..bytes).map(|index| (index % 251) as u8).collect();
    connection.write_all(&block)?;
    connection.shutdown(Shutdown::Write)?;
    let mut back = Vec::new();
    connection.read_to_end(&mut back)?;
    println!("{} bytes, the same: {}", back.len(), back == block);
    Ok(())
}

fn udp(address: &str, text: &str) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.send_to(text.as_bytes(), address)?;
    let mut buffer = [0; 100];
    let (len, from) = socket.recv_from(&mut buffer)?;
    println!("{} from {}", String::from_utf8_lossy(&buffer[..len]), from == address.parse().expect("an address"));
    Ok(())
}

fn hear(address: &str, count: usize) -> io::Result<()> {
    let socket = UdpSocket::bind(address)?;
    println!("{}", socket.local_addr()?.port());
    for _ in 0..count {
        let mut buffer = [0; 100];
        let (len, from) = socket.recv_from(&mut buffer)?;
        buffer[..len].make_ascii_uppercase();
        socket.send_to(&buffer[..len], from)?;
    }
    Ok(())
}

fn lookup(name: &str) -> io::Result<()> {
    let mut addresses: Vec<_> = (name, 80).to_socket_addrs()?.map(|address| address.ip().to_string()).collect();
    addresses.sort();
    println!("{}", addresses.join(" "));
    Ok(())
}

/// How often an answer is asked for, which takes seconds: much longer than a peer takes that gets everything.
const PATIENCE: u32 = 20_000_000;

fn spin(address: &str) -> io::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    connection.set_nonblocking(true)?;
    let mut written = 0;
    loop {
        match connection.write(&[b's'; 1 << 16]) {
            Ok(len) => written += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    connection.shutdown(Shutdown::Write)?;
    println!("{written}");
    let mut answer = [0; 100];
    for _ in 0..PATIENCE {
        match connection.read(&mut answer) {
            Ok(len) => {
                println!("{}", String::from_utf8_lossy(&answer[..len]));
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
