//! The compiler as a program for Windows, in Wine: for every target it makes byte for byte what the compiler here makes,
//! it links and runs programs for Windows, and it treats files as it does here.
//!
//! `WASMELT_TEST_WINDOWS_HOST` names the program; `cargo xtask compiler --host x86_64-pc-windows-gnullvm` builds it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{env, fs, thread};

use libtest_mimic::{Failed, Trial};

use crate::support::foreign::{self, System};
use crate::support::{self, Outcome, Test};

const VARIABLE: &str = "WASMELT_TEST_WINDOWS_HOST";

/// The target of this machine's kind, and those of [`System`].
const LINUX: &str = "x86_64-unknown-linux-gnu";

pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, Test); 5] = [
        ("objects", objects_are_the_same),
        ("executables", executables_are_the_same),
        ("link_and_run", programs_are_linked_and_run),
        ("files", files_are_written_whole_or_not_at_all),
        ("commands", commands_answer),
    ];
    let missing = match env::var_os(VARIABLE) {
        Some(_) => System::Windows.cannot_be_run().or_else(|| System::LinuxAarch64.cannot_be_run()),
        None => Some(format!("{VARIABLE} names no wasmelt.exe")),
    };
    let trial = |(name, test)| {
        let name = format!("windows_host::{name}");
        match &missing {
            None => Trial::test(name, test),
            Some(why) => support::skipped(name, why),
        }
    };
    tests.into_iter().map(trial).collect()
}

/// The compiler in Wine.
fn hosted() -> Result<Command, Failed> {
    let mut command = foreign::wine_command()?;
    command.arg(env::var_os(VARIABLE).ok_or("it is not named")?);
    Ok(command)
}

/// A path as programs in Wine name it, for what must look like one of Windows.
fn named(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', "\\")
}

fn modules() -> [PathBuf; 3] {
    ["examples/hello.wat", "examples/rust/wordfreq.wasm", "tests/run/guests/probe.wasm"]
        .map(|path| support::repository().join(path))
}

/// Compiles a module here and in Wine with the same options, and compares what comes out.
fn compile_twice(module: &Path, options: &[&str], folder: &Path) -> Result<PathBuf, Failed> {
    let (here, there) = (folder.join("here"), folder.join("there"));
    let compile = |mut command: Command, output: &Path| {
        let outcome = support::run(command.arg("compile").arg(module).args(options).arg("-o").arg(output), b"");
        outcome?.expect_code(0)
    };
    compile(support::wasmelt(), &here)?;
    compile(hosted()?, &there)?;
    if fs::read(&here)? != fs::read(&there)? {
        return Err(format!("{} {options:?}: the outputs differ", module.display()).into());
    }
    Ok(there)
}

fn objects_are_the_same() -> Result<(), Failed> {
    let folder = support::scratch();
    for module in modules() {
        for target in [LINUX].into_iter().chain(System::ALL.map(System::triple)) {
            compile_twice(&module, &["--target", target, "--emit", "obj"], folder.path())?;
        }
    }
    for emit in ["clif", "asm", "wat"] {
        compile_twice(&modules()[0], &["--target", LINUX, "--emit", emit], folder.path())?;
    }
    Ok(())
}

fn executables_are_the_same() -> Result<(), Failed> {
    let folder = support::scratch();
    for target in [LINUX, System::LinuxAarch64.triple()] {
        let runtimes = foreign::runtimes(target)?;
        let runtimes = runtimes.to_str().ok_or("the target folder is not UTF-8")?;
        for module in modules() {
            compile_twice(&module, &["--target", target, "--emit", "cdylib"], folder.path())?;
            compile_twice(&module, &["--target", target, "--runtime-dir", runtimes, "--strip"], folder.path())?;
            compile_twice(&module, &["--target", target, "--runtime-dir", runtimes, "--dir", "a::b"], folder.path())?;
        }
        let hello = ["--target", target, "--runtime-dir", runtimes, "--threads", "1"];
        let program = compile_twice(&modules()[0], &hello, folder.path())?;
        make_executable(&program)?;
        let mut command = match target == LINUX {
            true => Command::new(&program),
            false => System::LinuxAarch64.command(&program)?,
        };
        support::run(&mut command, b"")?.expect_code(0)?.expect_stdout("Hello, world!\n")?;
    }
    Ok(())
}

/// Windows knows no permission to execute, Wine gives none.
fn make_executable(path: &Path) -> std::io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}

fn programs_are_linked_and_run() -> Result<(), Failed> {
    let folder = support::scratch();
    let linker = Linker::start(folder.path())?;
    let runtimes = foreign::runtimes(System::Windows.triple())?;
    let run = |command: &str, arguments: &[&str], stdin: &str| -> Result<Outcome, Failed> {
        let mut hosted = hosted()?;
        hosted.current_dir(folder.path()).env("LINK_FOLDER", named(folder.path())).arg(command);
        hosted.arg("--linker").arg(&linker.program).arg("--runtime-dir").arg(&runtimes).args(arguments);
        support::run(&mut hosted, stdin.as_bytes())
    };
    let case = |name: &str| named(&support::repository().join(format!("tests/run/cases/{name}.wat")));
    support::copy_folder(&support::repository().join("examples/data"), &folder.path().join("data"))?;

    // The name of an output that is not given ends with `.exe`.
    let module = named(&support::repository().join("examples/rust/wordfreq.wasm"));
    run("compile", &[&module, "--dir", r".\data::data:ro"], "")?.expect_code(0)?;
    let expected = fs::read(support::repository().join("examples/rust/wordfreq.expected"))?;
    let mut program = foreign::wine_command()?;
    program.arg(folder.path().join("wordfreq.exe")).args(["data", "5"]).current_dir(folder.path());
    support::run(&mut program, b"")?.expect_code(0)?.expect_stdout(&expected)?;

    // With `run`: arguments, exit codes, standard input, the second time from the cache.
    let arguments = ["--dir", "data::data:ro", &module, "data", "5"];
    run("run", &arguments, "")?.expect_code(0)?.expect_stdout(&expected)?;
    let again = run("run", &[&["--verbose"], &arguments[..]].concat(), "")?.expect_code(0)?.expect_stdout(&expected)?;
    again.expect_stderr(r"\AppData\Local\wasmelt\cache\")?;
    run("run", &["--invoke", "exit_with", &case("exit-code"), "7"], "")?.expect_code(7)?;
    let trap = run("run", &[&case("trap-unreachable")], "")?.expect_code(134)?;
    trap.expect_stderr("wasm trap: unreachable")?;
    run("run", &[&case("copy-input")], "a line\n")?.expect_code(0)?.expect_stdout("a line\n")?;
    // Without the cache it runs from a temporary file.
    run("run", &["--no-cache", &case("copy-input")], "b\n")?.expect_code(0)?.expect_stdout("b\n")?;
    Ok(())
}

fn files_are_written_whole_or_not_at_all() -> Result<(), Failed> {
    let folder = support::scratch();
    let at = |name: &str| folder.path().join(name);
    let compile = |input: &str, output: &str| -> Result<Outcome, Failed> {
        let arguments = ["compile", "--emit", "obj", "--target", LINUX, "-o", output, input];
        support::run(hosted()?.args(arguments).current_dir(folder.path()), b"")
    };
    fs::copy(support::repository().join("examples/hello.wat"), at("hello.wat"))?;
    fs::write(at("bad.wasm"), b"\0asm\x01\0\0\0\x01")?;
    fs::write(at("old.o"), "old")?;
    compile("nothing.wasm", "old.o")?.expect_code(1)?.expect_stderr("cannot read nothing.wasm: ")?;
    compile("bad.wasm", "old.o")?.expect_code(1)?.expect_stderr("bad.wasm: ")?;
    compile("hello.wat", "hello.wat")?.expect_code(2)?.expect_stderr("is the input and would be overwritten")?;
    compile("hello.wat", r"missing\old.o")?.expect_code(1)?.expect_stderr(r"cannot write missing\old.o: ")?;
    compile("hello.wat", ".")?.expect_code(1)?.expect_stderr("is a directory")?;
    compile("hello.wat", "NUL")?.expect_code(0)?;
    // A file that is open elsewhere cannot be replaced: here the program that is being run.
    let program = at("running.exe");
    fs::copy(env::var_os(VARIABLE).ok_or("it is not named")?, &program)?;
    let mut itself = foreign::wine_command()?;
    itself.arg(&program).args(["compile", "--emit", "obj", "--target", LINUX, "-o", "running.exe", "hello.wat"]);
    let outcome = support::run(itself.current_dir(folder.path()), b"")?.expect_code(1)?;
    outcome.expect_stderr("cannot write running.exe: ")?;
    if fs::read(at("old.o"))? != b"old" || fs::read(&program)?.len() < 1 << 20 {
        return Err("an old file was changed by a failure".into());
    }
    compile("hello.wat", "old.o")?.expect_code(0)?;
    let mut names: Vec<_> = fs::read_dir(folder.path())?.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    if names == ["bad.wasm", "hello.wat", "old.o", "running.exe"] {
        Ok(())
    } else {
        Err(format!("something was left behind: {names:?}").into())
    }
}

fn commands_answer() -> Result<(), Failed> {
    let (folder, hello) = (support::scratch(), modules()[0].clone());
    let run = |arguments: &[&str], stdin: &[u8]| -> Result<Outcome, Failed> {
        support::run(hosted()?.args(arguments).current_dir(folder.path()), stdin)
    };
    run(&["--version"], b"")?.expect_code(0)?.expect_stderr("")?;
    let targets = run(&["targets"], b"")?.expect_code(0)?.stdout();
    let host = targets.lines().find(|line| line.contains("yes"));
    if !host.is_some_and(|line| line.starts_with("x86_64-pc-windows-gnu")) {
        return Err(format!("the host is not Windows:\n{targets}").into());
    }
    // From standard input to standard output, in binary.
    let object = run(&["compile", "--emit", "obj", "--target", LINUX, "-", "-o", "-"], &fs::read(&hello)?)?;
    if !object.stdout.starts_with(b"\x7fELF") {
        return Err("no object came out of standard output".into());
    }
    let path = folder.path().join("hello.o");
    fs::write(&path, &object.stdout)?;
    run(&["inspect", "hello.o"], b"")?.expect_code(0)?;
    run(&["compile", "--target", "z80-unknown-cpm", "x"], b"")?.expect_code(2)?.expect_stderr("unknown target")?;
    // There is no linker for Windows in Wine: the error says how to get one.
    let runtimes = named(&foreign::runtimes(System::Windows.triple())?);
    let outcome = run(&["compile", "--runtime-dir", &runtimes, &named(&hello), "-o", "hello.exe"], b"")?;
    let outcome = outcome.expect_code(1)?.expect_stderr("no linker for x86_64-pc-windows-gnullvm was found")?;
    outcome.expect_stderr("install Zig")?.expect_stderr("install mingw-w64")?.expect_stderr("--linker PROGRAM")?;
    if folder.path().join("hello.exe").exists() { Err("an output was written".into()) } else { Ok(()) }
}

/// Zig for programs in Wine, see `guests/remote_linker.c`. It links as long as this lives.
struct Linker {
    program: PathBuf,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Linker {
    /// Starts it; `folder` is where both sides leave their messages.
    fn start(folder: &Path) -> Result<Self, Failed> {
        let program = folder.join("zig.exe");
        let source = support::repository().join("tests/run/guests/remote_linker.c");
        let mut zig = foreign::zig_command()?;
        zig.args(["cc", "-target", "x86_64-windows-gnu", "-s", "-o"]).arg(&program).arg(source);
        support::run(&mut zig, b"")?.expect_code(0)?;
        // It writes a file with debug information, asked or not.
        let _ = fs::remove_file(folder.join("zig.pdb"));
        let ended = Arc::new(AtomicBool::new(false));
        let (folder, until) = (folder.to_owned(), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                answer(&folder);
                thread::sleep(Duration::from_millis(10));
            }
        });
        Ok(Self { program, ended, thread: Some(thread) })
    }
}

impl Drop for Linker {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Links what is asked for, where something is.
fn answer(folder: &Path) {
    let Ok(request) = fs::read_to_string(folder.join("request")) else { return };
    let run = || -> Result<String, Failed> {
        fs::remove_file(folder.join("request"))?;
        let mut zig = foreign::zig_command()?;
        zig.args(request.lines().map(foreign::path_in_wine));
        let outcome = support::run(&mut zig, b"")?;
        Ok(format!("{}\n{}", outcome.code(), outcome.shown()))
    };
    let text = run().unwrap_or_else(|why| format!("2\nnothing was linked: {}", why.message().unwrap_or_default()));
    let draft = folder.join("answer.draft");
    // Whoever waits fails when no answer comes.
    drop(fs::write(&draft, text).and_then(|()| fs::rename(&draft, folder.join("answer"))));
}
