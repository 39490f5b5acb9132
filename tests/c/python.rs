//! The Python package: its own tests, with modules that are compiled here and the shared library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::{SYSTEM_LIBRARIES, folder, headers, library, support, tool};

/// How a module is compiled that is not compiled as all others are.
const OPTIONS: [(&str, &str); 2] = [("fuel", "--fuel"), ("spin", "--interruptible")];

pub(crate) fn trial() -> Trial {
    let name = "python::package";
    let pytest = support::run(Command::new("python3").args(["-m", "pytest", "--version"]), b"");
    match pytest.is_ok_and(|outcome| outcome.code() == 0) {
        true => crate::trial(name, &["cc"], package),
        false => support::skipped(name, "there is no pytest, which tests the package: python3 -m pip install pytest"),
    }
}

fn package() -> Result<(), Failed> {
    let scratch = support::scratch();
    for entry in fs::read_dir(folder("python/tests/modules"))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).ok_or("a module without a name")?;
        let option = OPTIONS.iter().filter(|(module, _)| *module == name).map(|(_, option)| *option);
        let options: Vec<_> = ["--emit", "cdylib"].into_iter().chain(option).collect();
        support::compile(&path, &scratch.path().join(format!("{name}.so")), &options)?;
    }
    let mut command = Command::new("python3");
    // Nothing is written into the repository.
    command.args(["-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]).current_dir(folder("python"));
    command.env("WASMELT_LIBRARY", shared_library(scratch.path())?).env("WASMELT_TEST_MODULES", scratch.path());
    tool(&mut command).map(|_| ())
}

/// Links the shared library from the static one, with the functions of the headers, as `cargo xtask c-api` does.
fn shared_library(scratch: &Path) -> Result<PathBuf, Failed> {
    let functions = headers::declared()?;
    let (output, script) = (scratch.join("libwasmelt-runtime.so"), scratch.join("exports.map"));
    let names: String = functions.iter().map(|name| format!("{name};\n")).collect();
    fs::write(&script, format!("{{ global:\n{names}local: *; }};\n"))?;
    let mut command = Command::new("cc");
    command.args(["-shared", "-Wl,--gc-sections"]).arg(format!("-Wl,--version-script={}", script.display()));
    command.args(functions.iter().map(|name| format!("-Wl,--undefined={name}")));
    tool(command.arg("-o").arg(&output).arg(library()?).args(SYSTEM_LIBRARIES))?;
    Ok(output)
}
