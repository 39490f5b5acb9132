//! `cargo xtask package`: the crates as they are published. The compiler's holds its runtime archives: whoever builds the
//! crate has no source of the runtime's start, which is not published.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::runtime::{self, Recipe, Runtime};
use crate::{Result, compiler, root, run, runtimes};

/// The crates, each behind those that it needs.
const CRATES: [&str; 6] =
    ["wasmelt-abi", "wasmelt-plan", "wasmelt-runtime", "wasmelt-embed", "wasmelt", "wasmelt-c-api"];

/// Packs them, and builds the compiler and the embedding crate from what was packed where that is asked for.
pub(crate) fn execute(build: bool) -> Result<()> {
    for architecture in ["x86_64", "aarch64"] {
        add_runtime(architecture)?;
    }
    let folder = target_folder();
    let mut package = Command::new(compiler::cargo());
    // The archives are not in Git. Verifying would compile every dependency once more.
    package
        .current_dir(root())
        .args(["package", "--locked", "--allow-dirty", "--no-verify", "--target-dir"])
        .arg(&folder);
    run(package.args(CRATES.iter().flat_map(|name| ["--package", name])))?;
    let packed = folder.join("package");
    if build {
        println!("{}", build_packed(&packed, &folder)?.display());
    } else {
        println!("{}", packed.display());
    }
    Ok(())
}

/// The target folder of the workspace.
fn target_folder() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Puts the runtime of an architecture where the compiler's build script looks for it in a packed crate.
fn add_runtime(architecture: &str) -> Result<()> {
    let target = runtimes::rust_target(&format!("{architecture}-unknown-linux-gnu"))?;
    let work = target_folder().join("xtask");
    let recipe = Recipe { root: root(), target_dir: &work, target, runtime: Runtime::Freestanding, build_std: false };
    let folder = root().join("compiler/runtime");
    fs::create_dir_all(&folder)?;
    let path = folder.join(runtime::compressed_name(architecture));
    fs::write(&path, runtime::compress(&runtime::build(&compiler::cargo(), recipe)?)?)
        .map_err(|e| format!("cannot write {}: {e}", path.display()).into())
}

/// Builds the compiler and the embedding crate from their packed crates, with the dependencies that the workspace has built;
/// the program.
fn build_packed(packed: &Path, target: &Path) -> Result<PathBuf> {
    let version = env!("CARGO_PKG_VERSION");
    let unpacked = packed.join("unpacked");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked)?;
    }
    fs::create_dir_all(&unpacked)?;
    for name in CRATES {
        let archive = packed.join(format!("{name}-{version}.crate"));
        run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(&unpacked))?;
    }
    // A workspace of its own, with the profile of this one: with another profile, no dependency that is built is of use.
    let of_crates = |line: fn(&str, &str) -> String| CRATES.map(|name| line(name, version)).concat();
    let members = of_crates(|name, version| format!("\"{name}-{version}\", "));
    let patches = of_crates(|name, version| format!("{name}.path = \"{name}-{version}\"\n"));
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{members}]\n[patch.crates-io]\n{patches}\
         [profile.release]\ndebug = false\nstrip = \"debuginfo\"\n"
    );
    fs::write(unpacked.join("Cargo.toml"), manifest)?;
    fs::copy(unpacked.join(format!("wasmelt-{version}/Cargo.lock")), unpacked.join("Cargo.lock"))?;
    let mut cargo = Command::new(compiler::cargo());
    cargo
        .current_dir(&unpacked)
        .args(["build", "--release", "--offline", "--package", "wasmelt", "--package", "wasmelt-embed", "--target-dir"])
        .arg(target);
    run(&mut cargo)?;
    Ok(target.join("release").join(compiler::program_name(None)))
}
