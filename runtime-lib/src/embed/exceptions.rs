//! Exceptions of a store's guests: making them, finding their handlers across instances, and freeing those that
//! nothing refers to any more.
//!
//! Handlers are found by walking frame pointers through the code of any module, as in executables. The heap differs:
//! here each exception is an allocation of its own, of the size that its tag says, and what may refer to exceptions is
//! the contexts and tables of all instances and the references that the host holds.

// ---------------------------------------------------------------------------------------------------------------
// Security: the walk trusts return addresses on the guest's stack, which guest code cannot write; frame addresses are
// checked all the same. A word that merely looks like a reference keeps an exception alive and does no other harm: it
// is compared with the addresses of exceptions, never followed.
// ---------------------------------------------------------------------------------------------------------------

use core::cell::RefCell;
use core::mem::size_of;
use core::ops::Range;
use core::ptr::{self, NonNull};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashMap;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use wasmelt_abi::context::{self, LIBRARY_HEAD_OFFSET, LibraryHead};
use wasmelt_abi::descriptor::ExceptionHandler;

use super::activation::{self, Activation, Raised};
use super::arch::Resume;
use super::backtrace;
use super::store::{Inner, Store, StoreId};
use super::tag::TagEntity;
use super::value::{self, Val};
use super::{Error, Tag};
use crate::exception::handlers_of;
use crate::sys::cpu;

/// The heap is searched for garbage when it has grown by this much, and by as much as was alive the last time.
const COLLECT_BYTES: usize = 1 << 20;

/// An exception that the host holds. As long as one of the copies is there, the exception is.
#[derive(Clone, Debug)]
pub struct Exception {
    store: StoreId,
    held: Arc<Held>,
}

/// The address of an exception, which is only followed with its store at hand.
#[derive(Debug)]
struct Held(usize);

impl PartialEq for Exception {
    fn eq(&self, other: &Self) -> bool {
        self.store == other.store && self.held.0 == other.held.0
    }
}

impl Exception {
    /// Makes an exception, for a host function to throw: by returning [`Error::Exception`] with it.
    pub fn new(store: &mut Store, tag: Tag, values: &[Val]) -> Result<Self, Error> {
        let inner = &mut store.inner;
        let tag = inner.follow(tag.0)?;
        // SAFETY: the store owns the tag.
        let (number, signature) =
            unsafe { (tag.as_ref().number, inner.types.entry(tag.as_ref().type_id).signature.clone()) };
        let values = value::lower_all(inner, values, &signature.params)?;
        let used_stack = inner.used_stack();
        let Some(exception) = make(inner, number, values.len(), used_stack) else {
            return Err(Error::system(OUT_OF_MEMORY));
        };
        // SAFETY: the exception was made with room for these values.
        unsafe { values_of(exception).copy_from_nonoverlapping(values.as_ptr(), values.len()) };
        Ok(inner.exceptions.hold(inner.id, exception))
    }

    /// Its tag.
    pub fn tag(&self, store: &Store) -> Result<Tag, Error> {
        let inner = &store.inner;
        let tag = inner.tag(self.pointer(inner)?);
        Ok(Tag(inner.handle(tag)))
    }

    /// Its values.
    pub fn values(&self, store: &Store) -> Result<Vec<Val>, Error> {
        let inner = &store.inner;
        let exception = self.pointer(inner)?;
        // SAFETY: the store owns the tag.
        let signature = inner.types.entry(unsafe { inner.tag(exception).as_ref() }.type_id).signature.clone();
        // SAFETY: an exception has the values of its tag.
        Ok(unsafe { value::raise_all(inner, values_of(exception), &signature.params) })
    }

    /// Its address, for guests of this store.
    pub(super) fn pointer(&self, store: &Inner) -> Result<*mut context::Exception, Error> {
        store.check(self.store)?;
        Ok(self.held.0 as *mut context::Exception)
    }
}

const OUT_OF_MEMORY: &str = "out of memory for exceptions";

fn values_of(exception: *mut context::Exception) -> *mut [u64; 2] {
    exception.wrapping_add(1).cast()
}

impl Inner {
    /// The tag of an exception of this store.
    fn tag(&self, exception: *mut context::Exception) -> NonNull<TagEntity> {
        // SAFETY: the exception is there, and has the number of a tag of the store.
        self.tags.at(unsafe { (*exception).tag } as usize)
    }

    /// The part of the guest's stack that is in use while the host runs.
    fn used_stack(&self) -> Range<usize> {
        // SAFETY: an activation that the store names is there.
        let start = unsafe { self.activation.as_ref() }.map(|activation| activation.guest_stack);
        let end = self.stack().end;
        start.unwrap_or(end)..end
    }
}

/// What [`allocate`] returns: the exception, or where to go on instead.
#[repr(C)]
pub(super) struct Allocated {
    exception: *mut context::Exception,
    instead: *const Resume,
}

/// The store whose guest code this thread executes, by the address that its user has lent: one that was kept since
/// another call would be none that may be written to.
///
/// # Safety
/// Guest code has called.
unsafe fn current_store() -> *mut Inner {
    // SAFETY: guest code runs in an activation of this thread.
    unsafe { (*activation::current()).store }
}

/// The builtin `exception_new`.
///
/// # Safety
/// Called for generated code with its context and the number of a tag, on the guest's stack.
pub(super) unsafe extern "C" fn allocate(_vmctx: *mut u8, tag: u32, frame: usize) -> Allocated {
    // SAFETY: by this function's contract; nobody else uses the store meanwhile.
    unsafe {
        let store = &mut *current_store();
        let values = store.types.entry(store.tags.at(tag as usize).as_ref().type_id).signature.params.len();
        // References may be in registers that callees keep and nobody has stored yet: this array is in the searched part.
        let registers = cpu::callee_saved();
        let start = (registers.as_ptr() as usize).min(frame);
        match make(store, tag, values, start..store.stack().end) {
            Some(exception) => Allocated { exception, instead: ptr::null() },
            None => {
                let raised = Raised::Error(Error::system(OUT_OF_MEMORY));
                Allocated { exception: ptr::null_mut(), instead: Activation::end(store.activation, raised) }
            }
        }
    }
}

/// The builtin `exception_throw`: where to go on.
///
/// # Safety
/// Called for generated code with its context and an exception, on the guest's stack; `frame` is a frame pointer whose
/// frame returns to that code.
pub(super) unsafe extern "C" fn throw(
    _vmctx: *mut u8,
    exception: *mut context::Exception,
    frame: usize,
) -> *const Resume {
    // SAFETY: by this function's contract.
    unsafe { find(current_store(), exception, frame) }
}

/// Where the guest goes on after a host function that it called threw.
///
/// # Safety
/// A host function that was called from this frame has returned; the store's activation is its caller's.
pub(super) unsafe fn continue_at_handler(store: *mut Inner, exception: Exception, frame: usize) -> *const Resume {
    // SAFETY: by this function's contract.
    unsafe {
        match exception.pointer(&*store) {
            Ok(pointer) => find(store, pointer, frame),
            Err(error) => Activation::end((*store).activation, Raised::Error(error)),
        }
    }
}

/// Where to go on after an exception was thrown: at the innermost handler up to where the host entered, or there.
///
/// # Safety
/// As [`throw`].
unsafe fn find(store: *mut Inner, exception: *mut context::Exception, frame: usize) -> *const Resume {
    // SAFETY: by this function's contract.
    let (inner, activation, tag) = unsafe { (&mut *store, (*store).activation, (*exception).tag) };
    for (frame_pointer, return_address) in backtrace::frames(inner, frame) {
        // The address of the call: what follows a module's last call may be another module's code.
        let Some((module, offset)) = inner.code_at(return_address.wrapping_sub(1)) else { continue };
        let Some((site, handlers)) = handlers_of(module.program(), offset + 1) else { continue };
        let stack_pointer = frame_pointer.wrapping_sub(site.frame_bytes as usize);
        let Some(landing_offset) = handler_of(inner, handlers, stack_pointer, tag) else { continue };
        let code = module.text().start + landing_offset as usize;
        // SAFETY: the activation is there.
        unsafe { (*activation).resume = Resume { code, stack_pointer, frame_pointer, value: exception as usize } };
        // SAFETY: as above.
        return unsafe { &raw const (*activation).resume };
    }
    let held = inner.exceptions.hold(inner.id, exception);
    // SAFETY: the activation is there.
    unsafe { Activation::end(activation, Raised::Exception(held)) }
}

/// The landing pad for exceptions with this tag's number among the handlers of a call.
fn handler_of(store: &Inner, handlers: &[ExceptionHandler], stack_pointer: usize, tag: u32) -> Option<u32> {
    let mut tag_ids: *const u32 = ptr::null();
    for handler in handlers {
        match handler.tag {
            ExceptionHandler::ALL => return Some(handler.landing_offset),
            ExceptionHandler::CONTEXT => {
                let vmctx = backtrace::read(store, stack_pointer.wrapping_add(handler.landing_offset as usize))?;
                let head = (vmctx as *const u8).wrapping_offset(LIBRARY_HEAD_OFFSET as isize).cast::<LibraryHead>();
                // SAFETY: the frame keeps its context there, as the compiler says.
                tag_ids = unsafe { (*head).tag_ids };
            }
            // SAFETY: the array has a number for each tag of the module.
            index if !tag_ids.is_null() && unsafe { *tag_ids.add(index as usize) } == tag => {
                return Some(handler.landing_offset);
            }
            _ => {}
        }
    }
    None
}

/// The exceptions of a store.
pub(super) struct Heap {
    /// Size of each exception, and whether it was seen by the search that is under way.
    cells: HashMap<usize, (usize, bool)>,
    /// What the host holds.
    held: RefCell<HashMap<usize, Arc<Held>>>,
    bytes: usize,
    collect_at: usize,
    max_bytes: usize,
}

impl Heap {
    pub(super) fn new(max_bytes: usize) -> Self {
        let collect_at = COLLECT_BYTES.min(max_bytes);
        Self { cells: HashMap::new(), held: RefCell::default(), bytes: 0, collect_at, max_bytes }
    }

    /// A reference for the host.
    pub(super) fn hold(&self, store: StoreId, exception: *mut context::Exception) -> Exception {
        let address = exception as usize;
        let mut all = self.held.borrow_mut();
        let held = all.entry(address).or_insert_with(|| Arc::new(Held(address)));
        Exception { store, held: Arc::clone(held) }
    }

    fn allocate(&mut self, tag: u32, len_bytes: usize) -> Option<*mut context::Exception> {
        if self.bytes + len_bytes > self.max_bytes {
            return None;
        }
        // SAFETY: the size is not zero.
        let cell: *mut context::Exception = unsafe { alloc_zeroed(layout(len_bytes)) }.cast();
        if cell.is_null() {
            return None;
        }
        // SAFETY: the cell is new, and has room for the head.
        unsafe { cell.write(context::Exception { tag, mark: 0, next: ptr::null_mut() }) };
        self.cells.insert(cell as usize, (len_bytes, false));
        self.bytes += len_bytes;
        Some(cell)
    }

    /// Frees what was not seen.
    fn sweep(&mut self) {
        let bytes = &mut self.bytes;
        self.cells.retain(|&address, (len_bytes, seen)| {
            if !core::mem::take(seen) {
                *bytes -= *len_bytes;
                // SAFETY: the cell was allocated with this layout, and nothing refers to it.
                unsafe { dealloc(address as *mut u8, layout(*len_bytes)) };
                return false;
            }
            true
        });
        self.collect_at = self.bytes.saturating_mul(2).saturating_add(COLLECT_BYTES).min(self.max_bytes);
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        for (&address, &(len_bytes, _)) in &self.cells {
            // SAFETY: the cell was allocated with this layout, and its store is gone.
            unsafe { dealloc(address as *mut u8, layout(len_bytes)) };
        }
    }
}

fn layout(len_bytes: usize) -> Layout {
    // Sizes come from lists of types, which are short.
    Layout::from_size_align(len_bytes, align_of::<context::Exception>()).unwrap_or(Layout::new::<context::Exception>())
}

/// Makes an exception with room for values; `None` when there is no memory for it.
fn make(store: &mut Inner, tag: u32, values: usize, stack: Range<usize>) -> Option<*mut context::Exception> {
    let len_bytes = size_of::<context::Exception>() + values * size_of::<[u64; 2]>();
    if store.exceptions.bytes + len_bytes > store.exceptions.collect_at {
        collect(store, stack);
    }
    store.exceptions.allocate(tag, len_bytes)
}

/// Frees the exceptions that nothing refers to.
fn collect(store: &mut Inner, stack: Range<usize>) {
    let mut search = Search { cells: core::mem::take(&mut store.exceptions.cells), pending: Vec::new() };
    search.words(stack);
    for instance in store.instances.iter() {
        // SAFETY: the store owns its instances.
        search.words(unsafe { instance.as_ref() }.context_range());
    }
    for table in store.tables.iter() {
        // SAFETY: the store owns its tables.
        search.words(unsafe { table.as_ref() }.exception_words());
    }
    for global in store.globals.iter() {
        // SAFETY: the store owns its globals, each of which has room for one word at least.
        search.words(unsafe { global.as_ref() }.words());
    }
    // What only the heap's own list holds is not held any more.
    store.exceptions.held.get_mut().retain(|_, held| Arc::strong_count(held) > 1);
    for &address in store.exceptions.held.get_mut().keys() {
        search.word(address);
    }
    while let Some(values) = search.pending.pop() {
        search.words(values);
    }
    store.exceptions.cells = search.cells;
    store.exceptions.sweep();
}

/// One search for exceptions that are referred to.
struct Search {
    cells: HashMap<usize, (usize, bool)>,
    /// Values of exceptions that were seen and are still to be searched.
    pending: Vec<Range<usize>>,
}

impl Search {
    /// Searches the words in a range of readable memory.
    fn words(&mut self, range: Range<usize>) {
        let start = range.start.next_multiple_of(size_of::<usize>());
        for address in (start..range.end & !(size_of::<usize>() - 1)).step_by(size_of::<usize>()) {
            // SAFETY: the callers name readable memory.
            self.word(unsafe { (address as *const usize).read_volatile() });
        }
    }

    fn word(&mut self, word: usize) {
        if let Some((len_bytes, seen)) = self.cells.get_mut(&word)
            && !core::mem::replace(seen, true)
        {
            self.pending.push(word + size_of::<context::Exception>()..word + *len_bytes);
        }
    }
}
