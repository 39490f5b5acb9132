//! What executables and objects for other systems are made of, read back with the `object` crate: they are what the
//! system's loader expects, and the same bytes whatever the number of threads, the folder, the time and the environment.

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use object::read::NameOrOrdinal;
use object::{Architecture, BinaryFormat, Object, ObjectKind, ObjectSection, ObjectSymbol};

use crate::support::foreign::System;
use crate::{macho, modules, support};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    let pages = "foreign::aarch64::page_sizes";
    trials.push(match System::LinuxAarch64.cannot_be_run() {
        None => Trial::test(pages, page_sizes),
        Some(why) => support::skipped(pages, why),
    });
    for system in System::ALL {
        let name = system.name();
        trials.push(Trial::test(format!("foreign::{name}::object"), move || object_is_right(system)));
        trials.push(link(format!("foreign::{name}::executable"), system, module(), Vec::new()));
        type Test = fn(System) -> Result<(), Failed>;
        let linked: [(&str, Test); 3] = [
            ("library", |system| library_is_right(system, &[])),
            ("static_library", static_library_is_right),
            ("same_bytes", same_bytes_everywhere),
        ];
        for (test, check) in linked {
            let no_c = || {
                let error = (test == "static_library").then(|| system.c_compiler().err()).flatten()?;
                error.message().map(str::to_owned)
            };
            let test = format!("foreign::{name}::{test}");
            trials.push(match system.cannot_be_linked().or_else(no_c) {
                None => Trial::test(test, move || check(system)),
                Some(why) => support::skipped(test, why),
            });
        }
        let with_lld = format!("foreign::{name}::lld");
        trials.push(match system.cannot_have_a_runtime().map_or_else(rust_lld, Err) {
            Ok(lld) => Trial::test(with_lld, move || lld_links(system, &lld)),
            Err(why) => support::skipped(with_lld, why),
        });
        trials.push(Trial::test(format!("foreign::{name}::no_archive"), move || missing_archive_is_named(system)));
    }
    trials
}

/// A test that compiles a module for a system, links it and reads it back.
pub(crate) fn link(name: String, system: System, wasm: PathBuf, options: Vec<String>) -> Trial {
    match system.cannot_be_linked() {
        None => Trial::test(name, move || executable_is_right(system, &wasm, &options)),
        Some(why) => support::skipped(name, why),
    }
}

/// A module that traps, throws nothing and calls: it has unwind information, traps and names.
fn module() -> PathBuf {
    support::repository().join("tests/run/guests/probe.wasm")
}

fn format(system: System) -> (BinaryFormat, Architecture) {
    match system {
        System::LinuxAarch64 => (BinaryFormat::Elf, Architecture::Aarch64),
        System::Windows => (BinaryFormat::Coff, Architecture::X86_64),
        System::WindowsAarch64 => (BinaryFormat::Coff, Architecture::Aarch64),
        System::Mac => (BinaryFormat::MachO, Architecture::X86_64),
        System::MacAarch64 => (BinaryFormat::MachO, Architecture::Aarch64),
    }
}

fn object(system: System, folder: &Path, threads: &str) -> Result<Vec<u8>, Failed> {
    fs::create_dir_all(folder)?;
    let path = folder.join("probe.o");
    let mut command = support::wasmelt();
    command.args(["compile", "--emit", "obj", "--threads", threads, "--target", system.triple(), "-o"]).arg(&path);
    support::run(command.arg(module()), b"")?.expect_code(0)?;
    Ok(fs::read(path)?)
}

fn object_is_right(system: System) -> Result<(), Failed> {
    let folder = support::scratch();
    let bytes = object(system, &folder.path().join("a"), "1")?;
    if bytes != object(system, &folder.path().join("another/place"), "2")? {
        return Err("another folder or number of threads makes another object".into());
    }
    let file = object::File::parse(&*bytes)?;
    if (file.format(), file.architecture()) != format(system) {
        return Err(format!("it is {:?} for {:?}", file.format(), file.architecture()).into());
    }
    let sections: Vec<&str> = file.sections().filter_map(|section| section.name().ok()).collect();
    let wanted: &[&str] = match file.format() {
        BinaryFormat::Elf => &[".text", ".eh_frame"],
        BinaryFormat::Coff => &[".text", ".pdata", ".xdata"],
        _ => &["__text", "__compact_unwind"],
    };
    if let Some(missing) = wanted.iter().find(|name| !sections.contains(name)) {
        return Err(format!("there is no section {missing} in {sections:?}").into());
    }
    let prefix = if file.format() == BinaryFormat::MachO { "_" } else { "" };
    let program = format!("{prefix}wasmelt_program");
    if !file.symbols().any(|symbol| symbol.name() == Ok(&program) && symbol.is_definition()) {
        return Err(format!("there is no {program}").into());
    }
    Ok(())
}

fn executable_is_right(system: System, wasm: &Path, options: &[String]) -> Result<(), Failed> {
    let folder = support::scratch();
    let path = folder.path().join(system.file_name("probe"));
    let mut command = support::wasmelt();
    command.arg("compile").args(options).args(system.options()?).arg("-o").arg(&path).arg(wasm);
    support::run(&mut command, b"")?.expect_code(0)?;
    let bytes = fs::read(&path)?;
    let file = object::File::parse(&*bytes)?;
    let (of_object, architecture) = format(system);
    let expected = if of_object == BinaryFormat::Coff { BinaryFormat::Pe } else { of_object };
    if (file.format(), file.architecture()) != (expected, architecture) {
        return Err(format!("it is {:?} for {:?}", file.format(), file.architecture()).into());
    }
    if file.entry() == 0 {
        return Err("it has no entry point".into());
    }
    match expected {
        BinaryFormat::Pe => {
            let named = |name: &str| file.section_by_name(name).is_some();
            if !named(".pdata") {
                return Err("it has no table of functions".into());
            }
        }
        BinaryFormat::MachO => macho::check(&bytes, system)?,
        _ => {}
    }
    // What it may do can be read back from the file.
    let mut inspect = support::wasmelt();
    support::run(inspect.args(["inspect", "--policy"]).arg(&path), b"")?.expect_code(0)?;
    Ok(())
}

/// Kernels for aarch64 have pages of 4, 16 or 64 KiB. Each loads the same file: data that is moved into memory by pages, and
/// the guards of memory and stack are where they should be.
fn page_sizes() -> Result<(), Failed> {
    let folder = support::scratch();
    let compile = |name: &str, wasm: &[u8]| -> Result<PathBuf, Failed> {
        let (module, executable) = (folder.path().join(format!("{name}.wasm")), folder.path().join(name));
        fs::write(&module, wasm)?;
        let mut command = support::wasmelt();
        command.arg("compile").args(System::LinuxAarch64.options()?).arg("-o").arg(&executable).arg(module);
        support::run(&mut command, b"")?.expect_code(0)?;
        Ok(executable)
    };
    let bytes = modules::pattern(20_000_000);
    let data = compile("data", &modules::large_data(1000, &bytes))?;
    let recursion = compile("recursion", &modules::endless_recursion_with_large_frames(12_000))?;
    let beyond = fs::read(support::repository().join("tests/run/cases/trap-memory-load.wat"))?;
    let beyond = compile("beyond", &beyond)?;
    for bytes_of_page in ["4096", "16384", "65536"] {
        let run = |executable: &Path| -> Result<support::Outcome, Failed> {
            let mut command = System::LinuxAarch64.command(executable)?;
            support::run(command.env("QEMU_PAGESIZE", bytes_of_page), b"")
        };
        let mut middle = bytes[10_000_000..][..16].to_vec();
        middle[0] += 1;
        let expected = [&middle, &bytes[..16], &bytes[bytes.len() - 16..]].concat();
        if run(&data)?.expect_code(0)?.stdout != expected {
            return Err(format!("pages of {bytes_of_page} bytes: the guest finds other data").into());
        }
        run(&recursion)?.expect_code(134)?.expect_stderr("wasm trap: call stack exhausted")?;
        run(&beyond)?.expect_code(134)?.expect_stderr("wasm trap: out of bounds memory access")?;
    }
    Ok(())
}

/// Everything that is linked is the same to the byte: whatever the folder, the temporary folder, the time, the locale and
/// the number of threads.
fn same_bytes_everywhere(system: System) -> Result<(), Failed> {
    let folder = support::scratch();
    let build = |emit: &str, option: &str, place: &str, threads: &str, zone: &str| -> Result<Vec<u8>, Failed> {
        let place = folder.path().join(place);
        fs::create_dir_all(place.join("tmp"))?;
        let path = place.join(format!("{emit}-{threads}"));
        let mut command = support::wasmelt();
        command.args(["compile", "--emit", emit, option, "--threads", threads]).args(system.options()?);
        command.env("TMPDIR", place.join("tmp")).env("TZ", zone).env("LC_ALL", zone);
        support::run(command.arg("-o").arg(&path).arg(module()), b"")?.expect_code(0)?;
        Ok(fs::read(path)?)
    };
    for (emit, option) in [("exe", "-O"), ("exe", "-g"), ("exe", "--strip"), ("cdylib", "-g"), ("staticlib", "-g")] {
        let one = build(emit, option, "a", "1", "UTC")?;
        // The smallest unit of time stamps.
        std::thread::sleep(std::time::Duration::from_secs(1));
        let other = build(emit, option, "another/much/longer/place", "2", "Asia/Tokyo")?;
        if let Some(at) = one.iter().zip(&other).position(|(a, b)| a != b) {
            return Err(format!("the bytes of {emit} {option} differ from {at} on").into());
        }
        if one.len() != other.len() {
            return Err(format!("{emit} {option} has {} bytes or {}", one.len(), other.len()).into());
        }
    }
    Ok(())
}

/// A library gives one thing away, and refers to nothing.
fn library_is_right(system: System, options: &[&Path]) -> Result<(), Failed> {
    let folder = support::scratch();
    let path = folder.path().join("library");
    let mut command = support::wasmelt();
    command.args(["compile", "--emit", "cdylib", "--library-name", "plugin", "--target", system.triple()]);
    support::run(command.args(options).arg("-o").arg(&path).arg(module()), b"")?.expect_code(0)?;
    let bytes = fs::read(&path)?;
    let file = object::File::parse(&*bytes)?;
    if (file.kind(), file.architecture()) != (ObjectKind::Dynamic, format(system).1) {
        return Err(format!("it is {:?} for {:?}", file.kind(), file.architecture()).into());
    }
    let name = |name: NameOrOrdinal<&[u8]>| match name {
        NameOrOrdinal::Name(name) => String::from_utf8_lossy(name).trim_start_matches('_').to_owned(),
        NameOrOrdinal::Ordinal(number) => format!("number {number}"),
    };
    let (mut exports, mut imports) = (Vec::new(), Vec::new());
    for export in file.exports()? {
        exports.push(name(export?.name()));
    }
    for import in file.imports()? {
        imports.push(name(import?.name()));
    }
    // Zig's linker for Mach-O adds what it has for every library.
    for names in [&mut exports, &mut imports] {
        names.retain(|name| !["mh_dylib_header", "dso_handle", "dyld_stub_binder"].contains(&name.as_str()));
    }
    if exports == ["wasmelt_module_plugin"] && imports.is_empty() {
        Ok(())
    } else {
        Err(format!("exports {exports:?}, imports {imports:?}").into())
    }
}

/// The linker inside the Rust toolchain links libraries for every system, and programs where no library of the system's
/// has to be there: everywhere but on Windows, which is an error that says what to do.
fn lld_links(system: System, lld: &Path) -> Result<(), Failed> {
    let linker = [Path::new("--linker"), lld];
    library_is_right(system, &linker)?;
    let folder = support::scratch();
    let path = folder.path().join(system.file_name("program"));
    let mut command = support::wasmelt();
    command.arg("compile").args(system.options()?).args(linker).arg("-o").arg(&path).arg(module());
    let outcome = support::run(&mut command, b"")?;
    match system {
        System::Windows | System::WindowsAarch64 => {
            outcome.expect_code(2)?.expect_stderr("has none of the libraries")?.expect_stderr("hint: install Zig")?;
            if path.exists() { Err("an output was written".into()) } else { Ok(()) }
        }
        System::LinuxAarch64 => outcome.expect_code(0).map(drop),
        System::Mac | System::MacAarch64 => {
            outcome.expect_code(0)?;
            macho::check(&fs::read(&path)?, system)
        }
    }
}

/// The linker inside the Rust toolchain, or why there is none.
fn rust_lld() -> Result<PathBuf, String> {
    let folder = support::foreign::sysroot().ok_or("there is no rustc")?.join("lib/rustlib");
    let path = folder
        .join(target_lexicon::HOST.to_string())
        .join("bin")
        .join(format!("rust-lld{}", std::env::consts::EXE_SUFFIX));
    if path.is_file() { Ok(path) } else { Err("the Rust toolchain has no rust-lld".to_owned()) }
}

/// A C program that is linked with a static library finds the module's descriptor in it, which begins with the version.
fn static_library_is_right(system: System) -> Result<(), Failed> {
    let folder = support::scratch();
    let (library, source) = (folder.path().join("libplugin.a"), folder.path().join("host.c"));
    let mut command = support::wasmelt();
    command.args(["compile", "--emit", "staticlib", "--library-name", "plugin", "--target", system.triple(), "-o"]);
    support::run(command.arg(&library).arg(module()), b"")?.expect_code(0)?;
    let mut inspect = support::wasmelt();
    let report = support::run(inspect.arg("inspect").arg(&library), b"")?.expect_code(0)?.stdout();
    if !report.contains("static library") {
        return Err(format!("what `inspect` says of it: {report}").into());
    }
    let version = wasmelt_abi::ABI_VERSION;
    fs::write(
        &source,
        format!(
            "extern const unsigned wasmelt_module_plugin[];\n\
             int main(void) {{ return wasmelt_module_plugin[0] == {version} ? 42 : 1; }}\n"
        ),
    )?;
    let host = folder.path().join(system.file_name("host"));
    let mut zig = system.c_compiler()?;
    zig.arg("-o").arg(&host).arg(&source).arg("-L").arg(folder.path()).arg("-lplugin");
    support::run(&mut zig, b"")?.expect_code(0)?;
    if system.cannot_be_run().is_none() {
        support::run(&mut system.command(&host)?, b"")?.expect_code(42)?;
    }
    Ok(())
}

fn missing_archive_is_named(system: System) -> Result<(), Failed> {
    let folder = support::scratch();
    let (empty, path) = (folder.path().join("empty"), folder.path().join("out"));
    fs::create_dir(&empty)?;
    let mut command = support::wasmelt();
    command.args(["compile", "--target", system.triple(), "--runtime-dir"]).arg(&empty).arg("-o").arg(&path);
    let outcome = support::run(command.arg(module()), b"")?.expect_code(1)?;
    outcome.expect_stderr("runtime archive")?.expect_stderr("cargo xtask runtime")?;
    if path.exists() { Err("an output was written".into()) } else { Ok(()) }
}
