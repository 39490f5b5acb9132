//! Calls: direct, through tables, to host functions and to runtime functions.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self, AbiParam, ExtFuncData, ExternalName, InstBuilder as _, MemFlagsData, Signature, StackSlotData, StackSlotKind,
    Value, types,
};
use cranelift_codegen::isa::CallConv;
use wasmelt_abi::builtin::{Builtin, Kind};
use wasmelt_abi::context::FuncRecord;
use wasmelt_abi::host::HostFunction;
use wasmelt_abi::trap::Trap;

use super::crossing::RunsIn;
use super::{FuncTranslator, Name, Region, SignatureKey, clif_type};
use crate::clif_value_type;
use crate::error::{Error, Result};
use crate::module::{FuncIndex, FuncType, TableIndex, TypeIndex};
use crate::program::{Callee, TablePlace, TypeId};

/// What a call goes to, once it is resolved.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Direct(ir::FuncRef),
    Indirect(ir::SigRef, Value),
}

/// The code that a function reference stands for, and the context that it runs in where callers pass one.
#[derive(Clone, Copy)]
pub(super) struct Code {
    pub(super) address: Value,
    pub(super) vmctx: Option<Value>,
    pub(super) runs_in: RunsIn,
}

impl<'a> FuncTranslator<'a, '_> {
    pub(super) fn wasm_signature(&mut self, id: TypeId, ty: &FuncType) -> ir::SigRef {
        let key = SignatureKey::Wasm(id);
        if let Some(&sig) = self.signatures.get(&key) {
            return sig;
        }
        let sig = self.env.signature(ty);
        let sig = self.builder.import_signature(sig);
        self.signatures.insert(key, sig);
        sig
    }

    pub(super) fn function(&mut self, name: Name, signature: ir::SigRef) -> ir::FuncRef {
        let func = &mut *self.builder.func;
        *self.functions.entry(name).or_insert_with(|| {
            let user = func.declare_imported_user_function(name.to_clif());
            func.import_function(ExtFuncData {
                name: ExternalName::user(user),
                signature,
                colocated: true,
                patchable: false,
            })
        })
    }

    fn native_signature(&mut self, name: Name, make: impl FnOnce(&mut Signature)) -> ir::SigRef {
        let key = SignatureKey::Native(name);
        if let Some(&sig) = self.signatures.get(&key) {
            return sig;
        }
        // Under the `tail` convention no register survives a throw, so an unwinder has none to restore.
        let throws = name == Name::builtin(Builtin::exception_throw);
        let mut sig = Signature::new(if throws { CallConv::Tail } else { self.env.isa.default_call_conv() });
        make(&mut sig);
        let sig = self.builder.import_signature(sig);
        self.signatures.insert(key, sig);
        sig
    }

    /// Calls a runtime function.
    pub(super) fn call_builtin(&mut self, builtin: Builtin, args: &[Value]) -> Option<Value> {
        let call = match self.builtin(builtin) {
            Target::Direct(func) => self.ins().call(func, args),
            Target::Indirect(sig, code) => self.ins().call_indirect(sig, code, args),
        };
        self.forget_vmctx();
        self.builder.inst_results(call).first().copied()
    }

    /// A runtime function as the target of a call.
    pub(super) fn builtin(&mut self, builtin: Builtin) -> Target {
        let name = Name::builtin(builtin);
        let sig = self.native_signature(name, |sig| {
            let ty = |kind: Kind| match kind {
                Kind::Pointer | Kind::I64 => types::I64,
                Kind::I32 => types::I32,
                Kind::F32 => types::F32,
                Kind::F64 => types::F64,
            };
            sig.params.extend(builtin.params().iter().map(|&k| AbiParam::new(ty(k))));
            sig.returns.extend(builtin.result().map(|k| AbiParam::new(ty(k))));
        });
        match self.builtin_address(builtin) {
            Some(code) => Target::Indirect(sig, code),
            None => Target::Direct(self.function(name, sig)),
        }
    }

    fn call_host(&mut self, host: &'static HostFunction, args: &[Value]) -> Result<Option<Value>> {
        self.renew_host_memory();
        let vmctx = self.vmctx();
        self.call_native(host, vmctx, args)
    }

    /// Calls a function of the runtime, with what tells it where to work before its parameters.
    pub(super) fn call_native(
        &mut self,
        host: &'static HostFunction,
        context: Value,
        args: &[Value],
    ) -> Result<Option<Value>> {
        let name = Name::host(host).ok_or_else(|| Error::internal("a host function is not in the table"))?;
        let sig = self.native_signature(name, |sig| {
            sig.params.push(AbiParam::new(types::I64));
            sig.params.extend(host.params.iter().map(|&t| AbiParam::new(clif_value_type(t))));
            sig.returns.extend(host.results.iter().map(|&t| AbiParam::new(clif_value_type(t))));
        });
        let func = self.function(name, sig);
        let mut with_context = vec![context];
        with_context.extend_from_slice(args);
        let call = self.ins().call(func, &with_context);
        self.forget_vmctx();
        Ok(self.builder.inst_results(call).first().copied())
    }

    /// Calls a function of the index space with operands from the stack.
    pub(super) fn call(&mut self, index: u32, tail: bool) -> Result<()> {
        let func = FuncIndex::from_u32(index);
        let instance = self.env.instance;
        let ty = instance.module.func_type(func);
        match instance.callees[func] {
            Callee::Defined(defined) => {
                let sig = self.wasm_signature(instance.type_ids[func], ty);
                let target = self.function(Name::Function(self.env.function(self.env.index, defined)?), sig);
                let vmctx = self.vmctx_argument();
                let runs_in = match self.env.program.strays(self.env.index, defined) {
                    true => RunsIn::OwnStraying,
                    false => RunsIn::Own,
                };
                self.call_target(Target::Direct(target), vmctx, runs_in, ty, tail);
            }
            Callee::Foreign(other, defined) => {
                let sig = self.wasm_signature(instance.type_ids[func], ty);
                let target = self.function(Name::Function(self.env.function(other, defined)?), sig);
                let strays = self.env.program.strays(other, defined);
                self.call_target(Target::Direct(target), None, RunsIn::Other(other, strays), ty, tail);
            }
            Callee::Imported(import) => {
                let sig = self.wasm_signature(instance.type_ids[func], ty);
                let code = self.imported_code(import);
                self.call_target(Target::Indirect(sig, code.address), code.vmctx, code.runs_in, ty, tail);
            }
            Callee::Host(host) => {
                let args = self.pop_n(ty.params.len());
                let result = self.call_host(host, &args)?;
                self.stack.extend(result);
                if tail {
                    self.return_();
                }
            }
            Callee::Lowered(lowering) => {
                let args = self.pop_n(ty.params.len());
                let results = self.call_lowered(lowering, &args)?;
                for (result, &ty) in results.into_iter().zip(&ty.results) {
                    let narrow = clif_type(ty) == types::I32 && self.type_of(result) == types::I64;
                    let result = if narrow { self.ins().ireduce(types::I32, result) } else { result };
                    self.push(result);
                }
                if tail {
                    self.return_();
                }
            }
            Callee::Missing(_) => {
                let sig = self.wasm_signature(instance.type_ids[func], ty);
                let thunk = self.function(Name::Function(self.env.thunk(func)?), sig);
                let vmctx = self.vmctx_argument();
                self.call_target(Target::Direct(thunk), vmctx, RunsIn::Own, ty, tail);
            }
        }
        Ok(())
    }

    /// Calls, or jumps to, a function of this type with operands from the stack.
    pub(super) fn call_target(
        &mut self,
        target: Target,
        vmctx: Option<Value>,
        runs_in: RunsIn,
        ty: &FuncType,
        tail: bool,
    ) {
        let operands = self.pop_n(ty.params.len());
        let mut args = Vec::with_capacity(operands.len() + 2);
        args.extend(vmctx);
        let area = self.env.returns_in_memory(ty).then(|| match self.return_area {
            // A tail call's results are those of the caller: they go where the caller's were to go.
            Some(area) if tail => area,
            _ => self.area_for_results(ty),
        });
        args.extend(area);
        args.extend(operands);
        let back = self.cross(runs_in, tail);
        if tail {
            match target {
                Target::Direct(func) => self.ins().return_call(func, &args),
                Target::Indirect(sig, code) => self.ins().return_call_indirect(sig, code, &args),
            };
            self.set_unreachable();
            return;
        }
        let handlers = self.handlers(0);
        let results = if handlers.is_empty() {
            let call = match target {
                Target::Direct(func) => self.ins().call(func, &args),
                Target::Indirect(sig, code) => self.ins().call_indirect(sig, code, &args),
            };
            self.forget_vmctx();
            self.builder.inst_results(call).to_vec()
        } else {
            self.try_call(target, &args, &handlers)
        };
        self.come_back(back);
        match area {
            None => self.stack.extend(results),
            Some(area) => {
                let flags = self.trusted_region(Region::ReturnArea);
                for (i, &ty) in ty.results.iter().enumerate() {
                    let value = self.ins().load(clif_type(ty), flags, area, 16 * i as i32);
                    self.push(value);
                }
            }
        }
    }

    /// The address of room for the results of a call. All calls have the same: results are read when the call is done.
    fn area_for_results(&mut self, ty: &FuncType) -> Value {
        let slot = match self.area_for_results {
            Some(slot) => slot,
            None => self.builder.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 0, 4)),
        };
        self.area_for_results = Some(slot);
        let data = &mut self.builder.func.sized_stack_slots[slot];
        data.size = data.size.max(16 * ty.results.len() as u32);
        self.ins().stack_addr(types::I64, slot, 0)
    }

    // ┌───────────────────────────────────────────────────────────────────────────────────────────────────────────┐
    // │ SECURITY: indirect calls. The index is checked against the table's length, the element against null, and   │
    // │ its type against the type that the operator names, before any code address is formed. Elements hold code   │
    // │ offsets that only the compiler wrote (read-only data) or addresses of such records. The index is masked    │
    // │ against speculation past the length check.                                                                 │
    // └───────────────────────────────────────────────────────────────────────────────────────────────────────────┘

    pub(super) fn call_indirect(&mut self, type_index: u32, table_index: u32, tail: bool) -> Result<()> {
        let (type_id, ty) = self.type_at(type_index);
        let table = TableIndex::from_u32(table_index);
        let index = self.pop();
        let index = self.zero_extend(index);
        let code = match self.env.instance.tables[table] {
            TablePlace::Const(place) => {
                let length = self.env.instance.const_tables[place as usize].elements.len() as u64;
                let bound = self.ins().iconst(types::I64, length as i64);
                let index = self.check_index(index, bound, Trap::UndefinedElement);
                let base = self.symbol(Name::ConstTable(self.env.index, place));
                let offset = self.ins().ishl_imm_u(index, 3);
                let record = self.ins().iadd(base, offset);
                self.check_const_type(record, type_id, place);
                self.const_record_code(record)
            }
            TablePlace::Dynamic(_) | TablePlace::Foreign(..) => {
                let reference = self.table_element(table, index, Trap::UndefinedElement)?;
                let is_null = self.ins().icmp_imm_u(IntCC::Equal, reference, 0);
                self.trap_if(is_null, Trap::UninitializedElement);
                self.check_type(reference, type_id);
                self.reference_code(reference)
            }
            TablePlace::Unused => return Err(Error::internal("a call goes through a table that was dropped")),
        };
        let sig = self.wasm_signature(type_id, ty);
        self.call_target(Target::Indirect(sig, code.address), code.vmctx, code.runs_in, ty, tail);
        Ok(())
    }

    /// Calls a typed reference: its type is known by validation, only null is left to check.
    pub(super) fn call_ref(&mut self, type_index: u32, tail: bool) {
        let (type_id, ty) = self.type_at(type_index);
        let reference = self.pop();
        self.trap_if_null(reference);
        let code = self.reference_code(reference);
        let sig = self.wasm_signature(type_id, ty);
        self.call_target(Target::Indirect(sig, code.address), code.vmctx, code.runs_in, ty, tail);
    }

    pub(super) fn trap_if_null(&mut self, reference: Value) {
        let is_null = self.ins().icmp_imm_u(IntCC::Equal, reference, 0);
        self.trap_if(is_null, Trap::NullReference);
    }

    fn type_at(&self, type_index: u32) -> (TypeId, &'a FuncType) {
        let index = TypeIndex::from_u32(type_index);
        let module = &self.env.instance.module;
        (self.env.instance.type_numbers[index], &module.types[index])
    }

    /// Traps unless the function that is referred to has this type.
    fn check_type(&mut self, reference: Value, type_id: TypeId) {
        let flags = self.record_flags();
        let offset = self.type_id_offset();
        let found = self.ins().load(types::I32, flags, reference, offset);
        let expected = self.type_id(type_id);
        let differs = self.ins().icmp(IntCC::NotEqual, found, expected);
        self.trap_if(differs, Trap::IndirectCallTypeMismatch);
    }

    /// Traps unless the record in a table that never changes has this type. Null elements have a type that no function
    /// has, so that one comparison finds both.
    fn check_const_type(&mut self, record: Value, type_id: TypeId, place: u32) {
        let table = &self.env.instance.const_tables[place as usize];
        let has_null = table.has_null;
        if table.is_all_of(type_id) {
            return;
        }
        let flags = self.record_flags();
        let found = self.ins().load(types::I32, flags, record, 4);
        if !has_null {
            let differs = self.ins().icmp_imm_u(IntCC::NotEqual, found, i64::from(type_id));
            self.trap_if(differs, Trap::IndirectCallTypeMismatch);
            return;
        }
        let matches = self.ins().icmp_imm_u(IntCC::Equal, found, i64::from(type_id));
        let (ok, wrong) = (self.builder.create_block(), self.builder.create_block());
        self.ins().brif(matches, ok, &[], wrong, &[]);
        self.builder.seal_block(ok);
        self.builder.seal_block(wrong);
        self.builder.set_cold_block(wrong);
        self.builder.switch_to_block(wrong);
        let is_null = self.ins().icmp_imm_u(IntCC::Equal, found, i64::from(FuncRecord::NULL_TYPE));
        self.trap_if(is_null, Trap::UninitializedElement);
        self.ins().trap(super::trap_code(Trap::IndirectCallTypeMismatch));
        self.builder.switch_to_block(ok);
    }

    /// The code that a record in a table that never changes stands for, or a record of the `Single` shape. It runs in
    /// this instance's own context.
    pub(super) fn const_record_code(&mut self, record: Value) -> Code {
        let flags = self.record_flags();
        let offset = self.ins().uload32(flags, record, 0);
        let text = self.symbol(Name::Text);
        // A function that is referred to may stray.
        let runs_in = if self.env.program.has_straying() { RunsIn::OwnStraying } else { RunsIn::Own };
        Code { address: self.ins().iadd(text, offset), vmctx: self.vmctx_argument(), runs_in }
    }

    /// Records never change. They are read only after the checks of the index, so they cannot be moved up.
    pub(super) fn record_flags(&mut self) -> MemFlagsData {
        self.trusted_region(Region::Constants).with_readonly()
    }

    /// An index that is below the bound; traps otherwise, and cannot exceed it speculatively either.
    pub(super) fn check_index(&mut self, index: Value, bound: Value, trap: Trap) -> Value {
        let outside = self.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, index, bound);
        self.trap_if(outside, trap);
        if !self.env.spectre_mitigations {
            return index;
        }
        let zero = self.ins().iconst(types::I64, 0);
        self.ins().select_spectre_guard(outside, zero, index)
    }
}
