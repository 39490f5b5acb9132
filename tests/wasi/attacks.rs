//! Attacks on the walls of the file system, by each of the ways in which paths are resolved: with `openat2`, without it,
//! and by the portable runtime. Each attack says what it tries and what must not happen.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use libtest_mimic::{Failed, Trial};

use crate::support::foreign::System;
use crate::support::place::{self, Place};
use crate::{embedded, guest, support};

/// How paths are resolved.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Kernel,
    Walk,
    Portable,
    /// By a library in a host program.
    Embedded,
}

type Attack = fn(Way) -> Result<(), Failed>;

const ATTACKS: [(&str, Attack); 11] = [
    ("a_directory_becomes_a_link_meanwhile", a_directory_becomes_a_link_meanwhile),
    ("a_file_becomes_a_link_meanwhile", a_file_becomes_a_link_meanwhile),
    ("a_directory_is_moved_out_meanwhile", a_directory_is_moved_out_meanwhile),
    ("links_of_proc", links_of_proc),
    ("devices_and_pipes", devices_and_pipes),
    ("links_between_two_grants", links_between_two_grants),
    ("chains_of_links", chains_of_links),
    ("ten_thousand_descriptors", ten_thousand_descriptors),
    ("odd_names", odd_names),
    ("single_files", single_files),
    ("a_single_file_becomes_a_link_meanwhile", a_single_file_becomes_a_link_meanwhile),
];

/// How many attacks there are, each in four ways.
pub(crate) fn count() -> usize {
    ATTACKS.len() * 4
}

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, attack) in ATTACKS {
        trials.push(Trial::test(format!("attack::{name}"), move || attack(Way::Kernel)));
        let without = format!("attack::{name}::without_openat2");
        trials.push(match support::kernel::without_openat2() {
            Ok(_) => Trial::test(without, move || attack(Way::Walk)),
            Err(why) => support::skipped(without, why),
        });
        trials.push(Trial::test(format!("attack::{name}::embedded"), move || attack(Way::Embedded)));
        trials.push(place::trial(Place::Portable, format!("attack::{name}"), move || attack(Way::Portable)));
    }
    trials.push(place::trial(Place::Foreign(System::Windows), "attack::names_of_windows", names_of_windows));
    trials
}

/// Names with a meaning of their own on Windows lead nowhere: drives, devices, streams, the other separator.
fn names_of_windows() -> Result<(), Failed> {
    const NAMES: [&str; 16] = [
        "../outside/secret",
        r"..\outside\secret",
        r"real\..\..\outside\secret",
        "C:/windows/win.ini",
        r"C:\windows\win.ini",
        "C:win.ini",
        "Z:/etc/passwd",
        r"\windows\win.ini",
        r"\\?\Z:\etc\passwd",
        r"\??\Z:\etc\passwd",
        "NUL",
        "CON",
        "COM1",
        "nul.txt",
        "real/secret:stream",
        "real/secret::$DATA",
    ];
    let scene = Scene::new(Way::Portable, &[])?;
    // The one that has to work comes last.
    let opened = NAMES.map(|name| format!("path_open 3 1 \"{name}\" 0 2 0 0 @0\n")).concat();
    let script = opened + "path_open 3 1 \"real/secret\" 0 2 0 0 @0\n";
    let mut command = place::program(&scene.executable)?;
    let outcome = support::run(command.current_dir(scene.folder.path()), script.as_bytes())?.expect_code(0)?;
    let transcript = outcome.stdout();
    let worked: Vec<&str> = transcript.lines().filter(|line| line.contains("-> SUCCESS")).collect();
    if transcript.lines().count() != NAMES.len() + 1 || worked.len() != 1 || !worked[0].contains("\"real/secret\"") {
        return Err(format!("what was opened:\n{transcript}").into());
    }
    Ok(())
}

/// The folder `box`, which is granted, with `outside/secret` beside it.
struct Scene {
    folder: tempfile::TempDir,
    executable: PathBuf,
    options: Vec<String>,
    way: Way,
}

impl Scene {
    fn new(way: Way, options: &[&str]) -> Result<Self, Failed> {
        let folder = support::scratch();
        let executable = folder.path().join("probe");
        let options = [&["--dir", "box::/box"], options].concat();
        if way != Way::Embedded {
            support::compile(&guest(), &executable, &options)?;
        }
        let options = options.into_iter().map(str::to_owned).collect();
        let scene = Self { folder, executable, options, way };
        for name in ["box/real", "outside"] {
            fs::create_dir_all(scene.path(name))?;
        }
        fs::write(scene.path("box/real/secret"), "inside")?;
        fs::write(scene.path("outside/secret"), "OUTSIDE")?;
        Ok(scene)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The transcript of a script.
    fn run(&self, script: &str) -> Result<String, Failed> {
        let transcript = match self.way {
            Way::Embedded => embedded::run(&self.options, self.folder.path(), script)?,
            _ => self.run_executable(script)?,
        };
        if transcript.contains("OUTSIDE") || transcript.contains("root:") {
            return Err(format!("the guest saw what lies outside:\n{transcript}").into());
        }
        Ok(transcript)
    }

    fn run_executable(&self, script: &str) -> Result<String, Failed> {
        let mut command = match self.way {
            Way::Walk => {
                let mut command = Command::new(support::kernel::without_openat2()?);
                command.arg(&self.executable);
                command
            }
            Way::Kernel | Way::Portable | Way::Embedded => Command::new(&self.executable),
        };
        let outcome = support::run(command.current_dir(self.folder.path()).env_clear(), script.as_bytes())?;
        Ok(outcome.expect_code(0)?.stdout())
    }

    /// What lies outside is what it was.
    fn outside_is_untouched(&self) -> Result<(), Failed> {
        let names: Vec<_> =
            fs::read_dir(self.path("outside"))?.map(|entry| entry.map(|e| e.file_name())).collect::<Result<_, _>>()?;
        if names != ["secret"] || fs::read(self.path("outside/secret"))? != b"OUTSIDE" {
            return Err(format!("outside there is now {names:?}").into());
        }
        Ok(())
    }

    /// Runs a script while somebody else changes the folder all the time.
    fn race(&self, script: &str, mut change: impl FnMut(&Path) + Send) -> Result<String, Failed> {
        let (over, root) = (AtomicBool::new(false), self.folder.path());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    change(root);
                }
            });
            let transcript = self.run(script);
            over.store(true, Ordering::Relaxed);
            transcript
        })
    }
}

/// For how long races run, in milliseconds; five seconds where everything is tried.
fn race_ms() -> u64 {
    if support::switch("WASMELT_REQUIRE_ALL") { 5000 } else { 500 }
}

fn must_have_seen(transcript: &str, parts: &[&str]) -> Result<(), Failed> {
    match parts.iter().find(|part| !transcript.contains(**part)) {
        None => Ok(()),
        Some(part) => Err(format!("the race was never won or lost: no {part} in\n{transcript}").into()),
    }
}

fn a_directory_becomes_a_link_meanwhile(way: Way) -> Result<(), Failed> {
    let scene = Scene::new(way, &[])?;
    symlink("../outside", scene.path("box/link"))?;
    fs::rename(scene.path("box/real"), scene.path("box/dir"))?;
    let swap = |root: &Path| {
        let at = |name: &str| root.join("box").join(name);
        let _ = fs::rename(at("dir"), at("real")).and_then(|()| fs::rename(at("link"), at("dir")));
        let _ = fs::rename(at("dir"), at("link")).and_then(|()| fs::rename(at("real"), at("dir")));
    };
    let half = race_ms() / 2;
    let transcript = scene.race(&format!("spy {half} \"dir/secret\"\nmake {half} \"dir/made\"\n"), swap)?;
    must_have_seen(&transcript, &["inside", "PERM", "MADE"])?;
    scene.outside_is_untouched()
}

fn a_file_becomes_a_link_meanwhile(way: Way) -> Result<(), Failed> {
    let scene = Scene::new(way, &[])?;
    fs::write(scene.path("box/file"), "inside")?;
    symlink("../outside/secret", scene.path("box/link"))?;
    let swap = |root: &Path| {
        let at = |name: &str| root.join("box").join(name);
        let _ = fs::rename(at("file"), at("kept")).and_then(|()| fs::rename(at("link"), at("file")));
        let _ = fs::rename(at("file"), at("link")).and_then(|()| fs::rename(at("kept"), at("file")));
    };
    let transcript = scene.race(&format!("spy {} \"file\"\n", race_ms()), swap)?;
    must_have_seen(&transcript, &["inside", "PERM"])?;
    scene.outside_is_untouched()
}

fn a_directory_is_moved_out_meanwhile(way: Way) -> Result<(), Failed> {
    let scene = Scene::new(way, &[])?;
    fs::create_dir_all(scene.path("box/a/b"))?;
    fs::write(scene.path("box/secret"), "inside")?;
    // Where `b` would lead, were it outside.
    fs::create_dir(scene.path("elsewhere"))?;
    fs::write(scene.path("secret"), "OUTSIDE")?;
    let swap = |root: &Path| {
        let _ = fs::rename(root.join("box/a/b"), root.join("elsewhere/b"));
        let _ = fs::rename(root.join("elsewhere/b"), root.join("box/a/b"));
    };
    let transcript = scene.race(&format!("spy {} \"a/b/../../secret\"\n", race_ms()), swap)?;
    must_have_seen(&transcript, &["inside"])?;
    scene.outside_is_untouched()
}

/// `/proc/self/fd` and its like have links that lead where no text says.
fn links_of_proc(way: Way) -> Result<(), Failed> {
    let scene = Scene::new(way, &["--dir", "/proc::/proc"])?;
    let mut script = String::new();
    for path in ["self/fd/0", "self/fd/3/secret", "self/root/etc/passwd", "self/cwd/outside/secret", "self/exe"] {
        script += &format!("path_open 4 1 \"{path}\" 0 2 0 0 @0 | u32@0\n");
        script += &format!("path_open 4 1 \"{path}\" 8 66 0 0 @0 | u32@0\n");
    }
    for path in ["self/mem", "self/comm", "self/oom_score_adj"] {
        script += &format!("path_open 4 1 \"{path}\" 0 66 0 0 @0 | u32@0\n");
    }
    let transcript = scene.run(&script)?;
    if transcript.contains("SUCCESS") {
        return Err(transcript.into());
    }
    scene.outside_is_untouched()
}

/// A guest cannot make devices or pipes, and finds those that somebody else put there as what they are.
fn devices_and_pipes(way: Way) -> Result<(), Failed> {
    let scene = Scene::new(way, &["--dir", "/dev::/dev"])?;
    let made = Command::new("mkfifo").arg(scene.path("box/pipe")).status()?;
    if !made.success() {
        return Err("mkfifo fails".into());
    }
    // For reading and writing at once a pipe opens without anybody at its other end.
    let transcript = scene.run(
        "path_filestat_get 3 1 \"pipe\" @0 | filestat@0\npath_open 3 1 \"pipe\" 0 66 0 4 @0 | f=u32@0\n\
         fd_write $f ciov:\"x\" @0 | u32@0\nfd_read $f iov:4 @0 | u32@0\nfd_read $f iov:4 @0\nfd_seek $f 0 0 @0\n\
         fd_pread $f iov:4 0 @0\npath_open 3 1 \"pipe/x\" 0 2 0 0 @0\npath_open 3 1 \"pipe\" 2 2 0 0 @0\n",
    )?;
    for part in ["type=0", "-> SUCCESS 1", "AGAIN", "SPIPE", "NOTDIR"] {
        if !transcript.contains(part) {
            return Err(format!("no {part} in\n{transcript}").into());
        }
    }
    // Whoever grants `/dev` grants devices: they are opened as such, and none becomes the terminal of the process.
    let transcript = scene.run(
        "path_filestat_get 4 1 \"zero\" @0 | filestat@0\npath_open 4 1 \"zero\" 0 2 0 0 @0 | z=u32@0\n\
         fd_read $z iov:4 @0 | u32@0 text:4\npath_open 4 1 \"full\" 0 64 0 0 @0 | f=u32@0\nfd_write $f ciov:\"x\" @0\n\
         path_open 4 1 \"null/x\" 0 2 0 0 @0\npath_open 4 1 \"fd/0\" 0 2 0 0 @0\n",
    )?;
    for part in ["type=2", "4 \"\\0\\0\\0\\0\"", "NOSPC", "NOTDIR", "\"fd/0\" 0 2 0 0 @0 -> PERM"] {
        if !transcript.contains(part) {
            return Err(format!("no {part} in\n{transcript}").into());
        }
    }
    Ok(())
}

/// What one grant allows to be read does not become writable by being moved or linked into another.
fn links_between_two_grants(way: Way) -> Result<(), Failed> {
    let scene = Scene::new(way, &["--dir", "kept::/kept:ro"])?;
    fs::create_dir(scene.path("kept"))?;
    fs::write(scene.path("kept/file"), "kept")?;
    let transcript = scene.run(
        "path_link 4 0 \"file\" 3 \"linked\"\npath_rename 4 \"file\" 3 \"moved\"\npath_link 3 0 \"real/secret\" 4 \"x\"\n\
         path_rename 3 \"real\" 4 \"x\"\npath_rename 3 \"real\" 4 \"file\"\npath_symlink \"../kept/file\" 3 \"soft\"\n\
         path_open 3 1 \"soft\" 0 66 0 0 @0\npath_open 3 1 \"soft\" 0 2 0 0 @0\npath_open 4 1 \"file\" 8 66 0 0 @0\n\
         path_open 4 1 \"file\" 0 64 0 1 @0\npath_open 4 1 \"new\" 1 2 0 0 @0\n\
         path_open 4 1 \"file\" 0 2 0 0 @0 | f=u32@0\nfd_write $f ciov:\"x\" @0\nfd_filestat_set_size $f 0\n\
         fd_filestat_set_times $f 0 0 5\nfd_allocate $f 0 9\nfd_renumber $f 3\npath_open 3 1 \"file\" 0 66 0 0 @0\n",
    )?;
    let successes: Vec<_> = transcript.lines().filter(|line| line.contains("SUCCESS")).collect();
    // Making the link and opening for reading are allowed, and to take another number.
    if successes.len() != 3 || fs::read(scene.path("kept/file"))? != b"kept" {
        return Err(transcript.into());
    }
    Ok(())
}

/// Files that are granted one by one, in a directory at number 4 that has nothing else.
fn with_single_files(way: Way) -> Result<Scene, Failed> {
    let scene = Scene::new(way, &["--file", "host/a::/granted/a", "--file", "host/link::/granted/b:ro"])?;
    fs::create_dir(scene.path("host"))?;
    fs::write(scene.path("host/a"), "first")?;
    fs::write(scene.path("host/second"), "second")?;
    fs::write(scene.path("host/secret"), "OUTSIDE")?;
    symlink("second", scene.path("host/link"))?;
    Ok(scene)
}

fn single_files(way: Way) -> Result<(), Failed> {
    let scene = with_single_files(way)?;
    // What is granted, and how: to be written, by its name or through a link that the host had.
    let transcript = scene.run(
        "path_open 4 1 \"a\" 0 66 0 0 @0 | f=u32@0\nfd_read $f iov:10 @0 | text:5\nfd_write $f ciov:\"!\" @0\n\
         path_open 4 1 \"./b\" 0 2 0 0 @0 | f=u32@0\nfd_read $f iov:10 @0 | text:6\n\
         path_open 4 1 \".\" 2 0 0 0 @0 | d=u32@0\npath_open $d 1 \"a\" 0 2 0 0 @0\nfd_filestat_get $d @0 | filestat@0\n\
         path_filestat_get 4 1 \"b\" @0 | filestat@0\nfd_prestat_get 4 @0\nfd_readdir 4 @64 200 0 @0\nfd_sync $f\n",
    )?;
    let successes = transcript.lines().filter(|line| line.contains("SUCCESS")).count();
    if successes != 12 || !transcript.contains("first") || !transcript.contains("second") {
        return Err(format!("what is granted does not work:\n{transcript}").into());
    }
    if fs::read(scene.path("host/a"))? != b"first!" {
        return Err("the guest has not written".into());
    }
    // Nothing else: names beside it, above it and below it, whatever changes the directory, and writing to the other.
    let transcript = scene.run(
        "path_open 4 1 \"secret\" 0 2 0 0 @0\npath_open 4 1 \"second\" 0 2 0 0 @0\npath_open 4 1 \"link\" 0 2 0 0 @0\n\
         path_open 4 1 \"../host/a\" 0 2 0 0 @0\npath_open 4 1 \"a/../secret\" 0 2 0 0 @0\npath_open 4 1 \"a/x\" 0 2 0 0 @0\n\
         path_open 4 1 \"a/\" 0 2 0 0 @0\npath_open 4 1 \"..\" 2 0 0 0 @0\npath_open 4 1 \"/etc/passwd\" 0 2 0 0 @0\n\
         path_open 4 1 \"\" 0 2 0 0 @0\npath_open 4 1 \"a\" 2 2 0 0 @0\npath_open 4 1 \"new\" 1 66 0 0 @0\n\
         path_open 4 1 \"a\" 5 66 0 0 @0\npath_open 4 1 \".\" 0 66 0 0 @0\npath_open 4 1 \"b\" 0 66 0 0 @0\n\
         path_open 4 1 \"b\" 8 66 0 0 @0\npath_open 4 1 \"b\" 0 64 0 1 @0\npath_create_directory 4 \"new\"\n\
         path_unlink_file 4 \"a\"\npath_remove_directory 4 \".\"\npath_rename 4 \"a\" 4 \"c\"\npath_rename 4 \"a\" 3 \"c\"\n\
         path_rename 3 \"real/secret\" 4 \"a\"\npath_link 4 0 \"a\" 3 \"c\"\npath_link 3 0 \"real/secret\" 4 \"c\"\n\
         path_symlink \"a\" 4 \"c\"\npath_readlink 4 \"b\" @64 10 @0\npath_filestat_set_times 4 1 \"a\" 0 0 5\n\
         path_filestat_get 4 1 \"secret\" @0\nfd_filestat_set_size 4 0\nfd_filestat_set_times 4 0 0 5\nfd_allocate 4 0 9\n\
         fd_read 4 iov:4 @0\nfd_write 4 ciov:\"x\" @0\nfd_pread 4 iov:4 0 @0\nfd_seek 4 0 0 @0\nsock_shutdown 4 2\n\
         sock_accept 4 0 @0\n",
    )?;
    let successes: Vec<_> = transcript.lines().filter(|line| line.contains("SUCCESS")).collect();
    let host: BTreeSet<_> =
        fs::read_dir(scene.path("host"))?.map(|entry| entry.map(|e| e.file_name())).collect::<Result<_, _>>()?;
    let contents = ["a", "second"].map(|name| fs::read(scene.path(&format!("host/{name}"))).unwrap_or_default());
    if !successes.is_empty() || host.len() != 4 || contents != [&b"first!"[..], b"second"] {
        return Err(format!("{successes:?}, {host:?}, {contents:?}").into());
    }
    // A number that stood for the directory is a file's afterwards, and closing the directory closes nothing else.
    let transcript = scene.run(
        "path_open 4 1 \"a\" 0 2 0 0 @0 | f=u32@0\nfd_renumber $f 4\nfd_read 4 iov:10 @0 | text:5\nfd_close 4\nfd_read 4 iov:1 @0\n\
         fd_prestat_get 4 @0\npath_open 3 1 \"real/secret\" 0 2 0 0 @0 | f=u32@0\nfd_read $f iov:6 @0 | text:6\n",
    )?;
    let successes = transcript.lines().filter(|line| line.contains("SUCCESS")).count();
    if successes != 6 { Err(transcript.into()) } else { scene.outside_is_untouched() }
}

fn a_single_file_becomes_a_link_meanwhile(way: Way) -> Result<(), Failed> {
    let scene = with_single_files(way)?;
    symlink("secret", scene.path("host/bad"))?;
    let swap = |root: &Path| {
        // What the name stands for when the guest starts is what is granted, links included.
        if !root.join("box/started").exists() {
            return;
        }
        let at = |name: &str| root.join("host").join(name);
        let _ = fs::rename(at("a"), at("kept")).and_then(|()| fs::rename(at("bad"), at("a")));
        let _ = fs::rename(at("a"), at("bad")).and_then(|()| fs::rename(at("kept"), at("a")));
    };
    let attempt = "path_open 4 1 \"a\" 0 2 0 0 @0 | f=u32@0\nfd_read $f iov:10 @0 | text:7\nfd_close $f\n";
    let script = format!("{attempt}path_open 3 0 \"started\" 1 66 0 0 @0\n{}", attempt.repeat(2000));
    // A round is short: where the processors have other work, all of it may lie between two changes.
    let mut transcript = String::new();
    for _ in 0..20 {
        let _ = fs::remove_file(scene.path("box/started"));
        transcript += &scene.race(&script, swap)?;
        if transcript.contains("LOOP") {
            break;
        }
    }
    must_have_seen(&transcript, &["first", "LOOP"])
}

fn chains_of_links(way: Way) -> Result<(), Failed> {
    let scene = Scene::new(way, &[])?;
    // Each leads to the one before; the first leads in, or out.
    for (name, target) in [("in", "real/secret"), ("out", "../outside/secret"), ("abs", "/etc/passwd")] {
        symlink(target, scene.path(&format!("box/{name}0")))?;
        for i in 1..50 {
            symlink(format!("{name}{}", i - 1), scene.path(&format!("box/{name}{i}")))?;
        }
    }
    symlink("turn/../turn", scene.path("box/turn"))?;
    let transcript = scene.run(
        "spy 1 \"in30\"\nspy 1 \"in49\"\nspy 1 \"out0\"\nspy 1 \"out30\"\nspy 1 \"out49\"\nspy 1 \"abs1\"\nspy 1 \"turn\"\n",
    )?;
    let expected = ["\"inside\"", "LOOP", "PERM", "PERM", "LOOP|PERM", "PERM", "LOOP|PERM"];
    for (line, expected) in transcript.lines().zip(expected) {
        if !expected.split('|').any(|word| line.ends_with(word)) {
            return Err(format!("expected {expected}: {line}").into());
        }
    }
    scene.outside_is_untouched()
}

fn ten_thousand_descriptors(way: Way) -> Result<(), Failed> {
    let scene = Scene::new(way, &[])?;
    let script = "repeat 10000 path_open 3 1 \"real/secret\" 0 2 0 0 @0\nfd_close 100\nspy 1 \"real/secret\"\n";
    // The limit is the system's for an executable, and the context's for a guest of a host program.
    let transcript = if way == Way::Embedded {
        scene.run(script)?
    } else {
        let line = format!("ulimit -n 4096; exec '{}' < script", scene.executable.display());
        fs::write(scene.path("script"), script)?;
        let outcome = support::run(Command::new("/bin/sh").args(["-c", &line]).current_dir(scene.folder.path()), b"")?;
        outcome.expect_code(0)?.stdout()
    };
    for part in ["\"MFILE\": ", "\"SUCCESS\": ", "\"inside\""] {
        if !transcript.contains(part) {
            return Err(format!("no {part} in\n{transcript}").into());
        }
    }
    Ok(())
}

/// Names that are anything but a slash and a NUL.
fn odd_names(way: Way) -> Result<(), Failed> {
    let scene = Scene::new(way, &[])?;
    let long = "n".repeat(255);
    for name in ["with\nnewline", " ", "...", "-rf", "\u{202e}", &long] {
        fs::write(scene.path("box").join(name), "odd")?;
    }
    let too_long = "n".repeat(256);
    let deep = "real/../".repeat(600);
    let transcript = scene.run(&format!(
        "fd_readdir 3 buf:100000 0 @0 | n=u32@0 count:$n\nspy 1 \"with\\x0anewline\"\nspy 1 \"...\"\nspy 1 \"-rf\"\nspy 1 \"{long}\"\n\
         spy 1 \"{too_long}\"\nspy 1 \"{deep}\"\n"
    ))?;
    let ends = [" 9", "\"odd\"", "\"odd\"", "\"odd\"", "\"odd\"", "NAMETOOLONG", "NAMETOOLONG"];
    for (line, end) in transcript.lines().zip(ends) {
        if !line.ends_with(end) {
            let shown: String = line.chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
            return Err(format!("expected {end}: {shown}").into());
        }
    }
    Ok(())
}
