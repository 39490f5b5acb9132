//! Handles of components: the numbers by which a guest knows resources, of the host and of other components.
//!
//! In comes an unchecked number of the guest; out comes what it stands for, or `None`. Each component instance has a
//! table of its own, so that the handles of one mean nothing to another. A handle owns what it stands for, or it was lent
//! for the time of a call.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: a resource of the host is reached through these tables alone. A guest gets a handle for what the   ║
//! ║ policy grants, for what it opens through that, and for what another component gives or lends it; no other    ║
//! ║ entry ever exists. What is lent is found through its owner, who cannot drop it meanwhile.                    ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use core::cell::UnsafeCell;
use core::mem;

use wasmelt_abi::canonical::NO_RESOURCE;

use super::calls;
use crate::growing::Growing;
use crate::host::sockets::{tcp, udp};
use crate::sys::errno::{Errno, Result};

/// What a handle stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Nothing.
    Free,
    /// `pollable`: ready when the monotonic clock shows this.
    At(u64),
    /// `pollable`: ready when a stream is. It goes before the stream goes, whose descriptor may be another one then.
    Polls(Stream, Readiness),
    /// `input-stream` of a descriptor, from a position where it has any.
    Input {
        /// The stream.
        stream: Stream,
        /// Where the next byte is; of no meaning for streams.
        position: u64,
    },
    /// `output-stream` of a descriptor.
    Output {
        /// The stream.
        stream: Stream,
        /// Where the next byte goes; `None` at the end of the file.
        position: Option<u64>,
    },
    /// `error` of a stream.
    Error(Errno),
    /// `descriptor` of a file or directory, by its number.
    Descriptor(u32),
    /// `directory-entry-stream`.
    Entries {
        /// Number of the descriptor.
        fd: u32,
        /// Which entry is next.
        cookie: u64,
    },
    /// `terminal-input`.
    TerminalInput,
    /// `terminal-output`.
    TerminalOutput,
    /// `network`: what it grants is said by the policy.
    Network,
    /// `tcp-socket`, by the number of its descriptor, as all that belongs to sockets.
    Tcp(u32),
    /// `input-stream` of a connection.
    TcpInput(u32),
    /// `output-stream` of a connection.
    TcpOutput(u32),
    /// `pollable` of a socket of TCP, or of a stream of its connection.
    PollsTcp(u32, tcp::Part),
    /// `udp-socket`.
    Udp(u32),
    /// `incoming-datagram-stream` or `outgoing-datagram-stream`.
    Datagrams(u32, udp::Part),
    /// `pollable` of a socket of UDP, or of a stream of it.
    PollsUdp(u32, udp::Part),
    /// `resolve-address-stream`, by its number.
    Addresses(u32),
    /// `pollable` of such a stream.
    PollsAddresses(u32),
    /// A resource that a component of the program has defined.
    Own {
        /// The number of its type.
        ty: u32,
        /// What the component knows it by.
        representation: u32,
    },
    /// What another handle owns, which is one of the host's.
    Lent {
        /// The component instance whose handle owns it.
        component: u32,
        /// The handle.
        handle: u32,
    },
}

/// A stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Number of the descriptor.
    pub fd: u32,
    /// Its own number: several streams may have one descriptor.
    number: u32,
}

impl Stream {
    /// What stands for a socket while it is waited for.
    pub fn of_socket(fd: u32) -> Self {
        Self { fd, number: 0 }
    }
}

/// When a `pollable` of a stream is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// At once.
    Always,
    /// When something can be read.
    Readable,
    /// When something can be written.
    Writable,
}

impl Resource {
    /// The stream that it is.
    fn stream(self) -> Option<Stream> {
        match self {
            Self::Input { stream, .. } | Self::Output { stream, .. } => Some(stream),
            _ => None,
        }
    }

    /// The descriptor that must stay open as long as this exists.
    fn descriptor(self) -> Option<u32> {
        match self {
            Self::Descriptor(fd) | Self::Entries { fd, .. } => Some(fd),
            _ => self.stream().map(|stream| stream.fd),
        }
    }

    /// The number of its type: a place in [`wasmelt_abi::canonical::HOST_RESOURCES`], or that of an own one.
    pub fn type_number(self) -> u32 {
        match self {
            Self::At(_) | Self::Polls(..) | Self::PollsTcp(..) | Self::PollsUdp(..) | Self::PollsAddresses(_) => 0,
            Self::Error(_) => 1,
            Self::Input { .. } | Self::TcpInput(_) => 2,
            Self::Output { .. } | Self::TcpOutput(_) => 3,
            Self::Descriptor(_) => 4,
            Self::Entries { .. } => 5,
            Self::TerminalInput => 6,
            Self::TerminalOutput => 7,
            Self::Network => 8,
            Self::Tcp(_) => 9,
            Self::Udp(_) => 10,
            Self::Datagrams(_, udp::Part::Outgoing) => 12,
            Self::Datagrams(..) => 11,
            Self::Addresses(_) => 13,
            Self::Own { ty, .. } => ty,
            Self::Free | Self::Lent { .. } => NO_RESOURCE,
        }
    }
}

/// An entry of a table.
#[derive(Clone, Copy, Debug)]
struct Entry {
    resource: Resource,
    /// How often it is lent at this moment; of a free entry, the handle that is free next, or 0.
    count: u32,
    /// The number of the call that it was lent for, see [`calls`]; 0 where it owns.
    call: u32,
}

const FREE: Entry = Entry { resource: Resource::Free, count: 0, call: 0 };

/// Handles of a component instance that need no mapping of their own.
const FIRST_LEN: usize = 16;

/// The most handles that need one, in all tables together.
const MAX_LEN: usize = 1 << 20;

/// The handles of a component instance, from 1 on.
#[derive(Clone, Copy, Debug)]
struct Table {
    entries: Growing<Entry, FIRST_LEN>,
    /// How many of the entries were ever used.
    used: u32,
    /// The handle that was freed last, or 0: the next one that is given out.
    free: u32,
}

const EMPTY: Table = Table { entries: Growing::new(FREE), used: 0, free: 0 };

/// All handles of the components of one program, or of one store of a host program, by component instance.
#[derive(Debug)]
pub struct Tables {
    tables: Growing<Table, 2>,
    /// Entries in mappings.
    mapped: usize,
    /// The number of the last stream.
    streams: u32,
}

struct Global(UnsafeCell<Tables>);

// SAFETY: programs that were components have one thread, and each function below keeps its borrow to itself.
unsafe impl Sync for Global {}

static TABLES: Global = Global(UnsafeCell::new(Tables::new()));

impl Table {
    /// The entry of a handle that exists.
    fn entry(&mut self, handle: u32) -> Option<&mut Entry> {
        let entry = self.entries.slot(handle.checked_sub(1)? as usize)?;
        (entry.resource != Resource::Free).then_some(entry)
    }

    /// Inserts an entry; `mapped` is how many entries all tables have in mappings.
    fn insert(&mut self, entry: Entry, mapped: &mut usize) -> Result<u32> {
        let handle = match self.free {
            0 => self.used + 1,
            free => free,
        };
        if handle as usize > self.entries.len() {
            *mapped += self.entries.grow(FREE, MAX_LEN.saturating_sub(*mapped))?;
        }
        let slot = self.entries.slot(handle as usize - 1).ok_or(Errno::Mfile)?;
        let next = mem::replace(slot, entry).count;
        if self.free == 0 {
            self.used += 1;
        }
        self.free = next;
        Ok(handle)
    }

    fn free(&mut self, handle: u32) {
        let next = self.free;
        if let Some(entry) = self.entry(handle) {
            *entry = Entry { count: next, ..FREE };
            self.free = handle;
        }
    }

    /// Whether there is a handle of such a resource.
    fn has(&mut self, is_such: impl Fn(Resource) -> bool) -> bool {
        (1..=self.used).any(|handle| self.entry(handle).is_some_and(|entry| is_such(entry.resource)))
    }
}

impl Tables {
    /// No handles.
    #[allow(clippy::new_without_default, reason = "a constant")]
    pub const fn new() -> Self {
        Self { tables: Growing::new(EMPTY), mapped: 0, streams: 0 }
    }

    /// Gives up all handles, and the memory that they lie in. What they stand for is the caller's to close.
    pub fn clear(&mut self) {
        for component in 0..self.tables.len() {
            if let Some(table) = self.tables.slot(component) {
                table.entries.clear(FREE);
            }
        }
        self.tables.clear(EMPTY);
        self.mapped = 0;
    }

    /// A new stream of a descriptor.
    pub fn stream(&mut self, fd: u32) -> Stream {
        self.streams = self.streams.wrapping_add(1);
        Stream { fd, number: self.streams }
    }

    /// A new handle of a component instance, which owns: the one that was freed last, or the next number.
    pub fn insert(&mut self, component: u32, resource: Resource) -> Result<u32> {
        self.insert_entry(component, Entry { resource, ..FREE })
    }

    /// What a handle of a component instance stands for.
    pub fn get(&mut self, component: u32, handle: u32) -> Option<Resource> {
        self.origin(component, handle).map(|entry| entry.resource)
    }

    /// Changes what a handle stands for.
    pub fn set(&mut self, component: u32, handle: u32, resource: Resource) {
        if let Some(entry) = self.origin(component, handle) {
            entry.resource = resource;
        }
    }

    /// Frees a handle, which exists. What it owned is the caller's; what it was lent goes back to the call of this number.
    pub fn take(&mut self, component: u32, handle: u32) -> Result<Removed, Refusal> {
        let table = self.tables.slot(component as usize).ok_or(Refusal::Lent)?;
        match *table.entry(handle).ok_or(Refusal::Lent)? {
            Entry { call: 0, count: 0, resource } => {
                table.free(handle);
                Ok(Removed::Owned(resource))
            }
            Entry { call: 0, .. } => Err(Refusal::Lent),
            Entry { call, .. } => {
                table.free(handle);
                Ok(Removed::Lent(call))
            }
        }
    }

    /// Frees a handle, and returns the descriptor that no handle uses any more.
    pub(crate) fn remove(&mut self, component: u32, handle: u32) -> Result<(Removed, Option<u32>), Refusal> {
        if self.is_polled(component, handle) {
            return Err(Refusal::Polled);
        }
        let removed = self.take(component, handle)?;
        let fd = match removed {
            Removed::Owned(resource) => resource.descriptor(),
            Removed::Lent(_) => None,
        };
        Ok((removed, fd.filter(|&fd| !self.uses(fd))))
    }

    /// A new handle of a component instance for what it does not own, but was lent for the call of this number.
    pub fn insert_lent(&mut self, component: u32, resource: Resource, call: u32) -> Result<u32> {
        self.insert_entry(component, Entry { resource, count: 0, call })
    }

    /// A new handle of a component instance for what another one's handle stands for, lent for the call of this number.
    pub fn insert_lent_from(&mut self, component: u32, (lender, handle): (u32, u32), call: u32) -> Result<u32> {
        let resource = match self.entry(lender, handle).ok_or(Errno::Badf)?.resource {
            lent @ (Resource::Lent { .. } | Resource::Own { .. }) => lent,
            _ => Resource::Lent { component: lender, handle },
        };
        self.insert_lent(component, resource, call)
    }

    /// Records that what a handle stands for is lent; whether the handle owns it, so that the loan must end.
    pub fn begin_loan(&mut self, component: u32, handle: u32) -> bool {
        match self.entry(component, handle) {
            Some(entry) if entry.call == 0 => {
                entry.count += 1;
                true
            }
            _ => false,
        }
    }

    /// Records that one loan of what a handle owns has ended.
    pub fn end_loan(&mut self, component: u32, handle: u32) {
        if let Some(entry) = self.entry(component, handle) {
            entry.count = entry.count.saturating_sub(1);
        }
    }

    fn insert_entry(&mut self, component: u32, entry: Entry) -> Result<u32> {
        while component as usize >= self.tables.len() {
            self.tables.grow(EMPTY, MAX_LEN.saturating_sub(self.tables.len()))?;
        }
        let table = self.tables.slot(component as usize).ok_or(Errno::Mfile)?;
        table.insert(entry, &mut self.mapped)
    }

    fn entry(&mut self, component: u32, handle: u32) -> Option<&mut Entry> {
        self.tables.slot(component as usize)?.entry(handle)
    }

    /// The entry that holds what a handle stands for: its own, or the one that has lent it.
    fn origin(&mut self, component: u32, handle: u32) -> Option<&mut Entry> {
        match self.entry(component, handle)?.resource {
            Resource::Lent { component, handle } => self.entry(component, handle),
            _ => self.entry(component, handle),
        }
    }

    fn has(&mut self, is_such: impl Fn(Resource) -> bool + Copy) -> bool {
        (0..self.tables.len()).any(|component| self.tables.slot(component).is_some_and(|table| table.has(is_such)))
    }

    /// Whether a descriptor belongs to any handle.
    fn uses(&mut self, fd: u32) -> bool {
        self.has(|resource| resource.descriptor() == Some(fd))
    }

    /// Whether a stream, or what polls it, has a handle. Numbers of descriptors come again; a stream does not.
    pub fn uses_stream(&mut self, stream: Stream) -> bool {
        self.has(|resource| match resource {
            Resource::Polls(polled, _) => polled == stream,
            other => other.stream() == Some(stream),
        })
    }

    /// Whether a handle owns a stream that is polled.
    fn is_polled(&mut self, component: u32, handle: u32) -> bool {
        let owned = self.entry(component, handle).filter(|entry| entry.call == 0);
        let Some(stream) = owned.and_then(|entry| entry.resource.stream()) else { return false };
        self.has(|resource| matches!(resource, Resource::Polls(polled, _) if polled == stream))
    }
}

fn with<T>(f: impl FnOnce(&mut Tables) -> T) -> T {
    // SAFETY: see `Global`; `f` calls nothing that would borrow the tables again.
    f(unsafe { &mut *TABLES.0.get() })
}

/// Runs `f` on the handles of an executable.
#[inline]
pub(crate) fn of_process<T>(f: impl FnOnce(&mut Tables) -> T) -> T {
    with(f)
}

/// As [`Tables::insert`], of an executable.
#[inline(never)]
pub(super) fn insert(component: u32, resource: Resource) -> Result<u32> {
    with(|tables| tables.insert(component, resource))
}

/// As [`Tables::insert_lent_from`], of an executable.
pub(super) fn insert_lent(component: u32, lender: (u32, u32), call: u32) -> Result<u32> {
    with(|tables| tables.insert_lent_from(component, lender, call))
}

/// As [`Tables::get`], of an executable.
#[inline(never)]
pub(super) fn get(component: u32, handle: u32) -> Option<Resource> {
    with(|tables| tables.get(component, handle))
}

/// What a removed handle was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It owned this.
    Owned(Resource),
    /// It was lent, for the call of this number.
    Lent(u32),
}

/// Why a handle is not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What it owns is lent.
    Lent,
    /// It owns a stream, of which there is a `pollable`.
    Polled,
}

/// As [`Tables::take`], of an executable. What was lent goes back.
#[inline(never)]
pub(super) fn take(component: u32, handle: u32) -> Result<Removed, Refusal> {
    let removed = with(|tables| tables.take(component, handle))?;
    if let Removed::Lent(call) = removed {
        calls::give_back(call);
    }
    Ok(removed)
}

/// As [`Tables::begin_loan`], of an executable.
pub(super) fn begin_loan(component: u32, handle: u32) -> bool {
    with(|tables| tables.begin_loan(component, handle))
}

/// As [`Tables::end_loan`], of an executable.
pub(super) fn end_of_loan(component: u32, handle: u32) {
    with(|tables| tables.end_loan(component, handle));
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::*;
    use wasmelt_abi::canonical::{FIRST_OWN_RESOURCE, HOST_RESOURCES};

    /// The tables of the process are for one thread: tests that use them take turns.
    fn turn() -> MutexGuard<'static, ()> {
        static TURNS: Mutex<()> = Mutex::new(());
        TURNS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(component: u32, handle: u32, resource: Resource) {
        with(|tables| tables.set(component, handle, resource));
    }

    fn remove(component: u32, handle: u32) -> Result<(), Refusal> {
        with(|tables| tables.remove(component, handle)).map(|_| ())
    }

    fn input(fd: u32) -> Resource {
        Resource::Input { stream: Stream { fd, number: 0 }, position: 0 }
    }

    #[test]
    fn each_component_has_handles_of_its_own_and_the_last_free_one_comes_next() {
        let _turn = turn();
        for expected in 1..1000 {
            assert_eq!(insert(70, input(expected)), Ok(expected));
        }
        assert_eq!(insert(71, Resource::Network), Ok(1));
        assert_eq!((take(70, 7), take(70, 500)), (Ok(Removed::Owned(input(7))), Ok(Removed::Owned(input(500)))));
        assert!(with(|tables| !tables.uses(500) && tables.uses(999)));
        assert_eq!(take(70, 7), Err(Refusal::Lent), "it does not exist");
        assert_eq!((insert(70, input(1)), insert(70, input(1)), insert(70, input(1))), (Ok(500), Ok(7), Ok(1000)));
        assert_eq!(get(71, 1), Some(Resource::Network));
        assert_eq!((get(71, 2), get(70, 0), get(70, u32::MAX), get(u32::MAX, 1)), (None, None, None, None));
    }

    #[test]
    fn nothing_is_left_of_tables_that_were_cleared() {
        let mut tables = Tables::new();
        // Some handles in the tables themselves, and some in mappings; likewise the tables.
        for component in [0, 1, 5] {
            for expected in 1..100 {
                assert_eq!(tables.insert(component, input(7)), Ok(expected));
            }
        }
        tables.clear();
        assert!(!tables.uses(7));
        for component in [0, 1, 5] {
            for handle in 1..100 {
                assert_eq!(tables.get(component, handle), None, "{component}: {handle}");
                assert_eq!(tables.take(component, handle), Err(Refusal::Lent));
            }
            assert_eq!(tables.insert(component, Resource::Network), Ok(1));
        }
        tables.clear();
    }

    #[test]
    fn what_is_lent_is_the_same_and_stays() {
        let _turn = turn();
        let owner = insert(80, input(3)).unwrap();
        assert!(begin_loan(80, owner));
        let lent = insert_lent(81, (80, owner), 1).unwrap();
        assert!(!begin_loan(81, lent), "a loan of a loan");
        let again = insert_lent(82, (81, lent), 2).unwrap();
        set(82, again, input(4));
        assert_eq!((get(80, owner), get(81, lent)), (Some(input(4)), Some(input(4))));
        assert_eq!(take(80, owner), Err(Refusal::Lent));
        assert_eq!((take(82, again), take(81, lent)), (Ok(Removed::Lent(2)), Ok(Removed::Lent(1))));
        end_of_loan(80, owner);
        assert_eq!(take(80, owner), Ok(Removed::Owned(input(4))));
    }

    #[test]
    fn a_stream_goes_after_what_polls_it() {
        let _turn = turn();
        let streams = [(); 2].map(|()| with(|tables| tables.stream(100)));
        let [first, second] = streams.map(|stream| insert(90, Resource::Input { stream, position: 0 }).unwrap());
        // Another component's is one as well.
        let polls = insert(91, Resource::Polls(streams[0], Readiness::Readable)).unwrap();
        assert_eq!((remove(90, first), remove(90, second)), (Err(Refusal::Polled), Ok(())));
        assert_eq!((remove(91, polls), remove(90, first)), (Ok(()), Ok(())));
    }

    #[test]
    fn types_of_the_host_have_the_numbers_of_the_contract() {
        let number = |name| HOST_RESOURCES.iter().position(|(_, resource)| *resource == name).unwrap() as u32;
        let samples = [
            ("pollable", Resource::At(1)),
            ("error", Resource::Error(Errno::Io)),
            ("input-stream", input(1)),
            ("output-stream", Resource::Output { stream: Stream { fd: 1, number: 0 }, position: None }),
            ("descriptor", Resource::Descriptor(1)),
            ("directory-entry-stream", Resource::Entries { fd: 1, cookie: 0 }),
            ("terminal-input", Resource::TerminalInput),
            ("terminal-output", Resource::TerminalOutput),
            ("network", Resource::Network),
            ("tcp-socket", Resource::Tcp(1)),
            ("udp-socket", Resource::Udp(1)),
            ("incoming-datagram-stream", Resource::Datagrams(1, udp::Part::Incoming)),
            ("outgoing-datagram-stream", Resource::Datagrams(1, udp::Part::Outgoing)),
            ("resolve-address-stream", Resource::Addresses(1)),
        ];
        for (name, resource) in samples {
            assert_eq!(resource.type_number(), number(name), "{name}");
        }
        assert_eq!(samples.len(), HOST_RESOURCES.len());
        assert!(HOST_RESOURCES.len() < NO_RESOURCE as usize && NO_RESOURCE < FIRST_OWN_RESOURCE);
    }
}
