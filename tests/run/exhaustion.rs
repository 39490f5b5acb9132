//! What happens when something runs out or interferes: memory, descriptors, stack, disks, readers of a pipe, patience.
//! The guest gets an error or the program ends with a trap; signals mean what they mean to any program.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::process::Probe;
use crate::support::place::{self, Place};
use crate::support::{self, Outcome};

pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, support::Test); 13] = [
        ("memory", memory),
        ("initial_memory", initial_memory),
        ("descriptors", descriptors),
        ("stack_in_host_functions", stack_in_host_functions),
        ("full_disk", full_disk),
        ("size_of_files", size_of_files),
        ("closed_pipe", closed_pipe),
        ("interrupted_calls", interrupted_calls),
        ("signals_end_the_program", signals_end_the_program),
        ("signals_end_all_threads", signals_end_all_threads),
        ("ignored_signals_stay_ignored", ignored_signals_stay_ignored),
        ("signals_of_faults_end_the_program", signals_of_faults_end_the_program),
        ("blocked_signals_change_nothing", blocked_signals_change_nothing),
    ];
    let mut trials = Vec::new();
    for (name, test) in tests {
        trials.push(Trial::test(format!("exhaustion::{name}"), test));
        // Without descriptors the system's loader cannot open the C library, and says so itself.
        if name != "descriptors" {
            trials.push(place::trial(Place::Portable, format!("exhaustion::{name}"), test));
        }
    }
    trials
}

/// Runs a line of the shell in a folder; `exec` in it makes the program the shell's successor.
fn shell(folder: &Path, line: &str) -> Result<Outcome, Failed> {
    support::run(Command::new("/bin/sh").args(["-c", line]).current_dir(folder).env_clear(), b"")
}

fn compile(guest: &str, folder: &Path, options: &[&str]) -> Result<PathBuf, Failed> {
    let (module, executable) = (support::repository().join("tests/run/guests").join(guest), folder.join("guest"));
    support::compile(&module, &executable, options)?;
    Ok(executable)
}

/// `memory.grow` fails where the system has no more.
fn memory() -> Result<(), Failed> {
    let probe = Probe::compile(&[])?;
    let outcome = shell(probe.folder.path(), "ulimit -d 100000 && exec ./probe grow")?;
    outcome.expect_code(0)?.expect_stdout("malloc failed\n")?;
    Ok(())
}

/// Memory that a program needs from the start is there, or the program says that it cannot start.
fn initial_memory() -> Result<(), Failed> {
    let folder = support::scratch();
    let module = folder.path().join("large.wat");
    fs::write(&module, r#"(module (memory 8192) (func (export "_start")))"#)?;
    support::compile(&module, &folder.path().join("large"), [] as [&str; 0])?;
    shell(folder.path(), "exec ./large")?.expect_code(0)?;
    let outcome = shell(folder.path(), "ulimit -d 100000 && exec ./large")?;
    outcome.expect_code(69)?.expect_stderr("cannot get memory for the program")?;
    Ok(())
}

/// The guest is told when there are no more descriptors, and gets as many again after it has closed them.
fn descriptors() -> Result<(), Failed> {
    const MFILE: i32 = 33;
    let folder = support::scratch();
    fs::write(folder.path().join("file"), "")?;
    compile("open-all.wat", folder.path(), &["--dir", "."])?;
    for limit in ["8", "64", "1024"] {
        let outcome = shell(folder.path(), &format!("ulimit -n {limit} && exec ./guest"))?;
        outcome.expect_code(MFILE)?.expect_stdout("")?;
    }
    // Where even the granted directory has no place, the program says so.
    let outcome = shell(folder.path(), "ulimit -n 3 && exec ./guest")?;
    outcome.expect_code(69)?.expect_stderr("cannot open granted directory '.': too many open files")?;
    Ok(())
}

/// A host function that does not find the stack that it needs is a trap of the guest; never a bug of the runtime, and
/// nothing in between.
fn stack_in_host_functions() -> Result<(), Failed> {
    let folder = support::scratch();
    fs::create_dir(folder.path().join("sub"))?;
    fs::write(folder.path().join("file"), "")?;
    let executable = compile("deep-call.wat", folder.path(), &["--dir", ".", "--stack-size", "64K"])?;
    let run = |depth: u32, letter: &str| {
        let mut command = Command::new(&executable);
        command.args([&depth.to_string(), letter]).current_dir(folder.path()).env_clear();
        support::run(&mut command, b"")
    };
    let works = |depth: u32, letter: &str| -> Result<bool, Failed> {
        let outcome = run(depth, letter)?;
        match outcome.code() {
            0 => Ok(true),
            134 => outcome.expect_stderr("wasm trap: call stack exhausted").map(|_| false),
            code => Err(format!("{letter} at depth {depth} ends with {code}{}", outcome.shown()).into()),
        }
    };
    // The depth that is just possible without a host function.
    let (mut possible, mut impossible) = (0_u32, 1 << 16);
    while possible + 1 < impossible {
        let middle = possible.midpoint(impossible);
        *(if works(middle, "-")? { &mut possible } else { &mut impossible }) = middle;
    }
    for letter in ["a", "e", "w", "d", "s", "o", "r", "l", "p", "g"] {
        if !works(0, letter)? {
            return Err(format!("{letter} does not work with 64 KiB of stack").into());
        }
        let mut outcomes = [0, 0];
        for step in 0..60 {
            let depth = possible - (u64::from(possible) * step / 60) as u32;
            outcomes[usize::from(works(depth, letter)?)] += 1;
        }
        // The last bytes one by one: a frame is a few of them.
        for depth in possible.saturating_sub(24)..possible {
            works(depth, letter)?;
        }
        if outcomes[1] == 0 {
            return Err(format!("{letter} never works: {outcomes:?}").into());
        }
    }
    Ok(())
}

fn full_disk() -> Result<(), Failed> {
    let probe = Probe::compile(&[])?;
    fs::write(probe.folder.path().join("input"), "text")?;
    let outcome = shell(probe.folder.path(), "exec ./probe copy < input > /dev/full")?;
    outcome.expect_code(1)?.expect_stderr("write: No space left on device")?;
    Ok(())
}

/// A limit on the size of files is an error for the guest, not the end of it.
fn size_of_files() -> Result<(), Failed> {
    let probe = Probe::compile(&[])?;
    let outcome = shell(probe.folder.path(), "ulimit -f 100 && exec ./probe spam > output")?;
    outcome.expect_code(1)?.expect_stderr("write: File too large")?;
    Ok(())
}

/// Whoever starts the program has it with the default action of `SIGPIPE`: the guest is told all the same.
fn closed_pipe() -> Result<(), Failed> {
    let probe = Probe::compile(&[])?;
    let mut child =
        probe.command(&["spam"])?.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdout.take().ok_or("no pipe")?.read_exact(&mut [0; 1000])?;
    let output = child.wait_with_output()?;
    let outcome = Outcome { status: output.status, stdout: output.stdout, stderr: output.stderr };
    outcome.expect_code(1)?.expect_stderr("write: Broken pipe")?;
    Ok(())
}

/// Sends a signal by its name.
fn signal(child: &Child, name: &str) -> Result<(), Failed> {
    let line = format!("kill -{name} {}", child.id());
    let sent = Command::new("/bin/sh").args(["-c", &line]).status()?;
    if sent.success() { Ok(()) } else { Err(format!("`{line}` fails").into()) }
}

/// Waits, with a limit.
fn wait(child: &mut Child) -> Result<ExitStatus, Failed> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > Duration::from_secs(60) {
            child.kill()?;
            return Err("the program does not end".into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A process that is stopped and continued notices nothing: no error, no sleep that is too short.
fn interrupted_calls() -> Result<(), Failed> {
    let probe = Probe::compile(&[])?;
    let disturb = |child: &Child| -> Result<(), Failed> {
        for _ in 0..5 {
            std::thread::sleep(Duration::from_millis(20));
            for name in ["WINCH", "STOP", "CONT", "URG"] {
                signal(child, name)?;
            }
        }
        Ok(())
    };
    for (args, expected) in [(["sleep", "400"], "slept\n"), (["poll", "400"], "time is up\n"), (["copy", ""], "late\n")]
    {
        let mut child =
            probe.command(&args)?.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn()?;
        disturb(&child)?;
        let mut stdin = child.stdin.take().ok_or("no pipe")?;
        if args[0] == "copy" {
            stdin.write_all(b"late\n")?;
            drop(stdin);
        } else {
            wait(&mut child)?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() || output.stdout != expected.as_bytes() {
            return Err(format!("{args:?}: {}, {:?}", output.status, String::from_utf8_lossy(&output.stdout)).into());
        }
    }
    // A writer that waits for room in a pipe.
    let bytes = crate::modules::pattern(300_000);
    let mut child = probe.command(&["copy"])?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().ok_or("no pipe")?;
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent));
    disturb(&child)?;
    let output = child.wait_with_output()?;
    writer.join().map_err(|_| "the writer panicked")??;
    if !output.status.success() || output.stdout != bytes {
        return Err(format!("{}: {} bytes of {}", output.status, output.stdout.len(), bytes.len()).into());
    }
    Ok(())
}

const ENDING: [(&str, i32); 4] = [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3)];

/// Whether whoever started the tests has a signal ignored, as `nohup` does: what the tests start inherits that.
fn is_ignored(number: i32) -> Result<bool, Failed> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).ok_or("no SigIgn")?;
    Ok(u64::from_str_radix(mask.trim(), 16)? >> (number - 1) & 1 != 0)
}

/// Sends a signal: it ends the program as it ends any other, or leaves it alone where it is ignored.
fn ends_by(child: &mut Child, name: &str, number: i32) -> Result<(), Failed> {
    // Until it runs: before that, the disposition of the test itself would be what is seen.
    std::thread::sleep(Duration::from_millis(50));
    signal(child, name)?;
    if is_ignored(number)? {
        std::thread::sleep(Duration::from_millis(50));
        if let Some(status) = child.try_wait()? {
            return Err(format!("{name} is ignored: {status}").into());
        }
        child.kill()?;
        child.wait()?;
        return Ok(());
    }
    let status = wait(child)?;
    if status.signal() == Some(number) { Ok(()) } else { Err(format!("{name}: {status}").into()) }
}

fn signals_end_the_program() -> Result<(), Failed> {
    let probe = Probe::compile(&[])?;
    for (name, number) in ENDING {
        for args in [["sleep", "60000"], ["spam", ""]] {
            let mut child = probe.command(&args)?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            ends_by(&mut child, name, number)?;
            let mut said = String::new();
            child.stderr.take().ok_or("no pipe")?.read_to_string(&mut said)?;
            if !said.is_empty() {
                return Err(format!("{name} during {args:?}: {said:?}").into());
            }
        }
    }
    Ok(())
}

/// Four threads wait for each other for good.
const WAITING_THREADS: &str = r#"(module
  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
  (import "env" "memory" (memory 1 1 shared))
  (func (export "wasi_thread_start") (param i32 i32)
    (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))
  (func (export "_start")
    (drop (call $spawn (i32.const 0))) (drop (call $spawn (i32.const 0))) (drop (call $spawn (i32.const 0)))
    (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))))"#;

fn signals_end_all_threads() -> Result<(), Failed> {
    let folder = support::scratch();
    let module = folder.path().join("threads.wat");
    fs::write(&module, WAITING_THREADS)?;
    support::compile(&module, &folder.path().join("threads"), [] as [&str; 0])?;
    for (name, number) in ENDING {
        let mut child = Command::new(folder.path().join("threads")).spawn()?;
        ends_by(&mut child, name, number)?;
    }
    Ok(())
}

/// As `nohup` relies on it.
fn ignored_signals_stay_ignored() -> Result<(), Failed> {
    let probe = Probe::compile(&[])?;
    let mut child = Command::new("/bin/sh")
        .args(["-c", "trap '' HUP TERM; exec ./probe sleep 400"])
        .current_dir(probe.folder.path())
        .stdout(Stdio::piped())
        .spawn()?;
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "HUP")?;
    signal(&child, "TERM")?;
    let status = wait(&mut child)?;
    let mut said = String::new();
    child.stdout.take().ok_or("no pipe")?.read_to_string(&mut said)?;
    if !status.success() || said != "slept\n" {
        return Err(format!("{status}, {said:?}").into());
    }
    Ok(())
}

/// The signals that faults arrive as mean what they mean to any process where another process sends them, with the
/// second wall as well.
fn signals_of_faults_end_the_program() -> Result<(), Failed> {
    let has_wall = place::chosen() == Place::Here;
    for options in [&[][..], &["--harden"]].iter().take(1 + usize::from(has_wall)) {
        let probe = Probe::compile(options)?;
        for (name, number) in [("SEGV", 11), ("BUS", 7), ("ILL", 4), ("FPE", 8)] {
            let mut child = probe.command(&["sleep", "60000"])?.stderr(Stdio::piped()).spawn()?;
            ends_by(&mut child, name, number)?;
        }
    }
    Ok(())
}

/// Whoever starts the program may have blocked any signal: traps are traps, time runs out, a pipe breaks.
fn blocked_signals_change_nothing() -> Result<(), Failed> {
    let folder = support::scratch();
    let case = |name: &str, options: &[&str]| -> Result<PathBuf, Failed> {
        let executable = folder.path().join(name);
        support::compile(&support::repository().join(format!("tests/run/cases/{name}.wat")), &executable, options)?;
        Ok(executable)
    };
    let blocked = |executable: &Path, args: &[&str]| {
        let all = "--block-signal=SEGV,BUS,ILL,FPE,ALRM,PIPE,XFSZ";
        support::run(Command::new("/usr/bin/env").arg(all).arg(executable).args(args), b"")
    };
    for (name, message) in [
        ("trap-memory-load", "out of bounds memory access"),
        ("trap-unreachable", "unreachable"),
        ("trap-stack-exhausted", "call stack exhausted"),
        ("trap-divide-by-zero", "integer divide by zero"),
        ("threads-trap", "wasm trap"),
    ] {
        blocked(&case(name, &[])?, &[])?.expect_code(134)?.expect_stderr(message)?;
    }
    let module = folder.path().join("loop.wat");
    fs::write(&module, r#"(module (func (export "_start") (loop (br 0))))"#)?;
    support::compile(&module, &folder.path().join("loop"), ["--timeout", "100ms", "--fuel", "100000000000"])?;
    blocked(&folder.path().join("loop"), &[])?.expect_code(134)?.expect_stderr("interrupt")?;
    let probe = Probe::compile(&[])?;
    let line = "env --block-signal=PIPE ./probe spam | head -c 10 > /dev/null";
    shell(probe.folder.path(), line)?.expect_stderr("write: Broken pipe")?;
    Ok(())
}
