//! What is made for each system, read by tools that others wrote: LLVM's readers of ELF, Mach-O and COFF complain about
//! nothing, and see unwind information for every function of the guest.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::support::foreign::System;
use crate::support::{self, find_program};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for system in System::ALL {
        for (emit, check) in [("obj", object as Check), ("exe", executable), ("cdylib", library)] {
            let name = format!("llvm::{}::{emit}", system.name());
            let missing = system.cannot_be_linked().or_else(|| {
                let tool = TOOLS.into_iter().find(|tool| find_program(tool).is_none())?;
                Some(format!("there is no {tool}"))
            });
            trials.push(match missing {
                None => Trial::test(name, move || check_output(system, emit, check)),
                Some(why) => support::skipped(name, why),
            });
        }
    }
    trials
}

/// Programs of Debian's package `llvm`.
const TOOLS: [&str; 2] = ["llvm-objdump", "llvm-readobj"];

type Check = fn(System, &Path, &str) -> Result<(), Failed>;

/// Compiles the module with all kinds of frames and lets the tools read what comes out.
fn check_output(system: System, emit: &str, check: Check) -> Result<(), Failed> {
    let folder = support::scratch();
    let path = folder.path().join("output");
    let mut command = support::wasmelt();
    command.args(["compile", "--emit", emit]).args(system.options()?).arg("-o").arg(&path).arg(module());
    support::run(&mut command, b"")?.expect_code(0)?;
    let everything = read("llvm-readobj", &["--file-headers", "--sections", "--relocations", "--symbols"], &path)?;
    check(system, &path, &everything)
}

fn module() -> PathBuf {
    support::repository().join("tests/run/guests/probe.wasm")
}

/// What a tool prints of a file. It must have nothing to complain about.
fn read(tool: &str, options: &[&str], path: &Path) -> Result<String, Failed> {
    let mut command = Command::new(find_program(tool).ok_or_else(|| format!("there is no {tool}"))?);
    let outcome = support::run(command.args(options).arg(path), b"")?.expect_code(0)?;
    let (stdout, stderr) = (outcome.stdout(), outcome.stderr());
    let complaint =
        |line: &&str| ["warning:", "error:", "malformed", "<invalid"].iter().any(|word| line.contains(word));
    match stderr.lines().chain(stdout.lines()).find(complaint) {
        None => Ok(stdout),
        Some(line) => Err(format!("{tool} {options:?}: {line}").into()),
    }
}

fn expect(text: &str, parts: &[&str]) -> Result<(), Failed> {
    match parts.iter().find(|part| !text.contains(**part)) {
        None => Ok(()),
        Some(part) => Err(format!("no `{part}` in\n{text}").into()),
    }
}

/// Functions of the guest, by the symbols of the object.
fn function_count(path: &Path) -> Result<usize, Failed> {
    use object::{Object, ObjectSymbol, SymbolKind};
    let bytes = std::fs::read(path)?;
    let file = object::File::parse(&*bytes)?;
    // Several names of one place are one function.
    let starts = file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition());
    let starts: std::collections::BTreeSet<u64> = starts.map(|symbol| symbol.address()).collect();
    Ok(starts.len())
}

fn object(system: System, path: &Path, everything: &str) -> Result<(), Failed> {
    let functions = function_count(path)?;
    let found = match system {
        System::LinuxAarch64 => {
            expect(everything, &["Machine: EM_AARCH64", "Type: Relocatable", ".note.wasmelt", ".note.GNU-stack"])?;
            read("llvm-dwarfdump", &["--eh-frame"], path)?.matches(" FDE ").count()
        }
        System::Windows | System::WindowsAarch64 => {
            let machine = if system == System::Windows { "FILE_MACHINE_AMD64" } else { "FILE_MACHINE_ARM64" };
            expect(everything, &[machine, "_ADDR32NB", "Name: .pdata", "Name: .xdata"])?;
            let unwind = read("llvm-readobj", &["--unwind"], path)?;
            let frame = if system == System::Windows { "SET_FPREG reg=RBP" } else { "mov fp, sp" };
            expect(&unwind, &[frame])?;
            unwind.matches("RuntimeFunction {").count()
        }
        System::Mac | System::MacAarch64 => {
            expect(everything, &["Name: __wasmelt", "Name: __compact_unwind", "FileType: Relocatable"])?;
            let version = read("llvm-readobj", &["--macho-version-min"], path)?;
            expect(&version, &["LC_BUILD_VERSION", "Platform: macos", "Version: 11.0"])?;
            let unwind = read("llvm-objdump", &["--macho", "--unwind-info"], path)?;
            let mode = if system == System::Mac { "0x01000000" } else { "0x04000000" };
            unwind.matches(&format!("compact encoding:     {mode}")).count()
        }
    };
    if found == functions && found > 20 {
        Ok(())
    } else {
        Err(format!("{functions} functions, unwind information of {found}").into())
    }
}

fn executable(system: System, path: &Path, everything: &str) -> Result<(), Failed> {
    match system {
        System::LinuxAarch64 => expect(everything, &["Machine: EM_AARCH64", "Type: SharedObject"]),
        System::Windows | System::WindowsAarch64 => {
            expect(
                everything,
                &["IMAGE_SUBSYSTEM_WINDOWS_CUI", "DLL_CHARACTERISTICS_DYNAMIC_BASE", "DLL_CHARACTERISTICS_NX_COMPAT"],
            )?;
            let unwind = read("llvm-readobj", &["--unwind"], path)?;
            expect(&unwind, &["RuntimeFunction {"])?;
            expect(&read("llvm-readobj", &["--coff-imports"], path)?.to_lowercase(), &["name: kernel32.dll"])
        }
        System::Mac | System::MacAarch64 => {
            let unwind = read("llvm-objdump", &["--macho", "--unwind-info"], path)?;
            expect(&unwind, &["Version:                                   0x1", "Second level indices"])?;
            // Fixups: pointers to be moved, and functions of the system's library, in data alone.
            let fixups = read("llvm-objdump", &["--macho", "--rebase", "--bind", "--lazy-bind"], path)?;
            match fixups.lines().find(|line| line.starts_with("__TEXT")) {
                None => expect(&fixups, &["__DATA", "libSystem", "_write"]),
                Some(line) => Err(format!("code would have to be changed when it is loaded: {line}").into()),
            }
        }
    }
}

/// The name of a library's module in the table of what it exports.
fn library(system: System, path: &Path, everything: &str) -> Result<(), Failed> {
    let name = "wasmelt_module_probe";
    match system {
        System::LinuxAarch64 => {
            expect(&read("llvm-readobj", &["--dyn-symbols"], path)?, &[&format!("Name: {name}")])?;
            expect(everything, &["Relocations [\n]"])
        }
        System::Windows | System::WindowsAarch64 => {
            expect(&read("llvm-readobj", &["--coff-exports"], path)?, &[&format!("Name: {name}")])
        }
        System::Mac | System::MacAarch64 => {
            expect(&read("llvm-objdump", &["--macho", "--exports-trie"], path)?, &[&format!("_{name}")])?;
            let fixups = read("llvm-objdump", &["--macho", "--rebase", "--bind", "--lazy-bind"], path)?;
            match fixups
                .lines()
                .find(|line| line.starts_with("__TEXT") || line.starts_with("__DATA") && line.contains("wasmelt"))
            {
                None => Ok(()),
                Some(line) => Err(format!("the library would have to be changed when it is loaded: {line}").into()),
            }
        }
    }
}
