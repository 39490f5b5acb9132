//! Writes the freestanding runtime archives into `OUT_DIR`, compressed. The compiler embeds them, so that its binary is
//! complete by itself. In a checkout they are built from source, for each architecture whose standard library Rust has
//! here; the packed crate holds them, as `cargo xtask package` put them there.

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

/// Architectures that have a freestanding runtime, all on Linux.
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    let out_dir = PathBuf::from(variable("OUT_DIR"));
    let own_folder = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    // Cargo puts this file into what it packs, and nowhere else.
    let is_packed = own_folder.join("Cargo.toml.orig").exists();
    let root = own_folder.join("..");
    if !is_packed {
        watch(&root);
    }
    for architecture in ARCHITECTURES {
        let name = runtime::compressed_name(architecture);
        let archive = if is_packed {
            let path = own_folder.join("runtime").join(&name);
            fs::read(&path).unwrap_or_else(|e| fail(&format!("reading {}: {e}", path.display())))
        } else {
            rust_target(architecture).map_or_else(Vec::new, |target| build(&root, &out_dir, &target))
        };
        let path = out_dir.join(name);
        fs::write(&path, archive).unwrap_or_else(|e| fail(&format!("writing {}: {e}", path.display())));
    }
}

/// Asks for another run when the source of the runtime changes, or when a target is added to the toolchain.
fn watch(root: &Path) {
    for input in ["runtime-lib", "Cargo.toml", "Cargo.lock"].map(|name| root.join(name)) {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    // The list that rustup keeps of what it installed.
    let components = runtime::sysroot().map(|sysroot| sysroot.join("lib/rustlib/components"));
    if let Some(components) = components.filter(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", components.display());
    }
}

/// The target of Rust whose standard library serves the runtime of an architecture: any C library will do, because the
/// runtime uses none.
fn rust_target(architecture: &str) -> Option<String> {
    let targets = ["gnu", "musl"].map(|library| format!("{architecture}-unknown-linux-{library}"));
    let own = variable("TARGET");
    if targets.contains(&own) {
        return Some(own);
    }
    targets.into_iter().find(|target| runtime::has_std(target))
}

/// Builds an archive and returns it compressed.
fn build(root: &Path, out_dir: &Path, target: &str) -> Vec<u8> {
    let target_dir = out_dir.join("runtime");
    let recipe = Recipe { root, target_dir: &target_dir, target, runtime: Runtime::Freestanding, build_std: false };
    let archive = runtime::build(variable("CARGO").as_ref(), recipe).unwrap_or_else(|e| fail(&e.to_string()));
    runtime::compress(&archive).unwrap_or_else(|e| fail(&format!("compressing a runtime: {e}")))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("cargo did not set {name}")))
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1);
}
