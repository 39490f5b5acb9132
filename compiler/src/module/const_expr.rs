//! Constant expressions: initial values of globals, offsets of segments, elements of tables.
//! Source: specification, "Constant Expressions" (valid/instructions.html#constant-expressions).

use wasmparser::{Operator, OperatorsReader};

use super::{FuncIndex, GlobalIndex};

/// A value that is known without running anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "variants are the specification's value types")]
pub enum ConstValue {
    I32(i32),
    I64(i64),
    /// Bits of an `f32`.
    F32(u32),
    /// Bits of an `f64`.
    F64(u64),
    V128([u8; 16]),
    /// A null reference of any type.
    Null,
    Func(FuncIndex),
}

impl ConstValue {
    /// An offset or length: the integer without its sign.
    pub fn as_unsigned(self) -> Option<u64> {
        match self {
            Self::I32(v) => Some(u64::from(v as u32)),
            Self::I64(v) => Some(v as u64),
            _ => None,
        }
    }

    /// How a number is stored, in little-endian order; nothing for references.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::I32(v) => v.to_le_bytes().to_vec(),
            Self::I64(v) => v.to_le_bytes().to_vec(),
            Self::F32(v) => v.to_le_bytes().to_vec(),
            Self::F64(v) => v.to_le_bytes().to_vec(),
            Self::V128(v) => v.to_vec(),
            Self::Null | Self::Func(_) => Vec::new(),
        }
    }

    /// The function that is referred to.
    pub fn as_func(self) -> Option<FuncIndex> {
        match self {
            Self::Func(func) => Some(func),
            _ => None,
        }
    }
}

/// An operator of a constant expression.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "variants are the specification's operators")]
pub enum ConstOp {
    Value(ConstValue),
    GlobalGet(GlobalIndex),
    I32Add,
    I32Sub,
    I32Mul,
    I64Add,
    I64Sub,
    I64Mul,
}

/// A validated constant expression.
#[derive(Clone, Debug)]
pub struct ConstExpr {
    ops: Box<[ConstOp]>,
}

impl ConstExpr {
    /// An expression with this value.
    pub fn value(value: ConstValue) -> Self {
        Self { ops: Box::new([ConstOp::Value(value)]) }
    }

    /// Reads a validated expression; `None` where it has an operator that is not supported (the validator accepts
    /// those only with proposals that are off).
    pub fn read(mut ops: OperatorsReader<'_>) -> wasmparser::Result<Option<Self>> {
        let mut out = Vec::with_capacity(1);
        while !ops.eof() {
            out.push(match ops.read()? {
                Operator::I32Const { value } => ConstOp::Value(ConstValue::I32(value)),
                Operator::I64Const { value } => ConstOp::Value(ConstValue::I64(value)),
                Operator::F32Const { value } => ConstOp::Value(ConstValue::F32(value.bits())),
                Operator::F64Const { value } => ConstOp::Value(ConstValue::F64(value.bits())),
                Operator::V128Const { value } => ConstOp::Value(ConstValue::V128(*value.bytes())),
                Operator::RefNull { .. } => ConstOp::Value(ConstValue::Null),
                Operator::RefFunc { function_index } => {
                    ConstOp::Value(ConstValue::Func(FuncIndex::from_u32(function_index)))
                }
                Operator::GlobalGet { global_index } => ConstOp::GlobalGet(GlobalIndex::from_u32(global_index)),
                Operator::I32Add => ConstOp::I32Add,
                Operator::I32Sub => ConstOp::I32Sub,
                Operator::I32Mul => ConstOp::I32Mul,
                Operator::I64Add => ConstOp::I64Add,
                Operator::I64Sub => ConstOp::I64Sub,
                Operator::I64Mul => ConstOp::I64Mul,
                Operator::End => break,
                _ => return Ok(None),
            });
        }
        Ok(Some(Self { ops: out.into() }))
    }

    /// Computes the value, asking for globals; `None` where one of those is not known at compile time.
    pub fn evaluate(&self, mut global: impl FnMut(GlobalIndex) -> Option<ConstValue>) -> Option<ConstValue> {
        let mut stack = Vec::with_capacity(2);
        for op in &self.ops {
            let value = match *op {
                ConstOp::Value(value) => value,
                ConstOp::GlobalGet(index) => global(index)?,
                ConstOp::I32Add | ConstOp::I32Sub | ConstOp::I32Mul => {
                    let (Some(ConstValue::I32(b)), Some(ConstValue::I32(a))) = (stack.pop(), stack.pop()) else {
                        return None;
                    };
                    ConstValue::I32(match op {
                        ConstOp::I32Add => a.wrapping_add(b),
                        ConstOp::I32Sub => a.wrapping_sub(b),
                        _ => a.wrapping_mul(b),
                    })
                }
                ConstOp::I64Add | ConstOp::I64Sub | ConstOp::I64Mul => {
                    let (Some(ConstValue::I64(b)), Some(ConstValue::I64(a))) = (stack.pop(), stack.pop()) else {
                        return None;
                    };
                    ConstValue::I64(match op {
                        ConstOp::I64Add => a.wrapping_add(b),
                        ConstOp::I64Sub => a.wrapping_sub(b),
                        _ => a.wrapping_mul(b),
                    })
                }
            };
            stack.push(value);
        }
        stack.pop()
    }

    /// The operators, in postfix order.
    pub fn ops(&self) -> &[ConstOp] {
        &self.ops
    }

    /// Functions that the expression refers to.
    pub fn funcs(&self) -> impl Iterator<Item = FuncIndex> + '_ {
        self.ops.iter().filter_map(|op| match op {
            ConstOp::Value(ConstValue::Func(f)) => Some(*f),
            _ => None,
        })
    }
}
