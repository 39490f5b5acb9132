//! Builds the archive that `wasmelt compile --world proxy` links with a component.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, compiler, root, run, zig};

/// File name of the archive.
const FILE: &str = "libwasmelt_server.a";

/// Builds the archive for a target, and puts it into a folder of the target's name.
pub(crate) fn execute(target: Option<&str>, out: &Path) -> Result<()> {
    let target = match target {
        Some(target) => target.to_owned(),
        None => format!("{}-unknown-linux-gnu", env::consts::ARCH),
    };
    let work = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from).join("xtask");
    let mut command = Command::new(compiler::cargo());
    command.current_dir(root()).args(["build", "--locked", "--package", "wasmelt-server", "--profile", "server"]);
    command.args(["--target", &target]).arg("--target-dir").arg(&work);
    // Backtraces of guests pass through functions of the host.
    command.env("RUSTFLAGS", "-Cforce-frame-pointers=yes");
    // Cryptography is in C and assembly. Compilers of the GNU C library are found by their names.
    if target.ends_with("-musl") && zig::find().is_ok() {
        compiler::set_tools(&mut command, &target)?;
    }
    run(&mut command)?;
    let folder = out.join(&target);
    let path = folder.join(FILE);
    fs::create_dir_all(&folder)
        .and_then(|()| fs::copy(work.join(&target).join("server").join(FILE), &path))
        .map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    println!("{}", path.display());
    Ok(())
}
