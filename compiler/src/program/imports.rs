//! Imports of a program: each is a function of the runtime, or an error that says what the runtime has.

use wasmelt_abi::host::{HostFunction, WASI_P1};
use wasmparser::ValType;

use super::{Callee, toolchain};
use crate::error::{Error, Result};
use crate::module::{Entity, FuncIndex, FuncType, Import, Module};
use crate::options::{Options, UnknownImports};
use crate::value_type;

/// What an imported function is that no instance provides; `similar` gives hints where nothing does.
pub(super) fn resolve_function(
    module: &Module<'_>,
    index: usize,
    func: FuncIndex,
    options: &Options,
    similar: impl FnOnce() -> Vec<String>,
) -> Result<Callee> {
    let (ty, import) = (module.func_type(func), &module.imports[index]);
    match wasmelt_abi::host::find(import.module, import.name) {
        Some(host) => {
            check_type(import, ty, host)?;
            let is_withheld = options.snapshot.as_ref().is_some_and(|snapshot| snapshot.withheld.contains(&host.name));
            Ok(if is_withheld { Callee::Missing(index as u32) } else { Callee::Host(host) })
        }
        None if options.unknown_imports == UnknownImports::Trap => Ok(Callee::Missing(index as u32)),
        None => {
            let error = similar().into_iter().fold(unknown_import(import.module, import.name, ty), Error::hint);
            Err(error
                .hint("`--unknown-imports trap` compiles the module all the same; a call of the import then traps"))
        }
    }
}

/// Fails where a function of the runtime is imported with another type than it has.
pub(super) fn check_type(import: &Import<'_>, ty: &FuncType, host: &HostFunction) -> Result<()> {
    let same = |a: &[ValType], b: &[wasmelt_abi::descriptor::ValueType]| {
        a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| value_type(a).is_ok_and(|a| a == b))
    };
    if same(&ty.params, host.params) && same(&ty.results, host.results) {
        return Ok(());
    }
    Err(Error::input(format!(
        "import `{}` from module `{}` has the wrong type: the module expects {ty}, WASI defines {}",
        import.name,
        import.module,
        host_type(host)
    )))
}

/// An import other than a function that nothing provides.
pub(super) fn unknown_entity(import: &Import<'_>, entity: Entity) -> Error {
    let kind = match entity {
        Entity::Memory(_) => "memory",
        Entity::Table(_) => "table",
        Entity::Tag(_) => "tag",
        Entity::Func(_) | Entity::Global(_) => "global",
    };
    let error = Error::input(format!("unknown import: {kind} `{}` from module `{}`", import.name, import.module));
    let advice = toolchain::advice(import.module, import.name, None);
    advice.into_iter().fold(error, Error::hint).hint(
        "the runtime provides no memories (other than shared ones), tables, globals or tags: link a module that exports \
         it (`--preload NAME=PATH`), or make a library for a host that has it (`--emit cdylib`)",
    )
}

fn host_type(host: &HostFunction) -> String {
    let list = |types: &[wasmelt_abi::descriptor::ValueType]| {
        types.iter().map(|t| format!("{t:?}").to_lowercase()).collect::<Vec<_>>().join(" ")
    };
    format!("({}) -> ({})", list(host.params), list(host.results))
}

fn unknown_import(module: &str, name: &str, ty: &FuncType) -> Error {
    let error = Error::input(format!("unknown import: function `{name}` {ty} from module `{module}`"));
    let similar = WASI_P1
        .iter()
        .map(|h| (strsim::jaro_winkler(h.name, name), h))
        .filter(|(score, _)| *score > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match (similar, toolchain::advice(module, name, Some(ty))) {
        (_, Some(advice)) => error.hint(advice),
        (Some((_, h)), None) => error.hint(format!("there is `{}` {} in module `{}`", h.name, host_type(h), h.module)),
        (None, None) if WASI_P1.iter().any(|h| h.module == module) => error,
        (None, None) if module == "env" => error
            .hint("linkers import from `env` what the program uses and no file defines: link the library that has it"),
        (None, None) => error.hint(format!(
            "nothing is provided under the module name `{module}`: the runtime has `{}`",
            WASI_P1[0].module
        )),
    }
}
