//! Programs that were not written for wasmelt: the rows of a corpus manifest, compiled, run in a scratch copy of the
//! corpus' data, and compared by SHA-256 of their output.
//!
//! `WASMELT_CORPUS` names the folder with `manifest.tsv`, by default `../shared/corpus` beside the repository;
//! `WASMELT_CORPUS_FULL=1` runs the full arguments as well as the small ones.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};
use std::{env, fs};

use libtest_mimic::{Failed, Trial};
use sha2::{Digest as _, Sha256};
use wasmelt::features::FEATURES;

use crate::support::foreign::System;
use crate::support::place::{self, Place};
use crate::{foreign, support};

/// Programs that also run on the portable runtime: computation, exceptions, files, all of standard input, threads.
const ON_PORTABLE: [&str; 5] = ["sha256", "cxx-eh", "lua", "zlib", "threads"];

/// The proposal that keeps a row from running, from wasmelt's own table: the error must name it.
fn unsupported(features: &[&str]) -> Option<&'static str> {
    FEATURES.iter().find(|known| !known.supported && features.contains(&known.name)).map(|known| known.name)
}

/// One program of the manifest.
struct Row {
    name: String,
    wasm: PathBuf,
    options: Vec<String>,
    exit_code: i32,
    unsupported: Option<&'static str>,
    /// The small and the full run.
    small: Run,
    full: Run,
    /// The executable, compiled by whichever run comes first; the folder goes away with the row.
    executable: Mutex<Option<Result<PathBuf, String>>>,
    folder: tempfile::TempDir,
}

/// One way to run a program.
#[derive(Clone)]
struct Run {
    args: Vec<String>,
    stdin: Option<String>,
    /// SHA-256 of standard output; nothing is compared without one.
    sha256: Option<String>,
}

pub(crate) fn trials() -> Vec<Trial> {
    let root =
        env::var_os("WASMELT_CORPUS").map_or_else(|| support::repository().join("../shared/corpus"), PathBuf::from);
    let manifest = root.join("manifest.tsv");
    let Ok(text) = fs::read_to_string(&manifest) else {
        return vec![support::skipped("corpus", format!("there is no {}", manifest.display()))];
    };
    match rows(&text, &root) {
        Ok(rows) => {
            let mut trials: Vec<Trial> = rows.into_iter().flat_map(|row| row_trials(row, &root)).collect();
            if let Err(why) = never_executable() {
                trials.push(support::skipped("corpus::never_executable", why));
            }
            trials
        }
        Err(why) => vec![Trial::test("corpus", move || Err(why.into()))],
    }
}

/// The program that lets no other make memory executable, built by the system's C compiler.
fn never_executable() -> Result<&'static Path, String> {
    static PROGRAM: OnceLock<Result<(tempfile::TempDir, PathBuf), String>> = OnceLock::new();
    let built = PROGRAM.get_or_init(|| {
        const SIGSYS: i32 = 31;
        if !cfg!(target_os = "linux") {
            return Err("this system has no seccomp filters".to_owned());
        }
        let cc = support::find_program("cc").ok_or("there is no cc")?;
        let folder = support::scratch();
        let program = folder.path().join("never_executable");
        let source = support::repository().join("tests/run/guests/never_executable.c");
        let message = |failed: Failed| failed.message().unwrap_or("cc failed").to_owned();
        let outcome = support::run(Command::new(cc).arg(source).arg("-o").arg(&program), b"").map_err(message)?;
        if !outcome.status.success() {
            return Err(format!("cc failed: {}", outcome.stderr()));
        }
        let broken = support::run(Command::new(&program).arg("--break"), b"").map_err(message)?;
        if support::signal(broken.status) != Some(SIGSYS) {
            return Err(format!("seccomp filters do not work here: {}", broken.status));
        }
        Ok((folder, program))
    });
    built.as_ref().map(|(_, program)| program.as_path()).map_err(Clone::clone)
}

/// Programs that between them import most of what there is, with all walls up.
const HARDENED: &[&str] =
    &["sqlite3", "lua", "zstd", "threads", "cxx-eh", "mem64", "jaq", "oxipng", "gobench", "zigbench"];

fn row_trials(row: Row, root: &Path) -> Vec<Trial> {
    let (row, data) = (Arc::new(row), root.join("d"));
    if let Some(feature) = row.unsupported {
        return vec![Trial::test(format!("corpus::{}::unsupported", row.name), move || row.must_be_refused(feature))];
    }
    let trial = |size: &'static str, run: fn(&Row) -> &Run| {
        let (row, data) = (Arc::clone(&row), data.clone());
        Trial::test(format!("corpus::{}::{size}", row.name), move || row.check(run(&row), &data))
    };
    let mut trials = vec![trial("small", |row| &row.small)];
    if ON_PORTABLE.contains(&row.name.as_str()) {
        let (row, data) = (Arc::clone(&row), data.clone());
        let name = format!("corpus::{}", row.name);
        trials.push(place::trial(Place::Portable, name, move || row.check_anew(&data)));
    }
    for system in [System::LinuxAarch64, System::Windows] {
        let (row, data) = (Arc::clone(&row), data.clone());
        let name = format!("corpus::{}", row.name);
        trials.push(place::trial(Place::Foreign(system), name, move || row.check_anew(&data)));
    }
    // Nothing here runs these.
    for system in [System::Mac, System::MacAarch64, System::WindowsAarch64] {
        let name = format!("corpus::{}::{}", row.name, system.name());
        trials.push(foreign::link(name, system, row.wasm.clone(), row.options.clone()));
    }
    if cfg!(target_os = "linux") && HARDENED.contains(&row.name.as_str()) {
        let (row, data) = (Arc::clone(&row), data.clone());
        let name = format!("corpus::{}::hardened", row.name);
        trials.push(Trial::test(name, move || row.hardened()?.check(&row.small, &data)));
    }
    if support::switch("WASMELT_CORPUS_FULL") {
        trials.push(trial("full", |row| &row.full));
    }
    trials
}

impl Row {
    fn check(&self, run: &Run, data: &Path) -> Result<(), Failed> {
        self.compare(&self.executable()?, run, data)
    }

    /// Compiles the program for the place of the test, and runs it with the small arguments.
    fn check_anew(&self, data: &Path) -> Result<(), Failed> {
        let folder = support::scratch();
        let executable = folder.path().join("program");
        support::compile(&self.wasm, &executable, &self.options)?;
        self.compare(&executable, &self.small, data)
    }

    fn compare(&self, executable: &Path, run: &Run, data: &Path) -> Result<(), Failed> {
        let scratch = support::scratch();
        // Programs write into `d/`: each run has its own.
        support::copy_folder(data, &scratch.path().join("d"))?;
        let stdin = match &run.stdin {
            Some(name) => fs::read(scratch.path().join(name))?,
            None => Vec::new(),
        };
        // Whatever a program does, it never needs executable memory.
        let mut command = match never_executable() {
            // The loader of a C library maps code, and an emulator makes it.
            Ok(launcher) if place::chosen() == Place::Here => {
                let mut command = Command::new(launcher);
                command.arg(executable).env_clear();
                command
            }
            _ => place::program(executable)?,
        };
        command.args(&run.args).current_dir(scratch.path());
        let outcome = support::run(&mut command, &stdin)?;
        if outcome.code() != self.exit_code {
            // Outputs can be megabytes long: only the errors are shown.
            let (code, expected, stderr) = (outcome.code(), self.exit_code, outcome.stderr());
            return Err(format!("exit code {code}, expected {expected}\n{stderr}").into());
        }
        let found = hex(&Sha256::digest(&outcome.stdout));
        match &run.sha256 {
            Some(expected) if *expected != found => {
                let len = outcome.stdout.len();
                Err(format!("output has SHA-256 {found}, expected {expected}; {len} bytes").into())
            }
            _ => Ok(()),
        }
    }

    /// The same row, compiled with `--harden`.
    fn hardened(&self) -> Result<Self, Failed> {
        Ok(Self {
            name: self.name.clone(),
            wasm: self.wasm.clone(),
            options: self.options.iter().cloned().chain(["--harden".to_owned()]).collect(),
            exit_code: self.exit_code,
            unsupported: None,
            small: self.small.clone(),
            full: self.full.clone(),
            executable: Mutex::new(None),
            folder: support::scratch(),
        })
    }

    fn must_be_refused(&self, feature: &str) -> Result<(), Failed> {
        let output = self.folder.path().join("out");
        let outcome = support::run(support::wasmelt().arg("compile").arg(&self.wasm).arg("-o").arg(&output), b"")?;
        if output.exists() {
            return Err("an output was written".into());
        }
        outcome.expect_code(1)?.expect_stderr(&format!("`{feature}`"))?;
        Ok(())
    }

    fn executable(&self) -> Result<PathBuf, Failed> {
        let mut slot = self.executable.lock().map_err(|_| "another run of this row panicked")?;
        let result = slot.get_or_insert_with(|| {
            let executable = self.folder.path().join(&self.name);
            match support::compile(&self.wasm, &executable, &self.options) {
                Ok(()) => Ok(executable),
                Err(failed) => Err(failed.message().unwrap_or("compilation failed").to_owned()),
            }
        });
        Ok(result.clone()?)
    }
}

fn rows(text: &str, root: &Path) -> Result<Vec<Row>, String> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().ok_or("the manifest is empty")?.split('\t').collect();
    lines.map(|line| row(&header, line, root).map_err(|why| format!("manifest, `{line}`: {why}"))).collect()
}

fn row(header: &[&str], line: &str, root: &Path) -> Result<Row, String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let get = |name: &str| -> Result<&str, String> {
        let column = header.iter().position(|&h| h == name).ok_or(format!("there is no column `{name}`"))?;
        let field = fields.get(column).ok_or(format!("column `{name}` is missing"))?;
        Ok(if *field == "-" { "" } else { field })
    };
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let run = |args: &str, stdin: &str, sha256: &str| -> Result<Run, String> {
        Ok(Run { args: support::shell_words(get(args)?)?, stdin: some(get(stdin)?), sha256: some(get(sha256)?) })
    };
    let features: Vec<&str> = get("features")?.split(',').collect();
    let grants = get("dirs")?.split_whitespace().map(|dir| ("--dir", dir));
    let switched_off = FEATURES.iter().filter(|f| f.supported && !f.default_on && features.contains(&f.name));
    let options = grants.chain(switched_off.map(|f| ("-W", f.name)));
    let options = options.flat_map(|(option, value)| [option.to_owned(), value.to_owned()]).collect();
    Ok(Row {
        name: get("name")?.to_owned(),
        wasm: root.join(get("path")?),
        options,
        exit_code: get("exit")?.parse().map_err(|_| "column `exit` is not a number".to_owned())?,
        unsupported: unsupported(&features),
        small: run("argv_small", "stdin_small", "sha256_small")?,
        full: run("argv", "stdin", "sha256_bench")?,
        executable: Mutex::new(None),
        folder: support::scratch(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
