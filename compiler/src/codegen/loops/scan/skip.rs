//! The code that skips rounds of a loop that looks at bytes. In front of each round but the first it tests where the next
//! byte lies. At a multiple of sixteen it goes on sixteen bytes at a time, and at last by as many as come before the byte
//! that ends the loop.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::cursor::{Cursor as _, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    Block, BlockArg, Inst, InstBuilder as _, InstructionData, MemFlagsData, Opcode, Type, Value, types,
};

use super::{Extended, Loop, Scan, Step, Test};

/// How many bytes are loaded at once.
const BYTES: i64 = 16;

/// The smallest page of any system, in bytes.
const PAGE_BYTES: i64 = 4096;

impl Loop<'_> {
    /// Puts the code in front of rounds.
    pub(super) fn skip(&mut self, scan: &Scan) {
        let Some(latch) = self.func.layout.inst_block(scan.latch) else { return };
        let test = self.func.dfg.make_block();
        self.func.layout.insert_block_after(test, latch);
        self.redirect(scan.latch, test);
        let inside = self.instructions().collect();
        let (header, cursor) = (self.header, FuncCursor::new(self.func));
        let mut code = Skipping { scan, header, inside, cursor, last: test, known: HashMap::new() };
        let round = code.test(test);
        code.round(round);
    }

    /// Lets a branch to the header go to another block.
    fn redirect(&mut self, branch: Inst, to: Block) {
        let (header, dfg) = (self.header, &mut self.func.dfg);
        for call in dfg.insts[branch].branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables) {
            if call.block(&dfg.value_lists) == header {
                call.set_block(to, &mut dfg.value_lists);
            }
        }
    }
}

/// Code while it is written.
struct Skipping<'s, 'f> {
    scan: &'s Scan,
    header: Block,
    /// The instructions of the loop.
    inside: HashSet<Inst>,
    cursor: FuncCursor<'f>,
    /// The last block of this code.
    last: Block,
    /// For values of the loop, what they are at the start of a round, in the block at hand.
    known: HashMap<Value, Value>,
}

impl Skipping<'_, '_> {
    /// Goes on in a block with the parameters of the header, which it returns.
    fn begin_round(&mut self, block: Block) -> Vec<Value> {
        self.cursor.goto_bottom(block);
        self.known.clear();
        for param in self.cursor.func.dfg.block_params(self.header).to_vec() {
            let ty = self.cursor.func.dfg.value_type(param);
            let own = self.cursor.func.dfg.append_block_param(block, ty);
            self.known.insert(param, own);
        }
        self.cursor.func.dfg.block_params(block).to_vec()
    }

    /// Makes a block behind the others.
    fn block(&mut self) -> Block {
        let block = self.cursor.func.dfg.make_block();
        self.cursor.func.layout.insert_block_after(block, self.last);
        self.last = block;
        block
    }

    /// Starts the next round of the loop unless its first byte lies at a multiple of sixteen. The vectors that bytes are
    /// compared with, one for each test, and the block that follows.
    fn test(&mut self, test: Block) -> (Block, Vec<Option<Value>>) {
        let params = self.begin_round(test);
        let address = self.place_in_page();
        let rest = self.cursor.ins().band_imm_u(address, BYTES - 1);
        let (prepare, round) = (self.block(), self.block());
        self.cursor.ins().brif(rest, self.header, &arguments(&params), prepare, &[]);
        self.cursor.goto_bottom(prepare);
        let wanted = self.scan.tests.iter().map(|test| self.wanted(test)).collect();
        self.cursor.ins().jump(round, &arguments(&params));
        (round, wanted)
    }

    fn wanted(&mut self, test: &Test) -> Option<Value> {
        let Test::Byte { with, .. } = test else { return None };
        let value = match with {
            Some(value) => {
                let value = self.at(*value);
                self.cursor.ins().ireduce(types::I8, value)
            }
            None => self.cursor.ins().iconst(types::I8, 0),
        };
        Some(self.cursor.ins().splat(types::I8X16, value))
    }

    /// The address of the first load, or another number with the same rest by any power of two up to a page.
    fn place_in_page(&mut self) -> Value {
        let (address, offset) = self.place(self.scan.loads[0]);
        if let Some(index) = self.index_at_base(self.scan.loads[0]) {
            return self.at(index);
        }
        let address = self.at(address);
        if offset == 0 { address } else { self.cursor.ins().iadd_imm_s(address, offset) }
    }

    /// What a load adds to the base of memory, which is the start of a page, if it adds nothing else.
    fn index_at_base(&self, load: Inst) -> Option<Value> {
        let (address, offset) = self.place(load);
        let dfg = &self.cursor.func.dfg;
        let data = |value| dfg.value_def(self.resolve(value)).inst().map(|inst| dfg.insts[inst]);
        let Some(InstructionData::Binary { opcode: Opcode::Iadd, args }) = data(address) else { return None };
        let is_base = |value| matches!(data(value), Some(InstructionData::NullAry { opcode: Opcode::GetPinnedReg }));
        let [a, b] = args;
        let index = if is_base(a) { Some(b) } else { is_base(b).then_some(a) };
        index.filter(|_| offset == 0)
    }

    fn place(&self, load: Inst) -> (Value, i64) {
        let dfg = &self.cursor.func.dfg;
        (dfg.inst_args(load)[0], dfg.insts[load].load_store_offset().unwrap_or(0).into())
    }

    /// Skips sixteen rounds and comes back, or fewer and starts the next one.
    fn round(&mut self, (round, wanted): (Block, Vec<Option<Value>>)) {
        let params = self.begin_round(round);
        let counts: Vec<Option<Value>> = self.scan.tests.iter().map(|test| self.count(test)).collect();
        if let Some(obstacle) = self.obstacles(&counts) {
            let load = self.block();
            self.cursor.ins().brif(obstacle, self.header, &arguments(&params), load, &[]);
            self.cursor.goto_bottom(load);
        }
        let hits = self.hits(&wanted);
        let counts: Vec<Value> = counts.into_iter().flatten().collect();
        let (mut stop, end) = (hits, self.cursor.func.dfg.make_block());
        for &count in &counts {
            let more = self.block();
            self.cursor.ins().brif(stop, end, &[], more, &[]);
            self.cursor.goto_bottom(more);
            stop = self.cursor.ins().icmp_imm_u(IntCC::UnsignedLessThan, count, BYTES);
        }
        let all = self.cursor.ins().iconst(types::I32, BYTES);
        let next = arguments(&self.advanced(all));
        self.cursor.ins().brif(stop, end, &[], round, &next);
        self.cursor.func.layout.insert_block_after(end, self.last);
        self.cursor.goto_bottom(end);
        let hits = if counts.is_empty() { hits } else { self.cursor.ins().bor_imm_u(hits, 1 << BYTES) };
        let first = self.cursor.ins().ctz(hits);
        let rounds = counts.into_iter().fold(first, |rounds, count| self.cursor.ins().umin(rounds, count));
        let next = arguments(&self.advanced(rounds));
        self.cursor.ins().jump(self.header, &next);
    }

    /// How many rounds pass a test of numbers, as a number of 32 bits that is right up to sixteen.
    fn count(&mut self, test: &Test) -> Option<Value> {
        let &Test::Count { low, high, below } = test else { return None };
        let ty = self.type_of(low.or(high)?);
        let mut number = |value: Option<Value>| match value {
            Some(value) => self.at(value),
            None => self.cursor.ins().iconst(ty, 0),
        };
        let (low, high) = (number(low), number(high));
        let mut rounds = self.cursor.ins().isub(high, low);
        if let Some(below) = below {
            let is_below = self.cursor.ins().icmp(below, low, high);
            let none = self.cursor.ins().iconst(ty, 0);
            rounds = self.cursor.ins().select(is_below, rounds, none);
        }
        if ty == types::I64 {
            let most = self.cursor.ins().iconst(ty, BYTES);
            let few = self.cursor.ins().umin(rounds, most);
            rounds = self.cursor.ins().ireduce(types::I32, few);
        }
        Some(rounds)
    }

    /// Not zero where the next sixteen bytes cannot be loaded, or must not.
    fn obstacles(&mut self, counts: &[Option<Value>]) -> Option<Value> {
        let mut obstacles = Vec::new();
        for &count in counts[..self.scan.guards].iter().flatten() {
            obstacles.push(self.cursor.ins().icmp_imm_u(IntCC::Equal, count, 0));
        }
        // An index at the base that is a multiple of sixteen wraps around behind the last byte.
        let aligned = self.index_at_base(self.scan.loads[0]).map(|index| self.source_of(index));
        for &Extended { value, by } in self.scan.extended.iter().filter(|extended| Some(extended.value) != aligned) {
            let value = self.at(value);
            obstacles.push(match by {
                1 => self.cursor.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, value, (1 << 32) - BYTES),
                _ => self.cursor.ins().icmp_imm_u(IntCC::UnsignedLessThan, value, BYTES - 1),
            });
        }
        for &load in &self.scan.loads[1..] {
            let (address, offset) = self.place(load);
            let address = self.at(address);
            let address = self.cursor.ins().iadd_imm_s(address, offset);
            let in_page = self.cursor.ins().band_imm_u(address, PAGE_BYTES - 1);
            obstacles.push(self.cursor.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, in_page, PAGE_BYTES - BYTES));
        }
        obstacles.into_iter().reduce(|a, b| self.cursor.ins().bor(a, b))
    }

    /// A bit for each of the next sixteen bytes, from the lowest on: whether it may end the loop.
    fn hits(&mut self, wanted: &[Option<Value>]) -> Value {
        let loads = self.scan.loads.iter().map(|&load| {
            let (address, offset) = self.place(load);
            let address = self.at(address);
            let dfg = &self.cursor.func.dfg;
            let flags = dfg.insts[load].memflags_data(dfg).unwrap_or(MemFlagsData::new());
            self.cursor.set_srcloc(self.cursor.func.srcloc(load));
            self.cursor.ins().load(types::I8X16, flags, address, offset as i32)
        });
        let loads: Vec<Value> = loads.collect();
        let mut hits: Option<Value> = None;
        for (test, wanted) in self.scan.tests.iter().zip(wanted) {
            let hit = match (test, wanted) {
                (&Test::Byte { load, cond, .. }, &Some(wanted)) => self.cursor.ins().icmp(cond, loads[load], wanted),
                (&Test::Bytes { loads: [a, b], cond }, _) => self.cursor.ins().icmp(cond, loads[a], loads[b]),
                _ => continue,
            };
            hits = Some(hits.map_or(hit, |hits| self.cursor.ins().bor(hits, hit)));
        }
        match hits {
            Some(hits) => self.cursor.ins().vhigh_bits(types::I32, hits),
            None => self.cursor.ins().iconst(types::I32, 0),
        }
    }

    /// The parameters of the header so many rounds later.
    fn advanced(&mut self, rounds: Value) -> Vec<Value> {
        let (scan, params) = (self.scan, self.cursor.func.dfg.block_params(self.header).to_vec());
        let advance = |(param, &Step { by, is_widened }): (Value, &Step)| {
            let value = self.at(param);
            let ty = self.type_of(param);
            let narrow = if is_widened { self.cursor.ins().ireduce(types::I32, value) } else { value };
            let is_wide = ty == types::I64 && !is_widened;
            let rounds = if is_wide { self.cursor.ins().uextend(ty, rounds) } else { rounds };
            let sum = match by {
                1 => self.cursor.ins().iadd(narrow, rounds),
                -1 => self.cursor.ins().isub(narrow, rounds),
                _ => narrow,
            };
            if is_widened { self.cursor.ins().uextend(ty, sum) } else { sum }
        };
        params.into_iter().zip(&scan.steps).map(advance).collect()
    }

    /// What a value of the loop is in the round at hand. What is computed in the loop is computed here again.
    fn at(&mut self, value: Value) -> Value {
        let value = self.resolve(value);
        if let Some(&known) = self.known.get(&value) {
            return known;
        }
        let inst = self.cursor.func.dfg.value_def(value).inst().filter(|inst| self.inside.contains(inst));
        let Some(inst) = inst else { return value };
        let args = self.cursor.func.dfg.inst_args(inst).to_vec();
        let own: Vec<Value> = args.into_iter().map(|arg| self.at(arg)).collect();
        let copy = self.cursor.func.dfg.clone_inst(inst);
        self.cursor.func.dfg.inst_args_mut(copy).copy_from_slice(&own);
        self.cursor.insert_inst(copy);
        let result = self.cursor.func.dfg.first_result(copy);
        self.known.insert(value, result);
        result
    }

    /// The number of 32 bits that a value has as its lower half, where it is an extension.
    fn source_of(&self, value: Value) -> Value {
        let (value, dfg) = (self.resolve(value), &self.cursor.func.dfg);
        match dfg.value_def(value).inst().map(|inst| dfg.insts[inst]) {
            Some(InstructionData::Unary { opcode: Opcode::Uextend, arg }) => self.resolve(arg),
            _ => value,
        }
    }

    fn resolve(&self, value: Value) -> Value {
        self.scan.passed(self.cursor.func.dfg.resolve_aliases(value))
    }

    fn type_of(&self, value: Value) -> Type {
        self.cursor.func.dfg.value_type(value)
    }
}

fn arguments(values: &[Value]) -> Vec<BlockArg> {
    values.iter().copied().map(BlockArg::Value).collect()
}
