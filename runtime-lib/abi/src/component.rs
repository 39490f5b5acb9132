//! Host functions that a component may import: WASI 0.2, each with the parameters and results that the canonical ABI
//! gives it when it is lowered into a core module.
//!
//! A function is an `extern "C"` symbol named `<interface>.<name>` without the version, in a section of its own. Its
//! first parameter is the address of a [`Canon`], the others are those of the core function.

use crate::descriptor::ValueType;
use crate::host::{HostFunction, Reach};

/// What generated code tells a function about the component that calls it: the canonical options of the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Canon {
    /// The context whose memory 0 strings, lists and results lie in; that of the caller where there is none.
    pub vmctx: *mut u8,
    /// Calls the component's `realloc` with the values in the array, 16 bytes each: old address, old length, alignment
    /// and new length; the result is the first of them. `None` where the call allocates nothing.
    pub realloc: Option<unsafe extern "C" fn(vmctx: *mut u8, values: *mut [u64; 2])>,
    /// The context for `realloc`.
    pub realloc_vmctx: *mut u8,
    /// Number of the component instance: each has handles of its own.
    pub component: u32,
}

/// Calls a macro with the table of functions. For each interface its functions: where the runtime has it (below
/// `wasi::p2`), its name in WIT, parameters and result, what it is about ([`Reach`]), and the system calls of Linux that it
/// makes, one by one and then in groups that `compiler/src/harden/` defines.
#[macro_export]
macro_rules! for_each_component_function {
    ($mac:ident) => {
        $mac! {
            "wasi:cli/environment" {
                cli.get_environment = "get-environment" (I32): process [];
                cli.get_arguments = "get-arguments" (I32): process [];
                cli.initial_cwd = "initial-cwd" (I32): process [];
            }
            "wasi:cli/exit" {
                cli.exit = "exit" (I32): process [];
                cli.exit_with_code = "exit-with-code" (I32): process [];
            }
            "wasi:cli/stdin" {
                cli.get_stdin = "get-stdin" () -> I32: descriptors [; HANDLES];
            }
            "wasi:cli/stdout" {
                cli.get_stdout = "get-stdout" () -> I32: descriptors [; HANDLES];
            }
            "wasi:cli/stderr" {
                cli.get_stderr = "get-stderr" () -> I32: descriptors [; HANDLES];
            }
            "wasi:cli/terminal-input" {
                cli.drop_terminal_input = "[resource-drop]terminal-input" (I32): descriptors [];
            }
            "wasi:cli/terminal-output" {
                cli.drop_terminal_output = "[resource-drop]terminal-output" (I32): descriptors [];
            }
            "wasi:cli/terminal-stdin" {
                cli.get_terminal_stdin = "get-terminal-stdin" (I32): descriptors [ioctl; HANDLES];
            }
            "wasi:cli/terminal-stdout" {
                cli.get_terminal_stdout = "get-terminal-stdout" (I32): descriptors [ioctl; HANDLES];
            }
            "wasi:cli/terminal-stderr" {
                cli.get_terminal_stderr = "get-terminal-stderr" (I32): descriptors [ioctl; HANDLES];
            }
            "wasi:clocks/monotonic-clock" {
                monotonic.now = "now" () -> I64: process [clock_gettime];
                monotonic.resolution = "resolution" () -> I64: process [clock_getres];
                monotonic.subscribe_instant = "subscribe-instant" (I64) -> I32: descriptors [; HANDLES];
                monotonic.subscribe_duration = "subscribe-duration" (I64) -> I32: descriptors [clock_gettime; HANDLES];
            }
            "wasi:clocks/wall-clock" {
                wall.now = "now" (I32): process [clock_gettime];
                wall.resolution = "resolution" (I32): process [clock_getres];
            }
            "wasi:filesystem/preopens" {
                filesystem::preopens.get_directories = "get-directories" (I32): descriptors [; HANDLES];
            }
            "wasi:filesystem/types" {
                filesystem::descriptor.descriptor_read_via_stream = "[method]descriptor.read-via-stream" (I32 I64 I32): descriptors [; HANDLES];
                filesystem::descriptor.descriptor_write_via_stream = "[method]descriptor.write-via-stream" (I32 I64 I32): descriptors [; HANDLES];
                filesystem::descriptor.descriptor_append_via_stream = "[method]descriptor.append-via-stream" (I32 I32): descriptors [; HANDLES];
                filesystem::descriptor.descriptor_advise = "[method]descriptor.advise" (I32 I64 I64 I32 I32): descriptors [fadvise64];
                filesystem::descriptor.descriptor_sync_data = "[method]descriptor.sync-data" (I32 I32): descriptors [fdatasync];
                filesystem::descriptor.descriptor_get_flags = "[method]descriptor.get-flags" (I32 I32): descriptors [fcntl];
                filesystem::descriptor.descriptor_get_type = "[method]descriptor.get-type" (I32 I32): descriptors [fstat ioctl];
                filesystem::descriptor.descriptor_set_size = "[method]descriptor.set-size" (I32 I64 I32): descriptors [ftruncate];
                filesystem::descriptor.descriptor_set_times = "[method]descriptor.set-times" (I32 I32 I64 I32 I32 I64 I32 I32): descriptors [utimensat clock_gettime];
                filesystem::descriptor.descriptor_read = "[method]descriptor.read" (I32 I64 I64 I32): descriptors [; READS];
                filesystem::descriptor.descriptor_write = "[method]descriptor.write" (I32 I32 I32 I64 I32): descriptors [; WRITES];
                filesystem::directory.descriptor_read_directory = "[method]descriptor.read-directory" (I32 I32): paths [; HANDLES];
                filesystem::descriptor.descriptor_sync = "[method]descriptor.sync" (I32 I32): descriptors [fsync];
                filesystem::paths.descriptor_create_directory_at = "[method]descriptor.create-directory-at" (I32 I32 I32 I32): paths [mkdirat; PATHS];
                filesystem::descriptor.descriptor_stat = "[method]descriptor.stat" (I32 I32): descriptors [fstat ioctl];
                filesystem::paths.descriptor_stat_at = "[method]descriptor.stat-at" (I32 I32 I32 I32 I32): paths [newfstatat fstat; PATHS];
                filesystem::paths.descriptor_set_times_at = "[method]descriptor.set-times-at" (I32 I32 I32 I32 I32 I64 I32 I32 I64 I32 I32): paths [utimensat; PATHS];
                filesystem::paths.descriptor_link_at = "[method]descriptor.link-at" (I32 I32 I32 I32 I32 I32 I32 I32): paths [linkat; PATHS];
                filesystem::paths.descriptor_open_at = "[method]descriptor.open-at" (I32 I32 I32 I32 I32 I32 I32): paths [fstat fstatfs; PATHS DESCRIPTORS HANDLES];
                filesystem::paths.descriptor_readlink_at = "[method]descriptor.readlink-at" (I32 I32 I32 I32): paths [; PATHS];
                filesystem::paths.descriptor_remove_directory_at = "[method]descriptor.remove-directory-at" (I32 I32 I32 I32): paths [unlinkat; PATHS];
                filesystem::paths.descriptor_rename_at = "[method]descriptor.rename-at" (I32 I32 I32 I32 I32 I32 I32): paths [renameat newfstatat; PATHS];
                filesystem::paths.descriptor_symlink_at = "[method]descriptor.symlink-at" (I32 I32 I32 I32 I32 I32): paths [symlinkat; PATHS];
                filesystem::paths.descriptor_unlink_file_at = "[method]descriptor.unlink-file-at" (I32 I32 I32 I32): paths [unlinkat newfstatat; PATHS];
                filesystem::descriptor.descriptor_is_same_object = "[method]descriptor.is-same-object" (I32 I32) -> I32: descriptors [fstat];
                filesystem::descriptor.descriptor_metadata_hash = "[method]descriptor.metadata-hash" (I32 I32): descriptors [fstat];
                filesystem::paths.descriptor_metadata_hash_at = "[method]descriptor.metadata-hash-at" (I32 I32 I32 I32 I32): paths [newfstatat fstat; PATHS];
                filesystem::directory.directory_entry_stream_read_directory_entry = "[method]directory-entry-stream.read-directory-entry" (I32 I32): paths [getdents64 lseek openat newfstatat fstat dup3 close fcntl];
                filesystem::descriptor.filesystem_error_code = "filesystem-error-code" (I32 I32): descriptors [];
                filesystem::descriptor.drop_descriptor = "[resource-drop]descriptor" (I32): descriptors [close];
                filesystem::directory.drop_directory_entry_stream = "[resource-drop]directory-entry-stream" (I32): descriptors [close];
            }
            "wasi:io/error" {
                error.error_to_debug_string = "[method]error.to-debug-string" (I32 I32): descriptors [];
                error.drop_error = "[resource-drop]error" (I32): descriptors [close];
            }
            "wasi:io/poll" {
                poll.pollable_ready = "[method]pollable.ready" (I32) -> I32: descriptors [; WAITS];
                poll.pollable_block = "[method]pollable.block" (I32): descriptors [; WAITS];
                poll.poll = "poll" (I32 I32 I32): descriptors [; WAITS];
                poll.drop_pollable = "[resource-drop]pollable" (I32): descriptors [close];
            }
            "wasi:io/streams" {
                streams.input_stream_read = "[method]input-stream.read" (I32 I64 I32): descriptors [; READS HANDLES];
                streams.input_stream_blocking_read = "[method]input-stream.blocking-read" (I32 I64 I32): descriptors [; READS HANDLES];
                streams.input_stream_skip = "[method]input-stream.skip" (I32 I64 I32): descriptors [; READS HANDLES];
                streams.input_stream_blocking_skip = "[method]input-stream.blocking-skip" (I32 I64 I32): descriptors [; READS HANDLES];
                streams.input_stream_subscribe = "[method]input-stream.subscribe" (I32) -> I32: descriptors [fstat; HANDLES];
                streams.output_stream_check_write = "[method]output-stream.check-write" (I32 I32): descriptors [];
                streams.output_stream_write = "[method]output-stream.write" (I32 I32 I32 I32): descriptors [; WRITES HANDLES];
                streams.output_stream_blocking_write_and_flush = "[method]output-stream.blocking-write-and-flush" (I32 I32 I32 I32): descriptors [; WRITES HANDLES];
                streams.output_stream_flush = "[method]output-stream.flush" (I32 I32): descriptors [];
                streams.output_stream_blocking_flush = "[method]output-stream.blocking-flush" (I32 I32): descriptors [];
                streams.output_stream_subscribe = "[method]output-stream.subscribe" (I32) -> I32: descriptors [fstat; HANDLES];
                streams.output_stream_write_zeroes = "[method]output-stream.write-zeroes" (I32 I64 I32): descriptors [; WRITES HANDLES];
                streams.output_stream_blocking_write_zeroes_and_flush = "[method]output-stream.blocking-write-zeroes-and-flush" (I32 I64 I32): descriptors [; WRITES HANDLES];
                streams.output_stream_splice = "[method]output-stream.splice" (I32 I32 I64 I32): descriptors [; READS WRITES HANDLES];
                streams.output_stream_blocking_splice = "[method]output-stream.blocking-splice" (I32 I32 I64 I32): descriptors [; READS WRITES HANDLES];
                streams.drop_input_stream = "[resource-drop]input-stream" (I32): descriptors [close];
                streams.drop_output_stream = "[resource-drop]output-stream" (I32): descriptors [close];
            }
            "wasi:random/insecure" {
                random.get_insecure_random_bytes = "get-insecure-random-bytes" (I64 I32): process [getrandom];
                random.get_insecure_random_u64 = "get-insecure-random-u64" () -> I64: process [getrandom];
            }
            "wasi:random/insecure-seed" {
                random.insecure_seed = "insecure-seed" (I32): process [getrandom];
            }
            "wasi:random/random" {
                random.get_random_bytes = "get-random-bytes" (I64 I32): process [getrandom];
                random.get_random_u64 = "get-random-u64" () -> I64: process [getrandom];
            }
            "wasi:sockets/instance-network" {
                sockets.instance_network = "instance-network" () -> I32: process [; HANDLES];
            }
            "wasi:sockets/ip-name-lookup" {
                sockets.resolve_addresses = "resolve-addresses" (I32 I32 I32 I32): names [; HANDLES LOOKUPS];
            }
            "wasi:sockets/network" {
                sockets.drop_network = "[resource-drop]network" (I32): process [];
            }
            "wasi:sockets/tcp-create-socket" {
                sockets.create_tcp_socket = "create-tcp-socket" (I32 I32): tcp [socket setsockopt; SOCKETS HANDLES];
            }
            "wasi:sockets/udp-create-socket" {
                sockets.create_udp_socket = "create-udp-socket" (I32 I32): udp [socket setsockopt; SOCKETS HANDLES];
            }
        }
    };
}

/// Calls a macro with the functions that need a socket first, or an answer of the resolver: rows as those of
/// [`for_each_component_function`]. Only executables have sockets.
#[macro_export]
macro_rules! for_each_socket_function {
    ($mac:ident) => {
        $mac! {
            "wasi:sockets/ip-name-lookup" {
                sockets.resolve_address_stream_resolve_next_address = "[method]resolve-address-stream.resolve-next-address" (I32 I32): names [];
                sockets.resolve_address_stream_subscribe = "[method]resolve-address-stream.subscribe" (I32) -> I32: names [; HANDLES];
                sockets.drop_resolve_address_stream = "[resource-drop]resolve-address-stream" (I32): names [];
            }
            "wasi:sockets/tcp" {
                sockets.tcp_socket_start_bind = "[method]tcp-socket.start-bind" (I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32): tcp [bind setsockopt getsockname];
                sockets.tcp_socket_finish_bind = "[method]tcp-socket.finish-bind" (I32 I32): tcp [];
                sockets.tcp_socket_start_connect = "[method]tcp-socket.start-connect" (I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32): tcp [connect];
                sockets.tcp_socket_finish_connect = "[method]tcp-socket.finish-connect" (I32 I32): tcp [getsockopt ppoll clock_gettime; HANDLES];
                sockets.tcp_socket_start_listen = "[method]tcp-socket.start-listen" (I32 I32): tcp [listen];
                sockets.tcp_socket_finish_listen = "[method]tcp-socket.finish-listen" (I32 I32): tcp [];
                sockets.tcp_socket_accept = "[method]tcp-socket.accept" (I32 I32): tcp [accept4; SOCKETS HANDLES];
                sockets.tcp_socket_local_address = "[method]tcp-socket.local-address" (I32 I32): tcp [getsockname];
                sockets.tcp_socket_remote_address = "[method]tcp-socket.remote-address" (I32 I32): tcp [getpeername];
                sockets.tcp_socket_is_listening = "[method]tcp-socket.is-listening" (I32) -> I32: tcp [];
                sockets.tcp_socket_address_family = "[method]tcp-socket.address-family" (I32) -> I32: tcp [];
                sockets.tcp_socket_set_listen_backlog_size = "[method]tcp-socket.set-listen-backlog-size" (I32 I64 I32): tcp [listen];
                sockets.tcp_socket_keep_alive_enabled = "[method]tcp-socket.keep-alive-enabled" (I32 I32): tcp [getsockopt];
                sockets.tcp_socket_set_keep_alive_enabled = "[method]tcp-socket.set-keep-alive-enabled" (I32 I32 I32): tcp [setsockopt];
                sockets.tcp_socket_keep_alive_idle_time = "[method]tcp-socket.keep-alive-idle-time" (I32 I32): tcp [getsockopt];
                sockets.tcp_socket_set_keep_alive_idle_time = "[method]tcp-socket.set-keep-alive-idle-time" (I32 I64 I32): tcp [setsockopt];
                sockets.tcp_socket_keep_alive_interval = "[method]tcp-socket.keep-alive-interval" (I32 I32): tcp [getsockopt];
                sockets.tcp_socket_set_keep_alive_interval = "[method]tcp-socket.set-keep-alive-interval" (I32 I64 I32): tcp [setsockopt];
                sockets.tcp_socket_keep_alive_count = "[method]tcp-socket.keep-alive-count" (I32 I32): tcp [getsockopt];
                sockets.tcp_socket_set_keep_alive_count = "[method]tcp-socket.set-keep-alive-count" (I32 I32 I32): tcp [setsockopt];
                sockets.tcp_socket_hop_limit = "[method]tcp-socket.hop-limit" (I32 I32): tcp [getsockopt];
                sockets.tcp_socket_set_hop_limit = "[method]tcp-socket.set-hop-limit" (I32 I32 I32): tcp [setsockopt];
                sockets.tcp_socket_receive_buffer_size = "[method]tcp-socket.receive-buffer-size" (I32 I32): tcp [getsockopt];
                sockets.tcp_socket_set_receive_buffer_size = "[method]tcp-socket.set-receive-buffer-size" (I32 I64 I32): tcp [setsockopt];
                sockets.tcp_socket_send_buffer_size = "[method]tcp-socket.send-buffer-size" (I32 I32): tcp [getsockopt];
                sockets.tcp_socket_set_send_buffer_size = "[method]tcp-socket.set-send-buffer-size" (I32 I64 I32): tcp [setsockopt];
                sockets.tcp_socket_subscribe = "[method]tcp-socket.subscribe" (I32) -> I32: tcp [; HANDLES];
                sockets.tcp_socket_shutdown = "[method]tcp-socket.shutdown" (I32 I32 I32): tcp [shutdown];
                sockets.drop_tcp_socket = "[resource-drop]tcp-socket" (I32): tcp [close munmap];
            }
            "wasi:sockets/udp" {
                sockets.udp_socket_start_bind = "[method]udp-socket.start-bind" (I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32): udp [bind setsockopt getsockname];
                sockets.udp_socket_finish_bind = "[method]udp-socket.finish-bind" (I32 I32): udp [];
                sockets.udp_socket_stream = "[method]udp-socket.stream" (I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32 I32): udp [connect getsockname getpeername; HANDLES];
                sockets.udp_socket_local_address = "[method]udp-socket.local-address" (I32 I32): udp [getsockname];
                sockets.udp_socket_remote_address = "[method]udp-socket.remote-address" (I32 I32): udp [];
                sockets.udp_socket_address_family = "[method]udp-socket.address-family" (I32) -> I32: udp [];
                sockets.udp_socket_unicast_hop_limit = "[method]udp-socket.unicast-hop-limit" (I32 I32): udp [getsockopt];
                sockets.udp_socket_set_unicast_hop_limit = "[method]udp-socket.set-unicast-hop-limit" (I32 I32 I32): udp [setsockopt];
                sockets.udp_socket_receive_buffer_size = "[method]udp-socket.receive-buffer-size" (I32 I32): udp [getsockopt];
                sockets.udp_socket_set_receive_buffer_size = "[method]udp-socket.set-receive-buffer-size" (I32 I64 I32): udp [setsockopt];
                sockets.udp_socket_send_buffer_size = "[method]udp-socket.send-buffer-size" (I32 I32): udp [getsockopt];
                sockets.udp_socket_set_send_buffer_size = "[method]udp-socket.set-send-buffer-size" (I32 I64 I32): udp [setsockopt];
                sockets.udp_socket_subscribe = "[method]udp-socket.subscribe" (I32) -> I32: udp [; HANDLES];
                sockets.incoming_datagram_stream_receive = "[method]incoming-datagram-stream.receive" (I32 I64 I32): udp [recvmsg];
                sockets.incoming_datagram_stream_subscribe = "[method]incoming-datagram-stream.subscribe" (I32) -> I32: udp [; HANDLES];
                sockets.outgoing_datagram_stream_check_send = "[method]outgoing-datagram-stream.check-send" (I32 I32): udp [ppoll clock_gettime];
                sockets.outgoing_datagram_stream_send = "[method]outgoing-datagram-stream.send" (I32 I32 I32 I32): udp [sendmsg];
                sockets.outgoing_datagram_stream_subscribe = "[method]outgoing-datagram-stream.subscribe" (I32) -> I32: udp [; HANDLES];
                sockets.drop_udp_socket = "[resource-drop]udp-socket" (I32): udp [close munmap];
                sockets.drop_incoming_datagram_stream = "[resource-drop]incoming-datagram-stream" (I32): udp [];
                sockets.drop_outgoing_datagram_stream = "[resource-drop]outgoing-datagram-stream" (I32): udp [];
            }
            // What takes the place of the function of the same name where a program can have sockets, see `beside_sockets`.
            "wasi:io/poll" {
                sockets.pollable_ready = "[method]pollable.ready+sockets" (I32) -> I32: sockets [];
                sockets.pollable_block = "[method]pollable.block+sockets" (I32): sockets [];
                sockets.poll = "poll+sockets" (I32 I32 I32): sockets [];
                sockets.drop_pollable = "[resource-drop]pollable+sockets" (I32): sockets [];
            }
            "wasi:io/streams" {
                sockets.input_stream_read = "[method]input-stream.read+sockets" (I32 I64 I32): sockets [ppoll clock_gettime];
                sockets.input_stream_blocking_read = "[method]input-stream.blocking-read+sockets" (I32 I64 I32): sockets [ppoll clock_gettime];
                sockets.input_stream_skip = "[method]input-stream.skip+sockets" (I32 I64 I32): sockets [ppoll clock_gettime];
                sockets.input_stream_blocking_skip = "[method]input-stream.blocking-skip+sockets" (I32 I64 I32): sockets [ppoll clock_gettime];
                sockets.input_stream_subscribe = "[method]input-stream.subscribe+sockets" (I32) -> I32: sockets [];
                sockets.output_stream_check_write = "[method]output-stream.check-write+sockets" (I32 I32): sockets [sendmsg ppoll clock_gettime shutdown mmap munmap];
                sockets.output_stream_write = "[method]output-stream.write+sockets" (I32 I32 I32 I32): sockets [sendmsg ppoll clock_gettime shutdown mmap munmap];
                sockets.output_stream_blocking_write_and_flush = "[method]output-stream.blocking-write-and-flush+sockets" (I32 I32 I32 I32): sockets [sendmsg ppoll clock_gettime shutdown mmap munmap];
                sockets.output_stream_flush = "[method]output-stream.flush+sockets" (I32 I32): sockets [sendmsg ppoll clock_gettime shutdown mmap munmap];
                sockets.output_stream_blocking_flush = "[method]output-stream.blocking-flush+sockets" (I32 I32): sockets [sendmsg ppoll clock_gettime shutdown mmap munmap];
                sockets.output_stream_subscribe = "[method]output-stream.subscribe+sockets" (I32) -> I32: sockets [];
                sockets.output_stream_write_zeroes = "[method]output-stream.write-zeroes+sockets" (I32 I64 I32): sockets [sendmsg ppoll clock_gettime shutdown mmap munmap];
                sockets.output_stream_blocking_write_zeroes_and_flush = "[method]output-stream.blocking-write-zeroes-and-flush+sockets" (I32 I64 I32): sockets [sendmsg ppoll clock_gettime shutdown mmap munmap];
                sockets.output_stream_splice = "[method]output-stream.splice+sockets" (I32 I32 I64 I32): sockets [sendmsg ppoll clock_gettime shutdown mmap munmap];
                sockets.output_stream_blocking_splice = "[method]output-stream.blocking-splice+sockets" (I32 I32 I64 I32): sockets [sendmsg ppoll clock_gettime shutdown mmap munmap];
                sockets.drop_input_stream = "[resource-drop]input-stream+sockets" (I32): sockets [];
                sockets.drop_output_stream = "[resource-drop]output-stream+sockets" (I32): sockets [sendmsg ppoll clock_gettime munmap];
            }
        }
    };
}

macro_rules! list {
    ($($interface:literal {$(
        $($family:ident)::+ . $function:ident = $name:literal ($($param:ident)*) $(-> $result:ident)?:
            $reach:ident [$($call:ident)* $(; $($group:ident)*)?];
    )*})*) => {
        &[$($(HostFunction {
            module: $interface,
            name: $name,
            params: &[$(ValueType::$param),*],
            results: &[$(ValueType::$result)?],
            reach: list!(@reach $reach),
        },)*)*]
    };
    (@reach process) => { Reach::Process };
    (@reach descriptors) => { Reach::Descriptors };
    (@reach paths) => { Reach::Paths };
    (@reach tcp) => { Reach::Tcp };
    (@reach udp) => { Reach::Udp };
    (@reach names) => { Reach::Names };
    (@reach sockets) => { Reach::Sockets };
}

/// The functions of WASI 0.2. The module of each is its interface without a version.
/// Source: the WIT files of WASI 0.2.12.
pub static WASI_P2: &[HostFunction] = for_each_component_function!(list);

/// The functions of WASI 0.2 that need a socket, see [`for_each_socket_function`].
pub static WASI_P2_SOCKETS: &[HostFunction] = for_each_socket_function!(list);

/// Behind the name of a function that also knows sockets.
const BESIDE_SOCKETS: &str = "+sockets";

/// All functions, also those that no import names.
pub(crate) fn all() -> impl Iterator<Item = &'static HostFunction> {
    WASI_P2.iter().chain(WASI_P2_SOCKETS)
}

/// The function that does what `host` does in a program that can have sockets: streams and `pollable`s may be theirs.
pub fn beside_sockets(host: &'static HostFunction) -> &'static HostFunction {
    let is_other = |other: &&HostFunction| {
        other.module == host.module && other.name.strip_suffix(BESIDE_SOCKETS) == Some(host.name)
    };
    all().find(is_other).unwrap_or(host)
}

/// The name without what [`beside_sockets`] adds; `None` where nothing was added.
pub fn without_sockets(name: &str) -> Option<&str> {
    name.strip_suffix(BESIDE_SOCKETS)
}

/// Whether a program that imports this function can have a socket, or an answer of the resolver.
pub fn makes_sockets(host: &HostFunction) -> bool {
    matches!(host.name, "create-tcp-socket" | "create-udp-socket" | "resolve-addresses")
}

/// All functions that components can import.
pub fn functions() -> impl Iterator<Item = &'static HostFunction> {
    all().filter(|function| !function.name.ends_with(BESIDE_SOCKETS))
}

/// The function that an import names: interface with version, and name. All versions 0.2.x are one.
pub fn find(interface: &str, name: &str) -> Option<&'static HostFunction> {
    let (interface, version) = interface.split_once('@')?;
    let mut functions = functions().filter(|_| is_supported(version));
    functions.find(|function| function.module == interface && function.name == name)
}

/// The interfaces that the runtime has something of, without versions; each once for each of its functions.
pub fn interfaces() -> impl Iterator<Item = &'static str> {
    functions().map(|function| function.module)
}

/// Whether the runtime has interfaces of this version: 0.2 and any patch, but no draft of it.
pub fn is_supported(version: &str) -> bool {
    let patch = version.strip_prefix("0.2.");
    patch.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_track_are_one() {
        let found = |interface, name| find(interface, name).map(|function| (function.module, function.name));
        let run = Some(("wasi:cli/stdout", "get-stdout"));
        assert_eq!(found("wasi:cli/stdout@0.2.0", "get-stdout"), run);
        assert_eq!(found("wasi:cli/stdout@0.2.12", "get-stdout"), run);
        for version in ["0.2", "0.2.", "0.2.0-rc-2023-11-10", "0.3.0", "0.20.0"] {
            let interface = std::format!("wasi:cli/stdout@{version}");
            assert!(find(&interface, "get-stdout").is_none(), "{version}");
        }
        assert_eq!(found("wasi:cli/stdout@0.2.0", "get-stdin"), None);
        assert_eq!(found("wasi:cli/stdout", "get-stdout"), None);
    }

    #[test]
    fn streams_know_sockets_where_a_program_can_have_them() {
        let read = find("wasi:io/streams@0.2.0", "[method]input-stream.read").unwrap();
        let beside = beside_sockets(read);
        assert_eq!((beside.module, beside.name), (read.module, "[method]input-stream.read+sockets"));
        assert_eq!((beside.params, beside.results), (read.params, read.results));
        assert_eq!(without_sockets(beside.name), Some(read.name));
        assert!(find("wasi:io/streams@0.2.0", beside.name).is_none(), "no import names it");
        let now = find("wasi:clocks/wall-clock@0.2.0", "now").unwrap();
        assert_eq!(beside_sockets(now).name, now.name);
    }

    #[test]
    fn code_knows_where_fields_are() {
        assert_eq!(size_of::<Canon>(), 32);
    }
}
