//! Directories that exist only for the guest: files that are granted one by one, and files in the executable.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::process::Probe;
use crate::support;
use crate::support::place::{self, Place};

/// A test that needs nothing from outside.
type Test = fn() -> Result<(), Failed>;

pub(crate) fn trials() -> Vec<Trial> {
    let tests: [(&str, Test); 9] = [
        ("trees::granted_files", granted_files),
        ("trees::read_only_files", read_only_files),
        ("trees::a_granted_file_cannot_be_redirected", a_granted_file_cannot_be_redirected),
        ("trees::missing_file", missing_file),
        ("trees::narrowed", narrowed),
        ("trees::embedded", embedded),
        ("trees::embedded_cannot_be_changed_or_left", embedded_cannot_be_changed_or_left),
        ("trees::many_entries", many_entries),
        ("trees::raw_calls", raw_calls),
    ];
    let mut trials: Vec<Trial> = tests.into_iter().map(|(name, test)| Trial::test(name, test)).collect();
    trials.extend(tests.into_iter().map(|(name, test)| place::trial(Place::Portable, name, test)));
    trials.push(Trial::test("trees::behind_the_wall", behind_the_wall));
    trials
}

/// An operation of the probe that works and prints this.
fn works(probe: &Probe, args: &[&str], stdout: &str) -> Result<(), Failed> {
    let outcome = probe.run(args)?.expect_code(0).and_then(|outcome| outcome.expect_stdout(stdout));
    outcome.map(drop).map_err(|e| format!("{args:?}: {}", e.message().unwrap_or_default()).into())
}

/// One that fails.
fn fails(probe: &Probe, args: &[&str], words: &[&str]) -> Result<(), Failed> {
    let outcome = probe.run(args)?;
    if outcome.code() != 1 || !words.iter().any(|word| outcome.stderr().contains(word)) {
        return Err(
            format!("{args:?} should fail, with one of {words:?}: {}{}", outcome.code(), outcome.shown()).into()
        );
    }
    Ok(())
}

const REFUSED: &[&str] = &["not permitted", "Permission denied", "Capabilities insufficient", "Read-only"];
const NOT_THERE: &[&str] = &["No such file", "not capable", "Capabilities insufficient", "Bad file descriptor"];

const FILES: &[&str] = &["--file", "host/a.conf::/etc/app/a.conf", "--file", "host/b.conf::/etc/app/b.conf:ro"];

fn with_files(options: &[&str]) -> Result<Probe, Failed> {
    let probe = Probe::compile(&[FILES, options].concat())?;
    let host = probe.folder.path().join("host");
    fs::create_dir(&host)?;
    fs::write(host.join("a.conf"), "first")?;
    fs::write(host.join("b.conf"), "second")?;
    fs::write(host.join("secret"), "secret")?;
    Ok(probe)
}

fn granted_files() -> Result<(), Failed> {
    let probe = with_files(&[])?;
    works(&probe, &["cat", "/etc/app/a.conf"], "first")?;
    fails(&probe, &["cat", "/etc/app/./../app/b.conf"], REFUSED)?;
    works(&probe, &["ls", "/etc/app"], "a.conf\nb.conf\n")?;
    works(&probe, &["stat", "/etc/app/a.conf"], "file 5\n")?;
    works(&probe, &["stat", "/etc/app"], "directory 0\n")?;
    works(&probe, &["write", "/etc/app/a.conf", "changed"], "")?;
    works(&probe, &["append", "/etc/app/a.conf", "!"], "")?;
    works(&probe, &["cat", "/etc/app/a.conf"], "changed!")?;
    works(&probe, &["truncate", "/etc/app/a.conf", "3"], "")?;
    works(&probe, &["cat", "/etc/app/a.conf"], "cha")?;
    works(&probe, &["seek", "/etc/app/a.conf", "-2"], "h 2\n")?;
    // What was not granted is not there, although it lies beside.
    for path in ["/etc/app/secret", "/etc/app/../secret", "/etc/secret", "host/secret", "/etc/app/a.conf/x"] {
        fails(&probe, &["cat", path], &[NOT_THERE, REFUSED, &["Not a directory"]].concat())?;
    }
    for args in [
        &["create", "/etc/app/new", "x"][..],
        &["create", "/etc/app/a.conf", "x"],
        &["mkdir", "/etc/app/new"],
        &["rm", "/etc/app/a.conf"],
        &["rmdir", "/etc/app"],
        &["mv", "/etc/app/a.conf", "/etc/app/c.conf"],
        &["link", "/etc/app/a.conf", "/etc/app/c.conf"],
        &["symlink", "a.conf", "/etc/app/c.conf"],
        &["touch", "/etc/app/a.conf"],
    ] {
        fails(&probe, args, &[REFUSED, &["File exists"]].concat())?;
    }
    fails(&probe, &["readlink", "/etc/app/a.conf"], &["Invalid argument"])
}

fn read_only_files() -> Result<(), Failed> {
    let probe = with_files(&[])?;
    for args in [
        &["write", "/etc/app/b.conf", "x"][..],
        &["append", "/etc/app/b.conf", "x"],
        &["truncate", "/etc/app/b.conf", "0"],
        &["touch", "/etc/app/b.conf"],
    ] {
        fails(&probe, args, REFUSED)?;
    }
    works(&probe, &["cat", "/etc/app/b.conf"], "second")
}

/// The grant is a name in a directory, found once: a link that somebody puts there later leads nowhere.
fn a_granted_file_cannot_be_redirected() -> Result<(), Failed> {
    // A link of the user's own is followed when the program starts.
    let probe = with_files(&["--dir", "host::/host"])?;
    let host = probe.folder.path().join("host");
    fs::rename(host.join("a.conf"), host.join("real.conf"))?;
    symlink("real.conf", host.join("middle.conf"))?;
    symlink(host.join("middle.conf"), host.join("a.conf"))?;
    works(&probe, &["cat", "/etc/app/a.conf"], "first")?;
    // The guest itself may write to the directory of the host: it replaces the file, while it runs, by a link.
    let guest = support::repository().join("tests/run/guests/redirect.wat");
    let executable = probe.folder.path().join("redirect");
    support::compile(&guest, &executable, ["--dir", "host::/host", "--file", "host/b.conf::/granted/b.conf"])?;
    let outcome = support::run(Command::new(&executable).current_dir(probe.folder.path()), b"")?;
    // 32: too many levels of symbolic links.
    outcome.expect_code(32)?.expect_stdout("")?;
    if fs::read_link(host.join("b.conf"))? != Path::new("secret") {
        return Err("the guest did not make its link: the test shows nothing".into());
    }
    Ok(())
}

fn missing_file() -> Result<(), Failed> {
    let probe = Probe::compile(&["--file", "not-there.conf"])?;
    probe.run(&["args"])?.expect_code(69)?.expect_stdout("")?.expect_stderr("not-there.conf")?;
    let probe = Probe::compile(&["--file", "folder"])?;
    fs::create_dir(probe.folder.path().join("folder"))?;
    probe.run(&["args"])?.expect_code(69)?.expect_stderr("folder")?;
    Ok(())
}

fn narrowed() -> Result<(), Failed> {
    let probe = with_files(&[])?;
    let run = |policy: &str, args: &[&str]| support::run(probe.command(args)?.env("WASMELT_POLICY", policy), b"");
    run("read-only=/etc/app", &["write", "/etc/app/a.conf", "x"])?.expect_code(1)?;
    run("read-only=*", &["append", "/etc/app/a.conf", "x"])?.expect_code(1)?;
    run("read-only=/etc/app", &["cat", "/etc/app/a.conf"])?.expect_code(0)?.expect_stdout("first")?;
    run("no-dir=/etc/app", &["cat", "/etc/app/a.conf"])?.expect_code(1)?;
    run("no-dir=/etc", &["cat", "/etc/app/a.conf"])?.expect_code(69)?;
    Ok(())
}

/// A probe with a folder embedded, far from that folder.
fn with_embedded(options: &[&str]) -> Result<Probe, Failed> {
    let assets = support::scratch();
    let path = |name: &str| assets.path().join(name);
    fs::create_dir_all(path("sub/deep"))?;
    fs::create_dir(path("empty"))?;
    fs::write(path("file"), "0123456789")?;
    fs::write(path("sub/deep/note"), "deep")?;
    fs::write(path("none"), "")?;
    symlink("sub/deep/note", path("link"))?;
    let embed = format!("{}::/assets", assets.path().display());
    Probe::compile(&[&["--embed", &embed], options].concat())
}

fn embedded() -> Result<(), Failed> {
    let probe = with_embedded(&[])?;
    works(&probe, &["cat", "/assets/file"], "0123456789")?;
    works(&probe, &["cat", "/assets/sub/deep/note"], "deep")?;
    works(&probe, &["cat", "/assets/sub/../sub/./deep/note"], "deep")?;
    works(&probe, &["cat", "/assets/link"], "deep")?;
    works(&probe, &["cat", "/assets/none"], "")?;
    works(&probe, &["ls", "/assets"], "empty\nfile\nlink\nnone\nsub\n")?;
    works(&probe, &["ls", "/assets/empty"], "")?;
    works(&probe, &["ls", "/assets/sub/deep"], "note\n")?;
    works(&probe, &["stat", "/assets/file"], "file 10\n")?;
    works(&probe, &["stat", "/assets/sub"], "directory 0\n")?;
    works(&probe, &["seek", "/assets/file", "4"], "4 5\n")?;
    works(&probe, &["seek", "/assets/file", "-2"], "8 9\n")?;
    fails(&probe, &["cat", "/assets/file/x"], &["Not a directory"])?;
    fails(&probe, &["cat", "/assets/nothing"], NOT_THERE)?;
    fails(&probe, &["readlink", "/assets/link"], &["Invalid argument"])
}

fn embedded_cannot_be_changed_or_left() -> Result<(), Failed> {
    let probe = with_embedded(&["--dir", "box::/box"])?;
    fs::create_dir(probe.folder.path().join("box"))?;
    fs::write(probe.folder.path().join("box/file"), "box")?;
    for args in [
        &["write", "/assets/file", "x"][..],
        &["append", "/assets/file", "x"],
        &["create", "/assets/new", "x"],
        &["truncate", "/assets/file", "0"],
        &["touch", "/assets/file"],
        &["mkdir", "/assets/new"],
        &["rm", "/assets/file"],
        &["rmdir", "/assets/empty"],
        &["mv", "/assets/file", "/assets/moved"],
        &["mv", "/assets/file", "/box/moved"],
        &["mv", "/box/file", "/assets/moved"],
        &["link", "/assets/file", "/box/linked"],
        &["link", "/box/file", "/assets/linked"],
        &["symlink", "file", "/assets/soft"],
    ] {
        fails(&probe, args, REFUSED)?;
    }
    for path in ["/assets/..", "/assets/../etc/passwd", "/assets/sub/../../etc/passwd", "/assets/../assets/file"] {
        // The C library of the guest may take `..` apart itself; what is left is not a grant.
        fails(&probe, &["cat", path], &[REFUSED, NOT_THERE].concat())?;
    }
    works(&probe, &["cat", "/box/file"], "box")?;
    works(&probe, &["cat", "/assets/file"], "0123456789")
}

/// More entries than one buffer of the C library holds: each cookie continues where it should.
fn many_entries() -> Result<(), Failed> {
    let assets = support::scratch();
    let names: Vec<String> = (0..2000).map(|i| format!("entry-with-a-longer-name-{i:04}")).collect();
    for name in &names {
        fs::write(assets.path().join(name), name)?;
    }
    let probe = Probe::compile(&["--embed", &format!("{}::/many", assets.path().display())])?;
    works(&probe, &["ls", "/many"], &(names.join("\n") + "\n"))?;
    works(&probe, &["cat", "/many/entry-with-a-longer-name-1234"], &names[1234])
}

/// What the C library never does: see the guest.
fn raw_calls() -> Result<(), Failed> {
    let assets = support::scratch();
    fs::write(assets.path().join("file"), "0123456789")?;
    let folder = support::scratch();
    let executable = folder.path().join("guest");
    let guest = support::repository().join("tests/run/guests/tree-calls.wat");
    support::compile(&guest, &executable, ["--embed", &format!("{}::/assets", assets.path().display())])?;
    support::run(&mut Command::new(&executable), b"")?.expect_code(0)?;
    Ok(())
}

fn behind_the_wall() -> Result<(), Failed> {
    let probe = with_files(&["--harden"])?;
    works(&probe, &["cat", "/etc/app/b.conf"], "second")?;
    works(&probe, &["write", "/etc/app/a.conf", "changed"], "")?;
    works(&probe, &["cat", "/etc/app/a.conf"], "changed")?;
    works(&probe, &["ls", "/etc/app"], "a.conf\nb.conf\n")?;
    let probe = with_embedded(&["--harden"])?;
    works(&probe, &["cat", "/assets/sub/deep/note"], "deep")?;
    works(&probe, &["ls", "/assets"], "empty\nfile\nlink\nnone\nsub\n")
}
