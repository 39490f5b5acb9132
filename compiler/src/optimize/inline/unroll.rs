//! Recursion, a few levels of it in one frame: a small function that calls itself is inlined into itself.

use cranelift_codegen::ir::{Function, Inst, InstructionData, Opcode};

use super::{Limits, inline, is_rare, size};
use crate::error::Result;
use crate::optimize::calls;
use crate::program::FuncId;
use crate::translate::{Clif, Locals};

/// Levels of recursion that are put into one frame, at most.
const MAX_LEVELS: usize = 3;

/// Puts copies of a function in the place of the calls of itself, and again in the copies, while there is room.
pub(super) fn unroll(clif: &mut Clif, limits: Limits) -> Result<()> {
    let once = size(&clif.func);
    if once > limits.recursive || clif.locals == Locals::Frame || !is_simple(clif) {
        return Ok(());
    }
    let original = clif.clone();
    let id = clif.id;
    for _ in 0..MAX_LEVELS {
        let calls = instructions(&clif.func).filter(|&inst| calls_itself(&clif.func, inst, id)).count();
        if calls == 0 || size(&clif.func) + calls * once > limits.unrolled {
            break;
        }
        inline(clif, &mut |func, inst, _, _| calls_itself(func, inst, id).then_some(&original))?;
    }
    Ok(())
}

fn instructions(func: &Function) -> impl Iterator<Item = Inst> + '_ {
    func.layout.blocks().flat_map(|block| func.layout.block_insts(block))
}

/// Whether an instruction is a call of the function itself that a copy may stand for.
fn calls_itself(func: &Function, inst: Inst, id: FuncId) -> bool {
    match func.dfg.insts[inst] {
        InstructionData::Call { opcode: Opcode::Call, func_ref, .. } => {
            calls::function(func, func_ref) == Some(id) && !is_rare(func, inst)
        }
        _ => false,
    }
}

/// Whether the function calls itself, and has nothing that a copy in a frame of another function would change.
fn is_simple(clif: &Clif) -> bool {
    let func = &clif.func;
    let is_plain = |inst| {
        let data = &func.dfg.insts[inst];
        !data.opcode().is_call() || matches!(data.opcode(), Opcode::Call | Opcode::CallIndirect)
    };
    instructions(func).any(|inst| calls_itself(func, inst, clif.id))
        && instructions(func).all(is_plain)
        && func.sized_stack_slots.is_empty()
}
