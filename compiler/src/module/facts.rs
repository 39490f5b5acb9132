//! What one function body refers to: gathered while it is validated, so that whole-program decisions (which functions
//! are reachable, which globals and tables never change) cost no further pass over the code.

use wasmparser::Operator;

use super::{DataIndex, Effect, ElemIndex, FuncIndex, GlobalIndex, TableIndex, for_each_branch};

/// References of one function body, each list sorted and without repetition.
#[derive(Clone, Debug, Default)]
pub struct BodyFacts {
    /// Functions called directly.
    pub calls: Vec<FuncIndex>,
    /// Whether it calls functions, in whatever way.
    pub calls_functions: bool,
    /// Functions called in place of the body's own frame.
    pub tail_calls: Vec<FuncIndex>,
    /// Whether a tail call goes through a table or reference.
    pub tail_calls_references: bool,
    /// Functions whose reference is taken.
    pub ref_funcs: Vec<FuncIndex>,
    /// Tables that are read or called through.
    pub tables_used: Vec<TableIndex>,
    /// Tables whose elements are read as references.
    pub tables_read: Vec<TableIndex>,
    /// Tables that are written or grown.
    pub tables_written: Vec<TableIndex>,
    /// Globals that are set.
    pub globals_set: Vec<GlobalIndex>,
    /// Data segments that `memory.init` names.
    pub data_used: Vec<DataIndex>,
    /// Element segments that `table.init` names.
    pub elements_used: Vec<ElemIndex>,
    /// Whether `data.drop` or `elem.drop` occurs.
    pub drops_segments: bool,
    /// Whether `memory.grow` occurs.
    pub grows_memory: bool,
    /// Whether `table.grow` occurs.
    pub grows_table: bool,
    /// Whether exceptions are made.
    pub throws: bool,
    /// Each loop, in order of its start.
    pub loops: Vec<LoopFacts>,
    /// Sum over all operators of the number of loops that each lies in.
    pub loop_nesting: u64,
    /// Number of operators.
    pub operators: u64,
    /// Locals that operators read or write, at most.
    pub locals_accessed: u64,
    /// Number of operators at which straight code ends or that calls may leave: about as many basic blocks there are.
    pub blocks: u64,
    /// While the body is visited: for each open block, the number of the loop if the block is one.
    open_blocks: Vec<Option<u32>>,
    /// While the body is visited: the loops among them.
    open_loops: Vec<u32>,
}

/// What is known about a loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoopFacts {
    /// Whether a branch leads back to its start.
    pub repeats: bool,
}

impl BodyFacts {
    /// Records what one operator refers to.
    pub fn visit(&mut self, op: &Operator<'_>) {
        let effect = Effect::of(op);
        self.visit_structure(op, effect);
        if let Operator::LocalGet { .. } | Operator::LocalSet { .. } | Operator::LocalTee { .. } = op {
            self.locals_accessed += 1;
        }
        if effect == Effect::Plain {
            return;
        }
        match *op {
            Operator::MemoryGrow { .. } => self.grows_memory = true,
            Operator::Call { function_index } => self.calls.push(FuncIndex::from_u32(function_index)),
            Operator::ReturnCall { function_index } => {
                self.calls.push(FuncIndex::from_u32(function_index));
                self.tail_calls.push(FuncIndex::from_u32(function_index));
            }
            Operator::ReturnCallRef { .. } => self.tail_calls_references = true,
            Operator::RefFunc { function_index } => self.ref_funcs.push(FuncIndex::from_u32(function_index)),
            Operator::ReturnCallIndirect { table_index, .. } => {
                self.tables_used.push(TableIndex::from_u32(table_index));
                self.tail_calls_references = true;
            }
            Operator::CallIndirect { table_index, .. } | Operator::TableSize { table: table_index } => {
                self.tables_used.push(TableIndex::from_u32(table_index))
            }
            Operator::TableGet { table } => {
                self.tables_used.push(TableIndex::from_u32(table));
                self.tables_read.push(TableIndex::from_u32(table));
            }
            Operator::TableGrow { table } => {
                self.grows_table = true;
                self.tables_written.push(TableIndex::from_u32(table));
            }
            Operator::Throw { .. } => self.throws = true,
            Operator::TableSet { table } | Operator::TableFill { table } => {
                self.tables_written.push(TableIndex::from_u32(table));
            }
            Operator::TableCopy { dst_table, src_table } => {
                self.tables_written.push(TableIndex::from_u32(dst_table));
                // The runtime's copy wants both tables in the form that can change.
                self.tables_written.push(TableIndex::from_u32(src_table));
            }
            Operator::TableInit { elem_index, table } => {
                self.tables_written.push(TableIndex::from_u32(table));
                self.elements_used.push(ElemIndex::from_u32(elem_index));
            }
            Operator::GlobalSet { global_index } => self.globals_set.push(GlobalIndex::from_u32(global_index)),
            Operator::MemoryInit { data_index, .. } => self.data_used.push(DataIndex::from_u32(data_index)),
            Operator::DataDrop { .. } | Operator::ElemDrop { .. } => self.drops_segments = true,
            _ => {}
        }
    }

    /// Follows blocks, and finds out about loops.
    fn visit_structure(&mut self, op: &Operator<'_>, effect: Effect) {
        self.blocks += u64::from(ends_block(op));
        self.operators += 1;
        self.loop_nesting += self.open_loops.len() as u64;
        // These may lead back to a loop.
        for_each_branch(op, |depth| self.branch(depth));
        self.calls_functions |= matches!(effect, Effect::Call | Effect::TailCall);
        match effect {
            Effect::Loop => {
                self.open_blocks.push(Some(self.loops.len() as u32));
                self.open_loops.push(self.loops.len() as u32);
                self.loops.push(LoopFacts::default());
            }
            Effect::Block | Effect::Fork => self.open_blocks.push(None),
            Effect::End | Effect::Delegate => self.close_block(),
            Effect::Plain
            | Effect::Refers
            | Effect::Runtime
            | Effect::Call
            | Effect::TailCall
            | Effect::Throw
            | Effect::Clause
            | Effect::Branch
            | Effect::Unknown => {}
        }
    }

    /// Takes a branch into account.
    fn branch(&mut self, depth: u32) {
        if let Some(&Some(target)) = self.open_blocks.iter().nth_back(depth as usize) {
            self.loops[target as usize].repeats = true;
        }
    }

    fn close_block(&mut self) {
        if let Some(Some(_)) = self.open_blocks.pop() {
            self.open_loops.pop();
        }
    }

    /// Sorts the lists and removes repetitions; the function has so many locals.
    pub fn finish(&mut self, locals: u32) {
        fn tidy<T: Ord>(list: &mut Vec<T>) {
            list.sort_unstable();
            list.dedup();
            list.shrink_to_fit();
        }
        self.open_blocks = Vec::new();
        self.open_loops = Vec::new();
        self.locals_accessed = self.locals_accessed.min(u64::from(locals));
        tidy(&mut self.calls);
        tidy(&mut self.tail_calls);
        tidy(&mut self.ref_funcs);
        tidy(&mut self.tables_used);
        tidy(&mut self.tables_read);
        tidy(&mut self.tables_written);
        tidy(&mut self.globals_set);
        tidy(&mut self.data_used);
        tidy(&mut self.elements_used);
    }
}

/// Whether an operator ends a basic block, or may end one.
fn ends_block(op: &Operator<'_>) -> bool {
    matches!(
        op,
        Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::End
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::TryTable { .. }
            | Operator::Try { .. }
            | Operator::Catch { .. }
            | Operator::CatchAll
            | Operator::Delegate { .. }
            | Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
    )
}
