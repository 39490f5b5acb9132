//! Limits: those of `--compile-timeout` and `--compile-memory` end with a clear error, an exit code of their own, and
//! nothing left behind. Numbers in types cost nothing: a memory may grow to whatever its type says.

use std::fs;

use libtest_mimic::{Failed, Trial};

use crate::shapes::SHAPES;
use crate::support;

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name: &str, limit: [&'static str; 2], message: &'static str| {
        Trial::test(format!("limit::{name}"), move || exceeded(limit, message))
    };
    let mut trials = vec![
        trial("time", ["--compile-timeout", "1ms"], "takes longer than `--compile-timeout` allows, 1ms"),
        Trial::test("limit::kept", kept),
        Trial::test("limit::memories", memories),
    ];
    if cfg!(target_os = "linux") {
        let message = "needs more memory than `--compile-memory` allows, 1048576 bytes";
        trials.push(trial("memory", ["--compile-memory", "1M"], message));
    }
    trials
}

/// A module that takes a while.
fn module() -> String {
    let shape = SHAPES.iter().find(|shape| shape.name == "straight_code").expect("there is such a shape");
    (shape.module)(20 * shape.start)
}

fn exceeded(limit: [&str; 2], message: &str) -> Result<(), Failed> {
    let folder = support::scratch();
    let (module_path, output) = (folder.path().join("module.wat"), folder.path().join("output"));
    let temporary = folder.path().join("temporary");
    fs::create_dir(&temporary)?;
    fs::write(&module_path, module())?;
    fs::write(&output, "old")?;
    let mut command = support::wasmelt();
    command.arg("compile").arg(&module_path).arg("-o").arg(&output).args(limit).env("TMPDIR", &temporary);
    support::run(&mut command, b"")?.expect_code(3)?.expect_stderr(message)?;
    assert_eq!(fs::read(&output)?, b"old");
    assert_eq!(fs::read_dir(&temporary)?.count(), 0, "temporary files are left");
    assert_eq!(fs::read_dir(folder.path())?.count(), 3, "files are left beside the output");
    Ok(())
}

/// Within its limits, a compilation makes the same bytes as without any.
fn kept() -> Result<(), Failed> {
    let folder = support::scratch();
    let (module, output) = (folder.path().join("module.wat"), folder.path().join("output"));
    fs::write(&module, "(module (func (export \"_start\")))")?;
    let mut outputs = Vec::new();
    let limits = if cfg!(target_os = "linux") { &["--compile-memory", "4G"][..] } else { &[] };
    for options in [&[][..], &[&["--compile-timeout", "10m"], limits].concat()] {
        support::compile(&module, &output, options)?;
        outputs.push(fs::read(&output)?);
    }
    assert_eq!(outputs[0], outputs[1]);
    Ok(())
}

/// What a 64-bit memory has from the start is limited in programs; what it may grow to is not, and in libraries neither.
fn memories() -> Result<(), Failed> {
    let compile = |memory: &str, options: &[&str]| {
        let folder = support::scratch();
        let module = folder.path().join("module.wat");
        fs::write(&module, format!("(module (memory i64 {memory}) (func (export \"_start\")))"))?;
        let mut command = support::wasmelt();
        command.arg("compile").arg(&module).arg("-o").arg(folder.path().join("output"));
        support::run(command.args(["-W", "custom-page-sizes"]).args(options), b"")
    };
    for memory in
        ["4194304", "0 0x1_0000_0000_0000", "0 0xffff_ffff_ffff_ffff (pagesize 1)", "0x1_0000_0000 (pagesize 1)"]
    {
        compile(memory, &[])?.expect_code(0)?;
    }
    for memory in ["4194305", "0x1_0000_0000_0000", "0xffff_ffff_ffff_ffff (pagesize 1)"] {
        let words = "more than the implementation limit of 4194304 (memory 0)";
        compile(memory, &[])?.expect_code(1)?.expect_stderr(words)?;
        compile(memory, &["--emit", "obj", "--library-name", "l"])?.expect_code(0)?;
    }
    Ok(())
}
