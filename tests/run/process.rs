//! Executables and what the system gives them or refuses: arguments, environment, streams that are closed, memory
//! that is not to be had, large modules.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::support::place::{self, Place};
use crate::{modules, support};

/// What does not concern the portable runtime: it copies data into memory, and `run` is a command of the compiler.
const NOT_ON_PORTABLE: [&str; 2] = ["large_data_is_mapped", "run_is_a_drop_in"];

pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, support::Test); 15] = [
        ("arguments", arguments),
        ("environment_is_empty_unless_granted", environment_is_empty_unless_granted),
        ("environment_granted", environment_granted),
        ("environment_inherited", environment_inherited),
        ("exit_codes", exit_codes),
        ("abort_is_a_trap", abort_is_a_trap),
        ("clocks_and_random", clocks_and_random),
        ("poll_standard_input", poll_standard_input),
        ("large_input_and_output", large_input_and_output),
        ("standard_streams_closed", standard_streams_closed),
        ("malloc_fails_under_a_limit", malloc_fails_under_a_limit),
        ("little_address_space", little_address_space),
        ("large_data_is_mapped", large_data_is_mapped),
        ("large_frames_hit_the_guard", large_frames_hit_the_guard),
        ("run_is_a_drop_in", run_is_a_drop_in),
    ];
    let mut trials = Vec::new();
    for (name, test) in tests {
        trials.push(Trial::test(format!("process::{name}"), test));
        if !NOT_ON_PORTABLE.contains(&name) {
            trials.push(place::trial(Place::Portable, format!("process::{name}"), test));
        }
    }
    trials
}

/// The guest that does what its arguments say.
pub(crate) fn probe() -> PathBuf {
    support::repository().join("tests/run/guests/probe.wasm")
}

/// An executable of the probe, in a folder of its own.
pub(crate) struct Probe {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) executable: PathBuf,
}

impl Probe {
    pub(crate) fn compile(options: &[&str]) -> Result<Self, Failed> {
        let folder = support::scratch();
        let executable = folder.path().join("probe");
        support::compile(&probe(), &executable, options)?;
        Ok(Self { folder, executable })
    }

    /// A command that runs it in its folder with an empty environment.
    pub(crate) fn command(&self, args: &[&str]) -> Result<Command, Failed> {
        let mut command = place::program(&self.executable)?;
        command.args(args).current_dir(self.folder.path());
        Ok(command)
    }

    pub(crate) fn run(&self, args: &[&str]) -> Result<support::Outcome, Failed> {
        support::run(&mut self.command(args)?, b"")
    }
}

/// Compiles a module that a test made.
fn compile_bytes(wasm: &[u8], folder: &Path, options: &[&str]) -> Result<PathBuf, Failed> {
    let (module, executable) = (folder.join("module.wasm"), folder.join("module"));
    fs::write(&module, wasm)?;
    support::compile(&module, &executable, options)?;
    Ok(executable)
}

fn arguments() -> Result<(), Failed> {
    let probe = Probe::compile(&[])?;
    let expected = format!("{}\nargs\n\n two words \n-x\nü\n", probe.executable.display());
    probe.run(&["args", "", " two words ", "-x", "ü"])?.expect_code(0)?.expect_stdout(expected)?;
    let probe = Probe::compile(&["--arg0", "other name"])?;
    probe.run(&["args"])?.expect_code(0)?.expect_stdout("other name\nargs\n")?;
    Ok(())
}

fn environment_is_empty_unless_granted() -> Result<(), Failed> {
    let probe = Probe::compile(&[])?;
    let mut command = probe.command(&["env"])?;
    support::run(command.env("SECRET", "1"), b"")?.expect_code(0)?.expect_stdout("")?;
    Ok(())
}

fn environment_granted() -> Result<(), Failed> {
    let probe = Probe::compile(&["--env", "FIXED=a=b", "--env", "FROM_HOST", "--env", "ABSENT", "--env=EMPTY="])?;
    let mut command = probe.command(&["env"])?;
    let outcome = support::run(command.envs([("SECRET", "1"), ("FROM_HOST", "yes"), ("FIXED", "no")]), b"")?;
    let outcome = outcome.expect_code(0)?;
    let mut lines: Vec<String> = outcome.stdout().lines().map(ToOwned::to_owned).collect();
    lines.sort();
    if lines != ["EMPTY=", "FIXED=a=b", "FROM_HOST=yes"] {
        return Err(format!("the environment is {lines:?}").into());
    }
    Ok(())
}

fn environment_inherited() -> Result<(), Failed> {
    let probe = Probe::compile(&["--inherit-env", "--env", "B=ours"])?;
    let mut command = probe.command(&["env"])?;
    let outcome = support::run(command.envs([("A", "1"), ("B", "theirs")]), b"")?.expect_code(0)?;
    let mut lines: Vec<String> = outcome.stdout().lines().map(ToOwned::to_owned).collect();
    lines.sort();
    if lines != ["A=1", "B=ours"] {
        return Err(format!("the environment is {lines:?}").into());
    }
    Ok(())
}

fn exit_codes() -> Result<(), Failed> {
    let probe = Probe::compile(&[])?;
    for code in [0, 1, 42, 255] {
        probe.run(&["exit", &code.to_string()])?.expect_code(code)?;
    }
    Ok(())
}

fn abort_is_a_trap() -> Result<(), Failed> {
    let outcome = Probe::compile(&[])?.run(&["abort"])?.expect_code(134)?;
    outcome.expect_stderr("wasm trap: unreachable")?.expect_stderr("abort")?.expect_stderr("_start")?;
    Ok(())
}

fn clocks_and_random() -> Result<(), Failed> {
    let probe = Probe::compile(&[])?;
    probe.run(&["sleep", "30"])?.expect_code(0)?.expect_stdout("slept\n")?;
    probe.run(&["year"])?.expect_code(0)?.expect_stdout("after 2023\n")?;
    probe.run(&["random"])?.expect_code(0)?.expect_stdout("random\n")?;
    Ok(())
}

fn poll_standard_input() -> Result<(), Failed> {
    let probe = Probe::compile(&[])?;
    support::run(&mut probe.command(&["poll", "2000"])?, b"x")?.expect_code(0)?.expect_stdout("ready\n")?;
    // Here nothing comes, and the pipe stays open meanwhile.
    let mut child = probe
        .command(&["poll", "50"])?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()?;
    let keep_open = child.stdin.take();
    let output = child.wait_with_output()?;
    drop(keep_open);
    if output.stdout != b"time is up\n" {
        return Err(format!("poll: {:?}", String::from_utf8_lossy(&output.stdout)).into());
    }
    Ok(())
}

fn large_input_and_output() -> Result<(), Failed> {
    let bytes = modules::pattern(3_000_001);
    let outcome = support::run(&mut Probe::compile(&[])?.command(&["copy"])?, &bytes)?.expect_code(0)?;
    if outcome.stdout != bytes {
        return Err(format!("{} bytes came back of {}", outcome.stdout.len(), bytes.len()).into());
    }
    Ok(())
}

fn standard_streams_closed() -> Result<(), Failed> {
    let probe = Probe::compile(&[])?;
    let shell = |redirections: &str, op: &str| {
        let line = format!("exec ./probe {op} {redirections}");
        support::run(Command::new("/bin/sh").args(["-c", &line]).current_dir(probe.folder.path()), b"unread")
    };
    shell("<&-", "args")?.expect_code(0)?.expect_stdout("./probe\nargs\n")?;
    shell("<&-", "copy")?.expect_code(1)?.expect_stderr("read: ")?;
    shell(">&-", "copy")?.expect_code(1)?.expect_stderr("write: ")?;
    // Nobody can hear the trap, and it stays one.
    shell("<&- >&- 2>&-", "abort")?.expect_code(134)?;
    Ok(())
}

fn malloc_fails_under_a_limit() -> Result<(), Failed> {
    let probe = Probe::compile(&["--max-memory", "64M"])?;
    probe.run(&["grow"])?.expect_code(0)?.expect_stdout("malloc failed\n")?;
    Ok(())
}

/// With little address space, a program that reserves 4 GiB says so, and one that checks its accesses runs.
fn little_address_space() -> Result<(), Failed> {
    let limited = |probe: &Probe, op: &str| {
        let line = format!("ulimit -v 262144 && exec ./probe {op}");
        support::run(Command::new("/bin/sh").args(["-c", &line]).current_dir(probe.folder.path()), b"")
    };
    let guarded = Probe::compile(&["--bounds-checks", "guard"])?;
    limited(&guarded, "args")?.expect_code(69)?.expect_stderr("address space")?;
    let explicit = Probe::compile(&["--bounds-checks", "explicit", "--max-memory", "64M"])?;
    limited(&explicit, "args")?.expect_code(0)?.expect_stdout("./probe\nargs\n")?;
    let small = Probe::compile(&["--memory-reserve", "128M"])?;
    limited(&small, "args")?.expect_code(0)?.expect_stdout("./probe\nargs\n")?;
    limited(&small, "grow")?.expect_code(0)?.expect_stdout("malloc failed\n")?;
    limited(&explicit, "grow")?.expect_code(0)?.expect_stdout("malloc failed\n")?;
    Ok(())
}

/// A segment of 20 MB is neither read nor copied at the start, and the file stays what it is when the guest writes.
fn large_data_is_mapped() -> Result<(), Failed> {
    const RESIDENT_LIMIT_KIB: u64 = 2048;
    let bytes = modules::pattern(20_000_000);
    for address in [65536, 1000] {
        let folder = support::scratch();
        let executable = compile_bytes(&modules::large_data(address, &bytes), folder.path(), &[])?;
        let mut changed = bytes.clone();
        changed[10_000_000] += 1;
        let expected = [&changed[10_000_000..][..16], &changed[..16], &changed[bytes.len() - 16..]].concat();
        for _ in 0..2 {
            let mut child = Command::new(&executable).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let mut stdout = child.stdout.take().ok_or("no pipe")?;
            let mut first = [0; 16];
            // When these have come, the guest is running and waits for its input.
            stdout.read_exact(&mut first)?;
            let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
            drop(child.stdin.take());
            let mut rest = Vec::new();
            stdout.read_to_end(&mut rest)?;
            if !child.wait()?.success() || [&first[..], &rest].concat() != expected {
                return Err(format!("data at {address}: the guest sees {first:?} and {rest:?}").into());
            }
            let resident = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
            let kib: u64 = resident.trim().trim_end_matches("kB").trim().parse()?;
            if kib > RESIDENT_LIMIT_KIB {
                return Err(format!("data at {address}: {kib} KiB are resident of {} bytes", bytes.len()).into());
            }
        }
    }
    Ok(())
}

/// Frames larger than the stack's guard still end in the trap, at every level of optimisation.
fn large_frames_hit_the_guard() -> Result<(), Failed> {
    for values in [3_000, 12_000] {
        let wasm = modules::endless_recursion_with_large_frames(values);
        for level in ["-O", "-O0"] {
            let folder = support::scratch();
            let executable = compile_bytes(&wasm, folder.path(), &[level])?;
            let outcome = support::run(&mut place::program(&executable)?, b"")?;
            outcome.expect_code(134)?.expect_stderr("wasm trap: call stack exhausted")?;
        }
    }
    Ok(())
}

/// `wasmelt run`, and `wasmelt` without a command, take what `wasmtime run` takes.
fn run_is_a_drop_in() -> Result<(), Failed> {
    let folder = support::scratch();
    fs::write(folder.path().join("note.txt"), "text")?;
    fs::copy(probe(), folder.path().join("app.wasm"))?;
    let run = |args: &[&str]| {
        let mut command = support::wasmelt();
        command.args(args).current_dir(folder.path()).env("XDG_CACHE_HOME", folder.path().join("cache"));
        support::run(&mut command, b"")
    };
    let start = Instant::now();
    run(&["run", "--dir", ".", "--env", "A=b", "app.wasm", "cat", "note.txt"])?
        .expect_code(0)?
        .expect_stdout("text")?;
    let first = start.elapsed();
    let start = Instant::now();
    run(&["run", "--dir", ".", "--env", "A=c", "app.wasm", "env"])?.expect_code(0)?.expect_stdout("A=c\n")?;
    let again = start.elapsed();
    run(&["--dir=.", "app.wasm", "cat", "note.txt"])?.expect_code(0)?.expect_stdout("text")?;
    run(&["app.wasm", "cat", "note.txt"])?.expect_code(1)?;
    run(&["app.wasm", "args", "--dir", "-O"])?.expect_code(0)?.expect_stdout("app.wasm\nargs\n--dir\n-O\n")?;
    run(&["run", "app.wasm", "exit", "9"])?.expect_code(9)?;
    run(&["run", "--no-cache", "app.wasm", "abort"])?.expect_code(134)?.expect_stderr("wasm trap: unreachable")?;
    let mut command = support::wasmelt();
    command.args(["run", "-", "args"]).env("XDG_CACHE_HOME", folder.path().join("cache"));
    support::run(&mut command, &fs::read(probe())?)?.expect_code(0)?;
    if again > first.max(Duration::from_millis(200)) {
        return Err(format!("the cache does not help: {first:?} at first, then {again:?}").into());
    }
    // What the cache holds is whole: a damaged entry is not executed.
    let mut entries = vec![folder.path().join("cache")];
    while let Some(path) = entries.pop() {
        if path.is_dir() {
            entries.extend(fs::read_dir(path)?.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?);
        } else if let Ok(mut file) = fs::OpenOptions::new().write(true).truncate(true).open(&path) {
            file.write_all(b"damaged")?;
        }
    }
    run(&["--dir=.", "app.wasm", "cat", "note.txt"])?.expect_code(0)?.expect_stdout("text")?;
    Ok(())
}
