//! The policy: what is granted and limited when a program is compiled holds when it runs, and whoever runs it can take
//! more away with `WASMELT_POLICY`, and never give.

use std::ffi::OsString;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Failed, Trial};

use crate::process::Probe;
use crate::support::foreign::System;
use crate::support::place::{self, Place};
use crate::support::{self, Outcome};

pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, support::Test); 13] = [
        ("null_streams", null_streams),
        ("open_files", open_files),
        ("timeout", timeout),
        ("timeout_of_threads", timeout_of_threads),
        ("deterministic", deterministic),
        ("dir_from_exe", dir_from_exe),
        ("listeners", listeners),
        ("a_file_grants_what_options_grant", a_file_grants_what_options_grant),
        ("the_environment_takes_away", the_environment_takes_away),
        ("the_environment_never_gives", the_environment_never_gives),
        ("what_is_not_understood_ends_the_program", what_is_not_understood_ends_the_program),
        ("the_variable_is_hidden", the_variable_is_hidden),
        ("odd_arguments_and_variables", odd_arguments_and_variables),
    ];
    let mut trials = Vec::new();
    for (name, test) in tests {
        trials.push(Trial::test(format!("policy::{name}"), test));
        for place in [Place::Portable, Place::Foreign(System::LinuxAarch64), Place::Foreign(System::Windows)] {
            if !not_at(place).contains(&name) {
                trials.push(place::trial(place, format!("policy::{name}"), test));
            }
        }
    }
    trials
}

/// Tests that a place has no use for.
fn not_at(place: Place) -> &'static [&'static str] {
    match place {
        // The emulator is what has a name, memory and arguments there.
        Place::Foreign(System::LinuxAarch64) => &["dir_from_exe"],
        // Names and variables that are not text, and what Wine adds to the environment.
        Place::Foreign(_) => &["dir_from_exe", "odd_arguments_and_variables"],
        _ => &[],
    }
}

/// A command that runs the guest in a folder.
fn guest_of(folder: &Path) -> Result<Command, Failed> {
    place::program(&folder.join("guest"))
}

fn guest(name: &str, folder: &Path, options: &[&str]) -> Result<(), Failed> {
    support::compile(&support::repository().join("tests/run/guests").join(name), &folder.join("guest"), options)
}

/// Runs the probe with `WASMELT_POLICY`.
fn narrowed(probe: &Probe, policy: &str, args: &[&str]) -> Result<Outcome, Failed> {
    support::run(probe.command(args)?.env("WASMELT_POLICY", policy), b"input")
}

fn null_streams() -> Result<(), Failed> {
    let probe = Probe::compile(&["--stdin", "null", "--stdout", "null"])?;
    support::run(&mut probe.command(&["copy"])?, b"input")?.expect_code(0)?.expect_stdout("")?;
    probe.run(&["args"])?.expect_code(0)?.expect_stdout("")?;
    let probe = Probe::compile(&["--stdin", "null"])?;
    support::run(&mut probe.command(&["copy"])?, b"input")?.expect_code(0)?.expect_stdout("")?;
    // The guest's messages are dropped, those of the runtime are not.
    let probe = Probe::compile(&["--stderr", "null"])?;
    let outcome = probe.run(&["nonsense"])?.expect_code(64)?;
    if !outcome.stderr.is_empty() {
        return Err(format!("the guest was heard{}", outcome.shown()).into());
    }
    probe.run(&["abort"])?.expect_code(134)?.expect_stderr("wasm trap: unreachable")?;
    Ok(())
}

fn open_files() -> Result<(), Failed> {
    const MFILE: i32 = 33;
    let folder = support::scratch();
    fs::write(folder.path().join("file"), "")?;
    let run = || support::run(guest_of(folder.path())?.current_dir(folder.path()), b"");
    for limit in ["1", "2", "10", "500"] {
        guest("open-all.wat", folder.path(), &["--dir", ".", "--max-open-files", limit])?;
        run()?.expect_code(MFILE)?;
    }
    guest("open-all.wat", folder.path(), &["--dir", ".", "--max-open-files", "0"])?;
    run()?.expect_code(69)?.expect_stderr("too many open files")?;
    Ok(())
}

/// A program that would run on ends with a trap when its time is over, whatever it is doing.
fn ends_in_time(mut command: Command) -> Result<(), Failed> {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    // The pipes stay open: nothing else ends the wait.
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > Duration::from_secs(30) {
            child.kill()?;
            return Err(format!("{command:?} goes on").into());
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    drop((stdin, stdout));
    let mut stderr = Vec::new();
    child.stderr.take().ok_or("no pipe")?.read_to_end(&mut stderr)?;
    let outcome = Outcome { status, stdout: Vec::new(), stderr };
    outcome.expect_code(134)?.expect_stderr("wasm trap: interrupt")?;
    if start.elapsed() < Duration::from_millis(100) {
        return Err(format!("{command:?} ends too early").into());
    }
    Ok(())
}

fn timeout() -> Result<(), Failed> {
    let probe = Probe::compile(&["--timeout", "100ms"])?;
    // Wine knows nothing of a pipe that comes from outside, not even that it is empty.
    let polls = place::chosen() != Place::Foreign(System::Windows);
    let waiting = [["copy", ""], ["sleep", "60000"], ["spam", ""], ["poll", "60000"]];
    for args in waiting.iter().filter(|args| polls || args[0] != "poll") {
        ends_in_time(probe.command(args)?)?;
    }
    probe.run(&["args"])?.expect_code(0)?;
    let folder = support::scratch();
    let module = folder.path().join("loop.wat");
    fs::write(&module, r#"(module (func $forever (loop (br 0))) (func (export "_start") (call $forever)))"#)?;
    support::compile(&module, &folder.path().join("loop"), ["--timeout", "100ms"])?;
    ends_in_time(place::program(&folder.path().join("loop"))?)?;
    // The backtrace says where.
    let outcome = support::run(&mut place::program(&folder.path().join("loop"))?, b"")?;
    outcome.expect_code(134)?.expect_stderr("forever")?;
    Ok(())
}

fn timeout_of_threads() -> Result<(), Failed> {
    let folder = support::scratch();
    let module = folder.path().join("threads.wat");
    for main in ["(memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))", "(loop (br 0)) (i32.const 0)"] {
        fs::write(
            &module,
            format!(
                r#"(module
                  (import "wasi" "thread-spawn" (func $spawn (param i32) (result i32)))
                  (import "env" "memory" (memory 1 1 shared))
                  (func (export "wasi_thread_start") (param i32 i32) (drop {main}))
                  (func (export "_start")
                    (drop (call $spawn (i32.const 0))) (drop (call $spawn (i32.const 0)))
                    (drop {main})))"#
            ),
        )?;
        support::compile(&module, &folder.path().join("threads"), ["--timeout", "100ms"])?;
        ends_in_time(place::program(&folder.path().join("threads"))?)?;
    }
    Ok(())
}

fn deterministic() -> Result<(), Failed> {
    let folder = support::scratch();
    guest("clocks-and-random.wat", folder.path(), &["--deterministic"])?;
    let run = || support::run(&mut guest_of(folder.path())?, b"");
    let start = Instant::now();
    let first = run()?.expect_code(0)?.stdout;
    if first.len() != 40 || first[..8] != 946_684_800_000_000_000_u64.to_le_bytes() {
        return Err(format!("clocks and random numbers: {first:?}").into());
    }
    for _ in 0..3 {
        if run()?.expect_code(0)?.stdout != first {
            return Err("two runs differ".into());
        }
    }
    // The guest slept for an hour.
    if start.elapsed() > Duration::from_secs(60) {
        return Err("somebody waited".into());
    }
    guest("clocks-and-random.wat", folder.path(), &["--deterministic=1"])?;
    let other = run()?.expect_code(0)?.stdout;
    if other[24..] == first[24..] || other[..24] != first[..24] {
        return Err(format!("another seed: {first:?} and {other:?}").into());
    }
    Ok(())
}

fn dir_from_exe() -> Result<(), Failed> {
    let probe = Probe::compile(&["--dir", "data::/data", "--dir-from", "exe"])?;
    let elsewhere = support::scratch();
    fs::create_dir(probe.folder.path().join("data"))?;
    fs::write(probe.folder.path().join("data/file"), "beside the executable")?;
    for folder in [elsewhere.path(), probe.folder.path(), Path::new("/")] {
        let outcome = support::run(probe.command(&["cat", "/data/file"])?.current_dir(folder), b"")?;
        outcome.expect_code(0)?.expect_stdout("beside the executable")?;
    }
    // A link to the executable is not where it lies.
    std::os::unix::fs::symlink(&probe.executable, elsewhere.path().join("link"))?;
    let mut command = Command::new(elsewhere.path().join("link"));
    let outcome = support::run(command.args(["cat", "/data/file"]).current_dir(elsewhere.path()), b"")?;
    outcome.expect_code(0)?.expect_stdout("beside the executable")?;
    Ok(())
}

/// A port that is free now.
fn free_port(address: &str) -> Result<u16, Failed> {
    Ok(TcpListener::bind((address, 0))?.local_addr()?.port())
}

fn listeners() -> Result<(), Failed> {
    echo(&[])
}

/// A program that listens, compiled with these options, sends back what it is sent.
pub(crate) fn echo(options: &[&str]) -> Result<(), Failed> {
    let folder = support::scratch();
    for (host, text) in [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")] {
        let Ok(port) = free_port(host) else {
            // Not every machine has IPv6.
            continue;
        };
        let address = format!("{text}:{port}");
        guest("tcp-echo.wat", folder.path(), &[&["--tcplisten", &address], options].concat())?;
        let mut child = guest_of(folder.path())?.spawn()?;
        let start = Instant::now();
        let mut stream = loop {
            match TcpStream::connect((host, port)) {
                Ok(stream) => break stream,
                Err(_) if start.elapsed() < Duration::from_secs(10) => std::thread::sleep(Duration::from_millis(2)),
                Err(e) => return Err(e.into()),
            }
        };
        let sent = crate::modules::pattern(10_000);
        stream.write_all(&sent)?;
        stream.shutdown(Shutdown::Write)?;
        let mut received = Vec::new();
        stream.read_to_end(&mut received)?;
        let status = child.wait()?;
        if received != sent || !status.success() {
            return Err(format!("{host}: {} bytes came back, {status}", received.len()).into());
        }
        // Whoever runs the program can forbid it; then there is no descriptor 3.
        let mut command = guest_of(folder.path())?;
        support::run(command.env("WASMELT_POLICY", "no-listen"), b"")?.expect_code(8)?;
        // An address that is taken is said before the guest runs.
        let _taken = TcpListener::bind((host, port))?;
        let outcome = support::run(&mut guest_of(folder.path())?, b"")?;
        outcome.expect_code(69)?.expect_stderr(&format!("listener on port '{port:05}'"))?;
    }
    Ok(())
}

fn a_file_grants_what_options_grant() -> Result<(), Failed> {
    let folder = support::scratch();
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "dir = [\"box::/box:ro\"]\nenv = [\"A=b\"]\nmax-open-files = 2\ntimeout = \"1m\"\n")?;
    let probe = Probe::compile(&["--policy", &policy.to_string_lossy(), "--env", "C=d"])?;
    fs::create_dir(probe.folder.path().join("box"))?;
    fs::write(probe.folder.path().join("box/file"), "text")?;
    probe.run(&["cat", "/box/file"])?.expect_code(0)?.expect_stdout("text")?;
    probe.run(&["write", "/box/file", "x"])?.expect_code(1)?;
    probe.run(&["env"])?.expect_code(0)?.expect_stdout("A=b\nC=d\n")?;
    Ok(())
}

/// A probe with two directories, one of them read-only.
fn granted() -> Result<Probe, Failed> {
    let probe = Probe::compile(&["--dir", "a::/a", "--dir", "b::/b", "--dir", "c::/c:ro", "--inherit-env"])?;
    for folder in ["a", "b", "c"] {
        fs::create_dir(probe.folder.path().join(folder))?;
        fs::write(probe.folder.path().join(folder).join("file"), folder)?;
    }
    Ok(probe)
}

fn the_environment_takes_away() -> Result<(), Failed> {
    let probe = granted()?;
    narrowed(&probe, "", &["write", "/a/file", "a"])?.expect_code(0)?;
    narrowed(&probe, "no-dir=/a", &["cat", "/a/file"])?.expect_code(1)?;
    // What is left is found by its own name.
    narrowed(&probe, "no-dir=/a", &["cat", "/b/file"])?.expect_code(0)?.expect_stdout("b")?;
    narrowed(&probe, "no-dir=*", &["cat", "/b/file"])?.expect_code(1)?;
    narrowed(&probe, "read-only=/a", &["write", "/a/file", "x"])?.expect_code(1)?;
    narrowed(&probe, "read-only=/a", &["cat", "/a/file"])?.expect_code(0)?.expect_stdout("a")?;
    narrowed(&probe, "read-only=/a", &["write", "/b/file", "b"])?.expect_code(0)?;
    narrowed(&probe, "read-only=*", &["write", "/b/file", "x"])?.expect_code(1)?;
    narrowed(&probe, "max-memory=32M", &["grow"])?.expect_code(0)?.expect_stdout("malloc failed\n")?;
    narrowed(&probe, "max-memory=64K", &["args"])?.expect_code(69)?.expect_stderr("max-memory")?;
    narrowed(&probe, "max-open-files=3", &["cat", "/a/file"])?.expect_code(1)?;
    narrowed(&probe, "max-open-files=4", &["cat", "/a/file"])?.expect_code(0)?;
    narrowed(&probe, "stdin=null", &["copy"])?.expect_code(0)?.expect_stdout("")?;
    narrowed(&probe, "stdout=null", &["copy"])?.expect_code(0)?.expect_stdout("")?;
    narrowed(&probe, "timeout=50ms", &["sleep", "60000"])?.expect_code(134)?.expect_stderr("interrupt")?;
    narrowed(&probe, "no-dir=/a;;timeout=50ms;", &["sleep", "60000"])?.expect_code(134)?;
    let mut command = probe.command(&["env"])?;
    command.env("WASMELT_POLICY", "no-env=SECRET").env("SECRET", "x").env("OTHER", "y");
    // Windows, or what stands for it, adds some of its own.
    let env = support::run(&mut command, b"")?.expect_code(0)?.stdout();
    if !env.lines().any(|line| line == "OTHER=y") || env.contains("SECRET") {
        return Err(format!("the environment is {env}").into());
    }
    // The budget of instructions, where one was compiled in.
    let probe = Probe::compile(&["--fuel", "1000000000"])?;
    narrowed(&probe, "", &["args"])?.expect_code(0)?;
    narrowed(&probe, "fuel=100", &["args"])?.expect_code(134)?.expect_stderr("wasm trap: out of fuel")?;
    Ok(())
}

/// Whatever the variable says, nothing becomes possible that was not.
fn the_environment_never_gives() -> Result<(), Failed> {
    let probe = granted()?;
    let limited = Probe::compile(&[
        "--max-memory",
        "32M",
        "--max-open-files",
        "0",
        "--timeout",
        "100ms",
        "--fuel",
        "1000",
        "--stdin",
        "null",
    ])?;
    for policy in [
        "max-memory=1G",
        "max-open-files=1000",
        "timeout=1h",
        "fuel=18446744073709551615",
        "max-memory=1G;max-memory=2G;max-open-files=1000;timeout=1h;fuel=1000000000",
        // The lower one of two holds, whichever comes last.
        "fuel=10;fuel=1000000000",
        "fuel=1000000000;fuel=10",
    ] {
        narrowed(&limited, policy, &["args"])?.expect_code(134)?.expect_stderr("wasm trap: out of fuel")?;
    }
    for policy in ["read-only=/c", "read-only=*", "no-dir=/b", ""] {
        narrowed(&probe, policy, &["write", "/c/file", "x"])?.expect_code(1)?;
        narrowed(&probe, policy, &["cat", "/etc/hostname"])?.expect_code(1)?;
    }
    let unlimited_time = Probe::compile(&["--timeout", "100ms"])?;
    let mut command = unlimited_time.command(&["sleep", "60000"])?;
    command.env("WASMELT_POLICY", "timeout=10h");
    ends_in_time(command)
}

fn what_is_not_understood_ends_the_program() -> Result<(), Failed> {
    let probe = granted()?;
    let long = format!("no-dir=/{}", "x".repeat(100_000));
    for policy in [
        "dir=/etc",
        "no-dir=/etc",
        "no-dir=a",
        "no-dir",
        "no-dir=",
        "read-write=/c",
        "read-only",
        "read-only=/c ",
        " read-only=/c",
        "max-memory=",
        "max-memory=-1",
        "max-memory=1Q",
        "max-memory=99999999999999999999",
        "max-open-files=all",
        "max-table-elements=1K",
        "max-exception-memory=",
        "max-threads=-1",
        "timeout=5",
        "timeout=none",
        "timeout=99999999999h",
        "fuel=100",
        "stdin=inherit",
        "stdin=/etc/passwd",
        "stdout",
        "no-listen=x",
        "nonsense",
        "=",
        "=;",
        "NO-DIR=/a",
        "no-dir=/a,read-only=/b",
        "read-only=/b\n",
        &long,
    ] {
        let outcome = narrowed(&probe, policy, &["args"])?;
        outcome.expect_code(69)?.expect_stdout("")?.expect_stderr("WASMELT_POLICY")?;
    }
    Ok(())
}

fn the_variable_is_hidden() -> Result<(), Failed> {
    for options in [&["--inherit-env"][..], &["--env", "WASMELT_POLICY"], &["--env", "WASMELT_PROFILE=x"]] {
        let probe = Probe::compile(options)?;
        let env = narrowed(&probe, "timeout=1m", &["env"])?.expect_code(0)?.stdout();
        if env.contains("WASMELT") {
            return Err(format!("the environment is {env}").into());
        }
    }
    Ok(())
}

fn odd_arguments_and_variables() -> Result<(), Failed> {
    let probe = Probe::compile(&["--inherit-env"])?;
    // 1 MiB of arguments, none of which may exceed 128 KiB.
    let long: Vec<String> = (0..16).map(|i| char::from(b'a' + i).to_string().repeat(65_536)).collect();
    let args: Vec<&str> = std::iter::once("args").chain(long.iter().map(String::as_str)).collect();
    let outcome = probe.run(&args)?.expect_code(0)?;
    if outcome.stdout().lines().skip(2).ne(long.iter().map(String::as_str)) {
        return Err("long arguments are not what they were".into());
    }
    let mut command = probe.command(&["env"])?;
    command
        .env("A", "b=c=d")
        .env("E", OsString::from_vec(b"\xff\xfe\n".to_vec()))
        .env(OsString::from_vec(b"\xe9".to_vec()), "x");
    let outcome = support::run(&mut command, b"")?.expect_code(0)?;
    let expected: [&[u8]; 3] = [b"A=b=c=d\n", b"E=\xff\xfe\n\n", b"\xe9=x\n"];
    for part in expected {
        if !outcome.stdout.windows(part.len()).any(|window| window == part) {
            return Err(format!("{part:?} is missing in {:?}", outcome.stdout).into());
        }
    }
    Ok(())
}
