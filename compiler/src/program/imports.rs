//! Imports of a program: each is a function of the runtime, or an error that says what there is.

use cranelift_entity::PrimaryMap;
use wasmelt_abi::host::{HostFunction, WASI_P1};
use wasmparser::ValType;

use super::{Callee, toolchain};
use crate::error::{Error, Result};
use crate::module::{Entity, FuncIndex, FuncType, Module};
use crate::options::{Options, UnknownImports};
use crate::value_type;

pub(super) fn resolve_imports(module: &Module<'_>, options: &Options) -> Result<PrimaryMap<FuncIndex, Callee>> {
    let mut callees = PrimaryMap::with_capacity(module.funcs.len());
    for (index, import) in module.imports.iter().enumerate() {
        let Entity::Func(func) = import.entity else {
            // The program's own: the runtime makes it, and what threads run in imports the same one.
            if matches!(import.entity, Entity::Memory(memory) if module.memories[memory].shared) {
                continue;
            }
            let kind = match import.entity {
                Entity::Memory(_) => "memory",
                Entity::Table(_) => "table",
                Entity::Tag(_) => "tag",
                Entity::Func(_) | Entity::Global(_) => "global",
            };
            let error =
                Error::input(format!("unknown import: {kind} `{}` from module `{}`", import.name, import.module));
            let advice = toolchain::advice(import.module, import.name, None);
            return Err(advice.into_iter().fold(error, Error::hint)
                .hint("an executable has nothing that provides memories (other than shared ones), tables, globals or tags: link the modules into one first, or make a library for a host that has them (`--emit cdylib`)"));
        };
        let ty = module.func_type(func);
        callees.push(match wasmelt_abi::host::find(import.module, import.name) {
            Some(host) => {
                let same = |a: &[ValType], b: &[wasmelt_abi::descriptor::ValueType]| {
                    a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| value_type(a).is_ok_and(|a| a == b))
                };
                if !same(&ty.params, host.params) || !same(&ty.results, host.results) {
                    return Err(Error::input(format!(
                        "import `{}` from module `{}` has the wrong type: the module expects {ty}, WASI defines {}",
                        import.name,
                        import.module,
                        host_type(host)
                    )));
                }
                Callee::Host(host)
            }
            None if options.unknown_imports == UnknownImports::Trap => Callee::Missing(index as u32),
            None => return Err(unknown_import(import.module, import.name, ty)),
        });
    }
    for defined in module.bodies.keys() {
        callees.push(Callee::Defined(defined));
    }
    Ok(callees)
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
    let error = match (similar, toolchain::advice(module, name, Some(ty))) {
        (_, Some(advice)) => error.hint(advice),
        (Some((_, h)), None) => error.hint(format!("there is `{}` {} in module `{}`", h.name, host_type(h), h.module)),
        (None, None) if WASI_P1.iter().any(|h| h.module == module) => error,
        (None, None) if module == "env" => error
            .hint("linkers import from `env` what the program uses and no file defines: link the library that has it"),
        (None, None) => error.hint(format!(
            "nothing is provided under the module name `{module}`: the runtime has `{}`",
            WASI_P1[0].module
        )),
    };
    error.hint("`--unknown-imports trap` compiles the module all the same; a call of the import then traps")
}
