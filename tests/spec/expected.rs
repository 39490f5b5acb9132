//! `expected-failures.txt`: what is known to fail, each with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;

use crate::configuration::Configuration;
use crate::outcome::{Outcome, Verdict};
use crate::suites::File;
use crate::support;

/// Lines that may fail, by file.
#[derive(Debug, Default)]
pub(crate) struct ExpectedFailures {
    lines: BTreeMap<String, BTreeSet<usize>>,
}

impl ExpectedFailures {
    /// Reads the list: `suite/file.wast:LINE  reason`; `#` begins a comment.
    pub(crate) fn read() -> Result<Self, String> {
        let path = support::repository().join("tests/spec/expected-failures.txt");
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut expected = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let (place, reason) = line.split_once(' ').unwrap_or((line, ""));
            let place = place.rsplit_once(':').and_then(|(file, line)| Some((file, line.parse().ok()?)));
            let (Some((file, number)), false) = (place, reason.trim().is_empty()) else {
                return Err(format!("{}: expected `suite/file.wast:LINE reason`, found `{line}`", path.display()));
            };
            expected.lines.entry(file.to_owned()).or_default().insert(number);
        }
        Ok(expected)
    }

    /// Whether a line may fail.
    pub(crate) fn contains(&self, file: &File, line: usize) -> bool {
        self.lines.get(&file.name()).is_some_and(|lines| lines.contains(&line))
    }

    /// What differs from what is expected.
    pub(crate) fn breaches(&self, configuration: &Configuration, file: &File, outcomes: &[Outcome]) -> Vec<String> {
        let nothing = BTreeSet::new();
        let name = file.name();
        let expected = self.lines.get(&name).unwrap_or(&nothing);
        let mut failed = BTreeSet::new();
        let mut breaches = Vec::new();
        for outcome in outcomes {
            if let Verdict::Failed(why) = &outcome.verdict {
                failed.insert(outcome.line);
                if !expected.contains(&outcome.line) {
                    breaches.push(format!("{name}:{} {why}", outcome.line));
                }
            }
        }
        for line in expected.difference(&failed) {
            breaches.push(format!("{name}:{line} is listed as an expected failure, but did not fail"));
        }
        if !breaches.is_empty() {
            breaches.insert(0, format!("compiled as {}:", configuration.name));
        }
        breaches
    }

    /// Files of the list that there are not.
    pub(crate) fn without_file(&self, files: &[Arc<File>]) -> Vec<String> {
        let names: BTreeSet<_> = files.iter().map(|file| file.name()).collect();
        let unknown = self.lines.keys().filter(|name| !names.contains(*name));
        unknown.map(|name| format!("expected-failures.txt: `{name}` does not run")).collect()
    }
}
