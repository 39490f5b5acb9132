//! Instantiation: from a module and imports to an instance whose start function has run.
//!
//! The steps in order: check all imports, make everything that the instance owns, fill its context, and call the
//! module's entry, which does the rest.

// ---------------------------------------------------------------------------------------------------------------
// Security: an import that does not have the type that the module was compiled for would break its sandbox: all are
// checked before any is connected, the address space behind memories included.
// ---------------------------------------------------------------------------------------------------------------

use core::cell::Cell;
use core::mem::align_of;
use core::ptr::{self, NonNull};

use wasmelt_abi::context::{self, FuncRef, HEAD_BYTES, LIBRARY_HEAD_OFFSET, LibraryHead, MemoryRef, VmContextHead};
use wasmelt_abi::descriptor::MemoryPlan;
use wasmelt_abi::interface::{EntityPlan, FuncPlan, ImportEntry, Kind, TypeCode};

use super::activation;
use super::few::Few;
use super::global::{GlobalEntity, value_bytes};
use super::host_func::{HostCell, HostFunc};
use super::instance::{Context, InstanceData, MemoryOf};
use super::limits;
use super::linker::Definition;
use super::memory::{MemoryEntity, SharedMemory};
use super::registry::is_subtype;
use super::store::Inner;
use super::table::{TableEntity, TableSpec};
use super::tag::TagEntity;
use super::waiting::WaitingCall;
use super::{Error, Extern, ExternType, MemoryType, Module, arch, builtins};
use wasmelt_runtime::rel::slice;

/// What an instance gets for the imports of its module, in their order.
pub(super) enum Imports<'a> {
    Externs(&'a [Extern]),
    /// Functions of the host among them have the types that the module asks for.
    Checked(&'a [Definition]),
}

impl Imports<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Externs(list) => list.len(),
            Self::Checked(list) => list.len(),
        }
    }

    fn at(&self, index: usize) -> Import<'_> {
        match self {
            Self::Externs(list) => Import::Extern(&list[index]),
            Self::Checked(list) => match &list[index] {
                Definition::Extern(item) => Import::Extern(item),
                Definition::Func(func) => Import::Func(func),
            },
        }
    }
}

enum Import<'a> {
    Extern(&'a Extern),
    Func(&'a HostFunc),
}

/// An instance that is there, but for what its own code does when it is made.
pub(super) struct Begun {
    pub(super) instance: NonNull<InstanceData>,
    /// The code, and its arguments.
    entry: Option<(*const u8, [usize; 3])>,
}

impl Begun {
    /// Lets the instance's code do its part.
    ///
    /// # Safety
    /// `store` is the store in which the instance was begun, and the caller's.
    pub(super) unsafe fn finish(self, store: *mut Inner) -> Result<NonNull<InstanceData>, Error> {
        if let Some((code, args)) = self.entry {
            // SAFETY: the entry takes the context of a complete instance, once.
            unsafe { activation::call(store, code, args)? };
        }
        Ok(self.instance)
    }

    /// As [`Self::finish`], with a call that can wait.
    ///
    /// # Safety
    /// As there, and as [`WaitingCall::new`].
    pub(super) unsafe fn call(&self, store: *mut Inner) -> Result<Option<WaitingCall>, Error> {
        // SAFETY: as in `finish`.
        self.entry.map(|(code, args)| unsafe { WaitingCall::new(store, code, args) }).transpose()
    }
}

/// Begins an instance in the store of which this is the address.
pub(super) fn begin(store: *mut Inner, module: &Module, imports: &Imports<'_>) -> Result<Begun, Error> {
    // SAFETY: the caller has the store.
    let inner = unsafe { &mut *store };
    inner.check_stops(module)?;
    let type_ids = inner.type_ids(module)?;
    let given = check_imports(inner, module, &type_ids, imports)?;
    // SAFETY: the caller has the store.
    unsafe { limits::check_new(store, 1, module.new_entities())? };
    // SAFETY: as above.
    let inner = unsafe { &mut *store };
    inner.add_module(module, &type_ids);
    inner.ensure_stack(module.program().stack_bytes)?;
    let dropped = vec![Cell::new(0); (module.plan().segment_count as usize).div_ceil(64)].into();
    let instance = InstanceData {
        module: module.clone(),
        context: Context::new(module)?,
        type_ids,
        tag_ids: Box::default(),
        dropped,
        tables: Vec::new(),
        memories: Few::default(),
        globals: Vec::new(),
        tags: Vec::new(),
        cells: Box::default(),
        closures: Vec::new(),
    };
    // The store keeps it from here on, also when something fails: others may refer to it by then.
    let mut kept = inner.instances.add(instance);
    // SAFETY: the instance is new, and only known here until its head is filled.
    let instance = unsafe { kept.as_mut() };
    make_cells(store, instance, kept, &given.funcs);
    fill_func_refs(instance, &given.funcs);
    make_tables(inner, module, instance, &given.tables)?;
    make_memories(inner, module, instance, given.memories)?;
    make_globals(inner, module, instance, &given.globals);
    make_tags(inner, module, instance, given.tags)?;
    // SAFETY: the store owns the instance.
    let instance = unsafe { kept.as_ref() };
    fill_head(inner, instance, kept);
    let is_mapped = inner.config.pool.is_some() && module.image().is_some();
    copy_bytes(instance, is_mapped);
    let vmctx = instance.context.vmctx() as usize;
    Ok(Begun { instance: kept, entry: module.program().entry.get().map(|code| (code, [vmctx, 0, 0])) })
}

/// The imports by kind.
#[derive(Default)]
struct Given {
    funcs: Vec<GivenFunc>,
    tables: Vec<NonNull<TableEntity>>,
    memories: Vec<MemoryOf>,
    globals: Vec<NonNull<GlobalEntity>>,
    tags: Vec<NonNull<TagEntity>>,
}

enum GivenFunc {
    /// A function of the store.
    Store(NonNull<FuncRef>),
    /// A function of the host that no store has.
    Host(HostFunc),
}

/// Checks that each import is given and has the type that the module asks for.
fn check_imports(store: &Inner, module: &Module, type_ids: &[u32], imports: &Imports<'_>) -> Result<Given, Error> {
    let entries = slice(&module.interface().imports);
    if let Some(missing) = module.imports().nth(imports.len()) {
        let place = format!("import {} {:?} {:?}", imports.len(), missing.module, missing.name);
        return Err(Error::Unlinkable(format!("unknown import: {place}: expected {}, found nothing", missing.ty)));
    }
    if imports.len() > entries.len() {
        return Err(Error::usage(format!("{} imports are given, and the module has {}", imports.len(), entries.len())));
    }
    let mut given = Given::default();
    for (index, entry) in entries.iter().enumerate() {
        let import = match imports.at(index) {
            Import::Extern(import) => import,
            Import::Func(func) => {
                given.funcs.push(GivenFunc::Host(func.clone()));
                continue;
            }
        };
        if let Err(reason) = take(store, module, type_ids, entry, import, &mut given)? {
            return Err(mismatch(module, index, &import.type_in(store)?, reason));
        }
    }
    Ok(given)
}

/// What to say about an import of another type than the module asks for, and why where the types do not tell.
pub(super) fn mismatch(module: &Module, index: usize, found: &ExternType, reason: &str) -> Error {
    let Some(expected) = module.imports().nth(index) else { return Error::usage("too many imports") };
    let place = format!("import {index} {:?} {:?}", expected.module, expected.name);
    let types = format!("expected {}, found {found}", expected.ty);
    Error::Unlinkable(format!("incompatible import type: {place}: {types}{reason}"))
}

/// Adds an import to those of its kind; where it does not fit, what there is to say beyond the types.
fn take(
    store: &Inner,
    module: &Module,
    type_ids: &[u32],
    entry: &ImportEntry,
    import: &Extern,
    given: &mut Given,
) -> Result<Result<(), &'static str>, Error> {
    const TYPES: &str = "";
    let (interface, index) = (module.interface(), entry.index as usize);
    let code = |code| store_code(code, type_ids);
    let fits = match (Kind::from_u32(entry.kind), import) {
        (Some(Kind::Func), Extern::Func(func)) => {
            given.funcs.push(GivenFunc::Store(store.follow(func.0)?));
            store.func(*func)?.type_id == type_ids[slice(&interface.funcs)[index].type_number as usize]
        }
        (Some(Kind::Table), Extern::Table(table)) => {
            let (table, plan) = (store.follow(table.0)?, &slice(&interface.tables)[index]);
            given.tables.push(table);
            // SAFETY: the store owns the table.
            let table = unsafe { table.as_ref() };
            let index_64 = plan.flags & EntityPlan::INDEX_64 != 0;
            code(plan.ty) == table.element && index_64 == table.index_64 && limits_fit(plan, table.len(), table.maximum)
        }
        (Some(Kind::Memory), Extern::Memory(_) | Extern::SharedMemory(_)) => {
            let memory = match import {
                Extern::Memory(memory) => MemoryOf::Store(store.follow(memory.0)?),
                Extern::SharedMemory(memory) => MemoryOf::Shared(memory.clone()),
                _ => return Ok(Err(TYPES)),
            };
            let entity = memory.entity();
            if !memory_fits(&slice(&interface.memories)[index], entity) {
                return Ok(Err(TYPES));
            }
            let plan = slice(&module.plan().memories).get(index);
            if !plan.is_some_and(|plan| entity.has_address_space_of(plan)) {
                return Ok(Err(" with less address space than the module was compiled for"));
            }
            given.memories.push(memory);
            true
        }
        (Some(Kind::Global), Extern::Global(global)) => {
            let (global, plan) = (store.follow(global.0)?, &slice(&interface.globals)[index]);
            given.globals.push(global);
            // SAFETY: the store owns the global.
            let global = unsafe { global.as_ref() };
            let mutable = plan.flags & EntityPlan::MUTABLE != 0;
            let ty = code(plan.ty);
            mutable == global.mutable && if mutable { ty == global.ty } else { is_subtype(global.ty, ty) }
        }
        (Some(Kind::Tag), Extern::Tag(tag)) => {
            let tag = store.follow(tag.0)?;
            given.tags.push(tag);
            // SAFETY: the store owns the tag.
            unsafe { tag.as_ref() }.type_id == type_ids[slice(&interface.tags)[index] as usize]
        }
        _ => false,
    };
    Ok(if fits { Ok(()) } else { Err(TYPES) })
}

/// A module's type code with the store's type numbers in it.
fn store_code(code: TypeCode, type_ids: &[u32]) -> TypeCode {
    match (code.nullability(), code.type_number()) {
        (Some(nullable), Some(number)) => TypeCode::typed_reference(nullable, type_ids[number as usize]),
        _ => code,
    }
}

fn limits_fit(plan: &EntityPlan, len: u64, maximum: Option<u64>) -> bool {
    let bounded = plan.flags & EntityPlan::HAS_MAXIMUM != 0;
    len >= plan.minimum && (!bounded || maximum.is_some_and(|maximum| maximum <= plan.maximum))
}

fn memory_fits(plan: &EntityPlan, memory: &MemoryEntity) -> bool {
    let ty = memory.ty();
    let flag = |flag: u16| plan.flags & flag != 0;
    flag(EntityPlan::INDEX_64) == ty.index_64
        && flag(EntityPlan::SHARED) == ty.shared
        && plan.page_size_log2 == ty.page_size_log2.into()
        && limits_fit(plan, ty.minimum, ty.maximum)
}

impl MemoryOf {
    fn entity(&self) -> &MemoryEntity {
        match self {
            // SAFETY: only memories of the store at hand are named.
            Self::Store(memory) => unsafe { memory.as_ref() },
            Self::Shared(memory) => &memory.0,
        }
    }
}

/// Makes a cell for each import that is a function of the host: the cell says that this instance calls.
fn make_cells(store: *mut Inner, instance: &mut InstanceData, kept: NonNull<InstanceData>, imported: &[GivenFunc]) {
    let plans = slice(&instance.module.interface().funcs);
    let cell = |(import, plan): (&GivenFunc, &FuncPlan)| match import {
        GivenFunc::Host(func) => Some(func.cell(store, instance.type_ids[plan.type_number as usize], Some(kept))),
        // SAFETY: the store owns the function, and one of the host has a cell.
        GivenFunc::Store(given) => unsafe {
            let &FuncRef { owner, vmctx, .. } = given.as_ref();
            (owner == FuncRef::HOST).then(|| (*vmctx.cast::<HostCell>()).imported_by(kept))
        },
    };
    let cells: Box<[HostCell]> = imported.iter().zip(plans).filter_map(cell).collect();
    let closures = imported.iter().filter_map(|import| match import {
        GivenFunc::Host(func) => Some(func.clone()),
        GivenFunc::Store(_) => None,
    });
    instance.closures = closures.collect();
    instance.cells = cells;
}

fn fill_func_refs(instance: &InstanceData, imported: &[GivenFunc]) {
    let interface = instance.module.interface();
    let text = instance.module.text().start as *const u8;
    let mut cells = instance.cells.iter();
    for (index, plan) in slice(&interface.funcs).iter().enumerate() {
        let type_id = instance.type_ids[plan.type_number as usize];
        let guest = match imported.get(index) {
            // SAFETY: the store owns it.
            Some(GivenFunc::Store(given)) => Some(unsafe { given.read() }).filter(|given| given.owner != FuncRef::HOST),
            Some(GivenFunc::Host(_)) => None,
            None => {
                let code = text.wrapping_add(plan.code_offset as usize);
                Some(FuncRef { code, vmctx: instance.context.vmctx(), type_id, owner: FuncRef::GUEST })
            }
        };
        let reference = guest.unwrap_or_else(|| {
            let vmctx = cells.next().map_or(ptr::null(), ptr::from_ref).cast_mut().cast();
            // A function of the host is called through the code of whoever imports it.
            let code = slice(&interface.types)[plan.type_number as usize].to_host.get().unwrap_or(ptr::null());
            FuncRef { code, vmctx, type_id, owner: FuncRef::HOST }
        });
        // SAFETY: the context has room for it there.
        unsafe { instance.func_ref(index).write(reference) };
    }
}

fn make_tables(
    store: &mut Inner,
    module: &Module,
    instance: &mut InstanceData,
    imported: &[NonNull<TableEntity>],
) -> Result<(), Error> {
    let entities = slice(&module.interface().tables);
    for (index, (plan, entity)) in slice(&module.plan().tables).iter().zip(entities).enumerate() {
        let table = match imported.get(index) {
            Some(&table) => {
                // SAFETY: the context holds the address of an imported table's record, and the store owns the table.
                unsafe {
                    instance
                        .context
                        .at::<*mut context::Table>(plan.context_offset)
                        .write(table.as_ref().record_pointer())
                };
                table
            }
            None => {
                let spec = TableSpec {
                    element: store_code(entity.ty, &instance.type_ids),
                    minimum: plan.initial_elements,
                    maximum: (entity.flags & EntityPlan::HAS_MAXIMUM != 0).then_some(entity.maximum),
                    index_64: entity.flags & EntityPlan::INDEX_64 != 0,
                    capacity: plan.maximum_elements,
                };
                // SAFETY: the context holds the table's record.
                unsafe { TableEntity::create(store, spec, instance.context.at(plan.context_offset))? }
            }
        };
        instance.tables.push(table);
    }
    Ok(())
}

fn make_memories(
    store: &mut Inner,
    module: &Module,
    instance: &mut InstanceData,
    imported: Vec<MemoryOf>,
) -> Result<(), Error> {
    let entities = slice(&module.interface().memories);
    let mut imported = imported.into_iter();
    for (index, (plan, entity)) in slice(&module.plan().memories).iter().zip(entities).enumerate() {
        let memory = match imported.next() {
            Some(memory) => memory,
            None => {
                let ty = MemoryType {
                    minimum: entity.minimum,
                    maximum: (entity.flags & EntityPlan::HAS_MAXIMUM != 0).then_some(entity.maximum),
                    index_64: entity.flags & EntityPlan::INDEX_64 != 0,
                    shared: entity.flags & EntityPlan::SHARED != 0,
                    page_size_log2: entity.page_size_log2 as u8,
                };
                let pointed = plan.flags & MemoryPlan::POINTED != 0;
                // One that is shared and not pointed to is one that nobody else can reach.
                if ty.shared && pointed {
                    MemoryOf::Shared(SharedMemory::create(ty, plan)?)
                } else {
                    let record = if pointed { ptr::null_mut() } else { instance.context.at(plan.context_offset) };
                    let image = module.image().filter(|_| index == 0 && store.config.pool.is_some()).cloned();
                    let image = image.as_ref();
                    // SAFETY: the context holds the memory's record, unless it is pointed to.
                    MemoryOf::Store(unsafe { MemoryEntity::create(store, ty, plan, image, record)? })
                }
            }
        };
        if let MemoryOf::Shared(memory) = &memory {
            store.share(memory);
        }
        if plan.flags & MemoryPlan::POINTED != 0 {
            let entity = memory.entity();
            let reference = MemoryRef { base: entity.base(), record: entity.record() };
            // SAFETY: the context holds a reference to the record.
            unsafe { instance.context.at::<MemoryRef>(plan.context_offset).write(reference) };
        }
        instance.memories.push(memory);
    }
    Ok(())
}

fn make_globals(store: &mut Inner, module: &Module, instance: &mut InstanceData, imported: &[NonNull<GlobalEntity>]) {
    for (index, plan) in slice(&module.interface().globals).iter().enumerate() {
        let place = instance.context.at::<u8>(plan.context_offset);
        let ty = store_code(plan.ty, &instance.type_ids);
        let mutable = plan.flags & EntityPlan::MUTABLE != 0;
        let global = match imported.get(index) {
            Some(&global) => {
                // SAFETY: the store owns the global; the context has room for its value or its address.
                unsafe {
                    let entity = global.as_ref();
                    match mutable {
                        true => place.cast::<*mut u8>().write(entity.value()),
                        false => ptr::copy_nonoverlapping(entity.value(), place, value_bytes(ty)),
                    }
                }
                global
            }
            None => store.globals.add(GlobalEntity::in_context(place, ty, mutable)),
        };
        instance.globals.push(global);
    }
}

fn make_tags(
    store: &mut Inner,
    module: &Module,
    instance: &mut InstanceData,
    imported: Vec<NonNull<TagEntity>>,
) -> Result<(), Error> {
    let own = slice(&module.interface().tags).iter().skip(imported.len());
    instance.tags = imported;
    for &type_number in own {
        instance.tags.push(TagEntity::create(store, instance.type_ids[type_number as usize])?);
    }
    // SAFETY: the store owns the tags.
    instance.tag_ids = instance.tags.iter().map(|tag| unsafe { tag.as_ref() }.number).collect();
    Ok(())
}

/// Fills the head; `kept` is the address of the instance for the rest of its life.
fn fill_head(store: &Inner, instance: &InstanceData, kept: NonNull<InstanceData>) {
    let head = LibraryHead {
        tag_ids: instance.tag_ids.as_ptr(),
        type_ids: instance.type_ids.as_ptr(),
        builtins: builtins::addresses(),
        instance: kept.as_ptr().cast(),
        store: store.stop.state(),
        raise: arch::raise as *const u8,
        pause: arch::pause as *const u8,
    };
    let dropped =
        if instance.dropped.is_empty() { ptr::null_mut() } else { instance.dropped.as_ptr().cast_mut().cast() };
    let vm_head = instance.context.at::<VmContextHead>(-(HEAD_BYTES as i32));
    // SAFETY: both heads lie at the end of the context. Memory 0 was written before, where there is one.
    unsafe {
        instance.context.at::<LibraryHead>(LIBRARY_HEAD_OFFSET).write(head);
        (*vm_head).dropped_segments = dropped;
        (*vm_head).program = instance.module.program();
        if (*vm_head).memory0.base.is_null() {
            (*vm_head).memory0.base = ptr::without_provenance_mut(align_of::<u128>());
        }
    }
}

/// Places the bytes that the instance starts with: the compiler has checked them against context and memory 0. Those of
/// memory 0 are there already where they are mapped.
fn copy_bytes(instance: &InstanceData, is_mapped: bool) {
    let memory0 = instance.memory(0).map_or(ptr::null_mut(), |memory| memory.base());
    let chunks = slice(&instance.module.plan().copies).iter();
    for chunk in chunks.filter(|chunk| chunk.dest_offset < 0 || !is_mapped) {
        let base = if chunk.dest_offset < 0 { instance.context.vmctx() } else { memory0 };
        let bytes = slice(&chunk.bytes);
        // SAFETY: the place is in the context, or in the memory, which the instance owns.
        unsafe {
            base.wrapping_offset(chunk.dest_offset as isize).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }
}
