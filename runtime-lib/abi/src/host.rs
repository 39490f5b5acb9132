//! Host functions that a module may import: WASI preview 1, the snapshot before it, and wasi-threads.
//!
//! A host function is an `extern "C"` symbol named `<module>.<name>`, in a section of its own. Its first parameter is
//! `vmctx`, the others are those of the import (`i32` as `u32`, `i64` as `u64`).

use crate::descriptor::ValueType;
use crate::{canonical, component};

/// A function that the runtime offers for import.
#[derive(Debug)]
pub struct HostFunction {
    /// Module name of the import.
    pub module: &'static str,
    /// Field name of the import.
    pub name: &'static str,
    /// Parameters, without `vmctx`.
    pub params: &'static [ValueType],
    /// Results: none or one.
    pub results: &'static [ValueType],
    /// What it is about.
    pub reach: Reach,
}

/// What a host function is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The process, and the guest itself.
    Process,
    /// Open files and sockets.
    Descriptors,
    /// What lies in granted directories: nothing without a grant of a path.
    Paths,
    /// Threads.
    Threads,
    /// Sockets of TCP: nothing without a grant of an address.
    Tcp,
    /// Sockets of UDP: the same.
    Udp,
    /// Addresses of names: nothing without a grant of a name.
    Names,
    /// Streams and `pollable`s, which may be those of sockets.
    Sockets,
}

impl Reach {
    /// Whether grants that become descriptors make a difference to it.
    pub fn uses_descriptors(self) -> bool {
        match self {
            Self::Descriptors | Self::Paths | Self::Tcp | Self::Udp | Self::Sockets => true,
            Self::Process | Self::Threads | Self::Names => false,
        }
    }

    /// Whether grants of the network make a difference to it.
    pub fn uses_network(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp | Self::Names)
    }
}

/// Calls a macro with the table of host functions. For each module that is imported from: the name of its list here, and
/// the module's. For each function: where the runtime has it (below its module `wasi`) and its name, the name of the
/// import where that is not an identifier, parameters and result, the names of its arguments for traces (none where a trace
/// shows the call in its own way), what it is about ([`Reach`]), and the system calls of Linux that it makes, one by one
/// and then in groups that `compiler/src/harden/` defines.
///
/// Each name of an argument is followed by what the argument is:
///
/// * `f`, `d`, `x`, `p`: 32 bits that are a descriptor, a number, flags, or the address of something that is not shown;
/// * `D`, `i`, `X`: 64 bits that are a number without or with a sign, or flags;
/// * `s`, `t`: address and length of a string that the guest passes, or that it gets;
/// * `o`, `O`: address of a number of 32 or 64 bits that the guest gets.
///
/// Here the functions are declared, the runtime checks and traces its definitions, and the compiler derives filters of
/// system calls.
#[macro_export]
macro_rules! for_each_host_function {
    ($mac:ident) => {
        $mac! {
            /// The functions of WASI preview 1, by name.
            /// Source: `wasi_snapshot_preview1.witx` of the WASI repository.
            WASI_P1 = "wasi_snapshot_preview1" {
                p1::args.args_get(I32 I32) -> I32 "argv:p argv_buf:p": process [];
                p1::args.args_sizes_get(I32 I32) -> I32 "argc:o bytes:o": process [];
                p1::args.environ_get(I32 I32) -> I32 "environ:p environ_buf:p": process [];
                p1::args.environ_sizes_get(I32 I32) -> I32 "count:o bytes:o": process [];
                p1::clock.clock_res_get(I32 I32) -> I32 "clock:d resolution:O": process [clock_getres];
                p1::clock.clock_time_get(I32 I64 I32) -> I32 "clock:d precision:D time:O": process [clock_gettime];
                p1::fd.fd_advise(I32 I64 I64 I32) -> I32 "fd:f offset:D len:D advice:d": descriptors [fadvise64];
                p1::fd.fd_allocate(I32 I64 I64) -> I32 "fd:f offset:D len:D": descriptors [fallocate];
                p1::fd.fd_close(I32) -> I32 "fd:f": descriptors [close];
                p1::fd.fd_datasync(I32) -> I32 "fd:f": descriptors [fdatasync];
                p1::fd.fd_fdstat_get(I32 I32) -> I32 "fd:f stat:p": descriptors [fcntl fstat ioctl];
                p1::fd.fd_fdstat_set_flags(I32 I32) -> I32 "fd:f flags:x": descriptors [fcntl];
                p1::fd.fd_fdstat_set_rights(I32 I64 I64) -> I32 "fd:f base:X inheriting:X": descriptors [];
                p1::fd.fd_filestat_get(I32 I32) -> I32 "fd:f stat:p": descriptors [fstat ioctl];
                p1::fd.fd_filestat_set_size(I32 I64) -> I32 "fd:f size:D": descriptors [ftruncate];
                p1::fd.fd_filestat_set_times(I32 I64 I64 I32) -> I32 "fd:f atim:D mtim:D flags:x": descriptors [utimensat];
                p1::fd_io.fd_pread(I32 I32 I32 I64 I32) -> I32 "fd:f iovs:p iovs_len:d offset:D nread:o": descriptors [preadv];
                p1::preopen.fd_prestat_dir_name(I32 I32 I32) -> I32 "fd:f path:t": descriptors [];
                p1::preopen.fd_prestat_get(I32 I32) -> I32 "fd:f prestat:p": descriptors [];
                p1::fd_io.fd_pwrite(I32 I32 I32 I64 I32) -> I32 "fd:f iovs:p iovs_len:d offset:D nwritten:o": descriptors [pwritev];
                p1::fd_io.fd_read(I32 I32 I32 I32) -> I32 "fd:f iovs:p iovs_len:d nread:o": descriptors [readv];
                p1::readdir.fd_readdir(I32 I32 I32 I64 I32) -> I32 "fd:f buf:p buf_len:d cookie:D used:o": paths [getdents64 lseek openat newfstatat fstat dup3 close fcntl];
                p1::fd.fd_renumber(I32 I32) -> I32 "from:f to:f": descriptors [close];
                p1::fd.fd_seek(I32 I64 I32 I32) -> I32 "fd:f offset:i whence:d position:O": descriptors [lseek];
                p1::fd.fd_sync(I32) -> I32 "fd:f": descriptors [fsync];
                p1::fd.fd_tell(I32 I32) -> I32 "fd:f position:O": descriptors [lseek];
                p1::fd_io.fd_write(I32 I32 I32 I32) -> I32 "fd:f iovs:p iovs_len:d nwritten:o": descriptors [writev];
                p1::path.path_create_directory(I32 I32 I32) -> I32 "fd:f path:s": paths [mkdirat; PATHS];
                p1::path.path_filestat_get(I32 I32 I32 I32 I32) -> I32 "fd:f lookup:x path:s stat:p": paths [newfstatat fstat; PATHS];
                p1::path.path_filestat_set_times(I32 I32 I32 I32 I64 I64 I32) -> I32 "fd:f lookup:x path:s atim:D mtim:D flags:x": paths [utimensat; PATHS];
                p1::path.path_link(I32 I32 I32 I32 I32 I32 I32) -> I32 "old_fd:f lookup:x old:s new_fd:f new:s": paths [linkat; PATHS];
                p1::path.path_open(I32 I32 I32 I32 I32 I64 I64 I32 I32) -> I32 "fd:f lookup:x path:s oflags:x rights:X inheriting:X fdflags:x opened:o": paths [fstat fstatfs; PATHS DESCRIPTORS];
                p1::path.path_readlink(I32 I32 I32 I32 I32 I32) -> I32 "fd:f path:s buf:p buf_len:d used:o": paths [; PATHS];
                p1::path.path_remove_directory(I32 I32 I32) -> I32 "fd:f path:s": paths [unlinkat; PATHS];
                p1::path.path_rename(I32 I32 I32 I32 I32 I32) -> I32 "old_fd:f old:s new_fd:f new:s": paths [renameat newfstatat; PATHS];
                p1::path.path_symlink(I32 I32 I32 I32 I32) -> I32 "target:s fd:f path:s": paths [symlinkat; PATHS];
                p1::path.path_unlink_file(I32 I32 I32) -> I32 "fd:f path:s": paths [unlinkat newfstatat; PATHS];
                p1::poll.poll_oneoff(I32 I32 I32 I32) -> I32 "in:p out:p subscriptions:d events:o": descriptors [ppoll clock_nanosleep clock_gettime fstat lseek mmap munmap];
                p1::proc.proc_exit(I32): process [];
                p1::proc.proc_raise(I32) -> I32 "signal:d": process [];
                p1::random.random_get(I32 I32) -> I32 "buf:p len:d": process [getrandom];
                p1::proc.sched_yield() -> I32 "": process [sched_yield];
                p1::sock.sock_accept(I32 I32 I32) -> I32 "fd:f flags:x accepted:o": descriptors [accept4; DESCRIPTORS];
                p1::sock.sock_recv(I32 I32 I32 I32 I32 I32) -> I32 "fd:f iovs:p iovs_len:d flags:x nread:o roflags:p": descriptors [recvmsg];
                p1::sock.sock_send(I32 I32 I32 I32 I32) -> I32 "fd:f iovs:p iovs_len:d flags:x nwritten:o": descriptors [sendmsg];
                p1::sock.sock_shutdown(I32 I32) -> I32 "fd:f how:x": descriptors [shutdown];
            }
            /// The functions of the snapshot before preview 1 that differ from those of preview 1, by the layout of what
            /// they read or write. Source: `wasi_unstable.witx` of the WASI repository.
            WASI_UNSTABLE = "wasi_unstable" {
                unstable.fd_filestat_get(I32 I32) -> I32 "fd:f stat:p": descriptors [fstat ioctl];
                unstable.fd_seek(I32 I64 I32 I32) -> I32 "fd:f offset:i whence:d position:O": descriptors [lseek];
                unstable.path_filestat_get(I32 I32 I32 I32 I32) -> I32 "fd:f lookup:x path:s stat:p": paths [newfstatat fstat; PATHS];
                unstable.poll_oneoff(I32 I32 I32 I32) -> I32 "in:p out:p subscriptions:d events:o": descriptors [ppoll clock_nanosleep clock_gettime fstat lseek mmap munmap];
            }
            /// Threads: `thread-spawn` starts one in a new instance of the module, which shares the memories that the
            /// module imports; its result is the thread's number, or a negative error number.
            /// Source: the proposal wasi-threads.
            WASI_THREADS = "wasi" {
                threads.thread_spawn as "thread-spawn" (I32) -> I32: threads [; THREADS];
            }
        }
    };
}

macro_rules! declare {
    ($($(#[$doc:meta])* $list:ident = $module:literal {$(
        $($family:ident)::+ . $function:ident $(as $name:literal)? ($($param:ident)*) $(-> $result:ident)? $($words:literal)?:
            $reach:ident [$($call:ident)* $(; $($group:ident)*)?];
    )*})*) => {
        $(
            $(#[$doc])*
            pub static $list: &[HostFunction] = &[$(HostFunction {
                module: $module,
                name: declare!(@name $function $($name)?),
                params: &[$(ValueType::$param),*],
                results: &[$(ValueType::$result)?],
                reach: declare!(@reach $reach),
            },)*];
        )*

        /// The functions that modules import.
        fn of_modules() -> impl Iterator<Item = &'static HostFunction> {
            [$($list),*].into_iter().flatten()
        }
    };
    (@name $function:ident) => { stringify!($function) };
    (@name $function:ident $name:literal) => { $name };
    (@reach process) => { Reach::Process };
    (@reach descriptors) => { Reach::Descriptors };
    (@reach paths) => { Reach::Paths };
    (@reach threads) => { Reach::Threads };
}

for_each_host_function!(declare);

/// All host functions, also those of components and of calls between them. An index into them names one within a compilation.
pub fn host_functions() -> impl Iterator<Item = &'static HostFunction> {
    of_modules().chain(component::all()).chain(canonical::CANONICAL)
}

/// The function that an import of a module names. What the snapshot before preview 1 has in common with it is the same function.
pub fn find(module: &str, name: &str) -> Option<&'static HostFunction> {
    let own = of_modules().find(|function| function.module == module && function.name == name);
    // Preview 1 added this one.
    let shared = WASI_UNSTABLE.iter().any(|function| function.module == module) && name != "sock_accept";
    own.or_else(|| WASI_P1.iter().find(|function| shared && function.name == name))
}

/// What a function of this name is about, in whatever module: those of one name are alike.
pub fn reach_of(name: &str) -> Option<Reach> {
    host_functions().find(|function| function.name == name).map(|function| function.reach)
}

/// Name of the export that a thread runs, `(tid: i32, start_arg: i32)`.
pub const THREAD_START: &str = "wasi_thread_start";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_one_name_are_about_the_same() {
        for function in host_functions() {
            assert_eq!(reach_of(function.name), Some(function.reach), "{}.{}", function.module, function.name);
        }
    }

    #[test]
    fn an_import_finds_its_function() {
        let found = |module, name| find(module, name).map(|function| (function.module, function.reach));
        assert_eq!(found("wasi_snapshot_preview1", "fd_seek"), Some(("wasi_snapshot_preview1", Reach::Descriptors)));
        assert_eq!(found("wasi_unstable", "fd_seek"), Some(("wasi_unstable", Reach::Descriptors)));
        assert_eq!(found("wasi_unstable", "path_open"), Some(("wasi_snapshot_preview1", Reach::Paths)));
        assert_eq!(found("wasi", "thread-spawn"), Some(("wasi", Reach::Threads)));
        assert_eq!(found("wasi_unstable", "sock_accept"), None);
        assert_eq!(found("wasi", "fd_seek"), None);
        assert_eq!(found("wasi:cli/stdout", "get-stdout"), None);
    }
}
