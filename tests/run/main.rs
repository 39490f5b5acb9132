//! Programs, compiled, linked and run as a user does it: the corpus, the examples, and small modules with one feature
//! each. Their output and exit codes are compared with what is written down.

#[path = "../support/mod.rs"]
mod support;

mod cases;
mod corpus;
mod examples;
mod exhaustion;
mod foreign;
mod format;
mod harden;
mod hosts;
mod modules;
mod policy;
mod process;
mod sandbox;
mod threads;
mod trees;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args = libtest_mimic::Arguments::from_args();
    let mut trials = Vec::new();
    trials.extend(corpus::trials());
    trials.extend(examples::trials());
    trials.extend(foreign::trials());
    trials.extend(hosts::trials());
    trials.extend(format::trials());
    trials.extend(cases::trials());
    trials.extend(harden::trials());
    trials.extend(policy::trials());
    trials.extend(process::trials());
    trials.extend(exhaustion::trials());
    trials.extend(sandbox::trials());
    trials.extend(threads::trials());
    trials.extend(trees::trials());
    libtest_mimic::run(&args, trials).exit_code()
}
