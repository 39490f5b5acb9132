//! Instances: the host's handle, and what the runtime knows about one beside its context.

// ---------------------------------------------------------------------------------------------------------------
// Security: generated code passes indices that the compiler checked; they are checked again where they select what is
// read or written.
// ---------------------------------------------------------------------------------------------------------------

use core::cell::Cell;
use core::mem::{MaybeUninit, size_of};
use core::ops::Range;
use core::ptr::NonNull;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::sync::Arc;

use wasmelt_abi::context::{FuncRef, HEAD_BYTES, LIBRARY_HEAD_OFFSET, LibraryHead};
use wasmelt_abi::interface::{ExportEntry, Kind};

use super::context::{AsContext, AsContextMut, StoreContext, StoreContextMut};
use super::few::Few;
use super::global::GlobalEntity;
use super::host_func::{HostCell, HostFunc};
use super::instantiate::Imports;
use super::memory::{MemoryEntity, SharedMemory};
use super::module::Module;
use super::store::{Handle, Inner};
use super::table::TableEntity;
use super::tag::TagEntity;
use super::typed_func::TypedFunc;
use super::wasm_ty::{WasmParams, WasmResults};
use super::{Error, Extern, Func, Global, Memory, Table, Tag, instantiate};
use wasmelt_runtime::rel::slice;

/// An instance of a module, in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instance(pub(super) Handle<InstanceData>);

/// An instance that a store owns.
pub(super) struct InstanceData {
    pub(super) module: Module,
    pub(super) context: Context,
    pub(super) type_ids: Arc<[u32]>,
    pub(super) tag_ids: Box<[u32]>,
    /// A bit for each segment, element segments first.
    pub(super) dropped: Box<[Cell<u64>]>,
    pub(super) tables: Vec<NonNull<TableEntity>>,
    pub(super) memories: Few<MemoryOf>,
    pub(super) globals: Vec<NonNull<GlobalEntity>>,
    pub(super) tags: Vec<NonNull<TagEntity>>,
    /// The functions of the host among its imports. The context refers to them: the list never changes.
    pub(super) cells: Box<[HostCell]>,
    /// Keeps the closures of those that the store does not keep.
    pub(super) closures: Vec<HostFunc>,
}

/// Writes references of functions with these numbers, the first of which, number 1, lies at an address; 0 is null. Tables of
/// thousands are filled for each instance: where the CPU can, four elements at once.
fn write_references(dest: &mut [MaybeUninit<u64>], numbers: &[u32], first: u64) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2(dest: &mut [MaybeUninit<u64>], numbers: &[u32], first: u64) {
            write_each(dest, numbers, first);
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the CPU has these instructions.
            return unsafe { with_avx2(dest, numbers, first) };
        }
    }
    write_each(dest, numbers, first);
}

/// As [`write_references`], without a branch for each.
#[inline(always)]
fn write_each(dest: &mut [MaybeUninit<u64>], numbers: &[u32], first: u64) {
    for (place, &number) in dest.iter_mut().zip(numbers) {
        let before = u64::from(number.wrapping_sub(1)) * size_of::<FuncRef>() as u64;
        place.write((first + before) & u64::from(number != 0).wrapping_neg());
    }
}

/// A memory of an instance.
pub(super) enum MemoryOf {
    Store(NonNull<MemoryEntity>),
    Shared(SharedMemory),
}

/// The bytes of a context, and some behind them: the address by which a context is known is where it ends, and nothing
/// else may begin there.
pub(super) struct Context {
    start: *mut u8,
    layout: Layout,
}

impl Context {
    const ALIGN: usize = 16;

    /// Makes a context of zeros for an instance of this module.
    pub(super) fn new(module: &Module) -> Result<Self, Error> {
        let bytes = (module.plan().context_bytes as usize).max(HEAD_BYTES + size_of::<LibraryHead>());
        let layout = Layout::from_size_align(bytes.next_multiple_of(Self::ALIGN) + Self::ALIGN, Self::ALIGN);
        let layout = layout.map_err(|_| Error::system("a context is too large"))?;
        // SAFETY: the size is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        if start.is_null() {
            return Err(Error::system(format!("no memory for a context of {bytes} bytes")));
        }
        Ok(Self { start, layout })
    }

    /// The address that it is known by: its end.
    pub(super) fn vmctx(&self) -> *mut u8 {
        self.start.wrapping_add(self.layout.size() - Self::ALIGN)
    }

    /// The address at an offset that the compiler gave.
    pub(super) fn at<T>(&self, offset: i32) -> *mut T {
        self.vmctx().wrapping_offset(offset as isize).cast()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and its store is gone.
        unsafe { dealloc(self.start, self.layout) };
    }
}

impl InstanceData {
    /// Returns the instance that a context belongs to, which generated code has passed.
    ///
    /// # Safety
    /// `vmctx` is the context of an instance that is there, and nobody else uses its store meanwhile.
    pub(super) unsafe fn of<'a>(vmctx: *mut u8) -> &'a Self {
        let head = vmctx.wrapping_offset(LIBRARY_HEAD_OFFSET as isize).cast::<LibraryHead>();
        // SAFETY: by this function's contract.
        unsafe { &*(*head).instance.cast() }
    }

    pub(super) fn context_range(&self) -> Range<usize> {
        self.context.start as usize..self.context.vmctx() as usize
    }

    pub(super) fn func_ref(&self, index: usize) -> NonNull<FuncRef> {
        let first = self.context.at::<FuncRef>(self.module.interface().func_refs_offset);
        // SAFETY: the context has a reference for each function of the interface, and lies at no null address.
        unsafe { NonNull::new_unchecked(first.wrapping_add(index)) }
    }

    pub(super) fn memory(&self, index: u32) -> Option<&MemoryEntity> {
        Some(match self.memories.get(index as usize)? {
            // SAFETY: the store owns it as well as this instance.
            MemoryOf::Store(memory) => unsafe { memory.as_ref() },
            MemoryOf::Shared(memory) => &memory.0,
        })
    }

    pub(super) fn table(&self, index: u32) -> Option<&TableEntity> {
        // SAFETY: the store owns it as well as this instance.
        self.tables.get(index as usize).map(|table| unsafe { table.as_ref() })
    }

    /// The bytes of a data segment; empty once the segment was dropped.
    pub(super) fn data_segment(&self, index: u32) -> Option<&[u8]> {
        let segment = slice(&self.module.plan().data_segments).get(index as usize)?;
        Some(if self.is_dropped(self.data_bit(index)) { &[] } else { slice(&segment.bytes) })
    }

    pub(super) fn drop_data(&self, index: u32) {
        self.set_dropped(self.data_bit(index));
    }

    pub(super) fn drop_elements(&self, index: u32) {
        self.set_dropped(index as usize);
    }

    fn data_bit(&self, index: u32) -> usize {
        self.module.interface().elements.len as usize + index as usize
    }

    fn is_dropped(&self, bit: usize) -> bool {
        self.dropped.get(bit / 64).is_some_and(|word| word.get() >> (bit % 64) & 1 != 0)
    }

    fn set_dropped(&self, bit: usize) {
        if let Some(word) = self.dropped.get(bit / 64) {
            word.set(word.get() | 1 << (bit % 64));
        }
    }

    /// Copies elements of a segment into a table; `None` where the segment has fewer, and nothing changed.
    ///
    /// # Safety
    /// `dest` has room for them.
    pub(super) unsafe fn copy_elements(&self, segment: u32, src: u32, len: u32, dest: *mut u64) -> Option<()> {
        let plan = slice(&self.module.interface().elements).get(segment as usize)?;
        let funcs = slice(&plan.funcs);
        let computed = plan.context_offset != 0;
        let total = match (self.is_dropped(segment as usize), computed) {
            (true, _) => 0,
            (false, true) => plan.len,
            (false, false) => funcs.len() as u32,
        };
        let end = src.checked_add(len).filter(|&end| end <= total)?;
        if computed {
            // SAFETY: the context has `len` elements there, and a table does not lie in it. `dest` has room by this function's
            // contract.
            unsafe {
                let elements = self.context.at::<u64>(plan.context_offset).add(src as usize);
                dest.copy_from_nonoverlapping(elements, len as usize);
            }
            return Some(());
        }
        let first = self.func_ref(0).as_ptr().expose_provenance() as u64;
        // SAFETY: by this function's contract.
        let dest = unsafe { core::slice::from_raw_parts_mut(dest.cast::<MaybeUninit<u64>>(), len as usize) };
        write_references(dest, &funcs[src as usize..end as usize], first);
        Some(())
    }

    /// What an export is.
    fn export(&self, store: &Inner, entry: &ExportEntry) -> Option<Extern> {
        let index = entry.index as usize;
        Some(match Kind::from_u32(entry.kind)? {
            Kind::Func => Extern::Func(Func(store.handle(self.func_ref(index)))),
            Kind::Table => Extern::Table(Table(store.handle(*self.tables.get(index)?))),
            Kind::Memory => match self.memories.get(index)? {
                MemoryOf::Store(memory) => Extern::Memory(Memory(store.handle(*memory))),
                MemoryOf::Shared(memory) => Extern::SharedMemory(memory.clone()),
            },
            Kind::Global => Extern::Global(Global(store.handle(*self.globals.get(index)?))),
            Kind::Tag => Extern::Tag(Tag(store.handle(*self.tags.get(index)?))),
        })
    }
}

impl Instance {
    /// Instantiates a module: connects `imports`, in the order of [`Module::imports`], applies the segments and runs
    /// the start function. [`Linker`](crate::Linker) finds imports by their names.
    ///
    /// When instantiation traps, the trap is the error. Changes that were made to imported tables and memories before
    /// the trap stay, as the specification says.
    pub fn new(mut store: impl AsContextMut, module: &Module, imports: &[Extern]) -> Result<Self, Error> {
        Self::with_imports(store.as_context_mut().contents(), module, &Imports::Externs(imports))
    }

    /// An instance in the store of which this is the address.
    pub(super) fn with_imports(store: *mut Inner, module: &Module, imports: &Imports<'_>) -> Result<Self, Error> {
        // SAFETY: the caller has the store.
        unsafe {
            let instance = instantiate::begin(store, module, imports)?.finish(store)?;
            Ok(Self((*store).handle(instance)))
        }
    }

    /// As [`Self::new`], where functions of the host that the module calls at its start may be asynchronous. See
    /// [`TypedFunc::call_async`].
    ///
    /// [`TypedFunc::call_async`]: crate::TypedFunc::call_async
    pub async fn new_async(mut store: impl AsContextMut, module: &Module, imports: &[Extern]) -> Result<Self, Error> {
        let mut store = store.as_context_mut();
        Self::with_imports_async(&mut store, module, &Imports::Externs(imports)).await
    }

    pub(super) async fn with_imports_async<T>(
        store: &mut StoreContextMut<'_, T>,
        module: &Module,
        imports: &Imports<'_>,
    ) -> Result<Self, Error> {
        let (call, handle) = {
            let begun = instantiate::begin(store.contents(), module, imports)?;
            // SAFETY: the call is there as long as the store is borrowed here.
            (unsafe { begun.call(store.contents()) }?, store.inner().handle(begun.instance))
        };
        if let Some(mut call) = call {
            core::future::poll_fn(|context| call.poll(context)).await?;
        }
        Ok(Self(handle))
    }

    fn data(self, store: &Inner) -> Option<&InstanceData> {
        // SAFETY: the store owns the instance.
        Some(unsafe { store.follow(self.0).ok()?.as_ref() })
    }

    /// Returns the export with this name, or `None`. `None` also when `store` is not the store of the instance.
    pub fn get_export(&self, store: impl AsContext, name: &str) -> Option<Extern> {
        let inner = store.as_context().inner();
        let data = self.data(inner)?;
        data.export(inner, data.module.export_entry(name)?)
    }

    /// Returns all exports with their names.
    pub fn exports<'a, T: 'a>(&self, store: impl Into<StoreContext<'a, T>>) -> impl Iterator<Item = (&'a str, Extern)> {
        self.exports_in(store.into().inner())
    }

    pub(super) fn exports_in(self, store: &Inner) -> impl Iterator<Item = (&str, Extern)> {
        let data = self.data(store);
        let entries = data.into_iter().flat_map(|data| data.module.export_entries().map(move |entry| (data, entry)));
        entries.filter_map(move |(data, (name, entry))| Some((name, data.export(store, entry)?)))
    }

    /// Returns the exported function with this name, or `None`.
    pub fn get_func(&self, store: impl AsContext, name: &str) -> Option<Func> {
        self.get_export(store, name)?.into_func()
    }

    /// Returns the exported function with this name and these types.
    ///
    /// # Errors
    /// [`Error::Usage`] when no function has this name, or its type is another one.
    pub fn get_typed_func<P: WasmParams, R: WasmResults>(
        &self,
        store: impl AsContext,
        name: &str,
    ) -> Result<TypedFunc<P, R>, Error> {
        let func = self.get_func(&store, name);
        let func = func.ok_or_else(|| Error::usage(format!("there is no exported function {name:?}")))?;
        let named = |error| match error {
            Error::Usage(message) => Error::Usage(format!("{name:?}: {message}")),
            other => other,
        };
        func.typed(store).map_err(named)
    }

    /// Returns the exported memory with this name, or `None`. One that is shared is [`Self::get_shared_memory`].
    pub fn get_memory(&self, store: impl AsContext, name: &str) -> Option<Memory> {
        self.get_export(store, name)?.into_memory()
    }

    /// Returns the exported shared memory with this name, or `None`.
    pub fn get_shared_memory(&self, store: impl AsContext, name: &str) -> Option<SharedMemory> {
        self.get_export(store, name)?.into_shared_memory()
    }

    /// Returns the exported table with this name, or `None`.
    pub fn get_table(&self, store: impl AsContext, name: &str) -> Option<Table> {
        self.get_export(store, name)?.into_table()
    }

    /// Returns the exported global with this name, or `None`.
    pub fn get_global(&self, store: impl AsContext, name: &str) -> Option<Global> {
        self.get_export(store, name)?.into_global()
    }

    /// Returns the exported tag with this name, or `None`.
    pub fn get_tag(&self, store: impl AsContext, name: &str) -> Option<Tag> {
        self.get_export(store, name)?.into_tag()
    }

    /// Returns the module of the instance, or `None` when `store` is not the store of the instance.
    pub fn module<'a, T: 'a>(&self, store: impl Into<StoreContext<'a, T>>) -> Option<&'a Module> {
        Some(&self.data(store.into().inner())?.module)
    }
}
