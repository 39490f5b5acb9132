//! How the suite is compiled and run: all levels of optimisation, both kinds of bounds checks, both shapes of output,
//! and what replaces instructions that an old CPU lacks.

use libtest_mimic::Failed;
use target_lexicon::Triple;
use wasmelt::options::{BoundsChecks, Cpu, Emit, OptLevel, Options, Runtime};
use wasmparser::WasmFeatures;

use crate::outcome::Outcomes;
use crate::suites::File;
use crate::support::foreign::System;
use crate::{c_interface, executables, libraries, script, support};

/// How files are compiled and run.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) name: &'static str,
    pub(crate) way: Way,
    opt_level: OptLevel,
    bounds_checks: BoundsChecks,
    /// The target's default without one.
    cpu: Option<&'static str>,
    nan_canonicalization: bool,
    /// Another system than this one.
    pub(crate) system: Option<System>,
}

/// How modules are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// All modules of a file as one shared library, through the embedding interface: files run in full.
    Libraries,
    /// The same through the C interface.
    C,
    /// As executables: modules that import from each other as one, others as one each. What needs a host is not run.
    Executables {
        /// Compile also the functions that no step reaches.
        compile_unused: bool,
    },
}

pub(crate) const CONFIGURATIONS: [Configuration; 8] = [
    Configuration {
        name: "library-speed-guard",
        way: Way::Libraries,
        opt_level: OptLevel::Speed,
        bounds_checks: BoundsChecks::Guard,
        cpu: None,
        nan_canonicalization: false,
        system: None,
    },
    Configuration {
        name: "library-none-explicit",
        way: Way::Libraries,
        opt_level: OptLevel::None,
        bounds_checks: BoundsChecks::Explicit,
        cpu: None,
        nan_canonicalization: false,
        system: None,
    },
    Configuration {
        name: "c-interface",
        way: Way::C,
        opt_level: OptLevel::Speed,
        bounds_checks: BoundsChecks::Guard,
        cpu: None,
        nan_canonicalization: false,
        system: None,
    },
    Configuration {
        name: "speed-guard",
        way: Way::Executables { compile_unused: true },
        opt_level: OptLevel::Speed,
        bounds_checks: BoundsChecks::Guard,
        cpu: None,
        nan_canonicalization: false,
        system: None,
    },
    Configuration {
        name: "none-explicit",
        way: Way::Executables { compile_unused: false },
        opt_level: OptLevel::None,
        bounds_checks: BoundsChecks::Explicit,
        cpu: None,
        nan_canonicalization: false,
        system: None,
    },
    Configuration {
        name: "size-old-cpu",
        way: Way::Executables { compile_unused: false },
        opt_level: OptLevel::Size,
        bounds_checks: BoundsChecks::Guard,
        cpu: Some("x86-64-v1"),
        nan_canonicalization: true,
        system: None,
    },
    Configuration {
        name: "aarch64",
        way: Way::Executables { compile_unused: false },
        opt_level: OptLevel::Speed,
        bounds_checks: BoundsChecks::Guard,
        cpu: None,
        nan_canonicalization: false,
        system: Some(System::LinuxAarch64),
    },
    Configuration {
        name: "windows",
        way: Way::Executables { compile_unused: false },
        opt_level: OptLevel::Speed,
        bounds_checks: BoundsChecks::Guard,
        cpu: None,
        nan_canonicalization: false,
        system: Some(System::Windows),
    },
];

/// Names optimisations that are left out in all configurations, by their keys of `-C`, with commas between them.
const WITHOUT: &str = "WASMELT_WITHOUT";

/// Leaves out what [`WITHOUT`] names.
fn leave_out(options: &mut Options) -> Result<(), String> {
    let names = std::env::var(WITHOUT).unwrap_or_default();
    for name in names.split(',').filter(|name| !name.is_empty()) {
        let optimization = match name {
            "inlining" => &mut options.inlining,
            "peepholes" => &mut options.peepholes,
            "address-sums" => &mut options.address_sums,
            "loops" => &mut options.loops,
            "byte-scans" => &mut options.byte_scans,
            _ => return Err(format!("{WITHOUT}: `{name}` is not an optimisation")),
        };
        *optimization = false;
    }
    Ok(())
}

/// Files that run on Windows, where each module takes as long as a hundred do elsewhere: calls, traps of each kind,
/// vectors, exceptions, memories. They are those of the latest release.
const ON_WINDOWS: &[&str] = &[
    "wasm-latest/br_table",
    "wasm-latest/call_indirect",
    "wasm-latest/conversions",
    "wasm-latest/endianness",
    "wasm-latest/fac",
    "wasm-latest/i64",
    "wasm-latest/left-to-right",
    "wasm-latest/memory_redundancy",
    "wasm-latest/return_call",
    "wasm-latest/stack",
    "wasm-latest/throw_ref",
    "wasm-latest/try_table",
    "wasm-latest/unwind",
    "simd/simd_f32x4",
    "simd/simd_i8x16_arith2",
];

impl Configuration {
    /// Why nothing runs in this configuration here.
    pub(crate) fn cannot_run(&self) -> Option<String> {
        if self.way == Way::C && support::find_program("gcc").is_none() {
            return Some("there is no `gcc`".to_owned());
        }
        self.system?.cannot_be_run()
    }

    /// Whether only some files run in this configuration.
    pub(crate) fn is_sample(&self) -> bool {
        self.system == Some(System::Windows)
    }

    /// Whether a file runs in this configuration.
    pub(crate) fn includes(&self, file: &str) -> bool {
        !self.is_sample() || ON_WINDOWS.iter().any(|name| file.strip_suffix(".wast") == Some(name))
    }

    /// What all modules of a file are compiled with; what comes out is the way's affair.
    pub(crate) fn options(&self, features: WasmFeatures) -> Result<Options, String> {
        let here = Options::default();
        let (target, runtime_dir) = match self.system {
            None => (here.target, None),
            Some(system) => {
                let target: Triple = system.triple().parse().map_err(|e| format!("{}: {e}", system.triple()))?;
                let message = |failed: Failed| failed.message().unwrap_or("no runtime archive").to_owned();
                (target, Some(system.runtimes().map_err(message)?))
            }
        };
        let mut options = Options {
            runtime: Runtime::default_for(&target),
            target,
            runtime_dir,
            // An emulator's start takes as long as the reserved address space is large: less than 256 GiB for memories with
            // 64-bit addresses, and no less than others have.
            max_memory_bytes: self.system.map(|_| 8 << 30),
            emit: Emit::Obj,
            opt_level: self.opt_level,
            cpu: self.cpu.map_or(Cpu::Default, |cpu| Cpu::Named(cpu.to_owned())),
            features,
            bounds_checks: self.bounds_checks,
            nan_canonicalization: self.nan_canonicalization,
            relaxed_simd_deterministic: self.nan_canonicalization,
            threads: 1,
            ..Options::default()
        };
        leave_out(&mut options)?;
        Ok(options)
    }

    /// What becomes of each directive of a file.
    pub(crate) fn run(&self, file: &File) -> Outcomes {
        let by_itself = |directives| Outcomes { directives, is_linked: false };
        let mut outcomes = match (script::read(file), self.way) {
            (Err(directives), _) => by_itself(directives),
            (Ok(script), Way::Libraries) => by_itself(libraries::check(self, file, &script)),
            (Ok(script), Way::C) => by_itself(c_interface::check(self, file, &script)),
            (Ok(script), Way::Executables { .. }) => executables::check(self, file, &script),
        };
        outcomes.directives.sort_by_key(|outcome| outcome.line);
        outcomes
    }
}
