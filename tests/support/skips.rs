//! Which tests were skipped, and why: each test program records it in a file of its own, and the last one that `cargo test`
//! runs (`tests/skipped`) prints the sum.

#![allow(dead_code, reason = "one test program reads what the others write")]
#![allow(unreachable_pub, reason = "a module of test programs, which export nothing")]

use std::path::{Path, PathBuf};
use std::{fs, io};

use libtest_mimic::{Arguments, Conclusion, Trial};

/// Start of the kind of a trial that is skipped; the reason follows.
pub const KIND: &str = "skipped: ";

/// The folder of the records, the same for all packages.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped")
}

/// Runs trials, and records which of them are skipped.
pub fn run(args: &Arguments, trials: Vec<Trial>) -> Conclusion {
    let skipped = trials.iter().filter(|trial| trial.has_ignored_flag());
    let reasons: Vec<&str> = skipped.filter_map(|trial| trial.kind().strip_prefix(KIND)).collect();
    if let Err(e) = record(&reasons) {
        eprintln!("which tests are skipped cannot be recorded: {e}");
    }
    libtest_mimic::run(args, trials)
}

fn record(reasons: &[&str]) -> io::Result<()> {
    fs::create_dir_all(folder())?;
    fs::write(folder().join(env!("CARGO_CRATE_NAME")), reasons.join("\n"))
}

/// The reasons that all test programs recorded, one for each skipped test.
pub fn recorded() -> io::Result<Vec<String>> {
    let mut reasons = Vec::new();
    let Ok(entries) = fs::read_dir(folder()) else { return Ok(reasons) };
    for entry in entries {
        reasons.extend(fs::read_to_string(entry?.path())?.lines().map(str::to_owned));
    }
    Ok(reasons)
}
