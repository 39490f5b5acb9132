//! Blocks, loops, branches and returns.
//!
//! Each wasm block becomes a CLIF block for what follows it, with its results as block parameters; operands below it
//! stay as they are. Code that cannot be reached is not translated.
//!
//! Branch hints, of the module or of a profile, decide which blocks are cold, and so out of the way of the others: the
//! unlikely side of an `if` or `br_if`, what lies in it, and what is only branched to from there.

use std::rc::Rc;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, BlockArg, InstBuilder as _, JumpTableData, Value, types};
use wasmelt_abi::trap::Trap;
use wasmparser::{BlockType, BrTable, ValType};

use super::{BodyError, FuncTranslator, Region, clif_type};
use crate::module::{FuncType, LoopFacts, TypeIndex};

/// An entry of the control stack.
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// Height of the operand stack below the parameters.
    pub(super) height: usize,
    pub(super) params: usize,
    pub(super) results: usize,
    /// The handlers that reach the calls in it.
    pub(super) handlers: Handlers,
}

pub(super) enum Kind {
    /// Nothing in it can be reached.
    Dead,
    Block {
        next: Next,
    },
    Loop {
        header: ir::Block,
        /// Whether branches lead back to the header.
        repeats: bool,
    },
    If {
        next: Next,
        /// Where the condition leads when it is zero, and the parameters it takes along.
        otherwise: ir::Block,
        params: Vec<Value>,
    },
    Else {
        next: Next,
    },
    /// `try_table`: the blocks of its clauses.
    TryTable {
        next: Next,
        clauses: Vec<ir::Block>,
    },
    /// The body of a legacy `try`: all exceptions go to its pad, where the clauses that follow choose.
    Try {
        next: Next,
        pad: ir::Block,
    },
    /// A clause of a legacy `try`: the exception that it caught, and where those go that no clause so far wanted.
    Catch {
        next: Next,
        exception: Value,
        others: Option<ir::Block>,
    },
}

impl Kind {
    /// What follows the frame, for those that are left through a block.
    fn next(&self) -> Option<&Next> {
        match self {
            Self::Block { next }
            | Self::If { next, .. }
            | Self::Else { next }
            | Self::TryTable { next, .. }
            | Self::Try { next, .. }
            | Self::Catch { next, .. } => Some(next),
            Self::Dead | Self::Loop { .. } => None,
        }
    }

    /// Whether the end of the frame throws again what no clause of the frame caught.
    pub(super) fn throws_at_end(&self) -> bool {
        matches!(self, Self::Try { .. } | Self::Catch { .. })
    }

    fn next_mut(&mut self) -> Option<&mut Next> {
        match self {
            Self::Block { next }
            | Self::If { next, .. }
            | Self::Else { next }
            | Self::TryTable { next, .. }
            | Self::Try { next, .. }
            | Self::Catch { next, .. } => Some(next),
            Self::Dead | Self::Loop { .. } => None,
        }
    }
}

/// Where exceptions of a tag, or all exceptions, go. The block takes the exception's reference.
#[derive(Clone, Copy)]
pub(super) struct Handler {
    pub(super) tag: Option<u32>,
    pub(super) block: ir::Block,
}

/// Handlers in the order in which they are asked, each tag once and nothing after one for all exceptions. Frames share
/// them with the frames in them.
pub(super) type Handlers = Rc<[Handler]>;

/// The block after a frame, made at the first branch to it.
#[derive(Clone)]
pub(super) struct Next {
    block: Option<ir::Block>,
    types: Box<[ValType]>,
    /// Whether a branch leads there that is not unlikely.
    warm: bool,
}

impl FuncTranslator<'_, '_> {
    pub(super) fn next_of(types: Box<[ValType]>) -> Next {
        Next { block: None, types, warm: false }
    }

    pub(super) fn block_signature(&self, ty: BlockType) -> (Box<[ValType]>, Box<[ValType]>) {
        match ty {
            BlockType::Empty => Default::default(),
            BlockType::Type(ty) => (Box::default(), Box::new([ty])),
            BlockType::FuncType(index) => {
                let ty = &self.env.module().types[TypeIndex::from_u32(index)];
                (ty.params.clone(), ty.results.clone())
            }
        }
    }

    pub(super) fn push_function_frame(&mut self, ty: &FuncType) {
        let next = Self::next_of(ty.results.clone());
        self.push_frame(Kind::Block { next }, 0, 0, ty.results.len());
    }

    /// Opens a frame that the handlers around it reach.
    pub(super) fn push_frame(&mut self, kind: Kind, height: usize, params: usize, results: usize) {
        let handlers = self.handlers(0);
        self.control.push(Frame { kind, height, params, results, handlers });
    }

    fn block_with_params(&mut self, types: &[ValType]) -> ir::Block {
        let block = self.builder.create_block();
        for &ty in types {
            self.builder.append_block_param(block, clif_type(ty));
        }
        block
    }

    /// Whether the branch at hand is hinted to be taken, or not.
    fn hinted(&self) -> Option<bool> {
        let (start, hints) = self.hints?;
        let offset = (self.builder.srcloc().bits() as usize).checked_sub(start)?;
        self.known.and_then(|known| known.hints().likely(offset)).or_else(|| hints.likely(offset))
    }

    /// Makes a block cold when the code at hand is, or when it is entered rarely.
    fn place(&mut self, block: ir::Block, rarely: bool) {
        if self.cold || rarely {
            self.builder.set_cold_block(block);
        }
    }

    /// Goes on in a block that was placed.
    fn enter(&mut self, block: ir::Block) {
        self.builder.switch_to_block(block);
        self.cold = self.builder.func.layout.is_cold(block);
    }

    pub(super) fn set_unreachable(&mut self) {
        self.reachable = false;
        self.fuel_forget();
        let height = self.control.last().map_or(0, |frame| frame.height);
        self.stack.truncate(height);
    }

    /// A structured operator in code that cannot be reached.
    pub(super) fn dead_frame(&mut self) {
        self.push_frame(Kind::Dead, self.stack.len(), 0, 0);
    }

    pub(super) fn block(&mut self, ty: BlockType) {
        let (params, results) = self.block_signature(ty);
        let height = self.stack.len() - params.len();
        let (params, results_len) = (params.len(), results.len());
        let next = Self::next_of(results);
        self.push_frame(Kind::Block { next }, height, params, results_len);
    }

    /// What is known about the loop that starts here.
    fn next_loop(&mut self) -> LoopFacts {
        let facts = self.loops.get(self.loops_entered).copied().unwrap_or(LoopFacts { repeats: true });
        self.loops_entered += 1;
        facts
    }

    pub(super) fn loop_(&mut self, ty: BlockType) {
        let (params, results) = self.block_signature(ty);
        let header = self.block_with_params(&params);
        self.place(header, self.is_unused());
        let args = self.pop_n(params.len());
        let height = self.stack.len();
        let facts = self.next_loop();
        let repeats = facts.repeats;
        self.jump(header, &args);
        self.builder.switch_to_block(header);
        if !repeats {
            self.builder.seal_block(header);
        }
        self.stack.extend_from_slice(self.builder.block_params(header));
        self.push_frame(Kind::Loop { header, repeats }, height, params.len(), results.len());
        self.interrupt_in_loop(facts);
    }

    pub(super) fn if_(&mut self, ty: BlockType) {
        let (params, results) = self.block_signature(ty);
        let condition = self.pop();
        let height = self.stack.len() - params.len();
        let (then, otherwise) = (self.builder.create_block(), self.builder.create_block());
        let hint = self.hinted();
        self.place(then, hint == Some(false) || self.is_unused());
        self.place(otherwise, hint == Some(true));
        self.ins().brif(condition, then, &[], otherwise, &[]);
        self.builder.seal_block(then);
        self.builder.seal_block(otherwise);
        self.enter(then);
        let saved = self.stack[height..].to_vec();
        let (params, results_len) = (params.len(), results.len());
        let next = Self::next_of(results);
        let kind = Kind::If { next, otherwise, params: saved };
        self.push_frame(kind, height, params, results_len);
    }

    pub(super) fn else_(&mut self) {
        let frame = self.control.last_mut().expect("validation keeps the control stack in order");
        let Kind::If { next, otherwise, params } = &mut frame.kind else { return };
        let (next, otherwise, params) = (next.clone(), *otherwise, std::mem::take(params));
        frame.kind = Kind::Else { next };
        if self.reachable {
            self.branch_to(0);
        }
        let height = self.control.last().map_or(0, |f| f.height);
        self.stack.truncate(height);
        self.stack.extend(params);
        self.enter(otherwise);
        self.reachable = true;
    }

    pub(super) fn end(&mut self) {
        let frame = self.control.last().expect("validation keeps the control stack in order");
        match &frame.kind {
            Kind::Dead => {
                self.control.pop();
            }
            Kind::Loop { header, repeats } => {
                // A loop is left by falling through: its results are already on the stack.
                if *repeats {
                    self.builder.seal_block(*header);
                }
                self.control.pop();
            }
            Kind::If { otherwise, params, .. } => {
                // Without an `else`, the parameters are the results.
                let (otherwise, params) = (*otherwise, params.clone());
                if self.reachable {
                    self.branch_to(0);
                }
                self.enter(otherwise);
                self.stack.truncate(self.control.last().map_or(0, |f| f.height));
                self.stack.extend(params);
                self.branch_to(0);
                self.reachable = false;
                self.end_with_next();
            }
            Kind::TryTable { clauses, .. } => {
                let clauses = clauses.clone();
                clauses.into_iter().for_each(|block| self.builder.seal_block(block));
                self.end_with_next();
            }
            Kind::Try { .. } | Kind::Catch { .. } => {
                self.legacy_end();
                self.end_with_next();
            }
            Kind::Block { .. } | Kind::Else { .. } => self.end_with_next(),
        }
    }

    /// Ends a frame that is left through its `next` block, or just falls through when nothing branches there.
    pub(super) fn end_with_next(&mut self) {
        let frame = self.control.last().expect("validation keeps the control stack in order");
        let Some(next) = frame.kind.next() else { return };
        if let Some(block) = next.block {
            if self.reachable {
                self.branch_to(0);
            }
            let frame = self.control.pop().expect("looked at above");
            self.stack.truncate(frame.height);
            self.cold = false;
            self.place(block, frame.kind.next().is_some_and(|next| !next.warm) || self.is_unused());
            self.enter(block);
            self.builder.seal_block(block);
            self.stack.extend_from_slice(self.builder.block_params(block));
            self.reachable = true;
        } else {
            self.control.pop();
        }
        if self.control.is_empty() && self.reachable {
            self.return_results();
        }
    }

    pub(super) fn jump(&mut self, block: ir::Block, args: &[Value]) {
        let args: Vec<_> = args.iter().map(|&v| BlockArg::Value(v)).collect();
        self.ins().jump(block, &args);
    }

    /// The block that a branch to this depth goes to, and how many operands it takes; `rarely` when the branch is
    /// hinted not to be taken.
    fn target(&mut self, depth: u32, rarely: bool) -> (ir::Block, usize) {
        let index = self.control.len() - 1 - depth as usize;
        let frame = &self.control[index];
        if let Kind::Loop { header, .. } = frame.kind {
            return (header, frame.params);
        }
        let arity = frame.results;
        let warm = !self.cold && !rarely;
        let next = self.control[index].kind.next_mut();
        let next = next.expect("no live code lies in a frame that cannot be reached");
        next.warm |= warm;
        if let Some(block) = next.block {
            return (block, arity);
        }
        let types = next.types.clone();
        let block = self.block_with_params(&types);
        if let Some(next) = self.control[index].kind.next_mut() {
            next.block = Some(block);
        }
        (block, arity)
    }

    /// Jumps to the target of a branch; code after it cannot be reached.
    pub(super) fn branch_to(&mut self, depth: u32) {
        let (block, arity) = self.target(depth, false);
        let args = self.stack[self.stack.len() - arity..].to_vec();
        self.jump(block, &args);
    }

    pub(super) fn br(&mut self, depth: u32) {
        self.branch_to(depth);
        self.set_unreachable();
    }

    pub(super) fn br_if(&mut self, depth: u32) {
        let condition = self.pop();
        let hint = self.hinted();
        self.branch_if(condition, depth, hint);
    }

    /// Branches, without the reference, when it is null; keeps it otherwise.
    pub(super) fn br_on_null(&mut self, depth: u32) {
        let reference = self.pop();
        let is_null = self.ins().icmp_imm_u(IntCC::Equal, reference, 0);
        self.branch_if(is_null, depth, None);
        self.push(reference);
    }

    /// Branches with the reference when it is not null; drops it otherwise.
    pub(super) fn br_on_non_null(&mut self, depth: u32) {
        let reference = *self.stack.last().expect("validation keeps the operand stack in order");
        let is_some = self.ins().icmp_imm_u(IntCC::NotEqual, reference, 0);
        self.branch_if(is_some, depth, None);
        self.pop();
    }

    fn branch_if(&mut self, condition: Value, depth: u32, hint: Option<bool>) {
        let (block, arity) = self.target(depth, hint == Some(false));
        let args: Vec<_> = self.stack[self.stack.len() - arity..].iter().map(|&v| BlockArg::Value(v)).collect();
        let next = self.builder.create_block();
        // What follows a loop is not rare, although most of its branches go back.
        let back = matches!(self.control[self.control.len() - 1 - depth as usize].kind, Kind::Loop { .. });
        self.place(next, hint == Some(true) && !back || self.is_unused());
        self.ins().brif(condition, block, &args, next, &[]);
        self.builder.seal_block(next);
        let before = self.builder.current_block();
        self.enter(next);
        self.goes_on_in(next, before);
    }

    pub(super) fn br_table(&mut self, table: &BrTable<'_>) -> Result<(), BodyError> {
        let index = self.pop();
        let mut calls = Vec::with_capacity(table.len() as usize + 1);
        let targets = table.targets().chain(std::iter::once(Ok(table.default())));
        for depth in targets.collect::<wasmparser::Result<Vec<_>>>()? {
            let (block, arity) = self.target(depth, false);
            let args: Vec<_> = self.stack[self.stack.len() - arity..].iter().map(|&v| BlockArg::Value(v)).collect();
            calls.push(self.builder.func.dfg.block_call(block, &args));
        }
        let default = calls.pop().expect("the default target was pushed last");
        if calls.is_empty() {
            // Only the default: a plain jump.
            self.br(table.default());
            return Ok(());
        }
        let jump_table = self.builder.create_jump_table(JumpTableData::new(default, &calls));
        self.ins().br_table(index, jump_table);
        self.set_unreachable();
        Ok(())
    }

    pub(super) fn return_(&mut self) {
        self.return_results();
        self.set_unreachable();
    }

    /// Returns the topmost operands as the function's results.
    fn return_results(&mut self) {
        self.fuel_save();
        let values = self.stack[self.stack.len() - self.results.len()..].to_vec();
        match self.return_area {
            Some(area) => {
                let flags = self.trusted_region(Region::ReturnArea);
                for (i, &value) in values.iter().enumerate() {
                    self.ins().store(flags, value, area, 16 * i as i32);
                }
                self.ins().return_(&[]);
            }
            None => {
                self.ins().return_(&values);
            }
        }
    }

    pub(super) fn unreachable(&mut self) {
        self.trap(Trap::Unreachable);
    }

    pub(super) fn select(&mut self) {
        let (a, b, condition) = self.pop3();
        let value = self.ins().select(condition, a, b);
        self.push(value);
    }

    /// A comparison's outcome as an `i32` operand.
    pub(super) fn push_bool(&mut self, value: Value) {
        let value = self.ins().uextend(types::I32, value);
        self.push(value);
    }
}
