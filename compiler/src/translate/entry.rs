//! The functions that wasmelt adds to a program: the entry that finishes instantiation and runs it, and the entry that
//! `--invoke` calls. Both have the platform's calling convention, set the pinned register and restore it.

use cranelift_codegen::ir::{AbiParam, Function, InstBuilder as _, MemFlagsData, Signature, Value, types};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use wasmelt_abi::context::FuncRecord;

use super::{FuncEnv, FuncTranslator, Region, Shape, clif_type};
use crate::error::{Error, Result};
use crate::module::FuncIndex;
use crate::program::Action;

const _: () = assert!(size_of::<FuncRecord>() == 8);

/// `unsafe extern "C" fn(vmctx: *mut u8)`: what is left of instantiation, then the program.
pub fn translate_entry(env: FuncEnv<'_>, context: &mut FunctionBuilderContext, func: &mut Function) -> Result<()> {
    with_entry(env, context, func, 1, |t, _| {
        for action in &env.instance.actions {
            t.action(*action)?;
            if !t.reachable {
                return Ok(());
            }
        }
        for call in &env.program.entry.calls {
            t.call(call.as_u32(), false)?;
        }
        Ok(())
    })
}

/// `unsafe extern "C" fn(vmctx: *mut u8, values: *mut [u64; 2])`: calls the export of `--invoke`, arguments and results
/// 16 bytes each.
pub fn translate_invoke_entry(
    env: FuncEnv<'_>,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
) -> Result<()> {
    let Some((callee, _)) = &env.program.entry.invoke else {
        return Err(Error::internal("no export to invoke"));
    };
    with_entry(env, context, func, 2, |t, params| {
        let (values, ty) = (params[1], env.module().func_type(*callee));
        let flags = MemFlagsData::trusted();
        for (i, &param) in ty.params.iter().enumerate() {
            let value = t.ins().load(clif_type(param), flags, values, 16 * i as i32);
            t.push(value);
        }
        t.call(callee.as_u32(), false)?;
        for (i, result) in t.pop_n(if t.reachable { ty.results.len() } else { 0 }).into_iter().enumerate() {
            t.ins().store(flags, result, values, 16 * i as i32);
        }
        Ok(())
    })
}

/// `unsafe extern "C" fn(vmctx: *mut u8, tid: u64, start_arg: u64)`: what is left of the instantiation of a thread's
/// own instance, then the export for threads.
pub fn translate_thread_entry(
    env: FuncEnv<'_>,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
) -> Result<()> {
    let callee = env.program.entry.thread_start.ok_or_else(|| Error::internal("no export for threads"))?;
    with_entry(env, context, func, 3, |t, params| {
        for action in &env.instance.actions {
            t.action(*action)?;
            if !t.reachable {
                return Ok(());
            }
        }
        for &param in &params[1..] {
            let value = t.ins().ireduce(types::I32, param);
            t.push(value);
        }
        t.call(callee.as_u32(), false)
    })
}

/// A function of the wasm calling convention that calls an import, so that references to imports are like all others.
pub fn translate_thunk(
    env: FuncEnv<'_>,
    import: FuncIndex,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
) -> Result<()> {
    let ty = env.module().func_type(import);
    func.signature = env.signature(ty);
    let mut t = FuncTranslator::new(env, FunctionBuilder::new(func, context));
    t.begin(ty);
    for index in 0..ty.params.len() {
        t.local_get(index as u32);
    }
    t.call(import.as_u32(), false)?;
    if t.reachable {
        t.return_();
    }
    t.builder.finalize(env.isa.frontend_config());
    Ok(())
}

fn native_signature(isa: &dyn TargetIsa, params: usize) -> Signature {
    let mut sig = Signature::new(isa.default_call_conv());
    sig.params.extend((0..params).map(|_| AbiParam::new(types::I64)));
    sig
}

fn with_entry<'a>(
    env: FuncEnv<'a>,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
    params: usize,
    body: impl FnOnce(&mut FuncTranslator<'a, '_>, &[Value]) -> Result<()>,
) -> Result<()> {
    func.signature = native_signature(env.isa, params);
    let mut t = FuncTranslator::new(env, FunctionBuilder::new(func, context));
    let entry = t.builder.create_block();
    t.builder.append_block_params_for_function_params(entry);
    t.builder.switch_to_block(entry);
    t.builder.ensure_inserted_block();
    t.builder.seal_block(entry);
    let params = t.builder.block_params(entry).to_vec();
    t.vmctx = Some(params[0]);
    // The pinned register belongs to the caller under the platform's convention, and no compiled function restores it.
    let saved = (env.shape == Shape::Single).then(|| {
        let saved = t.ins().get_pinned_reg(types::I64);
        t.ins().set_pinned_reg(params[0]);
        saved
    });
    body(&mut t, &params)?;
    if t.reachable {
        if let Some(saved) = saved {
            t.ins().set_pinned_reg(saved);
        }
        t.ins().return_(&[]);
    }
    t.builder.finalize(env.isa.frontend_config());
    Ok(())
}

impl FuncTranslator<'_, '_> {
    fn action(&mut self, action: Action) -> Result<()> {
        match action {
            Action::SetFuncGlobal { context_offset, global, func } => {
                let value = self.func_ref(func)?;
                let vmctx = self.vmctx();
                let flags = self.trusted_region(Region::Global(global.as_u32()));
                self.ins().store(flags, value, vmctx, context_offset);
            }
            Action::FillTable { table, func, len } => {
                let value = self.func_ref(func)?;
                let (dest, len) = (self.ins().iconst(types::I64, 0), self.ins().iconst(types::I64, len as i64));
                self.table_fill_values(table, dest, value, len)?;
            }
            Action::InitTable { table, segment, offset, len, drop } => {
                let dest = self.ins().iconst(types::I64, offset as i64);
                let (src, len) = (self.ins().iconst(types::I32, 0), self.ins().iconst(types::I32, i64::from(len)));
                self.table_init_values(table, segment.as_u32(), dest, src, len)?;
                if drop {
                    self.elem_drop(segment.as_u32());
                }
            }
            Action::InitMemory { memory, segment, offset, len, drop } => {
                let dest = self.ins().iconst(types::I64, offset as i64);
                let (src, len) = (self.ins().iconst(types::I32, 0), self.ins().iconst(types::I32, i64::from(len)));
                self.memory_init_values(memory.as_u32(), segment.as_u32(), dest, src, len)?;
                if drop {
                    self.data_drop(segment.as_u32());
                }
            }
            Action::Trap(trap) => self.trap(trap),
            Action::CallStart(func) => self.call(func.as_u32(), false)?,
        }
        Ok(())
    }
}
