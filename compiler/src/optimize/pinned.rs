//! Where the pinned register is read: before a loop without calls instead of in it.
//!
//! Code of programs finds its context through the register and reads it once in each stretch of straight code
//! (`translate/shape.rs`). In a loop that would be a move in each round. A value that is read before the loop costs a
//! register for as long as the loop runs, and no more: a loop with calls keeps its own reads, because the value would
//! be saved and restored at each call. See docs/RATIONALE.md, "Why is the pinned register read so often?".

use cranelift_codegen::cursor::{Cursor as _, FuncCursor};
use cranelift_codegen::entity::SecondaryMap;
use cranelift_codegen::ir::{Block, Function, InstBuilder as _, Opcode, Value, types};

/// Moves reads of the register out of loops in which nothing can change it.
///
/// A loop is the blocks from its header to the last one that branches back to the header, in the order of the layout:
/// that is what translation makes of wasm, where the only way into a loop is through its header.
pub(super) fn place(func: &mut Function) {
    let Some(loops) = Loops::find(func) else { return };
    let mut from = 0;
    for (header, &end) in loops.ends.iter().enumerate().skip_while(|(_, end)| end.is_none()) {
        let (Some(end), true) = (end, header >= from) else { continue };
        if loops.changes.is_within(header, end) || !loops.reads.is_within(header, end) {
            continue;
        }
        let Some(value) = loops.entries[header].one().and_then(|entry| value_at_end(func, entry)) else { continue };
        for &block in &loops.blocks[header..=end] {
            replace_reads(func, block, value);
        }
        from = end + 1;
    }
}

/// The loops of a function. Blocks are known by their places in the layout.
struct Loops {
    blocks: Vec<Block>,
    /// For each header of a loop, its last block.
    ends: Vec<Option<usize>>,
    /// What branches to each block from before it.
    entries: Vec<Entry>,
    /// Blocks in which the register may change.
    changes: Count,
    /// Blocks that read the register.
    reads: Count,
}

/// The blocks that a block is entered from.
#[derive(Clone, Copy)]
enum Entry {
    None,
    One(Block),
    Several,
}

impl Entry {
    fn add(&mut self, block: Block) {
        *self = match self {
            Self::None => Self::One(block),
            Self::One(_) | Self::Several => Self::Several,
        };
    }

    fn one(self) -> Option<Block> {
        match self {
            Self::One(block) => Some(block),
            Self::None | Self::Several => None,
        }
    }
}

/// How many of the blocks up to each place are of a kind.
struct Count(Vec<u32>);

impl Count {
    /// Whether a block from `first` to `last` is of the kind.
    fn is_within(&self, first: usize, last: usize) -> bool {
        self.0[last + 1] > self.0[first]
    }

    fn push(&mut self, is_of_kind: bool) {
        let so_far = self.0.last().copied().unwrap_or(0);
        self.0.push(so_far + u32::from(is_of_kind));
    }
}

impl Loops {
    /// The loops of `func`, `None` where it has none.
    fn find(func: &Function) -> Option<Self> {
        let blocks: Vec<Block> = func.layout.blocks().collect();
        let mut places = SecondaryMap::with_capacity(blocks.len());
        for (place, &block) in blocks.iter().enumerate() {
            places[block] = place;
        }
        let leads_back = |(place, &block): (usize, &Block)| after(func, block).any(|to| places[to] <= place);
        blocks.iter().enumerate().any(leads_back).then(|| Self::of(func, blocks, &places))
    }

    fn of(func: &Function, blocks: Vec<Block>, places: &SecondaryMap<Block, usize>) -> Self {
        let mut ends = vec![None; blocks.len()];
        let mut entries = vec![Entry::None; blocks.len()];
        let (mut changes, mut reads) = (Count(vec![0]), Count(vec![0]));
        for (place, &block) in blocks.iter().enumerate() {
            for to in after(func, block) {
                match places[to] {
                    to if to <= place => ends[to] = Some(place),
                    to => entries[to].add(block),
                }
            }
            let opcodes = || func.layout.block_insts(block).map(|inst| func.dfg.insts[inst].opcode());
            changes.push(opcodes().any(may_change));
            reads.push(opcodes().any(|opcode| opcode == Opcode::GetPinnedReg));
        }
        Self { blocks, ends, entries, changes, reads }
    }
}

/// The blocks that a block may branch to.
fn after(func: &Function, block: Block) -> impl Iterator<Item = Block> + '_ {
    let dfg = &func.dfg;
    let last = func.layout.last_inst(block).map(|inst| &dfg.insts[inst]);
    let calls = last.into_iter().flat_map(|inst| inst.branch_destination(&dfg.jump_tables, &dfg.exception_tables));
    calls.map(|call| call.block(&dfg.value_lists))
}

/// Whether the register may have another value behind such an instruction, or a value that is read before it would have
/// to be saved. Tail calls leave the function.
fn may_change(opcode: Opcode) -> bool {
    opcode == Opcode::SetPinnedReg || opcode.is_call() && !opcode.is_return()
}

/// The register's value at the end of a block: that of a read in it, or of a new one. `None` where the block ends with
/// a call.
fn value_at_end(func: &mut Function, block: Block) -> Option<Value> {
    let last = func.layout.last_inst(block).filter(|&inst| !may_change(func.dfg.insts[inst].opcode()))?;
    let mut inst = Some(last);
    while let Some(here) = inst.filter(|&inst| !may_change(func.dfg.insts[inst].opcode())) {
        if func.dfg.insts[here].opcode() == Opcode::GetPinnedReg {
            return Some(func.dfg.first_result(here));
        }
        inst = func.layout.prev_inst(here);
    }
    Some(FuncCursor::new(func).at_inst(last).ins().get_pinned_reg(types::I64))
}

/// Lets uses of what a block reads use `value`.
fn replace_reads(func: &mut Function, block: Block, value: Value) {
    let mut next = func.layout.first_inst(block);
    while let Some(inst) = next {
        next = func.layout.next_inst(inst);
        if func.dfg.insts[inst].opcode() == Opcode::GetPinnedReg {
            let read = func.dfg.first_result(inst);
            func.dfg.clear_results(inst);
            func.dfg.change_to_alias(read, value);
            func.layout.remove_inst(inst);
        }
    }
}

#[cfg(test)]
mod tests {
    use cranelift_codegen::ir::{AbiParam, ExtFuncData, ExternalName, Inst, MemFlagsData, Signature, UserFuncName};
    use cranelift_codegen::isa::{self, CallConv, TargetFrontendConfig};
    use cranelift_codegen::settings::{self, Configurable as _};
    use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
    use target_lexicon::{PointerWidth, Triple};

    use super::*;

    /// What a block of a function does, with the register and in the end.
    #[derive(Clone, Copy)]
    enum Do {
        Read,
        Set,
        Call,
        Jump(usize),
        Branch(usize, usize),
        Return,
    }
    use Do::*;

    fn function(blocks: &[&[Do]]) -> Function {
        let mut func = Function::with_name_signature(UserFuncName::default(), Signature::new(CallConv::Tail));
        func.signature.params.push(AbiParam::new(types::I64));
        let mut context = FunctionBuilderContext::new();
        let mut b = FunctionBuilder::new(&mut func, &mut context);
        let signature = b.import_signature(Signature::new(CallConv::Tail));
        let name = ExternalName::testcase("callee");
        let callee = b.import_function(ExtFuncData { name, signature, colocated: true, patchable: false });
        let list: Vec<Block> = blocks.iter().map(|_| b.create_block()).collect();
        b.append_block_params_for_function_params(list[0]);
        let param = b.block_params(list[0])[0];
        for (&block, actions) in list.iter().zip(blocks) {
            b.switch_to_block(block);
            for action in *actions {
                match *action {
                    Read => {
                        let value = b.ins().get_pinned_reg(types::I64);
                        b.ins().store(MemFlagsData::trusted(), value, value, 0);
                    }
                    Set => _ = b.ins().set_pinned_reg(param),
                    Call => _ = b.ins().call(callee, &[]),
                    Jump(to) => _ = b.ins().jump(list[to], &[]),
                    Branch(yes, no) => _ = b.ins().brif(param, list[yes], &[], list[no], &[]),
                    Return => _ = b.ins().return_(&[]),
                }
            }
        }
        b.seal_all_blocks();
        b.finalize(TargetFrontendConfig {
            default_call_conv: CallConv::SystemV,
            pointer_width: PointerWidth::U64,
            page_size_align_log2: 12,
        });
        func
    }

    /// How often each block reads the register behind the pass.
    fn reads(blocks: &[&[Do]]) -> Vec<usize> {
        let mut func = function(blocks);
        place(&mut func);
        let mut flags = settings::builder();
        flags.enable("enable_pinned_reg").unwrap();
        let isa = isa::lookup(Triple::host()).unwrap().finish(settings::Flags::new(flags)).unwrap();
        cranelift_codegen::verify_function(&func, &*isa).unwrap_or_else(|e| panic!("{e}\n{}", func.display()));
        let is_read = |inst: &Inst| func.dfg.insts[*inst].opcode() == Opcode::GetPinnedReg;
        func.layout.blocks().map(|block| func.layout.block_insts(block).filter(is_read).count()).collect()
    }

    #[test]
    fn a_loop_without_calls_is_left_by_its_reads() {
        assert_eq!(reads(&[&[Jump(1)], &[Read, Branch(1, 2)], &[Return]]), [1, 0, 0]);
        // With a read before it, which is used.
        assert_eq!(reads(&[&[Read, Jump(1)], &[Read, Branch(1, 2)], &[Read, Return]]), [1, 0, 1]);
        // Of several blocks; a tail call or a return leaves the loop.
        let blocks: [&[Do]; 5] = [&[Jump(1)], &[Read, Branch(2, 3)], &[Return], &[Read, Branch(1, 4)], &[Return]];
        assert_eq!(reads(&blocks), [1, 0, 0, 0, 0]);
    }

    #[test]
    fn a_loop_with_calls_keeps_its_reads() {
        assert_eq!(reads(&[&[Jump(1)], &[Read, Call, Branch(1, 2)], &[Return]]), [0, 1, 0]);
        assert_eq!(reads(&[&[Jump(1)], &[Read, Set, Branch(1, 2)], &[Return]]), [0, 1, 0]);
    }

    #[test]
    fn the_outermost_loop_without_calls_counts() {
        let nested = |outer| reads(&[&[Jump(1)], outer, &[Read, Branch(2, 3)], &[Branch(1, 4)], &[Return]]);
        assert_eq!(nested(&[Jump(2)]), [1, 0, 0, 0, 0]);
        assert_eq!(nested(&[Read, Call, Jump(2)]), [0, 2, 0, 0, 0]);
    }

    #[test]
    fn a_read_before_a_change_is_another_value() {
        assert_eq!(reads(&[&[Read, Set, Jump(1)], &[Read, Branch(1, 2)], &[Return]]), [2, 0, 0]);
        assert_eq!(reads(&[&[Read, Call, Jump(1)], &[Read, Branch(1, 2)], &[Return]]), [2, 0, 0]);
    }

    #[test]
    fn a_loop_that_is_entered_from_two_sides_keeps_its_reads() {
        let blocks: [&[Do]; 4] = [&[Branch(1, 2)], &[Jump(2)], &[Read, Branch(2, 3)], &[Return]];
        assert_eq!(reads(&blocks), [0, 0, 1, 0]);
    }
}
