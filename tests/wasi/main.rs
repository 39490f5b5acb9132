//! WASI preview 1, call by call, and the functions of WASI 0.2: scripts of raw calls run as an executable, and what they return is compared with what
//! wasmtime returned for the same script.
//!
//! `probes/NAME.txt` is a script for `guests/probe.rs`, with lines before it that say what to run it on:
//!
//! ```text
//! #! options: --dir box::/box      for wasmelt and wasmtime alike
//! #! file PATH TEXT                a file; also `dir PATH`, `link PATH TARGET`, `many FOLDER COUNT`
//! #! differs: CALL -> ERRNO        where this very call returns ERRNO here although wasmtime has another result
//! !ERRNO CALL                      a call that wasmtime ends the program for, and the error that it has here
//! ```
//!
//! `probes/NAME.expected` is wasmtime's transcript. With `WASMELT_WASMTIME=PROGRAM` (wasmtime 48) the transcripts are
//! made anew and compared; with `BLESS=1` besides they are written.

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod embedded;
mod interfaces;
mod lookups;
mod sockets;
mod walls;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;

use libtest_mimic::{Failed, Trial};
use wasmelt_abi::host::WASI_P1;

use support::foreign::System;
use support::place::{self, Place};

/// What is printed at the end.
static SEEN: Mutex<Summary> =
    Mutex::new(Summary { functions: BTreeSet::new(), calls: 0, differences: 0, only_ours: 0 });

#[derive(Debug)]
struct Summary {
    functions: BTreeSet<String>,
    calls: usize,
    differences: usize,
    only_ours: usize,
}

fn main() -> ExitCode {
    let args = libtest_mimic::Arguments::from_args();
    let folder = support::repository().join("tests/wasi/probes");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".txt").map(ToOwned::to_owned))
        .collect();
    names.sort();
    let mut trials = Vec::new();
    for name in &names {
        let probe = name.clone();
        trials.push(Trial::test(format!("probe::{name}"), move || Probe::read(&probe)?.check()));
        let probe = name.clone();
        let without = format!("probe::{name}::without_openat2");
        trials.push(match support::kernel::without_openat2() {
            Ok(_) => Trial::test(without, move || Probe::read(&probe)?.check_without_openat2()),
            Err(why) => support::skipped(without, why),
        });
        let probe = name.clone();
        trials.push(Trial::test(format!("probe::{name}::embedded"), move || Probe::read(&probe)?.check_embedded()));
        let probe = name.clone();
        let trial = format!("probe::{name}");
        trials.push(place::trial(Place::Portable, &trial, move || Probe::read(&probe)?.check_portable()));
        let probe = name.clone();
        let on_aarch64 = Place::Foreign(System::LinuxAarch64);
        trials.push(place::trial(on_aarch64, &trial, move || Probe::read(&probe)?.check_foreign(AARCH64_DIFFERS)));
        if let Some((_, differs)) = ON_WINDOWS.iter().find(|(probe, _)| probe == name) {
            let (probe, on_windows) = (name.clone(), Place::Foreign(System::Windows));
            trials.push(place::trial(on_windows, &trial, move || Probe::read(&probe)?.check_foreign(differs)));
        }
    }
    let all = args.filter.is_none() && !args.list;
    trials.extend(attacks::trials());
    trials.extend(interfaces::trials());
    trials.extend(lookups::trials());
    trials.extend(sockets::trials());
    trials.extend(walls::trials());
    trials.push(Trial::test("every_function_has_a_probe", every_function_has_a_probe));
    let conclusion = support::skips::run(&args, trials);
    if all {
        let seen = SEEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        println!(
            "\nWASI preview 1: {} of {} functions; {} calls compared with wasmtime, {} of them differ by intent; {} calls \
             for which wasmtime ends the program; {} attacks\n",
            seen.functions.len() + NOT_IN_SCRIPTS.len(),
            WASI_P1.len(),
            seen.calls,
            seen.differences,
            seen.only_ours,
            attacks::count()
        );
    }
    conclusion.exit_code()
}

/// Functions that end the program, which scripts cannot show; `tests/run` does.
const NOT_IN_SCRIPTS: &[&str] = &["proc_exit"];

fn every_function_has_a_probe() -> Result<(), Failed> {
    let folder = support::repository().join("tests/wasi/probes");
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            found.extend(fs::read_to_string(path)?.lines().filter_map(function_of).map(str::to_owned));
        }
    }
    let missing: Vec<_> = WASI_P1
        .iter()
        .map(|f| f.name)
        .filter(|name| !found.contains(*name) && !NOT_IN_SCRIPTS.contains(name))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("no probe calls {missing:?}").into()) }
}

/// The function that a line of a script or transcript calls.
fn function_of(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    match words.next()? {
        "repeat" => words.nth(1),
        word if word.starts_with('#') => None,
        word if word.starts_with('!') => words.next(),
        word => Some(word),
    }
}

/// A script and what belongs to it.
struct Probe {
    name: String,
    script: String,
    options: Vec<String>,
    /// Calls with the error number that is ours where wasmtime's result is another, as in the transcript.
    differs: Vec<String>,
}

impl Probe {
    fn file(&self, extension: &str) -> PathBuf {
        support::repository().join(format!("tests/wasi/probes/{}.{extension}", self.name))
    }

    fn read(name: &str) -> Result<Self, Failed> {
        let mut probe = Self { name: name.to_owned(), script: String::new(), options: Vec::new(), differs: Vec::new() };
        probe.script = fs::read_to_string(probe.file("txt"))?;
        for line in probe.script.lines().filter_map(|line| line.strip_prefix("#! ")) {
            if let Some(options) = line.strip_prefix("options: ") {
                probe.options = support::shell_words(options)?;
            } else if let Some(rule) = line.strip_prefix("differs: ") {
                if !rule.contains(" -> ") {
                    return Err(format!("`differs: {rule}` needs a call and an error").into());
                }
                probe.differs.push(rule.to_owned());
            }
        }
        Ok(probe)
    }

    /// A folder with what the script wants to find.
    fn prepare(&self) -> Result<tempfile::TempDir, Failed> {
        let folder = support::scratch();
        for line in self.script.lines().filter_map(|line| line.strip_prefix("#! ")) {
            let mut words = line.splitn(3, ' ');
            let (kind, path, rest) =
                (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next().unwrap_or(""));
            let path = folder.path().join(path);
            if let Some(parent) = path.parent().filter(|_| !kind.ends_with(':')) {
                fs::create_dir_all(parent)?;
            }
            match kind {
                "file" => fs::write(path, rest)?,
                "dir" => fs::create_dir_all(path)?,
                "link" => std::os::unix::fs::symlink(rest, path)?,
                "many" => {
                    fs::create_dir(&path)?;
                    for index in 0..rest.parse::<u32>()? {
                        fs::write(path.join(format!("entry-{index:04}")), "")?;
                    }
                }
                "options:" | "differs:" => {}
                _ => return Err(format!("`#! {line}`: there is no `{kind}`").into()),
            }
        }
        Ok(folder)
    }

    fn run(&self, mut command: Command, script: &str) -> Result<String, Failed> {
        let folder = self.prepare()?;
        let outcome = support::run(command.current_dir(folder.path()), script.as_bytes())?;
        Ok(outcome.expect_code(0)?.stdout())
    }

    /// The calls that only we make, with the errors that they are to have.
    fn only_ours(&self) -> impl Iterator<Item = (&str, &str)> {
        self.script.lines().filter_map(|line| line.strip_prefix('!')?.split_once(' '))
    }

    /// The script as we run it.
    fn our_script(&self) -> String {
        let line = |line| match <str>::strip_prefix(line, '!').and_then(|line| line.split_once(' ')) {
            Some((_, call)) => call,
            None => line,
        };
        self.script.lines().map(|text| line(text).to_owned() + "\n").collect()
    }

    /// Ours.
    fn transcript(&self) -> Result<String, Failed> {
        let folder = support::scratch();
        let executable = folder.path().join("probe");
        support::compile(&guest(), &executable, &self.options)?;
        self.run(place::program(&executable)?, &self.our_script())
    }

    /// Wasmtime's, by the program or as it was written down.
    fn expected(&self) -> Result<String, Failed> {
        let Some(program) = std::env::var_os("WASMELT_WASMTIME") else {
            return Ok(fs::read_to_string(self.file("expected"))?);
        };
        let mut command = Command::new(program);
        command.arg("run").args(&self.options).arg(guest()).env_clear();
        let script: String =
            self.script.lines().filter(|line| !line.starts_with('!')).map(|line| line.to_owned() + "\n").collect();
        let transcript = self.run(command, &script)?;
        if support::switch("BLESS") {
            fs::write(self.file("expected"), &transcript)?;
        } else if transcript != fs::read_to_string(self.file("expected"))? {
            return Err("wasmtime does not say any more what is written down".into());
        }
        Ok(transcript)
    }

    fn check(&self) -> Result<(), Failed> {
        let differences = self.compare(&self.transcript()?, &self.differs)?;
        let mut seen = SEEN.lock().map_err(|_| "another probe panicked")?;
        seen.functions.extend(self.script.lines().filter_map(function_of).map(str::to_owned));
        let only_ours = self.only_ours().count();
        seen.calls += self.script.lines().filter_map(function_of).count() - only_ours;
        seen.only_ours += only_ours;
        seen.differences += differences;
        Ok(())
    }

    fn check_without_openat2(&self) -> Result<(), Failed> {
        let folder = support::scratch();
        let executable = folder.path().join("probe");
        support::compile(&guest(), &executable, &self.options)?;
        let mut command = Command::new(support::kernel::without_openat2()?);
        command.arg(executable).env_clear();
        self.compare(&self.run(command, &self.our_script())?, &self.differs).map(drop)
    }

    fn check_embedded(&self) -> Result<(), Failed> {
        let mut differs = self.differs.clone();
        differs.extend(EMBEDDED_DIFFERS.iter().map(|rule| (*rule).to_owned()));
        let folder = self.prepare()?;
        let transcript = embedded::run(&self.options, folder.path(), &self.our_script())?;
        self.compare(&transcript, &differs).map(drop)
    }

    fn check_portable(&self) -> Result<(), Failed> {
        let mut differs = self.differs.clone();
        differs.extend(PORTABLE_DIFFERS.iter().map(|rule| (*rule).to_owned()));
        self.compare(&self.transcript()?, &differs).map(drop)
    }

    fn check_foreign(&self, differs: &[&str]) -> Result<(), Failed> {
        let differs: Vec<String> =
            self.differs.iter().cloned().chain(differs.iter().map(ToString::to_string)).collect();
        self.compare(&self.transcript()?, &differs).map(drop)
    }

    /// Compares line by line; how many lines differ as they may.
    fn compare(&self, found: &str, differs: &[String]) -> Result<usize, Failed> {
        let expected = self.expected()?;
        let mut found = found.to_owned();
        for (errno, call) in self.only_ours() {
            let line = format!("{call} -> {errno}\n");
            let at = found.find(&line).ok_or_else(|| format!("`{call}` should be {errno}\n{found}"))?;
            found.replace_range(at..at + line.len(), "");
        }
        if found.lines().count() != expected.lines().count() {
            return Err(
                format!("{} lines, wasmtime has {}\n{found}", found.lines().count(), expected.lines().count()).into()
            );
        }
        let mut wrong = String::new();
        let mut differences = 0;
        for (ours, theirs) in found.lines().zip(expected.lines()).filter(|(ours, theirs)| ours != theirs) {
            // The line without the items behind the error.
            let is_allowed = |rule: &String| {
                ours.strip_prefix(rule.as_str()).is_some_and(|items| items.is_empty() || items.starts_with(' '))
            };
            if differs.iter().any(is_allowed) {
                differences += 1;
            } else {
                wrong += &format!("ours:     {ours}\nwasmtime: {theirs}\n");
            }
        }
        if wrong.is_empty() { Ok(differences) } else { Err(wrong.into()) }
    }
}

/// Where the portable back end may differ besides.
const PORTABLE_DIFFERS: &[&str] = &[];

/// Where guests of host programs may differ.
const EMBEDDED_DIFFERS: &[&str] = &[];

/// Where programs on aarch64 may differ, which run in an emulator: it does not pass a write of nothing on.
const AARCH64_DIFFERS: &[&str] = &["fd_write $c ciov:\"\" @0 -> SUCCESS"];

/// Probes that mean the same on Windows, and where that differs. The others are about symbolic links, which Wine follows by
/// itself, or rename what is open, which Windows does not do.
const ON_WINDOWS: &[(&str, &[&str])] = &[
    ("clocks", &[]),
    (
        // Directories have one link each.
        "descriptors",
        &["fd_filestat_get $d @0 -> SUCCESS type=3 links=1", "fd_filestat_get 3 @0 -> SUCCESS type=3 links=1"],
    ),
    (
        // The system below Wine notes each access.
        "files",
        &[
            "fd_filestat_get $f @0 -> SUCCESS type=4 links=1 size=8 atim=now mtim=2000000000",
            "path_filestat_get 3 1 \"sub\" @0 -> SUCCESS type=3 links=1 size=0 atim=7000000000 mtim=8000000000",
        ],
    ),
    ("others", &[]),
    ("pointers", &[]),
    // One of the entries is a link.
    ("readdir", &["fd_readdir $s buf:4096 0 @0 -> SUCCESS n=151 ..:3 .:3 a:4 b:4 c:3 d:4"]),
];

fn guest() -> PathBuf {
    Path::new(support::repository()).join("tests/wasi/guests/probe.wasm")
}
