//! One function body to CLIF.
//!
//! `operator.rs` maps each operator to one call; the work lies in the file of its concept: `control`, `call`,
//! `numeric`, `memory`, `atomic` and `bounds`, `bulk`, `table`, `variable`, `exception`, `simd`, `component`. What differs between executables and
//! libraries is in `shape`.

mod atomic;
mod bounds;
mod budget;
mod bulk;
mod call;
mod component;
mod control;
mod crossing;
mod entry;
mod exception;
mod fuel;
mod interrupt;
mod memory;
mod names;
mod numeric;
mod operator;
#[cfg(test)]
mod operator_tests;
mod origins;
mod pause;
mod profile;
mod rounding;
mod shape;
mod simd;
mod sums;
mod table;
mod variable;

use std::borrow::Cow;
use std::collections::HashMap;

use cranelift_codegen::ir::{
    self, AbiParam, AliasRegionData, Function, InstBuilder as _, MemFlagsData, Signature, StackSlotData, StackSlotKind,
    Type, UserFuncName, Value, types,
};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use target_lexicon::Architecture;
use variable::Local;
use wasmelt_abi::trap::Trap;
use wasmparser::ValType;

use crate::error::{Error, Result, ResultExt as _};
use crate::module::{Body, BranchHints, DefinedFuncIndex, FuncIndex, FuncType, LoopFacts, Module, TagIndex};
use crate::options::{Shape, Stops};
use crate::profile::Guide;
use crate::program::{FuncId, Instance, InstanceIndex, Piece, Program, TypeId};

pub use names::Name;
pub use origins::{Origins, Place, Scope};
pub use pause::is_pause;

/// What every function's translation reads.
#[derive(Clone, Copy)]
pub struct FuncEnv<'a> {
    /// The program.
    pub program: &'a Program<'a>,
    /// The instance whose code is translated, by its number and as it was planned.
    pub index: InstanceIndex,
    /// See `index`.
    pub instance: &'a Instance<'a>,
    /// The target.
    pub isa: &'a dyn TargetIsa,
    /// How code finds its context.
    pub shape: Shape,
    /// Whether indices are masked against speculation.
    pub spectre_mitigations: bool,
    /// How the host of a library can stop the code.
    pub stops: Stops,
    /// See [`crate::options::Options::raises_traps`].
    pub raises_traps: bool,
    /// Whether relaxed operators do what the specification's deterministic profile says.
    pub relaxed_simd_deterministic: bool,
    /// What is known of earlier executions.
    pub guide: Option<&'a Guide>,
    /// See [`crate::options::Options::peepholes`].
    pub peepholes: bool,
    /// See [`crate::options::Options::address_sums`].
    pub address_sums: bool,
}

/// Alignment of locals in the frame: that of the largest.
const LOCALS_ALIGN_LOG2: u8 = 4;

/// Most float results that are returned in registers; what has more returns through memory.
const MAX_FLOAT_RESULTS: usize = 8;

/// The same of integers and references: the `tail` convention of Cranelift has fewer registers for them on aarch64.
fn max_integer_results(isa: &dyn TargetIsa) -> usize {
    if isa.triple().architecture == Architecture::X86_64 { 8 } else { 6 }
}

impl<'a> FuncEnv<'a> {
    /// For code of another instance.
    fn of(self, index: InstanceIndex) -> Self {
        Self { index, instance: &self.program.instances[index], ..self }
    }

    /// The number of a function of an instance.
    fn function(&self, instance: InstanceIndex, defined: DefinedFuncIndex) -> Result<FuncId> {
        let id = self.program.functions.id(Piece::Function(instance, defined));
        id.ok_or_else(|| Error::internal(format!("code refers to function {} that was dropped", defined.as_u32())))
    }

    /// The number of a tag by which code and runtime tell handlers apart: in libraries the module's own.
    fn tag(&self, tag: u32) -> u32 {
        match self.shape {
            Shape::Single => self.program.tag_number(self.instance, TagIndex::from_u32(tag)),
            Shape::Many => tag,
        }
    }

    /// The number of an imported function's thunk.
    fn thunk(&self, import: FuncIndex) -> Result<FuncId> {
        self.program
            .functions
            .id(Piece::Thunk(self.index, import))
            .ok_or_else(|| Error::internal(format!("imported function {} has no thunk", import.as_u32())))
    }

    fn module(&self) -> &'a Module<'a> {
        &self.instance.module
    }

    /// CLIF signature of a wasm function type.
    pub fn signature(&self, ty: &FuncType) -> Signature {
        let mut sig = Signature::new(CallConv::Tail);
        sig.params.extend(FuncTranslator::vmctx_param(self.shape));
        if self.returns_in_memory(ty) {
            sig.params.push(AbiParam::new(types::I64));
        } else {
            sig.returns.extend(ty.results.iter().map(|&t| AbiParam::new(clif_type(t))));
        }
        sig.params.extend(ty.params.iter().map(|&t| AbiParam::new(clif_type(t))));
        sig
    }

    /// Whether results are too many for registers: then the first parameter is the address of a return area of 16
    /// bytes for each result.
    fn returns_in_memory(&self, ty: &FuncType) -> bool {
        let floats = ty.results.iter().filter(|t| matches!(t, ValType::F32 | ValType::F64 | ValType::V128)).count();
        floats > MAX_FLOAT_RESULTS || ty.results.len() - floats > max_integer_results(self.isa)
    }
}

/// How a value type is held in CLIF. References are 64 bits: the address of a record, or an opaque value; 0 is null.
pub fn clif_type(ty: ValType) -> Type {
    match ty {
        ValType::I32 => types::I32,
        ValType::I64 => types::I64,
        ValType::F32 => types::F32,
        ValType::F64 => types::F64,
        ValType::V128 => types::I8X16,
        ValType::Ref(_) => types::I64,
    }
}

/// Memory that is disjoint from all other regions, for alias analysis.
#[derive(Clone, Copy, Debug)]
enum Region {
    Context,
    Memory(u32),
    Global(u32),
    Table(u32),
    ImportedGlobals,
    Exceptions,
    Constants,
    ReturnArea,
    Fuel,
    Interrupt,
    Counters,
}

/// Where the locals of a function live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locals {
    /// In values, as far as the function is concerned that is made.
    Variables,
    /// In the frame, because the function would have too many values otherwise, see [`budget`].
    Frame,
}

/// A function of the program as CLIF.
#[derive(Clone, Debug)]
pub struct Clif {
    /// Its number.
    pub id: FuncId,
    /// Its code. What it refers to outside is a [`Name`].
    pub func: Box<Function>,
    /// Where its locals live.
    pub locals: Locals,
    /// What positions of its instructions stand for.
    pub origins: Origins,
}

/// Translates a function of the program into `func`, which is empty, as is `builder_context`: their allocations are used.
pub fn translate(
    env: FuncEnv<'_>,
    id: FuncId,
    builder_context: &mut FunctionBuilderContext,
    mut func: Box<Function>,
) -> Result<Clif> {
    let piece = env.program.functions.piece(id);
    let env = piece.instance().map_or(env, |instance| env.of(instance));
    let ty = |id: TypeId| &env.module().types[env.instance.types[id as usize]];
    let mut locals = Locals::Variables;
    match piece {
        Piece::Function(_, f) => translate_function(env, f, builder_context, &mut func).map(|found| locals = found),
        Piece::Thunk(_, f) => entry::translate_thunk(env, f, builder_context, &mut func),
        Piece::Entry => entry::translate_entry(env, builder_context, &mut func),
        Piece::InvokeEntry => entry::translate_invoke_entry(env, builder_context, &mut func),
        Piece::ToWasm(_, id) => entry::translate_to_wasm(env, id, ty(id), builder_context, &mut func),
        Piece::ToHost(_, id) => entry::translate_to_host(env, ty(id), builder_context, &mut func),
        Piece::Realloc(_, f) => entry::translate_realloc(env, f, builder_context, &mut func),
        Piece::ThreadEntry => entry::translate_thread_entry(env, builder_context, &mut func),
    }
    .context(|| env.program.describe(id))?;
    Ok(Clif { id, func, locals, origins: Origins::default() })
}

/// Translates one function body.
fn translate_function(
    env: FuncEnv<'_>,
    defined: DefinedFuncIndex,
    builder_context: &mut FunctionBuilderContext,
    func: &mut Function,
) -> Result<Locals> {
    let body = &env.module().bodies[defined];
    if budget::may_use_variables(body) {
        match translate_body(env, defined, Locals::Variables, builder_context, func) {
            Ok(()) if !budget::exceeds_joins(body, func) => return Ok(Locals::Variables),
            Ok(()) | Err(BodyError::TooManyJoins) => {}
            Err(error) => return Err(error.into()),
        }
    }
    *func = Function::new();
    *builder_context = FunctionBuilderContext::new();
    translate_body(env, defined, Locals::Frame, builder_context, func)?;
    Ok(Locals::Frame)
}

/// Translates one function body with its locals in one or the other.
fn translate_body(
    env: FuncEnv<'_>,
    defined: DefinedFuncIndex,
    locals: Locals,
    builder_context: &mut FunctionBuilderContext,
    func: &mut Function,
) -> Result<(), BodyError> {
    let module = env.module();
    let index = module.func_index(defined);
    let ty = module.func_type(index);
    func.signature = env.signature(ty);
    let id = env.function(env.index, defined)?;
    func.name = UserFuncName::User(Name::Function(id).to_clif());
    let body = &module.bodies[defined];
    let mut translator = FuncTranslator::new(env, FunctionBuilder::new(func, builder_context));
    translator.loops = &body.facts.loops;
    translator.hints = Some((body.range.start, &body.hints));
    translator.counting =
        env.instance.counters.functions.get(&defined).map(|counted| profile::Counting::new(counted, body.range.start));
    let guided = env.guide.and_then(|guide| guide.function(id));
    if let Some(known) = guided.and_then(|guided| profile::Known::new(guided, body.range.start)) {
        translator.known = Some(known);
    }
    match locals {
        Locals::Variables => translator.most_values = budget::most_values(body),
        Locals::Frame => {
            let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, 0, LOCALS_ALIGN_LOG2);
            translator.locals_in_frame = Some(translator.builder.create_sized_stack_slot(slot));
        }
    }
    translator.function_body(index, body)?;
    translator.builder.finalize(env.isa.frontend_config());
    Ok(())
}

enum BodyError {
    Wasm(wasmparser::Error),
    Ours(Error),
    /// Locals make too many block parameters, see [`budget`].
    TooManyJoins,
}

impl From<BodyError> for Error {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Wasm(e) => Self::internal(format!("a validated body could not be read: {e}")),
            BodyError::Ours(e) => e,
            BodyError::TooManyJoins => Self::internal("locals that lie in the frame make no block parameters"),
        }
    }
}

impl From<wasmparser::Error> for BodyError {
    fn from(e: wasmparser::Error) -> Self {
        Self::Wasm(e)
    }
}

impl From<Error> for BodyError {
    fn from(e: Error) -> Self {
        Self::Ours(e)
    }
}

/// State of one function's translation.
struct FuncTranslator<'a, 'b> {
    env: FuncEnv<'a>,
    builder: FunctionBuilder<'b>,
    /// Operand stack.
    stack: Vec<Value>,
    /// Control stack, the function itself at the bottom.
    control: Vec<control::Frame>,
    /// Whether the code at hand can be reached; operators are skipped where not.
    reachable: bool,
    locals: Vec<Local>,
    /// Where locals lie that are not variables of the builder.
    locals_in_frame: Option<ir::StackSlot>,
    /// Most values that the function may have before its locals are taken out of them.
    most_values: usize,
    /// Result types of the function.
    results: Box<[ValType]>,
    /// Address for results, where they are returned in memory.
    return_area: Option<Value>,
    /// Where calls return results in memory.
    area_for_results: Option<ir::StackSlot>,
    /// Where calls of a component's imports say what they work on.
    canon: Option<ir::StackSlot>,
    vmctx: Option<Value>,
    /// The pinned register's value and the block it was read in, since the last call.
    pinned: Option<(ir::Block, Value)>,
    /// What was accessed in straight code, see [`sums`].
    reached: sums::Reached,
    /// The loops of the body, and how many have been entered.
    loops: &'a [LoopFacts],
    loops_entered: usize,
    /// Where the body starts in the file, and its branch hints.
    hints: Option<(usize, &'a BranchHints)>,
    /// Whether the code at hand runs rarely, by a hint.
    cold: bool,
    /// The budget of operators, with `--fuel`.
    fuel: Option<fuel::Fuel>,
    /// The counters, with `--profile-generate`.
    counting: Option<profile::Counting<'a>>,
    /// What a profile says, with `--profile-use`.
    known: Option<profile::Known<'a>>,
    signatures: HashMap<SignatureKey, ir::SigRef>,
    functions: HashMap<Name, ir::FuncRef>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum SignatureKey {
    Wasm(TypeId),
    Native(Name),
    /// Of [`wasmelt_abi::context::LibraryHead::pause`].
    Pause,
    /// Of what is never called.
    Unused,
}

impl<'a, 'b> FuncTranslator<'a, 'b> {
    fn new(env: FuncEnv<'a>, builder: FunctionBuilder<'b>) -> Self {
        Self {
            env,
            builder,
            stack: Vec::new(),
            control: Vec::new(),
            reachable: true,
            locals: Vec::new(),
            locals_in_frame: None,
            most_values: usize::MAX,
            results: Box::default(),
            return_area: None,
            area_for_results: None,
            canon: None,
            vmctx: None,
            pinned: None,
            reached: sums::Reached::default(),
            loops: &[],
            loops_entered: 0,
            hints: None,
            cold: false,
            fuel: None,
            counting: None,
            known: None,
            signatures: HashMap::new(),
            functions: HashMap::new(),
        }
    }

    /// Makes the entry block and takes the parameters as the first locals.
    fn begin(&mut self, ty: &FuncType) {
        self.results = ty.results.clone();
        let entry = self.builder.create_block();
        self.builder.append_block_params_for_function_params(entry);
        self.builder.switch_to_block(entry);
        self.builder.ensure_inserted_block();
        self.builder.seal_block(entry);
        self.declare_params(ty, entry);
    }

    fn function_body(&mut self, index: FuncIndex, body: &Body<'_>) -> Result<(), BodyError> {
        let Body { body, range, facts, hints: _ } = body;
        let ty = self.env.module().func_type(index);
        self.begin(ty);
        self.declare_locals(body)?;
        self.push_function_frame(ty);
        self.fuel_at_entry();
        self.interrupt_at_entry(facts);
        self.count_behind(range.start);
        let mut ops = body.get_operators_reader()?;
        while !ops.eof() {
            let (op, offset) = ops.read_with_offset()?;
            self.builder.set_srcloc(ir::SourceLoc::new(offset as u32));
            if self.reachable {
                self.fuel_before(&op);
            }
            self.operator(&op)?;
            if self.reachable {
                self.fuel_after(&op);
            }
            self.count_behind(offset);
            if self.builder.func.dfg.num_values() > self.most_values {
                return Err(BodyError::TooManyJoins);
            }
        }
        Ok(())
    }

    fn push(&mut self, value: Value) {
        self.stack.push(value);
    }

    fn pop(&mut self) -> Value {
        self.stack.pop().expect("validation keeps the operand stack in order")
    }

    /// The two topmost operands, in the order they were pushed.
    fn pop2(&mut self) -> (Value, Value) {
        let b = self.pop();
        (self.pop(), b)
    }

    /// The three topmost operands, in the order they were pushed.
    fn pop3(&mut self) -> (Value, Value, Value) {
        let c = self.pop();
        let (a, b) = self.pop2();
        (a, b, c)
    }

    /// The topmost `n` operands, in the order they were pushed.
    fn pop_n(&mut self, n: usize) -> Vec<Value> {
        self.stack.split_off(self.stack.len() - n)
    }

    fn unary(&mut self, f: impl FnOnce(&mut Self, Value) -> Value) {
        let a = self.pop();
        let value = f(self, a);
        self.push(value);
    }

    fn binary(&mut self, f: impl FnOnce(&mut Self, Value, Value) -> Value) {
        let (a, b) = self.pop2();
        let value = f(self, a, b);
        self.push(value);
    }

    fn ins(&mut self) -> cranelift_frontend::FuncInstBuilder<'_, 'b> {
        self.builder.ins()
    }

    fn type_of(&self, value: Value) -> Type {
        self.builder.func.dfg.value_type(value)
    }

    /// An `i32` or `i64` operand as a 64-bit number without sign: an address, length or index.
    fn zero_extend(&mut self, value: Value) -> Value {
        if self.type_of(value) == types::I32 { self.ins().uextend(types::I64, value) } else { value }
    }

    /// Flags of an access that is aligned and cannot trap, in a region of its own.
    fn trusted_region(&mut self, region: Region) -> MemFlagsData {
        let region = self.region(region);
        MemFlagsData::trusted().with_alias_region(Some(region))
    }

    /// The alias region; its number is the same in all functions, because inlining merges them.
    fn region(&mut self, region: Region) -> ir::AliasRegion {
        /// Flags of memory accesses are numbered with 16 bits per function: what has more regions shares one.
        const MAX_INDEX: u32 = 4095;
        let (kind, index, description) = match region {
            Region::Context => (1, 0, "context"),
            Region::Memory(i) => (2, i, "memory"),
            Region::Global(i) => (3, i, "global"),
            Region::Table(i) => (4, i, "table"),
            Region::Constants => (5, 0, "constants"),
            Region::ReturnArea => (6, 0, "return area"),
            Region::Exceptions => (7, 0, "exceptions"),
            Region::ImportedGlobals => (8, 0, "imported globals"),
            Region::Fuel => (9, 0, "fuel"),
            Region::Interrupt => (10, 0, "interrupt"),
            Region::Counters => (11, 0, "counters"),
        };
        let user_id = kind << 16 | index.min(MAX_INDEX);
        let regions = &mut self.builder.func.dfg.alias_regions;
        regions.insert(AliasRegionData { user_id, description: Cow::Borrowed(description) })
    }

    /// The address of something outside the function. It is a `func_addr` also where the name is that of data: of all
    /// references to names, Cranelift's inliner translates only functions.
    fn symbol(&mut self, name: Name) -> Value {
        let builder = &mut self.builder;
        let unused = || builder.import_signature(Signature::new(CallConv::Tail));
        let signature = *self.signatures.entry(SignatureKey::Unused).or_insert_with(unused);
        let function = self.function(name, signature);
        self.ins().func_addr(types::I64, function)
    }

    /// Traps where a condition is not zero.
    fn trap_if(&mut self, condition: Value, trap: Trap) {
        self.ins().trapnz(condition, trap_code(trap));
    }

    /// Ends the block at hand with a trap; what follows cannot be reached.
    fn trap(&mut self, trap: Trap) {
        self.ins().trap(trap_code(trap));
        self.set_unreachable();
    }
}

/// Our trap as Cranelift's trap code.
pub fn trap_code(trap: Trap) -> ir::TrapCode {
    ir::TrapCode::unwrap_user(trap as u8)
}

/// Cranelift's trap code as our trap; `None` for accesses to linear memory, whose faults need no entry.
pub fn trap_of(code: ir::TrapCode) -> Option<Trap> {
    match code {
        ir::TrapCode::STACK_OVERFLOW => Some(Trap::StackExhausted),
        ir::TrapCode::INTEGER_OVERFLOW => Some(Trap::IntegerOverflow),
        ir::TrapCode::INTEGER_DIVISION_BY_ZERO => Some(Trap::IntegerDivideByZero),
        ir::TrapCode::BAD_CONVERSION_TO_INTEGER => Some(Trap::InvalidConversionToInteger),
        ir::TrapCode::HEAP_OUT_OF_BOUNDS => None,
        code => Trap::from_u8(code.as_raw().get()),
    }
}
