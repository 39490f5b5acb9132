//! `--harden`: what a program can ever need of the operating system, as a filter that refuses everything else.
//!
//! In come what a program needs and its policy; out comes a filter of system calls for the runtime to install once
//! everything that was granted is open.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: the filter is the second wall, for the day when the first one, the sandbox itself, has a hole. It  ║
//! ║ follows from what the module imports and was granted, not from what it seems to do. No list here is a        ║
//! ║ convenience: a call that no import needs stays out, and where a call can do harm its arguments are looked at.║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

mod calls;
mod filter;

use std::collections::BTreeSet;

use target_lexicon::Triple;

use self::calls::{Call, Granted};
use self::filter::{Condition, Rule};
use crate::error::{Error, Result};
use crate::image::Filter;
use crate::options::{Policy, Runtime};
use crate::program::Needs;

/// The filter; empty without `--harden`.
pub(crate) fn filter(needs: &Needs, policy: &Policy, target: &Triple, runtime: Runtime) -> Result<Filter> {
    if !policy.harden {
        return Ok(Filter::default());
    }
    if target.operating_system != target_lexicon::OperatingSystem::Linux {
        return Err(Error::usage("`--harden` is for Linux: other systems have no filter of system calls"));
    }
    if runtime == Runtime::Portable {
        return Err(Error::usage(
            "`--harden` is for the freestanding runtime: nobody knows which calls a C library makes",
        )
        .hint("leave out `--runtime portable`"));
    }
    let network = &policy.network;
    let granted = Granted {
        paths: !policy.dirs.is_empty() || !policy.files.is_empty(),
        tcp_connect: !network.tcp_connect.is_empty(),
        tcp_listen: !network.tcp_listen.is_empty(),
        udp: !network.udp.is_empty(),
        names: !network.resolve.is_empty(),
    };
    let mut calls: BTreeSet<Call> = calls::ALWAYS.iter().copied().collect();
    for name in &needs.host_functions {
        let needed = calls::of_host_function(name, granted)
            .ok_or_else(|| Error::internal(format!("nobody knows what `{name}` needs of the system")))?;
        calls.extend(needed);
    }
    if needs.takes_memory {
        calls.extend(calls::MEMORY);
    }
    if needs.waits {
        calls.extend(calls::WAITING);
    }
    let rules: Vec<Rule> = calls.into_iter().filter_map(|call| rule(call, granted, target)).collect();
    filter::build(target.architecture, &rules)
}

/// The rule for a call: with a condition where an argument decides whether it is harmless.
fn rule(call: Call, granted: Granted, target: &Triple) -> Option<Rule> {
    const PROT_EXEC: u32 = 4;
    const TCGETS: u32 = 0x5401;
    const MADV_HUGEPAGE: u32 = 14;
    const ARCH_SET_FS: u32 = 0x1002;
    const F_GETFL: u32 = 3;
    const F_SETFL: u32 = 4;
    const F_DUPFD_CLOEXEC: u32 = 1030;
    /// `CLONE_VM`, `FS`, `FILES`, `SIGHAND`, `THREAD`, `SYSVSEM` and `SETTLS`: a thread, never a process.
    const THREAD: u32 = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000 | 0x8_0000;
    /// The signals that faults arrive as: `SIGSEGV`, `SIGBUS`, `SIGILL` and `SIGFPE`.
    const FAULTS: [u32; 4] = [11, 7, 4, 8];
    const FAMILIES: [u32; 2] = [2, 10];
    /// The protocol that a type has by itself, TCP or UDP: others of these types may be beyond the rules for TCP.
    const OWN_PROTOCOL: u32 = 0;
    /// No signal where nobody receives. Without `MSG_FASTOPEN`, which would connect, where `connect` is not allowed as well.
    const MSG_NOSIGNAL: u32 = 0x4000;
    /// `SOCK_NONBLOCK` and `SOCK_CLOEXEC`.
    const SOCKET_FLAGS: u32 = 0o4_000 | 0o2_000_000;
    // `SOCK_STREAM` for TCP and `SOCK_DGRAM` for UDP; the resolver asks by both.
    let socket_types = [(granted.tcp() || granted.names, 1), (granted.udp || granted.names, 2)];
    let one_of = |values: &[u32]| Condition::OneOf(values.to_vec());
    let conditions = match call {
        // Nothing ever becomes executable.
        Call::mmap | Call::mprotect => vec![(2, Condition::Without(PROT_EXEC))],
        Call::madvise => vec![(2, one_of(&[MADV_HUGEPAGE]))],
        Call::ioctl => vec![(1, one_of(&[TCGETS]))],
        Call::fcntl => vec![(1, one_of(&[F_GETFL, F_SETFL, F_DUPFD_CLOEXEC]))],
        Call::socket => {
            let types = socket_types.iter().filter(|(on, _)| *on).map(|(_, ty)| ty | SOCKET_FLAGS);
            vec![(0, one_of(&FAMILIES)), (1, Condition::OneOf(types.collect())), (2, one_of(&[OWN_PROTOCOL]))]
        }
        Call::setsockopt => vec![(1, Condition::OneOfPairs(socket_options()))],
        Call::sendmsg => vec![(2, one_of(&[MSG_NOSIGNAL]))],
        Call::clone => vec![(0, one_of(&[THREAD]))],
        Call::arch_prctl => vec![(0, one_of(&[ARCH_SET_FS]))],
        // Messages of the runtime; the guest's output goes by `writev`.
        Call::write => vec![(0, one_of(&[1, 2]))],
        Call::rt_sigaction => vec![(0, one_of(&FAULTS))],
        Call::kill => vec![(0, Condition::ThisProcess), (1, one_of(&FAULTS))],
        _ => Vec::new(),
    };
    Some(Rule { number: call.number(target.architecture)?, conditions })
}

/// The options of sockets that the runtime sets, by their levels. Others attach programs of the kernel to a socket, or put
/// further protocols on a connection. Source: `runtime-lib/src/sys/linux/sockets.rs`.
fn socket_options() -> Vec<(u32, Vec<u32>)> {
    const IPPROTO_IP: u32 = 0;
    const SOL_SOCKET: u32 = 1;
    const IPPROTO_TCP: u32 = 6;
    const IPPROTO_IPV6: u32 = 41;
    const IP_TTL: u32 = 2;
    const SO_REUSEADDR: u32 = 2;
    const SO_SNDBUF: u32 = 7;
    const SO_RCVBUF: u32 = 8;
    const SO_KEEPALIVE: u32 = 9;
    const TCP_KEEPIDLE: u32 = 4;
    const TCP_KEEPINTVL: u32 = 5;
    const TCP_KEEPCNT: u32 = 6;
    const IPV6_UNICAST_HOPS: u32 = 16;
    const IPV6_V6ONLY: u32 = 26;
    vec![
        (IPPROTO_IP, vec![IP_TTL]),
        (SOL_SOCKET, vec![SO_REUSEADDR, SO_SNDBUF, SO_RCVBUF, SO_KEEPALIVE]),
        (IPPROTO_TCP, vec![TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT]),
        (IPPROTO_IPV6, vec![IPV6_UNICAST_HOPS, IPV6_V6ONLY]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmelt_abi::host::host_functions;

    #[test]
    fn every_host_function_says_what_it_needs() {
        for host in host_functions() {
            let granted = Granted { paths: true, tcp_connect: true, tcp_listen: true, udp: true, names: true };
            assert!(calls::of_host_function(host.name, granted).is_some(), "{}", host.name);
        }
        assert!(calls::of_host_function("path_everything", Granted::default()).is_none());
    }

    #[test]
    fn a_name_can_be_resolved_by_each_protocol() {
        let granted = Granted { names: true, ..Granted::default() };
        let calls = calls::of_host_function("resolve-addresses", granted).unwrap();
        // An answer by UDP, and one by TCP after it was cut.
        for call in [Call::socket, Call::connect, Call::sendmsg, Call::recvmsg, Call::readv, Call::preadv] {
            assert!(calls.contains(&call), "{call:?}");
        }
    }

    #[test]
    fn without_a_grant_no_path_can_be_opened() {
        for host in host_functions() {
            let calls = calls::of_host_function(host.name, Granted::default()).unwrap();
            for call in [Call::openat, Call::openat2, Call::unlinkat, Call::renameat, Call::mkdirat] {
                assert!(!calls.contains(&call), "{}: {call:?}", host.name);
            }
        }
    }

    #[test]
    fn without_a_grant_no_socket_can_be_made() {
        let functions = || host_functions().filter(|host| host.module.starts_with("wasi:"));
        for host in functions() {
            for granted in [Granted::default(), Granted { paths: true, ..Granted::default() }] {
                let calls = calls::of_host_function(host.name, granted).unwrap();
                for call in [Call::socket, Call::connect, Call::bind, Call::listen, Call::sendmsg, Call::recvmsg] {
                    assert!(!calls.contains(&call), "{}: {call:?}", host.name);
                }
            }
            let calls = calls::of_host_function(host.name, Granted { udp: true, ..Granted::default() }).unwrap();
            for call in [Call::listen, Call::accept4] {
                assert!(!calls.contains(&call), "{}: {call:?}", host.name);
            }
        }
    }
}
