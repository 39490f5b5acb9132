//! Says at the end of `cargo test` how many tests were skipped, and which commands would make them run. Cargo runs the
//! programs of a package after those of the packages before it in the alphabet, so this one belongs to the last.

#[path = "../support/skips.rs"]
mod skips;

use std::collections::BTreeSet;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

/// What makes a test run that was skipped.
enum Remedy {
    /// A package of Debian.
    Package(&'static str),
    /// Any other command.
    Command(&'static str),
    /// A target of Rust, which the reason names.
    Target,
    /// It takes another machine, or files that are not public.
    None,
}

/// Remedies by a part of the reason.
const REMEDIES: &[(&str, Remedy)] = &[
    ("no qemu-aarch64", Remedy::Package("qemu-user")),
    ("no wine64", Remedy::Package("wine wine64")),
    ("no gdb", Remedy::Package("gdb")),
    ("no llvm-", Remedy::Package("llvm")),
    ("no node", Remedy::Package("nodejs")),
    ("no clang", Remedy::Package("clang")),
    ("no lld", Remedy::Package("lld")),
    ("no ld.lld", Remedy::Package("lld")),
    ("no x86_64-w64-mingw32-gcc", Remedy::Package("gcc-mingw-w64-x86-64")),
    ("no cc", Remedy::Package("build-essential")),
    ("no ld", Remedy::Package("build-essential")),
    ("is not on PATH", Remedy::Package("build-essential")),
    ("no Zig", Remedy::Command("python3 -m pip install ziglang")),
    ("no zig", Remedy::Command("python3 -m pip install ziglang")),
    ("is not installed", Remedy::Target),
    (
        "names no wasmelt.exe",
        Remedy::Command("export WASMELT_TEST_WINDOWS_HOST=$(cargo xtask compiler --host x86_64-pc-windows-gnullvm)"),
    ),
    ("not allowed here", Remedy::None),
    ("nothing here runs", Remedy::None),
    ("manifest.tsv", Remedy::None),
    ("testsuite-new", Remedy::None),
    ("has no rust-lld", Remedy::None),
    ("cc failed", Remedy::None),
];

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let reasons = match skips::recorded() {
        Ok(reasons) => reasons,
        Err(e) => {
            eprintln!("which tests were skipped cannot be read: {e}");
            Vec::new()
        }
    };
    if !args.list && args.filter.is_none() && !reasons.is_empty() {
        println!("\n{}", summary(&reasons));
    }
    let trial = Trial::test("every_skip_has_a_remedy", move || every_skip_has_a_remedy(&reasons));
    libtest_mimic::run(&args, vec![trial]).exit_code()
}

fn remedy(reason: &str) -> Option<&'static Remedy> {
    REMEDIES.iter().find(|(part, _)| reason.contains(part)).map(|(_, remedy)| remedy)
}

/// A reason that is new needs a line in the table.
fn every_skip_has_a_remedy(reasons: &[String]) -> Result<(), Failed> {
    let unknown: BTreeSet<_> = reasons.iter().filter(|reason| remedy(reason).is_none()).collect();
    if unknown.is_empty() { Ok(()) } else { Err(format!("no remedy is known for {unknown:?}").into()) }
}

/// The line: how many, and the commands.
fn summary(reasons: &[String]) -> String {
    let (mut packages, mut targets, mut commands) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut without = 0;
    for reason in reasons {
        match remedy(reason) {
            Some(Remedy::Package(name)) => _ = packages.insert(*name),
            Some(Remedy::Command(command)) => _ = commands.insert(format!("`{command}`")),
            Some(Remedy::Target) => targets.extend(reason.split(' ').find(|word| word.matches('-').count() >= 2)),
            Some(Remedy::None) | None => without += 1,
        }
    }
    let joined = |set: BTreeSet<&str>| Vec::from_iter(set).join(" ");
    let mut all = Vec::new();
    if !packages.is_empty() {
        all.push(format!("`apt-get install {}`", joined(packages)));
    }
    if !targets.is_empty() {
        all.push(format!("`rustup target add {}`", joined(targets)));
    }
    all.extend(commands);
    let total = reasons.len();
    match (all.is_empty(), without) {
        (true, _) => format!("{total} tests were skipped; they need another machine or files that are not public."),
        (false, 0) => format!("{total} tests were skipped; they run after {}.", all.join(", ")),
        (false, _) => format!("{total} tests were skipped; {} of them run after {}.", total - without, all.join(", ")),
    }
}
