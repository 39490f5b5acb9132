//! Zig as the C compiler and linker for another system. The tools of Rust take the name of one program for each, so this
//! program is that one: with [`TARGET`] in its environment it passes its arguments on to `zig cc`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::{Command, ExitCode, Stdio};

use crate::Result;

/// The variable that says for which system.
pub(crate) const TARGET: &str = "WASMELT_ZIG_TARGET";

/// The words that start Zig, a program or a package of Python.
pub(crate) fn find() -> Result<&'static [&'static str]> {
    let ways: [&[&str]; 4] =
        [&["zig"], &["python3", "-m", "ziglang"], &["python", "-m", "ziglang"], &["py", "-m", "ziglang"]];
    let works = |way: &&[&str]| {
        let mut command = Command::new(way[0]);
        let command = command.args(&way[1..]).arg("version");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
    };
    ways.into_iter().find(works).ok_or_else(|| "there is no Zig: install it, or the Python package `ziglang`".into())
}

/// Zig's name for a target of Rust.
pub(crate) fn target(triple: &str) -> Result<String> {
    let (architecture, rest) = triple.split_once('-').unwrap_or((triple, ""));
    let system = match rest {
        "apple-darwin" => "macos",
        "pc-windows-gnu" | "pc-windows-gnullvm" => "windows-gnu",
        "unknown-linux-musl" => "linux-musl",
        _ => {
            return Err(
                format!("Zig is not used for {triple}: name its C compiler in `CC_{}`", underscored(triple)).into()
            );
        }
    };
    Ok(format!("{architecture}-{system}"))
}

/// A triple as it is written in names of variables.
pub(crate) fn underscored(triple: &str) -> String {
    triple.replace('-', "_")
}

/// Is the C compiler and linker, with the arguments of this process.
pub(crate) fn compile_or_link(target: &OsStr) -> ExitCode {
    let run = || -> Result<bool> {
        let way = find()?;
        let mut command = Command::new(way[0]);
        command.args(&way[1..]).args(["cc", "-target"]).arg(target).args(understood(env::args_os().skip(1)));
        Ok(command.status()?.success())
    };
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The arguments that Zig takes. It is told the target in its own words, and it has a C library and a library for
/// unwinding of its own.
fn understood(mut arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    const LEFT_OUT: [&str; 3] = ["-nolibc", "--unwindlib=none", "-lmsvcrt"];
    let mut kept = Vec::new();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        if text == "-arch" || text == "-target" {
            arguments.next();
        } else if !text.starts_with("--target=") && !LEFT_OUT.contains(&&*text) {
            kept.push(argument);
        }
    }
    kept
}
