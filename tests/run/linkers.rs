//! Every way to a linker that README.md names makes a program of about the same size that runs, where something here runs
//! it, and that tells its policy. [`foreign`](crate::foreign) looks at the linker inside the Rust toolchain.

use std::fs;
use std::path::Path;

use libtest_mimic::{Failed, Trial};

use crate::support::foreign::{System, has_std, zig};
use crate::{macho, support};

/// A way to a linker.
struct Route {
    name: &'static str,
    /// None for this system.
    system: Option<System>,
    /// The program that has to be there; Zig is looked for by itself.
    program: &'static str,
    /// What `wasmelt compile` is told.
    options: &'static [&'static str],
    /// A variable of the environment that names the linker, with the words of Zig behind it.
    variable: Option<&'static str>,
    /// Hello world has no more bytes.
    largest: u64,
}

/// A program without a C library.
const FREESTANDING: u64 = 16_384;

const ROUTES: &[Route] = &[
    route("cc", None, "cc", &["--linker", "cc"], FREESTANDING),
    route("clang", None, "clang", &["--linker", "cc"], FREESTANDING).with_variable("CC"),
    route("ld", None, "ld", &["--linker", "ld"], FREESTANDING),
    route("ld_lld", None, "ld.lld", &["--linker", "ld.lld"], FREESTANDING),
    // The first that is looked for. GNU's `ld` keeps all functions of the runtime that have unwind information, also those of
    // sockets; Zig's and LLVM's keep what is used.
    route("mingw", Some(System::Windows), "x86_64-w64-mingw32-gcc", &[], 640_000),
    route("zig", Some(System::Windows), "zig", &[], 400_000).with_variable("CC_x86_64_pc_windows_gnu"),
    route("zig", Some(System::WindowsAarch64), "zig", &[], 400_000).with_variable("CC_aarch64_pc_windows_gnullvm"),
    route("zig", Some(System::Mac), "zig", &[], 500_000).with_variable("CC_x86_64_apple_darwin"),
    route("zig", Some(System::MacAarch64), "zig", &[], 500_000).with_variable("CC_aarch64_apple_darwin"),
    route("lld", Some(System::MacAarch64), "lld", &["--linker", "lld"], 500_000),
];

const fn route(
    name: &'static str,
    system: Option<System>,
    program: &'static str,
    options: &'static [&'static str],
    largest: u64,
) -> Route {
    Route { name, system, program, options, variable: None, largest }
}

impl Route {
    const fn with_variable(self, name: &'static str) -> Self {
        Self { variable: Some(name), ..self }
    }

    /// The words that start the program.
    fn words(&self) -> Option<String> {
        match self.program {
            "zig" => zig().map(|words| format!("{} cc", words.join(" "))),
            program => support::find_program(program).map(|_| program.to_owned()),
        }
    }

    fn missing(&self) -> Option<String> {
        let no_runtime = self.system.and_then(System::cannot_have_a_runtime);
        no_runtime.or_else(|| self.words().is_none().then(|| format!("there is no {}", self.program)))
    }
}

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |route: &'static Route| {
        let name = format!("linkers::{}::{}", route.system.map_or("linux", System::name), route.name);
        match route.missing() {
            None => Trial::test(name, || check(route)),
            Some(why) => support::skipped(name, why),
        }
    };
    let mut trials: Vec<Trial> = ROUTES.iter().map(trial).collect();
    let name = "linkers::aarch64::embedded";
    let no_target = !RUST_TARGETS.into_iter().any(has_std);
    trials.push(match no_target {
        false => Trial::test(name, the_other_runtime_is_embedded),
        true => support::skipped(name, format!("Rust's standard library for {} is not installed", RUST_TARGETS[1])),
    });
    trials
}

/// Targets of Rust that the runtime for aarch64 is built with.
const RUST_TARGETS: [&str; 2] = ["aarch64-unknown-linux-gnu", "aarch64-unknown-linux-musl"];

/// The compiler holds the runtime of every architecture whose target Rust has here.
fn the_other_runtime_is_embedded() -> Result<(), Failed> {
    let folder = support::scratch();
    let executable = folder.path().join("hello");
    let mut command = support::wasmelt();
    command.args(["compile", "--target", "aarch64-unknown-linux-musl", "-o"]).arg(&executable);
    support::run(command.arg(support::repository().join("examples/hello.wat")), b"")?.expect_code(0)?;
    if System::LinuxAarch64.has_no_runner().is_some() {
        return Ok(());
    }
    support::run(&mut System::LinuxAarch64.command(&executable)?, b"")?
        .expect_code(0)?
        .expect_stdout("Hello, world!\n")?;
    Ok(())
}

fn check(route: &Route) -> Result<(), Failed> {
    let folder = support::scratch();
    let executable = folder.path().join(route.system.map_or("hello".to_owned(), |system| system.file_name("hello")));
    let mut command = support::wasmelt();
    command.arg("compile").arg(support::repository().join("examples/hello.wat")).arg("-o").arg(&executable);
    command.args(route.options);
    if let Some(system) = route.system {
        command.args(system.options()?);
    }
    if let (Some(variable), Some(words)) = (route.variable, route.words()) {
        command.env(variable, words);
    }
    support::run(&mut command, b"")?.expect_code(0)?;
    let bytes = fs::metadata(&executable)?.len();
    if bytes > route.largest {
        return Err(format!("hello world has {bytes} bytes, more than {}", route.largest).into());
    }
    let mut inspect = support::wasmelt();
    let policy = support::run(inspect.args(["inspect", "--policy"]).arg(&executable), b"")?.expect_code(0)?.stdout();
    if policy.is_empty() {
        return Err("the executable does not tell its policy".into());
    }
    run(route, &executable)
}

/// Runs the program where something here does, and reads it back where nothing does.
fn run(route: &Route, executable: &Path) -> Result<(), Failed> {
    let mut command = match route.system {
        None => std::process::Command::new(executable),
        Some(system @ (System::Mac | System::MacAarch64)) => return macho::check(&fs::read(executable)?, system),
        Some(system) if system.has_no_runner().is_some() => return Ok(()),
        Some(system) => system.command(executable)?,
    };
    let outcome = support::run(&mut command, b"")?.expect_code(0)?;
    // Windows ends lines in its own way.
    if outcome.stdout().trim_end() == "Hello, world!" { Ok(()) } else { Err(outcome.shown().into()) }
}
