//! Which functions each function refers to, read from its CLIF.

use std::collections::{HashMap, HashSet};

use cranelift_codegen::ir::{ExternalName, Function, InstructionData};

use crate::program::{FuncId, Program};
use crate::translate::{Clif, Name};

/// What a name in `func` refers to; `None` where the code generator made it up.
pub fn resolve(func: &Function, name: &ExternalName) -> Option<Name> {
    match name {
        ExternalName::User(name) => Name::from_clif(&func.params.user_named_funcs()[*name]),
        _ => None,
    }
}

/// The functions of the program that instructions of `func` call or take the address of, with repetitions.
pub fn callees(func: &Function) -> impl Iterator<Item = FuncId> + '_ {
    let instructions = func.layout.blocks().flat_map(|block| func.layout.block_insts(block));
    let named = instructions.filter_map(|inst| match &func.dfg.insts[inst] {
        InstructionData::Call { func_ref, .. }
        | InstructionData::TryCall { func_ref, .. }
        | InstructionData::FuncAddr { func_ref, .. } => Some(&func.dfg.ext_funcs[*func_ref].name),
        _ => None,
    });
    named.filter_map(|name| match resolve(func, name) {
        Some(Name::Function(id)) => Some(id),
        _ => None,
    })
}

/// Drops the functions that neither the runtime, nor data, nor a function that stays refers to.
pub fn drop_unreachable(program: &Program<'_>, functions: &mut Vec<Clif>) {
    let places: HashMap<FuncId, usize> = functions.iter().enumerate().map(|(place, clif)| (clif.id, place)).collect();
    let mut needed: HashSet<FuncId> = program.roots().collect();
    let mut queue: Vec<FuncId> = needed.iter().copied().collect();
    while let Some(id) = queue.pop() {
        let Some(&place) = places.get(&id) else { continue };
        queue.extend(callees(&functions[place].func).filter(|&callee| needed.insert(callee)));
    }
    functions.retain(|clif| needed.contains(&clif.id));
}
