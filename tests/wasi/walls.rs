//! The walls of the file system as a component of WASI 0.2 finds them: what a guest tries, line by line, and what came
//! of it, by each of the ways in which paths are resolved.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::embedded;
use crate::support;
use crate::support::place::{self, Place};

/// With `box` granted, which has `outside/secret` beside it.
const WRITABLE: &str = "\
read /box/real/secret -> inside
read /box/../outside/secret -> PermissionDenied
read ../outside/secret -> NotFound
symlink ../outside/secret /box/l -> ok
read /box/l -> PermissionDenied
symlink /etc/passwd /box/absolute -> PermissionDenied
symlink ../outside /box/d -> ok
read /box/d/secret -> PermissionDenied
write /box/d/new x -> PermissionDenied
append /box/l x -> PermissionDenied
truncate /box/l -> PermissionDenied
mkdir /box/d/dir -> PermissionDenied
rename /box/real/secret /box/d/s -> PermissionDenied
rename /box/d/secret /box/s -> PermissionDenied
link /box/d/secret /box/hard -> PermissionDenied
link /box/l /box/hard -> ok
read /box/hard -> PermissionDenied
list /box/d -> PermissionDenied
list /box/.. -> PermissionDenied
list /box -> d hard l out real
unlink /box/d/secret -> PermissionDenied
unlink /box/hard -> ok
readlink /box/d -> ../outside
readlink /box/out -> PermissionDenied
size /box/l -> PermissionDenied
read /box/out/secret -> PermissionDenied
read /etc/passwd -> NotFound
read /proc/self/environ -> NotFound
read /box/real/secret/../../../outside/secret -> NotADirectory
mkdir /box/new -> ok
write /box/new/x hello -> ok
append /box/new/x  world -> ok
read /box/new/x -> hello world
size /box/new/x -> 11
rename /box/new/x /box/new/y -> ok
truncate /box/new/y -> ok
size /box/new/y -> 0
unlink /box/new/y -> ok
rmdir /box/new -> ok
connect 127.0.0.1:1 -> PermissionDenied
";

/// With `box` granted read-only.
const READ_ONLY: &str = "\
read /box/real/secret -> inside
list /box -> out real
write /box/real/secret x -> PermissionDenied
append /box/real/secret x -> PermissionDenied
truncate /box/real/secret -> PermissionDenied
write /box/new x -> PermissionDenied
mkdir /box/new -> PermissionDenied
unlink /box/real/secret -> PermissionDenied
rename /box/real/secret /box/s -> PermissionDenied
link /box/real/secret /box/s -> PermissionDenied
symlink real /box/s -> PermissionDenied
rmdir /box/real -> PermissionDenied
";

/// With nothing granted.
const NOTHING: &str = "\
read /box/real/secret -> NotFound
list / -> NotFound
write new x -> NotFound
connect 127.0.0.1:1 -> PermissionDenied
";

/// With `/proc` granted: nothing of it can be opened for writing.
const PROC: &str = "\
append /proc/self/mem x -> PermissionDenied
append /proc/self/comm x -> PermissionDenied
read /proc/self/root/etc/passwd -> FilesystemLoop
read /proc/self/cwd/box/real/secret -> FilesystemLoop
";

type Case = (&'static str, &'static [&'static str], &'static str);

const CASES: [Case; 3] = [
    ("writable", &["--dir", "box::/box"], WRITABLE),
    ("read_only", &["--dir", "box::/box:ro"], READ_ONLY),
    ("nothing", &[], NOTHING),
];

/// What only the freestanding runtime has.
const FREESTANDING: [Case; 2] =
    [("hardened", &["--harden", "--dir", "box::/box"], WRITABLE), ("proc", &["--dir", "/proc"], PROC)];

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for case in CASES {
        let name = format!("walls::{}", case.0);
        let without = format!("{name}::without_openat2");
        trials.push(match support::kernel::without_openat2() {
            Ok(helper) => Trial::test(without, move || Scene::new(case)?.check(Some(helper))),
            Err(why) => support::skipped(without, why),
        });
        let embedded = format!("{name}::embedded");
        trials.push(Trial::test(embedded, move || Scene::new(case)?.check_embedded(case.1)));
        trials.push(place::trial(Place::Portable, name, move || Scene::new(case)?.check(None)));
    }
    let here = |case: Case| Trial::test(format!("walls::{}", case.0), move || Scene::new(case)?.check(None));
    trials.extend(CASES.into_iter().chain(FREESTANDING).map(here));
    trials
}

struct Scene {
    folder: tempfile::TempDir,
    transcript: &'static str,
}

impl Scene {
    fn new((_, options, transcript): Case) -> Result<Self, Failed> {
        let folder = support::scratch();
        let guest = support::repository().join("tests/wasi/guests/walls.wasm");
        support::compile(&guest, &folder.path().join("walls"), options)?;
        let scene = Self { folder, transcript };
        for name in ["box/real", "outside"] {
            fs::create_dir_all(scene.folder.path().join(name))?;
        }
        fs::write(scene.folder.path().join("box/real/secret"), "inside")?;
        fs::write(scene.folder.path().join("outside/secret"), "OUTSIDE")?;
        symlink(scene.folder.path().join("outside"), scene.folder.path().join("box/out"))?;
        Ok(scene)
    }

    /// Runs what the transcript begins its lines with; `helper` starts a program without a system call.
    fn check(&self, helper: Option<&Path>) -> Result<(), Failed> {
        let executable = self.folder.path().join("walls");
        let mut command = match helper {
            Some(helper) => {
                let mut command = Command::new(helper);
                command.arg(executable);
                command
            }
            None => Command::new(executable),
        };
        let outcome = support::run(command.current_dir(self.folder.path()).env_clear(), self.script().as_bytes())?;
        outcome.expect_code(0)?.expect_stdout(self.transcript)?;
        self.check_outside()
    }

    /// The same, with the guest as a library in this process.
    fn check_embedded(&self, options: &[&str]) -> Result<(), Failed> {
        let output = embedded::run_walls(options, self.folder.path(), self.script())?;
        if output != self.transcript {
            return Err(format!("the transcript is\n{output}").into());
        }
        self.check_outside()
    }

    /// What the guest is to do.
    fn script(&self) -> String {
        let lines = self.transcript.lines().filter_map(|line| line.split_once(" -> "));
        lines.map(|(line, _)| format!("{line}\n")).collect()
    }

    fn check_outside(&self) -> Result<(), Failed> {
        let outside: Vec<_> = fs::read_dir(self.folder.path().join("outside"))?.collect::<Result<_, _>>()?;
        if outside.len() != 1 || fs::read(self.folder.path().join("outside/secret"))? != b"OUTSIDE" {
            return Err("what lies outside has changed".into());
        }
        Ok(())
    }
}
