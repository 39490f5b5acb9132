//! `--compile-timeout` and `--compile-memory`: a clear error, an exit code of its own, and nothing left behind.

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
