//! How the suite is compiled and run: all levels of optimisation, both kinds of bounds checks, both shapes of output,
//! and what replaces instructions that an old CPU lacks.

use wasmelt::options::{BoundsChecks, Cpu, Emit, OptLevel, Options};
use wasmparser::WasmFeatures;

use crate::outcome::Outcome;
use crate::suites::File;
use crate::{executables, libraries, script};

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
}

/// How modules are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// All modules of a file as one shared library, through the embedding interface: files run in full.
    Libraries,
    /// Each module by itself as an executable; what needs several modules or a host is not run.
    Executables {
        /// Compile also the functions that no step reaches.
        compile_unused: bool,
    },
}

pub(crate) const CONFIGURATIONS: [Configuration; 5] = [
    Configuration {
        name: "library-speed-guard",
        way: Way::Libraries,
        opt_level: OptLevel::Speed,
        bounds_checks: BoundsChecks::Guard,
        cpu: None,
        nan_canonicalization: false,
    },
    Configuration {
        name: "library-none-explicit",
        way: Way::Libraries,
        opt_level: OptLevel::None,
        bounds_checks: BoundsChecks::Explicit,
        cpu: None,
        nan_canonicalization: false,
    },
    Configuration {
        name: "speed-guard",
        way: Way::Executables { compile_unused: true },
        opt_level: OptLevel::Speed,
        bounds_checks: BoundsChecks::Guard,
        cpu: None,
        nan_canonicalization: false,
    },
    Configuration {
        name: "none-explicit",
        way: Way::Executables { compile_unused: false },
        opt_level: OptLevel::None,
        bounds_checks: BoundsChecks::Explicit,
        cpu: None,
        nan_canonicalization: false,
    },
    Configuration {
        name: "size-old-cpu",
        way: Way::Executables { compile_unused: false },
        opt_level: OptLevel::Size,
        bounds_checks: BoundsChecks::Guard,
        cpu: Some("x86-64-v1"),
        nan_canonicalization: true,
    },
];

impl Configuration {
    /// What all modules of a file are compiled with; what comes out is the way's affair.
    pub(crate) fn options(&self, features: WasmFeatures) -> Options {
        Options {
            emit: Emit::Obj,
            opt_level: self.opt_level,
            cpu: self.cpu.map_or(Cpu::Default, |cpu| Cpu::Named(cpu.to_owned())),
            features,
            bounds_checks: self.bounds_checks,
            nan_canonicalization: self.nan_canonicalization,
            relaxed_simd_deterministic: self.nan_canonicalization,
            threads: 1,
            ..Options::default()
        }
    }

    /// What becomes of each directive of a file, in order.
    pub(crate) fn run(&self, file: &File) -> Vec<Outcome> {
        let mut outcomes = match (script::read(file), self.way) {
            (Err(outcomes), _) => return outcomes,
            (Ok(script), Way::Libraries) => libraries::check(self, file, &script),
            (Ok(script), Way::Executables { .. }) => executables::check(self, file, &script),
        };
        outcomes.sort_by_key(|outcome| outcome.line);
        outcomes
    }
}
