//! Builds the freestanding runtime archive for the target of this compiler and leaves it, compressed, in `OUT_DIR`, where
//! the compiler embeds it: so its binary is complete by itself.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "build/archive.rs"]
mod archive;
#[path = "build/member.rs"]
mod member;
#[path = "build/runtime.rs"]
mod runtime;

use runtime::{Recipe, Runtime};

/// Compression level: decompression takes the same time at each, and this runs once per build of the runtime.
const ZSTD_LEVEL: i32 = 19;

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
    ["x86_64", "aarch64"].iter().any(|architecture| {
        ["gnu", "musl"].iter().any(|library| target == format!("{architecture}-unknown-linux-{library}"))
    })
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
    let recipe = Recipe { root, target_dir: &target_dir, target, runtime: Runtime::Freestanding, build_std: false };
    runtime::build(variable("CARGO").as_ref(), recipe).unwrap_or_else(|e| fail(&e.to_string()))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set {name}")))
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1);
}
