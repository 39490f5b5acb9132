//! Everything that an object holds, before it has an object format: what code generation and layout produced, with
//! symbolic references. `emit` turns it into bytes; nothing here knows ELF, and nothing in `emit` knows wasm. Functions are referred to by
//! their numbers, [`ImageFunction::id`], whatever their order.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use cranelift_codegen::isa::unwind::UnwindInfo;
use target_lexicon::{Architecture, BinaryFormat, Triple};
use wasmelt_abi::builtin::Builtin;
use wasmelt_abi::descriptor::ValueType;
use wasmelt_abi::host::HostFunction;
use wasmelt_abi::interface::{Kind, TypeCode};
use wasmelt_abi::layout::Layout;
use wasmelt_abi::trap::Trap;

pub use wasmelt_abi::descriptor::{MemoryPlan, TablePlan};
pub use wasmelt_abi::interface::EntityPlan;

/// A program, ready to be written into an object.
#[derive(Debug, Default)]
pub struct Image<'a> {
    /// Code in the order of the text section.
    pub functions: Vec<ImageFunction>,
    /// `unsafe extern "C" fn(vmctx)` that runs the program: number of a function.
    pub entry: Option<u32>,
    /// `unsafe extern "C" fn(vmctx, values)` that calls the export of `invoke`: number of a function.
    pub invoke_entry: Option<u32>,
    /// What `invoke_entry` calls.
    pub invoke: Option<Invoke>,
    /// `unsafe extern "C" fn(vmctx, tid, start_arg)` that a thread runs: number of a function.
    pub thread_entry: Option<u32>,
    /// The instances, in order of instantiation.
    pub instances: Vec<InstanceImage<'a>>,
    /// Where the parts of the instances lie; `None` in libraries.
    pub layout: Option<Layout>,
    /// Records say in which instance a function runs, see [`wasmelt_abi::context::WideRecord`].
    pub has_wide_records: bool,
    /// Host functions print what they are called with.
    pub trace_wasi: bool,
    /// Where code counts its operators, from the first instance's `vmctx`; `None` without a budget.
    pub fuel_offset: Option<i32>,
    /// What the program writes about its own execution; `None` without `--profile-generate`.
    pub profile: Option<Profile>,
    /// Bytes that the payload of the largest exception takes.
    pub exception_payload_bytes: u32,
    /// Bits of [`wasmelt_abi::descriptor::CpuFeatures`].
    pub cpu_features: u32,
    /// Call stack of the guest in bytes.
    pub stack_bytes: u64,
    /// What a debugger is told besides names and frames; `None` for nothing.
    pub debug: Option<DebugInfo>,
    /// Where in source files operators are, for backtraces.
    pub positions: Positions,
    /// Index and name of functions whose bodies are in code of others, by their numbers.
    pub inlined: BTreeMap<u32, (u32, String)>,
}

/// See [`wasmelt_abi::profile`].
#[derive(Debug)]
pub struct Profile {
    /// The profile up to the counters.
    pub head: Vec<u8>,
    /// Where the counters of each instance start, from the first instance's `vmctx`, and how many there are.
    pub counters: Vec<(i64, u64)>,
}

/// The parts of a table of positions, see [`wasmelt_abi::positions`].
#[derive(Debug, Default)]
pub struct Positions {
    /// Names of files and of inlined functions.
    pub strings: Vec<u8>,
    /// Functions that were inlined.
    pub scopes: Vec<u8>,
    /// The rows of functions, by their numbers; none where nothing is known.
    pub rows: Vec<(u32, Vec<u8>)>,
}

/// An instance of the program, see [`wasmelt_abi::instance::InstancePlan`].
#[derive(Debug, Default)]
pub struct InstanceImage<'a> {
    /// Distance of its `vmctx` from that of the first instance, in bytes.
    pub distance: u64,
    /// Records that function references point to.
    pub records: Vec<Record>,
    /// Tables that never change.
    pub const_tables: Vec<Vec<Option<Record>>>,
    /// See [`wasmelt_abi::instance::InstancePlan::context_bytes`].
    pub context_bytes: u32,
    /// Linear memories, memory 0 first.
    pub memories: Vec<MemoryPlan>,
    /// Tables that can change.
    pub tables: Vec<TablePlan>,
    /// Data segments by index; empty where code cannot use the segment.
    pub data_segments: Vec<Cow<'a, [u8]>>,
    /// Element segments by index, in programs; empty where code cannot use the segment.
    pub element_segments: Vec<Elements>,
    /// Initial bytes of context and memory 0 by offset from `vmctx`: in order, apart from one another, none below
    /// `-context_bytes` or beyond the initial length. All other bytes are zero.
    pub initial: Vec<(i64, Cow<'a, [u8]>)>,
    /// What makes it a library; `None` in a program.
    pub interface: Option<Interface>,
}

/// A filter of system calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Instructions of the kernel's classic BPF; none without `--harden`.
    pub instructions: Vec<u64>,
    /// Index of the instruction whose operand is the number of the process; 0 for none.
    pub process: u32,
}

/// What debuggers are told about source files. Functions have their part in [`ImageFunction::debug`].
#[derive(Clone, Debug, Default)]
pub struct DebugInfo {
    /// Who made the code.
    pub producer: String,
    /// Source files that were compiled.
    pub units: Vec<DebugUnit>,
}

/// A compilation unit: a source file, with those that it includes. Names are bytes without NUL.
#[derive(Clone, Debug, Default)]
pub struct DebugUnit {
    /// Its name; empty where it is not known.
    pub name: Vec<u8>,
    /// The directory that it was compiled in, from which relative names start; empty where it is not known.
    pub directory: Vec<u8>,
    /// Number of its language in DWARF.
    pub language: Option<u16>,
    /// The files that lines are in.
    pub files: Vec<DebugFile>,
}

/// A source file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DebugFile {
    /// The directory that it is in; empty for that of the unit.
    pub directory: Arc<[u8]>,
    /// Its name, not empty.
    pub name: Arc<[u8]>,
}

/// What debuggers are told about a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionDebug {
    /// Index of its unit in [`DebugInfo::units`].
    pub unit: u32,
    /// Its name in the source, without scopes and parameters; empty where it is not known.
    pub name: Arc<[u8]>,
    /// File, as an index into [`DebugUnit::files`], and line where it is declared.
    pub declaration: Option<(u32, u32)>,
    /// Which code belongs to which line, in order of the code; none where no line is known.
    pub lines: Vec<Line>,
}

/// From here on, code belongs to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Offset in the function's code.
    pub offset: u32,
    /// Index into [`DebugUnit::files`].
    pub file: u32,
    /// The first is 1; 0 where code belongs to no line.
    pub line: u32,
    /// The first is 1; 0 where it is not known.
    pub column: u32,
    /// A statement starts here: a place for a breakpoint.
    pub is_statement: bool,
    /// The function's frame is made.
    pub is_body: bool,
}

/// The largest page size that systems of a target use.
pub fn page_bytes(target: &Triple) -> u64 {
    match (target.architecture, target.binary_format) {
        (Architecture::Aarch64(_), BinaryFormat::Elf) => 65536,
        (Architecture::Aarch64(_), BinaryFormat::Macho) => 16384,
        _ => 4096,
    }
}

/// The elements of a segment that code can use.
#[derive(Clone, Debug)]
pub enum Elements {
    /// Functions, by their records, and nulls.
    Records(Vec<Option<RecordIndex>>),
    /// Values that are known at instantiation only: where they are kept, as an offset from `vmctx`, 8 bytes each. Only
    /// in libraries.
    Context {
        /// The first one's offset.
        offset: i32,
        /// Their number.
        len: u32,
    },
}

/// Where a function's record is.
#[derive(Clone, Copy, Debug)]
pub struct RecordIndex {
    /// Index of the instance in [`Image::instances`].
    pub instance: u32,
    /// Index into its [`InstanceImage::records`]; in libraries, into [`Interface::funcs`].
    pub record: u32,
}

/// See [`wasmelt_abi::interface::Interface`].
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "fields are those of the contract")]
pub struct Interface {
    /// The library's name.
    pub name: String,
    pub types: Vec<FuncTypeEntry>,
    pub imports: Vec<Import>,
    pub exports: Vec<Export>,
    /// Number of the function, `None` for an imported one, and number of the type.
    pub funcs: Vec<(Option<u32>, u32)>,
    pub tables: Vec<EntityPlan>,
    pub memories: Vec<EntityPlan>,
    pub globals: Vec<EntityPlan>,
    pub tags: Vec<u32>,
    pub elements: Vec<Elements>,
    pub func_refs_offset: i32,
    pub imported: [u32; 5],
    pub flags: u32,
}

/// See [`wasmelt_abi::interface::FuncTypeEntry`]; code as numbers of functions.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "fields are those of the contract")]
pub struct FuncTypeEntry {
    pub params: Vec<TypeCode>,
    pub results: Vec<TypeCode>,
    pub to_wasm: Option<u32>,
    pub to_host: Option<u32>,
}

/// See [`wasmelt_abi::interface::ImportEntry`].
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "fields are those of the contract")]
pub struct Import {
    pub module: String,
    pub name: String,
    pub kind: Kind,
    pub index: u32,
}

/// See [`wasmelt_abi::interface::ExportEntry`].
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "fields are those of the contract")]
pub struct Export {
    pub name: String,
    pub kind: Kind,
    pub index: u32,
}

impl Image<'_> {
    /// Whether it is a library.
    pub fn is_library(&self) -> bool {
        self.instances.iter().any(|instance| instance.interface.is_some())
    }
}

impl InstanceImage<'_> {
    /// Number of segments that can be dropped.
    pub fn segment_count(&self) -> u32 {
        let elements = self.interface.as_ref().map_or(self.element_segments.len(), |i| i.elements.len());
        (self.data_segments.len() + elements) as u32
    }
}

/// One function's machine code.
#[derive(Debug)]
pub struct ImageFunction {
    /// By which everything refers to it: no other function of the image has it.
    pub id: u32,
    /// Symbol in the object's symbol table.
    pub symbol: String,
    /// Name in the module; empty where it has none.
    pub name: String,
    /// Index in the module's function index space; `None` for code that wasmelt made (entries), which backtraces leave
    /// out.
    pub index: Option<u32>,
    /// Machine code.
    pub code: Vec<u8>,
    /// Where it may start.
    pub start: Start,
    /// Places to fill in.
    pub relocs: Vec<Reloc>,
    /// Trapping instructions: offset in `code`, sorted. No accesses to linear memory, see [`wasmelt_abi::code_map`].
    pub traps: Vec<(u32, Trap)>,
    /// Offset of the function's body in the module; 0 for code that wasmelt made.
    pub body: u32,
    /// Which operators instructions come from that can trap, and calls, by their last byte: offset in `code`, and offset
    /// in the module. In order of the code.
    pub operators: Vec<(u32, u32)>,
    /// Bodies of other functions in it, each after the one that it is in.
    pub scopes: Vec<Scope>,
    /// Of the instructions in `operators`, those that come from these bodies.
    pub inlined: Vec<InlinedSite>,
    /// Calls within the reach of exception handlers, in order of their return addresses.
    pub call_sites: Vec<CallSite>,
    /// Frame layout.
    pub unwind: Option<UnwindInfo>,
    /// Lines; where the image has debug information, `None` is for code that wasmelt made.
    pub debug: Option<FunctionDebug>,
}

/// A body that took the place of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Number of the function whose body it is.
    pub function: u32,
    /// Offset in the module of the call.
    pub call: u32,
    /// Index of the scope that the call is in; `None` for the function itself.
    pub parent: Option<u32>,
}

/// An instruction that comes from such a body, and can trap or call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InlinedSite {
    /// Offset in the code; of a call's last byte.
    pub offset: u32,
    /// Offset in the module of its operator.
    pub operator: u32,
    /// Index of the scope that the operator is in.
    pub scope: u32,
}

/// Where code may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At a multiple of so many bytes, a power of two.
    Aligned(u32),
    /// So many bytes behind the start of a line of the CPU's cache: a multiple of [`Self::STEP`] below [`Self::LINE`].
    InLine(u32),
}

impl Start {
    /// Bytes of a line of the cache: of x86-64 CPUs and of most aarch64 ones.
    pub const LINE: u32 = 64;
    /// Distance of the starts in a line, in bytes.
    pub const STEP: u32 = 16;

    /// What the section that holds the code must be aligned to, in bytes.
    pub fn section_align(self) -> u32 {
        match self {
            Self::Aligned(align) => align,
            Self::InLine(_) => Self::LINE,
        }
    }

    /// The first such offset that is not below `end`; `None` where offsets end.
    pub fn first_from(self, end: u32) -> Option<u32> {
        match self {
            Self::Aligned(align) => end.checked_next_multiple_of(align),
            Self::InLine(start) => end.saturating_sub(start).checked_next_multiple_of(Self::LINE)?.checked_add(start),
        }
    }

    /// Whether there is such an offset.
    pub fn is_valid(self) -> bool {
        match self {
            Self::Aligned(align) => align.is_power_of_two(),
            Self::InLine(start) => start < Self::LINE && start.is_multiple_of(Self::STEP),
        }
    }
}

impl ImageFunction {
    /// Leaves out where instructions come from.
    pub fn forget_operators(&mut self) {
        (self.operators, self.scopes, self.inlined) = Default::default();
    }

    /// The functions that its code refers to, by number, with repetitions.
    pub fn callees(&self) -> impl Iterator<Item = u32> + '_ {
        self.relocs.iter().filter_map(|reloc| match reloc.target {
            RelocTarget::Function(id) => Some(id),
            _ => None,
        })
    }
}

/// See [`wasmelt_abi::descriptor::CallSite`].
#[derive(Clone, Debug)]
pub struct CallSite {
    /// Offset of the return address in the function's code.
    pub return_offset: u32,
    /// Distance in bytes from the frame pointer down to the stack pointer at the call.
    pub frame_bytes: u32,
    /// The first that matches is taken.
    pub handlers: Vec<Handler>,
}

/// See [`wasmelt_abi::descriptor::ExceptionHandler`]; landing pads as offsets in the function's code.
#[derive(Clone, Copy, Debug)]
pub enum Handler {
    /// Where the frame keeps its `vmctx`: distance in bytes from the stack pointer at the call.
    Context(u32),
    /// Handles exceptions with this tag: its index, and the landing pad.
    Tag(u32, u32),
    /// Handles all exceptions.
    All(u32),
}

/// A place in code that depends on where something lies.
#[derive(Clone, Debug)]
pub struct Reloc {
    /// Offset in the function's code.
    pub offset: u32,
    /// How the value is encoded: Cranelift's name for it.
    pub kind: cranelift_codegen::binemit::Reloc,
    /// What is referred to.
    pub target: RelocTarget,
    /// Added to the target's address.
    pub addend: i64,
}

/// What code can refer to.
#[derive(Clone, Copy, Debug)]
pub enum RelocTarget {
    /// A function: its number.
    Function(u32),
    /// A runtime function.
    Builtin(Builtin),
    /// A host function.
    Host(&'static HostFunction),
    /// The first byte of the text section.
    Text,
    /// A record: index of its instance, and into [`InstanceImage::records`].
    Record(u32, u32),
    /// A table that never changes: index of its instance, and into [`InstanceImage::const_tables`].
    ConstTable(u32, u32),
}

/// See [`wasmelt_abi::context::FuncRecord`].
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Number of the function.
    pub function: u32,
    /// Program-wide number of its type.
    pub type_id: u32,
    /// Where the function runs, in bytes from the first instance, where that is another instance than the record's.
    pub distance: Option<u64>,
}

/// See [`wasmelt_abi::descriptor::InvokePlan`].
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "fields are those of the descriptor")]
pub struct Invoke {
    pub name: String,
    pub params: Vec<ValueType>,
    pub results: Vec<ValueType>,
}
