//! From an object to an executable. What goes in is an object that refers to the runtime, what comes out are the bytes of
//! a static, position-independent executable. Nothing here knows wasm, and nothing is left on disk.
//!
//! [`archive`] finds the runtime. ELF files are linked by [`embedded`] or [`external`] linkers; [`pack`] leaves out what
//! no part of an executable without a dynamic linker needs. [`foreign`] links Mach-O and PE files, with a program that
//! [`driver`] finds. [`pe`] takes something out of the latter. [`static_library`] needs no linker.

mod archive;
mod driver;
mod embedded;
mod external;
mod files;
mod foreign;
mod pack;
mod pe;
mod static_library;

use std::path::Path;

use object::{Object, ObjectSymbol};
use target_lexicon::{BinaryFormat, Triple};
use wasmelt_abi::symbols;

use files::Files;

use crate::error::{Error, Result};
use crate::options::{Linker, Runtime};

pub use archive::{SERVER, installed_dir};
pub use static_library::static_library;

/// How an executable is linked.
#[derive(Clone, Copy, Debug)]
pub struct LinkOptions<'a> {
    /// Where it runs.
    pub target: &'a Triple,
    /// Who links.
    pub linker: &'a Linker,
    /// Which runtime an executable gets.
    pub runtime: Runtime,
    /// Folder with runtime archives, in place of the installed and embedded ones.
    pub runtime_dir: Option<&'a Path>,
    /// Leave out the symbol table.
    pub strip: bool,
    /// The object has debug information, which is kept.
    pub debug_info: bool,
}

/// Links `object` with the runtime of its target. The bytes do not depend on the number of threads. The object's memory is
/// free again before the linker takes its own.
pub fn executable(object: Vec<u8>, options: &LinkOptions<'_>) -> Result<Vec<u8>> {
    let is_elf = options.target.binary_format == BinaryFormat::Elf;
    if let (true, Runtime::Portable, Linker::Program(program)) = (is_elf, options.runtime, options.linker) {
        let program = program.display();
        return Err(Error::usage(format!("the portable runtime is linked by `cc`, not by `{program}`"))
            .hint("leave out `--linker`, or `--runtime portable`"));
    }
    let archive = archive::find(options.target, options.runtime, options.runtime_dir)?;
    archive.check_version()?;
    link(object, &archive.bytes, options)
}

/// Links `object` with `archive`.
fn link(object: Vec<u8>, archive: &[u8], options: &LinkOptions<'_>) -> Result<Vec<u8>> {
    let is_elf = options.target.binary_format == BinaryFormat::Elf;
    let may_relocate_itself = is_elf && relocates_itself(&object)?;
    let files = Files::new(&[object], Some(archive), options.target)?;
    if !is_elf {
        return foreign::link(files, options);
    }
    if options.runtime == Runtime::Portable {
        return external::link_with_c_library(&files, options);
    }
    let linked = run_linker(&files, options)?;
    drop(files);
    match pack::relocation_count(&linked)? {
        0 => pack::pack(&linked),
        _ if may_relocate_itself => Ok(linked),
        count => Err(Error::link(format!("{count} places of the executable would have to be relocated at its start"))
            .hint("the runtime archive was not made for position-independent executables")),
    }
}

/// Links the objects of a library of a component, which is named `server`, into a server.
pub fn server(objects: &[Vec<u8>], options: &LinkOptions<'_>) -> Result<Vec<u8>> {
    let archive = archive::find_server(options.target, options.runtime_dir)?;
    let files = Files::new(objects, Some(&archive.bytes), options.target)?;
    external::link_statically(&files, options)
}

/// Links objects that need nothing from outside into one shared library.
pub fn shared_library(objects: Vec<Vec<u8>>, options: &LinkOptions<'_>) -> Result<Vec<u8>> {
    let files = Files::new(&objects, None, options.target)?;
    drop(objects);
    if options.target.binary_format != BinaryFormat::Elf {
        return foreign::link(files, options);
    }
    let linked = run_linker(&files, options)?;
    match pack::relocation_count(&linked)? {
        0 => Ok(linked),
        count => Err(Error::internal(format!("{count} places of a shared library would have to be relocated"))),
    }
}

/// Whether there is a runtime archive for `target`.
pub fn has_runtime(target: &Triple, runtime_dir: Option<&Path>) -> bool {
    archive::find(target, Runtime::default_for(target), runtime_dir).is_ok()
}

/// Where the runtime archive for `target` is: `embedded`, `installed`, or `missing`.
pub fn runtime_place(target: &Triple, runtime_dir: Option<&Path>) -> &'static str {
    match archive::find(target, Runtime::default_for(target), runtime_dir) {
        Ok(archive) if archive.is_embedded => "embedded",
        Ok(_) => "installed",
        Err(_) => "missing",
    }
}

/// Removes the temporary files of linkers that run, when a compilation is abandoned and the process is to end.
pub fn remove_temporary_files() {
    files::remove_all();
}

/// Who would link for `target`, or `missing`.
pub fn linker_name(target: &Triple) -> String {
    if target.binary_format == BinaryFormat::Elf {
        return "embedded".to_owned();
    }
    driver::Driver::find(target, false).map_or_else(|| "missing".to_owned(), |driver| driver.name())
}

fn run_linker(files: &Files, options: &LinkOptions<'_>) -> Result<Vec<u8>> {
    match options.linker {
        Linker::Embedded => embedded::link(files, options),
        Linker::Cc => external::link_with_cc(files, options),
        Linker::Program(program) => external::link_with_ld(program, files, options),
    }
}

/// Whether a program calls the hook that relocates the executable.
fn relocates_itself(object: &[u8]) -> Result<bool> {
    let file = object::File::parse(object).map_err(|e| Error::internal(format!("the object cannot be read: {e}")))?;
    Ok(file.symbols().any(|symbol| symbol.name() == Ok(symbols::HOOK_INVOKE)))
}

/// Arguments that every linker of the `ld` family understands, besides the files.
fn ld_arguments(files: &Files, options: &LinkOptions<'_>) -> Vec<&'static str> {
    let mut arguments = match files.archive() {
        // Position-independent without a dynamic linker: the kernel places it where it likes, and nothing needs
        // relocation.
        Some(_) => vec!["-static", "-pie", "--no-dynamic-linker"],
        None => vec!["-shared"],
    };
    arguments.extend([
        // Functions and data that nothing reaches are dropped: this is how a program pays only for what it imports.
        "--gc-sections",
        // Same input, same bytes; and no section that nobody reads.
        "--build-id=none",
        "--hash-style=gnu",
        "--no-eh-frame-hdr",
        "-z",
        "noexecstack",
        // A dynamic linker would protect the segment that this option asks for. A static program has none.
        "-z",
        "norelro",
    ]);
    // Symbols stay for debuggers and profilers.
    arguments.extend(strip_argument(options));
    arguments
}

/// What a linker of the `ld` family is to leave out.
fn strip_argument(options: &LinkOptions<'_>) -> Option<&'static str> {
    match (options.strip, options.debug_info) {
        (true, _) => Some("--strip-all"),
        // Rust's standard library brings debug information of its own, six times as large as a small program.
        (false, false) => Some("--strip-debug"),
        (false, true) => None,
    }
}

#[cfg(test)]
mod tests;
