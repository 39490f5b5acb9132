//! What the modes choose from: options of the compiler, by bytes of an input.

use wasmelt::features::{FEATURES, default_features};
use wasmelt::options::{BoundsChecks, Cpu, Emit, OptLevel, Options};
use wasmparser::WasmFeatures;

/// What `wasmelt compile` does without options, in one thread.
pub fn default_options() -> Options {
    Options { emit: Emit::Obj, threads: 1, ..Options::default() }
}

/// All levels of optimisation.
pub const OPT_LEVELS: [OptLevel; 3] = [OptLevel::None, OptLevel::Speed, OptLevel::Size];

/// How code is generated.
pub fn code(options: &mut Options, byte: u8) {
    options.opt_level = OPT_LEVELS[usize::from(byte % 3)];
    options.bounds_checks = if byte & 0x10 == 0 { BoundsChecks::Guard } else { BoundsChecks::Explicit };
    options.nan_canonicalization = byte & 0x20 != 0;
    options.spectre_mitigations = byte & 0xc0 != 0;
}

/// Which instructions may be used: what this machine has, or less.
pub fn cpu(byte: u8) -> Cpu {
    match byte % 6 {
        0 => Cpu::Native,
        1 => Cpu::Named("x86-64-v1".to_owned()),
        2 => Cpu::Named("x86-64-v2".to_owned()),
        _ => Cpu::Default,
    }
}

/// All proposals that wasmelt translates.
pub fn all_features() -> WasmFeatures {
    FEATURES.iter().filter(|f| f.supported).fold(default_features(), |all, f| all | f.flag)
}

/// Mostly all proposals; else the defaults, or all but one.
pub fn features(byte: u8) -> WasmFeatures {
    let without = FEATURES[usize::from(byte / 8) % FEATURES.len()].flag;
    match byte % 8 {
        0 => default_features(),
        1 => all_features().difference(without),
        _ => all_features(),
    }
}
