//! Threads of guests, as the system sees them: what they leave behind, what they share, and what is refused.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::support;
use crate::support::place::{self, Place};

pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, support::Test); 5] = [
        ("leave_nothing_behind", leave_nothing_behind),
        ("share_descriptors", share_descriptors),
        ("write_to_the_files_that_they_opened", write_to_the_files_that_they_opened),
        ("are_refused_at_a_limit", are_refused_at_a_limit),
        ("do_not_flake", do_not_flake),
    ];
    let mut trials = Vec::new();
    for (name, test) in tests {
        trials.push(Trial::test(format!("threads::{name}"), test));
        // The C library keeps stacks and heaps of threads for new ones.
        if name != "leave_nothing_behind" {
            trials.push(place::trial(Place::Portable, format!("threads::{name}"), test));
        }
    }
    trials
}

fn compile(guest: &str, folder: &Path, options: &[&str]) -> Result<PathBuf, Failed> {
    let (module, executable) = (support::repository().join("tests/run/guests").join(guest), folder.join("guest"));
    support::compile(&module, &executable, options)?;
    Ok(executable)
}

/// What a process holds, as soon as it has one thread: lines of its map, size of its address space, open files.
fn holdings(child: &Child) -> Result<(usize, String, usize), Failed> {
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let start = Instant::now();
    // The last thread says that it is done before it has ended.
    while fs::read_dir(process.join("task"))?.count() > 1 {
        if start.elapsed() > Duration::from_secs(60) {
            return Err("a thread does not end".into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let maps = fs::read_to_string(process.join("maps"))?.lines().count();
    let status = fs::read_to_string(process.join("status"))?;
    let size = status.lines().find(|line| line.starts_with("VmSize")).unwrap_or_default().to_owned();
    Ok((maps, size, fs::read_dir(process.join("fd"))?.count()))
}

fn leave_nothing_behind() -> Result<(), Failed> {
    let folder = support::scratch();
    let executable = compile("threads-sequence.wat", folder.path(), &[])?;
    let mut child = Command::new(executable).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (mut stdin, mut stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let mut thousand_threads = || {
        stdin.write_all(b"x")?;
        stdout.read_exact(&mut [0])
    };
    thousand_threads()?;
    let before = holdings(&child)?;
    thousand_threads()?;
    let after = holdings(&child)?;
    drop(stdin);
    if !child.wait()?.success() {
        return Err("the program failed".into());
    }
    if before == after { Ok(()) } else { Err(format!("{before:?} before 1,000 threads, {after:?} after").into()) }
}

fn share_descriptors() -> Result<(), Failed> {
    let folder = support::scratch();
    let executable = compile("threads-files.wat", folder.path(), &["--dir", "data"])?;
    let files = folder.path().join("data");
    fs::create_dir(&files)?;
    let mut command = Command::new(executable);
    let mut child = command.current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut lines = vec![0; "a line\n".len() * (4 * 800 / 16 + 1)];
    child.stdout.take().expect("piped").read_exact(&mut lines)?;
    let (_, _, open) = holdings(&child)?;
    drop(child.stdin.take());
    if !child.wait()?.success() || lines != "a line\n".repeat(4 * 800 / 16 + 1).as_bytes() {
        return Err("the program failed".into());
    }
    // Standard streams, the directory, the last file; and four numbers that the first thread may have used last.
    if open > 5 + 4 {
        return Err(format!("{open} files are open at the end").into());
    }
    let mut names: Vec<_> = fs::read_dir(files)?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<_>>()?;
    names.sort();
    if names == ["f1", "f2", "f3", "f4"] { Ok(()) } else { Err(format!("the files are {names:?}").into()) }
}

fn write_to_the_files_that_they_opened() -> Result<(), Failed> {
    let folder = support::scratch();
    let executable = compile("threads-append.wat", folder.path(), &["--dir", "data"])?;
    let files = folder.path().join("data");
    fs::create_dir(&files)?;
    support::run(Command::new(executable).current_dir(folder.path()), b"")?.expect_code(0)?;
    for digit in 1..=8 {
        if fs::read_to_string(files.join(format!("f{digit}")))? != format!("{digit}\n").repeat(1000) {
            return Err(format!("the file f{digit} does not hold what its thread wrote").into());
        }
    }
    Ok(())
}

fn are_refused_at_a_limit() -> Result<(), Failed> {
    let folder = support::scratch();
    let executable = compile("threads-limit.wat", folder.path(), &["--bounds-checks", "explicit"])?;
    // 64 MiB of address space.
    let limited = format!("ulimit -v 65536; exec '{}'", executable.display());
    support::run(Command::new("sh").args(["-c", &limited]), b"")?.expect_code(0)?.expect_stdout("refused\n")?;
    Ok(())
}

/// Programs whose threads meet in ever different ways, many times.
fn do_not_flake() -> Result<(), Failed> {
    const RUNS: usize = 40;
    let folder = support::scratch();
    for (case, code) in
        [("add", 0), ("mutex", 0), ("wait", 0), ("grow", 0), ("main-returns", 0), ("exit", 7), ("trap", 134)]
    {
        let module = support::repository().join(format!("tests/run/cases/threads-{case}.wat"));
        let executable = folder.path().join(case);
        support::compile::<[&str; 0], &str>(&module, &executable, [])?;
        for _ in 0..RUNS {
            support::run(&mut Command::new(&executable), b"")?.expect_code(code)?;
        }
    }
    Ok(())
}
