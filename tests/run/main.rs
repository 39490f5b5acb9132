//! Programs, compiled, linked and run as a user does it: the corpus, the examples, and small modules with one feature
//! each. Their output and exit codes are compared with what is written down. What looks into the system that they run on
//! is for Linux.

#[path = "../support/mod.rs"]
mod support;

mod backtrace;
#[cfg(target_os = "linux")]
mod bench;
mod cases;
mod corpus;
mod debug;
mod examples;
mod foreign;

#[cfg(target_os = "linux")]
mod edge;
#[cfg(target_os = "linux")]
mod exhaustion;
#[cfg(target_os = "linux")]
mod filters;
#[cfg(target_os = "linux")]
mod format;
#[cfg(target_os = "linux")]
mod harden;
#[cfg(target_os = "linux")]
mod hosts;
#[cfg(target_os = "linux")]
mod image;
#[cfg(target_os = "linux")]
mod linkers;
#[cfg(target_os = "linux")]
mod llvm;
mod macho;
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "most of it is for tests on Linux"))]
mod modules;
#[cfg(target_os = "linux")]
mod policy;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod profile;
#[cfg(target_os = "linux")]
mod reuse;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod threads;
#[cfg(target_os = "linux")]
mod trace;
#[cfg(target_os = "linux")]
mod trees;
#[cfg(target_os = "linux")]
mod windows_host;

use std::process::ExitCode;

use libtest_mimic::Trial;

fn main() -> ExitCode {
    let args = libtest_mimic::Arguments::from_args();
    let mut trials = Vec::new();
    trials.extend(backtrace::trials());
    trials.extend(corpus::trials());
    trials.extend(debug::trials());
    trials.extend(examples::trials());
    trials.extend(foreign::trials());
    trials.extend(cases::trials());
    trials.extend(on_linux());
    support::skips::run(&args, trials).exit_code()
}

/// Tests that look at processes, descriptors and executables as Linux has them.
fn on_linux() -> Vec<Trial> {
    #[cfg(not(target_os = "linux"))]
    return Vec::new();
    #[cfg(target_os = "linux")]
    [
        bench::trials,
        edge::trials,
        filters::trials,
        server::trials,
        format::trials,
        harden::trials,
        hosts::trials,
        image::trials,
        linkers::trials,
        llvm::trials,
        policy::trials,
        process::trials,
        exhaustion::trials,
        profile::trials,
        reuse::trials,
        sandbox::trials,
        threads::trials,
        trace::trials,
        trees::trials,
        windows_host::trials,
    ]
    .into_iter()
    .flat_map(|trials: fn() -> Vec<Trial>| trials())
    .collect()
}
