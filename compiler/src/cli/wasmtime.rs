//! Option groups of wasmtime's command line: `-W`, `-C`, `-D` and `-S`, each a comma-separated list of `KEY[=VALUE]`.
//!
//! What has a meaning for an executable is applied to the options; what has none is refused by name, so that nobody
//! believes in a limit or a capability that does not exist.

use crate::error::{Error, Result};
use crate::features;
use crate::options::{Options, Stdio, UnknownImports};

use super::values;

/// Calls `apply` with each key and value of a group.
fn each_item(group: &str, spec: &str, mut apply: impl FnMut(&str, Option<&str>) -> Result<()>) -> Result<()> {
    let mut empty = true;
    for item in spec.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (key, value) = item.split_once('=').map_or((item, None), |(key, value)| (key, Some(value)));
        apply(key, value)?;
        empty = false;
    }
    if empty { Err(Error::usage(format!("`-{group}` needs at least one `KEY[=VALUE]`"))) } else { Ok(()) }
}

/// The value of a switch: `y` where none is given.
fn switch(group: &str, key: &str, value: Option<&str>) -> Result<bool> {
    value.map_or(Ok(true), values::yes_no).map_err(|why| Error::usage(format!("`-{group} {key}`: {why}")))
}

/// The value of a limit in bytes.
fn size(group: &str, key: &str, value: Option<&str>) -> Result<u64> {
    let value = value.ok_or_else(|| Error::usage(format!("`-{group} {key}` needs a value: `-{group} {key}=SIZE`")))?;
    values::size(value).map_err(|why| Error::usage(format!("`-{group} {key}`: {why}")))
}

/// The value of a limit that counts something.
fn number(group: &str, key: &str, value: Option<&str>) -> Result<u64> {
    let value = value.ok_or_else(|| Error::usage(format!("`-{group} {key}` needs a value: `-{group} {key}=N`")))?;
    value.parse().map_err(|_| Error::usage(format!("`-{group} {key}`: expected a number, found `{value}`")))
}

const NOT_INTERRUPTED: &str = "`--timeout` limits the time, `--fuel` the instructions";
const NO_FIBERS: &str = "an executable runs its guest on one stack: `max-wasm-stack` is its size";
const COUNTED: &str = "there are as many as the module declares, never more";

/// What `-W` of wasmtime takes besides and no executable of ours can obey, whether it is a switch, and what to know.
const REFUSED: &[(&str, bool, &str)] = &[
    ("epoch-interruption", true, NOT_INTERRUPTED),
    ("async-stack-size", false, NO_FIBERS),
    ("async-stack-zeroing", true, NO_FIBERS),
    ("max-table-elements", false, "tables end at the maximum of their type, and at 10000000 elements"),
    ("max-instances", false, "an executable is one instance"),
    ("max-tables", false, COUNTED),
    ("max-memories", false, COUNTED),
    ("trap-on-grow-failure", true, "growing beyond a limit has the result -1, as the specification says"),
    ("unknown-imports-default", true, "`unknown-imports-trap` lets a module run as long as it calls none of them"),
    ("unknown-exports-allow", true, "exports that nobody calls are always allowed"),
    ("wmemcheck", true, "memory errors within the guest are for the guest's own tools"),
    ("gc-support", true, "the proposal `gc` is not supported yet"),
    ("concurrency-support", true, "it belongs to components, which are not supported yet"),
];

/// `-W`: proposals, and limits under the names that wasmtime gives them.
pub(super) fn apply_wasm(options: &mut Options, spec: &str) -> Result<()> {
    each_item("W", spec, |key, value| {
        match key {
            "nan-canonicalization" => options.nan_canonicalization = switch("W", key, value)?,
            "relaxed-simd-deterministic" => options.relaxed_simd_deterministic = switch("W", key, value)?,
            "branch-hinting" => options.branch_hinting = switch("W", key, value)?,
            "fuel" => options.policy.fuel = Some(number("W", key, value)?),
            "timeout" => {
                let value = value.ok_or_else(|| Error::usage("`-W timeout` needs a value: `-W timeout=5s`"))?;
                let time = values::duration(value).map_err(|why| Error::usage(format!("`-W timeout`: {why}")))?;
                options.policy.timeout = Some(time);
            }
            "max-memory-size" => options.max_memory_bytes = Some(size("W", key, value)?),
            "max-wasm-stack" => options.stack_bytes = size("W", key, value)?,
            "unknown-imports-trap" => {
                let trap = switch("W", key, value)?;
                options.unknown_imports = if trap { UnknownImports::Trap } else { UnknownImports::Deny };
            }
            // Exports that nobody calls are always allowed.
            "unknown-exports-allow" if switch("W", key, value)? => {}
            // Part of `threads`.
            "shared-memory" if switch("W", key, value)? => {}
            // An executable is one instance.
            "max-instances" if number("W", key, value)? > 0 => {}
            _ if let Some((_, is_switch, why)) = REFUSED.iter().find(|(name, ..)| *name == key) => {
                // What does not exist is off.
                if !is_switch || switch("W", key, value)? {
                    return Err(Error::usage(format!("`-W {key}` of wasmtime is not supported")).hint(*why));
                }
            }
            _ if key.starts_with("component-model-") => {
                return Err(Error::usage(format!("`-W {key}` of wasmtime is not supported"))
                    .hint("components are not supported yet"));
            }
            _ => {
                let item = value.map_or_else(|| key.to_owned(), |value| format!("{key}={value}"));
                features::parse_flag(&mut options.features, &item)?;
            }
        }
        Ok(())
    })
}

/// `-S`: what a guest of WASI gets. Capabilities have options of their own, which the hint names.
pub(super) fn apply_wasi(options: &mut Options, spec: &str) -> Result<()> {
    each_item("S", spec, |key, value| {
        match key {
            "inherit-env" => options.policy.inherit_env = switch("S", key, value)?,
            "inherit-stdin" | "inherit-stdout" | "inherit-stderr" => {
                let stream = ["inherit-stdin", "inherit-stdout", "inherit-stderr"].iter().position(|name| *name == key);
                let inherit = switch("S", key, value)?;
                if let Some(stream) = stream.and_then(|index| options.policy.stdio.get_mut(index)) {
                    *stream = if inherit { Stdio::Inherit } else { Stdio::Null };
                }
            }
            "tcplisten" => {
                let value = value.ok_or_else(|| Error::usage("`-S tcplisten` needs an address"))?;
                let address = values::listen(value).map_err(|why| Error::usage(format!("`-S tcplisten`: {why}")))?;
                options.policy.tcp_listen.push(address);
            }
            // These are what wasmelt does anyway.
            "cli" | "common" | "threads" if switch("S", key, value)? => {}
            "preview2" if !switch("S", key, value)? => {}
            _ => {
                return Err(Error::usage(format!("`-S {key}` of wasmtime is not supported"))
                    .hint("supported are `cli`, `inherit-env`, `inherit-stdin` and its like, and `tcplisten`; directories are granted by `--dir`"));
            }
        }
        Ok(())
    })
}

/// What `-C` can ask of `run`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Codegen {
    /// Neither read nor write the cache.
    pub(super) no_cache: bool,
}

/// `-C`: how code is generated.
pub(super) fn apply_codegen(options: &mut Options, codegen: &mut Codegen, spec: &str) -> Result<()> {
    each_item("C", spec, |key, value| {
        match key {
            "cache" => codegen.no_cache = !switch("C", key, value)?,
            "nan-canonicalization" => options.nan_canonicalization = switch("C", key, value)?,
            "parallel-compilation" => options.threads = if switch("C", key, value)? { 0 } else { 1 },
            "compiler" if value == Some("cranelift") => {}
            _ => {
                return Err(Error::usage(format!("`-C {key}` of wasmtime is not supported"))
                    .hint("supported are `cache` and `parallel-compilation`"));
            }
        }
        Ok(())
    })
}

/// `-D`: what debuggers get.
pub(super) fn apply_debug(options: &mut Options, spec: &str) -> Result<()> {
    each_item("D", spec, |key, value| {
        match key {
            "debug-info" => options.debug_info = switch("D", key, value)?,
            // Traps always know the function that they happen in.
            "address-map" => drop(switch("D", key, value)?),
            _ => {
                return Err(Error::usage(format!("`-D {key}` of wasmtime is not supported"))
                    .hint("supported is `debug-info`, which is `-g`"));
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_proposals_are_applied_in_order() {
        let mut options = Options::default();
        apply_wasm(&mut options, "max-memory-size=1048576,nan-canonicalization, simd=n,relaxed-simd=n").unwrap();
        apply_wasm(&mut options, "unknown-imports-trap=y,max-wasm-stack=64K").unwrap();
        assert_eq!((options.max_memory_bytes, options.stack_bytes), (Some(1 << 20), 64 << 10));
        assert!(options.nan_canonicalization && !options.features.simd());
        assert_eq!(options.unknown_imports, UnknownImports::Trap);
        assert!(!options.relaxed_simd_deterministic && options.branch_hinting);
        apply_wasm(&mut options, "relaxed-simd-deterministic,branch-hinting=n").unwrap();
        assert!(options.relaxed_simd_deterministic && !options.branch_hinting);
        apply_wasm(&mut options, "max-instances=1,wmemcheck=n,trap-on-grow-failure=n,epoch-interruption=n").unwrap();
        apply_wasm(&mut options, "simd,unknown-imports-trap=n").unwrap();
        assert!(options.features.simd() && options.unknown_imports == UnknownImports::Deny);
    }

    #[test]
    fn what_has_no_meaning_is_refused_by_name() {
        let mut options = Options::default();
        for spec in [
            "fuel=much",
            "timeout=1",
            "epoch-interruption",
            "max-instances=0",
            "max-instances=many",
            "wmemcheck",
            "max-memory-size",
            "nan-canonicalization=maybe",
            "nonsense",
            "",
            ",",
        ] {
            assert!(apply_wasm(&mut options, spec).is_err(), "{spec}");
        }
        assert!(apply_wasi(&mut options, "http").unwrap_err().to_string().contains("`-S http`"));
        assert!(apply_wasi(&mut options, "cli=n").is_err());
        assert!(apply_codegen(&mut options, &mut Codegen::default(), "compiler=winch").is_err());
    }

    #[test]
    fn environment_and_cache_can_be_switched() {
        let (mut options, mut codegen) = (Options::default(), Codegen::default());
        apply_wasi(&mut options, "cli,inherit-env=y").unwrap();
        apply_codegen(&mut options, &mut codegen, "cache=n,parallel-compilation=n,compiler=cranelift").unwrap();
        assert!(options.policy.inherit_env && codegen.no_cache && options.threads == 1);
    }
}
