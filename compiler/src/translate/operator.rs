//! The table of operators: one line each. The work lies in the file of the operator's concept.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::{InstBuilder as _, types};
use wasmparser::Operator;

use super::memory::Extend::{Signed, Unsigned};
use super::rounding::Rounding;
use super::{BodyError, FuncTranslator};
use crate::error::Error;

use types::{F32, F64, I8, I8X16, I16, I32, I64};

impl FuncTranslator<'_, '_> {
    /// Translates one operator.
    pub(super) fn operator(&mut self, op: &Operator<'_>) -> Result<(), BodyError> {
        if !self.reachable {
            return self.unreachable_operator(op);
        }
        #[rustfmt::skip]
        match op {
            // Control.
            Operator::Unreachable => self.unreachable(),
            Operator::Nop => {}
            Operator::Block { blockty } => self.block(*blockty),
            Operator::Loop { blockty } => self.loop_(*blockty),
            Operator::If { blockty } => self.if_(*blockty),
            Operator::Else => self.else_(),
            Operator::End => self.end(),
            Operator::Br { relative_depth } => self.br(*relative_depth),
            Operator::BrIf { relative_depth } => self.br_if(*relative_depth),
            Operator::BrTable { targets } => self.br_table(targets)?,
            Operator::Return => self.return_(),
            Operator::Drop => { self.pop(); }
            Operator::Select | Operator::TypedSelect { .. } => self.select(),

            // Calls.
            Operator::Call { function_index } => self.call(*function_index, false)?,
            Operator::CallIndirect { type_index, table_index } => self.call_indirect(*type_index, *table_index, false)?,
            Operator::ReturnCall { function_index } => self.call(*function_index, true)?,
            Operator::ReturnCallIndirect { type_index, table_index } => self.call_indirect(*type_index, *table_index, true)?,
            Operator::CallRef { type_index } => self.call_ref(*type_index, false),
            Operator::ReturnCallRef { type_index } => self.call_ref(*type_index, true),

            // Exceptions.
            Operator::TryTable { try_table } => self.try_table(try_table),
            Operator::Throw { tag_index } => self.throw(*tag_index)?,
            Operator::ThrowRef => self.throw_ref(),
            Operator::Try { blockty } => self.legacy_try(*blockty),
            Operator::Catch { tag_index } => self.legacy_catch(*tag_index),
            Operator::CatchAll => self.legacy_catch_all(),
            Operator::Delegate { relative_depth } => self.legacy_delegate(*relative_depth),
            Operator::Rethrow { relative_depth } => self.legacy_rethrow(*relative_depth),

            // Variables and references.
            Operator::LocalGet { local_index } => self.local_get(*local_index),
            Operator::LocalSet { local_index } => self.local_set(*local_index),
            Operator::LocalTee { local_index } => self.local_tee(*local_index),
            Operator::GlobalGet { global_index } => self.global_get(*global_index)?,
            Operator::GlobalSet { global_index } => self.global_set(*global_index)?,
            Operator::RefNull { .. } => self.ref_null(),
            Operator::RefIsNull => self.ref_is_null(),
            Operator::RefAsNonNull => self.unary(|t, a| { t.trap_if_null(a); a }),
            Operator::BrOnNull { relative_depth } => self.br_on_null(*relative_depth),
            Operator::BrOnNonNull { relative_depth } => self.br_on_non_null(*relative_depth),
            Operator::RefFunc { function_index } => {
                let value = self.func_ref(crate::module::FuncIndex::from_u32(*function_index))?;
                self.push(value);
            }

            // Memory.
            Operator::I32Load { memarg } => self.load(memarg, I32),
            Operator::I64Load { memarg } => self.load(memarg, I64),
            Operator::F32Load { memarg } => self.load(memarg, F32),
            Operator::F64Load { memarg } => self.load(memarg, F64),
            Operator::V128Load { memarg } => self.load(memarg, I8X16),
            Operator::I32Load8S { memarg } => self.load_narrow(memarg, I32, 8, Signed),
            Operator::I32Load8U { memarg } => self.load_narrow(memarg, I32, 8, Unsigned),
            Operator::I32Load16S { memarg } => self.load_narrow(memarg, I32, 16, Signed),
            Operator::I32Load16U { memarg } => self.load_narrow(memarg, I32, 16, Unsigned),
            Operator::I64Load8S { memarg } => self.load_narrow(memarg, I64, 8, Signed),
            Operator::I64Load8U { memarg } => self.load_narrow(memarg, I64, 8, Unsigned),
            Operator::I64Load16S { memarg } => self.load_narrow(memarg, I64, 16, Signed),
            Operator::I64Load16U { memarg } => self.load_narrow(memarg, I64, 16, Unsigned),
            Operator::I64Load32S { memarg } => self.load_narrow(memarg, I64, 32, Signed),
            Operator::I64Load32U { memarg } => self.load_narrow(memarg, I64, 32, Unsigned),
            Operator::I32Store { memarg }
            | Operator::I64Store { memarg }
            | Operator::F32Store { memarg }
            | Operator::F64Store { memarg }
            | Operator::V128Store { memarg } => self.store(memarg),
            Operator::I32Store8 { memarg } | Operator::I64Store8 { memarg } => self.store_narrow(memarg, 8),
            Operator::I32Store16 { memarg } | Operator::I64Store16 { memarg } => self.store_narrow(memarg, 16),
            Operator::I64Store32 { memarg } => self.store_narrow(memarg, 32),
            Operator::MemorySize { mem } => self.memory_size(*mem),
            Operator::MemoryGrow { mem } => self.memory_grow(*mem)?,
            Operator::MemoryCopy { dst_mem, src_mem } => self.memory_copy(*dst_mem, *src_mem),
            Operator::MemoryFill { mem } => self.memory_fill(*mem),
            Operator::MemoryInit { data_index, mem } => self.memory_init(*data_index, *mem)?,
            Operator::DataDrop { data_index } => self.data_drop(*data_index),

            // Tables.
            Operator::TableGet { table } => self.table_get(*table)?,
            Operator::TableSet { table } => self.table_set(*table)?,
            Operator::TableSize { table } => self.table_size(*table),
            Operator::TableGrow { table } => self.table_grow(*table)?,
            Operator::TableFill { table } => self.table_fill(*table)?,
            Operator::TableCopy { dst_table, src_table } => self.table_copy(*dst_table, *src_table)?,
            Operator::TableInit { elem_index, table } => self.table_init(*elem_index, *table)?,
            Operator::ElemDrop { elem_index } => self.elem_drop(*elem_index),

            // Constants.
            Operator::I32Const { value } => { let v = self.ins().iconst(I32, i64::from(*value as u32)); self.push(v); }
            Operator::I64Const { value } => { let v = self.ins().iconst(I64, *value); self.push(v); }
            Operator::F32Const { value } => { let v = self.ins().f32const(Ieee32::with_bits(value.bits())); self.push(v); }
            Operator::F64Const { value } => { let v = self.ins().f64const(Ieee64::with_bits(value.bits())); self.push(v); }

            // Comparisons.
            Operator::I32Eqz | Operator::I64Eqz => self.eqz(),
            Operator::I32Eq | Operator::I64Eq => self.compare(IntCC::Equal),
            Operator::I32Ne | Operator::I64Ne => self.compare(IntCC::NotEqual),
            Operator::I32LtS | Operator::I64LtS => self.compare(IntCC::SignedLessThan),
            Operator::I32LtU | Operator::I64LtU => self.compare(IntCC::UnsignedLessThan),
            Operator::I32GtS | Operator::I64GtS => self.compare(IntCC::SignedGreaterThan),
            Operator::I32GtU | Operator::I64GtU => self.compare(IntCC::UnsignedGreaterThan),
            Operator::I32LeS | Operator::I64LeS => self.compare(IntCC::SignedLessThanOrEqual),
            Operator::I32LeU | Operator::I64LeU => self.compare(IntCC::UnsignedLessThanOrEqual),
            Operator::I32GeS | Operator::I64GeS => self.compare(IntCC::SignedGreaterThanOrEqual),
            Operator::I32GeU | Operator::I64GeU => self.compare(IntCC::UnsignedGreaterThanOrEqual),
            Operator::F32Eq | Operator::F64Eq => self.compare_float(FloatCC::Equal),
            Operator::F32Ne | Operator::F64Ne => self.compare_float(FloatCC::NotEqual),
            Operator::F32Lt | Operator::F64Lt => self.compare_float(FloatCC::LessThan),
            Operator::F32Gt | Operator::F64Gt => self.compare_float(FloatCC::GreaterThan),
            Operator::F32Le | Operator::F64Le => self.compare_float(FloatCC::LessThanOrEqual),
            Operator::F32Ge | Operator::F64Ge => self.compare_float(FloatCC::GreaterThanOrEqual),

            // Integers.
            Operator::I32Clz | Operator::I64Clz => self.unary(|t, a| t.ins().clz(a)),
            Operator::I32Ctz | Operator::I64Ctz => self.unary(|t, a| t.ins().ctz(a)),
            Operator::I32Popcnt | Operator::I64Popcnt => self.unary(|t, a| t.ins().popcnt(a)),
            Operator::I32Add | Operator::I64Add => self.binary(|t, a, b| t.ins().iadd(a, b)),
            Operator::I32Sub | Operator::I64Sub => self.binary(|t, a, b| t.ins().isub(a, b)),
            Operator::I32Mul | Operator::I64Mul => self.binary(Self::multiply),
            Operator::I32DivS | Operator::I64DivS => self.binary(|t, a, b| t.ins().sdiv(a, b)),
            Operator::I32DivU | Operator::I64DivU => self.binary(|t, a, b| t.ins().udiv(a, b)),
            Operator::I32RemS | Operator::I64RemS => self.binary(|t, a, b| t.ins().srem(a, b)),
            Operator::I32RemU | Operator::I64RemU => self.binary(|t, a, b| t.ins().urem(a, b)),
            Operator::I32And | Operator::I64And => self.binary(|t, a, b| t.ins().band(a, b)),
            Operator::I32Or | Operator::I64Or => self.binary(|t, a, b| t.ins().bor(a, b)),
            Operator::I32Xor | Operator::I64Xor => self.binary(|t, a, b| t.ins().bxor(a, b)),
            Operator::I32Shl | Operator::I64Shl => self.binary(|t, a, b| t.ins().ishl(a, b)),
            Operator::I32ShrS | Operator::I64ShrS => self.binary(|t, a, b| t.ins().sshr(a, b)),
            Operator::I32ShrU | Operator::I64ShrU => self.binary(|t, a, b| t.ins().ushr(a, b)),
            Operator::I32Rotl | Operator::I64Rotl => self.binary(|t, a, b| t.ins().rotl(a, b)),
            Operator::I32Rotr | Operator::I64Rotr => self.binary(|t, a, b| t.ins().rotr(a, b)),
            Operator::I32Extend8S | Operator::I64Extend8S => self.sign_extend_low(I8),
            Operator::I32Extend16S | Operator::I64Extend16S => self.sign_extend_low(I16),
            Operator::I64Extend32S => self.sign_extend_low(I32),

            Operator::I64Add128 => self.arithmetic_128(|t, a, b| t.ins().iadd(a, b)),
            Operator::I64Sub128 => self.arithmetic_128(|t, a, b| t.ins().isub(a, b)),
            Operator::I64MulWideS => self.multiply_wide(|t, a, b| t.ins().smulhi(a, b)),
            Operator::I64MulWideU => self.multiply_wide(|t, a, b| t.ins().umulhi(a, b)),

            // Floats.
            Operator::F32Abs | Operator::F64Abs => self.unary(|t, a| t.ins().fabs(a)),
            Operator::F32Neg | Operator::F64Neg => self.unary(|t, a| t.ins().fneg(a)),
            Operator::F32Ceil | Operator::F64Ceil => self.unary(|t, a| t.round(Rounding::Ceil, a)),
            Operator::F32Floor | Operator::F64Floor => self.unary(|t, a| t.round(Rounding::Floor, a)),
            Operator::F32Trunc | Operator::F64Trunc => self.unary(|t, a| t.round(Rounding::Trunc, a)),
            Operator::F32Nearest | Operator::F64Nearest => self.unary(|t, a| t.round(Rounding::Nearest, a)),
            Operator::F32Sqrt | Operator::F64Sqrt => self.unary(|t, a| t.ins().sqrt(a)),
            Operator::F32Add | Operator::F64Add => self.binary(|t, a, b| t.ins().fadd(a, b)),
            Operator::F32Sub | Operator::F64Sub => self.binary(|t, a, b| t.ins().fsub(a, b)),
            Operator::F32Mul | Operator::F64Mul => self.binary(|t, a, b| t.ins().fmul(a, b)),
            Operator::F32Div | Operator::F64Div => self.binary(|t, a, b| t.ins().fdiv(a, b)),
            Operator::F32Min | Operator::F64Min => self.binary(|t, a, b| t.ins().fmin(a, b)),
            Operator::F32Max | Operator::F64Max => self.binary(|t, a, b| t.ins().fmax(a, b)),
            Operator::F32Copysign | Operator::F64Copysign => self.binary(|t, a, b| t.ins().fcopysign(a, b)),

            // Conversions.
            Operator::I32WrapI64 => self.wrap(),
            Operator::I64ExtendI32S => self.unary(|t, a| t.ins().sextend(I64, a)),
            Operator::I64ExtendI32U => self.unary(|t, a| t.ins().uextend(I64, a)),
            Operator::I32TruncF32S | Operator::I32TruncF64S => self.truncate(I32, true),
            Operator::I32TruncF32U | Operator::I32TruncF64U => self.truncate(I32, false),
            Operator::I64TruncF32S | Operator::I64TruncF64S => self.truncate(I64, true),
            Operator::I64TruncF32U | Operator::I64TruncF64U => self.truncate(I64, false),
            Operator::I32TruncSatF32S | Operator::I32TruncSatF64S => self.truncate_saturating(I32, true),
            Operator::I32TruncSatF32U | Operator::I32TruncSatF64U => self.truncate_saturating(I32, false),
            Operator::I64TruncSatF32S | Operator::I64TruncSatF64S => self.truncate_saturating(I64, true),
            Operator::I64TruncSatF32U | Operator::I64TruncSatF64U => self.truncate_saturating(I64, false),
            Operator::F32ConvertI32S | Operator::F32ConvertI64S => self.convert(F32, true),
            Operator::F32ConvertI32U | Operator::F32ConvertI64U => self.convert(F32, false),
            Operator::F64ConvertI32S | Operator::F64ConvertI64S => self.convert(F64, true),
            Operator::F64ConvertI32U | Operator::F64ConvertI64U => self.convert(F64, false),
            Operator::F32DemoteF64 => self.unary(|t, a| t.ins().fdemote(F32, a)),
            Operator::F64PromoteF32 => self.unary(|t, a| t.ins().fpromote(F64, a)),
            Operator::I32ReinterpretF32 => self.reinterpret(I32),
            Operator::I64ReinterpretF64 => self.reinterpret(I64),
            Operator::F32ReinterpretI32 => self.reinterpret(F32),
            Operator::F64ReinterpretI64 => self.reinterpret(F64),

            // Vectors and atomics have tables of their own.
            op => if !self.atomic_operator(op) && !self.simd_operator(op)? {
                return Err(Error::internal(format!("no translation for the operator {op:?}")).into());
            },
        };
        Ok(())
    }

    /// In code that cannot be reached only the nesting counts.
    fn unreachable_operator(&mut self, op: &Operator<'_>) -> Result<(), BodyError> {
        match op {
            Operator::Loop { .. } => {
                self.loops_entered += 1;
                self.dead_frame();
            }
            Operator::Block { .. } | Operator::If { .. } | Operator::TryTable { .. } | Operator::Try { .. } => {
                self.dead_frame()
            }
            Operator::Else => self.else_(),
            Operator::Catch { tag_index } => self.legacy_catch(*tag_index),
            Operator::CatchAll => self.legacy_catch_all(),
            Operator::Delegate { relative_depth } => self.legacy_delegate(*relative_depth),
            Operator::End => self.end(),
            _ => {}
        }
        Ok(())
    }
}
