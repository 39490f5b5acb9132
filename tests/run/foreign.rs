//! What executables and objects for other systems are made of, read back with the `object` crate: they are what the
//! system's loader expects, and the same bytes whatever the number of threads and the folder.

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use object::read::NameOrOrdinal;
use object::read::macho::{LoadCommandVariant, MachHeader, MachOFile64};
use object::{Architecture, BinaryFormat, LittleEndian, Object, ObjectKind, ObjectSection, ObjectSymbol, macho};

use crate::support;
use crate::support::foreign::System;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for system in System::ALL {
        let name = system.name();
        trials.push(Trial::test(format!("foreign::{name}::object"), move || object_is_right(system)));
        trials.push(link(format!("foreign::{name}::executable"), system, module(), Vec::new()));
        let library = format!("foreign::{name}::library");
        trials.push(match system.cannot_be_linked() {
            None => Trial::test(library, move || library_is_right(system)),
            Some(why) => support::skipped(library, why),
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
        BinaryFormat::MachO => check_load_commands(&bytes, system)?,
        _ => {}
    }
    // What it may do can be read back from the file.
    let mut inspect = support::wasmelt();
    support::run(inspect.args(["inspect", "--policy"]).arg(&path), b"")?.expect_code(0)?;
    Ok(())
}

/// A library gives one thing away, and refers to nothing.
fn library_is_right(system: System) -> Result<(), Failed> {
    let folder = support::scratch();
    let path = folder.path().join("library");
    let mut command = support::wasmelt();
    command.args(["compile", "--emit", "cdylib", "--library-name", "plugin", "--target", system.triple(), "-o"]);
    support::run(command.arg(&path).arg(module()), b"")?.expect_code(0)?;
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

/// A Mach-O file says for which system it is, where it begins and how it unwinds, and on arm64 it is signed: the kernel
/// starts no other there.
fn check_load_commands(bytes: &[u8], system: System) -> Result<(), Failed> {
    let file = MachOFile64::<LittleEndian>::parse(bytes)?;
    let (mut build_version, mut main, mut signature) = (false, false, false);
    let mut commands = file.macho_load_commands()?;
    while let Some(command) = commands.next()? {
        match command.variant()? {
            LoadCommandVariant::BuildVersion(..) | LoadCommandVariant::VersionMin(..) => build_version = true,
            LoadCommandVariant::EntryPoint(_) => main = true,
            LoadCommandVariant::LinkeditData(_) => signature |= command.cmd() == macho::LC_CODE_SIGNATURE,
            _ => {}
        }
    }
    let is_signed = signature || system == System::Mac;
    let unwinds = file.section_by_name("__unwind_info").is_some();
    let is_executable = file.macho_header().filetype(LittleEndian) == macho::MH_EXECUTE;
    match [build_version, main, is_signed, unwinds, is_executable] {
        [true, true, true, true, true] => Ok(()),
        found => Err(format!("version, entry point, signature, unwind information, kind: {found:?}").into()),
    }
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
