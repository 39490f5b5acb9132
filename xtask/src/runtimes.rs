//! `cargo xtask runtime`: runtime archives. In come targets, out comes `DIR/TRIPLE/` with an archive each, as
//! `wasmelt --runtime-dir DIR` and a release look for them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::runtime::{self, Recipe, Runtime, has_std};
use crate::{Result, compiler, root};

/// A target of wasmelt, and the targets of Rust whose standard library serves it, the best first.
struct Target {
    triple: &'static str,
    runtime: Runtime,
    rust: &'static [&'static str],
}

/// All of them. The freestanding runtime only needs `core`, which is the same whatever the C library. For Windows the
/// targets named `gnullvm` come first: those named `gnu` need a program `dlltool` to be built.
const TARGETS: &[Target] = &[
    Target {
        triple: "x86_64-unknown-linux-gnu",
        runtime: Runtime::Freestanding,
        rust: &["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"],
    },
    Target {
        triple: "aarch64-unknown-linux-gnu",
        runtime: Runtime::Freestanding,
        rust: &["aarch64-unknown-linux-gnu", "aarch64-unknown-linux-musl"],
    },
    Target { triple: "x86_64-pc-windows-gnu", runtime: Runtime::Portable, rust: &["x86_64-pc-windows-gnullvm"] },
    Target { triple: "aarch64-pc-windows-gnullvm", runtime: Runtime::Portable, rust: &["aarch64-pc-windows-gnullvm"] },
    Target { triple: "x86_64-apple-darwin", runtime: Runtime::Portable, rust: &["x86_64-apple-darwin"] },
    Target { triple: "aarch64-apple-darwin", runtime: Runtime::Portable, rust: &["aarch64-apple-darwin"] },
];

/// Builds the archives of these targets, of all where none is named.
pub(crate) fn execute(names: &[String], out: &Path, build_std: bool, portable: bool) -> Result<()> {
    for target in chosen(names)? {
        let path = build(target, out, build_std, portable)?;
        println!("{}", path.display());
    }
    Ok(())
}

/// The targets with these names, all where none is named.
fn chosen(names: &[String]) -> Result<Vec<&'static Target>> {
    if names.is_empty() {
        return Ok(TARGETS.iter().collect());
    }
    let known = || TARGETS.iter().map(|target| target.triple).collect::<Vec<_>>().join(", ");
    names
        .iter()
        .map(|name| {
            TARGETS
                .iter()
                .find(|target| key(target.triple) == key(name))
                .ok_or_else(|| format!("there is no runtime for `{name}`: known are {}", known()).into())
        })
        .collect()
}

/// What of a triple decides: architecture and system, not the C library behind it.
fn key(triple: &str) -> Vec<&str> {
    triple.splitn(4, '-').take(3).collect()
}

/// Builds one archive; its path.
fn build(target: &Target, out: &Path, build_std: bool, portable: bool) -> Result<PathBuf> {
    let cargo = compiler::cargo();
    let work = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("xtask");
    let rust = if build_std { target.rust[0] } else { installed_target(target)? };
    let runtime = if portable { Runtime::Portable } else { target.runtime };
    let recipe = Recipe { root: root(), target_dir: &work, target: rust, runtime, build_std };
    let bytes = runtime::build(&cargo, recipe)?;
    let folder = out.join(target.triple);
    fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
    let path = folder.join(runtime.file_name());
    // Complete or not at all, also where several do this at the same time.
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::write(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, &path))
        .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    Ok(path)
}

/// The target of Rust whose standard library serves a target, installed where rustup can do that.
pub(crate) fn rust_target(triple: &str) -> Result<&'static str> {
    let names = [triple.to_owned()];
    chosen(&names)?
        .first()
        .ok_or_else(|| format!("there is no target {triple}").into())
        .and_then(|t| installed_target(t))
}

fn installed_target(target: &Target) -> Result<&'static str> {
    let installed =
        target.rust.iter().find(|rust| has_std(rust)).or_else(|| target.rust.iter().find(|rust| add_std(rust)));
    installed.copied().ok_or_else(|| {
        format!(
            "there is no standard library of Rust for {}. Three ways to get one: `rustup target add {}`; a package of \
             your distribution for it; `rustup component add rust-src`, and `cargo xtask runtime --build-std`",
            target.triple, target.rust[0]
        )
        .into()
    })
}

/// Asks rustup for a standard library; whether it is there then.
pub(crate) fn add_std(target: &str) -> bool {
    let added = Command::new("rustup").args(["target", "add", target]).stdin(Stdio::null()).status();
    added.is_ok_and(|status| status.success()) && has_std(target)
}
