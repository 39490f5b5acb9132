//! Exceptions of a store's guests: making them, finding their handlers across instances, and freeing those that
//! nothing refers to any more.
//!
//! Handlers are found (`guest::handlers`) and exceptions marked (`guest::marking`) as in executables. The heap differs:
//! each exception is an allocation of its own, of the size that its tag says. References to exceptions may lie in the
//! contexts, tables and globals of all instances, and in what the host holds.

// ---------------------------------------------------------------------------------------------------------------
// Security: a word is an exception only where it is the address of one that the heap has made and not freed. All that
// can hold a reference is named in `collect`.
// ---------------------------------------------------------------------------------------------------------------

use core::cell::RefCell;
use core::mem::size_of;
use core::ptr::{self, NonNull};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashMap;
use std::sync::Arc;

use wasmelt_abi::context;

use super::activation::{Activation, Raised, current_store};
use super::arch::Resume;
use super::context::{AsContext, AsContextMut};
use super::store::{Inner, StoreId};
use super::tag::TagEntity;
use super::value::{self, Val};
use super::{Error, Tag};
use wasmelt_runtime::guest::handlers::{self, Landing};
use wasmelt_runtime::guest::marking::{Cells, Marking, mark};
use wasmelt_runtime::guest::stack::Frames;

/// The heap is searched for garbage when it has grown by this much, and by as much as was alive the last time.
const COLLECT_BYTES: usize = 1 << 20;

/// An exception that the host holds. The exception lives as long as one of the clones.
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
    /// Makes an exception. A host function throws it by returning [`Error::Exception`].
    pub fn new(mut store: impl AsContextMut, tag: Tag, values: &[Val]) -> Result<Self, Error> {
        let mut store = store.as_context_mut();
        let inner = store.inner_mut();
        let tag = inner.follow(tag.0)?;
        // SAFETY: the store owns the tag.
        let (number, signature) =
            unsafe { (tag.as_ref().number, inner.types.entry(tag.as_ref().type_id).signature.clone()) };
        let values = value::lower_all(inner, values, &signature.params)?;
        let Some(exception) = make(inner, number, values.len()) else {
            return Err(Error::system(OUT_OF_MEMORY));
        };
        // SAFETY: the exception was made with room for these values.
        unsafe { values_of(exception).copy_from_nonoverlapping(values.as_ptr(), values.len()) };
        Ok(inner.exceptions.hold(inner.id, exception))
    }

    /// Returns the tag of the exception.
    pub fn tag(&self, store: impl AsContext) -> Result<Tag, Error> {
        let inner = store.as_context().inner();
        let tag = inner.tag(self.pointer(inner)?);
        Ok(Tag(inner.handle(tag)))
    }

    /// Returns the values of the exception.
    pub fn values(&self, store: impl AsContext) -> Result<Vec<Val>, Error> {
        let inner = store.as_context().inner();
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

    /// Where the part of the guest's stack begins that is in use while the host runs.
    fn used_stack(&self) -> usize {
        // SAFETY: an activation that the store names is there.
        let start = unsafe { self.activation.as_ref() }.map(|activation| activation.guest_stack);
        start.unwrap_or(self.stack().end)
    }
}

/// What [`allocate`] returns: the exception, or where to go on instead.
#[repr(C)]
pub(super) struct Allocated {
    exception: *mut context::Exception,
    instead: *const Resume,
}

/// The builtin `exception_new`.
///
/// # Safety
/// Called for generated code with its context and the number of a tag, on the guest's stack.
pub(super) unsafe extern "C" fn allocate(_vmctx: *mut u8, tag: u32) -> Allocated {
    // SAFETY: by this function's contract; nobody else uses the store meanwhile.
    unsafe {
        let store = &mut *current_store();
        let values = store.types.entry(store.tags.at(tag as usize).as_ref().type_id).signature.params.len();
        match make(store, tag, values) {
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
    // SAFETY: the frames are those of the code that is being executed.
    if let Some(landing) = unsafe { handlers::find(inner, Frames::new(inner, frame), tag) } {
        let Landing { code, stack_pointer, frame_pointer } = landing;
        // SAFETY: the activation is there.
        unsafe { (*activation).resume = Resume { code, stack_pointer, frame_pointer, value: exception as usize } };
        // SAFETY: as above.
        return unsafe { &raw const (*activation).resume };
    }
    let held = inner.exceptions.hold(inner.id, exception);
    // SAFETY: the activation is there.
    unsafe { Activation::end(activation, Raised::Exception(held)) }
}

/// The exceptions of a store.
pub(super) struct Heap {
    /// Size of each exception, by its address.
    cells: Lengths,
    /// What the host holds.
    held: RefCell<HashMap<usize, Arc<Held>>>,
    bytes: usize,
    collect_at: usize,
    max_bytes: usize,
}

impl Heap {
    pub(super) fn new(max_bytes: usize) -> Self {
        let collect_at = COLLECT_BYTES.min(max_bytes);
        Self { cells: Lengths::default(), held: RefCell::default(), bytes: 0, collect_at, max_bytes }
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
        unsafe { cell.write(context::Exception { tag, mark: mark::UNSEEN, next: ptr::null_mut() }) };
        self.cells.0.insert(cell as usize, len_bytes);
        self.bytes += len_bytes;
        Some(cell)
    }

    /// Frees what was not seen.
    fn sweep(&mut self) {
        let bytes = &mut self.bytes;
        self.cells.0.retain(|&address, len_bytes| {
            // SAFETY: all cells are exceptions.
            let exception = unsafe { &mut *(address as *mut context::Exception) };
            if core::mem::replace(&mut exception.mark, mark::UNSEEN) == mark::UNSEEN {
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
        for (&address, &len_bytes) in &self.cells.0 {
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
fn make(store: &mut Inner, tag: u32, values: usize) -> Option<*mut context::Exception> {
    let len_bytes = size_of::<context::Exception>() + values * size_of::<[u64; 2]>();
    if store.exceptions.bytes + len_bytes > store.exceptions.collect_at {
        collect(store);
    }
    store.exceptions.allocate(tag, len_bytes)
}

/// Frees the exceptions that nothing refers to.
fn collect(store: &mut Inner) {
    let mut marking = Marking::new(core::mem::take(&mut store.exceptions.cells));
    // SAFETY: the guest's stack can be read, and so can what the store owns: contexts of its instances, its tables, its
    // globals, each of which has room for one word at least.
    unsafe {
        marking.stack(store.stack(), store.used_stack());
        for instance in store.instances.iter() {
            marking.words(instance.as_ref().context_range());
        }
        for table in store.tables.iter() {
            marking.words(table.as_ref().exception_words());
        }
        for global in store.globals.iter() {
            marking.words(global.as_ref().words());
        }
    }
    // What only the heap's own list holds is not held any more.
    store.exceptions.held.get_mut().retain(|_, held| Arc::strong_count(held) > 1);
    for &address in store.exceptions.held.get_mut().keys() {
        marking.word(address);
    }
    store.exceptions.cells = marking.finish();
    store.exceptions.sweep();
}

/// Lengths of exceptions in bytes, by their addresses.
#[derive(Default)]
struct Lengths(HashMap<usize, usize>);

impl Cells for Lengths {
    fn len_bytes(&self, address: usize) -> Option<usize> {
        self.0.get(&address).copied()
    }
}
