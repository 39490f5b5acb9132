//! `cargo xtask dist`: the folder of a release. The program finds its archives beside itself, so the folder can be moved. A release
//! for this machine has the archive of servers, the C libraries and the Python package as well.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::{Result, c_api, compiler, root, run, runtimes, server};

/// Makes the folder.
pub(crate) fn execute(host: Option<&str>, targets: &[String], out: &Path) -> Result<()> {
    let built = compiler::build(host, false)?;
    let version = env!("CARGO_PKG_VERSION");
    let folder = out.join(format!("wasmelt-{version}-{}", system(host)));
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| format!("cannot remove {}: {e}", folder.display()))?;
    }
    let bin = folder.join("bin");
    fs::create_dir_all(&bin)?;
    let name = compiler::program_name(host);
    fs::copy(&built, bin.join(&name)).map_err(|e| format!("cannot copy {name}: {e}"))?;
    runtimes::execute(targets, &folder.join("lib/wasmelt"), false, false)?;
    if host.is_none() {
        if cfg!(target_os = "linux") {
            server::execute(None, &folder.join("lib/wasmelt"))?;
        }
        for_hosts(&folder)?;
    }

    // What it prints about itself is the same on every host; one for another host may not run here.
    let program = if host.is_some() { compiler::build(None, false)? } else { built };
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
    write(&documents.join("LICENSES-OF-DEPENDENCIES.txt"), licenses()?.as_bytes())?;
    println!("{}", folder.display());
    Ok(())
}

/// What host programs in C, C++ and Python need, for this machine: the libraries without and with the compiler, their headers, and
/// the Python package, as `pip` installs it from a folder.
fn for_hosts(folder: &Path) -> Result<()> {
    for with_compiler in [false, true] {
        c_api::execute(with_compiler, folder)?;
    }
    let (from, to) = (root().join("python"), folder.join("share/wasmelt/python"));
    let mut files = vec![PathBuf::from("pyproject.toml")];
    for entry in fs::read_dir(from.join("wasmelt"))? {
        files.push(Path::new("wasmelt").join(entry?.file_name()));
    }
    for file in files.iter().filter(|file| file.extension().is_some_and(|ending| ending != "pyc")) {
        write(&to.join(file), &fs::read(from.join(file)).map_err(|e| format!("cannot read {}: {e}", file.display()))?)?;
    }
    Ok(())
}

/// Architecture and system of a host, in the words of Rust's standard library.
fn system(host: Option<&str>) -> String {
    let Some(host) = host else { return format!("{}-{}", env::consts::ARCH, env::consts::OS) };
    let architecture = host.split('-').next().unwrap_or_default();
    let systems = [("-windows", "windows"), ("-darwin", "macos"), ("-linux", "linux")];
    let system = systems.iter().find(|(part, _)| host.contains(part)).map_or("unknown", |(_, name)| name);
    format!("{architecture}-{system}")
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, bytes).map_err(|e| format!("cannot write {}: {e}", path.display()).into())
}

/// A line for each crate that the program or a runtime is made of: name, version, licence, source.
fn licenses() -> Result<String> {
    let arguments = ["metadata", "--locked", "--format-version", "1"];
    let output = Command::new(compiler::cargo()).current_dir(root()).args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("unknown").to_owned();
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    // Those of tests and of this program are among them: a list that is too long does no harm.
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
