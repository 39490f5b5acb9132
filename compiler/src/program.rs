//! Modules to a [`Program`]: the graph of module instances with everything resolved that can be known before any code
//! is generated: imports, which functions are reachable, which globals and tables never change, where the rest lies in
//! the context, and the initial bytes of context and memory.
//!
//! All instances of a program lie in one reservation at distances that are known here, so that code of one reaches what
//! another owns by a constant from its own context. A library is planned like a program of one instance that others can
//! reach into: what it imports and exports keeps its place in the context.

mod component;
mod digest;
mod entry;
mod functions;
mod image;
mod imports;
mod interface;
mod links;
mod live;
mod needs;
mod places;
mod segments;
mod toolchain;

pub use crate::module::MAX_MEMORY64_BYTES;
pub use component::{Components, LoweredCall, Lowering, LoweringIndex};
pub use needs::Needs;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cranelift_entity::{EntityRef as _, PrimaryMap, entity_impl};
use wasmelt_abi::context::{HEAD_BYTES, LibraryHead, LinkedHead};
use wasmelt_abi::host::{HostFunction, Reach};
use wasmelt_abi::layout::{Layout, Parts};
use wasmelt_abi::trap::Trap;

use crate::error::{Error, Result};
use crate::image::{Elements, Invoke, MemoryPlan, Record, TablePlan};
use crate::module::{
    ConstExpr, ConstValue, DataIndex, DefinedFuncIndex, ElemIndex, Entity, FuncIndex, GlobalIndex, MemoryIndex, Module,
    TableIndex, TagIndex, TypeIndex,
};
use crate::options::{Options, Shape};
use crate::profile::Outline;

pub use functions::{FuncId, Functions, Piece};
pub use interface::Trampolines;
use interface::types_by_number;
pub use links::Owners;
use links::{Linker, Links};

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

/// Upper limit of a context's size: what offsets into it can express.
const MAX_CONTEXT_BYTES: u32 = 1 << 30;

/// The program: instances and what they share.
#[derive(Debug)]
pub struct Program<'data> {
    /// Instances in order of instantiation.
    pub instances: PrimaryMap<InstanceIndex, Instance<'data>>,
    /// What the executable does after instantiation.
    pub entry: Entry,
    /// The code that there is to make.
    pub functions: Functions,
    /// Where the parts of the instances lie; `None` in a library.
    pub layout: Option<Layout>,
    /// Function references say in which instance a function runs.
    pub has_wide_records: bool,
    /// What its components need, where it was one.
    pub components: Components,
    /// Functions that may return in another instance than they were called in.
    straying: HashSet<(InstanceIndex, DefinedFuncIndex)>,
}

/// A module of a program, with the name that it is imported by, or that messages use for the main one.
#[derive(Debug)]
pub struct Linked<'data> {
    /// Its name.
    pub name: String,
    /// The module.
    pub module: Module<'data>,
}

/// What an executable does once its instances exist.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The instance it happens in.
    pub instance: InstanceIndex,
    /// Functions without parameters and results to call in order: `_initialize`, or `_start`.
    pub calls: Vec<FuncIndex>,
    /// The last of `calls` has a result, an `i32`, which is the exit status.
    pub has_status: bool,
    /// The export that `--invoke` names.
    pub invoke: Option<(FuncIndex, Invoke)>,
    /// The export that threads run, where the program can start any.
    pub thread_start: Option<FuncIndex>,
}

/// One instance of a module.
#[derive(Debug)]
pub struct Instance<'data> {
    /// The name that others import it by.
    pub name: String,
    /// What it is an instance of.
    pub module: Module<'data>,
    /// Distance of its `vmctx` from that of the first instance, in bytes.
    pub distance: u64,
    /// Who owns what the module names.
    pub owners: Owners,
    /// The program's number of each type of the module.
    pub type_numbers: PrimaryMap<TypeIndex, TypeId>,
    /// Numbers that imported globals have for good.
    imported_constants: BTreeMap<GlobalIndex, ConstValue>,
    /// The export `_initialize` of an instance that others use.
    pub initialize: Option<FuncIndex>,
    /// Instances of the program can be made again, for threads.
    in_threads: bool,
    /// See [`Program::has_wide_records`].
    has_wide_records: bool,
    /// The numbers of the first tag, memory, table and global among those of all instances.
    first: FirstNumbers,
    /// How code finds its context.
    pub shape: Shape,
    /// What others can reach; nothing in the `Single` shape.
    visible: Visible,
    /// What each function of the index space is.
    pub callees: PrimaryMap<FuncIndex, Callee>,
    /// A type of each number.
    pub types: Vec<TypeIndex>,
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
    /// Imported functions whose reference is taken, and those that code calls though nothing provides them: each gets a
    /// function of its own that calls the import, or traps under its name.
    pub thunks: Vec<FuncIndex>,
    /// The functions in `thunks`.
    has_thunk: HashSet<FuncIndex>,
    /// Element segments for `table.init` at run time; empty where unused.
    pub element_segments: PrimaryMap<ElemIndex, Elements>,
    /// Offset of the first [`FuncRef`](wasmelt_abi::context::FuncRef) from `vmctx`, in the `Many` shape: one for each of `records`.
    pub func_refs_offset: i32,
    /// Data segments for `memory.init` at run time; empty where unused.
    pub data_segments: PrimaryMap<DataIndex, &'data [u8]>,
    /// Size of the context in bytes.
    pub context_bytes: u32,
    /// Initial bytes by offset from `vmctx`, see [`crate::image::InstanceImage::initial`].
    pub initial: Vec<(i64, Cow<'data, [u8]>)>,
    /// What is left to do at instantiation, in order.
    pub actions: Vec<Action>,
    /// Where code counts its operators, from `vmctx`; `None` without a budget.
    pub fuel_offset: Option<i32>,
    /// Where code counts how often its parts are executed; nothing without `--profile-generate`.
    pub counters: Counters,
}

/// The counters of an instance, in its context.
#[derive(Debug, Default)]
pub struct Counters {
    /// Where the first one lies, from `vmctx`.
    pub offset: i32,
    /// How many there are.
    pub count: u32,
    /// The functions that count.
    pub functions: BTreeMap<DefinedFuncIndex, Counted>,
}

/// A function that counts.
#[derive(Debug)]
pub struct Counted {
    /// Where its first counter lies, from `vmctx`.
    pub offset: i32,
    /// What is counted.
    pub outline: Outline,
}

/// The numbers of an instance's first entities among those of the whole program.
#[derive(Clone, Copy, Debug, Default)]
struct FirstNumbers {
    tag: u32,
    memory: u32,
    table: u32,
    global: u32,
}

/// What other instances and the host can reach of an instance, by index: what is exported, in the `Many` shape, and what
/// another instance imports, in the `Single` shape.
#[derive(Debug, Default)]
struct Visible {
    funcs: BTreeSet<FuncIndex>,
    tables: BTreeSet<TableIndex>,
    memories: BTreeSet<MemoryIndex>,
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
    /// A function of another instance of the program.
    Foreign(InstanceIndex, DefinedFuncIndex),
    /// A function of another instance or of the host: the [`FuncRef`](wasmelt_abi::context::FuncRef) with the import's index. In the `Many` shape.
    Imported(u32),
    /// A function of the runtime.
    Host(&'static HostFunction),
    /// A function of the runtime that a component calls.
    Lowered(LoweringIndex),
    /// An import that nothing provides, by its index in the module's imports: its thunk traps.
    Missing(u32),
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
    /// In the context of another instance of the program.
    Foreign(InstanceIndex, GlobalIndex),
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
    /// The same of another instance of the program.
    Foreign(InstanceIndex, u32),
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
        let instance = Instance::library(module);
        let instance_index = InstanceIndex::from_u32(0);
        Self::plan(vec![instance], Entry::calling(instance_index, Vec::new()), Components::default(), options)
    }

    /// A program of one module, whose imports are met by the runtime.
    pub fn single(module: Module<'data>, options: &Options) -> Result<Self> {
        Self::executable(Vec::new(), Linked { name: "main".to_owned(), module }, options)
    }

    /// A program of modules that are instantiated in order. Their imports are met by the ones before, or by the runtime.
    pub fn executable(preloads: Vec<Linked<'data>>, main: Linked<'data>, options: &Options) -> Result<Self> {
        let mut linker = Linker::default();
        let mut instances: Vec<Instance<'data>> = Vec::with_capacity(preloads.len() + 1);
        let main_index = InstanceIndex::from_u32(preloads.len() as u32);
        for Linked { name, module } in preloads {
            if instances.iter().any(|instance| instance.name == name) {
                return Err(Error::usage(format!("`--preload` names `{name}` twice")));
            }
            let mut instance = Instance::linked(name, module, &mut linker, &mut instances, options)?;
            instance.initialize = entry::initializer(&instance)?;
            instances.push(instance);
        }
        let Linked { name, module } = main;
        let instance = Instance::linked(name, module, &mut linker, &mut instances, options)?;
        instances.push(instance);
        let in_threads = instances.iter().any(Instance::spawns_threads);
        let entry = Entry::find(&instances[main_index.index()], main_index, in_threads, options)?;
        Self::plan(instances, entry, Components::default(), options)
    }

    fn plan(
        mut instances: Vec<Instance<'data>>,
        entry: Entry,
        components: Components,
        options: &Options,
    ) -> Result<Self> {
        live::find(&mut instances, &entry, &components);
        let in_threads = instances.iter().any(Instance::spawns_threads);
        let has_wide_records = instances.len() > 1 && live::exchange_references(&instances);
        let straying = live::find_straying(&instances, has_wide_records);
        let mut planned: PrimaryMap<InstanceIndex, Instance<'data>> = PrimaryMap::with_capacity(instances.len());
        let mut first = FirstNumbers::default();
        for mut instance in instances {
            (instance.in_threads, instance.has_wide_records, instance.first) = (in_threads, has_wide_records, first);
            first.tag += instance.module.tags.len() as u32;
            first.memory += instance.module.memories.len() as u32;
            first.table += instance.module.tables.len() as u32;
            first.global += instance.module.globals.len() as u32;
            instance.place(&planned, &entry, options)?;
            planned.push(instance);
        }
        let layout = match options.shape() {
            Shape::Single => Some(Self::lay_out(&mut planned, options)?),
            Shape::Many => None,
        };
        let functions = Functions::of(&planned, &entry, &components);
        Ok(Self { instances: planned, entry, functions, layout, has_wide_records, components, straying })
    }

    /// Gives the instances their distances.
    fn lay_out(instances: &mut PrimaryMap<InstanceIndex, Instance<'data>>, options: &Options) -> Result<Layout> {
        let page_bytes = crate::image::page_bytes(&options.target);
        let mut layout: Option<Layout> = None;
        for instance in instances.values_mut() {
            let memory0 = instance.memories.values().next().filter(|m| m.is_private());
            let memory0 = memory0.map_or([0; 3], |m| [m.initial_bytes, m.reserve_bytes, m.guard_bytes]);
            let (context_bytes, segment_count) = (instance.context_bytes, instance.segment_count());
            let parts = Parts { context_bytes, segment_count, stack_bytes: options.stack_bytes, memory0, page_bytes };
            let placed = match &mut layout {
                None => Layout::of(&parts).map(|first| {
                    layout = Some(first);
                    0
                }),
                Some(layout) => layout.add(&parts),
            };
            instance.distance = placed.ok_or_else(|| {
                Error::input("stack and memories of the program exceed the address space")
                    .hint("--stack-size, --max-memory and --memory-reserve set lower limits")
            })?;
        }
        layout.ok_or_else(|| Error::internal("a program without instances"))
    }

    /// Where code counts its operators, from the first instance's `vmctx`; `None` without a budget.
    pub fn fuel_offset(&self) -> Option<i32> {
        self.instances.values().next().and_then(|instance| instance.fuel_offset)
    }

    /// Whether a function may return in another instance than it was called in.
    pub fn strays(&self, instance: InstanceIndex, func: DefinedFuncIndex) -> bool {
        self.straying.contains(&(instance, func))
    }

    /// Whether any function does.
    pub fn has_straying(&self) -> bool {
        !self.straying.is_empty()
    }

    /// A number of a memory that no other memory of the program has; those that may be the same one share a number.
    pub fn memory_number(&self, instance: &Instance<'_>, memory: MemoryIndex) -> u32 {
        let (owner, memory) = instance.owners.memories[memory];
        let owner = &self.instances[owner];
        owner.first.memory + if memory.index() < owner.module.imported_memories { 0 } else { memory.as_u32() }
    }

    /// The same of a table.
    pub fn table_number(&self, instance: &Instance<'_>, table: TableIndex) -> u32 {
        let (owner, table) = instance.owners.tables[table];
        let owner = &self.instances[owner];
        owner.first.table + if table.index() < owner.module.imported_tables { 0 } else { table.as_u32() }
    }

    /// The same of a global that the program owns.
    pub fn global_number(&self, instance: &Instance<'_>, global: GlobalIndex) -> u32 {
        let (owner, global) = instance.owners.globals[global];
        self.instances[owner].first.global + global.as_u32()
    }

    /// The number of a tag in the program.
    pub fn tag_number(&self, instance: &Instance<'_>, tag: TagIndex) -> u32 {
        let (owner, tag) = instance.owners.tags[tag];
        self.instances[owner].first.tag + tag.as_u32()
    }

    /// A function's reference as the image holds it.
    pub fn record(&self, index: InstanceIndex, func: FuncIndex) -> Result<Record> {
        let instance = &self.instances[index];
        let (piece, distance) = match instance.callees[func] {
            Callee::Defined(defined) => (Piece::Function(index, defined), None),
            Callee::Foreign(other, defined) => (Piece::Function(other, defined), Some(self.instances[other].distance)),
            Callee::Imported(_) | Callee::Host(_) | Callee::Lowered(_) | Callee::Missing(_) => {
                (Piece::Thunk(index, func), None)
            }
        };
        let function = self.functions.id(piece).ok_or_else(|| {
            Error::internal(format!("{} is referred to but was dropped", instance.module.describe_func(func)))
        })?;
        Ok(Record { function: function.as_u32(), type_id: instance.type_ids[func], distance })
    }

    /// The one instance of a program of one module.
    pub fn main(&self) -> &Instance<'data> {
        &self.instances[self.entry.instance]
    }
}

impl<'data> Instance<'data> {
    /// The instance of a library.
    fn library(module: Module<'data>) -> Self {
        let imported = (0..module.imported_funcs as u32).map(Callee::Imported);
        let callees = imported.chain(module.bodies.keys().map(Callee::Defined)).collect();
        let owners = Owners::own(&module, InstanceIndex::from_u32(0));
        let numbers = module.canonical_types.clone();
        Self::new(
            String::new(),
            module,
            Shape::Many,
            numbers,
            Links { owners, callees, constants: BTreeMap::new() },
            false,
        )
    }

    /// The next instance of a program, after `earlier`.
    fn linked(
        name: String,
        module: Module<'data>,
        linker: &mut Linker<'data>,
        earlier: &mut [Self],
        options: &Options,
    ) -> Result<Self> {
        let numbers = linker.types.number(&module);
        let links = linker.link(&module, &numbers, earlier, options).map_err(|e| match earlier.is_empty() {
            true => e,
            false => e.context(format!("module `{name}`")),
        })?;
        Ok(Self::new(name, module, Shape::Single, numbers, links, !options.preloads.is_empty()))
    }

    fn new(
        name: String,
        module: Module<'data>,
        shape: Shape,
        type_numbers: PrimaryMap<TypeIndex, TypeId>,
        links: Links,
        is_linked: bool,
    ) -> Self {
        let type_ids = module.funcs.values().map(|f| type_numbers[f.ty]).collect();
        let Links { owners, callees, constants } = links;
        let head_bytes = match shape {
            Shape::Single if is_linked => HEAD_BYTES + size_of::<LinkedHead>(),
            Shape::Single => HEAD_BYTES,
            Shape::Many => HEAD_BYTES + size_of::<LibraryHead>(),
        };
        let visible = Visible::of(&module, shape);
        // In libraries each import has a record from the start, of its own index.
        let imports = (0..module.imported_funcs as u32).filter(|_| shape == Shape::Many);
        let records: Vec<_> = imports.map(FuncIndex::from_u32).collect();
        Self {
            name,
            distance: 0,
            owners,
            type_numbers,
            imported_constants: constants,
            initialize: None,
            in_threads: false,
            has_wide_records: false,
            first: FirstNumbers::default(),
            globals: module.globals.keys().map(|_| GlobalPlace::Const(ConstValue::Null)).collect(),
            tables: module.tables.keys().map(|_| TablePlace::Unused).collect(),
            global_homes: BTreeMap::new(),
            element_segments: module.elements.keys().map(|_| Elements::Records(Vec::new())).collect(),
            func_refs_offset: 0,
            data_segments: module.data.keys().map(|_| &[][..]).collect(),
            types: types_by_number(&module),
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
            thunks: Vec::new(),
            has_thunk: HashSet::new(),
            context_bytes: head_bytes as u32,
            initial: Vec::new(),
            actions: Vec::new(),
            fuel_offset: None,
            counters: Counters::default(),
        }
    }

    /// Decides where everything of the instance lies, given the instances before it.
    fn place(&mut self, earlier: &PrimaryMap<InstanceIndex, Self>, entry: &Entry, options: &Options) -> Result<()> {
        self.place_globals()?;
        self.place_memories(earlier, options)?;
        self.place_tables(earlier, options)?;
        self.place_data()?;
        self.collect_segments();
        if let Some(start) = self.module.start {
            self.actions.push(Action::CallStart(start));
        }
        self.place_func_refs()?;
        if earlier.is_empty() {
            self.place_fuel(entry, options)?;
        }
        if options.profile_generate {
            self.place_counters(entry)?;
        }
        self.context_bytes = self.context_bytes.next_multiple_of(16);
        self.initial.sort_by_key(|(offset, _)| *offset);
        Ok(())
    }

    /// Number of segments that can be dropped.
    fn segment_count(&self) -> u32 {
        (self.data_segments.len() + self.element_segments.len()) as u32
    }

    /// Whether this instance can start threads, each of which runs in a new instance of the same module.
    pub fn spawns_threads(&self) -> bool {
        self.callees.values().any(|callee| matches!(callee, Callee::Host(host) if host.reach == Reach::Threads))
    }

    /// The plan of a memory.
    pub fn memory(&self, index: MemoryIndex) -> &MemoryPlan {
        &self.memories[index]
    }

    /// Bytes that the payload of the largest exception takes: 16 for each value.
    pub fn exception_payload_bytes(&self) -> u32 {
        self.module.tags.values().map(|&ty| 16 * self.module.types[ty].params.len() as u32).max().unwrap_or(0)
    }

    /// Plans a thunk for a function that needs one.
    fn refer(&mut self, func: FuncIndex) {
        let is_defined = matches!(self.callees[func], Callee::Defined(_) | Callee::Foreign(..));
        if !is_defined && self.has_thunk.insert(func) {
            self.thunks.push(func);
        }
    }

    fn live_facts(&self) -> impl Iterator<Item = &crate::module::BodyFacts> {
        self.live.iter().map(|&f| &self.module.bodies[f].facts)
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
        match &self.module.globals[global].init {
            Some(init) => init.evaluate(|g| self.constant_global(g)),
            None => self.imported_constants.get(&global).copied(),
        }
    }

    /// Whether anything of it can grow: memories, tables, the heap of exceptions.
    pub fn needs_memory_at_run_time(&self) -> bool {
        self.live_facts().any(|facts| facts.grows_memory)
            || !self.table_plans.is_empty()
            || !self.module.tags.is_empty()
    }

    /// Whether code that can be reached asks for more of something that has a limit: memory, elements of tables,
    /// exceptions, threads.
    fn grows(&self) -> bool {
        self.spawns_threads() || self.live_facts().any(|facts| facts.grows_memory || facts.grows_table || facts.throws)
    }

    fn reserve_context(&mut self, bytes: u32) -> Result<i32> {
        let total = self.context_bytes.checked_add(bytes).and_then(|n| n.checked_next_multiple_of(bytes.clamp(1, 16)));
        self.context_bytes = total.filter(|&n| n <= MAX_CONTEXT_BYTES).ok_or_else(|| {
            Error::input(format!(
                "globals, tables, function references and counters take more than {MAX_CONTEXT_BYTES} bytes"
            ))
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
