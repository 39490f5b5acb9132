//! What changes from round to round, has 32 bits and is used as a part of addresses, is kept as 64 bits.
//!
//! An instruction of 32 bits makes the rest of its register zero, so that the extension costs nothing behind it. But a
//! value that a loop hands on to itself is not known to come from such an instruction, and is extended with a move at
//! each access.

use cranelift_codegen::cursor::{Cursor as _, FuncCursor};
use cranelift_codegen::ir::{BlockArg, Inst, InstBuilder as _, InstructionData, Opcode, Value, types};

use super::{Loop, is_plain_branch};

impl Loop<'_> {
    pub(super) fn widen(&mut self) {
        if !self.branches.iter().all(|&branch| is_plain_branch(self.func, branch)) {
            return;
        }
        for index in 0..self.func.dfg.num_block_params(self.header) {
            let param = self.func.dfg.block_params(self.header)[index];
            let extensions: Vec<Inst> = self.instructions().filter(|&inst| self.extends(inst, param)).collect();
            if extensions.is_empty() {
                continue;
            }
            let wide = self.func.dfg.replace_block_param(param, types::I64);
            let mut cursor = FuncCursor::new(self.func).at_first_inst(self.header);
            let narrow = cursor.ins().ireduce(types::I32, wide);
            self.func.dfg.change_to_alias(param, narrow);
            for inst in extensions {
                self.replace(inst, wide);
            }
            for branch in self.branches.clone() {
                self.extend_argument(branch, index);
            }
        }
    }

    /// Whether an instruction makes 64 bits of the 32 of a parameter.
    fn extends(&self, inst: Inst, param: Value) -> bool {
        let dfg = &self.func.dfg;
        matches!(dfg.insts[inst], InstructionData::Unary { opcode: Opcode::Uextend, arg }
            if dfg.resolve_aliases(arg) == param && dfg.value_type(param) == types::I32)
            && dfg.value_type(dfg.first_result(inst)) == types::I64
    }

    /// Lets a branch hand on 64 bits as an argument for the header.
    fn extend_argument(&mut self, branch: Inst, index: usize) {
        let header = self.header;
        let dfg = &self.func.dfg;
        let calls = dfg.insts[branch].branch_destination(&dfg.jump_tables, &dfg.exception_tables);
        let to_header = calls.iter().filter(|call| call.block(&dfg.value_lists) == header);
        let narrow: Vec<Value> =
            to_header.filter_map(|call| call.args(&dfg.value_lists).nth(index)?.as_value()).collect();
        let mut cursor = FuncCursor::new(self.func).at_inst(branch);
        let mut wide =
            narrow.into_iter().map(|value| cursor.ins().uextend(types::I64, value)).collect::<Vec<_>>().into_iter();
        let dfg = &mut self.func.dfg;
        let calls = dfg.insts[branch].branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
        for call in calls {
            if call.block(&dfg.value_lists) != header {
                continue;
            }
            let mut at = 0..;
            call.update_args(&mut dfg.value_lists, |argument| match at.next() {
                Some(place) if place == index => wide.next().map_or(argument, BlockArg::Value),
                _ => argument,
            });
        }
    }
}
