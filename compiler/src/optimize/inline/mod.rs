//! Inlining: bodies of small functions in the place of calls.
//!
//! Which functions may be small enough is known from the module. They are translated first and inlined into one another
//! bottom-up, in [`Bodies::new`]. Then each function of the program takes the bodies that it wants
//! ([`Bodies::inline_into`]) and is compiled, those of the bodies last that something still refers to. What comes out
//! depends on the program alone, not on the order in which threads come to functions.
//!
//! A body is inlined only where that is sure to change nothing but time. It is not where
//!
//! * caller and callee are of different instances, because of the pinned register (`translate/crossing.rs`);
//! * the callee has a tail call, which would become a call;
//! * the callee has handlers of exceptions, or calls the runtime from a place that the caller has handlers for: only
//!   calls under the `tail` convention can have handlers;
//! * the callee never returns: it ends the program, which is rare, and its name belongs into the backtrace;
//! * the callee has a large frame, which recursion through the caller would repeat;
//! * the caller is one of those that are not optimised (`codegen/effort.rs`), or would become one.

pub(crate) mod order;
mod unroll;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::mem;

use cranelift_codegen::Context;
use cranelift_codegen::inline::{Inline, InlineCommand};
use cranelift_codegen::ir::{FuncRef, Function, Inst, InstructionData, Opcode, SourceLoc, Value};
use cranelift_codegen::isa::CallConv;

use super::calls;
use crate::error::{Error, Result};
use crate::module::BodyFacts;
use crate::options::{OptLevel, Options};
use crate::parallel;
use crate::profile::Guide;
use crate::program::{FuncId, Piece, Program};
use crate::progress::NoProgress;
use crate::translate::{Clif, Locals, is_pause};

/// What is small enough, in instructions of CLIF.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// A body that is inlined, with what was inlined into it.
    body: usize,
    /// The same where a profile says that the call is made often.
    hot_body: usize,
    /// The same where a profile says that the call is never made.
    unused_body: usize,
    /// A function that calls itself and is inlined into itself; how large it may become.
    recursive: usize,
    unrolled: usize,
}

/// Instructions that a caller may grow by in any case; beyond, by its own size.
const LEAST_GROWTH: usize = 400;

/// What a call and its arguments take, about.
const CALL_SIZE: usize = 6;

/// Most bytes of stack slots of a body.
const MAX_SLOT_BYTES: u32 = 128;

/// Most loops, on average, that the operators of a caller lie in: a quarter of what `codegen/effort.rs` allows.
const MAX_AVERAGE_NESTING: u64 = 8;

impl Limits {
    /// The limits that options ask for.
    pub fn of(options: &Options) -> Self {
        match options.opt_level {
            // What is inlined has the position of the call: see docs/RATIONALE.md.
            _ if !options.inlining || options.debug_info && !options.strip => Self::default(),
            OptLevel::Speed => Self { body: 20, hot_body: 100, unused_body: CALL_SIZE, recursive: 100, unrolled: 400 },
            OptLevel::Size => Self { body: CALL_SIZE, hot_body: 20, unused_body: CALL_SIZE, recursive: 0, unrolled: 0 },
            OptLevel::None => Self::default(),
        }
    }

    /// The largest body of a function that any call is replaced by.
    fn of_body(&self, id: FuncId, guide: Option<&Guide>) -> usize {
        self.of_calls(guide, guide.and_then(|guide| guide.function(id)).map(|guided| guided.calls))
    }

    /// The same for a call that is made so often, where that is known.
    fn of_calls(&self, guide: Option<&Guide>, count: Option<u64>) -> usize {
        match count.zip(guide) {
            Some((0, _)) => self.unused_body,
            Some((count, guide)) if guide.is_hot(count) => self.hot_body,
            _ => self.body,
        }
    }
}

/// The bodies of small functions.
pub struct Bodies<'a> {
    program: &'a Program<'a>,
    limits: Limits,
    guide: Option<&'a Guide>,
    bodies: HashMap<FuncId, Body>,
}

/// A body for callers to take.
struct Body {
    clif: Box<Clif>,
    size: usize,
    /// All calls in it can be given handlers.
    may_have_handlers: bool,
}

/// The functions that may be small enough, by their number of operators, and that are called.
pub fn candidates(program: &Program<'_>, limits: Limits, guide: Option<&Guide>) -> Vec<FuncId> {
    let is_small =
        |&id: &FuncId| facts(program, id).is_some_and(|facts| facts.operators <= 2 * limits.of_body(id, guide) as u64);
    let called: HashSet<FuncId> = program.functions.ids().flat_map(|id| callees(program, id)).collect();
    program.functions.ids().filter(|id| called.contains(id)).filter(is_small).collect()
}

/// The functions of its own instance that a function calls, with repetitions.
pub fn callees(program: &Program<'_>, id: FuncId) -> Vec<FuncId> {
    let Piece::Function(instance, _) = program.functions.piece(id) else { return Vec::new() };
    let module = &program.instances[instance].module;
    let calls = facts(program, id).into_iter().flat_map(|facts| &facts.calls);
    let defined = calls.filter_map(|&func| module.defined_func(func));
    defined.filter_map(|func| program.functions.id(Piece::Function(instance, func))).collect()
}

/// Where in the body of a function an operator lies; `None` for one of another function.
fn offset_in_body(program: &Program<'_>, id: FuncId, position: SourceLoc) -> Option<usize> {
    let Piece::Function(instance, func) = program.functions.piece(id) else { return None };
    let range = &program.instances[instance].module.bodies[func].range;
    let position = position.bits() as usize;
    range.contains(&position).then(|| position - range.start)
}

fn facts<'a>(program: &'a Program<'_>, id: FuncId) -> Option<&'a BodyFacts> {
    match program.functions.piece(id) {
        Piece::Function(instance, defined) => Some(&program.instances[instance].module.bodies[defined].facts),
        _ => None,
    }
}

impl<'a> Bodies<'a> {
    /// Inlines candidates into one another, bottom-up. The second result are those that nobody can take.
    pub fn new(
        program: &'a Program<'a>,
        limits: Limits,
        guide: Option<&'a Guide>,
        candidates: Vec<Box<Clif>>,
    ) -> Result<(Self, Vec<Box<Clif>>)> {
        let places: HashMap<FuncId, usize> = candidates.iter().enumerate().map(|(i, clif)| (clif.id, i)).collect();
        let callees: Vec<Vec<usize>> = candidates
            .iter()
            .map(|clif| calls::callees(&clif.func).filter_map(|id| places.get(&id).copied()).collect())
            .collect();
        let mut candidates: Vec<Option<Box<Clif>>> = candidates.into_iter().map(Some).collect();
        let mut bodies = Self { program, limits, guide, bodies: HashMap::new() };
        let mut others = Vec::new();
        for level in order::levels(&callees) {
            let level: Vec<Box<Clif>> = level.into_iter().filter_map(|i| candidates[i].take()).collect();
            let done = parallel::map(
                level,
                |clif| clif.func.dfg.num_insts(),
                &NoProgress,
                |mut clif| {
                    bodies.take_bodies(&mut clif)?;
                    Ok(clif)
                },
            )?;
            for clif in done {
                let largest = limits.of_body(clif.id, guide);
                match Body::of(clif, largest) {
                    Ok(body) => {
                        bodies.bodies.insert(body.clif.id, body);
                    }
                    Err(clif) => others.push(clif),
                }
            }
        }
        Ok((bodies, others))
    }

    /// Puts bodies in the place of calls, of the function itself as well.
    pub fn inline_into(&self, clif: &mut Clif) -> Result<()> {
        self.take_bodies(clif)?;
        unroll::unroll(clif, self.limits)
    }

    /// Whether somebody can take the body of this function.
    pub fn has(&self, id: FuncId) -> bool {
        self.bodies.contains_key(&id)
    }

    /// The functions whose bodies others can take, each with those that its body refers to.
    pub fn referred(&self) -> impl Iterator<Item = (FuncId, Vec<FuncId>)> {
        self.bodies.values().map(|body| (body.clif.id, calls::callees(&body.clif.func).collect()))
    }

    /// Takes out these functions. Nobody takes their bodies any more.
    pub fn take(mut self, ids: &[FuncId]) -> (Self, Vec<Box<Clif>>) {
        let taken = ids.iter().filter_map(|id| self.bodies.remove(id)).map(|body| body.clif).collect();
        self.bodies.clear();
        (self, taken)
    }

    /// Takes out the functions whose code is needed, because `referred` names them or one of them refers to another, in
    /// order. So bodies that were inlined everywhere are not compiled.
    pub fn take_needed(&mut self, referred: impl Iterator<Item = FuncId>) -> Vec<Box<Clif>> {
        let mut queue: Vec<FuncId> = self.program.roots().chain(referred).collect();
        let mut needed = Vec::new();
        while let Some(id) = queue.pop() {
            if let Some(body) = self.bodies.remove(&id) {
                queue.extend(calls::callees(&body.clif.func));
                needed.push(body.clif);
            }
        }
        needed.sort_unstable_by_key(|clif| clif.id);
        self.bodies.clear();
        needed
    }

    fn take_bodies(&self, clif: &mut Clif) -> Result<()> {
        let Piece::Function(..) = self.program.functions.piece(clif.id) else { return Ok(()) };
        let is_deep = facts(self.program, clif.id)
            .is_some_and(|facts| facts.loop_nesting > facts.operators.saturating_mul(MAX_AVERAGE_NESTING));
        if clif.locals == Locals::Frame || is_deep {
            return Ok(());
        }
        let room = size(&clif.func).max(LEAST_GROWTH);
        let mut taking = Taking { bodies: self, caller: clif.id, room };
        inline(clif, &mut |func, inst, opcode, callee| taking.choose(func, inst, opcode, callee))
    }
}

/// Which body is to take the place of a call in a function, if any.
type Choice<'a> = dyn FnMut(&Function, Inst, Opcode, FuncRef) -> Option<&'a Clif> + 'a;

/// Runs Cranelift's inliner on a function: `choose` has the body that a call is to be replaced by.
fn inline<'a>(clif: &mut Clif, choose: &mut Choice<'a>) -> Result<()> {
    let mut context = Context::for_function(mem::replace(&mut *clif.func, Function::new()));
    let mut replacing = Replacing { choose, calls: Vec::new() };
    let result = context.inline(&mut replacing);
    *clif.func = context.func;
    for (first, call, body) in replacing.calls {
        clif.origins.add(&mut clif.func, first, call, (body.id, &body.func, &body.origins));
    }
    result.map(drop).map_err(|e| match e {
        cranelift_codegen::CodegenError::ImplLimitExceeded => {
            Error::input("the function exceeds a limit of the code generator")
        }
        e => Error::internal(format!("inlining failed: {e}")),
    })
}

/// Number of instructions. What is executed where the host lets the code wait counts for nothing.
fn size(func: &Function) -> usize {
    let pauses = |block| func.layout.is_cold(block) && func.layout.block_insts(block).any(|inst| is_pause(func, inst));
    let blocks = func.layout.blocks().filter(|&block| !pauses(block));
    blocks.map(|block| func.layout.block_insts(block).count()).sum()
}

/// A function that takes bodies.
struct Taking<'a> {
    bodies: &'a Bodies<'a>,
    caller: FuncId,
    /// Instructions that it may still grow by.
    room: usize,
}

/// A run of the inliner.
struct Replacing<'c, 'a> {
    choose: &'c mut Choice<'a>,
    /// For each call that was replaced, the number of the first instruction of the body, the call's position, and whose
    /// body it is. Bodies are copied one after the other.
    calls: Vec<(usize, SourceLoc, &'a Clif)>,
}

impl Inline for Replacing<'_, '_> {
    fn inline(
        &mut self,
        func: &Function,
        inst: Inst,
        opcode: Opcode,
        callee: FuncRef,
        _: &[Value],
    ) -> InlineCommand<'_> {
        match (self.choose)(func, inst, opcode, callee) {
            Some(body) => {
                self.calls.push((func.dfg.num_insts(), func.srcloc(inst), body));
                InlineCommand::Inline { callee: Cow::Borrowed(&body.func), visit_callee: false }
            }
            None => InlineCommand::KeepCall,
        }
    }
}

impl<'a> Taking<'a> {
    /// The body that is to take the place of a call.
    fn choose(&mut self, func: &Function, inst: Inst, opcode: Opcode, callee: FuncRef) -> Option<&'a Clif> {
        let body = self.bodies.bodies.get(&calls::function(func, callee)?)?;
        let is_wanted = self.wants(func, inst, opcode, body);
        is_wanted.then(|| {
            self.room -= body.size;
            &*body.clif
        })
    }

    /// The largest body for the call `inst`: as often as the call is made, as large may it be.
    fn largest_at(&self, func: &Function, inst: Inst) -> usize {
        let Bodies { program, limits, guide, .. } = self.bodies;
        let guided = guide.and_then(|guide| guide.function(self.caller));
        let offset = offset_in_body(program, self.caller, func.srcloc(inst));
        limits.of_calls(*guide, guided.zip(offset).map(|(guided, offset)| guided.count_at(offset)))
    }

    fn wants(&self, func: &Function, inst: Inst, opcode: Opcode, body: &Body) -> bool {
        let instance = |id| self.bodies.program.functions.piece(id).instance();
        body.size <= self.room.min(self.largest_at(func, inst))
            && instance(body.clif.id) == instance(self.caller)
            && (opcode != Opcode::TryCall || body.may_have_handlers)
            && !is_rare(func, inst)
    }
}

/// Whether an instruction is in code that is marked as hardly ever executed.
fn is_rare(func: &Function, inst: Inst) -> bool {
    func.layout.inst_block(inst).is_some_and(|block| func.layout.is_cold(block))
}

impl Body {
    /// The body of a function, or the function where it is not fit for inlining.
    fn of(clif: Box<Clif>, largest: usize) -> std::result::Result<Self, Box<Clif>> {
        let func = &clif.func;
        let size = size(func);
        let slots: u32 = func.sized_stack_slots.values().map(|slot| slot.size).sum();
        if size > largest || slots > MAX_SLOT_BYTES || clif.locals == Locals::Frame {
            return Err(clif);
        }
        let (mut may_have_handlers, mut returns) = (true, false);
        for inst in func.layout.blocks().flat_map(|block| func.layout.block_insts(block)) {
            let signature = match func.dfg.insts[inst] {
                InstructionData::Call { opcode: Opcode::Call, func_ref, .. } => func.dfg.ext_funcs[func_ref].signature,
                InstructionData::CallIndirect { opcode: Opcode::CallIndirect, sig_ref, .. } => sig_ref,
                _ => match func.dfg.insts[inst].opcode() {
                    Opcode::Return => {
                        returns = true;
                        continue;
                    }
                    opcode if opcode.is_call() => return Err(clif),
                    _ => continue,
                },
            };
            may_have_handlers &= func.dfg.signatures[signature].call_conv == CallConv::Tail;
        }
        if !returns {
            return Err(clif);
        }
        Ok(Self { clif, size, may_have_handlers })
    }
}
