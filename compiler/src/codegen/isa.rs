//! The target machine: architecture, CPU features and code generation flags, as Cranelift wants them.

use cranelift_codegen::isa::{self, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable as _, Flags, SettingKind};
use target_lexicon::{Architecture, Triple};
use wasmelt_abi::descriptor::{CpuFeature, CpuFeatures};

use super::effort::Effort;
use crate::error::{Error, Result};
use crate::options::{Cpu, OptLevel, Options, Shape};

/// The CPU that x86-64 code is made for by default, see docs/RATIONALE.md "Why x86-64-v3?".
pub const DEFAULT_X86_64_CPU: &str = "x86-64-v3";

/// The CPU that aarch64 code is made for by default: every one. Macs have never had an older one than the M1.
const DEFAULT_AARCH64_CPU: &str = "armv8.0-a";
const DEFAULT_APPLE_CPU: &str = "apple-m1";

/// Name of a CPU, and the features that it adds to the one before.
type Level = (&'static str, &'static [&'static str]);

/// Names that `--cpu` takes besides those of Cranelift, and what each level adds to the one before.
/// Source: x86-64 psABI, "Micro-Architecture Levels".
const X86_64_LEVELS: &[Level] = &[
    ("x86-64-v1", &[]),
    ("x86-64-v2", &["has_cmpxchg16b", "has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"]),
    ("x86-64-v3", &["has_avx", "has_avx2", "has_bmi1", "has_bmi2", "has_fma", "has_lzcnt"]),
    ("x86-64-v4", &["has_avx512f", "has_avx512dq", "has_avx512vl"]),
];

/// The same of aarch64: versions of the architecture, each with what it made mandatory.
/// Source: Arm Architecture Reference Manual, A2 "Armv8-A Architecture Extensions".
const AARCH64_LEVELS: &[Level] = &[
    ("armv8.0-a", &[]),
    ("armv8.1-a", &["has_lse"]),
    ("armv8.2-a", &[]),
    ("armv8.3-a", &["has_pauth"]),
    ("armv8.4-a", &["has_dotprod"]),
    ("apple-m1", &["has_fp16"]),
    ("armv8.6-a", &["has_i8mm"]),
];

/// What an instruction set has of its own here.
struct Machine {
    /// Default of `--cpu`.
    default_cpu: &'static str,
    levels: &'static [Level],
    /// Bits and names of the contract.
    features: &'static [CpuFeature],
}

impl Machine {
    fn of(triple: &Triple) -> Result<Self> {
        match triple.architecture {
            Architecture::X86_64 => {
                Ok(Self { default_cpu: DEFAULT_X86_64_CPU, levels: X86_64_LEVELS, features: CpuFeatures::X86_64 })
            }
            Architecture::Aarch64(_) => Ok(Self {
                default_cpu: if triple.operating_system.is_like_darwin() {
                    DEFAULT_APPLE_CPU
                } else {
                    DEFAULT_AARCH64_CPU
                },
                levels: AARCH64_LEVELS,
                features: CpuFeatures::AARCH64,
            }),
            other => {
                Err(Error::usage(format!("target `{triple}`: code generation for `{other}` is not supported yet"))
                    .hint("`wasmelt targets` lists what is"))
            }
        }
    }
}

/// All names that `--cpu` takes, for completions.
pub fn cpu_names() -> Vec<&'static str> {
    let levels = X86_64_LEVELS.iter().chain(AARCH64_LEVELS).map(|(name, _)| *name);
    let mut names: Vec<_> = ["baseline", "native"].into_iter().chain(levels).collect();
    let x86_64 = Triple { architecture: Architecture::X86_64, ..Triple::unknown() };
    let settings = isa::lookup(x86_64).into_iter().flat_map(|builder| builder.iter().collect::<Vec<_>>());
    for setting in settings.filter(|setting| matches!(setting.kind, SettingKind::Preset)) {
        if !names.contains(&setting.name) {
            names.push(setting.name);
        }
    }
    names
}

/// The features that the contract knows for the machine of a target.
pub fn known_cpu_features(triple: &Triple) -> Result<&'static [CpuFeature]> {
    Machine::of(triple).map(|machine| machine.features)
}

/// The machine that code is generated for, once for each effort.
pub struct Isas {
    /// Of [`Effort::Full`]: it stands for all where the effort does not matter.
    pub full: OwnedTargetIsa,
    least: OwnedTargetIsa,
}

impl Isas {
    /// The machine that the options ask for.
    pub fn new(options: &Options) -> Result<Self> {
        Ok(Self { full: isa(options, Effort::Full)?, least: isa(options, Effort::Least)? })
    }

    /// The machine for this effort.
    pub(super) fn of(&self, effort: Effort) -> &dyn isa::TargetIsa {
        match effort {
            Effort::Full => &*self.full,
            Effort::Least => &*self.least,
        }
    }
}

fn isa(options: &Options, effort: Effort) -> Result<OwnedTargetIsa> {
    let triple = &options.target;
    let machine = Machine::of(triple)?;
    let flags = flags(options, effort)?;
    let mut builder = match options.cpu {
        Cpu::Native => native_builder(triple)?,
        _ => isa::lookup(triple.clone())
            .map_err(|e| Error::usage(format!("target `{triple}`: no code generation for it: {e}")))?,
    };
    let name = match &options.cpu {
        Cpu::Native => None,
        Cpu::Default => Some(machine.default_cpu),
        Cpu::Baseline => machine.levels.first().map(|(name, _)| *name),
        Cpu::Named(name) => Some(name.as_str()),
    };
    if let Some(name) = name {
        enable_cpu(&mut builder, name, machine.levels)?;
    }
    builder.finish(flags).map_err(|e| Error::internal(format!("Cranelift refuses its settings: {e}")))
}

fn native_builder(triple: &Triple) -> Result<isa::Builder> {
    let host = Triple::host();
    if host.architecture != triple.architecture {
        return Err(Error::usage(format!(
            "`--cpu native` needs a target of this machine's architecture, not `{triple}`"
        )));
    }
    let mut builder = isa::lookup(triple.clone())
        .map_err(|e| Error::usage(format!("target `{triple}`: no code generation for it: {e}")))?;
    cranelift_native::infer_native_flags(&mut builder)
        .map_err(|e| Error::usage(format!("`--cpu native` does not work on this machine: {e}")))?;
    Ok(builder)
}

fn enable_cpu(builder: &mut isa::Builder, name: &str, levels: &[Level]) -> Result<()> {
    let is_x86_64 = builder.triple().architecture == Architecture::X86_64;
    let unknown = || {
        let names: Vec<_> = levels.iter().map(|(n, _)| *n).collect();
        let others = if is_x86_64 { ", and the names of x86 CPUs as LLVM spells them" } else { "" };
        Error::usage(format!("`--cpu {name}`: no such CPU"))
            .hint(format!("known are baseline, native, {}{others}", names.join(", ")))
    };
    match levels.iter().position(|(n, _)| *n == name) {
        Some(level) => {
            for feature in levels[..=level].iter().flat_map(|(_, added)| *added) {
                builder.enable(feature).map_err(|e| Error::internal(format!("CPU feature {feature}: {e}")))?;
            }
            Ok(())
        }
        // Other names are those of CPUs, which Cranelift has for x86 only. Other settings of Cranelift are not CPUs.
        None if !is_x86_64 || name.starts_with("has_") => Err(unknown()),
        None => builder.enable(name).map_err(|_| unknown()),
    }
}

fn flags(options: &Options, effort: Effort) -> Result<Flags> {
    let mut builder = settings::builder();
    let opt_level = match options.opt_level {
        _ if effort == Effort::Least => "none",
        OptLevel::None => "none",
        OptLevel::Speed => "speed",
        OptLevel::Size => "speed_and_size",
    };
    let regalloc_algorithm = if effort == Effort::Least { "single_pass" } else { "backtracking" };
    let bool = |b: bool| if b { "true" } else { "false" };
    let values = [
        ("opt_level", opt_level),
        ("regalloc_algorithm", regalloc_algorithm),
        ("enable_verifier", bool(cfg!(debug_assertions))),
        // Symbols are reached relative to the program counter, which is position independent without a GOT.
        ("is_pic", "false"),
        ("use_colocated_libcalls", "true"),
        // Holds the context: see translate/shape.rs.
        ("enable_pinned_reg", bool(options.shape() == Shape::Single)),
        ("enable_nan_canonicalization", bool(options.nan_canonicalization)),
        // Backtraces walk frame pointers.
        ("preserve_frame_pointers", "true"),
        ("unwind_info", "true"),
        // A frame larger than the guard below the stack touches it page by page.
        ("enable_probestack", "true"),
        ("probestack_strategy", "inline"),
        ("probestack_size_log2", "12"),
        ("enable_table_access_spectre_mitigation", bool(options.spectre_mitigations)),
        ("enable_heap_access_spectre_mitigation", bool(options.spectre_mitigations)),
    ];
    for (name, value) in values {
        builder.set(name, value).map_err(|e| Error::internal(format!("Cranelift setting {name}={value}: {e}")))?;
    }
    Ok(Flags::new(builder))
}

/// Bits of [`CpuFeatures`] that the code needs.
pub fn cpu_features(isa: &dyn isa::TargetIsa) -> Result<u32> {
    let mut bits = 0;
    for value in isa.isa_flags() {
        let Some(name) = value.name.strip_prefix("has_").filter(|_| value.as_bool() == Some(true)) else { continue };
        let name = match name {
            "sse41" => "sse4.1",
            "sse42" => "sse4.2",
            "avx_vnni" => "avxvnni",
            name => name,
        };
        let feature = known_cpu_features(isa.triple())?.iter().find(|(_, n)| *n == name);
        bits |= feature.ok_or_else(|| Error::internal(format!("CPU feature {name} is not in the contract")))?.0;
    }
    Ok(bits)
}
