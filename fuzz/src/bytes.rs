//! The mode `bytes`: anything into the compiler. An input is a few bytes that decide the options, then the module.
//! Whatever it is, the compiler answers with an output or with an error that is the input's fault.

use wasmelt::error::Error;
use wasmelt::module::{self, Entity};
use wasmelt::options::{Emit, Options, UnknownImports};

use crate::configuration::{self, default_options};
use crate::{Finding, Outcome, blames_input, compile};

/// Bytes at an input's beginning that decide the options.
pub const OPTION_BYTES: usize = 8;

/// The bytes that decide the options, and the module.
pub fn split(data: &[u8]) -> ([u8; OPTION_BYTES], &[u8]) {
    let (head, module) = data.split_at(data.len().min(OPTION_BYTES));
    let mut bytes = [0; OPTION_BYTES];
    bytes[..head.len()].copy_from_slice(head);
    (bytes, module)
}

/// Judges an input.
pub fn check(data: &[u8]) -> Result<Outcome, Finding> {
    let (bytes, wasm) = split(data);
    let options = options(bytes, wasm);
    match compile(wasm, &options) {
        Ok(_) => Ok(Outcome { valid: true, ..Outcome::default() }),
        Err(error) if blames_input(&error) => Ok(Outcome::default()),
        Err(error) => Err(finding(&error, &options)),
    }
}

fn finding(error: &Error, options: &Options) -> Finding {
    Finding(format!("not the input's fault: {error}, with {options:?}"))
}

fn options(bytes: [u8; OPTION_BYTES], wasm: &[u8]) -> Options {
    let [emit, code, features, imports, cpu, threads, memory, invoke] = bytes;
    let mut options = default_options();
    options.emit = match emit % 16 {
        0 => Emit::Exe,
        1 | 2 => Emit::Clif,
        3 | 4 => Emit::Asm,
        5 | 6 => Emit::Wat,
        _ => Emit::Obj,
    };
    configuration::code(&mut options, code);
    options.features = configuration::features(features);
    options.unknown_imports = if imports % 4 == 0 { UnknownImports::Deny } else { UnknownImports::Trap };
    options.cpu = configuration::cpu(cpu);
    options.threads = 1 + usize::from(threads % 4 == 0);
    options.debug_info = threads & 4 != 0;
    options.max_memory_bytes = (memory % 4 == 0).then(|| 1 << (memory / 4));
    // Without an entry nothing is compiled. Most modules have no `_start`.
    if let Ok(module) = module::parse(wasm, options.features) {
        let funcs: Vec<_> = module.exports.iter().filter(|e| matches!(e.entity, Entity::Func(_))).collect();
        if invoke != 0 && !funcs.is_empty() {
            options.invoke = Some(funcs[usize::from(invoke) % funcs.len()].name.to_owned());
        }
    }
    options
}
