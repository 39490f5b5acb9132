//! What innermost loops compute again and again, put in front of them: between Cranelift's optimiser and its selection of
//! instructions.
//!
//! Cranelift's optimiser moves code out of loops, but puts an operation with a constant back into each block that uses
//! its result, so that values live short; and an index of 32 bits is extended at each access. Both cost a third of the
//! instructions in a loop that does little else. Here they leave the loops that have no others in them and no calls,
//! where a value that is computed in front lives no longer than the loop. Loops that look for a byte skip many ([`scan`]).

mod hoist;
mod scan;
mod widen;

use cranelift_codegen::Context;
use cranelift_codegen::entity::{EntitySet, SecondaryMap};
use cranelift_codegen::ir::{Block, Function, Inst, Opcode, Value, ValueDef};
use cranelift_codegen::loop_analysis::{Loop as LoopId, LoopAnalysis};

use crate::translate::is_pause;

/// What is done with loops.
#[derive(Clone, Copy)]
pub struct Improvements {
    /// See [`crate::options::Options::loops`].
    pub loops: bool,
    /// See [`crate::options::Options::byte_scans`].
    pub byte_scans: bool,
}

/// Improves the loops of a function that is optimised.
pub(super) fn improve(context: &mut Context, improvements: Improvements) {
    if context.loop_analysis.loops().next().is_none() {
        return;
    }
    // Cranelift's optimiser took branches away since it looked for loops.
    context.compute_loop_analysis();
    let Context { func, cfg, loop_analysis: analysis, .. } = context;
    let values = func.dfg.num_values();
    let mut skips = false;
    for (id, blocks) in innermost(func, analysis) {
        let header = analysis.loop_header(id);
        let is_inside = |block| analysis.innermost_loop(block) == Some(id);
        let mut entries = cfg.pred_iter(header).filter(|from| !is_inside(from.block));
        let (Some(entry), None) = (entries.next(), entries.next()) else { continue };
        if calls(func, &blocks) || !is_plain_branch(func, entry.inst) {
            continue;
        }
        let branches = cfg.pred_iter(header).map(|from| from.inst).collect();
        let mut found = Loop { func, analysis, id, blocks, header, entry: entry.inst, branches };
        if improvements.loops {
            found.hoist();
            found.widen();
        }
        skips |= improvements.byte_scans && found.scan();
    }
    if func.dfg.num_values() != values {
        func.dfg.resolve_all_aliases();
    }
    if skips {
        context.flowgraph();
    }
}

/// A loop without calls and without loops in it, which is entered from one block.
struct Loop<'a> {
    func: &'a mut Function,
    analysis: &'a LoopAnalysis,
    id: LoopId,
    blocks: Vec<Block>,
    header: Block,
    /// The branch that enters it.
    entry: Inst,
    /// All branches to its header.
    branches: Vec<Inst>,
}

impl Loop<'_> {
    /// Whether a value is computed before the loop.
    fn is_outside(&self, value: Value) -> bool {
        let block = match self.func.dfg.value_def(value) {
            ValueDef::Result(inst, _) => self.func.layout.inst_block(inst),
            ValueDef::Param(block, _) => Some(block),
            ValueDef::Union(..) => None,
        };
        block.is_some_and(|block| self.analysis.innermost_loop(block) != Some(self.id))
    }

    /// The instructions in it.
    fn instructions(&self) -> impl Iterator<Item = Inst> + '_ {
        self.blocks.iter().flat_map(|&block| self.func.layout.block_insts(block))
    }

    /// Takes an instruction out; `value` is what it would compute.
    fn replace(&mut self, inst: Inst, value: Value) {
        let result = self.func.dfg.first_result(inst);
        self.func.dfg.clear_results(inst);
        self.func.dfg.change_to_alias(result, value);
        self.func.layout.remove_inst(inst);
    }
}

/// The loops that have no others in them, each with its blocks.
fn innermost(func: &Function, analysis: &LoopAnalysis) -> Vec<(LoopId, Vec<Block>)> {
    let mut outer = EntitySet::new();
    for parent in analysis.loops().filter_map(|id| analysis.loop_parent(id)) {
        outer.insert(parent);
    }
    let mut blocks: SecondaryMap<LoopId, Vec<Block>> = SecondaryMap::new();
    for block in func.layout.blocks() {
        if let Some(id) = analysis.innermost_loop(block).filter(|&id| !outer.contains(id)) {
            blocks[id].push(block);
        }
    }
    analysis.loops().filter(|&id| !outer.contains(id)).map(|id| (id, std::mem::take(&mut blocks[id]))).collect()
}

/// Whether blocks have calls, which no value should be kept in a register for. A tail call leaves the loop, and what keeps all
/// registers counts as no call.
fn calls(func: &Function, blocks: &[Block]) -> bool {
    let mut insts = blocks.iter().flat_map(|&block| func.layout.block_insts(block));
    insts.any(|inst| {
        let opcode = func.dfg.insts[inst].opcode();
        opcode == Opcode::SetPinnedReg || opcode.is_call() && !opcode.is_return() && !is_pause(func, inst)
    })
}

/// Whether an instruction is a branch that does nothing else, so that code in front of it is code before the loop.
fn is_plain_branch(func: &Function, inst: Inst) -> bool {
    matches!(func.dfg.insts[inst].opcode(), Opcode::Jump | Opcode::Brif | Opcode::BrTable)
}
