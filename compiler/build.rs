//! Builds the freestanding runtime archive for the target of this compiler and leaves it, compressed, in `OUT_DIR`, where
//! the compiler embeds it: so its binary is complete by itself.
//!
//! The archive comes from a cargo of its own with a target folder of its own. Nothing of the outer build may leak into
//! it: not the profile, not `RUSTFLAGS`, not the wrapper of clippy, not a flag of a test run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "build/archive.rs"]
mod archive;
#[path = "build/member.rs"]
mod member;

/// Compression level: decompression takes the same time at each, and this runs once per build of the runtime.
const ZSTD_LEVEL: i32 = 19;

/// Variables of cargo that say how to reach registries, which the inner cargo needs as well, and its share of the
/// machine.
const KEPT: &[&str] =
    &["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_REGISTRY_", "CARGO_MAKEFLAGS"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let target = variable("TARGET");
    println!("cargo::rustc-env=WASMELT_TARGET={target}");
    let out_dir = PathBuf::from(variable("OUT_DIR"));
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("..");
    let archive = if has_runtime(&target) { build(&root, &out_dir, &target) } else { Vec::new() };
    let compressed = match archive.as_slice() {
        [] => Vec::new(),
        bytes => zstd::encode_all(bytes, ZSTD_LEVEL).unwrap_or_else(|e| fail(&format!("compressing the runtime: {e}"))),
    };
    let path = out_dir.join("runtime.a.zst");
    fs::write(&path, compressed).unwrap_or_else(|e| fail(&format!("writing {}: {e}", path.display())));
}

/// Whether the freestanding runtime exists for `target`.
fn has_runtime(target: &str) -> bool {
    ["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"].contains(&target)
}

/// Builds the archive and returns its bytes.
fn build(root: &Path, out_dir: &Path, target: &str) -> Vec<u8> {
    let runtime = root.join("runtime-lib");
    let inputs = [&runtime, &root.join("Cargo.toml"), &root.join("Cargo.lock")];
    for input in inputs.into_iter().filter(|input| input.exists()) {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    if !runtime.join("start").exists() {
        println!("cargo::warning=the source of the runtime is missing, so no runtime archive is embedded");
        return Vec::new();
    }
    let target_dir = out_dir.join("runtime");
    let mut command = Command::new(variable("CARGO"));
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(leaks) {
            command.env_remove(name);
        }
    }
    command
        .current_dir(root)
        .args(["build", "--package", "wasmelt-start", "--profile", "runtime", "--target", target])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(root).join("\x1f"));
    if root.join("Cargo.lock").exists() {
        command.arg("--locked");
    }
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("building the runtime failed ({status}): {command:?}")),
        Err(e) => fail(&format!("cannot run {command:?}: {e}")),
    }
    let path = target_dir.join(target).join("runtime").join("libwasmelt_start.a");
    let whole = fs::read(&path).unwrap_or_else(|e| fail(&format!("reading {}: {e}", path.display())));
    archive::trim(&whole, "wasmelt_start").unwrap_or_else(|e| fail(&format!("reading {}: {e}", path.display())))
}

/// Flags for the runtime, in place of all that the user's configuration has.
fn rustflags(root: &Path) -> Vec<String> {
    let mut flags = vec![
        // The archive only ever becomes part of position-independent executables: no access goes through a table of
        // addresses, so there is nothing to relocate at start-up.
        "-Crelocation-model=pie".to_owned(),
        // A backtrace walks frame pointers, also out of a host function that was called by the guest.
        "-Cforce-frame-pointers=yes".to_owned(),
    ];
    // Same source, same bytes: no path of this machine in the archive.
    let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
    flags.push(format!("--remap-path-prefix={}=wasmelt", root.display()));
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    if let Some(home) = home {
        flags.push(format!("--remap-path-prefix={}=cargo", home.display()));
    }
    flags
}

/// Whether a variable of the outer build would change the inner one.
fn leaks(name: &str) -> bool {
    let foreign = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "CLIPPY_ARGS", "__CARGO"];
    foreign.iter().any(|prefix| name.starts_with(prefix)) && !KEPT.iter().any(|prefix| name.starts_with(prefix))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set {name}")))
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1);
}
