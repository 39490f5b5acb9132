//! Limits of a store: what its guests may have of memory, tables and instances.
//!
//! Whoever wants a limit gives the store a [`ResourceLimiter`], mostly a [`StoreLimits`], which is asked before anything
//! grows or is made. The limiter belongs to the host's data, and runs on the host's stack.

// ---------------------------------------------------------------------------------------------------------------
// Security: every way to grow a memory or table, and to make either or an instance, asks here first: those of guests
// (`builtins.rs`) and those of the host. A memory that threads share is asked for in the store whose guest grows it. A
// panic of the limiter ends the guest's call like one of a host function, and unwinds no frame of a guest.
// ---------------------------------------------------------------------------------------------------------------

use core::fmt;
use core::panic::AssertUnwindSafe;
use core::ptr;
use std::panic::{catch_unwind, resume_unwind};
use std::thread::Result as Caught;

use wasmelt_abi::descriptor::{MemoryPlan, TablePlan};
use wasmelt_abi::interface::{EntityPlan, Kind};

use super::activation::{self, Activation};
use super::arch::{self, Resume};
use super::host_func::{HostCell, HostFunc};
use super::store::{Contents, Inner};
use super::{Error, FuncType, Module};
use wasmelt_runtime::rel::slice;

/// How many instances, tables and memories a store may have where nobody says it.
const DEFAULT_COUNT: usize = 10_000;

/// Decides what the guests of a store may have. See [`Store::limiter`](crate::Store::limiter).
///
/// Lengths of memories are in bytes, those of tables in elements. `maximum` is what the type allows, if it sets a limit.
pub trait ResourceLimiter {
    /// Whether a memory may be made with, or grow to, `desired` bytes. `current` is 0 for a new one.
    ///
    /// # Errors
    /// An error ends the guest's call, or what the host does, with this error.
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool, Error>;

    /// A memory could not grow, although it was allowed to: its type or the system set a limit.
    ///
    /// # Errors
    /// As for [`Self::memory_growing`]. Without one, `memory.grow` returns -1.
    fn memory_grow_failed(&mut self, error: Error) -> Result<(), Error> {
        drop(error);
        Ok(())
    }

    /// Whether a table may be made with, or grow to, `desired` elements. `current` is 0 for a new one.
    ///
    /// # Errors
    /// As for [`Self::memory_growing`].
    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool, Error>;

    /// A table could not grow, although it was allowed to.
    ///
    /// # Errors
    /// As for [`Self::memory_grow_failed`].
    fn table_grow_failed(&mut self, error: Error) -> Result<(), Error> {
        drop(error);
        Ok(())
    }

    /// How many instances the store may have.
    fn instances(&self) -> usize {
        DEFAULT_COUNT
    }

    /// How many tables the store may have, those that only the host uses included.
    fn tables(&self) -> usize {
        DEFAULT_COUNT
    }

    /// How many memories the store may have, those that only the host uses included.
    fn memories(&self) -> usize {
        DEFAULT_COUNT
    }
}

/// Limits that do not change: a [`ResourceLimiter`] for most purposes. [`StoreLimitsBuilder`] makes one.
#[derive(Clone, Debug)]
pub struct StoreLimits {
    memory_size: Option<usize>,
    table_elements: Option<usize>,
    instances: usize,
    tables: usize,
    memories: usize,
    trap_on_grow_failure: bool,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            memory_size: None,
            table_elements: None,
            instances: DEFAULT_COUNT,
            tables: DEFAULT_COUNT,
            memories: DEFAULT_COUNT,
            trap_on_grow_failure: false,
        }
    }
}

/// Makes [`StoreLimits`].
#[derive(Clone, Debug, Default)]
pub struct StoreLimitsBuilder(StoreLimits);

impl StoreLimitsBuilder {
    /// Starts with the defaults: no limit of lengths, 10,000 instances, tables and memories.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the bytes that a single memory may have.
    #[must_use]
    pub fn memory_size(mut self, bytes: usize) -> Self {
        self.0.memory_size = Some(bytes);
        self
    }

    /// Sets the elements that a single table may have.
    #[must_use]
    pub fn table_elements(mut self, elements: usize) -> Self {
        self.0.table_elements = Some(elements);
        self
    }

    /// Sets how many instances a store may have.
    #[must_use]
    pub fn instances(mut self, count: usize) -> Self {
        self.0.instances = count;
        self
    }

    /// Sets how many tables a store may have.
    #[must_use]
    pub fn tables(mut self, count: usize) -> Self {
        self.0.tables = count;
        self
    }

    /// Sets how many memories a store may have.
    #[must_use]
    pub fn memories(mut self, count: usize) -> Self {
        self.0.memories = count;
        self
    }

    /// Sets whether `memory.grow` and `table.grow` end the call with an error where they would return -1.
    #[must_use]
    pub fn trap_on_grow_failure(mut self, trap: bool) -> Self {
        self.0.trap_on_grow_failure = trap;
        self
    }

    /// Returns the limits.
    pub fn build(self) -> StoreLimits {
        self.0
    }
}

impl StoreLimits {
    fn growing(&self, what: Growable, desired: usize, limits: [Option<usize>; 2]) -> Result<bool, Error> {
        let allowed = limits.into_iter().flatten().all(|limit| desired <= limit);
        if !allowed && self.trap_on_grow_failure {
            return Err(Error::msg(format!("a {what} may not grow to {desired} {}", what.unit())));
        }
        Ok(allowed)
    }

    fn failed(&self, error: Error) -> Result<(), Error> {
        if self.trap_on_grow_failure { Err(error) } else { Ok(()) }
    }
}

impl ResourceLimiter for StoreLimits {
    fn memory_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> Result<bool, Error> {
        self.growing(Growable::Memory, desired, [self.memory_size, maximum])
    }

    fn memory_grow_failed(&mut self, error: Error) -> Result<(), Error> {
        self.failed(error)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, maximum: Option<usize>) -> Result<bool, Error> {
        self.growing(Growable::Table, desired, [self.table_elements, maximum])
    }

    fn table_grow_failed(&mut self, error: Error) -> Result<(), Error> {
        self.failed(error)
    }

    fn instances(&self) -> usize {
        self.instances
    }

    fn tables(&self) -> usize {
        self.tables
    }

    fn memories(&self) -> usize {
        self.memories
    }
}

/// What can grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growable {
    /// In bytes.
    Memory,
    /// In elements.
    Table,
}

impl Growable {
    fn unit(self) -> &'static str {
        match self {
            Self::Memory => "bytes",
            Self::Table => "elements",
        }
    }
}

impl fmt::Display for Growable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Table => "table",
        })
    }
}

/// Something that is about to grow, or to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    pub(super) what: Growable,
    pub(super) current: u64,
    pub(super) desired: u64,
    /// What its type allows.
    pub(super) maximum: Option<u64>,
}

impl Growth {
    /// A memory that is made by this plan, whose type has this maximum, in pages.
    pub(super) fn of_new_memory(plan: &MemoryPlan, maximum: Option<u64>, page_size_log2: u32) -> Self {
        let maximum = maximum.map(|pages| pages.saturating_mul(1 << page_size_log2));
        Self { what: Growable::Memory, current: 0, desired: plan.initial_bytes, maximum }
    }

    pub(super) fn refused(&self) -> Error {
        let Self { what, current, desired, .. } = self;
        let unit = what.unit();
        match current {
            0 => Error::system(format!("a {what} of {desired} {unit}: the store allows less")),
            _ => Error::system(format!("a {what} of {current} {unit} cannot grow to {desired}")),
        }
    }

    fn ask(&self, limiter: &mut dyn ResourceLimiter) -> Result<bool, Error> {
        let size = |size: u64| usize::try_from(size).unwrap_or(usize::MAX);
        let (current, desired, maximum) = (size(self.current), size(self.desired), self.maximum.map(size));
        match self.what {
            Growable::Memory => limiter.memory_growing(current, desired, maximum),
            Growable::Table => limiter.table_growing(current, desired, maximum),
        }
    }

    fn report_failure(&self, limiter: &mut dyn ResourceLimiter) -> Result<(), Error> {
        match self.what {
            Growable::Memory => limiter.memory_grow_failed(self.refused()),
            Growable::Table => limiter.table_grow_failed(self.refused()),
        }
    }
}

/// Something that is done with a limiter.
type Task<'a> = &'a mut dyn FnMut(&mut dyn ResourceLimiter);

/// Does something with the limiter that is in the data of the store of which this is the address.
type Apply = Box<dyn FnMut(*mut Inner, Task<'_>) + Send + Sync>;

/// The limiter of a store.
pub(super) struct Limiter {
    apply: Apply,
    /// What guests call it by, where it has to run on the host's stack.
    cell: HostCell,
    _func: HostFunc,
}

impl Limiter {
    /// A limiter that is part of the data of this store.
    pub(super) fn new<T>(
        store: *mut Inner,
        mut limiter: impl (FnMut(&mut T) -> &mut dyn ResourceLimiter) + Send + Sync + 'static,
    ) -> Box<Self> {
        let apply = move |store: *mut Inner, task: Task<'_>| {
            // SAFETY: whoever calls it has the address of the whole contents, with data of this type, and nobody else
            // uses the data meanwhile.
            let data = unsafe { &mut (*store.cast::<Contents<T>>()).data };
            task(limiter(data));
        };
        // SAFETY: the function has no results.
        let func = unsafe { HostFunc::new(FuncType::new([], []), perform) };
        let cell = func.cell(store, 0, None);
        Box::new(Self { apply: Box::new(apply), cell, _func: func })
    }
}

/// Performs the [`Request`] whose address is the first value, for a guest that waits.
fn perform(store: *mut Inner, _cell: &HostCell, values: *mut [u64; 2]) -> Result<(), Error> {
    // SAFETY: `on_host_stack` passes the address of a request that lives until this function is back.
    let request = unsafe { &mut *ptr::with_exposed_provenance_mut::<Request<'_>>((*values)[0] as usize) };
    // SAFETY: the guest has called, so nobody uses the store.
    request.outcome = Some(catch_unwind(AssertUnwindSafe(|| unsafe { with_limiter(store, request.task) })));
    Ok(())
}

struct Request<'a> {
    task: Task<'a>,
    outcome: Option<Caught<()>>,
}

/// Lets the limiter of the store do something. A store without one does nothing.
///
/// # Safety
/// It is the address of the whole contents of a store that has a limiter, and nobody uses the host's data meanwhile.
unsafe fn with_limiter(store: *mut Inner, task: Task<'_>) {
    // SAFETY: by this function's contract. The limiter does not know the store.
    unsafe {
        if let Some(limiter) = (*store).limiter.as_deref_mut() {
            (limiter.apply)(store, task);
        }
    }
}

/// As [`with_limiter`], for a guest that waits: on the host's stack, and a panic is held back.
///
/// # Safety
/// As [`with_limiter`]; called on the guest's stack for generated code.
unsafe fn on_host_stack(store: *mut Inner, task: Task<'_>) -> Caught<()> {
    let mut request = Request { task, outcome: None };
    let mut values = [[(&raw mut request).expose_provenance() as u64, 0]];
    // SAFETY: by this function's contract; the cell's function returns here, whatever happens in it.
    unsafe {
        let Some(limiter) = (*store).limiter.as_deref_mut() else { return Ok(()) };
        arch::call_host((&raw mut limiter.cell).cast(), values.as_mut_ptr());
    }
    request.outcome.unwrap_or(Ok(()))
}

/// How the limiter is reached.
#[derive(Clone, Copy)]
enum Side {
    /// From the host's stack, where panics go on.
    Host,
    /// From the guest's stack, where they are held back.
    Guest,
}

/// Grows something as far as the limiter of the store allows; what `grow` returns, `None` also where that is not allowed.
///
/// `grow` goes no further than `desired` of the growth that was allowed. Where another thread has grown a shared memory
/// between the question and the growth, that is too little: the limiter is asked again, about the length of now.
///
/// # Safety
/// As [`with_limiter`] and [`on_host_stack`].
unsafe fn grow_limited<R>(
    store: *mut Inner,
    side: Side,
    growth: impl Fn() -> Growth,
    mut grow: impl FnMut(&Growth) -> Option<R>,
) -> Caught<Result<Option<R>, Error>> {
    let mut asked = growth();
    loop {
        // SAFETY: by this function's contract.
        let outcome = unsafe { grow_once(store, side, &asked, || grow(&asked)) }?;
        let now = growth();
        match outcome {
            Ok(Outcome::Failed) if now.current != asked.current => asked = now,
            Ok(Outcome::Failed) => {
                let mut reported = Ok(());
                // SAFETY: by this function's contract.
                unsafe { consult(store, side, &mut |limiter| reported = asked.report_failure(limiter)) }?;
                return Ok(reported.map(|()| None));
            }
            Ok(Outcome::Refused) => return Ok(Ok(None)),
            Ok(Outcome::Grown(result)) => return Ok(Ok(Some(result))),
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// How one attempt to grow something ended without an error.
enum Outcome<R> {
    Grown(R),
    /// The limiter does not allow the growth.
    Refused,
    /// The type or the system does not allow the growth.
    Failed,
}

/// Asks the limiter of the store, where there is one, and grows something where that is allowed.
///
/// # Safety
/// As [`grow_limited`].
unsafe fn grow_once<R>(
    store: *mut Inner,
    side: Side,
    growth: &Growth,
    grow: impl FnOnce() -> Option<R>,
) -> Caught<Result<Outcome<R>, Error>> {
    // SAFETY: by this function's contract.
    let is_unlimited = unsafe { (*store).limiter.is_none() };
    if !is_unlimited && (growth.current == 0 || growth.desired != growth.current) {
        let mut allowed = Ok(false);
        // SAFETY: by this function's contract.
        unsafe { consult(store, side, &mut |limiter| allowed = growth.ask(limiter)) }?;
        match allowed {
            Ok(true) => {}
            Ok(false) => return Ok(Ok(Outcome::Refused)),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(grow().map_or(Outcome::Failed, Outcome::Grown)))
}

/// Lets the limiter of the store do its part, where there is one.
///
/// # Safety
/// As [`with_limiter`] and [`on_host_stack`].
unsafe fn consult(store: *mut Inner, side: Side, task: Task<'_>) -> Caught<()> {
    // SAFETY: by this function's contract.
    unsafe {
        match side {
            Side::Host => {
                with_limiter(store, task);
                Ok(())
            }
            Side::Guest => on_host_stack(store, task),
        }
    }
}

/// Grows something for the host; an error where it cannot grow.
///
/// # Safety
/// It is the address of the whole contents of a store, which nobody else uses meanwhile.
pub(super) unsafe fn grow_for_host<R>(
    store: *mut Inner,
    growth: impl Fn() -> Growth,
    grow: impl FnMut(&Growth) -> Option<R>,
) -> Result<R, Error> {
    // SAFETY: by this function's contract.
    match unsafe { grow_limited(store, Side::Host, &growth, grow) } {
        Ok(result) => result?.ok_or_else(|| growth().refused()),
        Err(payload) => resume_unwind(payload),
    }
}

/// What the builtins `memory_grow` and `table_grow` return: the length before, or -1; or where to go on instead.
#[repr(C)]
pub(super) struct Grown {
    value: u64,
    instead: *const Resume,
}

impl Grown {
    /// Nothing has grown.
    pub(super) const FAILED: Self = Self { value: u64::MAX, instead: ptr::null() };
}

/// Grows something for a guest.
///
/// # Safety
/// Called for generated code of this store, on the guest's stack; `frame` is a frame pointer whose frame returns to that
/// code.
pub(super) unsafe fn grow_for_guest(
    store: *mut Inner,
    frame: usize,
    growth: impl Fn() -> Growth,
    grow: impl FnMut(&Growth) -> Option<u64>,
) -> Grown {
    // SAFETY: by this function's contract.
    unsafe {
        let ended = match grow_limited(store, Side::Guest, growth, grow) {
            Ok(Ok(old)) => return Grown { value: old.unwrap_or(u64::MAX), instead: ptr::null() },
            Ok(Err(error)) => Ok(Err(error)),
            Err(payload) => Err(payload),
        };
        let activation: *mut Activation = (*store).activation;
        (*activation).guest_frame = frame;
        Grown { value: 0, instead: activation::go_on_after(activation, ended) }
    }
}

/// What is made for each instance of a module and counts as a memory or table of the store.
pub(super) fn new_entities(module: &Module) -> Box<[Growth]> {
    let (plan, interface) = (module.plan(), module.interface());
    let maximum = |entity: &EntityPlan| (entity.flags & EntityPlan::HAS_MAXIMUM != 0).then_some(entity.maximum);
    let memories = slice(&plan.memories).iter().zip(slice(&interface.memories));
    let memories = memories.skip(interface.imported[Kind::Memory as usize] as usize);
    let tables = slice(&plan.tables).iter().zip(slice(&interface.tables));
    let tables = tables.filter(|(plan, _)| plan.flags & TablePlan::IMPORTED == 0);
    let memory =
        |(plan, entity): (&_, &EntityPlan)| Growth::of_new_memory(plan, maximum(entity), entity.page_size_log2.into());
    let table = |(plan, entity): (&TablePlan, &EntityPlan)| {
        let (desired, maximum) = (plan.initial_elements, maximum(entity));
        Growth { what: Growable::Table, current: 0, desired, maximum }
    };
    memories.map(memory).chain(tables.map(table)).collect()
}

/// Refuses what would be too many or too large for a store: `instances` more, and what is to be made. So nothing of an
/// instance is made before all of it is allowed.
///
/// # Safety
/// As [`grow_for_host`].
pub(super) unsafe fn check_new(store: *mut Inner, instances: usize, new: &[Growth]) -> Result<(), Error> {
    let new_of = |what| new.iter().filter(|growth| growth.what == what).count();
    // SAFETY: by this function's contract.
    let has = unsafe {
        let inner = &*store;
        [inner.instances.len(), inner.memories.len() + inner.shared.len(), inner.tables.len()]
    };
    let mut limits = [DEFAULT_COUNT; 3];
    // SAFETY: by this function's contract.
    unsafe {
        with_limiter(store, &mut |limiter| limits = [limiter.instances(), limiter.memories(), limiter.tables()]);
    }
    let wanted = [instances, new_of(Growable::Memory), new_of(Growable::Table)];
    for ((what, limit), (has, wanted)) in
        ["instances", "memories", "tables"].iter().zip(limits).zip(has.iter().zip(wanted))
    {
        if wanted > 0 && has + wanted > limit {
            return Err(Error::system(format!("the store allows {limit} {what}")));
        }
    }
    for growth in new {
        // SAFETY: by this function's contract.
        unsafe { grow_for_host(store, || *growth, |_| Some(()))? };
    }
    Ok(())
}
