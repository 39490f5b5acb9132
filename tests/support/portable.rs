//! The portable runtime's archive, built from source once.
//!
//! The archive comes from a cargo of its own, in a folder below the target folder of the tests, so that the dependencies
//! that nothing else needs are built when such a test runs and not before.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};

use libtest_mimic::Failed;
use wasmelt::options::{Options, Runtime};

/// The folder with the archive.
pub fn archives() -> Result<&'static Path, Failed> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOLDER.get_or_init(build).as_deref().map_err(Failed::from)
}

/// Where a cargo of the tests works.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("portable")
}

/// Runs cargo on the repository, in [`folder`].
pub fn cargo(arguments: &[&str]) -> Result<(), String> {
    cargo_with(arguments, &[])
}

/// The same, with more in its environment.
pub fn cargo_with(arguments: &[&str], environment: &[(String, OsString)]) -> Result<(), String> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Nothing of the build of the tests may leak into this one, not their profile and not a wrapper of clippy.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let kept = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_"];
        let leaks = ["CARGO", "RUSTC", "RUSTFLAGS", "CLIPPY_ARGS", "__CARGO"];
        if leaks.iter().any(|prefix| name.starts_with(prefix)) && !kept.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&*name);
        }
    }
    command.current_dir(super::repository()).args(arguments).env("CARGO_TARGET_DIR", folder());
    command.env("RUSTFLAGS", "-Cforce-frame-pointers=yes");
    let output = command.envs(environment.iter().map(|(name, value)| (name, value))).output();
    let output = output.map_err(|e| format!("cannot run {command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let [out, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    Err(format!("{command:?} failed:\n{out}{error}"))
}

/// Builds the archive where it is out of date, and puts it where `--runtime-dir` looks for it.
fn build() -> Result<PathBuf, String> {
    let folder = folder();
    let target = Options::default().target.to_string();
    cargo(&["build", "--locked", "--package", "wasmelt-start-portable", "--profile", "runtime", "--target", &target])?;
    let name = Runtime::Portable.archive_name();
    let (built, wanted) = (folder.join(&target).join("runtime").join(name), folder.join("archives").join(&target));
    // Several test programs may do this at the same time: each puts a complete file in its place.
    let temporary = wanted.join(format!("{name}.{}", std::process::id()));
    let put = || {
        fs::create_dir_all(&wanted)?;
        fs::copy(&built, &temporary)?;
        fs::rename(&temporary, wanted.join(name))
    };
    put().map_err(|e| format!("cannot copy {}: {e}", built.display()))?;
    Ok(folder.join("archives"))
}
