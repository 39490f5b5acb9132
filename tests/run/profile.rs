//! `--profile-generate` and `--profile-use`: what programs write, whichever way they end, and that programs which are
//! compiled with a profile do the same, whatever is in it.
//!
//! The guest is `guests/profile.wat`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::support;
use crate::support::foreign::System;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("profile::counts_and_ends", counts_and_ends),
        Trial::test("profile::runs_are_added", runs_are_added),
        Trial::test("profile::whatever_is_in_it", whatever_is_in_it),
        Trial::test("profile::survives_edits", survives_edits),
        Trial::test("profile::cannot_be_written", cannot_be_written),
        Trial::test("profile::of_a_component", of_a_component),
        Trial::test("profile::of_several_instances", of_several_instances),
        Trial::test("profile::serves_libraries", serves_libraries),
    ];
    trials.push(System::LinuxAarch64.trial("profile", elsewhere));
    trials
}

/// What the guest prints.
const OUTPUT: &str = "necgdkfa\n";

/// How often the parts of functions are executed that `guests/profile.wat` has in its loop.
const EXPECTED: [u64; 3] = [1000, 2000, 3000];

fn guest() -> PathBuf {
    support::repository().join("tests/run/guests/profile.wat")
}

/// Runs a program that writes its profile to `profile`.
fn record(program: &Path, profile: &Path, stdin: &[u8], code: i32) -> Result<Vec<u8>, Failed> {
    let mut command = Command::new(program);
    support::run(command.env("WASMELT_PROFILE", profile), stdin)?.expect_code(code)?.expect_stdout(OUTPUT)?;
    Ok(fs::read(profile)?)
}

/// The counters of a profile.
fn counters(profile: &[u8]) -> Vec<u64> {
    let functions = u64::from_le_bytes(profile[8..16].try_into().expect("8 bytes"));
    profile[16 + 20 * functions as usize..]
        .chunks(8)
        .map(|b| u64::from_le_bytes(b.try_into().expect("whole")))
        .collect()
}

fn instrumented(folder: &Path) -> Result<PathBuf, Failed> {
    let program = folder.join("instrumented");
    support::compile(&guest(), &program, ["--profile-generate"])?;
    Ok(program)
}

fn counts_and_ends() -> Result<(), Failed> {
    let folder = support::scratch();
    let program = instrumented(folder.path())?;
    let path = folder.path().join("profile");
    let returned = record(&program, &path, b"r", 0)?;
    for expected in EXPECTED {
        if !counters(&returned).contains(&expected) {
            return Err(format!("nothing was executed {expected} times: {:?}", counters(&returned)).into());
        }
    }
    for (end, code) in [(b"e", 3), (b"u", 134), (b"m", 134), (b"s", 134)] {
        fs::remove_file(&path)?;
        let profile = record(&program, &path, end, code)?;
        let (len, sum) = (profile.len(), counters(&profile).iter().sum::<u64>());
        if len != returned.len() || sum <= 10_000 {
            return Err(format!("a profile of {len} bytes, and {sum} in all, after the end `{end:?}`").into());
        }
    }
    // Without the variable, the profile goes to the working directory.
    let mut command = Command::new(&program);
    support::run(command.current_dir(folder.path()).env_remove("WASMELT_PROFILE"), b"r")?.expect_code(0)?;
    let names: Vec<_> =
        fs::read_dir(folder.path())?.map(|entry| Ok(entry?.file_name())).collect::<std::io::Result<_>>()?;
    if names.len() != 3 || fs::read(folder.path().join("default.wasmprof"))? != returned {
        return Err(format!("the folder has {names:?}").into());
    }
    Ok(())
}

/// Compiles the guest with profiles, and runs it.
fn use_profiles(folder: &Path, profiles: &[&Path]) -> Result<Vec<u8>, Failed> {
    let program = folder.join("optimised");
    let list: Vec<_> = profiles.iter().map(|path| path.display().to_string()).collect();
    support::compile(&guest(), &program, ["--profile-use", &list.join(",")])?;
    support::run(&mut Command::new(&program), b"e")?.expect_code(3)?.expect_stdout(OUTPUT)?;
    support::run(&mut Command::new(&program), b"u")?.expect_code(134)?.expect_stderr("wasm trap: unreachable")?;
    Ok(fs::read(program)?)
}

fn runs_are_added() -> Result<(), Failed> {
    let folder = support::scratch();
    let program = instrumented(folder.path())?;
    let [a, b] = ["a", "b"].map(|name| folder.path().join(name));
    record(&program, &a, b"r", 0)?;
    record(&program, &b, b"e", 3)?;
    let plain = folder.path().join("plain");
    support::compile(&guest(), &plain, [""; 0])?;
    let (one, both) = (use_profiles(folder.path(), &[&a])?, use_profiles(folder.path(), &[&a, &b])?);
    if fs::read(plain)? == one || one == both {
        return Err("the profiles change nothing".into());
    }
    if one != use_profiles(folder.path(), &[&a])? {
        return Err("the same profile gives another program".into());
    }
    Ok(())
}

fn whatever_is_in_it() -> Result<(), Failed> {
    let folder = support::scratch();
    let program = instrumented(folder.path())?;
    let path = folder.path().join("profile");
    let profile = record(&program, &path, b"r", 0)?;
    let start = profile.len() - 8 * counters(&profile).len();
    let made_up: [&dyn Fn(usize) -> u64; 5] =
        [&|_| 0, &|_| u64::MAX, &|n| (n as u64 % 2) * u64::MAX, &|n| u64::from(n == 0), &|n| {
            (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (n % 61)
        }];
    for count in made_up {
        let counters = (0..counters(&profile).len()).flat_map(|n| count(n).to_le_bytes());
        fs::write(&path, profile[..start].iter().copied().chain(counters).collect::<Vec<_>>())?;
        use_profiles(folder.path(), &[&path, &path])?;
    }
    Ok(())
}

/// Another function before the others moves all indices, and another text moves addresses.
fn survives_edits() -> Result<(), Failed> {
    let folder = support::scratch();
    let program = instrumented(folder.path())?;
    let path = folder.path().join("profile");
    record(&program, &path, b"r", 0)?;
    let edited = fs::read_to_string(guest())?
        .replace(
            "(memory 1)",
            "(memory 1) (global $new (mut i32) (i32.const 1)) (func $new (global.set $new (i32.const 2)))",
        )
        .replace("(local.set $sum (call $work))", "(call $new) (local.set $sum (call $work))")
        .replace("(i32.const 64)", "(i32.const 128)")
        .replace("offset=64", "offset=128")
        .replace("(i32.const 72)", "(i32.const 136)");
    let module = folder.path().join("edited.wat");
    fs::write(&module, edited)?;
    let program = folder.path().join("edited");
    let mut command = support::wasmelt();
    command.arg("compile").arg(&module).arg("-o").arg(&program).arg("-v").arg("--profile-use").arg(&path);
    // `_start` was edited, and `$new` is new.
    support::run(&mut command, b"")?.expect_code(0)?.expect_stderr("the profile knows 5 of 7 functions")?;
    support::run(&mut Command::new(&program), b"e")?.expect_code(3)?.expect_stdout(OUTPUT)?;
    Ok(())
}

fn cannot_be_written() -> Result<(), Failed> {
    let folder = support::scratch();
    let program = instrumented(folder.path())?;
    let absent = folder.path().join("absent/profile");
    support::run(Command::new(&program).env("WASMELT_PROFILE", absent), b"r")?
        .expect_code(69)?
        .expect_stdout("")?
        .expect_stderr("wasmelt: cannot write a profile into '")?;
    support::run(Command::new(&program).env("WASMELT_PROFILE", folder.path().join("")), b"r")?
        .expect_code(69)?
        .expect_stdout("")?
        .expect_stderr("wasmelt: WASMELT_PROFILE names a directory, '")?;
    // A folder of the name cannot be replaced, and nothing is left beside it.
    let taken = folder.path().join("taken");
    fs::create_dir(&taken)?;
    support::run(Command::new(&program).env("WASMELT_PROFILE", &taken), b"e")?
        .expect_code(3)?
        .expect_stdout(OUTPUT)?
        .expect_stderr("wasmelt: cannot write the profile '")?;
    match fs::read_dir(folder.path())?.count() {
        2 => Ok(()),
        n => Err(format!("{n} files are left").into()),
    }
}

fn of_a_component() -> Result<(), Failed> {
    let folder = support::scratch();
    let source = support::repository().join("tests/run/cases/component.wat");
    let (program, path) = (folder.path().join("program"), folder.path().join("profile"));
    support::compile(&source, &program, ["--profile-generate"])?;
    let first = support::run(Command::new(&program).env("WASMELT_PROFILE", &path), b"")?;
    support::compile(&source, &program, ["--profile-use", &path.display().to_string()])?;
    support::run(&mut Command::new(&program), b"")?.expect_code(first.code())?.expect_stdout(first.stdout())?;
    Ok(())
}

/// Each instance has its counters, in the order of the functions.
fn of_several_instances() -> Result<(), Failed> {
    let folder = support::scratch();
    let [library, main, program, path] =
        ["library.wat", "main.wat", "program", "profile"].map(|name| folder.path().join(name));
    fs::write(&library, r#"(module (func (export "f") (param i32) (if (local.get 0) (then nop))))"#)?;
    let text = r#"(module (import "library" "f" (func $f (param i32)))
        (func (export "_start") (local i32)
            (loop
                (call $f (i32.rem_u (local.get 0) (i32.const 5)))
                (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 500))))))"#;
    fs::write(&main, text)?;
    let preload = format!("library={}", library.display());
    support::compile(&main, &program, ["--profile-generate", "--preload", &preload])?;
    support::run(Command::new(&program).env("WASMELT_PROFILE", &path), b"")?.expect_code(0)?;
    let mut found = counters(&fs::read(&path)?);
    found.sort_unstable();
    // The start, the loop, behind it; the function, its `then`, behind that.
    match found[..] {
        [1, 1, 400, 500, 500, 500] => Ok(()),
        _ => Err(format!("{found:?}").into()),
    }
}

/// A profile of an executable serves a library of the same component, of whose modules one has no function at all.
fn serves_libraries() -> Result<(), Failed> {
    let folder = support::scratch();
    let source = folder.path().join("component.wat");
    let text = r#"(component
        (core module $memory (memory (export "memory") 1))
        (core module $main (import "m" "memory" (memory 1)) (func (export "run") (result i32) (i32.const 0)))
        (core instance $memory (instantiate $memory))
        (core instance $main (instantiate $main (with "m" (instance $memory))))
        (func $run (result (result)) (canon lift (core func $main "run")))
        (instance $command (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $command)))"#;
    fs::write(&source, text)?;
    let (program, path) = (folder.path().join("program"), folder.path().join("profile"));
    support::compile(&source, &program, ["--profile-generate"])?;
    support::run(Command::new(&program).env("WASMELT_PROFILE", &path), b"")?.expect_code(0)?;
    let path = path.display().to_string();
    support::compile(&source, &folder.path().join("library.so"), ["--profile-use", &path, "--emit", "cdylib"])?;
    support::compile(&source, &program, ["--profile-use", &path])?;
    Ok(())
}

/// Counters are those of the module, whatever they are counted on.
fn elsewhere(system: System) -> Result<(), Failed> {
    let folder = support::scratch();
    let here = record(&instrumented(folder.path())?, &folder.path().join("here"), b"e", 3)?;
    let program = folder.path().join(system.file_name("guest"));
    let mut options: Vec<PathBuf> = system.options()?;
    options.push("--profile-generate".into());
    support::compile(&guest(), &program, options)?;
    let path = folder.path().join("there");
    support::run(system.command(&program)?.env("WASMELT_PROFILE", &path), b"e")?
        .expect_code(3)?
        .expect_stdout(OUTPUT)?;
    if fs::read(&path)? != here {
        return Err("the profiles differ".into());
    }
    let mut options: Vec<PathBuf> = system.options()?;
    options.extend(["--profile-use".into(), path]);
    support::compile(&guest(), &program, options)?;
    support::run(&mut system.command(&program)?, b"u")?.expect_code(134)?.expect_stdout(OUTPUT)?;
    Ok(())
}
