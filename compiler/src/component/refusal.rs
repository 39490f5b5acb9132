//! What a component is refused for, in words: what it names, and the way out.

use wasmtime_environ::component::Trampoline as Upstream;

use super::{ImportName, World};
use crate::error::{Error, Result};

/// Whether a name is that of an interface in a version 0.2.
pub(super) fn is_of_track(name: &str, interface: &str) -> bool {
    name.strip_prefix(interface).and_then(|rest| rest.strip_prefix("@0.2.")).is_some()
}

/// Refuses by name what later versions of WASI and other worlds have.
pub(super) fn check_track(import: &ImportName, world: World) -> Result<()> {
    let Some((interface, version)) = import.interface.split_once('@') else { return Ok(()) };
    if interface.starts_with("wasi:http/") && world == World::Command {
        return Err(Error::input(format!("the component imports {import}, which commands do not have yet"))
            .hint("a component of the world `wasi:http/proxy` becomes a server: `--world proxy`"));
    }
    if interface.starts_with("wasi:") && version.starts_with("0.3") {
        return Err(asynchronous(&import.to_string()));
    }
    Ok(())
}

/// The component exports nothing that a command could run.
pub(super) fn nothing_to_run(exports: &[String]) -> Error {
    let text = exports.join(", ");
    let what = match exports {
        [] => "it exports nothing".to_owned(),
        _ => format!("it exports {text}"),
    };
    if text.contains("wasi:cli/run@0.3") {
        return asynchronous("the exported `wasi:cli/run@0.3`");
    }
    let error =
        Error::input(format!("the component exports no `wasi:cli/run@0.2`, so there is nothing to run: {what}"));
    if text.contains("wasi:http/") {
        return error.hint("a component of the world `wasi:http/proxy` becomes a server: `--world proxy`");
    }
    error.hint("a program for `wasm32-wasip2` is a command: it has a function `main`")
}

/// Something needs WASI 0.3.
pub(super) fn asynchronous(what: &str) -> Error {
    Error::input(format!("the component uses {what}: asynchronous components (WASI 0.3) are not supported yet"))
        .hint("build the program for WASI 0.2, `wasm32-wasip2`")
}

/// Something is known by its name alone, which is so for imported core modules only.
pub(super) fn by_name() -> Error {
    Error::internal("a component refers to what has no number")
}

/// The name of a trampoline upstream, without its fields.
pub(super) fn kind(trampoline: &Upstream) -> String {
    let text = format!("{trampoline:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned()
}
