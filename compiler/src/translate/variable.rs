//! Locals, globals and references to functions.

use cranelift_codegen::ir::{self, InstBuilder as _, Value, types};
use cranelift_frontend::Variable;
use wasmparser::{FunctionBody, ValType};

use super::{BodyError, FuncTranslator, Region, clif_type};
use crate::error::{Error, Result};
use crate::module::{ConstExpr, ConstOp, ConstValue, FuncIndex, FuncType, GlobalIndex};
use crate::program::GlobalPlace;

/// Where a local lives.
#[derive(Clone, Copy)]
pub(super) enum Local {
    /// In values of the intermediate form, which makes block parameters of them where control flow joins.
    Variable(Variable),
    /// In the frame, see [`super::budget`].
    Frame { slot: ir::StackSlot, offset: i32, ty: ir::Type },
}

impl FuncTranslator<'_, '_> {
    /// The region of a global's value. Imported globals of libraries may be the same one.
    pub(super) fn global_region(&self, global: GlobalIndex, place: GlobalPlace) -> Region {
        match place {
            GlobalPlace::Imported(_) => Region::ImportedGlobals,
            _ => Region::Global(self.env.program.global_number(self.env.instance, global)),
        }
    }

    /// Parameters from the entry block.
    pub(super) fn declare_params(&mut self, ty: &FuncType, entry: ir::Block) {
        let mut params = self.builder.block_params(entry).to_vec().into_iter();
        if FuncTranslator::vmctx_param(self.env.shape).is_some() {
            self.vmctx = params.next();
        }
        if self.env.returns_in_memory(ty) {
            self.return_area = params.next();
        }
        for (value, &ty) in params.zip(&ty.params) {
            self.declare_local(ty, value);
        }
    }

    /// The other locals, zeroed.
    pub(super) fn declare_locals(&mut self, body: &FunctionBody<'_>) -> Result<(), BodyError> {
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            let zero = self.zero(ty);
            for _ in 0..count {
                self.declare_local(ty, zero);
            }
        }
        Ok(())
    }

    fn declare_local(&mut self, ty: ValType, value: Value) {
        let ty = clif_type(ty);
        let local = match self.locals_in_frame {
            None => Local::Variable(self.builder.declare_var(ty)),
            Some(slot) => {
                let data = &mut self.builder.func.sized_stack_slots[slot];
                let offset = data.size.next_multiple_of(ty.bytes());
                data.size = offset + ty.bytes();
                Local::Frame { slot, offset: offset as i32, ty }
            }
        };
        self.define_local(local, value);
        self.locals.push(local);
    }

    fn define_local(&mut self, local: Local, value: Value) {
        match local {
            Local::Variable(variable) => self.builder.def_var(variable, value),
            Local::Frame { slot, offset, .. } => _ = self.ins().stack_store(types::I64, value, slot, offset),
        }
    }

    /// The default value of a type.
    fn zero(&mut self, ty: ValType) -> Value {
        match ty {
            ValType::I32 => self.ins().iconst(types::I32, 0),
            ValType::F32 => self.ins().f32const(0.0),
            ValType::F64 => self.ins().f64const(0.0),
            ValType::V128 => self.v128_const([0; 16]),
            ValType::I64 | ValType::Ref(_) => self.ins().iconst(types::I64, 0),
        }
    }

    pub(super) fn local_get(&mut self, index: u32) {
        let value = match self.locals[index as usize] {
            Local::Variable(variable) => self.builder.use_var(variable),
            Local::Frame { slot, offset, ty } => self.ins().stack_load(types::I64, ty, slot, offset),
        };
        self.push(value);
    }

    pub(super) fn local_set(&mut self, index: u32) {
        let value = self.pop();
        self.define_local(self.locals[index as usize], value);
    }

    pub(super) fn local_tee(&mut self, index: u32) {
        let value = self.pop();
        self.define_local(self.locals[index as usize], value);
        self.push(value);
    }

    pub(super) fn global_get(&mut self, index: u32) -> Result<()> {
        let global = GlobalIndex::from_u32(index);
        let value = match self.env.instance.globals[global] {
            GlobalPlace::Const(value) => self.constant(value)?,
            place => self.global_value(global, place)?,
        };
        self.push(value);
        Ok(())
    }

    fn global_value(&mut self, global: GlobalIndex, place: GlobalPlace) -> Result<Value> {
        let Some((address, offset)) = self.global_place(place) else {
            return Err(Error::internal(format!("global {} has no place", global.as_u32())));
        };
        let flags = self.trusted_region(self.global_region(global, place));
        let ty = clif_type(self.env.module().globals[global].ty);
        Ok(self.ins().load(ty, flags, address, offset))
    }

    pub(super) fn global_set(&mut self, index: u32) -> Result<()> {
        let global = GlobalIndex::from_u32(index);
        let place = self.env.instance.globals[global];
        let Some((address, offset)) = self.global_place(place) else {
            return Err(Error::internal(format!("global {index} is written but was taken for a constant")));
        };
        let value = self.pop();
        let flags = self.trusted_region(self.global_region(global, place));
        self.ins().store(flags, value, address, offset);
        Ok(())
    }

    /// The value of a constant expression.
    /// Source: specification, "Constant Expressions" (valid/instructions.html#constant-expressions).
    pub(super) fn const_expr(&mut self, expr: &ConstExpr) -> Result<Value> {
        for op in expr.ops() {
            match *op {
                ConstOp::Value(value) => {
                    let value = self.constant(value)?;
                    self.push(value);
                }
                ConstOp::GlobalGet(global) => self.global_get(global.as_u32())?,
                ConstOp::I32Add | ConstOp::I64Add => self.binary(|t, a, b| t.ins().iadd(a, b)),
                ConstOp::I32Sub | ConstOp::I64Sub => self.binary(|t, a, b| t.ins().isub(a, b)),
                ConstOp::I32Mul | ConstOp::I64Mul => self.binary(|t, a, b| t.ins().imul(a, b)),
            }
        }
        Ok(self.pop())
    }

    /// A value that is known at compile time.
    pub(super) fn constant(&mut self, value: ConstValue) -> Result<Value> {
        Ok(match value {
            ConstValue::I32(v) => self.ins().iconst(types::I32, i64::from(v as u32)),
            ConstValue::I64(v) => self.ins().iconst(types::I64, v),
            ConstValue::F32(bits) => self.ins().f32const(ir::immediates::Ieee32::with_bits(bits)),
            ConstValue::F64(bits) => self.ins().f64const(ir::immediates::Ieee64::with_bits(bits)),
            ConstValue::V128(bytes) => self.v128_const(bytes),
            ConstValue::Null => self.ins().iconst(types::I64, 0),
            ConstValue::Func(func) => self.func_ref(func)?,
        })
    }

    pub(super) fn v128_const(&mut self, bytes: [u8; 16]) -> Value {
        let constant = self.builder.func.dfg.constants.insert(bytes.as_slice().into());
        self.ins().vconst(types::I8X16, constant)
    }

    /// A function's reference: the address of its record, or of its [`wasmelt_abi::context::FuncRef`].
    pub(super) fn func_ref(&mut self, func: FuncIndex) -> Result<Value> {
        let record = self.env.instance.record_of.get(&func).copied();
        let record = record.ok_or_else(|| Error::internal(format!("no record for function {}", func.as_u32())))?;
        Ok(self.record_reference(record))
    }

    pub(super) fn ref_null(&mut self) {
        let null = self.ins().iconst(types::I64, 0);
        self.push(null);
    }

    pub(super) fn ref_is_null(&mut self) {
        let value = self.pop();
        let is_null = self.ins().icmp_imm_u(ir::condcodes::IntCC::Equal, value, 0);
        self.push_bool(is_null);
    }
}
