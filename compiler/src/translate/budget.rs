//! How many values the locals of a function may make.
//!
//! As variables, locals become block parameters wherever control flow joins: up to one for each pair of a local and a
//! block. So a function could cost the square of its length, in time and memory. Functions that come near that are rare
//! and large, or made to be expensive: their locals lie in the frame, as compilers do it that do not optimise. The choice
//! depends on the function alone: the same input makes the same output.

use cranelift_codegen::ir::Function;

use crate::module::Body;

/// Most pairs of a local and a block: the table of definitions has an entry of four bytes for each.
const MAX_LOCAL_BLOCKS: u64 = 16 << 20;

/// Values that a function may have, and arguments that its branches may take along: so many, and more for each byte of
/// its body. Programs have less than two for each byte.
const BASE_VALUES: usize = 1 << 15;
const VALUES_PER_BYTE: usize = 8;

/// Pairs of parameters of the same block: so many, and more for each byte of its body. Moves between many locations at
/// once take time for each pair.
const BASE_PARAM_PAIRS: usize = 1 << 22;
const PARAM_PAIRS_PER_BYTE: usize = 64;

/// Whether locals may be variables, as far as that can be told before anything is translated.
pub(super) fn may_use_variables(body: &Body<'_>) -> bool {
    body.facts.locals_accessed.saturating_mul(body.facts.blocks) <= MAX_LOCAL_BLOCKS
}

/// Most values of a function whose locals are variables.
pub(super) fn most_values(body: &Body<'_>) -> usize {
    body.range.len().saturating_mul(VALUES_PER_BYTE).saturating_add(BASE_VALUES)
}

/// Whether blocks of a function have too many parameters, or branches take too many values along.
pub(super) fn exceeds_joins(body: &Body<'_>, func: &Function) -> bool {
    let dfg = &func.dfg;
    let (mut arguments, mut pairs) = (0, 0);
    for block in func.layout.blocks() {
        let params = dfg.num_block_params(block);
        pairs += params * params;
        let Some(last) = func.layout.last_inst(block) else { continue };
        let calls = dfg.insts[last].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
        arguments += calls.iter().map(|call| call.len(&dfg.value_lists)).sum::<usize>();
    }
    let most_pairs = body.range.len().saturating_mul(PARAM_PAIRS_PER_BYTE).saturating_add(BASE_PARAM_PAIRS);
    arguments > most_values(body) || pairs > most_pairs
}
