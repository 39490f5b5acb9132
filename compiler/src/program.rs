//! Modules to a [`Program`]: the graph of module instances with everything resolved that can be known before any code
//! is generated: imports, which functions are reachable, which globals and tables never change, where the rest lies in
//! the context, and the initial bytes of context and memory.
//!
//! A program has one instance today; symbols, contexts and code are already named by instance. A library is planned like
//! a program whose instance others can reach into: what it imports and exports keeps its place in the context.

mod interface;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use cranelift_entity::{EntityRef as _, PrimaryMap, SecondaryMap, entity_impl};
use wasmelt_abi::context::{FuncRef, HEAD_BYTES, LibraryHead, MEMORY0_LENGTH_OFFSET};
use wasmelt_abi::descriptor::{MemoryPlan as MemoryFlags, TablePlan as TableFlags};
use wasmelt_abi::host::{HostFunction, THREAD_SPAWN, THREAD_START, WASI_P1, host_functions};
use wasmelt_abi::trap::Trap;
use wasmparser::ValType;

use crate::emit::image::{Elements, Invoke, MemoryPlan, Record, TablePlan};
use crate::error::{Error, Result};
use crate::module::{
    ConstExpr, ConstValue, DataIndex, DefinedFuncIndex, ElemIndex, ElementMode, Entity, FuncIndex, FuncType,
    GlobalIndex, MemoryIndex, Module, TableIndex,
};
use crate::options::{BoundsChecks, Options, Shape, UnknownImports};
use crate::value_type;

pub use interface::{Trampolines, types_by_number};

/// A module instance of the program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceIndex(u32);
entity_impl!(InstanceIndex, "instance");

/// Program-wide number of a function type: equal types have equal numbers.
pub type TypeId = u32;

/// Address space that the guard plan reserves for a 32-bit memory: all that an index alone can reach.
pub const GUARD_PLAN_RESERVE_BYTES: u64 = 1 << 32;

/// Inaccessible address space behind it. An access whose constant offset and size stay below this needs no check.
pub const GUARD_PLAN_GUARD_BYTES: u64 = 1 << 31;

/// Limit of a 64-bit memory's length where its type names none below: memories never move, so all that one may ever
/// use is reserved from the start.
pub const MAX_MEMORY64_BYTES: u64 = 1 << 38;

/// Limit of a table's length, that of the JavaScript API (js-api/index.html#limits).
pub const MAX_TABLE_ELEMENTS: u64 = 10_000_000;

/// Upper limit of a context's size: what offsets into it can express.
const MAX_CONTEXT_BYTES: u32 = 1 << 30;

/// The program: instances and what they share.
#[derive(Debug)]
pub struct Program<'data> {
    /// Instances in order of instantiation.
    pub instances: PrimaryMap<InstanceIndex, Instance<'data>>,
    /// What the executable does after instantiation.
    pub entry: Entry,
}

/// What an executable does once its instances exist.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The instance it happens in.
    pub instance: InstanceIndex,
    /// Functions without parameters and results to call in order: `_initialize`, or `_start`.
    pub calls: Vec<FuncIndex>,
    /// The export that `--invoke` names.
    pub invoke: Option<(FuncIndex, Invoke)>,
    /// The export that threads run, where the program can start any.
    pub thread_start: Option<FuncIndex>,
}

/// One instance of a module.
#[derive(Debug)]
pub struct Instance<'data> {
    /// What it is an instance of.
    pub module: Module<'data>,
    /// How code finds its context.
    pub shape: Shape,
    /// What others can reach; nothing in the `Single` shape.
    visible: Visible,
    /// What each function of the index space is.
    pub callees: PrimaryMap<FuncIndex, Callee>,
    /// Number of the type of each function.
    pub type_ids: PrimaryMap<FuncIndex, TypeId>,
    /// Where each global lives.
    pub globals: PrimaryMap<GlobalIndex, GlobalPlace>,
    /// Where globals that others can import lie in the context, also those that code takes as constants.
    pub global_homes: BTreeMap<GlobalIndex, i32>,
    /// Where each table lives.
    pub tables: PrimaryMap<TableIndex, TablePlace>,
    /// Layout of each memory.
    pub memories: PrimaryMap<MemoryIndex, MemoryPlan>,
    /// Layouts of tables that can change.
    pub table_plans: Vec<TablePlan>,
    /// Tables that never change.
    pub const_tables: Vec<Vec<Option<FuncIndex>>>,
    /// Functions whose reference is taken, in order of their records.
    pub records: Vec<FuncIndex>,
    /// Record of a function.
    pub record_of: HashMap<FuncIndex, u32>,
    /// Defined functions that can be reached, in order.
    pub live: Vec<DefinedFuncIndex>,
    /// Place of each live function in `live`.
    pub place_of: SecondaryMap<DefinedFuncIndex, Option<u32>>,
    /// Imported functions whose reference is taken: each gets a function of its own that calls the import.
    pub thunks: Vec<FuncIndex>,
    /// Element segments for `table.init` at run time; empty where unused.
    pub element_segments: PrimaryMap<ElemIndex, Elements>,
    /// Offset of the first [`FuncRef`] from `vmctx`, in the `Many` shape: one for each of `records`.
    pub func_refs_offset: i32,
    /// Data segments for `memory.init` at run time; empty where unused.
    pub data_segments: PrimaryMap<DataIndex, &'data [u8]>,
    /// Size of the context in bytes.
    pub context_bytes: u32,
    /// Initial bytes by offset from `vmctx`, see [`crate::emit::image::Image::initial`].
    pub initial: Vec<(i64, Cow<'data, [u8]>)>,
    /// What is left to do at instantiation, in order.
    pub actions: Vec<Action>,
}

/// What other instances and the host can reach of an instance, by index: what is exported, in the `Many` shape.
#[derive(Debug, Default)]
struct Visible {
    funcs: BTreeSet<FuncIndex>,
    tables: BTreeSet<TableIndex>,
    globals: BTreeSet<GlobalIndex>,
}

impl Visible {
    fn of(module: &Module<'_>, shape: Shape) -> Self {
        let mut visible = Self::default();
        let exports = module.exports.iter().filter(|_| shape == Shape::Many);
        for export in exports {
            match export.entity {
                Entity::Func(func) => _ = visible.funcs.insert(func),
                Entity::Table(table) => _ = visible.tables.insert(table),
                Entity::Global(global) => _ = visible.globals.insert(global),
                Entity::Memory(_) | Entity::Tag(_) => {}
            }
        }
        visible
    }
}

/// What a function of the index space is.
#[derive(Clone, Copy, Debug)]
pub enum Callee {
    /// A function of this instance.
    Defined(DefinedFuncIndex),
    /// A function of another instance or of the host: the [`FuncRef`] with the import's index. In the `Many` shape.
    Imported(u32),
    /// A function of the runtime.
    Host(&'static HostFunction),
    /// An import that nothing provides: a call traps.
    Missing,
}

/// Where a global lives.
#[derive(Clone, Copy, Debug)]
pub enum GlobalPlace {
    /// Nowhere: its value never changes.
    Const(ConstValue),
    /// In the context, at this offset from `vmctx`.
    Context(i32),
    /// In another context, whose address is at this offset from `vmctx`.
    Imported(i32),
}

/// Where a table lives.
#[derive(Clone, Copy, Debug)]
pub enum TablePlace {
    /// No code that can be reached uses it.
    Unused,
    /// It never changes: read-only data, by index into [`Instance::const_tables`].
    Const(u32),
    /// In memory of its own, by index into [`Instance::table_plans`].
    Dynamic(u32),
}

/// A step of instantiation that needs code.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "fields are the operands of the operator that each step stands for")]
pub enum Action {
    /// Write a value into the context: a global's, or an element's of a segment.
    SetContext { region: ContextRegion, context_offset: i32, value: ConstExpr },
    /// Fill a whole table with a reference.
    FillTable { table: TableIndex, value: ConstExpr, len: u64 },
    /// Write an element segment into a table that can change.
    InitTable { table: TableIndex, segment: ElemIndex, offset: ConstExpr, len: u32, drop: bool },
    /// Write a data segment into a memory.
    InitMemory { memory: MemoryIndex, segment: DataIndex, offset: ConstExpr, len: u32, drop: bool },
    /// Instantiation traps here.
    Trap(Trap),
    /// Call the start function.
    CallStart(FuncIndex),
}

/// What a value in the context is for.
#[derive(Clone, Copy, Debug)]
pub enum ContextRegion {
    /// A global.
    Global(GlobalIndex),
    /// An element of a segment.
    Element,
}

impl<'data> Program<'data> {
    /// A library of one module, whose imports are met when it is instantiated.
    pub fn library(module: Module<'data>, options: &Options) -> Result<Self> {
        let instance = Instance::new(module, options, Shape::Many)?;
        let entry = Entry { instance: InstanceIndex::from_u32(0), calls: Vec::new(), invoke: None, thread_start: None };
        Self::plan(instance, entry, options)
    }

    /// A program of one module, whose imports are met by the runtime.
    pub fn single(module: Module<'data>, options: &Options) -> Result<Self> {
        let instance = Instance::new(module, options, Shape::Single)?;
        let entry = Entry::find(&instance, options)?;
        Self::plan(instance, entry, options)
    }

    fn plan(mut instance: Instance<'data>, entry: Entry, options: &Options) -> Result<Self> {
        instance.find_live(&entry);
        instance.place_globals()?;
        instance.place_memories(options)?;
        instance.place_tables()?;
        instance.place_data()?;
        instance.collect_segments();
        if let Some(start) = instance.module.start {
            instance.actions.push(Action::CallStart(start));
        }
        instance.place_func_refs()?;
        instance.context_bytes = instance.context_bytes.next_multiple_of(16);
        instance.initial.sort_by_key(|(offset, _)| *offset);
        let mut instances = PrimaryMap::new();
        instances.push(instance);
        Ok(Self { instances, entry })
    }

    /// The one instance of a program of one module.
    pub fn main(&self) -> &Instance<'data> {
        &self.instances[self.entry.instance]
    }

    /// Runtime functions that must run before the entry, by symbol.
    pub fn hooks(&self, options: &Options) -> Vec<&'static str> {
        let mut hooks = Vec::new();
        if self.instances.values().any(|i| i.memories.len() > 1 || i.memories.values().any(MemoryPlan::is_pointed)) {
            hooks.push(wasmelt_abi::symbols::HOOK_MEMORIES);
        }
        if self.instances.values().any(|i| !i.table_plans.is_empty()) {
            hooks.push(wasmelt_abi::symbols::HOOK_TABLES);
        }
        let uses_descriptors = self.instances.values().any(|i| {
            i.callees.values().any(
                |c| matches!(c, Callee::Host(h) if h.name.starts_with("fd_") || h.name.starts_with("path_") || h.name == "poll_oneoff"),
            )
        });
        if uses_descriptors && !options.policy.dirs.is_empty() {
            hooks.push(wasmelt_abi::symbols::HOOK_PREOPENS);
        }
        if self.entry.invoke.is_some() {
            hooks.push(wasmelt_abi::symbols::HOOK_INVOKE);
        }
        hooks
    }
}

impl Entry {
    /// Chooses what runs: the export of `--invoke`, or `_start`.
    fn find(instance: &Instance<'_>, options: &Options) -> Result<Self> {
        let module = &instance.module;
        let command = FuncType::default();
        let nullary = |name: &str| match module.export(name) {
            Some(Entity::Func(f)) if *module.func_type(f) == command => Ok(Some(f)),
            Some(Entity::Func(f)) => Err(Error::input(format!(
                "export `{name}` must take and return nothing, but its type is {}",
                module.func_type(f)
            ))),
            _ => Ok(None),
        };
        let main = InstanceIndex::from_u32(0);
        let thread_start = if instance.spawns_threads() { Some(find_thread_start(module)?) } else { None };
        let Some(name) = &options.invoke else {
            if let Some(start) = nullary("_start")? {
                return Ok(Self { instance: main, calls: vec![start], invoke: None, thread_start });
            }
            return Err(Error::input("the module exports no function `_start`, so there is nothing to run")
                .hint(format!("`--invoke NAME` calls another export; {}", list_exports(module))));
        };
        let Some(Entity::Func(func)) = module.export(name) else {
            return Err(Error::input(format!("the module exports no function `{name}`")).hint(list_exports(module)));
        };
        let ty = module.func_type(func);
        let invoke = Invoke {
            name: name.clone(),
            params: ty.params.iter().map(|&t| value_type(t)).collect::<Result<_>>()?,
            results: ty.results.iter().map(|&t| value_type(t)).collect::<Result<_>>()?,
        };
        let calls = nullary("_initialize")?.into_iter().filter(|&f| f != func).collect();
        Ok(Self { instance: main, calls, invoke: Some((func, invoke)), thread_start })
    }
}

/// The export that threads run, which a module that starts threads must have.
fn find_thread_start(module: &Module<'_>) -> Result<FuncIndex> {
    let wanted = FuncType { params: [ValType::I32, ValType::I32].into(), results: Box::default() };
    match module.export(THREAD_START) {
        Some(Entity::Func(func)) if *module.func_type(func) == wanted => Ok(func),
        Some(Entity::Func(func)) => Err(Error::input(format!(
            "export `{THREAD_START}` must be of type {wanted}, but its type is {}",
            module.func_type(func)
        ))),
        _ => Err(Error::input(format!(
            "the module imports `{}` from module `{}`, but exports no function `{THREAD_START}` for threads to run",
            THREAD_SPAWN.name, THREAD_SPAWN.module
        ))),
    }
}

fn list_exports(module: &Module<'_>) -> String {
    const MOST: usize = 12;
    let funcs: Vec<_> = module
        .exports
        .iter()
        .filter_map(|e| match e.entity {
            Entity::Func(f) => Some(format!("`{}` {}", e.name, module.func_type(f))),
            _ => None,
        })
        .collect();
    match funcs.len() {
        0 => "it exports no functions at all".to_owned(),
        n if n > MOST => format!("it exports {} and {} more", funcs[..MOST].join(", "), n - MOST),
        _ => format!("it exports {}", funcs.join(", ")),
    }
}

impl<'data> Instance<'data> {
    fn new(module: Module<'data>, options: &Options, shape: Shape) -> Result<Self> {
        let type_ids = module.funcs.values().map(|f| module.canonical_types[f.ty]).collect();
        let callees = match shape {
            Shape::Single => resolve_imports(&module, options)?,
            Shape::Many => {
                let imported = (0..module.imported_funcs as u32).map(Callee::Imported);
                imported.chain(module.bodies.keys().map(Callee::Defined)).collect()
            }
        };
        let head_bytes = match shape {
            Shape::Single => HEAD_BYTES,
            Shape::Many => HEAD_BYTES + size_of::<LibraryHead>(),
        };
        let visible = Visible::of(&module, shape);
        // In libraries each import has a record from the start, of its own index.
        let imports = (0..module.imported_funcs as u32).filter(|_| shape == Shape::Many);
        let records: Vec<_> = imports.map(FuncIndex::from_u32).collect();
        Ok(Self {
            globals: module.globals.keys().map(|_| GlobalPlace::Const(ConstValue::Null)).collect(),
            tables: module.tables.keys().map(|_| TablePlace::Unused).collect(),
            global_homes: BTreeMap::new(),
            element_segments: module.elements.keys().map(|_| Elements::Records(Vec::new())).collect(),
            func_refs_offset: 0,
            data_segments: module.data.keys().map(|_| &[][..]).collect(),
            module,
            shape,
            visible,
            callees,
            type_ids,
            memories: PrimaryMap::new(),
            table_plans: Vec::new(),
            const_tables: Vec::new(),
            record_of: records.iter().map(|&func| (func, func.as_u32())).collect(),
            records,
            live: Vec::new(),
            place_of: SecondaryMap::new(),
            thunks: Vec::new(),
            context_bytes: head_bytes as u32,
            initial: Vec::new(),
            actions: Vec::new(),
        })
    }

    /// Whether this instance can start threads, each of which runs in a new instance of the same module.
    pub fn spawns_threads(&self) -> bool {
        self.callees.values().any(|callee| matches!(callee, Callee::Host(host) if std::ptr::eq(*host, &THREAD_SPAWN)))
    }

    /// Whether any memory exists whose accesses rely on inaccessible pages.
    pub fn memory(&self, index: MemoryIndex) -> &MemoryPlan {
        &self.memories[index]
    }

    /// Bytes that the payload of the largest exception takes: 16 for each value.
    pub fn exception_payload_bytes(&self) -> u32 {
        self.module.tags.values().map(|&ty| 16 * self.module.types[ty].params.len() as u32).max().unwrap_or(0)
    }

    /// The record of a function for the image.
    pub fn image_record(&self, func: FuncIndex) -> Result<Record> {
        let function = match self.module.defined_func(func) {
            Some(defined) => self.place_of[defined],
            None => self.thunks.iter().position(|&t| t == func).map(|i| (self.live.len() + i) as u32),
        };
        let function = function.ok_or_else(|| {
            Error::internal(format!("{} is referred to but was dropped", self.module.describe_func(func)))
        })?;
        Ok(Record { function, type_id: self.type_ids[func] })
    }

    /// Takes note that a function's reference is taken.
    fn refer(&mut self, func: FuncIndex) {
        if self.module.defined_func(func).is_none() && !self.thunks.contains(&func) {
            self.thunks.push(func);
        }
    }

    fn live_facts(&self) -> impl Iterator<Item = &crate::module::BodyFacts> {
        self.live.iter().map(|&f| &self.module.bodies[f].facts)
    }

    /// Finds the functions that can be reached from what the program calls or others can reach: through calls,
    /// references that are taken, and tables that live code or others call through.
    fn find_live(&mut self, entry: &Entry) {
        let module = &self.module;
        let mut seen = vec![false; module.funcs.len()];
        let mut table_seen = vec![false; module.tables.len()];
        let mut segment_seen = vec![false; module.elements.len()];
        let mut queue: Vec<FuncIndex> = entry.calls.clone();
        queue.extend(entry.invoke.as_ref().map(|(f, _)| *f));
        queue.extend(entry.thread_start);
        queue.extend(module.start);
        queue.extend(self.visible.funcs.iter().copied());
        let filled = |table| self.is_shared_table(table) || self.has_unknown_offset(table);
        for (table, _) in module.tables.iter().filter(|&(table, _)| filled(table)) {
            table_seen[table.index()] = true;
            queue.extend(module.table_funcs(table));
        }
        // References in globals are few: take them as live.
        queue.extend(module.globals.values().filter_map(|g| g.init.as_ref()).flat_map(ConstExpr::funcs));
        let mut bodies = Vec::new();
        while let Some(func) = queue.pop() {
            if std::mem::replace(&mut seen[func.index()], true) {
                continue;
            }
            let Some(defined) = module.defined_func(func) else { continue };
            bodies.push(defined);
            let facts = &module.bodies[defined].facts;
            queue.extend(facts.calls.iter().chain(&facts.ref_funcs));
            for &table in facts.tables_used.iter().chain(&facts.tables_written) {
                if !std::mem::replace(&mut table_seen[table.index()], true) {
                    queue.extend(module.table_funcs(table));
                }
            }
            for &segment in &facts.elements_used {
                if !std::mem::replace(&mut segment_seen[segment.index()], true) {
                    queue.extend(module.elements[segment].elements.iter().flat_map(ConstExpr::funcs));
                }
            }
        }
        bodies.sort_unstable();
        for (place, &func) in bodies.iter().enumerate() {
            self.place_of[func] = Some(place as u32);
        }
        self.live = bodies;
    }

    /// The value of a constant expression; `None` where it depends on what is imported.
    fn evaluate(&self, expr: &ConstExpr) -> Option<ConstValue> {
        expr.evaluate(|global| self.constant_global(global))
    }

    /// Whether others can read and write a table.
    fn is_shared_table(&self, table: TableIndex) -> bool {
        table.index() < self.module.imported_tables || self.visible.tables.contains(&table)
    }

    /// Whether only an instance knows where a segment is placed, and whether it fits.
    fn has_unknown_offset(&self, table: TableIndex) -> bool {
        let active = |mode: &ElementMode| matches!(mode, ElementMode::Active(t, offset) if *t == table && self.evaluate(offset).is_none());
        self.module.elements.values().any(|segment| active(&segment.mode))
    }

    /// The initial value of an immutable global.
    fn constant_global(&self, global: GlobalIndex) -> Option<ConstValue> {
        let global = &self.module.globals[global];
        global.init.as_ref()?.evaluate(|g| self.constant_global(g))
    }

    fn reserve_context(&mut self, bytes: u32) -> Result<i32> {
        let total = self.context_bytes.checked_add(bytes).and_then(|n| n.checked_next_multiple_of(bytes.clamp(1, 16)));
        self.context_bytes = total.filter(|&n| n <= MAX_CONTEXT_BYTES).ok_or_else(|| {
            Error::input(format!("globals, tables and function references take more than {MAX_CONTEXT_BYTES} bytes"))
        })?;
        Ok(-(self.context_bytes as i32))
    }

    /// Record of a function's reference; makes one at the first use.
    fn record(&mut self, func: FuncIndex) -> u32 {
        if let Some(&record) = self.record_of.get(&func) {
            return record;
        }
        self.refer(func);
        let record = self.records.len() as u32;
        self.records.push(func);
        self.record_of.insert(func, record);
        record
    }

    fn place_globals(&mut self) -> Result<()> {
        let mut written = vec![false; self.module.globals.len()];
        for facts in self.live_facts() {
            facts.globals_set.iter().for_each(|g| written[g.index()] = true);
        }
        let referenced: Vec<_> = self.live_facts().flat_map(|f| f.ref_funcs.iter().copied()).collect();
        for func in referenced {
            self.record(func);
        }
        for index in self.module.globals.keys().collect::<Vec<_>>() {
            let global = self.module.globals[index].clone();
            let visible = self.visible.globals.contains(&index);
            let value_bytes = if global.ty == ValType::V128 { 16 } else { 8 };
            let Some(init) = &global.init else {
                self.globals[index] = match global.mutable {
                    true => GlobalPlace::Imported(self.reserve_context(8)?),
                    false => GlobalPlace::Context(self.reserve_context(value_bytes)?),
                };
                continue;
            };
            init.funcs().for_each(|func| _ = self.record(func));
            let changes = global.mutable && (visible || written[index.index()]);
            let value = self.evaluate(init);
            if let Some(ConstValue::Func(func)) = value {
                self.record(func);
            }
            if let Some(value) = value
                && !changes
            {
                self.globals[index] = GlobalPlace::Const(value);
                if !visible {
                    continue;
                }
            }
            let offset = self.reserve_context(value_bytes)?;
            if changes || value.is_none() {
                self.globals[index] = GlobalPlace::Context(offset);
            }
            if visible {
                self.global_homes.insert(index, offset);
            }
            let bytes = match value {
                Some(ConstValue::I32(v)) => v.to_le_bytes().to_vec(),
                Some(ConstValue::I64(v)) => v.to_le_bytes().to_vec(),
                Some(ConstValue::F32(v)) => v.to_le_bytes().to_vec(),
                Some(ConstValue::F64(v)) => v.to_le_bytes().to_vec(),
                Some(ConstValue::V128(v)) => v.to_vec(),
                Some(ConstValue::Null) => Vec::new(),
                Some(ConstValue::Func(_)) | None => {
                    let region = ContextRegion::Global(index);
                    self.actions.push(Action::SetContext { region, context_offset: offset, value: init.clone() });
                    Vec::new()
                }
            };
            if bytes.iter().any(|&b| b != 0) {
                self.initial.push((i64::from(offset), Cow::Owned(bytes)));
            }
        }
        Ok(())
    }

    fn place_memories(&mut self, options: &Options) -> Result<()> {
        for (index, memory) in self.module.memories.clone() {
            let imported = index.index() < self.module.imported_memories;
            // Threads of a program share what their instances import: the program's own. A shared memory that the module
            // defines is each instance's own, unless others can import it.
            let foreign = self.shape == Shape::Many && imported;
            let pointed = foreign || (memory.shared && (imported || self.shape == Shape::Many));
            let context_offset = match index.as_u32() {
                0 if !pointed => MEMORY0_LENGTH_OFFSET - 8,
                _ => self.reserve_context(16)?,
            };
            let flags =
                if pointed { MemoryFlags::POINTED } else { 0 } | if memory.shared { MemoryFlags::SHARED } else { 0 };
            let addressable = if memory.index_64 { MAX_MEMORY64_BYTES } else { 1 << 32 };
            let bytes =
                |pages: u64| pages.checked_shl(memory.page_size_log2).filter(|b| b >> memory.page_size_log2 == pages);
            let initial_bytes = bytes(memory.minimum_pages).unwrap_or(u64::MAX);
            let type_maximum = memory.maximum_pages.and_then(bytes).unwrap_or(addressable);
            let limit = options.max_memory_bytes.filter(|_| !foreign).unwrap_or(u64::MAX);
            let maximum_bytes = type_maximum.min(addressable).min(limit);
            if initial_bytes > maximum_bytes {
                return Err(Error::input(format!(
                    "memory {} needs {initial_bytes} bytes from the start, more than the limit of {maximum_bytes} bytes",
                    index.as_u32()
                ))
                .hint("raise `--max-memory`"));
            }
            let maximum_bytes = maximum_bytes & !((1 << memory.page_size_log2) - 1);
            let (reserve_bytes, guard_bytes) = match options.bounds_checks {
                // Inaccessible pages cannot end a memory within a page.
                _ if memory.page_size_log2 < 16 => (if foreign { 0 } else { maximum_bytes }, 0),
                // What code relies on: the guard alone where addresses have 64 bits.
                BoundsChecks::Guard if foreign && memory.index_64 => (0, GUARD_PLAN_GUARD_BYTES),
                BoundsChecks::Guard if foreign => (GUARD_PLAN_RESERVE_BYTES, GUARD_PLAN_GUARD_BYTES),
                BoundsChecks::Explicit if foreign => (0, 0),
                BoundsChecks::Guard => (maximum_bytes.max(GUARD_PLAN_RESERVE_BYTES), GUARD_PLAN_GUARD_BYTES),
                BoundsChecks::Explicit => (maximum_bytes, 0),
            };
            self.memories.push(MemoryPlan {
                context_offset,
                page_size_log2: memory.page_size_log2 as u16,
                flags,
                initial_bytes,
                maximum_bytes,
                reserve_bytes,
                guard_bytes,
            });
        }
        Ok(())
    }

    fn place_tables(&mut self) -> Result<()> {
        let mut used = vec![false; self.module.tables.len()];
        let mut changes = used.clone();
        for facts in self.live_facts() {
            facts.tables_used.iter().for_each(|t| used[t.index()] = true);
            facts.tables_written.iter().for_each(|t| changes[t.index()] = true);
            // Elements of a table that never changes are no references that could leave a library.
            let read = facts.tables_read.iter().filter(|_| self.shape == Shape::Many);
            read.for_each(|t| changes[t.index()] = true);
        }
        for index in self.module.tables.keys().collect::<Vec<_>>() {
            let table = self.module.tables[index].clone();
            if table.minimum > MAX_TABLE_ELEMENTS {
                return Err(Error::input(format!(
                    "table {} has {} elements, more than the limit of {MAX_TABLE_ELEMENTS}",
                    index.as_u32(),
                    table.minimum
                )));
            }
            let imported = index.index() < self.module.imported_tables;
            let is_func = table.element.is_func_ref();
            if self.is_shared_table(index)
                || changes[index.index()]
                || (used[index.index()] && (!is_func || !self.is_known_table(index)))
                || self.has_unknown_offset(index)
            {
                let context_offset = self.reserve_context(16)?;
                self.tables[index] = TablePlace::Dynamic(self.table_plans.len() as u32);
                self.table_plans.push(TablePlan {
                    context_offset,
                    flags: if imported { TableFlags::IMPORTED } else { 0 },
                    initial_elements: table.minimum,
                    maximum_elements: table.maximum.unwrap_or(u64::MAX).min(MAX_TABLE_ELEMENTS),
                });
                if let Some(init) = table.init
                    && self.evaluate(&init) != Some(ConstValue::Null)
                {
                    init.funcs().for_each(|func| _ = self.record(func));
                    self.actions.push(Action::FillTable { table: index, value: init, len: table.minimum });
                }
            } else if used[index.index()] {
                let fill = table.init.as_ref().and_then(|init| self.evaluate(init)).and_then(ConstValue::as_func);
                fill.into_iter().for_each(|func| self.refer(func));
                self.tables[index] = TablePlace::Const(self.const_tables.len() as u32);
                self.const_tables.push(vec![fill; table.minimum as usize]);
            }
        }
        self.place_elements()
    }

    /// Whether the contents of a table are known now, as far as it is not changed by code.
    fn is_known_table(&self, table: TableIndex) -> bool {
        let module = &self.module;
        module.tables[table].init.iter().all(|init| self.evaluate(init).is_some())
            && module.elements.values().all(|segment| match &segment.mode {
                ElementMode::Active(t, offset) if *t == table => {
                    self.evaluate(offset).is_some() && segment.elements.iter().all(|e| self.evaluate(e).is_some())
                }
                _ => true,
            })
    }

    /// Applies active element segments: at compile time to tables that never change, by code to the others.
    fn place_elements(&mut self) -> Result<()> {
        let mut used_later = vec![false; self.module.elements.len()];
        for facts in self.live_facts() {
            facts.elements_used.iter().for_each(|e| used_later[e.index()] = true);
        }
        let mut inits = Vec::new();
        for index in self.module.elements.keys().collect::<Vec<_>>() {
            let segment = self.module.elements[index].clone();
            let ElementMode::Active(table, offset) = segment.mode else { continue };
            let len = segment.elements.len() as u32;
            match self.tables[table] {
                TablePlace::Dynamic(_) => {
                    self.place_segment_elements(index)?;
                    let drop = used_later[index.index()];
                    inits.push(Action::InitTable { table, segment: index, offset, len, drop });
                }
                place => {
                    let offset = self.evaluate(&offset).and_then(ConstValue::as_unsigned).unwrap_or(u64::MAX);
                    if offset.saturating_add(u64::from(len)) > self.module.tables[table].minimum {
                        inits.push(Action::Trap(Trap::TableOutOfBounds));
                        break;
                    }
                    let TablePlace::Const(place) = place else { continue };
                    for (i, element) in segment.elements.iter().enumerate() {
                        let func = self.evaluate(element).and_then(ConstValue::as_func);
                        func.into_iter().for_each(|func| self.refer(func));
                        self.const_tables[place as usize][offset as usize + i] = func;
                    }
                }
            }
        }
        self.place_passive_elements()?;
        // The elements of all segments are evaluated before any segment is applied.
        self.actions.append(&mut inits);
        Ok(())
    }

    /// Keeps the elements of a segment for code: as records, or in the context where they are not known yet.
    fn place_segment_elements(&mut self, index: ElemIndex) -> Result<()> {
        let segment = self.module.elements[index].clone();
        segment.elements.iter().flat_map(ConstExpr::funcs).for_each(|func| _ = self.record(func));
        let values: Option<Vec<_>> = segment.elements.iter().map(|element| self.evaluate(element)).collect();
        self.element_segments[index] = match values {
            Some(values) => {
                let record = |value: ConstValue| value.as_func().map(|func| self.record(func));
                Elements::Records(values.into_iter().map(record).collect())
            }
            None => {
                let len = segment.elements.len() as u32;
                let offset = self.reserve_context(len.saturating_mul(8))?;
                for (i, value) in segment.elements.into_iter().enumerate() {
                    let context_offset = offset + 8 * i as i32;
                    self.actions.push(Action::SetContext { region: ContextRegion::Element, context_offset, value });
                }
                Elements::Context { offset, len }
            }
        };
        Ok(())
    }

    /// Places active data segments into the initial bytes where memory and offset are known, otherwise by code; one that
    /// does not fit makes instantiation trap.
    fn place_data(&mut self) -> Result<()> {
        if self.actions.iter().any(|action| matches!(action, Action::Trap(_))) {
            return Ok(());
        }
        let mut used_later = vec![false; self.module.data.len()];
        for facts in self.live_facts() {
            facts.data_used.iter().for_each(|d| used_later[d.index()] = true);
        }
        let mut pieces: Vec<(u64, &'data [u8])> = Vec::new();
        let mut ordered = true;
        for (index, segment) in self.module.data.clone() {
            let Some((memory, offset)) = segment.active else { continue };
            let known = self.evaluate(&offset).map(|value| value.as_unsigned().unwrap_or(u64::MAX));
            let plan = self.memories[memory];
            if let Some(offset) = known
                && !plan.is_pointed()
                && offset.saturating_add(segment.bytes.len() as u64) > plan.initial_bytes
            {
                self.actions.push(Action::Trap(Trap::MemoryOutOfBounds));
                break;
            }
            match known {
                // What a segment with an unknown offset writes, later ones may write again; and what is placed in memory 0
                // can be placed once, while each instance of a thread has it written by code.
                Some(offset) if memory.as_u32() == 0 && !plan.is_pointed() && ordered && !self.spawns_threads() => {
                    if !segment.bytes.is_empty() {
                        pieces.push((offset, segment.bytes));
                    }
                }
                _ => {
                    ordered &= memory.as_u32() != 0 || plan.is_pointed();
                    let len = segment.bytes.len() as u32;
                    let drop = used_later[index.index()];
                    self.data_segments[index] = segment.bytes;
                    self.actions.push(Action::InitMemory { memory, segment: index, offset, len, drop });
                }
            }
        }
        self.initial.extend(without_overlaps(pieces).into_iter().map(|(offset, bytes)| (offset as i64, bytes)));
        Ok(())
    }

    /// Keeps the passive data segments that code can still use.
    fn collect_segments(&mut self) {
        let used: Vec<_> = self.live_facts().flat_map(|facts| facts.data_used.iter().copied()).collect();
        for index in used {
            let segment = &self.module.data[index];
            // An active segment is dropped once it was applied.
            if segment.active.is_none() {
                self.data_segments[index] = segment.bytes;
            }
        }
    }

    /// Keeps the passive element segments that code can still use.
    fn place_passive_elements(&mut self) -> Result<()> {
        let used: BTreeSet<_> = self.live_facts().flat_map(|facts| facts.elements_used.iter().copied()).collect();
        for index in used {
            if matches!(self.module.elements[index].mode, ElementMode::Passive) {
                self.place_segment_elements(index)?;
            }
        }
        Ok(())
    }

    /// Gives each record its [`FuncRef`], in libraries.
    fn place_func_refs(&mut self) -> Result<()> {
        if self.shape == Shape::Many {
            for func in self.visible.funcs.clone() {
                self.record(func);
            }
            let bytes = (self.records.len() * size_of::<FuncRef>()).next_multiple_of(16);
            self.func_refs_offset = match u32::try_from(bytes) {
                Ok(0) => 0,
                bytes => self.reserve_context(bytes.unwrap_or(u32::MAX))?,
            };
        }
        Ok(())
    }
}

/// Segments in order of their offset without overlaps, where a later segment replaces what an earlier one wrote.
fn without_overlaps(pieces: Vec<(u64, &[u8])>) -> Vec<(u64, Cow<'_, [u8]>)> {
    let ordered = pieces.is_sorted_by(|(a, bytes), (b, _)| a + bytes.len() as u64 <= *b);
    if ordered {
        return pieces.into_iter().map(|(offset, bytes)| (offset, Cow::Borrowed(bytes))).collect();
    }
    let mut by_offset: Vec<usize> = (0..pieces.len()).collect();
    by_offset.sort_by_key(|&i| pieces[i].0);
    let mut out: Vec<(u64, Cow<'_, [u8]>)> = Vec::new();
    let mut cluster: Vec<usize> = Vec::new();
    let mut cluster_end = 0;
    let mut flush = |cluster: &mut Vec<usize>| {
        match cluster[..] {
            [] => {}
            [only] => out.push((pieces[only].0, Cow::Borrowed(pieces[only].1))),
            [first, ..] => {
                let start = pieces[first].0;
                let end = cluster.iter().map(|&i| pieces[i].0 + pieces[i].1.len() as u64).max().unwrap_or(start);
                let mut bytes = vec![0; (end - start) as usize];
                cluster.sort_unstable();
                for &i in cluster.iter() {
                    let at = (pieces[i].0 - start) as usize;
                    bytes[at..at + pieces[i].1.len()].copy_from_slice(pieces[i].1);
                }
                out.push((start, Cow::Owned(bytes)));
            }
        }
        cluster.clear();
    };
    for i in by_offset {
        let (offset, bytes) = pieces[i];
        if offset >= cluster_end {
            flush(&mut cluster);
        }
        cluster.push(i);
        cluster_end = cluster_end.max(offset + bytes.len() as u64);
    }
    flush(&mut cluster);
    out
}

fn resolve_imports(module: &Module<'_>, options: &Options) -> Result<PrimaryMap<FuncIndex, Callee>> {
    let mut callees = PrimaryMap::with_capacity(module.funcs.len());
    for import in &module.imports {
        let Entity::Func(func) = import.entity else {
            // The program's own: the runtime makes it, and what threads run in imports the same one.
            if matches!(import.entity, Entity::Memory(memory) if module.memories[memory].shared) {
                continue;
            }
            let kind = match import.entity {
                Entity::Memory(_) => "memory",
                Entity::Table(_) => "table",
                Entity::Tag(_) => "tag",
                Entity::Func(_) | Entity::Global(_) => "global",
            };
            return Err(Error::input(format!("unknown import: {kind} `{}` from module `{}`", import.name, import.module))
                .hint("an executable has nothing that provides memories (other than shared ones), tables, globals or tags: link the modules into one first"));
        };
        let ty = module.func_type(func);
        callees.push(match find_host(import.module, import.name) {
            Some(host) => {
                let same = |a: &[ValType], b: &[wasmelt_abi::descriptor::ValueType]| {
                    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| value_type(a).is_ok_and(|a| a == b))
                };
                if !same(&ty.params, host.params) || !same(&ty.results, host.results) {
                    return Err(Error::input(format!(
                        "import `{}` from module `{}` has the wrong type: the module expects {ty}, WASI defines {}",
                        import.name,
                        import.module,
                        host_type(host)
                    )));
                }
                Callee::Host(host)
            }
            None if options.unknown_imports == UnknownImports::Trap => Callee::Missing,
            None => return Err(unknown_import(import.module, import.name, ty)),
        });
    }
    for defined in module.bodies.keys() {
        callees.push(Callee::Defined(defined));
    }
    Ok(callees)
}

fn find_host(module: &str, name: &str) -> Option<&'static HostFunction> {
    host_functions().find(|h| h.module == module && h.name == name)
}

fn host_type(host: &HostFunction) -> String {
    let list = |types: &[wasmelt_abi::descriptor::ValueType]| {
        types.iter().map(|t| format!("{t:?}").to_lowercase()).collect::<Vec<_>>().join(" ")
    };
    format!("({}) -> ({})", list(host.params), list(host.results))
}

fn unknown_import(module: &str, name: &str, ty: &FuncType) -> Error {
    let error = Error::input(format!("unknown import: function `{name}` {ty} from module `{module}`"));
    let similar = WASI_P1
        .iter()
        .map(|h| (strsim::jaro_winkler(h.name, name), h))
        .filter(|(score, _)| *score > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let error = match similar {
        Some((_, h)) => error.hint(format!("there is `{}` {} in module `{}`", h.name, host_type(h), h.module)),
        None if WASI_P1.iter().any(|h| h.module == module) => error,
        None => error.hint(format!(
            "nothing is provided under the module name `{module}`: the runtime has `{}`",
            WASI_P1[0].module
        )),
    };
    error.hint("`--unknown-imports trap` compiles the module all the same; a call of the import then traps")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_segments_replace_earlier_ones() {
        let pieces: Vec<(u64, &[u8])> = vec![(4, b"abcd"), (20, b"z"), (2, b"12345"), (6, b"!")];
        let merged = without_overlaps(pieces);
        assert_eq!(merged.len(), 2);
        assert_eq!((merged[0].0, &*merged[0].1), (2, &b"1234!d"[..]));
        assert_eq!((merged[1].0, &*merged[1].1), (20, &b"z"[..]));
    }
}
