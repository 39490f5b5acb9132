//! What sockets may be used for: the grants that were compiled in, less what `WASMELT_POLICY` takes away.
//!
//! In come an address or a name and what it is wanted for; out comes whether that is granted. Nothing is granted but what a
//! grant covers.
//!
//! The words are `no-tcp-connect`, `no-tcp-listen`, `no-udp` and `no-resolve`, which take all grants of a kind away, and
//! `tcp-connect=HOST:PORT` and so on, which leave of them what one of these words covers as well.

use core::cell::UnsafeCell;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicPtr, Ordering};

use wasmelt_abi::descriptor::{FurtherPolicy, NetworkPolicy, Policy, SocketGrant};
use wasmelt_abi::network::{self, Endpoint};

use crate::rel::slice;

/// What an address is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To connect to by TCP.
    TcpConnect,
    /// To bind to and listen on by TCP.
    TcpListen,
    /// To bind to by UDP, or to exchange datagrams with.
    Udp,
}

impl Purpose {
    fn number(self) -> u16 {
        match self {
            Self::TcpConnect => SocketGrant::TCP_CONNECT,
            Self::TcpListen => SocketGrant::TCP_LISTEN,
            Self::Udp => SocketGrant::UDP,
        }
    }

    /// The word that narrows grants for it; `no-` stands before the one that takes them away.
    fn word(self) -> &'static [u8] {
        // One string, because a table of strings would need relocations in a position-independent executable.
        const WORDS: &[u8] = b"tcp-connect\0tcp-listen\0udp";
        WORDS.split(|&byte| byte == 0).nth(self.number().into()).unwrap_or_default()
    }
}

const RESOLVE: &[u8] = b"resolve";
const NO_RESOLVE: &[u8] = b"no-resolve";

/// The grants; null in a program without any.
static GRANTS: AtomicPtr<NetworkPolicy> = AtomicPtr::new(core::ptr::null_mut());

/// Lets the grants of a policy hold from now on. Until then nothing is granted.
pub fn enable(policy: &'static Policy) {
    // SAFETY: the compiler wrote it, in read-only data.
    let further: Option<&FurtherPolicy> = policy.further.get().map(|further| unsafe { &*further });
    if let Some(network) = further.and_then(|further| further.network.get()) {
        GRANTS.store(network.cast_mut(), Ordering::Relaxed);
    }
}

fn grants() -> Option<&'static NetworkPolicy> {
    // SAFETY: only `enable` writes it, with an address of read-only data.
    unsafe { GRANTS.load(Ordering::Relaxed).as_ref() }
}

/// What `WASMELT_POLICY` says of the network.
struct Narrowed {
    /// The words that take grants away: a bit for each [`Purpose`], and [`NO_NAMES`].
    none: u32,
    /// The words that narrow grants.
    words: [&'static [u8]; MAX_WORDS],
    count: usize,
}

/// How many words may narrow grants.
const MAX_WORDS: usize = 64;

/// The bit of names.
const NO_NAMES: u32 = 1 << 3;

struct Global(UnsafeCell<Narrowed>);

// SAFETY: it is written before the guest runs, and programs that were components have one thread.
unsafe impl Sync for Global {}

static NARROWED: Global = Global(UnsafeCell::new(Narrowed { none: 0, words: [b""; MAX_WORDS], count: 0 }));

fn narrowed() -> &'static Narrowed {
    // SAFETY: see `Global`.
    unsafe { &*NARROWED.0.get() }
}

impl Narrowed {
    fn takes_away(&self, kind: u32) -> bool {
        self.none & kind != 0
    }

    /// Whether the words of this kind leave something: there is none, or one covers it.
    fn leaves(&self, word: &[u8], covers: impl Fn(&[u8]) -> bool) -> bool {
        let mut values = self.words.iter().take(self.count).filter_map(|item| value_of(item, word)).peekable();
        values.peek().is_none() || values.any(covers)
    }
}

/// Whether an address may be used.
pub fn allows(purpose: Purpose, address: &SocketAddr) -> bool {
    let Some(grants) = grants() else { return false };
    let narrowed = narrowed();
    let mut granted = slice(&grants.sockets).iter().filter(|grant| grant.purpose == purpose.number());
    granted.any(|grant| endpoint(grant).is_some_and(|endpoint| endpoint.covers(address)))
        && !narrowed.takes_away(1 << purpose.number())
        && narrowed.leaves(purpose.word(), |word| read(word).is_some_and(|endpoint| endpoint.covers(address)))
}

/// Whether any address may be used.
pub fn allows_any(purpose: Purpose) -> bool {
    let granted =
        grants().is_some_and(|grants| slice(&grants.sockets).iter().any(|grant| grant.purpose == purpose.number()));
    granted && !narrowed().takes_away(1 << purpose.number())
}

/// Whether any name may be resolved.
pub fn has_names() -> bool {
    grants().is_some_and(|grants| !slice(&grants.names).is_empty()) && !narrowed().takes_away(NO_NAMES)
}

/// Whether a name may be resolved.
pub fn allows_name(name: &[u8]) -> bool {
    let Some(grants) = grants() else { return false };
    let mut granted = slice(&grants.names).iter();
    granted.any(|grant| network::covers_name(slice(&grant.pattern), name))
        && !narrowed().takes_away(NO_NAMES)
        && narrowed().leaves(RESOLVE, |pattern| network::covers_name(pattern, name))
}

/// What stands behind `word=`.
fn value_of<'a>(item: &'a [u8], word: &[u8]) -> Option<&'a [u8]> {
    item.strip_prefix(word)?.strip_prefix(b"=")
}

fn endpoint(grant: &SocketGrant) -> Option<Endpoint> {
    let range = match *slice(&grant.address) {
        [] => None,
        [a, b, c, d] => Some(IpAddr::from([a, b, c, d])),
        ref bytes => Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)),
    };
    let bits = u8::try_from(grant.bits).ok()?;
    Some(Endpoint { range: range.map(|ip| (ip, bits)), first_port: grant.first_port, last_port: grant.last_port })
}

fn read(word: &[u8]) -> Option<Endpoint> {
    Endpoint::parse(core::str::from_utf8(word).ok()?).ok()
}

/// Takes a word of `WASMELT_POLICY` into account; what is wrong with it. `None` for a word about something else.
///
/// # Safety
/// The guest does not run yet.
pub unsafe fn narrow(item: &'static [u8]) -> Option<Result<(), &'static str>> {
    // SAFETY: by this function's contract, nothing refers to what is there.
    let narrowed = unsafe { &mut *NARROWED.0.get() };
    let purposes = [Purpose::TcpConnect, Purpose::TcpListen, Purpose::Udp];
    let none = if item == NO_RESOLVE {
        Some(NO_NAMES)
    } else {
        let kind = item.strip_prefix(b"no-");
        purposes.iter().find(|purpose| kind == Some(purpose.word())).map(|purpose| 1 << purpose.number())
    };
    if let Some(none) = none {
        narrowed.none |= none;
        return Some(Ok(()));
    }
    let checked = match value_of(item, RESOLVE) {
        Some(name) => core::str::from_utf8(name).is_ok_and(network::is_name_pattern),
        None => read(purposes.iter().find_map(|purpose| value_of(item, purpose.word()))?).is_some(),
    };
    if !checked {
        return Some(Err("cannot read the address or name of"));
    }
    let Some(place) = narrowed.words.get_mut(narrowed.count) else { return Some(Err("has no room for")) };
    *place = item;
    narrowed.count += 1;
    Some(Ok(()))
}
