//! Programs for other systems than this one: what is needed to make them, and what runs them.
//!
//! Runtime archives come from `WASMELT_TEST_RUNTIMES`, a folder as `cargo xtask runtime` makes it, or are built from source
//! once, where Rust's standard library for the target is installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::{env, fs};

use libtest_mimic::{Failed, Trial};

use super::{Outcome, find_program, portable, repository, run};

/// A system that programs are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Linux on aarch64: runs in QEMU.
    LinuxAarch64,
    /// Windows on x86-64: runs in Wine.
    Windows,
    /// Windows on aarch64.
    WindowsAarch64,
    /// macOS on x86-64.
    Mac,
    /// macOS on aarch64.
    MacAarch64,
}

impl System {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::LinuxAarch64, Self::Windows, Self::WindowsAarch64, Self::Mac, Self::MacAarch64];

    /// This system, where it is one of them and the compiler holds no runtime for it.
    pub fn here() -> Option<Self> {
        match (env::consts::OS, env::consts::ARCH) {
            ("windows", "x86_64") => Some(Self::Windows),
            ("windows", _) => Some(Self::WindowsAarch64),
            ("macos", "x86_64") => Some(Self::Mac),
            ("macos", _) => Some(Self::MacAarch64),
            _ => None,
        }
    }

    /// The value of `--target`.
    pub fn triple(self) -> &'static str {
        match self {
            Self::LinuxAarch64 => "aarch64-unknown-linux-gnu",
            Self::Windows => "x86_64-pc-windows-gnu",
            Self::WindowsAarch64 => "aarch64-pc-windows-gnullvm",
            Self::Mac => "x86_64-apple-darwin",
            Self::MacAarch64 => "aarch64-apple-darwin",
        }
    }

    /// A name for tests.
    pub fn name(self) -> &'static str {
        match self {
            Self::LinuxAarch64 => "aarch64",
            Self::Windows => "windows",
            Self::WindowsAarch64 => "windows_aarch64",
            Self::Mac => "macos",
            Self::MacAarch64 => "macos_aarch64",
        }
    }

    /// Targets of Rust whose standard library serves the runtime.
    fn rust_targets(self) -> &'static [&'static str] {
        match self {
            Self::LinuxAarch64 => &["aarch64-unknown-linux-gnu", "aarch64-unknown-linux-musl"],
            Self::Windows => &["x86_64-pc-windows-gnullvm"],
            Self::WindowsAarch64 => &["aarch64-pc-windows-gnullvm"],
            Self::Mac => &["x86_64-apple-darwin"],
            Self::MacAarch64 => &["aarch64-apple-darwin"],
        }
    }

    /// Why there is no runtime here.
    pub fn cannot_have_a_runtime(self) -> Option<String> {
        let is_there =
            env::var_os("WASMELT_TEST_RUNTIMES").is_some() || self.rust_targets().iter().any(|&rust| has_std(rust));
        let message = || format!("Rust's standard library for {} is not installed", self.rust_targets().join(" or "));
        (!is_there).then(message)
    }

    /// Why programs cannot be made here.
    pub fn cannot_be_linked(self) -> Option<String> {
        let is_linux = self == Self::LinuxAarch64;
        let no_zig = || (!is_linux && !has_zig()).then(|| "there is no Zig (the Python package `ziglang`)".to_owned());
        self.cannot_have_a_runtime().or_else(no_zig)
    }

    /// Why programs cannot be run here.
    pub fn cannot_be_run(self) -> Option<String> {
        self.cannot_be_linked().or_else(|| self.has_no_runner())
    }

    /// A test of programs for it, whose name ends with its own.
    pub fn trial(self, name: &str, test: fn(Self) -> Result<(), Failed>) -> Trial {
        let name = format!("{name}::{}", self.name());
        match self.cannot_be_run() {
            Some(why) => super::skipped(name, why),
            None => Trial::test(name, move || test(self)),
        }
    }

    /// Why programs that are there cannot be run here.
    pub fn has_no_runner(self) -> Option<String> {
        match self {
            Self::LinuxAarch64 if find_program("qemu-aarch64").is_none() => Some("there is no qemu-aarch64".to_owned()),
            Self::Windows if wine().is_none() => Some("there is no wine64".to_owned()),
            Self::WindowsAarch64 | Self::Mac | Self::MacAarch64 => Some(format!("nothing here runs {}", self.triple())),
            _ => None,
        }
    }

    /// The folder with the runtime's archive.
    pub fn runtimes(self) -> Result<PathBuf, Failed> {
        runtimes(self.triple())
    }

    /// What `wasmelt compile` is told.
    pub fn options(self) -> Result<Vec<PathBuf>, Failed> {
        Ok(vec!["--target".into(), self.triple().into(), "--runtime-dir".into(), self.runtimes()?])
    }

    /// A C compiler for it: the one of Zig.
    pub fn c_compiler(self) -> Result<Command, Failed> {
        let target = match self {
            Self::LinuxAarch64 => "aarch64-linux-musl",
            Self::Windows => "x86_64-windows-gnu",
            Self::WindowsAarch64 => "aarch64-windows-gnu",
            Self::Mac => "x86_64-macos",
            Self::MacAarch64 => "aarch64-macos",
        };
        let mut command = zig_command()?;
        command.args(["cc", "-target", target]);
        Ok(command)
    }

    /// Name of an executable, without its folder.
    pub fn file_name(self, name: &str) -> String {
        let is_windows = matches!(self, Self::Windows | Self::WindowsAarch64);
        format!("{name}{}", if is_windows { ".exe" } else { "" })
    }

    /// A command that runs an executable, with no more in its environment than what runs it needs.
    pub fn command(self, executable: &Path) -> Result<Command, Failed> {
        let mut command = match self {
            Self::LinuxAarch64 => {
                // By its path: a command without an environment has no other way to find it.
                let mut qemu = Command::new(find_program("qemu-aarch64").ok_or("there is no qemu-aarch64")?);
                qemu.env_clear();
                qemu
            }
            Self::Windows => wine_command()?,
            _ => return Err(format!("nothing here runs {}", self.triple()).into()),
        };
        command.arg(executable);
        Ok(command)
    }
}

/// The folder of the Rust toolchain.
pub fn sysroot() -> Option<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(["--print", "sysroot"]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(path.trim_end().into())
}

/// The folder with the runtime's archive for a target.
pub fn runtimes(triple: &'static str) -> Result<PathBuf, Failed> {
    if let Some(folder) = env::var_os("WASMELT_TEST_RUNTIMES") {
        return Ok(folder.into());
    }
    static BUILT: Mutex<Vec<(&'static str, Result<PathBuf, String>)>> = Mutex::new(Vec::new());
    let mut built = BUILT.lock().map_err(|_| "building a runtime archive panicked")?;
    if let Some((_, result)) = built.iter().find(|(of, _)| *of == triple) {
        return Ok(result.clone()?);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("runtimes");
    let out = folder.to_str().ok_or("the target folder is not UTF-8")?;
    let arguments = ["run", "--locked", "--package", "xtask", "--", "runtime", "--target", triple, "--out", out];
    let result = portable::cargo(&arguments).map(|()| folder.clone());
    built.push((triple, result.clone()));
    Ok(result?)
}

/// Whether the toolchain has the standard library of a target.
pub fn has_std(target: &str) -> bool {
    sysroot().is_some_and(|sysroot| sysroot.join("lib/rustlib").join(target).join("lib").is_dir())
}

/// The words that start Zig.
pub fn zig() -> Option<&'static [&'static str]> {
    static FOUND: OnceLock<Option<&'static [&'static str]>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let ways: [&[&str]; 2] = [&["zig"], &["python3", "-m", "ziglang"]];
        let works = |way: &&[&str]| {
            Command::new(way[0]).args(&way[1..]).arg("version").output().is_ok_and(|output| output.status.success())
        };
        ways.into_iter().find(works)
    })
}

fn has_zig() -> bool {
    zig().is_some()
}

/// A command that starts Zig.
pub fn zig_command() -> Result<Command, Failed> {
    let way = zig().ok_or("there is no Zig")?;
    let mut command = Command::new(way[0]);
    command.args(&way[1..]);
    Ok(command)
}

/// Where Wine has its files.
fn wine_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("wine")
}

/// An argument of a program in Wine as one of a program here: where it is a path, the file behind it.
pub fn path_in_wine(argument: &str) -> String {
    let Some((drive @ ("C:" | "Z:"), path)) = argument.split_at_checked(2) else { return argument.to_owned() };
    let root = if drive == "C:" { wine_folder().join("prefix/drive_c").display().to_string() } else { String::new() };
    root + &path.replace('\\', "/")
}

/// Whether this is how Wine ends when it does not start a program: exit code 1 and no output, or a word about its server
/// alone. Under load that happens to one start in about 2,000, also to a C program whose `main` only returns 0.
pub fn did_not_start(command: &Command, outcome: &Outcome) -> bool {
    let says_nothing = outcome.stderr.is_empty() || outcome.stderr.starts_with(b"wine client error:");
    let is_silent = outcome.code() == 1 && outcome.stdout.is_empty() && says_nothing;
    is_silent && wine().is_some_and(|wine| wine == command.get_program())
}

fn wine() -> Option<PathBuf> {
    find_program("wine64").or_else(|| Some(PathBuf::from("/usr/lib/wine/wine64")).filter(|path| path.is_file()))
}

fn wine_server() -> Option<PathBuf> {
    find_program("wineserver").or_else(|| Some(PathBuf::from("/usr/lib/wine/wineserver")).filter(|path| path.is_file()))
}

/// Wine with a folder of its own, which is made once, and with a stand-in for a library that older versions lack: the
/// source of random numbers of Rust's standard library.
pub fn wine_command() -> Result<Command, Failed> {
    static PREPARED: OnceLock<Result<(), String>> = OnceLock::new();
    let folder = wine_folder();
    let program = wine().ok_or("there is no wine64")?;
    let command = || {
        let mut command = Command::new(&program);
        command.env_clear().env("WINEDEBUG", "-all").env("WINEPREFIX", folder.join("prefix"));
        command.env("WINEPATH", format!("Z:{}", folder.display()).replace('/', "\\"));
        command
    };
    let prepare = || -> Result<(), Failed> {
        fs::create_dir_all(&folder)?;
        let source = repository().join("tests/run/guests/bcryptprimitives.c");
        let mut zig = zig_command()?;
        zig.args(["cc", "-target", "x86_64-windows-gnu", "-shared", "-s", "-o"]);
        run(zig.arg(folder.join("bcryptprimitives.dll")).arg(source).arg("-ladvapi32"), b"")?.expect_code(0)?;
        // Debian's Wine ends its server with the last program. A program that starts meanwhile loses its connection, or meets
        // services that crash; so the server stays for some minutes. One that is there already may stay.
        fs::create_dir_all(folder.join("prefix"))?;
        if let Some(server) = wine_server() {
            let mut command = Command::new(server);
            command.env_clear().env("PATH", "/usr/bin:/bin").env("WINEPREFIX", folder.join("prefix"));
            let silent = command.arg("-p300").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            silent.status()?;
        }
        // What it starts lives on for a while, and would keep its output open for as long.
        command()
            .args(["wineboot", "--init"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        Ok(())
    };
    let message = |failed: Failed| failed.message().unwrap_or("Wine cannot be prepared").to_owned();
    PREPARED.get_or_init(|| prepare().map_err(message)).clone()?;
    Ok(command())
}
