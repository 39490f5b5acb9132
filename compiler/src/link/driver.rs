//! Finds the program that links for a system whose linker is not part of this one, Mach-O and COFF, and says how it is
//! called.
//!
//! In this order: the program of `--linker`; the C compiler driver that the environment or the system has for the
//! target, as the `cc` crate finds it; `zig cc`, as a program or as the Python package `ziglang`, which links for every
//! target from every host; and `lld`, also the one inside a Rust toolchain: for macOS with a description of the system's
//! library that is made here, for Windows where no library of the system is needed, in libraries.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use target_lexicon::{Architecture, BinaryFormat, HOST, Triple};

/// The oldest macOS that programs run on, as in the objects.
pub(super) const MACOS_VERSION: &str = "11.0";

/// Who links, and how it wants to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Driver {
    /// The program, and arguments that come before all others.
    command: Vec<OsString>,
    /// What kind of program it is.
    pub(super) kind: DriverKind,
}

/// The kinds of programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DriverKind {
    /// A C compiler driver: it knows the system's libraries.
    Compiler,
    /// The one of Zig, which does not take every option.
    Zig,
    /// `lld`, which knows none; for COFF, it takes the arguments of mingw-w64's `ld`.
    Lld,
}

impl Driver {
    fn new<S: Into<OsString>>(kind: DriverKind, command: impl IntoIterator<Item = S>) -> Self {
        Self { command: command.into_iter().map(Into::into).collect(), kind }
    }

    /// What the user named for `target`.
    pub(super) fn named(program: &Path, target: &Triple) -> Self {
        let name = program.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        match name.as_str() {
            "zig" => Self::zig([program], target),
            "rust-lld" | "lld" => {
                Self::new(DriverKind::Lld, [program.as_os_str(), "-flavor".as_ref(), lld_flavor(target).as_ref()])
            }
            "ld64.lld" | "ld.lld" => Self::new(DriverKind::Lld, [program]),
            _ => Self::new(DriverKind::Compiler, [program]),
        }
    }

    /// The first that this machine has, for programs or libraries.
    pub(super) fn find(target: &Triple, is_library: bool) -> Option<Self> {
        let lld_suffices = is_library || target.binary_format == BinaryFormat::Macho;
        Self::system_compiler(target)
            .or_else(|| Self::installed_zig(target))
            .or_else(|| lld_suffices.then(|| Self::installed_lld(target)).flatten())
    }

    /// The C compiler of the system for `target`, where it has one.
    fn system_compiler(target: &Triple) -> Option<Self> {
        // Looking for a compiler of another system would find the host's, which cannot link for it.
        let own = (HOST.operating_system.is_like_darwin() && target.operating_system.is_like_darwin())
            || (HOST.operating_system == target.operating_system && HOST.architecture == target.architecture);
        let triple = target.to_string();
        let named = ["CC_", "TARGET_CC_"].iter().any(|start| {
            [triple.clone(), triple.replace('-', "_")]
                .iter()
                .any(|name| std::env::var_os(format!("{start}{name}")).is_some())
        });
        let cross = format!("{}-w64-mingw32-gcc", target.architecture);
        if target.binary_format == BinaryFormat::Coff && !named && works(Command::new(&cross).arg("--version")) {
            return Some(Self::new(DriverKind::Compiler, [cross]));
        }
        if !own && !named {
            return None;
        }
        let tool = cc::Build::new()
            .cargo_metadata(false)
            .cargo_warnings(false)
            .target(&triple)
            .host(&HOST.to_string())
            .opt_level(0)
            .no_default_flags(true)
            .try_get_compiler()
            .ok()?;
        // Microsoft's compiler takes other arguments.
        if tool.is_like_msvc() || !works(tool.to_command().arg("--version")) {
            return None;
        }
        // The variable may hold several words: `python3 -m ziglang cc`.
        let command = tool.to_command();
        let words = std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_owned);
        Some(Self::compiler(words.collect(), target))
    }

    /// A C compiler with its arguments, told the target where it does not know.
    fn compiler(mut command: Vec<OsString>, target: &Triple) -> Self {
        let stem = |word: &OsString| Path::new(word).file_stem().unwrap_or_default().to_ascii_lowercase();
        let is_zig = command.iter().any(|word| ["zig", "ziglang"].iter().any(|name| stem(word) == *name));
        let kind = if is_zig { DriverKind::Zig } else { DriverKind::Compiler };
        if is_zig && !command.iter().any(|word| word == "-target" || word == "--target") {
            command.extend(["-target".into(), zig_target(target).into()]);
        }
        if !is_zig && target.binary_format == BinaryFormat::Macho {
            command.extend(["-arch".into(), apple_architecture(target).into()]);
        }
        Self { command, kind }
    }

    fn installed_zig(target: &Triple) -> Option<Self> {
        // `py` starts Python on Windows.
        let ways =
            [&["zig"][..], &["python3", "-m", "ziglang"], &["python", "-m", "ziglang"], &["py", "-m", "ziglang"]];
        let found = ways.into_iter().find(|way| works(Command::new(way[0]).args(&way[1..]).arg("version")));
        found.map(|way| Self::zig(way.iter().copied(), target))
    }

    fn zig<S: Into<OsString>>(command: impl IntoIterator<Item = S>, target: &Triple) -> Self {
        let words = command.into_iter().map(Into::into).chain(["cc".into()]);
        let mut driver = Self { command: words.collect(), kind: DriverKind::Zig };
        driver.command.extend(["-target".into(), zig_target(target).into()]);
        driver
    }

    fn installed_lld(target: &Triple) -> Option<Self> {
        let name = if target.binary_format == BinaryFormat::Macho { "ld64.lld" } else { "ld.lld" };
        // Debian puts the second one on PATH, and not the first one.
        let named = [name, "lld"].map(|name| Self::named(Path::new(name), target));
        named
            .into_iter()
            .find(|driver| works(driver.command().arg("--version")))
            .or_else(|| Some(Self::named(&rust_lld()?, target)))
    }

    /// A command to which arguments are added.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(self.command.first().map_or("".as_ref(), OsString::as_os_str));
        command.args(self.command.iter().skip(1));
        command
    }

    /// Its name for people.
    pub(super) fn name(&self) -> String {
        let words = self.command.iter().map(|word| word.to_string_lossy());
        let words: Vec<_> =
            words.take_while(|word| word != "-target" && word != "-flavor" && word != "-arch").collect();
        match words.as_slice() {
            [program] => Path::new(program.as_ref()).file_name().unwrap_or_default().to_string_lossy().into_owned(),
            words => words.join(" "),
        }
    }
}

/// Zig's name of a target.
fn zig_target(target: &Triple) -> String {
    let architecture = if target.architecture == Architecture::X86_64 { "x86_64" } else { "aarch64" };
    match target.binary_format {
        // It takes the oldest version from here alone.
        BinaryFormat::Macho => format!("{architecture}-macos.{MACOS_VERSION}"),
        _ => format!("{architecture}-windows-gnu"),
    }
}

/// How an `lld` that can do everything is told what it is to be.
pub(super) fn lld_flavor(target: &Triple) -> &'static str {
    if target.binary_format == BinaryFormat::Macho { "darwin" } else { "gnu" }
}

/// Apple's name of an architecture.
pub(super) fn apple_architecture(target: &Triple) -> &'static str {
    if target.architecture == Architecture::X86_64 { "x86_64" } else { "arm64" }
}

/// The linker inside the Rust toolchain, where there is one.
fn rust_lld() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let sysroot = String::from_utf8(output.ok().filter(|output| output.status.success())?.stdout).ok()?;
    let name = format!("rust-lld{}", std::env::consts::EXE_SUFFIX);
    let path = Path::new(sysroot.trim_end()).join("lib/rustlib").join(HOST.to_string()).join("bin").join(name);
    path.exists().then_some(path)
}

/// Whether a program is there and does what it is asked.
fn works(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_known_by_their_names() {
        let target: Triple = "aarch64-apple-darwin".parse().unwrap();
        let driver = Driver::named(Path::new("/opt/zig"), &target);
        assert_eq!(driver.command, ["/opt/zig", "cc", "-target", "aarch64-macos.11.0"]);
        assert_eq!(driver.name(), "/opt/zig cc");
        let driver = Driver::named(Path::new("rust-lld"), &target);
        assert_eq!((driver.kind, driver.name().as_str()), (DriverKind::Lld, "rust-lld"));
        assert_eq!(driver.command, ["rust-lld", "-flavor", "darwin"]);
        let target: Triple = "x86_64-pc-windows-msvc".parse().unwrap();
        let driver = Driver::named(Path::new("zig.exe"), &target);
        assert_eq!(driver.command.last().unwrap(), "x86_64-windows-gnu");
        assert_eq!(Driver::named(Path::new("lld"), &target).command, ["lld", "-flavor", "gnu"]);
        let driver = Driver::named(Path::new("x86_64-w64-mingw32-gcc"), &target);
        assert_eq!((driver.kind, driver.command.len()), (DriverKind::Compiler, 1));
    }

    #[test]
    fn compilers_keep_their_arguments() {
        let compiler = |words: &str, target: &str| {
            let words = words.split(' ').map(OsString::from).collect();
            let driver = Driver::compiler(words, &target.parse().unwrap());
            (driver.kind, driver.command.join(OsStr::new(" ")).into_string().unwrap())
        };
        let (windows, mac) = ("x86_64-pc-windows-gnu", "aarch64-apple-darwin");
        let zig = "python3 -m ziglang cc";
        assert_eq!(compiler(zig, windows), (DriverKind::Zig, format!("{zig} -target x86_64-windows-gnu")));
        assert_eq!(
            compiler("/opt/zig cc", mac),
            (DriverKind::Zig, "/opt/zig cc -target aarch64-macos.11.0".to_owned())
        );
        assert_eq!(compiler("zig cc -target x", windows), (DriverKind::Zig, "zig cc -target x".to_owned()));
        assert_eq!(compiler("clang -v", windows), (DriverKind::Compiler, "clang -v".to_owned()));
        assert_eq!(compiler("clang -v", mac), (DriverKind::Compiler, "clang -v -arch arm64".to_owned()));
    }
}
