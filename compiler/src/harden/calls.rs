//! System calls of Linux that the runtime makes. Which host function makes which is a column of the table of host
//! functions (`wasmelt_abi::host`), which names the calls and groups of this file. Who adds a system call to the runtime
//! adds it here and there.

use target_lexicon::Architecture;
use wasmelt_abi::component;
use wasmelt_abi::host::{self, Reach};

macro_rules! calls {
    ($($name:ident = $x86_64:literal, $aarch64:literal;)*) => {
        /// A system call by its name.
        #[allow(non_camel_case_types, reason = "the names of the kernel")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Call {
            $($name,)*
        }

        impl Call {
            /// Its number; `None` where the architecture has no such call.
            /// Source: `asm/unistd_64.h` and `asm-generic/unistd.h` of Linux.
            pub(super) fn number(self, arch: Architecture) -> Option<u32> {
                let (x86_64, aarch64): (i32, i32) = match self { $(Self::$name => ($x86_64, $aarch64),)* };
                u32::try_from(if arch == Architecture::X86_64 { x86_64 } else { aarch64 }).ok()
            }
        }
    };
}

calls! {
    accept4 = 288, 242;
    bind = 49, 200;
    arch_prctl = 158, -1;
    clock_getres = 229, 114;
    clock_gettime = 228, 113;
    clock_nanosleep = 230, 115;
    clone = 56, 220;
    close = 3, 57;
    connect = 42, 203;
    dup3 = 292, 24;
    epoll_create1 = 291, 20;
    exit = 60, 93;
    exit_group = 231, 94;
    fadvise64 = 221, 223;
    fallocate = 285, 47;
    fcntl = 72, 25;
    fdatasync = 75, 83;
    fstat = 5, 80;
    fstatfs = 138, 44;
    fsync = 74, 82;
    ftruncate = 77, 46;
    futex = 202, 98;
    getdents64 = 217, 61;
    getpeername = 52, 205;
    getpid = 39, 172;
    getrandom = 318, 278;
    getsockname = 51, 204;
    getsockopt = 55, 209;
    ioctl = 16, 29;
    kill = 62, 129;
    linkat = 265, 37;
    listen = 50, 201;
    lseek = 8, 62;
    madvise = 28, 233;
    mkdirat = 258, 34;
    mmap = 9, 222;
    mprotect = 10, 226;
    munmap = 11, 215;
    newfstatat = 262, 79;
    openat = 257, 56;
    openat2 = 437, 437;
    ppoll = 271, 73;
    preadv = 295, 69;
    pwritev = 296, 70;
    readlinkat = 267, 78;
    readv = 19, 65;
    recvmsg = 47, 212;
    renameat = 264, 38;
    rt_sigaction = 13, 134;
    rt_sigprocmask = 14, 135;
    rt_sigreturn = 15, 139;
    sched_yield = 24, 124;
    sendmsg = 46, 211;
    setsockopt = 54, 208;
    shutdown = 48, 210;
    sigaltstack = 131, 132;
    socket = 41, 198;
    symlinkat = 266, 36;
    unlinkat = 263, 35;
    utimensat = 280, 88;
    write = 1, 64;
    writev = 20, 66;
}

use Call::*;

/// What every program can need: to write why it ends, to end, to return from a signal handler; and to die by a signal
/// that means a fault but was sent by another process.
pub(super) const ALWAYS: &[Call] = &[write, exit_group, rt_sigreturn, getpid, kill];

/// What memory needs that grows: linear memories, tables, exceptions, the table of descriptors.
pub(super) const MEMORY: &[Call] = &[mmap, mprotect, munmap, madvise];

/// What waiting for other threads needs, and locks.
pub(super) const WAITING: &[Call] = &[futex, clock_gettime];

/// What threads need besides.
pub(super) const THREADS: &[Call] = &[
    clone,
    exit,
    futex,
    arch_prctl,
    rt_sigaction,
    rt_sigprocmask,
    sigaltstack,
    mmap,
    mprotect,
    munmap,
    // A file that is closed while another thread uses it.
    dup3,
    epoll_create1,
    close,
];

/// What resolving a path below a granted directory needs.
const PATHS: &[Call] = &[openat2, openat, close, readlinkat, fcntl];

/// What a descriptor needs that is new.
const DESCRIPTORS: &[Call] = &[fcntl, close, mmap, munmap];

/// What a component needs for a handle that is new.
const HANDLES: &[Call] = &[mmap, munmap];

/// What reading from a stream of a component needs.
const READS: &[Call] = &[readv, preadv, ppoll, clock_gettime];

/// What writing to a stream of a component needs.
const WRITES: &[Call] = &[writev, pwritev, lseek, ppoll, clock_gettime];

/// What waiting for streams and clocks needs in a component.
const WAITS: &[Call] = &[ppoll, clock_nanosleep, clock_gettime, mmap, munmap];

/// What a socket needs that is new: a number, and room in the tables.
const SOCKETS: &[Call] = &[fcntl, close, mmap, munmap];

/// What resolving a name needs: the files of the system, which are open already, and a name server. An answer that was cut
/// comes once more by TCP, and is read as a stream.
const LOOKUPS: &[Call] = &[
    preadv,
    socket,
    setsockopt,
    connect,
    sendmsg,
    recvmsg,
    readv,
    fcntl,
    close,
    ppoll,
    clock_gettime,
    getrandom,
    getsockopt,
];

macro_rules! needs {
    ($($(#[$doc:meta])* $list:ident = $module:literal {$(
        $($family:ident)::+ . $function:ident $(as $name:literal)? ($($param:ident)*) $(-> $result:ident)? $($words:literal)?:
            $reach:ident [$($call:ident)* $(; $($group:ident)*)?];
    )*})*) => {
        /// What each host function needs, by its name.
        static NEEDS: &[(&str, &[&[Call]])] =
            &[$($((needs!(@name $function $($name)?), &[&[$($call),*], $($($group),*)?]),)*)*];
    };
    (@name $function:ident) => { stringify!($function) };
    (@name $function:ident $name:literal) => { $name };
}

wasmelt_abi::for_each_host_function!(needs);

macro_rules! needs_of_components {
    ($($interface:literal {$(
        $($family:ident)::+ . $function:ident = $name:literal ($($param:ident)*) $(-> $result:ident)?:
            $reach:ident [$($call:ident)* $(; $($group:ident)*)?];
    )*})*) => {
        &[$($(($name, &[&[$($call),*], $($($group),*)?]),)*)*]
    };
}

/// The same of the functions of components.
static NEEDS_OF_COMPONENTS: &[(&str, &[&[Call]])] = wasmelt_abi::for_each_component_function!(needs_of_components);

/// The same of those that need a socket.
static NEEDS_OF_SOCKETS: &[(&str, &[&[Call]])] = wasmelt_abi::for_each_socket_function!(needs_of_components);

macro_rules! needs_of_calls {
    ($($family:ident . $function:ident ($($param:ident)*) $(-> $result:ident)?: [$($group:ident)*];)*) => {
        /// The same of the functions behind calls between components.
        static NEEDS_OF_CALLS: &[(&str, &[&[Call]])] = &[$((stringify!($function), &[$($group),*]),)*];
    };
}

wasmelt_abi::for_each_canonical_function!(needs_of_calls);

/// Which kinds of grants a policy has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Granted {
    /// Something that has a path.
    pub(super) paths: bool,
    /// Addresses to connect to by TCP.
    pub(super) tcp_connect: bool,
    /// Addresses to listen on by TCP.
    pub(super) tcp_listen: bool,
    /// Addresses of UDP.
    pub(super) udp: bool,
    /// Names.
    pub(super) names: bool,
}

impl Granted {
    /// Whether any socket of TCP can exist.
    pub(super) fn tcp(self) -> bool {
        self.tcp_connect || self.tcp_listen
    }

    /// Whether functions about this make a system call, which is one of theirs.
    fn allows(self, reach: Option<Reach>, call: Call) -> bool {
        match reach {
            Some(Reach::Paths) => self.paths,
            Some(Reach::Tcp) => match call {
                connect => self.tcp_connect,
                bind | listen | accept4 => self.tcp_listen,
                _ => self.tcp(),
            },
            Some(Reach::Udp) => self.udp,
            Some(Reach::Names) => self.names,
            Some(Reach::Sockets) => self.tcp(),
            _ => true,
        }
    }
}

/// What a host function needs under a policy. `None` for one that is not in the table.
pub(super) fn of_host_function(name: &str, granted: Granted) -> Option<Vec<Call>> {
    let mut all = NEEDS.iter().chain(NEEDS_OF_COMPONENTS).chain(NEEDS_OF_SOCKETS).chain(NEEDS_OF_CALLS);
    let (_, needs) = all.find(|(function, _)| *function == name)?;
    // What knows sockets besides needs what it needs without them.
    let mut calls = match component::without_sockets(name) {
        Some(name) => of_host_function(name, granted)?,
        None => Vec::new(),
    };
    let reach = host::reach_of(name);
    calls.extend(needs.concat().into_iter().filter(|&call| granted.allows(reach, call)));
    Some(calls)
}
