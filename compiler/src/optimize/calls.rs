//! Which functions each function refers to, read from its CLIF.

use cranelift_codegen::ir::{ExternalName, FuncRef, Function, InstructionData};

use crate::program::FuncId;
use crate::translate::Name;

/// The function of the program that `func` knows by `reference`; `None` for something else.
pub fn function(func: &Function, reference: FuncRef) -> Option<FuncId> {
    let ExternalName::User(name) = func.dfg.ext_funcs[reference].name else { return None };
    match Name::from_clif(&func.params.user_named_funcs()[name]) {
        Some(Name::Function(id)) => Some(id),
        _ => None,
    }
}

/// The functions of the program that instructions of `func` call or take the address of, with repetitions.
pub fn callees(func: &Function) -> impl Iterator<Item = FuncId> + '_ {
    let instructions = func.layout.blocks().flat_map(|block| func.layout.block_insts(block));
    instructions.filter_map(|inst| match func.dfg.insts[inst] {
        InstructionData::Call { func_ref, .. }
        | InstructionData::TryCall { func_ref, .. }
        | InstructionData::FuncAddr { func_ref, .. } => function(func, func_ref),
        _ => None,
    })
}
