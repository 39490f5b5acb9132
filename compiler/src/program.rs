//! Modules to a [`Program`]: the graph of module instances with everything resolved that can be known before any code
//! is generated: imports, which functions are reachable, which globals and tables never change, where the rest lies in
//! the context, and the initial bytes of context and memory.
//!
//! A program has one instance today; symbols, contexts and code are already named by instance. A library is planned like
//! a program whose instance others can reach into: what it imports and exports keeps its place in the context.

mod entry;
mod imports;
mod interface;
mod places;
mod segments;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use cranelift_entity::{EntityRef as _, PrimaryMap, SecondaryMap, entity_impl};
use wasmelt_abi::context::{HEAD_BYTES, LibraryHead};
use wasmelt_abi::host::{HostFunction, THREAD_SPAWN};
use wasmelt_abi::trap::Trap;

use crate::emit::image::{Elements, Invoke, MemoryPlan, Record, TablePlan};
use crate::error::{Error, Result};
use crate::module::{
    ConstExpr, ConstValue, DataIndex, DefinedFuncIndex, ElemIndex, Entity, FuncIndex, GlobalIndex, MemoryIndex, Module,
    TableIndex,
};
use crate::options::{DirFrom, Options, Shape};

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
    pub const_tables: Vec<ConstTable>,
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
    /// Place of an imported function in `thunks`.
    thunk_of: HashMap<FuncIndex, u32>,
    /// Element segments for `table.init` at run time; empty where unused.
    pub element_segments: PrimaryMap<ElemIndex, Elements>,
    /// Offset of the first [`FuncRef`](wasmelt_abi::context::FuncRef) from `vmctx`, in the `Many` shape: one for each of `records`.
    pub func_refs_offset: i32,
    /// Data segments for `memory.init` at run time; empty where unused.
    pub data_segments: PrimaryMap<DataIndex, &'data [u8]>,
    /// Size of the context in bytes.
    pub context_bytes: u32,
    /// Initial bytes by offset from `vmctx`, see [`crate::emit::image::Image::initial`].
    pub initial: Vec<(i64, Cow<'data, [u8]>)>,
    /// What is left to do at instantiation, in order.
    pub actions: Vec<Action>,
    /// Where code counts its operators, from `vmctx`; `None` without a budget.
    pub fuel_offset: Option<i32>,
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
    /// A function of another instance or of the host: the [`FuncRef`](wasmelt_abi::context::FuncRef) with the import's index. In the `Many` shape.
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

/// A table of functions that never changes.
#[derive(Clone, Debug)]
pub struct ConstTable {
    /// Its elements.
    pub elements: Vec<Option<FuncIndex>>,
    /// Whether any is null.
    pub has_null: bool,
    /// The type of all functions in it; `None` where they differ, or where there are none.
    type_id: Option<TypeId>,
}

impl ConstTable {
    fn new(elements: Vec<Option<FuncIndex>>) -> Self {
        Self { elements, has_null: false, type_id: None }
    }

    /// Whether each element is a function of this type.
    pub fn is_all_of(&self, ty: TypeId) -> bool {
        self.elements.is_empty() || (self.type_id == Some(ty) && !self.has_null)
    }

    /// Finds what code asks about all elements at once, when they are complete.
    fn finish(&mut self, type_ids: &PrimaryMap<FuncIndex, TypeId>) {
        self.has_null = self.elements.iter().any(Option::is_none);
        let mut types = self.elements.iter().flatten().map(|&func| type_ids[func]);
        self.type_id = types.next().filter(|&first| types.all(|ty| ty == first));
    }
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
        instance.place_fuel(&entry, options)?;
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
                |c| matches!(c, Callee::Host(h) if h.name.starts_with("fd_") || h.name.starts_with("path_") || h.name.starts_with("sock_") || h.name == "poll_oneoff"),
            )
        });
        let policy = &options.policy;
        let grants = uses_descriptors && (!policy.dirs.is_empty() || !policy.tcp_listen.is_empty());
        let variables = policy.inherit_env || !policy.env.is_empty();
        if policy.has_further() || grants || variables || self.instances.values().any(Instance::grows_memory) {
            // There is something that the environment may take away.
            hooks.push(wasmelt_abi::symbols::HOOK_RESTRICT);
        }
        if uses_descriptors && policy.dir_from == DirFrom::Exe {
            hooks.push(wasmelt_abi::symbols::HOOK_DIR_FROM_EXE);
        }
        if uses_descriptors && !policy.dirs.is_empty() {
            hooks.push(wasmelt_abi::symbols::HOOK_PREOPENS);
        }
        if uses_descriptors && !policy.tcp_listen.is_empty() {
            hooks.push(wasmelt_abi::symbols::HOOK_LISTENERS);
        }
        if uses_descriptors && (!policy.files.is_empty() || !policy.embedded.is_empty()) {
            hooks.push(wasmelt_abi::symbols::HOOK_TREES);
        }
        if policy.harden {
            // Last but one: all that was granted is open, and what comes after runs the guest.
            hooks.push(wasmelt_abi::symbols::HOOK_HARDEN);
        }
        if self.entry.invoke.is_some() {
            hooks.push(wasmelt_abi::symbols::HOOK_INVOKE);
        }
        hooks
    }
}

impl<'data> Instance<'data> {
    fn new(module: Module<'data>, options: &Options, shape: Shape) -> Result<Self> {
        let type_ids = module.funcs.values().map(|f| module.canonical_types[f.ty]).collect();
        let callees = match shape {
            Shape::Single => imports::resolve_imports(&module, options)?,
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
            thunk_of: HashMap::new(),
            context_bytes: head_bytes as u32,
            initial: Vec::new(),
            actions: Vec::new(),
            fuel_offset: None,
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
            None => self.thunk_of.get(&func).map(|thunk| self.live.len() as u32 + thunk),
        };
        let function = function.ok_or_else(|| {
            Error::internal(format!("{} is referred to but was dropped", self.module.describe_func(func)))
        })?;
        Ok(Record { function, type_id: self.type_ids[func] })
    }

    /// Takes note that a function's reference is taken.
    fn refer(&mut self, func: FuncIndex) {
        if self.module.defined_func(func).is_none() {
            let next = self.thunks.len() as u32;
            if *self.thunk_of.entry(func).or_insert(next) == next {
                self.thunks.push(func);
            }
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

    /// The initial value of an immutable global.
    fn constant_global(&self, global: GlobalIndex) -> Option<ConstValue> {
        let global = &self.module.globals[global];
        global.init.as_ref()?.evaluate(|g| self.constant_global(g))
    }

    /// Whether anything of it can grow: memories, tables, the heap of exceptions.
    pub fn needs_memory_at_run_time(&self) -> bool {
        self.grows_memory() || !self.table_plans.is_empty() || !self.module.tags.is_empty()
    }

    /// Whether code that can be reached asks for more memory.
    fn grows_memory(&self) -> bool {
        self.live_facts().any(|facts| facts.grows_memory)
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
}
