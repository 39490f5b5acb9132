//! `expected-failures.txt` and `superseded.txt`: what fails and is known to, each line with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::configuration::Configuration;
use crate::outcome::{Outcome, Verdict};
use crate::suites::File;
use crate::support;

/// Why a line may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// It needs what wasmelt does not support.
    Failure,
    /// A later release decides otherwise.
    Superseded,
}

/// Lines that may fail, by file.
#[derive(Debug, Default)]
pub(crate) struct ExpectedFailures {
    lines: BTreeMap<String, BTreeMap<usize, Known>>,
}

impl ExpectedFailures {
    /// Reads both lists.
    pub(crate) fn read() -> Result<Self, String> {
        let mut expected = Self::default();
        let folder = support::repository().join("tests/spec");
        expected.add(&folder.join("expected-failures.txt"), Known::Failure)?;
        expected.add(&folder.join("superseded.txt"), Known::Superseded)?;
        Ok(expected)
    }

    /// Reads a list: `suite/file.wast:LINE  reason`; `#` begins a comment.
    fn add(&mut self, path: &Path, known: Known) -> Result<(), String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let (place, reason) = line.split_once(' ').unwrap_or((line, ""));
            let place = place.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
            let (Some((file, number)), false) = (place, reason.trim().is_empty()) else {
                return Err(format!("{}: expected `suite/file.wast:LINE reason`, found `{line}`", path.display()));
            };
            self.lines.entry(file.to_owned()).or_default().insert(number, known);
        }
        Ok(())
    }

    /// Whether a line may fail, and why.
    pub(crate) fn get(&self, file: &File, line: usize) -> Option<Known> {
        self.lines.get(&file.name())?.get(&line).copied()
    }

    /// What differs from what is expected.
    pub(crate) fn breaches(&self, configuration: &Configuration, file: &File, outcomes: &[Outcome]) -> Vec<String> {
        let name = file.name();
        let mut not_failed: BTreeSet<usize> =
            self.lines.get(&name).into_iter().flat_map(|l| l.keys()).copied().collect();
        let mut breaches = Vec::new();
        for outcome in outcomes {
            match &outcome.verdict {
                Verdict::Failed(why) if self.get(file, outcome.line).is_none() => {
                    breaches.push(format!("{name}:{} {why}", outcome.line));
                }
                Verdict::Failed(_) | Verdict::NotRun(_) => _ = not_failed.remove(&outcome.line),
                Verdict::Passed => {}
            }
        }
        for line in not_failed {
            breaches.push(format!("{name}:{line} is listed as a known failure, but did not fail"));
        }
        if !breaches.is_empty() {
            breaches.insert(0, format!("{}:", configuration.name));
        }
        breaches
    }

    /// Files of the lists that there are not.
    pub(crate) fn without_file(&self, files: &[Arc<File>]) -> Vec<String> {
        let names: BTreeSet<_> = files.iter().map(|file| file.name()).collect();
        let unknown = self.lines.keys().filter(|name| !names.contains(*name));
        unknown.map(|name| format!("`{name}` is listed as a known failure, but does not run")).collect()
    }
}
