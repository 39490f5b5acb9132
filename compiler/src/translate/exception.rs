//! Exceptions: `try_table` and `throw`, and the legacy `try`, `catch`, `delegate` and `rethrow`.
//!
//! A call within the reach of handlers is a `try_call` that names them; the runtime finds the handler by the call's
//! return address, walking frame pointers, and continues at its block with the exception's reference. An exception is
//! a [`wasmelt_abi::context::Exception`]: its tag, then its values, 16 bytes each.

use std::collections::HashSet;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self, BlockArg, ExceptionTableData, ExceptionTableItem, ExceptionTag, InstBuilder as _, Value, types,
};
use wasmelt_abi::builtin::Builtin;
use wasmelt_abi::context::{EXCEPTION_PAYLOAD_OFFSET, EXCEPTION_TAG_OFFSET};
use wasmelt_abi::trap::Trap;
use wasmparser::{BlockType, Catch, TryTable};

use super::call::Target;
use super::control::{Frame, Handler, Handlers, Kind};
use super::{FuncTranslator, Region, clif_type, trap_code};
use crate::error::{Error, Result};
use crate::module::TagIndex;

/// Most handlers that a call names one by one, so that what calls name grows as the calls do. Beyond, a call names one
/// for all exceptions, whose code chooses.
const MAX_LISTED_HANDLERS: usize = 8;

impl FuncTranslator<'_, '_> {
    /// The handlers that reach code in the frame at this depth.
    pub(super) fn handlers(&self, depth: u32) -> Handlers {
        let frame = self.control.iter().nth_back(depth as usize);
        frame.map_or_else(Handlers::default, |frame| frame.handlers.clone())
    }

    /// Calls within the reach of handlers. The results.
    pub(super) fn try_call(&mut self, target: Target, args: &[Value], handlers: &[Handler]) -> Vec<Value> {
        let sig = match target {
            Target::Direct(func) => self.builder.func.dfg.ext_funcs[func].signature,
            Target::Indirect(sig, _) => sig,
        };
        let result_types: Vec<_> =
            self.builder.func.dfg.signatures[sig].returns.iter().map(|result| result.value_type).collect();
        let normal = self.builder.create_block();
        for &ty in &result_types {
            self.builder.append_block_param(normal, ty);
        }
        let context = self.handler_context();
        let results: Vec<_> = (0..result_types.len() as u32).map(BlockArg::TryCallRet).collect();
        let dfg = &mut self.builder.func.dfg;
        let normal_call = dfg.block_call(normal, &results);
        let handler = handlers.iter().map(|handler| {
            let call = dfg.block_call(handler.block, &[BlockArg::TryCallExn(0)]);
            match handler.tag {
                Some(tag) => ExceptionTableItem::Tag(ExceptionTag::from_u32(self.env.tag(tag)), call),
                None => ExceptionTableItem::Default(call),
            }
        });
        let items: Vec<_> = context.into_iter().chain(handler).collect();
        let table = dfg.exception_tables.push(ExceptionTableData::new(sig, normal_call, items));
        match target {
            Target::Direct(func) => self.ins().try_call(func, args, table),
            Target::Indirect(_, code) => self.ins().try_call_indirect(code, args, table),
        };
        self.builder.seal_block(normal);
        self.builder.switch_to_block(normal);
        self.builder.block_params(normal).to_vec()
    }

    fn new_handler_block(&mut self) -> ir::Block {
        let block = self.builder.create_block();
        self.builder.append_block_param(block, types::I64);
        self.builder.set_cold_block(block);
        block
    }

    /// Pushes the values of an exception.
    fn push_payload(&mut self, tag: u32, exception: Value) {
        let module = self.env.module();
        let flags = self.trusted_region(Region::Exceptions);
        for (i, &ty) in module.types[module.tags[TagIndex::from_u32(tag)]].params.iter().enumerate() {
            let offset = EXCEPTION_PAYLOAD_OFFSET + 16 * i as i32;
            let value = self.ins().load(clif_type(ty), flags, exception, offset);
            self.push(value);
        }
    }

    pub(super) fn try_table(&mut self, try_table: &TryTable) {
        let (params, results_types) = self.block_signature(try_table.ty);
        let body = self.builder.create_block();
        self.jump(body, &[]);
        self.builder.seal_block(body);
        let around = self.handlers(0);
        let (handlers, mut clauses) = self.clauses(try_table, &around);
        let handlers = match handlers.len() > MAX_LISTED_HANDLERS {
            false => handlers.into(),
            true => {
                let pad = self.dispatching_pad(&handlers);
                clauses.push(pad);
                Handlers::from([Handler { tag: None, block: pad }])
            }
        };
        self.builder.switch_to_block(body);
        let height = self.stack.len() - params.len();
        let (params, results) = (params.len(), results_types.len());
        let kind = Kind::TryTable { next: Self::next_of(results_types), clauses };
        self.control.push(Frame { kind, height, params, results, handlers });
    }

    /// The blocks of a `try_table`'s clauses, and the handlers that reach the calls in it: its own, then those `around`
    /// it. Clauses that no exception can reach have no block.
    fn clauses(&mut self, try_table: &TryTable, around: &[Handler]) -> (Vec<Handler>, Vec<ir::Block>) {
        let mut handlers = Vec::new();
        let mut tags = HashSet::new();
        // Labels of the clauses count from outside the block.
        for catch in &try_table.catches {
            let (tag, label, with_reference) = match *catch {
                Catch::One { tag, label } => (Some(tag), label, false),
                Catch::OneRef { tag, label } => (Some(tag), label, true),
                Catch::All { label } => (None, label, false),
                Catch::AllRef { label } => (None, label, true),
            };
            if tags.insert(tag) {
                handlers.push(Handler { tag, block: self.clause(tag, label, with_reference) });
            }
            if tag.is_none() {
                break;
            }
        }
        let clauses = handlers.iter().map(|handler| handler.block).collect();
        if !tags.contains(&None) {
            handlers.extend(around.iter().filter(|handler| !tags.contains(&handler.tag)));
        }
        (handlers, clauses)
    }

    /// The block of a clause.
    fn clause(&mut self, tag: Option<u32>, label: u32, with_reference: bool) -> ir::Block {
        let block = self.new_handler_block();
        self.builder.switch_to_block(block);
        let exception = self.builder.block_params(block)[0];
        self.enter_landing_pad();
        self.fuel_reload();
        let height = self.stack.len();
        if let Some(tag) = tag {
            self.push_payload(tag, exception);
        }
        if with_reference {
            self.push(exception);
        }
        self.branch_to(label);
        self.stack.truncate(height);
        block
    }

    /// A block that handles all exceptions: it goes to the first of these handlers that wants an exception, and throws on
    /// what none of them wants. So a call names one handler in place of many.
    ///
    /// SECURITY: handlers find the pinned register as the runtime left it, and set it. So it must not be set before.
    fn dispatching_pad(&mut self, handlers: &[Handler]) -> ir::Block {
        let pad = self.new_handler_block();
        self.builder.switch_to_block(pad);
        let exception = self.builder.block_params(pad)[0];
        let found = self.exception_tag(exception);
        for &Handler { tag, block } in handlers {
            let Some(tag) = tag else {
                self.jump(block, &[exception]);
                return pad;
            };
            let wanted = self.tag_number(tag);
            let matches = self.ins().icmp(IntCC::Equal, found, wanted);
            let others = self.builder.create_block();
            self.builder.set_cold_block(others);
            self.ins().brif(matches, block, &[BlockArg::Value(exception)], others, &[]);
            self.builder.seal_block(others);
            self.builder.switch_to_block(others);
        }
        self.enter_landing_pad();
        self.throw_on(exception, &[]);
        pad
    }

    pub(super) fn throw(&mut self, tag: u32) -> Result<()> {
        let module = self.env.module();
        let values = self.pop_n(module.types[module.tags[TagIndex::from_u32(tag)]].params.len());
        let vmctx = self.vmctx();
        let tag = self.tag_number(tag);
        let exception = self.call_builtin(Builtin::exception_new, &[vmctx, tag]);
        let exception = exception.ok_or_else(|| Error::internal("exception_new has a result"))?;
        let flags = self.trusted_region(Region::Exceptions);
        for (i, value) in values.into_iter().enumerate() {
            self.ins().store(flags, value, exception, EXCEPTION_PAYLOAD_OFFSET + 16 * i as i32);
        }
        self.throw_to(exception, 0);
        Ok(())
    }

    pub(super) fn throw_ref(&mut self) {
        let exception = self.pop();
        self.trap_if_null(exception);
        self.throw_to(exception, 0);
    }

    /// Throws to the handlers that reach code in the frame at this depth; what follows cannot be reached.
    fn throw_to(&mut self, exception: Value, depth: u32) {
        let handlers = self.handlers(depth);
        self.throw_on(exception, &handlers);
        self.set_unreachable();
    }

    /// Throws to these handlers, and ends the block at hand.
    fn throw_on(&mut self, exception: Value, handlers: &[Handler]) {
        let vmctx = self.vmctx();
        if handlers.is_empty() {
            self.call_builtin(Builtin::exception_throw, &[vmctx, exception]);
        } else {
            let target = self.builtin(Builtin::exception_throw);
            self.try_call(target, &[vmctx, exception], handlers);
        }
        // The runtime does not come back.
        self.ins().trap(trap_code(Trap::UncaughtException));
    }

    /// The tag of an exception.
    fn exception_tag(&mut self, exception: Value) -> Value {
        let flags = self.trusted_region(Region::Exceptions).with_readonly();
        self.ins().load(types::I32, flags, exception, EXCEPTION_TAG_OFFSET)
    }

    pub(super) fn legacy_try(&mut self, ty: BlockType) {
        let (params, results) = self.block_signature(ty);
        let pad = self.new_handler_block();
        let height = self.stack.len() - params.len();
        let (params, results_len) = (params.len(), results.len());
        let kind = Kind::Try { next: Self::next_of(results), pad };
        let handlers = Handlers::from([Handler { tag: None, block: pad }]);
        self.control.push(Frame { kind, height, params, results: results_len, handlers });
    }

    /// Begins a stretch whose exceptions all go to the block that is returned.
    pub(super) fn push_barrier(&mut self) -> ir::Block {
        let pad = self.new_handler_block();
        let kind = Kind::Block { next: Self::next_of(Box::default()) };
        let handlers = Handlers::from([Handler { tag: None, block: pad }]);
        self.control.push(Frame { kind, height: self.stack.len(), params: 0, results: 0, handlers });
        pad
    }

    /// Ends the body or clause at hand and goes to where the exceptions are that it does not handle; their reference,
    /// or `None` in a frame that cannot be reached.
    fn legacy_next_clause(&mut self) -> Option<Value> {
        let frame = self.control.last().expect("validation keeps the control stack in order");
        let (block, caught) = match frame.kind {
            Kind::Try { pad, .. } => (pad, None),
            Kind::Catch { others: Some(others), exception, .. } => (others, Some(exception)),
            _ => return None,
        };
        let height = frame.height;
        if self.reachable {
            self.branch_to(0);
        }
        self.stack.truncate(height);
        self.builder.seal_block(block);
        self.builder.switch_to_block(block);
        self.reachable = true;
        if caught.is_none() {
            self.enter_landing_pad();
            self.fuel_reload();
        }
        Some(caught.unwrap_or_else(|| self.builder.block_params(block)[0]))
    }

    fn set_legacy_clause(&mut self, exception: Value, others: Option<ir::Block>) {
        // The pad catches nothing of what the clauses throw.
        let around = self.handlers(1);
        let frame = self.control.last_mut().expect("validation keeps the control stack in order");
        frame.handlers = around;
        if let Kind::Try { next, .. } | Kind::Catch { next, .. } = &frame.kind {
            frame.kind = Kind::Catch { next: next.clone(), exception, others };
        }
    }

    pub(super) fn legacy_catch(&mut self, tag: u32) {
        let Some(exception) = self.legacy_next_clause() else { return };
        let found = self.exception_tag(exception);
        let number = self.tag_number(tag);
        let matches = self.ins().icmp(IntCC::Equal, found, number);
        let (clause, others) = (self.builder.create_block(), self.builder.create_block());
        self.ins().brif(matches, clause, &[], others, &[]);
        self.builder.seal_block(clause);
        self.builder.switch_to_block(clause);
        self.set_legacy_clause(exception, Some(others));
        self.push_payload(tag, exception);
    }

    pub(super) fn legacy_catch_all(&mut self) {
        let Some(exception) = self.legacy_next_clause() else { return };
        self.set_legacy_clause(exception, None);
    }

    /// Throws on what no clause of the `try` that ends here wanted.
    pub(super) fn legacy_end(&mut self) {
        if let Some(exception) = self.legacy_next_clause() {
            self.set_legacy_clause(exception, None);
            self.throw_to(exception, 0);
        } else if self.reachable {
            // The last clause caught everything: leave it like a block.
            self.branch_to(0);
        }
        self.reachable = false;
    }

    /// Ends a `try` whose exceptions go to the handlers of an outer frame.
    pub(super) fn legacy_delegate(&mut self, depth: u32) {
        let Some(exception) = self.legacy_next_clause() else {
            self.control.pop();
            return;
        };
        self.set_legacy_clause(exception, None);
        self.throw_to(exception, depth + 1);
        self.end_with_next();
    }

    pub(super) fn legacy_rethrow(&mut self, depth: u32) {
        let index = self.control.len() - 1 - depth as usize;
        if let Kind::Catch { exception, .. } = self.control[index].kind {
            self.throw_to(exception, 0);
        }
    }
}
