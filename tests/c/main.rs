//! The C interface: programs in C and C++ are compiled against the headers, linked with the static library, and run; under
//! AddressSanitizer, which finds leaks and objects that are deleted twice, and under valgrind. The headers are compared
//! with the library. The Python package is tested over the shared library.

#[path = "../support/mod.rs"]
mod support;

mod behave;
mod headers;
mod python;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;

use libtest_mimic::{Arguments, Failed, Trial};
use wasmelt::options::Options;

use support::{Outcome, portable};

/// What the program does, in its order.
const SCENARIOS: [&str; 29] = [
    "hello",
    "callback",
    "trap",
    "start",
    "reflect",
    "global",
    "table",
    "memory",
    "finalize",
    "serialize",
    "threads",
    "hostref",
    "multi",
    "numbers",
    "linker",
    "unboxed",
    "nested",
    "wasi",
    "limits",
    "fuel",
    "interruption",
    "deadlines",
    "pool",
    "reset",
    "null",
    "wrong",
    "ownership",
    "linked",
    "cplusplus",
];

/// What valgrind runs: it is slow, and finds what AddressSanitizer does not see, which is what Rust reads.
const UNDER_VALGRIND: [&str; 6] = ["callback", "trap", "hostref", "wasi", "ownership", "null"];

/// How a module is compiled that is not compiled as all others are.
const STOPS: [(&str, &str); 2] = [("stops-fuel", "--fuel"), ("stops-interruptible", "--interruptible")];

/// What the static library needs of the system.
const SYSTEM_LIBRARIES: [&str; 5] = ["-lpthread", "-ldl", "-lm", "-lgcc_s", "-lc"];

fn main() -> ExitCode {
    let trials = vec![
        trial("headers::compile_without_warnings", &["gcc", "g++", "clang"], headers::compile_without_warnings),
        trial("headers::declare_what_the_library_has", &["gcc", "nm"], headers::declare_what_the_library_has),
        trial("headers::lay_out_structures_as_the_library", &["gcc"], headers::lay_out_structures_as_the_library),
        trial("scenarios::under_the_address_sanitizer", &["gcc", "g++"], under_the_address_sanitizer),
        trial("scenarios::under_valgrind", &["gcc", "g++", "valgrind"], under_valgrind),
        trial("scenarios::with_the_compiler", &["gcc", "g++"], with_the_compiler),
        trial("example::two_plugins", &["gcc"], example),
        trial("example::classes_of_cplusplus", &["g++"], cplusplus_example),
        trial("generated_headers::name_what_modules_export", &["gcc", "g++"], generated_headers),
        trial("without_the_compiler::wasm_is_refused", &["gcc"], wasm_is_refused),
        trial("behave::host_and_guests", &["gcc"], behave::host_and_guests),
        trial("behave::in_a_static_program", &["gcc"], behave::host_and_guests_in_a_static_program),
        trial("behave::closed", &["gcc"], behave::a_library_with_the_runtime_can_be_closed),
        python::trial(),
    ];
    support::skips::run(&Arguments::from_args(), trials).exit_code()
}

/// A test that needs these programs of the system.
fn trial(name: &str, programs: &[&str], test: fn() -> Result<(), Failed>) -> Trial {
    match programs.iter().find(|program| support::find_program(program).is_none()) {
        Some(missing) => support::skipped(name, format!("there is no `{missing}`")),
        None => Trial::test(name, test),
    }
}

/// The static library without the compiler.
fn library() -> Result<&'static Path, Failed> {
    static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let target = Options::default().target.to_string();
        let build = ["build", "--locked", "--package", "wasmelt-c-api", "--profile", "embed-host", "--target", &target];
        portable::cargo(&build)?;
        Ok(portable::folder().join(target).join("embed-host/libwasmelt_c_api.a"))
    };
    LIBRARY.get_or_init(build).as_deref().map_err(Failed::from)
}

/// The static library with the compiler, of which the build of the tests has made nearly all.
fn library_with_compiler() -> Result<PathBuf, Failed> {
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent).ok_or("the tests lie in no target folder")?;
    let target = folder.parent().ok_or("the tests lie in no target folder")?;
    let mut build = vec!["build", "--locked", "--package", "wasmelt-c-api", "--features", "compiler"];
    if folder.ends_with("release") {
        build.push("--release");
    }
    portable::cargo_with(
        &build,
        &[("CARGO_TARGET_DIR".to_owned(), target.into()), ("RUSTFLAGS".to_owned(), "".into())],
    )?;
    Ok(folder.join("libwasmelt_c_api.a"))
}

fn folder(name: &str) -> PathBuf {
    support::repository().join(name)
}

/// Runs a tool; what it prints, when it succeeds.
fn tool(command: &mut Command) -> Result<Outcome, Failed> {
    support::run(command, b"")?.expect_code(0)
}

/// A compiler that is asked to be strict.
fn strict(compiler: &str, standard: &str) -> Command {
    let mut command = Command::new(compiler);
    command.args([standard, "-Wall", "-Wextra", "-pedantic", "-Werror", "-g", "-D_XOPEN_SOURCE=700", "-I"]);
    command.arg(folder("c-api/include"));
    command
}

/// Compiles all modules to libraries in a folder, and one to an object that is linked into the program.
fn modules(scratch: &Path) -> Result<(), Failed> {
    let compile = |module: &str, source: &str, options: &[&str]| {
        let source = folder("tests/c/modules").join(format!("{source}.wat"));
        support::compile(&source, &scratch.join(format!("{module}.so")), ["--emit", "cdylib"].iter().chain(options))
    };
    for entry in fs::read_dir(folder("tests/c/modules"))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).ok_or("a module without a name")?;
        compile(name, name, &["--library-name", name])?;
    }
    for (module, option) in STOPS {
        compile(module, "stops", &[option, "--library-name", "stops"])?;
    }
    fs::write(scratch.join("file.txt"), "in a file")?;
    let source = folder("tests/c/modules/empty.wat");
    support::compile(&source, &scratch.join("liblinked.a"), ["--emit", "staticlib", "--library-name", "linked"])
}

/// Builds the program of the scenarios with these options of the compilers; its path.
fn program(scratch: &Path, library: &Path, options: &[&str]) -> Result<PathBuf, Failed> {
    let program = scratch.join("scenarios");
    let sources = folder("tests/c/programs");
    let object = scratch.join("cplusplus.o");
    tool(strict("g++", "-std=c++11").args(options).arg("-c").arg(sources.join("cplusplus.cc")).arg("-o").arg(&object))?;
    let mut command = strict("gcc", "-std=c99");
    command.args(options).arg("-o").arg(&program);
    for source in ["main", "calls", "modules", "state", "hosts", "errors"] {
        command.arg(sources.join(format!("{source}.c")));
    }
    command.arg(object).arg(library).arg(scratch.join("liblinked.a")).arg("-lstdc++").args(SYSTEM_LIBRARIES);
    tool(&mut command)?;
    Ok(program)
}

fn under_the_address_sanitizer() -> Result<(), Failed> {
    let scratch = support::scratch();
    modules(scratch.path())?;
    let program = program(scratch.path(), library()?, &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"])?;
    let mut command = Command::new(program);
    command.arg(scratch.path()).arg("so").env("ASAN_OPTIONS", "detect_leaks=1");
    tool(&mut command)?.expect_stdout(all_scenarios()).map(|_| ())
}

/// What the program prints.
fn all_scenarios() -> String {
    SCENARIOS.iter().map(|name| format!("ok {name}\n")).collect()
}

fn under_valgrind() -> Result<(), Failed> {
    let scratch = support::scratch();
    modules(scratch.path())?;
    let program = program(scratch.path(), library()?, &["-O1"])?;
    for scenario in UNDER_VALGRIND {
        let mut command = Command::new("valgrind");
        command.args([
            "--quiet",
            "--error-exitcode=99",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite,indirect",
        ]);
        command.arg(&program).arg(scratch.path()).args(["so", scenario]);
        tool(&mut command)?.expect_stdout(format!("ok {scenario}\n"))?;
    }
    Ok(())
}

/// The same with WebAssembly binaries in place of libraries.
fn with_the_compiler() -> Result<(), Failed> {
    let scratch = support::scratch();
    modules(scratch.path())?;
    for entry in fs::read_dir(folder("tests/c/modules"))? {
        let path = entry?.path();
        let wasm = scratch.path().join(path.file_name().ok_or("a module without a name")?).with_extension("wasm");
        fs::write(wasm, wat::parse_file(&path)?)?;
    }
    for (module, _) in STOPS {
        fs::copy(scratch.path().join("stops.wasm"), scratch.path().join(format!("{module}.wasm")))?;
    }
    let program = program(scratch.path(), &library_with_compiler()?, &[])?;
    tool(Command::new(program).arg(scratch.path()).arg("wasm"))?.expect_stdout(all_scenarios()).map(|_| ())
}

/// A program that gives a WebAssembly binary to the library without the compiler is told what to do.
fn wasm_is_refused() -> Result<(), Failed> {
    let scratch = support::scratch();
    let program = scratch.path().join("refused");
    let source = folder("tests/c/programs/refused.c");
    tool(strict("gcc", "-std=c99").arg("-o").arg(&program).arg(source).arg(library()?).args(SYSTEM_LIBRARIES))?;
    let expected = "this library does not compile: make a library of the WebAssembly binary with `wasmelt compile --emit \
                    cdylib` and load that, or link with `libwasmelt`, which has the compiler\n";
    tool(&mut Command::new(program))?.expect_stdout(expected).map(|_| ())
}

/// A host with two plugins, by the headers that the compiler wrote: one plugin linked, one loaded.
fn example() -> Result<(), Failed> {
    let (scratch, sources) = (support::scratch(), folder("examples/c-host"));
    let compile = |name: &str, output: &str, options: &[&str]| {
        let header = scratch.path().join(format!("{name}.h"));
        let header = [OsStr::new("--header"), header.as_os_str()];
        let options = options.iter().map(OsStr::new).chain(header);
        support::compile(&sources.join(format!("{name}.wat")), &scratch.path().join(output), options)
    };
    compile("upper", "libupper.a", &["--emit", "staticlib"])?;
    compile("primes", "primes.so", &["--emit", "cdylib", "--fuel"])?;
    let program = scratch.path().join("host");
    let mut command = strict("gcc", "-std=c99");
    command.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-I"]).arg(scratch.path());
    command.arg(sources.join("host.c")).arg("-o").arg(&program).arg(scratch.path().join("libupper.a"));
    tool(command.arg(library()?).args(SYSTEM_LIBRARIES))?;
    let expected = fs::read(sources.join("host.expected"))?;
    tool(Command::new(program).arg(scratch.path().join("primes.so")))?.expect_stdout(expected)?;
    Ok(())
}

/// A host in C++, with classes over the headers, for the standards that the classes are for.
fn cplusplus_example() -> Result<(), Failed> {
    let (scratch, sources) = (support::scratch(), folder("examples/cpp-host"));
    let compile = |name: &str, output: &str, options: &[&str]| {
        support::compile(&folder("examples/c-host").join(format!("{name}.wat")), &scratch.path().join(output), options)
    };
    compile("upper", "libupper.a", &["--emit", "staticlib"])?;
    compile("primes", "primes.so", &["--emit", "cdylib", "--fuel"])?;
    let (program, expected) = (scratch.path().join("host"), fs::read(sources.join("host.expected"))?);
    for standard in ["-std=c++14", "-std=c++20"] {
        let mut command = strict("g++", standard);
        command.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
        command.arg(sources.join("host.cc")).arg("-o").arg(&program).arg(scratch.path().join("libupper.a"));
        tool(command.arg(library()?).args(SYSTEM_LIBRARIES))?;
        tool(Command::new(&program).arg(scratch.path().join("primes.so")))?.expect_stdout(expected.clone())?;
    }
    Ok(())
}

/// Headers of modules whose exports have names of all kinds are C and C++, and their functions are the module's.
fn generated_headers() -> Result<(), Failed> {
    let scratch = support::scratch();
    let source = scratch.path().join("odd.wat");
    fs::write(&source, include_str!("odd.wat"))?;
    let header = scratch.path().join("odd.h");
    let options = [OsStr::new("--emit"), OsStr::new("cdylib"), OsStr::new("--header"), header.as_os_str()];
    support::compile(&source, &scratch.path().join("odd.so"), options)?;
    let program = folder("tests/c/programs/odd.c");
    let cplusplus = scratch.path().join("odd.cc");
    fs::copy(&program, &cplusplus)?;
    let output = scratch.path().join("odd");
    for (compiler, standard, program) in [("gcc", "-std=c99", &program), ("g++", "-std=c++11", &cplusplus)] {
        let mut command = strict(compiler, standard);
        command.arg("-I").arg(scratch.path()).arg(program).arg("-o").arg(&output).arg(library()?);
        tool(command.args(SYSTEM_LIBRARIES))?;
        tool(Command::new(&output).arg(scratch.path().join("odd.so")))?.expect_stdout("ok\n")?;
    }
    Ok(())
}
