//! Makes raw calls of WASI preview 1 that a script on standard input asks for, and says what came back: no C library is
//! between the script and the host.
//!
//! Built with `rustc --edition 2024 --target wasm32-wasip1 -Copt-level=s -Cstrip=symbols probe.rs -o probe.wasm`.
//!
//! A line is `FUNCTION ARGUMENT... [| ITEM...]`; its echo, ` -> ` and the name of the error number are printed, then the
//! items. Lines that start with `#` are skipped. Arguments:
//!
//! ```text
//! 17 -1 0x10       numbers
//! $x               a variable
//! max end          2^32 - 1; the length of memory
//! @N               address of cell N, 128 bytes each, all ones before the call
//! "text"           address and length of a text, with \xNN
//! buf:N            address and length N of the buffer; `buf` its address
//! iov:N:M..        address and number of a list of buffers of these lengths, one behind the other in the buffer
//! ciov:"text"      address and number of a list of one buffer that holds the text
//! raw:N:M..        address of these 32-bit words
//! subs:S;S..       address of subscriptions: `clock,ID,TIME,FLAGS,USER` `read,FD,USER` `write,FD,USER` `tag,TAG,USER`
//! ```
//!
//! Items: `u16@N` `u32@N` `u64@N` a number in cell N, `x=ITEM` the same into a variable, `text:LEN` of the buffer,
//! `filestat@N` `fdstat@N`, `names:LEN` of directory entries sorted, `cookie:LEN` of the last whole entry, `count:LEN` of
//! entries, `events:COUNT` in the buffer.
//! `repeat N LINE` makes a call N times and prints how often each error came. `spy MS "PATH"` opens a path below
//! descriptor 3 again and again for so many milliseconds and prints each text that it read, or error, once; `make MS
//! "PATH"` makes and removes a file there.

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;

macro_rules! functions {
    ($($name:ident($($ty:ident)*);)*) => {
        mod wasi {
            #[link(wasm_import_module = "wasi_snapshot_preview1")]
            unsafe extern "C" { $(pub fn $name($(_: $ty),*) -> i32;)* }
        }

        fn perform(name: &str, arguments: &[i64]) -> Option<i32> {
            let mut rest = arguments.iter();
            // The results of a function that is not found, or of too few arguments, are none.
            let result = match name {
                $(stringify!($name) => unsafe { wasi::$name($(*rest.next()? as $ty),*) },)*
                _ => return None,
            };
            rest.next().is_none().then_some(result)
        }
    };
}

functions! {
    args_get(i32 i32); args_sizes_get(i32 i32); environ_get(i32 i32); environ_sizes_get(i32 i32);
    clock_res_get(i32 i32); clock_time_get(i32 i64 i32);
    fd_advise(i32 i64 i64 i32); fd_allocate(i32 i64 i64); fd_close(i32); fd_datasync(i32); fd_fdstat_get(i32 i32);
    fd_fdstat_set_flags(i32 i32); fd_fdstat_set_rights(i32 i64 i64); fd_filestat_get(i32 i32);
    fd_filestat_set_size(i32 i64); fd_filestat_set_times(i32 i64 i64 i32); fd_pread(i32 i32 i32 i64 i32);
    fd_prestat_dir_name(i32 i32 i32); fd_prestat_get(i32 i32); fd_pwrite(i32 i32 i32 i64 i32);
    fd_read(i32 i32 i32 i32); fd_readdir(i32 i32 i32 i64 i32); fd_renumber(i32 i32); fd_seek(i32 i64 i32 i32);
    fd_sync(i32); fd_tell(i32 i32); fd_write(i32 i32 i32 i32);
    path_create_directory(i32 i32 i32); path_filestat_get(i32 i32 i32 i32 i32);
    path_filestat_set_times(i32 i32 i32 i32 i64 i64 i32); path_link(i32 i32 i32 i32 i32 i32 i32);
    path_open(i32 i32 i32 i32 i32 i64 i64 i32 i32); path_readlink(i32 i32 i32 i32 i32 i32);
    path_remove_directory(i32 i32 i32); path_rename(i32 i32 i32 i32 i32 i32); path_symlink(i32 i32 i32 i32 i32);
    path_unlink_file(i32 i32 i32); poll_oneoff(i32 i32 i32 i32); proc_raise(i32); random_get(i32 i32);
    sched_yield(); sock_accept(i32 i32 i32); sock_recv(i32 i32 i32 i32 i32 i32); sock_send(i32 i32 i32 i32 i32);
    sock_shutdown(i32 i32);
}

/// Error numbers in their order.
const ERRNO: &str = "SUCCESS 2BIG ACCES ADDRINUSE ADDRNOTAVAIL AFNOSUPPORT AGAIN ALREADY BADF BADMSG BUSY CANCELED CHILD \
    CONNABORTED CONNREFUSED CONNRESET DEADLK DESTADDRREQ DOM DQUOT EXIST FAULT FBIG HOSTUNREACH IDRM ILSEQ INPROGRESS \
    INTR INVAL IO ISCONN ISDIR LOOP MFILE MLINK MSGSIZE MULTIHOP NAMETOOLONG NETDOWN NETRESET NETUNREACH NFILE NOBUFS \
    NODEV NOENT NOEXEC NOLCK NOLINK NOMEM NOMSG NOPROTOOPT NOSPC NOSYS NOTCONN NOTDIR NOTEMPTY NOTRECOVERABLE NOTSOCK \
    NOTSUP NOTTY NXIO OVERFLOW OWNERDEAD PERM PIPE PROTO PROTONOSUPPORT PROTOTYPE RANGE ROFS SPIPE SRCH STALE TIMEDOUT \
    TXTBSY XDEV NOTCAPABLE";

fn errno(number: u64) -> &'static str {
    ERRNO.split_ascii_whitespace().nth(number as usize).unwrap_or("?")
}

const CELL: usize = 128;
const BUFFER: usize = 1 << 20;

struct Probe {
    cells: Vec<u8>,
    buffer: Vec<u8>,
    variables: HashMap<String, i64>,
}

/// Something that lives as long as the program, for a call to refer to.
fn leak<T>(values: Vec<T>) -> i64 {
    values.leak().as_ptr() as usize as i64
}

fn unescape(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        if byte == b'\\' && rest.next() == Some(b'x') {
            let mut digit = || rest.next().and_then(|b| (b as char).to_digit(16)).expect("two digits") as u8;
            bytes.push(digit() << 4 | digit());
        } else {
            bytes.push(byte);
        }
    }
    bytes
}

/// Words apart by blanks, of which quotes hold some together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        quoted ^= c == '"';
        if c == ' ' && !quoted {
            words.push(std::mem::take(&mut word));
        } else {
            word.push(c);
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

impl Probe {
    fn number(&self, text: &str) -> i64 {
        match text {
            "max" => 0xffff_ffff,
            "end" => (core::arch::wasm32::memory_size(0) * 65536) as i64,
            _ if text.starts_with('$') => self.variables[&text[1..]],
            _ if text.starts_with("0x") => u64::from_str_radix(&text[2..], 16).expect(text) as i64,
            _ => text.parse::<i128>().expect(text) as i64,
        }
    }

    fn buffer_at(&self) -> i64 {
        self.buffer.as_ptr() as usize as i64
    }

    fn argument(&mut self, word: &str, into: &mut Vec<i64>) {
        if let Some(cell) = word.strip_prefix('@') {
            into.push(self.cells.as_ptr() as usize as i64 + self.number(cell) * CELL as i64);
        } else if let Some(text) = word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
            let bytes = unescape(text);
            let len = bytes.len() as i64;
            into.extend([leak(bytes), len]);
        } else if let Some(len) = word.strip_prefix("buf:") {
            into.extend([self.buffer_at(), self.number(len)]);
        } else if word == "buf" {
            into.push(self.buffer_at());
        } else if let Some(lens) = word.strip_prefix("iov:") {
            let (mut at, mut list) = (self.buffer_at(), Vec::new());
            for len in lens.split(':').map(|len| self.number(len)) {
                list.extend([at as u32, len as u32]);
                at += len;
            }
            let count = list.len() as i64 / 2;
            into.extend([leak(list), count]);
        } else if let Some(text) = word.strip_prefix("ciov:\"").and_then(|w| w.strip_suffix('"')) {
            let bytes = unescape(text);
            let len = bytes.len() as u32;
            into.extend([leak(vec![leak(bytes) as u32, len]), 1]);
        } else if let Some(list) = word.strip_prefix("raw:") {
            into.push(leak(list.split(':').map(|n| self.number(n) as u32).collect()));
        } else if let Some(list) = word.strip_prefix("subs:") {
            let mut bytes: Vec<u64> = Vec::new();
            for subscription in list.split(';') {
                let fields: Vec<&str> = subscription.split(',').collect();
                let field = |index: usize| self.number(fields[index]) as u64;
                bytes.extend(match fields[0] {
                    "clock" => [field(4), 0, field(1), field(2), 0, field(3)],
                    "read" => [field(2), 1, field(1), 0, 0, 0],
                    "write" => [field(2), 2, field(1), 0, 0, 0],
                    _ => [field(2), field(1), 0, 0, 0, 0],
                });
            }
            into.push(leak(bytes));
        } else {
            into.push(self.number(word));
        }
    }

    fn cell(&self, index: &str, at: usize, len: usize) -> u64 {
        let start = self.number(index) as usize * CELL + at;
        self.cells[start..start + len].iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
    }

    /// Directory entries: next cookie, type, name.
    fn entries(&self, len: usize) -> Vec<(u64, u8, String)> {
        let (mut rest, mut found) = (&self.buffer[..len], Vec::new());
        while rest.len() >= 24 {
            let name_len = u32::from_le_bytes(rest[16..20].try_into().unwrap()) as usize;
            if rest.len() < 24 + name_len {
                break;
            }
            let cookie = u64::from_le_bytes(rest[..8].try_into().unwrap());
            found.push((cookie, rest[20], String::from_utf8_lossy(&rest[24..24 + name_len]).into_owned()));
            rest = &rest[24 + name_len..];
        }
        found
    }

    /// A time as a script can know it.
    fn time(ns: u64) -> String {
        if ns < 100_000_000_000_000_000 { ns.to_string() } else { "now".to_owned() }
    }

    fn item(&mut self, item: &str) -> String {
        if let Some((name, item)) = item.split_once('=') {
            let value = self.item(item);
            self.variables.insert(name.to_owned(), value.parse::<i128>().expect("a number") as i64);
            return format!("{name}={}", if item.starts_with("cookie") { "cookie" } else { &value });
        }
        let (kind, argument) = item.split_once(['@', ':']).expect(item);
        match kind {
            "u16" => self.cell(argument, 0, 2).to_string(),
            "u32" => self.cell(argument, 0, 4).to_string(),
            "u64" => self.cell(argument, 0, 8).to_string(),
            "text" => format!("{:?}", String::from_utf8_lossy(&self.buffer[..self.number(argument) as usize])),
            "filestat" => format!(
                "type={} links={} size={} atim={} mtim={}",
                self.cell(argument, 16, 1),
                self.cell(argument, 24, 8),
                if self.cell(argument, 16, 1) == 3 { 0 } else { self.cell(argument, 32, 8) },
                Self::time(self.cell(argument, 40, 8)),
                Self::time(self.cell(argument, 48, 8))
            ),
            "fdstat" => format!(
                "type={} flags={:#x} rights={:#x} inheriting={:#x}",
                self.cell(argument, 0, 1),
                self.cell(argument, 2, 2),
                self.cell(argument, 8, 8),
                self.cell(argument, 16, 8)
            ),
            "names" => {
                let mut names: Vec<_> =
                    self.entries(self.number(argument) as usize).into_iter().map(|(_, ty, name)| format!("{name}:{ty}")).collect();
                names.sort();
                names.join(" ")
            }
            "count" => self.entries(self.number(argument) as usize).len().to_string(),
            "cookie" => self.entries(self.number(argument) as usize).last().map_or(0, |entry| entry.0).to_string(),
            "events" => {
                let word = |at: usize| u64::from_le_bytes(self.buffer[at..at + 8].try_into().unwrap());
                let mut events: Vec<_> = (0..self.number(argument) as usize)
                    .map(|index| {
                        let at = index * 32;
                        let (error, ty) = (word(at + 8) & 0xffff, word(at + 8) >> 16 & 0xff);
                        let rest = if ty == 0 { String::new() } else { format!(",{},{}", word(at + 16), word(at + 24) & 0xffff) };
                        format!("{}:{ty}:{}{rest}", word(at), errno(error))
                    })
                    .collect();
                events.sort();
                events.join(" ")
            }
            _ => panic!("there is no item {item}"),
        }
    }

    fn call(&mut self, words: &[String]) -> u64 {
        let mut arguments = Vec::new();
        for word in &words[1..] {
            self.argument(word, &mut arguments);
        }
        self.cells.fill(0xff);
        match perform(&words[0], &arguments) {
            Some(result) => result as u32 as u64,
            None => panic!("{words:?}: there is no such function of {} parameters", arguments.len()),
        }
    }

    /// See `spy` and `make`.
    fn race(&mut self, command: &[String]) -> Vec<String> {
        let start = std::time::Instant::now();
        let time = std::time::Duration::from_millis(self.number(&command[1]) as u64);
        let (mut seen, making) = (std::collections::BTreeSet::new(), command[0] == "make");
        let line = |text: String| words(&text);
        let path = &command[2];
        let flags = if making { "5 66" } else { "0 2" };
        let open = line(format!("path_open 3 1 {path} {flags} 0 0 @0"));
        // Once at least, however busy the machine is.
        let mut first = true;
        while std::mem::take(&mut first) || start.elapsed() < time {
            let error = self.call(&open);
            if error != 0 {
                seen.insert(errno(error).to_owned());
                continue;
            }
            let opened = self.cell("0", 0, 4);
            self.call(&line(format!("fd_read {opened} iov:16 @0")));
            if !making {
                let len = self.cell("0", 0, 4) as usize;
                seen.insert(format!("{:?}", String::from_utf8_lossy(&self.buffer[..len.min(16)])));
            }
            self.call(&line(format!("fd_close {opened}")));
            if making {
                seen.insert("MADE".to_owned());
                self.call(&line(format!("path_unlink_file 3 {path}")));
            }
        }
        seen.into_iter().collect()
    }

    fn line(&mut self, line: &str) {
        let (call, items) = line.split_once(" | ").unwrap_or((line, ""));
        let words = words(call);
        if words[0] == "repeat" {
            let mut counts = BTreeMap::new();
            for _ in 0..self.number(&words[1]) {
                *counts.entry(errno(self.call(&words[2..]))).or_insert(0u32) += 1;
            }
            println!("{call} -> {counts:?}");
            return;
        }
        if words[0] == "spy" || words[0] == "make" {
            println!("{call} -> {}", self.race(&words).join(" "));
            return;
        }
        let result = self.call(&words);
        let mut shown = format!("{call} -> {}", errno(result));
        if result == 0 {
            for item in items.split_ascii_whitespace() {
                shown += &format!(" {}", self.item(item));
            }
        }
        println!("{shown}");
    }
}

fn main() {
    let mut script = String::new();
    std::io::stdin().read_to_string(&mut script).expect("a script");
    let mut probe = Probe { cells: vec![0; 16 * CELL], buffer: vec![0; BUFFER], variables: HashMap::new() };
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        probe.line(line);
    }
}
