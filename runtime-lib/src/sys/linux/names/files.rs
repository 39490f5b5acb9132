//! `/etc/hosts` and `/etc/resolv.conf`, read anew for each name, line by line.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::sync::atomic::{AtomicU32, Ordering};

use crate::sys::errno::Result;
use crate::sys::linux::fs::{self, Handle, OwnedHandle};
use crate::sys::linux::io_stream::{self, Buffer};
use crate::sys::names::Found;

/// A file of the system.
#[derive(Clone, Copy, Debug)]
enum File {
    Hosts,
    Servers,
}

/// Numbers of handles that were opened before the process gave up opening files; or one of the two states below, neither of
/// which is the number of a handle.
static HOSTS: AtomicU32 = AtomicU32::new(NOT_KEPT);
static SERVERS: AtomicU32 = AtomicU32::new(NOT_KEPT);

/// The file is opened whenever a name is resolved.
const NOT_KEPT: u32 = u32::MAX;

/// The file was not there when files could still be opened.
const ABSENT: u32 = u32::MAX - 1;

/// Opens the files for good, so that names can be resolved when no file can be opened any more. A file that is not there
/// says nothing from then on, and is not looked for again.
pub fn keep_open() {
    for file in [File::Hosts, File::Servers] {
        file.kept().store(file.open().map_or(ABSENT, |handle| handle.release().number()), Ordering::Relaxed);
    }
}

/// How much of a file is read.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The longest line that means something.
const MAX_LINE_BYTES: usize = 1024;

impl File {
    fn open(self) -> Result<OwnedHandle> {
        // Not a table of paths, which would need relocations in a position-independent executable.
        if matches!(self, Self::Hosts) {
            return fs::open_system_file(c"/etc/hosts");
        }
        fs::open_system_file(c"/etc/resolv.conf")
    }

    fn kept(self) -> &'static AtomicU32 {
        if matches!(self, Self::Hosts) { &HOSTS } else { &SERVERS }
    }

    /// Calls `f` with each line, without what follows a `#` or `;`.
    fn for_each_line(self, mut f: impl FnMut(&[u8])) {
        match self.kept().load(Ordering::Relaxed) {
            ABSENT => {}
            NOT_KEPT => {
                if let Ok(handle) = self.open() {
                    lines(handle.get(), &mut f);
                }
            }
            number => lines(Handle::from_number(number), &mut f),
        }
    }
}

fn lines(handle: Handle, f: &mut impl FnMut(&[u8])) {
    let mut line = [0; MAX_LINE_BYTES];
    // One more than the line's length where that is too long.
    let mut len = 0;
    let mut offset = 0;
    while offset < MAX_FILE_BYTES {
        let mut chunk = [0u8; 512];
        let room = Buffer { base: chunk.as_mut_ptr(), len_bytes: chunk.len() };
        // SAFETY: the buffer is the array, which nothing else refers to meanwhile.
        let Ok(read) = (unsafe { io_stream::read_at(handle, &[room], offset) }) else { return };
        if read == 0 {
            break;
        }
        offset += read as u64;
        for &byte in chunk.iter().take(read) {
            if byte == b'\n' {
                end_line(&line, len, f);
                len = 0;
            } else if let Some(place) = line.get_mut(len) {
                *place = byte;
                len += 1;
            } else {
                len = MAX_LINE_BYTES + 1;
            }
        }
    }
    end_line(&line, len, f);
}

fn end_line(line: &[u8; MAX_LINE_BYTES], len: usize, f: &mut impl FnMut(&[u8])) {
    // `None` for one that is too long.
    if let Some(line) = line.get(..len) {
        f(line.split(|byte| matches!(byte, b'#' | b';')).next().unwrap_or_default());
    }
}

/// The words of a line.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn parse<T: core::str::FromStr>(word: &[u8]) -> Option<T> {
    core::str::from_utf8(word).ok()?.parse().ok()
}

/// Adds what `/etc/hosts` says of a name.
pub(super) fn hosts(name: &[u8], found: &mut Found) {
    File::Hosts.for_each_line(|line| {
        let mut words = words(line);
        if let Some(ip) = words.next().and_then(parse)
            && words.any(|word| word.eq_ignore_ascii_case(name))
        {
            found.add(ip);
        }
    });
}

/// How many name servers are asked.
const MAX_SERVERS: usize = 3;

/// Whom to ask, and for how long.
pub(super) struct Configuration {
    servers: [SocketAddr; MAX_SERVERS],
    count: usize,
    /// Seconds to wait for an answer.
    pub(super) timeout_seconds: u64,
    /// How often each server is asked.
    pub(super) attempts: u32,
}

impl Configuration {
    /// What `/etc/resolv.conf` says; a server on this host where it says nothing.
    pub(super) fn read() -> Self {
        const DNS: u16 = 53;
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DNS);
        let mut configuration = Self { servers: [local; MAX_SERVERS], count: 0, timeout_seconds: 5, attempts: 2 };
        File::Servers.for_each_line(|line| configuration.add(line, DNS));
        configuration.count = configuration.count.max(1);
        configuration
    }

    /// One server, which is asked once and has a second.
    #[cfg(test)]
    pub(super) fn of(server: SocketAddr) -> Self {
        Self { servers: [server; MAX_SERVERS], count: 1, timeout_seconds: 1, attempts: 1 }
    }

    fn add(&mut self, line: &[u8], port: u16) {
        let mut words = words(line);
        match words.next() {
            Some(b"nameserver") => {
                if let Some(ip) = words.next().and_then(parse)
                    && let Some(place) = self.servers.get_mut(self.count)
                {
                    *place = SocketAddr::new(ip, port);
                    self.count += 1;
                }
            }
            Some(b"options") => {
                for word in words {
                    if let Some(seconds) = word.strip_prefix(b"timeout:").and_then(parse::<u64>) {
                        self.timeout_seconds = seconds.clamp(1, 30);
                    }
                    if let Some(attempts) = word.strip_prefix(b"attempts:").and_then(parse::<u32>) {
                        self.attempts = attempts.clamp(1, 5);
                    }
                }
            }
            _ => {}
        }
    }

    /// The servers, in their order.
    pub(super) fn servers(&self) -> &[SocketAddr] {
        self.servers.get(..self.count).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn lines_say_whom_to_ask() {
        let mut configuration = Configuration { count: 0, ..Configuration::of(SocketAddr::from(([0; 4], 0))) };
        for line in [
            &b"nameserver 10.0.0.1"[..],
            b"nameserver\tfd00::1 ",
            b"nameserver",
            b"nameserver example.org",
            b"search example.org",
            b"options ndots:2 timeout:99999999999999999999 timeout:7 attempts:9",
            b"nameserver 10.0.0.3",
            b"nameserver 10.0.0.4",
            b"",
        ] {
            configuration.add(line, 53);
        }
        let expected = ["10.0.0.1:53", "[fd00::1]:53", "10.0.0.3:53"].map(|server| server.parse().unwrap());
        assert_eq!(configuration.servers(), expected);
        assert_eq!((configuration.timeout_seconds, configuration.attempts), (7, 5));
    }

    #[test]
    fn long_lines_and_remarks_are_left_out() {
        let mut file = tempfile();
        let long = "x".repeat(MAX_LINE_BYTES + 1);
        write!(file.0, "one # two\n;three\n{long}\nfour\n\n{}\nlast", "y".repeat(MAX_LINE_BYTES)).unwrap();
        let name = std::ffi::CString::new(file.1.to_str().unwrap()).unwrap();
        let handle = fs::open_system_file(&name).unwrap();
        let mut found = std::vec::Vec::new();
        lines(handle.get(), &mut |line| found.push(line.len()));
        std::fs::remove_file(file.1).unwrap();
        assert_eq!(found, [4, 0, 4, 0, MAX_LINE_BYTES, 4]);
    }

    fn tempfile() -> (std::fs::File, std::path::PathBuf) {
        let path = std::env::temp_dir().join(std::format!("wasmelt-hosts-{}", std::process::id()));
        (std::fs::File::create(&path).unwrap(), path)
    }
}
