//! `--harden`: programs work as without it, and what a program cannot need is refused by the operating system. To show
//! that, a host function is replaced by one that breaks out: it stands for a hole in the sandbox.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::process::Probe;
use crate::support::{self, Outcome};

const SIGSYS: i32 = 31;
const EACCES: i32 = 13;
const ECONNREFUSED: i32 = 111;

/// A test that needs nothing from outside.
type Test = fn() -> Result<(), Failed>;

pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, Test); 6] = [
        ("harden::forbidden_calls_end_the_process", forbidden_calls_end_the_process),
        ("harden::files_outside_of_grants_are_refused", files_outside_of_grants_are_refused),
        ("harden::read_only_grants_cannot_be_written", read_only_grants_cannot_be_written),
        ("harden::grants_of_sockets_let_nothing_else_through", grants_of_sockets_let_nothing_else_through),
        ("harden::sockets_that_are_taken_away_are_refused", sockets_that_are_taken_away_are_refused),
        ("faults::of_the_runtime_are_bugs", faults_of_the_runtime_are_bugs),
    ];
    let mut trials = vec![
        Trial::test("harden::programs_work", programs_work),
        Trial::test("harden::threads_work", threads_work),
        Trial::test("harden::listeners_work", listeners_work),
        Trial::test("harden::traps_are_traps", traps_are_traps),
    ];
    for (name, test) in tests {
        trials.push(match support::find_program("cc").and(support::find_program("ld")) {
            Some(_) => Trial::test(name, test),
            None => support::skipped(name, "there is no cc and ld"),
        });
    }
    trials
}

/// A program one of whose host functions does what `call` names; its exit code is the error number.
struct Breakout {
    folder: tempfile::TempDir,
}

impl Breakout {
    /// A module that calls `sched_yield`. `imports` are further imports of it, which decide what the filter lets through.
    fn new(call: &str, imports: &str, options: &[&str]) -> Result<Self, Failed> {
        let folder = support::scratch();
        let module = folder.path().join("module.wat");
        fs::write(
            &module,
            format!(
                r#"(module
                  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
                  {imports}
                  (memory (export "memory") 1)
                  (func (export "_start") (drop (call $yield))))"#
            ),
        )?;
        Self::compile(folder, call, "wasi_snapshot_preview1.sched_yield", &module, options)
    }

    /// A component that calls `instance-network` before it binds or connects a socket.
    fn with_sockets(call: &str, options: &[&str]) -> Result<Self, Failed> {
        const SYMBOL: &str = "wasi:sockets/instance-network.instance-network";
        let component = support::repository().join("tests/wasi/guests/net.wasm");
        Self::compile(support::scratch(), call, SYMBOL, &component, options)
    }

    fn compile(
        folder: tempfile::TempDir,
        call: &str,
        symbol: &str,
        guest: &Path,
        options: &[&str],
    ) -> Result<Self, Failed> {
        let path = |name: &str| folder.path().join(name);
        let source = support::repository().join("tests/run/guests/forbidden.c");
        let mut cc = Command::new("cc");
        cc.args(["-c", "-O1", "-ffreestanding", "-fPIE", "-fno-stack-protector"]).arg(format!("-DCALL={call}"));
        support::run(cc.arg(source).arg("-o").arg(path("forbidden.o")), b"")?.expect_code(0)?;
        // No compiler of C has names with all of these characters.
        let mut objcopy = Command::new("objcopy");
        objcopy.arg("--redefine-sym").arg(format!("host_function={symbol}")).arg(path("forbidden.o"));
        support::run(&mut objcopy, b"")?.expect_code(0)?;
        let linker = path("linker");
        fs::write(&linker, format!("#!/bin/sh\nexec ld -z muldefs '{}' \"$@\"\n", path("forbidden.o").display()))?;
        support::run(Command::new("chmod").arg("+x").arg(&linker), b"")?.expect_code(0)?;
        let linker = linker.display().to_string();
        let all: Vec<&str> = ["--linker", &linker].into_iter().chain(options.iter().copied()).collect();
        support::compile(guest, &path("program"), all)?;
        fs::create_dir(path("box"))?;
        fs::write(path("box/file"), "text")?;
        Ok(Self { folder })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.folder.path().join("program"));
        command.current_dir(self.folder.path());
        command
    }

    fn run(&self) -> Result<Outcome, Failed> {
        support::run(&mut self.command(), b"")
    }
}

const PATH_OPEN: &str = r#"(import "wasi_snapshot_preview1" "path_open"
    (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"#;

fn forbidden_calls_end_the_process() -> Result<(), Failed> {
    for call in ["OPEN", "EXECUTE", "SOCKET", "MAP", "PROTECT", "TRACE", "KILL", "FORK"] {
        // Without the wall the call is made: what the test shows is the wall.
        Breakout::new(call, "", &[])?.run()?.expect_code(0)?;
        // Importing a function is not enough to open files: something must be granted.
        for imports in ["", PATH_OPEN] {
            let outcome = Breakout::new(call, imports, &["--harden"])?.run()?;
            expect_the_end(&outcome, &format!("{call} with imports `{imports}`"))?;
        }
    }
    Ok(())
}

fn expect_the_end(outcome: &Outcome, what: &str) -> Result<(), Failed> {
    if outcome.status.signal() == Some(SIGSYS) {
        return Ok(());
    }
    Err(format!("{what}: {}{}", outcome.status, outcome.shown()).into())
}

/// Who may listen by TCP can neither connect in another way nor give a socket what the runtime never gives one.
fn grants_of_sockets_let_nothing_else_through() -> Result<(), Failed> {
    const LISTEN: &[&str] = &["--tcp-listen", "127.0.0.1:0"];
    let run = |call, options: &[&str]| -> Result<Outcome, Failed> {
        let breakout = Breakout::with_sockets(call, options)?;
        support::run(breakout.command().args(["serve", "1"]), b"")
    };
    for call in ["CONNECT", "FAST_OPEN", "ATTACH", "MULTIPATH"] {
        // Without the wall the call is made, whatever the kernel says: some have no further protocols.
        let outcome = run(call, LISTEN)?;
        if outcome.status.code().is_none() {
            return Err(format!("{call}: {}{}", outcome.status, outcome.shown()).into());
        }
        expect_the_end(&run(call, &[LISTEN, &["--harden"]].concat())?, call)?;
    }
    Ok(())
}

/// Where the filter lets a call through because of a grant, and whoever runs the program takes the grant away, Landlock
/// refuses the call.
fn sockets_that_are_taken_away_are_refused() -> Result<(), Failed> {
    const OPTIONS: &[&str] = &["--tcp-connect", "*:*", "--tcp-listen", "*:*", "--harden"];
    const NAMES: &[&str] = &["--resolve", "*"];
    let has_port_rules = Breakout::new("HAS_PORT_RULES", "", &[])?.run()?.status.code() == Some(0);
    let refused = |code| if has_port_rules { EACCES } else { code };
    let connect: &[&str] = &["fetch", "127.0.0.1:1", "0"];
    for (call, options, arguments, words, code) in [
        ("CONNECT", OPTIONS, connect, "", ECONNREFUSED),
        ("CONNECT", OPTIONS, &["serve", "1"], "no-tcp-connect", refused(ECONNREFUSED)),
        // A name server may have to be asked by TCP.
        ("CONNECT", &[OPTIONS, NAMES].concat(), &["serve", "1"], "no-tcp-connect", ECONNREFUSED),
        ("CONNECT", &[OPTIONS, NAMES].concat(), &["serve", "1"], "no-tcp-connect;no-resolve", refused(ECONNREFUSED)),
        ("BIND", OPTIONS, &["serve", "1"], "no-tcp-connect", 0),
        ("BIND", OPTIONS, connect, "no-tcp-listen", refused(0)),
    ] {
        let breakout = Breakout::with_sockets(call, options)?;
        let mut command = breakout.command();
        let outcome = support::run(command.args(arguments).env("WASMELT_POLICY", words), b"")?;
        outcome.expect_code(code).map_err(|e| format!("{call}, {words}: {}", e.message().unwrap_or_default()))?;
    }
    Ok(())
}

fn files_outside_of_grants_are_refused() -> Result<(), Failed> {
    let grant = ["--dir", "box::/box"];
    Breakout::new("OPEN", PATH_OPEN, &grant)?.run()?.expect_code(0)?;
    let hardened = [&grant[..], &["--harden"]].concat();
    Breakout::new("OPEN", PATH_OPEN, &hardened)?.run()?.expect_code(EACCES)?;
    for call in ["READ_IN", "WRITE_IN"] {
        Breakout::new(call, PATH_OPEN, &hardened)?.run()?.expect_code(0)?;
    }
    // What whoever runs the program takes away is behind the wall as well.
    let breakout = Breakout::new("READ_IN", PATH_OPEN, &hardened)?;
    support::run(breakout.command().env("WASMELT_POLICY", "no-dir=/box"), b"")?.expect_code(EACCES)?;
    Ok(())
}

fn read_only_grants_cannot_be_written() -> Result<(), Failed> {
    let grant = ["--dir", "box::/box:ro"];
    Breakout::new("WRITE_IN", PATH_OPEN, &grant)?.run()?.expect_code(0)?;
    let hardened = [&grant[..], &["--harden"]].concat();
    Breakout::new("WRITE_IN", PATH_OPEN, &hardened)?.run()?.expect_code(EACCES)?;
    Breakout::new("READ_IN", PATH_OPEN, &hardened)?.run()?.expect_code(0)?;
    Ok(())
}

/// A fault of the runtime is never taken for a trap of the guest, not even where a guest's own access would be one.
fn faults_of_the_runtime_are_bugs() -> Result<(), Failed> {
    for options in [&[][..], &["--harden"]] {
        for (call, message) in [
            ("ACCESS", "runtime bug: fault"),
            ("GUARD", "runtime bug: fault"),
            ("INSTRUCTION", "runtime bug: illegal instruction"),
            ("DIVISION", "runtime bug: arithmetic fault"),
        ] {
            Breakout::new(call, "", options)?.run()?.expect_code(70)?.expect_stderr(message)?;
        }
    }
    Ok(())
}

/// A folder with something of everything.
fn prepare(folder: &Path) -> Result<(), Failed> {
    fs::create_dir_all(folder.join("box/sub"))?;
    fs::write(folder.join("box/file"), "0123456789")?;
    for i in 0..300 {
        fs::write(folder.join(format!("box/sub/{i}")), "")?;
    }
    Ok(())
}

/// Every operation of the probe does the same behind the wall as without it.
fn programs_work() -> Result<(), Failed> {
    let operations: &[&[&str]] = &[
        &["args", "a"],
        &["env"],
        &["cat", "/box/file"],
        &["ls", "/box/sub"],
        &["stat", "/box"],
        &["write", "/box/new", "text"],
        &["append", "/box/new", "more"],
        &["create", "/box/new", "x"],
        &["seek", "/box/file", "4"],
        &["truncate", "/box/new", "2"],
        &["touch", "/box/new"],
        &["link", "/box/new", "/box/hard"],
        &["symlink", "file", "/box/soft"],
        &["readlink", "/box/soft"],
        &["cat", "/box/soft"],
        &["lstat", "/box/soft"],
        &["mv", "/box/hard", "/box/sub/moved"],
        &["mkdir", "/box/made"],
        &["rmdir", "/box/made"],
        &["rm", "/box/sub/moved"],
        &["cat", "/box/../etc"],
        &["sleep", "5"],
        &["poll", "5"],
        &["year"],
        &["random"],
        &["copy"],
        &["grow"],
        &["exit", "3"],
        &["abort"],
    ];
    let grant = ["--dir", "box::/box", "--env", "A=b", "--max-memory", "64M"];
    let plain = Probe::compile(&grant)?;
    let hardened = Probe::compile(&[&grant[..], &["--harden"]].concat())?;
    prepare(plain.folder.path())?;
    prepare(hardened.folder.path())?;
    for args in operations {
        let run = |probe: &Probe| support::run(probe.command(args)?.arg("end").env("HOST", "x"), b"input");
        let (expected, found) = (run(&plain)?, run(&hardened)?);
        let same_output = found.stdout().replace("probe", "") == expected.stdout().replace("probe", "");
        let stdout_matters = !matches!(args[0], "args");
        if found.status != expected.status || found.stderr != expected.stderr || (stdout_matters && !same_output) {
            return Err(
                format!("{args:?}: {}{}\nwithout the wall: {}", found.status, found.shown(), expected.shown()).into()
            );
        }
    }
    Ok(())
}

fn guest(name: &str, folder: &Path, options: &[&str]) -> Result<PathBuf, Failed> {
    let executable = folder.join("guest");
    support::compile(&support::repository().join("tests/run").join(name), &executable, options)?;
    Ok(executable)
}

fn threads_work() -> Result<(), Failed> {
    let folder = support::scratch();
    for name in
        ["cases/threads-tree.wat", "cases/threads-mutex.wat", "cases/threads-wait.wat", "cases/threads-grow.wat"]
    {
        let expected = support::run(&mut Command::new(guest(name, folder.path(), &[])?), b"")?;
        let found = support::run(&mut Command::new(guest(name, folder.path(), &["--harden"])?), b"")?;
        if found.status != expected.status || found.stdout != expected.stdout {
            return Err(format!("{name}: {}{}", found.status, found.shown()).into());
        }
    }
    Ok(())
}

fn listeners_work() -> Result<(), Failed> {
    crate::policy::echo(&["--harden"])
}

fn traps_are_traps() -> Result<(), Failed> {
    let folder = support::scratch();
    for (name, message) in [
        ("cases/trap-memory-load.wat", "out of bounds memory access"),
        ("cases/trap-unreachable.wat", "unreachable"),
        ("cases/trap-stack-exhausted.wat", "call stack exhausted"),
        ("cases/threads-trap.wat", "wasm trap"),
    ] {
        let outcome = support::run(&mut Command::new(guest(name, folder.path(), &["--harden"])?), b"")?;
        outcome.expect_code(134)?.expect_stderr(message)?;
    }
    let executable = guest("cases/fuel.wat", folder.path(), &["--harden", "--timeout", "1m", "--fuel", "10"])?;
    support::run(&mut Command::new(executable), b"")?.expect_code(134)?.expect_stderr("out of fuel")?;
    let probe = Probe::compile(&["--harden", "--timeout", "50ms"])?;
    probe.run(&["sleep", "60000"])?.expect_code(134)?.expect_stderr("interrupt")?;
    Ok(())
}
