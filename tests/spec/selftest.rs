//! A test of this harness: `wrong.wast` and `wrong-linked.wast` have wrong assertions of each kind, on lines that say so.
//! All of those have to fail, and nothing else. A mark is `wrong` or `not run`, for all ways of running files or for the one that it names.

use std::collections::BTreeSet;

use libtest_mimic::{Failed, Trial};

use crate::configuration::{Configuration, Way};
use crate::outcome::Verdict;
use crate::{suites, support};

pub(crate) fn trial(configuration: &'static Configuration) -> Trial {
    Trial::test(format!("{}::wrong_assertions_fail", configuration.name), move || check(configuration))
}

/// Whether a line of the file has this mark for this way.
fn is_marked(line: &str, way: Way, word: &str) -> bool {
    let Some((_, marks)) = line.rsplit_once(";; ") else { return false };
    let way = match way {
        Way::Libraries | Way::C => "libraries",
        Way::Executables { .. } => "executables",
    };
    marks.split("; ").any(|mark| match mark.split_once(": ") {
        Some((of, mark)) => of == way && mark == word,
        None => mark == word,
    })
}

fn check(configuration: &Configuration) -> Result<(), Failed> {
    ["wrong.wast", "wrong-linked.wast"].iter().try_for_each(|name| check_file(configuration, name))
}

fn check_file(configuration: &Configuration, name: &str) -> Result<(), Failed> {
    let file = suites::read(&support::repository().join("tests/spec").join(name))?;
    let marked = |word: &str| -> BTreeSet<usize> {
        let lines = file.text.lines().enumerate();
        lines.filter(|(_, line)| is_marked(line, configuration.way, word)).map(|(index, _)| index + 1).collect()
    };
    let (mut failed, mut not_run) = (BTreeSet::new(), BTreeSet::new());
    for outcome in configuration.run(&file).directives {
        match outcome.verdict {
            Verdict::Passed => {}
            Verdict::Failed(_) => _ = failed.insert(outcome.line),
            Verdict::NotRun(_) => _ = not_run.insert(outcome.line),
        }
    }
    let (wrong, after) = (marked("wrong"), marked("not run"));
    if wrong.is_empty() || failed != wrong {
        return Err(format!("{name}: lines that failed: {failed:?}, wrong are: {wrong:?}").into());
    }
    if not_run != after {
        return Err(format!("{name}: lines that were not run: {not_run:?}, expected: {after:?}").into());
    }
    Ok(())
}
