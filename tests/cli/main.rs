//! The command line, compared with golden files: `cases/*.txt` hold shell lines and what they print.
//!
//! ```text
//! # What this is about; `# requires: mount` where it needs the right to mount.
//! $ wasmelt compile hello.wat -o hello && ./hello
//! 1> Hello, world!
//! 2> a line of standard error
//! [exit 1]
//! ```
//!
//! Each file runs in a scratch folder of its own with a copy of `inputs/` and
//! `examples/hello.wat`; `wasmelt` is on PATH, its absolute name is
//! `$WASMELT`. Large inputs are made when a line names them, see `generate.rs`. In outputs the scratch folder is
//! `{dir}` and the version `{version}`. `BLESS=1` writes what comes out into the files.

#[path = "../support/mod.rs"]
mod support;

mod generate;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, io};

use libtest_mimic::{Failed, Trial};

/// A line of the shell with what is expected of it, in the order of the file.
struct Step<'a> {
    /// Comments and empty lines before it.
    heading: String,
    line: &'a str,
    expected: String,
}

fn main() -> ExitCode {
    let args = libtest_mimic::Arguments::from_args();
    let trials = match case_files() {
        Ok(files) => files.into_iter().map(trial).collect(),
        Err(e) => vec![Trial::test("cases", move || Err(e.to_string().into()))],
    };
    support::skips::run(&args, trials).exit_code()
}

fn cases_folder() -> PathBuf {
    support::repository().join("tests/cli")
}

fn case_files() -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(cases_folder().join("cases"))?;
    let mut files = entries.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    Ok(files)
}

fn trial(file: PathBuf) -> Trial {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) => return Trial::test(name, move || Err(e.to_string().into())),
    };
    if text.lines().any(|line| line == "# requires: mount") && !can_mount() {
        return support::skipped(name, "mounting is not allowed here");
    }
    Trial::test(name, move || check(&file, &text))
}

fn can_mount() -> bool {
    let mut command = Command::new("unshare");
    command.args(["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]);
    command.output().is_ok_and(|output| output.status.success())
}

fn check(file: &Path, text: &str) -> Result<(), Failed> {
    let folder = support::scratch();
    support::copy_folder(&cases_folder().join("inputs"), &folder.path().join("work"))?;
    fs::copy(support::repository().join("examples/hello.wat"), folder.path().join("work/hello.wat"))?;
    fs::create_dir(folder.path().join("bin"))?;
    symlink(support::wasmelt_path(), folder.path().join("bin/wasmelt"))?;
    let (steps, end) = parse(text)?;
    let (mut actual, mut first_difference) = (String::new(), None);
    for step in &steps {
        let found = run(step.line, folder.path())?;
        actual += &format!("{}$ {}\n{found}", step.heading, step.line);
        if found != step.expected && first_difference.is_none() {
            let Step { line, expected, .. } = step;
            first_difference = Some(format!("$ {line}\n--- expected\n{expected}--- found\n{found}"));
        }
    }
    match first_difference {
        Some(_) if support::switch("BLESS") => Ok(fs::write(file, actual + &end)?),
        Some(difference) => Err(format!("{difference}(BLESS=1 accepts what was found)").into()),
        None => Ok(()),
    }
}

fn parse(text: &str) -> Result<(Vec<Step<'_>>, String), Failed> {
    let (mut steps, mut heading) = (Vec::<Step>::new(), String::new());
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step { heading: std::mem::take(&mut heading), line: command, expected: String::new() });
        } else if line.is_empty() || line.starts_with('#') {
            heading += &format!("{line}\n");
        } else {
            let step = steps.last_mut().ok_or_else(|| format!("`{line}` stands before the first command"))?;
            if !heading.is_empty() {
                return Err(format!("`{line}` follows no command").into());
            }
            step.expected += &format!("{line}\n");
        }
    }
    if steps.is_empty() {
        return Err("there is no command in this file".into());
    }
    Ok((steps, heading))
}

/// Runs one line and writes down what it did.
fn run(line: &str, folder: &Path) -> Result<String, Failed> {
    let work = folder.join("work");
    generate::inputs_of(line, &work)?;
    let path = format!("{}:{}", folder.join("bin").display(), env::var("PATH").unwrap_or_default());
    let mut command = Command::new("/bin/sh");
    command.args(["-c", line]).current_dir(&work).env_clear();
    command.envs([("PATH", path.as_str()), ("NO_COLOR", "1"), ("COLUMNS", "100"), ("LC_ALL", "C.UTF-8")]);
    command.env("WASMELT", support::wasmelt_path()).env("HOME", folder.join("home"));
    command.env("XDG_CACHE_HOME", folder.join("cache")).env("TMPDIR", folder);
    let outcome = support::run(&mut command, b"")?;
    let mut found = String::new();
    for (prefix, text) in [("1>", outcome.stdout()), ("2>", outcome.stderr())] {
        for line in normalise(&text, folder).lines() {
            found += format!("{prefix} {line}").trim_end();
            found += "\n";
        }
    }
    if outcome.code() != 0 {
        found += &format!("[exit {}]\n", outcome.code());
    }
    Ok(found)
}

/// Takes out what differs from machine to machine and from version to version.
fn normalise(text: &str, folder: &Path) -> String {
    let work = folder.join("work").display().to_string();
    let text =
        text.replace(&work, "{dir}").replace(&folder.display().to_string(), "{dir}/..").replace(VERSION, "{version}");
    // A folder that wasmelt made for a moment has a name that nobody can foresee.
    let mut parts = text.split("{dir}/../wasmelt-");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + "{temporary}" + part.trim_start_matches(|c: char| c.is_ascii_alphanumeric()))
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
