//! The functions that wasmelt adds: the entry that finishes instantiation and runs the program, the entry that
//! `--invoke` calls, and in libraries those between the host's calling convention and that of wasm functions. What the
//! host calls has the platform's convention, and in programs sets the pinned register and restores it.

use cranelift_codegen::ir::{
    AbiParam, Function, InstBuilder as _, MemFlagsData, Signature, StackSlotData, StackSlotKind, Value, types,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use wasmelt_abi::context::{FuncRecord, HostFunc};
use wasmelt_abi::trap::Trap;
use wasmparser::ValType;

use super::call::Target;
use super::crossing::RunsIn;
use super::{FuncEnv, FuncTranslator, Region, clif_type};
use crate::error::{Error, Result};
use crate::module::{FuncIndex, FuncType};
use crate::options::Shape;
use crate::program::{Action, Callee, ContextRegion, TypeId};

const _: () = assert!(size_of::<FuncRecord>() == 8);

/// `unsafe extern "C" fn(vmctx: *mut u8)`: what is left of instantiation, then the program.
pub(super) fn translate_entry(
    env: FuncEnv<'_>,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
) -> Result<()> {
    with_entry(env, context, func, 1, |t, params| {
        if !t.instantiate(params[0])? {
            return Ok(());
        }
        // Of a component, the instance that is called may not be the last one.
        t.enter_instance(env.index, params[0]);
        for call in &env.program.entry.calls {
            t.call(call.as_u32(), false)?;
        }
        if env.program.entry.has_status && t.reachable {
            t.exit_with_status()?;
        }
        Ok(())
    })
}

/// `unsafe extern "C" fn(vmctx: *mut u8, values: *mut [u64; 2])`: calls `realloc` of a component in the context of its
/// instance, arguments and result 16 bytes each.
pub(super) fn translate_realloc(
    env: FuncEnv<'_>,
    callee: FuncIndex,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
) -> Result<()> {
    with_entry(env, context, func, 2, |t, params| {
        let (values, ty) = (params[1], env.module().func_type(callee));
        let component = env.program.components.reallocs.get(&(env.index, callee)).copied();
        t.without_leaving(component, |t| {
            t.load_values(&ty.params, values);
            t.with_barrier(|t| t.call(callee.as_u32(), false))?;
            t.store_results(ty, values);
            Ok(())
        })
    })
}

/// `unsafe extern "C" fn(vmctx: *mut u8, values: *mut [u64; 2])`: calls the export of `--invoke`, arguments and results
/// 16 bytes each.
pub(super) fn translate_invoke_entry(
    env: FuncEnv<'_>,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
) -> Result<()> {
    let Some((callee, _)) = &env.program.entry.invoke else {
        return Err(Error::internal("no export to invoke"));
    };
    with_entry(env, context, func, 2, |t, params| {
        let (values, ty) = (params[1], env.module().func_type(*callee));
        t.enter_instance(env.index, params[0]);
        t.load_values(&ty.params, values);
        t.call(callee.as_u32(), false)?;
        t.store_results(ty, values);
        Ok(())
    })
}

/// `unsafe extern "C" fn(vmctx: *mut u8, tid: u64, start_arg: u64)`: what is left of the instantiation of a thread's
/// own instance, then the export for threads.
pub(super) fn translate_thread_entry(
    env: FuncEnv<'_>,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
) -> Result<()> {
    let callee = env.program.entry.thread_start.ok_or_else(|| Error::internal("no export for threads"))?;
    with_entry(env, context, func, 3, |t, params| {
        if !t.instantiate(params[0])? {
            return Ok(());
        }
        for &param in &params[1..] {
            let value = t.ins().ireduce(types::I32, param);
            t.push(value);
        }
        t.call(callee.as_u32(), false)
    })
}

/// A function of the wasm calling convention that calls an import, so that references to imports are like all others.
/// Where nothing provides the import, it traps: backtraces show the import as this function.
pub(super) fn translate_thunk(
    env: FuncEnv<'_>,
    import: FuncIndex,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
) -> Result<()> {
    let ty = env.module().func_type(import);
    func.signature = env.signature(ty);
    let mut t = FuncTranslator::new(env, FunctionBuilder::new(func, context));
    t.begin(ty);
    if let Callee::Missing(_) = env.instance.callees[import] {
        t.trap(Trap::UnknownImport);
    } else {
        for index in 0..ty.params.len() {
            t.local_get(index as u32);
        }
        t.call(import.as_u32(), false)?;
        if t.reachable {
            t.return_();
        }
    }
    t.builder.finalize(env.isa.frontend_config());
    Ok(())
}

/// `unsafe extern "C" fn(vmctx, code, values)`: calls a function of this type in its context, see
/// [`wasmelt_abi::interface::FuncTypeEntry::to_wasm`].
pub(super) fn translate_to_wasm(
    env: FuncEnv<'_>,
    type_id: TypeId,
    ty: &FuncType,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
) -> Result<()> {
    with_entry(env, context, func, 3, |t, params| {
        let [vmctx, code, values] = params else { return Err(Error::internal("a trampoline has three parameters")) };
        t.load_values(&ty.params, *values);
        let sig = t.wasm_signature(type_id, ty);
        t.call_target(Target::Indirect(sig, *code), Some(*vmctx), RunsIn::Own, ty, false);
        t.store_results(ty, *values);
        Ok(())
    })
}

/// A function of the wasm calling convention that calls the host, whose [`HostFunc`] it is given as its context, see
/// [`wasmelt_abi::interface::FuncTypeEntry::to_host`].
pub(super) fn translate_to_host(
    env: FuncEnv<'_>,
    ty: &FuncType,
    context: &mut FunctionBuilderContext,
    func: &mut Function,
) -> Result<()> {
    func.signature = env.signature(ty);
    let mut t = FuncTranslator::new(env, FunctionBuilder::new(func, context));
    t.begin(ty);
    let size = 16 * ty.params.len().max(ty.results.len()).max(1) as u32;
    let slot = t.builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, size, 4));
    let values = t.ins().stack_addr(types::I64, slot, 0);
    let flags = MemFlagsData::trusted();
    for index in 0..ty.params.len() {
        t.local_get(index as u32);
        let value = t.pop();
        t.ins().store(flags, value, values, 16 * index as i32);
    }
    let host = t.vmctx();
    let entry = t.ins().load(types::I64, flags, host, std::mem::offset_of!(HostFunc, entry) as i32);
    let sig = t.builder.import_signature(native_signature(env.isa, 2));
    t.ins().call_indirect(sig, entry, &[host, values]);
    t.load_values(&ty.results, values);
    t.return_();
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
    /// Pushes values that lie 16 bytes apart.
    fn load_values(&mut self, types: &[ValType], values: Value) {
        for (i, &ty) in types.iter().enumerate() {
            let value = self.ins().load(clif_type(ty), MemFlagsData::trusted(), values, 16 * i as i32);
            self.push(value);
        }
    }

    /// Stores a call's results 16 bytes apart, where it comes back.
    fn store_results(&mut self, ty: &FuncType, values: Value) {
        let count = if self.reachable { ty.results.len() } else { 0 };
        for (i, result) in self.pop_n(count).into_iter().enumerate() {
            self.ins().store(MemFlagsData::trusted(), result, values, 16 * i as i32);
        }
    }

    /// What is left of instantiation, instance by instance, the main one last; whether the code that follows can be
    /// reached. `first` is the first instance's `vmctx`.
    fn instantiate(&mut self, first: Value) -> Result<bool> {
        for (index, instance) in &self.env.program.instances {
            self.enter_instance(index, first);
            for action in &instance.actions {
                self.action(action)?;
                if !self.reachable {
                    return Ok(false);
                }
            }
            if let Some(initialize) = instance.initialize {
                self.call(initialize.as_u32(), false)?;
            }
        }
        Ok(true)
    }

    fn action(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::SetContext { region, context_offset, value } => {
                let value = self.const_expr(value)?;
                let vmctx = self.vmctx();
                let flags = self.trusted_region(match region {
                    ContextRegion::Global(global) => {
                        Region::Global(self.env.program.global_number(self.env.instance, *global))
                    }
                    ContextRegion::Element => Region::Context,
                });
                self.ins().store(flags, value, vmctx, *context_offset);
            }
            Action::FillTable { table, value, len } => {
                let value = self.const_expr(value)?;
                let (dest, len) = (self.ins().iconst(types::I64, 0), self.ins().iconst(types::I64, *len as i64));
                self.table_fill_values(*table, dest, value, len)?;
            }
            Action::InitTable { table, segment, offset, len, drop } => {
                let dest = self.const_expr(offset)?;
                let dest = self.zero_extend(dest);
                let (src, len) = (self.ins().iconst(types::I32, 0), self.ins().iconst(types::I32, i64::from(*len)));
                self.table_init_values(*table, segment.as_u32(), dest, src, len)?;
                if *drop {
                    self.elem_drop(segment.as_u32());
                }
            }
            Action::InitMemory { memory, segment, offset, len, drop } => {
                let dest = self.const_expr(offset)?;
                let (src, len) = (self.ins().iconst(types::I32, 0), self.ins().iconst(types::I32, i64::from(*len)));
                self.memory_init_values(memory.as_u32(), segment.as_u32(), dest, src, len)?;
                if *drop {
                    self.data_drop(segment.as_u32());
                }
            }
            Action::Trap(trap) => self.trap(*trap),
            Action::CallStart(func) => self.call(func.as_u32(), false)?,
        }
        Ok(())
    }
}
