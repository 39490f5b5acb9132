//! What a guest can reach of the file system: the granted directories and nothing else, whichever way it asks, with
//! `openat2`, on kernels that lack it, and with the portable runtime, where cap-std decides.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::process::Probe;
use crate::support::place::{self, Place};
use crate::support::{self, Outcome, portable};

/// How an executable is started: on this kernel, or as if it had no `openat2`.
#[derive(Clone, Copy)]
enum Kernel {
    Plain,
    WithoutOpenat2,
}

/// A test of what the guest can do.
type Test = fn(Kernel) -> Result<(), Failed>;

pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, Test); 7] = [
        ("files", files),
        ("directories", directories),
        ("read_only", read_only),
        ("nothing_is_granted_unasked", nothing_is_granted_unasked),
        ("no_path_leaves", no_path_leaves),
        ("several_directories", several_directories),
        ("the_process_itself", the_process_itself),
    ];
    let mut trials = Vec::new();
    for (name, test) in tests {
        trials.push(Trial::test(format!("sandbox::{name}"), move || test(Kernel::Plain)));
        let without = format!("sandbox::{name}::without_openat2");
        trials.push(match support::kernel::without_openat2() {
            Ok(_) => Trial::test(without, move || test(Kernel::WithoutOpenat2)),
            Err(why) => support::skipped(without, why),
        });
        trials.push(place::trial(Place::Portable, format!("sandbox::{name}"), move || test(Kernel::Plain)));
        // cap-std has two ways as well.
        let without = format!("sandbox::{name}::without_openat2");
        trials.push(match support::kernel::without_openat2() {
            Ok(_) => place::trial(Place::Portable, without, move || test(Kernel::WithoutOpenat2)),
            Err(why) => support::skipped(without, why),
        });
    }
    trials.push(Trial::test("sandbox::missing_directory", missing_directory));
    trials.push(place::trial(Place::Portable, "sandbox::missing_directory", missing_directory));
    trials.push(Trial::test("sandbox::attacks::portable", attacks_on_portable));
    trials
}

/// The probe with directories granted. `box` is granted as `/box`, beside it lies `outside/secret`.
struct Sandbox {
    probe: Probe,
    kernel: Kernel,
}

impl Sandbox {
    fn new(kernel: Kernel, options: &[&str]) -> Result<Self, Failed> {
        let sandbox = Self { probe: Probe::compile(options)?, kernel };
        for folder in ["box/sub", "outside", "other"] {
            fs::create_dir_all(sandbox.path(folder))?;
        }
        fs::write(sandbox.path("box/file"), "0123456789")?;
        fs::write(sandbox.path("box/sub/deep"), "deep")?;
        fs::write(sandbox.path("outside/secret"), "secret")?;
        fs::write(sandbox.path("other/file"), "other")?;
        Ok(sandbox)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.probe.folder.path().join(path)
    }

    fn run(&self, args: &[&str]) -> Result<Outcome, Failed> {
        match self.kernel {
            Kernel::Plain => self.probe.run(args),
            Kernel::WithoutOpenat2 => {
                let mut command = Command::new(support::kernel::without_openat2()?);
                command.arg(&self.probe.executable).args(args).current_dir(self.probe.folder.path()).env_clear();
                support::run(&mut command, b"")
            }
        }
    }

    /// The operation works and prints this.
    fn works(&self, args: &[&str], stdout: &str) -> Result<(), Failed> {
        let outcome = self.run(args)?.expect_code(0).and_then(|outcome| outcome.expect_stdout(stdout));
        outcome.map(drop).map_err(|e| format!("{args:?}: {}", e.message().unwrap_or_default()).into())
    }

    /// The operation fails with an error that contains one of these words.
    fn fails(&self, args: &[&str], words: &[&str]) -> Result<(), Failed> {
        let outcome = self.run(args)?;
        if outcome.code() != 1 || !words.iter().any(|word| outcome.stderr().contains(word)) {
            return Err(
                format!("{args:?} should fail, with one of {words:?}: {}{}", outcome.code(), outcome.shown()).into()
            );
        }
        Ok(())
    }
}

const GRANT: &[&str] = &["--dir", "box::/box"];

fn files(kernel: Kernel) -> Result<(), Failed> {
    let sandbox = Sandbox::new(kernel, GRANT)?;
    sandbox.works(&["cat", "/box/file"], "0123456789")?;
    sandbox.works(&["cat", "/box/sub/../sub/./deep"], "deep")?;
    sandbox.works(&["stat", "/box/file"], "file 10\n")?;
    sandbox.works(&["seek", "/box/file", "4"], "4 5\n")?;
    sandbox.works(&["seek", "/box/file", "-2"], "8 9\n")?;
    sandbox.works(&["write", "/box/new", "abc"], "")?;
    sandbox.works(&["append", "/box/new", "def"], "")?;
    sandbox.works(&["cat", "/box/new"], "abcdef")?;
    sandbox.works(&["truncate", "/box/new", "2"], "")?;
    sandbox.works(&["cat", "/box/new"], "ab")?;
    sandbox.works(&["write", "/box/new", "z"], "")?;
    sandbox.works(&["stat", "/box/new"], "file 1\n")?;
    sandbox.fails(&["create", "/box/new", "x"], &["File exists"])?;
    sandbox.works(&["touch", "/box/new"], "")?;
    sandbox.works(&["link", "/box/new", "/box/hard"], "")?;
    sandbox.works(&["mv", "/box/new", "/box/sub/moved"], "")?;
    sandbox.works(&["cat", "/box/hard"], "z")?;
    sandbox.works(&["cat", "/box/sub/moved"], "z")?;
    sandbox.works(&["rm", "/box/sub/moved"], "")?;
    sandbox.fails(&["cat", "/box/sub/moved"], &["No such file"])?;
    sandbox.fails(&["cat", "/box/file/x"], &["Not a directory"])?;
    sandbox.fails(&["cat", "/box/file/"], &["Not a directory", "Invalid argument"])
}

fn directories(kernel: Kernel) -> Result<(), Failed> {
    let sandbox = Sandbox::new(kernel, GRANT)?;
    sandbox.works(&["ls", "/box"], "file\nsub\n")?;
    sandbox.works(&["stat", "/box"], "directory 0\n")?;
    sandbox.works(&["mkdir", "/box/made"], "")?;
    sandbox.fails(&["mkdir", "/box/made"], &["File exists"])?;
    sandbox.fails(&["rmdir", "/box/sub"], &["not empty"])?;
    sandbox.fails(&["rm", "/box/sub"], &["Is a directory", "not permitted"])?;
    sandbox.works(&["mv", "/box/made", "/box/renamed"], "")?;
    sandbox.works(&["rmdir", "/box/renamed"], "")?;
    sandbox.works(&["symlink", "sub/deep", "/box/link"], "")?;
    sandbox.works(&["readlink", "/box/link"], "sub/deep\n")?;
    sandbox.works(&["lstat", "/box/link"], "symlink 0\n")?;
    sandbox.works(&["cat", "/box/link"], "deep")?;
    // More entries than one call returns.
    let names: Vec<String> = (0..1200).map(|i| format!("entry-with-a-longer-name-{i:04}")).collect();
    fs::create_dir(sandbox.path("box/many"))?;
    for name in &names {
        fs::write(sandbox.path("box/many").join(name), "")?;
    }
    sandbox.works(&["ls", "/box/many"], &(names.join("\n") + "\n"))
}

fn read_only(kernel: Kernel) -> Result<(), Failed> {
    let sandbox = Sandbox::new(kernel, &["--dir", "box::/box:ro"])?;
    symlink("file", sandbox.path("box/link"))?;
    sandbox.works(&["cat", "/box/file"], "0123456789")?;
    sandbox.works(&["cat", "/box/link"], "0123456789")?;
    sandbox.works(&["ls", "/box"], "file\nlink\nsub\n")?;
    let refused = &["Read-only", "not permitted", "Permission denied", "Capabilities insufficient"];
    for args in [
        &["write", "/box/file", "x"][..],
        &["append", "/box/file", "x"],
        &["create", "/box/new", "x"],
        &["truncate", "/box/file", "1"],
        &["touch", "/box/file"],
        &["mkdir", "/box/new"],
        &["rmdir", "/box/sub"],
        &["rm", "/box/file"],
        &["mv", "/box/file", "/box/new"],
        &["link", "/box/file", "/box/new"],
        &["symlink", "file", "/box/new"],
    ] {
        sandbox.fails(args, refused)?;
    }
    sandbox.works(&["cat", "/box/file"], "0123456789")?;
    sandbox.works(&["ls", "/box"], "file\nlink\nsub\n")
}

fn nothing_is_granted_unasked(kernel: Kernel) -> Result<(), Failed> {
    let sandbox = Sandbox::new(kernel, &[])?;
    let refused = &["No such file", "not capable", "Capabilities insufficient", "Bad file descriptor"];
    for path in [".", "/", "box/file", "/etc/hostname", "/proc/self/environ", "/dev/null"] {
        sandbox.fails(&["cat", path], refused)?;
        sandbox.fails(&["ls", path], refused)?;
    }
    sandbox.fails(&["write", "new", "x"], refused)
}

fn no_path_leaves(kernel: Kernel) -> Result<(), Failed> {
    let sandbox = Sandbox::new(kernel, GRANT)?;
    let secret = sandbox.path("outside/secret");
    // Links that lead out: relative, absolute, through a directory, and one that goes out and comes back.
    symlink("../outside/secret", sandbox.path("box/out"))?;
    symlink(&secret, sandbox.path("box/absolute"))?;
    symlink("../outside", sandbox.path("box/outdir"))?;
    symlink("sub/../../outside/secret", sandbox.path("box/winding"))?;
    symlink("../box/file", sandbox.path("box/returning"))?;
    symlink("out", sandbox.path("box/chained"))?;
    symlink("loop", sandbox.path("box/loop"))?;
    let refused = &["not permitted", "Permission denied", "not capable", "Capabilities insufficient", "Cross-device"];
    let paths = [
        "/box/../outside/secret",
        "/box/sub/../../outside/secret",
        "/box/./../outside/secret",
        "/box//../outside/secret",
        "/box/out",
        "/box/absolute",
        "/box/outdir/secret",
        "/box/winding",
        "/box/returning",
        "/box/chained",
        "/box/..",
        "/box/../box/file",
    ];
    for path in paths {
        sandbox.fails(&["cat", path], refused)?;
        sandbox.fails(&["stat", path], refused)?;
        sandbox.fails(&["write", path, "overwritten"], refused)?;
        sandbox.fails(&["truncate", path, "0"], refused)?;
    }
    for path in ["/box/../new", "/box/outdir/new"] {
        sandbox.fails(&["create", path, "x"], refused)?;
        sandbox.fails(&["mkdir", path], refused)?;
        sandbox.fails(&["symlink", "x", path], refused)?;
        sandbox.fails(&["mv", "/box/file", path], refused)?;
        sandbox.fails(&["link", "/box/file", path], refused)?;
        sandbox.fails(&["readlink", path], refused)?;
    }
    for path in ["/box/../outside/secret", "/box/outdir/secret"] {
        sandbox.fails(&["rm", path], refused)?;
        sandbox.fails(&["mv", path, "/box/stolen"], refused)?;
        sandbox.fails(&["link", path, "/box/stolen"], refused)?;
    }
    sandbox.fails(&["rmdir", "/box/../other"], refused)?;
    sandbox.fails(&["ls", "/box/outdir"], refused)?;
    sandbox.fails(&["ls", "/box/.."], refused)?;
    sandbox.fails(&["cat", "/box/loop"], &["Symbolic link loop", "Too many", "symbolic links"])?;
    // A guest cannot make a link that leads out of absolute paths, and relative ones lead nowhere.
    sandbox.fails(&["symlink", "/etc/passwd", "/box/made"], refused)?;
    sandbox.works(&["symlink", "../outside/secret", "/box/made"], "")?;
    sandbox.fails(&["cat", "/box/made"], refused)?;
    // A hard link to a symbolic link, or the removal of one, does not follow it.
    sandbox.works(&["rm", "/box/out"], "")?;
    sandbox.works(&["cat", "/box/sub/deep"], "deep")?;
    if fs::read(&secret)? != b"secret" {
        return Err("the secret was changed".into());
    }
    if sandbox.path("new").exists() || sandbox.path("outside/new").exists() || sandbox.path("box/stolen").exists() {
        return Err("something was made outside, or brought in".into());
    }
    Ok(())
}

fn several_directories(kernel: Kernel) -> Result<(), Failed> {
    let sandbox = Sandbox::new(kernel, &["--dir", "box::/", "--dir", "other::/box/other:ro", "--dir", "outside"])?;
    sandbox.works(&["cat", "/file"], "0123456789")?;
    sandbox.works(&["cat", "/box/other/file"], "other")?;
    sandbox.works(&["cat", "outside/secret"], "secret")?;
    sandbox.works(&["mv", "/file", "outside/file"], "")?;
    sandbox.works(&["cat", "outside/file"], "0123456789")?;
    sandbox
        .fails(&["mv", "outside/file", "/box/other/new"], &["Read-only", "not permitted", "Capabilities insufficient"])
}

/// The attacks among the unit tests of the runtime, races with other processes included. For the runtime of this
/// kernel `cargo test` runs them anyway.
fn attacks_on_portable() -> Result<(), Failed> {
    let test = ["test", "--locked", "--package", "wasmelt-runtime", "--features", "portable", "--lib"];
    Ok(portable::cargo(&test)?)
}

/// Whoever grants `/proc` grants a look at processes, not a way to write into the one that the guest runs in.
fn the_process_itself(kernel: Kernel) -> Result<(), Failed> {
    let sandbox = Sandbox::new(kernel, &["--dir", "/proc::/proc", "--dir", "/::/"])?;
    sandbox.works(&["stat", "/proc/self/mem"], "file 0\n")?;
    let refused = &["not permitted", "Permission denied", "Capabilities insufficient"];
    for path in ["/proc/self/mem", "/proc/thread-self/mem", "/proc/self/comm", "/proc/self/../self/mem"] {
        for operation in ["write", "append"] {
            sandbox.fails(&[operation, path, "x"], refused)?;
        }
    }
    Ok(())
}

/// A granted directory that is not there when the program starts is said before the guest runs.
fn missing_directory() -> Result<(), Failed> {
    let probe = Probe::compile(&["--dir", "not-there::/data"])?;
    probe.run(&["args"])?.expect_code(69)?.expect_stdout("")?.expect_stderr("not-there")?;
    Ok(())
}
