//! The limits of the program, before its code runs: those that were compiled in, and those that whoever starts it sets
//! in the environment variable `WASMELT_POLICY`.
//!
//! In come the policy and the variable; out come limits that the other parts of the runtime ask for, or the end of the
//! process.
//!
//! ╔══════════════════════════════════════════════════════════════════════════════════════════════════════════════╗
//! ║ SECURITY: the variable may take away and never give. Each word of it lowers a limit with `min`, sets a flag  ║
//! ║ that forbids, or names a grant to be dropped: no code here can do the opposite. What is not understood, or   ║
//! ║ names what was never granted, ends the process before the guest runs: a restriction that somebody asked for  ║
//! ║ is never left out in silence.                                                                                ║
//! ╚══════════════════════════════════════════════════════════════════════════════════════════════════════════════╝

use core::ptr;
use core::sync::atomic::{AtomicU64, Ordering};

use wasmelt_abi::descriptor::{DirGrant, EnvGrant, FurtherPolicy, Policy};
use wasmelt_abi::trap::{START_FAILED_EXIT_CODE, Trap};
use wasmelt_abi::tree::Tree;

use crate::executable;
use crate::failure::Failure;
use crate::instance::Instance;
use crate::report::Report;
use crate::sys::alarm::{self, AlarmHandler};
use crate::sys::{Stream, fs};
use crate::{exception, memory, table, threads, trap};

use super::policy;
use super::{clocks, descriptors, narrowing, sockets, tree, words};
use crate::rel::slice;

/// The limits that hold.
struct Limits {
    memory_bytes: u64,
    table_elements: u64,
    exception_bytes: u64,
    threads: u32,
    open_files: u32,
    timeout_ns: u64,
    fuel: u64,
    /// Bits of [`FurtherPolicy::STDIN_NULL`] and its neighbours.
    null_streams: u32,
}

/// Sets limits, see [`wasmelt_abi::symbols::HOOK_RESTRICT`].
///
/// # Safety
/// `vmctx` is the context of a complete instance in which no code has run.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_restrict(vmctx: *mut u8) {
    // SAFETY: by this function's contract.
    unsafe { restrict::<NoNetwork>(vmctx) };
}

/// Sets limits of a program that has sockets, and lets its grants of the network hold, see
/// [`wasmelt_abi::symbols::HOOK_RESTRICT_NETWORK`].
///
/// # Safety
/// As for [`wasmelt_hook_restrict`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wasmelt_hook_restrict_network(vmctx: *mut u8) {
    // SAFETY: by this function's contract.
    unsafe { restrict::<Network>(vmctx) };
}

/// What the words of the network are to a program: only those that have sockets know them.
trait Words {
    /// Takes a word about the network into account; what is wrong with it. `None` for a word about something else.
    fn narrow(item: &'static [u8]) -> Option<Result<(), &'static str>>;

    /// Lets grants of the network hold.
    fn enable(policy: &'static Policy);
}

/// A program without sockets.
struct NoNetwork;

impl Words for NoNetwork {
    fn narrow(_item: &'static [u8]) -> Option<Result<(), &'static str>> {
        None
    }

    fn enable(_policy: &'static Policy) {}
}

/// A program with sockets.
struct Network;

impl Words for Network {
    fn narrow(item: &'static [u8]) -> Option<Result<(), &'static str>> {
        // SAFETY: hooks run before the guest.
        unsafe { sockets::policy::narrow(item) }
    }

    fn enable(policy: &'static Policy) {
        sockets::policy::enable(policy);
    }
}

/// # Safety
/// As for [`wasmelt_hook_restrict`].
#[inline(always)]
unsafe fn restrict<W: Words>(vmctx: *mut u8) {
    // SAFETY: by this function's contract.
    let (policy, instance) = unsafe { (policy::of(vmctx), Instance::from_vmctx(vmctx)) };
    let mut limits = Limits {
        memory_bytes: u64::MAX,
        table_elements: u64::MAX,
        exception_bytes: FurtherPolicy::DEFAULT_MAX_EXCEPTION_BYTES,
        threads: FurtherPolicy::DEFAULT_MAX_THREADS,
        open_files: u32::MAX,
        timeout_ns: u64::MAX,
        fuel: u64::MAX,
        null_streams: 0,
    };
    // SAFETY: the compiler wrote it, in read-only data.
    let further = policy.further.get().map(|further| unsafe { &*further });
    if let Some(further) = further {
        limits.exception_bytes = further.max_exception_bytes;
        limits.threads = further.max_threads;
        limits.open_files = further.max_open_files;
        limits.null_streams = further.flags & NULL_STREAMS;
        if further.timeout_ns != 0 {
            limits.timeout_ns = further.timeout_ns;
        }
        if further.flags & FurtherPolicy::DETERMINISTIC != 0 {
            clocks::simulate();
            SEED.store(further.seed, Ordering::Relaxed);
        }
    }
    let counts_fuel = further.is_some_and(|further| further.fuel_offset != 0);
    for item in narrowing::items() {
        let checked = W::narrow(item).unwrap_or_else(|| limits.narrow(item, policy, counts_fuel));
        if let Err(why) = checked {
            fail(why, item);
        }
    }
    W::enable(policy);
    limits.apply(instance, further);
}

const NULL_STREAMS: u32 = FurtherPolicy::STDIN_NULL | FurtherPolicy::STDOUT_NULL | FurtherPolicy::STDERR_NULL;

/// What deterministic random numbers follow from.
static SEED: AtomicU64 = AtomicU64::new(0);

/// Fills a buffer with what a deterministic program gets for random bytes: the generator SplitMix64, from the policy's
/// seed on. Good for nothing but repeating a run.
///
/// # Safety
/// The bytes are writable; nothing in Rust refers to them.
#[cold]
pub unsafe fn repeatable_bytes(to: *mut u8, len_bytes: usize) {
    let mut at = 0;
    while at < len_bytes {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut word = SEED.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bytes = (word ^ word >> 31).to_le_bytes();
        let len = bytes.len().min(len_bytes - at);
        // SAFETY: by this function's contract; `len` more bytes are left.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.wrapping_add(at), len) };
        at += len;
    }
}

impl Limits {
    /// Takes one word of the variable into account; what is wrong with it.
    #[inline(always)]
    fn narrow(&mut self, item: &'static [u8], policy: &'static Policy, counts_fuel: bool) -> Result<(), &'static str> {
        let (word, value) = words::split_once(item, b'=').unwrap_or((item, b""));
        let streams = [
            (&b"stdin"[..], FurtherPolicy::STDIN_NULL),
            (b"stdout", FurtherPolicy::STDOUT_NULL),
            (b"stderr", FurtherPolicy::STDERR_NULL),
        ];
        match word {
            b"max-memory" => self.memory_bytes = self.memory_bytes.min(words::size(value).ok_or(NO_SIZE)?),
            b"max-table-elements" => {
                self.table_elements = self.table_elements.min(words::number(value).ok_or(NO_NUMBER)?);
            }
            b"max-exception-memory" => {
                self.exception_bytes = self.exception_bytes.min(words::size(value).ok_or(NO_SIZE)?);
            }
            b"max-threads" => self.threads = self.threads.min(count(value)?),
            b"max-open-files" => self.open_files = self.open_files.min(count(value)?),
            b"timeout" => self.timeout_ns = self.timeout_ns.min(words::duration(value).ok_or(NO_DURATION)?),
            b"fuel" if !counts_fuel => return Err("counts no instructions, it was compiled without --fuel"),
            b"fuel" => self.fuel = self.fuel.min(words::number(value).ok_or(NO_NUMBER)?),
            b"no-dir" | b"read-only" => is_granted(value, policy::directories(policy), |dir: &DirGrant| &dir.guest)
                .or_else(|why| is_granted(value, tree::trees(policy), |tree: &Tree| &tree.guest).map_err(|_| why))?,
            b"no-env" => is_granted(value, slice(&policy.env), |env: &EnvGrant| &env.name)
                .or(if policy.flags & Policy::INHERIT_ENV != 0 { Ok(()) } else { Err(NOT_GRANTED) })?,
            b"no-listen" if value.is_empty() => {}
            _ => {
                let stream = streams.into_iter().find(|(name, _)| *name == word && value == b"null");
                self.null_streams |= stream.ok_or("does not know")?.1;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn apply(self, instance: Instance, further: Option<&'static FurtherPolicy>) {
        if !memory::limit(instance, self.memory_bytes) {
            fail("needs more memory from the start than", b"max-memory");
        }
        if !table::limit(instance, self.table_elements) {
            fail("needs larger tables from the start than", b"max-table-elements");
        }
        exception::limit(self.exception_bytes);
        threads::limit(self.threads);
        if let Some(further) = further.filter(|further| further.fuel_offset != 0) {
            let counter = instance.vmctx().wrapping_offset(further.fuel_offset as isize).cast::<i64>();
            let left = i64::try_from(self.fuel).unwrap_or(i64::MAX);
            // SAFETY: the counter lies in the context. It starts at the negative budget and counts up.
            unsafe { counter.write(counter.read().max(-left)) };
        }
        descriptors::limit(self.open_files);
        if self.null_streams != 0 {
            let Ok(null) = fs::open_granted_file(c"/dev/null") else { fail("cannot open", b"/dev/null") };
            let null = null.release();
            for stream in 0..3 {
                if self.null_streams & 1 << stream != 0 {
                    descriptors::redirect_standard(stream, null);
                }
            }
        }
        if self.timeout_ns != u64::MAX
            && let Err(error) = alarm::set::<Interrupt>(self.timeout_ns)
        {
            Failure::Signals.end([error.number().into(), 0]);
        }
    }
}

/// A number of things of which there are never more than `u32::MAX`.
fn count(value: &[u8]) -> Result<u32, &'static str> {
    words::number(value).map(|number| u32::try_from(number).unwrap_or(u32::MAX)).ok_or(NO_NUMBER)
}

const NO_SIZE: &str = "cannot read the size of";
const NO_NUMBER: &str = "cannot read the number of";
const NO_DURATION: &str = "cannot read the duration of";
const NOT_GRANTED: &str = "was not granted";

/// Whether a grant has this name; `*` stands for all of them.
fn is_granted<T>(
    name: &[u8],
    grants: &'static [T],
    name_of: impl Fn(&'static T) -> &'static wasmelt_abi::descriptor::RelSlice<u8>,
) -> Result<(), &'static str> {
    let found = name == b"*" || grants.iter().any(|grant| slice(name_of(grant)) == name);
    if found { Ok(()) } else { Err(NOT_GRANTED) }
}

/// Says what is wrong, and ends the process.
#[cold]
fn fail(why: &str, what: &[u8]) -> ! {
    let mut report = Report::new(Stream::Error);
    report.failure().text("this program ").text(why).text(" `").bytes(what).text("` (see WASMELT_POLICY)");
    report.exit(START_FAILED_EXIT_CODE)
}

/// What happens when the time is over.
struct Interrupt;

impl AlarmHandler for Interrupt {
    fn handle(pc: usize, frame_pointer: usize, stack_pointer: usize) -> ! {
        // SAFETY: the first instance was complete before the alarm was set, and lives as long as the process.
        let instance = unsafe { Instance::from_vmctx(executable::running()) };
        trap::stop(Trap::Interrupt, instance, pc, frame_pointer, stack_pointer)
    }
}
