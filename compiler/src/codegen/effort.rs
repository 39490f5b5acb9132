//! How much the code generator does for a function.
//!
//! Passes of Cranelift and its register allocator take more than linear time for some functions: those with very many
//! blocks, with blocks that very many others lead to, or with very deep loops. Such functions are rare and large, or made
//! to be expensive. They are compiled without the passes that take so long. The choice depends on the function alone: the
//! same input makes the same output.

use cranelift_codegen::ir::{Function, Inst};
use cranelift_entity::SecondaryMap;
use cranelift_entity::packed_option::PackedOption;

use crate::module::BodyFacts;
use crate::translate::Locals;

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// What the options ask for.
    Full,
    /// No optimisation, and registers are allocated in a single pass.
    Least,
}

/// Most edges between the basic blocks of a function that is optimised. The largest function of SQLite has 4,000.
const MAX_EDGES: u64 = 1 << 15;

/// Most pairs of edges that lead to the same block.
const MAX_EDGE_PAIRS: u64 = 1 << 26;

/// Sum over all operators of the loops that each lies in: so many, and more for each operator.
const BASE_NESTING: u64 = 1 << 20;
const NESTING_PER_OPERATOR: u64 = 32;

impl Effort {
    /// The effort for a function of the module, whose locals live there.
    pub(super) fn of_body(facts: &BodyFacts, locals: Locals, func: &Function) -> Self {
        let most_nesting = facts.operators.saturating_mul(NESTING_PER_OPERATOR).saturating_add(BASE_NESTING);
        if locals == Locals::Frame || facts.loop_nesting > most_nesting { Self::Least } else { Self::of(func) }
    }

    /// The effort for code without loops.
    pub(super) fn of(func: &Function) -> Self {
        let (edges, pairs) = edges(func);
        if edges > MAX_EDGES || pairs > MAX_EDGE_PAIRS { Self::Least } else { Self::Full }
    }
}

/// Number of edges between blocks, and number of pairs of those that lead to the same block.
fn edges(func: &Function) -> (u64, u64) {
    let dfg = &func.dfg;
    // How many edges lead to each block, and where the last of them is from: a branch may name a block more than once.
    let mut to: SecondaryMap<_, (u64, PackedOption<Inst>)> = SecondaryMap::with_capacity(dfg.num_blocks());
    for last in func.layout.blocks().filter_map(|block| func.layout.last_inst(block)) {
        for call in dfg.insts[last].branch_destination(&dfg.jump_tables, &dfg.exception_tables) {
            let (count, from) = &mut to[call.block(&dfg.value_lists)];
            if from.expand() != Some(last) {
                (*count, *from) = (*count + 1, last.into());
            }
        }
    }
    let counts = || to.values().map(|&(count, _)| count);
    (counts().sum(), counts().map(|count| count * count).sum())
}
