//! Linking for macOS and Windows, with a program that [`driver`](super::driver) finds.

use std::collections::BTreeSet;

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSymbol};
use target_lexicon::{Architecture, BinaryFormat, Triple};

use super::driver::{Driver, DriverKind, MACOS_VERSION, apple_architecture};
use super::external::run_on;
use super::files::{self, Files};
use super::{LinkOptions, pe, strip_argument};
use crate::error::{Error, Result};
use crate::options::Linker;

/// Libraries of Windows that Rust's standard library and the runtime stand on.
const WINDOWS_LIBRARIES: [&str; 6] = ["-lkernel32", "-lntdll", "-luserenv", "-lws2_32", "-ldbghelp", "-lbcrypt"];

/// The driver that the options ask for.
fn driver(options: &LinkOptions<'_>, is_library: bool) -> Result<Driver> {
    match options.linker {
        Linker::Program(program) => {
            let driver = Driver::named(program, options.target);
            if driver.kind == DriverKind::Lld && options.target.binary_format == BinaryFormat::Coff && !is_library {
                let error = format!("`{}` has none of the libraries that programs for Windows need", driver.name());
                return Err(three_ways(Error::usage(error), options.target));
            }
            Ok(driver)
        }
        Linker::Embedded | Linker::Cc => Driver::find(options.target, is_library).ok_or_else(|| {
            three_ways(
                Error::link(format!("no linker for {} was found on this machine", options.target)),
                options.target,
            )
        }),
    }
}

/// Adds how to get a linker for a target.
fn three_ways(error: Error, target: &Triple) -> Error {
    let error = error.hint("install Zig, or the Python package `ziglang`: `zig cc` links for every target");
    match target.binary_format {
        BinaryFormat::Macho => error
            .hint("on a Mac, install the command line tools of Xcode; elsewhere, `ld64.lld` of LLVM or `rust-lld` of Rust")
            .hint("name a linker by `--linker PROGRAM`, or a C compiler for the target by the environment variable `CC_TRIPLE`"),
        _ => error
            .hint(format!("install mingw-w64, which has `{}-w64-mingw32-gcc`", target.architecture))
            .hint("name a C compiler for the target by `--linker PROGRAM` or the environment variable `CC_TRIPLE`"),
    }
}

/// Links an executable, or a shared library where there is no archive.
pub(super) fn link(files: Files, options: &LinkOptions<'_>) -> Result<Vec<u8>> {
    let driver = driver(options, files.archive().is_none())?;
    let mut command = driver.command();
    // Same input, same bytes: no time, and on macOS no debug information, which names the temporary folder.
    command.env("SOURCE_DATE_EPOCH", "0");
    match (options.target.binary_format, driver.kind) {
        (BinaryFormat::Macho, DriverKind::Lld) => {
            command.args(["-arch", apple_architecture(options.target)]);
            command.args(["-platform_version", "macos", MACOS_VERSION, MACOS_VERSION, "-dead_strip"]);
            command.args(if files.archive().is_some() { &["-execute"][..] } else { &["-dylib"] });
            command.args(files.inputs());
            if files.archive().is_some() {
                let description = system_library(&files)?;
                command.arg(files.add("libSystem.tbd", description.as_bytes())?);
            } else {
                command.args(["-undefined", "error", "-install_name", "@rpath/libwasmelt.dylib"]);
            }
            command.args(if options.strip { &["-S", "-x"][..] } else { &["-S"] });
        }
        (BinaryFormat::Macho, _) => {
            if driver.kind != DriverKind::Zig {
                command.arg(format!("-mmacosx-version-min={MACOS_VERSION}"));
            }
            command.arg("-Wl,-dead_strip");
            if files.archive().is_none() {
                command.args(["-dynamiclib", "-Wl,-install_name,@rpath/libwasmelt.dylib"]);
            }
            command.arg(if options.strip { "-Wl,-S,-x" } else { "-Wl,-S" });
            command.args(files.inputs());
        }
        (_, DriverKind::Lld) => {
            let is_x86_64 = options.target.architecture == Architecture::X86_64;
            command.args(["-m", if is_x86_64 { "i386pep" } else { "arm64pe" }, "-shared", "-Xlink=-noentry"]);
            command.arg("--no-insert-timestamp").args(strip_argument(options));
            command.args(files.inputs());
        }
        _ => {
            let (is_zig, is_program) = (driver.kind == DriverKind::Zig, files.archive().is_some());
            if !is_zig {
                command.arg("-Wl,--no-insert-timestamp");
            }
            if !is_program {
                command.args(["-shared", "-nostdlib"]);
                if !is_zig {
                    // Otherwise the name of the temporary output decides about the library's preferred address.
                    command.arg("-Wl,--disable-auto-image-base");
                }
            } else if is_zig {
                // GNU `ld` would drop the policy, which nothing refers to.
                command.arg("-Wl,--gc-sections");
            }
            let strip = match is_program && !options.debug_info {
                // Most names are those of Rust's standard library. Zig writes none in any case.
                true => Some("--strip-all"),
                false => strip_argument(options),
            };
            command.args(strip.map(|argument| format!("-Wl,{argument}")));
            command.args(files.inputs());
            if is_program {
                command.args(WINDOWS_LIBRARIES);
                // The standard library refers to functions for unwinding, which never happens.
                let is_llvm = is_zig || driver.name().contains("clang");
                command.arg(if is_llvm { "-lunwind" } else { "-lgcc_eh" });
            } else {
                // Nothing has to be done when it is loaded. Zig takes a number for a symbol.
                command.arg(if is_zig { "-Wl,--no-entry" } else { "-Wl,--entry=0" });
            }
        }
    }
    let mut linked = run_on(command, &files, |error| three_ways(error, options.target))?;
    if options.target.binary_format == BinaryFormat::Coff {
        pe::forget_program_database(&mut linked)?;
    }
    Ok(linked)
}

/// Describes the system's library to `lld`, which has no description of it: what the inputs need and nothing of them
/// defines is there. The file format is that of "text-based stub libraries", version 4.
///
/// Nothing is promised that a system might not have: what the archive needs are the functions that Rust's standard
/// library uses, and where one of them is missing the system's loader says so.
fn system_library(files: &Files) -> Result<String> {
    let unreadable = |e: object::Error| Error::link(format!("an input of the linker cannot be read: {e}"));
    let (mut defined, mut undefined) = (BTreeSet::new(), BTreeSet::new());
    let mut read = |data: &[u8]| -> Result<(), object::Error> {
        // An archive also holds members that are not objects: the metadata of a library of Rust.
        let Ok(file) = object::File::parse(data) else { return Ok(()) };
        for symbol in file.symbols().filter(|symbol| symbol.is_global() || symbol.is_undefined()) {
            let name = String::from_utf8_lossy(symbol.name_bytes()?).into_owned();
            if symbol.is_undefined() { &mut undefined } else { &mut defined }.insert(name);
        }
        Ok(())
    };
    for path in files.objects() {
        read(&files::read(path)?).map_err(unreadable)?;
    }
    if let Some(path) = files.archive() {
        let bytes = files::read(path)?;
        let archive = ArchiveFile::parse(&*bytes).map_err(unreadable)?;
        for member in archive.members() {
            read(member.map_err(unreadable)?.data(&*bytes).map_err(unreadable)?).map_err(unreadable)?;
        }
    }
    undefined.insert("dyld_stub_binder".to_owned());
    let needed = undefined.difference(&defined);
    let symbols: Vec<_> = needed.map(|name| format!("'{}'", name.replace('\'', ""))).collect();
    let targets = "[ x86_64-macos, arm64-macos ]";
    Ok(format!(
        "--- !tapi-tbd\ntbd-version: 4\ntargets: {targets}\ninstall-name: '/usr/lib/libSystem.B.dylib'\n\
         current-version: 1311\nexports:\n  - targets: {targets}\n    symbols: [ {} ]\n...\n",
        symbols.join(", ")
    ))
}
