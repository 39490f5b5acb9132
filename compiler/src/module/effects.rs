//! What an operator does to the flow of control: one answer for each, which those who gather facts about a body and
//! those who count operators both go by.
//!
//! The table follows the list of operators of `wasmparser`: one that is in no row does not compile, so that an operator
//! that calls something cannot be forgotten. Proposals without such operators have a row for all of theirs.

use wasmparser::{Catch, Operator};

/// What an operator does besides its own work on values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the next operator follows.
    Plain,
    /// Nothing, but it names a function, table, segment or global that could be left out or taken as constant without
    /// it.
    Refers,
    /// It calls a function of the runtime, and the next operator follows.
    Runtime,
    /// It calls a function of a guest or the host, and the next operator follows.
    Call,
    /// It calls a function in place of the one that it is in.
    TailCall,
    /// It throws.
    Throw,
    /// It begins a block that code only enters here.
    Block,
    /// It begins a block, where code may go on elsewhere instead.
    Fork,
    /// It begins a loop, which code can come back to.
    Loop,
    /// It ends a part of a block and begins another one.
    Clause,
    /// It ends a block.
    End,
    /// It ends a block whose exceptions go on elsewhere.
    Delegate,
    /// Code may go on elsewhere, or does.
    Branch,
    /// Its proposal is not accepted.
    Unknown,
}

/// The effect of an operator of a proposal: that of all its operators, or the one in the table below.
macro_rules! proposal {
    (simd $op:ident) => {
        Effect::Plain
    };
    (relaxed_simd $op:ident) => {
        Effect::Plain
    };
    (saturating_float_to_int $op:ident) => {
        Effect::Plain
    };
    (sign_extension $op:ident) => {
        Effect::Plain
    };
    (wide_arithmetic $op:ident) => {
        Effect::Plain
    };
    (gc $op:ident) => {
        Effect::Unknown
    };
    (custom_descriptors $op:ident) => {
        Effect::Unknown
    };
    (memory_control $op:ident) => {
        Effect::Unknown
    };
    (shared_everything_threads $op:ident) => {
        Effect::Unknown
    };
    (stack_switching $op:ident) => {
        Effect::Unknown
    };
    ($proposal:ident $op:ident) => {
        table::$op
    };
}

impl Effect {
    /// The effect of an operator.
    pub fn of(op: &Operator<'_>) -> Self {
        macro_rules! select {
            ($(@$proposal:ident $op:ident $({ $($field:ident: $ty:ty),* })? => $visit:ident $annotation:tt)*) => {
                match op {
                    $(Operator::$op { .. } => proposal!($proposal $op),)*
                    // wasmparser marks its enumeration as open, so the compiler wants this arm.
                    _ => Self::Unknown,
                }
            };
        }
        wasmparser::for_each_operator!(select)
    }
}

/// A constant for each operator of the other proposals.
#[allow(non_upper_case_globals, reason = "they have the names of the operators")]
mod table {
    use super::Effect;

    macro_rules! effects {
        ($($effect:ident: $($op:ident)*;)*) => {
            $($(pub(super) const $op: Effect = Effect::$effect;)*)*
        };
    }

    effects! {
        Refers: RefFunc GlobalSet TableGet TableSet TableSize;
        Runtime: MemoryGrow MemoryCopy MemoryFill MemoryInit DataDrop
            MemoryAtomicWait32 MemoryAtomicWait64 MemoryAtomicNotify
            TableGrow TableFill TableCopy TableInit ElemDrop;
        Call: Call CallIndirect CallRef;
        TailCall: ReturnCall ReturnCallIndirect ReturnCallRef;
        Throw: Throw ThrowRef Rethrow;
        Block: Block;
        Fork: If TryTable Try;
        Loop: Loop;
        Clause: Else Catch CatchAll;
        End: End;
        Delegate: Delegate;
        Branch: Unreachable Return Br BrIf BrTable BrOnNull BrOnNonNull;
        Plain: Nop Drop Select TypedSelect TypedSelectMulti
            LocalGet LocalSet LocalTee GlobalGet RefNull RefIsNull RefAsNonNull
            MemorySize AtomicFence I32Const I64Const F32Const F64Const
            I32Load I64Load F32Load F64Load I32Load8S I32Load8U I32Load16S I32Load16U
            I64Load8S I64Load8U I64Load16S I64Load16U I64Load32S I64Load32U
            I32Store I64Store F32Store F64Store I32Store8 I32Store16 I64Store8 I64Store16 I64Store32
            I32Eqz I32Eq I32Ne I32LtS I32LtU I32GtS I32GtU I32LeS I32LeU I32GeS I32GeU
            I64Eqz I64Eq I64Ne I64LtS I64LtU I64GtS I64GtU I64LeS I64LeU I64GeS I64GeU
            F32Eq F32Ne F32Lt F32Gt F32Le F32Ge F64Eq F64Ne F64Lt F64Gt F64Le F64Ge
            I32Clz I32Ctz I32Popcnt I32Add I32Sub I32Mul I32DivS I32DivU I32RemS I32RemU
            I32And I32Or I32Xor I32Shl I32ShrS I32ShrU I32Rotl I32Rotr
            I64Clz I64Ctz I64Popcnt I64Add I64Sub I64Mul I64DivS I64DivU I64RemS I64RemU
            I64And I64Or I64Xor I64Shl I64ShrS I64ShrU I64Rotl I64Rotr
            F32Abs F32Neg F32Ceil F32Floor F32Trunc F32Nearest F32Sqrt
            F32Add F32Sub F32Mul F32Div F32Min F32Max F32Copysign
            F64Abs F64Neg F64Ceil F64Floor F64Trunc F64Nearest F64Sqrt
            F64Add F64Sub F64Mul F64Div F64Min F64Max F64Copysign
            I32WrapI64 I32TruncF32S I32TruncF32U I32TruncF64S I32TruncF64U I64ExtendI32S I64ExtendI32U
            I64TruncF32S I64TruncF32U I64TruncF64S I64TruncF64U
            F32ConvertI32S F32ConvertI32U F32ConvertI64S F32ConvertI64U F32DemoteF64
            F64ConvertI32S F64ConvertI32U F64ConvertI64S F64ConvertI64U F64PromoteF32
            I32ReinterpretF32 I64ReinterpretF64 F32ReinterpretI32 F64ReinterpretI64
            I32AtomicLoad I64AtomicLoad I32AtomicLoad8U I32AtomicLoad16U
            I64AtomicLoad8U I64AtomicLoad16U I64AtomicLoad32U
            I32AtomicStore I64AtomicStore I32AtomicStore8 I32AtomicStore16
            I64AtomicStore8 I64AtomicStore16 I64AtomicStore32
            I32AtomicRmwAdd I64AtomicRmwAdd I32AtomicRmw8AddU I32AtomicRmw16AddU
            I64AtomicRmw8AddU I64AtomicRmw16AddU I64AtomicRmw32AddU
            I32AtomicRmwSub I64AtomicRmwSub I32AtomicRmw8SubU I32AtomicRmw16SubU
            I64AtomicRmw8SubU I64AtomicRmw16SubU I64AtomicRmw32SubU
            I32AtomicRmwAnd I64AtomicRmwAnd I32AtomicRmw8AndU I32AtomicRmw16AndU
            I64AtomicRmw8AndU I64AtomicRmw16AndU I64AtomicRmw32AndU
            I32AtomicRmwOr I64AtomicRmwOr I32AtomicRmw8OrU I32AtomicRmw16OrU
            I64AtomicRmw8OrU I64AtomicRmw16OrU I64AtomicRmw32OrU
            I32AtomicRmwXor I64AtomicRmwXor I32AtomicRmw8XorU I32AtomicRmw16XorU
            I64AtomicRmw8XorU I64AtomicRmw16XorU I64AtomicRmw32XorU
            I32AtomicRmwXchg I64AtomicRmwXchg I32AtomicRmw8XchgU I32AtomicRmw16XchgU
            I64AtomicRmw8XchgU I64AtomicRmw16XchgU I64AtomicRmw32XchgU
            I32AtomicRmwCmpxchg I64AtomicRmwCmpxchg I32AtomicRmw8CmpxchgU I32AtomicRmw16CmpxchgU
            I64AtomicRmw8CmpxchgU I64AtomicRmw16CmpxchgU I64AtomicRmw32CmpxchgU;
    }
}

/// Calls `f` with the depth of each block that an operator may branch to.
pub fn for_each_branch(op: &Operator<'_>, mut f: impl FnMut(u32)) {
    match op {
        Operator::Br { relative_depth }
        | Operator::BrIf { relative_depth }
        | Operator::BrOnNull { relative_depth }
        | Operator::BrOnNonNull { relative_depth } => f(*relative_depth),
        Operator::BrTable { targets } => {
            targets.targets().flatten().for_each(&mut f);
            f(targets.default());
        }
        Operator::TryTable { try_table } => {
            for catch in &try_table.catches {
                let (Catch::One { label, .. }
                | Catch::OneRef { label, .. }
                | Catch::All { label }
                | Catch::AllRef { label }) = *catch;
                f(label);
            }
        }
        _ => {}
    }
}
