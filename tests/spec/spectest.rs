//! The module `spectest`, which the suite expects of its host, as the reference interpreter has it.

use wasmelt_embed::{
    Error, FuncType, Global, GlobalType, Linker, Memory, MemoryType, RefType, SharedMemory, Store, Table, TableType,
    Val, ValType,
};

use crate::script::SPECTEST;

/// Defines it.
pub(crate) fn define(linker: &mut Linker<()>, store: &mut Store<()>) -> Result<(), Error> {
    use ValType::{F32, F64, I32, I64};
    let functions: [(&str, &[ValType]); 7] = [
        ("print", &[]),
        ("print_i32", &[I32]),
        ("print_i64", &[I64]),
        ("print_f32", &[F32]),
        ("print_f64", &[F64]),
        ("print_i32_f32", &[I32, F32]),
        ("print_f64_f64", &[F64, F64]),
    ];
    for (name, params) in functions {
        // What would be printed is nobody's concern, only that the values arrive.
        let check = params.to_vec();
        linker.func_new(SPECTEST, name, FuncType::new(params.iter().cloned(), []), move |_, args, _| {
            let fits = args.len() == check.len() && args.iter().zip(&check).all(|(arg, ty)| is_of(arg, ty));
            if fits { Ok(()) } else { Err(Error::host(format!("{args:?} for a function of {check:?}"))) }
        })?;
    }
    let globals = [
        ("global_i32", I32, Val::I32(666)),
        ("global_i64", I64, Val::I64(666)),
        ("global_f32", F32, Val::F32(666.6f32.to_bits())),
        ("global_f64", F64, Val::F64(666.6f64.to_bits())),
    ];
    for (name, content, value) in globals {
        let global = Global::new(&mut *store, GlobalType { content, mutable: false }, value)?;
        linker.define(&*store, SPECTEST, name, global)?;
    }
    for (name, index_64) in [("table", false), ("table64", true)] {
        let ty = TableType { index_64, ..TableType::new(RefType::FUNCREF, 10, Some(20)) };
        let table = Table::new(&mut *store, ty, &Val::FuncRef(None))?;
        linker.define(&*store, SPECTEST, name, table)?;
    }
    let memory = Memory::new(&mut *store, MemoryType::new(1, Some(2)))?;
    linker.define(&*store, SPECTEST, "memory", memory)?;
    linker.define(&*store, SPECTEST, "shared_memory", SharedMemory::new(MemoryType::shared(1, 2))?)?;
    Ok(())
}

fn is_of(value: &Val, ty: &ValType) -> bool {
    matches!(
        (value, ty),
        (Val::I32(_), ValType::I32)
            | (Val::I64(_), ValType::I64)
            | (Val::F32(_), ValType::F32)
            | (Val::F64(_), ValType::F64)
    )
}
