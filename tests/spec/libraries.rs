//! Checks a script through the embedding interface: compiles each module as a library, links all of a file into one
//! shared library, loads it, and performs the directives in order.

use std::fs;

use wasmelt::driver::{self, NoProgress};
use wasmelt::options::{Emit, Options};
use wasmelt_embed::{Library, Module};

use crate::configuration::Configuration;
use crate::outcome::{Kind, Outcome, Refused, Verdict};
use crate::script::Script;
use crate::suites::File;
use crate::support;
use crate::world::World;

/// What becomes of each directive of a script.
pub(crate) fn check(configuration: &Configuration, file: &File, script: &Script) -> Vec<Outcome> {
    match configuration.options(file.features).and_then(|options| modules(script, &options)) {
        Ok(modules) => World::perform(&script.directives, &modules, file.features),
        Err(why) => vec![Outcome { line: 1, kind: Kind::Module, verdict: Verdict::Failed(why) }],
    }
}

/// The modules of a script, or why there is none.
fn modules(script: &Script, options: &Options) -> Result<Vec<Result<Module, Refused>>, String> {
    let objects = objects(script, options);
    let inputs: Vec<_> = objects.iter().flatten().cloned().collect();
    let library = match inputs.is_empty() {
        true => None,
        false => Some(load(inputs, options)?),
    };
    let load = |(index, object): (usize, Result<Vec<u8>, Refused>)| {
        object?;
        let library = library.as_ref().ok_or_else(|| Refused::Error("there is no library".to_owned()))?;
        library.module(&name(index)).map_err(|e| Refused::Error(format!("the module cannot be loaded: {e}")))
    };
    Ok(objects.into_iter().enumerate().map(load).collect())
}

/// The name of a module in its library.
pub(crate) fn name(index: usize) -> String {
    format!("m{index}")
}

/// The modules of a script, compiled.
pub(crate) fn objects(script: &Script, options: &Options) -> Vec<Result<Vec<u8>, Refused>> {
    let compile = |(index, wasm): (usize, &Vec<u8>)| {
        let options = Options { emit: Emit::Obj, library: Some(name(index)), ..options.clone() };
        let object = driver::compile(wasm, "module", &options, &NoProgress).map_err(|e| Refused::new(&e))?;
        Ok(object.bytes)
    };
    script.modules.iter().enumerate().map(compile).collect()
}

fn load(objects: Vec<Vec<u8>>, options: &Options) -> Result<Library, String> {
    let linked = driver::link_libraries(objects, options).map_err(|e| format!("linking: {e}"))?;
    let folder = support::scratch();
    let path = folder.path().join("modules.so");
    fs::write(&path, linked).map_err(|e| format!("cannot write the library: {e}"))?;
    // Once it is loaded, the process needs the file's name no more.
    // SAFETY: wasmelt has just made it.
    unsafe { Library::open(&path) }.map_err(|e| e.to_string())
}
