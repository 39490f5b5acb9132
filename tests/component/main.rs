//! The component model's rules as scripts: `.wast` files with components, calls of what they export, and components that
//! must not be accepted. Those of `wast/` were written from the specification's text, one file for each part of it;
//! the command line may name others, as may `WASMELT_WAST`.
//!
//! Components become programs as a user's do: a command is made around each, which has the component inside and calls it
//! (`driver.rs`), is compiled into an executable, and run once for each call; and into a library, which this process loads
//! (`library.rs`). What no executable can do is counted as not run, by its reason. The files of this folder leave nothing out.

#[path = "../support/mod.rs"]
mod support;

#[path = "../spec/process.rs"]
mod process;

mod checks;
mod definitions;
mod differential;
mod driver;
mod generate;
mod library;
mod outcome;
mod programs;
mod script;
mod types;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};

use outcome::{Outcome, Reason, Verdict};
use programs::Form;

/// How many directives passed, and how many were not run.
#[derive(Debug, Default)]
struct Summary {
    files: usize,
    passed: usize,
    failed: usize,
    not_run: BTreeMap<Reason, usize>,
}

/// What programs are compiled to, with what the names of trials begin with.
const FORMS: [(Form, &str); 2] = [(Form::Executable, ""), (Form::Library, "library-")];

fn main() -> ExitCode {
    let mut named: Vec<PathBuf> = std::env::var_os("WASMELT_WAST").map(PathBuf::from).into_iter().collect();
    let args = Arguments::from_iter(std::env::args().filter(|arg| match Path::new(arg).extension() {
        Some(extension) if extension == "wast" => {
            named.push(PathBuf::from(arg));
            false
        }
        _ => true,
    }));
    let is_own = named.is_empty();
    let files = if is_own { own_files() } else { Ok(named) };
    let files = match files {
        Ok(files) => files,
        Err(e) => {
            eprintln!("the scripts cannot be listed: {e}");
            return ExitCode::FAILURE;
        }
    };
    let summary = Arc::new(Mutex::new(Summary::default()));
    let mut trials = Vec::new();
    if is_own {
        trials.push(differential::trial());
    }
    // The reference performs scripts in its own way alone.
    let forms = if programs::reference().is_some() { &FORMS[..1] } else { &FORMS };
    for (form, name) in forms {
        trials.push(Trial::test(format!("{name}wrong_assertions_fail"), || wrong_assertions_fail(*form)));
        let files = files.iter().cloned();
        trials.extend(files.map(|file| trial(file, *form, name, is_own, Arc::clone(&summary))));
    }
    let conclusion = support::skips::run(&args, trials);
    if !args.list {
        print(&summary.lock().expect("no trial panics with the lock"));
    }
    conclusion.exit_code()
}

fn own_files() -> std::io::Result<Vec<PathBuf>> {
    let folder = support::repository().join("tests/component/wast");
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

fn print(summary: &Summary) {
    let Summary { files, passed, failed, not_run } = summary;
    println!("components: {files} files, {passed} directives passed, {failed} failed");
    for (reason, count) in not_run {
        println!("components: {count} not run: {reason}");
    }
}

fn trial(file: PathBuf, form: Form, prefix: &str, is_own: bool, summary: Arc<Mutex<Summary>>) -> Trial {
    let name = format!("{prefix}{}", file.file_stem().unwrap_or_default().to_string_lossy());
    Trial::test(name, move || {
        let mut wrong = Vec::new();
        let outcomes = outcomes(&file, form)?;
        let mut summary = summary.lock().expect("no trial panics with the lock");
        summary.files += 1;
        for Outcome { line, verdict } in outcomes {
            match verdict {
                Verdict::Passed => summary.passed += 1,
                Verdict::Failed(why) => {
                    summary.failed += 1;
                    wrong.push(format!("{}:{line}: {why}", file.display()));
                }
                Verdict::NotRun(reason) => {
                    *summary.not_run.entry(reason).or_default() += 1;
                    // The project's own scripts ask for nothing that cannot be run.
                    if is_own {
                        wrong.push(format!("{}:{line}: not run: {reason}", file.display()));
                    }
                }
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
    })
}

fn outcomes(file: &Path, form: Form) -> Result<Vec<Outcome>, Failed> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let folder = support::scratch();
    Ok(script::read(&text).map_or_else(|outcome| vec![outcome], |script| programs::check(script, form, folder.path())))
}

/// A test of this harness: of `wrong.wast`, the lines that say so fail, and no others.
fn wrong_assertions_fail(form: Form) -> Result<(), Failed> {
    let file = support::repository().join("tests/component/wrong.wast");
    let text = fs::read_to_string(&file)?;
    let marked = text.lines().enumerate().filter(|(_, line)| line.ends_with(";; wrong"));
    let marked: BTreeSet<usize> = marked.map(|(index, _)| index + 1).collect();
    let failed = outcomes(&file, form)?.into_iter().filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_)));
    let failed: BTreeSet<usize> = failed.map(|outcome| outcome.line).collect();
    if marked.is_empty() || failed != marked {
        return Err(format!("lines that failed: {failed:?}, wrong are: {marked:?}").into());
    }
    Ok(())
}
