//! Counts by configuration and suite, printed as tables; the first one is what README.md shows.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::configuration::Configuration;
use crate::expected::ExpectedFailures;
use crate::outcome::{Kind, Outcome, Reason, Verdict};
use crate::suites::File;

/// What was counted so far.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    results: Mutex<Vec<FileResult>>,
}

#[derive(Debug)]
struct FileResult {
    configuration: &'static str,
    suites: Vec<String>,
    counts: Counts,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    files: usize,
    modules: usize,
    passed: usize,
    failed: usize,
    /// Of these, how many are known.
    expected: usize,
    not_run: BTreeMap<Reason, usize>,
}

impl Counts {
    fn of(file: &File, outcomes: &[Outcome], expected: &ExpectedFailures) -> Self {
        let mut counts = Self { files: 1, ..Self::default() };
        for outcome in outcomes {
            match (&outcome.verdict, outcome.kind) {
                (Verdict::Failed(_), _) => {
                    counts.failed += 1;
                    counts.expected += usize::from(expected.contains(file, outcome.line));
                }
                (Verdict::Passed, Kind::Module) => counts.modules += 1,
                (Verdict::Passed, Kind::Assertion) => counts.passed += 1,
                (Verdict::NotRun(reason), Kind::Assertion) => *counts.not_run.entry(*reason).or_default() += 1,
                (_, Kind::Action | Kind::Module) => {}
            }
        }
        counts
    }

    fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.modules += other.modules;
        self.passed += other.passed;
        self.failed += other.failed;
        self.expected += other.expected;
        for (reason, count) in &other.not_run {
            *self.not_run.entry(*reason).or_default() += count;
        }
    }

    fn row(&self, name: &str) -> String {
        let not_run = Reason::ALL.map(|reason| format!(" {} |", self.not_run.get(&reason).unwrap_or(&0)));
        let Self { files, modules, passed, failed, expected, .. } = self;
        format!("| {name} | {files} | {modules} | {passed} | {failed} | {expected} |{}", not_run.concat())
    }
}

impl Summary {
    /// Counts a file for each suite that it is part of.
    pub(crate) fn add(
        &self,
        configuration: &Configuration,
        file: &File,
        outcomes: &[Outcome],
        expected: &ExpectedFailures,
    ) {
        let result = FileResult {
            configuration: configuration.name,
            suites: file.places.iter().map(|(suite, _)| suite.clone()).collect(),
            counts: Counts::of(file, outcomes, expected),
        };
        self.results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
    }

    /// Prints a table for each configuration that ran.
    pub(crate) fn print(&self) {
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        for configuration in &crate::configuration::CONFIGURATIONS {
            let mut total = Counts::default();
            let mut suites: BTreeMap<&str, Counts> = BTreeMap::new();
            for result in results.iter().filter(|result| result.configuration == configuration.name) {
                total.add(&result.counts);
                for suite in &result.suites {
                    suites.entry(suite).or_default().add(&result.counts);
                }
            }
            if total.files == 0 {
                continue;
            }
            println!("{}: assertions by suite\n", configuration.name);
            let reasons = Reason::ALL.map(|reason| format!(" not run: {reason} |")).concat();
            println!("| suite | files | modules | passed | failed | of these expected |{reasons}");
            println!("|---|---|---|---|---|---|{}", "---|".repeat(Reason::ALL.len()));
            for (suite, counts) in suites {
                println!("{}", counts.row(suite));
            }
            println!("{}\n", total.row("all, each file once"));
        }
    }
}
