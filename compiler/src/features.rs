//! The one table of proposals: their names on the command line, whether wasmelt translates them, and whether they are
//! on by default. What is not accepted here fails validation with the proposal's name.

use wasmparser::WasmFeatures;

use crate::error::{Error, Result};

/// A proposal, or a group of operators that compilers switch on together.
#[derive(Clone, Copy, Debug)]
pub struct Feature {
    /// Name for `-W`, as in wasmtime.
    pub name: &'static str,
    /// wasmparser's flag.
    pub flag: WasmFeatures,
    /// Whether wasmelt translates it.
    pub supported: bool,
    /// Whether it is on without `-W`.
    pub default_on: bool,
}

const fn on(name: &'static str, flag: WasmFeatures) -> Feature {
    Feature { name, flag, supported: true, default_on: true }
}

const fn off(name: &'static str, flag: WasmFeatures) -> Feature {
    Feature { name, flag, supported: true, default_on: false }
}

const fn unsupported(name: &'static str, flag: WasmFeatures) -> Feature {
    Feature { name, flag, supported: false, default_on: false }
}

/// All proposals that wasmparser knows for core modules.
pub const FEATURES: &[Feature] = &[
    on("mutable-global", WasmFeatures::MUTABLE_GLOBAL),
    on("saturating-float-to-int", WasmFeatures::SATURATING_FLOAT_TO_INT),
    on("sign-extension", WasmFeatures::SIGN_EXTENSION),
    on("multi-value", WasmFeatures::MULTI_VALUE),
    on("bulk-memory", WasmFeatures::BULK_MEMORY),
    on("reference-types", WasmFeatures::REFERENCE_TYPES),
    on("extended-const", WasmFeatures::EXTENDED_CONST),
    on("simd", WasmFeatures::SIMD),
    on("relaxed-simd", WasmFeatures::RELAXED_SIMD),
    on("tail-call", WasmFeatures::TAIL_CALL),
    on("multi-memory", WasmFeatures::MULTI_MEMORY),
    on("memory64", WasmFeatures::MEMORY64),
    on("exceptions", WasmFeatures::EXCEPTIONS),
    on("legacy-exceptions", WasmFeatures::LEGACY_EXCEPTIONS),
    on("function-references", WasmFeatures::FUNCTION_REFERENCES),
    on("threads", WasmFeatures::THREADS),
    off("custom-page-sizes", WasmFeatures::CUSTOM_PAGE_SIZES),
    off("wide-arithmetic", WasmFeatures::WIDE_ARITHMETIC),
    unsupported("gc", WasmFeatures::GC),
    unsupported("memory-control", WasmFeatures::MEMORY_CONTROL),
    unsupported("stack-switching", WasmFeatures::STACK_SWITCHING),
    unsupported("shared-everything-threads", WasmFeatures::SHARED_EVERYTHING_THREADS),
    unsupported("custom-descriptors", WasmFeatures::CUSTOM_DESCRIPTORS),
    unsupported("compact-imports", WasmFeatures::COMPACT_IMPORTS),
    unsupported("component-model", WasmFeatures::COMPONENT_MODEL),
];

/// Flags of wasmparser that stand for no proposal: floats exist, and so does `externref`.
const ALWAYS: WasmFeatures = WasmFeatures::FLOATS.union(WasmFeatures::GC_TYPES);

/// What is accepted without any `-W`.
pub fn default_features() -> WasmFeatures {
    FEATURES.iter().filter(|f| f.default_on).fold(ALWAYS, |all, f| all | f.flag)
}

/// Applies one `-W` argument: `name`, `name=y` or `name=n`, several separated by commas.
pub fn parse_flag(features: &mut WasmFeatures, spec: &str) -> Result<()> {
    for part in spec.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, "y"));
        let enable = match value {
            "y" | "yes" | "true" => true,
            "n" | "no" | "false" => false,
            _ => return Err(Error::usage(format!("`-W {part}`: expected `y` or `n` after `=`, found `{value}`"))),
        };
        if matches!(name, "all-proposals" | "all") {
            FEATURES.iter().filter(|f| f.supported).for_each(|f| features.set(f.flag, enable));
            continue;
        }
        let feature = FEATURES.iter().find(|f| f.name == name).ok_or_else(|| {
            let known: Vec<_> = FEATURES.iter().filter(|f| f.supported).map(|f| f.name).collect();
            Error::usage(format!("`-W {name}`: no such proposal")).hint(format!("known are: {}", known.join(", ")))
        })?;
        if enable && !feature.supported {
            return Err(Error::usage(format!("`-W {name}`: this proposal is not supported yet")));
        }
        features.set(feature.flag, enable);
    }
    Ok(())
}

/// Turns an error of wasmparser into ours: what is off or unsupported is named, with the way out.
pub fn describe_error(error: &wasmparser::Error, accepted: WasmFeatures) -> Error {
    let missing = error.missing_wasm_feature().or_else(|| needed_by_message(error.message()));
    let feature =
        missing.and_then(|missing| FEATURES.iter().find(|f| f.flag.intersects(missing) && !accepted.contains(f.flag)));
    let at = format!("at offset 0x{:x}", error.offset());
    match feature {
        Some(f) if f.supported => Error::input(format!("{} ({at})", error.message()))
            .hint(format!("the module uses `{0}`, which is switched off here: `-W {0}` switches it on", f.name)),
        Some(f) => Error::input(format!(
            "the module uses the proposal `{}`, which wasmelt does not support yet: {} ({at})",
            f.name,
            error.message()
        ))
        .hint("compile the module without this proposal: most compilers have a flag for each"),
        None => Error::input(format!("{} ({at})", error.message())),
    }
}

/// wasmparser reports some uses of a proposal as plain errors; this finds the proposal behind those.
fn needed_by_message(message: &str) -> Option<WasmFeatures> {
    const WORDS: &[(&str, WasmFeatures)] = &[
        ("legacy exceptions", WasmFeatures::LEGACY_EXCEPTIONS),
        ("legacy_exceptions", WasmFeatures::LEGACY_EXCEPTIONS),
        ("exceptions", WasmFeatures::EXCEPTIONS),
        ("exception refs", WasmFeatures::EXCEPTIONS),
        ("memory64", WasmFeatures::MEMORY64),
        ("64-bit", WasmFeatures::MEMORY64),
        ("threads", WasmFeatures::THREADS),
        ("custom page size", WasmFeatures::CUSTOM_PAGE_SIZES),
        ("function references", WasmFeatures::FUNCTION_REFERENCES),
        ("gc ", WasmFeatures::GC),
        ("multi-memory", WasmFeatures::MULTI_MEMORY),
    ];
    WORDS.iter().find(|(word, _)| message.contains(word)).map(|&(_, flag)| flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_supported_and_flags_switch() {
        assert!(FEATURES.iter().all(|f| f.supported || !f.default_on));
        let mut features = default_features();
        parse_flag(&mut features, "simd=n,relaxed-simd=n").unwrap();
        assert!(!features.simd() && features.bulk_memory());
        parse_flag(&mut features, "simd").unwrap();
        assert!(features.simd());
        assert!(parse_flag(&mut features, "gc").is_err());
        assert!(parse_flag(&mut features, "nonsense").unwrap_err().to_string().contains("nonsense"));
        assert!(parse_flag(&mut features, "simd=maybe").is_err());
    }
}
