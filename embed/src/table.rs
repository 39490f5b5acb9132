//! Tables of a store.

// ---------------------------------------------------------------------------------------------------------------
// Security: what lies in a table is called by guests: only what has its element type gets in. Tables never move: the
// whole of what one may ever use is reserved.
// ---------------------------------------------------------------------------------------------------------------

use core::cell::UnsafeCell;
use core::mem::size_of;
use core::ops::Range;
use core::ptr::{self, NonNull};

use wasmelt_abi::context;
use wasmelt_abi::interface::TypeCode;

use super::context::{AsContext, AsContextMut};
use super::limits::{self, Growable, Growth};
use super::reservation::Reservation;
use super::store::{Handle, Inner};
use super::value::{self, Val};
use super::{Error, TableType, ValType};
use wasmelt_runtime::table;

/// The elements that a table may have, whatever its type says.
const MAX_ELEMENTS: u64 = 10_000_000;

/// A table of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Table(pub(super) Handle<TableEntity>);

/// A table that a store owns.
pub(super) struct TableEntity {
    /// Its address and length in the context of an instance; null where they are in `own_record`.
    in_context: *mut context::Table,
    own_record: UnsafeCell<context::Table>,
    pub(super) element: TypeCode,
    pub(super) maximum: Option<u64>,
    pub(super) index_64: bool,
    /// The length in elements that it can grow to.
    capacity: u64,
    /// The elements.
    elements: Reservation,
}

/// What a table is made from.
pub(super) struct TableSpec {
    pub(super) element: TypeCode,
    pub(super) minimum: u64,
    pub(super) maximum: Option<u64>,
    pub(super) index_64: bool,
    /// The length in elements that it may grow to, apart from the store's own limit.
    pub(super) capacity: u64,
}

impl TableEntity {
    /// Makes a table of nulls, with its record at `record` or, when that is null, in the entity. The store's limits allow
    /// it, see [`limits::check_new`].
    ///
    /// # Safety
    /// The record lies in a context that the store owns.
    pub(super) unsafe fn create(
        store: &mut Inner,
        spec: TableSpec,
        record: *mut context::Table,
    ) -> Result<NonNull<Self>, Error> {
        let TableSpec { element, minimum, maximum, index_64, capacity } = spec;
        if minimum > MAX_ELEMENTS {
            return Err(Error::system(format!("a table of {minimum} elements: {MAX_ELEMENTS} are supported")));
        }
        let capacity = capacity.min(MAX_ELEMENTS).max(minimum);
        let bytes = |elements: u64| elements.saturating_mul(size_of::<u64>() as u64);
        let (elements, capacity) = match &store.config.pool {
            Some(pool) => {
                let (slot, capacity) = pool.table(minimum, capacity)?;
                slot.only_used(bytes(minimum) as usize);
                (Reservation::of_slot(slot), capacity)
            }
            None => (Reservation::new(bytes(capacity), 0, bytes(minimum))?, capacity),
        };
        let contents = || context::Table { base: elements.start().cast(), length_elements: minimum };
        if !record.is_null() {
            // SAFETY: the record is in a context by this function's contract.
            unsafe { record.write(contents()) };
        }
        let own_record = UnsafeCell::new(contents());
        let in_context = record;
        Ok(store.tables.add(Self { in_context, own_record, element, maximum, index_64, capacity, elements }))
    }

    /// Its record, which is there as long as the store.
    pub(super) fn record_pointer(&self) -> *mut context::Table {
        if self.in_context.is_null() { self.own_record.get() } else { self.in_context }
    }

    fn record(&self) -> &context::Table {
        // SAFETY: the record is there as long as the store, and changes in `grow` and in guest code alone.
        unsafe { &*self.record_pointer() }
    }

    pub(super) fn len(&self) -> u64 {
        self.record().length_elements
    }

    /// What it means to grow it.
    pub(super) fn growth(&self, delta: u64) -> Growth {
        let current = self.len();
        let (desired, maximum) = (current.saturating_add(delta), self.maximum);
        Growth { what: Growable::Table, current, desired, maximum }
    }

    /// Grows it; the length before, or `None` and nothing changed.
    ///
    /// # Safety
    /// `value` is of the element type; nobody else uses the table meanwhile.
    pub(super) unsafe fn grow(&self, delta: u64, value: u64) -> Option<u64> {
        // SAFETY: the record is there, and only this reference to it is.
        let grown = table::grow_record(
            unsafe { &mut *self.record_pointer() },
            self.capacity.min(self.maximum.unwrap_or(u64::MAX)),
            delta,
            value,
        );
        if let Some(slot) = self.elements.slot() {
            slot.grows_to(self.len() as usize * size_of::<u64>());
        }
        grown
    }

    fn element(&self, index: u64) -> Option<*mut u64> {
        table::checked_address(self.record(), index, 1)
    }

    /// The words that may be references to exceptions.
    pub(super) fn exception_words(&self) -> Range<usize> {
        let start = self.record().base as usize;
        let exceptions = matches!(self.element.heap(), TypeCode::HEAP_EXN | TypeCode::HEAP_NOEXN);
        start..start + if exceptions { self.len() as usize * size_of::<u64>() } else { 0 }
    }
}

impl Inner {
    fn table(&self, table: Table) -> Result<&TableEntity, Error> {
        // SAFETY: the store owns the table.
        Ok(unsafe { self.follow(table.0)?.as_ref() })
    }

    pub(super) fn table_type(&self, table: Table) -> Result<TableType, Error> {
        let table = self.table(table)?;
        Ok(TableType {
            element: self.types.ref_type(table.element),
            minimum: table.len(),
            maximum: table.maximum,
            index_64: table.index_64,
        })
    }
}

impl Table {
    /// Makes a table whose elements are all `value`.
    pub fn new(mut store: impl AsContextMut, ty: TableType, value: &Val) -> Result<Self, Error> {
        let mut store = store.as_context_mut();
        let TableType { element, minimum, maximum, index_64 } = ty;
        let index_limit = if index_64 { u64::MAX } else { u64::from(u32::MAX) };
        let capacity = maximum.unwrap_or(u64::MAX).min(index_limit);
        if minimum > capacity {
            return Err(Error::usage("the least length of a table is above its greatest"));
        }
        let growth = Growth { what: Growable::Table, current: 0, desired: minimum, maximum };
        // SAFETY: the store is the caller's.
        unsafe { limits::check_new(store.contents(), 0, &[growth])? };
        let inner = store.inner_mut();
        let element = inner.types.code(&ValType::Ref(element))?;
        let [value, _] = value::lower(inner, value, element)?;
        let spec = TableSpec { element, minimum, maximum, index_64, capacity };
        // SAFETY: the record is the entity's own.
        let entity = unsafe { TableEntity::create(inner, spec, ptr::null_mut())? };
        // Elements are null from the start; writing that would only take memory.
        if value != 0 {
            // SAFETY: the table is new.
            let filled = table::fill(unsafe { &mut *entity.as_ref().record_pointer() }, 0, value, minimum);
            debug_assert!(filled.is_some());
        }
        Ok(Self(inner.handle(entity)))
    }

    /// Returns the type of the table. The minimum in the type is the length at this moment.
    pub fn ty(&self, store: impl AsContext) -> Result<TableType, Error> {
        store.as_context().inner().table_type(*self)
    }

    /// Returns the length of the table in elements.
    pub fn size(&self, store: impl AsContext) -> Result<u64, Error> {
        Ok(store.as_context().inner().table(*self)?.len())
    }

    /// Returns an element. Returns [`Error::Usage`] when the index exceeds the table.
    pub fn get(&self, store: impl AsContext, index: u64) -> Result<Val, Error> {
        let store = store.as_context();
        let table = store.inner().table(*self)?;
        let element = table.element(index).ok_or_else(|| outside(index, table.len()))?;
        let ty = table.element;
        // SAFETY: the place was just checked, and elements are of the element type.
        Ok(unsafe { value::raise(store.inner(), [element.read(), 0], ty) })
    }

    /// Sets an element. Returns [`Error::Usage`] when the index exceeds the table.
    pub fn set(&self, mut store: impl AsContextMut, index: u64, value: &Val) -> Result<(), Error> {
        let store = store.as_context_mut();
        let table = store.inner().table(*self)?;
        let [value, _] = value::lower(store.inner(), value, table.element)?;
        let element = table.element(index).ok_or_else(|| outside(index, table.len()))?;
        // SAFETY: the place was just checked.
        unsafe { element.write(value) };
        Ok(())
    }

    /// Grows the table by `delta` elements of `value` and returns the length before.
    ///
    /// # Errors
    /// [`Error::System`] where the type, the store's limiter or the system does not allow it, and what the limiter returns
    /// as its error.
    pub fn grow(&self, mut store: impl AsContextMut, delta: u64, value: &Val) -> Result<u64, Error> {
        let mut store = store.as_context_mut();
        // SAFETY: the store owns the table.
        let table = unsafe { store.inner().follow(self.0)?.as_ref() };
        let [value, _] = value::lower(store.inner(), value, table.element)?;
        // SAFETY: the value is of the element type, and the store is the caller's.
        unsafe { limits::grow_for_host(store.contents(), || table.growth(delta), |_| table.grow(delta, value)) }
    }
}

fn outside(index: u64, len: u64) -> Error {
    Error::usage(format!("element {index} of a table of {len}"))
}
