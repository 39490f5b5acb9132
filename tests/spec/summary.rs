//! Counts by configuration and suite, printed as tables.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::configuration::{CONFIGURATIONS, Configuration};
use crate::expected::{ExpectedFailures, Known};
use crate::outcome::{Kind, Outcomes, Reason, Verdict};
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

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) files: usize,
    /// Modules that were instantiated.
    pub(crate) modules: usize,
    pub(crate) passed: usize,
    /// Directives that failed and should not.
    pub(crate) failed: usize,
    /// Directives that failed as expected.
    pub(crate) expected: usize,
    pub(crate) superseded: usize,
    /// Modules that were not instantiated, because of the same reasons.
    pub(crate) modules_not_run: usize,
    /// Assertions that were not run.
    pub(crate) not_run: BTreeMap<Reason, usize>,
    /// Files whose modules were linked into one executable, and the assertions of those files that passed.
    pub(crate) linked_files: usize,
    pub(crate) linked: usize,
}

impl Counts {
    fn of(file: &File, outcomes: &Outcomes, expected: &ExpectedFailures) -> Self {
        let mut counts = Self { files: 1, ..Self::default() };
        for outcome in &outcomes.directives {
            match (&outcome.verdict, outcome.kind) {
                (Verdict::Failed(_), _) => match expected.get(file, outcome.line) {
                    None => counts.failed += 1,
                    Some(Known::Failure) => counts.expected += 1,
                    Some(Known::Superseded) => counts.superseded += 1,
                },
                (Verdict::Passed, Kind::Module) => counts.modules += 1,
                (Verdict::Passed, Kind::Assertion) => counts.passed += 1,
                (Verdict::NotRun(reason), Kind::Assertion) => *counts.not_run.entry(*reason).or_default() += 1,
                (Verdict::NotRun(_), Kind::Module) => counts.modules_not_run += 1,
                (_, Kind::Action) => {}
            }
        }
        if outcomes.is_linked {
            (counts.linked_files, counts.linked) = (1, counts.passed);
        }
        counts
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.modules += other.modules;
        self.modules_not_run += other.modules_not_run;
        self.passed += other.passed;
        self.failed += other.failed;
        self.expected += other.expected;
        self.superseded += other.superseded;
        self.linked_files += other.linked_files;
        self.linked += other.linked;
        for (reason, count) in &other.not_run {
            *self.not_run.entry(*reason).or_default() += count;
        }
    }

    fn row(&self, name: &str) -> String {
        let not_run = Reason::ALL.map(|reason| format!(" {} |", self.not_run.get(&reason).unwrap_or(&0)));
        let Self { files, modules, passed, failed, expected, superseded, modules_not_run, .. } = self;
        let not_run = not_run.concat();
        format!(
            "| {name} | {files} | {modules} | {passed} | {failed} | {expected} | {superseded} | {modules_not_run} |{not_run}"
        )
    }
}

impl Summary {
    /// Counts a file for each suite that it is part of.
    pub(crate) fn add(
        &self,
        configuration: &Configuration,
        file: &File,
        outcomes: &Outcomes,
        expected: &ExpectedFailures,
    ) {
        let result = FileResult {
            configuration: configuration.name,
            suites: file.places.iter().map(|(suite, _)| suite.clone()).collect(),
            counts: Counts::of(file, outcomes, expected),
        };
        self.results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
    }

    /// Counts of a configuration: of all files, each once, and by suite.
    pub(crate) fn of(&self, configuration: &Configuration) -> (Counts, BTreeMap<String, Counts>) {
        let results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = Counts::default();
        let mut suites: BTreeMap<String, Counts> = BTreeMap::new();
        for result in results.iter().filter(|result| result.configuration == configuration.name) {
            total.add(&result.counts);
            for suite in &result.suites {
                suites.entry(suite.clone()).or_default().add(&result.counts);
            }
        }
        (total, suites)
    }

    /// Prints a table for each configuration that ran.
    pub(crate) fn print(&self) {
        for configuration in &CONFIGURATIONS {
            let (total, suites) = self.of(configuration);
            if total.files == 0 {
                continue;
            }
            println!("{}: assertions by suite\n", configuration.name);
            let reasons = Reason::ALL.map(|reason| format!(" not run: {reason} |")).concat();
            println!(
                "| suite | files | modules | passed | failed | failed as expected | superseded | modules not run |{reasons}"
            );
            println!("|---|---|---|---|---|---|---|---|{}", "---|".repeat(Reason::ALL.len()));
            for (suite, counts) in suites {
                println!("{}", counts.row(&suite));
            }
            println!("{}\n", total.row("all, each file once"));
        }
    }
}
