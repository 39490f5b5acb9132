//! `cargo xtask dist`: the folder of a release. The program finds its archives beside itself, so the folder can be moved.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use crate::{Result, root, runtimes};

/// Makes the folder.
pub(crate) fn execute(targets: &[String], out: &Path) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(&cargo).current_dir(root()).args(["build", "--release", "--locked", "--package", "wasmelt"]))?;
    let built = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into).join("release");
    let program = format!("wasmelt{}", env::consts::EXE_SUFFIX);

    let version = env!("CARGO_PKG_VERSION");
    let folder = out.join(format!("wasmelt-{version}-{}-{}", env::consts::ARCH, env::consts::OS));
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| format!("cannot remove {}: {e}", folder.display()))?;
    }
    let bin = folder.join("bin");
    fs::create_dir_all(&bin)?;
    fs::copy(built.join(&program), bin.join(&program)).map_err(|e| format!("cannot copy {program}: {e}"))?;
    runtimes::execute(targets, &folder.join("lib/wasmelt"), false, false)?;

    let program = bin.join(&program);
    for (shell, place) in [
        ("bash", "share/bash-completion/completions/wasmelt"),
        ("zsh", "share/zsh/site-functions/_wasmelt"),
        ("fish", "share/fish/vendor_completions.d/wasmelt.fish"),
    ] {
        let output = Command::new(&program).args(["completions", shell]).output()?;
        if !output.status.success() {
            return Err(format!("wasmelt completions {shell}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        write(&folder.join(place), &output.stdout)?;
    }
    let pages = folder.join("share/man/man1");
    fs::create_dir_all(&pages)?;
    run(Command::new(&program).arg("man-pages").arg(&pages))?;

    let documents = folder.join("share/doc/wasmelt");
    fs::create_dir_all(&documents)?;
    for name in ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"] {
        fs::copy(root().join(name), documents.join(name)).map_err(|e| format!("cannot copy {name}: {e}"))?;
    }
    write(&documents.join("LICENSES-OF-DEPENDENCIES.txt"), licenses(&cargo)?.as_bytes())?;
    println!("{}", folder.display());
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).map_err(|e| format!("cannot write {}: {e}", path.display()).into())
}

fn run(command: &mut Command) -> Result<()> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}").into()),
        Err(e) => Err(format!("cannot run {command:?}: {e}").into()),
    }
}

/// A line for each crate that the program or a runtime is made of: name, version, licence, source.
fn licenses(cargo: &std::ffi::OsStr) -> Result<String> {
    let arguments = ["metadata", "--locked", "--format-version", "1"];
    let output = Command::new(cargo).current_dir(root()).args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("unknown").to_owned();
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    // Those of tests and of this program are among them: a list that is too long is no harm.
    let lines: BTreeSet<String> = packages
        .iter()
        .filter(|package| !package["source"].is_null())
        .map(|package| {
            let [name, version, license, repository] =
                ["name", "version", "license", "repository"].map(|field| text(&package[field]));
            format!("{name} {version}: {license}, {repository}\n")
        })
        .collect();
    Ok(format!("The crates that wasmelt is built from, with their licences.\n\n{}", Vec::from_iter(lines).concat()))
}
