//! `cargo xtask compiler`: the compiler itself, for this system or another one.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::{Result, root, run, runtime, runtimes, zig};

/// Builds the compiler, or only checks that it could be built; its path.
pub(crate) fn build(host: Option<&str>, check: bool) -> Result<PathBuf> {
    let mut cargo = Command::new(cargo());
    cargo.current_dir(root()).arg(if check { "check" } else { "build" });
    cargo.args(["--release", "--locked", "--package", "wasmelt"]);
    let mut folder = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    if let Some(host) = host {
        if !runtime::has_std(host) && !runtimes::add_std(host) {
            return Err(format!("there is no standard library of Rust for {host}: `rustup target add {host}`").into());
        }
        cargo.args(["--target", host]);
        set_tools(&mut cargo, host)?;
        folder.push(host);
    }
    run(&mut cargo)?;
    Ok(folder.join("release").join(program_name(host)))
}

/// Name of the program on a host.
pub(crate) fn program_name(host: Option<&str>) -> String {
    let is_windows = host.map_or(cfg!(windows), |host| host.contains("-windows-"));
    format!("wasmelt{}", if is_windows { ".exe" } else { "" })
}

/// The cargo that runs this.
pub(crate) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Names Zig as C compiler, archiver and linker for `host`, where the environment names none.
pub(crate) fn set_tools(cargo: &mut Command, host: &str) -> Result<()> {
    let name = zig::underscored(host);
    if env::var_os(format!("CC_{name}")).is_some() {
        return Ok(());
    }
    let this = env::current_exe()?;
    cargo.env(zig::TARGET, zig::target(host)?).env(format!("CC_{name}"), &this);
    cargo.env(format!("AR_{name}"), [zig::find()?, &["ar"]].concat().join(" "));
    cargo.env(format!("CARGO_TARGET_{}_LINKER", name.to_uppercase()), &this);
    Ok(())
}
