//! `poll_oneoff`: waiting for clocks and descriptors.

use crate::host::clocks::Clock;
use crate::host::descriptor::{Descriptor, Kind};
use crate::host::guest_memory::GuestMemory;
use crate::host::poll::{Waiter, Watch};
use crate::host::state::State;
use crate::host::tree::request::Request;
use crate::sys::errno::{Errno, Result};
use crate::sys::file::{FileType, Metadata, Whence};
use crate::sys::fs::{self, Handle};
use crate::wasi::caller::Caller;

use super::clock::clock;
use super::types::check_flags;

/// Where the fields of a `subscription` are, in bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::wasi) struct SubscriptionLayout {
    /// Size of it.
    pub(in crate::wasi) len_bytes: u32,
    /// Number of the clock; the time follows 8 bytes behind, the flags 24.
    pub(in crate::wasi) clock: u32,
}

/// That of preview 1.
const PREVIEW_1: SubscriptionLayout = SubscriptionLayout { len_bytes: 48, clock: 16 };
/// Size of `event`.
const EVENT_BYTES: u32 = 32;
/// `subscription_clock_abstime` of `subclockflags`.
const CLOCK_ABSTIME: u32 = 1;
/// `fd_readwrite_hangup` of `eventrwflags`.
const HANGUP: u64 = 1;

/// `eventtype`.
const CLOCK: u8 = 0;
const FD_READ: u8 = 1;
const FD_WRITE: u8 = 2;

/// What a subscription waits for.
enum Subject {
    Clock {
        clock: Clock,
        time: u64,
        absolute: bool,
    },
    Read(Descriptor, Handle),
    Write(Descriptor, Handle),
    /// A stream that the operating system does not know, which is always ready; the type of its event.
    Ready(u8),
    /// An embedded file, which is always ready.
    Embedded(Descriptor),
}

/// A subscription.
struct Subscription {
    user_data: [u8; 8],
    subject: Subject,
}

impl Subscription {
    fn read(state: impl State, memory: &GuestMemory, at: u32, layout: SubscriptionLayout) -> Result<Self> {
        let field = |offset: u32| at.wrapping_add(offset);
        let [tag] = memory.read(field(8))?;
        let subject = match tag {
            CLOCK => {
                let flags = memory.read_u32(field(layout.clock + 24))? & 0xffff;
                check_flags(flags, CLOCK_ABSTIME)?;
                Subject::Clock {
                    clock: clock(memory.read_u32(field(layout.clock))?)?,
                    time: u64::from_le_bytes(memory.read(field(layout.clock + 8))?),
                    absolute: flags & CLOCK_ABSTIME != 0,
                }
            }
            FD_READ | FD_WRITE => {
                let descriptor = state.get(memory.read_u32(field(16))?)?;
                match (descriptor.kind, tag) {
                    (Kind::TreeFile, FD_READ) => Subject::Embedded(descriptor),
                    (Kind::Stdin | Kind::File | Kind::Socket, FD_READ)
                    | (Kind::Output | Kind::File | Kind::Socket, FD_WRITE) => match state.handle_to_watch(descriptor) {
                        None => Subject::Ready(tag),
                        Some(handle) if tag == FD_READ => Subject::Read(descriptor, handle),
                        Some(handle) => Subject::Write(descriptor, handle),
                    },
                    _ => return Err(Errno::Badf),
                }
            }
            _ => return Err(Errno::Inval),
        };
        Ok(Self { user_data: memory.read(at)?, subject })
    }
}

/// Writes an `event`.
fn write_event(memory: &GuestMemory, at: u32, user_data: [u8; 8], tag: u8, outcome: Outcome) -> Result<()> {
    let mut bytes = [0; EVENT_BYTES as usize];
    let words = [
        u64::from_le_bytes(user_data),
        u64::from(tag) << 16 | outcome.error.map_or(0, |error| error as u64),
        outcome.len_bytes,
        outcome.flags,
    ];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    memory.write(at, bytes)
}

/// What there is to say about something that is ready.
#[derive(Default)]
struct Outcome {
    error: Option<Errno>,
    len_bytes: u64,
    flags: u64,
}

/// What there is to say about a descriptor of which the kernel found `found`.
fn outcome(descriptor: &Descriptor, reads: bool, found: u16) -> Outcome {
    if found & Watch::INVALID != 0 {
        return Outcome { error: Some(Errno::Badf), ..Outcome::default() };
    }
    let flags = if found & Watch::HANGUP != 0 { HANGUP } else { 0 };
    if reads && descriptor.kind == Kind::File {
        // A file is always ready; how much is left says whether there is anything to read.
        if let (Ok(metadata), Ok(position)) =
            (fs::metadata(descriptor.handle), fs::seek(descriptor.handle, 0, Whence::Current))
            && metadata.file_type == FileType::RegularFile
        {
            let len_bytes = metadata.size_bytes.saturating_sub(position);
            return Outcome { error: None, len_bytes, flags: if len_bytes == 0 { HANGUP } else { flags } };
        }
    }
    Outcome { error: None, len_bytes: 1, flags }
}

/// Waits until at least one of some subscriptions has happened; how many events were written.
pub(in crate::wasi) fn poll(
    state: impl State,
    memory: &GuestMemory,
    subscriptions: u32,
    events: u32,
    count: u32,
    layout: SubscriptionLayout,
) -> Result<u32> {
    if count == 0 {
        // Nothing would ever end the wait.
        return Err(Errno::Inval);
    }
    memory.array(subscriptions, count, layout.len_bytes)?;
    memory.array(events, count, EVENT_BYTES)?;
    // Both lists lie in the memory, so none of the offsets below overflows.
    let subscription = |index: u32| Subscription::read(state, memory, subscriptions + index * layout.len_bytes, layout);

    let mut waiter = Waiter::new(state, count)?;
    for index in 0..count {
        match subscription(index)?.subject {
            Subject::Clock { clock, time, absolute } => {
                let moment = waiter.moment(clock, time, absolute)?;
                waiter.wake_at(moment);
            }
            Subject::Embedded(_) | Subject::Ready(_) => waiter.wake_at(0),
            Subject::Read(_, handle) => waiter.watch(handle, Watch::READABLE)?,
            Subject::Write(_, handle) => waiter.watch(handle, Watch::WRITABLE)?,
        }
    }

    let mut written = 0;
    while written == 0 {
        let now = waiter.wait()?;
        let mut watch = 0;
        for index in 0..count {
            let Subscription { user_data, subject } = subscription(index)?;
            let (tag, outcome) = match subject {
                Subject::Clock { clock, time, absolute } => {
                    if waiter.moment(clock, time, absolute)? > now {
                        continue;
                    }
                    (CLOCK, Outcome::default())
                }
                Subject::Embedded(file) => {
                    let mut metadata = Metadata::UNKNOWN;
                    state.ask_tree(Request::Metadata { descriptor: file, result: &mut metadata })?;
                    let position = state.ask_tree(Request::Seek { file, offset: 0, whence: Whence::Current })?;
                    let len_bytes = metadata.size_bytes.saturating_sub(position);
                    (FD_READ, Outcome { error: None, len_bytes, flags: if len_bytes == 0 { HANGUP } else { 0 } })
                }
                Subject::Ready(tag) => (tag, Outcome { error: None, len_bytes: 1, flags: 0 }),
                Subject::Read(descriptor, _) | Subject::Write(descriptor, _) => {
                    let reads = matches!(subject, Subject::Read(..));
                    let found = waiter.found(watch);
                    watch += 1;
                    if found == 0 {
                        continue;
                    }
                    (if reads { FD_READ } else { FD_WRITE }, outcome(&descriptor, reads, found))
                }
            };
            write_event(memory, events + written * EVENT_BYTES, user_data, tag, outcome)?;
            written += 1;
        }
    }
    Ok(written)
}

/// Waits until at least one of some subscriptions has happened; writes an event for each that has, and how many.
#[inline(always)]
pub fn poll_oneoff(caller: impl Caller, subscriptions: u32, events: u32, count: u32, written_at: u32) -> Result<()> {
    let (state, memory) = (caller.state(), caller.memory());
    poll(state, &memory, subscriptions, events, count, PREVIEW_1)
        .and_then(|written| memory.write_u32(written_at, written))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::state::Process;

    /// A memory with one subscription of each kind of clock wait, 1 ms and 1 h.
    fn clock_subscription(user_data: u8, id: u8, time: u64, absolute: bool) -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes[0] = user_data;
        bytes[16] = id;
        bytes[24..32].copy_from_slice(&time.to_le_bytes());
        bytes[40] = u8::from(absolute);
        bytes
    }

    fn events(subscriptions: &[[u8; 48]]) -> Result<std::vec::Vec<[u8; 32]>> {
        let mut store = subscriptions.concat();
        let events_at = store.len() as u32;
        store.resize(store.len() + 32 * subscriptions.len(), 0xff);
        // SAFETY: the vector outlives the value.
        let memory = unsafe { GuestMemory::new(store.as_mut_ptr(), store.len() as u64) };
        let written = poll(Process, &memory, 0, events_at, subscriptions.len() as u32, PREVIEW_1)?;
        (0..written).map(|index| memory.read(events_at + index * 32)).collect()
    }

    #[test]
    fn the_earliest_clock_ends_the_wait() {
        let hour = 3_600_000_000_000;
        let start = std::time::Instant::now();
        let one = events(&[clock_subscription(9, 1, 2_000_000, false)]).unwrap();
        assert!(start.elapsed().as_millis() >= 2);
        assert_eq!(
            one,
            [{
                let mut event = [0; 32];
                event[0] = 9;
                event
            }]
        );
        let past = events(&[clock_subscription(1, 0, hour, false), clock_subscription(2, 0, 5, true)]).unwrap();
        assert_eq!(past.iter().map(|event| event[0]).collect::<std::vec::Vec<_>>(), [2]);
        let both = events(&[clock_subscription(1, 0, 0, false), clock_subscription(2, 1, 5, true)]).unwrap();
        assert_eq!(both.iter().map(|event| event[0]).collect::<std::vec::Vec<_>>(), [1, 2]);
    }

    #[test]
    fn bad_subscriptions_are_refused() {
        assert_eq!(events(&[]), Err(Errno::Inval));
        assert_eq!(events(&[clock_subscription(0, 2, 0, false)]), Err(Errno::Inval));
        assert_eq!(events(&[clock_subscription(0, 9, 0, false)]), Err(Errno::Inval));
        let mut tag = [0; 48];
        tag[8] = 3;
        assert_eq!(events(&[tag]), Err(Errno::Inval));
        tag[8] = 1;
        tag[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(events(&[tag]), Err(Errno::Badf));
    }
}
