//! Small modules, one feature each: `cases/*.wat` hold the module and, in comments, how to compile and run it and what
//! comes out.
//!
//! ```text
//! ;;! compile: --max-memory 1M     begins an executable; without one there is one without options
//! ;;! compile: --preload a={linked}/a.wat    the same; `{linked}` is `cases/linked`, which holds further modules
//! ;;! run: 1 2                     begins a run of it; without one there is one without arguments
//! ;;! env: NAME=VALUE              a variable of the host; there are no others
//! ;;! in: text                     a line of standard input
//! ;;! exit: 134                    exit code, 0 unless it is given
//! ;;! out: text                    a line of standard output, which has just these lines
//! ;;! err: text                    a part of a line of standard error, in this order; without one it is empty
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};

use crate::support;
use crate::support::foreign::System;
use crate::support::place::{self, Place};

/// What one executable is made of, and how it behaves.
#[derive(Default)]
struct Build {
    options: Vec<String>,
    runs: Vec<Run>,
}

/// One run of an executable.
#[derive(Default)]
struct Run {
    args: Vec<String>,
    env: Vec<(String, String)>,
    stdin: String,
    exit_code: i32,
    stdout: String,
    stderr_parts: Vec<String>,
}

pub(crate) fn trials() -> Vec<Trial> {
    let folder = support::repository().join("tests/run/cases");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .collect();
    files.sort();
    files.into_iter().flat_map(|file| file_trials(&file)).collect()
}

fn file_trials(file: &Path) -> Vec<Trial> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let builds = fs::read_to_string(file).map_err(|e| e.to_string()).and_then(|text| parse(&text));
    let builds = match builds {
        Ok(builds) => builds,
        Err(why) => return vec![Trial::test(format!("case::{name}"), move || Err(why.into()))],
    };
    let several = builds.len() > 1;
    let trial = |(number, build): (usize, Build)| {
        let suffix = if several { format!("::{}", number + 1) } else { String::new() };
        let (name, build) = (format!("case::{name}{suffix}"), Arc::new(build));
        let places = [Place::Here, Place::Foreign(System::LinuxAarch64), Place::Foreign(System::Windows)];
        places.map(|place| {
            let (file, build) = (file.to_owned(), Arc::clone(&build));
            place::trial(place, &name, move || build.check(&file))
        })
    };
    builds.into_iter().enumerate().flat_map(trial).collect()
}

fn parse(text: &str) -> Result<Vec<Build>, String> {
    let mut builds: Vec<Build> = Vec::new();
    for line in text.lines() {
        let Some(directive) = line.strip_prefix(";;! ") else { continue };
        let (key, value) = directive.split_once(':').ok_or_else(|| format!("`{line}` has no colon"))?;
        let value = value.strip_prefix(' ').unwrap_or(value);
        if key == "compile" {
            builds.push(Build { options: support::shell_words(value)?, runs: Vec::new() });
            continue;
        }
        if builds.is_empty() {
            builds.push(Build::default());
        }
        let runs = &mut builds.last_mut().expect("there is one").runs;
        if key == "run" {
            runs.push(Run { args: support::shell_words(value)?, ..Run::default() });
            continue;
        }
        if runs.is_empty() {
            runs.push(Run::default());
        }
        let run = runs.last_mut().expect("there is one");
        match key {
            "env" => {
                let (name, value) = value.split_once('=').ok_or_else(|| format!("`{line}` has no `=`"))?;
                run.env.push((name.to_owned(), value.to_owned()));
            }
            "in" => run.stdin.extend([value, "\n"]),
            "exit" => run.exit_code = value.parse().map_err(|_| format!("`{line}` has no exit code"))?,
            "out" => run.stdout.extend([value, "\n"]),
            "err" => run.stderr_parts.push(value.to_owned()),
            _ => return Err(format!("`{line}`: there is no directive `{key}`")),
        }
    }
    if builds.is_empty() {
        builds.push(Build::default());
    }
    for build in builds.iter_mut().filter(|build| build.runs.is_empty()) {
        build.runs.push(Run::default());
    }
    Ok(builds)
}

impl Build {
    fn check(&self, file: &Path) -> Result<(), Failed> {
        let folder = support::scratch();
        let executable = folder.path().join("case");
        let linked = file.with_file_name("linked").display().to_string();
        let options: Vec<_> = self.options.iter().map(|option| option.replace("{linked}", &linked)).collect();
        support::compile(file, &executable, &options)?;
        self.runs.iter().try_for_each(|run| run.check(&executable))
    }
}

impl Run {
    fn check(&self, executable: &Path) -> Result<(), Failed> {
        let mut command = place::program(executable)?;
        command.args(&self.args).envs(self.env.iter().cloned());
        let outcome = support::run(&mut command, self.stdin.as_bytes())?;
        let outcome = outcome.expect_code(self.exit_code)?.expect_stdout(&self.stdout)?;
        let stderr = outcome.stderr();
        if self.stderr_parts.is_empty() && !stderr.is_empty() {
            return Err(format!("standard error is not empty{}", outcome.shown()).into());
        }
        let mut lines = stderr.lines();
        for part in &self.stderr_parts {
            if !lines.any(|line| line.contains(part.as_str())) {
                return Err(format!("standard error has no line with `{part}` at its place{}", outcome.shown()).into());
            }
        }
        Ok(())
    }
}
