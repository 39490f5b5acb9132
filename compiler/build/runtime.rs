//! Builds a runtime archive: how cargo is called for it, and what becomes of the result. Shared by the build script of the
//! compiler, for its own target, and by `cargo xtask runtime`, for any.
//!
//! The archive comes from a cargo of its own with a target folder of its own. Nothing of an outer build may leak into
//! it: not the profile, not `RUSTFLAGS`, not the wrapper of clippy, not a flag of a test run.

use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

use super::archive;

/// Variables of cargo that say how to reach registries, which the inner cargo needs as well, and its share of the
/// machine.
const KEPT: &[&str] =
    &["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_", "CARGO_MAKEFLAGS"];

/// The profile that both are built with, see the root manifest.
const PROFILE: &str = "runtime";

/// The two runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    /// System calls of Linux, no C library.
    Freestanding,
    /// On top of the system's C library.
    #[allow(dead_code, reason = "the build script builds the freestanding one")]
    Portable,
}

impl Runtime {
    fn crate_name(self) -> &'static str {
        match self {
            Self::Freestanding => "wasmelt_start",
            Self::Portable => "wasmelt_start_portable",
        }
    }

    /// Name of the archive.
    pub(crate) fn file_name(self) -> String {
        format!("lib{}.a", self.crate_name())
    }
}

/// What is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe<'a> {
    /// The workspace.
    pub(crate) root: &'a Path,
    /// Where the inner cargo works.
    pub(crate) target_dir: &'a Path,
    /// Target as rustc names it.
    pub(crate) target: &'a str,
    /// Which runtime.
    pub(crate) runtime: Runtime,
    /// Build the standard library as well, from the source that comes with the compiler.
    pub(crate) build_std: bool,
}

/// Builds the archive and returns its bytes. That of the freestanding runtime is trimmed to what programs use.
pub(crate) fn build(cargo: &OsStr, recipe: Recipe<'_>) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut command = Command::new(cargo);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(leaks) {
            command.env_remove(name);
        }
    }
    let crate_name = recipe.runtime.crate_name();
    command
        .current_dir(recipe.root)
        .args(["build", "--package", &crate_name.replace('_', "-"), "--profile", PROFILE, "--target", recipe.target])
        .arg("--target-dir")
        .arg(recipe.target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(recipe).join(OsStr::new("\x1f")));
    if recipe.build_std {
        // Cargo's flag is for nightly toolchains. A stable one takes it with this variable: what is built that way is
        // the library that belongs to the compiler.
        command.arg("-Zbuild-std=std,panic_abort").env("RUSTC_BOOTSTRAP", "1");
    }
    if recipe.root.join("Cargo.lock").exists() {
        command.arg("--locked");
    }
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(format!("building the runtime failed ({status}): {command:?}").into()),
        Err(e) => return Err(format!("cannot run {command:?}: {e}").into()),
    }
    let path = recipe.target_dir.join(recipe.target).join(PROFILE).join(recipe.runtime.file_name());
    let reading = |e: &dyn std::fmt::Display| format!("reading {}: {e}", path.display());
    let whole = fs::read(&path).map_err(|e| reading(&e))?;
    match recipe.runtime {
        Runtime::Freestanding => Ok(archive::trim(&whole, crate_name).map_err(|e| reading(&e))?),
        // What prunes members knows ELF only.
        Runtime::Portable => Ok(whole),
    }
}

/// Compression level: decompression takes the same time at each, and this runs once per build of a runtime.
const ZSTD_LEVEL: i32 = 19;

/// An archive as the compiler embeds it.
pub(crate) fn compress(archive: &[u8]) -> io::Result<Vec<u8>> {
    // In one piece, the frame states the length, and decompression needs no window of the level.
    zstd::bulk::compress(archive, ZSTD_LEVEL)
}

/// The name of the compressed archive for an architecture.
pub(crate) fn compressed_name(architecture: &str) -> String {
    format!("{architecture}.a.zst")
}

/// Flags for the runtime, in place of all that the user's configuration has.
fn rustflags(recipe: Recipe<'_>) -> Vec<OsString> {
    // A backtrace walks frame pointers, also out of a host function that was called by the guest.
    let mut flags: Vec<OsString> = vec!["-Cforce-frame-pointers=yes".into()];
    if recipe.runtime == Runtime::Freestanding && recipe.target.starts_with("aarch64") {
        flags.extend([
            // Addresses are made relative to the program counter on this architecture also where code may not be moved,
            // and never come from a table, whose entries would have to be relocated at start-up. Constants with addresses in
            // them are moved where that is possible, see `member`.
            "-Crelocation-model=static".into(),
            // The helpers for CPUs with and without atomic instructions ask a C library which one it is. rustc warns
            // that the name of this feature is not settled; without the flag, the link of a program fails.
            "-Ctarget-feature=-outline-atomics".into(),
        ]);
    } else if recipe.runtime == Runtime::Freestanding {
        // The archive only ever becomes part of position-independent executables: no access goes through a table of
        // addresses, so there is nothing to relocate at start-up.
        flags.push("-Crelocation-model=pie".into());
    }
    // Same source, same bytes: no path of this machine in the archive.
    let root = fs::canonicalize(recipe.root).map_or_else(|_| recipe.root.to_owned(), without_prefix);
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    for (folder, name) in std::iter::once((root, "wasmelt")).chain(home.map(|home| (home, "cargo"))) {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(folder);
        flag.push("=");
        flag.push(name);
        flags.push(flag);
    }
    flags
}

/// A path as compilers are given it: without what Windows puts before one that it made canonical.
fn without_prefix(path: PathBuf) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_prefix(r"\\?\")) {
        Some(plain) if !plain.starts_with("UNC") => plain.into(),
        _ => path,
    }
}

/// The folder of the Rust toolchain.
pub(crate) fn sysroot() -> Option<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(path.trim_end().into())
}

/// Whether the toolchain has the standard library of a target.
pub(crate) fn has_std(target: &str) -> bool {
    sysroot().is_some_and(|sysroot| sysroot.join("lib/rustlib").join(target).join("lib").is_dir())
}

/// Whether a variable of the outer build would change the inner one.
fn leaks(name: &str) -> bool {
    let foreign = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "CLIPPY_ARGS", "__CARGO"];
    foreign.iter().any(|prefix| name.starts_with(prefix)) && !KEPT.iter().any(|prefix| name.starts_with(prefix))
}
